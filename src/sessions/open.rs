//! The state of one connection until it is judged: [`Open`].

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{CloseReason, Event, EventKind, Side};
use crate::facts::{FrameFact, Reason, Role, properties as p};
use crate::frame::{Connection, Direction, MQTTFrame, PerDirection};
use crate::layer::Note;
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType, Version, topic};
use crate::packet::PacketRef;
use crate::rules::{Finding, Severity, Verdict};
use crate::time::Timestamp;

use super::cause::{Cause, Close};
use super::close;
use super::evidence::{Ended, Evidence, Fault};
use super::ladder::Rung;
use super::latency::{Latency, Releases};
use super::mark::Mark;
use super::record::{Record, Subscription, Will, WillState};
use super::stall::{Quota, Stalls};
use super::tcp::End;

/// The state of a connection until it is judged.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) evidence: Evidence,
    pub(super) connection: Connection,
    pub(super) first: Timestamp,
    pub(super) first_packet: PacketRef,
    pub(super) last: Timestamp,
    pub(super) opened: Option<Timestamp>,
    pub(super) username: Option<Box<[u8]>>,
    pub(super) clean_start: Option<bool>,
    pub(super) session_present: Option<bool>,
    pub(super) session_expiry: Option<u32>,
    pub(super) will: Option<Will>,
    pub(super) will_payload: Box<[u8]>,
    /// The latest PUBLISH of the server that equals the will.
    pub(super) will_published: Option<Mark>,
    pub(super) messages: PerDirection<[u64; 4]>,
    pub(super) bytes: PerDirection<u64>,
    pub(super) frames: PerDirection<u64>,
    pub(super) subscriptions: Vec<Subscription>,
    /// SUBSCRIBE packets without SUBACK: identifier, and where their filters begin.
    pub(super) subscribing: Vec<(u16, usize, usize)>,
    pub(super) releases: PerDirection<Releases>,
    pub(super) latency: Latency,
    pub(super) stalls: Stalls,
    pub(super) quotas: PerDirection<Quota>,
    pub(super) longest_idle: Duration,
    /// The connection that this one's identifier belonged to.
    pub(super) replaces: Option<u64>,
    pub(super) violations: u64,
    pub(super) warnings: u64,
    /// The latest rungs.
    pub(super) rungs: VecDeque<Rung>,
    pub(super) findings: Vec<Finding>,
    pub(super) evicted: u64,
}

pub(super) fn mark(frame: &MQTTFrame<'_>) -> Mark {
    Mark {
        packet: frame.last,
        time: frame.time,
    }
}

impl Open {
    pub(super) fn new(connection: &Connection, now: Timestamp, packet: PacketRef) -> Self {
        Self {
            evidence: Evidence::default(),
            connection: connection.clone(),
            first: now,
            first_packet: packet,
            last: now,
            opened: None,
            username: None,
            clean_start: None,
            session_present: None,
            session_expiry: None,
            will: None,
            will_payload: Box::default(),
            will_published: None,
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
            rungs: VecDeque::new(),
            findings: Vec::new(),
            evicted: 0,
        }
    }

    /// The packet that closed it, if one did; and by whom.
    pub(super) fn end(&self) -> (Timestamp, Option<Direction>) {
        let evidence = &self.evidence;
        let stated = Direction::ALL
            .into_iter()
            .filter_map(|way| evidence.disconnect[way].map(|(at, ..)| (at.time, way)))
            .min_by_key(|(time, _)| *time);
        let ended = evidence.trail.end.map(|end| (end.at().time, end.from()));
        match (stated, ended) {
            (Some(stated), Some(ended)) if stated.0 <= ended.0 => (stated.0, Some(stated.1)),
            (_, Some((time, from))) => (time, Some(from)),
            (Some((time, from)), None) => (time, Some(from)),
            (None, None) => (self.last, None),
        }
    }

