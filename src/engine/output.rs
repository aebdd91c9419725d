//! [`Output`]: what the engine passes on: frames, events, and facts of TCP.

use crate::event::{ConnectionEnd, Event};
use crate::flow::{Carried, TcpFact};
use crate::frame::{Connection, Direction, MQTTFrame, PerDirection};
use crate::layer::{ByteRange, LayerBytes};
use crate::net::{Anatomy, Endpoint};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Output of the engine.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// An MQTT control packet, complete with its last byte.
    Frame(&'a MQTTFrame<'a>),
    /// An unfinished control packet at the end of its stream, decoded as far as
    /// possible: [`MQTTFrame::missing`] bytes of it are missing. Precedes the
    /// event [`EventKind::Unfinished`](crate::event::EventKind::Unfinished).
    Unfinished(&'a MQTTFrame<'a>),
    /// An event.
    Event(&'a Event<'a>),
    /// A fact of TCP, with `Config::follow_tcp`.
    Tcp(&'a Tcp<'a>),
    /// A TCP segment of a connection, before its content, with
    /// `Config::follow_segments`.
    Segment(&'a Segment<'a>),
    /// A captured packet, before its content, with `Config::follow_packets`.
    Packet(&'a Captured<'a>),
    /// The kind of a range of a TCP stream with layers below MQTT, with
    /// `Config::follow_packets`. Precedes the frame that contains these bytes.
    Span(&'a Span<'a>),
    /// A connection is over. Not at the end of the capture.
    Ended(&'a ConnectionEnd<'a>),
    /// The TCP connection with this number was evicted. With
    /// `Config::follow_packets` or `Config::follow_segments`.
    Evicted(u64),
}

/// A captured packet in numbers. 802.11 aggregates give one for each frame.
#[derive(Clone, Copy, Debug)]
pub struct Captured<'a> {
    /// The packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// Its bytes by layer.
    pub anatomy: Anatomy,
    /// The TCP segment that it carried or completed.
    pub segment: Option<CapturedSegment<'a>>,
    /// It carried an IP fragment that others are needed for.
    pub is_fragment: bool,
    /// The snap length cut it.
    pub is_cut: bool,
}

/// A TCP segment in its connection.
#[derive(Clone, Copy, Debug)]
pub struct CapturedSegment<'a> {
    /// Number of the TCP connection.
    pub number: u64,
    /// Whether the protocol of the connection is recognised.
    pub is_decided: bool,
    /// The connection, once it is recognised as MQTT or its port requires it.
    pub connection: Option<&'a Connection>,
    /// The client and the server, if nothing has answered its SYN yet and its port is
    /// one of MQTT's: it will carry MQTT, or nothing.
    pub expected: Option<PerDirection<Endpoint>>,
    /// Sender.
    pub src: Endpoint,
    /// Receiver.
    pub dst: Endpoint,
    /// The sender of the SYN, as far as known.
    pub opener: Option<Endpoint>,
    /// Its position in the stream.
    pub carried: Carried,
    /// Earlier packets whose IP fragments were reassembled into it.
    pub fragments: &'a [PacketRef],
}

/// A fact of TCP about a connection.
#[derive(Clone, Copy, Debug)]
pub struct Tcp<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// The side that sent the packet; its data goes in this direction.
    pub from: Direction,
    /// The fact.
    pub fact: TcpFact,
    /// The packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

/// A TCP segment of a connection that carries MQTT, or should. Duplicates are left
/// out.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Which way it went.
    pub from: Direction,
    /// Where it stands.
    pub carried: Carried,
    /// The packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

/// A range of one direction's TCP stream. Ranges of a direction ascend, and cover
/// everything except what the capture lacks.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// Direction of its bytes.
    pub direction: Direction,
    /// Its range.
    pub range: ByteRange,
    /// Its kind.
    pub kind: SpanKind,
}

/// Kind of a range of a TCP stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// Overhead of a layer.
    Own(LayerBytes),
    /// Bytes of the MQTT stream.
    Mqtt {
        /// Position of the first of them in the MQTT stream
        /// ([`MQTTFrame::offset`]).
        offset: u64,
        /// How many. Other than the length of the range where they were
        /// compressed.
        len: u64,
        /// Position in the TCP stream after the TLS record or compressed message
        /// that they are sealed in.
        seal: Option<u64>,
    },
}
