//! Files of `--baseline` and `--write-baseline`.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use mqttdump::rules::Baseline;

use super::bounded;
use super::save;

/// Maximum size of a baseline file.
const MOST_BYTES: u64 = 64 << 20;

/// Reads a baseline.
pub(crate) fn read(path: &Path) -> Result<Baseline, String> {
    let error = |why: String| format!("--baseline {}: {why}", path.display());
    let text = bounded::read_text(path, MOST_BYTES).map_err(error)?;
    Baseline::parse(&text)
        .ok_or_else(|| error("expected a file written by --write-baseline".into()))
}

/// Writes a baseline to a temporary file first, so that a full disk leaves the
/// previous baseline intact.
pub(crate) fn write(path: &Path, baseline: &Baseline) -> Result<(), String> {
    may_write(path)?;
    let error = |why: std::io::Error| format!("--write-baseline {}: {why}", path.display());
    if !path.is_file() && path.exists() {
        // A pipe or device.
        return fs::write(path, baseline.text()).map_err(error);
    }
    let beside = save::beside(path);
    let written = fs::write(&beside, baseline.text()).and_then(|()| fs::rename(&beside, path));
    written.map_err(|why| {
        let _ = fs::remove_file(&beside);
        error(why)
    })
}

/// Whether a baseline can be written. A file that is not a baseline is not
/// overwritten.
pub(crate) fn may_write(path: &Path) -> Result<(), String> {
    save::may_write(path).map_err(|error| format!("--write-baseline: {error}"))?;
    let error = |why: &str| format!("--write-baseline {}: {why}", path.display());
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > 0 => {}
        Err(why) if why.kind() != ErrorKind::NotFound => return Err(error(&why.to_string())),
        _ => return Ok(()),
    }
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut beginning));
    match read {
        Err(why) => Err(error(&why.to_string())),
        Ok(_) if Baseline::is_one(&beginning) => Ok(()),
        Ok(_) => Err(error(
            "the file exists and is not a baseline; not overwritten",
        )),
    }
}
