//! Faults of the surroundings: disks, pipes, signals, limits of the system, an empty
//! environment. Nothing is lost silently, and what was not done is no success.

use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::files::Format;
use crate::support::program::{Folder, Run, TempFile, mqttdump, project, run};
use crate::support::scene::scene;

const CAPTURE: &str = "fixtures/market/mosquitto-paho-5.pcap";

/// Every command and format with output.
const COMMANDS: &[&[&str]] = &[
    &["-r", CAPTURE],
    &["-r", CAPTURE, "-q"],
    &["-r", CAPTURE, "--format", "ndjson"],
    &["-r", CAPTURE, "--format", "csv"],
    &["-r", CAPTURE, "--count"],
    &["check", CAPTURE],
    &["check", CAPTURE, "--format", "json"],
    &["check", CAPTURE, "--format", "ndjson"],
    &["check", CAPTURE, "--format", "sarif"],
    &["check", CAPTURE, "--format", "junit"],
    &["check", CAPTURE, "--format", "github"],
    &["overhead", CAPTURE],
    &["overhead", CAPTURE, "--format", "json"],
    &["overhead", CAPTURE, "--format", "csv"],
    &["sessions", CAPTURE],
    &["sessions", CAPTURE, "--format", "ndjson"],
    &["sessions", CAPTURE, "--format", "csv"],
    &["stats", CAPTURE],
    &["stats", CAPTURE, "--format", "ndjson"],
    &["stats", CAPTURE, "--format", "csv"],
    &["fields"],
    &["explain"],
    &["explain", "id-in-use"],
    &["--help"],
    &["-h"],
    &["check", "--help"],
    &["--version"],
    &["--generate", "man"],
    &["--generate", "complete-bash"],
];

/// The program under limits of a shell, such as `ulimit -n 5`.
fn limited(limits: &str, args: &[&str]) -> Output {
    let program = mqttdump();
    Command::new("sh")
        .arg("-c")
        .arg(format!("{limits}; exec \"$0\" \"$@\""))
        .arg(program.get_program())
        .args(args)
        .current_dir(project(""))
        .env_clear()
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .expect("sh starts")
}

/// One short line that names the trouble.
#[track_caller]
fn assert_reported(run: &Run, args: &[&str]) {
    assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
    assert!(run.err.contains("mqttdump: "), "{args:?}: {run:?}");
    assert!(!run.err.contains("panicked"), "{args:?}: {run:?}");
}

#[test]
fn a_full_disk_is_reported_by_every_command() {
    if !std::path::Path::new("/dev/full").exists() {
        return;
    }
    for args in COMMANDS {
        let full = std::fs::File::create("/dev/full").expect("/dev/full");
        let output = mqttdump().args(*args).stdout(full).output();
        let run = Run::from(output.expect("the program starts"));
        assert_reported(&run, args);
        assert!(run.err.contains("No space left on device"), "{run:?}");
    }
}

/// A file that may not grow, as by `ulimit -f`.
#[test]
fn a_limit_of_file_sizes_is_reported_by_every_command() {
    let folder = Folder::new();
    let file = folder.name("out");
    for args in COMMANDS {
        let whole = run(args).out.len();
        let output = limited(&format!("ulimit -f 1; exec >{file}"), args);
        let run = Run::from(output);
        let written = std::fs::metadata(&file).expect("a file").len() as usize;
        if written < whole {
            assert_reported(&run, args);
            assert!(run.err.contains("File too large"), "{args:?}: {run:?}");
        } else {
            assert!(matches!(run.code, Some(0 | 1)), "{args:?}: {run:?}");
        }
    }
    // What is written beside the output.
    for args in [
        &["-r", CAPTURE, "-w", &folder.name("w.pcap")][..],
        &["redact", CAPTURE, "-w", &folder.name("r.pcap")],
        &["sessions", CAPTURE, "--html", &folder.name("s.html")],
    ] {
        assert_reported(&Run::from(limited("ulimit -f 1", args)), args);
    }
    // What is of no use until it is complete is not left behind.
    let parts = Folder::new();
    for option in ["--facts-out", "--state-out"] {
        let args = ["check", option, &parts.name("part"), CAPTURE];
        assert_reported(&Run::from(limited("ulimit -f 0", &args)), &args);
        assert!(parts.names().is_empty(), "{option}: {:?}", parts.names());
    }
}

