//! What the program gives up before it reads the first packet, seen from outside.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::support::program::{Folder, mqttdump, project, run};

/// A program that reads a pipe, and was given the first packets of a capture.
fn reading(args: &[&str]) -> (Child, std::process::ChildStdin) {
    let mut child = mqttdump()
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let capture = std::fs::read(project("fixtures/captures/seed-5.0-qos1.pcap"));
    stdin
        .write_all(&capture.expect("a capture"))
        .expect("it reads");
    (child, stdin)
}

/// A line of /proc/PID/status, once the filter of system calls is in place.
fn status(child: &Child) -> impl Fn(&str) -> String + use<> {
    let path = format!("/proc/{}/status", child.id());
    let begun = Instant::now();
    let status = loop {
        let status = std::fs::read_to_string(&path).expect("its status");
        if status.contains("Seccomp:\t2") || begun.elapsed() > Duration::from_secs(20) {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    move |name| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default()
            .trim_matches([':', '\t'])
            .to_owned()
    }
}

/// CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
const FILES: u64 = 0b110;

#[test]
fn a_run_has_no_capabilities_and_gets_none() {
    let folder = Folder::new();
    let shards = folder.name("shards");
    for command in [
        &["-r", "-"][..],
        &["check", "-"],
        &["overhead", "-"],
        &["sessions", "-"],
        &["stats", "-"],
        &["shard", "--shards", "2", "-o", &shards, "-"],
        #[cfg(feature = "tables")]
        &["tables", "-o", "-", "--table", "frames", "-"],
    ] {
        let (mut child, stdin) = reading(command);
        let status = status(&child);
        assert_eq!(status("Seccomp"), "2", "{command:?}");
        assert_eq!(status("NoNewPrivs"), "1", "{command:?}");
        for set in ["CapEff", "CapPrm", "CapInh", "CapBnd"] {
            let set = u64::from_str_radix(&status(set), 16).expect("a set");
            // Without CAP_SETPCAP the bounding set cannot be changed.
            if set & !FILES != 0 {
                let own = std::fs::read_to_string("/proc/self/status").expect("a status");
                let eff = own.lines().find_map(|it| it.strip_prefix("CapEff:\t"));
                let eff = u64::from_str_radix(eff.expect("a set"), 16).expect("a set");
                assert_eq!(eff & (1 << 8), 0, "{command:?}: {set:x}");
            }
        }
        drop(stdin);
        child.wait().expect("it ends");
    }
}

/// A name of a file that depends on the time leads out of the folder of outputs, through
/// a link that appears later: the forbidden is tried, and refused.
#[test]
fn files_elsewhere_cannot_be_written() {
    if !has_landlock() {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    }
    let folder = Folder::new();
    let elsewhere = Folder::new();
    let inside = folder.path("inside");
    std::fs::create_dir(&inside).expect("a folder");
    // The second file of -C is a link to a file elsewhere that does not exist.
    let link = inside.join("out.pcap1");
    std::os::unix::fs::symlink(elsewhere.path("victim"), &link).expect("a link");
    let out = inside.join("out.pcap").display().to_string();
    let capture = "fixtures/captures/large.pcap.gz";
    let done = run(&["-r", capture, "-C", "1k", "-W", "3", "-w", &out]);
    assert!(done.err.contains("ermission denied"), "{}", done.err);
    assert_eq!(done.code, Some(2));
    assert_eq!(elsewhere.names(), Vec::<String>::new());
    assert!(
        std::fs::metadata(format!("{out}0"))
            .expect("the first file")
            .len()
            > 0
    );
}

/// Everything that writes works as without a sandbox.
#[test]
fn outputs_can_be_written() {
    let folder = Folder::new();
    let capture = "fixtures/captures/seed-5.0-qos1.pcap";
    let out = folder.name("out.pcap");
    run(&["-r", capture, "-w", &out]).clean();
    // Over a file that is there, through a link, to a device, to standard output.
    run(&["-r", capture, "-w", &out]).clean();
    let link = folder.path("link.pcap");
    std::os::unix::fs::symlink("out.pcap", &link).expect("a link");
    run(&["-r", capture, "-w", &link.display().to_string()]).clean();
    run(&["-r", capture, "-w", "/dev/null"]).clean();
    assert!(!run(&["-r", capture, "-w", "-"]).out.is_empty());
    let export = folder.name("new/folder");
    let done = run(&["-r", capture, "--export", &export]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let html = folder.name("page.html");
    let done = run(&["sessions", "--html", &html, capture]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let baseline = folder.name("baseline");
    let done = run(&["check", "--write-baseline", &baseline, capture]);
    assert_eq!(done.code, Some(0), "{}", done.err);
    let again = run(&["check", "--write-baseline", &baseline, capture]);
    assert_eq!(again.code, Some(0), "{}", again.err);
}

/// Programs of `-z` are not restricted, because what they do is not known.
#[test]
fn programs_can_be_run_and_get_no_privileges() {
    let folder = Folder::new();
    let elsewhere = Folder::new();
    let status = elsewhere.name("status");
    let script = folder.write(
        "script",
        format!("#!/bin/sh\ncat /proc/self/status > {status}\n").as_bytes(),
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&script, mode).expect("an executable");
    let out = folder.name("out.pcap");
    let capture = "fixtures/captures/seed-5.0-qos1.pcap";
    let args = ["-v", "-r", capture, "-C", "1", "-z", &script, "-w", &out];
    let done = run(&args);
    assert_eq!(done.code, Some(0), "{}", done.err);
    assert!(done.err.contains("because of -z"), "{}", done.err);
    let status = std::fs::read_to_string(status).expect("the script ran");
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

/// Whether the kernel restricts files.
fn has_landlock() -> bool {
    let done = run(&["-v", "-r", "fixtures/captures/seed-5.0-qos1.pcap"]);
    !done.err.contains("files are not restricted")
}
