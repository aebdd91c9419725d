//! Memory that hostile captures can take: `--max-memory`, and the kinds of
//! `benches/hostile.rs`.
#![cfg(target_os = "linux")]

use std::io::Write;
use std::process::{Command, Stdio};

use crate::limits::kinds;
use crate::support::program::{Folder, Run, mqttdump, run};

/// Address space of a run, in KiB: `--max-memory 32m`, and the program itself with its
/// libraries and stacks, of which little is resident. What writes Parquet has 40 MB more
/// of code in a build without optimisation.
const CEILING: u32 = if cfg!(feature = "tables") {
    (32 + 64 + 48) << 10
} else {
    (32 + 64) << 10
};

/// Runs the program on a capture from a pipe, with so little address space.
fn run_with_little(args: &str, capture: &[u8]) -> Run {
    let program = mqttdump();
    let line = format!("ulimit -v {CEILING}; exec \"$0\" {args} --max-memory 32m >/dev/null");
    let mut child = Command::new("sh")
        .args(["-c", &line])
        .arg(program.get_program())
        .env_clear()
        .env("TZ", "UTC")
        // Each takes 64 MB of address space.
        .env("MALLOC_ARENA_MAX", "1")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    let mut stdin = child.stdin.take().expect("a pipe");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || drop(stdin.write_all(capture)));
        child.wait_with_output().expect("it ends")
    });
    Run::from(output)
}

#[test]
fn hostile_captures_stay_below_the_ceiling() {
    let sizes = kinds::KINDS.iter().flat_map(|kind| match kind.0 {
        "half-open" => [(kind, 50_000), (kind, 100_000)],
        "reconnects" | "subscriptions" | "gaps" => [(kind, 2_000), (kind, 4_000)],
        "tls" | "short" => [(kind, 5_000), (kind, 10_000)],
        "pings" => [(kind, 500), (kind, 1_000)],
        "bombs" => [(kind, 50), (kind, 100)],
        _ => [(kind, 10_000), (kind, 20_000)],
    });
    for ((name, generate, _), n) in sizes {
        let mut capture = Vec::new();
        kinds::write(*generate, n, &mut |bytes| capture.extend_from_slice(bytes));
        let folder = Folder::new();
        let mut commands = vec!["-r -", "check -", "overhead -", "sessions -", "stats -"];
        let tables = format!("tables - -o {}", folder.name("tables"));
        let many = ["half-open", "connections", "in-flight", "topics"];
        if cfg!(feature = "tables") && many.contains(name) {
            commands.push(&tables);
        }
        for command in commands {
            let done = run_with_little(command, &capture);
            assert!(
                matches!(done.code, Some(0..=2)),
                "{command} of {name} {n}: {:?}\n{}",
                done.code,
                done.err
            );
            assert!(
                !done.err.contains("panicked"),
                "{command} of {name} {n}: {}",
                done.err
            );
        }
    }
}

/// What was evicted is counted, and the rest is read as before.
#[test]
fn evicted_connections_are_reported() {
    let folder = Folder::new();
    let mut capture = Vec::new();
    let generate = kinds::find("connections").expect("the kind");
    kinds::write(generate, 60_000, &mut |bytes| {
        capture.extend_from_slice(bytes)
    });
    let input = folder.write("in.pcap", &capture);
    let little = run(&["-r", &input, "-q", "--max-memory", "16m"]);
    assert!(
        little
            .err
            .contains("connections were evicted: more memory than --max-memory 16M"),
        "{}",
        little.err
    );
    let plenty = run(&["-r", &input, "-q"]);
    assert_eq!(little.out, plenty.out);
    assert_eq!((little.code, plenty.code), (Some(0), Some(0)));
    assert!(!plenty.err.contains("evicted"), "{}", plenty.err);
    // None of them is accused of anything.
    let check = run(&["check", "--max-memory", "16m", &input]);
    assert_eq!(check.code, Some(0), "{}{}", check.out, check.err);

    let wrong = run(&["-r", &input, "--max-memory", "1m"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.err.contains("expected a size from 16M"),
        "{}",
        wrong.err
    );
}
