//! [`Sequencer`]: puts frames into the order of events.
//!
//! A capture may have the two directions of a connection in any order: two tap
//! ports have no common clock, and a host with several queues captures an
//! answer before its request. The acknowledgement number of a segment shows
//! what its sender had received, so a frame whose first segment acknowledges
//! bytes of the other direction was sent after them:
//!
//! ```text
//! capture   < SUBACK  acknowledges 30 bytes of ─→, of which 16 were read
//!           > SUBSCRIBE, bytes 16 to 30
//! order     > SUBSCRIBE
//!           < SUBACK
//! ```
//! Such a frame is buffered, as a copy, until the other direction was read that
//! far, and later frames of its own direction are buffered behind it. Frames in one
//! record of TLS, or in one compressed message, end at the same offset: what ends there
//! was read when their packet was. It is
//! released early if the other direction lost its framing, if the buffer is
//! full, and when the connection or the capture ends; then `received.read`
//! shows that its order is unknown. Other frames pass through without a copy.
//! Two frames of which neither acknowledges the other crossed in transit, and
//! stay in the order of capture.
//!
//! Events of a direction keep their position among its frames. Events of the whole
//! connection come after everything that was captured before them.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::engine::{Output, Tcp};
use crate::event::{Event, EventKind};
use crate::flow::TcpFact;
use crate::frame::{Connection, Direction, MQTTFrame, PerDirection, Received, Transport};
use crate::layer::{ByteRange, Note};
use crate::limits;
use crate::mqtt::{self, FixedHeader, Text, Version};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Reorders the output of an engine.
#[derive(Debug, Default)]
pub(super) struct Sequencer {
    /// Connections with buffered frames, or with a direction that is not waited for.
    connections: HashMap<u64, Box<Pending>, foldhash::fast::FixedState>,
    /// Bytes buffered over all connections.
    bytes: usize,
    /// Connections of which this packet has brought frames that others wait for.
    awaited: Vec<u64>,
}

/// Buffered frames of a connection.
#[derive(Debug, Default)]
struct Pending {
    queues: PerDirection<VecDeque<Buffered>>,
    /// All frames of this direction that end at or before this offset were output.
    arrived: PerDirection<u64>,
    /// Where the latest frame of this direction ends. Others may end there, too, until
    /// its packet was read.
    latest: PerDirection<u64>,
    /// This direction is not waited for: it lost its framing, or did not
    /// deliver what was waited for.
    waived: PerDirection<bool>,
    turns: u64,
    bytes: usize,
    /// Time at which the oldest buffered frame was complete.
    since: Option<Timestamp>,
}

#[derive(Debug)]
struct Buffered {
    /// ByteRange in the order of capture.
    turn: u64,
    /// Position in its direction after which it is released.
    end: u64,
    /// Position in the other direction after which it is released.
    needs: u64,
    what: What,
}

#[derive(Debug)]
enum What {
    Frame(Box<BufferedFrame>),
    Event(Box<BufferedEvent>),
    Unseen(Box<(Connection, Direction, PacketRef, Timestamp)>),
}

/// A copy of an [`MQTTFrame`].
#[derive(Debug)]
struct BufferedFrame {
    header: FixedHeader,
    bytes: Box<[u8]>,
    topic: Option<Box<[u8]>>,
    payload_digest: Option<u64>,
    missing: u64,
    unfinished: bool,
    resynchronised: bool,
    version: Version,
    connection: Connection,
    direction: Direction,
    number: u64,
    first: PacketRef,
    last: PacketRef,
    time: Timestamp,
    offset: u64,
    range: ByteRange,
    started: Timestamp,
    received: Received,
}

/// A copy of an [`Event`].
#[derive(Debug)]
struct BufferedEvent {
    kind: EventKind,
    time: Timestamp,
    packet: PacketRef,
    connection: Connection,
    direction: Option<Direction>,
    bytes: Option<u64>,
}

/// How long a frame waits while a capture grows: longer than a gap does.
const PATIENCE: Duration = Duration::from_millis(limits::GAP_MILLIS + 500);

