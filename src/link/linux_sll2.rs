//! Linux cooked capture, version 2 (link type 276): used by `any` since libpcap 1.10;
//! it has the interface number.
//!
//! ```text
//! | protocol 2 | 0 2 | interface 4 | ARPHRD 2 | packet type 1 | address length 1 | address 8 | …
//! ```

use super::ethernet::{Mac, show_ether_type};
use super::{Bytes, Link, Step, linux_sll};
use crate::packet::{CapturedPacket, LinkType};

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(276),
    name: "LINUX_SLL2",
    open,
    show,
};

/// The number of the interface that captured the packet, and its direction: `In`,
/// `Out`, or `B`, `M`, `P` for broadcast, multicast and others' packets. `None` for
/// other link types.
pub fn cooked_interface(packet: &CapturedPacket<'_>) -> Option<(u32, &'static str)> {
    let header = packet.data.get(..20)?;
    let index = header.get(4..)?.first_chunk()?;
    let kind = header.get(10)?;
    let of_any = packet.link_type == LINK.number;
    of_any.then(|| (u32::from_be_bytes(*index), linux_sll::direction(*kind)))
}

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let protocol = bytes.u16(0)?;
    let arphrd = bytes.u16(8)?;
    Ok((linux_sll::next(arphrd, protocol)?, bytes.skip(20)?))
}

/// `ifindex 2 In 00:11:22:33:44:55, ethertype IPv4 (0x0800)`.
fn show(data: &[u8]) -> Option<String> {
    let (header, behind) = data.split_first_chunk::<20>()?;
    let [
        t0,
        t1,
        _,
        _,
        i0,
        i1,
        i2,
        i3,
        _,
        _,
        kind,
        length,
        a,
        b,
        c,
        d,
        e,
        f,
        _,
        _,
    ] = *header;
    let interface = u32::from_be_bytes([i0, i1, i2, i3]);
    let mut text = format!("ifindex {interface} {}", linux_sll::direction(kind));
    if length == 6 {
        text.push_str(&format!(" {}", Mac([a, b, c, d, e, f])));
    }
    // The EtherType stands first here, so that a VLAN tag would not follow it.
    let mut tags = vec![t0, t1];
    tags.extend_from_slice(behind.get(..behind.len().min(64)).unwrap_or_default());
    show_ether_type(&tags, &mut text);
    Some(text)
}
