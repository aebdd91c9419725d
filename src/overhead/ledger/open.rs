//! A message whose account is still open.

use super::super::cause::Cause;
use super::super::level::Measures;
use super::super::message::{Message, MessageCauses, Step};
use super::super::traffic::{Frames, Shape};
use crate::frame::{Direction, PerDirection};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Frames of a message that are noted one by one.
const LADDER_STEPS: usize = 40;

/// A message whose account is still open. There are several for each connection:
/// what only some reports ask for is in a box.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) number: u64,
    pub(super) completed_by: PacketRef,
    pub(super) time: Timestamp,
    pub(super) shape: Shape,
    pub(super) bytes: PerDirection<u64>,
    pub(super) frames: Frames,
    /// Bytes by cause, if messages are reported one by one.
    pub(super) causes: Option<Box<MessageCauses>>,
    /// Its frames, of the first few messages.
    #[expect(
        clippy::box_collection,
        reason = "one word in each open message; few have steps"
    )]
    pub(super) steps: Option<Box<Vec<Step>>>,
    /// Bytes of its PUBLISH packet.
    pub(super) packet: u32,
    pub(super) topic: u32,
    /// Labels that still name it.
    pub(super) labels: u32,
    pub(super) direction: Direction,
    pub(super) qos: u8,
    /// The length of its payload is known.
    pub(super) has_payload: bool,
    /// A Topic Alias stands for its topic.
    pub(super) by_alias: bool,
    /// Its exchange is not complete.
    pub(super) is_incomplete: bool,
    /// The place of a message that is no more.
    pub(super) is_free: bool,
}

impl Open {
    /// Bytes that it owns.
    pub(super) fn marginal(&self) -> u64 {
        self.bytes.up + self.bytes.down
    }

    /// Charges it with a part of a frame, of `bytes` at the level that counts.
    pub(super) fn charge(
        &mut self,
        direction: Direction,
        cause: Cause,
        bytes: u64,
        measures: &Measures,
    ) {
        self.bytes[direction] += bytes;
        self.frames.add(cause, direction, measures.packets);
        if let Some(causes) = &mut self.causes {
            causes.add(cause, bytes);
        }
    }

    /// Notes a part of a frame on its ladder, if it has one.
    pub(super) fn step(&mut self, step: Step) {
        if let Some(steps) = &mut self.steps
            && steps.len() < LADDER_STEPS
        {
            steps.push(step);
        }
    }

    pub(super) fn message(&self) -> Message {
        Message {
            number: self.number,
            completed_by: self.completed_by,
            time: self.time,
            direction: self.direction,
            qos: self.qos,
            topic: self.topic,
            by_alias: self.by_alias,
            payload: self.has_payload.then_some(self.shape.payload),
            packet: self.packet,
            bytes: self.bytes,
            causes: self.causes.as_deref().copied().unwrap_or_default(),
            fixed_share: 0,
        }
    }
}
