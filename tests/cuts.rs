//! Captures that lack the same part of everything, on every carrier: snap lengths, one
//! direction, bursts of loss. What is missing makes no violation, and what is missing of
//! each connection no warning. Nor does a single packet that is missing or was captured
//! after the next one, an end that comes early, or one sender that was not captured.
//!
//! `MQTTDUMP_CUTS=1000` tries more bursts, all snap lengths, and every packet.

use std::fmt::Write as _;
use std::path::Path;

use mqttdump::engine::Config;
use mqttdump::event::Side;
use mqttdump::facts::{Endpoint, Fact, Facts, Needs, Options as Gather, Sink};
use mqttdump::rules::{Finding, Judge, Options, RULES, Verdict};

use crate::order::directions;
use crate::rules::{Dice, cuts, describe, packets_of, walk};
use crate::support::program::project;
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

/// Folders of recordings over all carriers, and of situations.
const FOLDERS: [&str; 8] = [
    "captures",
    "encapsulations",
    "market",
    "reading",
    "sessions",
    "third-party",
    "transport",
    "verdicts",
];

/// The violations and warnings in these packets, with the keys of their TLS connections.
fn accusations(packets: &[OwnedPacket], keys: &[u8]) -> Vec<Finding> {
    let options = Options::default();
    let gather = options.facts();
    let mut judge = Judge::new(options);
    let config = Config {
        expects_keys: !keys.is_empty(),
        ..Config::default()
    };
    let mut facts = Facts::new(config, gather, &judge);
    facts.secrets(keys);
    for (number, packet) in (1..).zip(packets) {
        let captured = packet.captured(number);
        facts.push(&captured, &mut judge);
    }
    facts.finish(&mut judge);
    let mut found = judge.take_finished();
    found.retain(|found| found.verdict >= Verdict::Warning);
    found
}

/// Runs of packets that are lost together, in one place or in several.
fn without_bursts(packets: &[OwnedPacket], dice: &mut Dice) -> (Vec<OwnedPacket>, String) {
    let count = packets.len() as u64;
    let bursts: Vec<_> = (0..=dice.roll(4))
        .map(|_| {
            let from = dice.roll(count);
            from..from + 1 + dice.roll(count / 4 + 2)
        })
        .collect();
    let lost = |at: u64| bursts.iter().any(|burst| burst.contains(&at));
    let kept = (0..).zip(packets).filter(|(at, _)| !lost(*at));
    let kept = kept.map(|(_, packet)| packet.clone()).collect();
    (kept, format!("without packets {bursts:?}, counted from 0"))
}

/// All cuts of a capture, and what they accuse sides of that the whole capture does not.
/// Warnings rest on other connections, too: runs of lost packets may have those.
fn cut(file: &Path, most: usize, wrong: &mut String) -> usize {
    let packets = packets_of(file);
    if packets.len() < 2 || packets.len() > most {
        return 0;
    }
    let name = file.display().to_string();
    let stem = name.split(".pcap").next().unwrap_or(&name);
    let keys = std::fs::read(format!("{stem}.keys")).unwrap_or_default();
    let whole = accusations(&packets, &keys);
    let known = |found: &Finding| {
        let same = |other: &&Finding| other.rule.id == found.rule.id && other.by == found.by;
        whole.iter().any(|other| same(&other))
    };
    let mut times = 0;
    let mut try_it = |some: &[OwnedPacket], least: Verdict, what: &str| {
        times += 1;
        for found in accusations(some, &keys) {
            if found.verdict >= least && !known(&found) && wrong.len() < 20_000 {
                let _ = writeln!(wrong, "{name}, {what}:\n{}", describe(&[found]));
            }
        }
    };
    let step = if cuts() >= 1000 { 1 } else { 8 };
    for snap in (60..=200).step_by(step) {
        let clipped = packets.iter().map(|packet| packet.clone().cut(snap));
        let clipped: Vec<_> = clipped.collect();
        try_it(&clipped, Verdict::Warning, &format!("snap length {snap}"));
    }
    let directions = directions(&packets);
    for (up, side) in [(true, Side::Client), (false, Side::Server)] {
        let of = packets.iter().zip(&directions);
        let of = of.filter(|(_, direction)| direction.is_none_or(|it| it == up));
        let of: Vec<_> = of.map(|(packet, _)| packet.clone()).collect();
        let what = format!("only packets of the {}", side.name());
        try_it(&of, Verdict::Warning, &what);
    }
    let mut dice = Dice(0x6a09_e667_f3bc_c908 ^ packets.len() as u64);
    for _ in 0..cuts() / 4 {
        let (some, what) = without_bursts(&packets, &mut dice);
        try_it(&some, Verdict::Violation, &what);
        // A small snap length on top.
        if dice.roll(4) == 0 {
            let snap = 60 + dice.roll(141) as usize;
            let clipped = some.iter().map(|packet| packet.clone().cut(snap));
            let clipped: Vec<_> = clipped.collect();
            try_it(
                &clipped,
                Verdict::Violation,
                &format!("{what}, snap length {snap}"),
            );
        }
    }
    times
}

