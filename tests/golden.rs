//! Whole runs of the program.
//!
//! `golden/*.txt` are sessions as one would see them in a shell: a command
//! after `$ `, its output, standard error after `2> `, and the exit code
//! after `=> ` unless it is 0; `# ` above a command is a remark. To add one, write the command line and run
//!
//! ```sh
//! BLESS=1 cargo test golden
//! ```
//!
//! then read the new text before committing it. Commands run in the
//! project's root, in UTC, without a terminal.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use crate::support::files::{self, Format};
use crate::support::program::{Run, TempFile, mqttdump, project, run, run_with_input};
use crate::support::stack::{OwnedPacket, Stack};
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

#[test]
fn sessions() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut files: Vec<_> = std::fs::read_dir(project("tests/golden"))
        .expect("the folder is in the tree")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = String::new();
    for path in files {
        let expected = std::fs::read_to_string(&path).expect("a text file");
        assert!(
            bless || expected.lines().any(|l| !l.starts_with(['$', '#'])),
            "{} shows nothing yet",
            path.display()
        );
        let mut found = String::new();
        // Lines with `# ` right above a command are remarks on it, not output.
        let mut remarks = String::new();
        for line in expected.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                found += &std::mem::take(&mut remarks);
                found += &session(command);
            } else if line.starts_with("# ") {
                remarks += &format!("{line}\n");
            } else {
                remarks.clear();
            }
        }
        if bless {
            std::fs::write(&path, found).expect("the file can be written");
        } else if found != expected {
            wrong += &format!("{}:\n{}\n", path.display(), difference(&expected, &found));
        }
    }
    assert!(wrong.is_empty(), "BLESS=1 rewrites what is right\n{wrong}");
}

/// A command and its results, as the golden files have it.
fn session(command: &str) -> String {
    let words = words(command);
    let (program, args) = words.split_first().expect("a command");
    assert_eq!(program, "mqttdump", "{command}");
    let (args, input) = match args.iter().position(|a| a == "<") {
        Some(at) => (&args[..at], args.get(at + 1)),
        None => (args, None),
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let run = match input {
        Some(file) => run_with_input(&args, &std::fs::read(project(file)).expect(file)),
        None => run(&args),
    };
    let mut text = format!("$ {command}\n{}", run.out);
    if !run.out.is_empty() && !run.out.ends_with('\n') {
        text += "\n\\ no newline\n";
    }
    for line in run.err.lines() {
        text += &format!("2> {line}\n");
    }
    if run.code != Some(0) {
        text += &format!(
            "=> {}\n",
            run.code.map_or("signal".into(), |c| c.to_string())
        );
    }
    text
}

/// The words of a command line; single quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().expect("never empty").push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The first lines that differ.
fn difference(expected: &str, found: &str) -> String {
    let (mut expected, mut found) = (expected.lines(), found.lines());
    for number in 1.. {
        match (expected.next(), found.next()) {
            (None, None) => break,
            (e, f) if e == f => {}
            (e, f) => {
                return format!(
                    "  line {number}\n  - {}\n  + {}",
                    e.unwrap_or("(the end)"),
                    f.unwrap_or("(the end)")
                );
            }
        }
    }
    "  only the last newline differs".into()
}

fn capture() -> Vec<OwnedPacket> {
    Wire::new(&Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload=x\n> DISCONNECT",
    ))
    .packets(&Stack::default())
}

fn pcap(packets: &[OwnedPacket]) -> Vec<u8> {
    Format::Pcap {
        nano: false,
        big: false,
    }
    .write(packets)
}

/// Asserts one clear message with these words, and exit 2.
#[track_caller]
fn assert_refused(run: &Run, words: &[&str]) {
    assert_eq!(run.code, Some(2), "{run:?}");
    assert_eq!(run.err.lines().count(), 1, "one message: {}", run.err);
    assert!(run.err.starts_with("mqttdump: "), "{}", run.err);
    for word in words {
        assert!(run.err.contains(word), "{word:?} is not in: {}", run.err);
    }
    for word in ["panicked", "RUST_BACKTRACE", "Error {", "Os {"] {
        assert!(!run.err.contains(word), "{word:?} is in: {}", run.err);
    }
}

