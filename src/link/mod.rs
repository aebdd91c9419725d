//! Link layers: from the first captured byte to the start of the IP packet.
//!
//! Each link type has a file with a function that decodes *one* header and returns
//! what comes next, and an entry in [`LINKS`]. Headers that can follow each other in
//! any order and depth (VLAN tags, MPLS, PPPoE, LLC) are steps of one loop,
//! `peel`:
//!
//! ```text
//! RADIOTAP → 802.11 → LLC/SNAP ─┐
//! EN10MB ───────────────────────┤ EtherType → VLAN → VLAN → MPLS → IP
//! LINUX_SLL ────────────────────┘
//! PPP → IP        NULL → IP        RAW → IP
//! ```
//!
//! Everything here is stateless and independent of IP; tunnels (`net::tunnel`)
//! return to `peel` with the frame they carry.

mod bytes;
mod chdlc;
mod describe;
mod dsa;
mod enc;
mod ethernet;
pub(crate) mod exported_pdu;
mod fddi;
mod frame_relay;
mod ieee80211;
mod linux_sll;
mod linux_sll2;
mod llc;
mod mpls;
mod names;
mod nflog;
mod null;
mod pflog;
mod pktap;
mod ppi;
mod ppp;
mod pppoe;
mod prism;
mod radiotap;
mod raw;
#[cfg(test)]
pub(crate) mod samples;
mod tags;
mod token_ring;
mod vlan;

pub(crate) use bytes::Bytes;
pub use describe::describe;
pub use linux_sll2::cooked_interface;

use std::fmt;

use crate::packet::LinkType;

/// A supported link type.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// Its number in the registry of LINKTYPE_ values.
    pub number: LinkType,
    /// Its name as libpcap and tcpdump's `-L` and `-y` have it.
    pub name: &'static str,
    /// Reads its header.
    open: fn(Bytes<'_>) -> Step<'_>,
    /// Prints its header, without a length, for `-e`.
    show: fn(&[u8]) -> Option<String>,
}

/// The supported link types, common ones first.
pub static LINKS: &[Link] = &[
    ethernet::LINK,
    linux_sll::LINK,
    linux_sll2::LINK,
    raw::RAW,
    null::NULL,
    null::LOOP,
    radiotap::LINK,
    ieee80211::LINK,
    ppp::PPP,
    ppp::PPP_SERIAL,
    ppp::PPP_WITH_DIR,
    pppoe::LINK,
    raw::IPV4,
    raw::IPV6,
    raw::RAW_12,
    raw::RAW_14,
    nflog::LINK,
    chdlc::LINK,
    frame_relay::LINK,
    ppi::LINK,
    prism::PRISM,
    prism::AVS,
    token_ring::LINK,
    fddi::LINK,
    llc::ATM_RFC1483,
    mpls::LINK,
    pflog::LINK,
    pktap::LINK,
    enc::LINK,
    dsa::DSA,
    dsa::EDSA,
    dsa::BRCM,
    dsa::BRCM_PREPEND,
    exported_pdu::LINK,
];

/// The name of a link type, including many unsupported ones.
///
/// ```
/// use mqttdump::{link, packet::LinkType};
/// assert_eq!(link::name(LinkType(1)), Some("EN10MB"));
/// assert_eq!(link::name(LinkType(271)), Some("VSOCK"));
/// assert_eq!(link::name(LinkType(65000)), None);
/// ```
pub fn name(link_type: LinkType) -> Option<&'static str> {
    find(link_type)
        .map(|link| link.name)
        .or_else(|| names::name(link_type))
}

/// Its name, or `LINKTYPE_65000`.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match name(*self) {
            Some(name) => f.write_str(name),
            None => write!(f, "LINKTYPE_{}", self.0),
        }
    }
}

/// Whether packets of this link type can be decoded.
pub fn is_known(link_type: LinkType) -> bool {
    find(link_type).is_some()
}

fn find(link_type: LinkType) -> Option<&'static Link> {
    LINKS.iter().find(|link| link.number == link_type)
}

/// Ethernet.
pub(crate) const ETHERNET: LinkType = ethernet::LINK.number;

/// Result of a header decoder: what follows, and its bytes.
pub(crate) type Step<'a> = Result<(Next, Bytes<'a>), Stop>;

