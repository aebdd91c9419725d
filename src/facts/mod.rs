//! Facts about a capture, gathered once for all sinks.
//!
//! ```text
//! engine ─frame, event, TCP fact→ Facts ─Fact→ Sink, Sink, Sink
//!                                   ├ tracker           role of each frame in its exchange
//!                                   └ Analysis
//!                                       ├ ConnectionFacts   one per open connection
//!                                       │   ├ negotiated    what CONNECT and CONNACK settled
//!                                       │   ├ exchange      PUBLISH in flight, both ways
//!                                       │   ├ request       SUBSCRIBE, UNSUBSCRIBE
//!                                       │   └ session       what outlives the connection
//!                                       └ sessions          those without a connection
//! ```
//!
//! A [`Sink`] declares its [`Needs`]; [`Facts`] gathers what the sinks need, and
//! nothing else: with needs of none, not even the fields of a frame are decoded.
//!
//! Facts make no judgement. They state that a PUBACK has no PUBLISH, and what
//! the capture lacks that could explain it (a [`Doubt`]). Rules decide whether
//! that is a fault, and read nothing but facts.

mod broker;
pub(crate) mod by_connection;
mod close;
mod close_due;
mod connection;
mod deadline;
mod delivered;
mod delivery;
mod doubt;
mod due;
mod exchange;
mod frame_ref;
mod missed;
mod needs;
mod negotiated;
mod open_exchanges;
mod overdue;
mod part;
mod pauses;
pub(crate) mod properties;
mod publication;
pub mod record;
mod request;
mod resume;
mod sequencer;
mod session;
mod silence;
mod since;
mod sink;
mod stage;
mod subscriptions;
mod topic_tree;
mod topics;
mod tracker;
mod waits;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use crate::engine::{Output, Tcp};
use crate::event::{CloseReason, ConnectionEnd, Event, EventKind};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::identity::ExchangeId;
use crate::layer::Note;
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType, Version};
pub use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

pub use broker::{Delivery, UnwantedWill};
pub use close::StillOpen;
pub use close_due::{CLOSE_PATIENCE, Cause, CloseDue, Excess};
pub use connection::{ConnectionFacts, PATIENCE, READING, Step};
pub use delivered::{Because, Lacks};
pub use doubt::{Doubt, Reason};
pub use due::{Deadline, Reported};
pub use exchange::{AckStep, Ended, Exchange, IdSpace, PublishStep, State};
pub use frame_ref::FrameRef;
pub use missed::Missed;
pub use needs::Needs;
pub use negotiated::{Acceptance, Opening, Will};
pub use open_exchanges::OpenExchanges;
pub use overdue::{Ending, Overdue, Undelivered};
pub use part::ExchangeKind;
pub use publication::{Carried, CarriedFields, Publication};
pub use request::{AnswerStep, Request, Requests};
pub use session::{Earlier, Session};
pub use silence::{Shown, Silence};
pub use sink::{Before, Fact, FrameFact, SessionFact, Sink};
pub use stage::{Facts, Options};
pub use subscriptions::{Subscription, Subscriptions};
pub use topics::{SHARED_TOPICS, Topic};
#[cfg(test)]
pub(crate) use tracker::Tracker;
pub use tracker::{ExchangeFact, First, Role};

use broker::Brokers;
use by_connection::ByConnection;
use deadline::Deadlines;
use delivered::Expected;
use pauses::Pauses;
use session::{Key, Sessions};

/// Facts for a rule about a frame.
#[derive(Clone, Copy, Debug)]
pub struct FrameFacts<'a> {
    /// The frame.
    pub frame: &'a MQTTFrame<'a>,
    /// Its connection, as it was before the frame; exchanges have moved on.
    pub connection: &'a ConnectionFacts,
    /// Role of the frame in its exchange.
    pub step: &'a Step,
    /// The publication of a PUBLISH from the server.
    pub delivery: Option<&'a Delivery>,
    /// The indices of the subscriptions that match a PUBLISH from the server.
    matching: &'a [u32],
    /// The user asserts that all connections of these clients were captured.
    pub vouched: bool,
    /// The clock of the capture was set back since the client's latest packet.
    pub set_back: bool,
}