/// The reader is gone: that is success, in silence.
#[test]
fn a_reader_that_is_gone_is_success() {
    for args in COMMANDS {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = mqttdump().args(*args).stdout(writer).output();
        let run = Run::from(output.expect("the program starts"));
        assert_eq!(run.code, Some(0), "{args:?}: {run:?}");
        assert!(!run.err.contains("mqttdump: "), "{args:?}: {run:?}");
    }
}

/// Files that cannot be made: in a folder that does not exist, or in place of one.
#[test]
fn outputs_that_cannot_be_made_are_reported() {
    let folder = Folder::new();
    let (gone, own) = (folder.name("gone/out"), folder.name(""));
    for target in [&gone, &own] {
        for args in [
            &["-r", CAPTURE, "-w", target][..],
            &["-r", CAPTURE, "-w", target, "--client", "clerk"],
            &["redact", CAPTURE, "-w", target],
            &["sessions", CAPTURE, "--html", target],
            &["check", CAPTURE, "--write-baseline", target],
        ] {
            let run = run(args);
            assert_reported(&run, args);
            assert!(!run.err.contains("os error"), "{run:?}");
        }
    }
    let export = ["-r", CAPTURE, "--export", &gone, "--payload-only"];
    let code = run(&export).code;
    assert!(
        code == Some(2) || folder.path("gone/out").is_dir(),
        "{code:?}"
    );
    assert!(folder.names().iter().all(|name| name == "gone"));
}

/// A file that is removed while a pipe is saved to it is lost, and that is reported; a
/// renamed one is not lost.
#[test]
fn outputs_that_vanish_are_reported() {
    for (vanishes, code) in [
        ("removed", Some(2)),
        ("renamed", Some(0)),
        ("replaced", Some(2)),
    ] {
        let folder = Folder::new();
        let name = folder.name("out.pcap");
        let mut piped = Piped::start(&["-r", "-", "-w", &name]);
        assert_eq!(folder.names(), ["out.pcap"]);
        match vanishes {
            "renamed" => std::fs::rename(&name, folder.path("other.pcap")).expect("ours"),
            _ => std::fs::remove_file(&name).expect("ours"),
        }
        if vanishes == "replaced" {
            folder.write("out.pcap", b"another file");
        }
        drop(piped.input.take());
        let (run, _) = piped.end();
        assert_eq!(run.code, code, "{vanishes}: {run:?}");
        let reported = run.err.contains("removed while it was written");
        assert_eq!(reported, code == Some(2), "{vanishes}: {run:?}");
    }
}

/// With few descriptors everything is done, or it is reported that it was not.
#[test]
fn few_descriptors() {
    let folder = Folder::new();
    let name = folder.name("out.pcap");
    let commands = [
        &["-r", CAPTURE, "-q"][..],
        &["-r", CAPTURE, "-r", CAPTURE, "-q"],
        &["check", CAPTURE],
        &["check", CAPTURE, CAPTURE],
        &["overhead", CAPTURE],
        &["sessions", CAPTURE],
        &["-r", CAPTURE, "-w", &name],
        &["-r", CAPTURE, "-w", &name, "--client", "clerk"],
        &["redact", CAPTURE, "-w", &name],
    ];
    for args in commands {
        let whole = run(args);
        let saved = std::fs::read(&name).ok();
        let mut done = 0;
        for descriptors in 4..=10 {
            let _ = std::fs::remove_file(&name);
            let run = Run::from(limited(&format!("ulimit -n {descriptors}"), args));
            // The loader needs one for libpcap.
            if run.code == Some(127) {
                continue;
            }
            match run.code {
                Some(2) if whole.code != Some(2) => assert_reported(&run, args),
                _ => {
                    assert_eq!((run.code, &run.out), (whole.code, &whole.out), "{args:?}");
                    // Pseudonyms differ from run to run.
                    let length = |file: Option<&Vec<u8>>| file.map(Vec::len);
                    let again = std::fs::read(&name).ok();
                    assert_eq!(length(again.as_ref()), length(saved.as_ref()), "{args:?}");
                    done += 1;
                }
            }
        }
        assert!(done > 0, "{args:?}");
        let _ = std::fs::remove_file(&name);
    }
}