#[test]
fn a_missing_file() {
    assert_refused(
        &run(&["-r", "no/such.pcap"]),
        &["no/such.pcap", "No such file"],
    );
}

#[test]
fn a_directory() {
    assert_refused(&run(&["-r", "src"]), &["src", "directory"]);
}

#[test]
fn a_file_of_0_bytes() {
    let file = TempFile::new("nothing.pcap", b"");
    assert_refused(&run(&["-r", file.path()]), &["nothing.pcap", "empty"]);
    assert_refused(&run(&["-r", "-"]), &["empty"]);
}

#[test]
fn a_text_file() {
    assert_refused(&run(&["-r", "Cargo.toml"]), &["Cargo.toml", "pcap"]);
}

#[test]
fn a_capture_without_packets() {
    for (name, bytes) in [("a.pcap", pcap(&[])), ("a.pcap.gz", files::gz(&pcap(&[])))] {
        let file = TempFile::new(name, &bytes);
        let run = run(&["-r", file.path()]);
        assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{run:?}");
    }
}

/// Captured bytes are shown; the message has file, packet number and offset.
#[test]
fn a_cut_file() {
    let whole = pcap(&capture());
    let records: Vec<usize> = std::iter::successors(Some(24), |at| {
        let length = u32::from_le_bytes(whole.get(at + 8..at + 12)?.try_into().ok()?);
        Some(at + 16 + length as usize)
    })
    .take_while(|at| *at < whole.len())
    .collect();
    let nine = records[8];
    for cut in [nine + 1, nine + 15, nine + 17, nine + 40] {
        let file = TempFile::new("cut.pcap", &whole[..cut]);
        let run = run(&["-r", file.path(), "-q"]);
        assert_refused(&run, &["cut.pcap", "packet 9", &nine.to_string()]);
        assert!(
            run.out.starts_with("MQTTFrame { type: CONNECT"),
            "{}",
            run.out
        );
    }
    let file = TempFile::new("header.pcap", &whole[..20]);
    assert_refused(&run(&["-r", file.path()]), &["header.pcap"]);
    let gz = files::gz(&whole);
    let file = TempFile::new("cut.pcap.gz", &gz[..gz.len() - 20]);
    assert_refused(&run(&["-r", file.path(), "-q"]), &["cut.pcap.gz"]);
}

