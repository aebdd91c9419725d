//! From captured packets to TCP segments and UDP datagrams.
//!
//! ```text
//! captured packet → link layers → IP ─┬→ TCP → Segment, UDP → Datagram
//!                        ↑            ├→ fragment: wait, join ─→ (as if whole)
//!                        └── tunnel ←─┘
//! ```
//!
//! A [`Decoder`] is stateless except for incomplete IP fragments. It decodes tags and
//! tunnels up to the innermost TCP header, and passes the payload on without copying
//! it. Packets without TCP, or that cannot be decoded, are counted by reason in
//! [`Counters`].
//!
//! It does not know connections, and never guesses bytes that were not captured:
//! [`Segment::cut`] is their number.
//!
//! ```
//! use mqttdump::net::{Decoded, Decoder};
//! use mqttdump::packet::{CapturedPacket, LinkType, PacketRef};
//! use mqttdump::time::Timestamp;
//!
//! let ip_and_tcp = [
//!     0x45, 0, 0, 42, 0, 7, 0, 0, 64, 6, 0, 0, 10, 0, 0, 7, 10, 0, 1, 1, // IPv4
//!     0x9c, 0xba, 0x07, 0x5b, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0, // TCP
//!     0xc0, 0x00, // PINGREQ
//! ];
//! let packet = CapturedPacket {
//!     id: PacketRef { number: 1, file: 0 },
//!     time: Timestamp::from_nanos(0),
//!     link_type: LinkType(101), // RAW
//!     original_len: 42,
//!     data: &ip_and_tcp,
//! };
//! let mut decoder = Decoder::new(false);
//! let Decoded::Segment(segment) = decoder.decode(&packet) else { panic!() };
//! assert_eq!(segment.dst.to_string(), "10.0.1.1:1883");
//! assert_eq!(segment.payload, [0xc0, 0x00]);
//! ```

mod anatomy;
pub(crate) mod checksum;
mod datagram;
mod exported;
mod fragment;
mod ip;
mod measure;
mod route;
mod segment;
mod tcp;
#[cfg(test)]
mod tests;
mod tunnel;
mod usual;

use std::collections::BTreeMap;

pub use anatomy::Anatomy;
pub use datagram::{Application, Datagram};
pub use fragment::FragmentCounters;
use fragment::{Around, Fragments, Joined};
use ip::{Ip, protocol};
pub use route::{DatagramKey, Route};
pub use segment::{Endpoint, Segment, TcpFlags};
use tunnel::Content;
use usual::Usual;

use crate::limits;
pub use crate::link::Subframe;
use crate::link::{self, Bytes, Next, Stop, Walk};
use crate::packet::{CapturedPacket, LinkType, PacketRef};

/// Result of decoding a captured packet.
#[derive(Clone, Copy, Debug)]
pub enum Decoded<'a> {
    /// It carried a TCP segment, or completed one.
    Segment(Segment<'a>),
    /// It carried a UDP datagram that is no tunnel, or completed one.
    Datagram(Datagram<'a>),
    /// Neither, for this reason.
    Other(Other),
}

/// Why a packet gave neither a TCP segment nor a UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Other {
    /// It carries something other than IP: ARP, spanning tree, 802.11
    /// management.
    NotIp,
    /// Another IP protocol, by its number; 50 (ESP) is encrypted.
    OtherIp(u8),
    /// An IP fragment that completed no datagram, or a duplicate.
    Fragment,
    /// The snap length cut one of its headers.
    Cut,
    /// One of its headers contradicts itself.
    Malformed,
    /// An unsupported link type.
    UnknownLinkType(LinkType),
    /// An encrypted 802.11 or MACsec frame.
    EncryptedFrame,
    /// Headers are nested deeper than [`limits::TUNNEL_DEPTH`].
    TooDeep,
}

impl From<Stop> for Other {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Cut => Self::Cut,
            Stop::Malformed => Self::Malformed,
            Stop::NotIp => Self::NotIp,
            Stop::Encrypted => Self::EncryptedFrame,
            Stop::UnknownLinkType(link_type) => Self::UnknownLinkType(link_type),
        }
    }
}

