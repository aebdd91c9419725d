//! For tests: one IP packet in every supported link layer.

use crate::packet::LinkType;

/// A packet of some link type, and its description.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    pub(crate) about: &'static str,
    pub(crate) link_type: LinkType,
    pub(crate) data: Vec<u8>,
}

/// The parts, one after the other.
pub(crate) fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// An Ethernet header with these EtherTypes and tags, and what follows it.
pub(crate) fn ethernet(types: &[u8], rest: &[u8]) -> Vec<u8> {
    const ADDRESSES: [u8; 12] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    join(&[&ADDRESSES, types, rest])
}

/// `ip` within every link type, tag and label. The IP packet ends the sample.
pub(crate) fn samples(ip: &[u8]) -> Vec<Sample> {
    let is_v4 = ip[0] >> 4 == 4;
    let ether: [u8; 2] = if is_v4 { [0x08, 0x00] } else { [0x86, 0xdd] };
    let ppp: [u8; 2] = if is_v4 { [0x00, 0x21] } else { [0x00, 0x57] };
    let nlpid = if is_v4 { 0xcc } else { 0x8e };
    let linux_family = if is_v4 { 2 } else { 10 };
    let bsd_family = if is_v4 { 2 } else { 30 };
    let snap = join(&[&[0xaa, 0xaa, 3, 0, 0, 0], &ether]);
    let length = |header: usize| u16::to_be_bytes((header + ip.len()) as u16);
    let pppoe = join(&[&[0x11, 0, 0, 9], &length(2), &ppp]);
    let frame = ethernet(&ether, ip);
    let sll = |protocol: &[u8]| join(&[&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 2, 0, 0], protocol]);
    let sll2 = |protocol: &[u8]| {
        let rest = [0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 2, 0, 0];
        join(&[protocol, &rest])
    };
    let wifi = |control: [u8; 2], more: &[u8]| join(&[&control, &[0; 22], more]);
    let radiotap = |flags: u8| {
        let timer = [0; 8];
        let head = [0, 0, 25, 0, 3, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0];
        join(&[&head, &timer, &[flags]])
    };
    let label = [0, 0, 0x10, 64];
    let bottom = [0, 0, 0x21, 64];
    let nflog = |number: fn(u16) -> [u8; 2]| {
        let prefix = [&number(6)[..], &number(10), &[0, 0, 0, 0]].concat();
        let payload = [number((4 + ip.len()) as u16), number(9)].concat();
        join(&[&[linux_family, 0, 0, 7], &prefix, &payload])
    };
    let qos_header = wifi([0x88, 0x01], &[0x80, 0]);
    let subframe = join(&[&[0; 12], &length(8), &snap]);
    let avs_len = [0x80, 0x21, 0x10, 0x01, 0, 0, 0, 64];

    let list: Vec<(&'static str, u16, Vec<u8>)> = vec![
        ("Ethernet II", 1, ethernet(&ether, &[])),
        ("802.3, LLC, SNAP", 1, ethernet(&length(8), &snap)),
        ("802.1Q", 1, ethernet(&[0x81, 0, 0, 5], &ether)),
        (
            "802.1ad",
            1,
            ethernet(&[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6], &ether),
        ),
        (
            "five tags of all sorts",
            1,
            ethernet(
                &[
                    0x91, 0, 0, 1, 0x92, 0, 0, 2, 0x93, 0, 0, 3, 0x88, 0xa8, 0, 4, 0x81, 0, 0, 5,
                ],
                &ether,
            ),
        ),
        (
            "802.1Q, then a length",
            1,
            ethernet(&join(&[&[0x81, 0, 0, 5], &length(8)]), &snap),
        ),
        ("PPPoE", 1, ethernet(&[0x88, 0x64], &pppoe)),
        ("MPLS", 1, ethernet(&[0x88, 0x47], &bottom)),
        (
            "MPLS, two labels",
            1,
            ethernet(&[0x88, 0x47], &join(&[&label, &bottom])),
        ),
        (
            "MPLS, pseudowire with control word",
            1,
            ethernet(&[0x88, 0x48], &join(&[&bottom, &[0; 4], &frame[..14]])),
        ),
        (
            "MPLS, pseudowire without control word, address like IPv4",
            1,
            ethernet(
                &[0x88, 0x47],
                &join(&[&bottom, &[0x45, 0, 0xff, 0xff], &[0; 8], &ether]),
            ),
        ),
        ("bridged over SNAP", 1, {
            let bridged = join(&[&[0xaa, 0xaa, 3, 0, 0x80, 0xc2, 0, 7], &frame[..14]]);
            ethernet(&length(22), &bridged)
        }),
        ("SLL", 113, sll(&ether)),
        (
            "SLL, 802.1Q",
            113,
            join(&[&sll(&[0x81, 0]), &[0, 5], &ether]),
        ),
        ("SLL, 802.2", 113, join(&[&sll(&[0, 4]), &snap])),
        ("SLL2", 276, sll2(&ether)),
        (
            "SLL2, 802.1Q",
            276,
            join(&[&sll2(&[0x81, 0]), &[0, 5], &ether]),
        ),
        ("NULL, big endian", 0, vec![0, 0, 0, bsd_family]),
        ("NULL, little endian", 0, vec![bsd_family, 0, 0, 0]),
        ("LOOP", 108, vec![0, 0, 0, bsd_family]),
        ("RAW", 101, vec![]),
        ("RAW 12", 12, vec![]),
        ("RAW 14", 14, vec![]),
        ("IPV4 and IPV6", if is_v4 { 228 } else { 229 }, vec![]),
        ("PPP", 9, ppp.to_vec()),
        ("PPP, compressed protocol", 9, vec![ppp[1]]),
        ("PPP, HDLC", 9, join(&[&[0xff, 3], &ppp])),
        ("PPP, MPLS", 9, join(&[&[2, 0x81], &bottom])),
        ("PPP serial", 50, join(&[&[0xff, 3], &ppp])),
        ("PPP serial, Cisco", 50, join(&[&[0x0f, 0], &ether])),
        ("PPP with direction", 204, join(&[&[1, 0xff, 3], &ppp])),
        ("PPPoE alone", 51, pppoe),
        ("Cisco HDLC", 104, join(&[&[0x8f, 0], &ether])),
        ("Cisco HDLC, PPP", 104, join(&[&[0xff, 3], &ppp])),
        ("frame relay", 107, vec![0x18, 0x41, 3, nlpid]),
        ("frame relay, padded SNAP", 107, {
            join(&[&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0], &ether])
        }),
        (
            "frame relay, four byte address",
            107,
            vec![0x18, 0x40, 0x40, 0x41, 3, nlpid],
        ),
        ("frame relay, Cisco", 107, join(&[&[0x18, 0x41], &ether])),
        ("802.11", 105, wifi([0x08, 0x01], &snap)),
        (
            "802.11, four addresses",
            105,
            wifi([0x08, 0x03], &join(&[&[0; 6], &snap])),
        ),
        (
            "802.11, QoS",
            105,
            wifi([0x88, 0x02], &join(&[&[0; 2], &snap])),
        ),
        (
            "802.11, QoS, HT",
            105,
            wifi([0x88, 0x82], &join(&[&[0; 6], &snap])),
        ),
        (
            "802.11, four, QoS",
            105,
            wifi([0x88, 0x03], &join(&[&[0; 8], &snap])),
        ),
        ("802.11, aggregate", 105, join(&[&qos_header, &subframe])),
        (
            "radiotap, padded header",
            127,
            join(&[&radiotap(0x20), &wifi([0x88, 1], &[0; 4]), &snap]),
        ),
        (
            "PPI",
            192,
            join(&[&[0, 0, 8, 0, 105, 0, 0, 0], &wifi([0x08, 1], &snap)]),
        ),
        (
            "Prism",
            119,
            join(&[&[0, 0, 0, 0x44], &[0; 140], &wifi([0x08, 1], &snap)]),
        ),
        (
            "AVS by Prism's number",
            119,
            join(&[&avs_len, &[0; 56], &wifi([0x08, 1], &snap)]),
        ),
        (
            "AVS",
            163,
            join(&[&avs_len, &[0; 56], &wifi([0x08, 1], &snap)]),
        ),
        ("NFLOG, little endian", 239, nflog(u16::to_le_bytes)),
        ("NFLOG, big endian", 239, nflog(u16::to_be_bytes)),
        ("token ring", 6, join(&[&[0x10, 0x40], &[0; 12], &snap])),
        (
            "token ring, routed",
            6,
            join(&[
                &[0x10, 0x40],
                &[0; 6],
                &[0x80, 0, 0, 0, 0, 0, 4, 0, 1, 2],
                &snap,
            ]),
        ),
        ("FDDI", 10, join(&[&[0x54], &[0; 12], &snap])),
        ("ATM", 100, snap.clone()),
        ("IP by its own SAP", 100, vec![6, 6, 3]),
        ("MPLS alone", 219, bottom.to_vec()),
        ("PFLOG, padded header", 117, {
            let mut header = vec![61, linux_family, 0, 0];
            header.resize(64, 0);
            header
        }),
        ("PKTAP", 258, {
            let mut header = [&[108, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &[0; 96][..]].concat();
            header.extend_from_slice(&frame[..14]);
            header
        }),
        ("ENC", 109, [&[linux_family][..], &[0; 11]].concat()),
        ("DSA", 284, ethernet(&[0xc0, 0x10, 0, 1], &ether)),
        (
            "EDSA",
            285,
            ethernet(&[0xda, 0xda, 0, 0, 0xc0, 0x10, 0, 1], &ether),
        ),
        ("BRCM", 281, ethernet(&[0, 0, 0, 1], &ether)),
        ("BRCM prepended", 282, {
            join(&[&[0, 0, 0, 1], &frame[..14]])
        }),
        (
            "exported PDU of Ethernet",
            252,
            join(&[&[0, 12, 0, 4], b"eth\0", &[0, 0, 0, 0], &frame[..14]]),
        ),
        ("HSR", 1, ethernet(&[0x89, 0x2f, 0x10, 0x32, 0, 1], &ether)),
        (
            "Cisco CMD",
            1,
            ethernet(&[0x89, 0x09, 1, 1, 0, 1, 0, 10], &ether),
        ),
        (
            "Cisco TTag",
            1,
            ethernet(&[0x89, 0x88, 0, 0, 0, 0, 0, 1], &ether),
        ),
        (
            "MACsec, integrity only",
            1,
            ethernet(&[0x88, 0xe5, 0, 0, 0, 0, 0, 1], &ether),
        ),
        (
            "MACsec, integrity only, SCI",
            1,
            ethernet(
                &[0x88, 0xe5, 0x20, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0, 1],
                &ether,
            ),
        ),
    ];
    list.into_iter()
        .map(|(about, link_type, mut data)| {
            data.extend_from_slice(ip);
            Sample {
                about,
                link_type: LinkType(link_type),
                data,
            }
        })
        .collect()
}
