//! How the program is called: settings, help, and mistakes. (Messages are in
//! `golden/usage.txt`.)

use std::process::Command;

use crate::support::program::{Folder, Run, mqttdump, project};

const CAPTURE: &str = "fixtures/captures/seed-3.1-qos0.pcap";

/// DUP on QoS 0 is a violation.
const VIOLATING: &str = "\
> CONNECT client=a
< CONNACK
> PUBLISH topic=t dup=1
> DISCONNECT";

/// A folder with a capture that has a violation, and with these settings.
fn folder(settings: &str) -> Folder {
    use crate::support::files::Format;
    use crate::support::stack::Stack;
    use crate::support::transcript::Conversation;
    use crate::support::wire::Wire;

    let folder = Folder::new();
    let packets = Wire::new(&Conversation::new(VIOLATING)).packets(&Stack::default());
    folder.write("a.pcap", &Format::PCAPNG.write(&packets));
    folder.write(".mqttdump.toml", settings.as_bytes());
    folder
}

fn run_in(folder: &Folder, args: &[&str], environment: &[(&str, &str)]) -> Run {
    let mut command: Command = mqttdump();
    command
        .current_dir(folder.path(""))
        .args(args)
        .envs(environment.iter().copied());
    Run::from(command.output().expect("the program starts"))
}

/// What is typed beats the file, also when it is the default.
#[test]
fn typed_beats_the_settings_file() {
    let never = folder("[check]\nfail-on = \"never\"\n");
    assert_eq!(run_in(&never, &["check", "a.pcap"], &[]).code, Some(0));
    let typed = ["check", "a.pcap", "--fail-on", "violation"];
    assert_eq!(run_in(&never, &typed, &[]).code, Some(1));
    let default = folder("");
    assert_eq!(run_in(&default, &["check", "a.pcap"], &[]).code, Some(1));
}

