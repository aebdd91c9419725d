//! One MQTT connection: two framed directions, and state that depends on both
//! (version, client, topic aliases, requests and answers).

use std::collections::HashMap;
use std::sync::OnceLock;

use crate::direction::{Direction, PerDirection};
use crate::event::{CloseReason, ConnectionEnd, Event, EventKind, NotMqtt, Side};
use crate::flow::{At, ByteRange, Chunk, Closed, Data, End, FlowInfo, StreamEvent, TcpFact};
use crate::frame::{Connection, MQTTFrame, Received, Transport};
use crate::limits::{self, Limit};
use crate::mqtt::packet::ControlPacket;
use crate::mqtt::{
    self, Certainty, Decoded, Defect, Digest, FixedHeader, Framed, Framer, PacketType,
    PropertyValue, Text, Trouble, Version,
};

use super::Attempt;
use super::provenance::{Below, Provenance};
use super::recognise::{self, Answer};
use super::{Config, Context, Output, Shared, Span, SpanKind, Tcp};
use crate::layer::pending::Pending;

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

/// Topics of Topic Aliases in one direction of a connection.
#[derive(Debug, Default)]
struct Aliases {
    topics: HashMap<u16, Box<[u8]>>,
    bytes: usize,
}

impl Aliases {
    fn set(&mut self, alias: u16, topic: &[u8]) -> bool {
        let old = self.topics.get(&alias).map_or(0, |t| t.len());
        let bytes = self.bytes - old + topic.len();
        if bytes > limits::ALIAS_BYTES {
            // Better unknown than stale.
            self.bytes -= old;
            self.topics.remove(&alias);
            return false;
        }
        self.bytes = bytes;
        self.topics.insert(alias, topic.into());
        true
    }
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
        f: impl FnOnce(&mut Framer, &mut LaneSink<'_>) -> R,
    ) -> Option<R> {
        let peer_read = self.streams[direction.reversed()].read;
        let stream = &mut self.streams[direction];
        let mut sink = LaneSink {
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

/// The sink of a framer, for one call.
struct LaneSink<'a> {
    connection: &'a mut Connection,
    disconnect: &'a mut Option<Side>,
    guessed: &'a mut Option<Certainty>,
    /// The expected answer of the other direction.
    expected: &'a mut Option<(PacketType, Option<u16>)>,
    aliases: &'a mut Option<Box<Aliases>>,
    attempt: &'a mut Option<Attempt>,
    /// Control packets read in this direction.
    frames: &'a mut u64,
    layered: bool,
    provenance: &'a Provenance,
    framed: &'a mut u64,
    /// Up to where the other direction has been read.
    peer_read: u64,
    direction: Direction,
    /// Time and packet of events.
    at: At,
    config: &'a Config,
    shared: &'a mut Shared,
    out: &'a mut dyn FnMut(Output<'_>),
}

/// What is decoded of a control packet.
struct Fields<'a> {
    packet: &'a ControlPacket<'a>,
    defects: &'a [Defect],
    topic: Option<Text<'a>>,
    bytes: &'a [u8],
    payload_digest: Option<u64>,
    version: Version,
}

/// Origin of a control packet.
struct Source {
    /// The packet with its first byte.
    first: At,
    /// The packet that completed it.
    last: At,
    range: ByteRange,
}

