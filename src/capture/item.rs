//! What a capture holds: packets, other blocks, and what is learnt between them.

use std::sync::Arc;

use crate::packet::CapturedPacket;
use crate::time::Timestamp;

use super::interface::Interface;
use super::options::Options;

/// What a capture holds, in the order of the file.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// Something else that a copy of the capture should keep.
    Block(Block<'a>),
    /// Capture time has come to this point, though no packet may show it: no
    /// earlier one will come. From sources that grow while they are read, a few
    /// times a second, with and without packets; never from ordinary files.
    Tick(Timestamp),
    /// Packets were lost to the capture.
    Dropped(Dropped),
}

/// Packets that the capture does not have, because the kernel or the interface
/// could not keep up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dropped {
    /// How many.
    pub packets: u64,
    /// They lie somewhere between the packets so far and this time: packets
    /// that come next may still be older than those that lack.
    pub until: Timestamp,
}

/// A packet and what the file says about it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The packet itself.
    pub packet: CapturedPacket<'a>,
    /// Where it was captured.
    pub interface: &'a Arc<Interface>,
    /// Its time as the file has it, in ticks of the interface's clock. A simple
    /// packet block has none: then `packet.time` is tick 0.
    pub ticks: Option<u64>,
    /// Comments and flags (pcapng only).
    pub options: Options<'a>,
}

/// What a pcapng file holds besides packets.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Block<'a> {
    /// A section starts; later interfaces are counted from 0 again.
    Section {
        /// Index of the file among the parts of the capture.
        file: u32,
        /// Comments, hardware, operating system, program.
        options: Options<'a>,
    },
    /// An interface is described.
    Interface(&'a Arc<Interface>),
    /// Names of addresses.
    Names {
        /// Record types and values; laid out like options.
        records: Options<'a>,
        /// Comments, the name server that was asked.
        options: Options<'a>,
    },
    /// Keys to decrypt packets that follow.
    Secrets {
        /// What they are: 0x544c534b is a TLS key log.
        kind: u32,
        /// The keys.
        data: &'a [u8],
        /// Comments.
        options: Options<'a>,
    },
    /// Counters of an interface.
    Statistics {
        /// Whose counters.
        interface: &'a Arc<Interface>,
        /// When, in ticks of the interface's clock.
        ticks: u64,
        /// The counters.
        options: Options<'a>,
    },
    /// A vendor's own block that may be copied.
    Custom {
        /// Private enterprise number.
        vendor: u32,
        /// Data and options, which only the vendor can tell apart.
        data: &'a [u8],
    },
    /// A systemd journal entry.
    Journal(&'a [u8]),
}
