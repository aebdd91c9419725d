//! `--max-memory`: how much memory the program has, and when it has to make room.
//!
//! What the limits of `mqttdump::limits` allow together is more than a small machine
//! has, and connections that carry nothing can be millions. So the allocator counts, and
//! when more is allocated than was given, the connections that have been silent longest
//! are evicted, with the oldest of what else can be spared.

use std::alloc::System;

use cap::Cap;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Without `--max-memory`.
pub(crate) const DEFAULT: usize = 512 << 20;
/// The smallest that can be given.
pub(crate) const LEAST: usize = 16 << 20;

/// Decides when to make room.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes that may be allocated.
    most: usize,
    /// From how many on room is made next. More than `most` where making room has not
    /// helped: then only for what is added.
    next: usize,
    /// More than `most` is needed by what cannot be evicted.
    pub(crate) exceeded: bool,
}

impl Memory {
    /// With this limit on the memory of the process, of which the allocator itself needs up
    /// to a quarter.
    pub(crate) fn new(limit: usize) -> Self {
        let most = limit / 4 * 3;
        Self {
            most,
            next: most,
            exceeded: false,
        }
    }

    /// Whether room has to be made.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        MEMORY.allocated() > self.next
    }

    /// Makes room with `evict`, which returns whether anything was evicted.
    #[cold]
    pub(crate) fn make_room(&mut self, mut evict: impl FnMut() -> bool) {
        // Some of it, so that it does not have to be made for each packet.
        let enough = self.most - self.most / 16;
        let mut there = MEMORY.allocated();
        let mut in_vain = 0;
        while there > enough && in_vain < 4 && evict() {
            let left = MEMORY.allocated();
            // The table of results may grow by what is evicted, and is evicted next.
            in_vain = match left + self.most / 1024 > there {
                true => in_vain + 1,
                false => 0,
            };
            there = left;
        }
        self.exceeded |= there > self.most;
        self.next = self.most.max(there + self.most / 16);
    }
}