/// Facts for a rule about bytes that are not MQTT.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// In which direction.
    pub direction: Direction,
    /// What was expected and what was found, or the reason of an inconclusive verdict.
    pub reason: &'static str,
    /// They are encrypted.
    pub encrypted: bool,
    /// The captured packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

/// Counts of evicted entries. Evictions never cause a finding.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GivenUp {
    /// Connections that made room for others: see [`Facts::make_room`].
    pub connections: u64,
    /// Sessions without a connection.
    pub sessions: u64,
    /// Servers, with their publications.
    pub servers: u64,
    /// Exchanges that were not tracked; their answers are [`Role::Unknown`].
    pub exchanges: u64,
}

/// All facts of a capture at a moment.
#[derive(Debug)]
struct Analysis {
    connections: ByConnection<Box<ConnectionFacts>>,
    /// Those with subscriptions.
    subscribers: BTreeSet<u64>,
    sessions: Sessions,
    brokers: Brokers,
    /// The connection that last was accepted for a client.
    live: HashMap<Key, u64>,
    /// Recently closed connections: late packets of them are attributed to them.
    closed: VecDeque<u64>,
    pauses: Pauses,
    vouched: bool,
    /// Time limit for answers without a specified one.
    patience: Duration,
    /// Addresses of one server: each maps to the one that represents it.
    same_server: HashMap<Endpoint, Endpoint>,
    /// When the latest message was delivered, by any server.
    delivered: Timestamp,
    /// Packets up to this time may be missing, according to the capture.
    lossy_until: Timestamp,
    /// `None` if deadlines are not tracked.
    deadlines: Option<Deadlines>,
}

impl Analysis {
    /// An analysis for a new capture.
    fn new(options: &Options) -> Self {
        Self {
            connections: ByConnection::default(),
            subscribers: BTreeSet::new(),
            sessions: Sessions::default(),
            brokers: Brokers::default(),
            live: HashMap::new(),
            pauses: Pauses::default(),
            vouched: options.complete,
            patience: options.patience,
            same_server: options.same_server.iter().copied().collect(),
            closed: VecDeque::new(),
            delivered: Timestamp::MIN,
            lossy_until: Timestamp::MIN,
            deadlines: options
                .live
                .then(|| Deadlines::new(options.patience, options.ack)),
        }
    }

    /// A packet was captured, of any protocol.
    #[inline]
    fn captured(&mut self, time: Timestamp) {
        self.pauses.packet(time, self.connections.len());
    }

    /// Counts of evicted entries.
    fn given_up(&self) -> GivenUp {
        GivenUp {
            connections: 0,
            sessions: self.sessions.evicted,
            servers: self.brokers.evicted,
            exchanges: 0,
        }
    }

    /// Capture time has reached `now`: reports overdue answers, if deadlines are
    /// tracked.
    fn tick(&mut self, now: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        while let Some(deadlines) = &mut self.deadlines
            && let Some((due, number)) = deadlines.pop(now)
        {
            let open = self.connections.len();
            let Some(connection) = self.connections.get_mut(number) else {
                continue;
            };
            connection.wake = None;
            for expired in connection.expire_answers(deadlines.budget(), due, now) {
                sink.fact(Fact::Session(SessionFact::Overdue(
                    &connection.overdue_by(&expired, due),
                )));
            }
            if let Some(silence) = connection.expire_silence(due, &self.pauses, open) {
                sink.fact(Fact::Session(SessionFact::Silence(&silence)));
            }
            deadlines.remember(connection);
        }
    }

