//! When a file ends and the next starts: `-C`, `-G` and `-W`, as in tcpdump.
//!
//! ```text
//! -G 60      │ 10:15:00      │ 10:16:00      │           │ 10:19:00
//!            └ first packet  └ packets of    └ no packet └ packets of 10:19:20
//!              (10:15:00.7)    10:16:00.1 …    from here
//! ```
//!
//! Times are capture times: packet timestamps, and the clock in live capture.
//! Periods follow each other without drift, starting at the second of the first
//! packet (live: of the start). Periods without packets have no file. Time that
//! goes backwards (merged captures, a clock that was set) never starts a file,
//! which could otherwise happen at each packet.

use mqttdump::time::Timestamp;

/// The current time, in whole seconds.
pub(crate) fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    Timestamp::from_parts(now.as_second(), 0)
}

/// The options of rotation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rotation {
    /// `-C`: a packet after this many bytes goes into the next file.
    pub(crate) bytes: Option<u64>,
    /// `-G`: duration of a file in seconds.
    pub(crate) seconds: Option<u32>,
    /// `-W`: with `-C`, the number of names in the ring; with `-G` alone, the
    /// number of files after which saving ends.
    pub(crate) count: Option<u32>,
}

impl Rotation {
    /// Whether there may be more than one file.
    pub(crate) fn is_any(&self) -> bool {
        self.bytes.is_some() || self.seconds.is_some()
    }
}

/// What to do at a time or size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// The current file continues.
    Stay,
    /// The next file starts.
    Next,
    /// The current file was the last one.
    Over,
}

/// State of the rotation.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    rotation: Rotation,
    /// The second in which the current period started, once known.
    start: Option<i64>,
    /// Periods that have ended.
    periods: u32,
    /// Number of the file within the period.
    number: u32,
}

impl Schedule {
    /// `start`: time of the first file, if already known.
    pub(super) fn new(rotation: Rotation, start: Option<Timestamp>) -> Self {
        Self {
            rotation,
            start: start.map(Timestamp::seconds),
            periods: 0,
            number: 0,
        }
    }

    /// Time has reached `now`.
    #[inline]
    pub(super) fn at(&mut self, now: Timestamp) -> Step {
        let Some(seconds) = self.rotation.seconds else {
            return Step::Stay;
        };
        let start = *self.start.get_or_insert(now.seconds());
        let elapsed = now.seconds().saturating_sub(start);
        let period = i64::from(seconds);
        if elapsed < period {
            return Step::Stay;
        }
        self.start = Some(start.saturating_add(elapsed - elapsed % period));
        self.periods += 1;
        self.number = 0;
        match self.rotation {
            Rotation {
                bytes: None,
                count: Some(count),
                ..
            } if self.periods >= count => Step::Over,
            _ => Step::Next,
        }
    }

    /// A packet is about to be written to a file of `size` bytes.
    #[inline]
    pub(super) fn before_packet(&mut self, size: u64) -> Step {
        match self.rotation.bytes {
            Some(bytes) if size > bytes => {
                self.number = match self.rotation.count {
                    Some(count) if self.number + 1 >= count => 0,
                    _ => self.number.saturating_add(1),
                };
                Step::Next
            }
            _ => Step::Stay,
        }
    }

    /// Whether the first period has started; always true without periods.
    pub(super) fn has_begun(&self) -> bool {
        self.rotation.seconds.is_none() || self.start.is_some()
    }

    /// Start time and number of the current file.
    pub(super) fn file(&self) -> (i64, u32) {
        (self.start.unwrap_or(0), self.number)
    }

    /// Start time and number of the next file as far as known: the next by size if
    /// there is one, because it may come sooner.
    pub(super) fn next_file(&self) -> Option<(i64, u32)> {
        let mut next = self.clone();
        match next.before_packet(u64::MAX) {
            Step::Next => Some(next.file()),
            _ => self.next_period(),
        }
    }

    /// Start time and number of the first file of the next period.
    pub(super) fn next_period(&self) -> Option<(i64, u32)> {
        let seconds = self.rotation.seconds?;
        let mut next = self.clone();
        let start = self.start.unwrap_or(0).saturating_add(seconds.into());
        match next.at(Timestamp::from_parts(start, 0)) {
            Step::Next => Some(next.file()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(bytes: Option<u64>, seconds: Option<u32>, count: Option<u32>) -> Schedule {
        let rotation = Rotation {
            bytes,
            seconds,
            count,
        };
        Schedule::new(rotation, None)
    }

    fn at(schedule: &mut Schedule, millis: i64) -> (Step, i64) {
        let step = schedule.at(Timestamp::from_nanos(millis * 1_000_000));
        (step, schedule.file().0)
    }

    #[test]
    fn periods_follow_without_drift() {
        let mut hourly = schedule(None, Some(10), None);
        assert_eq!(at(&mut hourly, 3_700), (Step::Stay, 3));
        assert_eq!(at(&mut hourly, 12_999), (Step::Stay, 3));
        assert_eq!(at(&mut hourly, 14_500), (Step::Next, 13));
        // Back in time: nothing.
        assert_eq!(at(&mut hourly, 1_000), (Step::Stay, 13));
        assert_eq!(at(&mut hourly, 23_000), (Step::Next, 23));
        // Two and a half periods later.
        assert_eq!(at(&mut hourly, 48_100), (Step::Next, 43));
        assert_eq!(at(&mut hourly, i64::MAX / 1_000_000).0, Step::Next);
    }

    #[test]
    fn so_many_periods_and_no_more() {
        let mut two = schedule(None, Some(1), Some(2));
        assert_eq!(at(&mut two, 0).0, Step::Stay);
        assert_eq!(at(&mut two, 1_000).0, Step::Next);
        assert_eq!(at(&mut two, 1_999).0, Step::Stay);
        assert_eq!(at(&mut two, 2_000).0, Step::Over);
        // With -C it limits names, not periods.
        let mut ring = schedule(Some(1), Some(1), Some(2));
        for second in 0..5 {
            assert_ne!(at(&mut ring, second * 1000).0, Step::Over);
        }
    }

    #[test]
    fn names_are_used_again() {
        let mut ring = schedule(Some(100), None, Some(3));
        let mut numbers = vec![ring.file().1];
        for size in [100, 101, 0, 500, 101, 101] {
            if ring.before_packet(size) == Step::Next {
                numbers.push(ring.file().1);
            }
        }
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
        assert_eq!(ring.at(Timestamp::from_parts(1 << 40, 0)), Step::Stay);
    }

    #[test]
    fn each_period_counts_from_the_start() {
        let mut both = schedule(Some(100), Some(10), None);
        at(&mut both, 0);
        assert_eq!(both.before_packet(101), Step::Next);
        assert_eq!(both.file(), (0, 1));
        assert_eq!(both.next_file(), Some((0, 2)));
        at(&mut both, 10_000);
        assert_eq!(both.file(), (10, 0));
    }

    #[test]
    fn the_next_file_is_known_before() {
        assert_eq!(schedule(None, None, None).next_file(), None);
        let mut timed = schedule(None, Some(10), Some(2));
        at(&mut timed, 5_000);
        assert_eq!(timed.next_file(), Some((15, 0)));
        at(&mut timed, 15_000);
        assert_eq!(timed.next_file(), None, "that was the last");
        assert_eq!(schedule(Some(1), None, Some(1)).next_file(), Some((0, 0)));
    }
}
