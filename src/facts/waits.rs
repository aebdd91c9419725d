//! [`Waits`]: what a connection waits for, by the time at which it is due.

use std::collections::{BTreeMap, BTreeSet};

use crate::frame::{Direction, MQTTFrame};
use crate::mqtt::PacketType;
use crate::time::Timestamp;

/// What an answer is waited for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Waited {
    /// A message, by the direction of its PUBLISH and its Packet Identifier.
    Exchange(Direction, u16),
    /// A SUBSCRIBE or UNSUBSCRIBE.
    Request(u16),
    /// All PINGREQ packets.
    Pings,
}

impl Waited {
    /// What a frame makes its sender, or the sender of the message, wait for.
    pub(super) fn of(frame: &MQTTFrame<'_>) -> Option<Self> {
        let direction = frame.direction;
        let id = || frame.packet.packet_id();
        Some(match frame.header.packet_type() {
            PacketType::Publish if frame.header.qos() > 0 => Self::Exchange(direction, id()?),
            PacketType::Pubrec => Self::Exchange(direction.reversed(), id()?),
            PacketType::Pubrel => Self::Exchange(direction, id()?),
            PacketType::Subscribe | PacketType::Unsubscribe => Self::Request(id()?),
            PacketType::Pingreq => Self::Pings,
            _ => return None,
        })
    }
}

/// When to look at what is waited for: each is here once, at the time of its next
/// deadline or before. What was answered stays until then. So an overdue answer does not
/// cost a look at all others.
#[derive(Debug, Default)]
pub(super) struct Waits {
    queue: BTreeSet<(Timestamp, Waited)>,
    due: BTreeMap<Waited, Timestamp>,
}

impl Waits {
    /// An answer is due at this time.
    pub(super) fn add(&mut self, what: Waited, due: Timestamp) {
        if let Some(&before) = self.due.get(&what) {
            if before <= due {
                return;
            }
            self.queue.remove(&(before, what));
        }
        self.due.insert(what, due);
        self.queue.insert((due, what));
    }

    /// The earliest time at which something is due.
    pub(super) fn first(&self) -> Option<Timestamp> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// Takes what is due at `now`.
    pub(super) fn pop(&mut self, now: Timestamp) -> Option<Waited> {
        let (due, what) = *self.queue.first()?;
        if due > now {
            return None;
        }
        self.queue.pop_first();
        self.due.remove(&what);
        Some(what)
    }
}
