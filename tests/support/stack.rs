//! Carriers of a TCP segment: IP, fragments, tunnels, tags and link headers.
//!
//! A [`Stack`] is read from the outside in. `Stack { link: Link::Ethernet,
//! layers: vec![Layer::Vlan(5), Layer::Vxlan], .. }` is Ethernet, a tag, IP,
//! UDP, VXLAN, Ethernet, and then the IP packet of the conversation:
//!
//! ```text
//! | link | layers[0] | layers[1] | … | IP | TCP | MQTT |
//! ```
//!
//! Checksums are right. Outer IP headers of tunnels are IPv4.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use mqttdump::packet::{CapturedPacket, LinkType, PacketRef};
use mqttdump::time::Timestamp;

use super::wire::{Segment, Wire};

/// A captured packet that owns its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedPacket {
    /// How to read its first bytes.
    pub link: LinkType,
    /// When, in nanoseconds since the epoch.
    pub time: i64,
    /// Length on the wire.
    pub original_len: u32,
    /// The captured bytes.
    pub data: Vec<u8>,
}

impl OwnedPacket {
    /// As captured with this snap length.
    pub fn cut(mut self, snap: usize) -> Self {
        self.data.truncate(snap);
        self
    }

    /// As the packet with this number of the only file.
    pub fn captured(&self, number: u64) -> CapturedPacket<'_> {
        CapturedPacket {
            id: PacketRef { number, file: 0 },
            time: Timestamp::from_nanos(self.time),
            link_type: self.link,
            original_len: self.original_len,
            data: &self.data,
        }
    }
}

/// The headers around a segment.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    /// The outermost header.
    pub link: Link,
    /// Tags and tunnels, outermost first.
    pub layers: Vec<Layer>,
    /// Cut IP payloads of more than this many bytes into fragments; a
    /// multiple of 8.
    pub fragment: Option<usize>,
    /// Total length 0 in the IP header, as segmentation offload shows it.
    pub offload: bool,
    /// Zeros up to 60 bytes, as Ethernet pads.
    pub pad: bool,
}

/// The outermost header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Link {
    #[default]
    Ethernet,
    /// 802.3 with LLC and SNAP.
    Snap,
    Sll,
    Sll2,
    /// BSD loopback, address family in little-endian order.
    Null,
    /// The same in big-endian order.
    NullBig,
    Loop,
    /// IPv4 or IPv6 without a link header.
    Raw,
    /// LINKTYPE_IPV4 or LINKTYPE_IPV6.
    Ip,
    Ppp,
    /// PPPoE without Ethernet around it.
    PppEther,
    Wifi,
    /// 802.11 QoS data under a radiotap header.
    Radiotap,
    Nflog,
}

impl Link {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Ethernet,
        Self::Snap,
        Self::Sll,
        Self::Sll2,
        Self::Null,
        Self::NullBig,
        Self::Loop,
        Self::Raw,
        Self::Ip,
        Self::Ppp,
        Self::PppEther,
        Self::Wifi,
        Self::Radiotap,
        Self::Nflog,
    ];

    fn link_type(self, ether_type: u16) -> LinkType {
        LinkType(match self {
            Self::Ethernet | Self::Snap => 1,
            Self::Sll => 113,
            Self::Sll2 => 276,
            Self::Null | Self::NullBig => 0,
            Self::Loop => 108,
            Self::Raw => 101,
            Self::Ip if ether_type == IPV6 => 229,
            Self::Ip => 228,
            Self::Ppp => 9,
            Self::PppEther => 51,
            Self::Wifi => 105,
            Self::Radiotap => 127,
            Self::Nflog => 239,
        })
    }
}

/// A tag or a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// 802.1Q.
    Vlan(u16),
    /// 802.1ad.
    Qinq(u16),
    /// One entry, bottom of the stack.
    Mpls(u32),
    /// PPPoE session, over Ethernet.
    Pppoe,
    Gre,
    /// GRE with key and sequence number.
    GreKey,
    /// GRE carrying Ethernet.
    GreEthernet,
    IpIp,
    Vxlan,
    /// With 8 bytes of options.
    Geneve,
    Gtpu,
}

impl Layer {
    /// Each of them, with some numbers.
    pub const ALL: [Self; 11] = [
        Self::Vlan(5),
        Self::Qinq(7),
        Self::Mpls(1_000),
        Self::Pppoe,
        Self::Gre,
        Self::GreKey,
        Self::GreEthernet,
        Self::IpIp,
        Self::Vxlan,
        Self::Geneve,
        Self::Gtpu,
    ];
}

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

impl Stack {
    /// With this link header and nothing else special.
    pub fn link(link: Link) -> Self {
        Self {
            link,
            ..Self::default()
        }
    }

    /// Ethernet with these layers.
    pub fn layers(layers: &[Layer]) -> Self {
        Self {
            layers: layers.to_vec(),
            ..Self::default()
        }
    }