impl LaneSink<'_> {
    fn event(&mut self, kind: EventKind, bytes: Option<u64>) {
        (self.out)(Output::Event(&Event {
            kind,
            time: self.at.time,
            packet: self.at.packet,
            connection: Some(self.connection),
            direction: Some(self.direction),
            bytes,
        }));
    }

    /// The captured packets and the bytes of the TCP stream that carried a control
    /// packet.
    #[inline(always)]
    fn source(&self, framed: &Framed<'_>) -> Source {
        let start = framed.offset;
        let end = start + framed.header.packet_len();
        let (first, last) = self.provenance.of(start, end);
        Source {
            first,
            last,
            range: match self.layered {
                false => ByteRange { start, end },
                true => self.provenance.range(start, end),
            },
        }
    }

    /// Outputs a control packet.
    #[inline(always)]
    fn output(&mut self, framed: &Framed<'_>, fields: Fields<'_>) {
        let Source { first, last, range } = self.source(framed);
        self.shared.frames += 1;
        *self.frames += 1;
        *self.framed = range.end;
        (self.out)(Output::Frame(&MQTTFrame {
            header: framed.header,
            packet: fields.packet,
            defects: fields.defects,
            topic: fields.topic,
            bytes: fields.bytes,
            payload_digest: fields.payload_digest,
            missing: framed.missing,
            unfinished: false,
            resynchronised: framed.resynchronised,
            version: self.connection.version.unwrap_or(fields.version),
            connection: self.connection,
            direction: self.direction,
            number: *self.frames,
            first: first.packet,
            last: last.packet,
            time: last.time,
            offset: framed.offset,
            range,
            started: first.time,
            received: Received {
                surely: first.acked,
                at_most: last.acked,
                read: self.peer_read,
            },
        }));
    }

    /// Decodes a control packet, and outputs it.
    fn framed_with_fields(&mut self, framed: &Framed<'_>) {
        let header = framed.header;
        let version = self.version_for(header, framed.bytes);
        let mut decoded = mqtt::decode(header, framed.bytes, version);
        let bytes = self.limit(&mut decoded, framed, version);
        self.expect_answer(header, || decoded.packet.packet_id());
        let mut topic = None;
        match &decoded.packet {
            ControlPacket::Publish(publish) => {
                if self.attempt.is_some() {
                    self.follow_session(framed, &decoded.packet, version);
                }
                topic = publish.topic.filter(|topic| !topic.bytes().is_empty());
                if publish.topic_alias.is_some() || publish.payload_len.is_none() {
                    return self.framed_with_alias(framed, &decoded, bytes, version);
                }
            }
            packet => {
                self.learn(packet);
                if self.config.follow_sessions {
                    self.follow_session(framed, packet, version);
                }
            }
        }
        self.pass_on(framed, &decoded, topic, bytes, version);
    }

    #[cold]
    fn follow_session(
        &mut self,
        framed: &Framed<'_>,
        packet: &ControlPacket<'_>,
        version: Version,
    ) {
        let time = self.source(framed).last.time;
        let of = (self.direction, packet, version, time);
        let starts = &mut self.shared.session_starts;
        starts.follow(self.connection, self.attempt, of);
    }

    /// Outputs a PUBLISH that has a Topic Alias, or may have one.
    #[inline(never)]
    fn framed_with_alias(
        &mut self,
        framed: &Framed<'_>,
        decoded: &Decoded<'_>,
        bytes: &[u8],
        version: Version,
    ) {
        let ControlPacket::Publish(publish) = &decoded.packet else {
            return;
        };
        if publish.payload_len.is_none() {
            self.forget_aliases();
            if bytes.len() >= limits::PUBLISH_HEAD_KEPT {
                let limit = Limit::Properties;
                self.event(EventKind::Bound { limit }, None);
            }
        }
        let mut topic = publish.topic.filter(|topic| !topic.bytes().is_empty());
        if let (Some(topic), Some(alias)) = (topic, publish.topic_alias) {
            let aliases = self.aliases.get_or_insert_default();
            if !aliases.set(alias, topic.bytes()) {
                let limit = Limit::TopicAliases;
                self.event(EventKind::Bound { limit }, None);
            }
        }
        let aliases = self.aliases.take();
        if topic.is_none()
            && publish.topic.is_some()
            && let (Some(alias), Some(aliases)) = (publish.topic_alias, &aliases)
        {
            topic = aliases.topics.get(&alias).map(|topic| Text(topic));
        }
        self.pass_on(framed, decoded, topic, bytes, version);
        *self.aliases = aliases;
    }

    /// Outputs a decoded control packet.
    #[inline(always)]
    fn pass_on(
        &mut self,
        framed: &Framed<'_>,
        decoded: &Decoded<'_>,
        topic: Option<Text<'_>>,
        bytes: &[u8],
        version: Version,
    ) {
        let payload_digest = match self.config.digests {
            true => payload_digest(framed, &decoded.packet),
            false => None,
        };
        self.output(
            framed,
            Fields {
                packet: &decoded.packet,
                defects: &decoded.defects,
                topic,
                bytes,
                payload_digest,
                version,
            },
        );
    }

    /// Outputs a control packet whose fields are of no interest, not even here.
    fn framed_without_fields(&mut self, framed: &Framed<'_>) {
        let header = framed.header;
        let version = self.version_for(header, framed.bytes);
        self.expect_answer(header, || mqtt::packet_id(header, framed.bytes));
        let header_len = header.header_len().min(framed.bytes.len());
        self.output(
            framed,
            Fields {
                packet: ControlPacket::without_fields(header.packet_type()),
                defects: &[],
                topic: None,
                bytes: &framed.bytes[..header_len],
                payload_digest: None,
                version,
            },
        );
    }

    /// Notes what the other side is expected to send.
    #[inline]
    fn expect_answer(&mut self, header: FixedHeader, packet_id: impl FnOnce() -> Option<u16>) {
        if let Some(answer) = header.packet_type().answered_by(header.qos()) {
            *self.expected = Some((answer, packet_id()));
        }
    }

    /// Missing bytes may have changed Topic Aliases.
    fn forget_aliases(&mut self) {
        *self.aliases = None;
    }

    /// Updates the connection by a frame.
    fn learn(&mut self, packet: &ControlPacket<'_>) {
        match packet {
            ControlPacket::Connect(connect) => {
                if let Some(version) = connect.protocol_level.and_then(Version::from_level) {
                    self.connection.version = Some(version);
                    self.connection.version_assumed = false;
                }
                if let Some(id) = connect.client_id.filter(|id| !id.bytes().is_empty()) {
                    self.connection.client_id = Some(id.bytes().into());
                }
            }
            ControlPacket::Connack(connack) => {
                for property in connack.properties.iter() {
                    if property.id == ASSIGNED_CLIENT_IDENTIFIER
                        && let PropertyValue::String(id) = property.value
                    {
                        self.connection.client_id = Some(id.bytes().into());
                    }
                }
            }
            ControlPacket::Disconnect(_) => {
                self.disconnect.get_or_insert(self.direction.sender());
            }
            _ => {}
        }
    }

    /// Limits a decoded packet to what would have been kept of it; returns that part.
    #[inline]
    fn limit<'a>(
        &self,
        decoded: &mut Decoded<'a>,
        framed: &Framed<'a>,
        version: Version,
    ) -> &'a [u8] {
        let bytes = framed.bytes;
        let payload = self.config.payload as usize;
        if bytes.len() <= payload {
            return bytes;
        }
        // Nearly always only of a payload less is kept, if of anything.
        if bytes.len() <= limits::PACKET_KEPT {
            let ControlPacket::Publish(publish) = &mut decoded.packet else {
                return bytes;
            };
            if publish.payload_len.is_some() {
                let kept = publish.payload.len().min(payload);
                let unwanted = publish.payload.len() - kept;
                publish.payload = &publish.payload[..kept];
                return &bytes[..bytes.len() - unwanted];
            }
        }
        let bytes = self.asked_for(framed.header, bytes);
        *decoded = mqtt::decode(framed.header, bytes, version);
        bytes
    }

    /// The part of a packet that would have been kept, so that the result does
    /// not depend on the number of segments.
    fn asked_for<'a>(&self, header: FixedHeader, bytes: &'a [u8]) -> &'a [u8] {
        if bytes.len() <= self.config.payload as usize {
            return bytes;
        }
        let limit = mqtt::Sink::keep(self, header, bytes).unwrap_or(bytes.len());
        &bytes[..limit.min(bytes.len())]
    }

    /// Whether the version that was assumed cannot be, because it finds fault
    /// with a frame that another version can read.
    fn is_refuted(&self, header: FixedHeader, bytes: &[u8]) -> bool {
        self.connection
            .version
            .is_some_and(|version| !mqtt::decode(header, bytes, version).defects.is_empty())
    }

    /// The version by which a frame is decoded; inferred and marked as assumed
    /// if no CONNECT was captured.
    #[inline(always)]
    fn version_for(&mut self, header: FixedHeader, bytes: &[u8]) -> Version {
        if self.connection.version_assumed {
            self.infer_version(header, bytes);
        }
        self.connection.version.unwrap_or(Version::V3_1_1)
    }

    #[inline(never)]
    fn infer_version(&mut self, header: FixedHeader, bytes: &[u8]) {
        let bytes = self.asked_for(header, bytes);
        if *self.guessed < Some(Certainty::Certain)
            && let Some((version, certainty)) =
                mqtt::infer_version(header, bytes, Some(self.direction))
            && (*self.guessed < Some(certainty) || self.is_refuted(header, bytes))
        {
            self.connection.version = Some(version);
            *self.guessed = Some(certainty);
        }
    }
}

