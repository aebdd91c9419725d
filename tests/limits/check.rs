//! What `check` keeps of connections, sessions and messages, and what it concludes when
//! that is not everything.

use std::fmt::Write;
use std::time::Duration;

use mqttdump::frame::Direction::{Down, Up};
use mqttdump::limits;
use serde_json::Value;

use super::saved;
use crate::support::program::{Folder, run};
use crate::support::scene::{merged, scene};
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

/// The findings of one rule: verdict, reason, count and message.
fn findings(packets: &[OwnedPacket], rule: &str) -> Vec<(String, String, u64, String)> {
    let folder = Folder::new();
    let input = saved(&folder, packets);
    let check = run(&["check", "--fail-on", "never", "--format", "json", &input]).clean();
    let report: Value = serde_json::from_str(&check).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let all = report["findings"].as_array().expect("findings").iter();
    all.filter(|finding| finding["rule"] == rule)
        .map(|finding| {
            let count = finding["count"].as_u64().unwrap_or(1);
            (
                text(&finding["verdict"]),
                text(&finding["reason"]),
                count,
                text(&finding["message"]),
            )
        })
        .collect()
}

/// Verdicts with their counts, and the reasons of those that are inconclusive.
fn verdicts(packets: &[OwnedPacket], rule: &str) -> Vec<String> {
    findings(packets, rule)
        .iter()
        .map(|(verdict, reason, count, _)| format!("{verdict} {reason} {count}").replace("  ", " "))
        .collect()
}

const OPEN: &str = "> CONNECT client=a\n< CONNACK\n";

#[test]
fn duplicate_answers_to_exchanges_of_long_ago_answer_nothing() {
    let last = limits::ENDED_EXCHANGES + 6;
    for (id, message) in [(7, "found one more"), (6, "found id 6 of none")] {
        let mut text = OPEN.to_owned();
        for id in 1..=last {
            writeln!(text, "> PUBLISH topic=t qos=1 id={id}\n< PUBACK id={id}").expect("a string");
        }
        writeln!(text, "< PUBACK id={id}\n> DISCONNECT").expect("a string");
        let found = findings(&scene(&text), "unknown-ack");
        let [(verdict, _, 1, found)] = &found[..] else {
            panic!("{found:?}");
        };
        assert_eq!(verdict, "violation");
        assert!(found.ends_with(message), "{found}");
    }
}

/// When it is no longer known which packets were faulty, any may be.
#[test]
fn too_many_faults_excuse_what_the_other_side_does() {
    let most = limits::FAULTY_PACKETS;
    for (faults, expected) in [(most, vec!["warning 1"]), (most + 1, Vec::new())] {
        let text = OPEN.to_owned()
            + &"> PUBLISH topic=a/# payload=x\n".repeat(faults)
            + "> PUBLISH topic=t qos=1 id=5\n! wait 40s\n> PINGREQ\n< PINGRESP\n> DISCONNECT\n";
        assert_eq!(verdicts(&scene(&text), "missing-ack"), expected, "{faults}");
    }
}

#[test]
fn deliveries_are_inconclusive_with_too_many_subscriptions() {
    let most = limits::SUBSCRIPTIONS;
    for (count, expected) in [(most, "warning 1"), (most + 1, "cannot_tell bound 1")] {
        let mut text = OPEN.to_owned();
        let filters: Vec<String> = (0..count).map(|n| format!(" filter=s/{n}:0")).collect();
        for (id, some) in (1..).zip(filters.chunks(256)) {
            let codes = vec!["0"; some.len()].join(",");
            let some = some.concat();
            writeln!(
                text,
                "> SUBSCRIBE id={id}{some}\n< SUBACK id={id} codes={codes}"
            )
            .expect("a string");
        }
        text += "< PUBLISH topic=other payload=x\n> DISCONNECT\n";
        assert_eq!(verdicts(&scene(&text), "no-subscription"), [expected]);
    }
}

