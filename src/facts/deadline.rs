//! Deadlines: what has to happen by a time, and is overdue without any packet.
//!
//! ```text
//! frame ─→ earliest deadline of its connection ─→ Deadlines
//! the clock passes it ─→ ConnectionFacts::expire ─→ Overdue, Silence ─→ rules
//!                                    └→ the next deadline ─→ Deadlines
//! ```
//!
//! The clock is capture time: packet timestamps, and
//! [`Analysis::tick`](super::Analysis::tick) without packets. An overdue answer has the
//! time of its deadline, and is reported before any later packet is processed, so it
//! does not matter which of the two advances the clock.
//!
//! An answer may still arrive after its deadline, and a packet may be buffered
//! because an earlier one is missing. So these reports are provisional; final
//! ones are made when a connection ends.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::mqtt::PacketType;
use crate::time::Timestamp;

use super::connection::ConnectionFacts;
use super::doubt::Doubt;
use super::due::{Deadline, Reported, later};
use super::frame_ref::FrameRef;
use super::overdue::{Ending, Overdue};
use super::pauses::Pauses;
use super::silence::{Shown, Silence, tolerance};

/// A packet buffered behind a gap is read when that is declared, within a second and a
/// half (`limits::GAP_MILLIS`).
const SLACK: Duration = Duration::from_millis(1_500);
/// For budgets, which are shorter: time for packets captured out of order.
const BUDGET_SLACK: Duration = Duration::from_millis(250);

/// Connections with deadlines, ordered by time.
#[derive(Debug)]
pub(super) struct Deadlines {
    queue: BTreeSet<(Timestamp, u64)>,
    /// Time limit for answers without a specified one.
    patience: Duration,
    /// The user's limit for acknowledgements.
    budget: Option<Duration>,
}

/// An answer that did not arrive in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expired {
    expected: PacketType,
    by: Direction,
    request: FrameRef,
    id: Option<u16>,
    qos: u8,
    of: Option<Direction>,
    acked: Option<Timestamp>,
    doubt: Doubt,
    deadline: Deadline,
}

impl Deadlines {
    pub(super) fn new(patience: Duration, budget: Option<Duration>) -> Self {
        Self {
            queue: BTreeSet::new(),
            patience,
            budget,
        }
    }

    /// The next connection whose deadline has passed by `now`, and its deadline.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<(Timestamp, u64)> {
        match self.queue.first() {
            Some(&(due, _)) if due <= now => self.queue.pop_first(),
            _ => None,
        }
    }

    /// After a frame: remembers when to look at its connection.
    pub(super) fn after(&mut self, connection: &mut ConnectionFacts, frame: &MQTTFrame<'_>) {
        let answer = is_to_be_answered(frame).then(|| {
            let patience = self.patience + SLACK;
            let budget = self.budget.map_or(patience, |most| most + BUDGET_SLACK);
            later(frame.time, budget.min(patience))
        });
        self.remember(connection, min(answer, connection.silence_due()));
    }

    /// After a deadline of a connection at `due`: the next time to check it.
    /// The clock is at `now`, and nothing happened in between.
    pub(super) fn again(
        &mut self,
        connection: &mut ConnectionFacts,
        due: Timestamp,
        now: Timestamp,
    ) {
        let due = min(
            connection.answer_due(self.budget, due, now),
            connection.silence_due(),
        );
        self.remember(connection, due);
    }

    fn remember(&mut self, connection: &mut ConnectionFacts, due: Option<Timestamp>) {
        let Some(due) = due else { return };
        if let Some(before) = connection.wake {
            if before <= due {
                return;
            }
            self.queue.remove(&(before, connection.number));
        }
        connection.wake = Some(due);
        self.queue.insert((due, connection.number));
    }

    /// The connection is over.
    pub(super) fn forget(&mut self, connection: &ConnectionFacts) {
        if let Some(due) = connection.wake {
            self.queue.remove(&(due, connection.number));
        }
    }

    pub(super) fn budget(&self) -> Option<Duration> {
        self.budget
    }
}

