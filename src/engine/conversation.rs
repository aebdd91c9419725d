//! One MQTT connection: two framed directions, and state that depends on both
//! (version, client, topic aliases, requests and answers).

use super::frame_sink::{Aliases, FrameSink};
use super::provenance::{Below, Provenance};
use super::recognise::{self, Answer};
use super::{Attempt, Context, Output, Span, SpanKind, Tcp};
use crate::direction::{Direction, PerDirection};
use crate::event::{CloseReason, ConnectionEnd, Event, EventKind, NotMqtt, Side};
use crate::flow::{At, ByteRange, Chunk, Closed, Data, End, FlowInfo, StreamEvent, TcpFact};
use crate::frame::{Connection, Transport};
use crate::layer::pending::Pending;
use crate::mqtt::{self, Certainty, Framer, PacketType};
use std::sync::OnceLock;

/// Bits of evidence that an answer belongs to a captured request: its type and packet
/// identifier are as expected.
const ANSWER_BITS: u32 = 16;

/// Bits of evidence that two packets are request and answer by their types.
const PAIR_BITS: u32 = 4;

/// A connection that carries MQTT, or should.
#[derive(Debug)]
pub(super) struct Conversation {
    connection: Connection,
    client: End,
    /// How certain the version for decoding is, if no CONNECT was captured.
    guessed: Option<Certainty>,
    announced: bool,
    /// The side that sent DISCONNECT first.
    disconnect: Option<Side>,
    close_reported: bool,
    over: bool,
    /// There are layers between TCP and MQTT.
    layered: bool,
    /// The answer that each direction is expected to send next.
    expected: PerDirection<Option<(PacketType, Option<u16>)>>,
    aliases: PerDirection<Option<Box<Aliases>>>,
    /// A CONNECT without answer, if sessions are followed.
    attempt: Option<Attempt>,
    streams: PerDirection<StreamState>,
}

/// One direction of a conversation.
#[derive(Debug, Default)]
struct StreamState {
    framer: Option<Framer>,
    /// First bytes, until they are recognised.
    first: Option<Box<Pending>>,
    provenance: Provenance,
    /// Bytes read, in order.
    bytes: u64,
    /// Position in the MQTT stream of the next byte.
    position: u64,
    /// Position in the TCP stream up to which it has been read, gaps included.
    read: u64,
    /// The same with a gap that a layer has not passed on yet.
    behind: Option<u64>,
    /// Position in the TCP stream after the last frame.
    framed: u64,
    /// Position in it up to which it was reported that the peer has acknowledged.
    acked: u64,
    /// Control packets read.
    frames: u64,
}

/// What is known of a connection before its first byte.
pub(super) fn connection(flow: &FlowInfo, client: End) -> Connection {
    Connection {
        number: flow.number,
        client: flow.ends[client],
        server: flow.ends[client.peer()],
        transport: Transport::TCP,
        tls: None,
        websocket: None,
        client_id: None,
        version: None,
        version_assumed: true,
        first_seq: PerDirection::default(),
        from_start: PerDirection::default(),
        started: flow.first.time,
        session_uid: None,
        uid: OnceLock::new(),
    }
}

impl Conversation {
    pub(super) fn new(flow: &FlowInfo, client: End) -> Self {
        Self {
            connection: connection(flow, client),
            client,
            guessed: None,
            announced: false,
            disconnect: None,
            close_reported: false,
            over: false,
            layered: false,
            expected: PerDirection::default(),
            aliases: PerDirection::default(),
            attempt: None,
            streams: Default::default(),
        }
    }