#[test]
fn servers_beyond_the_limit_are_evicted_and_counted() {
    let text = OPEN.to_owned() + "> PUBLISH topic=t qos=1 id=1\n< PUBACK id=1\n> DISCONNECT\n";
    let wire = Wire::new(&Conversation::new(&text));
    let servers = 0..limits::SERVERS + 1;
    let wires: Vec<Wire> = servers
        .map(|n| {
            let server = format!("10.1.{}.{}:1883", n / 200, n % 200 + 1);
            let wire = wire.clone().between("10.0.0.7:40121", &server);
            wire.starting_at([n as u32 * 7919, n as u32 * 104_729])
                .after(Duration::from_secs(n as u64))
        })
        .collect();
    let folder = Folder::new();
    let input = saved(&folder, &merged(&wires, &Stack::default()));
    let check = run(&["check", &input]);
    assert!(
        check.err.contains("1 server was evicted: table full"),
        "{}",
        check.err
    );
    assert_eq!(check.code, Some(0), "{}", check.out);
}

/// A subscriber to whom nothing is delivered, a publisher, and others.
fn undelivered(messages: usize, others: usize) -> String {
    let mut text = OPEN.to_owned() + "> SUBSCRIBE id=1 filter=t/#:1\n< SUBACK id=1 codes=1\n";
    for n in 0..others {
        writeln!(
            text,
            "! connection {}\n> CONNECT client=x{n}\n< CONNACK",
            10 + n
        )
        .expect("a string");
    }
    text += "! connection 2\n> CONNECT client=b\n< CONNACK\n";
    for id in 1..=messages {
        writeln!(
            text,
            "> PUBLISH topic=t/{id} qos=1 id={id} payload={id}\n< PUBACK id={id}"
        )
        .expect("a string");
    }
    text += "! connection 1\n";
    for _ in 0..2 {
        text += "! wait 20s\n> PINGREQ\n< PINGRESP\n";
    }
    text + "> DISCONNECT\n"
}

#[test]
fn few_missing_deliveries_are_looked_for() {
    let most = limits::DELIVERIES;
    for (messages, found) in [(most, most), (most + 6, most)] {
        let expected = format!("warning {found}");
        let text = undelivered(messages, 0);
        assert_eq!(verdicts(&scene(&text), "lost-delivery"), [expected]);
    }
}

#[test]
fn missing_deliveries_are_not_looked_for_among_many_connections() {
    let others = limits::WATCHED_SUBSCRIBERS - 2;
    for (others, expected) in [(others, vec!["warning 1"]), (others + 1, Vec::new())] {
        let text = undelivered(1, others);
        assert_eq!(
            verdicts(&scene(&text), "lost-delivery"),
            expected,
            "{others}"
        );
    }
}

/// A publication, others that make it the oldest, and a delivery of it with a higher QoS.
fn delivered_late(others: &str) -> Vec<String> {
    let text = OPEN.to_owned()
        + "> SUBSCRIBE id=1 filter=t/#:1\n< SUBACK id=1 codes=1\n! connection 2\n"
        + "> CONNECT client=b\n< CONNACK\n> PUBLISH topic=t/first payload=1\n"
        + others
        + "> DISCONNECT\n! connection 1\n< PUBLISH topic=t/first payload=1 qos=1 id=3\n"
        + "> PUBACK id=3\n> DISCONNECT\n";
    verdicts(&scene(&text), "qos-raised")
}

#[test]
fn the_oldest_publications_are_not_matched_with_deliveries() {
    let others = |count: usize| {
        let one = |n: usize| format!("> PUBLISH topic=u/{n} payload={n}\n");
        (0..count).map(one).collect::<String>()
    };
    assert_eq!(
        delivered_late(&others(limits::PUBLICATIONS - 1)),
        ["warning 1"]
    );
    assert!(delivered_late(&others(limits::PUBLICATIONS)).is_empty());
}

#[test]
fn publications_of_long_topics_make_room_sooner() {
    let others = |bytes: usize| {
        let one = |n: usize| format!("> PUBLISH topic={n}/{} payload={n}\n", "x".repeat(60_000));
        (0..bytes / 60_000).map(one).collect::<String>()
    };
    let most = limits::PUBLICATION_BYTES;
    assert_eq!(delivered_late(&others(most - 100_000)), ["warning 1"]);
    assert!(delivered_late(&others(most + 100_000)).is_empty());
}

