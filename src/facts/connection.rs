//! Facts about one connection: how it was opened, what was negotiated, open exchanges,
//! and what the capture lacks.
//!
//! Each frame has two steps. [`ConnectionFacts::step`] determines its role in its
//! exchange and updates the exchange; then the rules are applied; then
//! [`ConnectionFacts::absorb`] updates the facts about the connection itself. So a rule
//! for CONNACK finds `accepted` empty, unless this is the second one.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::event::EventKind;
use crate::flow::TcpFact;
use crate::frame::{Connection, Direction, MQTTFrame, PerDirection, Transport};
use crate::identity::ConnectionId;
use crate::layer::Note;
use crate::limits;
use crate::mqtt::{ControlPacket, DefectCode, PacketType, Version};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::close_due::{Cause, CloseDues, Excess};
use super::delivered::Delivered;
use super::doubt::{Doubt, Reason};
use super::due::Reported;
use super::exchange::{AckStep, Exchange, PublishStep};
use super::frame_ref::FrameRef;
use super::negotiated::{Acceptance, Opening};
use super::part::{Action, ExchangeKind, Part};
use super::properties as p;
use super::publication::Publication;
use super::publication::digest;
use super::request::{AnswerStep, Request, Requests};
use super::session::{Earlier, Key, Session};
use super::waits::Waits;

/// Seconds after which an immediate reaction (a close, an answer to SUBSCRIBE)
/// counts as missing. The specifications have no limit.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long after TCP has acknowledged a packet its receiver may not have read
/// it.
pub const READING: Duration = Duration::from_secs(1);

/// Facts about a connection.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// Its number.
    pub number: u64,
    /// What distinguishes it from all others.
    pub id: ConnectionId,
    /// Identity of its session, where known and [followed](super::Needs::SESSION_UIDS).
    pub session_uid: Option<Arc<str>>,
    /// Its client.
    pub client: Endpoint,
    /// Its server.
    pub server: Endpoint,
    /// Another address from which this server has accepted its Client Identifier
    /// before.
    pub other_address: Option<IpAddr>,
    /// Why not all control packets of a direction are known, by direction.
    pub doubt: PerDirection<Doubt>,
    /// No CONNECT was captured, so the version is assumed.
    pub version_assumed: bool,
    /// The client's identifier.
    pub client_id: Option<Box<[u8]>>,
    /// The first CONNECT.
    pub opening: Option<Box<Opening>>,
    /// The first CONNACK.
    pub accepted: Option<Box<Acceptance>>,
    /// A CONNECT after the first one, which was not answered yet.
    connect_again: Option<FrameRef>,
    /// The client sent something between CONNECT and CONNACK.
    pub early: bool,
    /// Number of frames in each direction.
    pub frames: PerDirection<u64>,
    /// The latest frame in each direction.
    pub latest: PerDirection<Option<FrameRef>>,
    /// DISCONNECT by direction, with its Reason Code.
    pub disconnect: PerDirection<Option<(FrameRef, u8)>>,
    /// When each side sent FIN, by the direction it sends in.
    pub fin: PerDirection<Option<Timestamp>>,
    /// When the peer has acknowledged one byte beyond the last frame's end: a FIN,
    /// captured or not, or the first byte of undecoded data.
    pub(super) fin_acked: PerDirection<Option<Timestamp>>,
    /// One side's receive window was closed at some time.
    pub zero_window: bool,
    /// The packet with the first WebSocket text message of a direction, until a
    /// frame in it was decoded.
    pub text: PerDirection<Option<PacketRef>>,
    /// The session.
    pub session: Session,
    /// SUBSCRIBE and UNSUBSCRIBE.
    pub requests: Requests,
    /// Use of the Receive Maximum by each direction's sender on this
    /// connection, and why that may be wrong.
    pub outstanding: PerDirection<(u32, Doubt)>,
    /// The highest QoS that each side has published with.
    pub highest_qos: PerDirection<u8>,
    /// The highest Topic Alias each side has used, and whether all of them
    /// could be resolved.
    pub aliases: PerDirection<(u16, bool)>,
    /// A PUBLISH whose topic and properties were not completely captured, by direction.
    pub clipped: PerDirection<bool>,
    /// A PUBLISH of which not all was captured, so that it is not known which message it
    /// was, by direction.
    pub unidentified: PerDirection<bool>,
    /// Why publications of the client may be missing, until that was reported.
    pub(super) missed: Doubt,
    /// The client re-authenticates (5.0: 4.12.1).
    pub reauthenticating: bool,
    /// The server waits for the client's next AUTH.
    pub auth_continues: bool,
    /// Session Expiry Interval of the client's DISCONNECT.
    pub expiry_at_disconnect: Option<u32>,
    /// The first new PUBLISH of QoS 1 or 2 in each direction.
    pub fresh: PerDirection<Option<FrameRef>>,
    /// Time limit for answers without a specified one.
    pub patience: Duration,
    pub(super) pings: VecDeque<Ping>,
    pings_open: u64,
    /// A PINGRESP was read before its PINGREQ, which ends no further than here.
    early_pingresp: Option<u64>,
    pub(super) acked: PerDirection<(u64, Timestamp)>,
    unacked: PerDirection<VecDeque<(u64, What)>>,
    /// Time of the last packet of each side.
    pub(super) alive: PerDirection<Timestamp>,
    pub(super) close_due: CloseDues,
    /// Which side reset the connection, by the direction it sends in, and when.
    pub(super) reset: Option<(Direction, Timestamp)>,
    pub(super) delivered: Delivered,
    pub(super) key: Option<Key>,
    /// The connection that has the session now.
    pub(super) successor: Option<u64>,
    /// Offset up to which frames of this direction may be known to the peer before they
    /// are read from the capture.
    disorder: PerDirection<u64>,
    /// The next deadline, if deadlines are tracked.
    pub(super) wake: Option<Timestamp>,
    /// The answers that are waited for, if deadlines are tracked.
    pub(super) waits: Waits,
    /// What was reported of the client's silence since this packet.
    pub(super) silence_reported: (Option<FrameRef>, Reported),
}

