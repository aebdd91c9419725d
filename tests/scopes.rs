//! Scopes of rules: a connection alone decides what is about connections, and only that.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mqttdump::engine::Config;
use mqttdump::facts::Facts;
use mqttdump::rules::{Finding, Judge, Options, Part, RULES, Reason, Rule, Scope, Verdict};

use crate::rules::{describe, judge};
use crate::support::scene::{merged, wires};
use crate::support::stack::{OwnedPacket, Stack};

/// Checks a shard.
fn judge_part(packets: &[OwnedPacket]) -> Vec<Finding> {
    let mut judge = Judge::new(Options::default());
    judge.only_part(Part {
        name: "shard-000 of 2".into(),
        keeps_sessions: false,
    });
    let mut facts = Facts::new(Config::default(), Options::default().facts(), &judge);
    for (number, packet) in (1..).zip(packets) {
        let captured = packet.captured(number);
        facts.push(&captured, &mut judge);
    }
    facts.finish(&mut judge);
    judge.take_finished()
}

/// How often each rule was broken, by whom, and how sure that is.
fn accusations(findings: &[Finding]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for found in findings.iter().filter(|it| it.verdict >= Verdict::Warning) {
        let what = format!("{} {:?} by {:?}", found.rule.id, found.verdict, found.by);
        *all.entry(what).or_default() += 1;
    }
    all
}

/// The good and the bad conversation of a rule, if they have several connections.
fn conversations(rule: &Rule) -> impl Iterator<Item = &'static str> + use<> {
    let texts = [rule.examples.good, rule.examples.bad];
    texts.into_iter().filter(|text| wires(text).len() > 1)
}

#[test]
fn a_connection_alone_decides_rules_about_connections() {
    let (mut wrong, mut conversations_read) = (String::new(), 0);
    for text in RULES.iter().flat_map(|rule| conversations(rule)) {
        conversations_read += 1;
        let wires = wires(text);
        let of_connections = |mut findings: Vec<Finding>| {
            findings.retain(|found| found.rule.scope() == Scope::Connection);
            findings
        };
        let whole = judge(&merged(&wires, &Stack::default()), Options::default());
        let whole = of_connections(whole);
        let alone = wires.chunks(1).flat_map(|wire| {
            of_connections(judge(&merged(wire, &Stack::default()), Options::default()))
        });
        let alone: Vec<Finding> = alone.collect();
        if accusations(&whole) != accusations(&alone) {
            let (whole, alone) = (describe(&whole), describe(&alone));
            let _ = writeln!(wrong, "{text}\ntogether:\n{whole}\nalone:\n{alone}");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(conversations_read > 30, "{conversations_read}");
}

#[test]
fn a_shard_accuses_of_nothing_that_others_could_explain() {
    for text in RULES.iter().flat_map(|rule| conversations(rule)) {
        let wires = wires(text);
        let whole = judge(&merged(&wires, &Stack::default()), Options::default());
        let whole = accusations(&whole);
        for wire in wires.chunks(1) {
            let found = judge_part(&merged(wire, &Stack::default()));
            let mut list = accusations(&found);
            list.retain(|what, _| !whole.contains_key(what));
            assert!(list.is_empty(), "{list:?}\n{text}\n{}", describe(&found));
        }
    }
}

#[test]
fn what_others_decide_is_inconclusive() {
    let packets = merged(&wires("> CONNECT client=a\n< CONNACK"), &Stack::default());
    let found = judge_part(&packets);
    let undecided = |rule: &&&Rule| {
        found.iter().any(|found| {
            found.rule.id == rule.id && found.verdict == Verdict::CannotTell(Reason::Shard)
        })
    };
    let version = mqttdump::mqtt::Version::V3_1_1;
    let wide = RULES
        .iter()
        .filter(|rule| rule.scope() != Scope::Connection && rule.applies_to(version));
    assert!(wide.clone().count() > 25);
    for rule in wide {
        assert!(undecided(&rule), "{}", rule.id);
    }
}
