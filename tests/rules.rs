//! The rules: every one by its conversations, all of them on captures.

use std::fmt::Write as _;
use std::path::PathBuf;

use mqttdump::capture::{Capture, Item, Merge};
use mqttdump::engine::Config;
use mqttdump::facts::Facts;
use mqttdump::facts::Reason;
use mqttdump::packet::PacketRef;
use mqttdump::rules::{Binds, Check, Finding, Judge, Options, RULES, Rule, Verdict};
use mqttdump::time::Timestamp;

use crate::support::program::project;
use crate::support::scene::{scene, scene_in};
use crate::support::stack::OwnedPacket;

/// Judges packets.
pub(crate) fn judge(packets: &[OwnedPacket], options: Options) -> Vec<Finding> {
    judge_with(packets, options, None).take_finished()
}

fn judge_dropping(packets: &[OwnedPacket], dropped: Option<(usize, i64)>) -> Vec<Finding> {
    judge_with(packets, Options::default(), dropped).take_finished()
}

/// `dropped`: after how many packets it is reported, and until when packets may
/// have been dropped.
fn judge_with(packets: &[OwnedPacket], options: Options, dropped: Option<(usize, i64)>) -> Judge {
    judge_by(Config::default(), packets, options, dropped)
}

fn judge_by(
    config: Config,
    packets: &[OwnedPacket],
    options: Options,
    dropped: Option<(usize, i64)>,
) -> Judge {
    let gather = options.facts();
    let mut judge = Judge::new(options);
    let mut facts = Facts::new(config, gather, &judge);
    for (number, packet) in (1..).zip(packets) {
        let captured = packet.captured(number);
        if let Some((at, until)) = dropped
            && number as usize == at + 1
        {
            let until = Timestamp::from_nanos(until);
            facts.dropped(7, until, &mut judge);
        }
        facts.push(&captured, &mut judge);
    }
    facts.finish(&mut judge);
    judge
}