/// A PINGREQ that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ping {
    pub(super) seen: FrameRef,
    pub(super) acked: Option<Timestamp>,
    pub(super) reported: Reported,
}

/// Requests waiting for TCP's acknowledgement.
#[derive(Clone, Copy, Debug)]
enum What {
    Exchange(Direction, u16),
    Request(u16),
    Ping,
}

/// Role of a frame in its exchange.
#[derive(Debug, Default)]
pub enum Step {
    /// It belongs to no exchange, or its identifier is unknown.
    #[default]
    None,
    /// PUBLISH of QoS 1 and 2.
    Publish {
        /// Its role.
        step: PublishStep,
        /// A SUBSCRIBE or UNSUBSCRIBE with this identifier that waits.
        request: Option<FrameRef>,
        /// PUBLISH packets that its sender had outstanding before.
        outstanding: u32,
    },
    /// PUBACK, PUBREC, PUBREL, PUBCOMP.
    Ack(AckStep),
    /// SUBSCRIBE, UNSUBSCRIBE.
    Request {
        /// Another request with this identifier that waits.
        request: Option<Box<Request>>,
        /// A PUBLISH with this identifier that is in flight.
        exchange: Option<Exchange>,
    },
    /// SUBACK, UNSUBACK.
    Answer(AnswerStep),
    /// CONNACK, with the CONNECT that it answers.
    Connack(Option<FrameRef>),
    /// PINGRESP, and whether a PINGREQ waited for it.
    Pingresp {
        /// Whether one did.
        asked: bool,
        /// The PINGREQ, if it was followed.
        ping: Option<FrameRef>,
    },
}

impl Step {
    /// The packet that the frame answers.
    pub fn answers(&self) -> Option<FrameRef> {
        match self {
            Self::Ack(AckStep::Expected { exchange, .. }) => Some(exchange.last),
            Self::Answer(AnswerStep::Expected(request)) => Some(request.seen),
            Self::Pingresp { ping, .. } => *ping,
            Self::Connack(connect) => *connect,
            _ => None,
        }
    }
}

