//! Matches deliveries with publications, and determines which deliveries are expected.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use crate::event::CloseReason;
use crate::frame::{Direction, MQTTFrame};
use crate::limits;
use crate::mqtt::{ControlPacket, Digest, Version, topic};
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::broker::{Delivery, UnwantedWill, WillDue, WillState};
use super::connection::ConnectionFacts;
use super::delivered::{Because, Delivered, Expected, Lacks};
use super::doubt::{Doubt, Reason};
use super::due::later;
use super::exchange::{AckStep, State};
use super::frame_ref::FrameRef;
use super::missed::{Missed, PRECISION};
use super::negotiated::{Opening, Will};
use super::properties as p;
use super::publication::{Publication, digest, key};
use super::request::{AnswerStep, Request};
use super::sink::{Fact, SessionFact, Sink};
use super::{Analysis, Step};

impl Analysis {
    /// A PUBLISH to a subscriber, and the indices of the subscriptions that match it.
    pub(super) fn passes_through(
        &mut self,
        frame: &MQTTFrame<'_>,
        step: &Step,
    ) -> (Option<Delivery>, Vec<u32>) {
        if !matches!(frame.packet, ControlPacket::Publish(_)) {
            return (None, Vec::new());
        }
        let key = digest(frame);
        let Some(connection) = self.connections.get_mut(frame.connection.number) else {
            return (None, Vec::new());
        };
        let server = connection.server;
        if frame.direction == Direction::Up {
            if let Some(key) = key {
                let released = match step {
                    Step::Publish { step, .. } => {
                        step.open.is_none_or(|open| open.state == State::WaitComp)
                    }
                    _ => false,
                };
                self.brokers.at(server).publish(frame, key, released);
            } else {
                let doubt = (frame.missing > 0).then_some(Reason::Clipped);
                let missed = &mut self.brokers.at(server).missed;
                *missed = missed.or(doubt);
            }
            return (None, Vec::new());
        }
        let matching = frame.topic.map_or_else(Vec::new, |topic| {
            connection.session.subscriptions.matching(topic.bytes())
        });
        let Some(key) = key else {
            return (None, matching);
        };
        let broker = self.brokers.at(server);
        let mut delivery = broker.deliver(frame, key, &mut connection.delivered);
        if let Some(publication) = &delivery.publication
            && !frame.header.dup()
            && !frame.header.retain()
        {
            if delivery.before.is_none()
                && let Some(lacks) = connection.lacks(frame, publication, &matching)
            {
                connection.delivered.overlap(publication, lacks, frame.time);
            }
            let member = connection.other_member(frame, publication, &matching);
            delivery.other_member = member.filter(|(other, _)| self.connections.contains(*other));
        }
        (Some(delivery), matching)
    }

    /// Bytes of a client are missing, and publications may be among them.
    #[cold]
    pub(super) fn missed_bytes(&mut self, number: u64, sink: &mut (impl Sink + ?Sized)) {
        let Some(connection) = self.connections.get_mut(number) else {
            return;
        };
        let Some(reason) = connection.missed.take() else {
            return;
        };
        let latest = connection.latest[Direction::Up].map(|latest| latest.time);
        let missed = Missed {
            server: connection.server,
            key: None,
            since: latest.unwrap_or(connection.id.started),
            reason,
        };
        let broker = self.brokers.at(missed.server);
        broker.missed.get_or_insert(reason);
        sink.fact(Fact::Session(SessionFact::Missed(&missed)));
    }

