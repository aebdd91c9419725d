//! Payloads against the results of other libraries, and hostile ones.
//!
//! `fixtures/payloads` holds payloads with their values by Python's cbor2, msgpack
//! and protobuf; `generate.py` there wrote them.

use std::path::PathBuf;

use mqttdump::payload::{Decoded, Decoder, Fault, Message, Rule, Value};
use serde_json::{Value as Json, json};

use crate::support::program::project;

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Message<'a> {
    Message {
        topic: Some(topic.as_bytes()),
        content_type: None,
        payload,
        is_whole: true,
    }
}

fn rule(text: &str) -> Rule {
    let open = |name: &str| std::fs::read(fixture(name)).map_err(|error| error.to_string());
    Rule::parse(text, open).expect(text)
}

fn fixture(name: &str) -> PathBuf {
    project("fixtures/payloads").join(name)
}

fn decode(format: &str, payload: &[u8]) -> Result<Value, Fault> {
    let decoder = Decoder::new(vec![rule(format)]);
    let decoded = decoder
        .decode(&message("t", payload))
        .expect("a rule applies");
    decoded.value
}

/// In the notation of the fixtures.
fn typed(value: &Value, sorted: bool) -> Json {
    let float = |number: f64| match number.is_nan() {
        true => json!({"f": "nan"}),
        false => json!({"f": format!("{:016x}", number.to_bits())}),
    };
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Integer(number) => json!({"i": number.to_string()}),
        Value::Decimal(digits) => json!({"i": digits}),
        Value::Double(number) => float(*number),
        Value::Single(number) => float(f64::from(*number)),
        Value::Text(text) => json!(text),
        Value::Bytes(bytes) => json!({"b": hex(bytes)}),
        Value::List(items) => {
            let items: Vec<_> = items.iter().map(|item| typed(item, sorted)).collect();
            json!({"l": items})
        }
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries
                .iter()
                .map(|(name, value)| (name, typed(value, sorted)))
                .collect();
            if sorted {
                entries.sort_by_key(|(name, _)| (*name).clone());
            }
            json!({"m": entries})
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect(hex);
    (0..hex.len()).step_by(2).map(pair).collect()
}

/// The lines of a fixture: the text before the payload, the payload, its value.
fn lines(name: &str) -> Vec<(String, Vec<u8>, Json)> {
    let text = std::fs::read_to_string(fixture(name)).expect(name);
    text.lines()
        .map(|line| {
            let mut cells: Vec<&str> = line.split('\t').collect();
            let value = serde_json::from_str(cells.pop().expect(line)).expect(line);
            let payload = bytes(cells.pop().expect(line));
            (cells.pop().unwrap_or_default().to_owned(), payload, value)
        })
        .collect()
}

#[test]
fn as_cbor2_and_msgpack_and_protobuf_decode() {
    for (file, format, sorted) in [
        ("cbor.tsv", "cbor", false),
        ("msgpack.tsv", "msgpack", false),
        ("protobuf.tsv", "protobuf:plant.desc", true),
    ] {
        let lines = lines(file);
        assert!(lines.len() > 100, "{file}");
        for (kind, payload, expected) in lines {
            let format = match kind.as_str() {
                "" => format.to_owned(),
                kind => format!("{format}:{kind}"),
            };
            let value = decode(&format, &payload);
            let value =
                value.unwrap_or_else(|fault| panic!("{} {}: {fault}", format, hex(&payload)));
            assert_eq!(
                typed(&value, sorted),
                expected,
                "{format} {}",
                hex(&payload)
            );
        }
    }
}

#[test]
fn sparkplug_with_the_memory_of_its_births() {
    let mut decoder = Decoder::new(vec![rule("auto")]);
    for (topic, payload, expected) in lines("sparkplug.tsv") {
        let message = message(&topic, &payload);
        decoder.observe(&message);
        let decoded = decoder.decode(&message).expect("the topic is Sparkplug's");
        assert_eq!(decoded.format, "sparkplug");
        let value = decoded
            .value
            .unwrap_or_else(|fault| panic!("{topic}: {fault}"));
        assert_eq!(typed(&value, false), expected, "{topic}");
    }
}

