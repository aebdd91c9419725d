//! The accounting of captures that others have accounted for.
//!
//! `fixtures/overhead/NAME.expected.json` was made by a reader that shares
//! nothing with this program; `NAME.POLICY.json` has the cost of messages under
//! the other policies of sharing.

use mqttdump::engine::{Config, Engine, Output};
use mqttdump::frame::MQTTFrame;
use mqttdump::mqtt::{ControlPacket, PacketType, Version};
use mqttdump::overhead::{
    Account, Basis, Mark, Projection, Scenario, Shape, Share, Stage, Term, WhatIf, varint_len,
};
use serde_json::Value;

use crate::laws::{files, packets_of};
use crate::support::program::{project, run};
use crate::support::stack::OwnedPacket;

/// The accounted captures, and their ports.
const CAPTURES: [(&str, u16); 4] = [
    ("D1", 18832),
    ("D1-vlan", 18832),
    ("D2", 18834),
    ("D2-pad", 18834),
];

fn overhead(name: &str, more: &[&str]) -> Value {
    let path = project(&format!("fixtures/overhead/{name}.pcap"));
    let path = path.to_str().unwrap();
    let args = [&["overhead", "--format", "json", path], more].concat();
    let run = run(&args);
    assert_eq!(run.code, Some(0), "{name}: {}", run.err);
    serde_json::from_str(&run.out).unwrap()
}

