//! IEEE 802.2 LLC, and SNAP within it: the payload type of 802.3, 802.11, token ring
//! and FDDI. Bare on ATM (link type 100, RFC 2684).
//!
//! ```text
//! | AA | AA | 03 | OUI 3 | protocol 2 | …      SNAP
//! | 06 | 06 | 03 | …                           IP by its own SAP
//! ```
//!
//! Only unnumbered information (control 03) can carry IP.

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// RFC 2684 over ATM starts with LLC.
pub(super) const ATM_RFC1483: Link = Link {
    number: LinkType(100),
    name: "ATM_RFC1483",
    open: |bytes| Ok((Next::Llc, bytes)),
    show: |_| None,
};

/// Reads LLC and SNAP.
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    match bytes.array::<3>(0)? {
        [0xaa, 0xaa, 0x03] => open_snap(bytes.skip(3)?),
        [0x06, 0x06, 0x03] => Ok((Next::Ip, bytes.skip(3)?)),
        _ => Err(Stop::NotIp),
    }
}

/// Reads SNAP: whose protocol number follows, and the number.
pub(super) fn open_snap(bytes: Bytes<'_>) -> Step<'_> {
    let oui = bytes.array::<3>(0)?;
    let protocol = bytes.u16(3)?;
    let rest = bytes.skip(5)?;
    match (oui, protocol) {
        // A number below 0x0600 here would be no EtherType and no length.
        ([0, 0, 0] | [0, 0, 0xf8], 0x0600..) => Ok((Next::EtherType(protocol), rest)),
        // 802.1's own: bridged Ethernet, with (1) and without (7) checksum.
        ([0, 0x80, 0xc2], 1 | 7) => Ok((Next::Ethernet, rest)),
        _ => Err(Stop::NotIp),
    }
}