impl ConnectionFacts {
    pub(super) fn new(connection: &Connection, server: Endpoint, patience: Duration) -> Self {
        let mut facts = Self {
            number: connection.number,
            id: connection.id(),
            session_uid: None,
            client: connection.client,
            server,
            other_address: None,
            doubt: PerDirection::both(None),
            version_assumed: true,
            client_id: None,
            opening: None,
            accepted: None,
            connect_again: None,
            early: false,
            frames: PerDirection::both(0),
            latest: PerDirection::both(None),
            disconnect: PerDirection::both(None),
            fin: PerDirection::both(None),
            fin_acked: PerDirection::default(),
            zero_window: false,
            text: PerDirection::both(None),
            session: Session::default(),
            requests: Requests::default(),
            outstanding: PerDirection::both((0, None)),
            highest_qos: PerDirection::both(0),
            aliases: PerDirection::both((0, true)),
            clipped: PerDirection::both(false),
            unidentified: PerDirection::both(false),
            missed: None,
            reauthenticating: false,
            auth_continues: false,
            expiry_at_disconnect: None,
            fresh: PerDirection::both(None),
            patience,
            pings: VecDeque::new(),
            pings_open: 0,
            early_pingresp: None,
            acked: PerDirection::both((0, Timestamp::MIN)),
            unacked: Default::default(),
            alive: PerDirection::both(Timestamp::MIN),
            close_due: CloseDues::default(),
            reset: None,
            delivered: Delivered::default(),
            key: None,
            successor: None,
            disorder: PerDirection::both(0),
            wake: None,
            waits: Waits::default(),
            silence_reported: (None, Reported::default()),
        };
        // Until CONNECT is captured.
        facts.session.doubt_past(Reason::MidStream);
        facts
    }

    /// Why not both directions are completely known.
    pub fn any_doubt(&self) -> Doubt {
        self.doubt.up.or(self.doubt.down)
    }

    /// Why it is not completely known what a sender had received when it sent `frame`.
    pub fn doubt_of_received(&self, frame: &MQTTFrame<'_>) -> Doubt {
        let received = frame.received;
        let other = frame.direction.reversed();
        // Nothing of the other side was captured, and what was before is unknown.
        let joined = self.frames[other] == 0 && !frame.connection.from_start[other];
        self.doubt[other]
            .or(joined.then_some(Reason::MidStream))
            .or((received.at_most > received.read).then_some(Reason::Crossing))
    }

    /// Whether the sender of `frame` must have known a packet of the other side when it
    /// started to send: TCP had acknowledged it, long enough ago for the application to
    /// have read it.
    pub fn knew(frame: &MQTTFrame<'_>, seen: FrameRef) -> bool {
        frame.connection.number == seen.connection
            && frame.received.surely >= seen.end
            && frame.started.since(seen.time) >= READING
    }