impl Sequencer {
    /// Takes the next output, and passes to `out` what can be released.
    #[inline]
    pub(super) fn push(&mut self, output: Output<'_>, out: &mut dyn FnMut(Output<'_>)) {
        if self.connections.is_empty() {
            match output {
                Output::Frame(frame) if is_early(frame) => {}
                _ => return out(output),
            }
        }
        self.order(output, out);
    }

    fn order(&mut self, output: Output<'_>, out: &mut dyn FnMut(Output<'_>)) {
        match output {
            Output::Frame(frame) => self.frame(frame, out),
            // Frames may follow it.
            Output::Event(event) if matches!(event.kind, EventKind::Closed { .. }) => out(output),
            Output::Event(event) => self.event(event, out),
            Output::Unfinished(frame) => {
                self.flush(frame.connection.number, out);
                out(output);
            }
            Output::Ended(ended) => {
                self.flush(ended.connection.number, out);
                out(output);
            }
            Output::Tcp(tcp) if tcp.fact == TcpFact::Unseen => {
                let buffered = || {
                    What::Unseen(Box::new((
                        tcp.connection.clone(),
                        tcp.from,
                        tcp.packet,
                        tcp.time,
                    )))
                };
                match self.connections.get_mut(&tcp.connection.number) {
                    Some(pending) if !pending.queues[tcp.from].is_empty() => {
                        pending.buffer(tcp.from, 0, buffered());
                    }
                    _ => out(output),
                }
            }
            _ => out(output),
        }
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>, out: &mut dyn FnMut(Output<'_>)) {
        let number = frame.connection.number;
        let direction = frame.direction;
        let other = direction.reversed();
        let pending = match self.connections.get_mut(&number) {
            Some(pending) => pending,
            None if !is_early(frame) => return out(Output::Frame(frame)),
            None => self.connections.entry(number).or_default(),
        };
        let needs = frame.received.surely;
        pending.waived[direction] = false;
        pending.ends(direction, frame.end());
        pending.arrived[other] = pending.arrived[other].max(frame.received.read);
        let idle = pending.is_empty();
        if idle && (pending.waived[other] || pending.arrived[other] >= needs) {
            if pending.waived == PerDirection::both(false) {
                self.connections.remove(&number);
            }
            return out(Output::Frame(frame));
        }
        pending.since.get_or_insert(frame.time);
        let buffered = BufferedFrame::of(frame);
        let bytes = buffered.weight();
        pending.bytes += bytes;
        self.bytes += bytes;
        // Below a layer, a gap that begins inside a frame may continue after it: what
        // acknowledges part of it comes after the frame.
        let layered = frame.connection.transport != Transport::TCP;
        let end = match layered && frame.missing > 0 {
            true => frame.range.start,
            false => pending.latest[direction],
        };
        pending.buffer_until(direction, end, needs, What::Frame(Box::new(buffered)));
        let before = pending.bytes;
        pending.release(out);
        if pending.len() > limits::BUFFERED_FRAMES || self.bytes > limits::BUFFERED_BYTES {
            pending.give_up(out);
        }
        self.bytes -= before - pending.bytes;
        self.awaited.push(number);
        self.tidy(number);
    }

    /// All outputs of a captured packet were pushed.
    #[inline]
    pub(super) fn packet_read(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        if !self.awaited.is_empty() {
            self.release_awaited(out);
        }
    }

    fn release_awaited(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        let mut awaited = std::mem::take(&mut self.awaited);
        for number in awaited.drain(..) {
            if let Some(pending) = self.connections.get_mut(&number) {
                let before = pending.bytes;
                pending.packet_read();
                pending.release(out);
                self.bytes -= before - pending.bytes;
                self.tidy(number);
            }
        }
        self.awaited = awaited;
    }

    fn event(&mut self, event: &Event<'_>, out: &mut dyn FnMut(Output<'_>)) {
        let Some(connection) = event.connection else {
            if matches!(event.kind, EventKind::Dropped { .. }) {
                // Buffered frames were captured before.
                self.finish(out);
            }
            return out(Output::Event(event));
        };
        let number = connection.number;
        let is_apart = matches!(event.kind, EventKind::Opened)
            || matches!(event.kind, EventKind::Layer(_)) && event.direction.is_none();
        let Some(pending) = self.connections.get_mut(&number).filter(|_| !is_apart) else {
            return out(Output::Event(event));
        };
        let before = pending.bytes;
        match event.direction {
            Some(direction) => {
                if pending.queues[direction].is_empty() {
                    out(Output::Event(event));
                } else {
                    let buffered = BufferedEvent::of(event, connection);
                    pending.buffer(direction, 0, What::Event(Box::new(buffered)));
                }
                pending.waived[direction] |= loses_track(event.kind);
                pending.release(out);
            }
            None => {
                pending.flush(out);
                out(Output::Event(event));
            }
        }
        self.bytes -= before - pending.bytes;
        self.tidy(number);
    }

    /// A connection is over: passes its buffered frames to `out`.
    fn flush(&mut self, number: u64, out: &mut dyn FnMut(Output<'_>)) {
        if let Some(mut pending) = self.connections.remove(&number) {
            self.bytes -= pending.bytes;
            pending.flush(out);
        }
    }

    /// Capture time has reached `now` while the capture grows: releases frames
    /// that have waited too long.
    pub(super) fn tick(&mut self, now: Timestamp, out: &mut dyn FnMut(Output<'_>)) {
        let waited = |pending: &Pending| {
            let since = pending.since.filter(|_| !pending.is_empty());
            since.is_some_and(|since| now.since(since) > PATIENCE)
        };
        let mut late: Vec<u64> = self
            .connections
            .iter()
            .filter(|(_, pending)| waited(pending))
            .map(|(number, _)| *number)
            .collect();
        late.sort_unstable();
        for number in late {
            if let Some(pending) = self.connections.get_mut(&number) {
                self.bytes -= pending.bytes;
                pending.give_up(out);
            }
        }
    }

    /// The capture has ended: passes all buffered frames to `out`.
    pub(super) fn finish(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        let mut all: Vec<u64> = self.connections.keys().copied().collect();
        all.sort_unstable();
        for number in all {
            if let Some(mut pending) = self.connections.remove(&number) {
                pending.flush(out);
            }
        }
        self.bytes = 0;
    }

    /// Drops the state of a connection that is no longer needed.
    fn tidy(&mut self, number: u64) {
        let Some(pending) = self.connections.get_mut(&number) else {
            return;
        };
        if pending.is_empty() {
            pending.since = None;
            if pending.waived == PerDirection::both(false) {
                self.connections.remove(&number);
            }
        }
    }
}

/// Whether its sender had received bytes that were not read yet.
fn is_early(frame: &MQTTFrame<'_>) -> bool {
    frame.received.surely > frame.received.read
}

/// Whether frames may be missing after it, so that their ends prove nothing.
fn loses_track(kind: EventKind) -> bool {
    match kind {
        EventKind::Gap
        | EventKind::Resynchronised
        | EventKind::Malformed { .. }
        | EventKind::NotMqtt { .. }
        | EventKind::Unfinished { .. }
        | EventKind::Bound { .. } => true,
        EventKind::Layer(note) => matches!(
            note,
            Note::Encrypted(_) | Note::Undecrypted(_) | Note::Broken(_) | Note::Limit(_)
        ),
        _ => false,
    }
}

impl Pending {
    fn is_empty(&self) -> bool {
        self.queues.up.is_empty() && self.queues.down.is_empty()
    }

    fn len(&self) -> usize {
        self.queues.up.len() + self.queues.down.len()
    }

    fn buffer(&mut self, direction: Direction, needs: u64, what: What) {
        let end = self.arrived[direction].max(self.latest[direction]);
        self.buffer_until(direction, end, needs, what);
    }

    /// A frame of this direction ends here.
    fn ends(&mut self, direction: Direction, end: u64) {
        let latest = &mut self.latest[direction];
        if end > *latest {
            let arrived = &mut self.arrived[direction];
            *arrived = (*arrived).max(*latest);
            *latest = end;
        }
    }

    /// All frames of a packet were output or buffered.
    fn packet_read(&mut self) {
        for direction in Direction::ALL {
            let arrived = &mut self.arrived[direction];
            *arrived = (*arrived).max(self.latest[direction]);
        }
    }

    fn buffer_until(&mut self, direction: Direction, end: u64, needs: u64, what: What) {
        self.turns += 1;
        self.queues[direction].push_back(Buffered {
            turn: self.turns,
            end,
            needs,
            what,
        });
    }

    /// Whether the first buffered frame of a direction can be released.
    fn is_ready(&self, direction: Direction) -> bool {
        let other = direction.reversed();
        let Some(buffered) = self.queues[direction].front() else {
            return false;
        };
        let here = self.waived[other] || self.arrived[other] >= buffered.needs;
        let first = self.queues[other].front();
        here && first.is_none_or(|first| first.end > buffered.needs)
    }

    /// The direction whose first frame can be released; of two, the one captured first.
    fn ready(&self) -> Option<Direction> {
        Direction::ALL
            .into_iter()
            .filter(|direction| self.is_ready(*direction))
            .min_by_key(|direction| self.first_turn(*direction))
    }

    fn first_turn(&self, direction: Direction) -> u64 {
        self.queues[direction]
            .front()
            .map_or(u64::MAX, |buffered| buffered.turn)
    }

    /// Passes to `out` what can be released.
    fn release(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        loop {
            while let Some(direction) = self.ready() {
                self.pop(direction, out);
            }
            // Two frames wait for each other only if acknowledgements are wrong.
            let stuck = Direction::ALL.into_iter().all(|direction| {
                let other = direction.reversed();
                self.queues[direction].front().is_some_and(|buffered| {
                    self.waived[other] || self.arrived[other] >= buffered.needs
                })
            });
            match stuck {
                true => self.pop_oldest(out),
                false => return,
            }
        }
    }

    /// Passes everything to `out`, in the order as far as known.
    fn flush(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        self.packet_read();
        while !self.is_empty() {
            match self.ready() {
                Some(direction) => self.pop(direction, out),
                None => self.pop_oldest(out),
            }
        }
        self.since = None;
    }

    /// The same, and no longer waits for missing frames.
    fn give_up(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        for direction in Direction::ALL {
            let other = direction.reversed();
            let arrived = self.arrived[other];
            self.waived[other] |= self.queues[direction]
                .iter()
                .any(|buffered| buffered.needs > arrived);
        }
        self.flush(out);
    }

    fn pop_oldest(&mut self, out: &mut dyn FnMut(Output<'_>)) {
        let oldest = Direction::ALL
            .into_iter()
            .min_by_key(|direction| self.first_turn(*direction));
        if let Some(direction) = oldest {
            self.pop(direction, out);
        }
    }

    fn pop(&mut self, direction: Direction, out: &mut dyn FnMut(Output<'_>)) {
        let Some(buffered) = self.queues[direction].pop_front() else {
            return;
        };
        match buffered.what {
            What::Frame(mut frame) => {
                self.bytes -= frame.weight();
                let read = &mut frame.received.read;
                *read = (*read).max(self.arrived[direction.reversed()]);
                frame.lend(|frame| out(Output::Frame(frame)));
            }
            What::Event(event) => event.lend(|event| out(Output::Event(event))),
            What::Unseen(unseen) => {
                let (connection, from, packet, time) = *unseen;
                out(Output::Tcp(&Tcp {
                    connection: &connection,
                    from,
                    fact: TcpFact::Unseen,
                    packet,
                    time,
                }));
            }
        }
    }
}

impl BufferedFrame {
    fn of(frame: &MQTTFrame<'_>) -> Self {
        Self {
            header: frame.header,
            bytes: frame.bytes.into(),
            topic: frame.topic.map(|topic| topic.bytes().into()),
            payload_digest: frame.payload_digest,
            missing: frame.missing,
            unfinished: frame.unfinished,
            resynchronised: frame.resynchronised,
            version: frame.version,
            connection: frame.connection.clone(),
            direction: frame.direction,
            number: frame.number,
            first: frame.first,
            last: frame.last,
            time: frame.time,
            offset: frame.offset,
            range: frame.range,
            started: frame.started,
            received: frame.received,
        }
    }

    /// Approximate memory of a buffered frame.
    fn weight(&self) -> usize {
        let topic = self.topic.as_ref().map_or(0, |topic| topic.len());
        self.bytes.len() + topic + size_of::<Self>()
    }

    fn lend(&self, look: impl FnOnce(&MQTTFrame<'_>)) {
        let decoded = mqtt::decode(self.header, &self.bytes, self.version);
        look(&MQTTFrame {
            header: self.header,
            packet: &decoded.packet,
            defects: &decoded.defects,
            topic: self.topic.as_deref().map(Text),
            bytes: &self.bytes,
            payload_digest: self.payload_digest,
            missing: self.missing,
            unfinished: self.unfinished,
            resynchronised: self.resynchronised,
            version: self.version,
            connection: &self.connection,
            direction: self.direction,
            number: self.number,
            first: self.first,
            last: self.last,
            time: self.time,
            offset: self.offset,
            range: self.range,
            started: self.started,
            received: self.received,
        });
    }
}

impl BufferedEvent {
    fn of(event: &Event<'_>, connection: &Connection) -> Self {
        Self {
            kind: event.kind,
            time: event.time,
            packet: event.packet,
            connection: connection.clone(),
            direction: event.direction,
            bytes: event.bytes,
        }
    }

    fn lend(&self, look: impl FnOnce(&Event<'_>)) {
        look(&Event {
            kind: self.kind,
            time: self.time,
            packet: self.packet,
            connection: Some(&self.connection),
            direction: self.direction,
            bytes: self.bytes,
        });
    }
}
