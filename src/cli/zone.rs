//! Which time zone times are shown in.

use std::ffi::OsStr;
use std::fs;

use jiff::tz::TimeZone;

use super::console::complain;

/// Longer than this is no file of a time zone.
const MOST_BYTES: u64 = 1 << 20;

/// The system's zone, or UTC if that is asked for. A `TZ` that names none is
/// reported, and times are in UTC, as with other programs.
pub(crate) fn zone(utc: bool) -> TimeZone {
    if utc {
        return TimeZone::UTC;
    }
    let named = std::env::var_os("TZ");
    let readable = named.as_deref().is_none_or(is_readable);
    match readable.then(TimeZone::try_system) {
        Some(Ok(zone)) => zone,
        // A system without any zone, such as a bare container, is in UTC.
        Some(Err(_)) if named.is_none() => TimeZone::UTC,
        _ => {
            let name = named.unwrap_or_default();
            complain(&format!(
                "TZ={}: no such time zone; times are in UTC",
                name.display()
            ));
            TimeZone::UTC
        }
    }
}

/// Whether reading what `TZ` names comes to an end: it may be a path, and so a
/// device.
fn is_readable(name: &OsStr) -> bool {
    let path = name.to_str().map(|name| name.trim_start_matches(':'));
    match path.map(fs::metadata) {
        Some(Ok(found)) => found.is_dir() || found.is_file() && found.len() <= MOST_BYTES,
        _ => true,
    }
}
