//! What is known of one connection: how it was opened, what was agreed, what
//! is open, and what of it the capture does not have.
//!
//! For each frame there are two steps. [`ConnectionFacts::step`] tells what it
//! is in its exchange and moves the exchange on; then the rules look at both;
//! then [`ConnectionFacts::absorb`] learns what the frame says about the
//! connection itself. So a rule for CONNACK finds `accepted` empty, unless this
//! is the second one.

use std::collections::VecDeque;
use std::time::Duration;

use crate::event::{CloseReason, EventKind};
use crate::flow::TcpFact;
use crate::frame::{Connection, Direction, MQTTFrame, PerDirection};
use crate::layer::Note;
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType, Version};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::broker::{Because, Delivered, Publication};
use super::deadline::{Deadline, Told};
use super::doubt::{Doubt, Reason};
use super::exchange::{AckStep, Exchange, PublishStep};
use super::negotiated::{Acceptance, Opening};
use super::properties as p;
use super::request::{AnswerStep, Request, Requests};
use super::seen::Seen;
use super::session::{Earlier, Key, Session};

/// Seconds after which something that had to happen at once (a close, an
/// answer to SUBSCRIBE) counts as not happening. The specifications give none.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The same for a connection that had to be closed.
pub const CLOSE_PATIENCE: Duration = Duration::from_secs(5);
/// How long after TCP has acknowledged a packet its receiver may not have read
/// it.
pub const READING: Duration = Duration::from_secs(1);

/// What is known of a connection.
#[derive(Debug)]
pub struct ConnectionFacts {
    /// Its number.
    pub number: u64,
    /// Its server.
    pub server: Endpoint,
    /// Why not all control packets that go this way are known, by direction.
    pub doubt: PerDirection<Doubt>,
    /// No CONNECT told the version.
    pub version_assumed: bool,
    /// The client's identifier.
    pub client_id: Option<Box<[u8]>>,
    /// The first CONNECT.
    pub opening: Option<Box<Opening>>,
    /// The first CONNACK.
    pub accepted: Option<Box<Acceptance>>,
    /// The client sent something between CONNECT and CONNACK.
    pub early: bool,
    /// Frames that went each way.
    pub frames: PerDirection<u64>,
    /// The latest frame each way.
    pub latest: PerDirection<Option<Seen>>,
    /// DISCONNECT by direction, with its Reason Code.
    pub disconnect: PerDirection<Option<(Seen, u8)>>,
    /// When each side sent FIN, by the direction it sends in.
    pub fin: PerDirection<Option<Timestamp>>,
    /// The peer has acknowledged one more than the last frame's end: a FIN, also
    /// one that was not captured, or the first byte of what was not read.
    fin_acked: PerDirection<bool>,
    /// One side had no room for more bytes at some time.
    pub zero_window: bool,
    /// The packet with the first text message of the WebSocket that went this
    /// way, until a frame came in it.
    pub text: PerDirection<Option<PacketRef>>,
    /// The session.
    pub session: Session,
    /// SUBSCRIBE and UNSUBSCRIBE.
    pub requests: Requests,
    /// What each direction's sender has used of the other's Receive Maximum on
    /// this connection, and why that may be wrong.
    pub outstanding: PerDirection<(u32, Doubt)>,
    /// The highest QoS that each side has published with.
    pub highest_qos: PerDirection<u8>,
    /// The highest Topic Alias each side has used, and whether all of them
    /// could be resolved.
    pub aliases: PerDirection<(u16, bool)>,
    /// The client re-authenticates (5.0: 4.12.1).
    pub reauthenticating: bool,
    /// The server waits for the client's next AUTH.
    pub auth_continues: bool,
    /// Session Expiry Interval of the client's DISCONNECT.
    pub expiry_at_disconnect: Option<u32>,
    pub(super) pings: VecDeque<Ping>,
    pings_open: u64,
    acked: PerDirection<(u64, Timestamp)>,
    unacked: PerDirection<VecDeque<(u64, What)>>,
    alive: PerDirection<Timestamp>,
    close_due: Vec<CloseDue>,
    pub(super) delivered: Delivered,
    pub(super) key: Option<Key>,
    /// The connection that has the session now.
    pub(super) successor: Option<u64>,
    /// Frames of this direction up to here may be known by others before they
    /// are read.
    disorder: PerDirection<u64>,
    /// When something of it may be overdue next, if anybody minds the time.
    pub(super) wake: Option<Timestamp>,
    /// What was told of the client's silence since this packet.
    pub(super) silence_told: (Option<Seen>, Told),
}

