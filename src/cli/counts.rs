//! What a live capture has lost, and the sentences about it.

use super::console::{complain, counted};

/// Packets that were not captured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// For want of room in the kernel.
    pub(crate) dropped: u64,
    /// By the interface or its driver.
    pub(crate) dropped_by_interface: u64,
}

impl Counts {
    /// At the end, as tcpdump does: so many packets were captured, so many
    /// messages `done` with them.
    pub(crate) fn say(&self, captured: u64, messages: u64, done: &str) {
        for (count, what, how) in [
            (captured, "packet", "captured"),
            (messages, "message", done),
            (self.dropped, "packet", "dropped by kernel"),
            (self.dropped_by_interface, "packet", "dropped by interface"),
        ] {
            complain(&format!("{} {how}", counted(count, what)));
        }
    }

    /// In between, as tcpdump does on SIGUSR1.
    pub(crate) fn in_short(&self, captured: u64) -> String {
        format!(
            "{} captured, {} dropped by kernel, {} dropped by interface",
            counted(captured, "packet"),
            counted(self.dropped, "packet"),
            counted(self.dropped_by_interface, "packet")
        )
    }
}
