//! Captures that a command reads more than once.

use std::path::{Path, PathBuf};

use mqttdump::capture::{Capture, Item};

use super::save::is_same;
use super::stop::Stop;

/// Fails unless it is a regular file, which can be read again.
pub(crate) fn regular_file(path: &Path, command: &str) -> Result<(), Stop> {
    let name = path.display();
    if path.as_os_str() == "-" || (path.exists() && !path.is_file()) {
        return Err(Stop::Failed(format!(
            "{name}: {command} reads the capture more than once: give a regular file"
        )));
    }
    match path.is_file() {
        true => Ok(()),
        false => Err(Capture::open(path, 0)
            .err()
            .map_or_else(|| Stop::Failed(format!("{name}: no such file")), Stop::from)),
    }
}

/// Fails if writing a target would destroy a source.
pub(crate) fn spare<'a>(
    sources: impl IntoIterator<Item = Option<&'a PathBuf>> + Clone,
    targets: impl IntoIterator<Item = Option<&'a PathBuf>>,
) -> Result<(), Stop> {
    for target in targets.into_iter().flatten() {
        let read = sources.clone().into_iter().flatten();
        if read.into_iter().any(|source| is_same(source, target)) {
            let name = target.display();
            return Err(format!("{name} would be overwritten: it is read").into());
        }
    }
    Ok(())
}

/// Reads a capture; returns whether it is complete. What precedes damage is read.
pub(crate) fn each_item(
    path: &Path,
    mut each: impl FnMut(Item<'_>) -> Result<(), Stop>,
) -> Result<bool, Stop> {
    let mut capture = Capture::open(path, 0)?;
    loop {
        match capture.next() {
            Ok(Some(item)) => each(item)?,
            Ok(None) => return Ok(true),
            Err(error) if error.is_truncation() => return Ok(false),
            Err(error) => return Err(error.into()),
        }
    }
}
