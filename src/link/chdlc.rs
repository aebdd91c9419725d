//! Cisco HDLC (link type 104).
//!
//! ```text
//! | address 0F or 8F | control | EtherType 2 | …
//! ```

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(104),
    name: "C_HDLC",
    open,
    show: |_| None,
};

/// Reads the header; PPP may stand on the same link.
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    if let [0xff, 0x03] = bytes.array(0)? {
        return Ok((Next::Ppp, bytes));
    }
    match bytes.u16(2)? {
        ether_type @ 0x0600.. => Ok((Next::EtherType(ether_type), bytes.skip(4)?)),
        _ => Err(Stop::NotIp),
    }
}
