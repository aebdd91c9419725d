//! One TCP segment has to decode the same in every encapsulation; cut anywhere, it
//! must never have a byte that was not there.

mod fragments;

use std::net::IpAddr;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::link::samples::{Sample, ethernet, join, samples};
use crate::time::Timestamp;

const PAYLOAD: &[u8] = b"\x30\x0f\x00\x05topicpayload!";
const RAW: LinkType = LinkType(101);

pub(super) fn v4() -> Vec<u8> {
    tcp(
        PacketBuilder::ipv4([10, 0, 0, 7], [10, 0, 1, 1], 64),
        PAYLOAD,
    )
}

fn v6() -> Vec<u8> {
    let (mut src, mut dst) = ([0; 16], [0; 16]);
    (src[15], dst[15]) = (7, 1);
    tcp(PacketBuilder::ipv6(src, dst, 64), PAYLOAD)
}

fn tcp(ip: etherparse::PacketBuilderStep<etherparse::IpHeaders>, payload: &[u8]) -> Vec<u8> {
    let builder = ip
        .tcp(40122, 1883, 0xdead_beef, 512)
        .ack(77)
        .psh()
        .options(&[etherparse::TcpOptionElement::Timestamp(1, 2)])
        .unwrap();
    let mut bytes = Vec::new();
    builder.write(&mut bytes, payload).unwrap();
    bytes
}

/// A packet around some bytes, number `number` at `seconds`.
fn packet(link_type: LinkType, data: &[u8], number: u64, seconds: i64) -> CapturedPacket<'_> {
    CapturedPacket {
        id: PacketRef { number, file: 0 },
        time: Timestamp::from_parts(seconds, 0),
        link_type,
        original_len: data.len() as u32,
        data,
    }
}

/// Decodes a packet with a new decoder.
fn once(link_type: LinkType, data: &[u8]) -> Result<(Endpoint, Endpoint, Vec<u8>, u32), Other> {
    match Decoder::new(false).decode(&packet(link_type, data, 1, 0)) {
        Decoded::Segment(segment) => Ok((
            segment.src,
            segment.dst,
            segment.payload.to_vec(),
            segment.cut,
        )),
        Decoded::Datagram(_) => panic!("a datagram"),
        Decoded::Other(other) => Err(other),
    }
}

/// `ip` in every link layer, tunnel, and tunnel within a tagged link layer.
fn wrapped(ip: &[u8]) -> Vec<Sample> {
    let mut all = samples(ip);
    for (about, data) in tunnels(ip) {
        all.push(Sample {
            about,
            link_type: RAW,
            data,
        });
    }
    all
}

fn ip4(protocol: u8, rest: &[u8]) -> Vec<u8> {
    let [high, low] = u16::to_be_bytes((20 + rest.len()) as u16);
    let head = [
        0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 168, 0, 1, 192, 168, 0, 2,
    ];
    join(&[&head, rest])
}

fn ip6(next_header: u8, rest: &[u8]) -> Vec<u8> {
    let [high, low] = u16::to_be_bytes(rest.len() as u16);
    let head = [0x60, 0, 0, 0, high, low, next_header, 64];
    join(&[&head, &[0xfd; 16], &[0xfc; 16], rest])
}

fn udp(port: u16, rest: &[u8]) -> Vec<u8> {
    let length = u16::to_be_bytes((8 + rest.len()) as u16);
    let port = port.to_be_bytes();
    ip4(17, &join(&[&[0xc0, 0], &port, &length, &[0, 0], rest]))
}

