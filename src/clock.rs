//! Capture time while a capture is still growing.
//!
//! Capture time is the time of the packets. A single packet far ahead of all
//! others may have a wrong timestamp: it advances capture time only if the next
//! packet agrees. Capture time never runs backwards.

use std::time::Duration;

use crate::time::Timestamp;

/// A single packet advances the time by at most this.
const JUMP: Duration = Duration::from_secs(60);

/// The current capture time.
///
/// ```
/// use mqttdump::clock::Clock;
/// use mqttdump::time::Timestamp;
///
/// let at = |seconds| Timestamp::from_parts(seconds, 0);
/// let mut clock = Clock::default();
/// assert_eq!(clock.packet(at(10)), at(10));
/// // Decades ahead, and only one packet.
/// assert_eq!(clock.packet(at(1_000_000_000)), at(10));
/// assert_eq!(clock.packet(at(11)), at(11));
/// // The clock was set.
/// assert_eq!(clock.packet(at(5_000)), at(11));
/// assert_eq!(clock.packet(at(5_001)), at(5_000));
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    now: Option<Timestamp>,
    /// The time of the previous packet, if it was too far ahead.
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

    /// Time has reached `now` without a packet, by a reliable clock. Returns capture
    /// time.
    pub fn tick(&mut self, now: Timestamp) -> Timestamp {
        let now = self.now.map_or(now, |before| before.max(now));
        self.now = Some(now);
        now
    }
}
