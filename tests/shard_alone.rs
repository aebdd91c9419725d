//! Some shards of a capture, without the others: what depends on these is never right
//! and never wrong.

use std::collections::BTreeSet;

use mqttdump::rules::{self, Scope};
use serde_json::Value;

use crate::support::program::{Folder, Run, project, run, run_with_input};

const CAPTURES: [&str; 4] = [
    "fixtures/captures/bridge.pcap",
    "fixtures/captures/wildcards.pcap",
    "fixtures/captures/retained.pcap",
    "fixtures/captures/will.pcap",
];
const SHARDS: usize = 3;

/// Splits a capture and returns its shards.
fn split(folder: &Folder, by: &str, path: &str) -> Vec<String> {
    let to = folder.name("shards");
    let number = SHARDS.to_string();
    run(&["shard", "-o", &to, "--shards", &number, "--by", by, path]).clean();
    let name = |number| format!("{to}/shard-{number:03}.pcapng");
    (0..SHARDS).map(name).collect()
}

fn check(args: &[&str]) -> Run {
    run(&[&["check", "--format", "json", "--allow-empty"], args].concat())
}

fn json(run: &Run) -> Value {
    serde_json::from_str(&run.out).unwrap_or_else(|error| panic!("{error}: {}", run.err))
}

fn findings(report: &Value) -> &[Value] {
    report["findings"].as_array().expect("findings")
}

/// Violations and warnings: the rule, the connection and the side.
fn accusations(report: &Value) -> BTreeSet<String> {
    let sure = |finding: &&Value| {
        ["violation", "warning"]
            .iter()
            .any(|it| finding["verdict"] == *it)
    };
    let what = |finding: &Value| {
        let [rule, uid, by, verdict] =
            ["rule", "connection_uid", "by", "verdict"].map(|key| &finding[key]);
        format!("{rule} {uid} {by} {verdict}")
    };
    findings(report).iter().filter(sure).map(what).collect()
}

/// The rules that are undecided because other shards are not there.
fn undecided(report: &Value) -> BTreeSet<&str> {
    let all = findings(report).iter();
    all.filter(|finding| finding["reason"] == "shard")
        .filter_map(|finding| finding["rule"].as_str())
        .collect()
}

#[test]
fn a_shard_alone_is_never_ok() {
    let mut checked = 0;
    for path in CAPTURES {
        let folder = Folder::new();
        let whole = accusations(&json(&check(&["--fail-on", "never", path])));
        for (number, shard) in split(&folder, "flow", path).iter().enumerate() {
            let run_of = check(&[shard]);
            let report = json(&run_of);
            assert_eq!(report["summary"]["part"], format!("shard-{number:03} of 3"));
            assert!(
                run_of.err.contains("cannot tell what depends on"),
                "{}",
                run_of.err
            );
            let list = accusations(&report);
            assert!(list.is_subset(&whole), "{path} {number} {list:?} {whole:?}");
            if report["summary"]["frames"] == 0 {
                continue;
            }
            checked += 1;
            for rule in [
                "lost-delivery",
                "retained-stale",
                "takeover",
                "missing-resend",
            ] {
                assert!(undecided(&report).contains(rule), "{rule}");
            }
            assert!(!undecided(&report).contains("missing-ack"));
            let is_violated = report["summary"]["violations"] != 0;
            assert_eq!(run_of.code, Some(i32::from(is_violated)), "{path} {number}");
            let strict = check(&["--fail-on", "cannot-tell", shard]);
            assert_eq!(strict.code, Some(1), "{}", strict.err);
            let text = run(&["check", "--fail-on", "never", shard]).out;
            assert!(!text.contains(": ok"), "{text}");
            assert!(text.contains("CANNOT TELL: "), "{text}");
        }
    }
    assert!(checked >= 6, "{checked}");
}

#[test]
fn no_case_of_junit_passes_that_others_decide() {
    let folder = Folder::new();
    let shards = split(&folder, "flow", CAPTURES[0]);
    for shard in &shards {
        let text = run(&["check", "--format", "junit", "--allow-empty", shard]).out;
        for case in text.split("<testcase ").skip(1) {
            let name = case.split("name=\"").nth(1).expect("a name");
            let rule = rules::find(name.split('"').next().expect("a name"));
            let is_decided = rule.is_none_or(|rule| rule.scope() == Scope::Connection);
            assert!(is_decided || !case.starts_with("/>"), "{case}");
            assert!(
                is_decided || case.contains("<skipped") || case.contains("<failure"),
                "{case}"
            );
        }
    }
}

