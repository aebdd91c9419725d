//! Times at which something is due, and what was reported once they had passed.

use std::time::Duration;

use crate::time::Timestamp;

/// Which time is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    /// Time limit for answers without a specified one.
    Patience,
    /// The user's limit for acknowledgements.
    Budget,
}

/// What was reported at a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Reported(u8);

impl Reported {
    pub(super) const PATIENCE: Self = Self(1);
    pub(super) const BUDGET: Self = Self(2);
    pub(super) const CLIENT: Self = Self(1);
    pub(super) const SERVER: Self = Self(2);

    /// Whether any was reported.
    pub fn any(self) -> bool {
        self != Self(0)
    }

    pub(super) fn has(self, what: Self) -> bool {
        self.0 & what.0 != 0
    }

    pub(super) fn add(&mut self, what: Self) {
        self.0 |= what.0;
    }
}

pub(super) fn later(time: Timestamp, by: Duration) -> Timestamp {
    let nanos = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX);
    Timestamp::from_nanos(time.nanos().saturating_add(nanos))
}
