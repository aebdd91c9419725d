//! Missing answers and deliveries.

use std::time::Duration;

use crate::event::CloseReason;
use crate::frame::{Direction, PerDirection};
use crate::identity::ExchangeId;
use crate::limits;
use crate::mqtt::PacketType;
use crate::time::Timestamp;

use super::broker::Broker;
use super::connection::ConnectionFacts;
use super::delivered::{Because, Expected};
use super::doubt::Doubt;
use super::due::{Deadline, Reported};
use super::exchange::Exchange;
use super::frame_ref::FrameRef;
use super::publication::Publication;
use super::request::Request;

/// Facts for a rule about missing answers.
#[derive(Debug)]
pub struct Overdue<'a> {
    /// The connection.
    pub connection: &'a ConnectionFacts,
    /// The expected answer.
    pub expected: PacketType,
    /// From which side, by the direction it sends in.
    pub by: Direction,
    /// The request.
    pub request: FrameRef,
    /// The first packet of its exchange on the connection that carried it last.
    pub opened: FrameRef,
    /// Packet Identifier.
    pub id: Option<u16>,
    /// Topic of the PUBLISH, or the first filter of the request, where known.
    pub topic: Option<&'a [u8]>,
    /// QoS of a PUBLISH.
    pub qos: u8,
    /// How the connection ended.
    pub ending: Ending,
    /// Which side began to end it, by the direction it sends in, and when.
    pub left: Option<(Direction, Timestamp)>,
    /// When TCP acknowledged the request.
    pub acked: Option<Timestamp>,
    /// How long both ends were open after that.
    pub waited: Duration,
    /// It belongs to an earlier connection and was not sent again.
    pub carried: bool,
    /// What ended the exchange that had its Packet Identifier before, on this
    /// connection.
    pub used_before: Option<PacketType>,
    /// Its message has a Message Expiry Interval (5.0).
    pub expires: bool,
    /// Direction of the PUBLISH, if it is about one.
    pub of: Option<Direction>,
    /// Why the answer may exist although it was not captured.
    pub doubt: Doubt,
    /// Time since the request during which both ends were active.
    pub age: Duration,
    /// The deadline that has passed; `None` at the end of the connection.
    pub deadline: Option<Deadline>,
    /// What was reported of it before, at a deadline.
    pub reported: Reported,
    /// The time of the deadline; that of the request at the end of the connection.
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
    /// Its end was not captured.
    Unseen,
}

impl Overdue<'_> {
    /// Identity of its exchange on the connection; `None` if its first packet was on an
    /// earlier one.
    pub fn exchange_id(&self) -> Option<ExchangeId> {
        (self.opened.connection == self.connection.number).then(|| ExchangeId {
            direction: self.of.unwrap_or(self.by.reversed()),
            packet_id: self.id.unwrap_or(0),
            number: self.opened.number,
        })
    }

    /// Whether an answer is owed: not by a server that refused the connection, or never
    /// accepted it.
    pub fn is_due(&self) -> bool {
        let facts = self.connection;
        match &facts.accepted {
            Some(accepted) => accepted.accepted(),
            None => facts.any_doubt().is_some(),
        }
    }
}

/// Facts for a rule about missing deliveries.
#[derive(Debug)]
pub struct Undelivered<'a> {
    /// The connection of the client that should have got it.
    pub connection: &'a ConnectionFacts,
    /// Why it is expected.
    pub because: Because,
    /// Its publication, or the SUBSCRIBE that requests it.
    pub of: FrameRef,
    /// The message.
    pub publication: &'a Publication,
    /// A later message of the same publisher, topic and QoS, which was delivered before
    /// it.
    pub overtaken_by: Option<FrameRef>,
    /// The client had not acknowledged earlier messages, so more may have been queued.
    pub unacknowledged: bool,
    /// How long both ends were open after it was due.
    pub waited: Duration,
    /// How the connection ended.
    pub ending: Ending,
    /// Why the server may have got messages that were not captured, or what was queued
    /// may have been delivered before.
    pub missed: Doubt,
}

