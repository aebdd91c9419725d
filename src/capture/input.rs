//! The bytes of a capture: a file, a pipe, standard input; plain or compressed.
//! Counts the bytes read, for a progress bar.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::buffer::Buffer;
use super::compress;
use super::error::{Compression, Problem};
use super::follow::Growing;

/// An opened input of unknown format.
pub(super) struct Input {
    pub(super) buffer: Buffer,
    pub(super) compression: Option<Compression>,
    /// Bytes read of the file as it lies there, compressed or not.
    pub(super) read: Arc<AtomicU64>,
    /// Size of the file, when it is a regular file.
    pub(super) size: Option<u64>,
    /// It is a file that is still being written.
    pub(super) grows: bool,
}

impl Input {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, Problem> {
        if path.as_os_str() == "-" {
            return Self::standard();
        }
        // Asked before opening: opening a named pipe waits for its writer.
        let metadata = std::fs::metadata(path).map_err(Problem::Open)?;
        if metadata.is_dir() {
            return Err(Problem::Directory);
        }
        let file = File::open(path).map_err(Problem::Open)?;
        let size = metadata.is_file().then_some(metadata.len());
        Self::new(Box::new(file), size)
    }

    /// Opens a file and reads what will be appended to it, until stopped. Waits
    /// for the first bytes.
    pub(super) fn follow(path: &Path, stop: Arc<AtomicBool>) -> Result<Self, Problem> {
        // Asked before opening: see above.
        let metadata = std::fs::metadata(path).map_err(Problem::Open)?;
        if metadata.is_dir() {
            return Err(Problem::Directory);
        }
        if !metadata.is_file() {
            return Err(Problem::NoFile);
        }
        let file = File::open(path).map_err(Problem::Open)?;
        let input = Self::new(Box::new(Growing::new(file, path, stop)), None)?;
        match input.compression {
            Some(compression) => Err(Problem::Followed(compression)),
            None => Ok(Self {
                grows: true,
                ..input
            }),
        }
    }

    /// Standard input as a plain file, which avoids the standard library's
    /// buffer and lock, and distinguishes a file (`< f`) from a pipe.
    #[cfg(unix)]
    fn standard() -> Result<Self, Problem> {
        use std::os::fd::AsFd;
        let file = File::from(
            io::stdin()
                .as_fd()
                .try_clone_to_owned()
                .map_err(Problem::Open)?,
        );
        let metadata = file.metadata().map_err(Problem::Open)?;
        if metadata.is_dir() {
            return Err(Problem::Directory);
        }
        let size = metadata.is_file().then_some(metadata.len());
        Self::new(Box::new(file), size)
    }

    #[cfg(not(unix))]
    fn standard() -> Result<Self, Problem> {
        Self::new(Box::new(io::stdin()), None)
    }

    /// Any reader. `size` is known of a regular file only.
    pub(super) fn new(
        mut reader: Box<dyn Read + Send>,
        size: Option<u64>,
    ) -> Result<Self, Problem> {
        // Four bytes determine the format. More, if they arrive at once, help
        // to name an unsupported file; they are not waited for.
        let mut start = vec![0; 512];
        let mut len = 0;
        while let Some(space) = start.get_mut(len..)
            && len < 4
        {
            match reader.read(space) {
                Ok(0) => break,
                Ok(got) => len += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Problem::Read(error)),
            }
        }
        if len == 0 {
            return Err(Problem::Empty);
        }
        start.truncate(len);
        let magic = start.first_chunk::<4>();
        let compression = magic.and_then(|magic| compress::recognise(*magic));
        let read = Arc::new(AtomicU64::new(0));
        let all = Counted {
            inner: io::Cursor::new(start).chain(reader),
            read: Arc::clone(&read),
        };
        let reader = match compression {
            Some(compression) => compress::unpack(compression, all),
            None => Box::new(all),
        };
        Ok(Self {
            buffer: Buffer::new(reader),
            compression,
            read,
            size,
            grows: false,
        })
    }
}

struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(out)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}