/// Whether it has any deadline.
fn is_to_be_answered(frame: &MQTTFrame<'_>) -> bool {
    match frame.header.packet_type() {
        PacketType::Publish => frame.header.qos() > 0,
        kind => matches!(
            kind,
            PacketType::Pubrec
                | PacketType::Pubrel
                | PacketType::Subscribe
                | PacketType::Unsubscribe
                | PacketType::Pingreq
        ),
    }
}

/// Whether a budget for acknowledgements counts it.
fn is_acknowledgement(kind: PacketType) -> bool {
    !matches!(kind, PacketType::Pubrel | PacketType::Pingresp)
}

/// One pending deadline.
struct Open<'a> {
    expired: Expired,
    reported: &'a mut Reported,
}

impl ConnectionFacts {
    /// What was reported of the silence since that packet.
    pub(super) fn silence_reported(&self, since: FrameRef) -> Reported {
        match self.silence_reported {
            (Some(of), reported) if of == since => reported,
            _ => Reported::default(),
        }
    }

    /// Whether neither side has started to close it.
    fn goes_on(&self) -> bool {
        self.fin == PerDirection::both(None) && self.disconnect == PerDirection::both(None)
    }

    /// When the client will have been silent too long, for itself or for the
    /// server.
    fn silence_due(&self) -> Option<Timestamp> {
        let (_, _, due) = self.silence_left()?;
        Some(due)
    }

    /// The packet that started the silence, the next report about it, and its time.
    fn silence_left(&self) -> Option<(FrameRef, Reported, Timestamp)> {
        let since = self.latest[Direction::Up]?;
        if !self.goes_on() {
            return None;
        }
        let keep_alive = self.keep_alive()?;
        let reported = self.silence_reported(since);
        let tolerance = tolerance(keep_alive);
        let (next, limit) = if !reported.has(Reported::CLIENT) {
            (Reported::CLIENT, keep_alive + tolerance)
        } else if !reported.has(Reported::SERVER) {
            let tolerance = tolerance.max(Duration::from_secs(2));
            (Reported::SERVER, keep_alive * 3 / 2 + tolerance)
        } else {
            return None;
        };
        Some((since, next, later(since.time, limit + SLACK)))
    }

