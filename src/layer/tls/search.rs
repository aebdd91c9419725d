//! Which sequence number opens a record.
//!
//! Sequence numbers are not sent: who has missed no record knows the next one.
//! After a gap only its size is known, and that limits how many records were
//! in it ([`Doubt`]); each number in between is tried, and the one that opens
//! the record shows how many were lost. The work is bounded ([`Budget`]): failed
//! trials have to be in proportion to the bytes received.

use super::cipher::{Opened, Opener};
use super::record::{HEADER, Record};
use super::suite::Suite;
use crate::limits;

/// How many records may have been missed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Doubt {
    /// At least so many.
    pub(super) least: u64,
    /// At most so many.
    pub(super) most: u64,
}

impl Doubt {
    /// One more was.
    pub(super) fn one(&mut self) {
        self.least = self.least.saturating_add(1);
        self.most = self.most.saturating_add(1);
    }

    /// The same after a record that was not sealed, if it really was not: in
    /// TLS 1.2 ciphertext may look like that.
    pub(super) fn after_all(self) -> Self {
        let more = u64::from(self.most > 0);
        Self {
            least: 0,
            most: self.most.saturating_add(more),
        }
    }

    /// So many bytes were, in whole records of some suite.
    pub(super) fn bytes(&mut self, bytes: u64, suite: Option<Suite>) {
        let own = suite.map_or(HEADER, |suite| HEADER + suite.before() + suite.after());
        let longest = (own + (1 << 14)) as u64;
        // TLS 1.3 lets a record be padded up to its longest.
        self.least = self.least.saturating_add((bytes / (longest + 256)).max(1));
        self.most = self.most.saturating_add((bytes / own as u64).max(1));
    }
}

/// Bytes that may still be tried in vain.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(limits::TLS_TRIAL_BYTES)
    }
}

impl Budget {
    /// So many bytes have come.
    pub(super) fn earn(&mut self, bytes: u64) {
        let more = bytes.saturating_mul(limits::TLS_TRIAL_RATIO);
        self.0 = self.0.saturating_add(more).min(limits::TLS_TRIAL_BYTES);
    }

    /// Whether nothing more may be tried.
    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }

    fn spend(&mut self, record: &[u8]) -> bool {
        // The cost of setting a cipher up, in bytes.
        let cost = record.len() as u64 + 128;
        let enough = self.0 >= cost;
        self.0 = match enough {
            true => self.0 - cost,
            false => 0,
        };
        enough
    }
}

/// A record that is to be opened.
pub(super) struct Trial<'a> {
    /// The record, header included.
    record: &'a [u8],
    /// How many may have been missed before it.
    pub(super) doubt: Doubt,
    budget: &'a mut Budget,
    /// Takes the content.
    out: &'a mut Vec<u8>,
}

impl<'a> Trial<'a> {
    pub(super) fn new(
        record: &Record<'a>,
        doubt: Doubt,
        budget: &'a mut Budget,
        out: &'a mut Vec<u8>,
    ) -> Self {
        Self {
            record: record.bytes,
            doubt,
            budget,
            out,
        }
    }

    /// Whether no record can have been missed.
    pub(super) fn is_sure(&self) -> bool {
        self.doubt.most == 0
    }

    /// Tries the numbers that may follow `next`; returns which it was.
    pub(super) fn open(&mut self, opener: &Opener, next: u64) -> Option<(u64, Opened)> {
        self.search(opener, next, self.doubt.least)
    }

    /// The same with keys that were not in use before: nothing need have been
    /// missed under them.
    pub(super) fn open_anew(&mut self, opener: &Opener) -> Option<(u64, Opened)> {
        self.search(opener, 0, 0)
    }

    fn search(&mut self, opener: &Opener, next: u64, least: u64) -> Option<(u64, Opened)> {
        for missed in least..=self.doubt.most {
            if !self.budget.spend(self.record) {
                return None;
            }
            let sequence = next.checked_add(missed)?;
            if let Some(opened) = opener.open(sequence, self.record, self.out) {
                return Some((sequence, opened));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_paid_for_with_bytes_that_were_sent() {
        let record = [0; 1 << 14];
        let cost = record.len() as u64 + 128;
        let trials =
            |budget: &mut Budget| (0..).take_while(|_| budget.spend(&record)).count() as u64;
        let mut budget = Budget::default();
        assert_eq!(trials(&mut budget), limits::TLS_TRIAL_BYTES / cost);
        assert!(budget.is_spent());
        // As many as were earned, and no more than at the start.
        let sent = 10 * cost / limits::TLS_TRIAL_RATIO;
        budget.earn(sent);
        assert_eq!(trials(&mut budget), sent * limits::TLS_TRIAL_RATIO / cost);
        budget.earn(1 << 40);
        assert_eq!(trials(&mut budget), limits::TLS_TRIAL_BYTES / cost);
    }
}
