//! Captures with known verdicts: faults that must be named, and conversations
//! in which nothing is wrong.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use mqttdump::event::Side;
use mqttdump::rules::{Finding, Options, Verdict};

use crate::rules::{describe, judge, judge_files};
use crate::support::program::project;
use crate::support::scene::scene;

/// Rows that fail. The list only shrinks: a row that passes must leave it.
const KNOWN_FAILURES: &[&str] = &["skew/r8-mosquitto-mqttjs5ws0.002.pcap"];

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

/// A conversation in the notation of `docs/transcripts.md`, and the rules or
/// statements that must be named as a violation or a warning; with none, nothing
/// may be.
struct Kind {
    what: &'static str,
    must_name: &'static str,
    complete: bool,
    text: &'static str,
}

const fn right(what: &'static str, text: &'static str) -> Kind {
    wrong(what, "", text)
}

const fn wrong(what: &'static str, must_name: &'static str, text: &'static str) -> Kind {
    Kind {
        what,
        must_name,
        complete: false,
        text,
    }
}

impl Kind {
    const fn complete(self) -> Self {
        Self {
            complete: true,
            ..self
        }
    }
}

const KINDS: &[Kind] = &[
    right(
        "a first copy may be lost before the tap, so that only the one with DUP is there",
        "\
> CONNECT client=c clean=1 version=5 session_expiry_interval=100
< CONNACK
! reset <
! connection 2
> CONNECT client=c clean=0 version=5 session_expiry_interval=100
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1",
    )
    .complete(),
    right(
        "whether a session of expiry 0 goes on in the connection that takes it over is not said",
        "\
> CONNECT client=c version=5 clean=1
< CONNACK
! connection 2
> CONNECT client=c version=5 clean=0
< CONNACK session_present=1
! connection 1
< DISCONNECT code=0x8e
! fin <
! fin >",
    )
    .complete(),
    right(
        "retained messages expire",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1 message_expiry_interval=1
< PUBACK id=1
! wait 5s
! connection 2
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a retained message of QoS 0 may be dropped at any time",
        "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1
! wait 1s
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a refused PUBLISH is not retained",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1 code=0x87
! wait 1s
! connection 2
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "two groups share a filter, and each member gets a copy",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/a/t:1
< SUBACK id=1 codes=1
> SUBSCRIBE id=2 filter=$share/b/t:1
< SUBACK id=2 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
< PUBLISH topic=t payload=x qos=1 id=2
> PUBACK id=1
> PUBACK id=2",
    ),
    right(
        "unsubscribing the share leaves the plain subscription",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t:1 filter=$share/a/t:1
< SUBACK id=1 codes=1,1
> UNSUBSCRIBE id=2 filter=$share/a/t
< UNSUBACK id=2 codes=0
! wait 10s
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    right(
        "servers share subscriptions in 3.1.1 as well",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=$share/a/t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    right(
        "UNSUBSCRIBE drops what waits",
        "\
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
> UNSUBSCRIBE id=2 filter=t
< UNSUBACK id=2
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    wrong(
        "a message that came before an older one of its topic and QoS, which never comes",
        "lost-delivery",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t payload=y qos=1 id=2
< PUBACK id=2
! connection 1
< PUBLISH topic=t payload=y qos=1 id=1
> PUBACK id=1
> DISCONNECT",
    ),
    wrong(
        "what was published while the client was away is lost, and what came later is not",
        "3.1.2-5",
        "\
> CONNECT client=s clean=0
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t payload=y qos=1 id=2
< PUBACK id=2
! connection 3
> CONNECT client=s clean=0
< CONNACK session_present=1
< PUBLISH topic=t payload=y qos=1 id=1
> PUBACK id=1
> DISCONNECT",
    ),
    wrong(
        "an identifier of an earlier SUBSCRIBE",
        "3.3.4-3",
        "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=a/+:0 subscription_identifier=4
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=a/b payload=x
! connection 1
< PUBLISH topic=a/b payload=x subscription_identifier=3",
    ),
    right(
        "no identifier after subscribing again without one",
        "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=a/+:0
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=a/b payload=x
! connection 1
< PUBLISH topic=a/b payload=x",
    ),
    wrong(
        "one copy with one of two identifiers",
        "3.3.4-4",
        "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=a/b:0 subscription_identifier=4
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=a/b payload=x
! connection 1
< PUBLISH topic=a/b payload=x subscription_identifier=3
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    wrong(
        "a retained message of 5.0 with RETAIN 0",
        "retained-without-flag",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! wait 2s
! connection 2
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
    ),
    wrong(
        "a new message goes before one that was to be sent again, which never is",
        "missing-resend",
        "\
> CONNECT client=c clean=0
< CONNACK
< PUBLISH topic=a qos=1 id=1 payload=1
! reset >
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
< PUBLISH topic=a qos=1 id=2 payload=2
> PUBACK id=2
> DISCONNECT",
    ),
    wrong(
        "a session is resumed 10 s after it had expired",
        "session-present-impossible",
        "\
> CONNECT client=c version=5 session_expiry_interval=10
< CONNACK
> DISCONNECT
! fin >
! fin <
! wait 20s
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=10
< CONNACK session_present=1",
    ),
    right(
        "a level that no version has is for the server to refuse",
        "\
> CONNECT client=c level=6
< CONNACK code=1
! fin <",
    ),
    right(
        "a message may expire while its client is away",
        "\
> CONNECT client=c version=5 clean=0 session_expiry_interval=1000
< CONNACK
> SUBSCRIBE id=1 filter=a:1
< SUBACK id=1 codes=1
< PUBLISH topic=a qos=1 id=1 payload=1 message_expiry_interval=5
! reset >
! wait 30s
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=1000
< CONNACK session_present=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a PUBLISH that is itself a fault need not be acknowledged",
        "\
> CONNECT client=c version=5
< CONNACK maximum_qos=1
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
! fin <",
    ),
];

#[test]
fn kinds_have_their_verdicts() {
    let mut wrong = String::new();
    for kind in KINDS {
        let options = Options {
            complete: kind.complete,
            ..Options::default()
        };
        let found = judge(&scene(kind.text), options);
        let mut accused = found
            .iter()
            .filter(|finding| finding.verdict >= Verdict::Warning);
        let good = match kind.must_name {
            "" => accused.next().is_none(),
            names => accused.any(|finding| Names::parse(names).has(finding)),
        };
        if !good {
            let _ = writeln!(wrong, "{}:\n{}", kind.what, describe(&found));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
