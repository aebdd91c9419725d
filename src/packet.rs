//! The captured packet: bytes, a time, and where in the capture it stands.
//!
//! This is what every source (file, pipe, device) hands to the engine, and
//! what every later stage points back to, so that a reader can open Wireshark
//! at the number we print.

use crate::time::Timestamp;

/// Which captured packet: the file it is in, and its number there.
///
/// Ordered as the packets were read only within one file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct PacketRef {
    /// Number of the packet within its file, from 1, as Wireshark shows it.
    pub number: u64,
    /// Index of the file among the parts of the capture, from 0.
    pub file: u32,
}

/// A LINKTYPE_ value of the tcpdump group's registry, such as 1 for Ethernet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkType(pub u16);

/// One packet as the capture holds it.
#[derive(Clone, Copy, Debug)]
pub struct CapturedPacket<'a> {
    /// Where it stands in the capture.
    pub id: PacketRef,
    /// When it was captured.
    pub time: Timestamp,
    /// How to read its first bytes.
    pub link_type: LinkType,
    /// Bytes the packet had on the wire; more than `data` holds when the snap
    /// length cut it. Never less than `data.len()`.
    pub original_len: u32,
    /// The bytes that were captured.
    pub data: &'a [u8],
}
