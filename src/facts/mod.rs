//! What is known of a capture, gathered once for every sink.
//!
//! ```text
//! engine ─frame, event, TCP fact→ Facts ─Fact→ Sink, Sink, Sink
//!                                   ├ tracker           each frame's place in its exchange
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
//! nothing else: reading with needs of none costs one branch per frame.
//!
//! Facts have no opinion. They state that a PUBACK has no PUBLISH, and what the
//! capture lacks that could explain it (a [`Doubt`]). Whether that is a fault is
//! for the rules, which look at nothing else.

mod broker;
mod connection;
mod deadline;
mod doubt;
mod exchange;
mod needs;
mod negotiated;
pub(crate) mod properties;
mod request;
mod seen;
mod sequencer;
mod session;
mod since;
mod sink;
mod stage;
mod tracker;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::engine::{Output, Tcp};
use crate::event::{CloseReason, ConnectionEnd, Event, EventKind};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::layer::Note;
use crate::limits;
use crate::mqtt::{ControlPacket, Digest, Version, topic};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

pub use broker::{Because, Carried, Delivery, Publication};
pub use connection::{
    CLOSE_PATIENCE, Cause, CloseDue, ConnectionFacts, Ending, Overdue, PATIENCE, READING, Shown,
    Silence, Step, StillOpen, Undelivered,
};
pub use deadline::{Deadline, Told};
pub use doubt::{Doubt, Reason};
pub use exchange::{AckStep, Ended, Exchange, IdSpace, PublishStep, State};
pub use needs::Needs;
pub use negotiated::{Acceptance, Opening, Will};
pub use request::{AnswerStep, Request, Requests};
pub use seen::Seen;
pub use session::{Earlier, Session, Subscription, Subscriptions};
pub use sink::{Fact, FrameFact, SessionFact, Sink};
pub use stage::{Facts, Options};
#[cfg(test)]
pub(crate) use tracker::Tracker;
pub use tracker::{ExchangeFact, ExchangeKind, First, Role};

use broker::{Brokers, Expected};
use connection::{digest, key};
use deadline::Deadlines;
use session::{Key, Sessions};

/// What a rule about a frame is asked.
#[derive(Clone, Copy, Debug)]
pub struct FrameFacts<'a> {
    /// The frame.
    pub frame: &'a MQTTFrame<'a>,
    /// Its connection, as it was before the frame; exchanges have moved on.
    pub connection: &'a ConnectionFacts,
    /// What the frame is in its exchange.
    pub step: &'a Step,
    /// Where a PUBLISH from the server comes from.
    pub delivery: Option<&'a Delivery>,
    /// The user vouches that all connections of these clients were captured.
    pub vouched: bool,
}

/// What a rule about bytes that cannot be read as MQTT is asked.
#[derive(Clone, Copy, Debug)]
pub struct Stream<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// In which direction.
    pub direction: Direction,
    /// What was expected and what was there; or why nobody can tell.
    pub reason: &'static str,
    /// They are encrypted, and may be anything.
    pub encrypted: bool,
    /// The captured packet.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
}

/// What had to be forgotten. Nobody is accused for want of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct GivenUp {
    /// Sessions without a connection.
    pub sessions: u64,
    /// Servers, with what was published through them.
    pub servers: u64,
    /// Exchanges that were not tracked; their answers are [`Role::Unknown`].
    pub exchanges: u64,
}

/// Everything that is known of a capture at a moment.
#[derive(Debug, Default)]
struct Analysis {
    connections: HashMap<u64, Box<ConnectionFacts>, foldhash::fast::FixedState>,
    sessions: Sessions,
    brokers: Brokers,
    /// The connection that last was accepted for a client.
    live: HashMap<Key, u64>,
    /// Connections that closed lately: what comes of them after that was captured
    /// late.
    closed: VecDeque<u64>,
    vouched: bool,
    /// Packets of this time and before may be missing, as the capture says.
    lossy_until: Timestamp,
    /// `None` when nobody minds the time.
    deadlines: Option<Deadlines>,
}

