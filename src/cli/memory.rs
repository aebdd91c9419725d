//! `--max-memory`: how much memory the program has, and when it has to make room.
//!
//! What the limits of `mqttdump::limits` allow together is more than a small machine
//! has, and connections that carry nothing can be millions. So the allocator counts, and
//! when more is allocated than was given, the connections that have been silent longest
//! are evicted, with the oldest of what else can be spared.
//!
//! The process takes more than it has allocated: the allocator's own records, and free
//! memory between what is in use, which grows as connections of all ages come and go. So
//! its resident memory is measured as well, where the system reports it (Linux).

use std::alloc::System;
#[cfg(target_os = "linux")]
use std::fs::File;
use std::sync::OnceLock;

use cap::Cap;
use mqttdump::event::{Event, EventKind};
use mqttdump::limits::Limit;

use super::console::{complain, were};

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Without `--max-memory`.
pub(crate) const DEFAULT: usize = 512 << 20;
/// The smallest that can be given.
pub(crate) const LEAST: usize = 16 << 20;
/// Resident memory is measured once in so many packets: it takes as long as a packet.
const PACKETS: u32 = 64;
/// By how much resident memory grows until room is made again.
const STEP: usize = 1 << 20;

/// Whether there was no room for the rest of a message.
pub(crate) fn is_cut(event: &Event<'_>) -> bool {
    let limit = Limit::IncompleteMessages;
    event.kind == EventKind::Bound { limit }
}

/// Reports how many messages were cut, if whole payloads were wanted (see
/// [`Config::payload`](mqttdump::engine::Config::payload)). Returns whether none was.
pub(crate) fn report_cut(payload: u32, cut: u64) -> bool {
    if payload < u32::MAX || cut == 0 {
        return true;
    }
    complain(&format!(
        "{} cut short, for lack of memory: see --max-memory",
        were(cut, "payload")
    ));
    false
}

/// Resident memory of the process.
#[derive(Debug)]
struct Resident {
    #[cfg(target_os = "linux")]
    statm: File,
    /// In bytes, of the program itself before it reads anything.
    program: usize,
}

static RESIDENT: OnceLock<Option<Resident>> = OnceLock::new();

/// Opens what measures resident memory, before the sandbox closes the way to it.
pub(crate) fn open() {
    RESIDENT.get_or_init(Resident::open);
}

impl Resident {
    #[cfg(target_os = "linux")]
    fn open() -> Option<Self> {
        let statm = File::open("/proc/self/statm").ok()?;
        let mut resident = Self { statm, program: 0 };
        resident.program = resident.now()?;
        Some(resident)
    }

    #[cfg(not(target_os = "linux"))]
    fn open() -> Option<Self> {
        None
    }

    /// In bytes.
    #[cfg(target_os = "linux")]
    fn now(&self) -> Option<usize> {
        use std::os::unix::fs::FileExt;
        let mut text = [0; 128];
        let len = self.statm.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..len)?).ok()?;
        let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
        Some(pages * rustix::param::page_size())
    }

    #[cfg(not(target_os = "linux"))]
    fn now(&self) -> Option<usize> {
        None
    }

    /// In bytes, without the program itself.
    fn used() -> usize {
        let resident = RESIDENT.get().and_then(Option::as_ref);
        let used = resident.and_then(|it| Some(it.now()?.saturating_sub(it.program)));
        used.unwrap_or(0)
    }
}

/// Decides when to make room.
#[derive(Debug)]
pub(crate) struct Memory {
    /// Bytes that may be allocated.
    most: usize,
    /// Bytes that may be resident.
    most_resident: usize,
    /// From how many on room is made next. More than `most` where making room has not
    /// helped: then only for what is added.
    next: usize,
    /// From how many bytes of resident memory on room is made next.
    next_resident: usize,
    /// Packets since it was measured.
    packets: u32,
    /// More than `most` is needed by what cannot be evicted.
    pub(crate) exceeded: bool,
}

impl Memory {
    /// With this limit on the memory of the process, besides the program itself. A quarter
    /// of it is for tables that grow at once, and for the report.
    pub(crate) fn new(limit: usize) -> Self {
        let most = limit / 8 * 5;
        let most_resident = limit / 4 * 3;
        Self {
            most,
            most_resident,
            next: most,
            next_resident: most_resident,
            packets: 0,
            exceeded: false,
        }
    }

    /// Whether room has to be made. Called once for each packet.
    #[inline]
    pub(crate) fn is_short(&mut self) -> bool {
        let allocated = MEMORY.allocated();
        // Normal captures need less than half, and no measurement.
        allocated > self.next || allocated > self.most / 2 && self.is_resident()
    }

    fn is_resident(&mut self) -> bool {
        self.packets += 1;
        if self.packets < PACKETS {
            return false;
        }
        self.packets = 0;
        let used = Resident::used();
        // A table that has grown needed its old memory beside the new one.
        self.next_resident = self.next_resident.min(self.resident_after(used));
        used > self.next_resident
    }

    /// The resident memory from which on room is made next, of what is used now.
    fn resident_after(&self, used: usize) -> usize {
        self.most_resident.max(used + STEP)
    }

    /// Makes room with `evict`, which returns whether anything was evicted.
    #[cold]
    pub(crate) fn make_room(&mut self, mut evict: impl FnMut() -> bool) {
        let mut there = MEMORY.allocated();
        // Some of it, so that it does not have to be made for each packet. If resident
        // memory is short, less is allocated: the next packets take what is freed.
        let enough = self.most.min(there) - self.most / 16;
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
        self.next_resident = self.resident_after(Resident::used());
    }
}
