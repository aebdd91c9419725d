//! Several connections in one transcript, for tests of sessions and of several
//! clients.
//!
//! ```text
//! > CONNECT client=a            the first connection
//! < CONNACK
//! ! connection 2                from here on, another
//! > CONNECT client=b
//! < CONNACK
//! ! connection 1                back to the first
//! > PUBLISH topic=t
//! ```
//!
//! Everything happens in the order of the lines: while one connection goes on,
//! time passes on the others. A connection opens at its first line, and closes
//! at the end, or by `! fin` and `! reset` before.

use std::collections::BTreeMap;
use std::time::Duration;

use super::stack::{OwnedPacket, Stack};
use super::transcript::Conversation;
use super::wire::Wire;

/// One connection of a scene.
struct Line {
    /// Milliseconds before its first line.
    start: u64,
    text: String,
}

/// The connections of a scene, in the order of their first lines.
#[track_caller]
pub fn wires(text: &str) -> Vec<Wire> {
    match try_wires(text) {
        Ok(wires) => wires,
        Err(message) => panic!("{message}"),
    }
}

fn try_wires(text: &str) -> Result<Vec<Wire>, String> {
    let mut lines: BTreeMap<u32, Line> = BTreeMap::new();
    let mut order = Vec::new();
    let (mut current, mut clock) = (1, 0_u64);
    for line in text.lines().map(str::trim) {
        if let Some(number) = line.strip_prefix("! connection ") {
            current = number.trim().parse().expect("! connection NUMBER");
            continue;
        }
        let begins = !lines.contains_key(&current);
        let Some(millis) = cost(line) else {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // Of no duration.
            let own = lines.entry(current).or_insert_with(|| {
                order.push(current);
                Line {
                    start: clock,
                    text: String::new(),
                }
            });
            own.text.push_str(line);
            own.text.push('\n');
            continue;
        };
        let millis = if begins { millis + 3 } else { millis };
        for (number, other) in &mut lines {
            if *number != current {
                other.text.push_str(&format!("! wait {millis}ms\n"));
            }
        }
        let own = lines.entry(current).or_insert_with(|| {
            order.push(current);
            Line {
                start: clock,
                text: String::new(),
            }
        });
        own.text.push_str(line);
        own.text.push('\n');
        clock += millis;
    }
    order
        .iter()
        .map(|number| {
            let line = &lines[number];
            let port = 40_121 + number;
            let wire = Wire::new(&Conversation::parse(&line.text)?)
                .between(&format!("10.0.0.7:{port}"), "10.0.1.1:1883")
                .after(Duration::from_millis(line.start));
            Ok(wire)
        })
        .collect()
}

/// How long a line takes, in milliseconds; `None` for one that takes no time.
fn cost(line: &str) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words.as_slice() {
        [">" | "<", ..] => Some(2),
        ["!", "gap", _, ">" | "<"] => Some(2),
        // It is inserted when the next line names the direction; close enough.
        ["!", "gap", _] => Some(2),
        ["!", "wait", time] => {
            let digits = time.trim_end_matches(char::is_alphabetic);
            let number: u64 = digits.parse().ok()?;
            Some(match &time[digits.len()..] {
                "ms" => number,
                "s" => number * 1_000,
                "m" => number * 60_000,
                _ => number * 3_600_000,
            })
        }
        ["!", "websocket", ..] => Some(4),
        ["!", "fin" | "reset", _] => Some(1),
        _ => None,
    }
}

/// The packets of several connections, in the order of time.
pub fn merged(wires: &[Wire], stack: &Stack) -> Vec<OwnedPacket> {
    let mut packets: Vec<OwnedPacket> = wires.iter().flat_map(|wire| wire.packets(stack)).collect();
    packets.sort_by_key(|packet| packet.time);
    packets
}

/// The packets of a scene.
#[track_caller]
pub fn scene(text: &str) -> Vec<OwnedPacket> {
    merged(&wires(text), &Stack::default())
}

/// The packets of a scene in another version, unless it has fields that this version
/// does not have.
pub fn scene_in(version: &str, text: &str) -> Option<Vec<OwnedPacket>> {
    let mut transcript = String::new();
    for line in text.lines() {
        if line.starts_with("! version") {
            transcript += &format!("! version {version}\n");
        } else if line.contains(" CONNECT") {
            for word in line.split(' ').filter(|w| !w.starts_with("version=")) {
                transcript += &format!("{word} ");
            }
            transcript += &format!("version={version}\n");
        } else {
            transcript += &format!("{line}\n");
        }
    }
    let wires = try_wires(&transcript).ok()?;
    Some(merged(&wires, &Stack::default()))
}
