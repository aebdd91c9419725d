//! [`Faulty`]: a fault excuses what follows from it.
//!
//! When one side breaks a rule, what the other does in answer is not a second
//! fault: it may acknowledge a Packet Identifier that was in use, send a second
//! CONNACK for a second CONNECT, or leave unanswered what it never had to accept.
//!
//! ```text
//! > PUBLISH id 1         the client's fault: remembered by its place, and by its id
//! < PUBACK  id 1         an answer to it: whatever is wrong with it is excused
//!   no PUBACK at all     excused as well
//! > PUBLISH id 1         without a fault: answers count again
//! ```

use std::collections::HashSet;

use crate::facts::{FrameRef, Step};
use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::limits;
use crate::mqtt::PacketType;

/// The control packets of a connection that broke a rule.
#[derive(Debug, Default)]
pub(super) struct Faulty {
    /// Where they end in the stream of their direction.
    ends: PerDirection<HashSet<u64, foldhash::fast::FixedState>>,
    /// The Packet Identifiers whose latest packet of that direction is one: the
    /// direction in which the exchange goes, and the identifier.
    ids: PerDirection<HashSet<(Direction, u16), foldhash::fast::FixedState>>,
    /// There were more than are kept.
    more: bool,
}

impl Faulty {
    /// A frame has broken a rule.
    pub(super) fn add(&mut self, frame: &MQTTFrame<'_>) {
        let direction = frame.direction;
        if self.ends[direction].len() >= limits::FAULTY_PACKETS {
            self.more = true;
            return;
        }
        self.ends[direction].insert(frame.end());
        self.ids[direction].extend(exchange(frame));
    }

    /// A frame has come, of which no rule has found anything before.
    pub(super) fn begin(&mut self, frame: &MQTTFrame<'_>) {
        let ids = &mut self.ids[frame.direction];
        if !ids.is_empty()
            && let Some(of) = exchange(frame)
        {
            ids.remove(&of);
        }
    }

    /// Whether a frame answers a packet that broke a rule.
    pub(super) fn is_answered_by(&self, frame: &MQTTFrame<'_>, step: &Step) -> bool {
        let asked = frame.direction.reversed();
        step.answers()
            .is_some_and(|request| self.has(asked, request))
            || is_acknowledgement(frame.header.packet_type())
                && exchange(frame).is_some_and(|of| self.ids[asked].contains(&of))
    }

    /// Whether that packet broke a rule, as far as is known.
    pub(super) fn has(&self, direction: Direction, packet: FrameRef) -> bool {
        self.more || self.ends[direction].contains(&packet.end)
    }
}

/// The direction in which the exchange of a frame goes, and its Packet
/// Identifier.
fn exchange(frame: &MQTTFrame<'_>) -> Option<(Direction, u16)> {
    let of = match frame.header.packet_type() {
        PacketType::Puback
        | PacketType::Pubrec
        | PacketType::Pubcomp
        | PacketType::Suback
        | PacketType::Unsuback => frame.direction.reversed(),
        _ => frame.direction,
    };
    Some((of, frame.packet.packet_id()?))
}

fn is_acknowledgement(kind: PacketType) -> bool {
    matches!(
        kind,
        PacketType::Puback
            | PacketType::Pubrec
            | PacketType::Pubrel
            | PacketType::Pubcomp
            | PacketType::Suback
            | PacketType::Unsuback
    )
}
