//! The origin of packets: link type, snap length and clock of an interface. A
//! pcap file has one, a pcapng file any number.

use crate::packet::LinkType;
use crate::time::Timestamp;

use super::bytes::ByteOrder;
use super::options::Options;

/// An interface as the file describes it.
#[derive(Debug)]
pub struct Interface {
    /// Index of the file among the parts of the capture, from 0.
    pub file: u32,
    /// Which section of the file, from 0; always 0 in a pcap file.
    pub section: u32,
    /// Its number within the section, from 0; what packets refer to.
    pub number: u32,
    /// How to read the first bytes of its packets.
    pub link_type: LinkType,
    /// Bytes kept of each packet; 0 when there was no limit.
    pub snap_length: u32,
    /// How its timestamps count.
    pub clock: Clock,
    pub(super) options: Vec<u8>,
    pub(super) order: ByteOrder,
}

impl Interface {
    /// Name, description, operating system and so on, as in the file.
    pub fn options(&self) -> Options<'_> {
        Options {
            bytes: &self.options,
            order: self.order,
        }
    }

    /// The same without names, descriptions and comments: nothing but how to read its
    /// packets.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        const SPEED: u16 = 8;
        const RESOLUTION: u16 = 9;
        const CHECK_SEQUENCE: u16 = 13;
        const OFFSET: u16 = 14;
        Self {
            options: self
                .options()
                .only(&[SPEED, RESOLUTION, CHECK_SEQUENCE, OFFSET]),
            ..*self
        }
    }

    /// The link type that a number in a file header means.
    ///
    /// The files hold LINKTYPE_ values, but some writers put the raw DLT_
    /// value of their own system there. Of those only raw IP is unambiguous:
    /// 12 on most systems, 14 on OpenBSD.
    pub(super) fn link_type(number: u16) -> LinkType {
        match number {
            12 | 14 => LinkType(101),
            other => LinkType(other),
        }
    }
}

/// How the timestamps of an interface count: ticks of a power of ten or of two
/// per second, from an epoch that may be shifted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Clock {
    resolution: u8,
    offset: i64,
    /// Nanoseconds per tick, where that is a whole number.
    nanos_per_tick: Option<u64>,
}

impl Clock {
    /// Microseconds since 1970, the default of both formats.
    pub const MICROSECONDS: Self = Self::new(6, 0);
    /// Nanoseconds since 1970.
    pub const NANOSECONDS: Self = Self::new(9, 0);

    /// From the value of `if_tsresol` (with the top bit set, a negative power
    /// of two of a second; else of ten) and of `if_tsoffset` (seconds).
    pub const fn new(resolution: u8, offset: i64) -> Self {
        let nanos_per_tick = match resolution {
            0..=9 => Some(10_u64.pow(9 - resolution as u32)),
            _ => None,
        };
        Self {
            resolution,
            offset,
            nanos_per_tick,
        }
    }

    /// The point in time, rounded towards the past to whole nanoseconds.
    #[inline]
    pub fn time(self, ticks: u64) -> Timestamp {
        if self.offset == 0
            && let Some(scale) = self.nanos_per_tick
            && let Some(nanos) = ticks.checked_mul(scale)
            && let Ok(nanos) = i64::try_from(nanos)
        {
            return Timestamp::from_nanos(nanos);
        }
        self.time_of_any(ticks)
    }

    /// The general case, in 128 bits: the largest product is 2^64 ticks of a
    /// second each, 2^94 ns.
    fn time_of_any(self, ticks: u64) -> Timestamp {
        const SECOND: i128 = 1_000_000_000;
        let ticks = i128::from(ticks);
        let power = u32::from(self.resolution & 0x7f);
        let nanos = if self.resolution & 0x80 != 0 {
            (ticks * SECOND) >> power
        } else {
            match 10_i128.checked_pow(power) {
                // Past 10^38 ticks a second, 2^64 of them are no time at all.
                None => 0,
                Some(per_second) => ticks * SECOND / per_second,
            }
        };
        let nanos = nanos + i128::from(self.offset) * SECOND;
        Timestamp::from_nanos(i64::try_from(nanos).unwrap_or(if nanos < 0 {
            i64::MIN
        } else {
            i64::MAX
        }))
    }

    /// Whether microseconds are too coarse for its times.
    pub fn finer_than_microseconds(self) -> bool {
        // 2^-6 s is the last power of two that is whole in microseconds.
        (self.resolution & 0x7f) > 6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution() {
        let nanos = |resolution, offset, ticks| Clock::new(resolution, offset).time(ticks).nanos();
        assert_eq!(nanos(6, 0, 1_500_000), 1_500_000_000);
        assert_eq!(nanos(9, 0, 1_500_000_001), 1_500_000_001);
        assert_eq!(nanos(0, 0, 7), 7_000_000_000);
        assert_eq!(nanos(3, -2, 500), -1_500_000_000);
        assert_eq!(nanos(12, 0, 1_500_000_001_999), 1_500_000_001);
        assert_eq!(nanos(19, 0, 15_000_000_000_000_000_000), 1_500_000_000);
        assert_eq!(nanos(127, 5, u64::MAX), 5_000_000_000);
        assert_eq!(nanos(0x80, 0, 3), 3_000_000_000);
        assert_eq!(nanos(0x80 | 10, 0, 1536), 1_500_000_000);
        assert_eq!(nanos(0x80 | 32, 1, (3 << 32) | 1 << 31), 4_500_000_000);
        assert_eq!(nanos(0x80 | 63, 0, 3 << 62), 1_500_000_000);
        assert_eq!(nanos(0x80 | 64, 0, 1 << 63), 500_000_000);
        assert_eq!(nanos(0xff, 0, u64::MAX), 0);
    }

    #[test]
    fn far_times_saturate() {
        assert_eq!(Clock::new(0, 0).time(u64::MAX).nanos(), i64::MAX);
        assert_eq!(Clock::new(6, i64::MIN).time(0).nanos(), i64::MIN);
        assert_eq!(Clock::new(6, i64::MAX).time(u64::MAX).nanos(), i64::MAX);
    }

    #[test]
    fn the_fast_path_agrees_with_the_general_one() {
        for resolution in 0..=9 {
            let clock = Clock::new(resolution, 0);
            for ticks in [0, 1, 999_999, 1_403_000_000_123_456, u64::MAX / 3, u64::MAX] {
                assert_eq!(clock.time(ticks), clock.time_of_any(ticks));
            }
        }
    }
}
