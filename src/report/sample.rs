//! Frames for the tests of the formats: one of every packet type, built from
//! the bytes that were on the wire.

use std::net::Ipv4Addr;

use crate::frame::{Connection, Direction, MQTTFrame, PerDirection, Transport};
use crate::layer::ByteRange;
use crate::mqtt::{self, ControlPacket, Defect, FixedHeader, Text, Version};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A frame's parts, owned; [`Sample::with`] makes the frame.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    /// How many of `bytes` were kept.
    pub(super) kept: usize,
    pub(super) version: Version,
    pub(super) connection: Connection,
    pub(super) direction: Direction,
    /// The topic; what was sent unless set otherwise.
    pub(super) resolved: Option<Vec<u8>>,
    pub(super) missing: u64,
    pub(super) resynchronised: bool,
    pub(super) extra_defects: Vec<Defect>,
    pub(super) first: PacketRef,
    pub(super) last: PacketRef,
    pub(super) time: Timestamp,
    pub(super) offset: u64,
}

impl Sample {
    /// From a whole control packet.
    pub(super) fn raw(bytes: &[u8], version: Version) -> Self {
        Self {
            bytes: bytes.to_vec(),
            kept: bytes.len(),
            version,
            connection: connection(version),
            direction: Direction::Up,
            resolved: None,
            missing: 0,
            resynchronised: false,
            extra_defects: Vec::new(),
            first: PacketRef { number: 6, file: 0 },
            last: PacketRef { number: 7, file: 0 },
            time: Timestamp::from_parts(1_403_003_102, 104_511_000),
            offset: 40,
        }
    }