fn tunnels(ip: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let is_v4 = ip[0] >> 4 == 4;
    let ether: [u8; 2] = if is_v4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    let in_ip = if is_v4 { 4 } else { 41 };
    let frame = ethernet(&ether, ip);
    let tagged = ethernet(&[0x81, 0, 0, 5], &join(&[&ether, ip]));
    let gre = |head: &[u8], rest: &[u8]| ip4(47, &join(&[head, rest]));
    let [length_high, length_low] = u16::to_be_bytes((4 + 8 + ip.len()) as u16);
    let gtp = [
        0x34,
        255,
        length_high,
        length_low,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0x85,
        1,
        0x10,
        5,
        0xc0,
    ];
    let gtp = join(&[&gtp, &[1, 0, 0, 0], ip]);
    let [plain_high, plain_low] = u16::to_be_bytes(ip.len() as u16);
    let erspan2 = [0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 0, 0, 0, 0, 0];
    let erspan3 = [
        0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0,
        0, 0,
    ];
    let ppp: [u8; 4] = [0xff, 3, 0, if is_v4 { 0x21 } else { 0x57 }];
    let gpe = |protocol: u8| [0x0c, 0, 0, protocol, 0, 0, 123, 0];
    vec![
        ("VXLAN-GPE, Ethernet", udp(4790, &join(&[&gpe(3), &frame]))),
        (
            "VXLAN-GPE, IP",
            udp(4790, &join(&[&gpe(if is_v4 { 1 } else { 2 }), ip])),
        ),
        ("L2TP", udp(1701, &join(&[&[0, 2, 0, 1, 0, 2], &ppp, ip]))),
        (
            "L2TP, sequence, offset",
            udp(
                1701,
                &join(&[&[0x0a, 2, 0, 1, 0, 2, 0, 1, 0, 1, 0, 2, 0, 0], &ppp, ip]),
            ),
        ),
        ("MPLS over UDP", udp(6635, &join(&[&[0, 0, 0x21, 64], ip]))),
        (
            "TZSP, with tags",
            udp(37008, &join(&[&[1, 0, 0, 1, 0, 10, 2, 1, 2, 1], &frame])),
        ),
        (
            "CAPWAP",
            udp(5247, &join(&[&[0, 0x10, 0x42, 0, 0, 0, 0, 0], &frame])),
        ),
        ("IP in IPv4", ip4(in_ip, ip)),
        ("IP in IPv6", ip6(in_ip, ip)),
        ("IP in IP in IP", ip4(4, &ip6(in_ip, ip))),
        ("GRE", gre(&join(&[&[0, 0], &ether]), ip)),
        (
            "GRE, checksum, key, sequence",
            gre(&join(&[&[0xb0, 0], &ether, &[0; 12]]), ip),
        ),
        (
            "GRE, routed",
            gre(
                &join(&[
                    &[0x40, 0],
                    &ether,
                    &[0; 4],
                    &[8, 0, 0, 4, 1, 2, 3, 4],
                    &[0; 4],
                ]),
                ip,
            ),
        ),
        ("GRE, bridged", gre(&[0, 0, 0x65, 0x58], &frame)),
        ("GRE, MPLS", gre(&[0, 0, 0x88, 0x47, 0, 0, 0x21, 64], ip)),
        (
            "GRE, PPTP",
            gre(&join(&[&[0x30, 0x81, 0x88, 0x0b], &[0; 12], &ppp]), ip),
        ),
        ("ERSPAN I", gre(&[0, 0, 0x88, 0xbe], &frame)),
        ("ERSPAN II", gre(&erspan2, &tagged)),
        ("ERSPAN III", gre(&erspan3, &frame)),
        ("EtherIP", ip4(97, &join(&[&[0x30, 0], &frame]))),
        ("MPLS in IP", ip4(137, &join(&[&[0, 0, 0x21, 64], ip]))),
        (
            "VXLAN",
            udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &frame])),
        ),
        (
            "VXLAN, old port",
            udp(8472, &join(&[&[8, 0, 0, 0, 0, 0, 5, 0], &tagged])),
        ),
        (
            "GENEVE",
            udp(
                6081,
                &join(&[&[1, 0, 0x65, 0x58, 0, 0, 5, 0], &[0; 4], &frame]),
            ),
        ),
        (
            "GENEVE, IP",
            udp(6081, &join(&[&[0, 0], &ether, &[0; 4], ip])),
        ),
        (
            "GTP-U",
            udp(
                2152,
                &join(&[&[0x30, 255, plain_high, plain_low, 0, 0, 0, 1], ip]),
            ),
        ),
        ("GTP-U, extensions", {
            // Four bytes of optional fields, one extension of four, one more.
            let length = u16::to_be_bytes((4 + 4 + 4 + ip.len()) as u16);
            let mut gtp = gtp;
            gtp[2..4].copy_from_slice(&length);
            udp(2152, &gtp)
        }),
        ("AH", {
            // Authentication around the very packet: transport mode.
            let (head, rest, next_at) = if is_v4 { (20, 24, 9) } else { (40, 24, 6) };
            let mut packet = join(&[&ip[..head], &[6, 4], &[0; 22], &ip[head..]]);
            packet[next_at] = 51;
            let length_at = if is_v4 { 2 } else { 4 };
            let old = u16::from_be_bytes([ip[length_at], ip[length_at + 1]]);
            packet[length_at..length_at + 2].copy_from_slice(&(old + rest).to_be_bytes());
            packet
        }),
    ]
}

