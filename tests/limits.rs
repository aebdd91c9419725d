//! Limits that are reached, and what is reported then. `docs/limits.md` names the tests of
//! others.

mod check;
mod overhead;
mod reading;
mod sessions;

use std::io::Write;

use mqttdump::engine::Config;
use mqttdump::facts::{Facts, Sink};
use serde_json::Value;

use crate::support::files::Format;
use crate::support::program::{Folder, run};
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

#[allow(dead_code)]
#[path = "../benches/hostile/kinds.rs"]
pub(crate) mod kinds;

/// Writes packets as a pcap file; returns its name.
fn saved(folder: &Folder, packets: &[OwnedPacket]) -> String {
    let format = Format::Pcap {
        nano: false,
        big: false,
    };
    folder.write("in.pcap", &format.write(packets))
}

/// Reads packets with a sink of the library.
fn follow(packets: &[OwnedPacket], sink: &mut impl Sink) {
    let options = mqttdump::facts::Options::default();
    let mut facts = Facts::new(Config::default(), options, sink);
    for (number, packet) in (1..).zip(packets) {
        let captured = packet.captured(number);
        facts.push(&captured, sink);
    }
    facts.finish(sink);
}

/// A capture of a kind of `benches/hostile.rs`.
fn capture(folder: &Folder, kind: &str, n: u32) -> String {
    let generate = kinds::find(kind).expect("the kind");
    let path = folder.path("in.pcap");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file"));
    kinds::write(generate, n, &mut |bytes| {
        file.write_all(bytes).expect("room")
    });
    file.flush().expect("room");
    folder.name("in.pcap")
}

#[test]
fn topics_beyond_the_limits_count_as_one() {
    let folder = Folder::new();
    let input = capture(&folder, "topics", 100_020);
    let stats = run(&["stats", "--format", "csv", &input]).clean();
    // A header, 100,000 topics, and one row for the others.
    assert_eq!(stats.lines().count(), 100_002);
    let others = stats.lines().last().expect("a row");
    assert!(
        others.starts_with(',') && others.contains(",20,") && others.ends_with(",true,"),
        "{others}"
    );
    let topics = run(&["overhead", "--format", "csv-topics", &input]);
    assert_eq!(topics.out.lines().count(), 1 + 65_536 + 1, "{}", topics.err);
}

#[test]
fn findings_beyond_the_limit_are_counted() {
    let folder = Folder::new();
    let input = capture(&folder, "faults", 50_010);
    let check = run(&["check", "--format", "json", &input]);
    let report: Value = serde_json::from_str(&check.out).expect("JSON");
    let summary = &report["summary"];
    let findings = report["findings"].as_array().expect("findings").len() as u64;
    assert_eq!(findings, 100_000);
    // Two on each connection, and a note about the server.
    let more = summary["more"].as_u64().expect("a count");
    assert_eq!(findings + more, 2 * 50_010 + 1);
    assert_eq!(check.code, Some(1));
}

#[test]
fn sessions_beyond_the_limit_are_evicted() {
    let folder = Folder::new();
    let input = capture(&folder, "sessions", 65_536 + 100);
    let check = run(&["check", &input]);
    assert!(
        check.err.contains("100 sessions were evicted: table full"),
        "{}",
        check.err
    );
    assert_eq!(check.code, Some(0), "{}", check.out);
}

#[test]
fn aliases_beyond_the_limit_are_dropped() {
    let mut text = "> CONNECT client=a version=5\n< CONNACK topic_alias_maximum=100\n".to_owned();
    let topic = "level/".repeat(10_000);
    for alias in 1..=20 {
        text += &format!("> PUBLISH topic={alias}/{topic} topic_alias={alias} payload=x\n");
    }
    text += "> PUBLISH topic_alias=1 payload=x\n> PUBLISH topic_alias=20 payload=x\n";
    let folder = Folder::new();
    let input = saved(&folder, &scene(&text));
    let out = run(&["-r", &input, "--format", "ndjson"]).out;
    let lines: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let bounds = lines.iter().filter(|line| line["event"] == "bound");
    let reasons: Vec<&str> = bounds.filter_map(|line| line["reason"].as_str()).collect();
    assert!(
        !reasons.is_empty() && reasons.iter().all(|it| it.contains("aliased topic names")),
        "{reasons:?}"
    );
    let resolved = |alias: u64| {
        let mut frames = lines.iter().filter(|line| line["topic_alias"] == alias);
        frames.next_back().expect("the last one")["topic"]
            .as_str()
            .unwrap_or_default()
            .len()
    };
    assert!(resolved(1) > 50_000);
    assert_eq!(resolved(20), 0);
}

#[test]
fn too_many_interfaces_are_refused() {
    let block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [&kind.to_le_bytes()[..], &length, body, &length].concat()
    };
    let mut file = block(
        0x0a0d_0d0a,
        &[
            &0x1a2b_3c4d_u32.to_le_bytes()[..],
            &[1, 0, 0, 0],
            &[0xff; 8],
        ]
        .concat(),
    );
    for _ in 0..(1 << 16) + 1 {
        file.extend(block(1, &[1, 0, 0, 0, 0, 0, 0, 0]));
    }
    let folder = Folder::new();
    let input = folder.write("in.pcapng", &file);
    let read = run(&["-r", &input]);
    assert_eq!(read.code, Some(2), "{}", read.err);
    assert!(read.err.contains("interfaces"), "{}", read.err);
}

#[test]
fn a_key_log_of_too_many_bytes_is_refused_by_reduce() {
    let folder = Folder::new();
    let input = saved(
        &folder,
        &scene("> CONNECT client=a\n< CONNACK\n> PUBLISH topic=a/#\n"),
    );
    let keys = folder.name("keys.log");
    let file = std::fs::File::create(&keys).expect("a file");
    let length = mqttdump::limits::REDUCED_SECRETS as u64 + 1;
    file.set_len(length).expect("a file with a hole");
    let output = folder.name("out.pcap");
    let args = [
        "reduce",
        "--keep",
        "topic-wildcard",
        "--tls-keylog",
        &keys,
        "-w",
        &output,
    ];
    let reduce = run(&[&args[..], &[&input]].concat());
    assert_eq!(reduce.code, Some(2), "{}", reduce.err);
    assert!(reduce.err.contains("key log: more than"), "{}", reduce.err);
}

/// The length of a block is not trusted before there is room for it.
#[test]
fn a_block_that_claims_too_much_is_refused() {
    let folder = Folder::new();
    let section = [
        &0x0a0d_0d0a_u32.to_le_bytes()[..],
        &28_u32.to_le_bytes(),
        &0x1a2b_3c4d_u32.to_le_bytes(),
        &[1, 0, 0, 0],
        &[0xff; 8],
        &28_u32.to_le_bytes(),
    ]
    .concat();
    let length = mqttdump::limits::BLOCK_BYTES as u32 + 4;
    let block = [6_u32.to_le_bytes(), length.to_le_bytes()].concat();
    let input = folder.write("in.pcapng", &[&section[..], &block, &[0; 64]].concat());
    let read = run(&["-r", &input]);
    assert_eq!(read.code, Some(2), "{}", read.err);
    let limit = mqttdump::limits::BLOCK_BYTES.to_string();
    assert!(
        read.err.contains("block") && read.err.contains(&limit),
        "{}",
        read.err
    );
}
