//! `--state-in` and `--state-out`: a capture in several files, read one by one.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::support::program::{Folder, project, run};
use crate::support::recorded::{Recorded, captures};

const REPORTS: [&[&str]; 3] = [
    &[
        "check",
        "--format",
        "json",
        "--fail-on",
        "never",
        "--allow-empty",
    ],
    &["overhead", "--format", "json"],
    &["sessions", "--format", "ndjson"],
];
const READING: &[&str] = &["--format", "ndjson"];

/// Names of files are printed where there are several.
fn without_files(lines: &str) -> String {
    let line = |line: &str| {
        let mut object: serde_json::Value = serde_json::from_str(line).expect("an object");
        object.as_object_mut().expect("an object").remove("file");
        format!("{object}\n")
    };
    lines.lines().map(line).collect()
}

/// Compares a capture in two files with both at once.
fn compare(recorded: &Recorded, cut: usize, jobs: &[&[&str]]) {
    let folder = Folder::new();
    let parts = recorded.cut(&[cut], &folder);
    let (a, b) = (&parts[0], &parts[1]);
    let state = folder.name("state");
    for (turn, job) in jobs.iter().enumerate() {
        // The state is that of the packets, whatever the command.
        let first = match turn == 0 || *job == READING {
            true => run(&[job, &["-r", a, "--state-out", &state][..]].concat()).out,
            false => String::new(),
        };
        let second = run(&[job, &["-r", b, "--state-in", &state][..]].concat());
        let whole = run(&[job, &["-r", a, "-r", b][..]].concat());
        let (found, expected) = match *job == READING {
            false => (second.out, whole.out),
            true => (
                without_files(&(first + &second.out)),
                without_files(&whole.out),
            ),
        };
        let name = recorded.name();
        assert_eq!(found, expected, "{name} {cut} {job:?} {}", second.err);
    }
}

/// Several fixtures at once.
fn each(captures: &[(usize, Recorded)], compare: impl Fn(usize, &Recorded) + Sync) {
    let threads = std::thread::available_parallelism().map_or(1, |it| it.get());
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((turn, recorded)) = captures.get(next.fetch_add(1, Relaxed)) {
                    compare(*turn, recorded);
                }
            });
        }
    });
}

/// One cut in every eighth fixture; `MQTTDUMP_CUTS=1 cargo test rotation` cuts every
/// fixture at every packet.
#[test]
fn a_capture_in_two_files_is_one_capture() {
    let every = std::env::var_os("MQTTDUMP_CUTS").is_some();
    let all = captures();
    assert!(all.len() > 600, "{}", all.len());
    let chosen = (0..).zip(&all).filter(|(turn, _)| every || turn % 8 == 0);
    // Counters of lost packets are not handed over.
    let read = chosen.filter_map(|(turn, path)| {
        let recorded = Recorded::read(path).filter(|it| !it.is_lossy())?;
        Some((turn, recorded))
    });
    let chosen: Vec<(usize, Recorded)> = read.collect();
    let jobs = [REPORTS[0], REPORTS[1], REPORTS[2], READING];
    let cuts = AtomicUsize::new(0);
    each(&chosen, |turn, recorded| {
        let in_order = (1..recorded.len()).filter(|cut| recorded.is_in_order_at(*cut));
        let in_order: Vec<usize> = in_order.collect();
        if every {
            in_order
                .iter()
                .for_each(|cut| compare(recorded, *cut, &jobs));
            cuts.fetch_add(in_order.len(), Relaxed);
        } else if let Some(cut) = in_order.get(turn * 7 % in_order.len().max(1)) {
            compare(recorded, *cut, &[jobs[turn / 8 % jobs.len()]]);
            cuts.fetch_add(1, Relaxed);
        }
    });
    let cuts = cuts.into_inner();
    eprintln!("{cuts} cuts of {} captures", chosen.len());
    assert!(cuts > 60, "{cuts}");
}

/// Hands the state over from each file to the next. The lines of all of them are those of
/// the whole, and so is each report at the end.
fn chain(recorded: &Recorded, cuts: &[usize]) {
    let folder = Folder::new();
    let parts = recorded.cut(cuts, &folder);
    let state = |turn: usize| folder.name(&format!("state-{turn}"));
    let whole = |job: &[&str]| {
        let files = parts.iter().flat_map(|part| ["-r", part]);
        run(&job.iter().copied().chain(files).collect::<Vec<_>>()).out
    };
    let mut lines = String::new();
    for (turn, part) in parts.iter().enumerate() {
        let (old, new) = (state(turn), state(turn + 1));
        let mut args = vec!["-r", part];
        // What is open at the end of the last file is reported.
        if turn + 1 < parts.len() {
            args.extend(["--state-out", &new]);
        }
        if turn > 0 {
            args.extend(["--state-in", &old]);
        }
        lines += &run(&[READING, &args].concat()).out;
        if turn > 1 {
            drop(std::fs::remove_file(state(turn - 1)));
        }
        if turn + 1 == parts.len() && turn > 0 {
            for job in REPORTS {
                let last = run(&[job, &["-r", part, "--state-in", &old]].concat());
                assert_eq!(
                    last.out,
                    whole(job),
                    "{} {job:?} {}",
                    recorded.name(),
                    last.err
                );
            }
        }
    }
    let name = recorded.name();
    assert_eq!(
        without_files(&lines),
        without_files(&whole(READING)),
        "{name}"
    );
}

