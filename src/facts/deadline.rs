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
use super::waits::Waited;

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
    opened: FrameRef,
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
        if let Some(what) = Waited::of(frame).filter(|_| connection.goes_on()) {
            let patience = self.patience + SLACK;
            let budget = self.budget.map_or(patience, |most| most + BUDGET_SLACK);
            let due = later(frame.time, budget.min(patience));
            connection.waits.add(what, due);
        }
        self.remember(connection);
    }

    /// Remembers the next time to look at a connection.
    pub(super) fn remember(&mut self, connection: &mut ConnectionFacts) {
        let Some(due) = min(connection.answer_due(), connection.silence_due()) else {
            return;
        };
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

    /// The pending deadlines of what is waited for. Exchanges of an earlier connection
    /// have none, because there is no time limit for resuming them.
    fn waiting(&mut self, what: Waited) -> impl Iterator<Item = Open<'_>> {
        let doubt = self.doubt;
        let (mut exchange, mut request, mut pings) = (None, None, None);
        match what {
            Waited::Exchange(of, id) => {
                let open = self.session.space_mut(of).open_mut(id);
                exchange = open.filter(|it| !it.carried).map(|it| (of, it));
            }
            Waited::Request(id) => request = self.requests.open_mut(id),
            Waited::Pings => pings = Some(&mut self.pings),
        }
        let exchange = exchange.map(move |(of, exchange)| {
            let (expected, by) = exchange.expects(of);
            Open {
                expired: Expired {
                    expected,
                    by,
                    request: exchange.last,
                    opened: exchange.publish,
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
            opened: request,
            id,
            qos: 0,
            of: None,
            acked,
            doubt: of_it.or(doubt[by]),
            deadline: Deadline::Patience,
        };
        let request = request.map(move |request| Open {
            expired: by_server(
                request.expects(),
                request.seen,
                Some(request.id),
                request.acked,
                request.doubt,
            ),
            reported: &mut request.reported,
        });
        let pings = pings.into_iter().flatten().map(move |ping| Open {
            expired: by_server(PacketType::Pingresp, ping.seen, None, ping.acked, None),
            reported: &mut ping.reported,
        });
        exchange.into_iter().chain(request).chain(pings)
    }

    /// When the next answer is due.
    fn answer_due(&self) -> Option<Timestamp> {
        self.waits.first().filter(|_| self.goes_on())
    }

    /// Returns the requests not answered by `due`, each once. The clock is at `now`, and
    /// nothing happened in between.
    pub(super) fn expire_answers(
        &mut self,
        budget: Option<Duration>,
        due: Timestamp,
        now: Timestamp,
    ) -> Vec<Expired> {
        if !self.goes_on() {
            return Vec::new();
        }
        let mut expired = Vec::new();
        let patience = self.patience;
        while let Some(what) = self.waits.pop(due) {
            let mut next = None;
            for open in self.waiting(what) {
                next = min(
                    next,
                    open.expire(patience, budget, (due, now), &mut expired),
                );
            }
            if let Some(next) = next {
                self.waits.add(what, next);
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
            opened: expired.opened,
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
    /// Reports what is due, and returns the time of the next deadline.
    fn expire(
        self,
        patience: Duration,
        budget: Option<Duration>,
        (at, now): (Timestamp, Timestamp),
        expired: &mut Vec<Expired>,
    ) -> Option<Timestamp> {
        let mut next = None;
        for (deadline, due) in self.dues(patience, budget) {
            // A request that has not arrived needs no answer.
            let arrived = deadline == Deadline::Budget || self.expired.acked.is_some();
            if due > at {
                next = min(next, Some(due));
            } else if arrived {
                self.reported.add(match deadline {
                    Deadline::Patience => Reported::PATIENCE,
                    Deadline::Budget => Reported::BUDGET,
                });
                expired.push(Expired {
                    deadline,
                    ..self.expired
                });
            } else {
                // Check again at intervals, but not for each one that has passed
                // already. A clock may be set by decades.
                let passed = now.since(at).as_nanos() / patience.as_nanos().max(1);
                let times = u32::try_from(passed + 1).unwrap_or(u32::MAX);
                next = min(next, Some(later(at, patience.saturating_mul(times))));
            }
        }
        next
    }

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
