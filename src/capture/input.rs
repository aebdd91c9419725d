//! The bytes of a capture: a file, a pipe, standard input; plain or compressed.
//! Counts the bytes read, for a progress bar.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
#[cfg(unix)]
use std::time::{Duration, Instant};

#[cfg(unix)]
use rustix::event::{PollFd, PollFlags, Timespec, poll};
#[cfg(unix)]
use rustix::io::Errno;

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
    /// Opens a file; `-` is standard input. A pipe ends when `stop` is set and no more
    /// comes, or a second later.
    pub(super) fn open(path: &Path, stop: Option<Arc<AtomicBool>>) -> Result<Self, Problem> {
        if path.as_os_str() == "-" {
            return Self::standard(stop);
        }
        // Asked before opening: opening a named pipe waits for its writer.
        let metadata = std::fs::metadata(path).map_err(Problem::Open)?;
        if metadata.is_dir() {
            return Err(Problem::Directory);
        }
        let file = File::open(path).map_err(Problem::Open)?;
        Self::file(file, metadata.is_file().then_some(metadata.len()), stop)
    }

    /// An open file, whose size is known if it is a regular one.
    fn file(file: File, size: Option<u64>, stop: Option<Arc<AtomicBool>>) -> Result<Self, Problem> {
        match stop {
            #[cfg(unix)]
            Some(stop) if size.is_none() => Self::new(Box::new(Stoppable::new(file, stop)), size),
            _ => Self::new(Box::new(file), size),
        }
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
    fn standard(stop: Option<Arc<AtomicBool>>) -> Result<Self, Problem> {
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
        Self::file(file, metadata.is_file().then_some(metadata.len()), stop)
    }

    #[cfg(not(unix))]
    fn standard(_: Option<Arc<AtomicBool>>) -> Result<Self, Problem> {
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

/// A pipe that is read until a flag is set. Its writer often gets the same signal and
/// flushes its buffer, so the rest is still read: as long as it comes without a pause, for
/// a second at most.
#[cfg(unix)]
struct Stoppable {
    file: File,
    stop: Arc<AtomicBool>,
    /// When to stop at the latest.
    until: Option<Instant>,
}

#[cfg(unix)]
impl Stoppable {
    /// Interval at which the flag is checked.
    const POLL: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    /// How long a pipe is read after the flag was set.
    const REST: Duration = Duration::from_secs(1);

    fn new(file: File, stop: Arc<AtomicBool>) -> Self {
        Self {
            file,
            stop,
            until: None,
        }
    }
}

#[cfg(unix)]
impl Read for Stoppable {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let stopped = self.stop.load(Ordering::Relaxed);
            let ready = poll(
                &mut [PollFd::new(&self.file, PollFlags::IN)],
                Some(&Self::POLL),
            );
            match ready {
                Ok(0) if stopped => return Ok(0),
                Ok(0) | Err(Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
            if stopped && Instant::now() > *self.until.get_or_insert(Instant::now() + Self::REST) {
                return Ok(0);
            }
            return self.file.read(bytes);
        }
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
