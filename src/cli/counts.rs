//! Counts of packets lost in a live capture, and their messages.

use super::console::{complain, counted};

/// Packets that were not captured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Because the kernel's buffer was full.
    pub(crate) dropped: u64,
    /// By the interface or its driver.
    pub(crate) dropped_by_interface: u64,
}

impl Counts {
    /// Reports at the end, as tcpdump does, the captured packets, the messages
    /// `done` with, and the losses.
    pub(crate) fn report(&self, captured: u64, messages: u64, done: &str) {
        for (count, what, how) in [
            (captured, "packet", "captured"),
            (messages, "message", done),
            (self.dropped, "packet", "dropped by kernel"),
            (self.dropped_by_interface, "packet", "dropped by interface"),
        ] {
            complain(&format!("{} {how}", counted(count, what)));
        }
    }

    /// One line while the capture runs, as tcpdump prints on SIGUSR1.
    pub(crate) fn in_short(&self, captured: u64) -> String {
        format!(
            "{} captured, {} dropped by kernel, {} dropped by interface",
            counted(captured, "packet"),
            counted(self.dropped, "packet"),
            counted(self.dropped_by_interface, "packet")
        )
    }
}
