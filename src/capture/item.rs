//! Items of a capture: packets, other blocks, ticks and losses.

use std::sync::Arc;

use crate::packet::CapturedPacket;
use crate::time::Timestamp;

use super::interface::Interface;
use super::options::Options;

/// An item of a capture, in the order of the file.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A packet.
    Packet(Packet<'a>),
    /// Another block that a copy of the capture should keep.
    Block(Block<'a>),
    /// Capture time has reached this point: no earlier packet will follow. From
    /// sources that grow while they are read, a few times a second, with and
    /// without packets; never from ordinary files.
    Tick(Timestamp),
    /// Packets were lost to the capture.
    Dropped(Dropped),
}

/// Packets missing from the capture, because the kernel or the interface could
/// not keep up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Dropped {
    /// How many.
    pub packets: u64,
    /// They were lost between the packets so far and this time: the next
    /// packets may still be older than the missing ones.
    pub until: Timestamp,
}

/// A packet and its metadata in the file.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// The packet itself.
    pub packet: CapturedPacket<'a>,
    /// Where it was captured.
    pub interface: &'a Arc<Interface>,
    /// Its time in the file, in ticks of the interface's clock. A simple packet
    /// block has none: then `packet.time` is tick 0.
    pub ticks: Option<u64>,
    /// Comments and flags (pcapng only).
    pub options: Options<'a>,
}

/// Blocks of a pcapng file other than packets.
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
        /// Data and options, whose boundary only the vendor knows.
        data: &'a [u8],
    },
    /// A systemd journal entry.
    Journal(&'a [u8]),
}