/// A PINGREQ that was not answered yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ping {
    pub(super) seen: Seen,
    pub(super) acked: Option<Timestamp>,
    pub(super) told: Told,
}

/// What waits for TCP's acknowledgement.
#[derive(Clone, Copy, Debug)]
enum What {
    Exchange(Direction, u16),
    Request(u16),
    Ping,
}

/// What a frame is in its exchange.
#[derive(Debug, Default)]
pub enum Step {
    /// It is of no exchange, or its identifier is not known.
    #[default]
    None,
    /// PUBLISH of QoS 1 and 2.
    Publish {
        /// What it is to its exchange.
        step: PublishStep,
        /// A SUBSCRIBE or UNSUBSCRIBE with this identifier that waits.
        request: Option<Seen>,
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
    /// PINGRESP, and whether a PINGREQ waited for it.
    Pingresp {
        /// Whether one did.
        asked: bool,
    },
}

/// A connection that one side had to close.
#[derive(Clone, Debug)]
pub struct CloseDue {
    /// Why.
    pub cause: Cause,
    /// Which side, by the direction it sends in.
    pub by: Direction,
    /// The packet that made it due.
    pub seen: Seen,
    /// When that side knew.
    known: Option<Timestamp>,
    /// In which direction that packet went.
    direction: Direction,
    told: bool,
}

/// Why a connection had to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// The server refused it, by CONNACK.
    Refused,
    /// This side sent DISCONNECT.
    Disconnected,
    /// A second CONNECT.
    SecondConnect,
    /// A Malformed Packet, by the code of the defect.
    Malformed(&'static str),
    /// A CONNECT with such a defect.
    MalformedConnect(&'static str),
    /// A protocol level that no version has.
    UnsupportedLevel,
    /// Another connection of the same client was accepted.
    TakenOver,
    /// A text message of a WebSocket.
    TextMessage,
}

/// What a rule for overdue answers is asked.
#[derive(Debug)]
pub struct Overdue<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// What should have come.
    pub expected: PacketType,
    /// From which side, by the direction it sends in.
    pub by: Direction,
    /// What it should have answered.
    pub request: Seen,
    /// Packet Identifier.
    pub id: Option<u16>,
    /// QoS of a PUBLISH.
    pub qos: u8,
    /// How the connection ended.
    pub ending: Ending,
    /// When TCP acknowledged the request.
    pub acked: Option<Timestamp>,
    /// How long both ends were open after that.
    pub waited: Duration,
    /// It belongs to an earlier connection and was not sent again.
    pub carried: bool,
    /// Which way the PUBLISH went, if it is about one.
    pub of: Option<Direction>,
    /// Why an answer may be there all the same.
    pub doubt: Doubt,
    /// How long ago it was asked for, as far as both ends were seen since.
    pub age: Duration,
    /// The time that is up; `None` when nothing more can come.
    pub deadline: Option<Deadline>,
    /// What was told of it before, when its time was up.
    pub told: Told,
    /// When the time was up; that of the request when nothing more can come.
    pub time: Timestamp,
}

/// How a connection ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It has not: it is open, and time is up.
    Open,
    /// By DISCONNECT or FIN.
    Orderly,
    /// By RST.
    Reset,
    /// It was not seen to end.
    Unseen,
}

/// What a rule for connections that should be closed is asked.
#[derive(Debug)]
pub struct StillOpen<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// What should have ended it.
    pub due: &'a CloseDue,
    /// How long it has been open since.
    pub open_for: Duration,
    /// The packet that shows that it is.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

/// What a rule for silent clients is asked.
#[derive(Debug)]
pub struct Silence<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// What shows it.
    pub shown: Shown,
    /// The packet that does; when none does, the last one of the client.
    pub packet: PacketRef,
    /// When it was shown.
    pub time: Timestamp,
    /// Since which packet of the client.
    pub since: Seen,
    /// How long.
    pub silent: Duration,
    /// What was agreed.
    pub keep_alive: Duration,
    /// Whether something was told of it before, when its time was up.
    pub told: Told,
}

