//! The conservation laws of the accounting, over generated traffic and over
//! every capture in `fixtures/`.
//!
//! | law | |
//! |---|---|
//! | 1 | layers, causes and owners of each frame add up to its length |
//! | 2 | connections and foreign frames are the whole capture |
//! | 3 | messages and fixed costs are the connection; so are loaded costs; so are up and down |
//! | 4 | topics, clients, QoS, each with the connections' own bytes, are the total |
//! | 5 | policies of sharing change no total |
//! | 6 | changing nothing costs as much as measured |
//! | 7 | snap length, tags, padding, file formats, splitting a file change what they should |
//! | 8 | frames of different connections at one time may come in any order |

use std::path::PathBuf;

use mqttdump::capture::{Capture, Item};
use mqttdump::engine::Config;
use mqttdump::facts::{self, Facts};
use mqttdump::frame::Direction::{Down, Up};
use mqttdump::overhead::{
    Account, Basis, Layer, Ledger, Options, Projection, Scenario, Share, Stage, Term,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::properties::{cases, conversations, repacketise, split};
use crate::support::files::Format;
use crate::support::program::{TempFile, project};
use crate::support::scene::merged;
use crate::support::stack::{self, Link, OwnedPacket, Stack};
use crate::support::wire::Wire;

/// Accounts for packets.
pub(crate) fn account_by(packets: &[OwnedPacket], share: Share) -> Account {
    let mut ledger = Ledger::new(Options {
        share,
        messages: u64::MAX,
        samples: true,
        ..Options::default()
    });
    let mut facts = Facts::new(Config::default(), facts::Options::default(), &ledger);
    for (number, packet) in (1..).zip(packets) {
        let captured = packet.captured(number);
        facts.push(&captured, &mut ledger);
    }
    facts.finish(&mut ledger);
    ledger.finish()
}

fn account(packets: &[OwnedPacket]) -> Account {
    account_by(packets, Share::Proportional)
}

/// Laws 1 to 4 and 6, of one account.
fn laws(account: &Account, bytes: u64) -> Result<(), String> {
    let same = |what: &str, a: u64, b: u64| match a == b {
        true => Ok(()),
        false => Err(format!("{what}: {a} is not {b}")),
    };
    let all = account.mqtt_bytes();
    same("2: all", account.all.l2, bytes)?;
    same(
        "2: connections and foreign",
        all + account.foreign.l2,
        bytes,
    )?;
    same("1: layers", account.layers.total(), all)?;
    let terms =
        Term::ALL.map(|term| account.terms.get(term, Up).l2 + account.terms.get(term, Down).l2);
    same("terms", terms.iter().sum(), all)?;
    let mut owned = 0;
    let mut sum = 0;
    for connection in &account.connections {
        let total = connection.bytes.up.l2 + connection.bytes.down.l2;
        let marginal: u64 = connection.messages.iter().map(|m| m.marginal()).sum();
        let loaded: u64 = connection.messages.iter().map(|m| m.loaded()).sum();
        same(
            "1: layers of a connection",
            connection.layers.total(),
            total,
        )?;
        same(
            "1: causes of a connection",
            connection.causes.total(),
            total,
        )?;
        same("3: marginal and fixed", marginal + connection.fixed, total)?;
        if connection.message_count > 0 {
            same("3: loaded", loaded, total)?;
        } else {
            same("3: unallocated", connection.fixed, total)?;
        }
        for message in &connection.messages {
            let causes = message.causes.iter().map(|(_, bytes)| bytes).sum();
            same("1: causes of a message", causes, message.marginal())?;
        }
        owned += connection.fixed;
        sum += total;
    }
    same("2: connections", sum, all)?;
    let topics: u64 = account.groups.values().map(|g| g.costs.marginal.sum).sum();
    let clients: u64 = account.clients.values().map(|c| c.marginal.sum).sum();
    let qos: u64 = (0..=3).map(|qos| account.of_qos(qos).marginal.sum).sum();
    same("4: topics", topics + owned, all)?;
    same("4: clients", clients + owned, all)?;
    same("4: QoS", qos + owned, all)?;

    let basis = Basis::of(account);
    let stage = Stage::new(account, &basis, Projection::default());
    let identity = stage.play(&Scenario::default()).bill.total();
    let measured = basis.measured().total();
    match identity == measured {
        true => Ok(()),
        false => Err(format!("6: {identity:?} is not {measured:?}")),
    }
}

fn length(packets: &[OwnedPacket]) -> u64 {
    packets
        .iter()
        .map(|packet| u64::from(packet.original_len))
        .sum()
}

/// Traffic in many segments, out of order, some sent again, some lost.
fn wires() -> impl Strategy<Value = Wire> {
    (
        conversations(),
        vec(any::<prop::sample::Index>(), 0..8),
        vec(any::<prop::sample::Index>(), 0..4),
        vec(0..6_u8, 0..40),
        vec(
            (
                any::<bool>(),
                any::<prop::sample::Index>(),
                any::<prop::sample::Index>(),
            ),
            0..4,
        ),
        vec(prop::bool::weighted(0.1), 100),
    )
        .prop_map(|(conversation, up, down, order, again, lost)| {
            let wire = split(split(Wire::new(&conversation), Up, &up), Down, &down);
            let wire = again.iter().fold(wire, |wire, (up, from, length)| {
                repacketise(wire, if *up { Up } else { Down }, from, length)
            });
            wire.lose(|i, _| lost.get(i) == Some(&true)).reorder(&order)
        })
}

proptest! {
    #![proptest_config(cases(120))]

    /// Laws 1 to 6 for every beginning of a capture, and so for every frame.
    #[test]
    fn everything_adds_up(
        wire in wires(),
        link in prop::sample::select(&Link::ALL[..]),
        layers in vec(prop::sample::select(&stack::Layer::ALL[..]), 0..3),
        fragment in prop::option::of((1..20_usize).prop_map(|n| n * 8)),
        pad: bool,
        v6: bool,
        upto in any::<prop::sample::Index>(),
    ) {
        let wire = if v6 { wire.over_ipv6() } else { wire };
        let stack = Stack { link, layers, fragment, pad, ..Stack::default() };
        let packets = wire.packets(&stack);
        let upto = upto.index(packets.len() + 1);
        let here = account(&packets[..upto]);
        prop_assert_eq!(laws(&here, length(&packets[..upto])), Ok(()));
        let whole = account(&packets);
        prop_assert_eq!(laws(&whole, length(&packets)), Ok(()));
        for share in Share::ALL {
            let other = account_by(&packets, share);
            prop_assert_eq!(laws(&other, length(&packets)), Ok(()));
            prop_assert_eq!(other.layers, whole.layers);
            for (a, b) in other.connections.iter().zip(&whole.connections) {
                prop_assert_eq!(a.bytes, b.bytes);
            }
        }
    }

    /// Nothing that a capture holds gets lost, whatever it is.
    #[test]
    fn damage_adds_up(
        wire in wires(),
        link in prop::sample::select(&Link::ALL[..]),
        layers in vec(prop::sample::select(&stack::Layer::ALL[..]), 0..3),
        fragment in prop::option::of((1..20_usize).prop_map(|n| n * 8)),
        damage in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..40),
    ) {
        let stack = Stack { link, layers, fragment, ..Stack::default() };
        let mut packets = wire.packets(&stack);
        prop_assume!(!packets.is_empty());
        for (packet, at, value) in damage {
            let index = packet.index(packets.len());
            let data = &mut packets[index].data;
            match value {
                0..8 if !data.is_empty() => data.truncate(at.index(data.len())),
                8..12 => data.extend([value; 3]),
                _ if !data.is_empty() => { let at = at.index(data.len()); data[at] = value; }
                _ => {}
            }
            let length = packets[index].data.len() as u32;
            packets[index].original_len = packets[index].original_len.max(length);
        }
        prop_assert_eq!(laws(&account(&packets), length(&packets)), Ok(()));
    }

    /// Law 7, for frames.
    #[test]
    fn carriers_change_only_their_own_bytes(wire in wires(), snap in 60..140_usize) {
        let packets = wire.packets(&Stack::default());
        let plain = account(&packets);

        let tagged = account(&wire.packets(&Stack::layers(&[stack::Layer::Vlan(5)])));
        for layer in Layer::ALL {
            let more = if layer == Layer::LinkVlan { 4 * tagged.all.packets } else { 0 };
            prop_assert_eq!(tagged.layers.get(layer), plain.layers.get(layer) + more, "{:?}", layer);
        }

        let padded = account(&wire.packets(&Stack { pad: true, ..Stack::default() }));
        for layer in Layer::ALL.into_iter().filter(|&layer| layer != Layer::LinkTrailer) {
            prop_assert_eq!(padded.layers.get(layer), plain.layers.get(layer), "{:?}", layer);
        }
        let shorts = packets.iter().map(|p| 60_u64.saturating_sub(p.original_len.into()));
        prop_assert_eq!(padded.layers.get(Layer::LinkTrailer), shorts.sum::<u64>());

        let snapped: Vec<_> = packets.iter().map(|p| p.clone().cut(snap)).collect();
        let snapped = account(&snapped);
        prop_assert_eq!(snapped.all, plain.all);
        prop_assert_eq!(laws(&snapped, length(&packets)), Ok(()));
        for layer in Layer::ALL.into_iter().filter(|layer| !layer.is_payload()) {
            prop_assert_eq!(snapped.layers.get(layer), plain.layers.get(layer), "{:?}", layer);
        }
    }

    /// Law 8: two conversations at the same times, in either order.
    #[test]
    fn equal_times_in_any_order(one in wires(), other in wires()) {
        let other = other.between("10.0.0.8:40123", "10.0.1.1:1883").starting_at([0x2000_0000, 0x6000_0000]);
        let stack = Stack::default();
        let mut together = merged(&[one.clone(), other.clone()], &stack);
        let times = together.clone();
        for (packet, like) in together.iter_mut().zip(&times) {
            // In steps of 10 ms many are equal.
            packet.time = like.time / 10_000_000 * 10_000_000;
        }
        let mut swapped = together.clone();
        let of = |packet: &OwnedPacket| packet.data[26..30].contains(&8) || packet.data[30..34].contains(&8);
        swapped.sort_by_key(|packet| (packet.time, of(packet)));
        let (a, b) = (account(&together), account(&swapped));
        prop_assert_eq!(a.layers, b.layers);
        prop_assert_eq!(a.causes, b.causes);
        prop_assert_eq!(a.terms, b.terms);
        let sorted = |account: &Account| {
            let mut all: Vec<_> = account.connections.iter().map(|c| (c.client.port, c.bytes, c.causes.total())).collect();
            all.sort_by_key(|c| c.0);
            all
        };
        prop_assert_eq!(sorted(&a), sorted(&b));
    }
}