/// What TCP has acknowledged must have been received; beyond the limit it is not known.
#[test]
fn requests_that_are_not_acknowledged_by_tcp_are_tracked_up_to_the_limit() {
    // The first PINGREQ is one, too.
    let most = limits::UNACKED_REQUESTS - 1;
    for more in [0, 9] {
        let mut text = OPEN.to_owned();
        for id in 1..=most + more {
            writeln!(text, "> PUBLISH topic=t qos=1 id={id}").expect("a string");
        }
        for _ in 0..2 {
            text += "! wait 40s\n> PINGREQ\n< PINGRESP\n";
        }
        text += "> DISCONNECT\n";
        let wire = Wire::without_pure_acks(&Conversation::new(&text));
        let mut expected = vec![format!("warning {most}")];
        if more > 0 {
            expected.insert(0, format!("cannot_tell crossing {more}"));
        }
        let mut found = verdicts(&wire.packets(&Stack::default()), "missing-ack");
        found.sort();
        assert_eq!(found, expected);
    }
}

#[test]
fn few_exchanges_of_earlier_connections_are_reported() {
    let most = limits::CARRIED_OVERDUE;
    for count in [most, most + 6] {
        let mut text = "> CONNECT client=a clean=0\n< CONNACK\n".to_owned();
        for id in 1..=count {
            writeln!(text, "> PUBLISH topic=t qos=1 id={id} payload={id}").expect("a string");
        }
        text += "! fin >\n! fin <\n! wait 1s\n! connection 2\n> CONNECT client=a clean=0\n\
            < CONNACK session_present=1\n";
        for _ in 0..2 {
            text += "! wait 30s\n> PINGREQ\n< PINGRESP\n";
        }
        text += "> DISCONNECT\n";
        let expected = format!("warning {most}");
        assert_eq!(verdicts(&scene(&text), "missing-resend"), [expected]);
    }
}

/// A server's PUBLISH is captured after its PUBACK and what the client sends with it.
fn crossed(client: usize, with: &str) -> Wire {
    let text = format!(
        "> CONNECT client=c{client}\n< CONNACK\n> SUBSCRIBE id=1 filter=t:1\n\
         < SUBACK id=1 codes=1\n< PUBLISH topic=t qos=1 id=1\n> PUBACK id=1\n{with}"
    );
    let complete = Wire::without_pure_acks(&Conversation::new(&text));
    let at = complete.data(Down, 2);
    let segment = complete.segments[at].clone();
    let later = complete.segments[at..].iter();
    let after = later.filter(|it| it.way == Up && !it.payload.is_empty());
    let after = after.count();
    let mut wire = complete.lose(|index, _| index == at);
    wire.insert(at + after, segment);
    wire.between(&format!("10.0.0.7:{}", 40_121 + client), "10.0.1.1:1883")
}

#[test]
fn frames_that_wait_for_earlier_ones_are_limited() {
    let most = limits::BUFFERED_FRAMES;
    let inconclusive = vec!["cannot_tell crossing 1"];
    for (frames, expected) in [(most, Vec::new()), (most + 1, inconclusive)] {
        let wire = crossed(0, &"+ PINGREQ\n".repeat(frames - 1));
        let packets = wire.packets(&Stack::default());
        assert_eq!(
            verdicts(&packets, "unknown-ack"),
            expected,
            "{frames} frames"
        );
    }
}

#[test]
fn bytes_that_wait_on_all_connections_for_earlier_ones_are_limited() {
    let long = |n: usize| format!("> PUBLISH topic={}/{n}\n", "x".repeat(60_000));
    let with: String = (0..20).map(long).collect();
    let inconclusive = |connections: usize| {
        let wires: Vec<Wire> = (0..connections).map(|n| crossed(n, &with)).collect();
        verdicts(&merged(&wires, &Stack::default()), "unknown-ack").len()
    };
    assert_eq!(inconclusive(1), 0);
    let many = limits::BUFFERED_BYTES / (20 * 60_000) + 2;
    let found = inconclusive(many);
    assert!((1..many).contains(&found), "{found} of {many}");
}
