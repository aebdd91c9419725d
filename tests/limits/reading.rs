//! What waits below MQTT: events, and bytes of layers.

use mqttdump::engine::Config;
use mqttdump::event::EventKind;
use mqttdump::frame::Direction::Up;
use mqttdump::layer::Note;
use mqttdump::limits::{self, Limit};

use crate::support::read::{Read, Reader, read};
use crate::support::stack::Stack;
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

fn limits_of(read: &Read) -> Vec<Limit> {
    let events = read.events.iter();
    events
        .filter_map(|event| match event.kind {
            EventKind::Layer(Note::Limit(limit)) | EventKind::Bound { limit } => Some(limit),
            _ => None,
        })
        .collect()
}

fn hex(way: char, bytes: &[u8]) -> String {
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{way} hex {}\n", digits.join(" "))
}

fn wire(text: &str, number: usize, server: &str) -> Wire {
    let client = format!("10.0.0.7:{}", 10_000 + number);
    Wire::new(&Conversation::new(text)).between(&client, server)
}

/// A client asks for a WebSocket until it gets one.
#[test]
fn events_before_the_protocol_is_recognised_are_limited() {
    const ASK: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Version: 13\r\n\r\n";
    const REFUSED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    const OPENED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    // There are some about the WebSocket that opens at last.
    let most = limits::UNDECIDED_NOTES - 3;
    for (refused, is_dropped) in [(most, false), (most + 3, true)] {
        let mut text = (hex('>', ASK) + &hex('<', REFUSED)).repeat(refused);
        text += &(hex('>', ASK) + &hex('<', OPENED));
        let connect = b"\x82\x8d\0\0\0\0\x10\x0b\0\x04MQTT\x04\x02\0\x3c\0\0";
        let length = connect.len() as u8 - 6;
        let connect = [&[0x82, 0x80 | length][..], &connect[2..]].concat();
        text += &hex('>', &connect);
        let read = read(&wire(&text, 1, "10.0.1.1:8080").packets(&Stack::default()));
        assert_eq!(read.frames.len(), 1);
        let expected = match is_dropped {
            true => vec![Limit::UndecidedNotes],
            false => Vec::new(),
        };
        assert_eq!(limits_of(&read), expected, "{refused}");
    }
}

/// All control packets but PUBLISH, whose payload is not kept in any case.
#[test]
fn the_beginning_of_a_long_packet_is_kept() {
    let filters = |count: usize| {
        let one = |n: usize| format!(" filter={n}/{}:0", "x".repeat(60_000));
        (0..count).map(one).collect::<String>()
    };
    for count in [5, 40] {
        let text = format!(
            "> CONNECT client=a\n< CONNACK\n> SUBSCRIBE id=1{}\n> PINGREQ",
            filters(count)
        );
        let borders: Vec<usize> = (1..=count).map(|n| n * 60_000).collect();
        let wire = Wire::new(&Conversation::new(&text)).split(Up, &borders);
        let mut read = read(&wire.packets(&Stack::default()));
        assert_eq!(read.ladder(Up), ["CONNECT", "SUBSCRIBE:1", "PINGREQ"]);
        let subscribe = read.frames.swap_remove(2);
        let length = 60_000 * count;
        assert_eq!(subscribe.bytes.len() >= length, count == 5);
        assert!(subscribe.bytes.len() <= limits::PACKET_KEPT);
        let expected = match count {
            5 => Vec::new(),
            _ => vec![Limit::LongPacket],
        };
        assert_eq!(limits_of(&read), expected);
    }
}

/// Their keys may still come, but not for all of them.
#[test]
fn bytes_that_layers_of_all_connections_keep_are_limited() {
    let message = |kind: u8, body: &[u8]| {
        let [_, a, b, c] = (body.len() as u32).to_be_bytes();
        [&[kind, a, b, c], body].concat()
    };
    let record = |kind: u8, body: &[u8]| {
        let [high, low] = (body.len() as u16).to_be_bytes();
        [&[kind, 3, 3, high, low], body].concat()
    };
    let hello = [&[3, 3][..], &[0xc1; 32], &[0, 0, 2, 0x13, 1, 1, 0, 0, 7]].concat();
    let hello = [&hello[..], &[0, 0x2b, 0, 3, 2, 3, 4]].concat();
    let answer = [&[3, 3][..], &[0x5e; 32], &[0, 0x13, 1, 0, 0, 6]].concat();
    let answer = [&answer[..], &[0, 0x2b, 0, 2, 3, 4]].concat();
    let text =
        hex('>', &record(22, &message(1, &hello))) + &hex('<', &record(22, &message(2, &answer)));
    let sealed = record(23, &[0x5a; 16_384]);
    let each = limits::TLS_WAITING / sealed.len() - 1;
    let text = text + &hex('>', &sealed).repeat(each);
    let template = wire(&text, 0, "10.0.1.1:8883");
    // None of them ends.
    let count = template.segments.len() - 3;
    let mut packets = template.packets(&Stack::default());
    packets.truncate(count);
    let mut reader = Reader::new(Config {
        expects_keys: true,
        ..Config::default()
    });
    let most = limits::LAYERS_KEPT / (each * sealed.len());
    for number in 0..most + 10 {
        let port = (10_000 + number as u16).to_be_bytes();
        let before = (10_000 + number as u16 - 1).to_be_bytes();
        for packet in &mut packets {
            // The port of the client, behind the headers of Ethernet and IPv4.
            for at in [34, 36] {
                let bytes = &mut packet.data[at..at + 2];
                if number > 0 && *bytes == before {
                    bytes.copy_from_slice(&port);
                }
            }
            reader.push(packet);
        }
    }
    let limits = limits_of(&reader.read);
    assert!(limits.iter().all(|limit| *limit == Limit::TlsConnections));
    assert!((8..=20).contains(&limits.len()), "{}", limits.len());
}
