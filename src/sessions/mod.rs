//! Who connected, what they did, who closed and why, how long things took.
//!
//! ```text
//! Fact ─→ Sessions ─┬ tcp         what TCP shows: SYN, FIN, RST, acknowledgements
//!                   ├ evidence    what is known of a connection when it ends
//!                   ├ servers     what connections of one server say about each other
//!                   ├ close       the verdict
//!                   ├ latency     how long answers took
//!                   └ record      all of it, one per connection ─→ report
//! ```
//! [`Sessions`] is a [`Sink`]. A connection is judged a moment after its end,
//! when it is known what the server did to its other connections; then it is a
//! [`Record`], which a report takes with [`Sessions::take_finished`]. What is
//! kept is bounded by [`crate::limits`]; what was evicted is counted.

mod close;
mod deliveries;
mod evidence;
mod ladder;
mod latency;
mod mark;
mod reconnects;
mod record;
mod servers;
mod stall;
mod tcp;
mod topics;
mod uid;
mod words;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::time::Duration;

use crate::engine::{Captured, Tcp};
use crate::event::Side;
use crate::event::{CloseReason, Event, EventKind};
use crate::facts::{
    ConnectionFacts, Fact, FrameFact, Needs, Reason, Role, SessionFact, Sink, properties as p,
};
use crate::flow::TcpFact;
use crate::frame::{Connection, Direction, MQTTFrame, PerDirection};
use crate::layer::Note;
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType, Version, topic};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::rules::{Finding, Judge, Severity, Verdict};
use crate::time::Timestamp;

use evidence::{Ended, Evidence, Fault, Takeover};
use latency::Releases;
use servers::Servers;
use stall::{Quota, Stalls};
use tcp::End;

pub use close::{By, Cause, Certainty, Close};
pub use deliveries::{Deliveries, Delivery, Match, Publication, Unseen};
pub use ladder::{Ladder, LadderOf, Lane, Rung, Shown};
pub use latency::{Distribution, Latency};
pub use mark::Mark;
pub use reconnects::{ClientDelays, Growth, Herd, Loop, Reconnects};
pub use record::{Record, Subscription, Will, WillState};
pub use stall::{Stall, StallCause};
pub use topics::{TopicCount, Topics};

/// How long after its end a connection is judged.
const SETTLE: Duration = Duration::from_secs(2);

/// Follows the connections of one capture.
#[derive(Debug)]
pub struct Sessions {
    judge: Judge,
    open: HashMap<u64, Box<Open>, foldhash::fast::FixedState>,
    /// Connections that were judged, until the flow table evicts them: what comes late
    /// of them changes nothing.
    judged: HashSet<u64, foldhash::fast::FixedState>,
    /// Connections that are over, in the order of their ends, until they are judged.
    over: VecDeque<(Timestamp, u64)>,
    servers: Servers,
    /// Wills of open connections by server and topic.
    wills: HashMap<(Endpoint, Box<[u8]>), Vec<u64>>,
    finished: BTreeMap<u64, Record>,
    evicted: u64,
    topics: Topics,
    now: Timestamp,
}

/// What is kept of a connection until it is judged.
#[derive(Debug)]
struct Open {
    evidence: Evidence,
    connection: Connection,
    first: Timestamp,
    last: Timestamp,
    opened: Option<Timestamp>,
    username: Option<Box<[u8]>>,
    clean_start: Option<bool>,
    session_present: Option<bool>,
    session_expiry: Option<u32>,
    will: Option<Will>,
    will_payload: Box<[u8]>,
    /// The latest PUBLISH of the server that equals the will.
    will_seen: Option<Mark>,
    messages: PerDirection<[u64; 3]>,
    bytes: PerDirection<u64>,
    frames: PerDirection<u64>,
    subscriptions: Vec<Subscription>,
    /// SUBSCRIBE packets without SUBACK: identifier, and where their filters begin.
    subscribing: Vec<(u16, usize, usize)>,
    releases: PerDirection<Releases>,
    latency: Latency,
    stalls: Stalls,
    quotas: PerDirection<Quota>,
    longest_idle: Duration,
    /// The connection that this one's identifier belonged to.
    replaces: Option<u64>,
    violations: u64,
    warnings: u64,
    evicted: u64,
}