    /// From the first byte and what follows the Remaining Length.
    pub(super) fn packet(first: u8, body: &[&[u8]], version: Version) -> Self {
        let body = body.concat();
        let mut bytes = vec![first];
        let mut length = body.len();
        while length > 0x7f {
            bytes.push(length as u8 & 0x7f | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
        bytes.extend_from_slice(&body);
        Self::raw(&bytes, version)
    }

    pub(super) fn down(self) -> Self {
        Self {
            direction: Direction::Down,
            ..self
        }
    }

    pub(super) fn with<R>(&self, look: impl FnOnce(&MQTTFrame<'_>) -> R) -> R {
        let header = header_of(&self.bytes);
        let bytes = &self.bytes[..self.kept];
        let mut decoded = mqtt::decode(header, bytes, self.version);
        decoded.defects.extend(self.extra_defects.iter().cloned());
        let topic = match (&self.resolved, &decoded.packet) {
            (Some(topic), _) => Some(Text(topic)),
            (None, ControlPacket::Publish(publish)) => publish.own_topic(),
            _ => None,
        };
        look(&MQTTFrame {
            header,
            packet: &decoded.packet,
            defects: &decoded.defects,
            topic,
            bytes,
            payload_digest: None,
            missing: self.missing,
            unfinished: false,
            resynchronised: self.resynchronised,
            version: self.version,
            connection: &self.connection,
            direction: self.direction,
            number: 1,
            first: self.first,
            last: self.last,
            time: self.time,
            offset: self.offset,
            range: ByteRange {
                start: self.offset,
                end: self.offset + header.packet_len(),
            },
            started: self.time,
            received: Default::default(),
        })
    }
}

fn header_of(bytes: &[u8]) -> FixedHeader {
    let (mut remaining_length, mut length_bytes) = (0, 0);
    for &byte in &bytes[1..] {
        remaining_length |= u32::from(byte & 0x7f) << (7 * length_bytes);
        length_bytes += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    FixedHeader {
        first: bytes[0],
        length_bytes,
        remaining_length,
    }
}

/// The connection of `sensor-7`.
pub(super) fn connection(version: Version) -> Connection {
    let endpoint = |third, fourth, port| Endpoint {
        addr: Ipv4Addr::new(10, 0, third, fourth).into(),
        port,
    };
    Connection {
        number: 3,
        client: endpoint(0, 7, 40122),
        server: endpoint(1, 1, 1883),
        transport: Transport::TCP,
        tls: None,
        websocket: None,
        client_id: Some(b"sensor-7".as_slice().into()),
        version: Some(version),
        version_assumed: false,
        first_seq: PerDirection {
            up: Some(0xffff_ff00),
            down: Some(1),
        },
        from_start: PerDirection::both(true),
        started: Timestamp::default(),
        session_uid: None,
        uid: std::sync::OnceLock::new(),
    }
}

/// A UTF-8 Encoded String or Binary Data: two bytes of length before it.
pub(super) fn field(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short field");
    [&length.to_be_bytes(), content].concat()
}

const V31: Version = Version::V3_1;
const V311: Version = Version::V3_1_1;
const V5: Version = Version::V5;

/// The PUBLISH of the line in `docs/formats.md`.
pub(super) fn publish() -> Sample {
    let topic = field(b"plant/7/temp");
    Sample::packet(0x32, &[&topic, b"\0\x07", b"123|456|789"], V311)
}

/// A PUBLISH with a payload of one's own, QoS 0.
pub(super) fn publish_of(topic: &[u8], payload: &[u8]) -> Sample {
    Sample::packet(0x30, &[&field(topic), payload], V311)
}

/// A CONNECT of 3.1.1 with a will, user name and password.
pub(super) fn connect() -> Sample {
    let body: [&[u8]; 8] = [
        &field(b"MQTT"),
        b"\x04\xee\0\x3c",
        &field(b"sensor-7"),
        &field(b"plant/7/state"),
        &field(b"gone"),
        &field(b"joe"),
        &field(b"s3cret"),
        b"",
    ];
    Sample::packet(0x10, &body, V311)
}

/// A CONNECT of 5.0 with properties, on the packet and on the will.
pub(super) fn connect_v5() -> Sample {
    let properties = [
        b"\x11\0\0\x0e\x10\x21\0\x14".as_slice(),
        b"\x26",
        &field(b"site"),
        &field(b"north"),
        b"\x26",
        &field(b"site"),
        &field(b"7"),
    ]
    .concat();
    let will_properties = b"\x18\0\0\0\x1e\x01\x01";
    let body: [&[u8]; 9] = [
        &field(b"MQTT"),
        b"\x05\x06\0\x0a",
        &[properties.len() as u8],
        &properties,
        &field(b"sensor-7"),
        &[will_properties.len() as u8],
        will_properties,
        &field(b"plant/7/state"),
        &field(b"\xff\x00"),
    ];
    Sample::packet(0x10, &body, V5)
}

/// One of every packet type, and of every version where they differ.
pub(super) fn all() -> Vec<(&'static str, Sample)> {
    let packet = Sample::packet;
    let suback_v5 = [b"\0\x05\x09\x1f".as_slice(), &field(b"no way"), b"\x01\x87"].concat();
    let puback = [b"\0\x07\x10\x09\x1f".as_slice(), &field(b"nobody")].concat();
    vec![
        ("connect", connect()),
        ("connect v5", connect_v5()),
        (
            "connect bridge",
            packet(
                0x10,
                &[&field(b"MQIsdp"), b"\x83\x02\0\x3c", &field(b"bridge-1")],
                V31,
            ),
        ),
        ("connack", packet(0x20, &[b"\0\x05"], V311).down()),
        (
            "connack v5",
            packet(
                0x20,
                &[b"\x01\0\x0e\x12", &field(b"auto-1"), b"\x21\0\x14\x24\x01"],
                V5,
            )
            .down(),
        ),
        ("publish", publish()),
        (
            "publish v5",
            packet(
                0x3b,
                &[
                    &field(b"plant/7/temp"),
                    b"\0\x07\x0f\x23\0\x03\x0b\x05\x0b\x80\x01\x01\x01\x02\0\0\0\x3c",
                    b"12 C",
                ],
                V5,
            )
            .down(),
        ),
        ("publish alias", {
            let mut sample = packet(0x30, &[b"\0\0\x03\x23\0\x03", b"\xff\xfe12"], V5);
            sample.resolved = Some(b"plant/7/temp".to_vec());
            sample
        }),
        ("puback", packet(0x40, &[b"\0\x07"], V311).down()),
        ("puback v5", packet(0x40, &[&puback], V5).down()),
        ("pubrec", packet(0x50, &[b"\0\x07"], V311).down()),
        ("pubrel", packet(0x62, &[b"\0\x07"], V311)),
        ("pubcomp v5", packet(0x70, &[b"\0\x07\x92"], V5).down()),
        (
            "subscribe",
            packet(
                0x82,
                &[
                    b"\0\x05",
                    &field(b"plant/+/temp"),
                    b"\x01",
                    &field(b"#"),
                    b"\0",
                ],
                V311,
            ),
        ),
        (
            "subscribe v5",
            packet(
                0x82,
                &[b"\0\x05\x02\x0b\x09", &field(b"a b/#"), b"\x2e"],
                V5,
            ),
        ),
        ("suback", packet(0x90, &[b"\0\x05\x01\x80"], V311).down()),
        ("suback v5", packet(0x90, &[&suback_v5], V5).down()),
        (
            "unsubscribe",
            packet(0xa2, &[b"\0\x06", &field(b"a"), &field(b"b/\"c\"")], V311),
        ),
        ("unsuback", packet(0xb0, &[b"\0\x06"], V311).down()),
        ("unsuback v5", packet(0xb0, &[b"\0\x06\0\0\x11"], V5).down()),
        ("pingreq", packet(0xc0, &[], V311)),
        ("pingresp", packet(0xd0, &[], V311).down()),
        ("disconnect", packet(0xe0, &[], V311)),
        ("disconnect v5", packet(0xe0, &[b"\x8e\0"], V5).down()),
        (
            "auth",
            packet(0xf0, &[b"\x18\x0b\x15", &field(b"SCRAM"), b"\x16\0\0"], V5),
        ),
        ("reserved", packet(0x00, &[b"\x01\x02"], V311)),
    ]
}
