//! Ethernet (link type 1): Ethernet II, and 802.3 with a length in place of
//! the EtherType.
//!
//! ```text
//! | destination 6 | source 6 | EtherType or length 2 | … | padding |
//! ```
//!
//! Frames are at least 60 bytes long, so that short packets are followed by
//! padding; the length inside (802.3's or IP's) tells where it starts. The
//! checksum at the end is rarely captured, and is cut off the same way.

use std::fmt::Write as _;

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(1),
    name: "EN10MB",
    open,
    show,
};

/// Reads the two addresses and the EtherType.
#[inline]
pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let ether_type = bytes.u16(12)?;
    Ok((Next::EtherType(ether_type), bytes.skip(14)?))
}

/// Follows a length, which is what EtherTypes below 0x0600 are.
///
/// Lengths beyond 1,500 are not legal in 802.3 but in 802.11 aggregates, whose
/// frames have the same shape.
pub(super) fn open_802_3(length: u16, bytes: Bytes<'_>) -> Step<'_> {
    // Novell's "raw" 802.3 has an IPX checksum of FFFF here, and no LLC.
    if bytes.u16(0)? == 0xffff {
        return Err(Stop::NotIp);
    }
    Ok((Next::Llc, bytes.at_most(length.into())))
}

/// `00:11:22:33:44:55 > 66:77:88:99:aa:bb, ethertype IPv4 (0x0800)`, and the
/// tags in between.
pub(super) fn show(data: &[u8]) -> Option<String> {
    let (dst, rest) = data.split_first_chunk::<6>()?;
    let (src, rest) = rest.split_first_chunk::<6>()?;
    let mut text = format!("{} > {}", Mac(*src), Mac(*dst));
    show_ether_type(rest, &mut text);
    Some(text)
}

/// Adds `, ethertype IPv4 (0x0800)` for the EtherType that `rest` starts with,
/// and the VLAN tags that follow it.
pub(super) fn show_ether_type(mut rest: &[u8], text: &mut String) {
    while let Some((ether_type, behind)) = rest.split_first_chunk::<2>() {
        let ether_type = u16::from_be_bytes(*ether_type);
        // Writing to a String cannot fail.
        let _ = if ether_type < 0x0600 {
            write!(text, ", 802.3 length {ether_type}")
        } else {
            let name = ether_type_name(ether_type);
            write!(text, ", ethertype {name} (0x{ether_type:04x})")
        };
        match (ether_type, behind.split_first_chunk::<2>()) {
            (0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300, Some((tag, behind))) => {
                let tag = u16::from_be_bytes(*tag);
                let _ = write!(text, ", vlan {}, p {}", tag & 0x0fff, tag >> 13);
                if tag & 0x1000 != 0 {
                    text.push_str(", DEI");
                }
                rest = behind;
            }
            _ => return,
        }
    }
}

fn ether_type_name(ether_type: u16) -> &'static str {
    match ether_type {
        0x0800 => "IPv4",
        0x0806 => "ARP",
        0x86dd => "IPv6",
        0x8100 => "802.1Q",
        0x88a8 => "802.1Q-QinQ",
        0x9100 | 0x9200 | 0x9300 => "802.1Q-9100",
        0x8847 => "MPLS unicast",
        0x8848 => "MPLS multicast",
        0x8863 => "PPPoE D",
        0x8864 => "PPPoE S",
        0x88cc => "LLDP",
        0x888e => "EAPOL",
        0x88e5 => "MACsec",
        0x8909 => "CMD",
        0x892f => "HSR",
        0x8988 => "TTag",
        _ => "Unknown",
    }
}

/// A hardware address.
pub(super) struct Mac(pub(super) [u8; 6]);

impl std::fmt::Display for Mac {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}
