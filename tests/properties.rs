//! Properties over random conversations and random damage, with shrinking.
//!
//! The number of cases is small so that the whole suite stays quick; set
//! `PROPTEST_CASES` to look harder.

use mqttdump::frame::Direction::{self, Down, Up};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::encode::pattern;
use crate::support::files::Format;
use crate::support::read::{nothing_invented, read, same_frames};
use crate::support::stack::{Layer, Link, OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

pub(crate) fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok();
    ProptestConfig {
        cases: cases.and_then(|c| c.parse().ok()).unwrap_or(default),
        // Failures are turned into named tests, not into files.
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// Splits, order, duplicates and overlaps change nothing.
    #[test]
    fn the_way_there_does_not_matter(
        conversation in deceptive_conversations(),
        up in vec(any::<prop::sample::Index>(), 0..8),
        down in vec(any::<prop::sample::Index>(), 0..4),
        order in vec(0..6_u8, 0..60),
        again in vec((any::<prop::sample::Index>(), 0..4_usize), 0..4),
        overlaps in vec((any::<bool>(), any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..4),
        isn in any::<[u32; 2]>(),
    ) {
        let wire = Wire::new(&conversation).starting_at(isn);
        let wire = split(split(wire, Up, &up), Down, &down).reorder(&order);
        let wire = again.iter().fold(wire, |wire, (index, later)| {
            let index = index.index(wire.segments.len());
            wire.duplicate(index, *later)
        });
        let wire = overlaps.iter().fold(wire, |wire, (up, from, length)| {
            repacketise(wire, if *up { Up } else { Down }, from, length)
        });
        let read = read(&wire.packets(&Stack::default()));
        prop_assert_eq!(same_frames(&read, &conversation), Ok(()));
        prop_assert!(read.events_named("conflict").is_empty());
        prop_assert!(read.events_named("gap").is_empty());
    }

    /// Neither do link types, tunnels, fragments or IP versions.
    #[test]
    fn the_carrier_does_not_matter(
        conversation in deceptive_conversations(),
        link in prop::sample::select(&Link::ALL[..]),
        layers in vec(prop::sample::select(&[Layer::Gre, Layer::IpIp, Layer::Vxlan, Layer::Geneve, Layer::Gtpu][..]), 0..3),
        fragment in prop::option::of((1..20_usize).prop_map(|n| n * 8)),
        v6: bool,
    ) {
        let wire = Wire::new(&conversation);
        let wire = if v6 { wire.over_ipv6() } else { wire };
        let stack = Stack { link, layers, fragment, ..Stack::default() };
        let read = read(&wire.packets(&stack));
        prop_assert_eq!(same_frames(&read, &conversation), Ok(()));
    }

    /// Bytes outside the capture are missing or absent, never invented.
    #[test]
    fn loss_invents_nothing(
        conversation in conversations(),
        up in vec(any::<prop::sample::Index>(), 0..8),
        down in vec(any::<prop::sample::Index>(), 0..4),
        lost in vec(prop::bool::weighted(0.2), 120),
        order in vec(0..6_u8, 0..60),
    ) {
        let wire = split(split(Wire::new(&conversation), Up, &up), Down, &down);
        let wire = wire.lose(|i, s| !s.payload.is_empty() && lost.get(i) == Some(&true));
        let wire = wire.reorder(&order);
        let read = read(&wire.packets(&Stack::default()));
        let captured = |way, offset| is_captured(&wire, way, offset);
        prop_assert_eq!(nothing_invented(&read, &conversation, &captured), Ok(()));
    }

    /// Nor does the snap length.
    #[test]
    fn a_short_snap_length_invents_nothing(
        conversation in conversations(),
        up in vec(any::<prop::sample::Index>(), 0..8),
        snap in 54..200_usize,
    ) {
        let wire = split(Wire::new(&conversation), Up, &up);
        let packets: Vec<_> = wire.packets(&Stack::default()).into_iter().map(|p| p.cut(snap)).collect();
        let mut cut = wire.clone();
        for segment in &mut cut.segments {
            segment.payload.truncate(snap - 54);
        }
        let read = read(&packets);
        let captured = |way, offset| is_captured(&cut, way, offset);
        prop_assert_eq!(nothing_invented(&read, &conversation, &captured), Ok(()));
    }

    /// A capture that starts anywhere shows only real frames.
    #[test]
    fn joining_in_the_middle_invents_nothing(
        conversation in conversations(),
        up in vec(any::<prop::sample::Index>(), 0..8),
        skipped in any::<prop::sample::Index>(),
    ) {
        let mut conversation = conversation;
        conversation.midstream = true;
        let wire = split(Wire::new(&conversation), Up, &up);
        let skipped = skipped.index(wire.segments.len());
        let wire = wire.lose(|i, _| i < skipped);
        let read = read(&wire.packets(&Stack::default()));
        prop_assert_eq!(nothing_invented(&read, &conversation, &|_, _| true), Ok(()));
    }

    /// Whatever a capture holds, reading it ends without a panic.
    #[test]
    fn damage_never_panics(
        conversation in conversations(),
        link in prop::sample::select(&Link::ALL[..]),
        layers in vec(prop::sample::select(&Layer::ALL[..]), 0..3),
        fragment in prop::option::of((1..20_usize).prop_map(|n| n * 8)),
        damage in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let stack = Stack { link, layers, fragment, ..Stack::default() };
        let mut packets = Wire::new(&conversation).packets(&stack);
        for (packet, at, value) in damage {
            let index = packet.index(packets.len());
            let data = &mut packets[index].data;
            match value {
                0..8 if !data.is_empty() => data.truncate(at.index(data.len())),
                8..12 => data.extend([value; 3]),
                _ if !data.is_empty() => { let at = at.index(data.len()); data[at] = value; }
                _ => {}
            }
            let length = packets[index].data.len() as u32;
            packets[index].original_len = packets[index].original_len.max(length);
        }
        read(&packets);
    }

    /// Nor does it for packets made of anything, under any link type.
    #[test]
    fn noise_never_panics(
        link in prop::sample::select(&[0_u16, 1, 9, 51, 101, 105, 108, 113, 127, 228, 229, 239, 276, 147][..]),
        packets in vec(vec(any::<u8>(), 0..120), 0..20),
    ) {
        let packets: Vec<_> = packets.into_iter().enumerate().map(|(i, data)| OwnedPacket {
            link: mqttdump::packet::LinkType(link),
            time: i as i64,
            original_len: data.len() as u32,
            data,
        }).collect();
        let read = read(&packets);
        prop_assert!(read.frames.is_empty());
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// Damaged files end with a message and exit 2 or are read, never with a
    /// panic (101) or a signal.
    #[test]
    fn damaged_files_never_panic(
        format in prop::sample::select(&Format::ALL[..]),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        keep in any::<prop::sample::Index>(),
    ) {
        let conversation = Conversation::new("> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=x");
        let mut file = format.write(&Wire::new(&conversation).packets(&Stack::default()));
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        file.truncate(keep.index(file.len()).max(100));
        let run = crate::support::program::run_with_input(&["-r", "-"], &file);
        prop_assert!(matches!(run.code, Some(0 | 2)), "{:?}", run);
        prop_assert!(run.code == Some(0) || !run.err.is_empty(), "{:?}", run);
    }
}

/// Whether the capture holds a byte of a stream.
fn is_captured(wire: &Wire, way: Direction, offset: u64) -> bool {
    let offset = offset as i64;
    (wire.segments.iter()).any(|s| s.way == way && s.range().contains(&offset))
}

pub(crate) fn split(wire: Wire, way: Direction, at: &[prop::sample::Index]) -> Wire {
    let length = wire.streams[way as usize].len();
    let offsets: Vec<usize> = match length {
        0 => Vec::new(),
        _ => at.iter().map(|i| i.index(length)).collect(),
    };
    wire.split(way, &offsets)
}

/// Sends some bytes again in a segment that keeps to no border, after all of
/// them were captured once.
pub(crate) fn repacketise(
    wire: Wire,
    way: Direction,
    from: &prop::sample::Index,
    length: &prop::sample::Index,
) -> Wire {
    let stream = wire.streams[way as usize].len();
    if stream == 0 {
        return wire;
    }
    let from = from.index(stream);
    let to = from + 1 + length.index(stream - from);
    let whole = (0..wire.segments.len()).find(|&i| {
        let mut missing: Vec<bool> = vec![true; stream];
        for s in wire.segments[..=i].iter().filter(|s| s.way == way) {
            let range = s.range();
            for at in range.start.max(0)..range.end {
                missing[at as usize] = false;
            }
        }
        !missing[from..to].contains(&true)
    });
    match whole {
        Some(at) => wire.retransmit(at + 1, way, from..to),
        None => wire,
    }
}

/// A conversation of a handful of honest exchanges.
pub(crate) fn conversations() -> impl Strategy<Value = Conversation> {
    honest_or_deceptive(false)
}

/// With payloads that are whole control packets: no trouble as long as no
/// byte is lost, and indistinguishable from real ones when their packet's own
/// header is.
fn deceptive_conversations() -> impl Strategy<Value = Conversation> {
    honest_or_deceptive(true)
}

fn honest_or_deceptive(deceptive: bool) -> impl Strategy<Value = Conversation> {
    let exchange = (
        0..9_u8,
        1..200_u16,
        prop_oneof![0..40_usize, 100..140_usize, Just(1300_usize)],
    );
    (prop::sample::select(&[3_u8, 4, 5][..]), vec(exchange, 0..8)).prop_map(move |(version, exchanges)| {
        let mut text = format!("> CONNECT client=c{version} version={version}\n< CONNACK\n");
        for (kind, id, size) in exchanges {
            // The second looks like packets, but of both directions and with
            // an end that is none.
            let payload = match id % 3 {
                1 => "payload=hex:c000d000c000d000320700016100017878ff".to_owned(),
                2 if deceptive => {
                    "payload=hex:3003000161c000300300016130030001613003000161".to_owned()
                }
                _ => format!("payload_size={size}"),
            };
            text += &match kind {
                0 => format!("> PUBLISH topic=a/{id} {payload}\n"),
                1 => format!("> PUBLISH topic=a/{id} qos=1 id={id} {payload}\n< PUBACK id={id}\n"),
                2 => format!(
                    "> PUBLISH topic=b qos=2 id={id} {payload}\n< PUBREC id={id}\n> PUBREL id={id}\n< PUBCOMP id={id}\n"
                ),
                3 => format!("< PUBLISH topic=c/{id} {payload}\n"),
                4 => format!("< PUBLISH topic=d qos=1 id={id} {payload}\n> PUBACK id={id}\n"),
                5 => format!("> SUBSCRIBE id={id} filter=a/+:1 filter=#:0\n< SUBACK id={id} codes=1,0\n"),
                6 => "> PINGREQ\n< PINGRESP\n".to_owned(),
                7 if version == 5 => format!(
                    "> PUBLISH topic=t{id} topic_alias=1 {payload}\n> PUBLISH topic_alias=1 {payload}\n"
                ),
                _ => format!("> UNSUBSCRIBE id={id} filter=#\n< UNSUBACK id={id}{}\n", if version == 5 { " codes=0" } else { "" }),
            };
        }
        text += "> DISCONNECT\n";
        Conversation::new(&text)
    })
}

/// Random bytes on the MQTT port, joined in the middle: the likeliest way to
/// invent frames. The odds that the framer states are far below one in the
/// megabytes pushed here.
#[test]
fn random_bytes_yield_no_frames() {
    let megabytes = std::env::var("RANDOM_MEGABYTES")
        .ok()
        .and_then(|n| n.parse().ok());
    let megabytes: usize = megabytes.unwrap_or(4);
    let template = Wire::new(&Conversation::new("! midstream\n> PINGREQ\n! reset >"));
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut invented = 0;
    for connection in 0..megabytes * 4 {
        let mut wire = template.clone();
        wire.client.set_port(10_000 + (connection % 50_000) as u16);
        wire.segments.clear();
        // Short segments have the most positions where a packet may begin.
        let size = if connection % 2 == 0 { 1_000 } else { 16 };
        for n in 0..250_000 / size {
            let mut segment = template.segments[0].clone();
            segment.way = if n % 5 == 4 { Down } else { Up };
            let turns = [n - n / 5, n / 5];
            segment.seq = 1 + turns[segment.way as usize] * size;
            segment.ack = 1 + turns[1 - segment.way as usize] * size;
            segment.time += n * 1_000_000;
            segment.payload = (0..size).map(|_| random.next() as u8).collect();
            wire.segments.push(segment);
        }
        invented += read(&wire.packets(&Stack::default())).frames.len();
    }
    assert_eq!(invented, 0, "frames in {megabytes} MB of random bytes");
}

/// Text and patterns are likelier than random bytes on a real wire.
#[test]
fn other_protocols_yield_no_frames() {
    for bytes in [
        pattern(60_000),
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".repeat(500),
        vec![0; 60_000],
        vec![0x30; 60_000],
        b"0\x05\x00\x03a".repeat(3),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(200),
    ] {
        let mut wire = Wire::new(&Conversation::new("! midstream\n> PINGREQ\n! reset >"));
        let template = wire.segments[0].clone();
        wire.segments.clear();
        for (i, chunk) in bytes.chunks(1_400).enumerate() {
            let mut segment = template.clone();
            segment.seq += i as i64 * 1_400;
            segment.payload = chunk.to_vec();
            segment.time += i as i64;
            wire.segments.push(segment);
        }
        let read = read(&wire.packets(&Stack::default()));
        assert_eq!(read.frames, [], "{:?}…", &bytes[..20.min(bytes.len())]);
    }
}

/// Marsaglia's generator: the same bytes in every run.
struct Xorshift(u64);

impl Xorshift {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }
}
