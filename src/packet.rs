//! The captured packet: bytes, a time, and a number.
//!
//! Every source (file, pipe, device) passes this to the engine, and every later
//! stage refers back to it, so that a user can find the printed packet number in
//! Wireshark.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Identifies a captured packet: its file, and its number there.
///
/// Ordered as the packets were read only within one file.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize,
)]
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
    /// Its file and number.
    pub id: PacketRef,
    /// When it was captured.
    pub time: Timestamp,
    /// Link type of its first header.
    pub link_type: LinkType,
    /// Bytes of the packet on the wire; more than `data` holds if the snap length
    /// cut it. Never less than `data.len()`.
    pub original_len: u32,
    /// The bytes that were captured.
    pub data: &'a [u8],
}
