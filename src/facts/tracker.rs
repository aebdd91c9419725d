//! [`Tracker`]: the place of each control packet in its exchange.
//!
//! | exchange | opened by | continued by | completed by |
//! |---|---|---|---|
//! | `Connect` | CONNECT | AUTH | CONNACK |
//! | `Publish` | PUBLISH of QoS 1, 2 | PUBREC, PUBREL | PUBACK, PUBCOMP, PUBREC of 0x80 and above |
//! | `Subscribe` | SUBSCRIBE | | SUBACK |
//! | `Unsubscribe` | UNSUBSCRIBE | | UNSUBACK |
//! | `Ping` | PINGREQ | | PINGRESP |
//! | `Auth` | AUTH 0x19 | AUTH 0x18 | AUTH 0x00 |
//!
//! An acknowledgement names its PUBLISH, SUBSCRIBE or UNSUBSCRIBE by Packet
//! Identifier, and identifiers belong to the side that asks: the client's `id 7`
//! and the server's `id 7` are two exchanges. So an exchange is kept under (who
//! asks, what for, identifier), and an answer looks it up with the direction
//! reversed; PUBREL alone goes the way of its PUBLISH. A PINGRESP answers the
//! oldest PINGREQ.
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
use crate::limits::{SETTLED_EXCHANGES, TRACKED_EXCHANGES};
use crate::mqtt::{ControlPacket, PacketType};

use super::doubt::{Doubt, Reason};
use super::seen::Seen;

/// The kinds of exchanges.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExchangeKind {
    /// CONNECT and CONNACK, with AUTH between them.
    Connect,
    /// A message of QoS 1 or 2.
    Publish,
    /// SUBSCRIBE and SUBACK.
    Subscribe,
    /// UNSUBSCRIBE and UNSUBACK.
    Unsubscribe,
    /// PINGREQ and PINGRESP.
    Ping,
    /// Re-authentication (5.0: 4.12.1).
    Auth,
}

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

/// A control packet's place in its exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeFact {
    /// What the exchange is for.
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
    /// Where and when it was seen.
    pub seen: Seen,
    /// Its QoS; 0 unless it is a PUBLISH.
    pub qos: u8,
}

impl ExchangeFact {
    /// Whether it is the exchange of a message.
    pub fn is_message(&self) -> bool {
        self.kind == ExchangeKind::Publish
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
    /// PUBREC and PUBREL were seen.
    received: bool,
    released: bool,
}

/// What a frame says of itself.
enum Move {
    /// It asks; again, if its DUP says so.
    Asks { dup: bool },
    /// It answers in full, or ends the exchange of this QoS.
    Completes { qos: Option<u8> },
    /// PUBREC, PUBREL, AUTH 0x18.
    Continues,
}

impl Tracker {
    /// Puts a frame into its exchange.
    pub(crate) fn place(&mut self, frame: &MQTTFrame<'_>) -> Option<ExchangeFact> {
        let number = frame.connection.number;
        let (kind, asked, id, step) = self.read(frame)?;
        let Some(id) = id else {
            // It may have used any identifier.
            self.gap(number, frame.direction);
            return Some(ExchangeFact {
                kind,
                asked,
                role: match step {
                    Move::Asks { .. } => Role::Opens,
                    _ => Role::Unknown,
                },
                first: None,
                replaces: false,
                doubt: Some(Reason::Gap),
            });
        };
        let key = Key { asked, kind, id };
        Some(match step {
            Move::Asks { dup } => self.ask(frame, key, dup),
            step => self.answer(frame, key, step),
        })
    }