    /// Why a delivery that is expected at the end of a connection may not be due: for what
    /// was missed before.
    pub(super) fn missed_before(&self, of: &ConnectionFacts, expected: &Expected) -> Doubt {
        match expected.because {
            Because::Queued => of.session.queued_doubt,
            Because::Retained => {
                let broker = self.brokers.get(of.server)?;
                // A client that is gone leaves its will.
                let may_be_gone = |(connect, state): (FrameRef, WillState)| {
                    let open = self.connections.get(connect.connection);
                    let until = match (state, open) {
                        (WillState::Unseen(until), _) => until,
                        (_, Some(open)) => open.alive.up,
                        _ => Timestamp::MAX,
                    };
                    until <= expected.of.time
                };
                let topic = &expected.publication.topic;
                let will = broker.wills_to(topic).any(may_be_gone);
                broker.missed.or(will.then_some(Reason::Gap))
            }
            _ => None,
        }
    }

    /// Deliveries that are expected now, and their receivers.
    pub(super) fn expect(&mut self, frame: &MQTTFrame<'_>, step: &Step) {
        let number = frame.connection.number;
        match (step, frame.direction) {
            // The server has accepted a message, or refused it.
            (Step::Ack(AckStep::Expected { exchange, .. }), Direction::Down)
                if matches!(exchange.state, State::WaitAck | State::WaitRec) =>
            {
                let Some(server) = self.connections.get(number).map(|c| c.server) else {
                    return;
                };
                let Some(key) = exchange.digest else { return };
                if self.brokers.get(server).is_none() {
                    return;
                }
                let broker = self.brokers.at(server);
                let Some(publication) = broker.find(key, exchange.publish) else {
                    return;
                };
                let accepted = frame.packet.code().is_none_or(|code| code < 0x80);
                broker.answered(&publication, accepted, frame.time);
                if accepted {
                    self.expect_everywhere(server, &publication, Because::Published, frame.time);
                    self.expect_later(server, &publication);
                }
            }
            (Step::Answer(AnswerStep::Expected(request)), Direction::Down) => {
                if let ControlPacket::Suback(suback) = &frame.packet {
                    self.expect_retained(frame, request, suback.codes);
                }
            }
            _ => {}
        }
    }

    /// Expects the retained messages that match a subscription.
    fn expect_retained(&mut self, frame: &MQTTFrame<'_>, request: &Request, codes: &[u8]) {
        let Some(connection) = self.connections.get_mut(frame.connection.number) else {
            return;
        };
        let Some(broker) = self.brokers.get(connection.server) else {
            return;
        };
        let v5 = frame.version == Version::V5;
        let available = connection.accepted().is_none_or(|a| a.retain_available);
        let size = connection
            .opening
            .as_ref()
            .and_then(|opening| opening.maximum_packet_size);
        if !available || size.is_some() {
            return;
        }
        for ((filter, options), code) in request.filters.iter().zip(codes) {
            let handling = if v5 { options >> 4 & 3 } else { 0 };
            if *code > 2 || topic::shared(filter).is_some() || handling != 0 {
                continue;
            }
            for message in broker.retained_by(filter, limits::DELIVERIES) {
                // A server may drop a retained message of QoS 0 at any time, and drops
                // expired ones.
                let kept = message.qos > 0 && message.expiry.is_none() && !message.empty;
                let before = message
                    .accepted
                    .is_some_and(|accepted| accepted < request.seen.started);
                // The specification does not define whether No Local suppresses
                // retained messages.
                let own = message.seen.connection == connection.number;
                let local = !v5 || options & 4 == 0 || !own;
                if kept && before && local {
                    connection.delivered.expect(Expected {
                        publication: message.publication.clone(),
                        because: Because::Retained,
                        of: request.seen,
                        since: request.seen.time,
                        overtaken_by: None,
                    });
                }
            }
        }
    }

    /// Expects a delivery on each connection of the server that is subscribed.
    fn expect_everywhere(
        &mut self,
        server: Endpoint,
        publication: &Rc<Publication>,
        because: Because,
        since: Timestamp,
    ) {
        if self.connections.len() > limits::WATCHED_SUBSCRIBERS {
            return;
        }
        for number in &self.subscribers {
            let Some(connection) = self.connections.get_mut(*number) else {
                continue;
            };
            let here = connection.server == server && connection.accepted().is_some();
            if here && connection.should_get(publication) {
                connection.delivered.expect(Expected {
                    publication: publication.clone(),
                    because,
                    of: publication.seen,
                    since,
                    overtaken_by: None,
                });
            }
        }
    }