/// Which packets each endpoint sent: `None` without a TCP segment.
#[derive(Default)]
struct Senders(Vec<Option<Endpoint>>);

impl Sink for Senders {
    fn needs(&self) -> Needs {
        Needs::PACKETS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        if let Fact::Packet(captured) = fact {
            let at = captured.packet.number as usize - 1;
            self.0.resize(self.0.len().max(at + 1), None);
            self.0[at] = captured.segment.as_ref().map(|segment| segment.src);
        }
    }
}

fn senders(packets: &[OwnedPacket]) -> Vec<Option<Endpoint>> {
    let mut senders = Senders::default();
    let mut facts = Facts::new(Config::default(), Gather::default(), &senders);
    for (number, packet) in (1..).zip(packets) {
        facts.push(&packet.captured(number), &mut senders);
    }
    facts.finish(&mut senders);
    senders.0.resize(packets.len(), None);
    senders.0
}

/// One thing that goes wrong with a capture, and what: a packet that is missing, a packet
/// that was captured after the next one, an early end, an endpoint that was not captured.
fn mishaps(packets: &[OwnedPacket]) -> impl Iterator<Item = (Vec<OwnedPacket>, String)> {
    let count = packets.len();
    let without = move |lost: usize| {
        let kept = (0..).zip(packets).filter(|(at, _)| *at != lost);
        let kept = kept.map(|(_, packet)| packet.clone()).collect();
        (kept, format!("without packet {}", lost + 1))
    };
    let exchanged = move |early: usize| {
        let mut packets = packets.to_vec();
        let times = [packets[early].time, packets[early + 1].time];
        packets.swap(early, early + 1);
        [packets[early].time, packets[early + 1].time] = times;
        (packets, format!("packet {} after the next one", early + 1))
    };
    // Queues and taps differ by milliseconds.
    let is_close = |early: &usize| packets[early + 1].time - packets[*early].time <= 10_000_000;
    let ends = move |end: usize| (packets[..end].to_vec(), format!("ends after packet {end}"));
    let senders = senders(packets);
    let mut ends_of = senders.clone();
    ends_of.sort_unstable();
    ends_of.dedup();
    let mute = ends_of.into_iter().flatten().map(move |mute| {
        let kept = packets.iter().zip(&senders);
        let kept = kept.filter(|(_, sender)| **sender != Some(mute));
        let kept = kept.map(|(packet, _)| packet.clone()).collect();
        (kept, format!("without packets from {mute}"))
    });
    // Of a long capture, some: others from each file.
    let some = move |turn: usize, all: std::ops::Range<usize>| {
        let step = (count / (cuts() / 2)).max(1);
        all.skip((count + turn) % step).step_by(step)
    };
    some(0, 0..count)
        .map(without)
        .chain(some(1, 0..count - 1).filter(is_close).map(exchanged))
        .chain(some(2, 1..count).map(ends))
        .chain(mute)
}

/// Rules that may find more in a capture that lacks a packet, and are right: without the
/// DISCONNECT of a server that closes, the client is seen to have been there, and silent.
/// And with a single connection a machine that slept is one that did not answer.
const NOT_WRONG: [(&str, &str); 3] = [
    ("client-silent", "keep-alive-ejabberd.pcap"),
    ("client-silent", "s33-mochi-208v5-control.pcap"),
    ("missing-pubrel", "suspend-resume.pcap"),
];

