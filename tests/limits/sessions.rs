//! What `sessions` keeps of connections, topics and messages.

use std::fmt::Write;
use std::time::Duration;

use mqttdump::limits;
use mqttdump::rules::{Judge, Options};
use mqttdump::sessions::{Deliveries, Keep, Sessions, Settled};
use serde_json::Value;

use super::{capture, follow, saved};
use crate::support::program::{Folder, run};
use crate::support::scene::{merged, scene};
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

fn judge() -> Judge {
    Judge::new(Options::default())
}

fn connections(count: usize) -> Vec<OwnedPacket> {
    let mut text = String::new();
    for n in 1..=count {
        write!(
            text,
            "! connection {n}\n> CONNECT client=c{n}\n< CONNACK\n> DISCONNECT\n! fin >\n! fin <\n"
        )
        .expect("a string");
    }
    scene(&text)
}

#[test]
fn the_oldest_records_make_room_and_are_counted() {
    let mut sessions = Sessions::new(judge()).up_to(3);
    follow(&connections(5), &mut sessions);
    let numbers: Vec<u64> = sessions
        .take_finished()
        .iter()
        .map(|it| it.connection)
        .collect();
    assert_eq!((numbers, sessions.evicted()), (vec![3, 4, 5], 2));
}

#[test]
fn the_oldest_publications_make_room_and_are_counted() {
    let mut text = "> CONNECT client=a\n< CONNACK\n".to_owned();
    for n in 1..=5 {
        writeln!(text, "> PUBLISH topic=t payload={n}").expect("a string");
    }
    let packets = scene(&text);
    let mut deliveries = Deliveries::up_to(3);
    follow(&packets, &mut deliveries);
    let times: Vec<usize> = deliveries.publications().map(|it| it.topic.len()).collect();
    assert_eq!((times, deliveries.evicted()), (vec![1; 3], 2));
}

/// A delivery is matched with what was published no longer ago than that.
#[test]
fn publications_that_leave_the_window_are_settled() {
    let most = limits::STREAMED_PUBLICATIONS;
    let folder = Folder::new();
    let path = folder.path("in.pcap");
    let mut bytes = Vec::new();
    let generate = super::kinds::find("topics").expect("the kind");
    super::kinds::write(generate, most as u32 + 10, &mut |more| {
        bytes.extend_from_slice(more)
    });
    std::fs::write(&path, bytes).expect("room");
    let mut capture = mqttdump::capture::Capture::open(&path, 0).expect("a capture");
    let mut deliveries = Deliveries::streaming();
    let options = mqttdump::facts::Options::default();
    let config = mqttdump::engine::Config::default();
    let mut facts = mqttdump::facts::Facts::new(config, options, &deliveries);
    while let Some(item) = capture.next().expect("a whole capture") {
        if let mqttdump::capture::Item::Packet(packet) = item {
            facts.push(&packet.packet, &mut deliveries);
        }
    }
    facts.finish(&mut deliveries);
    let mut packets = Vec::new();
    deliveries.take_settled(|settled| match settled {
        Settled::Publication(of) => packets.push(of.packet.number),
        Settled::Unpublished(of) => panic!("{of:?} was published"),
    });
    assert_eq!(packets.len(), 10);
    assert!(packets.is_sorted(), "the oldest first: {packets:?}");
    assert_eq!(
        (deliveries.take_rest().count(), deliveries.evicted()),
        (most, 0)
    );
}

#[test]
fn topics_beyond_the_limit_are_counted_as_one() {
    let folder = Folder::new();
    let input = capture(&folder, "topics", limits::TOPIC_COUNTS as u32 + 10);
    let out = run(&["sessions", "-v", "--limit", "60000", &input]).clean();
    let (_, topics) = out.split_once("\nTopics\n").expect("topics");
    let others = topics.lines().find(|line| line.contains("(others)"));
    let others = others.expect("a row of the others");
    assert!(
        others.split_whitespace().any(|word| word == "10"),
        "{others}"
    );
}

#[test]
fn acknowledgements_of_few_topics_are_measured() {
    let mut text = "> CONNECT client=a\n< CONNACK\n".to_owned();
    for id in 1..=limits::TOPIC_LATENCIES + 6 {
        writeln!(
            text,
            "> PUBLISH topic=t/{id} qos=1 id={id}\n< PUBACK id={id}"
        )
        .expect("a string");
    }
    let keep = Keep {
        latencies: true,
        ..Keep::default()
    };
    let mut sessions = Sessions::keeping(judge(), keep);
    follow(&scene(&text), &mut sessions);
    let topics = sessions.topics();
    assert_eq!(topics.latencies().len(), limits::TOPIC_LATENCIES);
    let others = topics.other_latencies().expect("they are kept");
    assert_eq!((others.up.len(), others.down.len()), (6, 0));
    let folder = Folder::new();
    let input = saved(&folder, &scene(&text));
    let out = run(&["sessions", "-v", "--limit", "1000", &input]).clean();
    assert!(out.contains("(others)"), "{out}");
}

/// How many more there were is not known.
#[test]
fn a_server_that_closed_very_many_connections_closed_at_least_so_many() {
    let text = "> CONNECT client=a\n< CONNACK\n! wait 20s\n! fin <\n! fin >\n";
    let template = Wire::new(&Conversation::new(text));
    let wires: Vec<Wire> = (0..limits::SERVER_ENDS + 3)
        .map(|n| {
            let client = format!("10.0.0.7:{}", 10_000 + n);
            let wire = template.clone().between(&client, "10.0.1.1:1883");
            let wire = wire.starting_at([n as u32 * 7919, n as u32 * 104_729]);
            wire.after(Duration::from_micros(100 * n as u64))
        })
        .collect();
    let folder = Folder::new();
    let input = saved(&folder, &merged(&wires, &Stack::default()));
    let out = run(&["sessions", "--format", "ndjson", &input]).clean();
    let last: Value = serde_json::from_str(out.lines().last().expect("one")).expect("JSON");
    let message = last["close"]["message"].as_str().unwrap_or_default();
    assert!(
        message.contains("closed all its at least 4096 connections"),
        "{last}"
    );
}

#[test]
fn the_rungs_of_a_ladder_are_limited_and_the_others_counted() {
    let folder = Folder::new();
    let input = capture(&folder, "pings", limits::LADDER_RUNGS as u32 / 700 + 1);
    let out = run(&["sessions", "--ladder", &input]).clean();
    let last = out.lines().last().expect("a line");
    let more = last.strip_suffix(" more are not drawn").expect(last);
    assert!(more.parse::<u32>().expect("a number") >= 100, "{last}");
    assert!(out.lines().count() >= limits::LADDER_RUNGS);
}
