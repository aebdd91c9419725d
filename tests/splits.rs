//! One conversation, many paths: every split, link type, tunnel and file
//! format gives the same frames. Exhaustive where it is small enough.

use mqttdump::frame::Direction::{Down, Up};

use crate::support::files::{self, Format};
use crate::support::program::{TempFile, run};
use crate::support::read::{assert_frames, read};
use crate::support::stack::{Layer, Link, OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

/// Short enough for all pairs of cuts, with a length that takes two bytes.
fn short() -> Conversation {
    Conversation::new(
        "> CONNECT client=ab version=5\n\
         < CONNACK topic_alias_maximum=5\n\
         > PUBLISH qos=1 id=7 topic=a/b topic_alias=1 payload=xyz\n\
         < PUBACK id=7\n\
         > PINGREQ\n\
         < PINGRESP\n\
         > PUBLISH qos=2 id=8 topic_alias=1 payload_size=130\n\
         < PUBREC id=8 code=0x10\n\
         > PUBREL id=8\n\
         < PUBCOMP id=8\n\
         > DISCONNECT code=4",
    )
}

/// Every packet type in both directions, for carriers and formats.
pub(crate) fn everything() -> Conversation {
    Conversation::new(
        r#"
        > CONNECT client=sensor-7 version=5 keep_alive=30 user=u password=p will_topic=w will_payload=gone will_qos=1 authentication_method=m session_expiry_interval=60
        < AUTH code=0x18 authentication_method=m authentication_data=hex:00ff
        > AUTH code=0x18 authentication_method=m authentication_data=hex:ff00
        < CONNACK session_present=0 assigned_client_identifier=x topic_alias_maximum=4 user_property=a:b
        > SUBSCRIBE id=1 filter=plant/+/temp:1 filter=$share/g/x/#:0x2e subscription_identifier=300
        < SUBACK id=1 codes=1,0x87
        > PUBLISH topic=plant/7/temp payload="21.5 °C" retain=1 content_type=text/plain
        + PUBLISH topic=plant/7/temp qos=1 id=7 payload="123|456|789|000|06-30-2014-10:15:00" topic_alias=2
        < PUBACK id=7 code=0x10
        < PUBLISH topic=other qos=2 id=7 payload=hex:0102ff topic_alias=2
        > PUBREC id=7
        < PUBREL id=7
        > PUBCOMP id=7
        > PUBLISH topic_alias=2 qos=2 id=8 payload_size=1300
        < PUBREC id=8
        > PUBREL id=8 reason_string=fine
        < PUBCOMP id=8
        > UNSUBSCRIBE id=2 filter=plant/+/temp
        < UNSUBACK id=2 codes=0
        > PINGREQ
        < PINGRESP
        < DISCONNECT code=0x8b reason_string="moving away"
        "#,
    )
}

#[test]
fn every_pair_of_cuts() {
    let conversation = short();
    let wire = Wire::new(&conversation);
    for way in [Up, Down] {
        let length = wire.streams[way as usize].len();
        // The last packet starts are covered by single cuts; pairs that are
        // far apart show nothing new.
        for first in 1..length {
            for second in first + 1..length.min(first + 9) {
                let packets = wire.clone().split(way, &[first, second]);
                let read = read(&packets.packets(&Stack::default()));
                if std::panic::catch_unwind(|| assert_frames(&read, &conversation)).is_err() {
                    panic!("{way:?} stream cut at {first} and {second}");
                }
            }
        }
    }
}

#[test]
fn every_byte_a_segment() {
    let conversation = everything();
    let mut wire = Wire::new(&conversation);
    for way in [Up, Down] {
        let all: Vec<usize> = (1..wire.streams[way as usize].len()).collect();
        wire = wire.split(way, &all);
    }
    assert_frames(&read(&wire.packets(&Stack::default())), &conversation);
}

#[test]
fn every_link_type_and_ip_version() {
    let conversation = everything();
    for wire in [
        Wire::new(&conversation),
        Wire::new(&conversation).over_ipv6(),
    ] {
        for link in Link::ALL {
            let packets = wire.packets(&Stack::link(link));
            let read = read(&packets);
            assert!(read.summary.net.undecodable.is_empty(), "{link:?}");
            assert!(!read.frames.is_empty(), "{link:?} {}", wire.client);
            assert_frames(&read, &conversation);
        }
    }
}

#[test]
fn every_pair_of_tags_and_tunnels() {
    let conversation = short();
    for wire in [
        Wire::new(&conversation),
        Wire::new(&conversation).over_ipv6(),
    ] {
        for outer in Layer::ALL {
            for inner in Layer::ALL {
                // PPPoE carries IP and MPLS; MPLS carries IP (a label shows no more).
                let impossible = match outer {
                    Layer::Pppoe | Layer::Mpls(_) => is_tag(inner),
                    Layer::IpIp | Layer::Gtpu => is_tag(inner),
                    _ => false,
                };
                if impossible {
                    continue;
                }
                let stack = Stack::layers(&[outer, inner]);
                let read = read(&wire.packets(&stack));
                assert!(
                    !read.frames.is_empty(),
                    "{outer:?} {inner:?} {}",
                    wire.client
                );
                assert_frames(&read, &conversation);
            }
        }
    }
}

#[test]
fn tags_to_any_depth() {
    let conversation = short();
    let layers = [
        Layer::Qinq(1),
        Layer::Vlan(2),
        Layer::Vlan(3),
        Layer::Qinq(4),
        Layer::Vlan(5),
    ];
    let read = read(&Wire::new(&conversation).packets(&Stack::layers(&layers)));
    assert_frames(&read, &conversation);
}

#[test]
fn tags_on_cooked_captures() {
    let conversation = short();
    for link in [Link::Sll, Link::Sll2, Link::Wifi, Link::Snap] {
        let stack = Stack {
            link,
            layers: vec![Layer::Vlan(5)],
            ..Stack::default()
        };
        assert_frames(
            &read(&Wire::new(&conversation).packets(&stack)),
            &conversation,
        );
    }
}

#[test]
fn ip_fragments_of_every_size() {
    let conversation = everything();
    for wire in [
        Wire::new(&conversation),
        Wire::new(&conversation).over_ipv6(),
    ] {
        for size in [8, 16, 24, 512, 1480] {
            let stack = Stack {
                fragment: Some(size),
                ..Stack::default()
            };
            assert_frames(&read(&wire.packets(&stack)), &conversation);
        }
    }
}

#[test]
fn ip_fragments_backwards_and_twice() {
    let conversation = everything();
    let wire = Wire::new(&conversation);
    let stack = Stack {
        fragment: Some(24),
        ..Stack::default()
    };
    let mut packets = Vec::new();
    for segment in &wire.segments {
        let mut fragments = stack.packets(&wire, segment);
        fragments.reverse();
        let again = fragments[0].clone();
        fragments.insert(1, again);
        packets.extend(fragments);
    }
    assert_frames(&read(&packets), &conversation);
}

#[test]
fn offloaded_and_padded() {
    let conversation = everything();
    for wire in [
        Wire::new(&conversation),
        Wire::new(&conversation).over_ipv6(),
    ] {
        for (offload, pad) in [(true, false), (false, true)] {
            let stack = Stack {
                offload,
                pad,
                ..Stack::default()
            };
            assert_frames(&read(&wire.packets(&stack)), &conversation);
        }
    }
}

/// The file formats go through the program: its NDJSON must be the same for
/// each, but for the precision of a coarser clock.
#[test]
fn every_file_format() {
    let packets = Wire::new(&everything()).packets(&Stack::default());
    let packets = &without_fractions(packets);
    let expected = ndjson(
        "a.pcap",
        &Format::Pcap {
            nano: false,
            big: false,
        }
        .write(packets),
    );
    assert_eq!(
        expected.lines().filter(|l| l.contains("\"type\"")).count(),
        22
    );
    for format in Format::ALL {
        assert_eq!(
            ndjson("a.pcap", &format.write(packets)),
            expected,
            "{format:?}"
        );
    }
    let file = Format::PCAPNG.write(packets);
    for (name, squeezed) in [
        ("a.gz", files::gz(&file)),
        ("a.lz4", files::lz4(&file)),
        ("a.zst", files::zst(&file)),
        ("misleading.gz", file.clone()),
        (
            "two.gz",
            [files::gz(&file[..1000]), files::gz(&file[1000..])].concat(),
        ),
    ] {
        assert_eq!(ndjson(name, &squeezed), expected, "{name}");
    }
}

#[test]
fn mixed_link_types_in_one_pcapng() {
    let conversation = everything();
    let wire = Wire::new(&conversation);
    let links = [Link::Ethernet, Link::Sll2, Link::Raw, Link::Nflog];
    let packets: Vec<OwnedPacket> = (wire.segments.iter().zip(links.into_iter().cycle()))
        .flat_map(|(segment, link)| Stack::link(link).packets(&wire, segment))
        .collect();
    let packets = &without_fractions(packets);
    let expected = wire.packets(&Stack::default());
    let expected = &without_fractions(expected);
    assert_eq!(
        ndjson("mixed.pcapng", &Format::PCAPNG.write(packets)),
        ndjson("plain.pcapng", &Format::PCAPNG.write(expected)),
    );
}

/// Times in whole milliseconds, which every format of ours can represent... but
/// for 2^-20 s, so whole seconds.
fn without_fractions(mut packets: Vec<OwnedPacket>) -> Vec<OwnedPacket> {
    for (i, packet) in packets.iter_mut().enumerate() {
        packet.time = (1_404_123_300 + i as i64) * 1_000_000_000;
    }
    packets
}

#[track_caller]
fn ndjson(name: &str, file: &[u8]) -> String {
    let file = TempFile::new(name, file);
    let out = run(&["--format", "ndjson", "-r", file.path()]).clean();
    assert!(out.contains("\"type\""), "{name} shows no frames: {out}");
    out
}

fn is_tag(layer: Layer) -> bool {
    matches!(
        layer,
        Layer::Vlan(_) | Layer::Qinq(_) | Layer::Pppoe | Layer::Mpls(_)
    )
}
