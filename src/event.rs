//! What is not a frame but matters to a reader: connections that open and
//! close, bytes the capture lacks, streams that are not MQTT.

pub use crate::direction::{Direction, Side};
use crate::frame::Connection;
use crate::layer::Note;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Something that happened to a connection or to the capture.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// What happened.
    pub kind: EventKind,
    /// When, by the packet that showed it.
    pub time: Timestamp,
    /// The captured packet that showed it.
    pub packet: PacketRef,
    /// On which connection; `None` when it concerns the capture.
    pub connection: Option<&'a Connection>,
    /// In which direction, where that applies.
    pub direction: Option<Direction>,
    /// How many bytes, where that applies; `None` where it applies but is not
    /// known.
    pub bytes: Option<u64>,
}

/// The kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The SYN of the connection was seen.
    Opened,
    /// The connection ended.
    Closed {
        /// Who ended it; `None` when it was cut off by a new connection or by
        /// idle time.
        by: Option<Side>,
        /// How: `fin`, `reset`, `half-closed` (only one side had sent FIN when
        /// the capture ended), `replaced` (a new connection took the port
        /// pair), `idle`, `evicted`.
        how: &'static str,
    },
    /// The capture lacks bytes between two control packets, or over a header.
    Gap,
    /// Framing was found (again); `bytes` were skipped.
    Resynchronised,
    /// The stream cannot be framed further.
    Malformed {
        /// What was expected and what was there.
        reason: &'static str,
    },
    /// A control packet was still incomplete at the end.
    Unfinished {
        /// Bytes that were still to come; `None` if not even the length was
        /// known. The event's `bytes` were there.
        wanted: Option<u64>,
    },
    /// A connection on an MQTT port that does not speak MQTT.
    NotMqtt {
        /// What it looks like.
        reason: &'static str,
    },
    /// What lies between TCP and MQTT tells something. What is known of it is
    /// in [`Connection::tls`] and [`Connection::websocket`].
    Layer(Note),
    /// A limit of ours bit.
    Bound {
        /// Which limit, and what was given up.
        reason: &'static str,
    },
    /// Overlapping segments whose bytes differ; the first were kept.
    Conflict,
    /// Bytes that arrived after their place was declared a hole.
    Late,
    /// Packets were lost to the capture, as it says itself. The event's time is
    /// the latest at which they may have been on the wire.
    Dropped {
        /// How many.
        packets: u64,
    },
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
            Self::Conflict => "conflict",
            Self::Late => "late",
            Self::Dropped { .. } => "dropped",
        }
    }
}