    /// Takes the engine's output, which must follow TCP.
    fn push(&mut self, output: Output<'_>, sink: &mut (impl Sink + ?Sized)) {
        if self.deadlines.is_some() {
            let now = match output {
                Output::Frame(frame) | Output::Unfinished(frame) => Some(frame.time),
                // The next packets may be older than the missing ones.
                Output::Event(event) if matches!(event.kind, EventKind::Dropped { .. }) => None,
                Output::Event(event) => Some(event.time),
                Output::Tcp(tcp) => Some(tcp.time),
                Output::Ended(ended) => Some(ended.time),
                Output::Segment(segment) => Some(segment.time),
                Output::Packet(captured) => Some(captured.time),
                Output::Span(_) | Output::Evicted(_) => None,
            };
            if let Some(now) = now {
                self.tick(now, sink);
            }
        }
        match output {
            Output::Frame(frame) => self.frame(frame, sink),
            Output::Unfinished(frame) => self.unfinished(frame, sink),
            Output::Event(event) => self.event(event, sink),
            Output::Tcp(tcp) => self.tcp(tcp, sink),
            Output::Ended(ended) => self.ended(ended, sink),
            Output::Segment(_) | Output::Packet(_) | Output::Span(_) | Output::Evicted(_) => {}
        }
    }

    /// The capture has ended.
    fn finish(&mut self, sink: &mut (impl Sink + ?Sized)) {
        for number in self.connections.numbers() {
            self.close(number, None, None, sink);
        }
    }

    /// The facts of a connection that has just been active.
    fn known(&mut self, connection: &Connection, now: Timestamp) -> &mut ConnectionFacts {
        let is_lossy = now <= self.lossy_until;
        let closed = &self.closed;
        let patience = self.patience;
        let same_server = &self.same_server;
        self.connections.get_or_insert_with(connection.number, || {
            let server = same_server.get(&connection.server);
            let server = *server.unwrap_or(&connection.server);
            let mut facts = ConnectionFacts::new(connection, server, patience);
            if is_lossy {
                facts.dropped();
            }
            if closed.contains(&connection.number) {
                facts.came_late();
            }
            Box::new(facts)
        })
    }

