//! Bytes that wait to be understood, and where each of them came from.
//!
//! ```text
//! chunks pushed    ├──1──┤├─2─┤├────3────┤
//! front let go     ├───────────┤
//! still held                    ├──3'────┤
//! ```

use std::collections::VecDeque;

use super::{ByteRange, Data, Seal};
use crate::flow::At;

/// Pieces in order, together one slice.
#[derive(Debug, Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    parts: VecDeque<Part>,
    /// Bytes that were let go since the first.
    gone: u64,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    /// Position after it, counted from the first byte that was ever held.
    end: u64,
    range: ByteRange,
    at: At,
    seal: Option<Seal>,
}

impl Held {
    /// Another chunk.
    pub(crate) fn push(&mut self, piece: Data<'_>) {
        self.bytes.extend_from_slice(piece.bytes);
        self.parts.push_back(Part {
            end: self.gone + self.bytes.len() as u64,
            range: piece.range,
            at: piece.at,
            seal: piece.seal,
        });
    }

    /// Nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// All bytes that are held.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory that this takes.
    pub(crate) fn kept(&self) -> usize {
        self.bytes.capacity() + self.parts.capacity() * size_of::<Part>()
    }

    /// Whether a chunk ended at that position of the bytes.
    pub(crate) fn ends_piece(&self, position: usize) -> bool {
        let position = self.gone + position as u64;
        self.parts
            .binary_search_by_key(&position, |part| part.end)
            .is_ok()
    }

    /// The chunks, as they were pushed.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Data<'_>> {
        let mut rest = self.bytes.as_slice();
        let mut from = self.gone;
        self.parts.iter().map_while(move |part| {
            let len = usize::try_from(part.end - from).ok()?;
            let (bytes, after) = rest.split_at_checked(len)?;
            (rest, from) = (after, part.end);
            Some(Data {
                bytes,
                range: part.range,
                at: part.at,
                seal: part.seal,
            })
        })
    }

    /// Lets the first `count` bytes go, and shows them once more.
    pub(crate) fn let_go(&mut self, count: usize, mut each: impl FnMut(Data<'_>)) {
        let mut left = count.min(self.bytes.len());
        let (mut whole, mut cut) = (0, None);
        for piece in self.pieces() {
            if left < piece.bytes.len() {
                let (before, after) = piece.split_at(left);
                if left > 0 {
                    each(before);
                    cut = Some(after.range);
                }
                break;
            }
            left -= piece.bytes.len();
            each(piece);
            whole += 1;
        }
        self.parts.drain(..whole);
        if let (Some(range), Some(part)) = (cut, self.parts.front_mut()) {
            part.range = range;
        }
        let count = count.min(self.bytes.len());
        self.bytes.drain(..count);
        self.gone += count as u64;
        if self.bytes.is_empty() {
            self.bytes.shrink_to(4096);
            self.parts.shrink_to(64);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_keep_their_places() {
        let mut held = Held::default();
        for (bytes, start) in [(&b"abc"[..], 10), (b"de", 20), (b"fghi", 22)] {
            let end = start + bytes.len() as u64;
            held.push(Data {
                bytes,
                range: ByteRange { start, end },
                at: At::default(),
                seal: None,
            });
        }
        assert!(held.ends_piece(3) && held.ends_piece(5) && !held.ends_piece(4));
        let mut gone = Vec::new();
        held.let_go(4, |piece| {
            gone.push((piece.bytes.to_vec(), piece.range.start))
        });
        assert_eq!(gone, [(b"abc".to_vec(), 10), (b"d".to_vec(), 20)]);
        assert!(held.ends_piece(1) && held.ends_piece(5));
        let rest: Vec<_> = held.pieces().map(|p| (p.bytes, p.range.start)).collect();
        assert_eq!(rest, [(&b"e"[..], 21), (b"fghi", 22)]);
        held.let_go(9, |_| ());
        assert_eq!(held.pieces().count(), 0);
    }
}
