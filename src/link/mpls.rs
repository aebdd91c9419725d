//! MPLS: a stack of labels, without a protocol field.
//!
//! ```text
//! | label 20 bits, class 3, bottom 1, TTL 8 | …
//! ```
//!
//! The content after the bottom label was agreed when the path was set up. It is
//! guessed as routers do (RFC 4928): IP packets start with 4 or 6, pseudowires with
//! a control word start with 0. A pseudowire without one starts with an Ethernet
//! address, which may start with 4 or 6 as well, so the length in the IP header has
//! to fit too.

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// LINKTYPE_MPLS: labels without a header before them.
pub(super) const LINK: Link = Link {
    number: LinkType(219),
    name: "MPLS",
    open: |bytes| Ok((Next::Mpls, bytes)),
    show: |_| None,
};

/// Reads all labels, and guesses what follows.
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let mut rest = bytes;
    loop {
        let label = rest.u32(0)?;
        rest = rest.skip(4)?;
        if label & 0x100 != 0 {
            break;
        }
    }
    let first = rest.u8(0)?;
    match first >> 4 {
        4 | 6 if looks_like_ip(rest) => Ok((Next::Ip, rest)),
        // The control word (RFC 4448): sequence numbers and such.
        0 if looks_like_ethernet(rest.skip(4)?) => Ok((Next::Ethernet, rest.skip(4)?)),
        _ if looks_like_ethernet(rest) => Ok((Next::Ethernet, rest)),
        _ => Err(Stop::NotIp),
    }
}

/// Whether the lengths of an IP header agree with the packet: no longer than
/// it, or 0 for segmentation left to the card.
fn looks_like_ip(bytes: Bytes<'_>) -> bool {
    let fits = |header: usize, length: Result<u16, Stop>| match length {
        Ok(0) => true,
        Ok(length) => (header..=bytes.wire()).contains(&usize::from(length)),
        // Cut before the length: the first four bits must do.
        Err(_) => true,
    };
    match bytes.u8(0) {
        Ok(first @ 0x45..=0x4f) => fits(usize::from(first & 0x0f) * 4, bytes.u16(2)),
        Ok(0x60..=0x6f) => {
            let length = bytes.u16(4).map(|length| length.saturating_add(40));
            fits(40, length)
        }
        _ => false,
    }
}

/// Whether there is an EtherType of IP at the offset of Ethernet's.
fn looks_like_ethernet(bytes: Bytes<'_>) -> bool {
    matches!(
        bytes.u16(12),
        Ok(0x0800 | 0x86dd | 0x8100 | 0x88a8 | 0x9100 | 0x8847 | 0x8864)
    )
}