#[test]
fn a_record_that_claims_too_much() {
    let mut whole = pcap(&capture());
    let last = whole.len() - capture().last().map_or(0, |p| p.data.len()) - 8;
    whole[last..last + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    let file = TempFile::new("huge.pcap", &whole);
    assert_refused(&run(&["-r", file.path(), "-q"]), &["huge.pcap", "packet"]);
}

#[test]
fn a_link_type_that_leaves_nothing() {
    let mut packets = capture();
    for packet in &mut packets {
        packet.link = mqttdump::packet::LinkType(147);
    }
    let file = TempFile::new("user0.pcap", &pcap(&packets));
    let count = packets.len().to_string();
    assert_refused(&run(&["-r", file.path()]), &["USER0", &count]);
    // With something to decode it is named and counted, but no failure.
    let mut mixed = capture();
    mixed[0].link = mqttdump::packet::LinkType(147);
    let file = TempFile::new("mixed.pcapng", &Format::PCAPNG.write(&mixed));
    let run = run(&["-r", file.path(), "-q"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.err.contains("USER0") && run.err.contains('1'),
        "{run:?}"
    );
}

#[test]
fn a_bad_expression() {
    let file = TempFile::new("a.pcap", &pcap(&capture()));
    let run = run(&["-r", file.path(), "host", "and", "port"]);
    assert_eq!((run.code, run.out.as_str()), (Some(2), ""), "{run:?}");
    assert!(run.err.contains("host and port"), "{run:?}");
}

#[test]
fn a_bad_option() {
    for (args, word) in [
        (&["--no-such-option"][..], "--no-such-option"),
        (&["-r", "a.pcap", "--qos", "7"], "7"),
        (&["-r", "a.pcap", "--format", "xml"], "xml"),
        (&["-r", "a.pcap", "--topic", "a/#/b"], "a/#/b"),
        (&["-r", "a.pcap", "-c", "many"], "many"),
        (&["-r", "a.pcap", "--decode", "1883"], "1883"),
        (&["-r"], "-r"),
        // A missing -r.
        (
            &["fixtures/captures/seed-3.1-qos0.pcap", "tcp"],
            "seed-3.1-qos0.pcap",
        ),
    ] {
        let run = run(args);
        assert_eq!(
            (run.code, run.out.as_str()),
            (Some(2), ""),
            "{args:?} {run:?}"
        );
        assert!(run.err.contains(word), "{args:?} {run:?}");
    }
}

#[test]
fn an_output_that_cannot_be_written() {
    let file = TempFile::new("a.pcap", &pcap(&capture()));
    let run = run(&["-r", file.path(), "-w", "no/such/folder/out.pcap"]);
    assert_refused(&run, &["no/such/folder/out.pcap"]);
}

/// As in `mqttdump -r big.pcap | head -1`.
#[test]
fn a_closed_pipe_is_success() {
    let mut text = "> CONNECT client=a\n< CONNACK\n".to_owned();
    for n in 0..5_000 {
        text += &format!("> PUBLISH topic=some/topic/{n} payload_size=40\n");
    }
    let packets = Wire::new(&Conversation::new(&text)).packets(&Stack::default());
    let file = TempFile::new("big.pcap", &pcap(&packets));
    for format in ["text", "ndjson", "csv"] {
        let mut child = mqttdump()
            .args(["-r", file.path(), "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut first = [0; 100];
        let stdout = child.stdout.as_mut().expect("a pipe");
        stdout.read_exact(&mut first).expect("a hundred bytes");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("the program ends");
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{format}: {message}");
        // CSV has no row for events: they go to standard error.
        assert!(
            message
                .lines()
                .all(|l| l.starts_with("-- ") && format == "csv"),
            "{format}: {message}"
        );
    }
}

/// As in `ssh host tcpdump -w - | mqttdump -r -`: lines come while the pipe
/// is open and quiet.
#[test]
fn a_growing_pipe_shows_lines_at_once() {
    let packets = capture();
    for format in [
        Format::Pcap {
            nano: false,
            big: false,
        },
        Format::PCAPNG,
    ] {
        let mut child = mqttdump()
            .args(["-q", "-r", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut stdin = child.stdin.take().expect("a pipe");
        let stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let (lines, line) = mpsc::channel();
        let reader = std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                drop(lines.send(line));
            }
        });
        let whole = format.write(&packets);
        let part = format.write(&packets[..4]).len();
        let wait = Duration::from_secs(20);
        for (bytes, kind) in [(&whole[..part], "CONNECT"), (&whole[part..], "CONNACK")] {
            stdin.write_all(bytes).expect("the program reads");
            stdin.flush().expect("the program reads");
            let line = line
                .recv_timeout(wait)
                .expect("a line while the pipe is open");
            assert!(line.contains(kind), "{line}");
        }
        drop(stdin);
        assert!(child.wait().expect("the program ends").success());
        reader.join().expect("the reader ends");
    }
}

/// Several files are one capture: a message may begin in one and end in the
/// next.
#[test]
fn parts_of_one_capture() {
    let conversation = Conversation::new(
        "> CONNECT client=a\n< CONNACK\n> PUBLISH topic=t payload_size=100\n> DISCONNECT",
    );
    let wire = Wire::new(&conversation).split(mqttdump::frame::Direction::Up, &[60]);
    let packets = wire.packets(&Stack::default());
    let whole = TempFile::new("whole.pcap", &pcap(&packets));
    let expected = run(&["-q", "-r", whole.path()]).clean();
    assert_eq!(expected.lines().count(), 4);
    for at in 0..packets.len() {
        let first = TempFile::new("1.pcap", &pcap(&packets[..at]));
        let second = TempFile::new(
            "2.pcapng.gz",
            &files::gz(&Format::PCAPNG.write(&packets[at..])),
        );
        for order in [[&first, &second], [&second, &first]] {
            let [a, b] = order.map(TempFile::path);
            assert_eq!(
                run(&["-q", "-r", a, "-r", b]).clean(),
                expected,
                "cut at {at}"
            );
        }
    }
}
