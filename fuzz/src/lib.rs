//! Fuzz targets: functions that take any bytes, and panic when they find a fault. See
//! `README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use mqttdump::capture::{Capture, Item};
use mqttdump::direction::Direction;
use mqttdump::engine::{Config, Decode, Engine, Output};
use mqttdump::event::EventKind;
use mqttdump::facts::{self, Facts};
use mqttdump::filter;
use mqttdump::layer::tls::KeyLog;
use mqttdump::layer::{Answer, Note, proxy};
use mqttdump::link::Subframe;
use mqttdump::net::Anatomy;
use mqttdump::overhead::{self, Ledger};
use mqttdump::packet::{CapturedPacket, LinkType, PacketRef};
use mqttdump::payload::{Decoder, Message, Rule};
use mqttdump::redact::{self, Redactor, Survey};
use mqttdump::rules::{self, Judge, Verdict};
use mqttdump::sessions::{Keep, Sessions};
use mqttdump::stats::{By, Stats};
use mqttdump::time::Timestamp;

/// Takes any bytes; panics where a promise is broken.
pub type Target = fn(&[u8]);

/// All targets by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("capture_file", capture_file),
    ("headers", headers),
    ("tcp", tcp),
    ("mqtt", mqtt),
    ("websocket", websocket),
    ("filter", filter_language),
    ("payload", payload),
    ("whole", whole),
    ("redact", redact),
    ("tls", tls),
    ("key_log", key_log),
    ("proxy", proxy_header),
    ("cuts", cuts),
];

