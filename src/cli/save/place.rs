//! Where a saved file is written: beside its place, and renamed when it is
//! complete, so that what had the name before is there until then, and no
//! reader sees half a file.
//!
//! Not from pipes and interfaces: others read the file while it grows. Not over
//! what is no file either, such as a named pipe.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that is being written.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Its name until it is complete, and the one that it gets then.
    beside: Option<(PathBuf, PathBuf)>,
    /// No file had its name before.
    pub(super) is_new: bool,
}

impl Place {
    /// Creates a file. `whole`: it gets its name when it is complete.
    pub(super) fn create(path: &Path, whole: bool) -> io::Result<(Self, File)> {
        let there = fs::metadata(path);
        let is_new = path.symlink_metadata().is_err();
        let is_file = there.as_ref().map_or(is_new, fs::Metadata::is_file);
        if whole && is_file {
            // Behind a link is the file that is meant.
            let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let name = beside(&real);
            match open(&name) {
                Ok(file) => {
                    let beside = Some((name, real));
                    return Ok((Self { beside, is_new }, file));
                }
                // We may write the file, but not its folder.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && !is_new => {}
                Err(error) => return Err(error),
            }
        }
        let place = Self {
            beside: None,
            is_new,
        };
        open(path).map(|file| (place, file))
    }

    /// The file is complete, or what there is of it when saving `failed`: then
    /// it does not replace another.
    pub(super) fn complete(&mut self, failed: bool) -> io::Result<()> {
        match self.beside.take() {
            Some((name, _)) if failed && !self.is_new => Err(io::Error::other(format!(
                "not replaced; what could be saved is in {}",
                name.display()
            ))),
            Some((name, path)) => fs::rename(name, path),
            None => Ok(()),
        }
    }

    /// Nothing was saved: takes away what was created.
    pub(super) fn take_back(self, path: &Path) {
        let is_empty = |metadata: fs::Metadata| metadata.is_file() && metadata.len() == 0;
        if let Some((name, _)) = self.beside {
            let _ = fs::remove_file(name);
        } else if self.is_new && path.symlink_metadata().is_ok_and(is_empty) {
            // Nothing is lost if it stays, where we may not remove it any more.
            let _ = fs::remove_file(path);
        }
    }
}

/// A name beside a file, for writing what is then renamed to it.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    file.with_file_name(name)
}

/// Captures hold what their users said: a new file is its owner's alone.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether writing the one would destroy the other, whatever their names: links
/// and mounts lead to the same device and inode.
pub(crate) fn is_same(source: &Path, target: &Path) -> bool {
    let source = match source.as_os_str() == "-" {
        true => Path::new("/dev/stdin"),
        false => source,
    };
    let (Ok(one), Ok(other)) = (fs::metadata(source), fs::metadata(target)) else {
        return false;
    };
    if !one.is_file() {
        return false;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        (one.dev(), one.ino()) == (other.dev(), other.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = other;
        source.canonicalize().ok() == target.canonicalize().ok()
    }
}