fn expected(name: &str, which: &str) -> Value {
    let path = project(&format!("fixtures/overhead/{name}.{which}.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// Everything that is in `expected` is in `found`, and is the same.
fn compare(expected: &Value, found: &Value, at: &str, wrong: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                let at = format!("{at}.{key}");
                // Of the oracle's own.
                if key == "file" || key == "port" {
                    continue;
                }
                let found = found.get(key).unwrap_or(&Value::Null);
                match (key.as_str(), value.as_str()) {
                    ("version", Some("5")) => {
                        compare(&Value::from("5.0"), found, &at, wrong);
                    }
                    _ => compare(value, found, &at, wrong),
                }
            }
            // What the oracle has a whole list of has nothing else either.
            if at.ends_with("layers") || at.ends_with("causes") || at.ends_with("by_cause") {
                for key in found.keys().filter(|key| !expected.contains_key(*key)) {
                    wrong.push(format!("{at}: {key} is not expected"));
                }
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (i, (expected, found)) in expected.iter().zip(found).enumerate() {
                compare(expected, found, &format!("{at}[{i}]"), wrong);
            }
        }
        _ if expected == found => {}
        _ => wrong.push(format!("{at}: expected {expected}, found {found}")),
    }
}

#[test]
fn to_the_byte() {
    let mut wrong = Vec::new();
    for (name, _) in CAPTURES {
        let found = overhead(name, &[]);
        compare(&expected(name, "expected"), &found, name, &mut wrong);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn by_every_policy() {
    let mut wrong = Vec::new();
    for (name, _) in CAPTURES {
        let proportional = overhead(name, &[]);
        for policy in ["equal", "first", "completes"] {
            let found = overhead(name, &["--share", policy]);
            assert_eq!(found["layers"], proportional["layers"]);
            assert_eq!(found["bytes"], proportional["bytes"]);
            let costs: Vec<Value> = found["connections"]
                .as_array()
                .unwrap()
                .iter()
                .map(|connection| {
                    let messages = connection["messages"].as_array().unwrap();
                    let costs = messages.iter().map(|m| {
                        Value::from(vec![
                            m["n"].clone(),
                            m["marginal"].clone(),
                            m["loaded"].clone(),
                        ])
                    });
                    Value::from(vec![connection["id"].clone(), costs.collect()])
                })
                .collect();
            let at = format!("{name} {policy}");
            compare(&expected(name, policy), &costs.into(), &at, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Nothing of these connections can be read, for want of keys; their bytes are
/// accounted for all the same. Totals as its README states them.
#[test]
fn unreadable_bytes_are_accounted_for() {
    let decode: Vec<String> = (18841..=18844).map(|port| format!("{port}=mqtt")).collect();
    let mut args = Vec::new();
    for port in &decode {
        args.extend(["--decode", port]);
    }
    let ups_and_downs = |level: &str| -> Vec<(u64, u64)> {
        let found = overhead("D3-tls-ws", &[&args[..], &["--level", level]].concat());
        let connections = found["connections"].as_array().unwrap();
        let number = |connection: &Value, key: &str| connection[key].as_u64().unwrap();
        connections
            .iter()
            .map(|c| (number(c, "bytes_up"), number(c, "bytes_down")))
            .collect()
    };
    assert_eq!(
        ups_and_downs("tcp"),
        [
            (683, 1720),
            (683, 1720),
            (2475, 4140),
            (770, 608),
            (376, 183)
        ]
    );
    assert_eq!(
        ups_and_downs("l2"),
        [
            (1801, 2388),
            (1747, 2508),
            (3539, 4928),
            (1756, 1210),
            (1308, 851)
        ]
    );
}

/// The sizes of control packets by the formulas that the what-ifs rest on, for
/// every clean packet in `fixtures/`.
#[test]
fn closed_forms_of_packets() {
    let mut wrong = Vec::new();
    let mut tested = [0; 16];
    for path in files("fixtures") {
        let Some(packets) = packets_of(&path) else {
            continue;
        };
        let mut engine = Engine::new(Config::default());
        let mut check = |output: Output<'_>| {
            if let Output::Frame(frame) = output
                && frame.missing == 0
                && frame.defects.is_empty()
                && !frame.resynchronised
                && let Some(expected) = closed_form(frame)
            {
                tested[frame.header.packet_type() as usize] += 1;
                if expected != frame.header.packet_len() {
                    wrong.push(format!(
                        "{} {:?}: {frame} is {} bytes, by formula {expected}",
                        path.display(),
                        frame.last,
                        frame.header.packet_len()
                    ));
                }
            }
        };
        for (number, packet) in (1..).zip(&packets) {
            let captured = packet.captured(number);
            engine.push(&captured, &mut check);
        }
        engine.finish(&mut check);
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    for kind in PacketType::ALL
        .into_iter()
        .skip(1)
        .filter(|kind| *kind != PacketType::Auth)
    {
        assert!(
            tested[kind as usize] >= 10,
            "{kind:?}: {} tested",
            tested[kind as usize]
        );
    }
}

/// Section 8 of the model, without reason codes and properties but where they
/// are measured.
fn closed_form(frame: &MQTTFrame<'_>) -> Option<u64> {
    let v5 = frame.version == Version::V5;
    let properties: u64 = match v5 {
        true => {
            let len = frame.packet.properties().bytes.len() as u64;
            varint_len(len) + len
        }
        false => 0,
    };
    let whole = |remaining: u64| 1 + varint_len(remaining) + remaining;
    Some(match &frame.packet {
        ControlPacket::Publish(publish) => {
            let shape = Shape {
                topic: publish.topic?.bytes().len() as u16,
                alias: publish.topic_alias.is_some(),
                packet_id: publish.packet_id.is_some(),
                properties: v5.then_some(publish.properties.bytes.len() as u32),
                payload: publish.payload_len?,
            };
            shape.packet_len()
        }
        ControlPacket::Puback(ack)
        | ControlPacket::Pubrec(ack)
        | ControlPacket::Pubrel(ack)
        | ControlPacket::Pubcomp(ack) => match (ack.code, ack.properties.is_empty()) {
            (None, _) => 4,
            (Some(_), true) if frame.header.remaining_length == 3 => 5,
            (Some(_), _) => whole(3 + properties),
        },
        ControlPacket::Connect(connect) => {
            let text = |len: Option<usize>| len.map_or(0, |len| 2 + len as u64);
            let will = connect.will.as_ref().map_or(0, |will| {
                let len = will.properties.bytes.len() as u64;
                let properties = if v5 { varint_len(len) + len } else { 0 };
                properties
                    + text(will.topic.map(|t| t.bytes().len()))
                    + text(will.payload.map(<[u8]>::len))
            });
            let name = if frame.version == Version::V3_1 {
                12
            } else {
                10
            };
            whole(
                name + properties
                    + will
                    + text(Some(connect.client_id?.bytes().len()))
                    + text(connect.username.map(|name| name.bytes().len()))
                    + text(connect.password.map(<[u8]>::len)),
            )
        }
        // A server that knows only 3.1.1 refuses 5.0 in its own form.
        ControlPacket::Connack(_) if frame.header.remaining_length == 2 => 4,
        ControlPacket::Connack(_) => whole(2 + properties),
        ControlPacket::Subscribe(subscribe) => {
            let filters = subscribe
                .filters()
                .map(|f| 3 + f.filter.bytes().len() as u64);
            whole(2 + properties + filters.sum::<u64>())
        }
        ControlPacket::Suback(suback) => whole(2 + properties + suback.codes.len() as u64),
        ControlPacket::Pingreq | ControlPacket::Pingresp => 2,
        ControlPacket::Disconnect(disconnect) => {
            match (disconnect.code, disconnect.properties.is_empty()) {
                (None, _) => 2,
                (Some(_), true) if frame.header.remaining_length == 1 => 3,
                (Some(_), _) => whole(1 + properties),
            }
        }
        ControlPacket::Unsuback(unsuback) => whole(2 + properties + unsuback.codes.len() as u64),
        ControlPacket::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters().map(|f| 2 + f.bytes().len() as u64);
            whole(2 + properties + filters.sum::<u64>())
        }
        _ => return None,
    })
}

/// An exchange on an idle connection costs PUBLISH + {0, 4, 12} + (d + a) H with
/// 1, 2, 4 segments d and bare acknowledgements a of 1 to d.
#[test]
fn closed_forms_of_exchanges() {
    // Headers of Ethernet, IP and TCP with timestamps.
    for (capture, header) in [
        ("fixtures/overhead/D1.pcap", 14 + 40 + 32),
        ("fixtures/captures/seed-ethernet-qos0.pcap", 14 + 20 + 32),
        ("fixtures/captures/seed-ethernet-qos1.pcap", 14 + 20 + 32),
        ("fixtures/captures/seed-ethernet-qos2.pcap", 14 + 20 + 32),
    ] {
        let found = run(&[
            "overhead",
            "--format",
            "csv",
            "--decode",
            "18832=mqtt",
            capture,
        ])
        .clean();
        let mut tested = 0;
        let mut lines = found
            .lines()
            .map(|line| line.split(',').collect::<Vec<_>>());
        let head = lines.next().unwrap();
        let column = |name: &str| head.iter().position(|h| *h == name).unwrap();
        for row in lines {
            let number = |name: &str| row[column(name)].parse::<u64>().unwrap();
            let (answers, d) = [(0, 1), (4, 2), (12, 4)][number("qos") as usize];
            let headers = number("marginal") - number("packet") - answers;
            assert_eq!(headers % header, 0, "{capture}: {row:?}");
            let a = headers / header - d;
            assert!(
                (1..=d).contains(&a),
                "{capture}: {a} acknowledgements: {row:?}"
            );
            tested += 1;
        }
        assert!(tested >= 10, "{capture}: {tested} messages");
    }
}

/// What-ifs predict the recorded costs.
#[test]
fn what_ifs_predict_the_recorded_costs() {
    let recorded = |qos: u8| {
        let path = project(&format!("fixtures/captures/seed-ethernet-qos{qos}.pcap"));
        account(&packets_of(&path).unwrap())
    };
    // Five messages of a publisher, up.
    let cost = |account: &Account| {
        let basis = Basis::of(account);
        assert_eq!((basis.connections.len(), basis.messages), (1, 5));
        basis.measured().both(Term::Message).l2
    };
    let play = |account: &Account, what: &str| {
        let basis = Basis::of(account);
        let stage = Stage::new(account, &basis, Projection::default());
        let outcome = stage.play(&Scenario::parse(what).unwrap());
        let total = outcome.bill.total().l2 - basis.measured().total().l2;
        (outcome, total)
    };
    let [zero, one, two] = [0, 1, 2].map(recorded);
    for account in [&one, &two] {
        let (outcome, _) = play(account, "qos=0");
        assert_eq!(outcome.bill.both(Term::Message).l2, cost(&zero));
    }
    // How often QoS 2 is acknowledged depends on TCP.
    let (outcome, _) = play(&one, "qos=2");
    let (low, high) = outcome.bounds.unwrap();
    assert!(low.both(Term::Message).l2 <= cost(&two));
    assert!(high.both(Term::Message).l2 >= cost(&two));
    let (outcome, _) = play(&two, "qos=1");
    let (low, high) = outcome.bounds.unwrap();
    assert!((low.both(Term::Message).l2..=high.both(Term::Message).l2).contains(&cost(&one)));

    // A property of 3 bytes and its length in each, the name of 17 in the first
    // alone; 5.0 takes a byte more in CONNECT and CONNACK.
    let (_, more) = play(&one, "alias");
    assert_eq!(more, 5.0 * 4.0 - 4.0 * 17.0 + 2.0);
    // Topics 8 bytes shorter.
    let rename = WhatIf::rename("s/engineOff/e/").unwrap();
    let basis = Basis::of(&one);
    let stage = Stage::new(&one, &basis, Projection::default());
    let outcome = stage.play(&Scenario::renamed("shorter", rename));
    assert_eq!(outcome.mark, Mark::Exact);
    assert_eq!(
        outcome.bill.total().l2 - basis.measured().total().l2,
        -5.0 * 8.0
    );
    // 12 bytes in each segment, 8 in SYN and SYN-ACK.
    let frames: u64 = one.connections[1].frames.iter().sum();
    let (outcome, more) = play(&one, "no-timestamps");
    assert_eq!(outcome.mark, Mark::Exact);
    assert!(
        (more + 12.0 * (frames - 2) as f64 + 16.0).abs() < 1e-6,
        "{more}"
    );
    // Five in one segment, which takes one acknowledgement.
    let (_, more) = play(&zero, "batch=5");
    assert_eq!(more, -4.0 * (66.0 + 66.0));
}

/// Accounts for packets.
fn account(packets: &[OwnedPacket]) -> Account {
    crate::laws::account_by(packets, Share::Proportional)
}