/// Calls a function with each packet of a capture file.
fn each_packet(data: &[u8], mut each: impl FnMut(&CapturedPacket<'_>)) {
    let reader = Box::new(Cursor::new(data.to_vec()));
    let Ok(mut capture) = Capture::from_read(reader, "input", 0) else {
        return;
    };
    while let Ok(Some(item)) = capture.next() {
        if let Item::Packet(packet) = item {
            each(&packet.packet);
        }
    }
}

/// A capture file: reading ends, and packets are not longer than they say.
pub fn capture_file(data: &[u8]) {
    each_packet(data, |packet| {
        assert!(packet.data.len() <= packet.original_len as usize);
    });
}

/// A packet: two bytes of link type, then its bytes. Its layers add up to its length.
pub fn headers(data: &[u8]) {
    let Some((link, data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let link = u16::from_be_bytes(*link);
    let packet = CapturedPacket {
        id: PacketRef { number: 1, file: 0 },
        time: Timestamp::from_nanos(0),
        link_type: LinkType(link),
        original_len: data.len() as u32,
        data,
    };
    let anatomy = Anatomy::of(&packet, Subframe::default());
    assert!(anatomy.total() <= packet.original_len);
    let mut engine = Engine::new(Config {
        follow_packets: true,
        ..Config::default()
    });
    let mut total = 0;
    engine.push(&packet, &mut |output| {
        if let Output::Packet(captured) = output {
            total += captured.anatomy.total();
        }
    });
    assert_eq!(total, packet.original_len);
    engine.finish(&mut |_| {});
}

/// A packet with a TCP segment from one of two ends.
fn segment(from_client: bool, seq: u32, ack: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    const CLIENT: ([u8; 4], u16) = ([10, 0, 0, 7], 40_000);
    const SERVER: ([u8; 4], u16) = ([10, 0, 1, 1], 1883);
    let (source, target) = match from_client {
        true => (CLIENT, SERVER),
        false => (SERVER, CLIENT),
    };
    let total = 40 + payload.len() as u16;
    let mut packet = vec![0x45, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0, 0, 0, 0, 64, 6, 0, 0]);
    packet.extend(source.0);
    packet.extend(target.0);
    packet.extend(source.1.to_be_bytes());
    packet.extend(target.1.to_be_bytes());
    packet.extend(seq.to_be_bytes());
    packet.extend(ack.to_be_bytes());
    packet.extend([0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    packet.extend(payload);
    packet
}

fn raw(number: u64, data: &[u8]) -> CapturedPacket<'_> {
    CapturedPacket {
        id: PacketRef { number, file: 0 },
        time: Timestamp::from_nanos(number as i64 * 1_000_000),
        link_type: LinkType(101),
        original_len: data.len() as u32,
        data,
    }
}

/// A program of TCP segments, eight bytes each: which end, flags, position, length and
/// acknowledgement. Each packet is one segment, and frames have no more bytes than
/// segments.
pub fn tcp(data: &[u8]) {
    let mut engine = Engine::new(Config {
        follow_packets: true,
        ..Config::default()
    });
    let (mut packets, mut segments, mut sent, mut framed) = (0, 0, 0, 0);
    let mut out = |output: Output<'_>| match output {
        Output::Packet(captured) => segments += u64::from(captured.segment.is_some()),
        Output::Frame(frame) => framed += frame.bytes.len() as u64,
        _ => {}
    };
    for step in data.chunks_exact(8) {
        let &[kind, flags, p0, p1, p2, p3, len, ack] = step else {
            break;
        };
        let position = u32::from_be_bytes([p0, p1, p2, p3]);
        // PINGREQ again and again, from a position on.
        let payload: Vec<u8> = (0..len)
            .map(|n| [0xc0, 0][(position as usize + usize::from(n)) % 2])
            .collect();
        sent += u64::from(len);
        packets += 1;
        let packet = segment(kind & 1 == 0, position, u32::from(ack), flags, &payload);
        engine.push(&raw(packets, &packet), &mut out);
    }
    engine.finish(&mut out);
    assert_eq!(segments, packets);
    assert!(framed <= sent);
}

/// What is read of a connection whose streams are sent in segments of this size: a line
/// for each frame of each direction, until a layer loses its framing. To find it again,
/// where segments begin and end is evidence.
fn read(streams: [&[u8]; 2], size: usize, decode: Decode) -> [Vec<String>; 2] {
    let mut engine = Engine::new(Config {
        ports: BTreeMap::from([(1883, decode)]),
        payload: u32::MAX,
        ..Config::default()
    });
    let mut lines = [Vec::new(), Vec::new()];
    let mut is_broken = false;
    let mut out = |output: Output<'_>| {
        let (direction, line) = match output {
            Output::Event(event) => {
                is_broken |= matches!(event.kind, EventKind::Layer(Note::Broken(_)));
                return;
            }
            Output::Frame(frame) => (
                frame.direction,
                format!(
                    "{frame} {} {:?} {:?}",
                    frame.range, frame.packet, frame.bytes
                ),
            ),
            // The end of its range depends on what a WebSocket frame was known to hold.
            Output::Unfinished(frame) => (
                frame.direction,
                format!("{frame} {:?} {:?}", frame.packet, frame.bytes),
            ),
            _ => return,
        };
        if !is_broken {
            lines[usize::from(direction == Direction::Down)].push(line);
        }
    };
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    let mut number = 0;
    let mut push = |packet: Vec<u8>| {
        number += 1;
        engine.push(&raw(number, &packet), &mut out);
    };
    push(segment(true, 0, 0, SYN, &[]));
    push(segment(false, 0, 1, SYN | ACK, &[]));
    let mut sent = [1_u32, 1];
    for (end, stream) in streams.into_iter().enumerate() {
        for chunk in stream.chunks(size) {
            push(segment(end == 0, sent[end], sent[1 - end], ACK, chunk));
            sent[end] += chunk.len() as u32;
        }
    }
    engine.finish(&mut out);
    lines
}

/// Splits two streams off: a byte of segment size, two of the first stream's length.
fn streams(data: &[u8]) -> Option<(usize, [&[u8]; 2])> {
    let (&[size, high, low], rest) = data.split_first_chunk()?;
    let cut = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
    let (up, down) = rest.split_at(cut);
    Some((usize::from(size).max(1), [up, down]))
}

// Whether a connection is MQTT at all is decided by its first segments.
const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a";
const CONNACK: &[u8] = &[0x20, 3, 0, 0, 0];

/// Both streams of a connection after CONNECT and CONNACK: the same frames however they
/// are split.
pub fn mqtt(data: &[u8]) {
    if let Some((size, [up, down])) = streams(data) {
        let (up, down) = ([CONNECT, up].concat(), [CONNACK, down].concat());
        let (split, whole) = (
            read([&up, &down], size, Decode::Mqtt),
            read([&up, &down], 1400, Decode::Mqtt),
        );
        assert_eq!(split, whole);
    }
}

/// Both streams of a WebSocket after its upgrade, CONNECT and CONNACK.
pub fn websocket(data: &[u8]) {
    const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";
    const RESPONSE: &[u8] =
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";
    // Binary and final; the client's with a key that changes nothing.
    const UP: &[u8] = &[0x82, 0x80 | CONNECT.len() as u8, 0, 0, 0, 0];
    const DOWN: &[u8] = &[0x82, CONNACK.len() as u8];
    if let Some((size, [up, down])) = streams(data) {
        let up = [REQUEST, UP, CONNECT, up].concat();
        let down = [RESPONSE, DOWN, CONNACK, down].concat();
        let (split, whole) = (
            read([&up, &down], size, Decode::Ws),
            read([&up, &down], 1400, Decode::Ws),
        );
        assert_eq!(split, whole);
    }
}

/// A display filter.
pub fn filter_language(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        match filter::Filter::new(text) {
            Ok(_) => {}
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}

/// A payload, by every decoder.
pub fn payload(data: &[u8]) {
    const FORMATS: [&str; 7] = [
        "auto",
        "text",
        "hex",
        "json",
        "cbor",
        "msgpack",
        "sparkplug",
    ];
    for format in FORMATS {
        let rule = Rule::parse(format, |_| Err("no files".to_owned())).expect("a known format");
        let mut decoder = Decoder::new(vec![rule]);
        for (topic, is_whole) in [(&b"spBv1.0/g/NBIRTH/n"[..], true), (b"t", false)] {
            let message = Message {
                topic: Some(topic),
                content_type: None,
                payload: data,
                is_whole,
            };
            decoder.observe(&message);
            let _ = decoder.decode(&message);
        }
    }
}

/// A capture file, by `sessions` (which checks), `stats` and `overhead`, which accounts
/// for every byte once.
pub fn whole(data: &[u8]) {
    let options = rules::Options::default();
    let gathered = options.facts();
    let keep = Keep {
        last: 5,
        findings: true,
        all_findings: true,
        latencies: true,
    };
    let mut sessions = Sessions::keeping(Judge::new(options), keep);
    let mut facts = Facts::new(Config::default(), gathered, &sessions);
    each_packet(data, |packet| {
        facts.push(packet, &mut sessions);
    });
    facts.finish(&mut sessions);

    let mut stats = Stats::new(By::Topic, Some(Duration::from_secs(10)));
    let mut facts = Facts::new(Config::default(), facts::Options::default(), &stats);
    each_packet(data, |packet| {
        facts.push(packet, &mut stats);
    });
    facts.finish(&mut stats);

    let mut ledger = Ledger::new(overhead::Options::default());
    let mut facts = Facts::new(Config::default(), facts::Options::default(), &ledger);
    each_packet(data, |packet| {
        facts.push(packet, &mut ledger);
    });
    facts.finish(&mut ledger);
    let account = ledger.finish();
    assert_eq!(account.bytes(), account.all.l2);
}

/// A capture file, redacted: lengths stay, and every packet comes back.
pub fn redact(data: &[u8]) {
    let options = redact::Options {
        key: b"a key for fuzzing".to_vec(),
        ..redact::Options::default()
    };
    let mut survey = Survey::new(&options.engine);
    let mut is_refused = false;
    each_packet(data, |packet| is_refused |= survey.push(packet).is_err());
    let Ok(surveyed) = survey.finish() else {
        return;
    };
    if is_refused {
        return;
    }
    let mut redactor = Redactor::new(&options, surveyed);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    each_packet(data, |packet| {
        before.push(packet.data.len());
        redactor.push(packet).expect("the first pass accepted it");
        after.extend(std::iter::from_fn(|| redactor.take()).map(|data| data.len()));
    });
    redactor.finish();
    after.extend(std::iter::from_fn(|| redactor.take()).map(|data| data.len()));
    assert_eq!(before, after);
}

/// A length of two bytes, so much of a key log, then a capture file. Every byte of it is
/// accounted for, and no frame is longer than what its connection carried.
pub fn tls(data: &[u8]) {
    let Some((length, data)) = data.split_first_chunk::<2>() else {
        return;
    };
    let cut = usize::from(u16::from_be_bytes(*length)).min(data.len());
    let (keys, capture) = data.split_at(cut);
    let config = Config {
        expects_keys: true,
        ..Config::default()
    };
    let mut ledger = Ledger::new(overhead::Options::default());
    let mut facts = Facts::new(config, facts::Options::default(), &ledger);
    facts.secrets(keys);
    each_packet(capture, |packet| {
        facts.push(packet, &mut ledger);
    });
    facts.finish(&mut ledger);
    let account = ledger.finish();
    assert_eq!(account.bytes(), account.all.l2);
}

/// A size, then a key log: the same secrets however its text arrives.
pub fn key_log(data: &[u8]) {
    let Some((size, text)) = data.split_first() else {
        return;
    };
    let (mut whole, mut split) = (KeyLog::default(), KeyLog::default());
    whole.push(text);
    for part in text.chunks(usize::from(*size).max(1)) {
        split.push(part);
    }
    let counts = |log: &KeyLog| (log.sessions(), log.skipped(), log.dropped());
    assert_eq!(counts(&whole), counts(&split));
}

/// The beginning of a stream: whether it is a PROXY header does not change with more
/// bytes, once it is known.
pub fn proxy_header(data: &[u8]) {
    let mut known = Answer::More;
    for end in 0..data.len().min(200) {
        let answer = proxy::header(&data[..end]);
        assert!(known == Answer::More || known == answer);
        known = answer;
    }
}

/// Which rules each side of a capture violates.
fn violations<'a>(
    packets: impl Iterator<Item = CapturedPacket<'a>>,
) -> BTreeSet<(&'static str, String)> {
    let options = rules::Options::default();
    let gathered = options.facts();
    let mut judge = Judge::new(options);
    let mut facts = Facts::new(Config::default(), gathered, &judge);
    for packet in packets {
        facts.push(&packet, &mut judge);
    }
    facts.finish(&mut judge);
    let findings = judge.take_finished();
    findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Violation)
        .map(|finding| (finding.rule.id, format!("{:?}", finding.by)))
        .collect()
}

