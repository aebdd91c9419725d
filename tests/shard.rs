//! `shard`: the packets of captures, divided by flow or by client; `shard_laws` has what
//! holds for all captures.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::program::{Folder, run};

fn shards(folder: &Folder) -> Vec<String> {
    let names = folder.names().into_iter();
    let names = names.filter(|name| name.ends_with(".pcapng"));
    names.map(|name| folder.name(&name)).collect()
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
        assert_eq!(part["xxh64"].as_str().map(str::len), Some(16));
    }
    let verified = run(&["merge", &folder.name("")]);
    assert_eq!(verified.code, Some(0), "{}", verified.err);
    assert!(
        verified.err.contains(" shards verified"),
        "{}",
        verified.err
    );
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

/// Checks each shard, and then all of them together.
fn check_together(
    folder: &Folder,
    count: usize,
    path: &str,
    left_out: Option<usize>,
) -> (crate::support::program::Run, String) {
    let to = folder.name("shards");
    run(&["shard", "-o", &to, "--shards", &count.to_string(), path]);
    let mut args: Vec<String> = [
        "check",
        "--format",
        "json",
        "--fail-on",
        "never",
        "--allow-empty",
    ]
    .map(Into::into)
    .to_vec();
    let base = args.clone();
    for number in (0..count).filter(|number| Some(*number) != left_out) {
        let (part, facts) = (
            format!("{to}/shard-{number:03}.pcapng"),
            format!("{to}/{number}.facts"),
        );
        let mut one = base.clone();
        one.extend(["--facts-out".into(), facts.clone(), part]);
        let one: Vec<&str> = one.iter().map(String::as_str).collect();
        run(&one);
        args.push(facts);
    }
    // In another order.
    args[6..].reverse();
    let all: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut whole: Vec<&str> = base.iter().map(String::as_str).collect();
    whole.push(path);
    (run(&all), run(&whole).out)
}

#[test]
fn a_lost_shard_is_noticed() {
    let folder = Folder::new();
    let (merged, whole) = check_together(&folder, 3, "fixtures/captures/bridge.pcap", Some(1));
    assert_eq!(merged.code, Some(2));
    assert!(merged.err.contains("shard-001 of 3"), "{}", merged.err);
    let report: Value = serde_json::from_str(&merged.out).expect("JSON");
    let whole: Value = serde_json::from_str(&whole).expect("JSON");
    assert_eq!(report["summary"]["complete"], false);
    for finding in report["findings"].as_array().expect("findings") {
        let known = whole["findings"]
            .as_array()
            .expect("findings")
            .iter()
            .any(|it| it["rule"] == finding["rule"]);
        assert!(
            finding["verdict"] == "cannot_tell" || finding["verdict"] == "note" || known,
            "{finding}"
        );
    }
}

/// A session line has a key `findings`, as a report of check has, which is refused.
#[test]
fn lists_of_sessions_are_merged() {
    let folder = Folder::new();
    let save = |name: &str, args: &[&str]| folder.write(name, run(args).out.as_bytes());
    let list = |capture| {
        save(
            capture,
            &[
                "sessions",
                "--format",
                "ndjson",
                &format!("fixtures/captures/{capture}"),
            ],
        )
    };
    let (one, other) = (list("bridge.pcap"), list("aedes-mqttjs-3.1.1.pcap"));
    let merged = run(&["merge", &one, &other]).clean();
    let count = |path: &String| {
        std::fs::read_to_string(path)
            .expect("a list")
            .lines()
            .count()
    };
    assert!(count(&one) > 0 && count(&other) > 0);
    assert_eq!(merged.lines().count(), count(&one) + count(&other));
    assert_eq!(run(&["merge", &other, &one]).clean(), merged);
    let report = save(
        "report.json",
        &["check", "--format", "json", "fixtures/captures/bridge.pcap"],
    );
    let refused = run(&["merge", &report]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused.err.contains("merge files of check --facts-out"),
        "{}",
        refused.err
    );
}

/// A format that would have no effect, or that does not exist, is refused.
#[test]
fn merge_has_the_formats_of_check_for_its_records() {
    let folder = Folder::new();
    let args = [
        "sessions",
        "--format",
        "ndjson",
        "fixtures/captures/bridge.pcap",
    ];
    let list = folder.write("list", run(&args).out.as_bytes());
    for (format, message) in [("bogus", "possible values: text"), ("json", "--facts-out")] {
        let refused = run(&["merge", "--format", format, &list]);
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
        assert!(refused.err.contains(message), "{}", refused.err);
    }
    let help = run(&["merge", "--help"]).clean();
    assert!(help.contains("junit"), "{help}");
}