/// The packets of a capture file.
pub(crate) fn packets_of(path: &std::path::Path) -> Option<Vec<OwnedPacket>> {
    let mut capture = Capture::open(path, 0).ok()?;
    let mut packets = Vec::new();
    loop {
        match capture.next() {
            Ok(Some(Item::Packet(packet))) => packets.push(OwnedPacket {
                link: packet.packet.link_type,
                time: packet.packet.time.nanos(),
                original_len: packet.packet.original_len,
                data: packet.packet.data.to_vec(),
            }),
            Ok(Some(_)) => {}
            Ok(None) => return Some(packets),
            // Complete packets still count.
            Err(_) => return Some(packets),
        }
    }
}

pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![project(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder)
            .expect("a folder of fixtures")
            .flatten()
        {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                folders.push(path);
            } else if [".pcap", ".pcapng", ".gz", ".zst", ".lz4", ".cap"]
                .iter()
                .any(|end| name.ends_with(end))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Laws 1 to 6 on every capture of the project.
#[test]
fn everything_adds_up_on_real_captures() {
    let mut wrong = Vec::new();
    let mut read = 0;
    for path in files("fixtures") {
        let Some(packets) = packets_of(&path) else {
            continue;
        };
        read += 1;
        let plain = account(&packets);
        if let Err(why) = laws(&plain, length(&packets)) {
            wrong.push(format!("{}: {why}", path.display()));
        }
        for share in Share::ALL {
            let other = account_by(&packets, share);
            if let Err(why) = laws(&other, length(&packets)) {
                wrong.push(format!("{}: {}: {why}", path.display(), share.name()));
            }
            if other.layers != plain.layers {
                wrong.push(format!("{}: 5: layers by {}", path.display(), share.name()));
            }
        }
    }
    assert!(read >= 150, "{read} captures");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Law 7, for files: written otherwise, or in two parts, the
/// accounts are the same.
#[test]
fn files_change_nothing() {
    use crate::support::program::run;

    for name in ["D1", "D2"] {
        let path = project(&format!("fixtures/overhead/{name}.pcap"));
        let packets = packets_of(&path).expect("a capture");
        let json = |files: &[&str]| {
            let parts = files.iter().flat_map(|file| ["-r", file]);
            let port = ["--decode", "18832=mqtt", "--decode", "18834=mqtt"];
            let args = ["overhead", "--format", "json"]
                .into_iter()
                .chain(parts)
                .chain(port);
            let text = run(&args.collect::<Vec<_>>()).clean();
            let mut value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
            let map = value.as_object_mut().expect("an object");
            map.remove("file");
            for connection in map["connections"].as_array_mut().expect("connections") {
                for message in connection["messages"].as_array_mut().expect("messages") {
                    // Counts within its file.
                    message
                        .as_object_mut()
                        .expect("a message")
                        .remove("first_frame");
                }
            }
            value
        };
        let path = path.to_str().expect("a path in UTF-8");
        let whole = json(&[path]);
        for format in [Format::ALL[0], Format::ALL[Format::ALL.len() - 1]] {
            let file = TempFile::new("otherwise", &format.write(&packets));
            assert_eq!(json(&[file.path()]), whole, "{name} as {format:?}");
        }
        let (first, second) = packets.split_at(packets.len() / 2);
        let first = TempFile::new("first.pcap", &Format::ALL[0].write(first));
        let second = TempFile::new("second.pcap", &Format::ALL[0].write(second));
        assert_eq!(
            json(&[first.path(), second.path()]),
            whole,
            "{name} in two parts"
        );
    }
}