/// The small captures of the project, read once.
fn captures() -> &'static [Vec<u8>] {
    static CAPTURES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    CAPTURES.get_or_init(|| {
        const LARGEST: u64 = 12_000;
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let fixtures = [here.join("fixtures"), here.join("../fixtures")];
        let mut folders: Vec<PathBuf> = fixtures.into_iter().filter(|f| f.is_dir()).collect();
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                let size = entry.metadata().map_or(u64::MAX, |metadata| metadata.len());
                if path.is_dir() {
                    folders.push(path);
                } else if size <= LARGEST && path.extension().is_some_and(|name| name == "pcap") {
                    files.push(path);
                }
            }
        }
        files.sort();
        files.iter().flat_map(std::fs::read).collect()
    })
}

/// Which of the project's captures (two bytes), then what is lost of it, three bytes each.
/// A capture of which packets, the ends of packets or a direction are missing accuses no
/// side of what the whole does not.
pub fn cuts(data: &[u8]) {
    let Some((index, losses)) = data.split_first_chunk::<2>() else {
        return;
    };
    let captures = captures();
    let capture = &captures[usize::from(u16::from_be_bytes(*index)) % captures.len()];
    let mut packets = Vec::new();
    each_packet(capture, |packet| {
        let cut = CapturedPacket {
            data: &[],
            ..*packet
        };
        packets.push((
            cut.id,
            cut.time,
            cut.link_type,
            cut.original_len,
            packet.data.to_vec(),
        ));
    });
    let whole: Vec<_> = packets
        .iter()
        .map(|(id, time, link_type, original_len, data)| CapturedPacket {
            id: *id,
            time: *time,
            link_type: *link_type,
            original_len: *original_len,
            data,
        })
        .collect();
    let mut kept = whole.clone();
    for &[kind, at, many] in losses.as_chunks().0.iter().take(4) {
        let at = usize::from(at) * kept.len() / 256;
        let lost = at..at + usize::from(many);
        let mut n = 0;
        match kind % 4 {
            0 => kept.retain(|_| {
                n += 1;
                !lost.contains(&(n - 1))
            }),
            1 => drop(kept.drain(..at)),
            2 => {
                let snap = 54 + usize::from(many);
                for packet in &mut kept {
                    packet.data = &packet.data[..packet.data.len().min(snap)];
                }
            }
            // The source address of IPv4 on Ethernet: one direction of a connection.
            _ => {
                let source = kept.get(at).and_then(|packet| packet.data.get(26..30));
                kept.retain(|packet| packet.data.get(26..30) != source);
            }
        }
    }
    let whole = violations(whole.into_iter());
    let kept = violations(kept.into_iter());
    assert!(kept.is_subset(&whole), "{:?}", kept.difference(&whole));
}
