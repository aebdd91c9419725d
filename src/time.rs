//! Points in time, as captures record them.
//!
//! The core never reads a clock: every time here came with a captured packet.

use serde::{Deserialize, Serialize};

use std::fmt;
use std::time::Duration;

/// Nanoseconds since 1970-01-01T00:00:00 UTC, without leap seconds, from the
/// year 1677 to 2262; times beyond saturate.
///
/// ```
/// use mqttdump::time::Timestamp;
/// let t = Timestamp::from_parts(1_403_000_000, 104_511_000);
/// assert_eq!(t.seconds(), 1_403_000_000);
/// assert_eq!(t.subsec_nanos(), 104_511_000);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest time that can be represented.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time that can be represented.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From whole seconds and nanoseconds within the second; saturates.
    pub const fn from_parts(seconds: i64, nanos: u32) -> Self {
        Self(
            seconds
                .saturating_mul(1_000_000_000)
                .saturating_add(nanos as i64),
        )
    }

    /// Nanoseconds since the epoch, negative before it.
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded towards the past.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// Nanoseconds within the second, 0 to 999,999,999.
    pub const fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(1_000_000_000) as u32
    }

    /// When its second began, in nanoseconds since the epoch, if that is within range.
    pub(crate) fn second_began(self) -> Option<i64> {
        self.0.checked_sub(self.subsec_nanos().into())
    }

    /// Nanoseconds within the second that began there, if it lies in it. Without the
    /// divisions of [`Timestamp::subsec_nanos`]: 30 instructions less.
    #[inline]
    pub(crate) fn within_second(self, began: Option<i64>) -> Option<u32> {
        let since = self.0.checked_sub(began?)?;
        u32::try_from(since)
            .ok()
            .filter(|&since| since < 1_000_000_000)
    }

    /// This time plus a duration; saturates.
    pub const fn after(self, time: Duration) -> Self {
        let nanos = time.as_nanos();
        let nanos = if nanos > i64::MAX as u128 {
            i64::MAX
        } else {
            nanos as i64
        };
        Self(self.0.saturating_add(nanos))
    }

    /// This time minus a duration; saturates.
    pub(crate) fn before(self, time: Duration) -> Self {
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(nanos))
    }

    /// Time passed since `earlier`; zero if the clock ran backwards.
    pub const fn since(self, earlier: Self) -> Duration {
        let nanos = self.0.saturating_sub(earlier.0);
        Duration::from_nanos(if nanos < 0 { 0 } else { nanos as u64 })
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:09}", self.seconds(), self.subsec_nanos())
    }
}
