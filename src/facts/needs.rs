//! [`Needs`]: what a sink needs besides the fixed headers of frames, and events.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// What a [`Sink`](super::Sink) needs besides the fixed headers of frames, and events,
/// which every sink receives. Needs are joined with `|`; what no sink needs is not computed.
///
/// ```
/// use mqttdump::facts::Needs;
///
/// let needs = Needs::EXCHANGES | Needs::TCP;
/// assert!(needs.contains(Needs::TCP) && !needs.contains(Needs::PACKETS));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs(u16);

impl Needs {
    /// Frames with nothing but their fixed header, and events that do not depend on
    /// fields.
    pub const NONE: Self = Self(0);
    /// The fields of each frame, its topic, defects and bytes.
    pub const FIELDS: Self = Self(1);
    /// Each frame arrives with its exchange:
    /// [`FrameFact::exchange`](super::FrameFact::exchange).
    pub const EXCHANGES: Self = Self(1 << 1 | Self::FIELDS.0);
    /// Connections, sessions and overdue answers, in order of events:
    /// [`Fact::Session`](super::Fact::Session).
    pub const SESSIONS: Self = Self(1 << 2 | Self::TCP.0 | Self::DIGESTS.0);
    /// A digest of the whole payload of each PUBLISH, even if less of the
    /// payload is kept for display.
    pub const DIGESTS: Self = Self(1 << 3 | Self::FIELDS.0);
    /// Facts of TCP: [`Fact::Tcp`](super::Fact::Tcp).
    pub const TCP: Self = Self(1 << 6);
    /// Every captured packet, what the bytes of each stream are, and which
    /// connections were evicted: [`Fact::Packet`](super::Fact::Packet),
    /// [`Fact::Span`](super::Fact::Span) and [`Fact::Evicted`](super::Fact::Evicted).
    pub const PACKETS: Self = Self(1 << 4);

    /// The TCP segments of connections, and which connections were evicted:
    /// [`Fact::Segment`](super::Fact::Segment) and
    /// [`Fact::Evicted`](super::Fact::Evicted).
    pub const SEGMENTS: Self = Self(1 << 5);

    /// Which session each connection belongs to:
    /// [`Connection::session_uid`](crate::frame::Connection::session_uid).
    pub const SESSION_UIDS: Self = Self(1 << 7 | Self::FIELDS.0);

    /// Each PUBLISH arrives with a topic that can be kept:
    /// [`FrameFact::topic`](super::FrameFact::topic).
    pub const TOPICS: Self = Self(1 << 8 | Self::FIELDS.0);

    const NAMES: [(Self, &'static str); 9] = [
        (Self::FIELDS, "fields"),
        (Self::EXCHANGES, "exchanges"),
        (Self::SESSIONS, "sessions"),
        (Self::DIGESTS, "digests"),
        (Self::TCP, "tcp"),
        (Self::PACKETS, "packets"),
        (Self::SEGMENTS, "segments"),
        (Self::SESSION_UIDS, "session identities"),
        (Self::TOPICS, "topics"),
    ];

    /// Whether all of `other` is among them.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether fixed headers and events are enough.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These, if `condition`; else none.
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }
}

impl BitOr for Needs {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Needs {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Needs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(need, _)| self.contains(*need));
        f.debug_set().entries(names.map(|(_, name)| name)).finish()
    }
}
