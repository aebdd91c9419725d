//! Several captures at once: the output of one after the other.

use std::path::{Path, PathBuf};

use crate::support::program::{Folder, Run, mqttdump, project, run};

/// Every capture of the fixtures.
fn captures() -> Vec<String> {
    let mut found = Vec::new();
    collect(&project("fixtures"), &mut found);
    found.sort();
    assert!(found.len() > 500, "{} captures", found.len());
    let text = |path: PathBuf| path.into_os_string().into_string().unwrap();
    found.into_iter().map(text).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let is_capture = |extension: &std::ffi::OsStr| {
            let extension = extension.to_string_lossy();
            ["pcap", "pcapng", "cap"].contains(&&*extension)
        };
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(is_capture) {
            found.push(path);
        }
    }
}

fn with(threads: &str, options: &[&str], files: &[String]) -> Run {
    let mut args = options.to_vec();
    args.extend(["--threads", threads]);
    args.extend(files.iter().map(String::as_str));
    run(&args)
}

/// Standard output, standard error and exit status are the same.
fn assert_same(options: &[&str], files: &[String]) {
    let alone = with("1", options, files);
    for threads in ["2", "8"] {
        let together = with(threads, options, files);
        assert!(alone.out == together.out, "{options:?}, {threads} threads");
        assert_eq!(alone.err, together.err, "{options:?}, {threads} threads");
        assert_eq!(alone.code, together.code, "{options:?}, {threads} threads");
    }
}

#[test]
fn every_number_of_threads_gives_the_same_output() {
    let files = captures();
    assert_same(&["check"], &files);
    assert_same(
        &["check", "--format", "ndjson", "--fail-on", "cannot-tell"],
        &files,
    );
    assert_same(&["check", "--format", "junit", "-v"], &files);
    assert_same(&["overhead"], &files);
    assert_same(&["overhead", "--format", "json"], &files);
    assert_same(&["sessions", "-v"], &files);
    assert_same(&["sessions", "--format", "ndjson", "--deliveries"], &files);
    assert_same(&["stats", "--by", "topic"], &files);
    assert_same(&["stats", "--by", "client", "--every", "1s"], &files);
}

#[test]
fn errors_and_criteria_are_reported_in_the_order_of_the_captures() {
    let scratch = Folder::new();
    let capture = project("fixtures/overhead/D1.pcap");
    let capture = capture.to_str().unwrap().to_owned();
    let bytes = std::fs::read(&capture).unwrap();
    let mut files = Vec::new();
    for i in 0..20 {
        files.push(match i % 4 {
            0 => capture.clone(),
            1 => scratch.write(&format!("cut-{i}.pcap"), &bytes[..bytes.len() - 7 - i]),
            2 => scratch.write(&format!("other-{i}.pcap"), b"no capture at all"),
            _ => scratch.name(&format!("absent-{i}.pcap")),
        });
    }
    for command in ["check", "overhead", "sessions", "stats"] {
        assert_same(&[command], &files);
        assert_same(&[command, "--client", "nobody", "--topic", "#"], &files);
        let run = with("8", &[command], &files);
        assert_eq!(run.code, Some(2), "{command}");
        assert!(run.err.contains("absent-3.pcap"), "{command}: {}", run.err);
    }
}

#[test]
fn the_baseline_is_the_same() {
    let scratch = Folder::new();
    let files = captures();
    let written = |threads: &str| {
        let path = scratch.name(&format!("baseline-{threads}"));
        with(threads, &["check", "--write-baseline", &path], &files);
        std::fs::read_to_string(path).unwrap()
    };
    let alone = written("1");
    assert!(alone.lines().count() > 10);
    assert_eq!(alone, written("8"));
}

#[test]
fn the_number_of_threads_is_above_zero() {
    let mut command = mqttdump();
    let output = command
        .args(["check", "--threads", "0", "x.pcap"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}
