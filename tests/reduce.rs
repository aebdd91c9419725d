//! Reduced captures: small, valid, and with the finding that was asked for.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use mqttdump::capture::{Capture, Item};
use serde_json::Value;

use crate::support::files::Format;
use crate::support::program::{Folder, project, run};
use crate::support::scene::merged;
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

const PCAP: Format = Format::Pcap {
    nano: false,
    big: false,
};

/// Findings of a capture: rule, verdict and side.
fn findings(path: &str) -> Vec<(String, String, String)> {
    let text = run(&["check", "--format", "ndjson", path]).out;
    let lines = text.lines().map(serde_json::from_str::<Value>);
    let word = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    lines
        .map(|line| line.expect("JSON"))
        .filter(|line| line["rule"].is_string())
        .map(|line| {
            (
                word(&line, "rule"),
                word(&line, "verdict"),
                word(&line, "by"),
            )
        })
        .collect()
}

fn packets(path: &str) -> Vec<OwnedPacket> {
    let mut capture = Capture::open(path.as_ref(), 0).expect("a capture");
    let mut packets = Vec::new();
    while let Ok(Some(item)) = capture.next() {
        if let Item::Packet(packet) = item {
            packets.push(OwnedPacket {
                link: packet.packet.link_type,
                time: packet.packet.time.nanos(),
                original_len: packet.packet.original_len,
                data: packet.packet.data.to_vec(),
            });
        }
    }
    packets
}

/// Ten minutes of twelve clients that publish, with QoS 0, 1 and 2, and ping.
fn other_traffic() -> Vec<OwnedPacket> {
    let wires: Vec<Wire> = (0..12)
        .map(|client| {
            let mut text = format!(
                "> CONNECT client=device-{client} keep_alive=30\n< CONNACK\n\
                 > SUBSCRIBE id=1 filter=commands/{client}/#:1\n< SUBACK id=1 codes=1\n"
            );
            for round in 0..60 {
                let id = 2 + round;
                text += &match (client + round) % 3 {
                    0 => "> PUBLISH topic=site/temperature payload=\"21.5 C\"\n".to_owned(),
                    1 => format!(
                        "> PUBLISH qos=1 id={id} topic=site/state payload=on\n< PUBACK id={id}\n"
                    ),
                    _ => format!(
                        "> PUBLISH qos=2 id={id} topic=site/alarm payload=none\n\
                         < PUBREC id={id}\n> PUBREL id={id}\n< PUBCOMP id={id}\n"
                    ),
                };
                text += "> PINGREQ\n< PINGRESP\n! wait 9900ms\n";
            }
            text += "> DISCONNECT\n";
            Wire::new(&Conversation::new(&text))
                .between(&format!("10.77.0.{}:40123", client + 1), "10.77.1.1:1883")
                .starting_at([1_000 * client, 77_777 * client])
                .after(Duration::from_millis(u64::from(client) * 137))
        })
        .collect();
    merged(&wires, &Stack::default())
}

/// The packets of a capture in the fifth minute of other traffic.
fn hidden(path: &str, other: &[OwnedPacket]) -> Vec<OwnedPacket> {
    let mut fault = packets(path);
    let begin = other[0].time + 300_000_000_000;
    let shift = begin - fault[0].time;
    fault.iter_mut().for_each(|packet| packet.time += shift);
    let mut all = [other.to_vec(), fault].concat();
    all.sort_by_key(|packet| packet.time);
    all
}

/// The rule that an injected fault breaks, by the statement that the index names.
fn rule_of(path: &str, statement: &str) -> Option<(String, String, String)> {
    let text = run(&["check", "--format", "ndjson", path]).out;
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let statements = line["statements"].as_array();
        let mut named = statements.into_iter().flatten();
        if named.any(|it| it.as_str().is_some_and(|it| it.ends_with(statement))) {
            let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            return Some((word("rule"), word("verdict"), word("by")));
        }
    }
    None
}

