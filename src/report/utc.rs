//! RFC 3339 in UTC with nine digits, for the formats that programs read.

use super::put;
use crate::time::Timestamp;

/// Writes times. The text of the last second is kept, because the next packet
/// usually falls into it.
#[derive(Debug, Default)]
pub(super) struct Utc {
    /// When it began, in nanoseconds since 1970.
    second: Option<i64>,
    /// `2014-06-17T11:05:02.`
    prefix: Vec<u8>,
}

impl Utc {
    /// Appends `2014-06-17T11:05:02.104511000Z`.
    pub(super) fn put(&mut self, time: Timestamp, out: &mut Vec<u8>) {
        let nanos = time.within_second(self.second);
        if nanos.is_none() {
            let second = time.seconds();
            self.second = time.second_began();
            self.prefix.clear();
            date_and_time(second, b'T', &mut self.prefix);
            self.prefix.push(b'.');
        }
        out.extend_from_slice(&self.prefix);
        let nanos = nanos.unwrap_or_else(|| time.subsec_nanos());
        put::zero_padded::<9>(nanos, out);
        out.push(b'Z');
    }
}

/// Appends `2014-06-17T11:05:02` for a number of seconds since 1970, which may
/// already be shifted to a local time.
pub(super) fn date_and_time(second: i64, between: u8, out: &mut Vec<u8>) {
    // Every `Timestamp` lies within jiff's range.
    let time = jiff::Timestamp::from_second(second).unwrap_or_default();
    let time = jiff::tz::Offset::UTC.to_datetime(time);
    put::zero_padded::<4>(time.year().unsigned_abs().into(), out);
    for (before, part) in [
        (b'-', time.month()),
        (b'-', time.day()),
        (between, time.hour()),
        (b':', time.minute()),
        (b':', time.second()),
    ] {
        out.push(before);
        put::zero_padded::<2>(part.unsigned_abs().into(), out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_timestamp() {
        let cases = [
            (
                Timestamp::from_parts(0, 0),
                "1970-01-01T00:00:00.000000000Z",
            ),
            (
                Timestamp::from_parts(1_403_003_102, 104_511_000),
                "2014-06-17T11:05:02.104511000Z",
            ),
            (Timestamp::from_nanos(-1), "1969-12-31T23:59:59.999999999Z"),
            (Timestamp::MIN, "1677-09-21T00:12:43.145224192Z"),
            (
                Timestamp::from_nanos(i64::MAX),
                "2262-04-11T23:47:16.854775807Z",
            ),
            (
                Timestamp::from_parts(1_709_210_096, 1),
                "2024-02-29T12:34:56.000000001Z",
            ),
        ];
        let mut utc = Utc::default();
        for (time, expected) in cases {
            let mut out = Vec::new();
            utc.put(time, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }
}
