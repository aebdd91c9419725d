//! [`Tracker`]: the role of each control packet in its exchange.
//!
//! What a control packet does by its own words is its [`Part`]; the tracker adds
//! which exchange that is, in the order of capture and within one connection. A
//! PINGRESP answers the oldest PINGREQ.
//!
//! Rules ask for more: the exchanges of a *session*, which outlive a connection,
//! in the order in which things happened. [`super::exchange`] keeps those, once a
//! packet that was captured late has been waited for. A reader of traffic does not
//! wait, and prints in the order of capture; so the two are kept apart, and share
//! [`Part`].
//!
//! An exchange that is complete is not dropped at once, because a PUBLISH that is
//! sent again is answered again; it only counts as *settled*. Settled ones go when
//! their connection has more than [`SETTLED_EXCHANGES`] of them.
//!
//! Where bytes of the asking side were lost after an exchange was settled, its
//! identifier may have been used again in there, and the next answer may be one to
//! a message that was not captured. The same holds when both sides lost bytes:
//! the answer may have been lost as well as the next question. Such answers carry
//! a [`doubt`](ExchangeFact::doubt).
//!
//! Over all connections no more than [`TRACKED_EXCHANGES`] are kept; when they are
//! reached, all settled ones go, and if those are few, new ones are not taken up.
//! Their answers are [`Role::Unknown`].

use std::collections::HashMap;
use std::time::Duration;

use crate::event::{Event, EventKind};
use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::identity::ExchangeId;
use crate::limits::{SETTLED_EXCHANGES, TRACKED_EXCHANGES};
use crate::mqtt::PacketType;

use super::doubt::{Doubt, Reason};
use super::frame_ref::FrameRef;
use super::part::{Action, ExchangeKind, Part};

/// What a control packet does in its exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It begins the exchange.
    Opens,
    /// It is a duplicate: its first packet again, or an answer again.
    Repeats,
    /// It is the next step, and others follow.
    Continues,
    /// It is the last step.
    Completes,
    /// The exchange with its identifier expects another packet.
    Unexpected,
    /// No exchange with its identifier is known.
    Unknown,
}

/// A control packet's role in its exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeFact {
    /// The kind of the exchange.
    pub kind: ExchangeKind,
    /// The direction of its first packet.
    pub asked: Direction,
    /// What this packet does in it.
    pub role: Role,
    /// Its first packet; `None` if none is known ([`Role::Unknown`]), and if the
    /// exchange is not kept, because a table is full or its Packet Identifier was
    /// not captured.
    pub first: Option<First>,
    /// With [`Role::Opens`]: the exchange that had the same [`First::slot`] ends
    /// here without completion.
    pub replaces: bool,
    /// Why the packet may belong to an exchange that was not captured: bytes are
    /// missing in which its identifier may have been used again.
    pub doubt: Doubt,
}

/// The packet that opened an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct First {
    /// Number of the exchange, from 1 in the order of their first packets.
    pub number: u64,
    /// A small number for tables beside the exchanges. No two exchanges that are
    /// kept have the same; it is used again after that. [`Role::Opens`] comes
    /// before every other use.
    pub slot: u32,
    /// Where and when it was captured.
    pub seen: FrameRef,
    /// Its QoS; 0 unless it is a PUBLISH.
    pub qos: u8,
}

impl ExchangeFact {
    /// Whether it is the exchange of a message.
    pub fn is_message(&self) -> bool {
        self.kind == ExchangeKind::Publish
    }

    /// Its identity on its connection; `None` if its first packet is not known.
    /// `frame` is the packet that this is the role of.
    pub fn id(&self, frame: &MQTTFrame<'_>) -> Option<ExchangeId> {
        Some(ExchangeId {
            direction: self.asked,
            packet_id: frame.packet.packet_id().unwrap_or(0),
            number: self.first?.seen.number,
        })
    }

    /// Time from the first packet of the exchange to `frame`, both complete.
    pub fn since_first(&self, frame: &MQTTFrame<'_>) -> Option<Duration> {
        Some(frame.time.since(self.first?.seen.time))
    }
}

/// The exchanges of all connections.
#[derive(Debug)]
pub(crate) struct Tracker {
    connections: HashMap<u64, OfConnection, foldhash::fast::RandomState>,
    slots: Slots,
    numbers: u64,
    /// Exchanges in all of `connections`.
    total: usize,
    /// How many of them are settled.
    settled: usize,
    most: usize,
    evicted: u64,
}

