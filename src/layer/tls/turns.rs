//! Hands on what both directions carry in the order in which it was captured.
//!
//! ```text
//! up      1 ─────── 3 waits for its secret ────── 6
//! down        2 ─────────── 4 ── 5 can be read
//! out     1   2             └────┴ held until 3 is reported
//! ```
//! Each direction is read by itself, and the secrets of one may be known before
//! those of the other: a key log that is still being written has them line by
//! line. Who saw an answer before its question would think that somebody broke
//! the protocol; so what is read is held back while something that came before
//! it waits. All that waits and is held has one limit, [`limits::TLS_WAITING`].
//!
//! Early data is held as well, until it is known whether the server took it
//! (RFC 8446, 4.2.10). What it did not take, nobody has read: it is reported as
//! unread, and a client that means it sends it again.
//!
//! [`limits::TLS_WAITING`]: crate::limits::TLS_WAITING

use crate::direction::Direction;
use std::collections::VecDeque;

use super::facts::EarlyData;
use crate::flow::At;
use crate::layer::{ByteRange, Chunk, Data, LayerBytes, LayerOutput, Note, Seal, Sink};

/// What is held, and how many items have come.
#[derive(Default)]
pub(super) struct Turns {
    arrived: u64,
    up: VecDeque<Held>,
    down: VecDeque<Held>,
    bytes: usize,
    /// What became of early data was reported.
    told: bool,
}

struct Held {
    /// Of which item it is.
    turn: u64,
    /// It is early data, or lies among it.
    early: bool,
    what: What,
}

enum What {
    Data(Box<[u8]>, ByteRange, At, Option<Seal>),
    Gap(ByteRange, Option<u64>),
    Own(ByteRange, LayerBytes),
    Note(Note, At),
}

impl Turns {
    /// The turn of an item that has come now.
    pub(super) fn arrive(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Whether what an item gives must be held; `other` is the turn for which
    /// the other direction waits.
    pub(super) fn holds(&self, direction: Direction, turn: u64, other: Option<u64>) -> bool {
        let before = |front: &Held| front.turn < turn;
        !self.held(direction).is_empty()
            || other.is_some_and(|other| other < turn)
            || self.held(direction.reversed()).front().is_some_and(before)
    }

    /// Whether early data is held.
    pub(super) fn hold_early(&self) -> bool {
        self.up.iter().any(|held| held.early)
    }

    /// Holds something.
    pub(super) fn hold(
        &mut self,
        turn: u64,
        early: bool,
        direction: Direction,
        passed: LayerOutput<'_>,
    ) {
        let what = match passed {
            LayerOutput::Chunk(Chunk::Data(piece)) => {
                What::Data(piece.bytes.into(), piece.range, piece.at, piece.seal)
            }
            LayerOutput::Chunk(Chunk::Gap { range, len }) => What::Gap(range, len),
            LayerOutput::Own(range, own) => What::Own(range, own),
            LayerOutput::Note(note, at) => What::Note(note, at),
        };
        let held = Held { turn, early, what };
        self.bytes += held.cost();
        self.held_mut(direction).push_back(held);
    }

    /// Hands on what need not be held any more. `waits` is for which turn each
    /// direction waits.
    pub(super) fn release(
        &mut self,
        early: EarlyData,
        waits: impl Fn(Direction) -> Option<u64>,
        out: Sink<'_>,
    ) {
        while let Some((direction, turn, is_early)) = self.first() {
            let blocked = waits(direction.reversed()).is_some_and(|other| other < turn);
            if blocked || (is_early && early == EarlyData::Undecided) {
                return;
            }
            let Some(held) = self.held_mut(direction).pop_front() else {
                return;
            };
            self.bytes -= held.cost();
            match held.early && early != EarlyData::Accepted {
                true => self.tell_unread(direction, &held.what, early, out),
                false => held.what.tell(direction, out),
            }
        }
        self.up.shrink_to(16);
        self.down.shrink_to(16);
    }

    /// Bytes that are held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The direction whose turn it is, which that is, and whether it is one of
    /// early data.
    fn first(&self) -> Option<(Direction, u64, bool)> {
        let front = |direction| {
            let held = self.held(direction).front()?;
            Some((direction, held.turn, held.early))
        };
        let fronts = [front(Direction::Up), front(Direction::Down)];
        fronts
            .into_iter()
            .flatten()
            .min_by_key(|(_, turn, _)| *turn)
    }

    /// Reports early data that the server did not take, or may not have taken.
    fn tell_unread(&mut self, direction: Direction, what: &What, early: EarlyData, out: Sink<'_>) {
        let rejected = early == EarlyData::Rejected;
        if let What::Data(_, range, at, _) = what
            && !std::mem::replace(&mut self.told, true)
        {
            match rejected {
                true => out(direction, LayerOutput::Note(Note::EarlyDataRejected, *at)),
                false => {
                    let why = "whether the server took the early data is not known";
                    out(direction, LayerOutput::Note(Note::Undecrypted(why), *at));
                    // So nobody knows how much is lacking here.
                    let range = ByteRange {
                        start: range.start,
                        end: range.start,
                    };
                    out(
                        direction,
                        LayerOutput::Chunk(Chunk::Gap { range, len: None }),
                    );
                }
            }
        }
        match *what {
            What::Data(_, range, ..) => out(direction, LayerOutput::Own(range, LayerBytes::Unread)),
            What::Gap(range, len) => {
                let len = if rejected { Some(0) } else { len };
                out(direction, LayerOutput::Chunk(Chunk::Gap { range, len }));
            }
            _ => what.tell(direction, out),
        }
    }

    fn held(&self, direction: Direction) -> &VecDeque<Held> {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    fn held_mut(&mut self, direction: Direction) -> &mut VecDeque<Held> {
        match direction {
            Direction::Up => &mut self.up,
            Direction::Down => &mut self.down,
        }
    }
}

impl Held {
    fn cost(&self) -> usize {
        let own = match &self.what {
            What::Data(bytes, ..) => bytes.len(),
            _ => 0,
        };
        own + size_of::<Self>()
    }
}

impl What {
    fn tell(&self, direction: Direction, out: Sink<'_>) {
        let passed = match self {
            Self::Data(bytes, range, at, seal) => LayerOutput::Chunk(Chunk::Data(Data {
                bytes,
                range: *range,
                at: *at,
                seal: *seal,
            })),
            Self::Gap(range, len) => LayerOutput::Chunk(Chunk::Gap {
                range: *range,
                len: *len,
            }),
            Self::Own(range, own) => LayerOutput::Own(*range, *own),
            Self::Note(note, at) => LayerOutput::Note(*note, *at),
        };
        out(direction, passed);
    }
}