/// One mishap makes neither a violation nor a warning.
#[test]
fn one_mishap_accuses_nobody() {
    let (mut wrong, mut captures, mut times) = (String::new(), 0, 0);
    for folder in FOLDERS {
        let mut files = walk(&project("fixtures").join(folder));
        files.sort();
        for file in files {
            let packets = packets_of(&file);
            if packets.len() < 2 || packets.len() > 10 * cuts() {
                continue;
            }
            captures += 1;
            let name = file.display().to_string();
            let stem = name.split(".pcap").next().unwrap_or(&name);
            let keys = std::fs::read(format!("{stem}.keys")).unwrap_or_default();
            let whole = accusations(&packets, &keys);
            let known = |found: &Finding| {
                let same = |other: &Finding| (other.rule.id, other.by) == (found.rule.id, found.by);
                let right =
                    |(rule, file): &(&str, &str)| *rule == found.rule.id && name.ends_with(file);
                whole.iter().any(same) || NOT_WRONG.iter().any(right)
            };
            for (some, what) in mishaps(&packets) {
                times += 1;
                for found in accusations(&some, &keys) {
                    if !known(&found) && wrong.len() < 20_000 {
                        let _ = writeln!(wrong, "{name}, {what}:\n{}", describe(&[found]));
                    }
                }
            }
        }
    }
    println!("{times} mishaps of {captures} captures");
    assert!(captures > 300, "{captures}");
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// What one mishap may hide, as small as it gets.
const HIDDEN: [(&str, &str); 4] = [
    (
        "one of equal messages, whose delivery looks like a second one of another",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=on qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=on qos=1 id=1
> PUBACK id=1
! connection 2
> PUBLISH topic=t payload=on qos=1 id=2
< PUBACK id=2
! connection 1
< PUBLISH topic=t payload=on qos=1 id=2
> PUBACK id=2
! connection 2
> PUBLISH topic=t payload=on
! connection 1
< PUBLISH topic=t payload=on
> DISCONNECT
! connection 2
> DISCONNECT",
    ),
    (
        "the CONNECT with Clean Session 1 that ended the session",
        "\
> CONNECT client=c clean=0
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 3
> CONNECT client=c clean=0
< CONNACK session_present=0
> DISCONNECT",
    ),
    (
        "the message that cleared a topic",
        "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=on retain=1 qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t retain=1 qos=1 id=2
< PUBACK id=2
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT
! connection 1
> DISCONNECT",
    ),
    (
        "the answer, or the reset, after which none came",
        "\
> CONNECT client=c
< CONNACK
> PINGREQ
! wait 2s
! fin >
! reset <",
    ),
];

#[test]
fn one_mishap_hides_what_makes_it_right() {
    let mut wrong = String::new();
    for (what, text) in HIDDEN {
        let packets = scene(text);
        let whole = accusations(&packets, b"");
        assert!(whole.is_empty(), "{what}:\n{}", describe(&whole));
        for (some, how) in mishaps(&packets) {
            let found = accusations(&some, b"");
            if !found.is_empty() {
                let _ = writeln!(wrong, "{what}, {how}:\n{}", describe(&found));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Every snap length with which a packet of the conversation is clipped.
#[test]
fn snap_lengths_of_conversations_make_no_violation() {
    let (mut wrong, mut times) = (String::new(), 0);
    for rule in RULES.iter() {
        for text in [rule.examples.good, rule.examples.bad] {
            let packets = scene(text);
            let whole = accusations(&packets, b"");
            let longest = packets.iter().map(|packet| packet.data.len()).max();
            for snap in 54..longest.unwrap_or(0).min(300) {
                let clipped: Vec<_> = packets.iter().map(|it| it.clone().cut(snap)).collect();
                times += 1;
                for found in accusations(&clipped, b"") {
                    let same =
                        |other: &&Finding| (other.rule.id, other.by) == (found.rule.id, found.by);
                    if !whole.iter().any(|other| same(&other)) {
                        let what = describe(&[found]);
                        let _ = writeln!(wrong, "{}, snap length {snap}:\n{text}\n{what}", rule.id);
                    }
                }
            }
        }
    }
    println!("{times} snap lengths");
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn cuts_on_every_carrier_make_no_violation() {
    let (mut wrong, mut captures, mut times) = (String::new(), 0, 0);
    // A second of work for each capture is too much.
    let most = 20 * cuts();
    for folder in FOLDERS {
        let mut files = walk(&project("fixtures").join(folder));
        files.sort();
        for file in files {
            let done = cut(&file, most, &mut wrong);
            captures += usize::from(done > 0);
            times += done;
        }
    }
    println!("{times} cuts of {captures} captures");
    assert!(captures > 300, "{captures}");
    assert!(wrong.is_empty(), "\n{wrong}");
}