    /// Whether the client must have known the content of CONNACK. One that sent nothing
    /// before has waited for it.
    pub fn knew_acceptance(&self, frame: &MQTTFrame<'_>) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| {
            frame.received.surely >= accepted.seen.end
                && (!self.early || Self::knew(frame, accepted.seen))
        })
    }

    /// The effective Keep Alive, once known; `None` for none.
    pub fn keep_alive(&self) -> Option<Duration> {
        let opening = self.opening.as_ref()?;
        let accepted = self.accepted.as_ref().filter(|a| a.accepted())?;
        let seconds = match (opening.version, accepted.keep_alive) {
            (Version::V5, Some(seconds)) => seconds,
            // It may be in the part that was not captured.
            (Version::V5, None) if !accepted.whole => return None,
            _ => opening.keep_alive,
        };
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Records a doubt about one direction.
    fn taint(&mut self, direction: Direction, reason: Reason) {
        self.doubt[direction].get_or_insert(reason);
        for of in Direction::ALL {
            self.session.space_mut(of).taint(reason, of == direction);
        }
        if direction == Direction::Up {
            self.session.subscriptions.past.get_or_insert(reason);
            // What was before the capture is not missing in it.
            if !matches!(reason, Reason::MidStream | Reason::Crossing) {
                self.missed.get_or_insert(reason);
            }
        }
        self.requests.taint(reason);
        for (_, doubt) in self.outstanding.iter_mut() {
            doubt.get_or_insert(reason);
        }
    }

    /// Determines the role of a frame in its exchange; updates the exchange.
    pub(super) fn step(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let direction = frame.direction;
        let from_start = frame.connection.from_start[direction];
        if self.frames[direction] == 0 && !from_start {
            self.taint(direction, Reason::MidStream);
        }
        // Below a layer, a gap that begins inside a frame may go on after it: the
        // end of the frame is that of the gap.
        let layered = frame.connection.transport != Transport::TCP;
        if frame.resynchronised || frame.missing > 0 && layered {
            self.taint(direction, Reason::Gap);
        }
        self.mind_order(frame);
        let Some(part) = Part::of(frame) else {
            return Step::None;
        };
        let asks = matches!(part.action, Action::Asks { .. });
        match part.kind {
            ExchangeKind::Publish if asks => self.publish(frame),
            ExchangeKind::Publish => self.acknowledge(frame, part),
            ExchangeKind::Subscribe | ExchangeKind::Unsubscribe if asks => self.request(frame),
            ExchangeKind::Subscribe | ExchangeKind::Unsubscribe => self.answer(frame),
            ExchangeKind::Ping if asks => self.ping(frame),
            ExchangeKind::Ping => self.ping_response(frame),
            ExchangeKind::Connect if frame.header.packet_type() == PacketType::Connack => {
                self.connack(frame)
            }
            ExchangeKind::Connect | ExchangeKind::Auth => Step::None,
        }
    }

    fn connack(&mut self, frame: &MQTTFrame<'_>) -> Step {
        if frame.direction == Direction::Up {
            return Step::None;
        }
        let first = self.opening.as_ref().map(|opening| opening.seen);
        Step::Connack(match self.accepted {
            None => first,
            Some(_) => self.connect_again.take(),
        })
    }

    fn ping(&mut self, frame: &MQTTFrame<'_>) -> Step {
        // Its answer was read before it.
        if self
            .early_pingresp
            .take()
            .is_some_and(|end| frame.end() <= end)
        {
            return Step::None;
        }
        if self.pings.len() < limits::UNACKED_REQUESTS {
            self.pings.push_back(Ping {
                seen: FrameRef::of(frame),
                acked: None,
                reported: Reported::default(),
            });
            self.wait_for_tcp(frame, What::Ping);
        }
        self.pings_open += 1;
        Step::None
    }

    fn ping_response(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let asked = self.pings_open > 0;
        self.pings_open = self.pings_open.saturating_sub(1);
        let received = frame.received;
        if !asked && received.at_most > received.read {
            self.early_pingresp = Some(received.at_most);
        }
        let ping = self.pings.pop_front().map(|ping| ping.seen);
        Step::Pingresp { asked, ping }
    }

    /// If the capture has the two directions out of order, a frame may be read before
    /// others that its sender had received: the messages in flight may have changed by
    /// then.
    fn mind_order(&mut self, frame: &MQTTFrame<'_>) {
        let received = frame.received;
        if received.at_most > received.read {
            let other = frame.direction.reversed();
            let disorder = &mut self.disorder[other];
            *disorder = (*disorder).max(received.at_most);
        }
        if self.disorder.up > 0 || self.disorder.down > 0 {
            for direction in Direction::ALL {
                self.session
                    .space_mut(direction)
                    .taint(Reason::Crossing, false);
            }
            self.requests.taint(Reason::Crossing);
            let way = frame.direction;
            if frame.end() >= self.disorder[way] {
                self.disorder[way] = 0;
            }
        }
    }

    /// Whether frames are being read out of their order.
    fn disordered(&self) -> bool {
        self.disorder != PerDirection::both(0)
    }

    fn wait_for_tcp(&mut self, frame: &MQTTFrame<'_>, what: What) {
        let way = frame.direction;
        let (offset, time) = self.acked[way];
        if offset >= frame.end() {
            self.arrived(what, frame.end(), time.max(frame.time));
            return;
        }
        let queue = &mut self.unacked[way];
        if queue.len() == limits::UNACKED_REQUESTS {
            queue.pop_front();
        }
        queue.push_back((frame.end(), what));
    }

    fn arrived(&mut self, what: What, end: u64, at: Timestamp) {
        match what {
            What::Exchange(direction, id) => {
                self.session.space_mut(direction).arrived(id, end, at);
            }
            What::Request(id) => self.requests.arrived(id, end, at),
            What::Ping => {
                // Those in one record of a layer have the same end.
                let first = self.pings.partition_point(|ping| ping.seen.end < end);
                let same = self.pings.range_mut(first..);
                let mut same = same.take_while(|ping| ping.seen.end == end);
                if let Some(ping) = same.find(|ping| ping.acked.is_none()) {
                    ping.acked = Some(at);
                }
            }
        }
    }

    fn publish(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let direction = frame.direction;
        let ControlPacket::Publish(publish) = &frame.packet else {
            return Step::None;
        };
        let Some(id) = publish.packet_id.filter(|id| *id != 0) else {
            // One more message is in flight, but it is unknown which.
            if publish.packet_id.is_none() {
                self.session.space_mut(direction).taint(Reason::Gap, true);
                self.outstanding[direction].1.get_or_insert(Reason::Gap);
            }
            return Step::None;
        };
        let space = self.session.space_mut(direction);
        let step = space.publish(frame, id, digest(frame));
        if self.disordered() {
            self.session
                .space_mut(direction)
                .taint_one(id, Reason::Crossing);
        }
        let request = match direction {
            Direction::Up => self
                .requests
                .open(id)
                .filter(|r| r.doubt.is_none())
                .map(|r| r.seen),
            Direction::Down => None,
        };
        let outstanding = &mut self.outstanding[direction].0;
        let before = *outstanding;
        *outstanding = before.saturating_add(1);
        self.wait_for_tcp(frame, What::Exchange(direction, id));
        Step::Publish {
            step,
            request,
            outstanding: before,
        }
    }

    fn acknowledge(&mut self, frame: &MQTTFrame<'_>, part: Part) -> Step {
        let of = part.asked;
        let Some(id) = frame.packet.packet_id().filter(|id| *id != 0) else {
            self.session.space_mut(of).taint(Reason::Gap, false);
            self.outstanding[of].1.get_or_insert(Reason::Gap);
            return Step::None;
        };
        let step = self.session.space_mut(of).acknowledge(frame, id);
        if part.action == Action::Continues {
            self.wait_for_tcp(frame, What::Exchange(of, id));
        } else {
            let outstanding = &mut self.outstanding[of].0;
            *outstanding = outstanding.saturating_sub(1);
        }
        Step::Ack(step)
    }

    fn request(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let Some(id) = frame.packet.packet_id().filter(|id| *id != 0) else {
            // It will be answered; which answer that is cannot be known.
            if frame.packet.packet_id().is_none() {
                self.taint(frame.direction, Reason::Gap);
            }
            return Step::None;
        };
        let kind = frame.header.packet_type();
        let seen = FrameRef::of(frame);
        let whole = frame.missing == 0 && frame.bytes.len() as u64 == frame.header.packet_len();
        let request = self.requests.request(kind, id, seen, frame.packet, whole);
        if !whole {
            self.session
                .subscriptions
                .past
                .get_or_insert(Reason::Clipped);
        }
        if kind == PacketType::Subscribe
            && let Some(open) = self.requests.open(id)
        {
            self.session.subscriptions.subscribe(open);
        }
        if kind == PacketType::Unsubscribe
            && let Some(open) = self.requests.open(id)
        {
            self.session.subscriptions.ending(open);
            for (filter, _) in &open.filters {
                self.delivered.unsubscribe(filter);
            }
        }
        if self.disordered() {
            self.requests.taint(Reason::Crossing);
        }
        self.wait_for_tcp(frame, What::Request(id));
        Step::Request {
            request: request.map(Box::new),
            exchange: self.session.space(Direction::Up).open(id).copied(),
        }
    }

    fn answer(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let Some(id) = frame.packet.packet_id().filter(|id| *id != 0) else {
            self.requests.taint(Reason::Gap);
            return Step::None;
        };
        let kind = frame.header.packet_type();
        let step = self.requests.answer(kind, id, FrameRef::of(frame));
        if let AnswerStep::Expected(request) = &step {
            let (seen, subscriptions) = (FrameRef::of(frame), &mut self.session.subscriptions);
            match &frame.packet {
                ControlPacket::Suback(suback) => subscriptions.granted(request, suback.codes, seen),
                ControlPacket::Unsuback(unsuback) => {
                    subscriptions.unsubscribed(request, unsuback.codes, seen);
                }
                _ => {}
            }
        }
        Step::Answer(step)
    }

    /// Updates the facts about the connection by the content of a frame.
    pub(super) fn absorb(&mut self, frame: &MQTTFrame<'_>, step: &Step) {
        let direction = frame.direction;
        let way = direction;
        let seen = FrameRef::of(frame);
        self.frames[way] += 1;
        self.version_assumed =
            frame.connection.version_assumed || frame.connection.version.is_none();
        if self.client_id.as_deref() != frame.connection.client_id.as_deref() {
            self.client_id.clone_from(&frame.connection.client_id);
        }
        if self.session_uid != frame.connection.session_uid {
            self.session_uid.clone_from(&frame.connection.session_uid);
        }
        self.id.started = frame.connection.started;
        self.alive(direction, frame.time);
        // The acknowledgement may have arrived before the frame that it exceeds.
        let (acked, at) = self.acked[direction];
        self.fin_acked[direction] = (acked == frame.end() + 1).then_some(at);
        self.note_faults(frame, step);
        if self.text[way].take().is_some() {
            self.due(Cause::TextMessage, direction.reversed(), frame);
        }
        match &frame.packet {
            ControlPacket::Connect(connect) if direction == Direction::Up => {
                if self.opening.is_some() {
                    self.connect_again = Some(seen);
                    self.due(Cause::SecondConnect, Direction::Down, frame);
                } else {
                    self.opening = Some(Box::new(Opening::of(frame, connect)));
                }
            }
            ControlPacket::Connack(connack)
                if direction == Direction::Down && self.accepted.is_none() =>
            {
                let accepted = Acceptance::of(frame, connack);
                if !accepted.accepted() && accepted.whole {
                    self.due(Cause::Refused, Direction::Down, frame);
                }
                self.accepted = Some(Box::new(accepted));
            }
            ControlPacket::Disconnect(disconnect) if self.disconnect[way].is_none() => {
                if direction == Direction::Up {
                    self.expiry_at_disconnect = p::number(disconnect.properties, p::SESSION_EXPIRY);
                }
                self.disconnect[way] = Some((seen, disconnect.code.unwrap_or(0)));
                self.due(Cause::Disconnected, direction, frame);
            }
            ControlPacket::Publish(publish) => {
                let qos = frame.header.qos();
                self.highest_qos[way] = self.highest_qos[way].max(qos);
                if qos > 0 && !frame.header.dup() {
                    self.fresh[way].get_or_insert(seen);
                }
                self.clipped[way] |= publish.payload_len.is_none();
                self.unidentified[way] |= frame.missing > 0;
                if let Some(alias) = publish.topic_alias {
                    let aliases = &mut self.aliases[way];
                    aliases.0 = aliases.0.max(alias);
                    aliases.1 &= frame.topic.is_some() && alias != 0;
                }
            }
            ControlPacket::Auth(auth) => {
                let code = auth.code.unwrap_or(0);
                match direction {
                    Direction::Up => {
                        self.reauthenticating |= code == 0x19;
                        self.auth_continues = false;
                    }
                    Direction::Down => {
                        self.reauthenticating &= code == 0x18;
                        self.auth_continues = code == 0x18;
                    }
                }
            }
            _ => {}
        }
        if direction == Direction::Up && self.opening.is_some() && self.accepted.is_none() {
            let auth = matches!(
                frame.packet,
                ControlPacket::Auth(_) | ControlPacket::Connect(_)
            );
            self.early |= !auth;
        }
        self.latest[way] = Some(seen);
    }

    /// A Malformed Packet or a Protocol Error has to be noticed by its receiver.
    fn note_faults(&mut self, frame: &MQTTFrame<'_>, step: &Step) {
        if frame.resynchronised {
            return;
        }
        let by = frame.direction.reversed();
        let cause = match frame.defects.first() {
            None => self.excess(frame, step).map(Cause::Exceeded),
            Some(defect) if defect.code == DefectCode::UnknownProtocol => {
                Some(Cause::UnsupportedLevel)
            }
            Some(defect) if frame.header.packet_type() == PacketType::Connect => {
                Some(Cause::MalformedConnect(defect.code))
            }
            Some(defect) => Some(Cause::Malformed(defect.code)),
        };
        if let Some(cause) = cause {
            self.due(cause, by, frame);
        }
    }

    /// A limit that the receiver has set and the sender knew.
    fn excess(&self, frame: &MQTTFrame<'_>, step: &Step) -> Option<Excess> {
        if frame.version != Version::V5 {
            return None;
        }
        let direction = frame.direction;
        let way = direction;
        let knew = direction == Direction::Down || self.knew_acceptance(frame);
        if self.any_doubt().is_some() || !knew {
            return None;
        }
        let above =
            |limit: Option<u32>, value: u64| limit.is_some_and(|most| value > u64::from(most));
        let many = match step {
            Step::Publish { outstanding, .. } => {
                self.outstanding[way].1.is_none()
                    && above(self.receive_maximum(direction), u64::from(*outstanding) + 1)
            }
            _ => false,
        };
        let alias = match &frame.packet {
            ControlPacket::Publish(publish) => publish.topic_alias.unwrap_or(0),
            _ => 0,
        };
        if many {
            Some(Excess::ReceiveMaximum)
        } else if above(self.alias_maximum(direction), alias.into()) {
            Some(Excess::TopicAlias)
        } else if above(
            self.maximum_packet_size(direction),
            frame.header.packet_len(),
        ) {
            Some(Excess::PacketSize)
        } else {
            None
        }
    }

    fn alive(&mut self, from: Direction, time: Timestamp) {
        let alive = &mut self.alive[from];
        *alive = (*alive).max(time);
    }

    /// A fact of TCP.
    pub(super) fn tcp(&mut self, from: Direction, fact: TcpFact, time: Timestamp) {
        match fact {
            TcpFact::Acknowledged { offset, .. } => {
                self.alive(from, time);
                let way = from.reversed();
                if offset <= self.acked[way].0 {
                    return;
                }
                self.acked[way] = (offset, time);
                let end = self.latest[way].map(|seen| seen.end);
                self.fin_acked[way] = end.filter(|end| offset == end + 1).map(|_| time);
                while let Some(&(end, what)) = self.unacked[way].front()
                    && end <= offset
                {
                    self.unacked[way].pop_front();
                    self.arrived(what, end, time);
                }
                self.close_due.acknowledged(from.reversed(), offset, time);
            }
            TcpFact::Fin => {
                self.fin[from].get_or_insert(time);
            }
            TcpFact::ZeroWindow => self.zero_window = true,
            TcpFact::Unseen => self.taint(from, Reason::Gap),
            TcpFact::WindowOpened
            | TcpFact::SynAgain { .. }
            | TcpFact::Retransmitted { .. }
            | TcpFact::OutOfOrder { .. }
            | TcpFact::KeepAlive { .. }
            | TcpFact::Reset(_) => {}
        }
    }

    /// An event.
    pub(super) fn event(&mut self, kind: EventKind, direction: Option<Direction>) {
        let reason = match kind {
            // The connection has ended within it: nothing is missing.
            EventKind::Unfinished { .. } if self.left().is_some() => Reason::Malformed,
            EventKind::Gap | EventKind::Late | EventKind::Unfinished { .. } => Reason::Gap,
            EventKind::Resynchronised if self.frames == PerDirection::both(0) => Reason::MidStream,
            EventKind::Resynchronised => Reason::Gap,
            EventKind::Malformed { .. } | EventKind::NotMqtt { .. } => Reason::Malformed,
            EventKind::Bound { .. } => Reason::Bound,
            EventKind::Conflict { .. } => Reason::Conflict,
            EventKind::Layer(note) => match note {
                Note::Encrypted(_) | Note::Undecrypted(_) => Reason::Encrypted,
                Note::Broken(_) => Reason::Malformed,
                Note::Limit(_) => Reason::Bound,
                _ => return,
            },
            EventKind::Opened | EventKind::Closed { .. } => return,
            EventKind::Dropped { .. } => return self.dropped(),
        };
        for way in Direction::ALL {
            if direction.is_none_or(|direction| direction == way) {
                self.taint(way, reason);
            }
        }
    }

    /// It was over before, as far as the capture shows.
    pub(super) fn came_late(&mut self) {
        for way in Direction::ALL {
            self.taint(way, Reason::Crossing);
        }
    }

    /// The capture lacks packets, and they may be of this connection.
    pub(super) fn dropped(&mut self) {
        for way in Direction::ALL {
            self.taint(way, Reason::Dropped);
        }
    }

    /// Gives the session to its next connection.
    pub(super) fn hand_over(&mut self) -> Session {
        let earlier = self.as_earlier();
        let mut session = std::mem::take(&mut self.session);
        self.session.doubt_past(Reason::SessionUnknown);
        if earlier.session_ended {
            session.discard();
        } else if self.any_doubt().is_none() && !self.unidentified.down {
            session.queued = self.delivered.take_queued();
        }
        if !earlier.whole {
            session.doubt_past(Reason::Clipped);
        }
        session.earlier = Some(Box::new(earlier));
        session
    }

    /// Facts for the session's next connection.
    pub(super) fn as_earlier(&self) -> Earlier {
        let opening = self.opening.as_deref();
        let left = self.left();
        let ended = self.alive.up.max(self.alive.down);
        // The last packets of a side may not have been captured, unless the end of its
        // stream was.
        let to_its_end = |direction: Direction| {
            let way = direction;
            self.any_doubt().is_none()
                && (self.fin[way].is_some() || self.disconnect[way].is_some())
        };
        let clean = opening.is_some_and(|opening| opening.clean_start);
        // From then on the server knows that the connection is closed. If no end was
        // captured, the server may have waited for the Keep Alive to pass.
        let noticing = match (left, self.keep_alive()) {
            (None, Some(keep_alive)) => keep_alive * 3 / 2,
            _ => Duration::ZERO,
        };
        let mut earlier = Earlier {
            number: self.number,
            ended,
            noticing,
            session_ended: opening.is_some_and(Opening::session_ends_with_connection),
            expiry: None,
            expiry_by_server: false,
            whole: true,
            complete: PerDirection::from_fn(|direction| clean && to_its_end(direction)),
            taken_over: self.successor.is_some(),
            dropped_by_server: left.is_none_or(|(by, _)| by == Direction::Down),
            will: self.left_will(),
        };
        if let Some(opening) = opening.filter(|opening| opening.version == Version::V5) {
            let accepted = self.accepted.as_deref();
            let expiry = self.session_expiry(opening);
            earlier.whole = opening.whole && accepted.is_none_or(|accepted| accepted.whole);
            if !earlier.whole {
                earlier.session_ended = false;
                return earlier;
            }
            earlier.session_ended = expiry == 0;
            earlier.expiry = (expiry != u32::MAX).then_some(expiry);
            let agreed = accepted.and_then(|accepted| accepted.session_expiry);
            earlier.expiry_by_server = agreed.is_some() && self.expiry_at_disconnect.is_none();
        }
        earlier
    }

    /// Session Expiry Interval in seconds, as it is in the end.
    pub(super) fn session_expiry(&self, opening: &Opening) -> u32 {
        let agreed = self.accepted.as_ref().and_then(|a| a.session_expiry);
        self.expiry_at_disconnect
            .or(agreed)
            .unwrap_or(opening.session_expiry)
    }

    /// Whether the client is subscribed so that it should get a message.
    pub(super) fn should_get(&self, publication: &Publication) -> bool {
        let opening = self.opening.as_deref();
        // It may be too large.
        let size = opening.and_then(|opening| opening.maximum_packet_size);
        let own = publication.seen.connection == self.number;
        // A bridge never gets back its own messages.
        let bridge = opening.is_some_and(|opening| opening.bridge);
        size.is_none() && !(own && bridge) && self.session.should_get(publication, own)
    }

    /// The maximum number of PUBLISH packets in flight in one direction.
    pub fn receive_maximum(&self, direction: Direction) -> Option<u32> {
        match direction {
            Direction::Up => Some(self.accepted()?.receive_maximum),
            Direction::Down => Some(self.opening.as_ref()?.receive_maximum),
        }
    }

    /// The highest Topic Alias allowed in one direction, if the packet that sets it was
    /// captured completely.
    pub fn alias_maximum(&self, direction: Direction) -> Option<u32> {
        let (maximum, whole) = match direction {
            Direction::Up => {
                let accepted = self.accepted()?;
                (accepted.topic_alias_maximum, accepted.whole)
            }
            Direction::Down => {
                let opening = self.opening.as_ref()?;
                (opening.topic_alias_maximum, opening.whole)
            }
        };
        whole.then_some(maximum)
    }

    /// The maximum size of a control packet in one direction.
    pub fn maximum_packet_size(&self, direction: Direction) -> Option<u32> {
        match direction {
            Direction::Up => self.accepted()?.maximum_packet_size,
            Direction::Down => self.opening.as_ref()?.maximum_packet_size,
        }
    }

    /// The CONNACK, if it accepts.
    pub fn accepted(&self) -> Option<&Acceptance> {
        self.accepted
            .as_deref()
            .filter(|accepted| accepted.accepted())
    }
}
