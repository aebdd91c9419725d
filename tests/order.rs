//! The order of capture decides nothing: two tap ports without a common clock, a
//! host with several queues and a clock that is set make no violation.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mqttdump::engine::Config;
use mqttdump::facts::{Fact, Facts, Needs, Options as Gather, Reason, Sink};
use mqttdump::frame::Direction::Down;
use mqttdump::packet::PacketRef;
use mqttdump::rules::{Finding, Options, RULES, Verdict};

use crate::rules::{Dice, cut_of, cuts, describe, judge, packets_of, walk};
use crate::support::program::project;
use crate::support::scene::{scene, scene_in};
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::{FIN, Wire};

/// Which direction each packet went: `None` without a TCP segment.
#[derive(Default)]
struct Directions(Vec<Option<bool>>);

impl Sink for Directions {
    fn needs(&self) -> Needs {
        Needs::PACKETS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        if let Fact::Packet(captured) = fact {
            let at = captured.packet.number as usize - 1;
            self.0.resize(self.0.len().max(at + 1), None);
            self.0[at] = captured.segment.as_ref().map(|segment| {
                let server = |port: u16| matches!(port, 1883 | 8883 | 80 | 443 | 18_800..=18_899);
                match (server(segment.src.port), server(segment.dst.port)) {
                    (true, false) => false,
                    (false, true) => true,
                    _ => segment.src.port > segment.dst.port,
                }
            });
        }
    }
}

pub(crate) fn directions(packets: &[OwnedPacket]) -> Vec<Option<bool>> {
    let mut directions = Directions::default();
    let mut facts = Facts::new(Config::default(), Gather::default(), &directions);
    for (number, packet) in (1..).zip(packets) {
        let captured = packet.captured(number);
        facts.push(&captured, &mut directions);
    }
    facts.finish(&mut directions);
    directions.0.resize(packets.len(), None);
    directions.0
}

const MILLISECOND: i64 = 1_000_000;
const SECOND: i64 = 1_000 * MILLISECOND;

/// The packets as another tap, host or clock shows them; and the changes made.
fn disorder(
    packets: &[OwnedPacket],
    directions: &[Option<bool>],
    dice: &mut Dice,
) -> (Vec<OwnedPacket>, String) {
    let mut packets = packets.to_vec();
    match dice.roll(3) {
        0 => {
            let up = dice.roll(2) == 0;
            let by = dice.roll(10 * MILLISECOND as u64 + 1) as i64;
            let shifted = packets.iter_mut().zip(directions);
            for (packet, _) in shifted.filter(|(_, direction)| **direction == Some(up)) {
                packet.time += by;
            }
            packets.sort_by_key(|packet| packet.time);
            (packets, format!("up: {up} shifted by {by} ns"))
        }
        1 => {
            let crossing: Vec<usize> = (1..packets.len())
                .filter(
                    |&i| matches!((directions[i - 1], directions[i]), (Some(a), Some(b)) if a != b),
                )
                .collect();
            let mut exchanged = Vec::new();
            for &i in &crossing {
                let apart = exchanged.last().is_none_or(|last| last + 1 < i);
                if apart && dice.roll(4) == 0 {
                    let (early, late) = (packets[i - 1].time, packets[i].time);
                    packets.swap(i - 1, i);
                    (packets[i - 1].time, packets[i].time) = (early, late);
                    exchanged.push(i);
                }
            }
            (packets, format!("exchanged before {exchanged:?}"))
        }
        _ => clock_set(&packets, dice),
    }
}

/// Rules about the Keep Alive, which depend on time alone.
const KEEP_ALIVE: [&str; 3] = ["client-silent", "dead-client-kept", "dropped-early"];

