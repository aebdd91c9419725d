//! Captures with known verdicts: faults that must be named, and conversations
//! in which nothing is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mqttdump::event::Side;
use mqttdump::facts::Endpoint;
use mqttdump::rules::{Finding, Options, Verdict};

use crate::rules::{describe, is_fin, judge, judge_files, walk};
use crate::support::program::{project, run};
use crate::support::scene::{merged, scene, wires};
use crate::support::stack::{OwnedPacket, Stack};

/// A row of `cases.csv`.
#[derive(serde::Deserialize)]
struct Case {
    file: String,
    must_name: String,
    may_name: String,
    what: String,
}

/// Rules or statements, and the side to which they apply.
pub(crate) struct Names<'a> {
    names: Vec<&'a str>,
    by: Option<&'a str>,
}

impl<'a> Names<'a> {
    /// Blanks and commas separate alternatives; `by` restricts the side.
    pub(crate) fn parse(text: &'a str) -> Self {
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

    pub(crate) fn has(&self, finding: &Finding) -> bool {
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
        return new.then(|| describe(&found));
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
    (!named || !only).then(|| describe(&found))
}

#[test]
fn cases_have_their_verdicts() {
    let path = project("fixtures/verdicts/cases.csv");
    let mut wrong = String::new();
    let mut rows = 0;
    let mut reader = csv::Reader::from_path(path).expect("cases.csv");
    for case in reader.deserialize::<Case>() {
        let case = case.expect("a row");
        rows += 1;
        if let Some(found) = failure(&case) {
            let _ = writeln!(
                wrong,
                "{}: {}\n  must {:?} may {:?}\n{found}",
                case.file, case.what, case.must_name, case.may_name
            );
        }
    }
    assert_eq!(rows, 168);
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// A row of `findings.csv`: a rule that is broken, by which side and on how many
/// connections.
#[derive(serde::Deserialize)]
struct Named {
    file: String,
    verdict: String,
    rule: String,
    by: String,
    connections: usize,
}

/// A line of `check --format ndjson`, if it is a finding.
#[derive(serde::Deserialize)]
struct Printed {
    verdict: String,
    rule: String,
    by: Option<String>,
    connection: Option<u64>,
}

/// Recordings of real brokers and clients: every violation and warning is listed with
/// the reason why it is true, and nothing else is found.
#[test]
fn real_sessions_get_only_true_verdicts() {
    let mut expected = BTreeMap::new();
    let mut reader = csv::Reader::from_path(project("fixtures/findings.csv")).expect("the list");
    for row in reader.deserialize::<Named>() {
        let row = row.expect("a row");
        let key = (row.file, row.verdict, row.rule, row.by);
        expected.insert(key, row.connections);
    }
    let (mut named, mut captures) = (BTreeMap::<_, BTreeSet<_>>::new(), 0);
    for folder in ["market", "sessions", "transport"] {
        for path in walk(&project("fixtures").join(folder)) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let file = format!("{folder}/{name}");
            let capture = format!("fixtures/{file}");
            let (stem, _) = capture.split_once(".pcap").expect("a capture");
            let keys = format!("{stem}.keys");
            let mut args = vec!["check", &capture, "--format", "ndjson"];
            if project(&keys).exists() {
                args.extend(["--tls-keylog", &keys]);
            }
            captures += 1;
            for line in run(&args).out.lines() {
                let Ok(found) = serde_json::from_str::<Printed>(line) else {
                    continue;
                };
                if ["violation", "warning"].contains(&&*found.verdict) {
                    let by = found.by.unwrap_or_default();
                    let key = (file.clone(), found.verdict, found.rule, by);
                    named.entry(key).or_default().insert(found.connection);
                }
            }
        }
    }
    assert!(captures > 150, "{captures}");
    let named: BTreeMap<_, _> = named.into_iter().map(|(key, on)| (key, on.len())).collect();
    assert_eq!(named, expected);
}

/// A will whose client comes back before the delay is over, and one whose delay
/// may have been over.
const WILLS: [(bool, &str); 3] = [
    (
        true,
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=w:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=100 will_topic=w will_payload=gone will.will_delay_interval=30
< CONNACK
! fin >
! fin <
! wait 5s
! connection 3
> CONNECT client=c version=5 clean=0 session_expiry_interval=100
< CONNACK session_present=1
! wait 1s
! connection 1
< PUBLISH topic=w payload=gone
> DISCONNECT",
    ),
    (
        false,
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=w:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=100 will_topic=w will_payload=gone will.will_delay_interval=3
< CONNACK
! fin >
! wait 3s
! fin <
! wait 2s
! connection 3
> CONNECT client=c version=5 clean=0 session_expiry_interval=100
< CONNACK session_present=1
! wait 40s
! connection 1
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    (
        false,
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=w:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=100 will_topic=w will_payload=gone will.will_delay_interval=1
< CONNACK
! fin >
! fin <
! wait 2s
! connection 1
< PUBLISH topic=w payload=gone
! wait 2s
! connection 3
> CONNECT client=c version=5 clean=0 session_expiry_interval=100
< CONNACK session_present=1",
    ),
];

/// The delay of a will begins when its connection ends: with a FIN, or with its
/// acknowledgement where the FIN was not captured (5.0: 3.1.3-9).
#[test]
fn the_delay_of_a_will_begins_with_the_end_of_its_connection() {
    for (wrong, text) in WILLS {
        let whole = scene(text);
        let mut lost = whole.clone();
        // Of the second connection the client's FIN, which comes first.
        let of_client =
            |packet: &OwnedPacket| is_fin(packet) && packet.data[36..38] == 1883_u16.to_be_bytes();
        lost.remove(whole.iter().position(of_client).expect("a FIN"));
        for packets in [whole, lost] {
            let found = judge(&packets, Options::default());
            let accused = found
                .iter()
                .filter(|finding| finding.verdict >= Verdict::Warning)
                .map(|finding| {
                    let clauses = finding.clauses.iter().map(|clause| clause.id);
                    (finding.rule.id, clauses.collect::<Vec<_>>())
                });
            let expected = match wrong {
                true => vec![("dropped-will", vec!["MQTT-3.1.3-9"])],
                false => Vec::new(),
            };
            assert_eq!(
                accused.collect::<Vec<_>>(),
                expected,
                "{}",
                describe(&found)
            );
        }
    }
}

/// A message of QoS 1 that was acknowledged and never delivered is named, however
/// the capture ends: an unknowable end is reported as unknown.
#[test]
fn a_message_that_never_comes_is_named() {
    let text = "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1";
    for (end, sure) in [
        ("", false),
        ("\n! connection 1\n> DISCONNECT", false),
        ("\n! connection 1\n! reset >", false),
        ("\n! connection 1\n! reset <", false),
        ("\n! connection 1\n! fin <", false),
        (
            "\n! connection 1\n! wait 40s\n> PINGREQ\n< PINGRESP\n> DISCONNECT",
            true,
        ),
    ] {
        for open in ["", "! open\n"] {
            let found = judge(&scene(&format!("{open}{text}{end}")), Options::default());
            let lost: Vec<_> = found
                .iter()
                .filter(|finding| finding.rule.id == "lost-delivery")
                .map(|finding| finding.verdict >= Verdict::Warning)
                .collect();
            assert_eq!(lost, [sure], "{open}{end}:\n{}", describe(&found));
        }
    }
}

/// Two listeners of one server are one server with `--same-server`, and two without.
#[test]
fn two_listeners_may_be_one_server() {
    let text = "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT";
    let mut both = wires(text);
    let publisher = both.pop().expect("a publisher");
    both.push(publisher.between("10.0.0.9:50000", "10.0.1.1:1884"));
    let packets = merged(&both, &Stack::default());
    let [listener, other] = [1883, 1884].map(|port| Endpoint {
        addr: [10, 0, 1, 1].into(),
        port,
    });
    for (same_server, expected) in [
        (Vec::new(), &[][..]),
        (vec![(other, listener)], &["lost-delivery"][..]),
    ] {
        let options = Options {
            same_server,
            ..Options::default()
        };
        let found = judge(&packets, options);
        let named: Vec<_> = found
            .iter()
            .filter(|finding| finding.verdict != Verdict::Note)
            .map(|finding| finding.rule.id)
            .collect();
        assert_eq!(named, expected, "{}", describe(&found));
    }
}