/// With little address space everything is done, or the exit status tells.
#[test]
fn little_memory() {
    for args in [
        &["-r", CAPTURE][..],
        &["check", CAPTURE],
        &["overhead", CAPTURE],
        &["sessions", CAPTURE],
    ] {
        let whole = run(args);
        let mut done = 0;
        // From less than the program's own size to enough.
        for kibibytes in (8..=20).map(|power| 1_u64 << power) {
            let output = limited(&format!("ulimit -c 0 -v {kibibytes}"), args);
            let status = output.status;
            let run = Run::from(output);
            match run.code {
                Some(code) if Some(code) == whole.code => {
                    assert_eq!(run.out, whole.out, "{args:?} in {kibibytes} KiB");
                    done += 1;
                }
                // The loader, a message, or an aborted allocation.
                Some(2 | 126 | 127) => assert!(!run.err.is_empty(), "{args:?}: {run:?}"),
                code => assert!(
                    code.is_none() && status.signal().is_some(),
                    "{args:?}: {run:?}"
                ),
            }
        }
        assert!(done > 0, "{args:?}");
    }
}

/// A pipe that has brought the first half of a capture and stays open.
struct Piped {
    child: Child,
    input: Option<std::process::ChildStdin>,
}

impl Piped {
    fn start(args: &[&str]) -> Self {
        let mut child = mqttdump()
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut input = child.stdin.take().expect("a pipe");
        let packets =
            scene("> CONNECT client=c\n< CONNACK\n> PUBLISH topic=t qos=1 id=1\n< PUBACK id=1");
        input
            .write_all(&Format::ALL[0].write(&packets))
            .expect("it reads");
        input.flush().expect("it reads");
        // It has started, and has read what there is.
        std::thread::sleep(Duration::from_millis(500));
        Self {
            child,
            input: Some(input),
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.expect("kill starts").success());
    }

    /// Waits for its end; its pipe stays open until then, unless it was closed.
    fn end(mut self) -> (Run, Option<i32>) {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                break status;
            }
            assert!(since.elapsed() < Duration::from_secs(20), "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        };
        let (mut out, mut err) = (String::new(), String::new());
        let stdout = self.child.stdout.as_mut().expect("a pipe");
        stdout.read_to_string(&mut out).expect("text");
        let stderr = self.child.stderr.as_mut().expect("a pipe");
        stderr.read_to_string(&mut err).expect("text");
        let code = status.code();
        (Run { out, err, code }, status.signal())
    }
}

/// Ctrl-C and SIGTERM while a pipe is read: reports are of what was read; a writer that gets
/// the same signal still delivers its rest.
#[test]
fn a_signal_ends_the_pipe_and_not_the_report() {
    for (args, shown) in [
        (&["check", "-"][..], "4 messages on 1 connection"),
        (&["check", "-", "--format", "json"], "\"frames\":4"),
        (&["overhead", "-"], "a message costs"),
        (&["sessions", "-"], "1 connection"),
        (&["stats", "-"], "TOPIC"),
    ] {
        for signal in ["INT", "TERM"] {
            for closes in [true, false] {
                let mut piped = Piped::start(args);
                piped.signal(signal);
                if closes {
                    drop(piped.input.take());
                }
                let (run, by) = piped.end();
                let printed: String = run.out.split_whitespace().collect::<Vec<_>>().join(" ");
                let printed = printed.replace("\": ", "\":");
                assert_eq!((run.code, by), (Some(0), None), "{args:?}: {run:?}");
                assert!(printed.contains(shown), "{args:?}: {run:?}");
            }
        }
    }
    // Lines were printed as they came; the signal's own exit status.
    let piped = Piped::start(&["-r", "-", "-q", "-l"]);
    piped.signal("TERM");
    let (run, by) = piped.end();
    assert_eq!((run.out.lines().count(), by), (4, Some(15)), "{run:?}");
}

