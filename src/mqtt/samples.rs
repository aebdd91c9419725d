//! Control packets for the tests, and the tests that go over all of them.
//!
//! They are written as hexadecimal digits and quoted text; spaces are ignored:
//! `30 07 0003 'a/b' 'hi'`.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;

const V3: Version = Version::V3_1;
const V4: Version = Version::V3_1_1;
const V5: Version = Version::V5;

/// The bytes of a sample.
pub(super) fn bytes(sample: &str) -> &'static [u8] {
    let mut bytes = Vec::new();
    for (place, part) in sample.split('\'').enumerate() {
        if place % 2 == 1 {
            bytes.extend(part.bytes());
            continue;
        }
        let digits: String = part.split_whitespace().collect();
        for pair in digits.as_bytes().chunks(2) {
            let pair = std::str::from_utf8(pair).unwrap();
            bytes.push(u8::from_str_radix(pair, 16).unwrap());
        }
    }
    bytes.leak()
}

/// The fixed header at the start of bytes.
pub(super) fn header(bytes: &[u8]) -> FixedHeader {
    let varint::Varint::Value {
        value,
        bytes: length_bytes,
    } = varint::decode(&bytes[1..])
    else {
        panic!("no fixed header")
    };
    FixedHeader {
        first: bytes[0],
        length_bytes,
        remaining_length: value,
    }
}

/// The sample, decoded. Its Remaining Length has to be right.
pub(super) fn decoded(version: Version, sample: &str) -> Decoded<'static> {
    let bytes = bytes(sample);
    let header = header(bytes);
    assert_eq!(header.packet_len(), bytes.len() as u64, "{sample}");
    decode(header, bytes, version)
}

/// The codes of its defects.
pub(super) fn codes(version: Version, sample: &str) -> Vec<&'static str> {
    let defects = decoded(version, sample).defects;
    defects.iter().map(|defect| defect.code.name()).collect()
}

/// The sample, which has no defect.
pub(super) fn clean(version: Version, sample: &str) -> ControlPacket<'static> {
    let decoded = decoded(version, sample);
    assert!(
        decoded.defects.is_empty(),
        "{sample}: {:?}",
        decoded.defects
    );
    decoded.packet
}

/// Well-formed packets.
pub(super) const CLEAN: &[(Version, &str)] = &[
    (V3, "10 10 0006 'MQIsdp' 03 c2 000a 0002 'br'"),
    (V3, "11 10 0006 'MQIsdp' 83 02 000a 0002 'br'"),
    (
        V4,
        "10 25 0004 'MQTT' 04 ee 003c 0002 'c1' 0003 'a/w' 0002 00ff 0004 'user' 0006 'secret'",
    ),
    (V4, "10 0c 0004 'MQTT' 84 02 0000 0000"),
    (V5, "10 0d 0004 'MQTT' 05 02 0000 00 0000"),
    (V5, "10 11 0004 'MQTT' 05 42 0000 00 0000 0002 00ff"),
    (
        V5,
        "10 28 0004 'MQTT' 05 06 0000 05 11 0000000a 0001 'c' \
         0c 18 00000005 26 0001 'k' 0001 'v' 0001 't' 0003 'bye'",
    ),
    (V3, "20 02 ff 00"),
    (V4, "20 02 01 00"),
    (V4, "20 02 00 05"),
    (V5, "20 06 00 00 03 21 0014"),
    (V5, "20 02 00 01"),
    (V4, "30 07 0003 'a/b' 'hi'"),
    (V4, "3d 05 0001 'a' 0001"),
    (V4, "32 85 80 00 0001 'a' 0001"),
    (V3, "38 04 0002 ff00"),
    (V4, "30 08 0006 'ü/ü/'"),
    (V5, "30 04 0001 'a' 00"),
    (V5, "32 0c 0000 0007 05 01 01 23 0002 'x' 'y'"),
    (
        V5,
        "34 29 0001 't' 0007 1c 02 00000001 03 0001 'j' 08 0001 'r' 09 0000 0b 01 0b 80 01 \
         26 0001 'a' 0001 'b' 'payload'",
    ),
    (V3, "42 02 0001"),
    (V4, "40 02 0001"),
    (V5, "40 02 0001"),
    (V5, "40 03 0007 10"),
    (V5, "50 09 0007 87 05 1f 0002 'no'"),
    (V3, "6a 02 0001"),
    (V4, "62 02 0001"),
    (V5, "62 04 0007 92 00"),
    (V5, "70 03 0007 92"),
    (V3, "8b 06 0001 0001 'a' fc"),
    (V4, "82 0b 0001 0001 '#' 00 0002 '+/' 02"),
    (V4, "82 0d 0001 0008 '$share/a' 01"),
    (
        V5,
        "82 13 0007 02 0b 05 0003 'a/+' 2e 0001 '#' 01 0001 '/' 00",
    ),
    (V5, "82 10 0007 00 000a '$share/a/#' 01"),
    (V3, "90 03 0001 02"),
    (V4, "90 05 0007 01 02 80"),
    (V5, "90 05 0007 00 02 8f"),
    (V3, "aa 05 0001 0001 'a'"),
    (V4, "a2 0a 0007 0003 'a/#' 0001 'b'"),
    (V5, "a2 0d 0007 07 26 0001 'a' 0001 'b' 0001 'c'"),
    (V4, "b0 02 0007"),
    (V5, "b0 05 0007 00 00 11"),
    (V4, "c0 00"),
    (V3, "d7 00"),
    (V5, "d0 00"),
    (V4, "e0 00"),
    (V5, "e0 00"),
    (V5, "e0 01 8e"),
    (V5, "e0 07 04 05 11 00000000"),
    (V5, "f0 00"),
    (V5, "f0 0e 18 0c 15 0004 'SCRA' 16 0002 0001"),
];

