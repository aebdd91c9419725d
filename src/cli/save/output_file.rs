//! Writes a saved file under a temporary name beside its target, and renames it
//! when it is complete. Until then an earlier file of that name stays intact,
//! and no reader sees an incomplete file.
//!
//! Not used for pipes and interfaces, because others read the file while it
//! grows, nor for targets that are not regular files, such as named pipes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file that is being written.
#[derive(Debug, Default)]
pub(crate) struct OutputFile {
    /// Its temporary name, and its final one.
    beside: Option<(PathBuf, PathBuf)>,
    /// The file did not exist before.
    pub(super) is_new: bool,
    /// The file that is written under its own name: it may be removed meanwhile.
    own: Option<File>,
}

impl OutputFile {
    /// Creates a file. If `whole`, it gets its name when it is complete.
    pub(crate) fn create(path: &Path, whole: bool) -> io::Result<(Self, File)> {
        let there = fs::metadata(path);
        let is_new = path.symlink_metadata().is_err();
        let is_file = there.as_ref().map_or(is_new, fs::Metadata::is_file);
        if whole && is_file {
            // Replace the file that a link points to, not the link.
            let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            let name = beside(&real);
            match open(&name) {
                Ok(file) => {
                    let beside = Some((name, real));
                    let own = None;
                    return Ok((
                        Self {
                            beside,
                            is_new,
                            own,
                        },
                        file,
                    ));
                }
                // The file is writable, but its folder is not.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && !is_new => {}
                Err(error) => return Err(error),
            }
        }
        let file = open(path)?;
        let output = Self {
            beside: None,
            is_new,
            own: file.try_clone().ok().filter(|_| is_file),
        };
        Ok((output, file))
    }

    /// Completes the file. If saving `failed`, it does not replace an existing
    /// file.
    pub(crate) fn complete(&mut self, failed: bool) -> io::Result<()> {
        match self.beside.take() {
            Some((name, _)) if failed && !self.is_new => Err(io::Error::other(format!(
                "not replaced; what could be saved is in {}",
                name.display()
            ))),
            Some((name, path)) => fs::rename(name, path),
            None if self.own.take().is_some_and(|file| is_removed(&file)) => Err(io::Error::other(
                "the file was removed while it was written: nothing of it is left",
            )),
            None => Ok(()),
        }
    }

    /// Nothing was saved: removes the file.
    pub(crate) fn take_back(&mut self, path: &Path) {
        let is_empty = |metadata: fs::Metadata| metadata.is_file() && metadata.len() == 0;
        if let Some((name, _)) = self.beside.take() {
            let _ = fs::remove_file(name);
        } else if self.is_new && path.symlink_metadata().is_ok_and(is_empty) {
            // Errors are ignored: an empty file does no harm.
            let _ = fs::remove_file(path);
        }
    }
}

/// A file that is of use only when it is complete: without
/// [`complete`](WholeFile::complete), nothing is left of it.
#[derive(Debug)]
pub(crate) struct WholeFile {
    path: PathBuf,
    output: OutputFile,
    file: File,
}

impl WholeFile {
    /// Creates it, so that a file that cannot be written is noticed before the work.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let (output, file) = OutputFile::create(path, true)?;
        Ok(Self {
            path: path.to_owned(),
            output,
            file,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is written to it.
    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its name.
    pub(crate) fn complete(mut self) -> io::Result<()> {
        self.output.complete(false)
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        self.output.take_back(&self.path);
    }
}

/// Whether an open file has no name any more. A renamed one has.
fn is_removed(file: &File) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
    #[cfg(not(unix))]
    {
        let _ = file;
        false
    }
}

/// A temporary name beside a file.
pub(crate) fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    file.with_file_name(name)
}

/// Captures may hold secrets: a new file is readable only by its owner.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether both are the same file, by device and inode, so that writing the
/// one would destroy the other.
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
