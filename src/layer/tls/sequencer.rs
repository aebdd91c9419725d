//! Passes on the output of both directions in the order in which it was captured.
//!
//! ```text
//! up      1 ─────── 3 waits for its secret ────── 6
//! down        2 ─────────── 4 ── 5 can be read
//! out     1   2             └────┴ queued until 3 is reported
//! ```
//! Each direction is read by itself, and the secrets of one may be known before
//! those of the other: a key log that is still being written has them line by
//! line. An answer passed on before its request would look like a violation of
//! the protocol; so output is queued while something that arrived before it
//! waits. All that waits and is queued has one limit, [`limits::TLS_WAITING`].
//!
//! Early data is queued as well, until it is known whether the server accepted
//! it (RFC 8446, 4.2.10). Rejected early data was read by no one: it is reported
//! as unread, and a client that wants it delivered sends it again.
//!
//! [`limits::TLS_WAITING`]: crate::limits::TLS_WAITING

use std::collections::VecDeque;

use super::facts::EarlyData;
use super::unreadable::Unreadable;
use crate::direction::{Direction, PerDirection};
use crate::flow::At;
use crate::layer::{ByteRange, Chunk, Data, LayerBytes, LayerOutput, Note, Seal, Sink};

/// Output that is queued, and how many items have arrived.
#[derive(Default)]
pub(super) struct Sequencer {
    arrived: u64,
    queues: PerDirection<VecDeque<Queued>>,
    bytes: usize,
    /// The outcome of early data was reported.
    reported: bool,
}

struct Queued {
    /// Arrival number of the item that it belongs to.
    arrival: u64,
    /// It is early data, or lies among it.
    early: bool,
    output: Output,
}

enum Output {
    Data(Box<[u8]>, ByteRange, At, Option<Seal>),
    Gap(ByteRange, Option<u64>),
    Own(ByteRange, LayerBytes),
    Note(Note, At),
}

impl Sequencer {
    /// The number of an item that arrives now.
    pub(super) fn arrive(&mut self) -> u64 {
        self.arrived += 1;
        self.arrived
    }

    /// Whether the output of an item must be queued; `other` is the arrival
    /// number of the item that the other direction waits for.
    pub(super) fn must_queue(
        &self,
        direction: Direction,
        arrival: u64,
        other: Option<u64>,
    ) -> bool {
        let before = |front: &Queued| front.arrival < arrival;
        !self.queues[direction].is_empty()
            || other.is_some_and(|other| other < arrival)
            || self.queues[direction.reversed()]
                .front()
                .is_some_and(before)
    }

    /// Whether early data is queued.
    pub(super) fn has_early_data(&self) -> bool {
        self.queues.up.iter().any(|queued| queued.early)
    }

    /// Queues output of an item.
    pub(super) fn queue(
        &mut self,
        arrival: u64,
        early: bool,
        direction: Direction,
        output: LayerOutput<'_>,
    ) {
        let output = match output {
            LayerOutput::Chunk(Chunk::Data(data)) => {
                Output::Data(data.bytes.into(), data.range, data.at, data.seal)
            }
            LayerOutput::Chunk(Chunk::Gap { range, len }) => Output::Gap(range, len),
            LayerOutput::Own(range, own) => Output::Own(range, own),
            LayerOutput::Note(note, at) => Output::Note(note, at),
        };
        let queued = Queued {
            arrival,
            early,
            output,
        };
        self.bytes += queued.cost();
        self.queues[direction].push_back(queued);
    }

    /// Passes on output that need not be queued any more. `waits` gives the arrival
    /// number of the item that each direction waits for.
    pub(super) fn release(
        &mut self,
        early: EarlyData,
        waits: impl Fn(Direction) -> Option<u64>,
        out: Sink<'_>,
    ) {
        while let Some((direction, arrival, is_early)) = self.first() {
            let blocked = waits(direction.reversed()).is_some_and(|other| other < arrival);
            if blocked || (is_early && early == EarlyData::Undecided) {
                return;
            }
            let Some(queued) = self.queues[direction].pop_front() else {
                return;
            };
            self.bytes -= queued.cost();
            match queued.early && early != EarlyData::Accepted {
                true => self.emit_unread(direction, &queued.output, early, out),
                false => queued.output.emit(direction, out),
            }
        }
        for queue in &mut self.queues {
            queue.shrink_to(16);
        }
    }

    /// Bytes that are queued.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The direction whose output arrived first, its arrival number, and whether
    /// it is early data.
    fn first(&self) -> Option<(Direction, u64, bool)> {
        let front = |direction| {
            let queued = self.queues[direction].front()?;
            Some((direction, queued.arrival, queued.early))
        };
        Direction::ALL
            .into_iter()
            .filter_map(front)
            .min_by_key(|(_, arrival, _)| *arrival)
    }

    /// Reports early data that the server rejected, or may have rejected.
    fn emit_unread(
        &mut self,
        direction: Direction,
        output: &Output,
        early: EarlyData,
        out: Sink<'_>,
    ) {
        let rejected = early == EarlyData::Rejected;
        if let Output::Data(_, range, at, _) = output
            && !std::mem::replace(&mut self.reported, true)
        {
            match rejected {
                true => out(direction, LayerOutput::Note(Note::EarlyDataRejected, *at)),
                false => {
                    let why = Unreadable::EarlyDataUnknown;
                    out(direction, LayerOutput::Note(Note::Undecrypted(why), *at));
                    // How much is missing here is unknown.
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
        match *output {
            Output::Data(_, range, ..) => {
                out(direction, LayerOutput::Own(range, LayerBytes::Unread))
            }
            Output::Gap(range, len) => {
                let len = if rejected { Some(0) } else { len };
                out(direction, LayerOutput::Chunk(Chunk::Gap { range, len }));
            }
            _ => output.emit(direction, out),
        }
    }
}

impl Queued {
    fn cost(&self) -> usize {
        let own = match &self.output {
            Output::Data(bytes, ..) => bytes.len(),
            _ => 0,
        };
        own + size_of::<Self>()
    }
}

impl Output {
    fn emit(&self, direction: Direction, out: Sink<'_>) {
        let output = match self {
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
        out(direction, output);
    }
}
