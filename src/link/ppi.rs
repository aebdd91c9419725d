//! Per-Packet Information (link type 192): a header around a packet of
//! another link type, mostly 802.11.
//!
//! ```text
//! | version 1 | flags 1 | length 2 LE | link type 4 LE | fields … | packet
//! ```

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(192),
    name: "PPI",
    open,
    show: |_| None,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let length = usize::from(u16::from_le_bytes(bytes.array(2)?));
    let inner = u32::from_le_bytes(bytes.array(4)?);
    match u16::try_from(inner) {
        Ok(inner) if length >= 8 => Ok((Next::Link(LinkType(inner)), bytes.skip(length)?)),
        _ => Err(Stop::Malformed),
    }
}
