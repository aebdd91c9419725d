//! How often a radio has to wake up, from times alone.

use std::time::Duration;

use crate::time::Timestamp;

/// Idle tails that are reported, in milliseconds, ascending.
pub const TAILS_MILLIS: [u64; 5] = [500, 2_000, 5_000, 10_000, 20_000];

/// Bursts and radio-on time for each of [`TAILS_MILLIS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakes {
    /// Bursts separated by more than the tail.
    pub bursts: [u64; TAILS_MILLIS.len()],
    /// Nanoseconds on, beyond `short`.
    on: [u64; TAILS_MILLIS.len()],
    /// Nanoseconds of gaps that no tail ends.
    short: u64,
}

impl Wakes {
    /// A packet was sent or received; `latest` is the time of the latest packet of
    /// the same connection, if there is one, and is updated.
    pub fn packet(&mut self, latest: &mut Option<Timestamp>, time: Timestamp) {
        const MILLI: u64 = 1_000_000;
        let Some(last) = *latest else {
            *latest = Some(time);
            for (i, tail) in TAILS_MILLIS.into_iter().enumerate() {
                self.bursts[i] += 1;
                self.on[i] += tail * MILLI;
            }
            return;
        };
        let gap = u64::try_from(time.since(last).as_nanos()).unwrap_or(u64::MAX);
        *latest = Some(last.max(time));
        // Nearly always.
        if gap <= TAILS_MILLIS[0] * MILLI {
            self.short += gap;
            return;
        }
        for (i, tail) in TAILS_MILLIS.into_iter().enumerate() {
            self.bursts[i] += u64::from(gap > tail * MILLI);
            self.on[i] += gap.min(tail * MILLI);
        }
    }

    /// Time the radio is on with the `i`th tail: gaps, each no longer than the
    /// tail, and one tail.
    pub fn on(&self, i: usize) -> Duration {
        Duration::from_nanos(self.on[i] + self.short)
    }

    /// Adds those of another radio.
    pub fn merge(&mut self, other: &Self) {
        for i in 0..TAILS_MILLIS.len() {
            self.bursts[i] += other.bursts[i];
            self.on[i] += other.on[i];
        }
        self.short += other.short;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bursts_and_time() {
        let (mut wakes, mut latest) = (Wakes::default(), None);
        for millis in [0, 100, 1_100, 7_100] {
            wakes.packet(&mut latest, Timestamp::from_nanos(millis * 1_000_000));
        }
        assert_eq!(wakes.bursts, [3, 2, 2, 1, 1]);
        // 0.1 + 0.5 + 0.5 s and a tail; 7.1 s and a tail.
        assert_eq!(wakes.on(0), Duration::from_millis(1_600));
        assert_eq!(wakes.on(3), Duration::from_millis(17_100));
    }
}