#[test]
fn every_wrapping_gives_the_same_segment() {
    for ip in [v4(), v6()] {
        let expected = once(RAW, &ip).unwrap();
        assert_eq!(expected.2, PAYLOAD);
        for sample in wrapped(&ip) {
            let found = once(sample.link_type, &sample.data);
            assert_eq!(found.as_ref(), Ok(&expected), "{}", sample.about);
        }
    }
}

#[test]
fn every_link_type_has_a_sample() {
    let samples = [samples(&v4()), samples(&v6())].concat();
    for link in link::LINKS {
        let is_sampled = samples.iter().any(|sample| sample.link_type == link.number);
        assert!(is_sampled, "{}", link.name);
    }
}

#[test]
fn fields_of_the_tcp_header_are_kept() {
    let ip = v4();
    let mut decoder = Decoder::new(true);
    let Decoded::Segment(segment) = decoder.decode(&packet(RAW, &ip, 5, 9)) else {
        panic!()
    };
    assert_eq!(segment.packet.number, 5);
    assert_eq!(segment.time.seconds(), 9);
    assert_eq!(segment.src.to_string(), "10.0.0.7:40122");
    assert_eq!(
        (segment.seq, segment.ack, segment.window),
        (0xdead_beef, 77, 512)
    );
    assert_eq!(format!("{:?}", segment.flags), "P.");
    assert_eq!(segment.copy_marks.1, u16::from_be_bytes([ip[36], ip[37]]));
    assert_eq!(segment.checksum_ok, Some(true));
}