impl Analysis {
    /// An analysis that has seen nothing yet. With `vouched`, the user says
    /// that every connection of these clients is in the capture.
    fn new(vouched: bool) -> Self {
        Self {
            vouched,
            lossy_until: Timestamp::MIN,
            ..Self::default()
        }
    }

    /// What had to be forgotten, because there was too much of it.
    fn given_up(&self) -> GivenUp {
        GivenUp {
            sessions: self.sessions.forgotten,
            servers: self.brokers.forgotten,
            exchanges: 0,
        }
    }

    /// Tells what is overdue when its time is up, and not only when nothing more
    /// can come. `budget` is what the user allows an acknowledgement.
    fn mind_time(&mut self, budget: Option<Duration>) {
        self.deadlines = Some(Deadlines::new(budget));
    }

    /// Capture time has come to `now`: tells what is overdue, if it was asked to
    /// mind the time.
    fn tick(&mut self, now: Timestamp, sink: &mut (impl Sink + ?Sized)) {
        while let Some(deadlines) = &mut self.deadlines
            && let Some((due, number)) = deadlines.pop(now)
        {
            let Some(connection) = self.connections.get_mut(&number) else {
                continue;
            };
            connection.wake = None;
            for expired in connection.expire_answers(deadlines.budget(), due) {
                sink.fact(Fact::Session(SessionFact::Overdue(
                    &connection.overdue_by(&expired, due),
                )));
            }
            if let Some(silence) = connection.expire_silence(due) {
                sink.fact(Fact::Session(SessionFact::Silence(&silence)));
            }
            deadlines.again(connection, due, now);
        }
    }