/// Packets with a defect: its code and its offset.
const DEFECTIVE: &[(Version, &str, &str, u32)] = &[
    (V4, "00 00", "reserved-type", 0),
    (V5, "0f 02 1234", "reserved-type", 0),
    (V4, "f0 00", "reserved-type", 0),
    (V4, "c1 00", "reserved-flags", 0),
    (V5, "42 02 0001", "reserved-flags", 0),
    (V4, "60 02 0001", "reserved-flags", 0),
    (V4, "6a 02 0001", "reserved-flags", 0),
    (V3, "60 02 0001", "reserved-flags", 0),
    (V4, "80 06 0001 0001 'a' 00", "reserved-flags", 0),
    (V4, "11 0c 0004 'MQTT' 04 02 0000 0000", "reserved-flags", 0),
    (V4, "36 05 0001 'a' 0001", "qos-3", 0),
    (V4, "82 06 0001 0001 'a' 03", "qos-3", 7),
    (
        V4,
        "10 12 0004 'MQTT' 04 1e 0000 0000 0001 't' 0001 'p'",
        "qos-3",
        9,
    ),
    (V4, "38 03 0001 'a'", "dup-with-qos-0", 0),
    (V5, "c0 80 00", "overlong-integer", 1),
    (V5, "30 05 0001 'a' 80 00", "overlong-integer", 5),
    (V5, "30 07 0001 'a' 03 0b 81 00", "overlong-integer", 6),
    (V5, "30 07 0001 'a' 03 81 00 01", "overlong-integer", 6),
    (V5, "30 07 0001 'a' ffffffff", "malformed-integer", 5),
    (V5, "30 09 0001 'a' 05 0b ffffffff", "malformed-integer", 6),
    (V4, "30 00", "missing-field", 2),
    (V4, "32 03 0001 'a'", "missing-field", 5),
    (V5, "30 03 0001 'a'", "missing-field", 5),
    (
        V4,
        "10 0e 0004 'MQTT' 04 c2 000a 0002 'br'",
        "missing-field",
        16,
    ),
    (V4, "32 04 0001 'a' 01", "past-end", 5),
    (V4, "30 05 0009 'abc'", "past-end", 2),
    (
        V3,
        "10 12 0006 'MQIsdp' 03 c2 000a 0002 'br' 0001",
        "past-end",
        18,
    ),
    (V4, "40 03 0001 00", "trailing-bytes", 4),
    (V4, "c0 01 00", "trailing-bytes", 2),
    (V5, "d0 01 00", "trailing-bytes", 2),
    (
        V4,
        "10 0d 0004 'MQTT' 04 02 0000 0000 00",
        "trailing-bytes",
        14,
    ),
    (V4, "32 05 0001 'a' 0000", "packet-id-0", 5),
    (V5, "62 02 0000", "packet-id-0", 2),
    (V4, "30 05 0003 'a' ff 'b'", "bad-utf8", 5),
    (V4, "30 05 0003 eda080", "bad-utf8", 4),
    (
        V5,
        "30 0c 0001 'a' 08 26 0001 'k' 0002 'v' c3",
        "bad-utf8",
        13,
    ),
    (
        V5,
        "30 0c 0001 'a' 08 26 0002 'k' c3 0001 'v'",
        "bad-utf8",
        10,
    ),
    (V5, "40 08 0001 00 04 1f 0001 ff", "bad-utf8", 9),
    (V4, "82 07 0001 0002 'a' ff 00", "bad-utf8", 7),
    (V4, "30 05 0003 'a' 00 'b'", "nul-in-string", 5),
    (
        V4,
        "10 0d 0004 'MQTT' 04 02 0000 0001 00",
        "nul-in-string",
        14,
    ),
    (V4, "30 02 0000", "empty-topic", 2),
    (V5, "30 03 0000 00", "empty-topic", 2),
    (V5, "30 07 0001 'a' 03 08 0000", "empty-topic", 9),
    (
        V4,
        "10 11 0004 'MQTT' 04 06 0000 0000 0000 0001 'p'",
        "empty-topic",
        14,
    ),
    (V4, "30 05 0003 'a/+'", "wildcard-in-topic", 6),
    (V3, "30 03 0001 '#'", "wildcard-in-topic", 4),
    (V5, "30 08 0001 'a' 04 08 0001 '#'", "wildcard-in-topic", 9),
    (V4, "82 05 0001 0000 00", "empty-filter", 6),
    (V4, "82 0a 0001 0005 'a/#/b' 00", "bad-filter", 8),
    (V4, "82 07 0001 0002 'a+' 00", "bad-filter", 7),
    (V5, "a2 07 0001 00 0002 'a#'", "bad-filter", 8),
    (V5, "82 10 0001 00 000a '$share/+/a' 00", "bad-share", 14),
    (V5, "a2 0d 0001 00 0008 '$share/a'", "bad-share", 14),
    (
        V5,
        "82 10 0001 00 000a '$share/g/a' 04",
        "shared-no-local",
        17,
    ),
    (V4, "82 02 0001", "empty-payload", 4),
    (V5, "a2 03 0001 00", "empty-payload", 5),
    (V4, "90 02 0001", "empty-payload", 4),
    (V5, "b0 03 0001 00", "empty-payload", 5),
    (V4, "82 06 0001 0001 'a' 04", "reserved-options", 7),
    (V5, "82 07 0001 00 0001 'a' c0", "reserved-options", 8),
    (V5, "82 07 0001 00 0001 'a' 30", "retain-handling-3", 8),
    (
        V4,
        "10 0c 0004 'MQTX' 04 02 0000 0000",
        "unknown-protocol",
        2,
    ),
    (
        V4,
        "10 0c 0004 'MQTT' 03 02 0000 0000",
        "unknown-protocol",
        2,
    ),
    (
        V4,
        "10 0c 0004 'MQTT' 06 02 0000 0000",
        "unknown-protocol",
        8,
    ),
    (
        V4,
        "10 0c 0004 'MQTT' 04 03 0000 0000",
        "reserved-connect-flag",
        9,
    ),
    (V4, "10 0c 0004 'MQTT' 04 0a 0000 0000", "will-flags", 9),
    (V4, "10 0c 0004 'MQTT' 04 22 0000 0000", "will-flags", 9),
    (
        V4,
        "10 0f 0004 'MQTT' 04 42 0000 0000 0001 'p'",
        "password-without-username",
        9,
    ),
    (V4, "20 02 02 00", "reserved-connack-flags", 2),
    (V4, "20 02 00 06", "unknown-code", 3),
    (V5, "40 03 0001 44", "unknown-code", 4),
    (V4, "90 04 0001 00 05", "unknown-code", 5),
    (V5, "30 05 0001 'a' 09 01", "property-length", 5),
    (V5, "30 07 0001 'a' 03 02 0000", "property-past-end", 6),
    (V5, "30 06 0001 'a' 02 7e 00", "unknown-property", 6),
    (V5, "30 07 0001 'a' 03 21 0001", "misplaced-property", 6),
    (V5, "30 08 0001 'a' 04 01 00 01 00", "repeated-property", 8),
    (
        V5,
        "82 0b 0001 04 0b 01 0b 01 0001 'a' 00",
        "repeated-property",
        7,
    ),
    (V5, "30 06 0001 'a' 02 01 02", "property-value", 6),
    (V5, "30 07 0001 'a' 03 23 0000", "property-value", 6),
    (V5, "30 06 0001 'a' 02 0b 00", "property-value", 6),
    (V5, "20 06 00 00 03 21 0000", "property-value", 5),
];