impl Default for Tracker {
    fn default() -> Self {
        Self {
            connections: HashMap::default(),
            slots: Slots::default(),
            numbers: 0,
            total: 0,
            settled: 0,
            most: TRACKED_EXCHANGES,
            evicted: 0,
        }
    }
}

/// Numbers that are in use, and those that were.
#[derive(Debug, Default)]
struct Slots {
    used: u32,
    free: Vec<u32>,
}

impl Slots {
    fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        })
    }
}

#[derive(Debug, Default)]
struct OfConnection {
    exchanges: HashMap<Key, Exchange, foldhash::fast::RandomState>,
    /// How many of them are settled.
    settled: usize,
    /// Counts gaps; the time by which exchanges and gaps are ordered.
    clock: u32,
    /// When bytes of each direction were last lost.
    last_gap: PerDirection<u32>,
    /// PINGREQ packets, and how many of them were answered.
    pings: (u16, u16),
}

/// Who asked, what for, and under which identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    asked: Direction,
    kind: ExchangeKind,
    id: u16,
}

#[derive(Clone, Copy, Debug)]
struct Exchange {
    first: First,
    /// When it was begun.
    begun: u32,
    /// When it was answered in full.
    settled: Option<u32>,
    /// PUBREC and PUBREL were captured.
    received: bool,
    released: bool,
}

impl Tracker {
    /// Puts a frame into its exchange.
    pub(crate) fn classify(&mut self, frame: &MQTTFrame<'_>) -> Option<ExchangeFact> {
        let Part {
            mut kind,
            asked,
            action,
        } = Part::of(frame)?;
        let id = match kind {
            ExchangeKind::Publish | ExchangeKind::Subscribe | ExchangeKind::Unsubscribe => {
                frame.packet.packet_id()
            }
            ExchangeKind::Ping => Some(self.of(frame).ping(action)),
            ExchangeKind::Auth if action == Action::Continues => {
                kind = self.of(frame).authenticated_by();
                Some(0)
            }
            ExchangeKind::Connect | ExchangeKind::Auth => Some(0),
        };
        let Some(id) = id else {
            // It may have used any identifier.
            self.gap(frame.connection.number, frame.direction);
            return Some(ExchangeFact {
                kind,
                asked,
                role: match action {
                    Action::Asks { .. } => Role::Opens,
                    Action::Continues | Action::Completes { .. } => Role::Unknown,
                },
                first: None,
                replaces: false,
                doubt: Some(Reason::Gap),
            });
        };
        let key = Key { asked, kind, id };
        Some(match action {
            Action::Asks { dup } => self.ask(frame, key, dup),
            action => self.answer(frame, key, action),
        })
    }

    fn of(&mut self, frame: &MQTTFrame<'_>) -> &mut OfConnection {
        self.connections.entry(frame.connection.number).or_default()
    }