/// A second Ctrl-C ends it at once, whatever it does.
#[test]
fn a_second_signal_ends_a_report() {
    let mut piped = Piped::start(&["check", "-"]);
    piped.signal("STOP");
    piped.signal("INT");
    piped.signal("TERM");
    piped.signal("CONT");
    let input = piped.input.take();
    let (run, by) = piped.end();
    assert!(
        run.code == Some(2) || by.is_some() || run.code == Some(0),
        "{run:?}"
    );
    drop(input);
}

/// Time that runs backwards, in steps and throughout: the same messages, no fault.
#[test]
fn time_that_runs_backwards() {
    let mut packets = scene(
        "> CONNECT client=c keep_alive=60\n< CONNACK\n> SUBSCRIBE id=1 filter=t:1\n< SUBACK id=1 codes=1\n\
         < PUBLISH topic=t qos=1 id=1\n> PUBACK id=1\n> PINGREQ\n< PINGRESP\n> DISCONNECT",
    );
    let count = packets.len() as i64;
    for backwards in [1_000_000, 1_000_000_000, 3_600_000_000_000] {
        let first = packets[0].time.max(count * 3_600_000_000_000);
        for (at, packet) in (0..).zip(&mut packets) {
            packet.time = first - at * backwards;
        }
        let file = TempFile::new("backwards", &Format::ALL[0].write(&packets));
        let path = file.path();
        assert_eq!(run(&["-r", path, "-q"]).clean().lines().count(), 9);
        for args in [
            &["check", path][..],
            &["check", path, "--every", "1s"],
            &["overhead", path],
            &["sessions", path],
            &["stats", path, "--every", "1s"],
        ] {
            let run = run(args);
            assert_eq!(run.code, Some(0), "{backwards}, {args:?}: {run:?}");
        }
    }
}

/// No locale, no terminal, no home, no folder for temporary files, and a working folder
/// that was removed: the output is the same.
#[test]
fn an_empty_environment() {
    let absolute = project(CAPTURE);
    let absolute = absolute.to_str().expect("UTF-8");
    for command in ["-r", "check", "overhead", "sessions", "stats"] {
        let start = || {
            let mut started = mqttdump();
            started.args([command, absolute]);
            started
        };
        let ended = |mut command: Command| Run::from(command.output().expect("it starts"));
        let usual = ended(start());
        for (name, value) in [
            ("LC_ALL", "xx_YY.none"),
            ("LANG", ""),
            ("TERM", "none"),
            ("TERM", ""),
            ("COLUMNS", "0"),
            ("COLUMNS", "many"),
            ("HOME", "/nonexistent"),
            ("HOME", ""),
            ("TMPDIR", "/nonexistent"),
            ("PATH", ""),
            ("XDG_CONFIG_HOME", "/nonexistent"),
        ] {
            let mut other = start();
            other.env(name, value);
            let run = ended(other);
            let both = (run.code, &run.out, &run.err);
            assert_eq!(both, (usual.code, &usual.out, &usual.err), "{name}={value}");
        }
        let output = limited(
            "cd \"$(mktemp -d)\" && rmdir \"$PWD\"",
            &[command, absolute],
        );
        let run = Run::from(output);
        assert_eq!((run.code, &run.out), (usual.code, &usual.out), "{run:?}");
    }
}
