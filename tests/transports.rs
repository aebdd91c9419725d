//! MQTT on every carrier: the same conversation gives the same frames.
//!
//! ```text
//! clear-5.0.pcap          TCP ──────────────────────→ frames ┐
//! tls13-key-update.pcap   TCP → TLS, with the keys ─→ frames ┼ all the same
//! ws-fragments.pcap       TCP → WebSocket ──────────→ frames ┘
//! ```
//! `fixtures/transport` has recordings of real programs. On the card of each
//! that carries the conversation are `same_frames_as`, the recording of the
//! same conversation in clear, and `transport`. `NAME.keys` beside it has the
//! secrets. What has no such line is not MQTT, or MQTT that is named and not
//! read.
//!
//! The tables beside the captures, by a decoder that shares nothing with this
//! program, are compared in `expected_frames.rs`, as everywhere.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mqttdump::frame::Direction::{Down, Up};
use serde_json::Value;

use crate::support::files::Format;
use crate::support::program::{Folder, Run, mqttdump, project, run};
use crate::support::read::{Read, read as read_packets};
use crate::support::stack::Stack;
use crate::support::transcript;
use crate::support::wire::Wire;

/// Frames in clear, and on the carrier: everything reported of them is the
/// same, but where and when.
#[test]
fn transports_carry_the_same_frames() {
    let cards = carried();
    assert!(cards.len() >= 80, "{} captures", cards.len());
    let wrong: Vec<String> = (cards.iter())
        .filter_map(|c| same_frames(c).err())
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What MQTT's own bytes are does not depend on the carrier either, but for those
/// that were compressed; and each carrier has its share of the rest.
#[test]
fn transports_keep_the_account() {
    let (mut wrong, mut compared) = (Vec::new(), 0);
    let mut costs = BTreeMap::<&str, u64>::new();
    for card in carried() {
        let (mine, connections, sent_again) = layers(&card.capture);
        let (clear, _, clear_sent_again) = layers(&card.clear);
        let is_deflated = card.how.contains("deflate");
        let is_same = !sent_again && !clear_sent_again && !is_deflated;
        let layers: std::collections::BTreeSet<_> = mine.keys().chain(clear.keys()).collect();
        for layer in layers {
            let expected = clear.get(layer).unwrap_or(&0) * connections;
            let bytes = *mine.get(layer).unwrap_or(&0);
            let is_mqtt = layer.starts_with("mqtt.") || layer == "app";
            let is_wrong = layer == "unparsed" && bytes != card.unread;
            if is_same && is_mqtt && bytes != expected || is_wrong {
                let name = card.capture.display();
                wrong.push(format!(
                    "{name}: {layer}: {bytes} bytes, expected {expected}"
                ));
            }
        }
        compared += u32::from(is_same);
        for (layer, transport) in [
            ("tls.hs", "tls"),
            ("tls.rec", "tls"),
            ("ws.up", "websocket"),
            ("ws.frm", "websocket"),
        ] {
            let bytes = *mine.get(layer).unwrap_or(&0);
            if (bytes > 0) != card.transport.contains(transport) {
                let name = card.capture.display();
                wrong.push(format!("{name} ({}): {layer}: {bytes}", card.transport));
            }
            *costs.entry(layer).or_default() += bytes;
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(costs.values().all(|bytes| *bytes > 0), "{costs:?}");
    assert!(compared >= 50, "{compared} compared");
}

/// Without its keys a TLS connection has no frames; on the port of MQTT one event
/// shows the visible facts. (On other ports it may be anything.)
#[test]
fn transports_without_keys_are_reported() {
    let mut checked = 0;
    for card in carried() {
        if !with_suffix(&card.capture, ".keys").is_file() {
            continue;
        }
        let name = card.capture.display();
        let run = read(&card.capture, false);
        assert_eq!(run.code, Some(0), "{name}: {}", run.err);
        let printed = objects(&run);
        assert_eq!(frames(&printed).count(), 0, "{name}");
        let file = name.to_string();
        if file.contains("port-24443") {
            let notice = "1 TCP connection was not recognised as MQTT and not shown (1 of TLS";
            assert!(run.err.contains(notice), "{name}: {}", run.err);
        }
        if card.transport != "tls" || file.contains("port-24443") {
            continue;
        }
        checked += 1;
        let encrypted: Vec<_> = printed
            .iter()
            .filter(|o| o["event"] == "encrypted")
            .collect();
        let connections: std::collections::BTreeSet<_> = (printed.iter())
            .map(|o| o["connection"].to_string())
            .collect();
        assert_eq!(encrypted.len(), connections.len(), "{name}: {printed:?}");
        assert!(!encrypted.is_empty(), "{name}");
        let check = mqttdump().arg("check").arg(&card.capture).output();
        let check = Run::from(check.expect("the program starts"));
        let shown = check.out.matches("\n    encrypted, packet").count();
        assert_eq!((check.code, shown), (Some(2), encrypted.len()), "{name}");
        for event in encrypted {
            let event = event.to_string();
            let version = if file.contains("tls12") { "1.2" } else { "1.3" };
            assert!(event.contains(version), "{name}: {event}");
            // Early data and pre-shared keys aside, every client names its server.
            if card.how.contains("--name broker.example") {
                assert!(event.contains("broker.example"), "{name}: {event}");
            }
            if file.contains("tls12-alpn") {
                assert!(event.contains("mqtt\""), "{name}: {event}");
            }
            if file.contains("tls12-client-certificate") {
                assert!(event.contains("sensor-7"), "{name}: {event}");
            }
        }
    }
    assert!(checked >= 50, "{checked} captures with keys");
}

/// Without keys, on an unknown port, MQTT is named by what the hellos
/// agree on, however TCP cuts them; and so is what is not MQTT.
#[test]
fn transports_are_named_by_both_hellos() {
    for (offered, chosen, is_mqtt) in [
        (&["mqtt"][..], None, true),
        (&["mqtt", "http/1.1"], Some("mqtt"), true),
        (&["mqtt", "http/1.1"], Some("http/1.1"), false),
        (&["mqtt", "http/1.1"], None, false),
        (&[], None, false),
    ] {
        let client = hello(1, offered);
        let server = hello(2, chosen.as_slice());
        let data =
            "17 03 03 00 20 0000000000000000000000000000000000000000000000000000000000000000";
        let text = format!("> hex {client}\n< hex {server}\n> hex {data}\n< hex {data}");
        let conversation = transcript::Conversation::new(&text);
        let cut = |way, at: &[usize]| -> Read {
            let wire = Wire::new(&conversation).between("10.0.0.7:40122", "10.0.1.1:443");
            read_packets(&wire.split(way, at).packets(&Stack::default()))
        };
        let shown = |read: &Read| -> Vec<_> { read.events.iter().map(|e| e.kind).collect() };
        let whole = cut(Up, &[]);
        let encrypted = whole.events_named("encrypted").len();
        assert_eq!(encrypted, usize::from(is_mqtt), "{offered:?} {chosen:?}");
        for (way, hello) in [(Up, client), (Down, server)] {
            for at in 1..hello.split(' ').count() {
                let cut = cut(way, &[at]);
                let case = format!("{offered:?} {chosen:?}, {way:?} cut at {at}");
                assert_eq!(shown(&cut), shown(&whole), "{case}");
                let sealed = cut.summary.tls_connections;
                assert_eq!(sealed, u64::from(!is_mqtt), "{case}");
            }
        }
    }
}

/// Events of layers before MQTT is recognised are kept up to a limit, and the loss
/// of others is reported.
#[test]
fn transports_report_omitted_events() {
    for (alerts, limits) in [(16, 0), (17, 1), (40, 1)] {
        let alert = "> hex 15 03 03 00 02 01 5a\n".repeat(alerts);
        let (client, server) = (hello(1, &["mqtt", "http/1.1"]), hello(2, &["mqtt"]));
        let text = format!("> hex {client}\n{alert}< hex {server}");
        let wire = Wire::new(&transcript::Conversation::new(&text));
        let wire = wire.between("10.0.0.7:40122", "10.0.1.1:443");
        let read = read_packets(&wire.packets(&Stack::default()));
        assert_eq!(read.events_named("tls_alert").len(), 16);
        assert_eq!(read.events_named("bound").len(), limits, "{alerts} alerts");
    }
}

/// A ping that was lost in part, before the first bytes of MQTT, does not make
/// MQTT of what is none.
#[test]
fn transports_recognise_behind_a_lost_ping() {
    let printed = |behind: &str| {
        let ([ask, agree], gap) = (UPGRADE.map(hex), "> hex 89 84 00 00 00 00\n! gap 4 >");
        let text = format!("> hex {ask}\n< hex {agree}\n{gap}\n> hex {behind}\n> hex {behind}");
        let wire = Wire::new(&transcript::Conversation::new(&text));
        let read = read_packets(&wire.packets(&Stack::default()));
        let names: Vec<_> = read.events.iter().map(|event| event.name).collect();
        (read.frames.len(), names)
    };
    let (frames, events) = printed(&hex(b"\x82\x88\0\0\0\0GARBAGE!"));
    assert_eq!(frames, 0);
    assert!(events.contains(&"not_mqtt"), "{events:?}");
    assert!(!events.contains(&"malformed"), "{events:?}");
    let (frames, events) = printed(&hex(b"\x82\x82\0\0\0\0\xc0\0"));
    assert_eq!(frames, 2, "{events:?}");
}

/// A refusal by the server is reported, and the next attempt is read.
#[test]
fn transports_report_a_refused_websocket() {
    let [ask, agree] = UPGRADE.map(hex);
    let refuse = hex(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nno\n");
    let pings = hex(b"\x82\x84\0\0\0\0\xc0\0\xc0\0");
    for again in [false, true] {
        let mut text = format!("> hex {ask}\n< hex {refuse}\n");
        if again {
            text += &format!("> hex {ask}\n< hex {agree}\n> hex {pings}");
        }
        let wire = Wire::new(&transcript::Conversation::new(&text));
        let folder = Folder::new();
        let file = Format::PCAPNG.write(&wire.packets(&Stack::default()));
        let path = folder.write("refused.pcapng", &file);
        let run = Run::from(mqttdump().args(["-r", &path]).output().expect("it starts"));
        let printed = &run.out;
        assert!(
            printed.contains("WebSocket refused with status 401"),
            "{printed}"
        );
        assert_eq!(printed.contains("WebSocket opened at"), again, "{printed}");
        assert_eq!(printed.matches("PINGREQ").count(), 2 * usize::from(again));
        let json = mqttdump()
            .args(["--format", "ndjson", "-r", &path])
            .output();
        let printed = objects(&Run::from(json.expect("it starts")));
        let refused: Vec<_> = printed
            .iter()
            .filter(|o| o["event"] == "websocket_refused")
            .collect();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0]["status"], 401);
        assert_eq!(refused[0]["direction"], Down.name());
    }
}

/// A request for a WebSocket, and the answer that opens it.
const UPGRADE: [&[u8]; 2] = [
    b"GET /mqtt HTTP/1.1\r\nHost: b\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
      Sec-WebSocket-Protocol: mqtt\r\n\r\n",
    b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
      Sec-WebSocket-Protocol: mqtt\r\n\r\n",
];

/// A hello of TLS 1.2 in its record, in hexadecimal: the client's (1), or the
/// server's (2).
fn hello(kind: u8, alpn: &[&str]) -> String {
    let with_len = |bytes: Vec<u8>| [&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat();
    let mut extensions = Vec::new();
    if !alpn.is_empty() {
        let names = alpn
            .iter()
            .flat_map(|name| [&[name.len() as u8], name.as_bytes()].concat());
        extensions = [vec![0, 16], with_len(with_len(names.collect()))].concat();
    }
    let suites: &[u8] = match kind {
        1 => &[0, 2, 0xc0, 0x2f, 1, 0],
        _ => &[0xc0, 0x2f, 0],
    };
    let random = [kind; 32];
    let body = [&[3, 3][..], &random, &[0], suites, &with_len(extensions)].concat();
    let message = [&[kind, 0][..], &with_len(body)].concat();
    let record = [&[0x16, 3, 3][..], &with_len(message)].concat();
    hex(&record)
}

fn hex(bytes: &[u8]) -> String {
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    hex.join(" ")
}

/// Keys of another connection are no keys.
#[test]
fn transports_with_wrong_keys_are_reported() {
    for name in [
        "tls12-aes128-gcm",
        "tls12-aes128-sha-no-etm",
        "tls13-chacha20",
    ] {
        let capture = project(&format!("fixtures/transport/{name}.pcap"));
        let run = read_with(
            &capture,
            Some(&project("fixtures/transport/tls13-psk.keys")),
        );
        let printed = objects(&run);
        assert_eq!(frames(&printed).count(), 0, "{name}");
        assert!(
            printed.iter().any(|o| o["event"] == "encrypted"),
            "{name}: {printed:?}"
        );
    }
}

/// Secrets never appear in the output.
#[test]
fn transports_wait_for_no_pipe_of_keys() {
    let folder = Folder::new();
    // No program will ever write to it.
    let pipe = folder.name("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo starts").success());
    let capture = "fixtures/transport/tls13-secrets.pcapng";
    let refused = run(&["-r", capture, "--tls-keylog", &pipe]);
    assert_eq!(refused.code, Some(2));
    let printed = "is not a regular file; write the pipe's data to a file";
    assert!(refused.err.contains(printed), "{}", refused.err);
    // This one was not requested.
    let mut command = mqttdump();
    command.args(["-q", "-r", capture]);
    let without = Run::from(command.output().expect("it starts"));
    for not_asked in [&pipe, "/dev/null"] {
        let output = command.env("SSLKEYLOGFILE", not_asked).output();
        let run = Run::from(output.expect("it starts"));
        assert_eq!((run.out, run.code), (without.out.clone(), without.code));
    }
}

#[test]
fn transports_print_no_secret() {
    for name in ["tls12-psk", "tls13-early-data"] {
        let capture = project(&format!("fixtures/transport/{name}.pcap"));
        let run = read(&capture, true);
        let keys = std::fs::read_to_string(with_suffix(&capture, ".keys")).expect("keys");
        let printed = (run.out + &run.err).to_lowercase();
        for line in keys.lines() {
            let secret = line.split(' ').nth(2).expect("three words");
            assert!(!printed.contains(&secret.to_lowercase()), "{name}");
        }
    }
}

/// Other protocols, or MQTT that is named and not read.
#[test]
fn transports_that_are_not_read_are_named() {
    let mut wrong = Vec::new();
    for (name, words) in [
        ("tls10", &["TLS 1.0"][..]),
        ("tls11", &["TLS 1.1"]),
        ("tls12-aria", &["encrypted"]),
        ("tls12-camellia", &["encrypted"]),
        ("http2", &["HTTP/2"]),
        ("http2-websocket", &["HTTP/2"]),
        ("mqtt-sn-1883", &["MQTT-SN"]),
        ("mqtt-sn-10000", &["MQTT-SN"]),
        ("quic", &["QUIC"]),
        ("tls-refused", &[]),
        ("ws-refused", &[]),
        ("ws-other", &[]),
        ("https", &[]),
        ("http-80", &[]),
        ("http-8080", &[]),
        ("proxy-v2-local", &[]),
    ] {
        let run = read(&project(&format!("fixtures/transport/{name}.pcap")), true);
        let printed = objects(&run);
        if run.code != Some(0) {
            wrong.push(format!("{name}: exit {:?}: {}", run.code, run.err));
        }
        if frames(&printed).count() != 0 {
            wrong.push(format!("{name}: {} frames", frames(&printed).count()));
        }
        let text = format!("{}{}", run.out, run.err);
        if !words.iter().all(|word| text.contains(word)) {
            wrong.push(format!("{name}: not named {words:?}: {text}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Text frames with MQTT in them, and a wrong subprotocol or none, are reported; the
/// right ones are not.
#[test]
fn transports_websocket_defects() {
    let defects = |name: &str| {
        let capture = project(&format!("fixtures/transport/{name}.pcap"));
        let run = Run::from(
            mqttdump()
                .args(["check", "--format", "json"])
                .arg(&capture)
                .output()
                .expect("the program starts"),
        );
        let report: Value = serde_json::from_str(&run.out).expect("JSON");
        let findings = report["findings"].as_array().expect("findings");
        let statements = findings.iter().map(|f| f["statements"].to_string());
        let mut found: Vec<_> = statements.filter(|s| s.contains("MQTT-6.0.0-")).collect();
        found.sort();
        found.join(" ")
    };
    assert_eq!(defects("ws-aedes-paho"), "");
    assert_eq!(defects("ws-fragments"), "");
    assert_eq!(defects("ws-mqttv3.1"), "");
    assert!(defects("ws-text").contains("MQTT-6.0.0-1"));
    for name in ["ws-no-protocol", "ws-wrong-protocol"] {
        assert!(defects(name).contains("MQTT-6.0.0-"), "{name}");
    }
}

/// A capture that carries the conversation.
struct Card {
    capture: PathBuf,
    clear: PathBuf,
    transport: String,
    how: String,
    /// Bytes that were never read: early data that was rejected.
    unread: u64,
}

/// All of them.
fn carried() -> Vec<Card> {
    let folder = project("fixtures/transport");
    let mut cards = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "toml") {
            continue;
        }
        let card = std::fs::read_to_string(&path).expect("a card");
        let card: toml::Table = card.parse().expect("TOML");
        let text = |key: &str| card.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        let Some(clear) = text("same_frames_as") else {
            continue;
        };
        cards.push(Card {
            capture: path.with_extension(""),
            clear: folder.join(clear),
            transport: text("transport").expect("a transport"),
            how: text("how").expect("how it was made"),
            unread: (card.get("unread").and_then(|v| v.as_integer())).map_or(0, i64::unsigned_abs),
        });
    }
    cards.sort_by(|a, b| a.capture.cmp(&b.capture));
    cards
}

/// Every connection of a capture has the frames of the conversation in clear.
fn same_frames(card: &Card) -> Result<(), String> {
    let name = card.capture.display();
    let (clear, _) = conversations(&card.clear)?;
    let expected = clear.values().next().ok_or("nothing in clear")?;
    let (found, transports) = conversations(&card.capture)?;
    if found.is_empty() {
        return Err(format!("{name}: no frames"));
    }
    if transports.iter().any(|t| *t != card.transport) {
        return Err(format!(
            "{name}: {transports:?}, expected {}",
            card.transport
        ));
    }
    for (connection, found) in &found {
        for (direction, expected) in expected {
            let none = Vec::new();
            let found = found.get(direction).unwrap_or(&none);
            for at in 0..expected.len().max(found.len()) {
                let (e, f) = (expected.get(at), found.get(at));
                if e != f {
                    return Err(format!(
                        "{name}: connection {connection} {direction}, frame {} of {}:\n  expected {e:?}\n  found    {f:?}",
                        at + 1,
                        expected.len()
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Data of each direction.
type Conversation = BTreeMap<String, Vec<Value>>;

/// The frames of a capture by connection and direction, without the fields that depend on
/// the carrier; and the carriers. An event of trouble is an error.
fn conversations(capture: &Path) -> Result<(BTreeMap<String, Conversation>, Vec<String>), String> {
    let run = read(capture, true);
    let name = capture.display();
    if run.code != Some(0) {
        return Err(format!("{name}: exit {:?}: {}", run.code, run.err));
    }
    let printed = objects(&run);
    for object in &printed {
        let trouble = [
            "gap",
            "malformed",
            "unfinished",
            "not_mqtt",
            "encrypted",
            "resynchronised",
            "bound",
        ];
        if trouble.iter().any(|event| object["event"] == *event) {
            return Err(format!("{name}: {object}"));
        }
    }
    let mut connections: BTreeMap<String, Conversation> = BTreeMap::new();
    let mut transports = Vec::new();
    for frame in frames(&printed) {
        let mut frame = frame.clone();
        let object = frame.as_object_mut().ok_or("no object")?;
        let mut take = |key: &str| match object.remove(key) {
            Some(Value::String(text)) => text,
            other => other.unwrap_or_default().to_string(),
        };
        for key in [
            "packet",
            "last_packet",
            "time",
            "src",
            "dst",
            "defects",
            "connection_uid",
            "session_uid",
            "exchange_uid",
        ] {
            take(key);
        }
        let (connection, direction) = (take("connection"), take("direction"));
        let transport = take("transport");
        if !transports.contains(&transport) {
            transports.push(transport);
        }
        let conversation = connections.entry(connection).or_default();
        conversation.entry(direction).or_default().push(frame);
    }
    Ok((connections, transports))
}

/// Bytes by layer, the number of connections, and whether TCP sent anything again,
/// by `overhead`.
fn layers(capture: &Path) -> (BTreeMap<String, u64>, u64, bool) {
    let mut command = mqttdump();
    command.args(["overhead", "--format", "json"]).arg(capture);
    let keys = with_suffix(capture, ".keys");
    if keys.is_file() {
        command.arg("--tls-keylog").arg(keys);
    }
    let run = Run::from(command.output().expect("the program starts"));
    let report: Value = serde_json::from_str(&run.out)
        .unwrap_or_else(|e| panic!("{}: {e}: {}", capture.display(), run.err));
    let layers = report["layers"].as_object().expect("layers");
    let layers = (layers.iter()).map(|(layer, bytes)| (layer.clone(), bytes.as_u64().unwrap_or(0)));
    let layers: BTreeMap<_, _> = layers.collect();
    let sum: u64 = layers.values().sum();
    let foreign = report["foreign_bytes"].as_u64().unwrap_or(0);
    assert_eq!(
        Some(sum + foreign),
        report["bytes"].as_u64(),
        "{}",
        capture.display()
    );
    let connections = report["connection_count"].as_u64().unwrap_or(0);
    let causes = report["causes"].as_object().expect("causes");
    let sent_again = causes.keys().any(|cause| cause.ends_with("/retx"));
    (layers, connections, sent_again)
}

/// Reads a capture as NDJSON, with the keys beside it or without.
fn read(capture: &Path, with_keys: bool) -> Run {
    let keys = with_suffix(capture, ".keys");
    read_with(capture, (with_keys && keys.is_file()).then_some(&keys))
}

fn read_with(capture: &Path, keys: Option<&PathBuf>) -> Run {
    let mut command = mqttdump();
    command.args(["--format", "ndjson", "--payload", "all", "-r"]);
    command.arg(capture);
    if let Some(keys) = keys {
        command.arg("--tls-keylog").arg(keys);
    }
    Run::from(command.output().expect("the program starts"))
}

fn objects(run: &Run) -> Vec<Value> {
    let lines = run.out.lines();
    (lines.map(|line| serde_json::from_str(line).expect("JSON"))).collect()
}

fn frames(printed: &[Value]) -> impl Iterator<Item = &Value> {
    printed.iter().filter(|object| object.get("type").is_some())
}

/// The file beside a capture whose name has this ending instead.
fn with_suffix(capture: &Path, suffix: &str) -> PathBuf {
    let name = capture.to_string_lossy();
    let stem = name.split(".pcap").next().unwrap_or_default();
    PathBuf::from(format!("{stem}{suffix}"))
}
