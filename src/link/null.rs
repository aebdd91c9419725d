//! BSD loopback: NULL (0), whose address family is in the byte order of the
//! machine that captured, and LOOP (108), whose is in network order.
//!
//! ```text
//! | address family 4 | IP packet
//! ```
//!
//! A file does not record which machine wrote it (its own byte order may be a
//! converter's), so both orders are accepted. Families are below 65,536, which makes
//! that unambiguous.

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// LINKTYPE_NULL.
pub(super) const NULL: Link = Link {
    number: LinkType(0),
    name: "NULL",
    open,
    show,
};
/// LINKTYPE_LOOP.
pub(super) const LOOP: Link = Link {
    number: LinkType(108),
    name: "LOOP",
    open,
    show,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    match name(family(bytes.array(0)?)) {
        Some(_) => Ok((Next::Ip, bytes.skip(4)?)),
        None => Err(Stop::NotIp),
    }
}

fn family(bytes: [u8; 4]) -> u32 {
    let big = u32::from_be_bytes(bytes);
    if big > 0xffff { big.swap_bytes() } else { big }
}

/// AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 23 on Windows, 24 on
/// NetBSD and OpenBSD, 26 on Solaris, 28 on FreeBSD, 30 on macOS.
fn name(family: u32) -> Option<&'static str> {
    match family {
        2 => Some("IPv4"),
        10 | 23 | 24 | 26 | 28 | 30 => Some("IPv6"),
        _ => None,
    }
}

/// `AF IPv4 (2)`.
fn show(data: &[u8]) -> Option<String> {
    let family = family(*data.first_chunk()?);
    Some(format!(
        "AF {} ({family})",
        name(family).unwrap_or("Unknown")
    ))
}