/// Whether the fields of a control packet determine how its connection is read.
const fn is_about_connection(packet_type: PacketType) -> bool {
    matches!(
        packet_type,
        PacketType::Connect | PacketType::Connack | PacketType::Disconnect
    )
}

/// Property Identifier of the client identifier that a server chose.
const ASSIGNED_CLIENT_IDENTIFIER: u32 = 0x12;

impl mqtt::Sink for LaneSink<'_> {
    #[inline(always)]
    fn framed(&mut self, framed: Framed<'_>) {
        match self.config.fields || is_about_connection(framed.header.packet_type()) {
            true => self.framed_with_fields(&framed),
            false => self.framed_without_fields(&framed),
        }
    }

    fn unfinished(&mut self, framed: Framed<'_>) {
        // No packet completed it, so its first byte sets the time.
        let Source { first, range, .. } = self.source(&framed);
        let version = self.connection.version.unwrap_or(Version::V3_1_1);
        let decoded = mqtt::decode(framed.header, framed.bytes, version);
        let topic = match &decoded.packet {
            ControlPacket::Publish(publish) => publish.topic.filter(|t| !t.bytes().is_empty()),
            _ => None,
        };
        (self.out)(Output::Unfinished(&MQTTFrame {
            header: framed.header,
            packet: &decoded.packet,
            defects: &decoded.defects,
            topic,
            bytes: framed.bytes,
            payload_digest: None,
            missing: framed.missing,
            unfinished: true,
            resynchronised: framed.resynchronised,
            version,
            connection: self.connection,
            direction: self.direction,
            number: *self.frames + 1,
            first: first.packet,
            last: first.packet,
            time: first.time,
            offset: framed.offset,
            range,
            started: first.time,
            received: Received {
                surely: first.acked,
                at_most: first.acked,
                read: self.peer_read,
            },
        }));
    }

    fn trouble(&mut self, _offset: u64, trouble: Trouble) {
        match trouble {
            Trouble::Gap { bytes } => self.event(EventKind::Gap, bytes),
            Trouble::Resynchronised { skipped } => {
                self.forget_aliases();
                self.event(EventKind::Resynchronised, Some(skipped));
            }
            Trouble::Malformed { reason } => self.event(EventKind::Malformed { reason }, None),
            Trouble::Bound { limit } => self.event(EventKind::Bound { limit }, None),
        }
    }

    fn version(&self) -> Option<Version> {
        self.connection.version
    }

    fn keep(&self, header: FixedHeader, kept: &[u8]) -> Option<usize> {
        let limit = match header.packet_type() {
            PacketType::Publish => limits::PUBLISH_HEAD_KEPT,
            _ => limits::PACKET_KEPT,
        };
        let version = self.connection.version.unwrap_or(Version::V3_1_1);
        mqtt::head_len(header, kept, version, self.config.payload as usize, limit)
    }

    fn reserve(&mut self, more: usize) -> bool {
        let kept = self.shared.kept + more;
        let granted = kept <= limits::KEPT_TOTAL || self.config.payload == u32::MAX;
        if granted {
            self.shared.kept = kept;
        }
        granted
    }

    fn release(&mut self, bytes: usize) {
        self.shared.kept = self.shared.kept.saturating_sub(bytes);
    }

    fn digests(&self) -> bool {
        self.config.digests
    }
}

/// Of the payload as it was decoded: where a chunk was digested by another
/// version, it began elsewhere.
fn payload_digest(framed: &Framed<'_>, packet: &ControlPacket<'_>) -> Option<u64> {
    let ControlPacket::Publish(publish) = packet else {
        return None;
    };
    if framed.missing > 0 {
        return None;
    }
    let len = framed.header.packet_len();
    let start = len.checked_sub(u64::from(publish.payload_len?))?;
    if framed.bytes.len() as u64 == len {
        return Some(Digest::of(framed.bytes.get(start as usize..)?));
    }
    let digested = framed.payload.filter(|payload| payload.start == start);
    digested.map(|payload| payload.value)
}