/// What shows that a client was silent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// A frame: of the client, which ends the silence, or of the server, which
    /// shows that it goes on.
    Frame(Direction),
    /// The end of the connection.
    Close,
    /// Time, which has passed without anything.
    Time,
}

impl Overdue<'_> {
    /// Whether an answer is owed at all: not by a server that refused the
    /// connection, or never accepted it.
    pub fn is_due(&self) -> bool {
        let facts = self.connection;
        match &facts.accepted {
            Some(accepted) => accepted.accepted(),
            None => facts.any_doubt().is_some(),
        }
    }
}

impl Silence<'_> {
    /// What a capture cannot tell: a second, or a tenth of the Keep Alive.
    pub fn tolerance(&self) -> Duration {
        tolerance(self.keep_alive)
    }
}

pub(super) fn tolerance(keep_alive: Duration) -> Duration {
    (keep_alive / 10).max(Duration::from_secs(1))
}

impl ConnectionFacts {
    pub(super) fn new(connection: &Connection) -> Self {
        let mut facts = Self {
            number: connection.number,
            server: connection.server,
            doubt: PerDirection::both(None),
            version_assumed: true,
            client_id: None,
            opening: None,
            accepted: None,
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
            reauthenticating: false,
            auth_continues: false,
            expiry_at_disconnect: None,
            pings: VecDeque::new(),
            pings_open: 0,
            acked: PerDirection::both((0, Timestamp::MIN)),
            unacked: Default::default(),
            alive: PerDirection::both(Timestamp::MIN),
            close_due: Vec::new(),
            delivered: Delivered::default(),
            key: None,
            successor: None,
            disorder: PerDirection::both(0),
            wake: None,
            silence_told: (None, Told::default()),
        };
        // Until CONNECT says otherwise.
        facts.session.doubt_past(Reason::MidStream);
        facts
    }

    /// Why not both directions are known completely.
    pub fn any_doubt(&self) -> Doubt {
        self.doubt.up.or(self.doubt.down)
    }

    /// Why what a sender had received when it sent `frame` is not known
    /// completely.
    pub fn doubt_of_received(&self, frame: &MQTTFrame<'_>) -> Doubt {
        let received = frame.received;
        self.doubt[frame.direction.reversed()]
            .or((received.at_most > received.read).then_some(Reason::Crossing))
    }

    /// Whether the sender of `frame` must have known a packet of the other
    /// side when it began to send: TCP had acknowledged it, and so long ago
    /// that it had been read.
    pub fn knew(frame: &MQTTFrame<'_>, seen: Seen) -> bool {
        frame.connection.number == seen.connection
            && frame.received.surely >= seen.end
            && frame.started.since(seen.time) >= READING
    }

    /// Whether the client must have known what CONNACK said. One that sent
    /// nothing before has waited for it.
    pub fn knew_acceptance(&self, frame: &MQTTFrame<'_>) -> bool {
        self.accepted.as_ref().is_some_and(|accepted| {
            frame.received.surely >= accepted.seen.end
                && (!self.early || Self::knew(frame, accepted.seen))
        })
    }

    /// The effective Keep Alive, once it is known; `None` for none.
    pub fn keep_alive(&self) -> Option<Duration> {
        let opening = self.opening.as_ref()?;
        let accepted = self.accepted.as_ref().filter(|a| a.accepted())?;
        let seconds = match (opening.version, accepted.keep_alive) {
            (Version::V5, Some(seconds)) => seconds,
            _ => opening.keep_alive,
        };
        (seconds > 0).then(|| Duration::from_secs(seconds.into()))
    }

    /// Makes sure that `reason` is held against what goes one way.
    fn taint(&mut self, direction: Direction, reason: Reason) {
        self.doubt[direction].get_or_insert(reason);
        for of in Direction::ALL {
            self.session.space_mut(of).taint(reason, of == direction);
        }
        if direction == Direction::Up {
            self.session.subscriptions.past.get_or_insert(reason);
        }
        self.requests.taint(reason);
        for (_, doubt) in self.outstanding.iter_mut() {
            doubt.get_or_insert(reason);
        }
    }