    /// Takes what the engine pushes out, which has to be asked to follow TCP.
    fn push(&mut self, output: Output<'_>, sink: &mut (impl Sink + ?Sized)) {
        if self.deadlines.is_some() {
            let now = match output {
                Output::Frame(frame) | Output::Unfinished(frame) => Some(frame.time),
                // Packets that come next may be older than those that lack.
                Output::Event(event) if matches!(event.kind, EventKind::Dropped { .. }) => None,
                Output::Event(event) => Some(event.time),
                Output::Tcp(tcp) => Some(tcp.time),
                Output::Ended(ended) => Some(ended.time),
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
            Output::Packet(_) | Output::Span(_) | Output::Evicted(_) => {}
        }
    }

    /// The capture has ended.
    fn finish(&mut self, sink: &mut (impl Sink + ?Sized)) {
        let mut open: Vec<u64> = self.connections.keys().copied().collect();
        open.sort_unstable();
        for number in open {
            self.close(number, None, None, sink);
        }
    }

    /// What is known of a connection, of which something was seen just now.
    fn known(&mut self, connection: &Connection, now: Timestamp) -> &mut ConnectionFacts {
        let is_lossy = now <= self.lossy_until;
        let closed = &self.closed;
        self.connections
            .entry(connection.number)
            .or_insert_with(|| {
                let mut facts = ConnectionFacts::new(connection);
                if is_lossy {
                    facts.dropped();
                }
                if closed.contains(&connection.number) {
                    facts.came_late();
                }
                Box::new(facts)
            })
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>, sink: &mut (impl Sink + ?Sized)) {
        let vouched = self.vouched;
        let connection = self.known(frame.connection, frame.time);
        if let Some(silence) = connection.silence(frame) {
            sink.fact(Fact::Session(SessionFact::Silence(&silence)));
        }
        let step = connection.step(frame);
        let delivery = self.passes_through(frame);
        let connection = self.known(frame.connection, frame.time);
        sink.fact(Fact::Session(SessionFact::Frame(&FrameFacts {
            frame,
            connection,
            step: &step,
            delivery: delivery.as_ref(),
            vouched,
        })));
        let successor = connection.successor;
        let opens = connection.opening.is_none();
        let answers = connection.accepted.is_none();
        connection.absorb(frame);
        match frame.packet {
            ControlPacket::Connect(_) if opens && frame.direction == Direction::Up => {
                self.opened(frame.connection.number);
            }
            ControlPacket::Connack(_) if answers && frame.direction == Direction::Down => {
                self.accepted(frame.connection.number);
            }
            _ => {}
        }
        self.expect(frame, &step);
        self.doubt_session_of(successor);
        if let Some(deadlines) = &mut self.deadlines
            && let Some(connection) = self.connections.get_mut(&frame.connection.number)
        {
            deadlines.after(connection, frame);
        }
        self.known(frame.connection, frame.time).still_open(
            frame.direction,
            frame.last,
            frame.time,
            |facts| sink.fact(Fact::Session(SessionFact::StillOpen(facts))),
        );
    }

    /// A control packet whose end was never seen: it changes nothing, but what
    /// there is of it may break a rule.
    fn unfinished(&mut self, frame: &MQTTFrame<'_>, sink: &mut (impl Sink + ?Sized)) {
        let vouched = self.vouched;
        let connection = self.known(frame.connection, frame.time);
        let step = connection.step(frame);
        sink.fact(Fact::Session(SessionFact::Unfinished(&FrameFacts {
            frame,
            connection,
            step: &step,
            delivery: None,
            vouched,
        })));
    }

    /// A PUBLISH on its way through the server.
    fn passes_through(&mut self, frame: &MQTTFrame<'_>) -> Option<Delivery> {
        if !matches!(frame.packet, ControlPacket::Publish(_)) {
            return None;
        }
        let key = digest(frame)?;
        let broker = self.brokers.at(frame.connection.server);
        match frame.direction {
            Direction::Up => {
                broker.publish(frame, key);
                None
            }
            Direction::Down => {
                let connection = self.connections.get_mut(&frame.connection.number)?;
                Some(broker.deliver(frame, key, &mut connection.delivered))
            }
        }
    }

    /// What should be delivered now, and to whom.
    fn expect(&mut self, frame: &MQTTFrame<'_>, step: &Step) {
        let server = frame.connection.server;
        match (step, frame.direction) {
            // The server has accepted a message.
            (Step::Ack(AckStep::Expected { exchange, .. }), Direction::Down)
                if matches!(exchange.state, State::WaitAck | State::WaitRec)
                    && frame.packet.code().is_none_or(|code| code < 0x80) =>
            {
                let Some(broker) = self.brokers.get(server) else {
                    return;
                };
                let Some(key) = exchange.digest else { return };
                let Some(publication) = broker.find(key, exchange.publish) else {
                    return;
                };
                self.expect_everywhere(server, key, &publication, Because::Published, frame.time);
            }
            (Step::Answer(AnswerStep::Expected(request)), Direction::Down) => {
                let ControlPacket::Suback(suback) = &frame.packet else {
                    return;
                };
                let Some(broker) = self.brokers.get(server) else {
                    return;
                };
                let Some(connection) = self.connections.get_mut(&frame.connection.number) else {
                    return;
                };
                let v5 = frame.version == Version::V5;
                for ((filter, options), code) in request.filters.iter().zip(suback.codes) {
                    let shared = v5 && topic::shared(filter).is_some();
                    let handling = if v5 { options >> 4 & 3 } else { 0 };
                    if *code > 2 || shared || handling != 0 {
                        continue;
                    }
                    for (_, key, _) in broker
                        .retained()
                        .filter(|(name, _, seen)| {
                            topic::matches(filter, name) && seen.time < request.seen.started
                        })
                        .take(limits::DELIVERIES)
                    {
                        connection.delivered.expect(Expected {
                            key,
                            because: Because::Retained,
                            of: request.seen,
                            since: request.seen.time,
                        });
                    }
                }
            }
            _ => {}
        }
    }

    /// Expects a delivery on each connection of the server that is subscribed.
    fn expect_everywhere(
        &mut self,
        server: Endpoint,
        key: u64,
        publication: &Publication,
        because: Because,
        now: Timestamp,
    ) {
        if self.connections.len() > limits::WATCHED_SUBSCRIBERS {
            return;
        }
        for connection in self.connections.values_mut() {
            let here = connection.server == server
                && connection.accepted.as_ref().is_some_and(|a| a.accepted());
            if here && connection.should_get(publication) {
                connection.delivered.expect(Expected {
                    key,
                    because,
                    of: publication.seen,
                    since: now,
                });
            }
        }
    }

    /// A connection has ended: what becomes of its will?
    fn mind_will(&mut self, connection: &ConnectionFacts, how: Option<CloseReason>) {
        let accepted = connection.accepted.as_ref().is_some_and(|a| a.accepted());
        let Some(will) = connection.opening.as_ref().and_then(|o| o.will.as_ref()) else {
            return;
        };
        let Some(last) = connection.latest[Direction::Up].filter(|_| accepted) else {
            return;
        };
        let key = key(&will.topic, Digest::of(&will.payload));
        let broker = self.brokers.at(connection.server);
        match connection.disconnect[Direction::Up] {
            Some((seen, code)) if code != 0x04 => broker.drop_will(key, seen),
            // Only a connection that was seen to end has ended.
            _ if matches!(how, Some(CloseReason::Fin | CloseReason::Reset)) => {
                let publication = Publication {
                    seen: last,
                    topic: will.topic.clone(),
                    qos: will.qos,
                    retain: will.retain,
                    will: true,
                    expiry: None,
                    carried: will.carried.clone(),
                    order: 0,
                };
                let publication = broker.add(key, publication, will.payload.is_empty());
                if will.delay == 0 && connection.any_doubt().is_none() {
                    let server = connection.server;
                    self.expect_everywhere(server, key, &publication, Because::Will, last.time);
                }
            }
            _ => {}
        }
    }

    /// A CONNECT: which session is it?
    fn opened(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let Some(opening) = connection.opening.as_deref() else {
            return;
        };
        let whole = connection.any_doubt().is_none() && opening.whole;
        let clean_start = opening.clean_start;
        let mut session = Session::default();
        if !opening.client_id.is_empty() {
            let key = Key {
                server: connection.server,
                client_id: opening.client_id.clone(),
                username: opening.username.clone(),
            };
            session = self.sessions.take(&key).unwrap_or_default();
            connection.key = Some(key.clone());
            // An older connection of it is still there, or its end was not
            // told yet: from here on the session is this one's.
            if let Some(older) = self
                .live
                .get(&key)
                .copied()
                .filter(|older| *older != number)
                && let Some(older) = self.connections.get_mut(&older)
            {
                older.successor = Some(number);
                session = older.hand_over();
            }
        }
        if clean_start {
            session.discard();
        }
        session.resume();
        if let Some(connection) = self.connections.get_mut(&number) {
            if !whole {
                session.doubt_past(connection.any_doubt().unwrap_or(Reason::Gap));
            }
            connection.session = session;
        }
    }

    /// A CONNACK: the session may be another, and an older connection of it
    /// over.
    fn accepted(&mut self, number: u64) {
        let Some(connection) = self.connections.get_mut(&number) else {
            return;
        };
        let Some(accepted) = connection.accepted.as_deref().filter(|a| a.accepted()) else {
            return;
        };
        let seen = accepted.seen;
        if accepted.session_present == Some(false) {
            connection.session.server_has_none(number);
        }
        if let Some(key) = connection.key.clone()
            && let Some(older) = self.live.insert(key, number)
            && older != number
            && let Some(older) = self.connections.get_mut(&older)
        {
            older.taken_over(seen);
        }
    }

    /// A connection is over: nothing more of it comes.
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
            EventKind::Malformed { reason } => Some((reason, false)),
            EventKind::Layer(Note::Encrypted(reason)) => Some((reason, true)),
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
        connection.event(event.kind, event.direction);
        let successor = connection.successor;
        self.doubt_session_of(successor);
    }