pub(crate) fn describe(findings: &[Finding]) -> String {
    let mut text = String::new();
    for found in findings {
        let clauses: Vec<_> = found
            .clauses
            .iter()
            .map(|c| found.rule.clause_name(c))
            .collect();
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
/// a gap before its last packet.
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
    for rule in RULES.iter().filter(|rule| !rule.examples.bad.is_empty()) {
        let good = judge(&scene(rule.examples.good), Options::default());
        // A rule for one side may answer a fault of the other.
        let within = |found: &Finding| {
            let answers = matches!(rule.check, Check::StillOpen(_));
            found.rule.id == rule.id
                || !answers
                    && found.by.is_none_or(|side| match rule.binds {
                        Binds::Both => true,
                        binds => binds.name() == side.name(),
                    })
        };
        if good.iter().any(|found| accuses(found) && within(found)) {
            let _ = writeln!(wrong, "{}: the good one:\n{}", rule.id, describe(&good));
        }
        let bad = judge(&scene(rule.examples.bad), Options::default());
        let worst = bad
            .iter()
            .filter(|f| f.rule.id == rule.id)
            .map(|f| f.verdict)
            .max();
        if worst.is_none_or(|worst| matches!(worst, Verdict::CannotTell(_))) {
            let _ = writeln!(wrong, "{}: the bad one:\n{}", rule.id, describe(&bad));
        }
        let text = cut(rule);
        let undecided = judge(&scene(&text), Options::default());
        let own: Vec<_> = undecided.iter().filter(|f| f.rule.id == rule.id).collect();
        let doubted = own.iter().any(|f| f.verdict.reason().is_some());
        let proven = own.iter().any(|f| f.verdict == Verdict::Violation);
        if proven || !doubted && !rule.examples.cut.is_empty() {
            let _ = writeln!(wrong, "{}: the cut one:\n{}", rule.id, describe(&undecided));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Items of a security review are one note for a capture, however often.
#[test]
fn rules_of_security_give_one_note() {
    let one = "> CONNECT client=c user=u password=p\n< CONNACK\n> SUBSCRIBE id=1 filter=#:0\n< SUBACK id=1 codes=0";
    let packets = scene(&format!(
        "{one}\n! connection 2\n{}\n! connection 3\n> CONNECT client=e\n< CONNACK",
        one.replace("client=c", "client=d")
    ));
    let found = judge(&packets, Options::default());
    let named: Vec<_> = found
        .iter()
        .map(|f| (f.rule.id, f.verdict, f.count, f.connection))
        .collect();
    assert_eq!(
        named,
        [
            ("clear-text-password", Verdict::Note, 2, None),
            ("subscribes-to-everything", Verdict::Note, 2, None),
            ("anonymous-client", Verdict::Note, 1, None),
        ]
    );
    // One identifier from two addresses.
    let path = project("fixtures/sessions/taken-over-mosquitto.pcap");
    let found = judge_files(&[path], Options::default());
    let moves: Vec<_> = found
        .iter()
        .filter(|f| f.rule.id == "client-id-moves")
        .collect();
    assert_eq!(moves.len(), 1, "{}", describe(&found));
    assert!(
        moves[0]
            .message
            .contains("127.0.0.1, as before, found it from 127.0.0.2")
    );
}

/// Where the capture reports dropped packets, absence proves nothing: of the
/// conversations that break a rule, no peer is accused of more, and of a missing
/// answer not at all.
#[test]
fn drops_leave_doubt() {
    let mut wrong = String::new();
    let mut doubted = 0;
    for rule in RULES.iter().filter(|rule| !rule.clauses.is_empty()) {
        let packets = scene(rule.examples.bad);
        let whole = judge(&packets, Options::default());
        for at in 0..packets.len() {
            // Reported for packets before this one; and of a full ring, when all that
            // comes may be older than the missing packets.
            let before = judge_dropping(&packets, Some((at, packets[at].time)));
            let full = judge_dropping(&packets, Some((at, i64::MAX)));
            for found in &before {
                let known = whole
                    .iter()
                    .any(|w| w.rule.id == found.rule.id && w.verdict >= found.verdict);
                if accuses(found) && !known {
                    let _ = writeln!(wrong, "{}, at {at}: {}", rule.id, describe(&before));
                }
            }
            // The last packets are those of TCP's orderly end, which proves that
            // nothing is missing.
            let open = at + 4 < packets.len();
            for found in &full {
                let known = whole
                    .iter()
                    .any(|w| w.rule.id == found.rule.id && w.verdict >= found.verdict);
                let absent = matches!(found.rule.check, Check::Overdue(_)) && open;
                doubted += u64::from(found.verdict.reason() == Some(Reason::Dropped));
                if accuses(found) && (absent || !known) {
                    let _ = writeln!(wrong, "{}, full at {at}: {}", rule.id, describe(&full));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(doubted > 1000, "only {doubted} findings doubted");
}

/// Judges the parts of a capture in files.
pub(crate) fn judge_files(parts: &[PathBuf], options: Options) -> Vec<Finding> {
    let captures = (0..)
        .zip(parts)
        .filter_map(|(file, path)| Capture::open(path, file).ok())
        .collect();
    let mut merge = Merge::new(captures);
    let gather = options.facts();
    let mut judge = Judge::new(options);
    let mut facts = Facts::new(Config::default(), gather, &judge);
    loop {
        match merge.next() {
            Ok(Some(Item::Packet(packet))) => {
                facts.push(&packet.packet, &mut judge);
            }
            Ok(Some(_)) | Err(_) => {}
            Ok(None) => break,
        }
    }
    facts.finish(&mut judge);
    judge.take_finished()
}

/// How much of a payload is kept for display decides nothing.
#[test]
fn rules_compare_payloads_that_are_not_kept() {
    let payload = "x".repeat(9_000);
    for (other, rule) in [
        (&payload, "missing-dup"),
        (&payload.replace("xx", "xy"), "id-in-use"),
    ] {
        let text = format!(
            "! open\n> CONNECT client=c\n< CONNACK\n> PUBLISH topic=a qos=1 id=1 payload={payload}\n\
             > PUBLISH topic=a qos=1 id=1 payload={other}\n< PUBACK id=1\n< PUBACK id=1\n! fin >"
        );
        for kept in [0, 4096, u32::MAX] {
            let config = Config {
                payload: kept,
                ..Config::default()
            };
            let found = judge_by(config, &scene(&text), Options::default(), None).take_finished();
            let accused = found.iter().filter(|found| accuses(found));
            let named: Vec<_> = accused.map(|f| (f.rule.id, f.verdict)).collect();
            assert_eq!(named, [(rule, Verdict::Violation)], "{kept} bytes kept");
        }
    }
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
            found
                .clauses
                .iter()
                .any(|c| found.rule.clause_name(c) == name)
        };
        if !found.iter().any(|found| accuses(found) && named(found)) {
            let _ = writeln!(
                wrong,
                "{} {} {}:\n{}",
                row["file"],
                row["statement"],
                row["injected_fault"],
                describe(&found)
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
            let _ = writeln!(wrong, "{name}:\n{}", describe(&found));
        }
    }
    assert_eq!(clean, 4);
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Prints the findings in the captures of the folders in MQTTDUMP_CAPTURES.
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
            println!("== {}\n{}", file.display(), describe(&found));
        }
    }
}

pub(crate) fn walk(folder: &std::path::Path) -> Vec<PathBuf> {
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

/// A stream of numbers that is the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Packets to keep, by one of the ways in which captures lose some.
pub(crate) fn cut_of(packets: &[OwnedPacket], dice: &mut Dice) -> Vec<usize> {
    let all = 0..packets.len();
    let count = packets.len() as u64;
    match dice.roll(7) {
        // One packet.
        0 => {
            let lost = dice.roll(count) as usize;
            all.filter(|i| *i != lost).collect()
        }
        // A few, a third, most.
        1 => all.filter(|_| dice.roll(20) != 0).collect(),
        2 => all.filter(|_| dice.roll(3) != 0).collect(),
        3 => all.filter(|_| dice.roll(3) == 0).collect(),
        // A period of time: a full disk, a late start, an early end.
        4 => {
            let (from, len) = (dice.roll(count), dice.roll(count));
            all.filter(|i| !(from..from + len).contains(&(*i as u64)))
                .collect()
        }
        // FINs: all, or those of one side.
        5 => {
            let which = dice.roll(3);
            all.filter(|i| {
                let packet = &packets[*i];
                let side = u64::from(packet.data.get(34..36) < packet.data.get(36..38));
                !is_fin(packet) || side == which
            })
            .collect()
        }
        // Whole connections, by the client's port.
        _ => {
            let salt = dice.roll(u64::MAX);
            all.filter(|i| {
                (ports(&packets[*i].data) ^ salt)
                    .count_ones()
                    .is_multiple_of(2)
            })
            .collect()
        }
    }
}

/// Connections over TCP alone give the rules of WebSocket nothing to check, and
/// a rule about one reason for closing does not apply to another.
#[test]
fn rules_with_nothing_to_judge() {
    let judged = |text: &str| -> Vec<&str> {
        let judge = judge_with(&scene(text), Options::default(), None);
        judge.judged().iter().map(|rule| rule.id).collect()
    };
    let of_websocket = |rules: &[&str]| {
        let names = ["websocket-", "subprotocol-"];
        let ours = |id: &&&str| names.iter().any(|name| id.starts_with(name));
        rules.iter().filter(ours).count()
    };
    let plain = "> CONNECT client=c\n< CONNACK\n> PINGREQ\n< PINGRESP";
    assert_eq!(of_websocket(&judged(plain)), 0);
    assert_eq!(of_websocket(&judged(&format!("! websocket\n{plain}"))), 3);

    let left_open = "> CONNECT client=c\n< CONNACK\n> DISCONNECT\n! wait 10s\n< PINGRESP\n! wait 10s\n< PINGRESP";
    let rules = judged(left_open);
    assert!(rules.contains(&"disconnect-then-close"), "{rules:?}");
    for other in ["refused-then-close", "takeover", "websocket-text-accepted"] {
        assert!(!rules.contains(&other), "{other}: {rules:?}");
    }
}

/// Whether a packet has a FIN, in Ethernet and IPv4 without options, as most of ours.
pub(crate) fn is_fin(packet: &OwnedPacket) -> bool {
    let tcp = packet.data.get(12..14) == Some(&[8, 0]) && packet.data.get(23) == Some(&6);
    tcp && packet.data.get(47).is_some_and(|flags| flags & 1 != 0)
}

/// Something that is the same for both directions of a connection.
fn ports(data: &[u8]) -> u64 {
    // Ethernet and IPv4 without options, as most of ours; others count as one.
    match data.get(34..38) {
        Some(&[a, b, c, d]) => {
            u64::from(u16::from_be_bytes([a, b])) * u64::from(u16::from_be_bytes([c, d]))
        }
        _ => 0,
    }
}

/// A finding cites the clauses that the case breaks: two clauses at most.
#[test]
fn findings_cite_few_clauses() {
    let mut wrong = String::new();
    let mut findings = 0;
    let mut look = |name: &str, found: &[Finding]| {
        findings += found.len();
        for finding in found.iter().filter(|finding| finding.clauses.len() > 2) {
            let _ = writeln!(wrong, "{name}: {}", describe(std::slice::from_ref(finding)));
        }
    };
    for rule in RULES.iter().filter(|rule| !rule.clauses.is_empty()) {
        for text in [rule.examples.bad, rule.examples.cut] {
            for version in ["3.1", "3.1.1", "5"] {
                if let Some(packets) = scene_in(version, text).filter(|_| !text.is_empty()) {
                    look(rule.id, &judge(&packets, Options::default()));
                }
            }
        }
    }
    for file in walk(&project("fixtures")) {
        let found = judge_files(std::slice::from_ref(&file), Options::default());
        look(&file.to_string_lossy(), &found);
    }
    assert!(findings > 1_000, "{findings}");
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Removing packets adds no finding that the whole capture does not show.
fn accuses_no_peer(name: &str, packets: &[OwnedPacket], cuts: usize, wrong: &mut String) {
    let whole = judge(packets, Options::default());
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ packets.len() as u64);
    for _ in 0..cuts {
        let kept = cut_of(packets, &mut dice);
        let some: Vec<OwnedPacket> = kept.iter().map(|i| packets[*i].clone()).collect();
        for found in judge(&some, Options::default()) {
            if found.verdict != Verdict::Violation {
                continue;
            }
            let original = |p: &PacketRef| kept.get(p.number as usize - 1).map_or(0, |i| i + 1);
            // Another packet may show that a connection is open.
            let mut offending: Vec<usize> = found.packets.iter().map(original).collect();
            if !matches!(found.rule.check, Check::StillOpen(_)) {
                offending = offending.split_off(offending.len() - 1);
            }
            let known = whole.iter().any(|other| {
                let mut packets = other.packets.iter().map(|p| p.number as usize);
                other.rule.id == found.rule.id
                    && other.by == found.by
                    && other.verdict == Verdict::Violation
                    && (other.count >= 8
                        || packets.any(|p| offending.contains(&p))
                        // Another packet may complete the fault.
                        || other.message == found.message)
            });
            if !known && wrong.len() < 20_000 {
                let lost: Vec<_> = (0..packets.len())
                    .filter(|i| !kept.contains(i))
                    .map(|i| i + 1)
                    .collect();
                let _ = writeln!(
                    wrong,
                    "{name}, without packets {lost:?}: packets {offending:?}\n{}",
                    describe(std::slice::from_ref(&found))
                );
            }
        }
    }
}

pub(crate) fn packets_of(file: &std::path::Path) -> Vec<OwnedPacket> {
    let mut packets = Vec::new();
    let Ok(mut capture) = Capture::open(file, 0) else {
        return packets;
    };
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

/// What is wrong with a retained message that is delivered too late depends on what
/// came after it.
#[test]
fn a_retained_message_is_stale_because_it_was_replaced_or_cleared() {
    let clauses = |later: &str| -> Vec<&'static str> {
        let text = format!(
            "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t/a {later} retain=1 qos=1 id=2
< PUBACK id=2
! wait 2s
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
> PUBACK id=1"
        );
        let found = judge(&scene(&text), Options::default());
        let stale = found.iter().filter(|f| f.rule.id == "retained-stale");
        stale.flat_map(|f| &f.clauses).map(|c| c.id).collect()
    };
    assert_eq!(clauses("payload=y"), ["MQTT-3.3.1-5", "MQTT-3.3.1-7"]);
    assert_eq!(clauses(""), ["MQTT-3.3.1-10"]);
}

/// How many cuts of each capture; more by MQTTDUMP_CUTS.
pub(crate) fn cuts() -> usize {
    let more = std::env::var("MQTTDUMP_CUTS").ok();
    more.and_then(|n| n.parse().ok()).unwrap_or(40)
}

#[test]
fn rules_accuse_no_peer_when_packets_are_missing_from_conversations() {
    let mut wrong = String::new();
    for rule in RULES.iter().filter(|rule| !rule.clauses.is_empty()) {
        for text in [rule.examples.good, rule.examples.bad] {
            accuses_no_peer(rule.id, &scene(text), cuts(), &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn rules_accuse_no_peer_when_packets_are_missing_from_captures() {
    let mut wrong = String::new();
    let folders = std::env::var("MQTTDUMP_CAPTURES")
        .unwrap_or_else(|_| project("fixtures").to_string_lossy().into_owned());
    for folder in folders.split(':') {
        for file in walk(std::path::Path::new(folder)) {
            let packets = packets_of(&file);
            // Captures with known verdicts have a test of their own.
            let known = file.to_string_lossy().contains("fixtures/verdicts");
            if packets.is_empty() || known {
                continue;
            }
            // Large ones take longer.
            let cuts = (cuts() * 200 / packets.len().max(200)).max(2);
            accuses_no_peer(&file.to_string_lossy(), &packets, cuts, &mut wrong);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