/// Every beginning of a payload is a fault with its position, and never anything
/// else; changed bytes do no harm.
#[test]
fn damaged_payloads_are_faults() {
    for (file, format) in [("cbor.tsv", "cbor"), ("msgpack.tsv", "msgpack")] {
        let decoder = Decoder::new(vec![rule(format)]);
        for (_, payload, _) in lines(file) {
            for cut in 0..payload.len().min(200) {
                let decoded = decoder
                    .decode(&message("t", &payload[..cut]))
                    .expect("a rule");
                let fault = decoded.value.expect_err("a part of a value");
                assert!(fault.offset <= cut, "{fault}");
            }
        }
    }
    let formats = [
        "cbor",
        "msgpack",
        "json",
        "sparkplug",
        "protobuf:plant.desc:plant.v1.Reading",
    ];
    let decoders = formats.map(|format| Decoder::new(vec![rule(format)]));
    for file in ["cbor.tsv", "msgpack.tsv", "protobuf.tsv", "sparkplug.tsv"] {
        for (_, mut payload, _) in lines(file) {
            for at in 0..payload.len().min(60) {
                payload[at] ^= 0x80 | (at as u8) << 2;
                for decoder in &decoders {
                    let _ = decoder.decode(&message("t", &payload));
                }
            }
        }
    }
}