impl Sessions {
    /// A follower that has seen nothing yet; `judge` counts findings.
    pub fn new(judge: Judge) -> Self {
        Self {
            judge,
            open: HashMap::default(),
            judged: HashSet::default(),
            over: VecDeque::new(),
            servers: Servers::default(),
            wills: HashMap::new(),
            finished: BTreeMap::new(),
            evicted: 0,
            topics: Topics::default(),
            now: Timestamp::MIN,
        }
    }

    /// The connections that are judged, in the order of their numbers.
    pub fn take_finished(&mut self) -> Vec<Record> {
        std::mem::take(&mut self.finished).into_values().collect()
    }

    /// Whether there are any.
    pub fn has_finished(&self) -> bool {
        !self.finished.is_empty()
    }

    /// Records that were evicted because there were too many.
    pub fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Messages by topic.
    pub const fn topics(&self) -> &Topics {
        &self.topics
    }

    fn open(&mut self, connection: &Connection, now: Timestamp) -> &mut Open {
        self.open
            .entry(connection.number)
            .or_insert_with(|| Box::new(Open::new(connection, now)))
    }

    fn packet(&mut self, captured: &Captured<'_>) {
        self.advance(captured.time);
        let Some(segment) = &captured.segment else {
            return;
        };
        let Some(connection) = segment.connection.filter(|_| !segment.carried.copy) else {
            return;
        };
        if self.judged.contains(&connection.number) {
            return;
        }
        let from = match segment.src == connection.client {
            true => Direction::Up,
            false => Direction::Down,
        };
        let carried = segment.carried;
        let at = Mark {
            packet: captured.packet,
            time: captured.time,
        };
        let open = self.open(connection, captured.time);
        let gap = captured.time.since(open.last);
        let stall = open.evidence.trail.segment(tcp::Seen {
            at,
            from,
            offset: carried.offset,
            len: carried.len,
            acked: carried.acked,
            flags: carried.flags,
        });
        open.last = open.last.max(captured.time);
        if carried.len > 0 {
            open.longest_idle = open.longest_idle.max(gap);
        }
        if let Some(stall) = stall {
            open.stalls.add(stall);
        }
    }

