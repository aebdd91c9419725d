//! `shard`: the packets of captures, divided by flow or by client.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::program::{Folder, project, run};

/// Frames of captures, without what counts within a shard, in order of packets.
fn frames(args: &[&str]) -> Vec<String> {
    let run = run(&[args, &["--format", "ndjson", "--payload", "all"]].concat());
    let mut frames: Vec<_> = run.out.lines().map(without_numbers).collect();
    frames.sort();
    frames
}

fn without_numbers(line: &str) -> String {
    let mut object: Value = serde_json::from_str(line).expect("an object");
    let map = object.as_object_mut().expect("an object");
    // Connections are counted in each shard; a name of a file is given when there
    // are several.
    map.remove("connection");
    // A session whose connections are in several shards is put together by merging.
    map.remove("session_uid");
    map.remove("file");
    object.to_string()
}

/// Captures with IP fragments, tunnels, several link types, TLS with its keys, and
/// ordinary ones.
fn captures() -> Vec<PathBuf> {
    let mut all = Vec::new();
    for folder in [
        "captures",
        "transport",
        "encapsulations",
        "third-party",
        "sessions",
    ] {
        let folder = project("fixtures").join(folder);
        let entries = std::fs::read_dir(folder).expect("fixtures").flatten();
        all.extend(entries.map(|entry| entry.path()).filter(|path| {
            let kind = path.extension().and_then(|it| it.to_str());
            matches!(kind, Some("pcap" | "pcapng"))
        }));
    }
    all.sort();
    all
}

fn shards(folder: &Folder) -> Vec<String> {
    let names = folder.names().into_iter();
    let names = names.filter(|name| name.ends_with(".pcapng"));
    names.map(|name| folder.name(&name)).collect()
}

#[test]
fn the_shards_of_a_capture_have_its_frames() {
    for path in captures() {
        let path = path.to_str().expect("UTF-8");
        let by = ["flow", "session"][usize::from(path.len() % 4 == 0)];
        let folder = Folder::new();
        let made = run(&[
            "shard",
            "-o",
            &folder.name(""),
            "--shards",
            "3",
            "--by",
            by,
            path,
        ]);
        let whole = frames(&["-r", path]);
        let parts = shards(&folder);
        let mut all: Vec<_> = parts
            .iter()
            .flat_map(|part| frames(&["-r", part]))
            .collect();
        all.sort();
        assert_eq!(all, whole, "{path} {}", made.err);
    }
}

#[test]
fn shards_are_named_by_their_origin() {
    let folder = Folder::new();
    let files = [
        "fixtures/captures/bridge.pcap",
        "fixtures/captures/bytewise.pcap",
    ];
    let made = run(&[
        "shard",
        "-o",
        &folder.name(""),
        "--shards",
        "2",
        files[0],
        files[1],
    ]);
    assert_eq!(made.code, Some(0), "{}", made.err);
    let mut expected = BTreeMap::<String, u64>::new();
    let mut found = expected.clone();
    let read = |args: &[&str], into: &mut BTreeMap<String, u64>| {
        for line in run(&[args, &["--format", "ndjson"]].concat()).out.lines() {
            let frame: Value = serde_json::from_str(line).expect("an object");
            let at = format!("{} {} {}", frame["file"], frame["packet"], frame["time"]);
            *into.entry(at).or_default() += 1;
        }
    };
    read(&["-r", files[0], "-r", files[1]], &mut expected);
    shards(&folder)
        .iter()
        .for_each(|part| read(&["-r", part], &mut found));
    assert!(
        found
            .keys()
            .all(|at| at.starts_with("\"fixtures/captures/")),
        "{found:?}"
    );
    assert_eq!(found, expected);
}

#[test]
fn the_manifest_has_counts_and_checksums() {
    let folder = Folder::new();
    let file = "fixtures/captures/bridge.pcap";
    run(&["shard", "-o", &folder.name(""), "--shards", "3", file]).clean();
    let manifest = std::fs::read(folder.path("manifest.json")).expect("a manifest");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["files"][0]["name"], file);
    assert_eq!(manifest["files"][0]["packets"], manifest["packets"]);
    for part in manifest["shards"].as_array().expect("shards") {
        let path = folder.path(part["file"].as_str().expect("a name"));
        let size = std::fs::metadata(path).expect("the shard").len();
        assert_eq!(part["bytes"], size);
        assert_eq!(part["sha256"].as_str().map(str::len), Some(64));
    }
    let again = run(&["shard", "-o", &folder.name(""), file]);
    assert_eq!(again.code, Some(2));
    assert!(
        again.err.contains("there are shards already"),
        "{}",
        again.err
    );
}

#[test]
fn clients_stay_together_with_a_plan() {
    let folder = Folder::new();
    let file = "fixtures/captures/bridge.pcap";
    let plan = folder.name("plan.json");
    run(&["shard", "--by", "session", "--plan-out", &plan, file]).clean();
    let shards_in = folder.name("shards");
    run(&[
        "shard", "--by", "session", "--plan", &plan, "-o", &shards_in, "--shards", "5", file,
    ])
    .clean();
    let mut homes = BTreeMap::<String, Vec<usize>>::new();
    for number in 0..5 {
        let part = format!("{shards_in}/shard-{number:03}.pcapng");
        for line in run(&["-r", &part, "--format", "ndjson"]).out.lines() {
            let frame: Value = serde_json::from_str(line).expect("an object");
            if let Some(id) = frame["client_id"].as_str() {
                homes.entry(id.into()).or_default().push(number);
            }
        }
    }
    assert!(!homes.is_empty());
    for (id, mut places) in homes {
        places.dedup();
        assert_eq!(places.len(), 1, "{id}");
    }
}

#[test]
fn what_cannot_be_split_is_refused() {
    let folder = Folder::new();
    let to = folder.name("x");
    for (args, message) in [
        (
            &["-o", &to, "--shards", "0", "a.pcap"][..],
            "a number from 1 to 512",
        ),
        (&["-o", &to, "no-such-file.pcap"], "no-such-file.pcap"),
        (
            &["-o", &to, "--plan", "p", "fixtures/captures/cut.pcap"],
            "--plan needs --by session",
        ),
        (
            &[
                "-o",
                &to,
                "--by",
                "session",
                "--plan",
                "Cargo.toml",
                "fixtures/captures/cut.pcap",
            ],
            "not a plan",
        ),
        (&["-o", &to, "-i", "lo"], "shard reads files"),
        (&["fixtures/captures/cut.pcap"], "--output"),
    ] {
        let run = run(&[&["shard"], args].concat());
        assert_eq!(run.code, Some(2), "{args:?}");
        assert!(run.err.contains(message), "{args:?}: {}", run.err);
    }
}
