//! One direction: waiting records, losses, and every byte reported once.
//!
//! ```text
//! Records ─→ [ waiting: record, gap, record … ] ─→ opened ─→ Chunk, LayerBytes, Note
//!                     └ for the other side's hello, or for a secret
//! ```
//! Order is waiting: while one record waits, so does all that follows. A gap is
//! reported together with the record after it, because only that one shows how
//! much content was lost.

use crate::direction::Direction;
use std::collections::VecDeque;

use super::handshake::Messages;
use super::record::{Item, Part, Record, RecordGap, Records};
use super::search::{Budget, Doubt};
use super::{v12, v13};
use crate::flow::At;
use crate::layer::{ByteRange, Chunk, LayerBytes, LayerOutput, Sink};

/// The state of one direction.
#[derive(Default)]
pub(super) struct StreamState {
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
    pub(super) has_gaps: bool,
    /// Application data has been read.
    pub(super) data: bool,
    /// Records were padded though they need not be.
    pub(super) padded: bool,
    /// It was reported that records cannot be read, since the last that could.
    pub(super) reported: bool,
    /// Key log and facts with which it was last tried to go on.
    pub(super) stuck: Option<(u64, u64)>,
    /// With their sequencer.
    waiting: VecDeque<(u64, Waiting)>,
    waiting_bytes: usize,
}

/// Bytes that were not read since the last record that was.
#[derive(Default)]
pub(super) struct Missed {
    /// Bytes of it, headers included.
    pub(super) bytes: u64,
    /// The part of it that was not reported yet.
    gap: Option<RecordGap>,
    /// It was reported as a gap of unknown length.
    reported: bool,
}

/// Something that waits.
pub(super) enum Waiting {
    Record {
        start: u64,
        bytes: Vec<u8>,
        parts: Vec<Part>,
        /// It came before the handshake was over.
        early: bool,
    },
    Gap(RecordGap),
    Foreign(At, u8),
}

impl Waiting {
    fn new(item: Item<'_>, early: bool) -> Self {
        match item {
            Item::Record(record) => Self::Record {
                start: record.start,
                bytes: record.bytes.into(),
                parts: record.parts.into(),
                early,
            },
            Item::Gap(gap) => Self::Gap(gap.clone()),
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
            Self::Gap(gap) => (Item::Gap(gap), false),
            Self::Foreign(at, byte) => (Item::Foreign(*at, *byte), false),
        }
    }

    fn cost(&self) -> usize {
        let own = match self {
            Self::Record { bytes, parts, .. } => bytes.len() + size_of_val(&**parts),
            Self::Gap(gap) => size_of_val(&*gap.ends),
            Self::Foreign(..) => 0,
        };
        own + size_of::<(u64, Self)>()
    }
}

impl StreamState {
    /// Whether something waits.
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Has something wait.
    pub(super) fn wait(&mut self, arrival: u64, item: Item<'_>, early: bool) {
        let waiting = Waiting::new(item, early);
        self.waiting_bytes += waiting.cost();
        self.waiting.push_back((arrival, waiting));
    }

    /// The arrival number of the record that has waited longest.
    pub(super) fn first_arrival(&self) -> Option<u64> {
        self.waiting.front().map(|(arrival, _)| *arrival)
    }

    /// The record that has waited longest.
    pub(super) fn next(&mut self) -> Option<(u64, Waiting)> {
        let (arrival, waiting) = self.waiting.pop_front()?;
        self.waiting_bytes -= waiting.cost();
        Some((arrival, waiting))
    }

    /// Has it wait on.
    pub(super) fn put_back(&mut self, arrival: u64, waiting: Waiting) {
        self.waiting_bytes += waiting.cost();
        self.waiting.push_front((arrival, waiting));
    }

    /// Bytes of waiting records.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Bytes waiting.
    pub(super) fn kept(&self) -> usize {
        self.waiting_bytes + self.records.kept() + self.messages.kept()
    }

    /// Takes a gap; it is reported with the next record.
    pub(super) fn miss(&mut self, gap: &RecordGap) {
        let bytes = gap.end() - gap.start;
        self.missed.bytes += bytes;
        self.has_gaps = true;
        match gap.one {
            true => self.doubt.one(),
            false => self
                .doubt
                .bytes(bytes, self.v13.suite().or(self.v12.suite())),
        }
        self.messages.lost();
        match &mut self.missed.gap {
            Some(before) => {
                let start = before.end();
                before.ends.extend(&gap.ends);
                debug_assert_eq!(start, gap.start);
            }
            None => self.missed.gap = Some(gap.clone()),
        }
    }

    /// Reports a loss: so many bytes of content, if that is known.
    /// `next` is where the next record begins, if there is one.
    pub(super) fn emit_missed(
        &mut self,
        direction: Direction,
        next: Option<u64>,
        len: Option<u64>,
        out: Sink<'_>,
    ) {
        let unknown = len.is_none();
        let lost = self.missed.gap.take();
        let absent = lost
            .iter()
            .flat_map(RecordGap::ranges)
            .any(|(_, here)| !here);
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
            && !self.missed.reported
        {
            let at = lost.as_ref().map_or(next, |lost| lost.start);
            gap(ByteRange { start: at, end: at }, out);
        }
        for (range, here) in lost.iter().flat_map(RecordGap::ranges) {
            match here {
                true => out(direction, LayerOutput::Own(range, LayerBytes::Unread)),
                false => gap(range, out),
            }
        }
        self.missed.reported |= unknown;
    }

    /// A record was read: nothing is missed any more.
    pub(super) fn caught_up(&mut self) {
        self.doubt = Doubt::default();
        self.missed = Missed::default();
        self.reported = false;
    }

    /// Whether a gap was not reported yet.
    pub(super) fn has_unreported_gap(&self) -> bool {
        self.missed.gap.is_some()
    }
}
