//! [`MQTTFrame`]: one MQTT control packet, as captured.

use serde::{Deserialize, Serialize};

use std::fmt;
use std::sync::{Arc, OnceLock};

pub use crate::direction::{Direction, PerDirection};
use crate::identity::ConnectionId;
use crate::layer::ByteRange;
pub use crate::layer::Transport;
use crate::layer::tls::TlsInfo;
use crate::layer::websocket::WebSocketInfo;
use crate::mqtt::{ControlPacket, Defect, FixedHeader, Text, Version};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A TCP connection that carries (or should carry) MQTT.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// Parameters of the TLS connection, if there is one.
    pub tls: Option<Box<TlsInfo>>,
    /// How the WebSocket was opened, if there is one.
    pub websocket: Option<Box<WebSocketInfo>>,
    /// Client Identifier, once known from CONNECT or an Assigned Client
    /// Identifier.
    pub client_id: Option<Box<[u8]>>,
    /// Version of the protocol, once known or assumed.
    pub version: Option<Version>,
    /// Whether the version was inferred from the content of packets, because no
    /// CONNECT was captured. Until it can be inferred, packets are decoded as
    /// 3.1.1.
    pub version_assumed: bool,
    /// Sequence number at offset 0 of each direction's byte stream, once known.
    pub first_seq: PerDirection<Option<u32>>,
    /// Whether offset 0 of each direction's MQTT byte stream is its first byte.
    pub from_start: PerDirection<bool>,
    /// Time of the SYN, or of the first packet.
    pub started: Timestamp,
    /// [Identity](crate::identity::session_uid) of its session, once known, if sessions
    /// are [followed](crate::engine::Config::follow_sessions).
    pub session_uid: Option<Arc<str>>,
    /// Its own identity, once it was asked for.
    #[serde(skip)]
    pub uid: OnceLock<Arc<str>>,
}

impl Connection {
    /// What distinguishes it from all others.
    pub const fn id(&self) -> ConnectionId {
        ConnectionId {
            client: self.client,
            server: self.server,
            started: self.started,
        }
    }

    /// Whether this is the identity of its session, or both are not known.
    #[inline]
    pub fn is_in_session(&self, uid: Option<&Arc<str>>) -> bool {
        match (uid, &self.session_uid) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other) || one == other,
            (one, other) => one.is_none() && other.is_none(),
        }
    }

    /// The text of its identity, made once.
    pub fn uid(&self) -> &Arc<str> {
        self.uid.get_or_init(|| self.id().uid().into())
    }

    /// Source and destination address of a direction.
    pub fn endpoints(&self, direction: Direction) -> (Endpoint, Endpoint) {
        match direction {
            Direction::Up => (self.client, self.server),
            Direction::Down => (self.server, self.client),
        }
    }
}

/// One MQTT control packet: its fields, where it was captured, and what is wrong
/// or missing.
#[derive(Debug)]
pub struct MQTTFrame<'a> {
    /// The fixed header: type, QoS, DUP, RETAIN and length.
    pub header: FixedHeader,
    /// The decoded fields. None but its type without
    /// [`Config::fields`](crate::engine::Config::fields).
    pub packet: &'a ControlPacket<'a>,
    /// Bytes that break the packet format, in order of offset.
    pub defects: &'a [Defect],
    /// The topic of a PUBLISH: the Topic Name, or the topic that its Topic Alias
    /// stands for. `None` when unknown, and for other types.
    pub topic: Option<Text<'a>>,
    /// The first bytes of the control packet, fixed header included: those kept
    /// and captured without a gap.
    pub bytes: &'a [u8],
    /// [`Digest`](crate::mqtt::Digest) of the whole payload of a PUBLISH, even if
    /// less of it was kept. `None` where the capture lacks bytes of the packet,
    /// and without [`Config::digests`](crate::engine::Config::digests).
    pub payload_digest: Option<u64>,
    /// Number of bytes of the control packet that the capture lacks.
    pub missing: u64,
    /// The stream ends within it: `missing` bytes were never sent, or not
    /// captured.
    pub unfinished: bool,
    /// Found after the framing was lost, or after joining in the middle.
    pub resynchronised: bool,
    /// Version as which it was decoded.
    pub version: Version,
    /// The connection that carried it.
    pub connection: &'a Connection,
    /// Its direction.
    pub direction: Direction,
    /// Number in its direction of the connection, from 1. It does not depend on how
    /// packets of the two directions were interleaved.
    pub number: u64,
    /// Captured packet in which its first byte was first seen.
    pub first: PacketRef,
    /// Captured packet that completed it; for an unfinished one, the same as
    /// `first`.
    pub last: PacketRef,
    /// Time of that packet.
    pub time: Timestamp,
    /// Position of its first byte in this direction's MQTT byte stream, counted
    /// from 0 at the first byte of MQTT (or the first byte captured).
    pub offset: u64,
    /// Its range in this direction's TCP byte stream, counted from 0 at the first
    /// byte after the SYN (or the first byte captured). Over TLS or compressed, up
    /// to the end of the record or message needed to read it.
    pub range: ByteRange,
    /// Time of the packet in which its first byte was first seen.
    pub started: Timestamp,
    /// How much of the other direction's byte stream its sender had received.
    pub received: Received,
}

/// How much of the other direction's byte stream the sender of a control packet
/// had received, by the TCP acknowledgements of the packets that carried it.
/// Kernels acknowledge before applications read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// When the sender started to send it: everything before this offset had arrived.
    pub surely: u64,
    /// When the sender had sent all of it: nothing from this offset on had arrived.
    pub at_most: u64,
    /// How much of that stream had been read from the capture by then. Less than
    /// `at_most` if an acknowledgement was captured before its data, or without
    /// them.
    pub read: u64,
}

impl MQTTFrame<'_> {
    /// Position in this direction's TCP byte stream after the last byte that its
    /// receiver needs to read it.
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
