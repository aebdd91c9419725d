//! Messages whose account is still open.

use super::super::account::Charged;
use super::super::level::Measures;
use super::super::message::{Message, MessageCauses, Step};
use super::super::traffic::{Frames, Shape};
use super::cost::{Costed, Costs, OpenCost};
use crate::frame::{Direction, PerDirection};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Frames of a message that are noted one by one.
const LADDER_STEPS: usize = 40;

/// Costs of closed messages that are kept for others.
const SPARE: usize = 1024;

/// A message whose account is still open. There are several for each connection:
/// what only connections that are kept individually need is in its [`Detail`].
#[derive(Debug)]
pub(super) struct Open {
    pub(super) bytes: PerDirection<u64>,
    pub(super) topic: u32,
    /// Bytes of its payload, 0 if unknown.
    pub(super) payload: u32,
    /// Bytes of its PUBLISH packet.
    pub(super) packet: u32,
    /// Labels that still name it.
    pub(super) labels: u32,
    detail: Option<Index>,
    /// Bytes by cause and layer, if they are reported.
    cost: Option<Box<OpenCost>>,
    /// The others of its connection.
    next: Option<Index>,
    before: Option<Index>,
    pub(super) direction: Direction,
    pub(super) qos: u8,
    /// A Topic Alias stands for its topic.
    pub(super) by_alias: bool,
    /// Its exchange is not complete.
    pub(super) is_incomplete: bool,
    /// The place of a message that is no more.
    is_free: bool,
}

/// A place in a list, plus one.
type Index = std::num::NonZeroU32;

fn index(at: usize) -> Index {
    Index::MIN.saturating_add(u32::try_from(at).unwrap_or(u32::MAX))
}

fn place(index: Index) -> usize {
    index.get() as usize - 1
}

/// Details of an open message.
#[derive(Debug)]
pub(super) struct Detail {
    pub(super) number: u64,
    pub(super) completed_by: PacketRef,
    pub(super) time: Timestamp,
    pub(super) shape: Shape,
    pub(super) frames: Frames,
    /// Bytes by cause, if messages are reported one by one.
    pub(super) causes: Option<Box<MessageCauses>>,
    /// Its frames, of the first few messages.
    #[expect(
        clippy::box_collection,
        reason = "one word in each open message; few have steps"
    )]
    pub(super) steps: Option<Box<Vec<Step>>>,
    /// The length of its payload is known.
    pub(super) has_payload: bool,
}

/// The open messages of all connections. Each connection has a list of its own.
#[derive(Debug, Default)]
pub(super) struct OpenMessages {
    slots: Vec<Open>,
    free: Vec<u32>,
    details: Vec<Detail>,
    free_details: Vec<Index>,
    /// Costs of closed messages, whose memory is used again.
    #[expect(clippy::vec_box, reason = "they move to open messages and back")]
    spare: Vec<Box<OpenCost>>,
}

/// The open messages of a connection: the first of its list.
#[derive(Debug, Default)]
pub(super) struct First(Option<Index>);

impl First {
    /// The slot of the first.
    pub(super) fn slot(&self) -> Option<u32> {
        self.0.map(|first| place(first) as u32)
    }
}

/// A message that begins.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) topic: u32,
    pub(super) payload: u32,
    pub(super) packet: u32,
    pub(super) direction: Direction,
    pub(super) qos: u8,
    pub(super) by_alias: bool,
    pub(super) detail: Option<Detail>,
    pub(super) cost: Option<Costed>,
}