    /// What a frame is in its exchange; moves the exchange on.
    pub(super) fn step(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let direction = frame.direction;
        let from_start = frame.connection.from_start[direction];
        if self.frames[direction] == 0 && !from_start {
            self.taint(direction, Reason::MidStream);
        }
        if frame.resynchronised {
            self.taint(direction, Reason::Gap);
        }
        self.mind_order(frame);
        match frame.header.packet_type() {
            PacketType::Publish => self.publish(frame),
            PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => {
                self.acknowledge(frame)
            }
            PacketType::Subscribe | PacketType::Unsubscribe => self.request(frame),
            PacketType::Suback | PacketType::Unsuback => self.answer(frame),
            PacketType::Pingreq => {
                if self.pings.len() < limits::UNACKED_REQUESTS {
                    self.pings.push_back(Ping {
                        seen: Seen::of(frame),
                        acked: None,
                        told: Told::default(),
                    });
                    self.wait_for_tcp(frame, What::Ping);
                }
                self.pings_open += 1;
                Step::None
            }
            PacketType::Pingresp => {
                let asked = self.pings_open > 0;
                self.pings_open = self.pings_open.saturating_sub(1);
                self.pings.pop_front();
                Step::Pingresp { asked }
            }
            _ => Step::None,
        }
    }

