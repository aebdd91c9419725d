//! [`Section`]: a pcapng file.

use super::super::bytes::ByteOrder;
use super::super::encode;
use super::super::interface::{Clock, Interface};
use super::super::item::{Block, Packet};
use super::plan::Plan;
use super::{ETHERNET, SNAP_LENGTH};
use crate::limits::SAVE_CARRIED_BYTES;
use crate::packet::LinkType;
use std::collections::{HashMap, VecDeque};

/// File, section and number: identifies an interface.
type Key = (u32, u32, u32);

/// The one section of a pcapng file, and of those after it.
#[derive(Default)]
pub(super) struct Section {
    /// The header of this file is written.
    pub(super) begun: bool,
    /// That of any file is.
    fixed: bool,
    /// Its description, as options.
    header: Vec<u8>,
    numbers: HashMap<Key, u32>,
    /// The last one looked up: consecutive packets tend to have the same.
    last: Option<(Key, u32)>,
    written: Vec<Written>,
    /// Comments (as options) of a section without header in the output.
    comments: Vec<u8>,
    /// The start of the next file, if there will be one.
    carried: Option<Carried>,
    /// Of the interface of a file that has none.
    link_type: Option<LinkType>,
    /// The block being put together.
    scratch: Vec<u8>,
}

/// An interface in the output.
struct Written {
    block: Vec<u8>,
    /// The input section that described it last.
    by: (u32, u32),
}

impl Section {
    pub(super) fn new(plan: &Plan) -> Self {
        Self {
            link_type: plan.link_type,
            carried: plan.carry.then(Carried::default),
            ..Self::default()
        }
    }

    /// Whether an interface is described.
    pub(super) fn has_interface(&self) -> bool {
        !self.written.is_empty()
    }

    /// Blocks that could not be carried into later files.
    pub(super) fn left_behind(&self) -> u64 {
        self.carried.as_ref().map_or(0, |carried| carried.dropped)
    }

    /// Starts a file with the blocks that its packets may refer to.
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        self.fixed = true;
        encode::section(&mut self.scratch, &self.header);
        out.extend_from_slice(&self.scratch);
        for interface in &self.written {
            out.extend_from_slice(&interface.block);
        }
        for block in self.carried.iter().flat_map(|carried| &carried.blocks) {
            out.extend_from_slice(block);
        }
    }

    /// A file without an interface is a valid one that libpcap refuses.
    pub(super) fn stand_in(&mut self, out: &mut Vec<u8>) {
        let interface = Interface {
            file: 0,
            section: 0,
            number: 0,
            link_type: self.link_type.unwrap_or(ETHERNET),
            snap_length: SNAP_LENGTH,
            clock: Clock::MICROSECONDS,
            options: Vec::new(),
            order: ByteOrder::Little,
        };
        encode::interface(&mut self.scratch, &interface, &[]);
        out.extend_from_slice(&self.scratch);
    }

    #[inline]
    pub(super) fn packet(&mut self, out: &mut Vec<u8>, packet: &Packet<'_>) {
        let number = self.interface(out, packet.interface);
        encode::packet(out, &mut self.scratch, number, packet);
    }

    pub(super) fn block(&mut self, out: &mut Vec<u8>, block: &Block<'_>) {
        if let Block::Section { options, .. } = block {
            match self.fixed {
                true => encode::comments(&mut self.comments, options),
                false => encode::section_options(&mut self.header, options),
            }
        }
        self.begin(out);
        let number = match block {
            Block::Section { .. } => return,
            Block::Interface(interface) => {
                self.interface(out, interface);
                return;
            }
            Block::Statistics { interface, .. } => self.interface(out, interface),
            _ => 0,
        };
        encode::block(&mut self.scratch, number, block);
        out.extend_from_slice(&self.scratch);
        if let (Block::Names { .. } | Block::Secrets { .. }, Some(carried)) =
            (block, &mut self.carried)
        {
            carried.add(&self.scratch);
        }
    }

    /// The number of an interface in the output, described there if it was not.
    #[inline]
    fn interface(&mut self, out: &mut Vec<u8>, interface: &Interface) -> u32 {
        let key = (interface.file, interface.section, interface.number);
        if let Some((last, number)) = self.last
            && last == key
        {
            return number;
        }
        let number = match self.numbers.get(&key) {
            Some(&number) => number,
            None => {
                let number = self.describe(out, interface);
                self.numbers.insert(key, number);
                number
            }
        };
        self.last = Some((key, number));
        number
    }

    #[cold]
    fn describe(&mut self, out: &mut Vec<u8>, interface: &Interface) -> u32 {
        let by = (interface.file, interface.section);
        let mut block = Vec::new();
        encode::interface(&mut block, interface, &std::mem::take(&mut self.comments));
        // Two alike in one section are two; in another section they are these.
        let known = self
            .written
            .iter()
            .position(|written| written.by != by && written.block == block);
        if let Some(index) = known {
            if let Some(written) = self.written.get_mut(index) {
                written.by = by;
            }
            return u32::try_from(index).unwrap_or(u32::MAX);
        }
        out.extend_from_slice(&block);
        self.written.push(Written { block, by });
        u32::try_from(self.written.len() - 1).unwrap_or(u32::MAX)
    }
}

/// Blocks that apply to packets in later files too: names and secrets.
#[derive(Default)]
struct Carried {
    blocks: VecDeque<Vec<u8>>,
    bytes: usize,
    dropped: u64,
}

impl Carried {
    fn add(&mut self, block: &[u8]) {
        // The parts of a rotated capture repeat the same blocks.
        if self.blocks.iter().any(|known| known == block) {
            return;
        }
        self.bytes += block.len();
        self.blocks.push_back(block.to_vec());
        // Connections are younger than their secrets: the oldest are needed
        // least.
        while self.bytes > SAVE_CARRIED_BYTES
            && let Some(oldest) = self.blocks.pop_front()
        {
            self.bytes -= oldest.len();
            self.dropped += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_blocks_are_repeated_up_to_the_limit() {
        let mut carried = Carried::default();
        let blocks = SAVE_CARRIED_BYTES / (1 << 20) + 3;
        for n in 0..blocks {
            carried.add(&vec![n as u8; 1 << 20]);
            // The same again is nothing new.
            carried.add(&vec![n as u8; 1 << 20]);
            assert!(carried.bytes <= SAVE_CARRIED_BYTES);
        }
        assert_eq!((carried.blocks.len(), carried.dropped), (blocks - 3, 3));
        assert_eq!(carried.blocks[0][0], 3);
    }
}
