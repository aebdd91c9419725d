//! Linux cooked capture (link type 113): used by `any` before libpcap 1.10.
//!
//! ```text
//! | packet type 2 | ARPHRD 2 | address length 2 | address 8 | protocol 2 | …
//! ```

use super::ethernet::{Mac, show_ether_type};
use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(113),
    name: "LINUX_SLL",
    open,
    show,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let arphrd = bytes.u16(2)?;
    let protocol = bytes.u16(14)?;
    Ok((next(arphrd, protocol)?, bytes.skip(16)?))
}

/// What protocol and hardware type say, here and in the second version.
///
/// The protocol is an EtherType, or one of Linux's own numbers for frames that
/// have none. Netlink (ARPHRD 824) puts a family number there that would pass
/// for either.
pub(super) fn next(arphrd: u16, protocol: u16) -> Result<Next, Stop> {
    const ARPHRD_NETLINK: u16 = 824;
    const ETH_P_802_2: u16 = 4;
    match protocol {
        _ if arphrd == ARPHRD_NETLINK => Err(Stop::NotIp),
        ETH_P_802_2 => Ok(Next::Llc),
        0x0600.. => Ok(Next::EtherType(protocol)),
        _ => Err(Stop::NotIp),
    }
}

/// `In 00:11:22:33:44:55, ethertype IPv4 (0x0800)`.
fn show(data: &[u8]) -> Option<String> {
    let header = data.first_chunk::<16>()?;
    let [_, kind, _, _, _, length, a, b, c, d, e, f, ..] = *header;
    let mut text = String::from(direction(kind));
    if length == 6 {
        text.push_str(&format!(" {}", Mac([a, b, c, d, e, f])));
    }
    show_ether_type(data.get(14..)?, &mut text);
    Some(text)
}

/// The packet type as tcpdump names it.
pub(super) fn direction(kind: u8) -> &'static str {
    match kind {
        0 => "In",
        1 => "B",
        2 => "M",
        3 => "P",
        4 => "Out",
        _ => "?",
    }
}
