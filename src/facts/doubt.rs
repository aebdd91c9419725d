//! Doubts: reasons why a fact is not certain.

use std::fmt;

/// A doubt, if there is one.
pub type Doubt = Option<Reason>;

/// What could explain a fault, so that it is inconclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The capture does not have the beginning of the connection.
    MidStream,
    /// The capture lacks bytes of the connection.
    Gap,
    /// The snap length cut packets.
    Clipped,
    /// The capture ended before.
    CaptureEnd,
    /// The connection was reset.
    Reset,
    /// No CONNECT with the version was captured.
    VersionAssumed,
    /// The session may have a past that the capture does not have.
    SessionUnknown,
    /// The packets may have crossed in transit.
    Crossing,
    /// The bytes are encrypted.
    Encrypted,
    /// More than one message matches.
    AmbiguousMatch,
    /// It is within the precision of measuring at one point.
    Tolerance,
    /// The clock of the capture may have been set.
    Clock,
    /// The capture reports dropped packets.
    Dropped,
    /// Other shards of the capture are not read.
    Shard,
    /// A limit was reached.
    Bound,
    /// Overlapping segments differ.
    Conflict,
    /// The framing was lost over bytes that are not MQTT.
    Malformed,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 17] = [
        Self::MidStream,
        Self::Gap,
        Self::Clipped,
        Self::CaptureEnd,
        Self::Reset,
        Self::VersionAssumed,
        Self::SessionUnknown,
        Self::Crossing,
        Self::Encrypted,
        Self::AmbiguousMatch,
        Self::Tolerance,
        Self::Clock,
        Self::Dropped,
        Self::Shard,
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
            Self::CaptureEnd => "capture_end",
            Self::Reset => "reset",
            Self::VersionAssumed => "version_assumed",
            Self::SessionUnknown => "session_unknown",
            Self::Crossing => "crossing",
            Self::Encrypted => "encrypted",
            Self::AmbiguousMatch => "ambiguous_match",
            Self::Tolerance => "tolerance",
            Self::Clock => "clock",
            Self::Dropped => "dropped",
            Self::Shard => "shard",
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
            Self::CaptureEnd => "the capture ends first",
            Self::Reset => "the connection was reset",
            Self::VersionAssumed => "no CONNECT with the version was captured",
            Self::SessionUnknown => "the session may have a past that was not captured",
            Self::Crossing => "the packets may have crossed in transit",
            Self::Encrypted => "the bytes are encrypted",
            Self::AmbiguousMatch => "more than one message matches",
            Self::Tolerance => "the difference is within the precision of a capture",
            Self::Clock => "the clock of the capture may have been set",
            Self::Dropped => "the capture reports dropped packets",
            Self::Shard => "this is a shard, and others may have what it depends on",
            Self::Bound => "a limit of this program was reached",
            Self::Conflict => "overlapping segments differ",
            Self::Malformed => "preceding bytes could not be read as MQTT",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