/// The packets, and another client whose connection is open as long: what happens to the
/// clock happens to both.
fn witnessed(packets: &[OwnedPacket]) -> Vec<OwnedPacket> {
    let witness = "> CONNECT client=the-witness clean=1 keep_alive=0\n< CONNACK\n> DISCONNECT\n! fin >\n! fin <";
    let witness = Wire::without_pure_acks(&Conversation::new(witness))
        .between("10.0.99.7:49999", "10.0.99.1:1883");
    let mut witness = witness.packets(&Stack::default());
    let goodbye = witness.len() - 3;
    let times = || packets.iter().map(|packet| packet.time);
    let (first, last) = (times().min().unwrap_or(0), times().max().unwrap_or(0));
    for (at, packet) in (0..).zip(&mut witness) {
        packet.time = match (at as usize) < goodbye {
            true => first - 100 * MILLISECOND + at * MILLISECOND,
            false => last + at * MILLISECOND,
        };
    }
    let leaves = witness.split_off(goodbye);
    [witness, packets.to_vec(), leaves].concat()
}

/// A clock that is set while two connections are open makes no client silent, and no
/// server impatient.
fn clock_accuses_no_peer(name: &str, packets: &[OwnedPacket], times: usize, wrong: &mut String) {
    let accused = |packets: &[OwnedPacket]| -> Vec<Finding> {
        let mut found = judge(packets, Options::default());
        found.retain(|found| {
            KEEP_ALIVE.contains(&found.rule.id) && found.verdict >= Verdict::Warning
        });
        found
    };
    let whole = accused(packets);
    let packets = witnessed(packets);
    let mut dice = Dice(0x2545_f491_4f6c_dd1d ^ packets.len() as u64);
    for _ in 0..times {
        let (stepped, what) = clock_set(&packets, &mut dice);
        // A clock set back during a longer pause leaves a shorter pause.
        let at = (1..packets.len()).find(|&at| stepped[at].time != packets[at].time);
        let is_hidden = at.is_some_and(|at| {
            stepped[at].time < packets[at].time && stepped[at].time + SECOND >= stepped[at - 1].time
        });
        if is_hidden {
            continue;
        }
        for found in accused(&stepped) {
            if is_real(&found, &packets) {
                continue;
            }
            let known = whole
                .iter()
                .any(|known| known.rule.id == found.rule.id && known.client_id == found.client_id);
            if !known && wrong.len() < 20_000 {
                let _ = writeln!(wrong, "{name}, {what}:\n{}", describe(&[found]));
            }
        }
    }
}

/// Whether the silence of a finding is too long by the clock that was not set, too.
fn is_real(found: &Finding, packets: &[OwnedPacket]) -> bool {
    let time = |packet: &PacketRef| packets[packet.number as usize - 1].time;
    let limit = ["Keep Alive of ", "to close after "]
        .iter()
        .find_map(|before| {
            let (_, after) = found.message.split_once(before)?;
            after.split(' ').next()?.parse::<i64>().ok()
        });
    let silent = match found.packets.as_slice() {
        [since, .., until] => time(until) - time(since),
        _ => 0,
    };
    limit.is_some_and(|limit| silent > limit * SECOND)
}

/// The packets as a host captures them whose clock is set once.
fn clock_set(packets: &[OwnedPacket], dice: &mut Dice) -> (Vec<OwnedPacket>, String) {
    let mut packets = packets.to_vec();
    let from = dice.roll(packets.len() as u64) as usize;
    let most = [10, 600, 7200][dice.roll(3) as usize];
    let step = 1 + dice.roll(most) as i64;
    let step = step * SECOND * [1, -1][dice.roll(2) as usize];
    packets[from..]
        .iter_mut()
        .for_each(|packet| packet.time += step);
    let what = format!("clock stepped by {step} ns from {}", from + 1);
    (packets, what)
}

/// Disorder, and disorder with losses, accuses no peer.
fn accuses_no_peer(name: &str, packets: &[OwnedPacket], times: usize, wrong: &mut String) {
    let violations = |packets: &[OwnedPacket]| -> Vec<Finding> {
        let mut found = judge(packets, Options::default());
        found.retain(|found| found.verdict == Verdict::Violation);
        found
    };
    let whole = violations(packets);
    let directions = directions(packets);
    let mut dice = Dice(0x5851_f42d_4c95_7f2d ^ packets.len() as u64);
    for _ in 0..times {
        let (mut other, mut what) = disorder(packets, &directions, &mut dice);
        if dice.roll(2) == 0 {
            let kept = cut_of(&other, &mut dice);
            what += &format!(", without {} packets", other.len() - kept.len());
            other = kept.iter().map(|i| other[*i].clone()).collect();
        }
        for found in violations(&other) {
            let known = whole
                .iter()
                .any(|known| known.rule.id == found.rule.id && known.by == found.by);
            if !known && wrong.len() < 20_000 {
                let _ = writeln!(wrong, "{name}, {what}:\n{}", describe(&[found]));
            }
        }
    }
}

