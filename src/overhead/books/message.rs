//! Messages: which exchange a control packet belongs to, and what became of it.

use super::super::account::{GroupKey, Ladder, Message, MessageCauses, Step};
use super::super::traffic;
use super::{Books, Rules};
use crate::facts::{FrameFact, Role};
use crate::frame::{MQTTFrame, PerDirection};
use crate::limits;
use crate::mqtt::ControlPacket;
use crate::mqtt::packet::Publish;

/// A message whose books are still open.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) message: Message,
    pub(super) shape: traffic::Shape,
    pub(super) frames: traffic::Frames,
    /// Its frames, of the first few messages.
    pub(super) steps: Option<Vec<Step>>,
    /// Labels that still name it.
    pub(super) labels: u32,
    /// Its exchange is not complete.
    pub(super) is_incomplete: bool,
}

/// The message that a control packet belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) slot: u32,
    /// Whether the packet completes its exchange.
    pub(super) completes: bool,
}

/// Messages of a connection whose frames are noted one by one.
const LADDERS: u64 = 8;

/// The message of each exchange that is not complete, by
/// [`First::slot`](crate::facts::First::slot).
#[derive(Debug, Default)]
pub(in super::super) struct Messages(Vec<Option<u32>>);

impl Messages {
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

impl Books {
    /// The message that a packet of an exchange belongs to.
    pub(super) fn owner(
        &mut self,
        fact: &FrameFact<'_>,
        messages: &mut Messages,
        topic: u32,
        rules: Rules,
    ) -> Option<Owner> {
        let frame = fact.frame;
        let slot = fact
            .exchange
            .and_then(|exchange| exchange.first)
            .map(|first| first.slot);
        if let ControlPacket::Publish(publish) = &frame.packet {
            let known = slot.and_then(|slot| messages.get(slot));
            let role = fact.exchange.map(|exchange| exchange.role);
            if let Some(message) = known.filter(|_| role == Some(Role::Repeats)) {
                return Some(Owner {
                    slot: message,
                    completes: false,
                });
            }
            let message = self.begin(frame, publish, topic);
            if let Some(old) = known.filter(|_| fact.exchange.is_some_and(|e| e.replaces)) {
                self.complete(old, rules);
            }
            if let Some(slot) = slot {
                messages.set(slot, Some(message));
            }
            return Some(Owner {
                slot: message,
                completes: slot.is_none(),
            });
        }
        let exchange = fact.exchange.filter(|exchange| exchange.is_message())?;
        let Some((slot, message)) = slot.and_then(|slot| Some((slot, messages.get(slot)?))) else {
            self.account.orphans += 1;
            return None;
        };
        let completes = exchange.role == Role::Completes;
        if completes {
            messages.set(slot, None);
        }
        Some(Owner {
            slot: message,
            completes,
        })
    }

    /// Its exchange is over; its bytes may still come again.
    fn complete(&mut self, slot: u32, rules: Rules) {
        if let Some(open) = &mut self.open[slot as usize] {
            open.is_incomplete = false;
            if open.labels == 0 {
                self.retire(slot, rules);
            }
        }
    }

    /// Only the first messages of the first connections have ladders.
    fn has_ladder(&self) -> bool {
        self.account.message_count <= LADDERS && self.account.number <= limits::LADDERS as u64
    }

    fn begin(&mut self, frame: &MQTTFrame<'_>, publish: &Publish<'_>, topic: u32) -> u32 {
        self.account.message_count += 1;
        let open = Open {
            message: Message {
                number: self.account.message_count,
                completed_by: frame.last,
                time: frame.time,
                direction: frame.direction,
                qos: frame.header.qos(),
                topic,
                by_alias: publish.topic.is_some_and(|t| t.bytes().is_empty())
                    && publish.topic_alias.is_some(),
                payload: publish.payload_len,
                packet: frame.header.packet_len() as u32,
                bytes: PerDirection::default(),
                causes: MessageCauses::default(),
                fixed_share: 0,
            },
            shape: traffic::Shape::of(frame, publish),
            frames: traffic::Frames::default(),
            steps: self.has_ladder().then(Vec::new),
            labels: 0,
            is_incomplete: true,
        };
        match self.free.pop() {
            Some(slot) => {
                self.open[slot as usize] = Some(open);
                slot
            }
            None => {
                self.open.push(Some(open));
                (self.open.len() - 1) as u32
            }
        }
    }

    pub(super) fn unname(&mut self, slot: u32, rules: Rules) {
        let Some(open) = &mut self.open[slot as usize] else {
            return;
        };
        open.labels -= 1;
        if open.labels == 0 && !open.is_incomplete {
            self.retire(slot, rules);
        }
    }

    /// Closes the books of a message.
    pub(super) fn retire(&mut self, slot: u32, rules: Rules) {
        let Some(open) = self.open[slot as usize].take() else {
            return;
        };
        self.free.push(slot);
        let message = open.message;
        let mut key = GroupKey {
            topic: message.topic,
            qos: message.qos,
            direction: message.direction,
        };
        if !rules.room && !self.groups.contains_key(&key) {
            key.topic = 0;
        }
        let group = self.groups.entry(key).or_default();
        group.costs.add(&message);
        group.by_alias += u64::from(message.by_alias);
        self.traffic
            .message(key, open.shape, &open.frames, message.time);
        if let Some(mut steps) = open.steps {
            steps.sort_by_key(|step| step.time);
            self.ladders.push(Ladder {
                key,
                connection: self.account.number,
                message: message.number,
                marginal: message.marginal(),
                steps,
            });
        }
        if rules.keep {
            self.account.messages.push(message);
        }
    }
}
