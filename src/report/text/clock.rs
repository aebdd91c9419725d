//! The time at the start of a line, in tcpdump's five styles and none.

use jiff::tz::TimeZone;

use crate::report::{put, utc};
use crate::time::Timestamp;

/// How the time of a line is written; the letters are tcpdump's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimeStyle {
    /// `13:05:02.104511`, local time.
    #[default]
    TimeOfDay,
    /// `-t`: none.
    None,
    /// `-tt`: seconds since 1970, `1403003102.104511`.
    Epoch,
    /// `-ttt`: since the previous line, ` 00:00:00.000123`; the first column is
    /// `-` when the clock ran backwards.
    SincePrevious,
    /// `-tttt`: `2014-06-17 13:05:02.104511`, local time.
    DateTime,
    /// `-ttttt`: since the first line, like `-ttt`.
    SinceFirst,
}

/// Writes times. Lines of the same second share its text; seconds share an offset
/// from UTC until the time zone changes it.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    style: TimeStyle,
    fraction: Fraction,
    zone: TimeZone,
    offset: Offset,
    /// The time of `text`.
    time: Option<Timestamp>,
    /// When its second began, in nanoseconds since 1970.
    second: Option<i64>,
    /// `13:05:02.104511` or `2014-06-17 13:05:02.104511`, and a space.
    text: Vec<u8>,
    /// How much of it is of the second.
    whole: usize,
    first: Option<Timestamp>,
    previous: Option<Timestamp>,
}

/// Digits of the fraction of a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fraction {
    Millis,
    Micros,
    Nanos,
}

/// Seconds to add to UTC from the second `from` (inclusive) to `until`
/// (exclusive).
#[derive(Clone, Copy, Debug)]
struct Offset {
    seconds: i64,
    from: i64,
    until: i64,
}

impl Clock {
    pub(super) fn new(style: TimeStyle, fraction: Fraction, zone: TimeZone) -> Self {
        Self {
            style,
            fraction,
            zone,
            offset: Offset {
                seconds: 0,
                from: 0,
                until: 0,
            },
            time: None,
            second: None,
            text: Vec::new(),
            whole: 0,
            first: None,
            previous: None,
        }
    }

    /// Appends the time and a space, or nothing.
    pub(super) fn put(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        match self.style {
            TimeStyle::None => return,
            TimeStyle::TimeOfDay | TimeStyle::DateTime => {
                if self.time != Some(time) {
                    self.turn(time);
                }
                return out.extend_from_slice(&self.text);
            }
            TimeStyle::Epoch => {
                if time.nanos() < 0 {
                    out.push(b'-');
                }
                let (seconds, nanos) = parts(time.nanos().unsigned_abs());
                put::decimal(seconds, out);
                out.push(b'.');
                self.fraction.put(nanos, out);
            }
            TimeStyle::SincePrevious => {
                let previous = self.previous.replace(time).unwrap_or(time);
                self.elapsed(previous, time, out);
            }
            TimeStyle::SinceFirst => {
                let first = *self.first.get_or_insert(time);
                self.elapsed(first, time, out);
            }
        }
        out.push(b' ');
    }

    /// Writes the text for another time.
    fn turn(&mut self, time: Timestamp) {
        let nanos = time.within_second(self.second);
        if nanos.is_none() {
            self.second = time.second_began();
            let second = time.seconds();
            let local = second.saturating_add(self.offset_at(second));
            self.text.clear();
            if self.style == TimeStyle::DateTime {
                utc::date_and_time(local, b' ', &mut self.text);
            } else {
                hours_minutes_seconds(local.rem_euclid(86_400).unsigned_abs(), &mut self.text);
            }
            self.text.push(b'.');
            self.whole = self.text.len();
        }
        self.time = Some(time);
        self.text.truncate(self.whole);
        let nanos = nanos.unwrap_or_else(|| time.subsec_nanos());
        self.fraction.put(nanos, &mut self.text);
        self.text.push(b' ');
    }

    fn offset_at(&mut self, second: i64) -> i64 {
        if !(self.offset.from..self.offset.until).contains(&second) {
            let time = jiff::Timestamp::from_second(second).unwrap_or_default();
            let change = self.zone.following(time).next();
            self.offset = Offset {
                seconds: self.zone.to_offset(time).seconds().into(),
                from: second,
                until: change.map_or(i64::MAX, |change| change.timestamp().as_second()),
            };
        }
        self.offset.seconds
    }

    fn elapsed(&self, from: Timestamp, to: Timestamp, out: &mut Vec<u8>) {
        let nanos = to.nanos().saturating_sub(from.nanos());
        out.push(if nanos < 0 { b'-' } else { b' ' });
        let (seconds, nanos) = parts(nanos.unsigned_abs());
        hours_minutes_seconds(seconds, out);
        out.push(b'.');
        self.fraction.put(nanos, out);
    }
}