impl OpenMessages {
    /// Opens the account of a message; returns its slot.
    pub(super) fn begin(&mut self, first: &mut First, message: Beginning) -> u32 {
        let detail = message.detail.map(|detail| match self.free_details.pop() {
            Some(at) => {
                self.details[place(at)] = detail;
                at
            }
            None => {
                self.details.push(detail);
                index(self.details.len() - 1)
            }
        });
        let cost = message.cost.map(|message| {
            let mut cost = self.spare.pop().unwrap_or_default();
            cost.message = Some(message);
            cost
        });
        let open = Open {
            bytes: PerDirection::default(),
            topic: message.topic,
            payload: message.payload,
            packet: message.packet,
            labels: 0,
            detail,
            cost,
            next: first.0,
            before: None,
            direction: message.direction,
            qos: message.qos,
            by_alias: message.by_alias,
            is_incomplete: true,
            is_free: false,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = open;
                slot
            }
            None => {
                self.slots.push(open);
                (self.slots.len() - 1) as u32
            }
        };
        let here = Some(index(slot as usize));
        if let Some(next) = std::mem::replace(&mut first.0, here) {
            self.slots[place(next)].before = here;
        }
        slot
    }

    /// Closes the account of a message: its slot may be used again. Returns whether it
    /// was open.
    pub(super) fn end(&mut self, first: &mut First, slot: u32) -> bool {
        let open = &mut self.slots[slot as usize];
        if std::mem::replace(&mut open.is_free, true) {
            return false;
        }
        let (before, next) = (open.before.take(), open.next.take());
        self.free.push(slot);
        self.free_details.extend(open.detail);
        match before {
            Some(before) => self.slots[place(before)].next = next,
            None => first.0 = next,
        }
        if let Some(next) = next {
            self.slots[place(next)].before = before;
        }
        true
    }

    /// Reports the cost of a message that was closed, if it is wanted.
    pub(super) fn close_cost(&mut self, slot: u32, connection: u64, costs: &mut Costs) {
        let Some(mut cost) = self.slots[slot as usize].cost.take() else {
            return;
        };
        costs.close(connection, cost.message.take(), &cost.bytes);
        if self.spare.len() < SPARE {
            cost.bytes.clear();
            self.spare.push(cost);
        }
    }

    /// The details of a message.
    pub(super) fn detail(&mut self, slot: u32) -> Option<&mut Detail> {
        let detail = self.slots[slot as usize].detail?;
        Some(&mut self.details[place(detail)])
    }

    /// The closed account of a message that has details.
    pub(super) fn closed(&self, slot: u32) -> Option<Message> {
        let open = &self.slots[slot as usize];
        Some(open.message(&self.details[place(open.detail?)]))
    }

    /// Charges a message with a part of a frame, of `bytes` at the level that counts.
    pub(super) fn charge(&mut self, slot: u32, step: Step, measures: &Measures) {
        let Step {
            direction, cause, ..
        } = step;
        let open = &mut self.slots[slot as usize];
        open.bytes[direction] += step.bytes;
        if let Some(cost) = &mut open.cost {
            cost.bytes.add(cause, measures);
        }
        let Some(detail) = open.detail else { return };
        let detail = &mut self.details[place(detail)];
        detail.frames.add(cause, direction, measures.packets);
        if let Some(causes) = &mut detail.causes {
            causes.add(cause, step.bytes);
        }
        if let Some(steps) = &mut detail.steps
            && steps.len() < LADDER_STEPS
        {
            steps.push(step);
        }
    }
}

impl std::ops::Index<u32> for OpenMessages {
    type Output = Open;

    fn index(&self, slot: u32) -> &Open {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for OpenMessages {
    fn index_mut(&mut self, slot: u32) -> &mut Open {
        &mut self.slots[slot as usize]
    }
}

impl Open {
    /// Bytes that it owns.
    pub(super) fn marginal(&self) -> u64 {
        self.bytes.up + self.bytes.down
    }

    /// What sums over messages have of it.
    pub(super) fn charged(&self) -> Charged {
        Charged {
            payload: self.payload.into(),
            bytes: self.bytes,
            packets: self.packet.into(),
            by_alias: self.by_alias.into(),
        }
    }

    fn message(&self, detail: &Detail) -> Message {
        Message {
            number: detail.number,
            completed_by: detail.completed_by,
            time: detail.time,
            direction: self.direction,
            qos: self.qos,
            topic: self.topic,
            by_alias: self.by_alias,
            payload: detail.has_payload.then_some(self.payload),
            packet: self.packet,
            bytes: self.bytes,
            causes: detail.causes.as_deref().copied().unwrap_or_default(),
            fixed_share: 0,
        }
    }
}