/// Counts of packets by result. Each packet (in 802.11 aggregates, each frame) is
/// counted by exactly one of `segments` to `too_deep`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// TCP segments.
    pub segments: u64,
    /// Packets without IP.
    pub not_ip: u64,
    /// UDP datagrams that are no tunnels.
    pub datagrams: u64,
    /// Packets of other IP protocols.
    pub other_ip: u64,
    /// IP fragments that completed no datagram (see `fragments` for their outcome).
    pub waiting: u64,
    /// Packets of which the snap length cut a header.
    pub cut: u64,
    /// Packets with a header that contradicts itself.
    pub malformed: u64,
    /// Packets by unsupported link types, also within PPI headers.
    pub undecodable: BTreeMap<LinkType, u64>,
    /// Encrypted 802.11 or MACsec frames.
    pub encrypted_frames: u64,
    /// Packets nested deeper than [`limits::TUNNEL_DEPTH`].
    pub too_deep: u64,

    /// Segments whose payload the snap length cut.
    pub cut_segments: u64,
    /// Segments with a wrong TCP checksum, if verified.
    pub wrong_checksums: u64,
    /// Packets with a VLAN tag.
    pub vlan: u64,
    /// Packets with an MPLS label.
    pub mpls: u64,
    /// Packets with a PPPoE header.
    pub pppoe: u64,
    /// Packets with a tunnel, an IP packet around another packet or frame.
    pub tunnelled: u64,
    /// Outcome of IP fragments.
    pub fragments: FragmentCounters,
}

/// Decodes captured packets, and joins IP fragments.
#[derive(Debug)]
pub struct Decoder {
    verify_checksums: bool,
    fragments: Fragments,
    /// Buffers for joined datagrams, one for each level of fragments within
    /// fragmented tunnels.
    joined: [Joined; limits::FRAGMENT_DEPTH],
    exported: exported::Exported,
    /// Which frame of an 802.11 aggregate comes next, if there is another.
    next_subframe: Option<Subframe>,
    /// For a TCP header whose options were cut.
    room: [u8; tcp::LONGEST],
    counters: Counters,
}

impl Decoder {
    /// A decoder that waits for no fragments yet.
    pub fn new(verify_checksums: bool) -> Self {
        Self {
            verify_checksums,
            fragments: Fragments::default(),
            joined: Default::default(),
            exported: exported::Exported::default(),
            next_subframe: None,
            room: [0; tcp::LONGEST],
            counters: Counters::default(),
        }
    }

    /// Decodes a packet. Its segment borrows from the packet, or from this
    /// decoder if it was reassembled from fragments.
    #[inline]
    pub fn decode<'a>(&'a mut self, packet: &CapturedPacket<'a>) -> Decoded<'a> {
        self.decode_subframe(packet, Subframe::default())
    }

    /// Decodes the next frame of the packet decoded last, if it is an 802.11 aggregate
    /// (A-MSDU). `None` for nearly every packet.
    #[inline]
    pub fn next_subframe(&mut self) -> Option<Subframe> {
        self.next_subframe.take()
    }

    /// Counts so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Datagrams of which fragments lack now, at the end of a capture: that
    /// will never be joined.
    pub fn waiting_datagrams(&self) -> usize {
        self.fragments.waiting()
    }