#[test]
fn clean_packets_have_no_defects() {
    for &(version, sample) in CLEAN {
        clean(version, sample);
    }
}

#[test]
fn every_defect_is_reported_with_its_place() {
    for &(version, sample, code, offset) in DEFECTIVE {
        let defects = decoded(version, sample).defects;
        let found: Vec<_> = defects
            .iter()
            .map(|found| (found.code.name(), found.offset))
            .collect();
        assert_eq!(found, [(code, offset)], "{sample}");
    }
    let listed: BTreeSet<_> = DefectCode::ALL.iter().map(|code| code.name()).collect();
    let shown: BTreeSet<_> = DEFECTIVE.iter().map(|(_, _, code, _)| *code).collect();
    assert_eq!(
        listed, shown,
        "one packet for every code, and no other code"
    );
}

#[test]
fn a_packet_identifier_can_be_read_alone() {
    for &(version, sample) in CLEAN {
        let bytes = bytes(sample);
        let header = header(bytes);
        let packet = decode(header, bytes, version).packet;
        assert_eq!(packet_id(header, bytes), packet.packet_id(), "{sample}");
        for cut in 0..bytes.len() {
            let part = decode(header, &bytes[..cut], version).packet;
            let alone = packet_id(header, &bytes[..cut]);
            assert_eq!(alone, part.packet_id(), "{sample} cut at {cut}");
        }
    }
}

