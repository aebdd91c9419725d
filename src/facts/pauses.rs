//! Pauses of the whole capture: time in which no packet of any connection was
//! captured, and in which the clock may have been set.
//!
//! ```text
//! time of the packets   0 s   1 s   2 s   3602 s   3603 s
//! connection 1          PINGREQ           PINGREQ
//! connection 2                PUBLISH              PUBLISH
//!                                   └ a pause of an hour, or a clock that was set
//! ```
//! Real time passes at each connection by itself; a clock that is set does so for all
//! at the same packet. With a single connection the two look alike, unless the pause is
//! longer than any connection that uses Keep Alive would last.

use std::collections::VecDeque;
use std::time::Duration;

use crate::limits;
use crate::time::Timestamp;

/// A shorter pause is within the tolerance of every rule. It is also more than packets
/// are out of order by.
const SHORTEST: Duration = crate::shard::PAUSE;

/// A longer pause is a clock that was set, such as that of a gateway that starts in 1970:
/// the longest Keep Alive, and half of it again, are 27 hours.
const LONGEST: Duration = Duration::from_secs(limits::IDLE_MQTT_SECONDS);

/// The pauses of a capture.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Time of the latest captured packet, of any protocol.
    last: Option<Timestamp>,
    /// Shared pauses, each shorter than those before it: the first that begins within
    /// a period is the longest in it.
    shared: VecDeque<Pause>,
    /// The latest step back of the clock.
    back: Option<Pause>,
}

/// No packet was captured between these times.
#[derive(Clone, Copy, Debug)]
struct Pause {
    from: Timestamp,
    until: Timestamp,
}

impl Pause {
    fn length(self) -> Duration {
        self.until.since(self.from)
    }
}

impl Pauses {
    /// A packet was captured, while `open` connections were open.
    #[inline]
    pub(super) fn packet(&mut self, time: Timestamp, open: usize) {
        let from = *self.last.get_or_insert(time);
        self.last = Some(time);
        if time.since(from) > SHORTEST || from.since(time) > SHORTEST {
            self.pause(Pause { from, until: time }, open);
        }
    }

    /// No packet of the whole capture came between these times; or the clock was set back.
    pub(super) fn add(&mut self, from: Timestamp, until: Timestamp, open: usize) {
        self.pause(Pause { from, until }, open);
    }

    #[cold]
    fn pause(&mut self, pause: Pause, open: usize) {
        if pause.until < pause.from {
            self.back = Some(pause);
        } else if open >= 2 || pause.length() > LONGEST {
            let shorter = |other: &Pause| other.length() <= pause.length();
            while self.shared.back().is_some_and(shorter) {
                self.shared.pop_back();
            }
            if self.shared.len() == limits::PAUSES {
                self.shared.pop_front();
            }
            self.shared.push_back(pause);
        }
    }

    /// The longest pause in this period that two or more open connections shared, or that
    /// is too long for one: what a clock that was set may have added to it.
    /// All of the period if the clock was set back in it.
    pub(super) fn longest(&self, since: Timestamp, until: Timestamp) -> Duration {
        if self.set_back(since, until) {
            return until.since(since);
        }
        let within = |pause: &&Pause| since <= pause.from && pause.from <= until;
        let longest = self.shared.iter().find(within);
        longest.map_or(Duration::ZERO, |pause| {
            pause.until.min(until).since(pause.from)
        })
    }

    /// The same, up to now at `until`, without a packet since the last one.
    pub(super) fn longest_so_far(
        &self,
        since: Timestamp,
        until: Timestamp,
        open: usize,
    ) -> Duration {
        let pending = match self.last {
            Some(from) if since <= from => until.since(from),
            _ => Duration::ZERO,
        };
        let longest = self.longest(since, until);
        match open >= 2 || pending > LONGEST {
            true => longest.max(pending),
            false => longest,
        }
    }

    /// Whether the clock was set back in this period.
    pub(super) fn set_back(&self, since: Timestamp, until: Timestamp) -> bool {
        self.back
            .is_some_and(|step| since <= step.from && step.until <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn seconds(pauses: &Pauses, since: i64, until: i64) -> u64 {
        pauses.longest(at(since), at(until)).as_secs()
    }

    #[test]
    fn the_longest_pause_of_a_period() {
        let mut pauses = Pauses::default();
        for time in [0, 5, 105, 125, 175, 176] {
            pauses.packet(at(time), 2);
        }
        assert_eq!(seconds(&pauses, 0, 176), 100);
        assert_eq!(seconds(&pauses, 5, 60), 55);
        assert_eq!(seconds(&pauses, 6, 176), 50);
        assert_eq!(seconds(&pauses, 126, 176), 0);
        assert_eq!(pauses.longest_so_far(at(170), at(206), 2).as_secs(), 30);
        assert_eq!(pauses.longest_so_far(at(170), at(206), 1).as_secs(), 0);
    }

    #[test]
    fn a_single_connection_shares_no_pause() {
        let mut pauses = Pauses::default();
        pauses.packet(at(0), 1);
        pauses.packet(at(100), 1);
        assert_eq!(seconds(&pauses, 0, 100), 0);
    }

    #[test]
    fn fifty_years_are_a_clock_that_was_set() {
        const YEARS: i64 = 50 * 365 * 86_400;
        let mut pauses = Pauses::default();
        pauses.packet(at(0), 1);
        pauses.packet(at(YEARS), 1);
        assert_eq!(seconds(&pauses, 0, YEARS + 5), YEARS as u64);
        let so_far = pauses.longest_so_far(at(YEARS), at(2 * YEARS), 1);
        assert_eq!(so_far.as_secs(), YEARS as u64);
    }

    #[test]
    fn steps_back() {
        let mut pauses = Pauses::default();
        for time in [0, 100, 40, 50] {
            pauses.packet(at(time), 1);
        }
        assert!(pauses.set_back(at(0), at(50)));
        assert_eq!(seconds(&pauses, 30, 100), 70);
        assert!(!pauses.set_back(at(101), at(150)));
    }

    /// Pauses that get shorter for ever are limited.
    #[test]
    fn few_are_kept() {
        let mut pauses = Pauses::default();
        let mut time = 0;
        for pause in (2..1000).rev() {
            pauses.packet(at(time), 2);
            time += pause;
        }
        assert_eq!(pauses.shared.len(), limits::PAUSES);
    }
}