    /// Decodes one frame of an 802.11 aggregate, or the packet itself.
    #[inline]
    pub fn decode_subframe<'a>(
        &'a mut self,
        packet: &CapturedPacket<'a>,
        subframe: Subframe,
    ) -> Decoded<'a> {
        if !self.verify_checksums
            && let Some(usual) = Usual::of(packet)
        {
            self.counters.segments += 1;
            return Decoded::Segment(usual.segment(packet));
        }
        self.decode_headers(packet, subframe)
    }

    /// Follows one header after the other.
    ///
    /// The segment is put together only where it is handed out: moving it
    /// costs more than all the rest.
    fn decode_headers<'a>(
        &'a mut self,
        packet: &CapturedPacket<'a>,
        subframe: Subframe,
    ) -> Decoded<'a> {
        if let Some(pdu) = exported::pdu(packet)
            && let Some(segment) = self.exported.segment(packet, &pdu)
        {
            self.counters.segments += 1;
            self.counters.cut_segments += u64::from(segment.cut > 0);
            return Decoded::Segment(segment);
        }
        let mut walk = Walk {
            subframe,
            ..Walk::default()
        };
        let fragments = &mut self.fragments;
        let counters = &mut self.counters;
        let found = follow(
            packet,
            &mut walk,
            fragments,
            &mut self.joined,
            &mut counters.fragments,
        );
        self.next_subframe = walk.next_subframe;
        if walk.wrapped() {
            counters.count_wrapping(&walk);
        }
        let opened = match found {
            Ok((ip, earlier)) if ip.protocol == protocol::UDP => {
                return match datagram(packet, &ip, earlier) {
                    Ok(datagram) => {
                        counters.datagrams += 1;
                        Decoded::Datagram(datagram)
                    }
                    Err(stop) => {
                        counters.count(stop.into());
                        Decoded::Other(stop.into())
                    }
                };
            }
            Ok((ip, _)) => tcp::open(ip.payload, &mut self.room).map_err(Other::from),
            Err(other) => Err(other),
        };
        let ((header, payload), (ip, fragments)) = match (opened, found) {
            (Ok(opened), Ok(found)) => (opened, found),
            (Err(other), _) | (_, Err(other)) => {
                counters.count(other);
                return Decoded::Other(other);
            }
        };
        let checksum_ok = (self.verify_checksums && payload.cut() == 0)
            .then(|| tcp::is_checksum_right(&header, ip, payload.captured()));
        counters.segments += 1;
        counters.cut_segments += u64::from(payload.cut() > 0);
        counters.wrong_checksums += u64::from(checksum_ok == Some(false));
        Decoded::Segment(Segment {
            packet: packet.id,
            time: packet.time,
            src: Endpoint {
                addr: ip.addresses.src(),
                port: header.source_port(),
            },
            dst: Endpoint {
                addr: ip.addresses.dst(),
                port: header.destination_port(),
            },
            seq: header.sequence_number(),
            ack: header.acknowledgment_number(),
            flags: tcp::flags(&header),
            window: header.window_size(),
            window_scale: tcp::window_scale(&header),
            ttl: ip.ttl,
            payload: payload.captured(),
            cut: u32::try_from(payload.cut()).unwrap_or(u32::MAX),
            copy_marks: (ip.identification, header.checksum()),
            checksum_ok,
            fragments,
        })
    }
}

/// Decodes headers up to the innermost IP packet with TCP, or with UDP that is no
/// tunnel. Also returns the earlier packets whose fragments it was reassembled from.
#[inline(always)]
fn follow<'a>(
    packet: &CapturedPacket<'a>,
    walk: &mut Walk,
    fragments: &mut Fragments,
    mut spare: &'a mut [Joined],
    counters: &mut FragmentCounters,
) -> Result<(Ip<'a>, &'a [PacketRef]), Other> {
    let mut next = Next::Link(packet.link_type);
    let mut bytes = whole_packet(packet);
    let mut earlier: &'a [PacketRef] = &[];
    // The UDP datagram around it, if only its port indicates a tunnel.
    let mut guessed = None;
    for depth in 0..limits::TUNNEL_DEPTH {
        let opened = link::peel(next, bytes, walk).and_then(ip::open);
        let mut ip = match opened {
            Ok(ip) => ip,
            Err(stop) => match (stop, guessed) {
                (Stop::Malformed | Stop::NotIp, Some(datagram)) => return Ok(datagram),
                _ => return Err(stop.into()),
            },
        };
        if let Some(fragment) = ip.fragment {
            let Some((buffer, rest)) = std::mem::take(&mut spare).split_first_mut() else {
                return Err(Other::TooDeep);
            };
            spare = rest;
            let around = Around {
                depth,
                packets: earlier,
            };
            if !fragments.push(packet, ip, fragment, around, buffer, counters) {
                return Err(Other::Fragment);
            }
            let buffer = &*buffer;
            earlier = &buffer.packets;
            ip = ip::extensions(Ip {
                protocol: buffer.protocol,
                payload: buffer.bytes(),
                fragment: None,
                ..ip
            })?;
            if ip.fragment.is_some() {
                return Err(Other::Malformed);
            }
        }
        if ip.protocol == protocol::TCP {
            return Ok((ip, earlier));
        }
        (next, bytes, guessed) = match tunnel::content(ip.protocol, ip.payload)? {
            Content::Tunnel(next, inner) => (next, inner, None),
            Content::UdpTunnel(next, inner) => (next, inner, Some((ip, earlier))),
            Content::Udp => return Ok((ip, earlier)),
            Content::Other(protocol) => return Err(Other::OtherIp(protocol)),
        };
        walk.tunnel = true;
    }
    Err(Other::TooDeep)
}