    /// Reports that the connection was opened, once its SYN was captured.
    pub(super) fn announce(&mut self, flow: &FlowInfo, out: &mut dyn FnMut(Output<'_>)) {
        if !self.announced
            && flow.established
            && flow.initiator.is_some()
            && flow.from_start[self.client]
        {
            self.announced = true;
            self.event(EventKind::Opened, flow.first, None, None, out);
        }
    }

    /// It is not MQTT, and this was reported: only its end will be reported.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// The connection, as far as known.
    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    fn direction(&self, from: End) -> Direction {
        if from == self.client {
            Direction::Up
        } else {
            Direction::Down
        }
    }

    fn event(
        &self,
        kind: EventKind,
        at: At,
        direction: Option<Direction>,
        bytes: Option<u64>,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        out(Output::Event(&Event {
            kind,
            time: at.time,
            packet: at.packet,
            connection: Some(&self.connection),
            direction,
            bytes,
        }));
    }

    /// An event of a layer below MQTT in one direction.
    pub(super) fn tell(
        &self,
        kind: EventKind,
        direction: Option<Direction>,
        at: At,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        self.event(kind, at, direction, None, out);
    }

    /// There are layers between TCP and MQTT. Must be set before the first bytes.
    pub(super) fn set_layered(&mut self) {
        self.layered = true;
    }

    /// Whether layers lie between TCP and MQTT.
    pub(super) fn is_layered(&self) -> bool {
        self.layered
    }

    /// Kind of the next bytes in the MQTT stream.
    pub(super) fn mqtt_span(&self, direction: Direction, data: Data<'_>) -> SpanKind {
        SpanKind::Mqtt {
            offset: self.streams[direction].position,
            len: data.bytes.len() as u64,
            seal: data.seal.map(|seal| seal.end),
        }
    }

    /// Takes the next chunk of the MQTT stream.
    #[inline(always)]
    pub(super) fn take(
        &mut self,
        direction: Direction,
        chunk: Chunk<'_>,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        self.passed_on(direction);
        match chunk {
            _ if self.over => {}
            Chunk::Data(data) => self.data(direction, data, now, cx),
            Chunk::Gap { range, len } => {
                if self.layered {
                    let below = Below {
                        range,
                        len: len.unwrap_or(0),
                        seal: None,
                    };
                    let stream = &mut self.streams[direction];
                    stream
                        .provenance
                        .push(stream.position, At::default(), Some(below));
                }
                self.gap(direction, len, now, cx);
            }
        }
    }

    /// Reports the kind of a range of the TCP stream.
    pub(super) fn span(
        &self,
        direction: Direction,
        range: ByteRange,
        kind: SpanKind,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        out(Output::Span(&Span {
            connection: &self.connection,
            direction,
            range,
            kind,
        }));
    }

    /// Sets how both directions start, as far as is known by now. A direction
    /// without data has a start as well.
    #[inline]
    pub(super) fn begins(&mut self, flow: &FlowInfo) {
        let (client, server) = (self.client, self.client.peer());
        self.connection.first_seq = PerDirection {
            up: flow.first_seq[client],
            down: flow.first_seq[server],
        };
        self.connection.from_start = PerDirection {
            up: flow.from_start[client],
            down: flow.from_start[server],
        };
        if self.connection.started != flow.first.time {
            // The SYN was captured after the first bytes.
            self.connection.started = flow.first.time;
            self.connection.uid = OnceLock::new();
        }
    }

    /// A direction of the TCP stream has been read up to here.
    #[inline]
    pub(super) fn read(&mut self, direction: Direction, end: u64) {
        let stream = &mut self.streams[direction];
        match &mut stream.behind {
            Some(behind) => *behind = end,
            None => stream.read = end,
        }
    }

    /// The same, over a gap that a layer has not passed on yet: until it does, bytes
    /// after the gap count as not read.
    pub(super) fn read_gap(&mut self, direction: Direction, end: u64) {
        self.streams[direction].behind = Some(end);
    }

    #[inline]
    fn passed_on(&mut self, direction: Direction) {
        let stream = &mut self.streams[direction];
        if let Some(end) = stream.behind.take() {
            stream.read = end;
        }
    }

    /// Sets its transport.
    pub(super) fn carried_by(&mut self, learn: impl FnOnce(&mut Connection)) {
        learn(&mut self.connection);
    }

    /// An event of a TCP stream other than bytes and gaps.
    pub(super) fn happened(
        &self,
        from: End,
        event: StreamEvent<'_>,
        now: At,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        let direction = Some(self.direction(from));
        match event {
            StreamEvent::Chunk(_) => {}
            StreamEvent::Conflict { bytes, kept, .. } => {
                self.event(
                    EventKind::Conflict { kept },
                    now,
                    direction,
                    Some(bytes),
                    out,
                );
            }
            StreamEvent::Late { bytes, .. } => {
                self.event(EventKind::Late, now, direction, Some(bytes), out);
            }
            StreamEvent::Limit { limit } => {
                self.event(EventKind::Bound { limit }, now, direction, None, out);
            }
        }
    }

    #[inline(always)]
    fn data(&mut self, direction: Direction, data: Data<'_>, now: At, cx: &mut Context<'_, '_>) {
        let stream = &mut self.streams[direction];
        let len = data.bytes.len() as u64;
        stream.bytes += len;
        let below = self.layered.then_some(Below {
            range: data.range,
            len,
            seal: data.seal,
        });
        stream.provenance.push(stream.position, data.at, below);
        stream.position += len;
        if stream.framer.is_some() {
            self.feed(direction, data.bytes, data.at, now, cx);
        } else {
            self.first_bytes(direction, data, now, cx);
        }
    }

    fn gap(&mut self, direction: Direction, len: Option<u64>, now: At, cx: &mut Context<'_, '_>) {
        if len == Some(0) {
            // A layer lost some of its own bytes: MQTT may be unaffected.
            return;
        }
        let stream = &mut self.streams[direction];
        stream.framer.get_or_insert_with(Framer::at_boundary);
        let pending = stream.first.take().unwrap_or_default();
        let position = self.with_framer(direction, now, cx, |framer, sink| {
            framer.data(pending.bytes(), Some(direction), sink);
            framer.gap(len, sink);
            framer.position()
        });
        self.streams[direction].position = position.unwrap_or(0);
        self.settle(direction);
    }

    /// Recognises the first bytes of a direction.
    fn first_bytes(
        &mut self,
        direction: Direction,
        data: Data<'_>,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        let up = direction == Direction::Up;
        let at = data.at;
        let from_start = self.connection.from_start[direction];
        let other = &self.streams[direction.reversed()];
        let answers_connect = other.begins_with_connect();
        let stream = &mut self.streams[direction];
        let pending = stream.first.get_or_insert_default();
        pending.push(data);
        let first = pending.bytes();
        let answer = if from_start {
            recognise::on_known_port(first, direction)
        } else {
            // Joined in the middle, unless this is the very beginning.
            match (up, recognise::connect(first)) {
                (true, Answer::Mqtt) => Answer::Mqtt,
                _ => Answer::No,
            }
        };
        let framer = match answer {
            Answer::More => return,
            Answer::Mqtt => Framer::at_boundary(),
            // The other side started with a CONNECT, so this is its answer.
            Answer::No if !from_start && !up && answers_connect => Framer::at_boundary(),
            Answer::No if !from_start => Framer::joining(),
            Answer::No => {
                let reason = recognise::looks_like(first);
                stream.first = None;
                stream.framer = Some(Framer::given_up());
                // The other side may be MQTT all the same.
                self.over = self.streams[direction.reversed()].framer.is_none();
                self.event(
                    EventKind::NotMqtt { reason },
                    at,
                    Some(direction),
                    None,
                    cx.out,
                );
                return;
            }
        };
        stream.framer = Some(framer);
        let first = stream.first.take().unwrap_or_default();
        self.feed(direction, first.bytes(), at, now, cx);
    }

    /// Frames bytes of a direction, and looks for framing where it is lost.
    #[inline(always)]
    fn feed(
        &mut self,
        direction: Direction,
        bytes: &[u8],
        at: At,
        now: At,
        cx: &mut Context<'_, '_>,
    ) {
        self.with_framer(direction, at, cx, |framer, sink| {
            framer.data(bytes, Some(direction), sink);
        });
        if self.is_searching() {
            self.search(direction, now, cx);
        }
        self.settle(direction);
    }

    /// Whether framing is lost in a direction, and looked for.
    fn is_searching(&self) -> bool {
        Direction::ALL.iter().any(|&direction| {
            let framer = self.streams[direction].framer.as_ref();
            framer.is_some_and(|framer| framer.lost().is_some())
        })
    }

    /// Searches for framing with evidence from the other direction.
    fn search(&mut self, direction: Direction, now: At, cx: &mut Context<'_, '_>) {
        // The pending direction came first, so it is settled first.
        let streams = [direction.reversed(), direction];
        let corroborations = streams.map(|stream| self.corroboration(stream));
        for (stream, more) in streams.into_iter().zip(corroborations) {
            if let Some(more) = more {
                self.with_framer(stream, now, cx, |framer, sink| {
                    framer.settle(more, Some(stream), sink);
                });
                self.settle(stream);
            }
        }
    }

    /// Evidence from the other direction for a search in this one, in bits.
    fn corroboration(&self, direction: Direction) -> Option<u32> {
        let search = self.streams[direction].framer.as_ref()?.lost()?;
        if let Some((kind, id)) = self.expected[direction]
            && search.may_hold(kind, id)
        {
            return Some(ANSWER_BITS);
        }
        let opening = search.opening()?;
        // Framing of both is lost, and both consist of whole packets so far.
        // Their types match as request and answer, which is evidence of its
        // own.
        let peer = self.streams[direction.reversed()].framer.as_ref()?.lost()?;
        let (ours, theirs) = (opening.0, peer.opening()?.0);
        // The QoS of a PUBLISH is unknown here.
        let pair = ours.answered_by(0) == Some(theirs) || theirs.answered_by(0) == Some(ours);
        Some(peer.whole_bits()? + if pair { PAIR_BITS } else { 0 })
    }

    /// Drops the provenance that is not needed any more.
    #[inline(always)]
    fn settle(&mut self, direction: Direction) {
        let stream = &mut self.streams[direction];
        if let Some(framer) = &stream.framer {
            stream.provenance.settle(framer.pending(), framer.in_step());
        }
    }

    /// Lends the framer of a direction what it pushes into.
    #[inline(always)]
    fn with_framer<R>(
        &mut self,
        direction: Direction,
        at: At,
        cx: &mut Context<'_, '_>,
        f: impl FnOnce(&mut Framer, &mut FrameSink<'_>) -> R,
    ) -> Option<R> {
        let peer_read = self.streams[direction.reversed()].read;
        let stream = &mut self.streams[direction];
        let mut sink = FrameSink {
            connection: &mut self.connection,
            disconnect: &mut self.disconnect,
            guessed: &mut self.guessed,
            expected: &mut self.expected[direction.reversed()],
            aliases: &mut self.aliases[direction],
            attempt: &mut self.attempt,
            frames: &mut stream.frames,
            layered: self.layered,
            provenance: &stream.provenance,
            framed: &mut stream.framed,
            peer_read,
            direction,
            at,
            config: cx.config,
            shared: cx.shared,
            out: cx.out,
        };
        stream.framer.as_mut().map(|framer| f(framer, &mut sink))
    }

    /// A fact of TCP. Acknowledgements only if they are the first of some
    /// frame, or of a FIN.
    pub(super) fn tcp(
        &mut self,
        from: End,
        fact: TcpFact,
        now: At,
        out: &mut dyn FnMut(Output<'_>),
    ) {
        let direction = self.direction(from);
        if let TcpFact::Acknowledged { offset, .. } = fact {
            let stream = &mut self.streams[direction.reversed()];
            // An acknowledgement beyond all bytes acknowledges a FIN.
            let is_fin = offset == stream.read + 1;
            if offset <= stream.acked || stream.acked >= stream.framed && !is_fin {
                return;
            }
            stream.acked = offset;
        }
        out(Output::Tcp(&Tcp {
            connection: &self.connection,
            from: direction,
            fact,
            packet: now.packet,
            time: now.time,
        }));
    }

    /// The connection is over.
    pub(super) fn close(&mut self, how: Closed, now: At, cx: &mut Context<'_, '_>) {
        let open: &[Direction] = match self.over {
            true => &[],
            false => &Direction::ALL,
        };
        for &direction in open {
            let peer = &self.streams[direction.reversed()];
            let peer_in_step = peer.framer.as_ref().is_some_and(Framer::in_step);
            let first = self.streams[direction].first.as_deref();
            let first = first.map_or(&[][..], Pending::bytes);
            let pending = first.len() as u64;
            if pending > 0 {
                let first = first.first().copied();
                let kind = EventKind::Unfinished {
                    wanted: None,
                    first,
                };
                self.event(kind, now, Some(direction), Some(pending), cx.out);
                continue;
            }
            let end = self.with_framer(direction, now, cx, |framer, sink| {
                framer.finish(Some(direction), peer_in_step, sink)
            });
            match end {
                None | Some(mqtt::End::Clean) => {}
                Some(mqtt::End::Unfinished {
                    got,
                    wanted,
                    offset,
                    first,
                }) => {
                    let at = self.streams[direction].provenance.first(offset);
                    let first = Some(first);
                    let kind = EventKind::Unfinished { wanted, first };
                    self.event(kind, at, Some(direction), Some(got), cx.out);
                }
                Some(mqtt::End::NeverFound { bytes }) => {
                    let reason = NotMqtt::NothingFound;
                    let kind = EventKind::NotMqtt { reason };
                    self.event(kind, now, Some(direction), Some(bytes), cx.out);
                }
            }
        }
        self.closing(how, now, cx);
        if let Some((_, reason)) = self.close_reason(how) {
            (cx.out)(Output::Ended(&ConnectionEnd {
                connection: &self.connection,
                reason,
                time: now.time,
                packet: now.packet,
            }));
        }
    }

    /// A side starts to close the connection, or it has ended.
    pub(super) fn closing(&mut self, how: Closed, at: At, cx: &mut Context<'_, '_>) {
        let Some((by, reason)) = self.close_reason(how) else {
            return;
        };
        if !std::mem::replace(&mut self.close_reported, true) {
            let disconnect = self.disconnect;
            let kind = EventKind::Closed {
                by,
                reason,
                disconnect,
            };
            self.event(kind, at, None, None, cx.out);
        }
    }

    /// Which side closes it, and how; `None` if only the capture ends.
    fn close_reason(&self, how: Closed) -> Option<(Option<Side>, CloseReason)> {
        let side = |end: End| Some(self.direction(end).sender());
        Some(match how {
            Closed::Fin(end) | Closed::HalfClosed(end) => (side(end), CloseReason::Fin),
            Closed::Reset(end) => (side(end), CloseReason::Reset),
            Closed::Refused(end) => (side(end), CloseReason::TcpRefused),
            Closed::Unanswered => (None, CloseReason::TcpUnanswered),
            Closed::Replaced => (None, CloseReason::Replaced),
            Closed::Idle => (None, CloseReason::Idle),
            Closed::Evicted => (None, CloseReason::Evicted),
            Closed::CaptureEnd => return None,
        })
    }
}

impl StreamState {
    /// Whether its first bytes were a CONNECT, so that the other direction was captured
    /// from its start too.
    fn begins_with_connect(&self) -> bool {
        self.framer.as_ref().is_some_and(|f| !f.joined()) && self.bytes > 0
    }
}