/// What follows a header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Next {
    /// A packet of a link type of its own.
    Link(LinkType),
    /// An Ethernet frame.
    Ethernet,
    /// An EtherType, or an 802.3 length in its place.
    EtherType(u16),
    /// An 802.2 LLC header.
    Llc,
    /// A PPP frame, from its protocol number or the HDLC bytes before it.
    Ppp,
    /// A PPPoE session header.
    Pppoe,
    /// A stack of MPLS labels.
    Mpls,
    /// An 802.11 frame.
    Ieee80211(ieee80211::Shape),
    /// An 802.11 aggregate of several frames.
    Amsdu,
    /// An IP packet; its first four bits are the version.
    Ip,
}

impl Next {
    /// Whether an IP packet follows.
    #[inline(always)]
    pub(crate) fn is_ip(self) -> bool {
        matches!(self, Self::Ip | Self::EtherType(0x0800 | 0x86dd))
    }
}

/// Why a packet was not followed to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    /// A header lies beyond the captured bytes.
    Cut,
    /// A header contradicts itself, or is longer than the packet.
    Malformed,
    /// It carries something other than IP.
    NotIp,
    /// An encrypted 802.11 or MACsec frame.
    Encrypted,
    /// A link type that is not in [`LINKS`].
    UnknownLinkType(LinkType),
}

/// What was found on the way to an IP packet, and which of several inner frames to
/// decode.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Walk {
    /// There was a VLAN tag.
    pub(crate) vlan: bool,
    /// There was an MPLS label.
    pub(crate) mpls: bool,
    /// There was a PPPoE header.
    pub(crate) pppoe: bool,
    /// There was a tunnel: an IP packet around the innermost one.
    pub(crate) tunnel: bool,
    /// Index of the frame of an 802.11 aggregate to decode.
    pub(crate) subframe: Subframe,
    /// The next frame of the aggregate, if there is one.
    pub(crate) next_subframe: Option<Subframe>,
}

/// A frame of an 802.11 aggregate (A-MSDU). The default is the first, and the
/// only one of every other packet.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Subframe {
    /// Its number, from 0.
    index: u16,
    /// Start in bytes, from the first.
    offset: u32,
}

impl Subframe {
    /// Whether it is the first of its packet.
    pub fn is_first(self) -> bool {
        self.index == 0
    }
}

impl Walk {
    /// Whether a BPF expression without `vlan`, `mpls` or the like would have
    /// looked for the innermost IP header at the wrong offset.
    pub(crate) fn wrapped(&self) -> bool {
        self.vlan || self.mpls || self.pppoe || self.tunnel
    }
}

/// Follows headers until an IP packet starts.
///
/// Each step consumes bytes, so that it ends for every input.
#[inline(always)]
pub(crate) fn peel<'a>(
    mut next: Next,
    mut bytes: Bytes<'a>,
    walk: &mut Walk,
) -> Result<Bytes<'a>, Stop> {
    loop {
        if next.is_ip() {
            return Ok(bytes);
        }
        (next, bytes) = match next {
            // A call costs more than this header.
            Next::Link(ETHERNET) | Next::Ethernet => ethernet::open(bytes)?,
            other => step(other, bytes, walk)?,
        };
    }
}

/// Reads one header. `next` is not IP.
pub(crate) fn step<'a>(next: Next, bytes: Bytes<'a>, walk: &mut Walk) -> Step<'a> {
    match next {
        Next::Ip => Ok((Next::Ip, bytes)),
        Next::Ethernet => ethernet::open(bytes),
        Next::EtherType(ether_type) => match ether_type {
            0..0x0600 => ethernet::open_802_3(ether_type, bytes),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300 => {
                walk.vlan = true;
                vlan::open(bytes)
            }
            0x8847 | 0x8848 => Ok((Next::Mpls, bytes)),
            0x8864 => Ok((Next::Pppoe, bytes)),
            // Transparent Ethernet bridging and PPP, as GRE names them.
            0x6558 => Ok((Next::Ethernet, bytes)),
            0x880b => Ok((Next::Ppp, bytes)),
            other => tags::open(other, bytes).unwrap_or(Err(Stop::NotIp)),
        },
        Next::Link(link_type) => match find(link_type) {
            Some(link) => (link.open)(bytes),
            None => Err(Stop::UnknownLinkType(link_type)),
        },
        Next::Llc => llc::open(bytes),
        Next::Ppp => ppp::open(bytes),
        Next::Pppoe => {
            walk.pppoe = true;
            pppoe::open(bytes)
        }
        Next::Mpls => {
            walk.mpls = true;
            mpls::open(bytes)
        }
        Next::Ieee80211(shape) => ieee80211::open(bytes, shape),
        Next::Amsdu => {
            let (frame, next) = ieee80211::open_amsdu(bytes, walk.subframe)?;
            walk.next_subframe = next;
            Ok((Next::Ethernet, frame))
        }
    }
}