/// A list that is typed adds to the one of the file; a single value replaces it.
#[test]
fn lists_add_up() {
    let settings = folder("[check]\nallow = [\"dup-with-qos-0\"]\nmin-frames = 1000\n");
    let run = run_in(&settings, &["check", "a.pcap"], &[]);
    assert_eq!(run.code, Some(2), "{run:?}");
    let run = run_in(&settings, &["check", "a.pcap", "--min-frames", "1"], &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let args = ["check", "a.pcap", "--min-frames=1", "--allow=suback-id"];
    assert_eq!(run_in(&settings, &args, &[]).code, Some(0));
}

/// The environment stands between what is typed and the file.
#[test]
fn the_environment_beats_the_file() {
    let settings = folder("[check]\ncolor = \"always\"\n");
    let coloured = |args: &[&str], environment: &[(&str, &str)]| {
        let run = run_in(&settings, args, environment);
        assert_eq!(run.code, Some(1), "{run:?}");
        run.out.contains('\x1b')
    };
    assert!(coloured(&["check", "a.pcap"], &[]));
    assert!(!coloured(&["check", "a.pcap"], &[("NO_COLOR", "1")]));
    assert!(coloured(
        &["check", "a.pcap", "--color", "always"],
        &[("NO_COLOR", "1")]
    ));
}

/// A setting that is none is a mistake, and the message says in which file.
#[test]
fn settings_are_checked() {
    for (settings, words) in [
        (
            "[check]\nfail_on = \"never\"\n",
            &["unknown setting 'fail_on'"][..],
        ),
        (
            "[check]\nfail-on = \"sometimes\"\n",
            &["sometimes", "--fail-on"],
        ),
        ("[check]\ncomplete = \"yes\"\n", &["complete"]),
        (
            "[check]\nmin-frames = [1]\n",
            &["min-frames", "a text or a number"],
        ),
        // The file comes with a repository: it must not write or run anything.
        ("[check]\nwrite-baseline = \"x\"\n", &["unknown setting"]),
        ("check = 1\n", &["[check]"]),
        ("[check\n", &["TOML"]),
    ] {
        let run = run_in(&folder(settings), &["check", "a.pcap"], &[]);
        assert_eq!(run.code, Some(2), "{settings}: {run:?}");
        assert!(run.err.contains(".mqttdump.toml"), "{settings}: {run:?}");
        for word in words {
            assert!(run.err.contains(word), "{settings}: {word}: {run:?}");
        }
    }
}

/// A file of settings names files beside itself.
#[test]
fn files_of_settings_are_beside_them() {
    let settings = folder("[check]\nbaseline = \"known.txt\"\n");
    let written = run_in(
        &settings,
        &[
            "check",
            "a.pcap",
            "--write-baseline",
            "known.txt",
            "--config",
            "/dev/null",
        ],
        &[],
    );
    assert_eq!(written.code, Some(1), "{written:?}");
    std::fs::create_dir(settings.path("below")).expect("a folder");
    let mut command = mqttdump();
    command
        .current_dir(settings.path("below"))
        .args(["check", "../a.pcap"]);
    let run = Run::from(command.output().expect("the program starts"));
    assert_eq!(run.code, Some(0), "{run:?}");
}

/// `-h` fits a screen and says where the rest is.
#[test]
fn short_help_fits_a_screen() {
    for args in [
        &["-h"][..],
        &["check", "-h"],
        &["overhead", "-h"],
        &["explain", "-h"],
    ] {
        let mut command = mqttdump();
        command.args(args).env("COLUMNS", "80");
        let run = Run::from(command.output().expect("the program starts"));
        let out = run.clean();
        assert!(out.lines().count() <= 24, "{}\n{out}", out.lines().count());
        assert!(out.contains("--help"), "{out}");
        assert!(out.lines().all(|line| line.chars().count() <= 80), "{out}");
    }
}

/// Each command's help is about that command alone.
#[test]
fn help_is_about_one_command() {
    let help = |args: &[&str]| crate::support::program::run(args).clean();
    let check = help(&["check", "--help"]);
    assert!(check.contains("--fail-on") && !check.contains("--what-if"));
    let overhead = help(&["overhead", "--help"]);
    assert!(overhead.contains("--what-if") && !overhead.contains("--fail-on"));
    let read = help(&["--help"]);
    assert!(read.contains("--topic") && !read.contains("--fail-on"));
    // Words before the command do not change which it is.
    assert_eq!(help(&["-v", "check", CAPTURE, "--help"]), check);
}

/// What cannot be written is no success.
#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_no_success() {
    for args in [
        &["--help"][..],
        &["check", "-h"],
        &["explain"],
        &["--generate", "man"],
    ] {
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full");
        let mut command = mqttdump();
        command.args(args).stdout(full);
        let run = Run::from(command.output().expect("the program starts"));
        assert_eq!(run.code, Some(2), "{args:?} {run:?}");
        assert!(
            run.err.contains("standard output: No space left"),
            "{run:?}"
        );
    }
}

/// A file's name is bytes.
#[cfg(unix)]
#[test]
fn names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let folder = Folder::new();
    let name = folder
        .path("")
        .join(std::ffi::OsStr::from_bytes(b"a\xff.pcap"));
    std::fs::copy(project(CAPTURE), &name).expect("a copy");
    for before in [&["-q", "-r"][..], &["-q"], &["check"], &["overhead"]] {
        let mut command = mqttdump();
        command.args(before).arg(&name);
        let run = Run::from(command.output().expect("the program starts"));
        assert_eq!(run.code, Some(0), "{before:?} {run:?}");
    }
}

