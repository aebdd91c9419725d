//! The output of a capture file that is written, and which packets are in it.
//!
//! ```text
//!   in the file              whole ┐  ┌ taken           given up
//!   ───────────────────────────────┤  │
//!   header │ packet 1 │ packet 2 │ pac│ket 3 │ packet 4 │ …
//! ```
//!
//! Records are collected and written many at a time, so a full disk is noticed
//! late, and in the middle of a record. So a sink keeps the end of each packet
//! until the system has accepted it. If a write fails, the file is truncated to
//! its last complete record, which leaves a valid capture, and all later
//! packets are counted as lost.

use std::fs::File;
use std::io::{self, Write};

use crate::packet::PacketRef;

/// Bytes collected before they are written.
const BUFFER_BYTES: usize = 256 << 10;

/// Packets that were to be written and are in no file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// The first of them.
    pub first: PacketRef,
    /// Number of them.
    pub packets: u64,
}

impl Lost {
    /// One more.
    pub(super) fn add(lost: &mut Option<Self>, packet: PacketRef) {
        let new = Self {
            first: packet,
            packets: 0,
        };
        lost.get_or_insert(new).packets += 1;
    }
}

/// A file, or whatever else takes bytes.
pub(super) struct Sink {
    to: To,
    /// Records that the system was not given yet. To be appended to.
    pub(super) bytes: Vec<u8>,
    /// Bytes before these.
    taken: u64,
    /// Where each record among `bytes` ends, from the start of the file, and
    /// the packet that it is.
    ends: Vec<(u64, Option<PacketRef>)>,
    pub(super) lost: Option<Lost>,
}

enum To {
    /// There is no file yet: records are buffered.
    Later,
    /// Can be cut back.
    File(File),
    Stream(Box<dyn Write + Send>),
    /// Writing has failed for good.
    Nowhere,
}

impl Sink {
    /// To a file that is still to be [opened](Sink::open).
    pub(super) fn later() -> Self {
        Self::new(To::Later)
    }

    /// To a file that was just created.
    pub(super) fn file(file: File) -> Self {
        Self::new(To::File(file))
    }

    pub(super) fn stream(stream: Box<dyn Write + Send>) -> Self {
        Self::new(To::Stream(stream))
    }

    /// Everything is lost.
    pub(super) fn nowhere() -> Self {
        Self::new(To::Nowhere)
    }

    fn new(to: To) -> Self {
        Self {
            to,
            bytes: Vec::new(),
            taken: 0,
            ends: Vec::new(),
            lost: None,
        }
    }

    /// Bytes of all records so far, including lost ones.
    pub(super) fn size(&self) -> u64 {
        self.taken + self.bytes.len() as u64
    }

    /// Whether the next record may be written.
    pub(super) fn is_open(&self) -> bool {
        !matches!(self.to, To::Nowhere)
    }

    /// Whether the file is still to be opened.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.to, To::Later)
    }

    /// Buffered records go into this file.
    pub(super) fn open(&mut self, file: File) {
        self.to = To::File(file);
    }

    /// What was appended to `bytes` is a whole record.
    #[inline]
    pub(super) fn end_record(&mut self, packet: Option<PacketRef>) -> io::Result<()> {
        if let To::Nowhere = self.to {
            self.lose(packet);
            return Ok(());
        }
        self.ends.push((self.size(), packet));
        match self.bytes.len() >= BUFFER_BYTES {
            true => self.flush(),
            false => Ok(()),
        }
    }

    /// Flushes everything. An error is reported once: from then on everything is lost.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if let To::Later | To::Nowhere = self.to {
            return Ok(());
        }
        let mut done = 0;
        while let Some(left) = self.bytes.get(done..)
            && !left.is_empty()
        {
            match self.to.write(left) {
                Ok(0) => return Err(self.give_up(done, io::ErrorKind::WriteZero.into())),
                Ok(taken) => done += taken,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.give_up(done, error)),
            }
        }
        if let Err(error) = self.to.flush() {
            return Err(self.give_up(done, error));
        }
        self.taken += done as u64;
        self.bytes.clear();
        self.ends.clear();
        Ok(())
    }

    /// Closes the file. Unflushed records are lost.
    pub(super) fn close(&mut self) {
        self.to = To::Nowhere;
    }

    /// After `done` of the collected bytes, writing failed.
    #[cold]
    fn give_up(&mut self, done: usize, error: io::Error) -> io::Error {
        let there = self.taken + done as u64;
        let mut whole = self.ends.iter().rev().map(|(end, _)| *end);
        let whole = whole.find(|end| *end <= there).unwrap_or(self.taken);
        if let To::File(file) = &self.to {
            // A device cannot be cut, and needs not to be.
            let _ = file.set_len(whole);
        }
        self.to = To::Nowhere;
        for (end, packet) in std::mem::take(&mut self.ends) {
            if let (true, Some(packet)) = (end > whole, packet) {
                Lost::add(&mut self.lost, packet);
            }
        }
        self.lose(None);
        error
    }

    fn lose(&mut self, packet: Option<PacketRef>) {
        self.taken += self.bytes.len() as u64;
        self.bytes.clear();
        if let Some(packet) = packet {
            Lost::add(&mut self.lost, packet);
        }
    }
}

impl To {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(bytes),
            Self::Stream(stream) => stream.write(bytes),
            Self::Later | Self::Nowhere => Ok(0),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Stream(stream) => stream.flush(),
            Self::Later | Self::Nowhere => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts a limited number of bytes, a few at a time.
    struct Small(usize);

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.0).min(7);
            self.0 -= taken;
            match taken {
                0 => Err(io::ErrorKind::StorageFull.into()),
                taken => Ok(taken),
            }
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn packet(number: u64) -> PacketRef {
        PacketRef { number, file: 0 }
    }

    /// Five packets of ten bytes after a header of four.
    fn fill(sink: &mut Sink, flush_each: bool) -> Vec<io::ErrorKind> {
        let mut errors = Vec::new();
        for number in 0..=5 {
            let header = number == 0;
            let length = if header { 4 } else { 10 };
            sink.bytes.extend(std::iter::repeat_n(b'x', length));
            let id = (!header).then(|| packet(number));
            let done = sink.end_record(id).and_then(|()| match flush_each {
                true => sink.flush(),
                false => Ok(()),
            });
            errors.extend(done.err().map(|error| error.kind()));
        }
        errors.extend(sink.flush().err().map(|error| error.kind()));
        errors
    }

    #[test]
    fn what_does_not_fit_is_counted_to_the_packet() {
        for room in 0..=60 {
            for flush_each in [false, true] {
                let mut sink = Sink::stream(Box::new(Small(room)));
                let errors = fill(&mut sink, flush_each);
                let saved = (room.saturating_sub(4) / 10).min(5) as u64;
                let lost = (saved < 5).then(|| Lost {
                    first: packet(saved + 1),
                    packets: 5 - saved,
                });
                assert_eq!(sink.lost, lost, "{room}");
                assert_eq!(errors.len(), usize::from(lost.is_some()), "told once");
                assert_eq!((sink.size(), sink.is_open()), (54, lost.is_none()));
            }
        }
    }

    #[test]
    fn a_sink_to_nowhere_loses_everything_without_an_error() {
        let mut sink = Sink::nowhere();
        assert_eq!(fill(&mut sink, false), []);
        let lost = Lost {
            first: packet(1),
            packets: 5,
        };
        assert_eq!((sink.lost, sink.size()), (Some(lost), 54));
        assert!(sink.bytes.is_empty());
    }
}
