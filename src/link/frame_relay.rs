//! Frame relay (link type 107), RFC 2427, and Cisco's own encapsulation.
//!
//! ```text
//! | Q.922 address 2-4 | 03 | [pad 00] | NLPID | …      RFC 2427
//! | Q.922 address 2-4 | EtherType 2 | …                Cisco
//! ```

use super::{Bytes, Link, Next, Step, Stop, llc};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(107),
    name: "FRELAY",
    open,
    show: |_| None,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let bytes = bytes.skip(address_len(bytes)?)?;
    let control = bytes.u8(0)?;
    if control != 0x03 {
        return match bytes.u16(0)? {
            ether_type @ 0x0600.. => Ok((Next::EtherType(ether_type), bytes.skip(2)?)),
            _ => Err(Stop::NotIp),
        };
    }
    let bytes = match bytes.u8(1)? {
        0 => bytes.skip(2)?,
        _ => bytes.skip(1)?,
    };
    let rest = bytes.skip(1)?;
    match bytes.u8(0)? {
        0xcc | 0x8e => Ok((Next::Ip, rest)),
        0x80 => llc::open_snap(rest),
        0xcf => Ok((Next::Ppp, rest)),
        _ => Err(Stop::NotIp),
    }
}

/// The lowest bit of an address byte says that it is the last, which the first
/// cannot be.
fn address_len(bytes: Bytes<'_>) -> Result<usize, Stop> {
    if bytes.u8(0)? & 1 == 1 {
        return Err(Stop::Malformed);
    }
    for at in 1..4 {
        if bytes.u8(at)? & 1 == 1 {
            return Ok(at + 1);
        }
    }
    Err(Stop::Malformed)
}
