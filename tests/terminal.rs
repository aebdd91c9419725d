//! Output on real terminals of 60, 80 and 120 columns.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::process::Stdio;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::files::Format;
use crate::support::program::{TempFile, mqttdump, project, run};
use crate::support::scene::scene;

/// What a terminal of so many columns shows, with its escape codes.
fn on_terminal(columns: u16, args: &[&str]) -> String {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("a terminal");
    unlockpt(&master).expect("a terminal");
    let name = ptsname(&master, Vec::new()).expect("its name");
    let slave = File::options()
        .read(true)
        .write(true)
        .open(name.to_str().expect("UTF-8"))
        .expect("its other end");
    let size = Winsize {
        ws_row: 50,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&slave, size).expect("its size");
    let end = || Stdio::from(slave.try_clone().expect("a descriptor"));
    let mut command = mqttdump();
    command.args(args).env("TERM", "xterm-256color");
    command.stdin(end()).stdout(end()).stderr(end());
    let mut child = command.spawn().expect("the program starts");
    drop((command, slave));
    let mut shown = Vec::new();
    // The last one to close it ends it, with an error.
    let _ = File::from(master).read_to_end(&mut shown);
    child.wait().expect("it ends");
    String::from_utf8_lossy(&shown).replace("\r\n", "\n")
}

/// The text without escape codes, and the codes.
fn split(shown: &str) -> (String, BTreeSet<String>) {
    let (mut text, mut codes) = (String::new(), BTreeSet::new());
    let mut rest = shown;
    while let Some((before, after)) = rest.split_once("\x1b[") {
        text += before;
        let end = after
            .find(|c: char| c.is_ascii_alphabetic())
            .expect("a code");
        codes.insert(after[..=end].to_owned());
        rest = &after[end + 1..];
    }
    (text + rest, codes)
}

/// README begins with what a terminal shows of the capture that it reads, and a line of
/// what a file gets.
#[test]
fn the_first_example_of_readme_is_real() {
    let readme = std::fs::read_to_string(project("README.md")).expect("README");
    let args = ["-r", "fixtures/captures/seed-3.1.1-qos2.pcap"];
    let command = format!("cargo run --release -- {}", args.join(" "));
    let (_, after) = readme.split_once(&command).expect("the command");
    let mut blocks = after.split("```text\n").skip(1);
    let mut block = || blocks.next().and_then(|it| it.split("```").next());
    let shown = block().expect("what a terminal shows");
    let (text, _) = split(&on_terminal(80, &args));
    assert!(text.starts_with(shown), "{text}");
    let line = block().expect("a line");
    let file = run(&args).clean();
    assert!(file.contains(line), "{file}");
}

const CAPTURES: [&str; 6] = [
    "fixtures/market/amqtt-paho-4.pcap",
    "fixtures/market/mosquitto-paho-5.pcap",
    "fixtures/sessions/broker-restarted.pcap",
    "fixtures/sessions/takeover-loop-aedes.pcap",
    "fixtures/sessions/tcp-refused.pcap",
    "fixtures/captures/unacknowledged.pcap",
];

/// More packets around findings than the others, with topics.
const LONG_TOPICS: [&str; 1] = ["fixtures/market/aedes-paho-4.pcap"];

/// Lines that fit; text that is the same as without a terminal is not split within
/// numbers, quotes and words. A word alone may be longer than a line.
#[test]
fn lines_fit_their_terminal() {
    let mut wrong = Vec::new();
    let mut lines = 0;
    for columns in [60, 80, 120] {
        let mut try_it = |args: &[&str]| {
            let (text, _) = split(&on_terminal(columns, args));
            assert!(!text.is_empty(), "{args:?}");
            for line in text.lines() {
                lines += 1;
                let long = line.chars().count() > usize::from(columns);
                if long && line.split_whitespace().count() > 1 {
                    wrong.push(format!("{columns}, {args:?}: {line}"));
                }
            }
        };
        for capture in CAPTURES.into_iter().chain(LONG_TOPICS) {
            try_it(&["-r", capture]);
            for command in ["check", "overhead", "sessions", "stats"] {
                try_it(&[command, capture]);
            }
            try_it(&["sessions", "-v", capture]);
        }
        for args in [
            &["-h"][..],
            &["--help"],
            &["check", "-h"],
            &["overhead", "--help"],
            &["sessions", "-h"],
            &["stats", "-h"],
            &["redact", "-h"],
            &["fields"],
            &["explain"],
            &["explain", "no-such-rule"],
            &["check", CAPTURES[0], "--topic", "no/such"],
            &["check", CAPTURES[0], "--client", "nobody"],
            &["check", CAPTURES[0], "tcp", "port", "1883"],
            &["-r", CAPTURES[0], "--filter", "tcp port 1883"],
            &["--what-if", "tls", "-r", CAPTURES[0]],
            &["check", "no/such.pcap"],
        ] {
            try_it(args);
        }
    }
    assert!(lines > 5_000, "{lines}");
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
}

