//! PPPoE sessions: within Ethernet (EtherType 0x8864), and bare as link type
//! 51.
//!
//! ```text
//! | version 1, type 1 | code 0 | session 2 | length 2 | PPP protocol …
//! ```

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(51),
    name: "PPP_ETHER",
    open: |bytes| Ok((Next::Pppoe, bytes)),
    show: |_| None,
};

/// Reads the header. Other codes than 0 are discovery, which carries no IP.
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let [version, code] = bytes.array(0)?;
    let length = bytes.u16(4)?;
    match (version, code) {
        (0x11, 0) => Ok((Next::Ppp, bytes.skip(6)?.at_most(length.into()))),
        (0x11, _) => Err(Stop::NotIp),
        _ => Err(Stop::Malformed),
    }
}
