//! The ledger's view of one direction's stream: labels, captured and acknowledged
//! bytes, and waiting frames.

use std::collections::VecDeque;

use super::super::carriage::Carriage;
use super::super::label::{Label, Labels};
use super::super::ranges::{Fresh, Ranges};
use super::head::HeaderBytes;
use crate::frame::Direction;
use crate::limits;
use crate::time::Timestamp;

/// A frame that waits for the labels of a stream.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) kind: Kind,
    /// Its direction.
    pub(super) direction: Direction,
    /// The range of the stream that it carries, or acknowledges.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) header: HeaderBytes,
    pub(super) time: Timestamp,
}

/// What the frame does to the stream.
#[derive(Debug)]
pub(super) enum Kind {
    /// Carries payload; these ranges of it are new.
    Data(Fresh),
    /// An acknowledgement of these bytes.
    Ack,
}

/// Frames that wait, ordered by their start, as labels arrive in that order. Few
/// streams have some at a time: one word in each stream, and queues are used again.
type Queue = Box<VecDeque<Waiting>>;

/// Queues that are not in use.
#[derive(Debug, Default)]
pub(super) struct Queues(Vec<Queue>);

/// One direction's stream.
#[derive(Debug, Default)]
pub(super) struct StreamLedger {
    pub(super) labels: Labels,
    /// Whether there are layers between this stream and MQTT.
    pub(super) carriage: Option<Box<Carriage>>,
    pub(super) seen: Ranges,
    /// Up to where the peer has acknowledged; −1 before the SYN is.
    acked: Option<i64>,
    /// End of the stream, once a FIN was captured.
    fin: Option<i64>,
    /// Frames that carry or acknowledge this stream and wait for labels.
    waiting: Option<Queue>,
    /// The sender's maximum segment size.
    pub(super) mss: Option<u16>,
    /// Whether the SYN was captured.
    pub(super) syn: bool,
    /// The sender has probed the connection, and the peer has not answered yet.
    pub(super) probed: bool,
}

impl StreamLedger {
    /// A FIN was captured, at an offset.
    pub(super) fn end_at(&mut self, offset: i64) {
        self.fin.get_or_insert(offset);
    }

    /// The peer has acknowledged up to an offset.
    pub(super) fn acknowledge(&mut self, acked: i64) -> Progress {
        let before = match (self.acked, self.syn) {
            (Some(before), _) => before,
            (None, true) => -1,
            // The capture starts in the middle of the stream.
            (None, false) => match self.seen.start() {
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

    /// Inserts a waiting frame, nearly always as the last.
    pub(super) fn wait(&mut self, frame: Waiting, queues: &mut Queues) {
        let waiting = self
            .waiting
            .get_or_insert_with(|| queues.0.pop().unwrap_or_default());
        match waiting.back() {
            Some(last) if last.from > frame.from => {
                let at = waiting.partition_point(|w| w.from <= frame.from);
                waiting.insert(at, frame);
            }
            _ => waiting.push_back(frame),
        }
        if waiting.len() > limits::WAITING_FRAMES {
            self.fold();
        }
    }

    /// The next frame whose bytes all lie before `cursor`.
    pub(super) fn next_ready(&mut self, cursor: i64, queues: &mut Queues) -> Option<Waiting> {
        let waiting = self.waiting.as_mut()?;
        match waiting.front() {
            Some(first) if first.to <= cursor => waiting.pop_front(),
            Some(_) => None,
            None => {
                queues.0.extend(self.waiting.take());
                None
            }
        }
    }

    /// Drops and returns a label that is no longer needed.
    pub(super) fn prune(&mut self) -> Option<Label> {
        let first = self.waiting.as_ref().and_then(|waiting| waiting.front());
        let waiting = first.map_or(i64::MAX, |first| first.from);
        self.labels.prune(self.acked.unwrap_or(0), waiting)
    }

    /// Gives back memory that is not used.
    pub(super) fn shrink(&mut self) {
        self.labels.shrink();
    }

    /// Merges waiting frames. Consecutive frames within a single control packet,
    /// except the first, are charged alike: their headers add up.
    fn fold(&mut self) {
        let Some(queue) = &mut self.waiting else {
            return;
        };
        let mut folded: Vec<Waiting> = Vec::new();
        let acks = |w: &Waiting| matches!(w.kind, Kind::Ack);
        queue.make_contiguous().sort_by_key(acks);
        for waiting in queue.drain(..) {
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
                last.header.add(&waiting.header);
            } else {
                folded.push(waiting);
            }
        }
        folded.sort_by_key(|w| w.from);
        **queue = folded.into();
        if queue.len() > limits::WAITING_FRAMES / 2 {
            // Too many gaps: later ranges get no label.
            let middle = &queue[queue.len() / 2];
            self.labels.cursor = self.labels.cursor.max(middle.to);
        }
    }
}

/// What an acknowledgement acknowledges for the first time.
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
    /// Unknown: the capture starts in the middle.
    Unknown,
}

impl Progress {
    pub(super) fn is_new(self) -> bool {
        matches!(self, Self::Syn | Self::Bytes { .. } | Self::Fin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(from: i64, to: i64) -> Waiting {
        Waiting {
            kind: Kind::Data(Fresh::All),
            direction: Direction::Up,
            from,
            to,
            header: HeaderBytes {
                l2: 54,
                l3: 40,
                packets: 1,
            },
            time: Timestamp::MIN,
        }
    }

    /// All that wait, once everything has its label.
    fn all(stream: &mut StreamLedger, queues: &mut Queues) -> Vec<Waiting> {
        std::iter::from_fn(|| stream.next_ready(i64::MAX, queues)).collect()
    }

    #[test]
    fn frames_of_one_long_packet_are_merged() {
        let (mut stream, mut queues) = (StreamLedger::default(), Queues::default());
        let count = 5 * limits::WAITING_FRAMES as i64;
        for n in 0..count {
            stream.wait(waiting(10 * n, 10 * n + 10), &mut queues);
            let len = stream.waiting.as_ref().map_or(0, |queue| queue.len());
            assert!(len <= limits::WAITING_FRAMES);
        }
        let all = all(&mut stream, &mut queues);
        assert!(all.len() <= limits::WAITING_FRAMES);
        // Not a header is missing, nor a byte.
        assert_eq!(
            all.iter().map(|it| it.header.packets).sum::<u64>(),
            count as u64
        );
        assert_eq!(
            all.iter().map(|it| it.to - it.from).sum::<i64>(),
            10 * count
        );
    }

    #[test]
    fn frames_with_gaps_between_them_wait_for_no_label_beyond_the_limit() {
        let (mut stream, mut queues) = (StreamLedger::default(), Queues::default());
        let count = 5 * limits::WAITING_FRAMES as i64;
        let mut charged = 0;
        for n in 0..count {
            stream.wait(waiting(20 * n, 20 * n + 10), &mut queues);
            let cursor = stream.labels.cursor;
            while stream.next_ready(cursor, &mut queues).is_some() {
                charged += 1;
            }
            let len = stream.waiting.as_ref().map_or(0, |queue| queue.len());
            assert!(len <= limits::WAITING_FRAMES + 1);
        }
        assert!(stream.labels.cursor > 10 * count);
        assert_eq!(charged + all(&mut stream, &mut queues).len() as i64, count);
    }
}