#[test]
fn all_shards_together_are_the_capture() {
    for path in CAPTURES {
        let folder = Folder::new();
        let shards = split(&folder, "flow", path);
        let parts: Vec<&str> = shards.iter().flat_map(|it| ["-r", it]).collect();
        let together = json(&check(&[&["--fail-on", "never"], &parts[..]].concat()));
        assert!(together["summary"]["part"].is_null());
        assert!(undecided(&together).is_empty());
        let whole = json(&check(&["--fail-on", "never", path]));
        assert_eq!(accusations(&together), accusations(&whole), "{path}");
        // Two of three.
        let some = check(&[&["--fail-on", "never"], &parts[..4]].concat());
        let report = json(&some);
        assert_eq!(report["summary"]["part"], "2 of 3 shards");
        assert!(
            accusations(&report).is_subset(&accusations(&whole)),
            "{path}"
        );
    }
}

#[test]
fn shards_by_session_decide_what_is_about_sessions() {
    let folder = Folder::new();
    let mut checked = 0;
    for shard in split(&folder, "session", CAPTURES[0]) {
        let report = json(&check(&["--fail-on", "never", &shard]));
        for rule in undecided(&report) {
            let rule = rules::find(rule).expect("a rule");
            assert_eq!(rule.scope(), Scope::Message, "{}", rule.id);
            checked += 1;
        }
    }
    assert!(checked > 10);
}

#[test]
fn a_shard_from_a_pipe_is_a_shard() {
    let folder = Folder::new();
    let shards = split(&folder, "flow", CAPTURES[0]);
    let bytes = std::fs::read(&shards[0]).expect("a shard");
    let piped = run_with_input(&["check", "--format", "json", "--allow-empty", "-"], &bytes);
    let report = json(&piped);
    assert_eq!(report["summary"]["part"], "shard-000 of 3", "{}", piped.err);
}

#[test]
fn connections_are_decided_by_their_shard() {
    let folder = Folder::new();
    let path = project("fixtures/violations");
    let names = std::fs::read_dir(path).expect("fixtures").flatten();
    let mut checked = 0;
    for entry in names {
        let path = entry.path();
        if path.extension().is_none_or(|it| it != "pcap") {
            continue;
        }
        let path = path.to_str().expect("UTF-8");
        let whole = json(&check(&["--fail-on", "never", path]));
        let shards_in = Folder::new();
        let shards = split(&shards_in, "flow", path);
        let mut all = BTreeSet::new();
        for shard in shards {
            all.extend(accusations(&json(&check(&["--fail-on", "never", &shard]))));
        }
        let (whole, of_connections) = (accusations(&whole), |what: &&String| {
            let rule = what.split('"').nth(1).and_then(rules::find);
            rule.is_some_and(|rule| rule.scope() == Scope::Connection)
        });
        let expected: BTreeSet<_> = whole.iter().filter(of_connections).collect();
        let found: BTreeSet<_> = all.iter().filter(of_connections).collect();
        assert_eq!(found, expected, "{path}");
        assert!(all.is_subset(&whole), "{path} {all:?} {whole:?}");
        checked += usize::from(!expected.is_empty());
    }
    drop(folder);
    assert!(checked > 5, "{checked}");
}

#[test]
fn a_file_of_facts_that_was_cut_is_noticed() {
    let folder = Folder::new();
    let whole = accusations(&json(&check(&["--fail-on", "never", CAPTURES[0]])));
    let mut facts = Vec::new();
    for (number, shard) in split(&folder, "flow", CAPTURES[0]).iter().enumerate() {
        let to = folder.name(&format!("{number}.facts"));
        let written = check(&["--fail-on", "never", "--facts-out", &to, shard]);
        assert!(!written.err.contains("cannot tell"), "{}", written.err);
        facts.push(to);
    }
    let all: Vec<&str> = facts.iter().map(String::as_str).collect();
    let merged = check(&[&["--fail-on", "never"], &all[..]].concat());
    assert_eq!(merged.code, Some(0), "{}", merged.err);
    for (number, path) in facts.iter().enumerate() {
        let bytes = std::fs::read(path).expect("facts");
        let header = bytes
            .iter()
            .position(|byte| *byte == b'\n')
            .expect("a line");
        for part in [0, 1, 3, 4] {
            let length = header + 1 + (bytes.len() - header - 2) * part / 4;
            folder.write(&format!("{number}.facts"), &bytes[..length]);
            let cut = check(&[&["--fail-on", "never"], &all[..]].concat());
            assert_eq!(cut.code, Some(2), "{part} {}", cut.err);
            assert!(cut.err.contains("cut off"), "{part} {}", cut.err);
            let report = json(&cut);
            assert_eq!(report["summary"]["complete"], false);
            assert!(accusations(&report).is_subset(&whole), "{part} {report}");
        }
        // The file of a damaged one is refused: what it says is not known.
        for at in (header..bytes.len()).step_by(bytes.len() / 16) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << (at % 8);
            folder.write(&format!("{number}.facts"), &damaged);
            let refused = check(&all);
            assert_eq!(refused.code, Some(2), "{at}: {}", refused.out);
            assert!(refused.err.contains("damaged"), "{at}: {}", refused.err);
        }
        folder.write(&format!("{number}.facts"), &bytes);
    }
}