/// Bytes that are merely not kept are no defect.
#[test]
fn a_prefix_has_no_defects_of_its_own() {
    let clean = CLEAN.iter().map(|&(version, sample)| (version, sample));
    let defective = DEFECTIVE
        .iter()
        .map(|&(version, sample, ..)| (version, sample));
    for (version, sample) in clean.chain(defective) {
        let bytes = bytes(sample);
        let header = header(bytes);
        for version in [version, V3, V4, V5] {
            let whole = decode(header, bytes, version);
            for cut in 0..bytes.len() {
                let part = decode(header, &bytes[..cut], version);
                for defect in &part.defects {
                    assert!(
                        whole.defects.contains(defect),
                        "{sample} cut at {cut}: {defect}"
                    );
                }
            }
        }
    }
}

#[test]
fn bytes_after_the_packet_are_not_looked_at() {
    for &(version, sample) in CLEAN {
        let longer = [bytes(sample), b"\xff\xff\xff"].concat();
        let header = header(&longer);
        let decoded = decode(header, &longer, version);
        assert_eq!(decoded.packet, clean(version, sample));
        assert!(decoded.defects.is_empty(), "{sample}");
    }
}

#[test]
fn defects_are_bounded() {
    let mut packet = b"\x90\xe8\x07\x00\x01".to_vec();
    packet.resize(3 + 1000, 0x77);
    let decoded = decode(header(&packet), &packet, V4);
    assert_eq!(decoded.defects.len(), MOST_DEFECTS);
}

/// Runs all lazy iterators.
fn walk(packet: &ControlPacket<'_>) -> usize {
    let inner = match packet {
        ControlPacket::Connect(connect) => connect
            .will
            .as_ref()
            .map_or(0, |will| will.properties.iter().count()),
        ControlPacket::Subscribe(subscribe) => subscribe.filters().count(),
        ControlPacket::Unsubscribe(unsubscribe) => unsubscribe.filters().count(),
        _ => 0,
    };
    inner + packet.properties().iter().count()
}

proptest! {
    #[test]
    fn random_bytes_never_panic(
        first in any::<u8>(),
        length_bytes in 0..=9_u8,
        remaining_length in prop_oneof![0..=64_u32, 0..=varint::MAX, any::<u32>()],
        bytes in any::<Vec<u8>>(),
    ) {
        let header = FixedHeader { first, length_bytes, remaining_length };
        for version in [V3, V4, V5] {
            let decoded = decode(header, &bytes, version);
            walk(&decoded.packet);
            prop_assert!(decoded.defects.is_sorted_by_key(|defect| defect.offset));
        }
    }

    /// Packets that are nearly right get further than random bytes.
    #[test]
    fn damaged_samples_never_panic(
        sample in 0..CLEAN.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes(CLEAN[sample].1).to_vec();
        let header = header(&bytes);
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        for version in [V3, V4, V5] {
            let whole = decode(header, &bytes, version);
            walk(&whole.packet);
            let part = decode(header, &bytes[..cut.index(bytes.len())], version);
            walk(&part.packet);
            // Of an unknown protocol level, how much is there decides
            // which layout fits better.
            let unknown = |defect: &Defect| defect.code == DefectCode::UnknownProtocol;
            for defect in part.defects.iter().filter(|_| !whole.defects.iter().any(unknown)) {
                prop_assert!(whole.defects.contains(defect), "{:02x?} {}", bytes, defect);
            }
        }
    }
}