    /// What the flow table knows better.
    fn tcp(&mut self, tcp: &Tcp<'_>) {
        let at = Mark {
            packet: tcp.packet,
            time: tcp.time,
        };
        let Some(open) = self.open.get_mut(&tcp.connection.number) else {
            return;
        };
        let trail = &mut open.evidence.trail;
        match tcp.fact {
            TcpFact::ZeroWindow => trail.window_closed(tcp.from, at),
            TcpFact::WindowOpened => {
                if let Some(stall) = trail.window_opened(tcp.from, at) {
                    open.stalls.add(stall);
                }
            }
            TcpFact::Reset(reset) => trail.ttl(at, reset.ttl, reset.usual_ttl),
            _ => {}
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let number = frame.connection.number;
        self.advance(frame.time);
        self.topics.frame(frame);
        if self.judged.contains(&number) {
            return;
        }
        if self.open(frame.connection, frame.time).evidence.frames == 0 {
            self.servers
                .open(frame.connection.server, number, frame.time);
        }
        let open = self.open(frame.connection, frame.time);
        open.frame(fact);
        match &frame.packet {
            ControlPacket::Connect(connect) if frame.direction == Direction::Up => {
                if let Some(id) = connect.client_id.filter(|id| !id.bytes().is_empty()) {
                    self.connects(frame, id.bytes());
                }
            }
            ControlPacket::Connack(connack) if frame.direction == Direction::Down => {
                self.accepts(frame, connack.code);
            }
            ControlPacket::Publish(_) if frame.direction == Direction::Down => {
                self.is_will(frame);
            }
            _ => {}
        }
    }

    /// A CONNECT with an identifier: who had it?
    fn connects(&mut self, frame: &MQTTFrame<'_>, id: &[u8]) {
        let connection = frame.connection;
        let before = self
            .servers
            .connect(connection.server, id, connection.number);
        if let Some(before) = before
            && let Some(older) = self.open.get_mut(&before)
        {
            older.evidence.takeover.get_or_insert(Takeover {
                connection: connection.number,
                client: connection.client,
                connect: mark(frame),
                accepted: false,
            });
            if let Some(open) = self.open.get_mut(&connection.number) {
                open.replaces = Some(before);
            }
        }
        if let Some(open) = self.open.get(&connection.number)
            && let Some(will) = &open.will
            && self.wills.len() < limits::PUBLICATIONS
        {
            let key = (connection.server, will.topic.clone());
            self.wills.entry(key).or_default().push(connection.number);
        }
    }

    fn accepts(&mut self, frame: &MQTTFrame<'_>, code: Option<u8>) {
        let number = frame.connection.number;
        let Some(open) = self.open.get(&number) else {
            return;
        };
        if code == Some(0)
            && let Some(before) = open.replaces
            && let Some(older) = self.open.get_mut(&before)
            && let Some(takeover) = &mut older.evidence.takeover
            && takeover.connection == number
        {
            takeover.accepted = true;
        }
    }

    /// Whether a delivery is the will of a client.
    fn is_will(&mut self, frame: &MQTTFrame<'_>) {
        if self.wills.is_empty() {
            return;
        }
        let (ControlPacket::Publish(publish), Some(topic)) = (&frame.packet, frame.topic) else {
            return;
        };
        let key = (frame.connection.server, topic.bytes().into());
        let Some(owners) = self.wills.get(&key) else {
            return;
        };
        for owner in owners {
            if let Some(open) = self.open.get_mut(owner)
                && publish.payload_len == u32::try_from(open.will_payload.len()).ok()
                && open.will_payload.starts_with(publish.payload)
            {
                open.will_seen = Some(mark(frame));
            }
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        if !matches!(event.kind, EventKind::Dropped { .. }) {
            self.advance(event.time);
        }
        let Some(connection) = event.connection else {
            if matches!(event.kind, EventKind::Dropped { .. }) {
                for open in self.open.values_mut() {
                    open.evidence.taint(None, Reason::Dropped);
                }
            }
            return;
        };
        if !self.judged.contains(&connection.number) {
            self.open(connection, event.time).event(event);
        }
    }

    /// The connection is over, and the rules have judged it.
    fn closed(&mut self, facts: &ConnectionFacts) {
        let findings = match self.judge.has_finished() {
            true => self.judge.take_finished(),
            false => Vec::new(),
        };
        for finding in &findings {
            if let Some(number) = finding.connection
                && let Some(open) = self.open.get_mut(&number)
            {
                open.finding(finding);
            }
        }
        let number = facts.number;
        let Some(open) = self.open.get_mut(&number) else {
            return;
        };
        let (at, by) = open.end();
        let server = open.connection.server;
        self.servers
            .close(server, open.connection.client_id.as_deref(), number, at, by);
        self.over.push_back((self.now, number));
    }

    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
        while let Some(&(since, number)) = self.over.front()
            && self.now.since(since) >= SETTLE
        {
            self.over.pop_front();
            self.judge_one(number);
        }
    }

    /// A connection becomes a record.
    fn judge_one(&mut self, number: u64) {
        let Some(mut open) = self.open.remove(&number) else {
            return;
        };
        self.judged.insert(number);
        if let Some(will) = &open.will {
            let key = (open.connection.server, will.topic.clone());
            if let Some(owners) = self.wills.get_mut(&key) {
                owners.retain(|owner| *owner != number);
                if owners.is_empty() {
                    self.wills.remove(&key);
                }
            }
        }
        let (at, by) = open.end();
        if by == Some(Direction::Down) {
            open.evidence.stop = self.servers.stop(open.connection.server, at);
        }
        open.evidence.until = self.now;
        if self.finished.len() >= limits::SESSION_RECORDS {
            self.evicted += 1;
            self.finished.pop_first();
        }
        self.finished.insert(number, open.into_record());
    }
}

impl Sink for Sessions {
    fn needs(&self) -> Needs {
        self.judge.needs() | Needs::EXCHANGES | Needs::PACKETS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.judge.fact(fact);
        match fact {
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Event(event) => self.event(event),
            Fact::Packet(captured) => self.packet(captured),
            Fact::Tcp(tcp) => self.tcp(tcp),
            Fact::Evicted(number) => {
                self.judged.remove(&number);
            }
            Fact::Session(SessionFact::Closed(facts)) => self.closed(facts),
            _ => {}
        }
    }

