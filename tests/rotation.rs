//! `--state-in` and `--state-out`: a capture in several files, read one by one.

use std::path::PathBuf;

use crate::support::program::{Folder, project, run};

/// A pcap file, cut into records.
struct Pcap {
    header: Vec<u8>,
    records: Vec<Vec<u8>>,
}

impl Pcap {
    /// `None` for other formats, and for damaged files.
    fn read(path: &PathBuf) -> Option<Self> {
        let bytes = std::fs::read(path).ok()?;
        let (header, mut rest) = bytes.split_at_checked(24)?;
        if !matches!(
            header[..4],
            [0xd4, 0xc3, 0xb2, 0xa1] | [0x4d, 0x3c, 0xb2, 0xa1]
        ) {
            return None;
        }
        let mut records = Vec::new();
        while !rest.is_empty() {
            let length = u32::from_le_bytes(rest.get(8..12)?.try_into().ok()?) as usize;
            let (record, others) = rest.split_at_checked(16 + length)?;
            records.push(record.to_vec());
            rest = others;
        }
        Some(Self {
            header: header.to_vec(),
            records,
        })
    }

    fn part(&self, from: usize, to: usize) -> Vec<u8> {
        let records = self.records[from..to].iter().flatten().copied();
        self.header.iter().copied().chain(records).collect()
    }

    fn time(&self, at: usize) -> (u32, u32) {
        let field = |at: usize, from: usize| {
            let bytes = self.records[at][from..from + 4].try_into();
            u32::from_le_bytes(bytes.expect("four bytes"))
        };
        (field(at, 0), field(at, 4))
    }

    /// Whether reading both parts by time is reading one after the other.
    fn is_in_order_at(&self, cut: usize) -> bool {
        let before = (0..cut).map(|at| self.time(at)).max();
        cut == self.records.len() || before <= Some(self.time(cut))
    }
}

/// Small captures of conversations.
fn captures() -> Vec<PathBuf> {
    let mut all = Vec::new();
    for folder in [
        "captures",
        "transport",
        "sessions",
        "verdicts",
        "violations",
    ] {
        let entries = std::fs::read_dir(project("fixtures").join(folder)).expect("fixtures");
        all.extend(entries.flatten().map(|entry| entry.path()).filter(|path| {
            let size = path.metadata().map_or(0, |it| it.len());
            path.extension().is_some_and(|it| it == "pcap") && size < 16_384
        }));
    }
    all.sort();
    all
}

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
fn compare(path: &std::path::Path, pcap: &Pcap, cut: usize, jobs: &[&[&str]]) {
    let folder = Folder::new();
    let (a, b) = (
        folder.write("a", &pcap.part(0, cut)),
        folder.write("b", &pcap.part(cut, pcap.records.len())),
    );
    let state = folder.name("state");
    for job in jobs {
        let first = run(&[job, &["-r", &a, "--state-out", &state][..]].concat());
        let second = run(&[job, &["-r", &b, "--state-in", &state][..]].concat());
        let whole = run(&[job, &["-r", &a, "-r", &b][..]].concat());
        let (found, expected) = match *job == READING {
            false => (second.out, whole.out),
            true => (
                without_files(&(first.out + &second.out)),
                without_files(&whole.out),
            ),
        };
        assert_eq!(
            found,
            expected,
            "{} {cut} {job:?} {}",
            path.display(),
            second.err
        );
    }
}

/// `MQTTDUMP_CUTS=1 cargo test rotation` cuts at every packet.
#[test]
fn a_capture_in_two_files_is_one_capture() {
    let every = std::env::var_os("MQTTDUMP_CUTS").is_some();
    let mut turn = 0;
    for path in captures() {
        let Some(pcap) = Pcap::read(&path) else {
            continue;
        };
        for cut in (1..pcap.records.len()).filter(|cut| pcap.is_in_order_at(*cut)) {
            turn += 1;
            if every {
                compare(
                    &path,
                    &pcap,
                    cut,
                    &[REPORTS[0], REPORTS[1], REPORTS[2], READING],
                );
            } else if turn % 29 == 0 {
                let job = [REPORTS[0], REPORTS[1], REPORTS[2], READING][turn / 29 % 4];
                compare(&path, &pcap, cut, &[job]);
            }
        }
    }
    assert!(turn > 1000, "{turn}");
}

#[test]
fn a_chain_of_files_is_one_capture() {
    let path = project("fixtures/captures/bridge.pcap");
    let pcap = Pcap::read(&path).expect("a pcap file");
    let folder = Folder::new();
    let step = pcap.records.len().div_ceil(7);
    let mut parts: Vec<String> = Vec::new();
    let mut last = String::new();
    for from in (0..pcap.records.len()).step_by(step) {
        let to = (from + step).min(pcap.records.len());
        let part = folder.write(&format!("part-{from}"), &pcap.part(from, to));
        let (old, new) = (
            folder.name(&format!("state-{}", parts.len())),
            folder.name(&format!("state-{}", parts.len() + 1)),
        );
        let mut args = [REPORTS[0], &["-r", &part, "--state-out", &new]].concat();
        if !parts.is_empty() {
            args.extend(["--state-in", &old]);
        }
        last = run(&args).out;
        parts.push(part);
    }
    let mut args = REPORTS[0].to_vec();
    parts.iter().for_each(|part| args.extend(["-r", part]));
    assert_eq!(last, run(&args).out);
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
            &["shard", "-o", &state, "--state-in", &state, early],
            "all parts of a capture",
        ),
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{args:?} {}", run.err);
        assert!(run.err.contains(message), "{args:?} {}", run.err);
    }
}

#[test]
fn a_full_state_drops_idle_connections_and_reports_it() {
    let folder = Folder::new();
    let state = folder.name("state");
    let file = "fixtures/captures/bridge.pcap";
    let full = run(&[
        "check",
        "--fail-on",
        "never",
        "--state-out",
        &state,
        "--state-limit",
        "2K",
        file,
    ]);
    assert!(full.err.contains("--state-limit: dropped"), "{}", full.err);
    let size = std::fs::metadata(&state).expect("a state").len();
    assert!(size < 4096, "{size}");
    let next = run(&[
        "check",
        "--fail-on",
        "never",
        "--allow-empty",
        "--state-in",
        &state,
        file,
    ]);
    assert!(
        next.err.contains("older") || next.err.contains("the state lacks"),
        "{}",
        next.err
    );
}
