//! Bytes that wait to be understood, and where each of them came from.
//!
//! ```text
//! chunks pushed    ├──1──┤├─2─┤├────3────┤
//! front let go     ├───────────┤
//! still pending                    ├──3'────┤
//! ```

use std::collections::VecDeque;

use super::{ByteRange, Chunk, Data, LayerBytes, LayerOutput, Seal, Sink};
use crate::direction::Direction;
use crate::flow::At;

/// Chunks in order, together one slice.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    bytes: Vec<u8>,
    parts: VecDeque<Part>,
    /// Bytes that were let go since the first.
    gone: u64,
}

#[derive(Clone, Copy, Debug)]
struct Part {
    /// Position after it, counted from the first byte that was ever pending.
    end: u64,
    range: ByteRange,
    at: At,
    seal: Option<Seal>,
}

impl Pending {
    /// Another chunk.
    pub(crate) fn push(&mut self, data: Data<'_>) {
        self.bytes.extend_from_slice(data.bytes);
        self.parts.push_back(Part {
            end: self.gone + self.bytes.len() as u64,
            range: data.range,
            at: data.at,
            seal: data.seal,
        });
    }

    /// Nothing is pending.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// All bytes that are pending.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Memory that this takes.
    pub(crate) fn kept(&self) -> usize {
        self.bytes.capacity() + self.parts.capacity() * size_of::<Part>()
    }

    /// Whether a chunk ended at that position of the bytes.
    pub(crate) fn ends_chunk(&self, position: usize) -> bool {
        let position = self.gone + position as u64;
        self.parts
            .binary_search_by_key(&position, |part| part.end)
            .is_ok()
    }

    /// The chunks, as they were pushed.
    pub(crate) fn chunks(&self) -> impl Iterator<Item = Data<'_>> {
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
    pub(crate) fn release(&mut self, count: usize, mut each: impl FnMut(Data<'_>)) {
        let mut left = count.min(self.bytes.len());
        let (mut whole, mut cut) = (0, None);
        for data in self.chunks() {
            if left < data.bytes.len() {
                let (before, after) = data.split_at(left);
                if left > 0 {
                    each(before);
                    cut = Some(after.range);
                }
                break;
            }
            left -= data.bytes.len();
            each(data);
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

    /// Lets all of them go, as bytes that a layer has for itself.
    pub(crate) fn own(&mut self, direction: Direction, own: LayerBytes, out: Sink<'_>) {
        self.release(usize::MAX, |data| {
            if !data.range.is_empty() {
                out(direction, LayerOutput::Own(data.range, own));
            }
        });
    }

    /// Lets all of them go up.
    pub(crate) fn pass(&mut self, direction: Direction, out: Sink<'_>) {
        self.release(usize::MAX, |data| {
            out(direction, LayerOutput::Chunk(Chunk::Data(data)));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_keep_their_positions() {
        let mut pending = Pending::default();
        for (bytes, start) in [(&b"abc"[..], 10), (b"de", 20), (b"fghi", 22)] {
            let end = start + bytes.len() as u64;
            pending.push(Data {
                bytes,
                range: ByteRange { start, end },
                at: At::default(),
                seal: None,
            });
        }
        assert!(pending.ends_chunk(3) && pending.ends_chunk(5) && !pending.ends_chunk(4));
        let mut gone = Vec::new();
        pending.release(4, |data| gone.push((data.bytes.to_vec(), data.range.start)));
        assert_eq!(gone, [(b"abc".to_vec(), 10), (b"d".to_vec(), 20)]);
        assert!(pending.ends_chunk(1) && pending.ends_chunk(5));
        let rest: Vec<_> = pending.chunks().map(|p| (p.bytes, p.range.start)).collect();
        assert_eq!(rest, [(&b"e"[..], 21), (b"fghi", 22)]);
        pending.release(9, |_| ());
        assert_eq!(pending.chunks().count(), 0);
    }
}
