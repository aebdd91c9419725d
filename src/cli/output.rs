//! A buffer for output lines, and when it is written.
//!
//! Reports append to [`Output::lines`]; the driver calls [`Output::settle`]
//! between packets, and [`Output::flush`] before a read that may block. So on a
//! terminal, with `-l` and from a growing pipe, each line appears when it is
//! complete, and a file is written 64 KiB at a time. One packet may complete any
//! number of messages: [`Output::spill`] writes lines within a packet when they
//! take too much memory.
//!
//! A reader that closes the pipe (`| head`) is not an error:
//! [`Ended::ReaderGone`].

use std::io::{self, Write};

/// Buffered bytes after which lines are written in any case.
const FULL: usize = 64 << 10;
/// Maximum number of buffered bytes within a packet.
const SPILL: usize = 16 * FULL;

/// Why nothing more can be written.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The reader closed the pipe.
    ReaderGone,
    /// Anything else, such as a full disk.
    Failed(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::ReaderGone,
            _ => Self::Failed(error),
        }
    }
}

/// A buffer in front of standard output, standard error or a test's memory.
pub(crate) struct Output<W> {
    /// Complete lines that are not written yet.
    pub(crate) lines: Vec<u8>,
    to: W,
    line_buffered: bool,
    /// An error that is reported by the next call.
    ended: Option<Ended>,
}

impl<W: Write> Output<W> {
    pub(crate) fn new(to: W, line_buffered: bool) -> Self {
        Self {
            lines: Vec::with_capacity(FULL + FULL / 4),
            to,
            line_buffered,
            ended: None,
        }
    }

    /// Within a packet: writes if the buffer is full. Errors are returned by the
    /// next call.
    #[inline]
    pub(crate) fn spill(&mut self) {
        if self.lines.len() < SPILL {
            return;
        }
        if let Err(ended) = self.flush() {
            self.ended = Some(ended);
            self.lines.clear();
        }
    }

    /// Between two packets: writes if output is due.
    #[inline]
    pub(crate) fn settle(&mut self) -> Result<(), Ended> {
        let due = self.line_buffered && !self.lines.is_empty();
        if self.lines.len() >= FULL || due || self.ended.is_some() {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes all lines.
    pub(crate) fn flush(&mut self) -> Result<(), Ended> {
        if let Some(ended) = self.ended.take() {
            return Err(ended);
        }
        if !self.lines.is_empty() {
            self.to.write_all(&self.lines)?;
            self.to.flush()?;
            self.lines.clear();
        }
        Ok(())
    }
}

/// Writes to standard error, in colour on a terminal.
pub(crate) fn print_error(text: &str) {
    let _ = anstream::stderr().write_all(text.as_bytes());
}

/// Writes to standard output at once. Control sequences are removed unless it is
/// a terminal.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Ended> {
    let mut stdout = anstream::stdout();
    stdout.write_all(bytes)?;
    Ok(stdout.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Refusing(io::ErrorKind);

    impl Write for Refusing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_wait_until_there_are_enough_of_them() {
        let mut written = Vec::new();
        let mut output = Output::new(&mut written, false);
        output.lines.extend([b'x'; FULL - 1]);
        output.settle().unwrap();
        assert_eq!(output.lines.len(), FULL - 1);
        output.lines.push(b'\n');
        output.settle().unwrap();
        assert!(output.lines.is_empty());
        drop(output);
        assert_eq!(written.len(), FULL);
    }

    #[test]
    fn or_go_out_one_by_one() {
        let mut written = Vec::new();
        let mut output = Output::new(&mut written, true);
        output.lines.extend(b"a\n");
        output.settle().unwrap();
        assert!(output.lines.is_empty());
        drop(output);
        assert_eq!(written, b"a\n");
    }

    #[test]
    fn a_reader_who_left_is_not_a_failure() {
        let ended = |kind| {
            let mut output = Output::new(Refusing(kind), true);
            output.lines.push(b'\n');
            output.settle().unwrap_err()
        };
        assert!(matches!(
            ended(io::ErrorKind::BrokenPipe),
            Ended::ReaderGone
        ));
        assert!(matches!(
            ended(io::ErrorKind::StorageFull),
            Ended::Failed(_)
        ));
    }
}
