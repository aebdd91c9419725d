//! One direction's stream, as the accounting sees it: what its bytes are, which
//! of them were seen and acknowledged, and which frames wait to know.

use super::super::carriage::Carriage;
use super::super::label::Labels;
use super::super::ranges::Ranges;
use super::head::Head;
use crate::frame::Direction;
use crate::limits;
use crate::time::Timestamp;

/// A frame that waits for the labels of a stream.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) kind: Kind,
    /// Which way it went.
    pub(super) direction: Direction,
    /// The stretch of the stream that it carries, or acknowledges.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) head: Head,
    pub(super) time: Timestamp,
}

/// What it does with that stream.
#[derive(Debug)]
pub(super) enum Kind {
    /// Payload; which parts of it are new.
    Data(Fresh),
    /// An acknowledgement of these bytes.
    Ack,
}

/// Which bytes of a segment were not seen before.
#[derive(Debug)]
pub(super) enum Fresh {
    All,
    Nothing,
    Some(Vec<(i64, i64)>),
}

impl Fresh {
    /// Those of `from..to` that lie in some ranges.
    pub(super) fn new(ranges: Vec<(i64, i64)>, from: i64, to: i64) -> Self {
        match ranges[..] {
            [] => Self::Nothing,
            [(start, end)] if start <= from && end >= to => Self::All,
            _ => Self::Some(ranges),
        }
    }
}

/// One direction's stream.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) labels: Labels,
    /// Where layers lie between this stream and MQTT.
    pub(super) carriage: Option<Box<Carriage>>,
    pub(super) seen: Ranges,
    /// Whether the SYN was seen.
    pub(super) syn: bool,
    /// Up to where the peer has acknowledged; −1 before the SYN is.
    pub(super) acked: Option<i64>,
    /// Where the stream ends, once a FIN was seen.
    pub(super) fin: Option<i64>,
    /// Frames that carry or acknowledge this stream and wait for its labels.
    pub(super) waiting: Vec<Waiting>,
    /// The sender probed the connection; the peer's answer is still to come.
    pub(super) probed: bool,
    /// The largest segment that the sender offers to take.
    pub(super) mss: Option<u16>,
}

impl Lane {
    /// The peer has acknowledged up to an offset.
    pub(super) fn acknowledge(&mut self, acked: i64) -> Progress {
        let seen = self.seen.start();
        let before = match (self.acked, self.syn) {
            (Some(before), _) => before,
            (None, true) => -1,
            // Joined in the middle: what came before is not known.
            (None, false) => match seen {
                Some(start) if start < acked => start,
                _ => {
                    self.acked = Some(acked);
                    return Progress::Unknown;
                }
            },
        };
        if acked <= before {
            return Progress::None;
        }
        self.acked = Some(acked);
        let last = self.fin.map_or(acked, |fin| fin.min(acked));
        let first = before.max(0);
        if acked <= 0 {
            Progress::Syn
        } else if first < last {
            Progress::Bytes {
                from: first,
                to: last,
            }
        } else {
            Progress::Fin
        }
    }

    /// Makes many waiting frames few. Those that lie within a single control
    /// packet, as all but the first must that follow each other without one
    /// having ended, are posted alike: their headers add up.
    pub(super) fn fold(&mut self) {
        self.waiting
            .sort_by_key(|w| (matches!(w.kind, Kind::Ack), w.from));
        let mut folded: Vec<Waiting> = Vec::new();
        for waiting in self.waiting.drain(..) {
            if let Some(last) = folded.last_mut()
                && last.from >= self.labels.cursor
                && last.to == waiting.from
                && last.direction == waiting.direction
                && matches!(
                    (&last.kind, &waiting.kind),
                    (Kind::Data(Fresh::All), Kind::Data(Fresh::All)) | (Kind::Ack, Kind::Ack)
                )
            {
                last.to = waiting.to;
                last.head.add(&waiting.head);
            } else {
                folded.push(waiting);
            }
        }
        self.waiting = folded;
        if self.waiting.len() > limits::WAITING_FRAMES / 2 {
            // Holes all over the place: what comes later has no label.
            self.labels.cursor = self.waiting[self.waiting.len() / 2].to;
        }
    }
}

/// What an acknowledgement newly acknowledges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing.
    None,
    /// The SYN alone.
    Syn,
    /// Bytes, whatever else.
    Bytes { from: i64, to: i64 },
    /// The FIN alone.
    Fin,
    /// Nobody knows: the capture begins in the middle.
    Unknown,
}

impl Progress {
    pub(super) fn is_new(self) -> bool {
        matches!(self, Self::Syn | Self::Bytes { .. } | Self::Fin)
    }
}