    pub(super) fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let way = frame.direction;
        let at = mark(frame);
        self.follow(frame.connection);
        self.last = self.last.max(frame.time);
        self.frames[way] += 1;
        self.bytes[way] += frame.header.packet_len();
        let evidence = &mut self.evidence;
        evidence.frames += 1;
        // A packet after the end was sent without knowledge of it, and explains nothing.
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

    /// Keeps one of the last `most` rungs.
    pub(super) fn keep_last(&mut self, rung: Rung, most: usize) {
        if self.rungs.len() >= most {
            self.rungs.pop_front();
        }
        self.rungs.push_back(rung);
    }

    /// Waits that this packet ended.
    fn wait(&mut self, frame: &MQTTFrame<'_>, at: Mark) {
        let way = frame.direction;
        if frame.first != frame.last {
            let started = Mark {
                packet: frame.first,
                time: frame.started,
            };
            if let Some(stall) = self.evidence.trail.delayed_by(way, started, at) {
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

    /// Updates the connection to the engine's current knowledge.
    fn follow(&mut self, connection: &Connection) {
        let known = &mut self.connection;
        known.transport = connection.transport;
        known.from_start = connection.from_start;
        self.evidence.from_start = connection.from_start;
        known.version = connection.version;
        known.started = connection.started;
        if known.session_uid != connection.session_uid {
            known.session_uid.clone_from(&connection.session_uid);
        }
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

    pub(super) fn event(&mut self, event: &Event<'_>) {
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

    /// A note of the layers between TCP and MQTT.
    fn note(&mut self, note: Note, way: Option<Direction>, at: Mark) {
        let evidence = &mut self.evidence;
        match (note, way) {
            // 0 is close_notify, 90 the user's wish; of TLS before 1.3, level 1 only warns.
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
                evidence.encrypted.get_or_insert(why.text());
            }
            (Note::Undecrypted(why), way) => {
                evidence.encrypted.get_or_insert(why.text());
                evidence.taint(way, Reason::Encrypted);
            }
            (Note::Broken(_), way) => evidence.taint(way, Reason::Malformed),
            (Note::Limit(_), way) => evidence.taint(way, Reason::Bound),
            _ => {}
        }
    }

    pub(super) fn finding(&mut self, finding: &Finding) {
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

    pub(super) fn into_record(self) -> Record {
        let close = close::judge(&self.evidence);
        let evidence = &self.evidence;
        let end = evidence.trail.end.as_ref().map(End::at);
        let will = self.will.map(|will| Will {
            state: state_of_will(evidence, &close, self.will_published),
            ..will
        });
        Record {
            connection: self.connection.number,
            uid: self.connection.uid().clone(),
            session_uid: self.connection.session_uid.clone(),
            first: self.first_packet,
            client_id: self.connection.client_id,
            username: self.username,
            version: self.connection.version,
            version_assumed: self.connection.version_assumed,
            transport: self.connection.transport,
            client: self.connection.client,
            server: self.connection.server,
            opened: self.opened,
            closed: end.map(|end| end.time),
            captured: (self.first, self.last),
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
            last: self.rungs,
            findings: self.findings,
            evicted: self.evicted + self.stalls.more,
            stalls: self.stalls.into_kept(),
            close,
        }
    }
}

/// Outcome of the will of a connection with this end.
fn state_of_will(evidence: &Evidence, close: &Close, published: Option<Mark>) -> WillState {
    let (Some(end), true) = (evidence.trail.end, evidence.is_accepted) else {
        return match close.cause {
            Cause::Refused => WillState::NotOwed,
            _ => WillState::CannotTell,
        };
    };
    // Servers publish it when they notice the end, which may be just before their FIN.
    if let Some(published) = published
        && published.time.after(close::MOMENT) >= end.at().time
    {
        return WillState::Published(published.packet);
    }
    match evidence.disconnect[Direction::Up] {
        Some((_, 0x04, _)) => WillState::Owed,
        Some((_, _, true)) => WillState::NotOwed,
        Some(_) => WillState::CannotTell,
        None if evidence.is_whole() => WillState::Owed,
        None => WillState::CannotTell,
    }
}