/// A selection that selects nothing would be green for ever.
#[test]
fn a_selection_that_selects_nothing_is_an_error() {
    let run = crate::support::program::run;
    for command in [&["check"][..], &["overhead"], &["-r"]] {
        for (option, value, words) in [
            (
                "--client",
                "nobody",
                &["--client nobody", "clients: mosq-"][..],
            ),
            (
                "--client",
                "mosq-m8oAexqKwaluACeJzf",
                &["did you mean mosq-m8oAexqKwaluACeJze?"],
            ),
            ("--connection", "7", &["connections: 1, 2"]),
            (
                "--topic",
                "vdm/123/engineOf",
                &["did you mean vdm/123/engineOff?"],
            ),
        ] {
            if command == ["overhead"] && option == "--topic" {
                continue;
            }
            let args = [command, &[CAPTURE, option, value]].concat();
            let failed = run(&args);
            assert_eq!(failed.code, Some(2), "{args:?} {failed:?}");
            for word in words {
                assert!(failed.err.contains(word), "{args:?} {failed:?}");
            }
            let accepted = run(&[&args[..], &["--allow-empty"]].concat());
            assert_eq!(accepted.code, Some(0), "{args:?} {accepted:?}");
        }
    }
    // One of several that selects something does not hide one that does not.
    let args = ["check", CAPTURE, "--topic", "vdm/#", "--topic", "other/#"];
    assert!(run(&args).err.contains("--topic other/#"));
    // A part of the input decides nothing.
    assert_eq!(
        run(&["-r", CAPTURE, "-c", "1", "--client", "x"]).code,
        Some(0)
    );
}

/// Ranges of time, and zones.
#[test]
fn times() {
    let run = |args: &[&str], zone: &str| {
        let mut command = mqttdump();
        command.args(args).env("TZ", zone);
        Run::from(command.output().expect("the program starts"))
    };
    let count = |args: &[&str]| run(&[&["-r", CAPTURE, "--count"], args].concat(), "UTC").clean();
    assert_eq!(count(&[]), "10\n");
    assert_eq!(count(&["--to", "+100ms"]), "9\n");
    assert_eq!(count(&["--from", "+100ms"]), "1\n");
    assert_eq!(count(&["--to", "1970-01-01T00:00:00Z"]), "0\n");
    assert_eq!(run(&["-r", CAPTURE, "--from", "x"], "UTC").code, Some(2));

    let local = run(&["-r", CAPTURE, "--frames", "1", "-tttt"], "XYZ-5").clean();
    let utc = run(&["-r", CAPTURE, "--frames", "1", "-tttt", "--utc"], "XYZ-5").clean();
    assert_ne!(local, utc);
    assert_eq!(
        utc,
        run(&["-r", CAPTURE, "--frames", "1", "-tttt"], "UTC").clean()
    );
    for zone in ["No/Such", "/dev/zero", ":/dev/zero"] {
        let told = run(&["-r", CAPTURE, "-q", "--frames", "1"], zone);
        assert_eq!(told.code, Some(0), "{told:?}");
        assert!(told.err.contains("no such time zone"), "{told:?}");
    }
}

/// What `check --every` reports after a clock was set by decades: nothing is
/// polled in between.
#[test]
fn a_clock_that_jumps_by_decades_costs_nothing() {
    use crate::support::files::Format;
    use crate::support::stack::Stack;
    use crate::support::transcript::Conversation;
    use crate::support::wire::Wire;

    let text = "\
> CONNECT client=a
< CONNACK
> PUBLISH topic=t qos=1 id=1
> PINGREQ
< PINGRESP";
    let mut packets = Wire::new(&Conversation::new(text)).packets(&Stack::default());
    let half = packets.len() * 2 / 3;
    for packet in &mut packets[half..] {
        let decades = 50 * 365 * 86_400 * 1_000_000_000_i64;
        packet.time += decades;
    }
    let folder = Folder::new();
    let file = folder.write("jump.pcapng", &Format::PCAPNG.write(&packets));
    let begun = std::time::Instant::now();
    let run = crate::support::program::run(&["check", "--every", "1s", &file]);
    assert!(run.out.contains("connection"), "{run:?}");
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
