//! Messages: the exchange of a control packet, and its cost.

use super::super::message::{GroupKey, Ladder};
use super::super::traffic::{Frames, Shape};
use super::Workspace;
use super::connection::ConnectionLedger;
use super::open::Open;
use crate::facts::{ExchangeFact, FrameFact, Role};
use crate::frame::{MQTTFrame, PerDirection};
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::mqtt::packet::Publish;

/// The message that a control packet belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) slot: u32,
    /// Whether the packet completes its exchange.
    pub(super) completes: bool,
}

/// Messages of a connection whose frames are kept.
const LADDERS: u64 = 8;
/// The message of each exchange that is not complete, by
/// [`First::slot`](crate::facts::First::slot): its slot in the ledger of its
/// connection.
#[derive(Debug, Default)]
pub(super) struct Exchanges(Vec<Option<u32>>);

impl Exchanges {
    fn get(&self, slot: u32) -> Option<u32> {
        self.0.get(slot as usize).copied().flatten()
    }

    fn set(&mut self, slot: u32, message: Option<u32>) {
        let slot = slot as usize;
        if slot >= self.0.len() {
            self.0.resize(slot + 1, None);
        }
        self.0[slot] = message;
    }
}

impl ConnectionLedger {
    /// The message that a packet of an exchange belongs to.
    pub(super) fn owner(
        &mut self,
        fact: &FrameFact<'_>,
        topic: u32,
        properties: u32,
        ws: &mut Workspace,
    ) -> Option<Owner> {
        let first = fact.exchange.and_then(|exchange| exchange.first);
        let slot = first.map(|first| first.slot);
        if let ControlPacket::Publish(publish) = &fact.frame.packet {
            let known = slot.and_then(|slot| ws.exchanges.get(slot));
            let repeats = |e: &ExchangeFact| e.role == Role::Repeats;
            if let Some(message) = known.filter(|_| fact.exchange.is_some_and(repeats)) {
                return Some(Owner {
                    slot: message,
                    completes: false,
                });
            }
            let message = self.begin(fact.frame, publish, topic, properties, ws);
            if let Some(old) = known.filter(|_| fact.exchange.is_some_and(|e| e.replaces)) {
                self.complete(old, ws);
            }
            if let Some(slot) = slot {
                ws.exchanges.set(slot, Some(message));
            }
            return Some(Owner {
                slot: message,
                completes: slot.is_none(),
            });
        }
        let exchange = fact.exchange.filter(|exchange| exchange.is_message())?;
        let Some((slot, message)) = slot.and_then(|slot| Some((slot, ws.exchanges.get(slot)?)))
        else {
            self.orphans += 1;
            return None;
        };
        let completes = exchange.role == Role::Completes;
        if completes {
            ws.exchanges.set(slot, None);
        }
        Some(Owner {
            slot: message,
            completes,
        })
    }

    /// Its exchange is over; its bytes may still be sent again.
    fn complete(&mut self, slot: u32, ws: &mut Workspace) {
        let open = &mut self.open[slot as usize];
        open.is_incomplete = false;
        if open.labels == 0 {
            self.retire(slot, ws);
        }
    }

    /// Only the first messages of the first connections have ladders.
    fn has_ladder(&self) -> bool {
        self.message_count <= LADDERS && self.number <= limits::LADDERS as u64
    }

    fn begin(
        &mut self,
        frame: &MQTTFrame<'_>,
        publish: &Publish<'_>,
        topic: u32,
        properties: u32,
        ws: &Workspace,
    ) -> u32 {
        self.message_count += 1;
        let open = Open {
            number: self.message_count,
            completed_by: frame.last,
            time: frame.time,
            shape: Shape::of(frame, publish, properties),
            bytes: PerDirection::default(),
            frames: Frames::default(),
            causes: ws.policy.keep.then(Box::default),
            steps: self.has_ladder().then(Box::default),
            packet: frame.header.packet_len() as u32,
            topic,
            labels: 0,
            direction: frame.direction,
            qos: frame.header.qos(),
            has_payload: publish.payload_len.is_some(),
            by_alias: publish.topic.is_some_and(|t| t.bytes().is_empty())
                && publish.topic_alias.is_some(),
            is_incomplete: true,
            is_free: false,
        };
        match self.free.pop() {
            Some(slot) => {
                self.open[slot as usize] = open;
                slot
            }
            None => {
                self.open.push(open);
                (self.open.len() - 1) as u32
            }
        }
    }

    /// A label that names a message was dropped.
    pub(super) fn unname(&mut self, slot: u32, ws: &mut Workspace) {
        let open = &mut self.open[slot as usize];
        open.labels -= 1;
        if open.labels == 0 && !open.is_incomplete {
            self.retire(slot, ws);
        }
    }

    /// Closes the account of a message.
    pub(super) fn retire(&mut self, slot: u32, ws: &mut Workspace) {
        let open = &mut self.open[slot as usize];
        if std::mem::replace(&mut open.is_free, true) {
            return;
        }
        self.free.push(slot);
        let mut key = GroupKey {
            topic: open.topic,
            qos: open.qos,
            direction: open.direction,
        };
        if !ws.policy.room && !self.groups.contains_key(&key) {
            key.topic = 0;
        }
        let group = self.groups.entry(key).or_insert_with(|| {
            ws.groups += 1;
            Box::default()
        });
        group.costs.add(
            open.has_payload.then_some(open.shape.payload),
            open.bytes,
            open.packet,
        );
        group.by_alias += u64::from(open.by_alias);
        group.traffic.add(open.shape, &open.frames, open.time);
        if let Some(mut steps) = open.steps.take() {
            steps.sort_by_key(|step| step.time);
            self.ladders.push(Ladder {
                key,
                connection: self.number,
                message: open.number,
                marginal: open.marginal(),
                steps: *steps,
            });
        }
        if ws.policy.keep {
            self.messages.push(open.message());
        }
        open.causes = None;
    }
}
