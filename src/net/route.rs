//! Which conversation a packet belongs to, as far as the packet alone shows it: what
//! is needed to keep the packets of a connection together.
//!
//! ```text
//! whole packet         ports of the innermost TCP or UDP header
//! first fragment       the same, and the datagram that it is part of
//! other fragment       only the datagram
//! ```
//! Nothing is reassembled, and nothing beyond the ports is read.

use std::net::IpAddr;

use super::ip::Ip;
use super::usual::Usual;
use super::{Endpoint, exported, ip, protocol, tunnel, whole_packet};
use crate::limits;
use crate::link::{self, Next, Subframe, Walk};
use crate::packet::CapturedPacket;

/// A fragmented IP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct DatagramKey {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    /// 0 for IPv6, where only the first fragment has it.
    protocol: u8,
    /// Number of IP headers around it.
    depth: usize,
}

/// What a packet shows of its conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Route {
    /// Sender and receiver of the innermost TCP segment or UDP datagram.
    pub ends: Option<(Endpoint, Endpoint)>,
    /// They are those of a TCP segment.
    pub is_tcp: bool,
    /// The fragmented datagrams that the packet is part of, the outermost first; the
    /// rest is `None`.
    pub fragments: [Option<DatagramKey>; limits::FRAGMENT_DEPTH],
    /// Another frame of an 802.11 aggregate.
    pub next_subframe: Option<Subframe>,
}

impl Route {
    /// Sender and receiver of a TCP segment without anything unusual around it, so that
    /// they are its route; most are.
    #[inline]
    pub fn usual(packet: &CapturedPacket<'_>) -> Option<(Endpoint, Endpoint)> {
        Some(Usual::of(packet)?.ends())
    }

    /// That of a packet.
    pub fn of(packet: &CapturedPacket<'_>) -> Self {
        Self::of_subframe(packet, Subframe::default())
    }

    /// That of one frame of an 802.11 aggregate, or of the packet itself.
    pub fn of_subframe(packet: &CapturedPacket<'_>, subframe: Subframe) -> Self {
        let mut route = Self::default();
        if let Some(pdu) = exported::pdu(packet)
            && let (Some(src), Some(dst), Some(ports)) = (pdu.src, pdu.dst, pdu.ports)
        {
            route.ends = Some(ends((src, dst), ports));
            route.is_tcp = true;
            return route;
        }
        let mut walk = Walk {
            subframe,
            ..Walk::default()
        };
        route.follow(packet, &mut walk);
        route.next_subframe = walk.next_subframe;
        route
    }

    fn follow(&mut self, packet: &CapturedPacket<'_>, walk: &mut Walk) {
        let mut next = Next::Link(packet.link_type);
        let mut bytes = whole_packet(packet);
        let mut keys = self.fragments.iter_mut();
        for depth in 0..limits::TUNNEL_DEPTH {
            let Ok(mut ip) = link::peel(next, bytes, walk).and_then(ip::open) else {
                return;
            };
            let (src, dst) = (ip.addresses.src(), ip.addresses.dst());
            if let Some(fragment) = ip.fragment {
                let Some(key) = keys.next() else { return };
                *key = Some(DatagramKey {
                    src,
                    dst,
                    id: fragment.id,
                    protocol: if ip.addresses.is_v4() { ip.protocol } else { 0 },
                    depth,
                });
                if fragment.offset > 0 {
                    // The ports of a tunnel around it are not those of its connection.
                    self.ends = None;
                    return;
                }
                let whole = Ip {
                    fragment: None,
                    ..ip
                };
                match ip::extensions(whole) {
                    Ok(opened) => ip = opened,
                    Err(_) => return,
                }
            }
            let is_udp = ip.protocol == protocol::UDP;
            if ip.protocol == protocol::TCP || is_udp {
                let (Ok(from), Ok(to)) = (ip.payload.u16(0), ip.payload.u16(2)) else {
                    return;
                };
                // That around a tunnel, unless another is found inside.
                self.ends = Some(ends((src, dst), (from, to)));
                self.is_tcp = !is_udp;
                if !is_udp {
                    return;
                }
            }
            match tunnel::content(ip.protocol, ip.payload) {
                Ok(
                    tunnel::Content::Tunnel(inner, rest) | tunnel::Content::UdpTunnel(inner, rest),
                ) => {
                    (next, bytes) = (inner, rest);
                }
                _ => return,
            }
            walk.tunnel = true;
        }
    }
}

fn ends((src, dst): (IpAddr, IpAddr), (from, to): (u16, u16)) -> (Endpoint, Endpoint) {
    let endpoint = |addr, port| Endpoint { addr, port };
    (endpoint(src, from), endpoint(dst, to))
}