/// One in forty fixtures; `MQTTDUMP_CUTS=1 cargo test rotation` takes all of them.
#[test]
fn a_file_for_each_packet_is_one_capture() {
    let every = std::env::var_os("MQTTDUMP_CUTS").is_some();
    let all = captures();
    let chosen = (0..).zip(&all).filter(|(turn, _)| every || turn % 40 == 3);
    let read = chosen.filter_map(|(turn, path)| {
        let recorded = Recorded::read(path).filter(|it| !it.is_lossy())?;
        (every || recorded.len() < 40).then_some((turn, recorded))
    });
    let chosen: Vec<(usize, Recorded)> = read.collect();
    let packets = AtomicUsize::new(0);
    each(&chosen, |_, recorded| {
        let cuts = (1..recorded.len()).filter(|cut| recorded.is_in_order_at(*cut));
        let cuts: Vec<usize> = cuts.collect();
        packets.fetch_add(cuts.len(), Relaxed);
        chain(recorded, &cuts);
    });
    let packets = packets.into_inner();
    eprintln!("{packets} cuts of {} captures", chosen.len());
    assert!(packets > 60, "{packets}");
}

#[test]
fn a_chain_of_files_is_one_capture() {
    let path = project("fixtures/captures/bridge.pcap");
    let recorded = Recorded::read(&path).expect("a capture");
    let step = recorded.len().div_ceil(7);
    let cuts: Vec<usize> = (step..recorded.len()).step_by(step).collect();
    chain(&recorded, &cuts);
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = Folder::new();
    let (early, late) = (
        "fixtures/captures/fusesource-qos0.pcap",
        "fixtures/captures/bridge.pcap",
    );
    let state = folder.name("state");
    run(&["check", "--fail-on", "never", "--state-out", &state, late]);
    for (args, message) in [
        (
            &["check", "--state-in", &state, early][..],
            "older than the end of the state",
        ),
        (
            &["check", "--state-in", early, late],
            "expected a file that --state-out wrote",
        ),
        (
            &["check", "--state-in", "no-such-file", late],
            "no-such-file",
        ),
        (&["check", "--state-in", &state, early, late], "one capture"),
        (
            &["check", "--state-limit", "1M", early],
            "needs --state-out",
        ),
        (
            &["check", "--state-out", "x", "--state-limit", "1X", early],
            "a size such as",
        ),
        (
            &["check", "--state-out", "/nonexistent/x", early],
            "--state-out /nonexistent/x",
        ),
        (
            &["--state-out", "/nonexistent/x", "-r", early],
            "--state-out /nonexistent/x",
        ),
        (
            &["shard", "-o", &state, "--state-in", &state, early],
            "all parts of a capture",
        ),
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{args:?} {}", run.err);
        assert!(run.err.contains(message), "{args:?} {}", run.err);
        assert_eq!(run.out, "", "{args:?}");
    }
}

/// A state whose file lost its end, with or without a part of a packet, is no state.
#[test]
fn a_state_that_was_cut_off_is_refused() {
    let folder = Folder::new();
    let capture = "fixtures/captures/bridge.pcap";
    let state = folder.name("state");
    let written = run(&[
        "check",
        "--fail-on",
        "never",
        "--state-out",
        &state,
        capture,
    ]);
    assert_eq!(written.code, Some(0), "{}", written.err);
    let whole = std::fs::read(&state).expect("a state");
    let mut blocks = vec![0];
    while let Some(block) = whole
        .get(blocks[blocks.len() - 1]..)
        .filter(|it| !it.is_empty())
    {
        let length: [u8; 4] = block[4..8].try_into().expect("a length");
        blocks.push(blocks[blocks.len() - 1] + u32::from_le_bytes(length) as usize);
    }
    let last = blocks[blocks.len() - 2];
    for length in [last, last + 5, whole.len() - 1] {
        std::fs::write(&state, &whole[..length]).expect("room");
        let next = run(&["check", "--state-in", &state, capture]);
        assert_eq!(next.code, Some(2), "{length}: {}", next.err);
        assert!(next.err.contains("--state-in"), "{length}: {}", next.err);
        assert_eq!(next.out, "", "{length}");
    }
    std::fs::write(&state, &whole).expect("room");
    let next = run(&["check", "--fail-on", "never", "--state-in", &state, capture]);
    assert!(!next.err.contains("cut off"), "{}", next.err);
}

/// Reports about all files cannot say that these are in order, and that is so in every
/// later run.
#[test]
fn a_full_state_drops_idle_connections_and_reports_it() {
    let folder = Folder::new();
    let recorded = Recorded::read(&project("fixtures/captures/bridge.pcap")).expect("a capture");
    let first = recorded.len() - 8;
    let parts = recorded.cut(&[first, first + 4], &folder);
    let (one, two) = (folder.name("one"), folder.name("two"));
    let check = &[
        "check",
        "--fail-on",
        "never",
        "--allow-empty",
        "--format",
        "json",
        "-r",
    ];
    let limited = |state| ["--state-out", state, "--state-limit", "100"];
    let full = run(&[&check[..], &[&parts[0]], &limited(&one)].concat());
    assert_eq!(full.code, Some(0), "{}", full.err);
    // Two connections, each dropped many times.
    let dropped = format!("--state-limit: dropped {first} packets of 2 connections");
    assert!(full.err.contains(&dropped), "{}", full.err);
    let size = std::fs::metadata(&one).expect("a state").len();
    assert!(size < 1024, "{size}");
    let next = run(&[
        &check[..],
        &[&parts[1], "--state-in", &one, "--state-out", &two],
    ]
    .concat());
    let last = run(&[&check[..], &[&parts[2], "--state-in", &two]].concat());
    for run in [next, last] {
        assert_eq!(run.code, Some(2), "{}", run.err);
        let missing = format!("{first} packets are missing");
        assert!(run.err.contains(&missing), "{}", run.err);
        let report: serde_json::Value = serde_json::from_str(&run.out).expect("JSON");
        assert_eq!(report["summary"]["complete"], false);
    }
}