    /// The packets that carry a segment: one, or several fragments.
    pub fn packets(&self, wire: &Wire, segment: &Segment) -> Vec<OwnedPacket> {
        let (src, dst) = wire.endpoints(segment.way);
        let mut tcp = wire.tcp(segment);
        let sum = transport_checksum(src, dst, 6, &tcp);
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        let ether_type = if src.is_ipv4() { IPV4 } else { IPV6 };
        let ids = (segment.ip_id, self.fragment);
        let mut packets = ip_packets(src.ip(), dst.ip(), 6, &tcp, ids);
        if self.offload {
            for packet in &mut packets {
                offloaded(packet, ether_type);
            }
        }
        packets
            .into_iter()
            .enumerate()
            .map(|(i, packet)| {
                let (ether_type, packet) = self
                    .layers
                    .iter()
                    .rev()
                    .fold((ether_type, packet), |(t, p), layer| layer.wrap(t, p));
                let mut data = self.link.wrap(ether_type, packet);
                if self.pad && data.len() < 60 {
                    data.resize(60, 0);
                }
                OwnedPacket {
                    link: self.link.link_type(ether_type),
                    time: segment.time + i as i64,
                    original_len: data.len() as u32,
                    data,
                }
            })
            .collect()
    }
}

impl Layer {
    fn wrap(self, ether_type: u16, inner: Vec<u8>) -> (u16, Vec<u8>) {
        let ethernet = || Link::Ethernet.wrap(ether_type, inner.clone());
        match self {
            Self::Vlan(id) => (0x8100, tag(id, ether_type, &inner)),
            Self::Qinq(id) => (0x88a8, tag(id, ether_type, &inner)),
            Self::Mpls(label) => {
                let entry = (label << 12) | 0x100 | 64;
                (0x8847, join(&[&entry.to_be_bytes(), &inner]))
            }
            Self::Pppoe => (0x8864, pppoe(ether_type, &inner)),
            Self::Gre => {
                let header = join(&[&[0, 0], &ether_type.to_be_bytes()]);
                tunnel(47, &join(&[&header, &inner]))
            }
            Self::GreKey => {
                let header = join(&[
                    &[0x30, 0],
                    &ether_type.to_be_bytes(),
                    b"keyA",
                    b"\0\0\0\x09",
                ]);
                tunnel(47, &join(&[&header, &inner]))
            }
            Self::GreEthernet => tunnel(47, &join(&[&[0, 0, 0x65, 0x58], &ethernet()])),
            Self::IpIp if ether_type == IPV6 => tunnel(41, &inner),
            Self::IpIp => tunnel(4, &inner),
            Self::Vxlan => udp_tunnel(4789, &join(&[&[8, 0, 0, 0], &[0, 0, 42, 0], &ethernet()])),
            Self::Geneve => {
                let header = [2, 0, 0x65, 0x58, 0, 0, 42, 0, 1, 2, 3, 1, 9, 9, 9, 9];
                udp_tunnel(6081, &join(&[&header, &ethernet()]))
            }
            Self::Gtpu => {
                let length = (inner.len() as u16).to_be_bytes();
                udp_tunnel(
                    2152,
                    &join(&[&[0x30, 255], &length, &[0, 0, 0, 77], &inner]),
                )
            }
        }
    }
}

impl Link {
    fn wrap(self, ether_type: u16, inner: Vec<u8>) -> Vec<u8> {
        const MACS: &[u8] = &[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let protocol = ether_type.to_be_bytes();
        let family: u32 = if ether_type == IPV6 { 30 } else { 2 };
        let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &protocol, &inner]);
        match self {
            Self::Ethernet => join(&[MACS, &protocol, &inner]),
            Self::Snap => join(&[MACS, &(snap.len() as u16).to_be_bytes(), &snap]),
            Self::Sll => join(&[&[0, 0, 0, 1, 0, 6], &MACS[..6], &[0, 0], &protocol, &inner]),
            Self::Sll2 => join(&[
                &protocol,
                &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6],
                &MACS[..6],
                &[0, 0],
                &inner,
            ]),
            Self::Null => join(&[&family.to_le_bytes(), &inner]),
            Self::NullBig | Self::Loop => join(&[&family.to_be_bytes(), &inner]),
            Self::Raw | Self::Ip => inner,
            Self::Ppp => join(&[&[0xff, 3], &ppp_protocol(ether_type), &inner]),
            Self::PppEther => pppoe(ether_type, &inner),
            Self::Wifi => join(&[&[0x08, 1, 0, 0], MACS, &MACS[..6], &[0x10, 0], &snap]),
            Self::Radiotap => join(&[
                &[0, 0, 8, 0, 0, 0, 0, 0],
                &[0x88, 1, 0, 0],
                MACS,
                &MACS[..6],
                &[0x10, 0, 0, 0],
                &snap,
            ]),
            Self::Nflog => {
                let family = if ether_type == IPV6 { 10 } else { 2 };
                let header = [family, 0, 0, 0];
                let prefix = [5, 0, 10, 0, 0, 0, 0, 0];
                let length = (4 + inner.len() as u16).to_le_bytes();
                let mut data = join(&[&header, &prefix, &length, &[9, 0], &inner]);
                data.resize(data.len().next_multiple_of(4), 0);
                data
            }
        }
    }
}

