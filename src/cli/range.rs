//! `--from` and `--to`: the range of time that is read.

use std::time::Duration;

use jiff::tz::TimeZone;
use mqttdump::time::Timestamp;

/// A range of capture time, both ends included.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Range {
    from: Option<Bound>,
    to: Option<Bound>,
    /// The time of the first packet.
    first: Option<Timestamp>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bound {
    At(Timestamp),
    /// This long after the first packet.
    After(Duration),
}

impl Range {
    /// Times without an offset are in `zone`.
    pub(crate) fn new(
        from: Option<&str>,
        to: Option<&str>,
        zone: &TimeZone,
    ) -> Result<Self, String> {
        let bound = |option: &str, typed: Option<&str>| {
            typed
                .map(|typed| {
                    Bound::parse(typed, zone).ok_or_else(|| {
                        format!(
                            "{option} {typed}: expected a time such as 2014-06-30T10:15:00Z, \
                             '2014-06-30 10:15:00', @1404123300 or +10s"
                        )
                    })
                })
                .transpose()
        };
        Ok(Self {
            from: bound("--from", from)?,
            to: bound("--to", to)?,
            first: None,
        })
    }

    /// Whether it has a start.
    #[cfg(feature = "tables")]
    pub(crate) fn has_start(&self) -> bool {
        self.from.is_some()
    }

    /// Where a packet of this time lies. The first call is for the
    /// first packet.
    #[inline]
    pub(crate) fn place(&mut self, time: Timestamp) -> Place {
        if self.from.is_none() && self.to.is_none() {
            return Place::Inside;
        }
        let first = *self.first.get_or_insert(time);
        let at = |bound: Bound| match bound {
            Bound::At(time) => time,
            Bound::After(after) => first.after(after),
        };
        if self.to.is_some_and(|to| time > at(to)) {
            return Place::Outside;
        }
        match self.from.map(at) {
            Some(from) if time < from => Place::Before(from),
            _ => Place::Inside,
        }
    }
}

/// Where a packet lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// Before the range, which begins at this time: what it carries is decoded, so
    /// that what follows can be understood.
    Before(Timestamp),
    /// In the range.
    Inside,
    /// After it, or otherwise not wanted.
    Outside,
}

impl Bound {
    fn parse(typed: &str, zone: &TimeZone) -> Option<Self> {
        if let Some(after) = typed.strip_prefix('+') {
            let after: jiff::SignedDuration = after.parse().ok()?;
            return Some(Self::After(Duration::try_from(after).ok()?));
        }
        let nanos = if let Some(seconds) = typed.strip_prefix('@') {
            let seconds: jiff::SignedDuration = format!("{seconds}s").parse().ok()?;
            seconds.as_nanos()
        } else if let Ok(time) = typed.parse::<jiff::Timestamp>() {
            time.as_nanosecond()
        } else {
            let time: jiff::civil::DateTime = typed.parse().ok()?;
            time.to_zoned(zone.clone())
                .ok()?
                .timestamp()
                .as_nanosecond()
        };
        let nanos = nanos.clamp(i64::MIN.into(), i64::MAX.into());
        i64::try_from(nanos)
            .ok()
            .map(|nanos| Self::At(Timestamp::from_nanos(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_they_are_typed() {
        let at = |seconds| Some(Bound::At(Timestamp::from_parts(seconds, 0)));
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (typed, expected) in [
            ("2014-06-30T10:15:00Z", at(1_404_123_300)),
            ("2014-06-30 12:15:00", at(1_404_123_300)),
            ("2014-06-30T12:15", at(1_404_123_300)),
            ("@1404123300", at(1_404_123_300)),
            ("+10s", Some(Bound::After(Duration::from_secs(10)))),
            ("+1m30s", Some(Bound::After(Duration::from_secs(90)))),
            ("10:15", None),
            ("", None),
            ("+", None),
            ("-10s", None),
            ("yesterday", None),
        ] {
            assert_eq!(Bound::parse(typed, &zone), expected, "{typed}");
        }
    }

    #[test]
    fn both_ends_are_included() {
        let time = |seconds| Timestamp::from_parts(seconds, 0);
        let mut range = Range::new(Some("+1s"), Some("@12"), &TimeZone::UTC).unwrap();
        let seen = [10, 11, 12, 13].map(|seconds| range.place(time(seconds)));
        let before = Place::Before(time(11));
        assert_eq!(seen, [before, Place::Inside, Place::Inside, Place::Outside]);
        assert!(Range::new(Some("x"), None, &TimeZone::UTC).is_err());
    }
}