    /// The capture says that packets were dropped, of whatever connection: what
    /// is absent proves nothing, and nobody can vouch for anything.
    fn dropped(&mut self, event: &Event<'_>) {
        self.vouched = false;
        self.lossy_until = self.lossy_until.max(event.time);
        for connection in self.connections.values_mut() {
            connection.dropped();
        }
    }

    /// Something was seen of a connection whose session has gone on without it.
    fn doubt_session_of(&mut self, successor: Option<u64>) {
        if let Some(number) = successor
            && let Some(connection) = self.connections.get_mut(&number)
        {
            connection.session.doubt_carried(Reason::Crossing);
        }
    }

    fn tcp(&mut self, tcp: &Tcp<'_>, sink: &mut (impl Sink + ?Sized)) {
        let connection = self.known(tcp.connection, tcp.time);
        connection.tcp(tcp.from, tcp.fact, tcp.time);
        connection.still_open(tcp.from, tcp.packet, tcp.time, |facts| {
            sink.fact(Fact::Session(SessionFact::StillOpen(facts)));
        });
    }

    fn close(
        &mut self,
        number: u64,
        how: Option<CloseReason>,
        shown: Option<(PacketRef, Timestamp)>,
        sink: &mut (impl Sink + ?Sized),
    ) {
        let Some(mut connection) = self.connections.remove(&number) else {
            return;
        };
        if self.closed.len() == limits::CLOSED_CONNECTIONS {
            self.closed.pop_front();
        }
        self.closed.push_back(number);
        if let Some(deadlines) = &mut self.deadlines {
            deadlines.forget(&connection);
        }
        if let Some((packet, time)) = shown
            && let Some(silence) = connection.silence_at_end(how, packet, time)
        {
            sink.fact(Fact::Session(SessionFact::Silence(&silence)));
        }
        connection.overdue(how, |facts| {
            sink.fact(Fact::Session(SessionFact::Overdue(facts)))
        });
        connection.undelivered(how, |facts| {
            sink.fact(Fact::Session(SessionFact::Undelivered(facts)))
        });
        self.mind_will(&connection, how);
        sink.fact(Fact::Session(SessionFact::Closed(&connection)));
        let Some(key) = connection.key.take() else {
            return;
        };
        if self.live.get(&key) == Some(&number) {
            self.live.remove(&key);
        } else if self.live.contains_key(&key) {
            // Another connection has taken the session over.
            return;
        }
        if !connection.accepted.as_ref().is_some_and(|a| a.accepted()) {
            // It may have changed nothing, or everything.
            return;
        }
        let session = connection.hand_over();
        self.sessions.keep(key, session);
    }
}

impl<'a> FrameFacts<'a> {
    /// The side that sent the frame knew what CONNACK said, or is the server.
    pub fn knew_acceptance(&self) -> bool {
        self.connection.knew_acceptance(self.frame)
    }

    /// Why what goes the way of the frame is not known completely.
    pub fn doubt_of_sender(&self) -> Doubt {
        self.connection.doubt[self.frame.direction]
    }

    /// Why what the sender of the frame had received is not known completely.
    pub fn doubt_of_received(&self) -> Doubt {
        self.connection.doubt_of_received(self.frame)
    }

    /// Why nothing is certain that leans on either direction.
    pub fn any_doubt(&self) -> Doubt {
        self.doubt_of_sender().or(self.doubt_of_received())
    }

    /// Why there may be PUBLISH packets of the session, going `direction`, that
    /// were never seen.
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
                // Before 5.0 a client may hold on to what the server lost.
                Direction::Up => opening.version == Version::V5 && self.knew_acceptance(),
            };
        let captured = self.vouched && connection.session.earlier.is_some_and(|e| e.complete);
        match anew || captured {
            true => past,
            false => past.or(Some(Reason::SessionUnknown)),
        }
    }

    /// Why there may be subscriptions that were never seen.
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