#[test]
fn order_of_capture_makes_no_violation() {
    let (mut wrong, mut captures) = (String::new(), 0);
    let mut files: Vec<PathBuf> = [
        "fixtures/captures",
        "fixtures/violations",
        "fixtures/verdicts",
    ]
    .iter()
    .flat_map(|folder| walk(&project(folder)))
    .collect();
    files.sort();
    let times = cuts() / 10;
    for file in files {
        let packets = packets_of(&file);
        // A second of work for each capture is too much.
        if packets.len() < 2 || packets.len() > 40 * cuts() {
            continue;
        }
        captures += 1;
        accuses_no_peer(&name(&file), &packets, times.max(1), &mut wrong);
        clock_accuses_no_peer(&name(&file), &packets, times.max(1), &mut wrong);
    }
    assert!(captures > 200, "{captures}");
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The rules about the Keep Alive by their own conversations: those without a fault, with a
/// clock set between any two packets.
#[test]
fn a_clock_that_is_set_silences_nobody() {
    let mut wrong = String::new();
    for rule in RULES.iter().filter(|rule| KEEP_ALIVE.contains(&rule.id)) {
        for version in ["3.1.1", "5"] {
            let Some(packets) = scene_in(version, rule.examples.good) else {
                continue;
            };
            clock_accuses_no_peer(rule.id, &packets, 3 * cuts(), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// With two connections, a client that is silent while the other goes on is named, and
/// one whose silence the whole capture shares is not.
#[test]
fn a_silence_that_all_connections_share_may_be_the_clock() {
    let of = |between: &str| {
        let text = format!(
            "> CONNECT client=a keep_alive=10\n< CONNACK\n! connection 2\n> CONNECT client=b keep_alive=0\n\
             < CONNACK\n{between}\n! connection 1\n> PINGREQ\n< PINGRESP"
        );
        let found = judge(&scene(&text), Options::default());
        let silent = found.iter().find(|found| found.rule.id == "client-silent");
        silent.map(|found| found.verdict)
    };
    assert_eq!(of("! wait 30s"), Some(Verdict::CannotTell(Reason::Clock)));
    assert_eq!(
        of("! wait 15s\n> PINGREQ\n< PINGRESP\n! wait 15s"),
        Some(Verdict::Warning)
    );
    assert_eq!(of("! wait 8s"), None);
}

/// All that was captured of the server is its FIN, and that before the SYN of the
/// client: what the server sent is unknown, and what the client answers may be right.
#[test]
fn a_server_of_which_only_the_fin_was_captured_may_have_sent_anything() {
    let conversation = Conversation::new(
        "> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:2
< SUBACK id=1 codes=2
< PUBLISH topic=a qos=1 id=3
> PUBACK id=3
< PUBLISH topic=a qos=2 id=4
> PUBREC id=4
< PUBREL id=4
> PUBCOMP id=4
> DISCONNECT
! fin >
! fin <",
    );
    let whole = Wire::without_pure_acks(&conversation);
    let mut only_fin = whole.lose(|_, segment| segment.way == Down && segment.flags & FIN == 0);
    let fin = only_fin.segments.iter().position(|s| s.way == Down);
    let mut fin = only_fin.segments.remove(fin.expect("the FIN"));
    fin.time = only_fin.segments[0].time - MILLISECOND;
    only_fin.segments.insert(0, fin);
    let found = judge(&only_fin.packets(&Stack::default()), Options::default());
    let violated = found
        .iter()
        .any(|found| found.verdict == Verdict::Violation);
    assert!(!violated, "\n{}", describe(&found));
    let unsure = found.iter().any(|found| found.rule.id == "unknown-ack");
    assert!(unsure, "\n{}", describe(&found));
}

fn name(file: &Path) -> String {
    file.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
