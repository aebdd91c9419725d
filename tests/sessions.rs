//! How connections end, on recorded captures whose truth is written down, and on all
//! that is left of them when packets are taken away.

use std::collections::HashMap;
use std::fmt::Write as _;

use mqttdump::engine::Config;
use mqttdump::facts::{Facts, Sink};
use mqttdump::rules::{self, Judge};
use mqttdump::sessions::{Certainty, Deliveries, Reconnects, Record, Sessions, StallCause};

use crate::laws::packets_of;
use crate::support::program::project;
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

/// Output of a sink for some packets, with their numbers.
fn gather<'a, S: Sink>(
    packets: impl IntoIterator<Item = (u64, &'a OwnedPacket)>,
    mut sink: S,
) -> S {
    let mut facts = Facts::new(Config::default(), rules::Options::default().facts(), &sink);
    for (number, packet) in packets {
        let captured = packet.captured(number);
        facts.push(&captured, &mut sink);
    }
    facts.finish(&mut sink);
    sink
}

/// The records of the connections in some packets.
#[expect(clippy::vec_box, reason = "as `take_finished` returns them")]
fn records<'a>(packets: impl IntoIterator<Item = (u64, &'a OwnedPacket)>) -> Vec<Box<Record>> {
    let judge = Judge::new(rules::Options::default());
    gather(packets, Sessions::new(judge)).take_finished()
}

/// The captures of `fixtures/sessions`, by name.
fn captures() -> Vec<(String, Vec<OwnedPacket>)> {
    captures_of("fixtures/sessions")
}

