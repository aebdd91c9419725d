//! Measures the layers of a captured packet ([`Anatomy`]).
//!
//! A second walk over the headers, for byte accounting; the decoder does not need
//! it. Lengths are those on the wire, including what the snap length cut.

use super::anatomy::Anatomy;
use super::ip::{self, protocol};
use super::tunnel::{self, Content};
use super::usual;
use super::whole_packet;
use crate::limits;
use crate::link::{self, Bytes, Next, Subframe, Walk};
use crate::packet::CapturedPacket;

impl Anatomy {
    /// Counts the bytes of a packet by layer, or of one frame of an 802.11 aggregate.
    ///
    /// ```
    /// # use mqttdump::packet::{CapturedPacket, LinkType, PacketRef};
    /// # use mqttdump::time::Timestamp;
    /// use mqttdump::net::{Anatomy, Subframe};
    ///
    /// let ip_and_tcp = [
    ///     0x45, 0, 0, 42, 0, 7, 0, 0, 64, 6, 0, 0, 10, 0, 0, 7, 10, 0, 1, 1, // IPv4
    ///     0x9c, 0xba, 7, 0x5b, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0, // TCP
    ///     0xc0, 0x00, // PINGREQ
    ///     0, 0, 0, 0, // padding
    /// ];
    /// let anatomy = Anatomy::of(&CapturedPacket {
    ///     id: PacketRef { number: 1, file: 0 },
    ///     time: Timestamp::from_nanos(0),
    ///     link_type: LinkType(101), // RAW
    ///     original_len: 46,
    ///     data: &ip_and_tcp,
    /// }, Subframe::default());
    /// assert_eq!((anatomy.ip, anatomy.tcp, anatomy.payload, anatomy.trailer), (20, 20, 2, 4));
    /// ```
    pub fn of(packet: &CapturedPacket<'_>, subframe: Subframe) -> Self {
        match usual::anatomy(packet) {
            Some(anatomy) => anatomy,
            None => Self::of_any(packet, subframe),
        }
    }

    /// The same, header after header.
    pub(super) fn of_any(packet: &CapturedPacket<'_>, subframe: Subframe) -> Self {
        let mut whole = Self::default();
        let mut seen = Seen {
            packet,
            walk: Walk {
                subframe,
                ..Walk::default()
            },
            begin: 0,
            end: packet.original_len as usize,
        };
        if let Some(pdu) = super::exported::pdu(packet) {
            let body = u32::try_from(pdu.body.wire()).unwrap_or(u32::MAX);
            whole.link = packet.original_len.saturating_sub(body);
            whole.payload = body;
        } else {
            // Undecodable bytes count as trailer.
            let _ = whole.follow(&mut seen);
        }
        whole.settle(seen.end.saturating_sub(seen.begin));
        whole
    }

    fn follow(&mut self, seen: &mut Seen<'_, '_>) -> Result<(), link::Stop> {
        let mut next = Next::Link(seen.packet.link_type);
        let mut bytes = whole_packet(seen.packet);
        for depth in 0..limits::TUNNEL_DEPTH {
            while !next.is_ip() {
                let (kind, outer) = (next, bytes);
                (next, bytes) = link::step(kind, outer, &mut seen.walk)?;
                if kind == Next::Amsdu {
                    self.enter_subframe(outer, bytes, seen);
                    continue;
                }
                let header = (seen.at(bytes) - seen.at(outer)) as u32;
                match kind {
                    Next::EtherType(0x8100 | 0x88a8 | 0x9100 | 0x9200 | 0x9300) => {
                        self.vlan += header;
                    }
                    Next::Pppoe | Next::Mpls => self.tunnel += header,
                    _ if depth > 0 || (kind == Next::Ppp && seen.walk.pppoe) => {
                        self.tunnel += header;
                    }
                    _ => self.link += header,
                }
            }
            let ip = ip::open(bytes)?;
            let total = ip::total_len(bytes);
            let headers = total.saturating_sub(ip.payload.wire());
            if ip.fragment.is_none() && ip.protocol != protocol::TCP {
                let content = tunnel::content(ip.protocol, ip.payload);
                if let Ok(Content::Tunnel(inner, rest) | Content::UdpTunnel(inner, rest)) = content
                {
                    self.tunnel += (seen.at(rest) - seen.at(bytes)) as u32;
                    (next, bytes) = (inner, rest);
                    continue;
                }
            }
            self.ip = if ip.addresses.is_v4() { 20 } else { 40 };
            self.ip_options = (headers as u32).saturating_sub(self.ip);
            self.payload = (total - headers) as u32;
            let has_tcp_header = ip.fragment.is_none_or(|fragment| fragment.offset == 0);
            if ip.protocol == protocol::TCP && has_tcp_header {
                self.tcp(ip.payload);
            }
            return Ok(());
        }
        Ok(())
    }