    /// A frame was read that may have to wait for others: without a CONNECT before it, its
    /// client may be any.
    #[inline]
    fn arrives(&mut self, frame: &MQTTFrame<'_>) {
        let about = frame.connection;
        let is_connect = frame.header.packet_type() == PacketType::Connect;
        if (about.version_assumed || about.version.is_none()) && !is_connect {
            let connection = self.known(about, frame.time);
            let server = connection.server;
            self.sessions.unnamed(server, about.number, about.started);
        }
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>, sink: &mut (impl Sink + ?Sized)) {
        let vouched = self.vouched;
        self.known(frame.connection, frame.time);
        let number = frame.connection.number;
        if let Some(connection) = self.connections.get(number)
            && let Some(silence) = connection.silence(frame, &self.pauses)
        {
            sink.fact(Fact::Session(SessionFact::Silence(&silence)));
        }
        let connection = self.known(frame.connection, frame.time);
        let set_back = connection.latest[Direction::Up].map(|latest| latest.time);
        let step = connection.step(frame);
        let set_back = set_back.is_some_and(|since| self.pauses.set_back(since, frame.time));
        let (delivery, matching) = self.passes_through(frame, &step);
        let number = frame.connection.number;
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        sink.fact(Fact::Session(SessionFact::Frame(&FrameFacts {
            frame,
            connection,
            step: &step,
            delivery: delivery.as_ref(),
            matching: &matching,
            vouched,
            set_back,
        })));
        if matches!(frame.packet, ControlPacket::Publish(_)) {
            if frame.direction == Direction::Down {
                self.delivered = self.delivered.max(frame.time);
            } else if self.delivered >= frame.time.before(missed::PRECISION)
                && let Some(missed) = connection.published_late(frame)
            {
                sink.fact(Fact::Session(SessionFact::Missed(&missed)));
            }
        }
        let connection = match connection.missed {
            None => connection,
            Some(_) => {
                self.missed_bytes(number, sink);
                let Some(connection) = self.connections.get_mut(number) else {
                    return;
                };
                connection
            }
        };
        let successor = connection.successor;
        let opens = connection.opening.is_none();
        let answers = connection.accepted.is_none();
        connection.absorb(frame, &step);
        let doubt = successor.and_then(|_| connection.any_doubt());
        let subscribed = connection.session.subscriptions.len() > 0;
        match frame.packet {
            ControlPacket::Connect(_) if opens && frame.direction == Direction::Up => {
                self.sessions.named(connection.server, number);
                self.opened(frame.connection.number);
            }
            ControlPacket::Connack(_) if answers && frame.direction == Direction::Down => {
                self.accepted(frame.connection.number);
            }
            _ => {}
        }
        if subscribed && !matches!(frame.packet, ControlPacket::Publish(_)) {
            self.subscribers.insert(number);
        }
        self.expect(frame, &step);
        self.doubt_session_of(successor, doubt);
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.after(connection, frame);
        }
        connection.still_open(
            frame.direction,
            step.answers(),
            frame.last,
            frame.time,
            |facts| sink.fact(Fact::Session(SessionFact::StillOpen(facts))),
        );
    }

    /// An unfinished control packet: it has no effect, but its bytes may break a rule.
    fn unfinished(&mut self, frame: &MQTTFrame<'_>, sink: &mut (impl Sink + ?Sized)) {
        let vouched = self.vouched;
        let connection = self.known(frame.connection, frame.time);
        let step = connection.step(frame);
        sink.fact(Fact::Session(SessionFact::Unfinished(&FrameFacts {
            frame,
            connection,
            step: &step,
            delivery: None,
            matching: &[],
            vouched,
            set_back: false,
        })));
    }

    /// A connection is closed.
    fn ended(&mut self, ended: &ConnectionEnd<'_>, sink: &mut (impl Sink + ?Sized)) {
        self.known(ended.connection, ended.time);
        let shown = Some((ended.packet, ended.time));
        let number = ended.connection.number;
        self.close(number, Some(ended.reason), shown, sink);
    }

    fn event(&mut self, event: &Event<'_>, sink: &mut (impl Sink + ?Sized)) {
        let Some(about) = event.connection else {
            if matches!(event.kind, EventKind::Dropped { .. }) {
                self.dropped(event);
            }
            return;
        };
        let connection = self.known(about, event.time);
        let unread = match event.kind {
            EventKind::Malformed { reason } => Some((reason.text(), false)),
            EventKind::Layer(Note::Encrypted(reason)) => Some((reason.text(), true)),
            _ => None,
        };
        if let (Some((reason, encrypted)), Some(direction)) = (unread, event.direction) {
            sink.fact(Fact::Session(SessionFact::Unreadable(&Stream {
                connection,
                direction,
                reason,
                encrypted,
                packet: event.packet,
                time: event.time,
            })));
        }
        if let (EventKind::Layer(Note::TextMessage), Some(direction)) =
            (event.kind, event.direction)
        {
            connection.text[direction] = Some(event.packet);
        }
        if let EventKind::Closed {
            by: Some(side),
            reason: CloseReason::Reset,
            ..
        } = event.kind
        {
            connection.reset = Some((side.sends(), event.time));
        }
        connection.event(event.kind, event.direction);
        let (successor, doubt) = (connection.successor, connection.any_doubt());
        self.doubt_session_of(successor, doubt);
        self.missed_bytes(about.number, sink);
    }

    /// The capture reports dropped packets of unknown connections: absence
    /// proves nothing, and `--complete` no longer holds.
    fn dropped(&mut self, event: &Event<'_>) {
        self.vouched = false;
        self.lossy_until = self.lossy_until.max(event.time);
        for connection in self.connections.iter_mut() {
            connection.dropped();
        }
    }

    /// A packet of a connection whose session has moved to another one.
    fn doubt_session_of(&mut self, successor: Option<u64>, doubt: Doubt) {
        if let Some(number) = successor
            && let Some(connection) = self.connections.get_mut(number)
        {
            connection.session.doubt_carried(Reason::Crossing);
            connection.session.doubt_queued(doubt);
        }
    }

    fn tcp(&mut self, tcp: &Tcp<'_>, sink: &mut (impl Sink + ?Sized)) {
        let connection = self.known(tcp.connection, tcp.time);
        connection.tcp(tcp.from, tcp.fact, tcp.time);
        connection.still_open(tcp.from, None, tcp.packet, tcp.time, |facts| {
            sink.fact(Fact::Session(SessionFact::StillOpen(facts)));
        });
        if connection.missed.is_some() {
            self.missed_bytes(tcp.connection.number, sink);
        }
    }

    fn close(
        &mut self,
        number: u64,
        how: Option<CloseReason>,
        shown: Option<(PacketRef, Timestamp)>,
        sink: &mut (impl Sink + ?Sized),
    ) {
        let Some(mut connection) = self.connections.remove(number) else {
            return;
        };
        if self.closed.len() == limits::CLOSED_CONNECTIONS {
            self.closed.pop_front();
        }
        self.closed.push_back(number);
        self.subscribers.remove(&number);
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.forget(&connection);
        }
        if let Some((packet, time)) = shown
            && let Some(silence) = connection.silence_at_end(how, packet, time, &self.pauses)
        {
            sink.fact(Fact::Session(SessionFact::Silence(&silence)));
        }
        connection.overdue(how, self.brokers.get(connection.server), |facts| {
            sink.fact(Fact::Session(SessionFact::Overdue(facts)))
        });
        let missed = |expected: &Expected| self.missed_before(&connection, expected);
        connection.undelivered(how, missed, |facts| {
            sink.fact(Fact::Session(SessionFact::Undelivered(facts)))
        });
        let end = connection.left().map(|(_, time)| time);
        self.mind_will(&connection, how, end.or(shown.map(|(_, time)| time)));
        sink.fact(Fact::Session(SessionFact::Closed(&connection)));
        let Some(key) = connection.key.take() else {
            return;
        };
        if self.live.get(&key) == Some(&number) {
            self.live.remove(&key);
        } else if self.live.contains_key(&key) {
            // Another connection has taken over the session.
            return;
        }
        if !connection.accepted.as_ref().is_some_and(|a| a.accepted()) {
            // Its effect on the session is unknown.
            return;
        }
        let session = connection.hand_over();
        self.sessions.keep(key, session);
    }
}

