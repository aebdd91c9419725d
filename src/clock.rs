//! What time it is in a capture that has not ended.
//!
//! Capture time is the time of the packets. One packet that is far ahead of all
//! others may have been stamped by a wrong clock: it moves the time only if the
//! next packet agrees. Time never runs backwards.

use std::time::Duration;

use crate::time::Timestamp;

/// A single packet does not move the time further than this.
const JUMP: Duration = Duration::from_secs(60);

/// Capture time, as far as it is known.
///
/// ```
/// use mqttdump::clock::Clock;
/// use mqttdump::time::Timestamp;
///
/// let at = |seconds| Timestamp::from_parts(seconds, 0);
/// let mut clock = Clock::default();
/// assert_eq!(clock.packet(at(10)), at(10));
/// // Decades ahead, and alone.
/// assert_eq!(clock.packet(at(1_000_000_000)), at(10));
/// assert_eq!(clock.packet(at(11)), at(11));
/// // The clock was set.
/// assert_eq!(clock.packet(at(5_000)), at(11));
/// assert_eq!(clock.packet(at(5_001)), at(5_000));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<Timestamp>,
    /// The time of a packet that was far ahead.
    ahead: Option<Timestamp>,
}

impl Clock {
    /// Capture time; `None` before the first packet.
    pub fn now(&self) -> Option<Timestamp> {
        self.now
    }

    /// A packet was captured at `time`. Returns capture time.
    pub fn packet(&mut self, time: Timestamp) -> Timestamp {
        let before = self.now.unwrap_or(time);
        let time = if time.since(before) <= JUMP {
            self.ahead = None;
            time
        } else {
            match self.ahead.replace(time) {
                Some(ahead) => ahead.min(time),
                None => before,
            }
        };
        self.tick(time)
    }

    /// Time has come to `now` without a packet, by a clock that is known to be
    /// right. Returns capture time.
    pub fn tick(&mut self, now: Timestamp) -> Timestamp {
        let now = self.now.map_or(now, |before| before.max(now));
        self.now = Some(now);
        now
    }
}
