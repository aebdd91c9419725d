//! Events: what is reported besides frames. Connections that open and close,
//! bytes missing from the capture, streams that are not MQTT.

use serde::{Deserialize, Serialize};

pub use crate::direction::{Direction, Side};
pub use crate::flow::Kept;
use crate::frame::Connection;
use crate::layer::Note;
use crate::limits::Limit;
use crate::mqtt::Malformed;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Something that happened to a connection or to the capture.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// Time of the packet that showed it.
    pub time: Timestamp,
    /// The captured packet that showed it.
    pub packet: PacketRef,
    /// The connection; `None` if it concerns the whole capture.
    pub connection: Option<&'a Connection>,
    /// The direction, where that applies.
    pub direction: Option<Direction>,
    /// Number of bytes, where that applies; `None` also if unknown.
    pub bytes: Option<u64>,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The SYN of the connection was captured, and answered. The event has the
    /// time and packet of the SYN.
    Opened,
    /// A side started to close the connection (the event has the time and packet
    /// of the first FIN or RST), or the connection ended without FIN or RST.
    /// Packets of the other side may follow.
    Closed {
        /// The side that sent the FIN or RST, where one did.
        by: Option<Side>,
        /// How.
        reason: CloseReason,
        /// The side that had sent DISCONNECT before.
        disconnect: Option<Side>,
    },
    /// The capture lacks bytes between two control packets, or of a header.
    Gap,
    /// Framing was found, or found again; `bytes` were skipped.
    Resynchronised,
    /// The stream cannot be framed further.
    Malformed {
        /// What was expected and what was there.
        reason: Malformed,
    },
    /// A control packet was still incomplete at the end.
    Unfinished {
        /// Bytes that were still to come; `None` if not even the length was
        /// known. The event's `bytes` were there.
        wanted: Option<u64>,
        /// The first byte of its fixed header: packet type and flags.
        first: Option<u8>,
    },
    /// A connection on an MQTT port that does not carry MQTT.
    NotMqtt {
        /// What it looks like.
        reason: NotMqtt,
    },
    /// A note of a layer between TCP and MQTT. Details are in
    /// [`Connection::tls`] and [`Connection::websocket`].
    Layer(Note),
    /// A limit of [`crate::limits`] was reached.
    Bound {
        /// Which limit, and what was dropped.
        limit: Limit,
    },
    /// Overlapping segments with different bytes; `bytes` of them differ.
    Conflict {
        /// Which segment's bytes were kept.
        kept: Kept,
    },
    /// Bytes that arrived after their range had been declared a gap.
    Late,
    /// The capture lost packets, according to its own counters. The event's time
    /// is the latest at which they may have been on the wire.
    Dropped {
        /// Number of packets.
        packets: u64,
    },
}

reasons! {
    /// What a connection looks like that does not carry MQTT on a port that
    /// should.
    NotMqtt {
        Http2 = "this is HTTP/2, which is not decoded",
        Tls = "this looks like TLS",
        Http = "this looks like HTTP",
        Proxy = "this looks like the PROXY protocol",
        NoControlPacket = "the first bytes are no MQTT control packet",
        NothingFound = "no control packet found in these bytes",
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CloseReason {
    /// A side sent FIN.
    Fin,
    /// A side sent RST.
    Reset,
    /// The server answered the SYN with RST.
    TcpRefused,
    /// Nothing answered the SYN.
    TcpUnanswered,
    /// A new connection took the addresses and ports.
    Replaced,
    /// Evicted: no packet for longer than the limit (see [`crate::limits`]).
    Idle,
    /// Evicted: connection table full.
    Evicted,
}

impl CloseReason {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fin => "fin",
            Self::Reset => "reset",
            Self::TcpRefused => "tcp_refused",
            Self::TcpUnanswered => "tcp_unanswered",
            Self::Replaced => "replaced",
            Self::Idle => "idle",
            Self::Evicted => "evicted",
        }
    }
}

/// A connection that is closed: no frame or event of it follows.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionEnd<'a> {
    /// The connection.
    pub connection: &'a Connection,
    /// How it ended.
    pub reason: CloseReason,
    /// Time of the packet that ended it: the second FIN, the RST, else the last
    /// packet read.
    pub time: Timestamp,
    /// That packet.
    pub packet: PacketRef,
}

impl EventKind {
    /// The name used in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Closed { .. } => "closed",
            Self::Gap => "gap",
            Self::Resynchronised => "resynchronised",
            Self::Malformed { .. } => "malformed",
            Self::Unfinished { .. } => "unfinished",
            Self::NotMqtt { .. } => "not_mqtt",
            Self::Layer(note) => note.name(),
            Self::Bound { .. } => "bound",
            Self::Conflict { .. } => "conflict",
            Self::Late => "late",
            Self::Dropped { .. } => "dropped",
        }
    }

    /// Why, or what was expected, if it says so.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Closed { reason, .. } => Some(reason.name()),
            Self::Malformed { reason } => Some(reason.text()),
            Self::NotMqtt { reason } => Some(reason.text()),
            Self::Bound { limit } => Some(limit.text()),
            Self::Layer(note) => note.reason(),
            _ => None,
        }
    }
}
