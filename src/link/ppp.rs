//! PPP: link type 9, and 50 for PPP in HDLC-like framing (also as Cisco HDLC,
//! which shares the link).
//!
//! ```text
//! | FF | 03 | protocol 2 | …      address and control may be left out,
//!           | protocol 1 | …      and the protocol compressed to one byte
//! ```
//!
//! Compressed TCP headers (Van Jacobson's, 0x002d and 0x002f) need the
//! history of the link, and are not decoded.

use super::{Bytes, Link, Next, Step, Stop, chdlc};
use crate::packet::LinkType;

/// LINKTYPE_PPP.
pub(super) const PPP: Link = Link {
    number: LinkType(9),
    name: "PPP",
    open: |bytes| Ok((Next::Ppp, bytes)),
    show: |_| None,
};
/// LINKTYPE_PPP_HDLC.
pub(super) const PPP_SERIAL: Link = Link {
    number: LinkType(50),
    name: "PPP_SERIAL",
    open: open_serial,
    show: |_| None,
};
/// LINKTYPE_PPP_WITH_DIR: a byte before it tells received (0) from sent (1).
pub(super) const PPP_WITH_DIR: Link = Link {
    number: LinkType(204),
    name: "PPP_WITH_DIR",
    open: |bytes| Ok((Next::Ppp, bytes.skip(1)?)),
    show: |_| None,
};

/// Reads a PPP frame with or without address and control.
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let bytes = match bytes.array(0) {
        Ok([0xff, 0x03]) => bytes.skip(2)?,
        _ => bytes,
    };
    // RFC 1661, section 6.5: the last byte of a protocol number is odd, the
    // first of two is even.
    let first = bytes.u8(0)?;
    let (protocol, header) = if first & 1 == 1 {
        (first.into(), 1)
    } else {
        (bytes.u16(0)?, 2)
    };
    let next = match protocol {
        0x0021 | 0x0057 => Next::Ip,
        0x0281 | 0x0283 => Next::Mpls,
        _ => return Err(Stop::NotIp),
    };
    Ok((next, bytes.skip(header)?))
}

/// PPP_SERIAL: the address tells PPP from Cisco HDLC.
fn open_serial(bytes: Bytes<'_>) -> Step<'_> {
    match bytes.u8(0)? {
        0x0f | 0x8f => chdlc::open(bytes),
        _ => Ok((Next::Ppp, bytes)),
    }
}
