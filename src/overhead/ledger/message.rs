//! Messages: the exchange of a control packet, and its cost.

use super::super::message::{GroupKey, Ladder};
use super::super::traffic::{Frames, Shape};
use super::Workspace;
use super::connection::{ConnectionLedger, tally};
use super::cost::Costed;
use super::open::{Beginning, Detail};
use crate::facts::{ExchangeFact, FrameFact, Role};
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
/// [`First::slot`](crate::facts::First::slot): its slot among the open messages.
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
            let message = self.begin(fact, publish, topic, properties, ws);
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
            tally(&mut self.own, &mut ws.sums).orphans += 1;
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
        let open = &mut ws.open[slot];
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
        fact: &FrameFact<'_>,
        publish: &Publish<'_>,
        topic: u32,
        properties: u32,
        ws: &mut Workspace,
    ) -> u32 {
        let frame = fact.frame;
        self.message_count += 1;
        let detail = self.own.is_some().then(|| Detail {
            number: self.message_count,
            completed_by: frame.last,
            time: frame.time,
            shape: Shape::of(frame, publish, properties),
            frames: Frames::default(),
            causes: ws.policy.keep.then(Box::default),
            steps: self.has_ladder().then(Box::default),
            has_payload: publish.payload_len.is_some(),
        });
        let message = Beginning {
            topic,
            payload: publish.payload_len.unwrap_or(0),
            packet: frame.header.packet_len() as u32,
            direction: frame.direction,
            qos: frame.header.qos(),
            by_alias: publish.topic.is_some_and(|t| t.bytes().is_empty())
                && publish.topic_alias.is_some(),
            detail,
            cost: ws.policy.costs.then(|| Costed::of(fact, !ws.unselected)),
        };
        ws.open.begin(&mut self.open, message)
    }

    /// A label that names a message was dropped.
    pub(super) fn unname(&mut self, slot: u32, ws: &mut Workspace) {
        let open = &mut ws.open[slot];
        open.labels -= 1;
        if open.labels == 0 && !open.is_incomplete {
            self.retire(slot, ws);
        }
    }

    /// Closes the account of a message.
    pub(super) fn retire(&mut self, slot: u32, ws: &mut Workspace) {
        if !ws.open.end(&mut self.open, slot) {
            return;
        }
        ws.open.close_cost(slot, self.number, &mut ws.costs);
        if ws.policy.sums_only {
            return;
        }
        let open = &ws.open[slot];
        let mut key = GroupKey {
            topic: open.topic,
            qos: open.qos,
            direction: open.direction,
        };
        let Some(own) = &mut self.own else {
            self.loads.add(key, open, &mut ws.groups, &mut ws.entries);
            return;
        };
        if !ws.policy.room && !own.groups.contains_key(&key) {
            key.topic = 0;
        }
        let group = own.groups.entry(key).or_insert_with(|| {
            ws.entries += 1;
            Box::default()
        });
        let marginal = open.marginal();
        group.sums.add(&open.charged());
        group.marginal.add(marginal, 1);
        let Some(detail) = ws.open.detail(slot) else {
            return;
        };
        group.traffic.add(detail.shape, &detail.frames, detail.time);
        let number = detail.number;
        if let Some(mut steps) = detail.steps.take() {
            steps.sort_by_key(|step| step.time);
            own.ladders.push(Ladder {
                key,
                connection: self.number,
                message: number,
                marginal,
                steps: *steps,
            });
        }
        if ws.policy.keep {
            own.messages.extend(ws.open.closed(slot));
        }
    }
}
