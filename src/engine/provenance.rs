//! Maps bytes of an MQTT stream to captured packets and to ranges of the TCP
//! stream, back to the start of the incomplete control packet.
//!
//! Over plain TCP both streams are the same. A layer between them (see
//! [`crate::layer`]) reports the origin of each chunk.

use crate::flow::At;
use crate::layer::{ByteRange, Seal};

/// The packets of the bytes of one direction, by position. A chunk ends where the next
/// starts.
#[derive(Debug, Default)]
pub(super) struct Provenance {
    chunks: Vec<Data>,
}

#[derive(Debug)]
struct Data {
    /// Position in the MQTT stream.
    start: u64,
    at: At,
    /// `None` if the MQTT stream is the TCP stream.
    below: Option<Box<Below>>,
}

/// Range of a chunk in the TCP stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Below {
    pub(super) range: ByteRange,
    /// Its bytes in the MQTT stream.
    pub(super) len: u64,
    pub(super) seal: Option<Seal>,
}

impl Data {
    /// The packet without which its bytes cannot be read.
    fn complete(&self) -> At {
        let seal = self.below.as_ref().and_then(|below| below.seal);
        seal.map_or(self.at, |seal| seal.at)
    }
}

impl Below {
    /// Position in the TCP stream of the byte at offset `inside` from the first.
    fn position(&self, inside: u64) -> u64 {
        match self.range.len() == self.len {
            true => self.range.start + inside,
            // Compressed, or lost.
            false if inside < self.len => self.range.start,
            false => self.range.end,
        }
    }
}

impl Provenance {
    /// Bytes from `offset` on were captured at `at`.
    #[inline]
    pub(super) fn push(&mut self, offset: u64, at: At, below: Option<Below>) {
        // Nearly always there is one.
        if self.chunks.capacity() == 0 {
            self.chunks.reserve_exact(1);
        }
        self.chunks.push(Data {
            start: offset,
            at,
            below: below.map(Box::new),
        });
    }

    /// Nothing before `pending` (or nothing at all) is needed any more. With
    /// `one_packet`, everything from there on belongs to a single control
    /// packet, of which only the first and the latest captured packet matter.
    #[inline]
    pub(super) fn settle(&mut self, pending: Option<u64>, one_packet: bool) {
        match pending {
            Some(pending) => self.settle_before(pending, one_packet),
            None => self.chunks.clear(),
        }
    }

    #[inline(never)]
    fn settle_before(&mut self, pending: u64, one_packet: bool) {
        let first = self.index(pending);
        self.chunks.drain(..first);
        if one_packet && self.chunks.len() > 2 {
            let latest = self.latest(pending, u64::MAX);
            self.chunks.truncate(2);
            self.chunks[1].at = latest;
            self.chunks[1].below = None;
        }
    }

    fn index(&self, offset: u64) -> usize {
        self.chunks
            .partition_point(|chunk| chunk.start <= offset)
            .saturating_sub(1)
    }

    /// The packets that carried the first byte of the bytes from `offset` up to
    /// `end`, and that completed them.
    #[inline(always)]
    pub(super) fn of(&self, offset: u64, end: u64) -> (At, At) {
        match self.chunks.as_slice() {
            // Nearly always.
            [chunk] if chunk.start < end => (chunk.at, chunk.complete()),
            _ => (self.first(offset), self.latest(offset, end)),
        }
    }

    /// The packet that carried the byte at `offset`.
    pub(super) fn first(&self, offset: u64) -> At {
        self.chunks
            .get(self.index(offset))
            .map_or_else(At::default, |chunk| chunk.at)
    }

    /// The latest of the packets that carried the bytes from `offset` up to
    /// `end`: the one that completed them.
    fn latest(&self, offset: u64, end: u64) -> At {
        self.chunks[self.index(offset)..]
            .iter()
            .take_while(|chunk| chunk.start < end)
            .map(Data::complete)
            .max_by_key(|at| (at.time, at.packet))
            .unwrap_or_default()
    }

    /// The range in the TCP stream of the bytes from `offset` up to `end`, with
    /// everything that is needed to decode the last of them.
    pub(super) fn range(&self, offset: u64, end: u64) -> ByteRange {
        let position = |inside: u64, after: u64| {
            let chunk = self.chunks.get(self.index(inside))?;
            let below = chunk.below.as_deref()?;
            let position = below.position((inside + after).saturating_sub(chunk.start));
            Some((position, below.seal))
        };
        let start = position(offset, 0).map_or(offset, |(start, _)| start);
        let end = match position(end.saturating_sub(1), 1) {
            Some((_, Some(seal))) => seal.end,
            Some((end, None)) => end,
            None => end,
        };
        ByteRange {
            start,
            end: end.max(start),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PacketRef;
    use crate::time::Timestamp;

    fn at(number: u64) -> At {
        At {
            packet: PacketRef { number, file: 0 },
            time: Timestamp::from_nanos(number as i64),
            acked: 0,
        }
    }

    #[test]
    fn the_latest_packet_completes_even_when_it_carried_the_middle() {
        let mut provenance = Provenance::default();
        provenance.push(0, at(1), None);
        provenance.push(10, at(4), None);
        provenance.push(20, at(2), None);
        assert_eq!(provenance.first(0), at(1));
        assert_eq!(provenance.first(19), at(4));
        assert_eq!(provenance.latest(5, 30), at(4));
        assert_eq!(provenance.latest(20, 30), at(2));
        assert_eq!(provenance.range(5, 30), ByteRange { start: 5, end: 30 });
        provenance.settle(Some(5), true);
        provenance.push(30, at(5), None);
        assert_eq!(provenance.first(5), at(1));
        assert_eq!(provenance.latest(5, 30), at(4));
        assert_eq!(provenance.latest(5, 31), at(5));
        provenance.settle(None, false);
        assert_eq!(provenance.first(40), At::default());
    }

    #[test]
    fn places_are_those_of_the_tcp_stream() {
        let below = |start, end, len, seal: Option<(u64, u64)>| {
            Some(Below {
                range: ByteRange { start, end },
                len,
                seal: seal.map(|(end, number)| Seal {
                    end,
                    at: at(number),
                }),
            })
        };
        let mut provenance = Provenance::default();
        // A sealed chunk, one in clear, a compressed one.
        provenance.push(0, at(1), below(105, 115, 10, Some((131, 2))));
        provenance.push(10, at(3), below(133, 143, 10, None));
        provenance.push(20, at(4), below(143, 150, 30, Some((152, 5))));
        let range = |offset, end| {
            let range = provenance.range(offset, end);
            (range.start, range.end)
        };
        assert_eq!(range(2, 10), (107, 131));
        assert_eq!(range(2, 14), (107, 137));
        assert_eq!(range(12, 25), (135, 152));
        assert_eq!(range(25, 50), (143, 152));
        assert_eq!(provenance.latest(0, 10), at(2));
        assert_eq!(provenance.latest(0, 30), at(5));
    }
}
