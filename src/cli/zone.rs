//! Which time zone times are shown in.

use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};

use jiff::tz::TimeZone;

use super::console::complain;

/// Longer than this is no file of a time zone.
const MOST_BYTES: u64 = 1 << 20;

/// Where the zone of the system and the zones by name are on nearly all systems.
const SYSTEM: &str = "/etc/localtime";
const BY_NAME: &str = "/usr/share/zoneinfo";

/// The system's zone, or UTC if that is asked for. A `TZ` that names none is
/// reported, and times are in UTC, as with other programs.
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

/// The zone in the file where it is nearly always found. A library would look
/// through the names of all zones first: 3 million instructions, half of the
/// start-up.
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

/// Whether reading what `TZ` names comes to an end: it may be a path, and so a
/// device.
fn is_readable(name: &OsStr) -> bool {
    let path = name.to_str().map(|name| name.trim_start_matches(':'));
    match path.map(fs::metadata) {
        Some(Ok(found)) => found.is_dir() || found.is_file() && found.len() <= MOST_BYTES,
        _ => true,
    }
}
