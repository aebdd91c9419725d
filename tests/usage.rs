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

/// The command line beats the file, also when it is the default.
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

/// The environment ranks between the command line and the file.
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

/// A setting that is none is a mistake, and the message names the file.
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
            &["min-frames", "a string or a number"],
        ),
        // The file comes with a repository: it must not write or run anything.
        ("[check]\nwrite-baseline = \"x\"\n", &["unknown setting"]),
        ("check = 1\n", &["[check]"]),
        ("[check\n", &["line 1", "unclosed table"]),
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

/// `-h` fits a screen and refers to the rest.
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
        // The list of commands is longer than their options.
        let most = if args == ["-h"] { 28 } else { 24 };
        assert!(
            out.lines().count() <= most,
            "{}\n{out}",
            out.lines().count()
        );
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

/// Output that cannot be written is no success.
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
    assert_eq!(count(&["--from", "+50ms"]), "6\n");
    // Earlier packets are decoded, so that the client is known.
    let late = run(
        &["-r", CAPTURE, "--from", "+50ms", "-q", "--format", "csv"],
        "UTC",
    )
    .clean();
    let whole = run(&["-r", CAPTURE, "-q", "--format", "csv"], "UTC").clean();
    let last = |text: &str| {
        text.lines()
            .rev()
            .take(6)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(last(&late), last(&whole));
    assert_eq!(late.lines().count(), 1 + 6);
    // And a fault before is no finding, while one after is.
    let faults = "fixtures/captures/unacknowledged.pcap";
    let found = |args: &[&str]| {
        let run = run(
            &[&["check", faults, "--format", "ndjson"], args].concat(),
            "UTC",
        );
        run.out
            .lines()
            .filter(|line| line.contains("\"rule\""))
            .count()
    };
    let all = found(&[]);
    assert!(all > 0);
    assert_eq!(found(&["--from", "+1h"]), 0);
    assert_eq!(found(&["--from", "+0s"]), all);

    let none = run(
        &["-r", CAPTURE, "--count", "--to", "1970-01-01T00:00:00Z"],
        "UTC",
    );
    assert_eq!((none.code, none.out.as_str()), (Some(0), "0\n"));
    assert_eq!(run(&["-r", CAPTURE, "--from", "x"], "UTC").code, Some(2));

    let local = run(&["-r", CAPTURE, "--frames", "1", "-tttt"], "XYZ-5").clean();
    let utc = run(&["-r", CAPTURE, "--frames", "1", "-tttt", "--utc"], "XYZ-5").clean();
    assert_ne!(local, utc);
    assert_eq!(
        utc,
        run(&["-r", CAPTURE, "--frames", "1", "-tttt"], "UTC").clean()
    );
    for zone in ["No/Such", "/dev/zero", ":/dev/zero"] {
        let result = run(&["-r", CAPTURE, "-q", "--frames", "1"], zone);
        assert_eq!(result.code, Some(0), "{result:?}");
        assert!(result.err.contains("no such time zone"), "{result:?}");
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
    let middle = packets.len() * 2 / 3;
    for packet in &mut packets[middle..] {
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

/// Inputs are not overwritten, whatever its name.
#[cfg(unix)]
#[test]
fn the_input_is_not_saved_over() {
    let folder = Folder::new();
    let bytes = std::fs::read(project(CAPTURE)).expect("the fixture");
    let name = folder.write("a.pcap", &bytes);
    let link = folder.path("link.pcap");
    std::fs::hard_link(folder.path("a.pcap"), &link).expect("a hard link");
    let link = link.to_str().expect("UTF-8").to_owned();
    let input = || std::fs::File::open(folder.path("a.pcap")).expect("it is there");
    let run = |args: &[&str]| {
        let mut command = mqttdump();
        command.args(args).stdin(input());
        Run::from(command.output().expect("the program starts"))
    };
    for args in [
        &["-r", &name, "-w", &link][..],
        &["-r", &link, "-w", &name],
        &["-r", "-", "-w", &name],
    ] {
        let refused = run(args);
        assert_eq!(refused.code, Some(2), "{args:?} {refused:?}");
        assert!(refused.err.contains("would overwrite"), "{refused:?}");
        let now = std::fs::read(folder.path("a.pcap")).expect("it is there");
        assert_eq!(now, bytes);
    }
}

/// A saved file is there when it is complete, and is its owner's alone.
#[cfg(unix)]
#[test]
fn saved_files_are_whole() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let out = folder.write("out.pcap", b"what was there before");
    let run = crate::support::program::run;
    // Nothing of it is lost when the input cannot be read.
    let failed = run(&["-r", "no/such.pcap", "-w", &out]);
    assert_eq!(failed.code, Some(2), "{failed:?}");
    let kept = std::fs::read(folder.path("out.pcap")).expect("it is there");
    assert_eq!(kept, b"what was there before");
    run(&["-r", CAPTURE, "-w", &out]).clean();
    assert_eq!(folder.names(), ["out.pcap"]);
    let whole = std::fs::read(folder.path("out.pcap")).expect("it is there");
    assert_eq!(whole, std::fs::read(project(CAPTURE)).expect("the fixture"));
    let new = folder.name("new.pcap");
    run(&["-r", CAPTURE, "-w", &new]).clean();
    let mode = std::fs::metadata(&new).expect("it is there").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

/// Completions load, and complete commands, rules, profiles.
#[cfg(unix)]
#[test]
fn completions_load_in_their_shells() {
    let folder = Folder::new();
    let script = |what: &str| crate::support::program::run(&["--generate", what]).clean();
    let shell = |program: &str, args: &[&str], text: &str| {
        let output = Command::new(program)
            .args(args)
            .arg("-c")
            .arg(text)
            .output();
        output.ok().map(Run::from)
    };
    let bash = folder.write("bash", script("complete-bash").as_bytes());
    let complete = |line: &str, at: usize| {
        format!(
            "source {bash}; COMP_WORDS=({line}); COMP_CWORD={at}; _mqttdump mqttdump \
             \"${{COMP_WORDS[$COMP_CWORD]}}\" \"${{COMP_WORDS[$COMP_CWORD-1]}}\"; echo \"${{COMPREPLY[@]}}\""
        )
    };
    for (line, at, expected) in [
        ("mqttdump ch", 1, "check"),
        ("mqttdump check --fail", 2, "--fail-on"),
        ("mqttdump check --rule id-in", 3, "id-in-use"),
        ("mqttdump explain id-in", 2, "id-in-use"),
        ("mqttdump overhead --link nb", 3, "nbiot"),
    ] {
        if let Some(run) = shell("bash", &["--norc"], &complete(line, at)) {
            assert_eq!(run.err, "", "{line}");
            assert!(run.out.contains(expected), "{line}: {run:?}");
        }
    }
    let fish = folder.write("fish", script("complete-fish").as_bytes());
    for (line, expected) in [
        ("mqttdump ch", "check"),
        ("mqttdump check --rule id-in", "id-in-use"),
    ] {
        let text = format!("source {fish}; complete -C '{line}'");
        if let Some(run) = shell("fish", &["--no-config"], &text) {
            assert!(run.out.contains(expected), "{line}: {run:?}");
        }
    }
    let zsh = folder.write("_mqttdump", script("complete-zsh").as_bytes());
    let text = format!(
        "fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; autoload +X _mqttdump; \
         source {zsh} 2>&1; whence -w _mqttdump _mqttdump_commands _mqttdump_interfaces",
        folder.name("")
    );
    if let Some(run) = shell("zsh", &["-f"], &text) {
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.out.matches(": function").count(), 3, "{run:?}");
    }
}

/// The manual page has every command and section, and its examples survive.
#[test]
fn the_manual_page_is_whole() {
    let page = crate::support::program::run(&["--generate", "man"]).clean();
    let folder = Folder::new();
    let file = folder.write("mqttdump.1", page.as_bytes());
    let rendered = Command::new("groff")
        .args(["-man", "-Tutf8", "-P-cbou", "-ww", &file])
        .output();
    let Ok(rendered) = rendered.map(Run::from) else {
        return;
    };
    assert_eq!(rendered.err, "", "groff has nothing to complain of");
    for text in [
        "EXAMPLES",
        "EXIT STATUS",
        "FILES",
        "ENVIRONMENT",
        "MQTTDUMP CHECK",
        "MQTTDUMP OVERHEAD",
        "--fail-on",
        "--what-if",
        "mqttdump -r a.pcap -r b.pcap --topic 'plant/#'",
        "mqttdump check capture.pcap",
    ] {
        assert!(rendered.out.contains(text), "{text}: {}", rendered.out);
    }
}