    /// The client's silence, if it is time to speak of it.
    pub(super) fn expire_silence(
        &mut self,
        now: Timestamp,
        pauses: &Pauses,
        open: usize,
    ) -> Option<Silence<'_>> {
        let (since, next, due) = self.silence_left()?;
        if due > now {
            return None;
        }
        let before = self.silence_reported(since);
        let mut reported = before;
        reported.add(next);
        self.silence_reported = (Some(since), reported);
        Some(Silence {
            connection: self,
            shown: Shown::Time,
            packet: since.packet,
            time: due,
            since,
            silent: due.since(since.time),
            pause: pauses.longest_so_far(since.time, due, open),
            keep_alive: self.keep_alive()?,
            reported: before,
        })
    }

    /// Pending deadlines, in no order. Exchanges of an earlier connection have
    /// none, because there is no time limit for resuming them.
    fn waited_for(&mut self) -> impl Iterator<Item = Open<'_>> {
        let doubt = self.doubt;
        let PerDirection { up, down } = self.session.spaces_mut();
        let exchanges = [(Direction::Up, up), (Direction::Down, down)]
            .into_iter()
            .flat_map(|(of, space)| space.in_flight_mut().map(move |exchange| (of, exchange)))
            .filter(|(_, exchange)| !exchange.carried)
            .map(move |(of, exchange)| {
                let (expected, by) = exchange.expects(of);
                Open {
                    expired: Expired {
                        expected,
                        by,
                        request: exchange.last,
                        id: Some(exchange.id),
                        qos: exchange.qos,
                        of: Some(of),
                        acked: exchange.acked,
                        doubt: exchange.doubt.or(doubt[by]),
                        deadline: Deadline::Patience,
                    },
                    reported: &mut exchange.reported,
                }
            });
        let by = Direction::Down;
        let by_server = move |expected, request, id, acked, of_it: Doubt| Expired {
            expected,
            by,
            request,
            id,
            qos: 0,
            of: None,
            acked,
            doubt: of_it.or(doubt[by]),
            deadline: Deadline::Patience,
        };
        let requests = self.requests.waiting_mut().map(move |request| Open {
            expired: by_server(
                request.expects(),
                request.seen,
                Some(request.id),
                request.acked,
                request.doubt,
            ),
            reported: &mut request.reported,
        });
        let pings = self.pings.iter_mut().map(move |ping| Open {
            expired: by_server(PacketType::Pingresp, ping.seen, None, ping.acked, None),
            reported: &mut ping.reported,
        });
        exchanges.chain(requests).chain(pings)
    }

    /// The next deadline of an answer, as of `at`, if nothing happens until `now`.
    fn answer_due(
        &mut self,
        budget: Option<Duration>,
        at: Timestamp,
        now: Timestamp,
    ) -> Option<Timestamp> {
        if !self.goes_on() {
            return None;
        }
        let patience = self.patience;
        self.waited_for()
            .flat_map(|open| open.dues(patience, budget))
            .map(|(_, due)| match due > at {
                true => due,
                // The request has not been acknowledged yet: check again at
                // intervals, but not for each one that has passed already. A
                // clock may be set by decades.
                false => {
                    let passed = now.since(at).as_nanos() / patience.as_nanos().max(1);
                    let times = u32::try_from(passed + 1).unwrap_or(u32::MAX);
                    later(at, patience.saturating_mul(times))
                }
            })
            .min()
    }

    /// Returns the requests not answered by `now`, each once.
    pub(super) fn expire_answers(
        &mut self,
        budget: Option<Duration>,
        now: Timestamp,
    ) -> Vec<Expired> {
        if !self.goes_on() {
            return Vec::new();
        }
        let mut expired = Vec::new();
        let patience = self.patience;
        for open in self.waited_for() {
            for (deadline, due) in open.dues(patience, budget) {
                // A request that has not arrived needs no answer.
                let arrived = deadline == Deadline::Budget || open.expired.acked.is_some();
                if due <= now && arrived {
                    open.reported.add(match deadline {
                        Deadline::Patience => Reported::PATIENCE,
                        Deadline::Budget => Reported::BUDGET,
                    });
                    expired.push(Expired {
                        deadline,
                        ..open.expired
                    });
                }
            }
        }
        expired.sort_unstable_by_key(|e| (e.request.packet, e.request.end, e.id));
        expired
    }

    /// Facts for the rules.
    pub(super) fn overdue_by(&self, expired: &Expired, now: Timestamp) -> Overdue<'_> {
        Overdue {
            connection: self,
            expected: expired.expected,
            by: expired.by,
            request: expired.request,
            id: expired.id,
            topic: None,
            qos: expired.qos,
            ending: Ending::Open,
            left: None,
            acked: expired.acked,
            waited: expired.acked.map_or(Duration::ZERO, |at| now.since(at)),
            carried: false,
            used_before: None,
            expires: false,
            of: expired.of,
            doubt: expired.doubt,
            age: now.since(expired.request.time),
            deadline: Some(expired.deadline),
            reported: Reported::default(),
            time: now,
        }
    }
}

impl Open<'_> {
    /// What was not reported of it yet, and the time of the report.
    fn dues(
        &self,
        patience: Duration,
        budget: Option<Duration>,
    ) -> impl Iterator<Item = (Deadline, Timestamp)> + use<> {
        let Expired {
            request,
            acked,
            expected,
            ..
        } = self.expired;
        let patience = (!self.reported.has(Reported::PATIENCE)).then(|| {
            let since = acked.unwrap_or(request.time);
            (Deadline::Patience, later(since, patience + SLACK))
        });
        let budget = budget
            .filter(|_| is_acknowledgement(expected) && !self.reported.has(Reported::BUDGET))
            .map(|most| (Deadline::Budget, later(request.time, most + BUDGET_SLACK)));
        patience.into_iter().chain(budget)
    }
}

fn min(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    one.into_iter().chain(other).min()
}
