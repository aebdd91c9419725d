//! Token ring, IEEE 802.5 (link type 6).
//!
//! ```text
//! | access 1 | frame 1 | destination 6 | source 6 | [route 2-30] | LLC
//! ```
//!
//! The first bit of the source address announces a route, whose first five bits are
//! its total length.

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(6),
    name: "IEEE802",
    open,
    show: |_| None,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    const HEADER: usize = 14;
    // Frame control 01xx xxxx is LLC, 00xx xxxx the ring's own management.
    if bytes.u8(1)? >> 6 != 1 {
        return Err(Stop::NotIp);
    }
    let route = if bytes.u8(8)? & 0x80 == 0 {
        0
    } else {
        match bytes.u8(HEADER)? & 0x1f {
            length @ 2.. => length.into(),
            _ => return Err(Stop::Malformed),
        }
    };
    Ok((Next::Llc, bytes.skip(HEADER + route)?))
}
