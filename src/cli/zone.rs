//! The time zone in which times are printed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use jiff::tz::TimeZone;

use super::console::complain;

/// Maximum size of a time zone file.
const MOST_BYTES: u64 = 1 << 20;

/// Usual locations of the system's zone and of the zones by name.
const SYSTEM: &str = "/etc/localtime";
const BY_NAME: &str = "/usr/share/zoneinfo";

/// The system's time zone, or UTC if `utc`. As in other programs, an invalid `TZ`
/// is reported and times are in UTC.
pub(crate) fn zone(utc: bool) -> TimeZone {
    if utc {
        return TimeZone::UTC;
    }
    let named = std::env::var_os("TZ");
    if let Some(zone) = from_file(named.as_deref()) {
        return zone;
    }
    let readable = named.as_deref().is_none_or(is_readable);
    match readable.then(TimeZone::try_system) {
        Some(Ok(zone)) => zone,
        // A system without zone data, such as a minimal container, is in UTC.
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

/// The zone from its usual file. The library would list all zones first: 3 million
/// instructions, half of the start-up.
fn from_file(named: Option<&OsStr>) -> Option<TimeZone> {
    let path = match named {
        None => PathBuf::from(SYSTEM),
        Some(name) if name == "UTC" => return Some(TimeZone::UTC),
        Some(name) => {
            let is_name = |part| matches!(part, Component::Normal(_));
            let name = Path::new(name);
            let named = name.components().all(is_name) && std::env::var_os("TZDIR").is_none();
            named.then(|| Path::new(BY_NAME).join(name))?
        }
    };
    let is_file = fs::metadata(&path).is_ok_and(|it| it.is_file() && it.len() <= MOST_BYTES);
    let bytes = is_file.then(|| fs::read(&path).ok()).flatten()?;
    TimeZone::tzif("local", &bytes).ok()
}

/// Whether the file that `TZ` names is regular: reading a device may not end.
fn is_readable(name: &OsStr) -> bool {
    let path = name.to_str().map(|name| name.trim_start_matches(':'));
    match path.map(fs::metadata) {
        Some(Ok(found)) => found.is_dir() || found.is_file() && found.len() <= MOST_BYTES,
        _ => true,
    }
}