/// The captures of a folder, by name.
fn captures_of(folder: &str) -> Vec<(String, Vec<OwnedPacket>)> {
    let mut paths: Vec<_> = std::fs::read_dir(project(folder))
        .expect("fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|e| e == "pcap"))
        .collect();
    paths.sort();
    let name = |path: &std::path::Path| path.file_stem().expect("a name").display().to_string();
    paths
        .iter()
        .filter_map(|path| Some((name(path), packets_of(path)?)))
        .collect()
}

/// A row of `truth.csv`: the end of a connection, as the recording script knows it. An
/// empty client identifier is one that was never sent.
#[derive(serde::Deserialize, serde::Serialize, PartialEq, Eq, Debug)]
struct Truth {
    capture: String,
    connection: u64,
    client_id: String,
    by: String,
    cause: String,
    certainty: String,
    reason_code: String,
}

impl Truth {
    fn of(capture: &str, record: &Record) -> Self {
        let close = &record.close;
        Self {
            capture: capture.to_owned(),
            connection: record.connection,
            client_id: String::from_utf8_lossy(record.client_id.as_deref().unwrap_or_default())
                .into_owned(),
            by: close.by.name().to_owned(),
            cause: close.cause.name().to_owned(),
            certainty: close.certainty.name().to_owned(),
            reason_code: close
                .reason_code
                .map_or_else(String::new, |code| code.to_string()),
        }
    }
}

#[test]
fn sessions_end_as_recorded() {
    let path = project("fixtures/sessions/truth.csv");
    let mut truth = csv::Reader::from_path(path).expect("truth.csv");
    let mut expected: Vec<Truth> = truth.deserialize().map(|row| row.expect("a row")).collect();
    let mut wrong = String::new();
    for (capture, packets) in captures() {
        for record in records((1..).zip(&packets)) {
            let found = Truth::of(&capture, &record);
            match expected.iter().position(|row| *row == found) {
                Some(at) => drop(expected.remove(at)),
                None => {
                    let _ = writeln!(wrong, "found {found:?}: {}", record.close.message);
                }
            }
        }
    }
    for row in expected {
        let _ = writeln!(wrong, "expected {row:?}");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Packets that are taken away never make another verdict certain.
#[test]
fn sessions_prove_nothing_else_when_packets_are_missing() {
    let cuts = std::env::var("MQTTDUMP_CUTS").ok();
    let cuts: usize = cuts.and_then(|n| n.parse().ok()).unwrap_or(24);
    let mut wrong = String::new();
    let (mut tried, mut proved) = (0_u64, 0_u64);
    let mut random = 0x5eed_u64;
    let mut next = move || {
        // xorshift64: the same cuts in every run.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let all = [
        "sessions",
        "captures",
        "transport",
        "violations",
        "third-party/mqtt",
    ]
    .map(|folder| captures_of(&format!("fixtures/{folder}")));
    let all = all.into_iter().flatten().filter(|(_, packets)| {
        // Longer ones take long, and show no other ends.
        (1..2_000).contains(&packets.len())
    });
    for (capture, packets) in all {
        let whole: HashMap<_, _> = records((1..).zip(&packets))
            .into_iter()
            .map(|record| ((record.client, record.server), record.close))
            .collect();
        for cut in 0..cuts {
            // Few packets, many, one chunk, the end, one direction, a connection.
            let one_in = 1 << (next() % 6);
            let begin = next() % packets.len() as u64;
            let end = begin + next() % (packets.len() as u64 - begin) + 1;
            let keep: Vec<bool> = (0..packets.len() as u64)
                .map(|at| match cut % 4 {
                    0 => next() % one_in != 0 || one_in == 1 && next() % 2 == 0,
                    1 => !(begin..end).contains(&at),
                    2 => at < end,
                    _ => !(begin..end).contains(&at) && next() % 8 != 0,
                })
                .collect();
            let rest = (1..)
                .zip(&packets)
                .filter(|(number, _)| keep[*number as usize - 1]);
            tried += 1;
            for record in records(rest) {
                let close = &record.close;
                proved += u64::from(close.certainty == Certainty::Proved);
                let Some(full) = whole.get(&(record.client, record.server)) else {
                    continue;
                };
                if close.certainty == Certainty::Proved
                    && (close.by, close.cause) != (full.by, full.cause)
                {
                    let gone: Vec<usize> = (1..)
                        .zip(&keep)
                        .filter(|(_, keep)| !**keep)
                        .map(|(n, _)| n)
                        .collect();
                    let _ = writeln!(
                        wrong,
                        "{capture} without {gone:?}:\n   {}\n   whole: {}",
                        close.message, full.message
                    );
                }
            }
        }
    }
    println!("{tried} cuts, after which {proved} verdicts were proved");
    assert!(wrong.is_empty(), "\n{wrong}");
    assert!(proved > tried / 10);
}

/// Meaning of the codes of a DISCONNECT by the server, by a conversation each.
#[test]
fn sessions_read_the_code_of_disconnect() {
    let of = |text: &str| -> Vec<(&'static str, Certainty)> {
        let packets = crate::support::scene::scene(text);
        let found = records((1..).zip(&packets));
        let close = found.iter().map(|record| &record.close);
        close
            .map(|close| (close.cause.name(), close.certainty))
            .collect()
    };
    let opening = "> CONNECT client=c version=5 keep_alive=10\n< CONNACK\n";
    let fault = "> PUBLISH topic=a/# payload=x\n";
    for (code, cause, certainty) in [
        ("0x8d", "keep_alive", Certainty::Proved),
        ("0x8e", "taken_over", Certainty::Proved),
        ("0x95", "too_large", Certainty::Proved),
        ("0x87", "disconnect", Certainty::Proved),
        // Other connections of the server decide it.
        ("0x8b", "disconnect", Certainty::Likely),
    ] {
        let text = format!("{opening}< DISCONNECT code={code}");
        assert_eq!(of(&text), [(cause, certainty)], "{code}");
    }
    for code in ["0x81", "0x82", "0x90", "0x93", "0x94", "0x99"] {
        // Only with the violation in the capture.
        let text = format!("{opening}{fault}< DISCONNECT code={code}");
        assert_eq!(of(&text), [("protocol_error", Certainty::Proved)], "{code}");
        let text = format!("{opening}< DISCONNECT code={code}");
        assert_eq!(of(&text), [("disconnect", Certainty::Proved)], "{code}");
    }
    let two = "> CONNECT client=a version=5\n< CONNACK\n! connection 2\n> CONNECT client=b version=5\n< CONNACK\n\
               < DISCONNECT code=0x8b\n! connection 1\n< DISCONNECT code=0x8b";
    assert_eq!(of(two), [("broker_stopped", Certainty::Likely); 2]);
}

/// Writes the current output as truth, to be read and corrected by hand.
#[test]
#[ignore = "writes truth.csv; read it before you commit it"]
fn bless_sessions() {
    let path = project("fixtures/sessions/truth.csv");
    let mut truth = csv::Writer::from_path(path).expect("truth.csv");
    for (capture, packets) in captures() {
        for record in records((1..).zip(&packets)) {
            truth
                .serialize(Truth::of(&capture, &record))
                .expect("a row");
        }
    }
}

/// Clients that are away and did not get a message are listed in the same order in each run.
#[test]
fn subscribers_without_a_delivery_are_in_order() {
    let mut text = String::new();
    for client in [3, 1, 4, 0, 2] {
        let _ = write!(
            text,
            "! connection {}\n> CONNECT client=away-{client} clean=0\n< CONNACK\n\
             > SUBSCRIBE id=1 filter=t/#:1\n< SUBACK id=1 codes=1\n> DISCONNECT\n\
             ! fin >\n! fin <\n",
            client + 1
        );
    }
    text += "! connection 9\n> CONNECT client=p\n< CONNACK\n! wait 60s\n\
             > PUBLISH topic=t/1 qos=1 id=1\n< PUBACK id=1\n> DISCONNECT";
    let packets = scene(&text);
    let deliveries = gather((1..).zip(&packets), Deliveries::default());
    let publications: Vec<_> = deliveries.publications().collect();
    let [publication] = publications[..] else {
        panic!("one publication: {publications:?}");
    };
    let clients = publication.unseen.iter().map(|it| it.client_id.as_deref());
    let expected = ["away-0", "away-1", "away-2", "away-3", "away-4"];
    assert!(
        clients.eq(expected.iter().map(|it| Some(it.as_bytes()))),
        "{publication:?}"
    );
}

/// Log of the recording clients: who put or got which payload.
fn log_of_deliveries() -> Vec<(String, bool, String)> {
    let path = project("fixtures/sessions/deliveries.log");
    let text = std::fs::read_to_string(path).expect("deliveries.log");
    text.lines()
        .map(|line| {
            let mut words = line.split(' ').map(str::to_owned);
            let mut word = || words.next().expect("who, put or got, topic, payload");
            let (who, what, _, payload) = (word(), word(), word(), word());
            (who, what == "put", payload)
        })
        .collect()
}

/// Every delivery is matched with the publication whose payload the client has logged,
/// in the order in which it got them, also where the same payload was published twice.
#[test]
fn sessions_deliveries_are_those_that_the_clients_logged() {
    let log = log_of_deliveries();
    let packets = packets_of(&project("fixtures/sessions/deliveries.pcap")).expect("a capture");
    let deliveries = gather((1..).zip(&packets), Deliveries::default());
    let mut put: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut got: HashMap<&str, Vec<&str>> = HashMap::new();
    for (who, is_put, payload) in &log {
        let lists = if *is_put { &mut put } else { &mut got };
        lists.entry(who).or_default().push(payload);
    }
    let mut counts: HashMap<&[u8], usize> = HashMap::new();
    let mut found: HashMap<String, Vec<(u64, &str)>> = HashMap::new();
    for publication in deliveries.publications() {
        let client = publication.peer.client_id.as_deref().expect("a client");
        let nth = counts.entry(client).or_default();
        let payload = put[std::str::from_utf8(client).expect("a name")][*nth];
        *nth += 1;
        assert!(publication.unseen.is_empty(), "{publication:?}");
        for delivery in &publication.deliveries {
            // The first connection of `offline` kept no log.
            if delivery.peer.connection != 2 {
                let id = delivery.peer.client_id.as_deref().expect("a client");
                let id = String::from_utf8_lossy(id).into_owned();
                found
                    .entry(id)
                    .or_default()
                    .push((delivery.packet.number, payload));
            }
        }
    }
    assert_eq!(deliveries.foreign(), 0);
    for (who, payloads) in got {
        let mut found = found.remove(who).expect("deliveries");
        found.sort_by_key(|(packet, _)| *packet);
        let found: Vec<&str> = found.into_iter().map(|(_, payload)| payload).collect();
        assert_eq!(found, payloads, "{who}");
    }
    assert!(found.is_empty(), "{found:?}");
}

/// A row of `latency.csv`, which `sessions_latency.py` made with tshark.
#[derive(serde::Deserialize)]
struct Took {
    capture: String,
    connection: u64,
    kind: String,
    asked: String,
    n: u64,
    min: u64,
    p50: u64,
    max: u64,
    slowest: u64,
}

#[test]
fn sessions_latency_equals_that_of_tshark() {
    let path = project("fixtures/sessions/latency.csv");
    let mut rows = csv::Reader::from_path(path).expect("latency.csv");
    let mut by_capture: HashMap<String, Vec<Box<Record>>> = HashMap::new();
    let mut measured = 0;
    for row in rows.deserialize::<Took>() {
        let row = row.expect("a row");
        let records = by_capture.entry(row.capture.clone()).or_insert_with(|| {
            let path = project(&format!("fixtures/sessions/{}.pcap", row.capture));
            records((1..).zip(&packets_of(&path).expect("a capture")))
        });
        let record = records
            .iter()
            .find(|record| record.connection == row.connection);
        let latency = &record.expect("a connection").latency;
        let what = format!(
            "{} {} {} {}",
            row.capture, row.connection, row.kind, row.asked
        );
        measured += 1;
        if row.kind == "connect" {
            let took = latency.connect.expect("CONNACK").as_nanos();
            assert_eq!(took, u128::from(row.max), "{what}");
            continue;
        }
        let kinds = latency.kinds();
        let (_, both) = kinds
            .iter()
            .find(|(name, _)| name.trim_end_matches("_ms") == row.kind)
            .expect("a kind");
        let found = if row.asked == "up" {
            &both.up
        } else {
            &both.down
        };
        let (max, packet) = found.slowest().expect(&what);
        let found = (
            found.len(),
            found.min().as_nanos() as u64,
            found.percentile(50).as_nanos() as u64,
            max.as_nanos() as u64,
            packet.number,
        );
        assert_eq!(
            found,
            (row.n, row.min, row.p50, row.max, row.slowest),
            "{what}"
        );
    }
    assert!(measured > 40);
}

/// `latency.csv` has the times that tshark measures; without tshark, the test is skipped.
#[test]
fn sessions_latency_is_measured_by_tshark_again() {
    let kept = std::fs::read_to_string(project("fixtures/sessions/latency.csv")).expect("the file");
    let captures: std::collections::BTreeSet<String> = kept
        .lines()
        .skip(1)
        .filter_map(|row| Some(format!("fixtures/sessions/{}.pcap", row.split(',').next()?)))
        .collect();
    let installed = std::process::Command::new("tshark")
        .arg("-v")
        .output()
        .is_ok();
    if !installed {
        println!("tshark is not installed: the figures that it once gave are compared");
        return;
    }
    let output = std::process::Command::new("python3")
        .arg(project("fixtures/sessions_latency.py"))
        .args(&captures)
        .current_dir(project(""))
        .output()
        .expect("python3");
    assert_eq!(String::from_utf8_lossy(&output.stdout), kept, "{output:?}");
}

/// Waits of which it is known how they came about.
#[test]
fn sessions_stalls_have_their_causes() {
    for (capture, cause) in [
        ("nagle", StallCause::NagleDelayedAck),
        ("slow-reader", StallCause::ZeroWindow),
        ("slow-reader", StallCause::Retransmission),
        ("receive-maximum", StallCause::ReceiveMaximum),
    ] {
        let path = project(&format!("fixtures/sessions/{capture}.pcap"));
        let records = records((1..).zip(&packets_of(&path).expect("a capture")));
        let stalls: Vec<_> = records.iter().flat_map(|record| &record.stalls).collect();
        assert!(
            stalls.iter().any(|stall| stall.cause == cause),
            "{capture}: {stalls:?}"
        );
    }
}

#[test]
fn sessions_know_how_clients_come_back() {
    let of = |capture: &str| {
        let path = project(&format!("fixtures/sessions/{capture}.pcap"));
        Reconnects::of(&records((1..).zip(&packets_of(&path).expect("a capture"))))
    };
    let restarted = of("broker-restarted");
    let [herd] = &restarted.herds[..] else {
        panic!("{restarted:?}");
    };
    assert_eq!((herd.closed, herd.back, herd.refused), (3, 3, 13));
    for broker in ["mosquitto", "aedes"] {
        let found = of(&format!("takeover-loop-{broker}"));
        let [one] = &found.loops[..] else {
            panic!("{found:?}");
        };
        assert_eq!((one.times, one.addresses.len()), (8, 2));
    }
}
