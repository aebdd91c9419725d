//! Tunnels: packets and frames carried within IP.
//!
//! ```text
//! IP → protocol 4, 41          IP in IP
//!      protocol 47  → GRE   →  IP, Ethernet, ERSPAN, PPP, MPLS …
//!      protocol 97, 137        Ethernet, MPLS
//!      UDP 4789, 8472 → VXLAN → Ethernet
//!      UDP 6081       → GENEVE → Ethernet, IP …
//!      UDP 2152       → GTP-U → IP
//! ```
//!
//! A tunnel answers like a link layer: what comes next, and its bytes. The
//! known ports are guesses; where the bytes do not look like the tunnel, the
//! packet is UDP like any other.

mod erspan;
mod geneve;
mod gre;
mod gtp;
mod vxlan;

use super::ip::Ip;
use super::ip::protocol;
use crate::link::{Bytes, Next, Step, Stop};

/// What an IP packet carries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Content<'a> {
    /// A TCP segment.
    Tcp,
    /// Another frame or packet.
    Tunnel(Next, Bytes<'a>),
    /// The same, but only the port says so.
    UdpTunnel(Next, Bytes<'a>),
    /// UDP, of no tunnel that we know.
    Udp,
    /// Something else.
    Other(u8),
}

/// Tells what an IP packet, which is no fragment, carries.
#[inline]
pub(super) fn content<'a>(ip: &Ip<'a>) -> Result<Content<'a>, Stop> {
    let (next, bytes) = match ip.protocol {
        protocol::TCP => return Ok(Content::Tcp),
        protocol::UDP => match open_udp(ip.payload) {
            Ok((next, bytes)) => return Ok(Content::UdpTunnel(next, bytes)),
            Err(Stop::Cut) => return Err(Stop::Cut),
            Err(_) => return Ok(Content::Udp),
        },
        protocol::IPV4 | protocol::IPV6 => (Next::Ip, ip.payload),
        protocol::GRE => gre::open(ip.payload)?,
        // EtherIP, RFC 3378: a version and 12 reserved bits.
        protocol::ETHERIP => (Next::Ethernet, ip.payload.skip(2)?),
        protocol::MPLS => (Next::Mpls, ip.payload),
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

/// Takes the header of a tunnel off.
type Open = fn(Bytes<'_>) -> Step<'_>;

/// Tunnels within UDP, by destination port: the source port is a hash of what
/// is carried, so that routers spread it.
static UDP_TUNNELS: &[(u16, Open)] = &[
    (4789, vxlan::open),
    // What Linux used before VXLAN had a port of its own.
    (8472, vxlan::open),
    (6081, geneve::open),
    (2152, gtp::open),
];
