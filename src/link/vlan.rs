//! VLAN tags: 802.1Q, 802.1ad and the numbers vendors used before (0x9100 to
//! 0x9300), to any depth.
//!
//! ```text
//! | priority 3 bits, DEI 1, VLAN 12 | EtherType 2 |
//! ```

use super::{Bytes, Next, Step};

/// Reads one tag, whose EtherType has been read.
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let ether_type = bytes.u16(2)?;
    Ok((Next::EtherType(ether_type), bytes.skip(4)?))
}