/// Names that no line has room for are shortened. In files they are whole.
#[test]
fn long_names_are_shortened() {
    let (client, topic) = ("c-".repeat(90), "plant/".repeat(70) + "end");
    let packets = scene(&format!(
        "> CONNECT client={client}\n< CONNACK\n> PUBLISH topic={topic} dup=1\n> DISCONNECT"
    ));
    let file = TempFile::new("long.pcapng", &Format::PCAPNG.write(&packets));
    for columns in [60, 80, 120] {
        for command in [
            &["check"][..],
            &["stats"],
            &["overhead", "-v"],
            &["sessions"],
        ] {
            let args = [command, &[file.path()]].concat();
            let (text, _) = split(&on_terminal(columns, &args));
            let is_long = |line: &&str| {
                line.chars().count() > usize::from(columns) && !line.contains(file.path())
            };
            assert_eq!(text.lines().find(is_long), None, "{columns}, {args:?}");
        }
    }
    let check = run(&["check", file.path()]).out;
    assert!(check.contains(&client) && check.contains(&topic), "{check}");
    assert!(run(&["stats", file.path()]).clean().contains(&topic));
}

/// Numbers, and what is between quotes or parentheses with packets, are on one line.
#[test]
fn numbers_stay_whole() {
    for columns in [60, 80] {
        for capture in CAPTURES {
            for command in ["check", "sessions"] {
                let (text, _) = split(&on_terminal(columns, &[command, capture]));
                for line in text.lines() {
                    let broken = ["(connections 1 to", "(packet", "(packets", "Alive of"];
                    let ends = broken.iter().find(|end| line.trim_end().ends_with(**end));
                    assert_eq!(ends, None, "{columns}, {command} {capture}:\n{text}");
                }
            }
        }
    }
}

/// Connections that ended alike share a line.
#[test]
fn ends_that_are_alike_share_a_line() {
    let (text, _) = split(&on_terminal(80, &["sessions", CAPTURES[2]]));
    let refused = text.matches("RST answered the SYN").count();
    let connections = text.matches("tcp refused").count();
    assert!(refused <= 1 && connections > 2, "{text}");
}

/// Only colours that are legible on dark and on light backgrounds: none of black, white,
/// yellow and blue, no background, nothing bright.
#[test]
fn colours_suit_dark_and_light() {
    // Bold, dimmed, red, green, magenta, cyan, and their ends.
    let legible = [
        "0m", "1m", "2m", "4m", "22m", "31m", "32m", "35m", "36m", "39m", "m",
    ];
    let mut used = BTreeSet::new();
    for capture in CAPTURES {
        used.extend(split(&on_terminal(80, &["-r", capture])).1);
        for command in ["check", "overhead", "sessions", "stats"] {
            used.extend(split(&on_terminal(80, &[command, capture])).1);
        }
    }
    used.extend(split(&on_terminal(80, &["explain", "id-in-use"])).1);
    used.extend(split(&on_terminal(80, &["--help"])).1);
    assert!(used.contains("31m"), "{used:?}");
    for code in &used {
        // Erasing and moving is not colour.
        let colour = code.ends_with('m');
        let parts = code.trim_end_matches('m').split(';');
        let known = parts
            .map(|part| format!("{part}m"))
            .all(|part| legible.contains(&&*part));
        assert!(!colour || known, "{code}");
    }
}

/// `explain` shows a page: headings, no Markdown.
#[test]
fn explain_renders_for_terminals() {
    let (text, codes) = split(&on_terminal(80, &["explain", "id-in-use"]));
    assert!(codes.contains("1m"), "{codes:?}");
    for mark in ["```", "# id-in-use", "`PUBLISH`"] {
        assert!(!text.contains(mark), "{text}");
    }
}
