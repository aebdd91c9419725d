//! What `overhead` keeps individually, and what it only sums up.

use std::fmt::Write;

use mqttdump::frame::Direction::Up;
use mqttdump::limits;
use mqttdump::overhead::{Account, Ledger, Options};
use serde_json::Value;

use super::{capture, follow};
use crate::support::program::{Folder, run};
use crate::support::scene::scene;
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

fn account(packets: &[OwnedPacket], options: Options) -> Account {
    let mut ledger = Ledger::new(options);
    follow(packets, &mut ledger);
    ledger.finish()
}

/// So many connections with so many messages each.
fn messages(connections: usize, each: usize) -> String {
    let mut text = String::new();
    for n in 1..=connections {
        writeln!(text, "! connection {n}\n> CONNECT client=c{n}\n< CONNACK").expect("a string");
        text += &"> PUBLISH topic=t payload=x\n".repeat(each);
        text += "> DISCONNECT\n";
    }
    text
}

#[test]
fn messages_beyond_the_limit_are_only_summed_up() {
    let packets = scene(&messages(3, 4));
    let options = |messages| Options {
        messages,
        ..Options::default()
    };
    let (all, some) = (
        account(&packets, options(12)),
        account(&packets, options(5)),
    );
    let kept = |account: &Account| -> Vec<usize> {
        let connections = account.connections.iter();
        connections
            .map(|connection| connection.messages.len())
            .collect()
    };
    assert_eq!((kept(&all), all.messages_omitted), (vec![4, 4, 4], 0));
    assert_eq!((kept(&some), some.messages_omitted), (vec![4, 1, 0], 7));
    assert_eq!(all.message_count(), some.message_count());
    assert_eq!(all.mqtt_bytes(), some.mqtt_bytes());
}

#[test]
fn connections_beyond_the_limit_are_only_summed_up() {
    let folder = Folder::new();
    let count = limits::ACCOUNTED_CONNECTIONS + 10;
    let input = capture(&folder, "connections", count as u32);
    let out = run(&["overhead", "--format", "json", &input]).clean();
    let report: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(report["connection_count"], count);
    let kept = report["connections"].as_array().expect("connections");
    assert_eq!(kept.len(), limits::ACCOUNTED_CONNECTIONS);
    let sum: u64 = report["layers"]
        .as_object()
        .expect("layers")
        .values()
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(report["bytes"].as_u64(), Some(sum));
}

#[test]
fn few_messages_are_kept_frame_by_frame() {
    let packets = scene(&messages(limits::LADDERS / 8 + 5, 9));
    let account = account(&packets, Options::default());
    assert_eq!(account.ladders.len(), limits::LADDERS);
    assert_eq!(
        account.message_count(),
        9 * (limits::LADDERS as u64 / 8 + 5)
    );
}

#[test]
fn payloads_of_few_topics_are_sampled() {
    let mut text = "> CONNECT client=a\n< CONNACK\n".to_owned();
    for n in 1..=limits::SAMPLED_TOPICS + 6 {
        writeln!(text, "> PUBLISH topic=t/{n} payload=abc").expect("a string");
    }
    let options = Options {
        samples: true,
        ..Options::default()
    };
    let account = account(&scene(&text), options);
    let sampled = |topic: &&mqttdump::overhead::Topic| !topic.samples.payloads().is_empty();
    // Before the first topic stands that of unknown ones.
    assert_eq!(account.topics.len(), limits::SAMPLED_TOPICS + 7);
    assert_eq!(
        account.topics.iter().filter(sampled).count(),
        limits::SAMPLED_TOPICS
    );
}

/// On an unknown port, before the protocol shows.
#[test]
fn segments_of_an_undecided_connection_are_kept_up_to_the_limit() {
    let text = "> CONNECT client=a\n< CONNACK\n> DISCONNECT\n";
    for (more, foreign) in [(0, 0), (7, 7)] {
        let wire = Wire::new(&Conversation::new(text));
        let mut wire = wire.between("10.0.0.7:40121", "10.0.1.1:9999");
        let first = wire.data(Up, 0);
        // That of the CONNECT is one of them.
        let acks = limits::UNDECIDED_SEGMENTS - 1 + more - first;
        let mut ack = wire.segments[first - 1].clone();
        for _ in 0..acks {
            // Not captured twice: another packet each time.
            ack.ip_id = ack.ip_id.wrapping_add(1000);
            wire.insert(first, ack.clone());
        }
        let start = wire.segments[first - 1].time;
        for (n, segment) in (1..).zip(&mut wire.segments[first..]) {
            segment.time = start + n * 1_000_000;
        }
        let account = account(&wire.packets(&Stack::default()), Options::default());
        assert_eq!(account.foreign.packets, foreign);
        assert_eq!(account.connections.len(), 1);
        assert_eq!(account.all.packets, wire.segments.len() as u64);
    }
}
