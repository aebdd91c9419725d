//! Tunnels: packets and frames carried within IP.
//!
//! ```text
//! IP → protocol 4, 41          IP in IP
//!      protocol 47  → GRE   →  IP, Ethernet, ERSPAN, PPP, MPLS …
//!      protocol 97, 137        Ethernet, MPLS
//!      UDP 4789, 8472 → VXLAN → Ethernet
//!      UDP 4790       → VXLAN-GPE → Ethernet, IP, MPLS
//!      UDP 6081       → GENEVE → Ethernet, IP …
//!      UDP 2152       → GTP-U → IP
//!      UDP 1701       → L2TP → PPP
//!      UDP 3544       → Teredo → IPv6
//!      UDP 5247       → CAPWAP → Ethernet, 802.11
//!      UDP 6635       → MPLS
//!      UDP 37008      → TZSP → Ethernet, 802.11
//! ```
//!
//! A tunnel decoder returns the next header and its bytes, like a link layer. The
//! known ports are guesses; if the bytes do not look like the tunnel, the packet
//! counts as other UDP.

mod capwap;
mod erspan;
mod geneve;
mod gre;
mod gtp;
mod l2tp;
mod teredo;
mod tzsp;
mod vxlan;

use super::ip::protocol;
use crate::link::{Bytes, Next, Step, Stop};

/// Content of an IP packet other than TCP.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// Another frame or packet.
    Tunnel(Next, Bytes<'a>),
    /// The same, but by port only.
    UdpTunnel(Next, Bytes<'a>),
    /// UDP that is not a known tunnel.
    Udp,
    /// Something else.
    Other(u8),
}

/// Kind of the payload of an IP packet that is not a fragment.
pub(super) fn content(protocol: u8, payload: Bytes<'_>) -> Result<Content<'_>, Stop> {
    let (next, bytes) = match protocol {
        protocol::UDP => match open_udp(payload) {
            Ok((next, bytes)) => return Ok(Content::UdpTunnel(next, bytes)),
            Err(Stop::Cut) => return Err(Stop::Cut),
            Err(_) => return Ok(Content::Udp),
        },
        protocol::IPV4 | protocol::IPV6 => (Next::Ip, payload),
        protocol::GRE => gre::open(payload)?,
        // EtherIP, RFC 3378: a version and 12 reserved bits.
        protocol::ETHERIP => (Next::Ethernet, payload.skip(2)?),
        protocol::MPLS => (Next::Mpls, payload),
        other => return Ok(Content::Other(other)),
    };
    Ok(Content::Tunnel(next, bytes))
}

fn open_udp(bytes: Bytes<'_>) -> Step<'_> {
    const HEADER: usize = 8;
    let port = bytes.u16(2)?;
    let Some((_, open)) = UDP_TUNNELS.iter().find(|(known, _)| *known == port) else {
        return Err(Stop::NotIp);
    };
    let datagram = match usize::from(bytes.u16(4)?) {
        // As in IP, 0 is segmentation left to the card, or a jumbogram.
        0 => bytes,
        length => bytes.at_most(length),
    };
    open(datagram.skip(HEADER)?)
}

/// Removes the header of a tunnel.
type Open = fn(Bytes<'_>) -> Step<'_>;

/// Tunnels over UDP, by destination port: the source port is a hash of the inner
/// packet, used for load balancing.
static UDP_TUNNELS: &[(u16, Open)] = &[
    (4789, vxlan::open),
    // Used by Linux before VXLAN had an assigned port.
    (8472, vxlan::open),
    (6081, geneve::open),
    (2152, gtp::open),
    (4790, vxlan::open_gpe),
    (1701, l2tp::open),
    (3544, teredo::open),
    (5247, capwap::open),
    // RFC 7510.
    (6635, |bytes| Ok((Next::Mpls, bytes))),
    (37008, tzsp::open),
];
