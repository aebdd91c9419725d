//! File names of `-w`, the same as tcpdump's.
//!
//! ```text
//! -w f               f
//! -w f -C 1          f   f1  f2 …
//! -w f -C 1 -W 12    f00 f01 … f11 f00 …
//! -w f-%H%M -G 60    f-1305 f-1306 …        (strftime, local time)
//! -w f-%H%M -G 60 -C 1    f-1305 f-13051 … f-1306 …
//! ```

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;

use super::schedule::Rotation;

/// How files are named.
#[derive(Debug)]
pub(super) struct Names {
    path: PathBuf,
    /// The time zone, if the name contains a time.
    zone: Option<TimeZone>,
    /// Digits of the number; 0 for as many as needed.
    digits: usize,
}

impl Names {
    /// Fails if the path is not a valid time format.
    pub(super) fn new(path: &Path, rotation: &Rotation, zone: TimeZone) -> Result<Self, String> {
        let names = Self {
            path: path.to_owned(),
            zone: rotation.seconds.map(|_| zone),
            digits: match (rotation.bytes, rotation.count) {
                (Some(_), Some(count)) => digits(count.saturating_sub(1)),
                _ => 0,
            },
        };
        match names.with_time(0) {
            Ok(_) => Ok(names),
            Err(why) => Err(format!(
                "-w {}: with -G the name is a time format, as in strftime(3): {why}",
                path.display()
            )),
        }
    }

    /// Name of the file that starts at this time (seconds since 1970), with this
    /// number.
    pub(super) fn name(&self, start: i64, number: u32) -> PathBuf {
        // `new` checked the format.
        let path = self.with_time(start).unwrap_or_else(|_| self.path.clone());
        if number == 0 && self.digits == 0 {
            return path;
        }
        let mut name = OsString::from(path);
        name.push(format!("{number:0width$}", width = self.digits));
        name.into()
    }

    fn with_time(&self, start: i64) -> Result<PathBuf, String> {
        let Some(zone) = &self.zone else {
            return Ok(self.path.clone());
        };
        let text = self.path.to_str();
        let text = text.ok_or_else(|| "expected a name in UTF-8".to_owned())?;
        // A capture can have any time; those outside the calendar become 1970.
        let start = Timestamp::from_second(start).unwrap_or_default();
        strtime::format(text, &start.to_zoned(zone.clone()))
            .map(PathBuf::from)
            .map_err(|error| error.to_string())
    }
}

/// Number of digits as in tcpdump: none for 0.
fn digits(mut number: u32) -> usize {
    let mut digits = 0;
    while number > 0 {
        digits += 1;
        number /= 10;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    const MORNING: i64 = 1_404_123_300;

    fn names(path: &str, bytes: bool, seconds: bool, count: Option<u32>) -> Names {
        let rotation = Rotation {
            bytes: bytes.then_some(1_000_000),
            seconds: seconds.then_some(60),
            count,
        };
        Names::new(Path::new(path), &rotation, TimeZone::UTC).unwrap()
    }

    fn called(names: &Names, numbers: &[u32]) -> Vec<String> {
        let name = |number: &u32| names.name(MORNING, *number).display().to_string();
        numbers.iter().map(name).collect()
    }

    #[test]
    fn numbers_are_those_of_tcpdump() {
        let plain = names("f.pcap", true, false, None);
        assert_eq!(
            called(&plain, &[0, 1, 10]),
            ["f.pcap", "f.pcap1", "f.pcap10"]
        );
        for (count, first, last) in [
            (1, "f", "f"),
            (2, "f0", "f1"),
            (10, "f0", "f9"),
            (11, "f00", "f10"),
            (1000, "f000", "f999"),
        ] {
            let ring = names("f", true, false, Some(count));
            assert_eq!(called(&ring, &[0, count - 1]), [first, last]);
        }
        // Without -C, -W only limits the number of files.
        assert_eq!(called(&names("f", false, true, Some(5)), &[0]), ["f"]);
    }

    #[test]
    fn times_are_those_of_strftime() {
        let timed = names("a%y/f-%Y%m%d-%H:%M:%S_%j_%s.pcap", false, true, None);
        assert_eq!(
            called(&timed, &[0]),
            ["a14/f-20140630-10:15:00_181_1404123300.pcap"]
        );
        let both = names("f%M", true, true, Some(20));
        assert_eq!(called(&both, &[0, 7]), ["f1500", "f1507"]);
        // Without -G, a percent sign is literal.
        assert_eq!(called(&names("f%Y%", true, false, None), &[0]), ["f%Y%"]);
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let rotation = Rotation {
            seconds: Some(60),
            ..Rotation::default()
        };
        for name in ["f%", "f%!"] {
            let refused = Names::new(Path::new(name), &rotation, TimeZone::UTC);
            assert!(refused.unwrap_err().contains("strftime"), "{name}");
        }
        let far = names("f%Y", false, true, None);
        assert_eq!(far.name(i64::MAX, 0), Path::new("f1970"));
    }
}
