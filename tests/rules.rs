//! The rules: every one by its conversations, all of them on captures.

use std::fmt::Write as _;
use std::path::PathBuf;

use mqttdump::capture::{Capture, Item, Merge};
use mqttdump::engine::{Config, Engine};
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::rules::{Binds, Check, Finding, Judge, Options, RULES, Rule, Verdict};
use mqttdump::time::Timestamp;

use crate::support::program::project;
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

/// Judges packets.
pub(crate) fn judge(packets: &[OwnedPacket], options: Options) -> Vec<Finding> {
    let mut engine = Engine::new(Config {
        follow_tcp: true,
        ..Config::default()
    });
    let mut judge = Judge::new(options);
    for (number, packet) in (1..).zip(packets) {
        let captured = CapturedPacket {
            id: PacketRef { number, file: 0 },
            time: Timestamp::from_nanos(packet.time),
            link_type: packet.link,
            original_len: packet.original_len,
            data: &packet.data,
        };
        engine.push(&captured, &mut |output| judge.push(output));
    }
    engine.finish(&mut |output| judge.push(output));
    judge.finish();
    judge.take_finished()
}

fn told(findings: &[Finding]) -> String {
    let mut text = String::new();
    for found in findings {
        let clauses: Vec<_> = found.clauses.iter().map(|c| c.name(found.rule)).collect();
        let _ = writeln!(
            text,
            "| {} {} {:?} by {:?} packets {:?} {:?}: {}",
            found.verdict.name(),
            found.rule.id,
            found.verdict.reason(),
            found.by,
            found.packets.iter().map(|p| p.number).collect::<Vec<_>>(),
            clauses,
            found.message
        );
    }
    text
}

fn accuses(finding: &Finding) -> bool {
    finding.verdict >= Verdict::Warning
}

/// The conversation that cannot be decided: the rule's own, or the bad one with
/// a hole before its last packet.
fn cut(rule: &Rule) -> String {
    if !rule.examples.cut.is_empty() {
        return rule.examples.cut.to_owned();
    }
    let mut lines: Vec<&str> = rule.examples.bad.trim().lines().collect();
    let last = lines
        .iter()
        .rposition(|line| line.starts_with(['>', '<']))
        .expect("a packet");
    let gap = format!("! gap 40 {}", &lines[last][..1]);
    lines.insert(last, &gap);
    lines.join("\n")
}

#[test]
fn rules_by_their_conversations() {
    let mut wrong = String::new();
    for rule in RULES.iter() {
        let good = judge(&scene(rule.examples.good), Options::default());
        // A rule for one side may answer a fault of the other.
        let bound = |found: &Finding| {
            let answers = matches!(rule.check, Check::StillOpen(_));
            found.rule.id == rule.id
                || !answers
                    && found.by.is_none_or(|side| match rule.binds {
                        Binds::Both => true,
                        binds => binds.name() == side.name(),
                    })
        };
        if good.iter().any(|found| accuses(found) && bound(found)) {
            let _ = writeln!(wrong, "{}: the good one:\n{}", rule.id, told(&good));
        }
        let bad = judge(&scene(rule.examples.bad), Options::default());
        let worst = bad
            .iter()
            .filter(|f| f.rule.id == rule.id)
            .map(|f| f.verdict)
            .max();
        if worst.is_none_or(|worst| matches!(worst, Verdict::CannotTell(_))) {
            let _ = writeln!(wrong, "{}: the bad one:\n{}", rule.id, told(&bad));
        }
        let text = cut(rule);
        let undecided = judge(&scene(&text), Options::default());
        let own: Vec<_> = undecided.iter().filter(|f| f.rule.id == rule.id).collect();
        let doubted = own.iter().any(|f| f.verdict.reason().is_some());
        let proven = own.iter().any(|f| f.verdict == Verdict::Violation);
        if proven || !doubted && !rule.examples.cut.is_empty() {
            let _ = writeln!(wrong, "{}: the cut one:\n{}", rule.id, told(&undecided));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Judges the parts of a capture in files.
pub(crate) fn judge_files(parts: &[PathBuf], options: Options) -> Vec<Finding> {
    let captures = (0..)
        .zip(parts)
        .filter_map(|(file, path)| Capture::open(path, file).ok())
        .collect();
    let mut merge = Merge::new(captures);
    let mut engine = Engine::new(Config {
        follow_tcp: true,
        ..Config::default()
    });
    let mut judge = Judge::new(options);
    loop {
        match merge.next() {
            Ok(Some(Item::Packet(packet))) => {
                engine.push(&packet.packet, &mut |output| judge.push(output));
            }
            Ok(Some(Item::Block(_))) | Err(_) => {}
            Ok(None) => break,
        }
    }
    engine.finish(&mut |output| judge.push(output));
    judge.finish();
    judge.take_finished()
}

/// The 66 captures with one fault each, and the clean ones.
#[test]
fn rules_on_the_captures_with_one_fault() {
    let folder = project("fixtures/violations");
    let mut wrong = String::new();
    let mut rows = 0;
    let mut reader = csv::Reader::from_path(folder.join("index.csv")).expect("index.csv");
    for row in reader.deserialize::<std::collections::BTreeMap<String, String>>() {
        let row = row.expect("a row");
        let found = judge_files(&[folder.join(&row["file"])], Options::default());
        let named = |found: &Finding| {
            let name = format!("{} {}", row["version"], row["statement"]);
            found.clauses.iter().any(|c| c.name(found.rule) == name)
        };
        if !found.iter().any(|found| accuses(found) && named(found)) {
            let _ = writeln!(
                wrong,
                "{} {} {}:\n{}",
                row["file"],
                row["statement"],
                row["injected_fault"],
                told(&found)
            );
        }
        rows += 1;
    }
    assert_eq!(rows, 66);
    let mut clean = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with("clean-") || !name.ends_with(".pcap") {
            continue;
        }
        clean += 1;
        let found = judge_files(&[path], Options::default());
        if found.iter().any(|found| found.verdict > Verdict::Note) {
            let _ = writeln!(wrong, "{name}:\n{}", told(&found));
        }
    }
    assert_eq!(clean, 4);
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Prints what is found in the captures of the folders in MQTTDUMP_CAPTURES.
#[test]
#[ignore = "prints for a reader; fixtures have golden files"]
fn rules_on_captures() {
    for folder in std::env::var("MQTTDUMP_CAPTURES")
        .unwrap_or_default()
        .split(':')
    {
        let mut files: Vec<_> = walk(std::path::Path::new(folder));
        files.sort();
        for file in files {
            let found = judge_files(std::slice::from_ref(&file), Options::default());
            println!("== {}\n{}", file.display(), told(&found));
        }
    }
}

fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = path.to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(walk(&path));
        } else if [".pcap", ".pcapng", ".cap", ".gz"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            files.push(path);
        }
    }
    files
}
