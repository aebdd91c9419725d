//! Identities do not depend on the run, on the files of a capture, or on their order.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::support::files::Format;
use crate::support::program::{Folder, run};
use crate::support::scene::scene;
use crate::support::stack::OwnedPacket;

/// One client that resumes its session, and one that does not.
const SCENE: &str = "
    > CONNECT client=pump version=5 clean=1 session_expiry_interval=60
    < CONNACK
    ! connection 2
    > CONNECT client=lamp
    < CONNACK
    ! connection 1
    > PUBLISH topic=t qos=1 id=7 payload=1
    < PUBACK id=7
    > PUBLISH topic=t payload=2
    ! connection 2
    > SUBSCRIBE id=7 filter=t:1
    < SUBACK id=7 codes=1
    ! connection 1
    > PUBLISH topic=t qos=2 id=7 payload=3
    < PUBREC id=7
    > PUBREL id=7
    < PUBCOMP id=7
    ! connection 2
    < PUBLISH topic=t qos=1 id=7 payload=3
    > PUBACK id=7
    ! connection 1
    > PINGREQ
    < PINGRESP
    > DISCONNECT
    ! connection 3
    > CONNECT client=pump version=5 clean=0 session_expiry_interval=60
    < CONNACK session_present=1
    > PUBLISH topic=t qos=1 id=7 payload=4
    < PUBACK id=7
    ! connection 2
    > DISCONNECT
    ! connection 4
    > CONNECT client=lamp
    < CONNACK
";

fn ndjson(args: &[&str]) -> Vec<Value> {
    let lines = run(&[args, &["--format", "ndjson"]].concat()).out;
    let lines = lines.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// What identifies a frame, and what it is.
fn identity(frame: &Value) -> String {
    let keys = [
        "connection_uid",
        "session_uid",
        "exchange_uid",
        "frame",
        "direction",
        "type",
        "event",
        "payload",
    ];
    keys.map(|key| frame[key].to_string()).join(" ")
}

fn identities(args: &[&str]) -> BTreeSet<String> {
    ndjson(args).iter().map(identity).collect()
}

fn write(folder: &Folder, name: &str, packets: &[OwnedPacket]) -> String {
    folder.write(name, &Format::PCAPNG.write(packets))
}

#[test]
fn identities_of_a_scene() {
    let folder = Folder::new();
    let file = write(&folder, "a.pcapng", &scene(SCENE));
    let frames = ndjson(&["-r", &file]);
    let mut exchanges: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut sessions: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for frame in frames.iter().filter(|frame| frame["type"].is_string()) {
        let kind = frame["type"].as_str().expect("a type");
        let uid = frame["connection_uid"].as_str().expect("a connection");
        assert!(uid.starts_with("1:"), "{uid}");
        if let Some(exchange) = frame["exchange_uid"].as_str() {
            assert!(exchange.starts_with(uid), "{exchange}");
            exchanges
                .entry(exchange[uid.len()..].to_owned() + &frame["connection"].to_string())
                .or_default()
                .push(kind.to_owned());
        } else {
            assert_eq!(kind, "DISCONNECT");
        }
        match frame["session_uid"].as_str() {
            Some(session) => {
                let number = frame["connection"].as_u64().expect("a number");
                sessions
                    .entry(session.to_owned())
                    .or_default()
                    .insert(number);
            }
            // Whether it resumes is known from CONNACK.
            None => assert_eq!((kind, &frame["clean_start"]), ("CONNECT", &false.into())),
        }
    }
    assert_eq!(exchanges["-up-7-21"], ["PUBLISH", "PUBACK"]);
    assert_eq!(exchanges["-up-0-31"], ["PUBLISH"]);
    assert_eq!(
        exchanges["-up-7-41"],
        ["PUBLISH", "PUBREC", "PUBREL", "PUBCOMP"]
    );
    assert_eq!(exchanges["-up-7-22"], ["SUBSCRIBE", "SUBACK"]);
    assert_eq!(exchanges["-down-7-32"], ["PUBLISH", "PUBACK"]);
    assert_eq!(exchanges["-up-0-61"], ["PINGREQ", "PINGRESP"]);
    let connections: Vec<_> = sessions.into_values().collect();
    assert_eq!(connections.len(), 3, "{connections:?}");
    assert!(connections.contains(&BTreeSet::from([1, 3])));

    // `sessions` and `check` have the same.
    let uids = |lines: Vec<Value>, key: &str| -> BTreeSet<String> {
        let uids = lines.iter().filter_map(|line| line[key].as_str());
        uids.map(Into::into).collect()
    };
    for key in ["connection_uid", "session_uid"] {
        let expected = uids(frames.clone(), key);
        assert_eq!(uids(ndjson(&["sessions", &file]), key), expected);
        let found = uids(ndjson(&["check", "--fail-on", "never", &file]), key);
        assert!(!found.is_empty() && found.is_subset(&expected), "{found:?}");
    }
}

/// Two files, cut at every packet, in either order.
#[test]
fn identities_of_every_cut_and_order() {
    let folder = Folder::new();
    let packets = scene(SCENE);
    let whole = write(&folder, "whole.pcapng", &packets);
    let expected = identities(&["-r", &whole]);
    for at in 0..=packets.len() {
        let one = write(&folder, "one.pcapng", &packets[..at]);
        let two = write(&folder, "two.pcapng", &packets[at..]);
        for files in [["-r", &one, "-r", &two], ["-r", &two, "-r", &one]] {
            assert_eq!(identities(&files), expected, "cut before packet {}", at + 1);
        }
    }
    // By connection: a connection is the same alone.
    let alone: BTreeSet<String> = (1..=4)
        .flat_map(|number| {
            let saved = folder.name(&format!("{number}.pcapng"));
            let number = number.to_string();
            run(&["-r", &whole, "--connection", &number, "-w", &saved]).clean();
            ndjson(&["-r", &saved])
        })
        .map(|frame| frame["exchange_uid"].to_string())
        .collect();
    let frames = ndjson(&["-r", &whole]);
    let exchanges = frames.iter().map(|frame| frame["exchange_uid"].to_string());
    assert_eq!(alone, exchanges.collect());
}