    /// Expects a delivery to offline clients whose session has a matching subscription.
    fn expect_later(&mut self, server: Endpoint, publication: &Rc<Publication>) {
        let resting = self.sessions.resting();
        if resting.len() > limits::WATCHED_SUBSCRIBERS {
            return;
        }
        for (key, session) in resting {
            if key.server == server
                && session.queued.len() < limits::DELIVERIES
                && session.should_get(publication, false)
            {
                session.queued.push(Expected {
                    publication: publication.clone(),
                    because: Because::Queued,
                    of: publication.seen,
                    since: publication.seen.time,
                    overtaken_by: None,
                });
            }
        }
    }

    /// A client was accepted: its will, if it has one, is kept.
    pub(super) fn keep_will(&mut self, number: u64) {
        let Some(connection) = self.connections.get(number) else {
            return;
        };
        let Some(opening) = connection.opening.as_deref() else {
            return;
        };
        let client_id = connection
            .client_id
            .as_deref()
            .unwrap_or(&opening.client_id);
        let broker = self.brokers.at(connection.server);
        let Some(will) = opening.whole_will() else {
            let doubt = (!opening.whole).then_some(Reason::Clipped);
            broker.missed = broker.missed.or(doubt);
            return;
        };
        broker.will(
            client_id,
            Publication {
                seen: opening.seen,
                key: will.key(),
                topic: will.topic.to_vec(),
                qos: will.qos,
                retain: will.retain,
                will: true,
                expiry: will.expiry,
                carried: will.carried.clone(),
                empty: will.payload.is_empty(),
                order: 0,
                resent: Cell::new(0),
                returned: Cell::new(false),
                member: Cell::new(None),
            },
        );
    }

    /// A connection has ended: determines the state of its will.
    pub(super) fn mind_will(
        &mut self,
        connection: &ConnectionFacts,
        how: Option<CloseReason>,
        end: Option<Timestamp>,
    ) {
        let Some(opening) = connection.opening.as_deref() else {
            return;
        };
        let Some(will) = opening.whole_will() else {
            return;
        };
        if connection.accepted().is_none() {
            // It may have been accepted, and its will published.
            let doubt = connection.doubt.down;
            if connection.accepted.is_none() && doubt.is_some() {
                let missed = &mut self.brokers.at(connection.server).missed;
                *missed = missed.or(doubt);
            }
            return;
        }
        let key = will.key();
        let seen = opening.seen;
        let broker = self.brokers.at(connection.server);
        let disconnect = |direction: Direction| connection.disconnect[direction];
        if let Some((by, 0)) = disconnect(Direction::Up) {
            let why = UnwantedWill::Disconnected(by);
            broker.set_will(key, seen, WillState::Unwanted(why));
            return;
        }
        // Only a connection whose end was captured has ended; one that ends
        // with its server may have to wait for the next start.
        let ended = matches!(how, Some(CloseReason::Fin | CloseReason::Reset));
        let shut_down = disconnect(Direction::Down).is_some_and(|(_, code)| code == 0x8b);
        let due = end
            .filter(|_| ended && !shut_down)
            .map(|end| connection.will_due(opening, will, end));
        let resumed = self.resumed_by(connection).filter(|_| will.delay > 0);
        let broker = self.brokers.at(connection.server);
        if let Some(connect) = resumed
            && due.is_none_or(|due| due.first > connect.time)
        {
            let why = UnwantedWill::CameBack(connect);
            broker.set_will(key, seen, WillState::Unwanted(why));
            return;
        }
        let Some(due) = due else {
            let was_there = WillState::Unseen(connection.alive.up);
            broker.set_will(key, seen, was_there);
            return;
        };
        let publication = broker.set_will(key, seen, WillState::Due(due));
        let may_be_unwanted = resumed.is_some_and(|connect| due.last > connect.time);
        if let Some(publication) = publication
            && connection.any_doubt().is_none()
            && !may_be_unwanted
        {
            self.expect_everywhere(connection.server, &publication, Because::Will, due.last);
        }
    }
}

