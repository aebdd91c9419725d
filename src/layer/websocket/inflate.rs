//! Compressed messages (permessage-deflate, RFC 7692), inflated as they come.
//!
//! ```text
//! message      ├─frame─┤    ├──────frame──────┤
//! compressed   ├─1─┤├2─┤    ├──3──┤├────4─────┤ + 00 00 FF FF
//! inflated     ├────1'────┤ ├─3'─┤├─────4'─────┤
//! ```
//! A compressed byte has no position among the inflated ones. The output of a
//! chunk has the range of that chunk, together with the input before
//! and gave nothing yet (2, above, where 1' could be reported from 1 alone and 2
//! only made a beginning: then 2 stands for no byte of its own).
//!
//! The window is always the largest, 32 KiB. A smaller one that was agreed on
//! would save memory, and make a sender that does not keep to it unreadable. That
//! the sender starts every message afresh ("no context takeover") needs no
//! attention: such a message does not look back.
//!
//! After a loss a message may look back at bytes that are not there. One that does not
//! is read all the same, and one that does up to that point: zlib reports a
//! distance that is too far.
//!
//! The output has to be in proportion to the input ([`Budget`]): else a
//! segment of a compression bomb would take too much time.

use flate2::{Decompress, FlushDecompress, Status};

use super::super::{ByteRange, Data, Seal};
use crate::limits;

/// A window and its state, in zlib-rs.
const MEMORY: usize = 48 << 10;
/// Bytes that are inflated at a time. One compressed byte gives 1032 at most,
/// and zlib holds eight back at most.
const CHUNK: usize = 16 << 10;
/// Bytes after which everything that a message may look back at is known.
const WINDOW: u64 = 32 << 10;
/// The bytes that the sender took off the end of the message (RFC 7692, 7.2.1).
const TAIL: &[u8] = &[0, 0, 0xff, 0xff];

/// One direction's.
#[derive(Debug)]
pub(super) struct Inflater {
    stream: Decompress,
    /// Compressed bytes that gave nothing yet.
    pending: Option<ByteRange>,
    /// Bytes since the window was empty.
    since: u64,
    /// Nothing has come since the message began, or since its sender finished a
    /// stream instead of flushing it: there was no tail to take off.
    fresh: bool,
}

/// How many bytes may come out, in one direction.
#[derive(Debug)]
pub(super) struct Budget {
    earned: u64,
    /// May be a chunk more.
    spent: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            earned: limits::INFLATED_BYTES,
            spent: 0,
        }
    }
}

impl Budget {
    /// So many bytes of payload were sent.
    pub(super) fn earn(&mut self, bytes: usize) {
        let more = limits::INFLATED_RATIO.saturating_mul(bytes as u64);
        self.earned = self.earned.saturating_add(more);
    }

    const fn is_spent(&self) -> bool {
        self.spent >= self.earned
    }
}

/// What comes after a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// More of its frame.
    More,
    /// Another frame of its message.
    Frame,
    /// Nothing more of its message.
    Nothing,
}

/// Output of the inflater.
#[derive(Debug)]
pub(super) enum Inflated<'a> {
    Data(Data<'a>),
    /// Compressed bytes that stand for no byte of their own.
    Nothing(ByteRange),
}

/// Why a message cannot be inflated further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// Too much came out; else it was wrong, or looks back too far.
    pub(super) too_much: bool,
    /// Bytes of the chunk, and before it, that are not accounted for.
    pub(super) range: ByteRange,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self {
            stream: Decompress::new(false),
            pending: None,
            since: 0,
            fresh: true,
        }
    }

    /// Memory that this takes.
    pub(super) const fn kept(&self) -> usize {
        MEMORY
    }

    /// A message begins.
    pub(super) fn begin(&mut self) {
        self.fresh = true;
    }

    /// Compressed bytes of which nothing was reported yet.
    pub(super) const fn pending(&self) -> Option<ByteRange> {
        self.pending
    }

    /// Whether the window holds all that a message may look back at, however
    /// much was lost before.
    pub(super) const fn is_whole(&self) -> bool {
        self.since >= WINDOW
    }

    /// Inflates a chunk; an empty one at the end of a message flushes the rest.
    pub(super) fn inflate(
        &mut self,
        data: Data<'_>,
        after: After,
        budget: &mut Budget,
        out: &mut dyn FnMut(Inflated<'_>),
    ) -> Result<(), Failure> {
        let mut from = match self.pending.take() {
            Some(pending) if pending.end == data.range.start => pending.start,
            Some(pending) => {
                out(Inflated::Nothing(pending));
                data.range.start
            }
            None => data.range.start,
        };
        let end = data.range.end;
        if budget.is_spent() {
            let range = ByteRange { start: from, end };
            return Err(Failure {
                too_much: true,
                range,
            });
        }
        let mut buffer = Vec::with_capacity(CHUNK);
        let mut emit = |from: u64, to: u64, bytes: &[u8]| {
            let (range, at) = (
                ByteRange {
                    start: from,
                    end: to,
                },
                data.at,
            );
            let seal = Some(Seal { end: to, at }.outer(data.seal));
            out(Inflated::Data(Data {
                bytes,
                range,
                at,
                seal,
            }));
        };
        let tail = match after {
            After::Nothing => TAIL,
            _ => &[],
        };
        for (input, is_tail) in [(data.bytes, false), (tail, true)] {
            if is_tail && self.fresh {
                continue;
            }
            let mut rest = input;
            loop {
                let (read, had) = (self.stream.total_in(), buffer.len());
                let status = self
                    .stream
                    .decompress_vec(rest, &mut buffer, FlushDecompress::Sync);
                let read = (self.stream.total_in() - read) as usize;
                let new = (buffer.len() - had) as u64;
                rest = rest.get(read..).unwrap_or_default();
                budget.spent += new;
                self.since += new;
                self.fresh &= read == 0;
                let upto = match is_tail {
                    true => end,
                    false => {
                        let consumed = data.bytes.len() - rest.len();
                        data.split_at(consumed).0.range.end.max(from)
                    }
                };
                let too_much = budget.is_spent();
                if status.is_err() || too_much {
                    if !buffer.is_empty() {
                        emit(from, upto, &buffer);
                        from = upto;
                    }
                    return Err(Failure {
                        too_much,
                        range: ByteRange { start: from, end },
                    });
                }
                if buffer.len() == buffer.capacity() {
                    // A byte is left for the output that may still come of it.
                    let upto = upto.min(end.saturating_sub(1)).max(from);
                    emit(from, upto, &buffer);
                    from = upto;
                    buffer.clear();
                    continue;
                }
                if let Ok(Status::StreamEnd) = status {
                    self.stream.reset(false);
                    self.fresh = true;
                }
                if rest.is_empty() || read == 0 {
                    break;
                }
            }
        }
        let left = ByteRange { start: from, end };
        if !buffer.is_empty() {
            emit(from, end, &buffer);
        } else if after == After::More {
            self.pending = Some(left);
        } else if !left.is_empty() {
            out(Inflated::Nothing(left));
        }
        Ok(())
    }
}