impl ConnectionFacts {
    /// All missing deliveries.
    pub(super) fn undelivered(
        &self,
        how: Option<CloseReason>,
        missed: impl Fn(&Expected) -> Doubt,
        mut found: impl FnMut(&Undelivered<'_>),
    ) {
        let until = self.alive.up.min(self.alive.down);
        let unacknowledged = !self.session.space(Direction::Down).is_empty();
        for expected in self.delivered.expected() {
            let Expected {
                publication,
                because,
                of,
                since,
                overtaken_by,
            } = &expected;
            found(&Undelivered {
                connection: self,
                because: *because,
                of: *of,
                publication,
                overtaken_by: *overtaken_by,
                unacknowledged,
                waited: until.since(*since),
                ending: self.ending(how),
                missed: missed(&expected),
            });
        }
    }

    /// Which side began to end the connection, by the direction it sends in,
    /// and when: by DISCONNECT, FIN or RST.
    pub fn left(&self) -> Option<(Direction, Timestamp)> {
        // A FIN that acknowledges that of the other side was sent after it.
        let follows = |by: Direction, time| {
            let acked = self.fin_acked[by.reversed()];
            acked.is_some_and(|acked| acked <= time)
        };
        self.leaving()
            .min_by_key(|(by, time)| (*time, follows(*by, *time)))
    }

    /// Whether the end of what this side sends was captured: DISCONNECT, FIN or RST.
    pub fn has_left(&self, by: Direction) -> bool {
        self.reset.is_some() || self.leaving().any(|(side, _)| side == by)
    }

    /// When the last sign that the connection ends was seen.
    pub(super) fn gone(&self) -> Option<Timestamp> {
        self.leaving().map(|(_, time)| time).max()
    }

    /// The signs that the connection ends, with the side that each is of: DISCONNECT,
    /// RST and FIN; of a FIN that was captured after its acknowledgement, or not at all, that.
    fn leaving(&self) -> impl Iterator<Item = (Direction, Timestamp)> {
        Direction::ALL.into_iter().flat_map(|by| {
            let disconnect = self.disconnect[by].map(|(seen, _)| seen.time);
            let reset = self.reset.filter(|(side, _)| *side == by);
            [
                disconnect,
                self.fin[by],
                self.fin_acked[by],
                reset.map(|(_, time)| time),
            ]
            .into_iter()
            .flatten()
            .map(move |time| (by, time))
        })
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

    /// All missing answers.
    pub(super) fn overdue(
        &self,
        how: Option<CloseReason>,
        broker: Option<&Broker>,
        mut found: impl FnMut(&Overdue<'_>),
    ) {
        let ending = self.ending(how);
        let left = self.left();
        let until = self.alive.up.min(self.alive.down);
        let overdue =
            |expected, by: Direction, request: FrameRef, acked: Option<Timestamp>| Overdue {
                connection: self,
                expected,
                by,
                request,
                opened: request,
                id: None,
                topic: None,
                qos: 0,
                ending,
                left,
                acked,
                waited: acked.map_or(Duration::ZERO, |acked| until.since(acked)),
                carried: false,
                used_before: None,
                expires: false,
                of: None,
                doubt: self.doubt[by],
                age: until.since(request.time),
                deadline: None,
                reported: Reported::default(),
                time: request.time,
            };
        for direction in Direction::ALL {
            let space = self.session.space(direction);
            let mut open: Vec<&Exchange> = space.of_connection().collect();
            // Each connection that does not send them again would report all.
            open.extend(space.carried().take(limits::CARRIED_OVERDUE));
            open.sort_unstable_by_key(|exchange| (exchange.last.packet, exchange.id));
            for exchange in open {
                let (expected, by) = exchange.expects(direction);
                let overdue = overdue(expected, by, exchange.last, exchange.acked);
                found(&Overdue {
                    opened: exchange.publish,
                    id: Some(exchange.id),
                    topic: broker
                        .zip(exchange.digest)
                        .and_then(|(b, key)| b.topic_of(key)),
                    qos: exchange.qos,
                    carried: exchange.carried,
                    used_before: space
                        .ended(exchange.id)
                        .filter(|ended| ended.by.connection == self.number)
                        .map(|ended| ended.kind),
                    expires: exchange.expires,
                    of: Some(direction),
                    doubt: exchange.doubt.or(overdue.doubt),
                    reported: exchange.reported,
                    ..overdue
                });
            }
        }
        let mut waiting: Vec<&Request> = self.requests.waiting().collect();
        waiting.sort_unstable_by_key(|request| (request.seen.packet, request.id));
        for request in waiting {
            let expected = request.expects();
            let overdue = overdue(expected, Direction::Down, request.seen, request.acked);
            found(&Overdue {
                id: Some(request.id),
                topic: request.filters.first().map(|(filter, _)| &**filter),
                doubt: request.doubt.or(overdue.doubt),
                reported: request.reported,
                ..overdue
            });
        }
        for ping in &self.pings {
            found(&Overdue {
                reported: ping.reported,
                ..overdue(PacketType::Pingresp, Direction::Down, ping.seen, ping.acked)
            });
        }
    }
}
