//! [`Chunk`]: bytes of one direction, or a gap, on their way from TCP through the
//! layers to MQTT.
//!
//! Positions are those of the TCP stream all the way up ([`ByteRange`]): a layer
//! that passes bytes on states where they came from, not where they would be in a
//! stream of its own.

use serde::{Deserialize, Serialize};

use std::fmt;

use super::At;

/// A range of positions in one direction's TCP stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByteRange {
    /// Position of its first byte.
    pub start: u64,
    /// Position after its last byte.
    pub end: u64,
}

impl ByteRange {
    /// How many bytes it has.
    pub const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.end == self.start
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// Bytes of one direction, in order, or a gap in them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chunk<'a> {
    /// Bytes.
    Data(Data<'a>),
    /// Bytes missing from the capture.
    Gap {
        /// Where, in the TCP stream.
        range: ByteRange,
        /// How many bytes *of the stream that is passed on*; `None` where only a
        /// key or a header that is lost as well has it.
        len: Option<u64>,
    },
}

impl Chunk<'_> {
    /// Where it lies in the TCP stream.
    pub const fn range(&self) -> ByteRange {
        match self {
            Self::Data(data) => data.range,
            Self::Gap { range, .. } => *range,
        }
    }
}

/// Bytes of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Data<'a> {
    /// The bytes; never empty.
    pub bytes: &'a [u8],
    /// Where they lie in the TCP stream. As many bytes there as here, except
    /// where they were compressed: then together.
    pub range: ByteRange,
    /// The packet that carried them. It may be an earlier one than the one being
    /// read.
    pub at: At,
    /// The TLS record or compressed message that they are part of, if any.
    pub seal: Option<Seal>,
}

impl<'a> Data<'a> {
    /// Cuts it in two, `len` bytes from its start.
    pub fn split_at(self, len: usize) -> (Self, Self) {
        let (before, after) = self.bytes.split_at(len);
        let total = self.bytes.len() as u64;
        // Compressed bytes have no positions of their own: in proportion.
        let cut = match self.range.len() == total {
            true => self.range.start + len as u64,
            false => self.range.start + self.range.len() * len as u64 / total.max(1),
        };
        let part = |bytes, start, end| Self {
            bytes,
            range: ByteRange { start, end },
            ..self
        };
        (
            part(before, self.range.start, cut),
            part(after, cut, self.range.end),
        )
    }
}

/// A unit that has to be complete before any byte in it can be read: a TLS
/// record, a compressed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Position in the TCP stream after it.
    pub end: u64,
    /// The packet that completed it: the latest that carried a part of it.
    pub at: At,
}

impl Seal {
    /// The one that is opened later, of a layer and those below it.
    pub fn outer(self, below: Option<Self>) -> Self {
        let Some(below) = below else { return self };
        let later = |a: At, b: At| match (a.time, a.packet) >= (b.time, b.packet) {
            true => a,
            false => b,
        };
        Self {
            end: self.end.max(below.end),
            at: later(self.at, below.at),
        }
    }
}