impl ConnectionFacts {
    /// A client publishes: what was delivered a moment ago may be this message.
    pub(super) fn published_late(&self, frame: &MQTTFrame<'_>) -> Option<Missed> {
        let key = digest(frame).filter(|_| !frame.header.dup())?;
        Some(Missed {
            server: self.server,
            key: Some(key),
            since: frame.time.before(PRECISION),
            reason: Reason::Tolerance,
        })
    }

    /// When its will is due, if it ended at `end`.
    pub(super) fn will_due(&self, opening: &Opening, will: &Will, end: Timestamp) -> WillDue {
        let expiry = match opening.version {
            Version::V5 => self.session_expiry(opening),
            _ => 0,
        };
        let delay = Duration::from_secs(will.delay.min(expiry).into());
        let last = self.gone().unwrap_or(end).max(end);
        // Servers look for wills now and then.
        WillDue {
            first: later(end, delay.saturating_sub(Duration::from_secs(1))),
            last: later(last, delay + Duration::from_secs(2)),
        }
    }

    /// What the only copy of a message lacks, if several subscriptions match
    /// and no other copy is delivered.
    fn lacks(
        &self,
        frame: &MQTTFrame<'_>,
        publication: &Publication,
        matching: &[u32],
    ) -> Option<Lacks> {
        if matching.len() < 2 || publication.will {
            return None;
        }
        let all = || matching.iter().map(|at| self.session.subscriptions.at(*at));
        if !all().all(|s| !s.shared && s.was_settled_before(publication.seen)) {
            return None;
        }
        let granted = all().filter_map(|s| s.current).max()?;
        let (expected, found) = (publication.qos.min(granted), frame.header.qos());
        if found < expected {
            return Some(Lacks::Qos { expected, found });
        }
        let properties = frame.packet.properties();
        let has = |id: u32| {
            let mut ids = properties.iter().filter(|p| p.id == p::SUBSCRIPTION_ID);
            ids.any(|property| p::as_number(property.value) == Some(id))
        };
        let missing = all().filter_map(|s| s.id).find(|id| !has(*id))?;
        // A copy without identifiers is covered by its own rule.
        let some = all().filter_map(|s| s.id).any(has);
        some.then_some(Lacks::Identifier(missing))
    }

    /// The connection of another member of the one shared subscription that
    /// matches, which got the message before, and is there.
    fn other_member(
        &self,
        frame: &MQTTFrame<'_>,
        publication: &Publication,
        matching: &[u32],
    ) -> Option<(u64, Timestamp)> {
        let [at] = *matching else { return None };
        let subscription = self.session.subscriptions.at(at);
        let settled = subscription.shared && subscription.was_settled_before(publication.seen);
        if !settled || publication.will {
            return None;
        }
        let share = key(&subscription.filter, 0);
        match publication.member.get() {
            None => {
                publication
                    .member
                    .set(Some((share, self.number, frame.time)));
                None
            }
            Some((other, number, time)) => {
                (other == share && number != self.number).then_some((number, time))
            }
        }
    }
}

impl Will {
    /// What tells its message from others.
    pub(super) fn key(&self) -> u64 {
        key(&self.topic, Digest::of(&self.payload))
    }
}

impl Delivered {
    /// Takes what is queued in a session for its client.
    pub(super) fn resume(&mut self, queued: Vec<Expected>, accepted: Timestamp) {
        self.inherit(
            queued
                .into_iter()
                .map(|expected| Expected {
                    since: accepted,
                    ..expected
                })
                .collect(),
        );
    }
}
