//! Which captured packet carried which bytes of a stream, as far back as the
//! control packet that is not complete yet.

use crate::flow::At;

/// The packets behind the bytes of one direction, by position. A piece reaches
/// to where the next begins.
#[derive(Debug, Default)]
pub(super) struct Provenance {
    pieces: Vec<(u64, At)>,
}

impl Provenance {
    /// Bytes from `offset` on came with `at`.
    pub(super) fn push(&mut self, offset: u64, at: At) {
        self.pieces.push((offset, at));
    }

    /// Nothing before `pending` (or nothing at all) will be asked for again.
    /// With `one_packet` everything from there on belongs to a single control
    /// packet, of which only the first and the latest captured packet matter.
    pub(super) fn settle(&mut self, pending: Option<u64>, one_packet: bool) {
        let Some(pending) = pending else {
            self.pieces.clear();
            return;
        };
        let first = self.index(pending);
        self.pieces.drain(..first);
        if one_packet && self.pieces.len() > 2 {
            let latest = self.latest(pending, u64::MAX);
            self.pieces.truncate(2);
            self.pieces[1].1 = latest;
        }
    }

    fn index(&self, offset: u64) -> usize {
        self.pieces
            .partition_point(|&(start, _)| start <= offset)
            .saturating_sub(1)
    }

    /// The packet that carried the byte at `offset`.
    pub(super) fn first(&self, offset: u64) -> At {
        self.pieces
            .get(self.index(offset))
            .map_or_else(At::default, |&(_, at)| at)
    }

    /// The latest of the packets that carried the bytes from `offset` up to
    /// `end`: the one that completed them.
    pub(super) fn latest(&self, offset: u64, end: u64) -> At {
        self.pieces[self.index(offset)..]
            .iter()
            .take_while(|&&(start, _)| start < end)
            .map(|&(_, at)| at)
            .max_by_key(|at| (at.time, at.packet))
            .unwrap_or_default()
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
        provenance.push(0, at(1));
        provenance.push(10, at(4));
        provenance.push(20, at(2));
        assert_eq!(provenance.first(0), at(1));
        assert_eq!(provenance.first(19), at(4));
        assert_eq!(provenance.latest(5, 30), at(4));
        assert_eq!(provenance.latest(20, 30), at(2));
        provenance.settle(Some(5), true);
        provenance.push(30, at(5));
        assert_eq!(provenance.first(5), at(1));
        assert_eq!(provenance.latest(5, 30), at(4));
        assert_eq!(provenance.latest(5, 31), at(5));
        provenance.settle(None, false);
        assert_eq!(provenance.first(40), At::default());
    }
}