    /// What a frame is, of whose exchange, and under which identifier.
    fn read(
        &mut self,
        frame: &MQTTFrame<'_>,
    ) -> Option<(ExchangeKind, Direction, Option<u16>, Move)> {
        use ExchangeKind as K;
        let direction = frame.direction;
        let peer = direction.reversed();
        let full = |qos| Move::Completes { qos };
        Some(match &frame.packet {
            ControlPacket::Publish(publish) => {
                if frame.header.qos() == 0 {
                    return None;
                }
                let dup = frame.header.dup();
                (K::Publish, direction, publish.packet_id, Move::Asks { dup })
            }
            ControlPacket::Puback(ack) => (K::Publish, peer, ack.packet_id, full(Some(1))),
            ControlPacket::Pubrec(ack) => {
                let failed = ack.code.is_some_and(|code| code >= 0x80);
                let step = if failed {
                    full(Some(2))
                } else {
                    Move::Continues
                };
                (K::Publish, peer, ack.packet_id, step)
            }
            ControlPacket::Pubrel(ack) => (K::Publish, direction, ack.packet_id, Move::Continues),
            ControlPacket::Pubcomp(ack) => (K::Publish, peer, ack.packet_id, full(Some(2))),
            ControlPacket::Subscribe(packet) => {
                let dup = frame.header.dup();
                (
                    K::Subscribe,
                    direction,
                    packet.packet_id,
                    Move::Asks { dup },
                )
            }
            ControlPacket::Suback(ack) => (K::Subscribe, peer, ack.packet_id, full(None)),
            ControlPacket::Unsubscribe(packet) => {
                let dup = frame.header.dup();
                (
                    K::Unsubscribe,
                    direction,
                    packet.packet_id,
                    Move::Asks { dup },
                )
            }
            ControlPacket::Unsuback(ack) => (K::Unsubscribe, peer, ack.packet_id, full(None)),
            ControlPacket::Connect(_) => {
                (K::Connect, direction, Some(0), Move::Asks { dup: false })
            }
            ControlPacket::Connack(_) => (K::Connect, peer, Some(0), full(None)),
            ControlPacket::Pingreq => {
                let (asked, _) = &mut self.of(frame).pings;
                *asked = asked.wrapping_add(1);
                (K::Ping, direction, Some(*asked), Move::Asks { dup: false })
            }
            ControlPacket::Pingresp => {
                let (asked, answered) = &mut self.of(frame).pings;
                if answered != asked {
                    *answered = answered.wrapping_add(1);
                }
                (K::Ping, peer, Some(*answered), full(None))
            }
            ControlPacket::Auth(auth) => match (auth.code.unwrap_or(0), direction) {
                (0x19, Direction::Up) => (K::Auth, direction, Some(0), Move::Asks { dup: false }),
                (0, Direction::Down) => (K::Auth, peer, Some(0), full(None)),
                _ => {
                    let connect = Key {
                        asked: Direction::Up,
                        kind: K::Connect,
                        id: 0,
                    };
                    let exchanges = &self.of(frame).exchanges;
                    let open = exchanges.get(&connect).is_some_and(|e| e.settled.is_none());
                    let kind = if open { K::Connect } else { K::Auth };
                    (kind, Direction::Up, Some(0), Move::Continues)
                }
            },
            ControlPacket::Disconnect(_) | ControlPacket::Reserved => return None,
        })
    }

    fn of(&mut self, frame: &MQTTFrame<'_>) -> &mut OfConnection {
        self.connections.entry(frame.connection.number).or_default()
    }

    /// Takes notice of what was lost, and of connections that end.
    pub(crate) fn event(&mut self, event: &Event<'_>) {
        let Some(connection) = event.connection else {
            return;
        };
        if let (EventKind::Gap | EventKind::Resynchronised, Some(direction)) =
            (event.kind, event.direction)
        {
            self.gap(connection.number, direction);
        }
    }

    /// Bytes were lost that may have held control packets.
    fn gap(&mut self, connection: u64, direction: Direction) {
        if let Some(of) = self.connections.get_mut(&connection) {
            of.clock = of.clock.saturating_add(1);
            of.last_gap[direction] = of.clock;
            // Nobody knows which PINGREQ the next PINGRESP answers.
            of.pings.1 = of.pings.0;
        }
    }

    /// The connection has ended.
    pub(crate) fn forget(&mut self, connection: u64) {
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
        // Half of them at least, or the next time would come too soon.
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
            seen: Seen::of(frame),
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

    fn answer(&mut self, frame: &MQTTFrame<'_>, key: Key, step: Move) -> ExchangeFact {
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
        let once = |seen: &mut bool| match std::mem::replace(seen, true) || is_settled {
            true => Role::Repeats,
            false => Role::Continues,
        };
        fact.role = match (step, frame.header.packet_type()) {
            (Move::Completes { qos: Some(of) }, _) if of != qos.min(2) => Role::Unexpected,
            (Move::Completes { .. }, _) if is_settled => Role::Repeats,
            (Move::Completes { .. }, _) => Role::Completes,
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