/// The innermost IP packet, if it is behind VLAN tags, MPLS labels, PPPoE or in a
/// tunnel, where a BPF expression that does not mention them does not look. Its
/// captured bytes, without padding; in a tunnel whose packets are fragmented, the
/// fragment.
///
/// Filtering it as link type RAW shows whether the expression was meant to match.
pub fn inner_ip<'a>(packet: &CapturedPacket<'a>) -> Option<&'a [u8]> {
    let mut walk = Walk::default();
    let mut next = Next::Link(packet.link_type);
    let mut bytes = whole_packet(packet);
    let mut innermost = None;
    for _ in 0..limits::TUNNEL_DEPTH {
        let Ok(start) = link::peel(next, bytes, &mut walk) else {
            break;
        };
        let Ok(ip) = ip::open(start) else {
            break;
        };
        if walk.wrapped() {
            innermost = Some(ip::whole(start).captured());
        }
        match tunnel::content(ip.protocol, ip.payload) {
            Ok(Content::Tunnel(inner, rest) | Content::UdpTunnel(inner, rest))
                if ip.fragment.is_none() =>
            {
                (next, bytes) = (inner, rest);
            }
            _ => break,
        }
        walk.tunnel = true;
    }
    innermost
}

/// The UDP datagram in an IP packet.
#[cold]
fn datagram<'a>(
    packet: &CapturedPacket<'a>,
    ip: &Ip<'a>,
    fragments: &'a [PacketRef],
) -> Result<Datagram<'a>, Stop> {
    let opened = datagram::open(ip.payload)?;
    Ok(Datagram {
        packet: packet.id,
        time: packet.time,
        src: Endpoint {
            addr: ip.addresses.src(),
            port: opened.src_port,
        },
        dst: Endpoint {
            addr: ip.addresses.dst(),
            port: opened.dst_port,
        },
        payload: opened.payload.captured(),
        cut: u32::try_from(opened.payload.cut()).unwrap_or(u32::MAX),
        application: opened.application,
        fragments,
    })
}

fn whole_packet<'a>(packet: &CapturedPacket<'a>) -> Bytes<'a> {
    let wire = usize::try_from(packet.original_len).unwrap_or(usize::MAX);
    Bytes::new(packet.data, wire)
}

impl Counters {
    #[cold]
    fn count_wrapping(&mut self, walk: &Walk) {
        self.vlan += u64::from(walk.vlan);
        self.mpls += u64::from(walk.mpls);
        self.pppoe += u64::from(walk.pppoe);
        self.tunnelled += u64::from(walk.tunnel);
    }

    fn count(&mut self, other: Other) {
        let counter = match other {
            Other::NotIp => &mut self.not_ip,
            Other::OtherIp(_) => &mut self.other_ip,
            Other::Fragment => &mut self.waiting,
            Other::Cut => &mut self.cut,
            Other::Malformed => &mut self.malformed,
            Other::UnknownLinkType(link_type) => self.undecodable.entry(link_type).or_default(),
            Other::EncryptedFrame => &mut self.encrypted_frames,
            Other::TooDeep => &mut self.too_deep,
        };
        *counter += 1;
    }
}
