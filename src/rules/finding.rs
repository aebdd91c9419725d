//! What a rule found: a [`Finding`], with its verdict and its evidence.

use std::fmt;

use crate::event::Side;
use crate::frame::Direction;
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::{Clause, Rule};

/// How sure a finding is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Verdict {
    /// Something looks wrong, but what the capture lacks could explain it.
    CannotTell(Reason),
    /// Legal, but odd.
    Note,
    /// It rests on configuration, timing or other connections.
    Warning,
    /// The proof is complete.
    Violation,
}

impl Verdict {
    /// `violation`, `warning`, `note` or `cannot_tell`, as in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CannotTell(_) => "cannot_tell",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Violation => "violation",
        }
    }

    /// Why nobody can tell.
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::CannotTell(reason) => Some(reason),
            _ => None,
        }
    }
}

/// Why a rule cannot tell.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The capture does not have the beginning of the connection.
    MidStream,
    /// The capture lacks bytes of the connection.
    Gap,
    /// The snap length cut packets.
    Clipped,
    /// The capture has only one direction of the connection.
    OneWay,
    /// The capture ended before.
    CaptureEnd,
    /// The connection was reset.
    Reset,
    /// No CONNECT told the version of the protocol.
    VersionAssumed,
    /// The session may have a past that the capture does not have.
    SessionUnknown,
    /// The packets may have crossed on their way.
    Crossing,
    /// The bytes are encrypted.
    Encrypted,
    /// More than one message could be meant.
    AmbiguousMatch,
    /// It is within what measuring at one place can tell.
    Tolerance,
    /// The capture says that packets were dropped.
    Dropped,
    /// A limit of ours bit.
    Bound,
    /// Overlapping segments differ.
    Conflict,
    /// The framing was lost over bytes that are not MQTT.
    Malformed,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 16] = [
        Self::MidStream,
        Self::Gap,
        Self::Clipped,
        Self::OneWay,
        Self::CaptureEnd,
        Self::Reset,
        Self::VersionAssumed,
        Self::SessionUnknown,
        Self::Crossing,
        Self::Encrypted,
        Self::AmbiguousMatch,
        Self::Tolerance,
        Self::Dropped,
        Self::Bound,
        Self::Conflict,
        Self::Malformed,
    ];

    /// The name used in JSON, such as `mid_stream`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MidStream => "mid_stream",
            Self::Gap => "gap",
            Self::Clipped => "clipped",
            Self::OneWay => "one_way",
            Self::CaptureEnd => "capture_end",
            Self::Reset => "reset",
            Self::VersionAssumed => "version_assumed",
            Self::SessionUnknown => "session_unknown",
            Self::Crossing => "crossing",
            Self::Encrypted => "encrypted",
            Self::AmbiguousMatch => "ambiguous_match",
            Self::Tolerance => "tolerance",
            Self::Dropped => "dropped",
            Self::Bound => "bound",
            Self::Conflict => "conflict",
            Self::Malformed => "malformed",
        }
    }

    /// In words, after "cannot tell because".
    pub const fn because(self) -> &'static str {
        match self {
            Self::MidStream => "the capture does not have the beginning of the connection",
            Self::Gap => "the capture lacks bytes of the connection",
            Self::Clipped => "the snap length cut packets",
            Self::OneWay => "the capture has only one direction of the connection",
            Self::CaptureEnd => "the capture ends before",
            Self::Reset => "the connection was reset",
            Self::VersionAssumed => "no CONNECT tells the version",
            Self::SessionUnknown => "the session may have a past that was not captured",
            Self::Crossing => "the packets may have crossed on their way",
            Self::Encrypted => "the bytes are encrypted",
            Self::AmbiguousMatch => "more than one message could be meant",
            Self::Tolerance => "the difference is within what a capture can tell",
            Self::Dropped => "the capture says that packets were dropped",
            Self::Bound => "a limit of this program was reached",
            Self::Conflict => "overlapping segments differ",
            Self::Malformed => "bytes before could not be read as MQTT",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a rule found on a connection. The same again on the same connection
/// only adds to the count.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Those of its clauses that are meant here.
    pub clauses: Vec<&'static Clause>,
    /// How sure it is.
    pub verdict: Verdict,
    /// Who broke the rule.
    pub by: Option<Side>,
    /// Number of the TCP connection; `None` when it concerns the capture.
    pub connection: Option<u64>,
    /// The client's identifier, where known.
    pub client_id: Option<Box<[u8]>>,
    /// The topic or filter that it is about, where there is one.
    pub topic: Option<Box<[u8]>>,
    /// The packets of the evidence, the offending one last; of repeated
    /// findings only those of the first.
    pub packets: Vec<PacketRef>,
    /// How often.
    pub count: u64,
    /// When it was first found.
    pub time: Timestamp,
    /// What was expected and what was seen, in one sentence.
    pub message: String,
    /// The frames around it, if they were asked for.
    pub ladder: Vec<Rung>,
}

/// A frame in the ladder around a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rung {
    /// The captured packet that completed it.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// Its fixed header's first byte.
    pub first: u8,
    /// Its Packet Identifier.
    pub packet_id: Option<u16>,
    /// Whether the finding is about it.
    pub marked: bool,
}

/// Packets that a finding names.
pub const MOST_PACKETS: usize = 8;