/// Lengths that promise a lot, depth, and numbers of values.
#[test]
fn hostile_payloads_are_limited() {
    let nested = |open: &[u8]| open.repeat(100_000 / open.len());
    let mut groups = vec![0x0b; 50_000];
    groups.extend(vec![0x0c; 50_000]);
    let mut messages = Vec::new();
    for _ in 0..200 {
        // Position.near in Position.near …
        let len = u8::try_from(messages.len()).unwrap_or(u8::MAX);
        messages = [&[0x1a, len][..], &messages].concat();
    }
    for (format, payload) in [
        ("cbor", nested(&[0x81])),
        ("cbor", nested(&[0x9f])),
        ("cbor", nested(&[0xa1, 0x01])),
        ("cbor", nested(&[0xc1])),
        (
            "cbor",
            vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        (
            "cbor",
            vec![0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        ),
        ("msgpack", nested(&[0x91])),
        ("msgpack", vec![0xdd, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("msgpack", vec![0xdf, 0xff, 0xff, 0xff, 0xff]),
        ("msgpack", vec![0xc6, 0xff, 0xff, 0xff, 0xff]),
        ("json", nested(b"[")),
        ("json", nested(b"{\"a\":")),
        ("protobuf:plant.desc:plant.v1.Reading", groups),
        ("sparkplug", nested(&[0x12, 0x7f])),
    ] {
        let fault = decode(format, &payload).expect_err(format);
        assert!(fault.offset <= payload.len(), "{format}: {fault}");
    }
    // As many values as are allowed of the kind that is slowest to collect.
    let mut unknown = Vec::new();
    for number in 1000..60_000_u32 {
        let key = number << 3;
        unknown.extend([
            key as u8 | 0x80,
            (key >> 7) as u8 | 0x80,
            (key >> 14) as u8,
            1,
        ]);
    }
    let value = decode("protobuf:plant.desc:plant.v1.Reading", &unknown).expect("unknown fields");
    assert!(matches!(value, Value::Map(entries) if entries.len() == 59_000));
    let zeros = [&[0x9f][..], &[0].repeat(200_000), &[0xff]].concat();
    let fault = decode("cbor", &zeros).expect_err("too many");
    assert!(fault.to_string().contains("more than"), "{fault}");
}

/// A payload that parses by chance is not guessed at.
#[test]
fn auto_is_certain() {
    let decoder = Decoder::new(vec![rule("auto")]);
    let format = |topic: &str, content_type: Option<&str>, payload: &[u8]| {
        let decoded = decoder.decode(&Message {
            content_type: content_type.map(str::as_bytes),
            ..message(topic, payload)
        });
        decoded.map(|Decoded { format, value }| (format, value.is_ok()))
    };
    for payload in [
        &b""[..],
        b"42",
        b"true",
        b"null",
        b"\"text\"",
        b"21.5 C",
        b"123|456",
        b"{not json}",
        b"[1,2",
        b"\x00",
        b"\x05",
        b"\x18\x2a",
        b"\xf4",
        b"\x61a",
        b"\x82\x01\x02", // a list in CBOR, a map in MessagePack
        b"\xa1\x01\x02", // a map in CBOR whose name is a number
        b"\xa0",
        b"\xa1\x61",
        b"\x81\xa1a\x01",
        b"\x08\x96\x01", // Protobuf, without a schema
        b"\x12\x34\xa1\x61a\x01",
    ] {
        assert_eq!(format("t", None, payload), None, "{payload:x?}");
    }
    for (topic, content_type, payload, expected) in [
        ("t", None, &b"{\"a\":1}"[..], ("json", true)),
        ("t", None, b" [1, 2]\n", ("json", true)),
        ("t", None, b"\xa1\x61a\x01", ("cbor", true)),
        ("t", None, b"\xbf\x61a\x01\xff", ("cbor", true)),
        ("t", None, b"\xd9\xd9\xf7\x05", ("cbor", true)),
        ("t", Some("application/json"), b"42", ("json", true)),
        (
            "t",
            Some("application/json; charset=utf-8"),
            b"4 2",
            ("json", false),
        ),
        ("t", Some("application/senml+cbor"), b"\x05", ("cbor", true)),
        (
            "t",
            Some("application/msgpack"),
            b"\x81\xa1a\x01",
            ("msgpack", true),
        ),
        ("spBv1.0/g/NDATA/e", None, b"\x08\x01", ("sparkplug", true)),
        ("spBv1.0/g/NDATA/e", None, b"{}", ("sparkplug", false)),
        (
            "spBv1.0/STATE/host",
            None,
            b"{\"online\":true}",
            ("json", true),
        ),
    ] {
        assert_eq!(
            format(topic, content_type, payload),
            Some(expected),
            "{topic} {payload:x?}"
        );
    }
}

#[test]
fn the_first_rule_for_a_topic_counts() {
    let rules = ["a/+=hex", "a/#=text:latin1", "x=y/z=text", "json"].map(rule);
    let decoder = Decoder::new(rules.into());
    let text = |topic, payload: &[u8]| {
        let decoded = decoder.decode(&message(topic, payload)).expect("a rule");
        decoded.value.map(|value| value.to_string())
    };
    assert_eq!(text("a/b", b"\x00\xff").expect("hex"), "\"00 ff\"");
    assert_eq!(text("a/b/c", b"\xe4").expect("text"), "\"ä\"");
    assert_eq!(text("x=y/z", b"hi").expect("text"), "\"hi\"");
    assert_eq!(text("q", b"[1, 2.50]").expect("json"), "[1,2.50]");
    assert_eq!(text("q", b"no").expect_err("no json").offset, 0);
    for (wrong, printed) in [
        ("jsn", "unknown payload format"),
        ("a/#/b=json", "topic filter"),
        ("text:klingon", "unknown charset"),
        ("protobuf:plant.desc", "found no type"),
        ("protobuf:plant.desc:plant.v1.Nothing", "plant.v1.Reading"),
        ("protobuf:cbor.tsv:X", "no descriptor set"),
    ] {
        let open = |name: &str| std::fs::read(fixture(name)).map_err(|error| error.to_string());
        let error = Rule::parse(wrong, open).expect_err(wrong).to_string();
        assert!(error.contains(printed), "{error}");
    }
}

#[test]
fn a_payload_that_was_cut_is_not_decoded() {
    let decoder = Decoder::new(vec![rule("json")]);
    let cut = Message {
        is_whole: false,
        ..message("t", b"[1,")
    };
    let decoded = decoder.decode(&cut).expect("a rule");
    assert!(
        decoded
            .value
            .expect_err("cut")
            .message
            .contains("--payload")
    );
}
