//! The position of a record in the unread bytes: numbers only, so that nothing
//! is copied before the packet is taken.

use std::ops::Range;

use crate::packet::LinkType;
use crate::time::Timestamp;

use super::error::Problem;
use super::item::Dropped;
use super::meanwhile::Meanwhile;

/// Where in the unread bytes a record lies. Ranges count from its start.
pub(super) enum Framed {
    Packet(FramedPacket),
    Block {
        record: usize,
        kind: u32,
        body: Range<usize>,
        /// Losses that it reports.
        dropped: Option<Dropped>,
    },
    /// A block that is not used.
    Skipped {
        record: usize,
    },
    /// A packet that cannot be read, in a record that can be stepped over.
    Lost {
        record: usize,
        problem: Problem,
    },
    /// No record at all.
    Meanwhile(Meanwhile),
}

pub(super) struct FramedPacket {
    /// Bytes of the whole record.
    pub(super) record: usize,
    pub(super) data: Range<usize>,
    pub(super) options: Range<usize>,
    pub(super) ticks: Option<u64>,
    pub(super) time: Timestamp,
    pub(super) captured: u32,
    pub(super) original: u32,
    /// Its number in the current section.
    pub(super) interface: usize,
    pub(super) link_type: LinkType,
    /// Packets that were lost since the one before.
    pub(super) dropped: u64,
}

impl Framed {
    /// Losses reported before; returned once.
    pub(super) fn take_dropped(&mut self) -> Option<Dropped> {
        match self {
            Self::Packet(packet) if packet.dropped > 0 => Some(Dropped {
                packets: std::mem::take(&mut packet.dropped),
                until: packet.time,
            }),
            Self::Block { dropped, .. } => dropped.take(),
            _ => None,
        }
    }
}
