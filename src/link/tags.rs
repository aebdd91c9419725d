//! Tags between a frame's addresses and its EtherType that networks add for
//! themselves, besides VLAN tags.
//!
//! ```text
//! HSR, 892f           | path and size 2 | sequence number 2 | EtherType 2      IEC 62439-3
//! Cisco metadata, 8909 | version, length, option, group 6 | EtherType 2
//! Cisco TTag, 8988    | timestamp 6 | EtherType 2
//! MACsec, 88e5        | TCI, AN 1 | short length 1 | packet number 4 | [SCI 8] | EtherType 2 … | ICV
//! ```

use super::{Bytes, Next, Step, Stop};

/// Reads the tag that `ether_type` names, or `None` if it names none of these.
pub(super) fn open(ether_type: u16, bytes: Bytes<'_>) -> Option<Step<'_>> {
    let tag = match ether_type {
        0x892f => 4,
        0x8909 | 0x8988 => 6,
        0x88e5 => return Some(macsec(bytes)),
        _ => return None,
    };
    Some(skip(bytes, tag))
}

fn skip(bytes: Bytes<'_>, tag: usize) -> Step<'_> {
    let ether_type = bytes.u16(tag)?;
    Ok((Next::EtherType(ether_type), bytes.skip(tag + 2)?))
}

/// IEEE 802.1AE. Without encryption, the frame is readable and its integrity
/// check value follows the IP packet.
fn macsec(bytes: Bytes<'_>) -> Step<'_> {
    const SCI_PRESENT: u8 = 0x20;
    const ENCRYPTED: u8 = 0x08;
    const CHANGED: u8 = 0x04;
    let tci = bytes.u8(0)?;
    if tci & (ENCRYPTED | CHANGED) != 0 {
        return Err(Stop::Encrypted);
    }
    skip(bytes, if tci & SCI_PRESENT != 0 { 14 } else { 6 })
}
