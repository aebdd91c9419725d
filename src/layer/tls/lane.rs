//! One direction: what waits, what was missed, and telling every byte once.
//!
//! ```text
//! Records ─→ [ waiting: record, hole, record … ] ─→ opened ─→ Chunk, LayerBytes, Note
//!                     └ for the other side's hello, or for a secret
//! ```
//! Order is kept: while one record waits, so does all that follows. A gap is
//! told together with the record after it, because only that one shows how
//! much of what would have been passed on was lost.

use crate::direction::Direction;
use std::collections::VecDeque;

use super::handshake::Messages;
use super::record::{Hole, Item, Part, Record, Records};
use super::search::{Budget, Doubt};
use super::{v12, v13};
use crate::flow::At;
use crate::layer::{ByteRange, Chunk, LayerBytes, LayerOutput, Sink};

/// One direction.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) records: Records,
    pub(super) messages: Messages,
    pub(super) v12: v12::Reader,
    pub(super) v13: v13::Reader,
    /// Records that may have been missed since the last one that was read.
    pub(super) doubt: Doubt,
    pub(super) budget: Budget,
    pub(super) missed: Missed,
    /// The packet that completed the last record.
    pub(super) last: Option<At>,
    /// Whether anything has come.
    pub(super) began: bool,
    /// Whether something was lost.
    pub(super) holes: bool,
    /// Application data has been read.
    pub(super) data: bool,
    /// Records were padded though they need not be.
    pub(super) padded: bool,
    /// It was reported that records cannot be read, since the last that could.
    pub(super) told: bool,
    /// Key log and facts with which it was last tried to go on.
    pub(super) stuck: Option<(u64, u64)>,
    /// With their turns.
    waiting: VecDeque<(u64, Kept)>,
    waiting_bytes: usize,
}

/// What was not read since the last record that was.
#[derive(Default)]
pub(super) struct Missed {
    /// Bytes of it, headers included.
    pub(super) bytes: u64,
    /// The part of it that was not told yet.
    hole: Option<Hole>,
    /// It was reported as a gap of unknown length.
    told: bool,
}

/// Something that waits.
pub(super) enum Kept {
    Record {
        start: u64,
        bytes: Vec<u8>,
        parts: Vec<Part>,
        /// It came before the handshake was over.
        early: bool,
    },
    Hole(Hole),
    Foreign(At, u8),
}

impl Kept {
    fn new(item: Item<'_>, early: bool) -> Self {
        match item {
            Item::Record(record) => Self::Record {
                start: record.start,
                bytes: record.bytes.into(),
                parts: record.parts.into(),
                early,
            },
            Item::Hole(hole) => Self::Hole(hole.clone()),
            Item::Foreign(at, byte) => Self::Foreign(at, byte),
        }
    }

    /// As it came, and whether it came before the handshake was over.
    pub(super) fn item(&self) -> (Item<'_>, bool) {
        match self {
            Self::Record {
                start,
                bytes,
                parts,
                early,
            } => {
                let start = *start;
                let record = Record {
                    start,
                    bytes,
                    parts,
                };
                (Item::Record(record), *early)
            }
            Self::Hole(hole) => (Item::Hole(hole), false),
            Self::Foreign(at, byte) => (Item::Foreign(*at, *byte), false),
        }
    }

    fn cost(&self) -> usize {
        let own = match self {
            Self::Record { bytes, parts, .. } => bytes.len() + size_of_val(&**parts),
            Self::Hole(hole) => size_of_val(&*hole.stretches),
            Self::Foreign(..) => 0,
        };
        own + size_of::<(u64, Self)>()
    }
}

impl Lane {
    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Has something wait.
    pub(super) fn wait(&mut self, turn: u64, item: Item<'_>, early: bool) {
        let kept = Kept::new(item, early);
        self.waiting_bytes += kept.cost();
        self.waiting.push_back((turn, kept));
    }

    /// The turn of what has waited longest.
    pub(super) fn turn(&self) -> Option<u64> {
        self.waiting.front().map(|(turn, _)| *turn)
    }

    /// What has waited longest.
    pub(super) fn next(&mut self) -> Option<(u64, Kept)> {
        let (turn, kept) = self.waiting.pop_front()?;
        self.waiting_bytes -= kept.cost();
        Some((turn, kept))
    }

    /// Has it wait on.
    pub(super) fn put_back(&mut self, turn: u64, kept: Kept) {
        self.waiting_bytes += kept.cost();
        self.waiting.push_front((turn, kept));
    }

    /// Bytes of what waits.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes kept.
    pub(super) fn kept(&self) -> usize {
        self.waiting_bytes + self.records.kept() + self.messages.kept()
    }

    /// Takes a gap; it is reported with what follows.
    pub(super) fn miss(&mut self, hole: &Hole) {
        let bytes = hole.end() - hole.start;
        self.missed.bytes += bytes;
        self.holes = true;
        match hole.one {
            true => self.doubt.one(),
            false => self
                .doubt
                .bytes(bytes, self.v13.suite().or(self.v12.suite())),
        }
        self.messages.lost();
        match &mut self.missed.hole {
            Some(before) => {
                let start = before.end();
                before.stretches.extend(&hole.stretches);
                debug_assert_eq!(start, hole.start);
            }
            None => self.missed.hole = Some(hole.clone()),
        }
    }

    /// Reports what was missed: so many bytes of content, if that is known.
    /// `next` is where the next record begins, if there is one.
    pub(super) fn tell_missed(
        &mut self,
        direction: Direction,
        next: Option<u64>,
        len: Option<u64>,
        out: Sink<'_>,
    ) {
        let unknown = len.is_none();
        let hole = self.missed.hole.take();
        let absent = hole.iter().flat_map(Hole::places).any(|(_, here)| !here);
        let mut left = len;
        let mut gap = |range, out: &mut dyn FnMut(Direction, LayerOutput<'_>)| {
            out(
                direction,
                LayerOutput::Chunk(Chunk::Gap { range, len: left }),
            );
            left = left.map(|_| 0);
        };
        // Nothing is absent from the stream, and yet content was not read.
        if let Some(next) = next
            && self.missed.bytes > 0
            && !absent
            && len != Some(0)
            && !self.missed.told
        {
            let at = hole.as_ref().map_or(next, |hole| hole.start);
            gap(ByteRange { start: at, end: at }, out);
        }
        for (range, here) in hole.iter().flat_map(Hole::places) {
            match here {
                true => out(direction, LayerOutput::Own(range, LayerBytes::Unread)),
                false => gap(range, out),
            }
        }
        self.missed.told |= unknown;
    }

    /// A record was read: nothing is missed any more.
    pub(super) fn caught_up(&mut self) {
        self.doubt = Doubt::default();
        self.missed = Missed::default();
        self.told = false;
    }

    /// Whether a gap was not told yet.
    pub(super) fn has_hole(&self) -> bool {
        self.missed.hole.is_some()
    }
}
