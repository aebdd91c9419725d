//! [`MQTTFrame`]: one MQTT control packet as a capture showed it.

use std::fmt;

pub use crate::direction::{Direction, PerDirection};
use crate::layer::ByteRange;
pub use crate::layer::Transport;
use crate::layer::tls::TlsInfo;
use crate::layer::websocket::WebSocketInfo;
use crate::mqtt::{ControlPacket, Defect, FixedHeader, Text, Version};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A TCP connection that carries (or should carry) MQTT.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Number from 1, by first packet among all TCP connections of the
    /// capture: Wireshark's `tcp.stream` plus 1.
    pub number: u64,
    /// The side that opened the connection.
    pub client: Endpoint,
    /// The side that accepted it.
    pub server: Endpoint,
    /// What carries MQTT.
    pub transport: Transport,
    /// What TLS tells of itself, if it is there.
    pub tls: Option<Box<TlsInfo>>,
    /// How the WebSocket was opened, if it is there.
    pub websocket: Option<Box<WebSocketInfo>>,
    /// Client Identifier, once a CONNECT or an Assigned Client Identifier told
    /// it.
    pub client_id: Option<Box<[u8]>>,
    /// Version of the protocol, once known or assumed.
    pub version: Option<Version>,
    /// Whether no CONNECT told the version, so that it is inferred from the
    /// content of other packets. While even that is not possible, packets are
    /// read as 3.1.1.
    pub version_assumed: bool,
    /// Sequence number at offset 0 of each direction's byte stream, once known.
    pub first_seq: PerDirection<Option<u32>>,
    /// Whether offset 0 of each direction's MQTT byte stream is its first byte.
    pub from_start: PerDirection<bool>,
}

impl Connection {
    /// Source and destination of what goes in a direction.
    pub fn endpoints(&self, direction: Direction) -> (Endpoint, Endpoint) {
        match direction {
            Direction::Up => (self.client, self.server),
            Direction::Down => (self.server, self.client),
        }
    }
}

/// One MQTT control packet: what it says, where it was, and what is wrong or
/// missing.
#[derive(Debug)]
pub struct MQTTFrame<'a> {
    /// The fixed header: type, QoS, DUP, RETAIN and length.
    pub header: FixedHeader,
    /// What it says.
    pub packet: ControlPacket<'a>,
    /// Bytes that break the packet format, in order of offset.
    pub defects: &'a [Defect],
    /// The topic of a PUBLISH: the Topic Name, or what its Topic Alias stands
    /// for at this moment. `None` when unknown, and for other types.
    pub topic: Option<Text<'a>>,
    /// The first bytes of the control packet, fixed header included, as far as
    /// they were kept and captured without a gap.
    pub bytes: &'a [u8],
    /// [`Digest`](crate::mqtt::Digest) of the whole payload of a PUBLISH, however
    /// much of it was kept. `None` where the capture lacks bytes of the packet,
    /// and without [`Config::digests`](crate::engine::Config::digests).
    pub payload_digest: Option<u64>,
    /// How many bytes of the control packet the capture lacks.
    pub missing: u64,
    /// Its stream ends before it does: `missing` bytes were never sent, or not
    /// captured.
    pub unfinished: bool,
    /// Found after the framing was lost, or after joining in the middle.
    pub resynchronised: bool,
    /// Version by which it was decoded.
    pub version: Version,
    /// The connection it travelled on.
    pub connection: &'a Connection,
    /// Which way it went.
    pub direction: Direction,
    /// Captured packet in which its first byte was first seen.
    pub first: PacketRef,
    /// Captured packet whose arrival completed it; of an unfinished one, as
    /// `first`.
    pub last: PacketRef,
    /// Time of that packet.
    pub time: Timestamp,
    /// Position of its first byte in this direction's MQTT byte stream, from 0
    /// at the first byte of MQTT (or at the first byte seen).
    pub offset: u64,
    /// Where it lies in this direction's TCP byte stream, from 0 at the first
    /// byte after the SYN (or at the first byte seen). Over TLS or compressed,
    /// up to the end of the record or message without which it cannot be read.
    pub range: ByteRange,
    /// Time of the packet in which its first byte was first seen.
    pub started: Timestamp,
    /// What its sender had received of the other direction's byte stream.
    pub received: Received,
}

/// How far the sender of a control packet had received the byte stream of the
/// other direction, by the TCP acknowledgements of the packets that carried
/// it. Kernels acknowledge before applications read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// When it began to send: everything before this offset had arrived.
    pub surely: u64,
    /// When it had sent all of it: nothing from this offset on had arrived.
    pub at_most: u64,
    /// Up to where that stream had been read from the capture when the
    /// control packet was. Less than `at_most` if the capture shows an
    /// acknowledgement before its data, or lacks them.
    pub read: u64,
}

impl MQTTFrame<'_> {
    /// Position in this direction's TCP byte stream after all that its receiver
    /// needs to read it.
    pub fn end(&self) -> u64 {
        self.range.end
    }
}

/// `MQTTFrame { type: PUBLISH, qos: AT_LEAST_ONCE, dup:false }`
impl fmt::Display for MQTTFrame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.header.fmt(f)
    }
}