    /// Takes notice of lost bytes.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        if let (Some(connection), Some(direction)) = (event.connection, event.direction)
            && matches!(event.kind, EventKind::Gap | EventKind::Resynchronised)
        {
            self.gap(connection.number, direction);
        }
    }

    /// Bytes were lost that may have contained control packets.
    fn gap(&mut self, connection: u64, direction: Direction) {
        if let Some(of) = self.connections.get_mut(&connection) {
            of.clock = of.clock.saturating_add(1);
            of.last_gap[direction] = of.clock;
            // It is unknown which PINGREQ the next PINGRESP answers.
            of.pings.1 = of.pings.0;
        }
    }

    /// The connection has ended.
    pub(crate) fn remove(&mut self, connection: u64) {
        if let Some(of) = self.connections.remove(&connection) {
            self.total -= of.exchanges.len();
            self.settled -= of.settled;
            let slots = of.exchanges.values().map(|exchange| exchange.first.slot);
            self.slots.free.extend(slots);
        }
    }

    /// How many exchanges were not kept because there were too many.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// How many exchanges are kept.
    #[cfg(test)]
    pub(crate) fn total(&self) -> usize {
        self.total
    }

    /// Keeps no more than that.
    #[cfg(test)]
    pub(crate) fn limit(&mut self, most: usize) {
        self.most = most;
    }

    fn ask(&mut self, frame: &MQTTFrame<'_>, key: Key, dup: bool) -> ExchangeFact {
        // At least 50 % of them, or the next eviction would come too soon.
        if self.total >= self.most && self.settled >= self.most / 2 {
            for of in self.connections.values_mut() {
                of.drop_settled(&mut self.slots);
            }
            self.total -= self.settled;
            self.settled = 0;
        }
        let mut fact = ExchangeFact {
            kind: key.kind,
            asked: key.asked,
            role: Role::Opens,
            first: None,
            replaces: false,
            doubt: None,
        };
        let of = self.connections.entry(frame.connection.number).or_default();
        let slot = match of.exchanges.get(&key) {
            Some(old) if old.settled.is_none() && dup => {
                fact.role = Role::Repeats;
                fact.first = Some(old.first);
                return fact;
            }
            Some(old) => {
                let settled = usize::from(old.settled.is_some());
                of.settled -= settled;
                self.settled -= settled;
                fact.replaces = settled == 0;
                old.first.slot
            }
            None if self.total < self.most => {
                self.total += 1;
                self.slots.take()
            }
            None => {
                self.evicted += 1;
                return fact;
            }
        };
        self.numbers += 1;
        let first = First {
            number: self.numbers,
            slot,
            seen: FrameRef::of(frame),
            qos: match frame.header.packet_type() {
                PacketType::Publish => frame.header.qos(),
                _ => 0,
            },
        };
        of.exchanges.insert(
            key,
            Exchange {
                first,
                begun: of.clock,
                settled: None,
                received: false,
                released: false,
            },
        );
        fact.first = Some(first);
        fact
    }

    fn answer(&mut self, frame: &MQTTFrame<'_>, key: Key, action: Action) -> ExchangeFact {
        let mut fact = ExchangeFact {
            kind: key.kind,
            asked: key.asked,
            role: Role::Unknown,
            first: None,
            replaces: false,
            doubt: None,
        };
        let Some(of) = self.connections.get_mut(&frame.connection.number) else {
            return fact;
        };
        let Some(exchange) = of.exchanges.get_mut(&key) else {
            return fact;
        };
        fact.first = Some(exchange.first);
        let asking = of.last_gap[key.asked];
        let answering = of.last_gap[key.asked.reversed()];
        let reused = exchange.settled.is_some_and(|settled| asking > settled)
            || asking.min(answering) > exchange.begun;
        fact.doubt = reused.then_some(Reason::Gap);
        let qos = exchange.first.qos;
        let is_settled = exchange.settled.is_some();
        let once = |repeated: &mut bool| match std::mem::replace(repeated, true) || is_settled {
            true => Role::Repeats,
            false => Role::Continues,
        };
        fact.role = match (action, frame.header.packet_type()) {
            (Action::Completes { qos: Some(of) }, _) if of != qos.min(2) => Role::Unexpected,
            (Action::Completes { .. }, _) if is_settled => Role::Repeats,
            (Action::Completes { .. }, _) => Role::Completes,
            (_, PacketType::Pubrec | PacketType::Pubrel) if qos == 1 => Role::Unexpected,
            (_, PacketType::Pubrec) => once(&mut exchange.received),
            (_, PacketType::Pubrel) => once(&mut exchange.released),
            _ => Role::Continues,
        };
        if fact.role == Role::Completes {
            exchange.settled = Some(of.clock);
            of.settled += 1;
            self.settled += 1;
            if of.settled > SETTLED_EXCHANGES {
                self.total -= of.settled;
                self.settled -= of.settled;
                of.drop_settled(&mut self.slots);
            }
        }
        fact
    }
}

impl OfConnection {
    /// The number of the PINGREQ that is sent or answered now.
    fn ping(&mut self, action: Action) -> u16 {
        let (asked, answered) = &mut self.pings;
        if let Action::Asks { .. } = action {
            *asked = asked.wrapping_add(1);
            return *asked;
        }
        if answered != asked {
            *answered = answered.wrapping_add(1);
        }
        *answered
    }

    /// What an AUTH packet between the first and the last is part of.
    fn authenticated_by(&self) -> ExchangeKind {
        let connect = Key {
            asked: Direction::Up,
            kind: ExchangeKind::Connect,
            id: 0,
        };
        match self.exchanges.get(&connect) {
            Some(open) if open.settled.is_none() => ExchangeKind::Connect,
            _ => ExchangeKind::Auth,
        }
    }

    fn drop_settled(&mut self, slots: &mut Slots) {
        self.exchanges.retain(|_, exchange| {
            let keep = exchange.settled.is_none();
            if !keep {
                slots.free.push(exchange.first.slot);
            }
            keep
        });
        self.settled = 0;
    }
}