impl Fraction {
    fn put(self, nanos: u32, out: &mut Vec<u8>) {
        match self {
            Self::Nanos => put::zero_padded::<9>(nanos, out),
            Self::Micros => put::zero_padded::<6>(nanos / 1_000, out),
            Self::Millis => put::zero_padded::<3>(nanos / 1_000_000, out),
        }
    }
}

/// Whole seconds, and nanoseconds within the second.
fn parts(nanos: u64) -> (u64, u32) {
    (nanos / 1_000_000_000, (nanos % 1_000_000_000) as u32)
}

/// `13:05:02`; the hours go on beyond 99.
fn hours_minutes_seconds(seconds: u64, out: &mut Vec<u8>) {
    let hours = seconds / 3600;
    if hours < 100 {
        put::zero_padded::<2>(hours as u32, out);
    } else {
        put::decimal(hours, out);
    }
    out.push(b':');
    put::zero_padded::<2>((seconds / 60 % 60) as u32, out);
    out.push(b':');
    put::zero_padded::<2>((seconds % 60) as u32, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe by rule, so that no time zone database is needed.
    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a POSIX time zone")
    }

    fn written(style: TimeStyle, zone: TimeZone, times: &[Timestamp]) -> Vec<String> {
        let mut clock = Clock::new(style, Fraction::Micros, zone);
        times
            .iter()
            .map(|&time| {
                let mut out = Vec::new();
                clock.put(time, &mut out);
                String::from_utf8(out).expect("ASCII")
            })
            .collect()
    }

    const SUMMER: Timestamp = Timestamp::from_parts(1_403_003_102, 104_511_999);

    #[test]
    fn styles() {
        let one = |style| written(style, berlin(), &[SUMMER]).remove(0);
        assert_eq!(one(TimeStyle::TimeOfDay), "13:05:02.104511 ");
        assert_eq!(one(TimeStyle::None), "");
        assert_eq!(one(TimeStyle::Epoch), "1403003102.104511 ");
        assert_eq!(one(TimeStyle::SincePrevious), " 00:00:00.000000 ");
        assert_eq!(one(TimeStyle::DateTime), "2014-06-17 13:05:02.104511 ");
        assert_eq!(one(TimeStyle::SinceFirst), " 00:00:00.000000 ");
    }

    #[test]
    fn nanoseconds() {
        let mut clock = Clock::new(TimeStyle::Epoch, Fraction::Nanos, TimeZone::UTC);
        let mut out = Vec::new();
        clock.put(SUMMER, &mut out);
        assert_eq!(out, b"1403003102.104511999 ");
    }

    #[test]
    fn before_1970() {
        let half = Timestamp::from_nanos(-500_000_000);
        let at = |style| written(style, TimeZone::UTC, &[half]).remove(0);
        assert_eq!(at(TimeStyle::TimeOfDay), "23:59:59.500000 ");
        assert_eq!(at(TimeStyle::DateTime), "1969-12-31 23:59:59.500000 ");
        assert_eq!(at(TimeStyle::Epoch), "-0.500000 ");
        let ends = [Timestamp::MIN, Timestamp::from_nanos(i64::MAX)];
        assert_eq!(
            written(TimeStyle::DateTime, TimeZone::UTC, &ends),
            ["1677-09-21 00:12:43.145224 ", "2262-04-11 23:47:16.854775 "]
        );
        assert_eq!(
            written(TimeStyle::SinceFirst, berlin(), &ends)[1],
            " 2562047:47:16.854775 "
        );
    }

    #[test]
    fn summer_time_begins_and_ends_within_a_capture() {
        // 2014-03-30 02:00 CET becomes 03:00 CEST; 2014-10-26 03:00 CEST
        // becomes 02:00 CET. Merged captures may step back in time.
        let spring = 1_396_141_200;
        let autumn = 1_414_285_200;
        let times = [spring - 1, spring, autumn - 1, autumn, spring - 1]
            .map(|second| Timestamp::from_parts(second, 0));
        assert_eq!(
            written(TimeStyle::DateTime, berlin(), &times),
            [
                "2014-03-30 01:59:59.000000 ",
                "2014-03-30 03:00:00.000000 ",
                "2014-10-26 02:59:59.000000 ",
                "2014-10-26 02:00:00.000000 ",
                "2014-03-30 01:59:59.000000 ",
            ]
        );
    }

    #[test]
    fn time_between_lines() {
        let times = [10, 12, 11, 3611 + 86_400 * 5].map(|second| Timestamp::from_parts(second, 0));
        assert_eq!(
            written(TimeStyle::SincePrevious, TimeZone::UTC, &times),
            [
                " 00:00:00.000000 ",
                " 00:00:02.000000 ",
                "-00:00:01.000000 ",
                " 121:00:00.000000 "
            ]
        );
        assert_eq!(
            written(TimeStyle::SinceFirst, TimeZone::UTC, &times)[2],
            " 00:00:01.000000 "
        );
    }
}
