//! Redacted captures: the same control packets, findings and totals, and nothing left
//! of the original.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use mqttdump::capture::{Capture, Item};
use mqttdump::engine::{Config, Engine, Output};
use serde_json::{Value, json};

use crate::support::program::{Folder, project, run};

const KEY: &[u8] = b"the key of the tests, of no use elsewhere";

/// Why captures may be refused.
const REFUSALS: [&str; 10] = [
    "several addresses",
    "cut off",
    "TLS cannot be redacted",
    "PROXY, HTTP CONNECT or SOCKS",
    "compressed WebSocket messages",
    "IP fragments",
    "tunnels and unusual headers",
    "link type",
    "retransmission with other bytes",
    "expected",
];

/// The round trip over all captures of the project.
#[test]
fn redacted_captures_read_the_same_and_hold_nothing_of_the_original() {
    let mut captures = Vec::new();
    collect(&project("fixtures"), &mut captures);
    let work = Mutex::new(captures.into_iter());
    let (redacted, wrong) = (Mutex::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let folder = Folder::new();
                folder.write("key", KEY);
                loop {
                    let Some(capture) = work.lock().expect("the list").next() else {
                        break;
                    };
                    match round_trip(&capture, &folder) {
                        Ok(done) => *redacted.lock().expect("the count") += usize::from(done),
                        Err(why) => wrong.lock().expect("the list").push(why),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("the list");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let redacted = redacted.into_inner().expect("the count");
    assert!(redacted >= 300, "{redacted} captures were redacted");
}

/// Redacts a capture and compares; whether it could be redacted.
fn round_trip(capture: &Path, folder: &Folder) -> Result<bool, String> {
    let name = capture.display().to_string();
    let out = match name.contains(".pcapng") {
        true => folder.name("out.pcapng"),
        false => folder.name("out.pcap"),
    };
    let key = folder.name("key");
    let done = run(&["redact", "--key", &key, "-w", &out, &name]);
    if done.code != Some(0) {
        return match REFUSALS.iter().any(|why| done.err.contains(why)) {
            true => Ok(false),
            false => Err(format!("{name}: {}", done.err)),
        };
    }
    for (what, of) in [
        ("control packets", frames as fn(&str) -> Value),
        ("findings", findings),
        ("totals", totals),
    ] {
        let (before, after) = (of(&name), of(&out));
        if before != after {
            return Err(format!("{name}: other {what}:\n{before}\n{after}"));
        }
    }
    let (before, after) = (control_packets(&name), packets(&out));
    let left: Vec<_> = words(&before)
        .difference(&words(&STAYS.map(|word| word.as_bytes().to_vec())))
        .filter(|word| after.iter().any(|packet| contains(packet, word)))
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    match left.is_empty() {
        true => Ok(true),
        false => Err(format!("{name}: still there: {left:?}")),
    }
}

/// Words of protocols, and of topics that start with `$`.
const STAYS: [&str; 22] = [
    "MQIsdp",
    "application",
    "stream",
    "broker",
    "clients",
    "messages",
    "received",
    "dropped",
    "publish",
    "stored",
    "subscriptions",
    "uptime",
    "version",
    "timestamp",
    "connected",
    "disconnected",
    "connection",
    "private",
    "exclusive",
    "SCRAM",
    "NBIRTH",
    "DBIRTH",
];

/// Letters and digits, six or more in a row.
fn words(packets: &[Vec<u8>]) -> BTreeSet<Vec<u8>> {
    let words = packets
        .iter()
        .flat_map(|packet| packet.split(|byte| !byte.is_ascii_alphanumeric()));
    words
        .filter(|word| word.len() >= 6)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The bytes of the control packets of a capture.
fn control_packets(path: &str) -> Vec<Vec<u8>> {
    let mut engine = Engine::new(Config {
        payload: u32::MAX,
        ..Config::default()
    });
    let mut packets = Vec::new();
    let mut out = |output: Output<'_>| {
        if let Output::Frame(frame) | Output::Unfinished(frame) = output {
            packets.push(frame.bytes.to_vec());
        }
    };
    let mut capture = Capture::open(path.as_ref(), 0).expect("a capture");
    while let Ok(Some(item)) = capture.next() {
        if let Item::Packet(packet) = item {
            engine.push(&packet.packet, &mut out);
        }
    }
    engine.finish(&mut out);
    packets
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|window| window == word)
}

/// What is in the packets of a capture after the fixed part of their headers.
fn packets(path: &str) -> Vec<Vec<u8>> {
    const HEADERS: usize = 54;
    let mut capture = Capture::open(path.as_ref(), 0).expect("a capture");
    let mut packets = Vec::new();
    while let Ok(Some(item)) = capture.next() {
        if let Item::Packet(packet) = item {
            packets.push(
                packet
                    .packet
                    .data
                    .get(HEADERS..)
                    .unwrap_or_default()
                    .to_vec(),
            );
        }
    }
    packets
}

fn lines(args: &[&str]) -> Vec<Value> {
    let text = run(args).out;
    text.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn only(object: &Value, keys: &[&str]) -> Value {
    keys.iter()
        .map(|&key| (key.to_owned(), object[key].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn frames(path: &str) -> Value {
    let of = |frame: &Value| {
        let mut kept = only(
            frame,
            &[
                "packet",
                "last_packet",
                "time",
                "connection",
                "direction",
                "type",
                "qos",
                "dup",
                "retain",
                "packet_id",
                "length",
                "missing",
                "reason_code",
                "reason_codes",
                "event",
                "bytes",
                "version",
                "payload_length",
            ],
        );
        let defects = frame["defects"].as_array().into_iter().flatten();
        kept["defects"] = defects.map(|defect| defect["code"].clone()).collect();
        kept
    };
    let lines = lines(&["-r", path, "--format", "ndjson"]);
    sorted(lines.iter().map(of))
}

/// At the end of a capture, what is left of the two directions of a connection is read in
/// the order of their addresses.
fn sorted(lines: impl Iterator<Item = Value>) -> Value {
    let mut lines: Vec<Value> = lines.collect();
    lines.sort_by_key(ToString::to_string);
    lines.into()
}

fn findings(path: &str) -> Value {
    let of = |finding: &Value| {
        let mut kept = only(
            finding,
            &[
                "rule",
                "verdict",
                "severity",
                "packets",
                "connection",
                "count",
            ],
        );
        kept["summary"] = match finding["summary"].clone() {
            // Errors hold the file name.
            Value::Object(mut summary) => {
                summary.remove("errors");
                summary.into()
            }
            other => other,
        };
        kept
    };
    let lines = lines(&["check", "--format", "ndjson", path]);
    sorted(lines.iter().map(of))
}

fn totals(path: &str) -> Value {
    let account = lines(&["overhead", "--format", "json", path]);
    let account = account.first().unwrap_or(&json!({})).clone();
    only(
        &account,
        &[
            "frames",
            "bytes",
            "foreign_frames",
            "foreign_bytes",
            "layers",
            "causes",
            "connection_count",
            "message_count",
        ],
    )
}

fn collect(folder: &Path, captures: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            collect(&path, captures);
        } else if name.ends_with(".pcap") || name.ends_with(".pcapng") || name.ends_with(".pcap.gz")
        {
            captures.push(path);
        }
    }
    captures.sort();
}

/// Kinds that are kept stay as they are, and the mapping lists the others.
#[test]
fn kept_kinds_and_the_mapping() {
    let folder = Folder::new();
    let key = folder.write("key", KEY);
    let (out, map) = (folder.name("out.pcap"), folder.name("map.csv"));
    let capture = "fixtures/captures/mosquitto-paho-5.0.pcap";
    let args = [
        "redact",
        "--key",
        &key,
        "--keep",
        "topics,ports",
        "--map",
        &map,
        "-w",
        &out,
        capture,
    ];
    run(&args).clean();
    let topics = |path: &str| -> Vec<Value> {
        let lines = lines(&["-r", path, "--format", "ndjson"]);
        lines.iter().map(|line| line["topic"].clone()).collect()
    };
    assert_eq!(topics(capture), topics(&out));
    let map = std::fs::read_to_string(map).expect("the mapping");
    let client = map
        .lines()
        .find_map(|line| line.strip_prefix("client-ids,display,"))
        .expect("the client");
    let lines = lines(&["-r", &out, "--format", "ndjson"]);
    assert!(lines.iter().any(|line| line["client_id"] == client));
    assert!(!map.contains("topics,") && !map.contains("ports,"));
}

/// The same key gives the same capture, and no key another one each time.
#[test]
fn pseudonyms_depend_on_the_key_alone() {
    let folder = Folder::new();
    let key = folder.write("key", KEY);
    let capture = "fixtures/captures/seed-5.0-qos1.pcap";
    let redacted = |name: &str, key: Option<&str>| {
        let out = folder.name(name);
        let mut args = vec!["redact", "-w", &out];
        args.extend(key.into_iter().flat_map(|key| ["--key", key]));
        args.push(capture);
        run(&args).clean();
        std::fs::read(&out).expect("the capture")
    };
    assert_eq!(redacted("a", Some(&key)), redacted("b", Some(&key)));
    assert_ne!(redacted("c", None), redacted("d", None));
}

/// Comments, names and keys of pcapng files are left out; nothing is written when the
/// capture is refused, or over what is read.
#[test]
fn refusals_leave_no_file() {
    let folder = Folder::new();
    let tls = "fixtures/transport/tls12-aes128-ccm.pcap";
    let out = folder.name("out.pcap");
    let done = run(&["redact", "-w", &out, tls]);
    assert_eq!(done.code, Some(2), "{}", done.err);
    assert!(done.err.contains("TLS cannot be redacted"), "{}", done.err);
    assert_eq!(folder.names(), Vec::<String>::new());

    let bytes = std::fs::read(project("fixtures/captures/seed-5.0-qos1.pcap")).expect("a capture");
    let input = folder.write("in.pcap", &bytes);
    let done = run(&["redact", "-w", &input, &input]);
    assert_eq!(done.code, Some(2));
    assert!(done.err.contains("would be overwritten"), "{}", done.err);
    assert_eq!(std::fs::read(&input).expect("the input"), bytes);
    let short = folder.write("short", b"secret");
    let done = run(&["redact", "--key", &short, "-w", &out, &input]);
    assert!(done.err.contains("at least 16 bytes"), "{}", done.err);
}

/// Checksums that were right are right.
#[test]
fn checksums_stay_right() {
    let folder = Folder::new();
    let key = folder.write("key", KEY);
    let out = folder.name("out.pcap");
    for capture in [
        "fixtures/captures/ipv6.pcap",
        "fixtures/captures/fusesource-qos2.pcap",
    ] {
        run(&["redact", "--key", &key, "-w", &out, capture]).clean();
        assert_eq!(right(capture), right(&out), "{capture}");
    }
}

/// For each packet whether its TCP checksum is right.
fn right(path: &str) -> Vec<bool> {
    let sum = |words: &[u8]| -> u64 {
        let pairs = words.chunks(2);
        pairs
            .map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)))
            .sum()
    };
    let mut capture = Capture::open(&project(path), 0).expect("a capture");
    let mut all = Vec::new();
    while let Ok(Some(item)) = capture.next() {
        let Item::Packet(packet) = item else { continue };
        let ip = &packet.packet.data[14..];
        let (addresses, tcp) = match ip[0] >> 4 {
            4 => (
                &ip[12..20],
                &ip[20..usize::from(u16::from_be_bytes([ip[2], ip[3]]))],
            ),
            _ => (
                &ip[8..40],
                &ip[40..40 + usize::from(u16::from_be_bytes([ip[4], ip[5]]))],
            ),
        };
        let mut total = sum(addresses) + 6 + tcp.len() as u64 + sum(tcp);
        while total > 0xffff {
            total = (total & 0xffff) + (total >> 16);
        }
        all.push(total == 0xffff);
    }
    all
}

/// What a pcapng file holds besides packets.
#[test]
fn comments_names_keys_and_counters_are_left_out() {
    fn padded(bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }
    fn option(code: u16, value: &[u8]) -> Vec<u8> {
        let head = [code.to_le_bytes(), (value.len() as u16).to_le_bytes()].concat();
        [head, padded(value)].concat()
    }
    fn block(kind: u32, parts: &[&[u8]]) -> Vec<u8> {
        let body = parts.concat();
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, &body, &length].concat()
    }
    let secret = b"secret/word";
    let comment = [option(1, secret), option(0, b"")].concat();
    let words = |numbers: &[u32]| {
        numbers
            .iter()
            .flat_map(|n| n.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let section = words(&[0x1a2b_3c4d, 1, u32::MAX, u32::MAX]);
    let mut file = block(0x0a0d_0d0a, &[&section, &option(4, secret), &comment]);
    file.extend(block(
        1,
        &[
            &words(&[1, 0]),
            &option(2, secret),
            &option(3, secret),
            &comment,
        ],
    ));
    let names = [
        option(1, &[&[10, 0, 0, 1][..], secret, b"\0"].concat()),
        option(0, b""),
    ]
    .concat();
    file.extend(block(4, &[&names]));
    let keys = padded(secret);
    file.extend(block(
        10,
        &[&words(&[0x544c_534b, secret.len() as u32]), &keys],
    ));
    file.extend(block(0xbad, &[&words(&[32_473]), &keys]));
    file.extend(block(9, &[&padded(b"MESSAGE=secret/word")]));
    let mut capture =
        Capture::open(&project("fixtures/captures/seed-5.0-qos1.pcap"), 0).expect("a capture");
    let mut count = 0;
    while let Ok(Some(item)) = capture.next() {
        let Item::Packet(packet) = item else { continue };
        let data = packet.packet.data;
        let micros = (packet.packet.time.nanos() / 1_000) as u64;
        let lengths = [data.len() as u32, packet.packet.original_len];
        let head = words(&[
            0,
            (micros >> 32) as u32,
            micros as u32,
            lengths[0],
            lengths[1],
        ]);
        file.extend(block(6, &[&head, &padded(data), &comment]));
        count += 1;
    }
    file.extend(block(5, &[&words(&[0, 0, 0]), &comment]));
    assert!(contains(&file, secret) && count > 5);

    let folder = Folder::new();
    let input = folder.write("in.pcapng", &file);
    assert!(!lines(&["check", "--format", "ndjson", &input]).is_empty());
    for name in ["out.pcapng", "out.pcap"] {
        let out = folder.name(name);
        run(&["redact", "-w", &out, &input]).clean();
        let bytes = std::fs::read(&out).expect("the result");
        assert!(
            !contains(&bytes, b"secret") && !contains(&bytes, b"word"),
            "{name}"
        );
        assert_eq!(packets(&out).len(), count);
    }
}

/// No MAC address and no IP address of a host is left, in any packet.
#[test]
fn addresses_are_replaced() {
    let folder = Folder::new();
    let key = folder.write("key", KEY);
    let out = folder.name("out.pcap");
    for capture in [
        "violations/v01.pcap",
        "verdicts/legal2/same-ports-crash-syn.pcap",
    ] {
        let capture = format!("fixtures/{capture}");
        run(&["redact", "--key", &key, "-w", &out, &capture]).clean();
        let whole = |path: &str| {
            let mut capture = Capture::open(path.as_ref(), 0).expect("a capture");
            let mut packets = Vec::new();
            while let Ok(Some(item)) = capture.next() {
                if let Item::Packet(packet) = item {
                    packets.push(packet.packet.data.to_vec());
                }
            }
            packets
        };
        let before = whole(project(&capture).to_str().expect("UTF-8"));
        let mut addresses = BTreeSet::new();
        for packet in &before {
            addresses.extend([&packet[..6], &packet[6..12]].map(<[u8]>::to_vec));
            match packet[12..14] {
                [8, 0] => addresses.extend([&packet[26..30], &packet[30..34]].map(<[u8]>::to_vec)),
                [0x86, 0xdd] => {
                    addresses.extend([&packet[22..38], &packet[38..54]].map(<[u8]>::to_vec));
                }
                _ => {}
            }
        }
        // Loopback and multicast stay, and so does the address that is none.
        addresses.retain(|address| {
            let is_loopback = address.starts_with(&[127]) || address.ends_with(&[0, 0, 1]);
            address[0] & 1 == 0 && address.iter().any(|byte| *byte != 0) && !is_loopback
        });
        for (packet, old) in whole(&out).iter().zip(&before) {
            assert_ne!(packet, old, "{capture}");
            for address in &addresses {
                let headers = &packet[..packet.len().min(54)];
                assert!(
                    !contains(headers, address),
                    "{capture}: {address:02x?} is left"
                );
            }
        }
    }
}