    /// A frame may come before others that its sender had received, when the
    /// capture shows the two directions out of order: what is in flight then
    /// may have moved on.
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
                if let Some(ping) = self.pings.iter_mut().find(|ping| ping.seen.end == end) {
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
        if frame.header.qos() == 0 {
            return Step::None;
        }
        let Some(id) = publish.packet_id.filter(|id| *id != 0) else {
            // One more is in flight, and nobody knows which.
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

    fn acknowledge(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let kind = frame.header.packet_type();
        // PUBREL goes the way of its PUBLISH, the others against it.
        let of = match kind {
            PacketType::Pubrel => frame.direction,
            _ => frame.direction.reversed(),
        };
        let failed = frame.packet.code().is_some_and(|code| code >= 0x80);
        let Some(id) = frame.packet.packet_id().filter(|id| *id != 0) else {
            self.session.space_mut(of).taint(Reason::Gap, false);
            return Step::None;
        };
        let step = self.session.space_mut(of).acknowledge(frame, id, failed);
        let frees = match kind {
            PacketType::Puback | PacketType::Pubcomp => true,
            PacketType::Pubrec => failed,
            _ => false,
        };
        if frees {
            let outstanding = &mut self.outstanding[of].0;
            *outstanding = outstanding.saturating_sub(1);
        }
        if matches!(kind, PacketType::Pubrec | PacketType::Pubrel) {
            self.wait_for_tcp(frame, What::Exchange(of, id));
        }
        Step::Ack(step)
    }

    fn request(&mut self, frame: &MQTTFrame<'_>) -> Step {
        let Some(id) = frame.packet.packet_id().filter(|id| *id != 0) else {
            return Step::None;
        };
        let kind = frame.header.packet_type();
        let seen = Seen::of(frame);
        let whole = frame.missing == 0 && frame.bytes.len() as u64 == frame.header.packet_len();
        let request = self.requests.request(kind, id, seen, &frame.packet, whole);
        if kind == PacketType::Subscribe
            && let Some(open) = self.requests.open(id)
        {
            let v5 = frame.version == Version::V5;
            self.session.subscriptions.subscribe(open, v5);
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
            return Step::None;
        };
        let kind = frame.header.packet_type();
        let step = self.requests.answer(kind, id, Seen::of(frame));
        let v5 = frame.version == Version::V5;
        if let AnswerStep::Expected(request) = &step {
            match &frame.packet {
                ControlPacket::Suback(suback) => {
                    self.session
                        .subscriptions
                        .granted(request, suback.codes, v5);
                }
                _ => self
                    .session
                    .subscriptions
                    .unsubscribed(request, Seen::of(frame), v5),
            }
        }
        Step::Answer(step)
    }

    /// Learns what a frame says about the connection itself.
    pub(super) fn absorb(&mut self, frame: &MQTTFrame<'_>) {
        let direction = frame.direction;
        let way = direction;
        let seen = Seen::of(frame);
        self.frames[way] += 1;
        self.version_assumed =
            frame.connection.version_assumed || frame.connection.version.is_none();
        if self.client_id.as_deref() != frame.connection.client_id.as_deref() {
            self.client_id.clone_from(&frame.connection.client_id);
        }
        self.alive(direction, frame.time);
        // The acknowledgement may have come before the frame that it is beyond.
        self.fin_acked[direction] = self.acked[direction].0 == frame.end() + 1;
        self.note_faults(frame, seen);
        if self.text[way].take().is_some() {
            self.due(Cause::TextMessage, direction.reversed(), frame);
        }
        match &frame.packet {
            ControlPacket::Connect(connect) if direction == Direction::Up => {
                if self.opening.is_some() {
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
                self.highest_qos[way] = self.highest_qos[way].max(frame.header.qos());
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

    /// A Malformed Packet has to be noticed by its receiver.
    fn note_faults(&mut self, frame: &MQTTFrame<'_>, _seen: Seen) {
        if frame.defects.is_empty() || frame.resynchronised {
            return;
        }
        let defect = &frame.defects[0];
        let by = frame.direction.reversed();
        let connect = frame.header.packet_type() == PacketType::Connect;
        let cause = match defect.code {
            "unknown-protocol" => Cause::UnsupportedLevel,
            code if connect => Cause::MalformedConnect(code),
            code => Cause::Malformed(code),
        };
        self.due(cause, by, frame);
    }

    fn due(&mut self, cause: Cause, by: Direction, frame: &MQTTFrame<'_>) {
        if self.close_due.len() >= 4 || self.close_due.iter().any(|due| due.cause == cause) {
            return;
        }
        let direction = frame.direction;
        let (offset, time) = self.acked[direction];
        let known = if by == direction {
            Some(frame.time)
        } else {
            (offset >= frame.end()).then_some(time.max(frame.time))
        };
        self.close_due.push(CloseDue {
            cause,
            by,
            seen: Seen::of(frame),
            known,
            direction,
            told: false,
        });
    }

    pub(super) fn taken_over(&mut self, by: Seen) {
        self.close_due.push(CloseDue {
            cause: Cause::TakenOver,
            by: Direction::Down,
            seen: by,
            known: Some(by.time),
            direction: Direction::Up,
            told: false,
        });
    }

    fn alive(&mut self, from: Direction, time: Timestamp) {
        let alive = &mut self.alive[from];
        *alive = (*alive).max(time);
    }

    /// Closes that are overdue, shown to be by what `from` has sent now; each
    /// is told once.
    pub(super) fn still_open(
        &mut self,
        from: Direction,
        packet: PacketRef,
        time: Timestamp,
        mut tell: impl FnMut(&StillOpen<'_>),
    ) {
        let is_closing =
            self.fin != PerDirection::both(None) || self.fin_acked != PerDirection::both(false);
        if self.close_due.is_empty() || is_closing {
            return;
        }
        let mut due = std::mem::take(&mut self.close_due);
        for due in &mut due {
            let Some(known) = due.known.filter(|_| !due.told && due.by == from) else {
                continue;
            };
            let open_for = time.since(known);
            if open_for >= CLOSE_PATIENCE {
                due.told = true;
                tell(&StillOpen {
                    connection: self,
                    due,
                    open_for,
                    packet,
                    time,
                });
            }
        }
        self.close_due = due;
    }

    /// How long the client has been silent when a frame comes, if that is
    /// longer than its Keep Alive.
    pub(super) fn silence(&self, frame: &MQTTFrame<'_>) -> Option<Silence<'_>> {
        let shown = Shown::Frame(frame.direction);
        self.silent_until(frame.started, shown, frame.last, frame.time)
    }

    /// The same when the connection has ended, if not in order.
    pub(super) fn silence_at_end(
        &self,
        how: Option<CloseReason>,
        packet: PacketRef,
        time: Timestamp,
    ) -> Option<Silence<'_>> {
        if !matches!(how, Some(CloseReason::Fin | CloseReason::Reset))
            || self.disconnect != PerDirection::both(None)
        {
            return None;
        }
        let until = self.fin.into_iter().flatten().min().unwrap_or(time);
        self.silent_until(until, Shown::Close, packet, time)
    }

    fn silent_until(
        &self,
        until: Timestamp,
        shown: Shown,
        packet: PacketRef,
        time: Timestamp,
    ) -> Option<Silence<'_>> {
        let since = self.latest[Direction::Up]?;
        let silent = until.since(since.time);
        if silent < Duration::from_secs(1) {
            return None;
        }
        let keep_alive = self.keep_alive()?;
        (silent > keep_alive).then_some(Silence {
            connection: self,
            shown,
            packet,
            time,
            since,
            silent,
            keep_alive,
            told: self.silence_told(since),
        })
    }

    /// TCP itself told something.
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
                self.fin_acked[way] = end.is_some_and(|end| offset == end + 1);
                while let Some(&(end, what)) = self.unacked[way].front()
                    && end <= offset
                {
                    self.unacked[way].pop_front();
                    self.arrived(what, end, time);
                }
                for due in &mut self.close_due {
                    if due.known.is_none() && due.direction == way && due.seen.end <= offset {
                        due.known = Some(time);
                    }
                }
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

    /// Something that is not a frame happened.
    pub(super) fn event(&mut self, kind: EventKind, direction: Option<Direction>) {
        let reason = match kind {
            EventKind::Gap | EventKind::Late | EventKind::Unfinished { .. } => Reason::Gap,
            EventKind::Resynchronised if self.frames == PerDirection::both(0) => Reason::MidStream,
            EventKind::Resynchronised => Reason::Gap,
            EventKind::Malformed { .. } | EventKind::NotMqtt { .. } => Reason::Malformed,
            EventKind::Bound { .. } => Reason::Bound,
            EventKind::Conflict { .. } => Reason::Conflict,
            EventKind::Layer(note) => match note {
                Note::Encrypted(_) | Note::Undecrypted(_) => Reason::Encrypted,
                Note::Broken(_) => Reason::Malformed,
                Note::Bound(_) => Reason::Bound,
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
        }
        session.earlier = Some(earlier);
        session
    }

    /// What the session's next connection should know of this one.
    pub(super) fn as_earlier(&self) -> Earlier {
        let opening = self.opening.as_deref();
        let ended = self.alive.up.max(self.alive.down);
        let mut earlier = Earlier {
            number: self.number,
            ended,
            session_ended: opening.is_some_and(Opening::session_ends_with_connection),
            expiry: None,
            complete: self.any_doubt().is_none() && opening.is_some_and(|o| o.clean_start),
        };
        if let Some(opening) = opening.filter(|opening| opening.version == Version::V5) {
            let agreed = self.accepted.as_ref().and_then(|a| a.session_expiry);
            let expiry = self
                .expiry_at_disconnect
                .or(agreed)
                .unwrap_or(opening.session_expiry);
            earlier.session_ended = expiry == 0;
            earlier.expiry = (expiry != u32::MAX).then_some(expiry);
        }
        earlier
    }

    /// Whether the client is subscribed so that it should get a message.
    pub(super) fn should_get(&self, publication: &Publication) -> bool {
        let size = self.opening.as_ref().and_then(|o| o.maximum_packet_size);
        let own = publication.seen.connection == self.number;
        let mut good = false;
        for subscription in self.session.subscriptions.matching(&publication.topic) {
            // One of a group gets it, and it need not be this one.
            if subscription.shared || subscription.refused || subscription.until.is_some() {
                return false;
            }
            let no_local = subscription.options & 4 != 0;
            let before = subscription.since.time < publication.seen.started;
            let granted = subscription.granted.is_some_and(|granted| granted > 0);
            good |= before && granted && publication.qos > 0 && !(own && no_local);
        }
        // A bridge never gets back what it has sent.
        let bridge = self.opening.as_ref().is_some_and(|opening| opening.bridge);
        good && size.is_none() && publication.expiry.is_none() && !(own && bridge)
    }

    /// Tells all that was not delivered.
    pub(super) fn undelivered(
        &self,
        how: Option<CloseReason>,
        mut tell: impl FnMut(&Undelivered<'_>),
    ) {
        let until = self.alive.up.min(self.alive.down);
        for expected in self.delivered.expected() {
            tell(&Undelivered {
                connection: self,
                because: expected.because,
                of: expected.of,
                waited: until.since(expected.since),
                ending: self.ending(how),
            });
        }
    }

    fn ending(&self, how: Option<CloseReason>) -> Ending {
        let disconnected = self.disconnect != PerDirection::both(None);
        let fin = self.fin != PerDirection::both(None) || how == Some(CloseReason::Fin);
        match how {
            Some(CloseReason::Reset) if !disconnected => Ending::Reset,
            _ if disconnected || fin => Ending::Orderly,
            _ => Ending::Unseen,
        }
    }

    /// Tells all that was not answered.
    pub(super) fn overdue(&self, how: Option<CloseReason>, mut tell: impl FnMut(&Overdue<'_>)) {
        let ending = self.ending(how);
        let until = self.alive.up.min(self.alive.down);
        let overdue = |expected, by: Direction, request: Seen, acked: Option<Timestamp>| Overdue {
            connection: self,
            expected,
            by,
            request,
            id: None,
            qos: 0,
            ending,
            acked,
            waited: acked.map_or(Duration::ZERO, |acked| until.since(acked)),
            carried: false,
            of: None,
            doubt: self.doubt[by],
            age: until.since(request.time),
            deadline: None,
            told: Told::default(),
            time: request.time,
        };
        for direction in Direction::ALL {
            let space = self.session.space(direction);
            let (mut carried, mut open): (Vec<&Exchange>, Vec<&Exchange>) =
                space.in_flight().partition(|exchange| exchange.carried);
            // Each connection that does not send them again would report all.
            if carried.len() > limits::CARRIED_OVERDUE {
                carried.select_nth_unstable_by_key(limits::CARRIED_OVERDUE, |exchange| {
                    (exchange.last.packet, exchange.id)
                });
                carried.truncate(limits::CARRIED_OVERDUE);
            }
            open.append(&mut carried);
            open.sort_unstable_by_key(|exchange| (exchange.last.packet, exchange.id));
            for exchange in open {
                let (expected, by) = exchange.expects(direction);
                let overdue = overdue(expected, by, exchange.last, exchange.acked);
                tell(&Overdue {
                    id: Some(exchange.id),
                    qos: exchange.qos,
                    carried: exchange.carried,
                    of: Some(direction),
                    doubt: exchange.doubt.or(overdue.doubt),
                    told: exchange.told,
                    ..overdue
                });
            }
        }
        let mut waiting: Vec<&Request> = self.requests.waiting().collect();
        waiting.sort_unstable_by_key(|request| (request.seen.packet, request.id));
        for request in waiting {
            let expected = request.expects();
            let overdue = overdue(expected, Direction::Down, request.seen, request.acked);
            tell(&Overdue {
                id: Some(request.id),
                doubt: request.doubt.or(overdue.doubt),
                told: request.told,
                ..overdue
            });
        }
        for ping in &self.pings {
            tell(&Overdue {
                told: ping.told,
                ..overdue(PacketType::Pingresp, Direction::Down, ping.seen, ping.acked)
            });
        }
    }
}

/// What a rule for missing deliveries is asked.
#[derive(Debug)]
pub struct Undelivered<'a> {
    /// The connection of the client that should have got it.
    pub connection: &'a ConnectionFacts,
    /// Why it should have come.
    pub because: Because,
    /// Its publication, or the SUBSCRIBE that asks for it.
    pub of: Seen,
    /// How long both ends were open after it was due.
    pub waited: Duration,
    /// How the connection ended.
    pub ending: Ending,
}

/// What tells messages apart: topic and payload. `None` if the whole is not
/// there.
pub(super) fn digest(frame: &MQTTFrame<'_>) -> Option<u64> {
    Some(key(frame.topic?.bytes(), frame.payload_digest?))
}

/// What tells messages apart, by the [`Digest`](crate::mqtt::Digest) of the
/// payload.
pub(super) fn key(topic: &[u8], payload: u64) -> u64 {
    use std::hash::{BuildHasher, Hash, Hasher};
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    topic.hash(&mut hasher);
    payload.hash(&mut hasher);
    hasher.finish()
}
