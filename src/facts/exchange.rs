//! PUBLISH exchanges of QoS 1 and 2: what is in flight in one direction of a
//! session, and what each control packet does to it.
//!
//! ```text
//! QoS 1   PUBLISH ─→ WaitAck ─PUBACK→ ended
//! QoS 2   PUBLISH ─→ WaitRec ─PUBREC→ MustRel ─PUBREL→ WaitComp ─PUBCOMP→ ended
//!                       └─PUBREC 0x80 and above (5.0)→ ended
//! ```
//!
//! An [`IdSpace`] is one of the two independent sets of Packet Identifiers of a
//! session (5.0: 2.2.1): that of the PUBLISH packets which go one way. It does
//! not judge: it reports the role of a packet in its exchange ([`PublishStep`],
//! [`AckStep`]), and rules decide whether that is allowed.
//!
//! Possible loss is kept where it matters: `doubt` of an exchange
//! that a gap may have moved on unnoticed, and [`IdSpace::past`] when there may
//! be exchanges of which nothing was captured.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::frame::{Direction, MQTTFrame};
use crate::limits;
use crate::mqtt::PacketType;
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::doubt::{Doubt, Reason};
use super::due::Reported;
use super::frame_ref::FrameRef;
use super::part::failed;
use super::properties as p;
use super::since::Since;

/// How far an exchange has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// QoS 1: PUBACK is to come.
    WaitAck,
    /// QoS 2: PUBREC is to come.
    WaitRec,
    /// QoS 2: PUBREC was captured, PUBREL is to come.
    MustRel,
    /// QoS 2: PUBREL was captured, PUBCOMP is to come.
    WaitComp,
}

/// A PUBLISH that is not acknowledged to its end.
#[derive(Clone, Copy, Debug)]
pub struct Exchange {
    /// Packet Identifier.
    pub id: u16,
    /// 1 or 2 (or 3, which is wrong, and reported elsewhere).
    pub qos: u8,
    /// How far it has come.
    pub state: State,
    /// Its first PUBLISH on the connection that carried it last.
    pub publish: FrameRef,
    /// Its latest packet from either side.
    pub last: FrameRef,
    /// Begun on an earlier connection of the session, and nothing of it was
    /// sent on this one yet.
    pub carried: bool,
    /// What may have happened to it unseen.
    pub doubt: Doubt,
    /// When its latest packet was acknowledged by TCP.
    pub acked: Option<Timestamp>,
    /// Its PUBLISH has a Message Expiry Interval (5.0).
    pub expires: bool,
    /// PUBLISH packets on this connection.
    copies: u32,
    recs: u32,
    rels: u32,
    /// Distinguishes its message from others, if all of it was there.
    pub(super) digest: Option<u64>,
    /// Index among the PUBLISH packets of its connection.
    turn: u64,
    /// Index among the first PUBRECs of its connection.
    rec_turn: u64,
    /// What was reported of its latest packet, because no answer had come in time.
    pub(super) reported: Reported,
}

impl Exchange {
    /// What has to come next, and the direction that it goes in; its PUBLISH went
    /// `of`.
    pub(super) fn expects(&self, of: Direction) -> (PacketType, Direction) {
        match self.state {
            State::WaitAck => (PacketType::Puback, of.reversed()),
            State::WaitRec => (PacketType::Pubrec, of.reversed()),
            State::MustRel => (PacketType::Pubrel, of),
            State::WaitComp => (PacketType::Pubcomp, of.reversed()),
        }
    }
}

/// An exchange that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Packet Identifier.
    pub id: u16,
    /// The packet that ended it; for one whose beginning was not captured, the PUBREL that
    /// was.
    pub by: FrameRef,
    /// PUBACK, PUBREC (of 0x80 and above) or PUBCOMP.
    pub kind: PacketType,
    /// Whether its Reason Code was 0x80 or above.
    pub failed: bool,
    /// More answers of the same kind that may still come, because packets were
    /// sent more than once.
    answers: u32,
}

