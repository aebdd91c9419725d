//! Laws of shards, on the program: for recorded and generated captures, any number of
//! shards, any cut of the capture into files, in any order of these.
//!
//! | law | |
//! |---|---|
//! | 1 | the frames of all shards are those of the capture, with their identities |
//! | 2 | the findings and deliveries of all shards, merged or read together, are those of the capture |
//! | 3 | the accounts of all shards add up to that of the capture, exactly |
//! | 4 | merging is associative and commutative |
//! | 5 | without a shard, nothing is found that the capture does not have, and nothing is ok |
//!
//! `MQTTDUMP_CUTS=1 cargo test shard_laws` takes every fixture, and
//! `PROPTEST_CASES` so many generated captures.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use crate::properties::{cases, conversations};
use crate::support::files::Format;
use crate::support::program::{Folder, Run, project, run};
use crate::support::recorded::{Recorded, captures};
use crate::support::scene::merged;
use crate::support::stack::{Layer, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

/// How a capture is divided.
#[derive(Debug)]
struct Division {
    shards: usize,
    by: &'static str,
    /// The files of the capture, in order of time.
    files: Vec<String>,
    /// How far the order of files is turned.
    turn: usize,
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// Runs with these files as parts of one capture.
fn run_on(args: &[&str], files: &[String]) -> Run {
    let mut args = args.to_vec();
    files.iter().for_each(|file| args.extend(["-r", file]));
    run(&args)
}

fn merge(files: &[String]) -> Run {
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    run(&[&["merge"], &files[..]].concat())
}

/// Frames and events without what counts within a shard. Packets that the capture lost may
/// be of any connection: each shard reports all of them.
fn without(text: &str, keys: &[&str]) -> Vec<String> {
    let line = |line: &str| {
        let mut object = json(line);
        for key in keys {
            object.as_object_mut().expect("an object").remove(*key);
        }
        object.to_string()
    };
    let of_shard = text.lines().filter(|line| json(line)["event"] != "dropped");
    let mut lines: Vec<String> = of_shard.map(line).collect();
    lines.sort();
    lines
}

impl Division {
    /// Checks all laws.
    fn obeys(&self) -> Result<(), String> {
        let folder = Folder::new();
        let to = folder.name("shards");
        let shards = self.shards.to_string();
        let mut args = vec!["shard", "-o", &to, "--shards", &shards, "--by", self.by];
        let at = self.turn % self.files.len();
        let turned = self.files[at..].iter().chain(&self.files[..at]);
        args.extend(turned.map(String::as_str));
        let split = run(&args);
        let names = (0..self.shards).map(|number| format!("{to}/shard-{number:03}.pcapng"));
        let parts: Vec<String> = names.collect();
        self.frames(&parts)
            .map_err(|why| format!("{why} {}", split.err))?;
        self.findings(&folder, &parts)?;
        self.accounts(&folder, &parts)
    }

    /// Law 1.
    fn frames(&self, parts: &[String]) -> Result<(), String> {
        // Connections are counted in each shard. A session may have begun in another
        // one, unless all of a client are in one. The name of the file is left out where
        // there is only one.
        let mut keys = vec!["connection"];
        if self.files.len() == 1 {
            keys.push("file");
        }
        if self.by == "flow" {
            keys.push("session_uid");
        }
        let args = ["--format", "ndjson", "--payload", "all"];
        let whole = without(&run_on(&args, &self.files).out, &keys);
        let mut all = Vec::new();
        for part in parts {
            all.extend(without(
                &run_on(&args, std::slice::from_ref(part)).out,
                &keys,
            ));
        }
        all.sort();
        same("frames", &all, &whole)
    }

    /// Laws 2 and 5.
    fn findings(&self, folder: &Folder, parts: &[String]) -> Result<(), String> {
        let check = [
            "check",
            "--format",
            "json",
            "--fail-on",
            "never",
            "--allow-empty",
        ];
        let mut facts = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            let to = folder.name(&format!("{number}.facts"));
            run_on(
                &[&check[..], &["--facts-out", &to]].concat(),
                std::slice::from_ref(part),
            );
            facts.push(to);
        }
        let all = |facts: &[String]| {
            let facts: Vec<&str> = facts.iter().map(String::as_str).collect();
            run(&[&check[..], &facts].concat())
        };
        let whole = report(&run_on(&check, &self.files));
        let at = (self.turn + 1) % facts.len();
        facts.rotate_left(at);
        same("findings", &report(&all(&facts)), &whole)?;
        let together = report(&run_on(&check, parts));
        same("findings of shards read together", &together, &whole)?;
        let deliveries = [
            "sessions",
            "--deliveries",
            "--format",
            "ndjson",
            "--allow-empty",
        ];
        let of_facts: Vec<&str> = facts.iter().map(String::as_str).collect();
        let of_facts = run(&[&deliveries[..], &of_facts].concat());
        let of_capture = run_on(&deliveries, &self.files);
        same("deliveries", &of_facts.out, &of_capture.out)?;
        if facts.len() == 1 {
            return Ok(());
        }
        let lost = facts.remove(self.turn % facts.len());
        let rest = all(&facts);
        let list = accusations(&report(&rest));
        let expected = accusations(&whole);
        if rest.code != Some(2) || !rest.err.contains("is missing") {
            return Err(format!("without {lost}: {:?} {}", rest.code, rest.err));
        }
        match list.iter().find(|it| !expected.contains(it)) {
            Some(more) => Err(format!("without {lost}: {more} {expected:?}")),
            None => Ok(()),
        }
    }

    /// Laws 3 and 4.
    fn accounts(&self, folder: &Folder, parts: &[String]) -> Result<(), String> {
        for (name, args) in [
            ("overhead", &["overhead", "--format", "json"][..]),
            ("stats", &["stats", "--format", "ndjson", "--allow-empty"]),
            (
                "sessions",
                &["sessions", "--format", "ndjson", "--allow-empty"],
            ),
        ] {
            let save =
                |what: &str, run: Run| folder.write(&format!("{what}.{name}"), run.out.as_bytes());
            let each = parts.iter().enumerate().map(|(number, part)| {
                save(
                    &number.to_string(),
                    run_on(args, std::slice::from_ref(part)),
                )
            });
            let each: Vec<String> = each.collect();
            let all = merge(&each);
            let mut back = each.clone();
            back.reverse();
            back.rotate_left(self.turn % each.len());
            same(
                &format!("{name} in another order"),
                &merge(&back).out,
                &all.out,
            )?;
            if each.len() > 1 && !all.out.is_empty() {
                let (some, others) = each.split_at(1 + self.turn % (each.len() - 1));
                let steps = [some, others].map(merge);
                // Nothing is in these shards.
                if steps.iter().all(|step| !step.out.is_empty()) {
                    let [a, b] = steps;
                    let steps = [save("a", a), save("b", b)];
                    same(
                        &format!("{name} in two steps"),
                        &merge(&steps).out,
                        &all.out,
                    )?;
                }
            }
            if name == "overhead" {
                let whole = save("whole", run_on(args, &self.files));
                let whole = json(&merge(&[whole]).out);
                same(name, &account(json(&all.out)), &account(whole))?;
            }
        }
        Ok(())
    }
}

/// A report of `check`. Damage is described by each reader.
fn report(run: &Run) -> Value {
    let mut report = json(&run.out);
    if let Some(summary) = report["summary"].as_object_mut() {
        summary.remove("errors");
        summary.remove("complete");
    }
    report
}

/// Without what counts within a shard.
fn account(mut account: Value) -> Value {
    if let Some(object) = account.as_object_mut() {
        object.remove("files");
    }
    for connection in account["connections"].as_array_mut().into_iter().flatten() {
        if let Some(object) = connection.as_object_mut() {
            object.remove("id");
            object.remove("derived");
        }
    }
    account
}

/// Violations and warnings.
fn accusations(report: &Value) -> Vec<String> {
    let all = report["findings"].as_array().into_iter().flatten();
    let sure = all.filter(|it| it["verdict"] == "violation" || it["verdict"] == "warning");
    let what = |finding: &Value| {
        let parts = ["rule", "connection_uid", "by", "verdict"].map(|key| finding[key].to_string());
        parts.join(" ")
    };
    sure.map(what).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: found\n{found:?}\nexpected\n{expected:?}")),
    }
}