    fn tick(&mut self, now: Timestamp) {
        self.judge.tick(now);
        self.advance(now);
    }

    fn finish(&mut self) {
        self.judge.finish();
        for (_, number) in std::mem::take(&mut self.over) {
            self.judge_one(number);
        }
    }
}

fn mark(frame: &MQTTFrame<'_>) -> Mark {
    Mark {
        packet: frame.last,
        time: frame.time,
    }
}

impl Open {
    fn new(connection: &Connection, now: Timestamp) -> Self {
        Self {
            evidence: Evidence::default(),
            connection: connection.clone(),
            first: now,
            last: now,
            opened: None,
            username: None,
            clean_start: None,
            session_present: None,
            session_expiry: None,
            will: None,
            will_payload: Box::default(),
            will_seen: None,
            messages: PerDirection::default(),
            bytes: PerDirection::default(),
            frames: PerDirection::default(),
            subscriptions: Vec::new(),
            subscribing: Vec::new(),
            releases: PerDirection::default(),
            latency: Latency::default(),
            stalls: Stalls::default(),
            quotas: PerDirection::default(),
            longest_idle: Duration::ZERO,
            replaces: None,
            violations: 0,
            warnings: 0,
            evicted: 0,
        }
    }

    /// The packet that closed it, if one did; and by whom.
    fn end(&self) -> (Timestamp, Option<Direction>) {
        let evidence = &self.evidence;
        let said = Direction::ALL
            .into_iter()
            .filter_map(|way| evidence.disconnect[way].map(|(at, ..)| (at.time, way)))
            .min_by_key(|(time, _)| *time);
        let ended = evidence.trail.end.map(|end| (end.at().time, end.from()));
        match (said, ended) {
            (Some(said), Some(ended)) if said.0 <= ended.0 => (said.0, Some(said.1)),
            (_, Some((time, from))) => (time, Some(from)),
            (Some((time, from)), None) => (time, Some(from)),
            (None, None) => (self.last, None),
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let way = frame.direction;
        let at = mark(frame);
        self.follow(frame.connection);
        self.last = self.last.max(frame.time);
        self.frames[way] += 1;
        self.bytes[way] += frame.header.packet_len();
        let evidence = &mut self.evidence;
        evidence.frames += 1;
        // What comes after the end was sent without knowing of it, and explains
        // nothing.
        let is_late = evidence
            .trail
            .end
            .is_some_and(|end| (end.at().time, end.at().packet) < (at.time, at.packet));
        if !is_late {
            evidence.latest[way] = Some(at);
        }
        evidence.version = frame.connection.version;
        evidence.trail.read(way, frame.end());
        if frame.resynchronised || frame.missing > 0 {
            evidence.doubt[way].get_or_insert(Reason::Gap);
        }
        if !frame.connection.from_start[way] {
            evidence.doubt[way].get_or_insert(Reason::MidStream);
        }
        let certain = !frame.resynchronised && frame.missing == 0;
        match (&frame.packet, way) {
            (ControlPacket::Connect(connect), Direction::Up) if evidence.connect.is_none() => {
                evidence.connect = Some(at);
                evidence.keep_alive = connect.keep_alive;
                self.username = connect.username.map(|name| name.bytes().into());
                self.clean_start = connect.clean_start();
                if frame.version == Version::V5 {
                    self.quotas.down.most = p::number(connect.properties, p::RECEIVE_MAXIMUM);
                    self.session_expiry =
                        Some(p::number(connect.properties, p::SESSION_EXPIRY).unwrap_or(0));
                }
                if let Some(will) = &connect.will
                    && let Some(topic) = will.topic
                {
                    self.will_payload = will.payload.unwrap_or_default().into();
                    self.will = Some(Will {
                        topic: topic.bytes().into(),
                        qos: will.qos,
                        retain: will.retain,
                        state: WillState::CannotTell,
                    });
                }
            }
            (ControlPacket::Connack(connack), Direction::Down) if evidence.connack.is_none() => {
                let code = connack.code.unwrap_or(0);
                evidence.connack = Some((at, code, certain && connack.code.is_some()));
                evidence.is_accepted |= code == 0 && connack.code.is_some();
                if let Some(seconds) = p::number(connack.properties, p::SERVER_KEEP_ALIVE) {
                    evidence.keep_alive = u16::try_from(seconds).ok();
                }
                if let Some(seconds) = p::number(connack.properties, p::SESSION_EXPIRY) {
                    self.session_expiry = Some(seconds);
                }
                if frame.version == Version::V5 {
                    self.quotas.up.most = p::number(connack.properties, p::RECEIVE_MAXIMUM);
                }
                self.session_present = connack.session_present(frame.version);
                if let Some(connect) = evidence.connect {
                    self.latency.connect = Some(at.time.since(connect.time));
                }
            }
            (ControlPacket::Disconnect(disconnect), _) => {
                if let Some(seconds) = p::number(disconnect.properties, p::SESSION_EXPIRY) {
                    self.session_expiry = Some(seconds);
                }
                evidence.disconnect[way].get_or_insert((at, disconnect.code.unwrap_or(0), certain));
            }
            (ControlPacket::Pingreq, Direction::Up) if !is_late => {
                evidence.pings += 1;
                evidence.ping.get_or_insert(at);
            }
            (ControlPacket::Pingresp, Direction::Down) if !is_late => {
                evidence.pings = evidence.pings.saturating_sub(1);
                evidence.ping = match evidence.pings {
                    0 => None,
                    _ => evidence.ping,
                };
            }
            _ => {}
        }
        if way == Direction::Down
            && !matches!(
                frame.packet,
                ControlPacket::Connack(_) | ControlPacket::Auth(_) | ControlPacket::Disconnect(_)
            )
        {
            evidence.is_accepted = true;
        }
        if way == Direction::Up
            && evidence
                .largest_up
                .is_none_or(|(size, _)| frame.header.packet_len() > size)
        {
            evidence.largest_up = Some((frame.header.packet_len(), at));
        }
        self.count(frame);
        self.measure(fact);
        self.wait(frame, at);
    }

    /// Waits that this packet ended.
    fn wait(&mut self, frame: &MQTTFrame<'_>, at: Mark) {
        let way = frame.direction;
        if frame.first != frame.last {
            let started = Mark {
                packet: frame.first,
                time: frame.started,
            };
            if let Some(stall) = self.evidence.trail.held_back(way, started, at) {
                self.stalls.add(stall);
            }
        }
        match frame.header.packet_type() {
            PacketType::Publish if frame.header.qos() > 0 && !frame.header.dup() => {
                if let Some(stall) = self.quotas[way].publish(at) {
                    self.stalls.add(stall);
                }
            }
            PacketType::Puback | PacketType::Pubcomp => self.quotas[way.reversed()].free(at),
            _ => {}
        }
    }

    /// What the engine knows of the connection by now.
    fn follow(&mut self, connection: &Connection) {
        let known = &mut self.connection;
        known.transport = connection.transport;
        known.from_start = connection.from_start;
        self.evidence.from_start = connection.from_start;
        known.version = connection.version;
        known.version_assumed = connection.version_assumed;
        if known.client_id.is_none() {
            known.client_id.clone_from(&connection.client_id);
        }
    }

    /// Messages and subscriptions.
    fn count(&mut self, frame: &MQTTFrame<'_>) {
        match &frame.packet {
            ControlPacket::Publish(_) => {
                let qos = usize::from(frame.header.qos());
                if let Some(count) = self.messages[frame.direction].get_mut(qos) {
                    *count += 1;
                }
                if frame.direction == Direction::Down
                    && let Some(topic) = frame.topic
                {
                    for subscription in &mut self.subscriptions {
                        let filter = topic::shared(&subscription.filter)
                            .map_or(&*subscription.filter, |(_, filter)| filter);
                        if !subscription.refused && topic::matches(filter, topic.bytes()) {
                            subscription.matched += 1;
                        }
                    }
                }
            }
            ControlPacket::Subscribe(subscribe) if frame.direction == Direction::Up => {
                let begin = self.subscriptions.len();
                for asked in subscribe.filters() {
                    if self.subscriptions.len() >= limits::SUBSCRIPTIONS {
                        self.evicted += 1;
                        continue;
                    }
                    self.subscriptions.push(Subscription {
                        filter: asked.filter.bytes().into(),
                        qos: asked.options.unwrap_or(0) & 3,
                        refused: false,
                        matched: 0,
                    });
                }
                if let Some(id) = frame.packet.packet_id()
                    && self.subscribing.len() < limits::UNACKED_REQUESTS
                {
                    let end = self.subscriptions.len();
                    self.subscribing.push((id, begin, end));
                }
            }
            ControlPacket::Suback(suback) => {
                let Some(id) = frame.packet.packet_id() else {
                    return;
                };
                let Some(found) = self.subscribing.iter().position(|(known, ..)| *known == id)
                else {
                    return;
                };
                let (_, begin, end) = self.subscribing.remove(found);
                let granted = self.subscriptions.get_mut(begin..end).unwrap_or_default();
                for (subscription, code) in granted.iter_mut().zip(suback.codes) {
                    match code {
                        0..=2 => subscription.qos = *code,
                        _ => subscription.refused = true,
                    }
                }
            }
            _ => {}
        }
    }

    /// How long the answer took, if it is one.
    fn measure(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let Some(exchange) = fact.exchange else {
            return;
        };
        let asked = exchange.asked;
        let kind = frame.header.packet_type();
        if kind == PacketType::Pubrel
            && let Some(id) = frame.packet.packet_id()
        {
            self.releases[asked].sent(id, frame.time);
        }
        if !matches!(exchange.role, Role::Continues | Role::Completes) {
            return;
        }
        let Some(time) = exchange.since_first(frame) else {
            return;
        };
        let latency = &mut self.latency;
        match kind {
            PacketType::Puback => latency.puback[asked].add(time, frame.last),
            PacketType::Pubrec => latency.pubrec[asked].add(time, frame.last),
            PacketType::Suback => latency.suback[asked].add(time, frame.last),
            PacketType::Pingresp => latency.ping[asked].add(time, frame.last),
            PacketType::Pubcomp => {
                if let Some(id) = frame.packet.packet_id()
                    && let Some(time) = self.releases[asked].answered(id, frame.time)
                {
                    latency.pubcomp[asked].add(time, frame.last);
                }
            }
            _ => {}
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        if let Some(connection) = event.connection {
            self.follow(connection);
        }
        let at = Mark {
            packet: event.packet,
            time: event.time,
        };
        let way = event.direction;
        let evidence = &mut self.evidence;
        match event.kind {
            EventKind::Opened => {
                self.opened = Some(event.time);
                self.first = self.first.min(event.time);
                evidence.trail.streams.up.syn.get_or_insert(at);
            }
            EventKind::Closed { reason, .. } => {
                evidence.ended = match reason {
                    CloseReason::Replaced => Ended::Replaced,
                    CloseReason::Idle => Ended::Idle,
                    CloseReason::Evicted => Ended::Evicted,
                    _ => Ended::Closed,
                };
            }
            EventKind::Gap | EventKind::Late => evidence.taint(way, Reason::Gap),
            EventKind::Resynchronised => evidence.taint(way, Reason::Gap),
            EventKind::Malformed { .. } | EventKind::NotMqtt { .. } => {
                evidence.taint(way, Reason::Malformed);
            }
            EventKind::Unfinished { wanted, .. } => {
                if way == Some(Direction::Up) {
                    let had = event.bytes.unwrap_or(0);
                    evidence.unfinished_up = Some((at, had, wanted.map(|more| had + more)));
                }
            }
            EventKind::Bound { .. } => evidence.taint(way, Reason::Bound),
            EventKind::Conflict { .. } => evidence.taint(way, Reason::Conflict),
            EventKind::Dropped { .. } => evidence.taint(None, Reason::Dropped),
            EventKind::Layer(note) => self.note(note, way, at),
        }
    }

    /// What lies between TCP and MQTT.
    fn note(&mut self, note: Note, way: Option<Direction>, at: Mark) {
        let evidence = &mut self.evidence;
        match (note, way) {
            // 0 is close_notify, 90 the user's wish; of TLS before 1.3, level 1
            // only warns.
            (Note::Alert { level, description }, Some(way))
                if level == 2 && !matches!(description, 0 | 90) =>
            {
                evidence.alert.get_or_insert((way, at, description));
            }
            (Note::WsClose { code }, Some(way)) => {
                evidence.websocket_close.get_or_insert((way, at, code));
            }
            (Note::Refused { status }, _) => {
                evidence.http_refused.get_or_insert((at, status));
            }
            (Note::Encrypted(why), _) => {
                evidence.encrypted.get_or_insert(why);
            }
            (Note::Undecrypted(why), way) => {
                evidence.encrypted.get_or_insert(why);
                evidence.taint(way, Reason::Encrypted);
            }
            (Note::Broken(_), way) => evidence.taint(way, Reason::Malformed),
            (Note::Bound(_), way) => evidence.taint(way, Reason::Bound),
            _ => {}
        }
    }

    fn finding(&mut self, finding: &Finding) {
        match finding.verdict {
            Verdict::Violation => self.violations += finding.count,
            Verdict::Warning => self.warnings += finding.count,
            _ => {}
        }
        if finding.verdict != Verdict::Violation || finding.by != Some(Side::Client) {
            return;
        }
        let evidence = &mut self.evidence;
        let Some(&packet) = finding.packets.last() else {
            return;
        };
        let time = match evidence.latest.up {
            Some(latest) if latest.packet == packet => latest.time,
            _ => finding.time,
        };
        let fault = Fault {
            at: Mark { packet, time },
            message: format!("{} ({})", finding.message, finding.rule.id),
            obliges: finding.rule.severity == Severity::Fatal,
        };
        let is_later = evidence
            .fault
            .as_ref()
            .is_none_or(|known| (known.obliges, known.at.time) < (fault.obliges, time));
        if is_later {
            evidence.fault = Some(fault);
        }
    }

    fn into_record(self) -> Record {
        let close = close::judge(&self.evidence);
        let evidence = &self.evidence;
        let end = evidence.trail.end.as_ref().map(End::at);
        let will = self.will.map(|will| Will {
            state: state_of_will(evidence, &close, self.will_seen),
            ..will
        });
        Record {
            connection: self.connection.number,
            uid: uid::of(
                self.connection.client,
                self.connection.server,
                self.opened.unwrap_or(self.first),
            ),
            client_id: self.connection.client_id,
            username: self.username,
            version: self.connection.version,
            version_assumed: self.connection.version_assumed,
            transport: self.connection.transport,
            client: self.connection.client,
            server: self.connection.server,
            opened: self.opened,
            closed: end.map(|end| end.time),
            seen: (self.first, self.last),
            clean_start: self.clean_start,
            session_present: self.session_present,
            keep_alive: evidence.keep_alive,
            session_expiry: self.session_expiry,
            will,
            messages: self.messages,
            bytes: self.bytes,
            frames: self.frames,
            subscriptions: self.subscriptions,
            violations: self.violations,
            warnings: self.warnings,
            latency: self.latency,
            longest_idle: self.longest_idle,
            evicted: self.evicted + self.stalls.more,
            stalls: self.stalls.into_kept(),
            close,
        }
    }
}

/// What became of the will of a connection with this end.
fn state_of_will(evidence: &Evidence, close: &Close, seen: Option<Mark>) -> WillState {
    let (Some(end), true) = (evidence.trail.end, evidence.is_accepted) else {
        return match close.cause {
            Cause::Refused => WillState::NotOwed,
            _ => WillState::CannotTell,
        };
    };
    // Servers publish it when they notice the end, which may be just before their FIN.
    if let Some(seen) = seen
        && seen.time.after(close::MOMENT) >= end.at().time
    {
        return WillState::Published(seen.packet);
    }
    match evidence.disconnect[Direction::Up] {
        Some((_, 0x04, _)) => WillState::Owed,
        Some((_, _, true)) => WillState::NotOwed,
        Some(_) => WillState::CannotTell,
        None if evidence.is_whole() => WillState::Owed,
        None => WillState::CannotTell,
    }
}

/// The packets of a verdict by their numbers.
pub fn numbers(packets: &[PacketRef]) -> Vec<u64> {
    packets.iter().map(|packet| packet.number).collect()
}