#[test]
fn one_fault_in_ten_minutes_of_other_traffic() {
    let other = other_traffic();
    let index = std::fs::read_to_string(project("fixtures/violations/index.csv"));
    let index = index.expect("the index");
    let faults: Vec<(&str, &str)> = index
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split(',');
            Some((fields.next()?, fields.nth(1)?))
        })
        .filter(|(file, _)| file.starts_with('v'))
        .collect();
    assert!(faults.len() >= 66, "{}", faults.len());
    let folder = Folder::new();
    for (file, statement) in faults {
        let capture = format!("fixtures/violations/{file}");
        let rule = rule_of(&capture, statement);
        let rule = rule.unwrap_or_else(|| panic!("{file}: {statement} is not found"));
        let input = folder.write("in.pcap", &PCAP.write(&hidden(&capture, &other)));
        let out = folder.name("out.pcap");
        let done = run(&["reduce", "--keep", &rule.0, "-w", &out, &input]);
        assert_eq!(done.code, Some(0), "{file}: {}", done.err);
        let found = findings(&out);
        assert!(
            found.contains(&rule),
            "{file}: {rule:?} is not in {found:?}"
        );
        let size = |path: &str| std::fs::metadata(path).expect("a file").len();
        let (before, after) = (size(project(&capture).to_str().expect("UTF-8")), size(&out));
        assert!(
            after <= 2 * before,
            "{file}: {after} bytes of {before}\n{}",
            done.out
        );
    }
}

/// A connection of ten minutes: the rest of it is cut out of TCP's streams.
#[test]
fn a_fault_in_a_long_connection() {
    let mut text = "> CONNECT client=a version=5\n< CONNACK\n".to_owned();
    for round in 0..200 {
        let id = 1 + round;
        text += &format!(
            "> PUBLISH qos=1 id={id} topic=t/{round} payload=\"some words\"\n< PUBACK id={id}\n! wait 3s\n"
        );
        if round == 120 {
            text += "> PUBLISH qos=0 dup=1 topic=t payload=fault\n";
        }
    }
    let folder = Folder::new();
    let packets = Wire::new(&Conversation::new(&text)).packets(&Stack::default());
    let input = folder.write("in.pcap", &PCAP.write(&packets));
    let out = folder.name("out.pcap");
    let done = run(&["reduce", "--keep", "dup-with-qos-0", "-w", &out, &input]);
    let report = done.clean();
    assert!(
        report.starts_with("dup-with-qos-0: violation by client, kept\n1 of 1 connection left\n"),
        "{report}"
    );
    let left = self::packets(&out);
    assert!(left.len() <= 6, "{} packets\n{report}", left.len());
    let violation = ("dup-with-qos-0", "violation", "client");
    let violation = (violation.0.into(), violation.1.into(), violation.2.into());
    assert!(findings(&out).contains(&violation));
    // Times stay, and nothing is missing.
    assert!(
        left.iter()
            .all(|it| packets.iter().any(|old| old.time == it.time))
    );
    let read = run(&["-r", &out, "--format", "ndjson"]).clean();
    assert!(
        !read.contains("\"gap\"") && !read.contains("conflict"),
        "{read}"
    );
    let checked = run(&["-r", &out, "-q", "--verify-checksums"]).clean();
    assert!(checked.contains("PUBLISH"), "{checked}");
}

/// Two findings on two connections are both kept.
#[test]
fn several_rules() {
    let wire = |text: &str, client: &str| {
        Wire::new(&Conversation::new(text)).between(client, "10.0.1.1:1883")
    };
    let wires = [
        wire(
            "> CONNECT client=a\n< CONNACK\n> PUBLISH qos=0 dup=1 topic=t\n",
            "10.0.0.1:4001",
        ),
        wire(
            "> CONNECT client=b\n< CONNACK\n> PINGREQ\n< PINGRESP\n",
            "10.0.0.2:4002",
        ),
        wire(
            "> CONNECT client=c\n< CONNACK\n> PINGREQ flags=1\n",
            "10.0.0.3:4003",
        ),
    ];
    let folder = Folder::new();
    let packets = merged(&wires, &Stack::default());
    let input = folder.write("in.pcap", &PCAP.write(&packets));
    let rules: Vec<_> = findings(&input)
        .into_iter()
        .filter(|(_, verdict, _)| verdict == "violation")
        .collect();
    assert_eq!(rules.len(), 2, "{rules:?}");
    let out = folder.name("out.pcap");
    let keep = format!("{},{}", rules[0].0, rules[1].0);
    let report = run(&["reduce", "--keep", &keep, "-w", &out, &input]).clean();
    assert!(report.contains("2 of 3 connections left"), "{report}");
    let found = findings(&out);
    assert!(rules.iter().all(|rule| found.contains(rule)), "{found:?}");
}