    /// One frame of an aggregate: preceding headers belong to the first.
    fn enter_subframe(&mut self, outer: Bytes<'_>, frame: Bytes<'_>, seen: &mut Seen<'_, '_>) {
        if !seen.walk.subframe.is_first() {
            *self = Self::default();
            seen.begin = seen.at(frame);
        } else {
            self.link += (seen.at(frame) - seen.at(outer)) as u32;
        }
        if let Some(subframe) = seen.walk.next_subframe {
            let mut walk = Walk {
                subframe,
                ..Walk::default()
            };
            if let Ok((_, behind)) = link::step(Next::Amsdu, outer, &mut walk) {
                seen.end = seen.at(behind);
            }
        }
    }

    fn tcp(&mut self, segment: Bytes<'_>) {
        const FIXED: u32 = 20;
        const DATA_OFFSET: usize = 12;
        const FLAGS: usize = 13;
        const SYN: u8 = 0x02;
        let (Ok(offset), Ok(flags)) = (segment.u8(DATA_OFFSET), segment.u8(FLAGS)) else {
            return;
        };
        let header = u32::from(offset >> 4) * 4;
        if !(FIXED..=self.payload).contains(&header) {
            return;
        }
        self.tcp = FIXED;
        self.tcp_options = header - FIXED;
        self.payload -= header;
        let end = segment.captured().len().min(header as usize);
        let options = segment.captured().get(FIXED as usize..end);
        let mut others = 0;
        let mut timestamps = false;
        for (kind, option) in tcp_options(options.unwrap_or_default()) {
            match (kind, option) {
                (TIMESTAMPS, _) => timestamps = true,
                (MSS, &[_, _, high, low]) if flags & SYN != 0 => {
                    self.mss = Some(u16::from_be_bytes([high, low]));
                    others += 4;
                }
                _ => others += option.len() as u32,
            }
        }
        if timestamps {
            let without = others.next_multiple_of(4);
            self.timestamps = self.tcp_options.saturating_sub(without);
        }
    }

    /// Makes the sum equal to the length on the wire: packets that were truncated
    /// without a mark have headers with larger lengths.
    fn settle(&mut self, total: usize) {
        let mut left = u32::try_from(total).unwrap_or(u32::MAX);
        for part in [
            &mut self.link,
            &mut self.vlan,
            &mut self.tunnel,
            &mut self.ip,
            &mut self.ip_options,
            &mut self.tcp,
            &mut self.tcp_options,
            &mut self.payload,
        ] {
            *part = (*part).min(left);
            left -= *part;
        }
        self.trailer = left;
    }
}

/// Where a walk is.
struct Seen<'p, 'a> {
    packet: &'p CapturedPacket<'a>,
    walk: Walk,
    /// Range of the frame in an aggregate.
    begin: usize,
    end: usize,
}

impl Seen<'_, '_> {
    /// Range of some bytes in the packet. Headers are skipped only after they
    /// were read, so only the last bytes can lie beyond what was captured.
    fn at(&self, bytes: Bytes<'_>) -> usize {
        match bytes.captured() {
            [] => self.packet.data.len(),
            bytes => bytes.as_ptr().addr() - self.packet.data.as_ptr().addr(),
        }
    }
}

const MSS: u8 = 2;
const TIMESTAMPS: u8 = 8;

/// TCP options with their kind and length bytes, without padding, up to the first
/// invalid one.
fn tcp_options(mut options: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    std::iter::from_fn(move || {
        while let [NO_OPERATION, rest @ ..] = options {
            options = rest;
        }
        let (kind, length) = match *options {
            [] | [END, ..] | [_] => return None,
            [kind, length, ..] => (kind, length.max(2)),
        };
        let (option, rest) = options.split_at_checked(length.into())?;
        options = rest;
        Some((kind, option))
    })
}
