//! The same findings, however the conversation was carried and written down.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use mqttdump::frame::Direction::{Down, Up};
use mqttdump::rules::{Finding, Options, RULES, Verdict};

use crate::rules::{Dice, describe, judge, judge_files};
use crate::support::files::Format;
use crate::support::program::TempFile;
use crate::support::scene::{merged, wires};
use crate::support::stack::{Layer, Link, Stack};
use crate::support::wire::Wire;

/// Findings without packet numbers and times.
fn counted(findings: &[Finding]) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for found in findings {
        *counted
            .entry(format!(
                "{} {} {:?} {:?} {:?} {}",
                found.verdict.name(),
                found.rule.id,
                found.by,
                found.client_id,
                found.topic,
                // Measured times and sizes may differ.
                found.message.replace(|c: char| c.is_ascii_digit(), "9")
            ))
            .or_default() += found.count;
    }
    counted
}

fn conversations() -> impl Iterator<Item = (String, &'static str)> {
    RULES.iter().flat_map(|rule| {
        [("good", rule.examples.good), ("bad", rule.examples.bad)]
            .map(|(kind, text)| (format!("{}, the {kind} one", rule.id), text))
    })
}

fn every(wire: Wire, bytes: usize) -> Wire {
    [Up, Down].into_iter().fold(wire, |wire, way| {
        let offsets: Vec<usize> = (bytes..wire.streams[way as usize].len())
            .step_by(bytes)
            .collect();
        wire.split(way, &offsets)
    })
}

/// Where segments end does not matter.
#[test]
fn verdicts_are_the_same_for_every_split() {
    let mut wrong = String::new();
    for (name, text) in conversations() {
        let whole = judge(&merged(&wires(text), &Stack::default()), Options::default());
        for bytes in [1, 2, 3, 7, 50] {
            let parts: Vec<Wire> = wires(text).into_iter().map(|w| every(w, bytes)).collect();
            let split = judge(&merged(&parts, &Stack::default()), Options::default());
            if counted(&whole) != counted(&split) {
                let _ = writeln!(
                    wrong,
                    "{name}, {bytes} bytes a segment:\n{}instead of\n{}",
                    describe(&split),
                    describe(&whole)
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Neither do link types, tunnels, fragments and IP versions.
#[test]
fn verdicts_are_the_same_on_every_link() {
    let mut wrong = String::new();
    for (at, (name, text)) in conversations().enumerate() {
        let whole = judge(&merged(&wires(text), &Stack::default()), Options::default());
        let link = Link::ALL[at % Link::ALL.len()];
        for stack in [
            Stack::link(link),
            Stack::layers(&[Layer::Vxlan]),
            Stack {
                fragment: Some(16),
                ..Stack::default()
            },
        ] {
            let wires: Vec<Wire> = wires(text)
                .into_iter()
                .zip(40_000..)
                .map(|(wire, port)| match at % 2 {
                    0 => wire.between(&format!("[2001:db8::7]:{port}"), "[2001:db8::1]:1883"),
                    _ => wire,
                })
                .collect();
            let other = judge(&merged(&wires, &stack), Options::default());
            if counted(&whole) != counted(&other) {
                let _ = writeln!(
                    wrong,
                    "{name}, {stack:?}:\n{}instead of\n{}",
                    describe(&other),
                    describe(&whole)
                );
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Neither do file formats.
#[test]
fn verdicts_are_the_same_in_every_file_format() {
    let mut wrong = String::new();
    for (at, (name, text)) in conversations().enumerate() {
        let packets = merged(&wires(text), &Stack::default());
        let whole = judge(&packets, Options::default());
        let format = Format::ALL[at % Format::ALL.len()];
        let file = TempFile::new("verdicts", &format.write(&packets));
        let other = judge_files(&[file.path().into()], Options::default());
        if counted(&whole) != counted(&other) {
            let _ = writeln!(
                wrong,
                "{name}, {format:?}:\n{}instead of\n{}",
                describe(&other),
                describe(&whole)
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Another order of the packets, which keeps acknowledgements after the packets they
/// acknowledge, may hide what happened first. It accuses no other peer.
#[test]
fn verdicts_in_another_order_accuse_no_other_peer() {
    let key = |found: &Finding| (found.rule.id, found.by, found.client_id.clone());
    let mut wrong = String::new();
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    for (name, text) in conversations() {
        let whole = judge(&merged(&wires(text), &Stack::default()), Options::default());
        for _ in 0..20 {
            let choices: Vec<u8> = (0..60).map(|_| dice.roll(6) as u8).collect();
            let other: Vec<Wire> = wires(text)
                .into_iter()
                .map(|wire| wire.reorder(&choices))
                .collect();
            let other = judge(&merged(&other, &Stack::default()), Options::default());
            for found in &other {
                let known = whole
                    .iter()
                    .any(|w| key(w) == key(found) && w.verdict >= found.verdict);
                if found.verdict == Verdict::Violation && !known {
                    let _ = writeln!(
                        wrong,
                        "{name}, in the order {choices:?}:\n{}instead of\n{}",
                        describe(&other),
                        describe(&whole)
                    );
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", &wrong[..wrong.len().min(8000)]);
}
