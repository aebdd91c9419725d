//! Finds where records begin, after a header was lost.
//!
//! ```text
//!    ciphertext …│17 03 03 len│·········│17 03 03 len│····
//!                 └─ candidate ─────────→ its link: proof
//! ```
//! Ciphertext is random, so the odds are plain. A header after a handshake is
//! one of three types, the version that is always written, and a possible
//! length: about one position in 2²⁴ of random bytes looks like one. That
//! alone is not enough. A candidate counts when the header that its length leads to
//! is there too (2⁻⁴⁸), or when its record ends exactly where a TCP segment does
//! (2⁻³⁸, as senders like to have it, and over the positions of a segment less
//! than once in 2²⁷): so a lone record is found without waiting for another.
//! With keys there is a third proof, that it decrypts; it is not needed here.
//!
//! Each byte is looked at once: of all candidates whose next header is at the
//! same position the first one stands for the others.

use super::header::{HEADER, Part, header, kind, part};
use crate::layer::Data;
use crate::limits;

/// The search for the beginning of a record.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// Bytes since the first candidate, or since a header could begin.
    window: Vec<u8>,
    parts: Vec<Part>,
    /// Position in the TCP stream of the window's first byte.
    start: u64,
    /// Where a record may begin, and where the next one would.
    candidates: Vec<(u64, u64)>,
}

/// Where records begin, and the bytes since.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) start: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) parts: Vec<Part>,
}

impl Chain {
    /// Bytes kept.
    pub(super) fn kept(&self) -> usize {
        self.window.len()
    }

    /// Looks on; returns the rest of the chunk.
    pub(super) fn push<'a>(&mut self, data: Data<'a>) -> (Data<'a>, Option<Found>) {
        if self.window.is_empty() {
            self.start = data.range.start;
        }
        let known = self.window.len();
        self.window.extend_from_slice(data.bytes);
        let end = data.range.end;
        // A header may have begun in the chunk before.
        let first = known.saturating_sub(HEADER - 1);
        let mut found = None;
        for at in first..(self.window.len() + 1).saturating_sub(HEADER) {
            let position = self.start + at as u64;
            let bytes = self.window.get(at..).unwrap_or_default();
            let Some((_, len)) = header(bytes).filter(|_| is_usual(bytes)) else {
                self.candidates.retain(|(_, next)| *next != position);
                continue;
            };
            if let Some((first, _)) = self.candidates.iter().find(|(_, next)| *next == position) {
                found = Some((*first, at + HEADER));
                break;
            }
            let next = position + (HEADER + len) as u64;
            let twin = self.candidates.iter().any(|(_, other)| *other == next);
            if !twin && self.candidates.len() < limits::TLS_CANDIDATES {
                self.candidates.push((position, next));
            }
        }
        if found.is_none() {
            let landed = self.candidates.iter().find(|(_, next)| *next == end);
            found = landed.map(|(first, _)| (*first, self.window.len()));
        }
        match found {
            Some((start, looked)) => {
                let mine = looked.saturating_sub(known);
                let (mine, rest) = data.split_at(mine.min(data.bytes.len()));
                self.window.truncate(known + mine.bytes.len());
                if !mine.bytes.is_empty() {
                    self.parts.push(part(&mine));
                }
                self.drop_before(start);
                let found = Found {
                    start,
                    bytes: std::mem::take(&mut self.window),
                    parts: std::mem::take(&mut self.parts),
                };
                (rest, Some(found))
            }
            None => {
                self.parts.push(part(&data));
                let tail = end.saturating_sub(HEADER as u64 - 1);
                let first = self.candidates.iter().map(|(first, _)| *first).min();
                self.drop_before(first.unwrap_or(tail).min(tail).max(self.start));
                (data.split_at(data.bytes.len()).1, None)
            }
        }
    }

    /// Drops the bytes before a position.
    fn drop_before(&mut self, position: u64) {
        let mut drop = usize::try_from(position.saturating_sub(self.start)).unwrap_or(usize::MAX);
        drop = drop.min(self.window.len());
        self.window.drain(..drop);
        self.start += drop as u64;
        let mut whole = 0;
        for part in &mut self.parts {
            let cut = part.len.min(drop);
            part.len -= cut;
            drop -= cut;
            whole += usize::from(part.len == 0);
        }
        self.parts.drain(..whole);
    }
}

/// Whether a header is one of those that follow a handshake.
fn is_usual(bytes: &[u8]) -> bool {
    matches!(
        bytes,
        [kind::ALERT | kind::HANDSHAKE | kind::APPLICATION, 3, 3, ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::At;
    use crate::layer::ByteRange;

    fn push(chain: &mut Chain, start: u64, bytes: &[u8]) -> Option<Found> {
        let data = Data {
            bytes,
            range: ByteRange {
                start,
                end: start + bytes.len() as u64,
            },
            at: At::default(),
            seal: None,
        };
        chain.push(data).1
    }

    #[test]
    fn few_headers_are_followed_at_once_and_the_next_records_found() {
        let mut chain = Chain::default();
        // Each looks like the header of a record of 1,000 bytes, and none is one.
        let forged = b"\x17\x03\x03\x03\xe8x".repeat(150);
        assert!(push(&mut chain, 0, &forged).is_none());
        assert_eq!(chain.candidates.len(), limits::TLS_CANDIDATES);
        assert!(chain.kept() <= forged.len());
        let mut start = forged.len() as u64;
        assert!(push(&mut chain, start, &[0; 2000]).is_none());
        start += 2000;
        assert_eq!((chain.candidates.len(), chain.kept() < 5), (0, true));
        let record = [&b"\x17\x03\x03\0\x02"[..], b"ab"].concat();
        let found = push(&mut chain, start, &[&record[..], &record, b"\x17"].concat());
        assert_eq!(found.map(|found| found.start), Some(start));
    }
}