fn tag(id: u16, ether_type: u16, inner: &[u8]) -> Vec<u8> {
    join(&[&id.to_be_bytes(), &ether_type.to_be_bytes(), inner])
}

fn pppoe(ether_type: u16, inner: &[u8]) -> Vec<u8> {
    let length = (2 + inner.len() as u16).to_be_bytes();
    join(&[&[0x11, 0, 0, 9], &length, &ppp_protocol(ether_type), inner])
}

fn ppp_protocol(ether_type: u16) -> [u8; 2] {
    match ether_type {
        IPV4 => [0x00, 0x21],
        IPV6 => [0x00, 0x57],
        _ => [0x02, 0x81],
    }
}

/// Outer addresses of all tunnels.
const OUTER: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2)];

fn tunnel(protocol: u8, payload: &[u8]) -> (u16, Vec<u8>) {
    let [src, dst] = OUTER;
    let mut packets = ip_packets(src.into(), dst.into(), protocol, payload, (0, None));
    (IPV4, packets.remove(0))
}

fn udp_tunnel(port: u16, payload: &[u8]) -> (u16, Vec<u8>) {
    let length = (8 + payload.len() as u16).to_be_bytes();
    let mut udp = join(&[&[0xc0, 0], &port.to_be_bytes(), &length, &[0, 0], payload]);
    let [src, dst] = OUTER.map(|ip| SocketAddr::new(ip.into(), 0));
    let sum = transport_checksum(src, dst, 17, &udp);
    udp[6..8].copy_from_slice(&sum.to_be_bytes());
    tunnel(17, &udp)
}

/// One IP packet, or its fragments; `(identification, fragment size)`.
fn ip_packets(
    src: IpAddr,
    dst: IpAddr,
    protocol: u8,
    payload: &[u8],
    (id, fragment): (u16, Option<usize>),
) -> Vec<Vec<u8>> {
    let size = fragment.unwrap_or(usize::MAX).min(payload.len()).max(8);
    let fragments = payload.chunks(size).enumerate();
    let last = payload.len().div_ceil(size) - 1;
    fragments
        .map(|(i, chunk)| {
            let offset = (i * size / 8) as u16;
            let more = i < last;
            match (src, dst) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => {
                    let total = (20 + chunk.len()) as u16;
                    let offset_and_more = offset | (u16::from(more) << 13);
                    let mut header = join(&[
                        &[0x45, 0],
                        &total.to_be_bytes(),
                        &id.to_be_bytes(),
                        &offset_and_more.to_be_bytes(),
                        &[64, protocol, 0, 0],
                        &src.octets(),
                        &dst.octets(),
                    ]);
                    let sum = checksum(&header);
                    header[10..12].copy_from_slice(&sum.to_be_bytes());
                    join(&[&header, chunk])
                }
                (IpAddr::V6(src), IpAddr::V6(dst)) => {
                    let offset_and_more = (offset << 3) | u16::from(more);
                    let with_header = join(&[
                        &[protocol, 0],
                        &offset_and_more.to_be_bytes(),
                        &u32::from(id).to_be_bytes(),
                    ]);
                    let (next, extension) = match last {
                        0 => (protocol, &[][..]),
                        _ => (44, &with_header[..]),
                    };
                    join(&[
                        &[0x60, 0, 0, 0],
                        &((extension.len() + chunk.len()) as u16).to_be_bytes(),
                        &[next, 64],
                        &src.octets(),
                        &dst.octets(),
                        extension,
                        chunk,
                    ])
                }
                _ => panic!("one IPv4 and one IPv6 address"),
            }
        })
        .collect()
}

fn offloaded(packet: &mut [u8], ether_type: u16) {
    if ether_type == IPV6 {
        packet[4..6].copy_from_slice(&[0, 0]);
    } else {
        packet[2..4].copy_from_slice(&[0, 0]);
        packet[10..12].copy_from_slice(&[0, 0]);
        let sum = checksum(&packet[..20]);
        packet[10..12].copy_from_slice(&sum.to_be_bytes());
    }
}

fn transport_checksum(src: SocketAddr, dst: SocketAddr, protocol: u8, bytes: &[u8]) -> u16 {
    let length = (bytes.len() as u32).to_be_bytes();
    let (src, dst) = match (src.ip(), dst.ip()) {
        (IpAddr::V4(s), IpAddr::V4(d)) => (s.octets().to_vec(), d.octets().to_vec()),
        (IpAddr::V6(s), IpAddr::V6(d)) => (s.octets().to_vec(), d.octets().to_vec()),
        _ => panic!("one IPv4 and one IPv6 address"),
    };
    checksum(&join(&[&src, &dst, &length, &[0, protocol], bytes]))
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u64 = bytes
        .chunks(2)
        .map(|pair| u64::from(pair[0]) << 8 | u64::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}
