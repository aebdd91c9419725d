//! What a sum of bytes scales with: messages, connections, time, loss.

use super::cause::{Cause, Mechanism, Purpose};
use super::level::Measures;
use crate::frame::{Direction, PerDirection};

/// What a sum of bytes scales with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Term {
    /// The number of messages: what messages own, without what was sent again.
    Message,
    /// The number of connections: set-up, subscriptions, teardown.
    Connection,
    /// Time: keep-alive.
    Time,
    /// Loss: what was sent again, and acknowledgements without progress.
    Recovery,
    /// Nothing that is known: bytes that could not be read.
    Unknown,
}

impl Term {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Message,
        Self::Connection,
        Self::Time,
        Self::Recovery,
        Self::Unknown,
    ];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Message => "per_message",
            Self::Connection => "per_connection",
            Self::Time => "per_time",
            Self::Recovery => "recovery",
            Self::Unknown => "unknown",
        }
    }

    pub(super) const fn of(cause: Cause, is_owned: bool) -> Self {
        match cause {
            Cause(Purpose::Unknown, _) => Self::Unknown,
            Cause(_, Mechanism::Retx | Mechanism::DupAck) => Self::Recovery,
            Cause(Purpose::Keepalive, _) => Self::Time,
            _ if is_owned => Self::Message,
            _ => Self::Connection,
        }
    }
}

/// Bytes by what they scale with, up and down, at every level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms([PerDirection<Measures>; Term::ALL.len()]);

impl Terms {
    pub(super) fn add(&mut self, term: Term, direction: Direction, measures: Measures) {
        self.0[term as usize][direction] += measures;
    }

    /// What scales with something, in one direction.
    pub fn get(&self, term: Term, direction: Direction) -> Measures {
        self.0[term as usize][direction]
    }

    /// What scales with something, both directions.
    pub fn both(&self, term: Term) -> Measures {
        self.get(term, Direction::Up) + self.get(term, Direction::Down)
    }

    /// Everything, in one direction.
    pub fn total(&self, direction: Direction) -> Measures {
        Term::ALL
            .into_iter()
            .map(|term| self.get(term, direction))
            .sum()
    }

    /// Adds another count.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.0.iter_mut().flatten().zip(other.0.iter().flatten()) {
            *ours += *theirs;
        }
    }
}
