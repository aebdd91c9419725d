//! Captures with known verdicts: faults that must be named, and conversations
//! in which nothing is wrong.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use mqttdump::event::Side;
use mqttdump::rules::{Finding, Options, Verdict};

use crate::rules::{judge_files, told};
use crate::support::program::project;

/// Rows that fail. The list only shrinks: a row that passes must leave it.
const KNOWN_FAILURES: &[&str] = &[
    "reports/c15-hivemq-dotnet-182-fault.pcap",
    "reports/s01-aedes-601-control.pcap",
    "reports/s06-vernemq-2553-fault.pcap",
    "reports/s06-vernemq-2553-control.pcap",
    "reports/s07-rmqtt-456-fault.pcap",
    "reports/s10-mosquitto-3588-fault.pcap",
    "reports/s10-mosquitto-3588-control.pcap",
    "reports/s23-mqttnet-1437-control.pcap",
    "reports/s44-mosquitto-665-control.pcap",
    "reports/s53-mosquitto-3319-fault.pcap",
    "reports/s54-emqx-881-fault.pcap",
    "legal/dup-before-connack-sp0.pcap",
    "legal/311-resend-after-sp0.pcap",
    "legal/pipelined-over-limits-v5.pcap",
    "legal/upgrade-qos-before-suback.pcap",
    "legal/shared-and-plain-same-filter.pcap",
    "legal/unsuback-refused.pcap",
    "legal/after-unsuback-buffered.pcap",
    "legal/retain-unsupported.pcap",
    "legal/will-disconnect-0x80.pcap",
    "legal/will-disconnect-0x93.pcap",
    "legal/uncaptured-publisher-same.pcap",
    "legal/server-closes-over-fault.pcap",
    "legal/server-disconnects-0x93.pcap",
    "legal/azure-closes-qos2.pcap",
    "legal2/client-fault-two-subs-same-id.pcap",
    "legal2/client-fault-sub-unsub-same-id.pcap",
    "legal2/client-fault-qos1-qos2-same-id.pcap",
    "legal2/server-fault-client-answers.pcap",
    "legal2/clockstep-disconnect.pcap",
    "legal2/clockstep-refused.pcap",
    "legal2/v5-server-disconnect-codes.pcap",
    "legal3/username-is-a-token.pcap",
    "skew/r8-mosquitto-mqttjs5ws0.002.pcap",
];

/// A row of `cases.csv`.
#[derive(serde::Deserialize)]
struct Case {
    file: String,
    must_name: String,
    may_name: String,
    what: String,
}

/// Rules or statements, and the side to which they apply.
struct Names<'a> {
    names: Vec<&'a str>,
    by: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// Blanks and commas separate alternatives; `by` restricts the side.
    fn parse(text: &'a str) -> Self {
        let mut words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let mut names = Vec::new();
        let mut by = None;
        while let Some(word) = words.next() {
            match word {
                "by" => by = Some(words.next().expect("a side after `by`")),
                name => names.push(name),
            }
        }
        Self { names, by }
    }

    fn has(&self, finding: &Finding) -> bool {
        let side = self
            .by
            .is_none_or(|by| finding.by.is_some_and(|side: Side| side.name() == by));
        let named = |name: &&str| {
            *name == "*"
                || finding.rule.id == *name
                || finding
                    .clauses
                    .iter()
                    .any(|clause| clause.id.trim_start_matches("MQTT-") == *name)
        };
        side && self.names.iter().any(named)
    }
}

fn judged(file: &str) -> Vec<Finding> {
    let path = project("fixtures/verdicts").join(file);
    assert!(path.exists(), "{file} does not exist");
    judge_files(&[path], Options::default())
}

/// Why a row fails.
fn failure(case: &Case) -> Option<String> {
    let found = judged(&case.file);
    let accused: Vec<&Finding> = found
        .iter()
        .filter(|finding| finding.verdict >= Verdict::Warning)
        .collect();
    let (folder, name) = case.file.split_once('/').expect("a folder");
    if matches!(folder, "skew" | "swap" | "law") {
        let original = match folder {
            "skew" => {
                let end = name.rfind("0.00").expect("the shift in the name");
                judged(&format!("real/{}.pcap", name[..end].trim_end_matches('-')))
            }
            _ => Vec::new(),
        };
        let new = accused.iter().any(|finding| {
            finding.verdict == Verdict::Violation
                && !original.iter().any(|other| {
                    other.rule.id == finding.rule.id
                        && other.by == finding.by
                        && other.verdict == Verdict::Violation
                })
        });
        return new.then(|| told(&found));
    }
    let must: Vec<Names<'_>> = case
        .must_name
        .split(" AND ")
        .filter(|group| !group.is_empty())
        .map(Names::parse)
        .collect();
    let may: Vec<Names<'_>> = case.may_name.split(", ").map(Names::parse).collect();
    let named = must
        .iter()
        .all(|group| accused.iter().any(|finding| group.has(finding)));
    let only = accused.iter().all(|finding| {
        let allowed = |names: &Names<'_>| names.has(finding);
        must.iter().any(allowed) || may.iter().any(allowed)
    });
    (!named || !only).then(|| told(&found))
}

#[test]
fn cases_have_their_verdicts() {
    let path = project("fixtures/verdicts/cases.csv");
    let mut failing = BTreeSet::new();
    let mut wrong = String::new();
    let mut rows = 0;
    let mut reader = csv::Reader::from_path(path).expect("cases.csv");
    for case in reader.deserialize::<Case>() {
        let case = case.expect("a row");
        rows += 1;
        if let Some(found) = failure(&case) {
            if !KNOWN_FAILURES.contains(&case.file.as_str()) {
                let _ = writeln!(
                    wrong,
                    "{}: {}\n  must {:?} may {:?}\n{found}",
                    case.file, case.what, case.must_name, case.may_name
                );
            }
            failing.insert(case.file);
        }
    }
    println!("{} of {rows} rows pass", rows - failing.len());
    for known in KNOWN_FAILURES {
        if !failing.contains(*known) {
            let _ = writeln!(wrong, "{known} passes: take it from the list");
        }
    }
    assert_eq!(rows, 168);
    assert!(wrong.is_empty(), "\n{wrong}");
}