/// What a PUBLISH of QoS 1 or 2 is to its exchange.
#[derive(Clone, Copy, Debug, Default)]
pub struct PublishStep {
    /// The exchange of this identifier that was in flight.
    pub open: Option<Exchange>,
    /// The one that ended last with this identifier.
    pub ended: Option<Ended>,
    /// Whether topic and payload are those of the exchange in flight; `None`
    /// when they cannot be compared.
    pub same_message: Option<bool>,
    /// A resent message of an earlier connection came before, although it was
    /// published later.
    pub overtaken_by: Option<PacketRef>,
}

/// What PUBACK, PUBREC, PUBREL or PUBCOMP is to its exchange.
#[derive(Clone, Copy, Debug)]
pub enum AckStep {
    /// What had to come.
    Expected {
        /// The exchange before.
        exchange: Exchange,
        /// An answer to a later packet that came before this one.
        overtaken_by: Option<PacketRef>,
    },
    /// An answer to another copy, or the next PUBREL after another PUBREC.
    Repeated,
    /// An answer to another QoS: PUBACK to QoS 2, the others to QoS 1.
    WrongType(Exchange),
    /// PUBREL before PUBREC, PUBCOMP before PUBREL.
    TooEarly(Exchange),
    /// More answers than copies, or PUBREL again.
    Again(Exchange),
    /// No exchange of that identifier is in flight.
    Unknown(Option<Ended>),
}

impl AckStep {
    /// The exchange in flight that it is about.
    pub(super) fn exchange(&self) -> Option<Exchange> {
        match self {
            Self::Expected { exchange, .. }
            | Self::WrongType(exchange)
            | Self::TooEarly(exchange)
            | Self::Again(exchange) => Some(*exchange),
            Self::Repeated | Self::Unknown(_) => None,
        }
    }
}

/// The PUBLISH packets of one direction of a session that are in flight.
#[derive(Debug, Default)]
pub struct IdSpace {
    /// In boxes, because the table keeps its room when they have ended.
    open: HashMap<u16, Box<Exchange>, foldhash::fast::RandomState>,
    /// Those that have no doubt yet, and those of this connection.
    undoubted: Since,
    here: Since,
    /// Those of earlier connections: by their PUBLISH, which does not change until one is
    /// sent on this connection.
    carried: BTreeSet<(PacketRef, u16)>,
    /// Those of them that have no doubt of [`IdSpace::taint_carried`] yet.
    carried_undoubted: Since,
    ended: VecDeque<Ended>,
    /// The latest of those that are no longer in `ended`.
    evicted: Option<FrameRef>,
    /// Why there may be exchanges that were never captured.
    pub past: Doubt,
    turns: u64,
    rec_turns: u64,
    /// Latest turn that was answered first, by PUBACK and by PUBREC.
    answered: [(u64, PacketRef); 2],
    released: (u64, PacketRef),
    resent: (u64, PacketRef),
}

impl IdSpace {
    /// The exchange in flight with this identifier.
    pub fn open(&self, id: u16) -> Option<&Exchange> {
        self.open.get(&id).map(Box::as_ref)
    }

    /// Those of this connection, in no order.
    pub(super) fn of_connection(&self) -> impl Iterator<Item = &Exchange> {
        let ids = self.here.ids();
        let open = ids.into_iter().filter_map(|id| self.open(id));
        open.filter(|exchange| !exchange.carried)
    }

    /// Those of earlier connections, the oldest first.
    pub(super) fn carried(&self) -> impl Iterator<Item = &Exchange> {
        self.carried.iter().filter_map(|(_, id)| self.open(*id))
    }

    pub(super) fn open_mut(&mut self, id: u16) -> Option<&mut Exchange> {
        self.open.get_mut(&id).map(Box::as_mut)
    }

