//! A rolling buffer over any reader: records are looked at where they were
//! read to, and nothing is copied per packet.
//!
//! ```text
//!            start            end
//!   ┌──────────┬───────────────┬────────────┐
//!   │ consumed │    unread     │   space    │
//!   └──────────┴───────────────┴────────────┘
//!              ▲ offset: how far into the file
//! ```
//!
//! [`Buffer::want`] asks for bytes from `start` on. Only if they are not
//! buffered, the reader is asked for the missing ones, and never for more than
//! it has: on a pipe a record is complete as soon as its last byte has arrived.
//! The unread tail moves to the front only when the space after it is used up,
//! which is once per mebibyte.

use std::io::{self, Read};

use super::meanwhile::Meanwhile;

/// First fill: enough for the header of a file and to see its first packet.
/// Of many rotated files merged into one capture, only those being read keep a
/// large buffer.
const FIRST_BYTES: usize = 16 << 10;
/// Fill from then on. Measured: larger gains nothing, a fresh memory map is
/// twice as slow because of its page faults.
const BYTES: usize = 1 << 20;

pub(super) struct Buffer {
    reader: Box<dyn Read + Send>,
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    offset: u64,
    ended: bool,
}

impl Buffer {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Self {
        Self {
            reader,
            bytes: vec![0; FIRST_BYTES],
            start: 0,
            end: 0,
            offset: 0,
            ended: false,
        }
    }

    /// How many unread bytes are there, after reading until at least `len`
    /// are or the input has ended.
    #[inline]
    pub(super) fn want(&mut self, len: usize) -> io::Result<usize> {
        if self.end - self.start < len {
            self.fill(len)?;
        }
        Ok(self.end - self.start)
    }

    /// The bytes that were read but not consumed.
    #[inline]
    pub(super) fn unread(&self) -> &[u8] {
        self.bytes.get(self.start..self.end).unwrap_or_default()
    }

    /// Done with the first `len` unread bytes.
    #[inline]
    pub(super) fn consume(&mut self, len: usize) {
        let len = len.min(self.end - self.start);
        self.start += len;
        self.offset += len as u64;
    }

    /// Bytes from the start of the (uncompressed) file to the first unread one.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The reader has reached its end.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    #[cold]
    fn fill(&mut self, len: usize) -> io::Result<()> {
        while self.end - self.start < len && !self.ended {
            self.make_space(len);
            let Some(space) = self.bytes.get_mut(self.end..) else {
                return Ok(());
            };
            match self.reader.read(space) {
                Ok(0) => {
                    self.ended = true;
                    // Of many merged files, those at their end need no buffer.
                    if self.start == self.end {
                        (self.start, self.end) = (0, 0);
                        self.bytes = Vec::new();
                        self.reader = Box::new(io::empty());
                    }
                }
                Ok(got) => self.end += got.min(space.len()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The next call asks for the same bytes again.
                Err(error) if Meanwhile::is_in(&error) => return Err(error),
                Err(error) => {
                    // Reported once; a reader that failed is not asked again.
                    self.ended = true;
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Moves the unread bytes to the front when the space behind them is too
    /// small for `len`, or so small that reading into it would be a trickle.
    fn make_space(&mut self, len: usize) {
        let space = self.bytes.len() - self.end;
        if self.start + len <= self.bytes.len() && space >= self.bytes.len() / 4 {
            return;
        }
        let unread = self.start..self.end;
        self.end -= self.start;
        self.start = 0;
        let size = len.max(if self.offset == 0 { FIRST_BYTES } else { BYTES });
        if self.bytes.len() < size {
            // Pages of zeros from the system; `resize` would write them.
            let old = std::mem::replace(&mut self.bytes, vec![0; size]);
            self.bytes[..unread.len()].copy_from_slice(&old[unread]);
            return;
        }
        self.bytes.copy_within(unread, 0);
        if self.bytes.len() > BYTES && size <= BYTES && self.end <= BYTES {
            // The buffer grew for a large record; shrink it.
            self.bytes.truncate(BYTES);
            self.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out `step` bytes at a time.
    struct Steps {
        bytes: Vec<u8>,
        at: usize,
        step: usize,
    }

    impl Read for Steps {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let left = &self.bytes[self.at..];
            let len = self.step.min(out.len()).min(left.len());
            out[..len].copy_from_slice(&left[..len]);
            self.at += len;
            Ok(len)
        }
    }

    #[test]
    fn every_byte_passes_once_and_in_order() {
        let bytes: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
        for (step, record) in [
            (usize::MAX, 1000),
            (7, 13_000),
            (70_000, 1_500_001),
            (999, 1),
        ] {
            let mut buffer = Buffer::new(Box::new(Steps {
                bytes: bytes.clone(),
                at: 0,
                step,
            }));
            let mut at = 0;
            loop {
                assert_eq!(buffer.offset(), at as u64);
                let there = buffer.want(record).expect("no read error");
                let len = there.min(record);
                if len == 0 {
                    break;
                }
                assert_eq!(buffer.unread()[..len], bytes[at..at + len]);
                buffer.consume(len);
                at += len;
            }
            assert_eq!(at, bytes.len());
            assert!(buffer.ended());
        }
    }
}