#[test]
fn recorded_captures_obey() {
    let every = std::env::var_os("MQTTDUMP_CUTS").is_some();
    let (mut wrong, mut obeyed) = (Vec::new(), 0);
    for (turn, path) in captures().iter().enumerate() {
        // Bigger ones take long, and have nothing that others do not have.
        let Some(recorded) = Recorded::read(path).filter(|it| it.len() < 1000) else {
            continue;
        };
        if !every && turn % 12 != 3 {
            continue;
        }
        let folder = Folder::new();
        let cuts = (1..recorded.len()).filter(|cut| recorded.is_later_at(*cut));
        let cuts: Vec<usize> = cuts.collect();
        let step = cuts.len() / (1 + turn % 3) + 1;
        let cuts: Vec<usize> = cuts.into_iter().skip(step / 2).step_by(step).collect();
        let division = Division {
            shards: [2, 3, 5, 1, 16][turn % 5],
            by: ["flow", "session"][turn / 12 % 2],
            files: recorded.cut(&cuts, &folder),
            turn,
        };
        match division.obeys() {
            Ok(()) => obeyed += 1,
            Err(why) => wrong.push(format!("{} {division:?}: {why}", path.display())),
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n\n"));
    assert!(obeyed > 20, "{obeyed}");
}

/// Every shard has marks of the clock: those of a shard that ends early are no reason to
/// end the connections of the others. The capture has clients that reconnect, and others
/// that go on.
#[test]
fn marks_of_the_clock_wait_for_the_packets_of_all_shards() {
    let capture = project("fixtures/market/aedes-paho-4.pcap");
    let files = [capture.display().to_string()];
    let folder = Folder::new();
    let to = folder.name("shards");
    run_on(&["shard", "-o", &to, "--shards", "4"], &files);
    let parts: Vec<String> = (0..4)
        .map(|number| format!("{to}/shard-{number:03}.pcapng"))
        .collect();
    let check = ["check", "--format", "json", "--fail-on", "never"];
    let found = report(&run_on(&check, &parts));
    let whole = report(&run_on(&check, &files));
    same("findings of shards read together", &found, &whole).expect("the same");
}

/// Only the first fragment inside a tunnel has the ports of its connection; the ports of
/// the tunnel are those of all connections.
#[test]
fn fragments_inside_a_tunnel_stay_with_their_connection() {
    let text = "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=a/b qos=1 id=1 payload_size=300\n< PUBACK id=1";
    let wires = (1..7).map(|number: u32| {
        Wire::new(&Conversation::new(text))
            .between(&format!("10.0.0.{number}:4{number}000"), "10.0.1.1:1883")
            .starting_at([0x1000_0000 * number, 0x0800_0000 * number])
    });
    let stack = Stack {
        layers: vec![Layer::Vxlan],
        fragment: Some(120),
        ..Stack::default()
    };
    let packets = merged(&wires.collect::<Vec<_>>(), &stack);
    let folder = Folder::new();
    let file = Format::Pcap {
        nano: false,
        big: false,
    }
    .write(&packets);
    let division = Division {
        shards: 5,
        by: "flow",
        files: vec![folder.write("a.pcap", &file)],
        turn: 0,
    };
    assert_eq!(division.obeys(), Ok(()));
}

proptest! {
    #![proptest_config(cases(6))]

    #[test]
    fn generated_captures_obey(
        conversations in vec((conversations(), 0..3_000_u64), 2..6),
        layers in vec(prop::sample::select(&[Layer::Gre, Layer::IpIp, Layer::Vxlan][..]), 0..2),
        fragment in prop::option::of((1..20_usize).prop_map(|n| n * 8)),
        shards in 1..7_usize,
        by in prop::sample::select(&["flow", "session"][..]),
        cuts in vec(any::<prop::sample::Index>(), 0..3),
        turn: usize,
    ) {
        let wires = conversations.iter().zip(1..).map(|((conversation, after), number)| {
            Wire::new(conversation)
                .between(&format!("10.0.0.{number}:4{number}000"), "10.0.1.1:1883")
                .starting_at([0x1000_0000 * number, 0x0800_0000 * number])
                .after(Duration::from_millis(*after))
        });
        let wires: Vec<Wire> = wires.collect();
        let packets = merged(&wires, &Stack { layers, fragment, ..Stack::default() });
        let folder = Folder::new();
        let path = folder.write("a.pcap", &Format::Pcap { nano: false, big: false }.write(&packets));
        let recorded = Recorded::read(path.as_ref()).expect("packets");
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(recorded.len())).collect();
        cuts.retain(|cut| *cut > 0 && recorded.is_later_at(*cut));
        cuts.sort_unstable();
        cuts.dedup();
        let division = Division { shards, by, files: recorded.cut(&cuts, &folder), turn: turn % 100 };
        prop_assert_eq!(division.obeys(), Ok(()));
    }
}