#[test]
fn wrong_checksums_are_seen_only_when_asked() {
    for mut ip in [v4(), v6()] {
        *ip.last_mut().unwrap() ^= 1;
        for (verify, expected) in [(true, Some(false)), (false, None)] {
            let mut decoder = Decoder::new(verify);
            match decoder.decode(&packet(RAW, &ip, 1, 0)) {
                Decoded::Segment(segment) => assert_eq!(segment.checksum_ok, expected),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Bytes beyond the snap length are missing, and counted.
#[test]
fn cut_anywhere_it_never_invents_a_byte() {
    for ip in [v4(), v6()] {
        for sample in wrapped(&ip) {
            let whole = sample.data.len();
            let payload_at = whole - PAYLOAD.len();
            for length in 0..whole {
                let mut decoder = Decoder::new(true);
                let cut = CapturedPacket {
                    data: &sample.data[..length],
                    original_len: whole as u32,
                    ..packet(sample.link_type, &[], 1, 0)
                };
                match decoder.decode(&cut) {
                    Decoded::Segment(segment) => {
                        let expected = &PAYLOAD[..length.saturating_sub(payload_at)];
                        assert_eq!(segment.payload, expected, "{} {length}", sample.about);
                        let all = segment.payload.len() + segment.cut as usize;
                        assert_eq!(all, PAYLOAD.len(), "{} {length}", sample.about);
                        assert_eq!(segment.checksum_ok, None);
                    }
                    // Guesses (MPLS, UDP ports) may be decided differently.
                    Decoded::Datagram(_) | Decoded::Other(Other::Cut | Other::NotIp) => {
                        // The fixed TCP header was not there; options are 12.
                        assert!(length < payload_at - 12, "{} {length}", sample.about);
                    }
                    Decoded::Other(other) => panic!("{} {length} {other:?}", sample.about),
                }
            }
        }
    }
}

#[test]
fn padding_behind_the_ip_packet_is_no_payload() {
    let frame = ethernet(&[8, 0], &join(&[&v4(), &[0xee; 6]]));
    assert_eq!(once(LinkType(1), &frame).unwrap().2, PAYLOAD);
}

#[test]
fn length_zero_means_as_long_as_the_link_says() {
    let mut ip = v4();
    (ip[2], ip[3]) = (0, 0);
    assert_eq!(once(RAW, &ip).unwrap().2, PAYLOAD);
    let mut ip = v6();
    (ip[4], ip[5]) = (0, 0);
    assert_eq!(once(RAW, &ip).unwrap().2, PAYLOAD);
}

#[test]
fn ipv4_options_are_skipped() {
    let plain = v4();
    let mut ip = join(&[&plain[..20], &[1, 1, 1, 0], &plain[20..]]);
    ip[0] = 0x46;
    ip[3] += 4;
    assert_eq!(once(RAW, &ip).unwrap().2, PAYLOAD);
}

/// Hop-by-hop with a jumbo length, routing, destination options, mobility, an
/// atomic fragment: all at once.
#[test]
fn ipv6_extension_headers_are_skipped_and_their_addresses_used() {
    let plain = v6();
    let home: [u8; 16] = plain[8..24].try_into().unwrap();
    let last: [u8; 16] = plain[24..40].try_into().unwrap();
    let rest = join(&[
        &[43, 0, 1, 4, 0, 0, 0, 0],
        &[60, 2, 0, 1, 0, 0, 0, 0],
        &last,
        &[135, 2, 1, 2, 0, 0, 0xc9, 16],
        &home,
        &[44, 0, 0, 0, 0, 0, 0, 0],
        &[6, 0, 0, 0, 1, 2, 3, 4],
        &plain[40..],
    ]);
    let packet_bytes = ip6(0, &rest);
    let mut decoder = Decoder::new(true);
    let Decoded::Segment(segment) = decoder.decode(&packet(RAW, &packet_bytes, 1, 0)) else {
        panic!()
    };
    assert_eq!(segment.src.addr, IpAddr::from(home));
    assert_eq!(segment.dst.addr, IpAddr::from(last));
    assert_eq!(segment.payload, PAYLOAD);
    assert_eq!(segment.checksum_ok, Some(true));
    assert_eq!(decoder.counters().fragments, FragmentCounters::default());
}

#[test]
fn reasons_are_reported() {
    let arp = ethernet(&[8, 6], &[0; 28]);
    assert_eq!(once(LinkType(1), &arp), Err(Other::NotIp));
    assert_eq!(once(RAW, &ip4(50, &[0; 20])), Err(Other::OtherIp(50)));
    for port in [53, 8472] {
        let bytes = udp(port, &[0xff; 20]);
        let mut decoder = Decoder::new(false);
        let packet = packet(RAW, &bytes, 1, 0);
        let Decoded::Datagram(datagram) = decoder.decode(&packet) else {
            panic!("no datagram on port {port}");
        };
        assert_eq!(
            (datagram.dst.port, datagram.payload),
            (port, &[0xff; 20][..])
        );
        assert_eq!(datagram.application, Application::Other);
        assert_eq!(decoder.counters().datagrams, 1);
    }
    let encrypted = join(&[&[0x08, 0x41], &[0; 40]]);
    assert_eq!(once(LinkType(105), &encrypted), Err(Other::EncryptedFrame));
    let usb = LinkType(189);
    assert_eq!(once(usb, &[0; 64]), Err(Other::UnknownLinkType(usb)));
    let mut short_offset = v4();
    short_offset[32] = 0x40;
    assert_eq!(once(RAW, &short_offset), Err(Other::Malformed));
    let mut long_offset = ip4(6, &[0; 20]);
    long_offset[32] = 0x60;
    assert_eq!(once(RAW, &long_offset), Err(Other::Malformed));
    assert_eq!(once(RAW, &[0x15; 40]), Err(Other::Malformed));
}

#[test]
fn depth_is_bounded_and_said() {
    let nest = |times: usize| (0..times).fold(v4(), |ip, _| ip4(4, &ip));
    assert!(once(RAW, &nest(limits::TUNNEL_DEPTH - 1)).is_ok());
    assert_eq!(once(RAW, &nest(limits::TUNNEL_DEPTH)), Err(Other::TooDeep));
}

#[test]
fn an_aggregate_gives_all_its_frames() {
    let ip = v4();
    let length = u16::to_be_bytes(8 + ip.len() as u16);
    let snap = [0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
    let mut subframe = join(&[&[0; 12], &length, &snap, &ip]);
    subframe.resize(subframe.len().next_multiple_of(4), 0);
    let frame = join(&[
        &[0x88, 1],
        &[0; 22],
        &[0x80, 0],
        &subframe,
        &subframe,
        &subframe,
    ]);
    let packet = packet(LinkType(105), &frame, 1, 0);
    let mut decoder = Decoder::new(false);
    assert!(matches!(decoder.decode(&packet), Decoded::Segment(s) if s.payload == PAYLOAD));
    for _ in 0..2 {
        let subframe = decoder.next_subframe().expect("another frame");
        let decoded = decoder.decode_subframe(&packet, subframe);
        assert!(matches!(decoded, Decoded::Segment(s) if s.payload == PAYLOAD));
    }
    assert_eq!(decoder.next_subframe(), None);
}

#[test]
fn an_aggregate_of_too_many_frames_is_malformed() {
    let arp = [0xaa, 0xaa, 3, 0, 0, 0, 8, 6];
    let subframe = join(&[&[0; 12], &[0, 8], &arp, &[0; 2]]);
    let subframes = subframe.repeat(limits::AGGREGATED_FRAMES + 100);
    let frame = join(&[&[0x88, 1], &[0; 22], &[0x80, 0], &subframes]);
    let packet = packet(LinkType(105), &frame, 1, 0);
    let mut decoder = Decoder::new(false);
    let mut frames = 1;
    let mut last = matches!(decoder.decode(&packet), Decoded::Other(Other::Malformed));
    while let Some(subframe) = decoder.next_subframe() {
        assert!(!last, "frame {frames}");
        let decoded = decoder.decode_subframe(&packet, subframe);
        last = matches!(decoded, Decoded::Other(Other::Malformed));
        frames += 1;
    }
    assert!(last);
    assert_eq!(frames, limits::AGGREGATED_FRAMES + 1);
    assert_eq!(decoder.counters().malformed, 1);
}

#[test]
fn the_inner_packet_is_found_where_a_filter_looks_past_it() {
    let ip = v4();
    let mut inside = 0;
    for sample in wrapped(&ip) {
        let found = inner_ip(&packet(sample.link_type, &sample.data, 1, 0));
        if let Some(found) = found {
            inside += 1;
            assert_eq!(found, ip, "{}", sample.about);
        }
    }
    // Tags, labels and PPPoE on links; all tunnels but transport-mode AH.
    assert!(inside >= 12 + tunnels(&ip).len() - 1, "{inside}");
    assert_eq!(inner_ip(&packet(RAW, &ip, 1, 0)), None);
    assert_eq!(inner_ip(&packet(RAW, &udp(53, &[0; 9]), 1, 0)), None);
}

#[test]
fn tags_and_tunnels_are_counted() {
    let mut decoder = Decoder::new(false);
    let tagged = ethernet(&[0x81, 0, 0, 5, 8, 0], &ip4(4, &v4()));
    decoder.decode(&packet(LinkType(1), &tagged, 1, 0));
    let counters = decoder.counters();
    assert_eq!(
        (counters.vlan, counters.tunnelled, counters.mpls),
        (1, 1, 0)
    );
    assert_eq!(counters.segments, 1);
}

proptest! {
    #[test]
    fn any_bytes_under_any_link_type_do_no_harm(
        data in proptest::collection::vec(any::<u8>(), 0..200),
        extra in 0u32..100,
        at in 0..link::LINKS.len(),
    ) {
        let packet = CapturedPacket {
            original_len: data.len() as u32 + extra,
            ..packet(link::LINKS[at].number, &data, 1, 0)
        };
        let mut decoder = Decoder::new(true);
        decoder.decode(&packet);
        inner_ip(&packet);
        link::describe(&packet);
    }

    /// Random bytes rarely get past the first header: damage good packets.
    #[test]
    fn damaged_packets_do_no_harm(
        which in any::<prop::sample::Index>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        v6_inside in any::<bool>(),
        length in any::<prop::sample::Index>(),
    ) {
        let samples = wrapped(&if v6_inside { v6() } else { v4() });
        let sample = which.get(&samples);
        let mut data = sample.data.clone();
        for (at, byte) in &damage {
            let at = at.index(data.len());
            data[at] = *byte;
        }
        let length = length.index(data.len() + 1);
        let packet = CapturedPacket {
            data: &data[..length],
            original_len: data.len() as u32,
            ..packet(sample.link_type, &[], 1, 0)
        };
        let mut decoder = Decoder::new(true);
        if let Decoded::Segment(segment) = decoder.decode(&packet) {
            prop_assert!(segment.payload.len() <= length);
        }
        while let Some(subframe) = decoder.next_subframe() {
            decoder.decode_subframe(&packet, subframe);
        }
        inner_ip(&packet);
        link::describe(&packet);
    }
}