impl FrameFacts<'_> {
    /// Identity of its exchange on its connection, as in
    /// [`FrameFact::exchange_id`]; `None` if its first packet is not known, or was on
    /// an earlier connection.
    pub fn exchange_id(&self) -> Option<ExchangeId> {
        let frame = self.frame;
        let sent = frame.direction;
        let here = |direction, packet_id, first: FrameRef| {
            (first.connection == frame.connection.number).then_some(ExchangeId {
                direction,
                packet_id,
                number: first.number,
            })
        };
        let opened = ExchangeId {
            direction: sent,
            packet_id: frame.packet.packet_id().unwrap_or(0),
            number: frame.number,
        };
        match (frame.header.packet_type(), self.step) {
            (PacketType::Publish, Step::Publish { step, .. }) => {
                let repeated = step.open.filter(|_| frame.header.dup());
                repeated
                    .and_then(|open| here(sent, open.id, open.publish))
                    .or(Some(opened))
            }
            (
                PacketType::Connect
                | PacketType::Publish
                | PacketType::Subscribe
                | PacketType::Unsubscribe
                | PacketType::Pingreq,
                _,
            ) => Some(opened),
            (kind, Step::Ack(step)) => {
                let of = match kind {
                    PacketType::Pubrel => sent,
                    _ => sent.reversed(),
                };
                let exchange = step.exchange()?;
                here(of, exchange.id, exchange.publish)
            }
            (_, Step::Answer(AnswerStep::Expected(request))) => {
                here(sent.reversed(), request.id, request.seen)
            }
            (_, Step::Connack(Some(connect))) => here(sent.reversed(), 0, *connect),
            (
                _,
                Step::Pingresp {
                    ping: Some(ping), ..
                },
            ) => here(sent.reversed(), 0, *ping),
            _ => None,
        }
    }
}

impl<'a> FrameFacts<'a> {
    /// The client's subscriptions that match a PUBLISH from the server, ended
    /// ones included; not those that were refused.
    pub fn matching(&self) -> impl Iterator<Item = &'a Subscription> + use<'a> {
        let subscriptions = &self.connection.session.subscriptions;
        self.matching.iter().map(|place| subscriptions.at(*place))
    }