    /// How many are in flight.
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Exchanges that it remembers, ended ones too.
    pub(super) fn weight(&self) -> usize {
        self.open.len() + self.ended.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Why it is not known that this identifier was never used before, or not
    /// since longer ago than `frame`'s sender must know.
    pub fn past_of(&self, frame: &MQTTFrame<'_>) -> Doubt {
        let known = self.evicted.is_none_or(|frame_ref| {
            frame_ref.connection == frame.connection.number
                && frame.received.surely >= frame_ref.end
        });
        self.past.or((!known).then_some(Reason::Bound))
    }

    /// A PUBLISH.
    pub(super) fn publish(
        &mut self,
        frame: &MQTTFrame<'_>,
        id: u16,
        digest: Option<u64>,
    ) -> PublishStep {
        let (qos, dup) = (frame.header.qos(), frame.header.dup());
        let frame_ref = FrameRef::of(frame);
        self.turns += 1;
        let mut new = Exchange {
            id,
            qos,
            state: match qos {
                1 => State::WaitAck,
                _ => State::WaitRec,
            },
            publish: frame_ref,
            last: frame_ref,
            carried: false,
            doubt: None,
            acked: None,
            expires: p::has(frame.packet.properties(), p::MESSAGE_EXPIRY),
            copies: 1,
            recs: 0,
            rels: 0,
            digest,
            turn: self.turns,
            rec_turn: 0,
            reported: Reported::default(),
        };
        let mut step = PublishStep::default();
        let old = self.open.get(&id).map(|exchange| **exchange);
        if let Some(old) = old {
            step.open = Some(old);
            step.same_message = match (old.digest, digest) {
                (Some(one), Some(other)) => Some(one == other),
                _ => None,
            };
            if old.carried && dup {
                if old.turn < self.resent.0 {
                    step.overtaken_by = Some(self.resent.1);
                } else {
                    self.resent = (old.turn, frame_ref.packet);
                }
            }
            if old.carried {
                self.carried.remove(&(old.publish.packet, id));
            }
            let resent = dup || step.same_message == Some(true);
            if resent && !old.carried {
                // The same exchange goes on where it is.
                new = Exchange {
                    copies: old.copies.saturating_add(1),
                    last: frame_ref,
                    acked: None,
                    reported: Reported::default(),
                    ..old
                };
            } else if resent {
                // It goes on on this connection; the answers of the earlier
                // one may be lost.
                new.doubt = old.doubt;
            } else {
                // Another message took its identifier: both may be answered.
                new.doubt = old.doubt;
                if (old.qos == 1) == (qos == 1) {
                    new.copies = old.copies.saturating_add(1);
                } else {
                    self.displace(old, frame_ref);
                }
            }
        }
        if old.is_none() && dup {
            step.ended = self.ended(id).copied();
        }
        let len = self.open.len();
        self.undoubted
            .add(id, len, |id| self.open.contains_key(&id));
        self.here.add(id, len, |id| self.open.contains_key(&id));
        self.open.insert(id, Box::new(new));
        step
    }

    /// PUBACK, PUBREC or PUBCOMP from the receiver, PUBREL from the sender.
    pub(super) fn acknowledge(&mut self, frame: &MQTTFrame<'_>, id: u16) -> AckStep {
        use PacketType as P;
        let failed = failed(frame);
        let kind = frame.header.packet_type();
        let frame_ref = FrameRef::of(frame);
        let Some(exchange) = self.open.get_mut(&id).map(Box::as_mut) else {
            return self.without_exchange(kind, id, frame_ref, failed);
        };
        let before = *exchange;
        if exchange.qos == 1 && kind != P::Puback || exchange.qos != 1 && kind == P::Puback {
            return match self.answers_displaced(kind, id) {
                true => AckStep::Repeated,
                false => AckStep::WrongType(before),
            };
        }
        exchange.last = frame_ref;
        exchange.acked = None;
        exchange.reported = Reported::default();
        let first = before.copies == 1 && !before.carried;
        let mut overtaken_by = None;
        match (kind, before.state) {
            (P::Puback, _) => {
                if first {
                    overtaken_by = overtaken(&mut self.answered[0], before.turn, frame_ref.packet);
                }
                self.end(before, kind, failed, frame_ref, before.copies - 1);
            }
            (P::Pubrec, State::WaitRec) => {
                if first {
                    overtaken_by = overtaken(&mut self.answered[1], before.turn, frame_ref.packet);
                }
                if failed {
                    self.end(before, kind, failed, frame_ref, before.copies - 1);
                } else {
                    self.rec_turns += 1;
                    exchange.rec_turn = self.rec_turns;
                    exchange.state = State::MustRel;
                    exchange.recs = 1;
                }
            }
            (P::Pubrec, _) => {
                exchange.recs += 1;
                let expected = exchange.recs <= exchange.copies;
                return match expected {
                    true => AckStep::Repeated,
                    false => AckStep::Again(before),
                };
            }
            (P::Pubrel, State::MustRel) => {
                exchange.rels = 1;
                exchange.state = State::WaitComp;
                if first && before.recs == 1 {
                    overtaken_by = overtaken(&mut self.released, before.rec_turn, frame_ref.packet);
                }
            }
            (P::Pubrel, State::WaitComp) => {
                let resumed = std::mem::replace(&mut exchange.carried, false);
                exchange.rels += 1;
                let expected = resumed || exchange.rels <= exchange.recs;
                if resumed {
                    self.carried.remove(&(before.publish.packet, id));
                    let len = self.open.len();
                    self.here.add(id, len, |id| self.open.contains_key(&id));
                }
                return match expected {
                    true => AckStep::Repeated,
                    false => AckStep::Again(before),
                };
            }
            (P::Pubcomp, State::WaitComp) => {
                self.end(
                    before,
                    kind,
                    failed,
                    frame_ref,
                    before.rels.saturating_sub(1),
                );
            }
            (P::Pubrel, _) => {
                // Whatever is wrong with it, PUBCOMP will answer it.
                exchange.state = State::WaitComp;
                exchange.rels = 1;
                return AckStep::TooEarly(before);
            }
            _ => {
                *exchange = before;
                return AckStep::TooEarly(before);
            }
        }
        AckStep::Expected {
            exchange: before,
            overtaken_by,
        }
    }

    fn without_exchange(
        &mut self,
        kind: PacketType,
        id: u16,
        frame_ref: FrameRef,
        failed: bool,
    ) -> AckStep {
        let ended = self.ended.iter_mut().rev().find(|ended| ended.id == id);
        let before = ended.as_deref().copied();
        if kind == PacketType::Pubrel {
            // Whatever it releases, PUBCOMP may answer it.
            match ended {
                Some(ended) if ended.kind == PacketType::Pubcomp => ended.answers += 1,
                _ => self.remember(Ended {
                    id,
                    by: frame_ref,
                    kind: PacketType::Pubcomp,
                    failed,
                    answers: 1,
                }),
            }
            return AckStep::Unknown(before);
        }
        match ended {
            Some(ended) if ended.kind == kind && ended.answers > 0 => {
                ended.answers -= 1;
                AckStep::Repeated
            }
            _ => {
                if kind == PacketType::Pubrec {
                    // PUBREL may answer it.
                    self.remember(Ended {
                        id,
                        by: frame_ref,
                        kind,
                        failed: false,
                        answers: 0,
                    });
                }
                AckStep::Unknown(before)
            }
        }
    }

    /// Another message has taken the identifier of an exchange in flight, with
    /// another QoS: the answers to both are right.
    fn displace(&mut self, old: Exchange, by: FrameRef) {
        let kinds: &[PacketType] = match old.state {
            State::WaitAck => &[PacketType::Puback],
            State::WaitRec => &[PacketType::Pubrec, PacketType::Pubcomp],
            State::MustRel | State::WaitComp => &[PacketType::Pubcomp],
        };
        for kind in kinds {
            self.remember(Ended {
                id: old.id,
                by,
                kind: *kind,
                failed: false,
                answers: old.copies,
            });
        }
    }

    /// Whether a packet belongs to an exchange that lost its identifier.
    fn answers_displaced(&mut self, kind: PacketType, id: u16) -> bool {
        let of_it = |ended: &&mut Ended| {
            ended.id == id
                && match kind {
                    PacketType::Pubrel => ended.kind == PacketType::Pubcomp,
                    kind => ended.kind == kind && ended.answers > 0,
                }
        };
        let Some(ended) = self.ended.iter_mut().rev().find(of_it) else {
            return false;
        };
        if kind != PacketType::Pubrel {
            ended.answers -= 1;
        }
        true
    }

    pub(super) fn ended(&self, id: u16) -> Option<&Ended> {
        self.ended.iter().rev().find(|ended| ended.id == id)
    }

    fn end(
        &mut self,
        exchange: Exchange,
        kind: PacketType,
        failed: bool,
        by: FrameRef,
        answers: u32,
    ) {
        self.open.remove(&exchange.id);
        if exchange.carried {
            self.carried.remove(&(exchange.publish.packet, exchange.id));
        }
        self.remember(Ended {
            id: exchange.id,
            by,
            kind,
            failed,
            answers,
        });
    }

    fn remember(&mut self, ended: Ended) {
        if self.ended.len() == limits::ENDED_EXCHANGES {
            self.evicted = self.ended.pop_front().map(|ended| ended.by);
        }
        self.ended.push_back(ended);
    }

    /// TCP has acknowledged a packet of an exchange.
    pub(super) fn arrived(&mut self, id: u16, end: u64, at: Timestamp) {
        if let Some(exchange) = self.open.get_mut(&id)
            && exchange.last.end == end
        {
            exchange.acked = Some(at);
        }
    }

    /// Bytes of the direction of its PUBLISH packets are missing, or of the
    /// other.
    pub(super) fn taint(&mut self, reason: Reason, of_publish: bool) {
        if of_publish {
            self.past.get_or_insert(reason);
        }
        for id in self.undoubted.take() {
            self.taint_one(id, reason);
        }
    }

    /// Taints what an earlier connection has begun.
    pub(super) fn taint_carried(&mut self, reason: Reason) {
        for id in self.carried_undoubted.take() {
            if let Some(exchange) = self.open.get_mut(&id).filter(|it| it.carried) {
                exchange.doubt.get_or_insert(reason);
            }
        }
    }

    /// Taints one exchange, or all that may come to be known by a packet that
    /// was read out of its order.
    pub(super) fn taint_one(&mut self, id: u16, reason: Reason) {
        if let Some(exchange) = self.open.get_mut(&id) {
            exchange.doubt.get_or_insert(reason);
        }
    }

    /// A new connection of the session begins.
    pub(super) fn carry(&mut self) {
        for id in self.here.take() {
            if let Some(exchange) = self.open.get_mut(&id) {
                exchange.carried = true;
                self.carried.insert((exchange.publish.packet, id));
                let len = self.open.len();
                self.carried_undoubted
                    .add(id, len, |id| self.open.contains_key(&id));
            }
        }
        self.answered = Default::default();
        self.released = Default::default();
        self.resent = Default::default();
    }

    /// The session was discarded, or is a new one: nothing is in flight, and
    /// nothing was before.
    pub(super) fn reset(&mut self) {
        *self = Self::default();
    }
}

/// Whether a later turn came first; the packet in which it did.
fn overtaken(highest: &mut (u64, PacketRef), turn: u64, packet: PacketRef) -> Option<PacketRef> {
    if turn < highest.0 {
        return Some(highest.1);
    }
    *highest = (turn, packet);
    None
}
