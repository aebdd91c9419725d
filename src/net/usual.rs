//! The packet that nearly all are, read at fixed places: Ethernet II, IPv4
//! without options, TCP without SYN, all of it captured.
//!
//! ```text
//! | Ethernet 14 | IPv4 20 | TCP 20 [options] | payload | [padding]
//! ```
//! Measured: 300 instructions less a packet than header after header, and as many
//! less for its anatomy. Whatever is unusual about a packet goes the general way,
//! which would make the same of this one too; a test compares them.

use super::{Anatomy, Endpoint, Segment, TcpFlags};
use crate::link::ETHERNET;
use crate::packet::CapturedPacket;

/// Where the headers begin, and the payload if TCP has no options.
const IP: usize = 14;
const TCP: usize = IP + 20;
const HEADERS: usize = TCP + 20;

/// EtherType IPv4; version 4, and five words of header.
const IPV4: [u8; 3] = [0x08, 0x00, 0x45];
/// More Fragments, and the offset of a fragment.
const FRAGMENT: u16 = 0x3fff;

/// A packet of this kind.
pub(super) struct Usual<'a> {
    headers: &'a [u8; HEADERS],
    payload: &'a [u8],
}

impl<'a> Usual<'a> {
    #[inline(always)]
    pub(super) fn of(packet: &CapturedPacket<'a>) -> Option<Self> {
        let headers: &[u8; HEADERS] = packet.data.first_chunk()?;
        let this = Self {
            headers,
            payload: &[],
        };
        let usual = packet.link_type == ETHERNET
            && headers[IP - 2..=IP] == IPV4
            && this.u16(IP + 6) & FRAGMENT == 0
            && headers[IP + 9] == super::protocol::TCP
            && !this.flags().has(TcpFlags::SYN);
        let tcp_len = usize::from(headers[TCP + 12] >> 4) * 4;
        if !usual || tcp_len < HEADERS - TCP {
            return None;
        }
        let end = IP + usize::from(this.u16(IP + 2));
        let payload = packet.data.get(TCP + tcp_len..end)?;
        Some(Self { payload, ..this })
    }

    #[inline(always)]
    fn u16(&self, at: usize) -> u16 {
        u16::from_be_bytes([self.headers[at], self.headers[at + 1]])
    }

    #[inline(always)]
    fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) << 16 | u32::from(self.u16(at + 2))
    }

    /// The address at `ip` and the port at `tcp`.
    #[inline(always)]
    fn endpoint(&self, ip: usize, tcp: usize) -> Endpoint {
        Endpoint {
            addr: std::net::Ipv4Addr::from_bits(self.u32(ip)).into(),
            port: self.u16(tcp),
        }
    }

    /// Sender and receiver.
    #[inline(always)]
    pub(super) fn ends(&self) -> (Endpoint, Endpoint) {
        (self.endpoint(IP + 12, TCP), self.endpoint(IP + 16, TCP + 2))
    }

    fn flags(&self) -> TcpFlags {
        TcpFlags(self.headers[TCP + 13])
    }

    /// The segment in `packet`, which it was made of.
    #[inline(always)]
    pub(super) fn segment(&self, packet: &CapturedPacket<'a>) -> Segment<'a> {
        Segment {
            packet: packet.id,
            time: packet.time,
            src: self.endpoint(IP + 12, TCP),
            dst: self.endpoint(IP + 16, TCP + 2),
            seq: self.u32(TCP + 4),
            ack: self.u32(TCP + 8),
            flags: self.flags(),
            window: self.u16(TCP + 14),
            window_scale: None,
            ttl: self.headers[IP + 8],
            payload: self.payload,
            cut: 0,
            copy_marks: (self.u16(IP + 4), self.u16(TCP + 16)),
            checksum_ok: None,
            fragments: &[],
        }
    }
}

/// The anatomy of a packet of this kind whose TCP header has no options but
/// timestamps, aligned as RFC 7323 recommends.
pub(super) fn anatomy(packet: &CapturedPacket<'_>) -> Option<Anatomy> {
    const TIMESTAMPS: [u8; 4] = [1, 1, 8, 10];
    let usual = Usual::of(packet)?;
    let options = match usual.headers[TCP + 12] >> 4 {
        5 => 0,
        8 if packet.data[HEADERS..].starts_with(&TIMESTAMPS) => 12,
        _ => return None,
    };
    let payload = usual.payload.len() as u32;
    let known = HEADERS as u32 + options + payload;
    Some(Anatomy {
        link: IP as u32,
        ip: 20,
        tcp: 20,
        tcp_options: options,
        timestamps: options,
        payload,
        trailer: packet.original_len.checked_sub(known)?,
        ..Anatomy::default()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::link::samples::ethernet;
    use crate::net::{Decoded, Decoder, Subframe, tests};
    use crate::packet::PacketRef;
    use crate::time::Timestamp;

    fn packet(data: &[u8], wire: usize) -> CapturedPacket<'_> {
        CapturedPacket {
            id: PacketRef::default(),
            time: Timestamp::default(),
            link_type: ETHERNET,
            original_len: wire as u32,
            data,
        }
    }

    /// The general way.
    fn general(packet: &CapturedPacket<'_>) -> String {
        let mut decoder = Decoder::new(false);
        match decoder.decode_headers(packet, Subframe::default()) {
            Decoded::Segment(segment) => format!("{segment:?}"),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_usual_packet_is_read_here() {
        let data = ethernet(&[0x08, 0x00], &tests::v4());
        let packet = packet(&data, data.len());
        let usual = Usual::of(&packet).expect("a usual packet");
        assert_eq!(format!("{:?}", usual.segment(&packet)), general(&packet));
    }

    /// The same with these bytes as TCP options.
    fn with_options(options: &[u8]) -> Vec<u8> {
        let mut data = ethernet(&[0x08, 0x00], &tests::v4());
        let before = (usize::from(data[TCP + 12] >> 4) - 5) * 4;
        data.splice(HEADERS..HEADERS + before, options.iter().copied());
        data[TCP + 12] = (5 + options.len() as u8 / 4) << 4;
        data[IP + 3] = data[IP + 3] - before as u8 + options.len() as u8;
        data
    }

    const OPTIONS: [&[u8]; 3] = [
        &[],
        &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0],
    ];

    #[test]
    fn its_anatomy_is_known() {
        for (options, known) in OPTIONS.into_iter().zip([true, true, false]) {
            let data = with_options(options);
            let packet = packet(&data, data.len() + 3);
            let general = Anatomy::of_any(&packet, Subframe::default());
            assert_eq!(anatomy(&packet), known.then_some(general));
            assert_eq!(general.trailer, 3);
        }
    }

    proptest! {
        #[test]
        fn the_general_way_gives_the_same(
            changes in prop::collection::vec((0_usize..80, any::<u8>()), 0..4),
            len in 0_usize..120,
            cut in 0_usize..40,
            options in prop::sample::select(&OPTIONS),
        ) {
            let mut data = with_options(options);
            data.resize(data.len().min(len + 40), 0);
            for (at, value) in changes {
                if let Some(byte) = data.get_mut(at) {
                    *byte = value;
                }
            }
            let packet = packet(&data, data.len() + cut);
            if let Some(usual) = Usual::of(&packet) {
                prop_assert_eq!(format!("{:?}", usual.segment(&packet)), general(&packet));
            }
            if let Some(anatomy) = anatomy(&packet) {
                prop_assert_eq!(anatomy, Anatomy::of_any(&packet, Subframe::default()));
            }
        }
    }
}