    /// The sender of the frame knew the content of CONNACK, or is the server.
    pub fn knew_acceptance(&self) -> bool {
        self.connection.knew_acceptance(self.frame)
    }

    /// Why the direction of the frame is not completely known.
    pub fn doubt_of_sender(&self) -> Doubt {
        self.connection.doubt[self.frame.direction]
    }

    /// Why it is not completely known what the sender of the frame had received.
    pub fn doubt_of_received(&self) -> Doubt {
        self.connection.doubt_of_received(self.frame)
    }

    /// Why nothing that depends on either direction is certain.
    pub fn any_doubt(&self) -> Doubt {
        self.doubt_of_sender().or(self.doubt_of_received())
    }

    /// Why there may be PUBLISH packets of the session in `direction` that were not
    /// captured.
    pub fn doubt_of_past(&self, direction: Direction) -> Doubt {
        let connection = self.connection;
        let past = connection.session.space(direction).past_of(self.frame);
        let Some(opening) = connection.opening.as_deref() else {
            return past.or(Some(Reason::MidStream));
        };
        if opening.clean_start {
            return past;
        }
        let Some(accepted) = connection.accepted.as_deref() else {
            return past.or(Some(Reason::SessionUnknown));
        };
        let anew = accepted.session_present == Some(false)
            && match direction {
                Direction::Down => true,
                // Before 5.0 a client may keep state that the server has lost.
                Direction::Up => opening.version == Version::V5 && self.knew_acceptance(),
            };
        let session = &connection.session;
        let complete = |earlier: &Earlier| earlier.complete[direction];
        let captured =
            self.vouched && session.earlier.as_deref().is_some_and(complete) && !session.elsewhere;
        match anew || captured {
            true => past,
            false => past.or(Some(Reason::SessionUnknown)),
        }
    }

    /// Why there may be subscriptions that were not captured.
    pub fn doubt_of_subscriptions(&self) -> Doubt {
        let connection = self.connection;
        let past = connection.session.subscriptions.past;
        let anew = connection.opening.as_ref().is_some_and(|opening| {
            opening.clean_start
                || connection
                    .accepted
                    .as_ref()
                    .is_some_and(|accepted| accepted.session_present == Some(false))
        });
        match anew {
            true => past,
            false => past.or(Some(Reason::SessionUnknown)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::frame::{PerDirection, Transport};

    fn connection(number: u64) -> Connection {
        let end = |port| Endpoint {
            addr: IpAddr::from([10, 0, 0, 1]),
            port,
        };
        Connection {
            number,
            client: end(40_000),
            server: end(1883),
            transport: Transport::TCP,
            tls: None,
            websocket: None,
            client_id: None,
            version: None,
            version_assumed: false,
            first_seq: PerDirection::default(),
            from_start: PerDirection::both(true),
            started: Timestamp::default(),
            session_uid: None,
            uid: std::sync::OnceLock::new(),
        }
    }

    struct Unused;

    impl Sink for Unused {
        fn needs(&self) -> Needs {
            Needs::SESSIONS
        }
        fn fact(&mut self, _: Fact<'_>) {}
    }

    #[test]
    fn late_frames_of_recently_closed_connections_are_known_as_such() {
        let mut analysis = Analysis::new(&Options::default());
        let closed = limits::CLOSED_CONNECTIONS as u64 + 1;
        let doubt = |analysis: &mut Analysis, number| {
            let known = analysis.known(&connection(number), Timestamp::from_nanos(1));
            known.doubt.up
        };
        for number in 1..=closed {
            assert_eq!(doubt(&mut analysis, number), None);
            analysis.close(number, None, None, &mut Unused);
        }
        assert_eq!(analysis.closed.len(), limits::CLOSED_CONNECTIONS);
        assert_eq!(doubt(&mut analysis, 1), None);
        assert_eq!(doubt(&mut analysis, 2), Some(Reason::Crossing));
    }
}