#[test]
fn refusals_name_what_there_is() {
    let folder = Folder::new();
    let out = folder.name("out.pcap");
    let fault = "fixtures/violations/v19.pcap";
    let done = run(&["reduce", "--keep", "unknown-ack", "-w", &out, fault]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.err
            .contains("no finding of the rule unknown-ack; it has anonymous-client (note), dup-with-qos-0 (violation)"),
        "{}",
        done.err
    );
    let done = run(&["reduce", "--keep", "dup-with-qos", "-w", &out, fault]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.err.contains("did you mean dup-with-qos-0?"),
        "{}",
        done.err
    );
    let done = run(&["reduce", "--keep", "dup-with-qos-0", "-w", &out, "-"]);
    assert!(done.err.contains("give a regular file"), "{}", done.err);
    assert_eq!(folder.names(), Vec::<String>::new());

    let bytes = std::fs::read(project(fault)).expect("a capture");
    let input = folder.write("in.pcap", &bytes);
    let done = run(&["reduce", "--keep", "dup-with-qos-0", "-w", &input, &input]);
    assert!(done.err.contains("would be overwritten"), "{}", done.err);
    assert_eq!(std::fs::read(&input).expect("the input"), bytes);
}

/// What was found by then is written, and the end of time is reported.
#[test]
fn out_of_time() {
    let folder = Folder::new();
    let other = other_traffic();
    let fault = hidden("fixtures/violations/v19.pcap", &other);
    let input = folder.write("in.pcap", &PCAP.write(&fault));
    let out = folder.name("out.pcap");
    let args = [
        "reduce",
        "--budget",
        "1ms",
        "--keep",
        "dup-with-qos-0",
        "-w",
    ];
    let done = run(&[&args[..], &[&out, &input]].concat());
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("out of time"), "{}", done.err);
    assert!(
        findings(&out)
            .iter()
            .any(|(rule, ..)| rule == "dup-with-qos-0")
    );
}

/// Over every carrier: TLS, WebSocket, tunnels, fragments, VLANs, several link types.
#[test]
fn captures_of_all_carriers() {
    let mut captures = Vec::new();
    for folder in [
        "captures",
        "transport",
        "encapsulations",
        "market",
        "reading",
    ] {
        collect(&project("fixtures").join(folder), &mut captures);
    }
    let work = Mutex::new(captures.into_iter());
    let (reduced, wrong) = (Mutex::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let folder = Folder::new();
                while let Some(capture) = { work.lock().expect("the list").next() } {
                    match some_finding_is_kept(&capture, &folder) {
                        Ok(done) => *reduced.lock().expect("the count") += usize::from(done),
                        Err(why) => wrong.lock().expect("the list").push(why),
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("the list");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    let reduced = reduced.into_inner().expect("the count");
    assert!(reduced >= 50, "{reduced} captures were reduced");
}

/// Reduces a capture to the first of its findings; whether it has any.
fn some_finding_is_kept(capture: &Path, folder: &Folder) -> Result<bool, String> {
    let name = capture.display().to_string();
    let Some((rule, ..)) = findings(&name).into_iter().next() else {
        return Ok(false);
    };
    let out = match name.contains(".pcapng") {
        true => folder.name("out.pcapng"),
        false => folder.name("out.pcap"),
    };
    let args = [
        "reduce", "--budget", "500ms", "--keep", &rule, "-w", &out, &name,
    ];
    let done = run(&args);
    if done.code != Some(0) && !done.err.contains("cut off") {
        return Err(format!("{name}: {rule}: {}", done.err));
    }
    match findings(&out).iter().any(|(found, ..)| *found == rule) {
        true => Ok(true),
        false => Err(format!("{name}: {rule} is lost\n{}", done.out)),
    }
}

fn collect(folder: &Path, captures: &mut Vec<PathBuf>) {
    const LARGEST: u64 = 200_000;
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_small = entry.metadata().is_ok_and(|it| it.len() < LARGEST);
        if path.is_dir() {
            collect(&path, captures);
        } else if is_small && (name.ends_with(".pcap") || name.ends_with(".pcapng")) {
            captures.push(path);
        }
    }
    captures.sort();
}
