//! Hostile text in every format of every command.
//!
//! One capture and one file name contain everything that peers and file systems allow and
//! terminals, spreadsheets, web pages and job logs obey. In no output, on
//! neither stream, may any of it be left that acts; all of it stays visible.

use mqttdump::report::findings::FINDINGS_REPORTS;
use mqttdump::report::overhead::OVERHEAD_REPORTS;
use mqttdump::report::sessions::SESSIONS_REPORTS;
use mqttdump::report::stats::STATS_REPORTS;
use mqttdump::report::{Format, REPORTS, Subject};

use crate::support::files;
use crate::support::program::{Folder, Run, run};
use crate::support::stack::Stack;
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

/// Strings that a peer may send. None contains a control that is not escaped by the
/// transcript itself.
const HOSTILE: &[&[u8]] = &[
    b"\x1b[2J\x1b]0;owned\x07",
    b"\0",
    b"\r13:05:02",
    b"\n::error::owned",
    b"\n\t ::warning file=x::owned",
    "\u{85}\u{9b}31m".as_bytes(),
    "\u{202e}gpj.exe\u{202c}".as_bytes(),
    "\u{2066}a\u{2069}\u{61c}".as_bytes(),
    "\u{200b}\u{feff}\u{200d}\u{ad}".as_bytes(),
    "\u{e0041}\u{e007f}".as_bytes(),
    "\u{2028}\u{2029}".as_bytes(),
    "\u{fffe}".as_bytes(),
    b"\xff\xfe\xc3",
    b"]]>",
    b"</script><script>",
    b"%0A::error::owned",
    b"=1+1",
    b"\x7f\x08",
];

const NAME: &str = "a\n::error::\u{1b}[2J\u{202e}]]><script>%0A\u{9b}.pcap";

#[test]
fn hostile_text_is_visible_and_harmless_in_every_format_of_every_command() {
    let folder = Folder::new();
    let file = folder.write(NAME, &capture());
    let other = folder.write("other.pcap", &capture());
    let (file, other) = (file.as_str(), other.as_str());
    let mut runs = 0;
    let mut check = |format: &str, args: &[&str]| {
        let run = run(args);
        assert_ne!(run.code, None, "{args:?}");
        check(format, args, &run);
        runs += 1;
    };
    for format in names(REPORTS) {
        for style in [
            &[][..],
            &["-v"],
            &["-vv"],
            &["-A"],
            &["-x"],
            &["-X"],
            &["--number"],
        ] {
            let args = [
                "-r",
                file,
                "-r",
                other,
                "--format",
                format,
                "--payload",
                "all",
            ];
            check(format, &[&args, style].concat());
        }
        check(
            format,
            &["-r", file, "--format", format, "--color", "always"],
        );
    }
    // Each command with its formats, and the options that change its output.
    type Formats = Vec<&'static str>;
    type Variants = &'static [&'static [&'static str]];
    let commands: [(&str, Formats, Variants); 4] = [
        ("check", names(FINDINGS_REPORTS), &[&["-v"]]),
        ("overhead", names(OVERHEAD_REPORTS), &[&["-v"]]),
        ("sessions", names(SESSIONS_REPORTS), &[&["--utc"]]),
        (
            "stats",
            names(STATS_REPORTS),
            &[
                &["--by", "client"],
                &["--by", "type", "--every", "1s"],
                &["--topic", "#"],
            ],
        ),
    ];
    for (command, formats, more) in commands {
        for format in formats {
            let alone = [command, file, "--format", format];
            check(format, &alone);
            check(format, &[&alone[..], &["--color", "always"]].concat());
            for options in more {
                check(format, &[&alone[..], &[other], *options].concat());
            }
            let missing = &format!("{file}.missing");
            check(format, &[command, missing, file, "--format", format]);
        }
    }
    for format in SESSIONS_REPORTS {
        if format.needs.deliveries {
            let args = ["sessions", file, "--deliveries", "--format", format.name];
            check(format.name, &args);
        }
    }
    check("text", &["sessions", file, "--ladder"]);
    let page = folder.name("page.html");
    check("text", &["sessions", file, "--html", &page]);
    let page = std::fs::read_to_string(page).expect("a page");
    check_page(&page);
    // Errors, in which file names appear.
    for args in [
        &["-r", NAME][..],
        &["check", NAME],
        &["overhead", NAME],
        &["sessions", NAME],
        &["stats", NAME],
        &["-r", file, "-F", NAME],
        &["check", file, "--baseline", NAME],
        &["overhead", file, "--profiles", NAME],
        &["-r", file, "--tls-keylog", NAME],
        &["check", file, "--rule", NAME],
        &["-r", file, NAME],
        &["explain", NAME],
    ] {
        check("text", args);
    }
    assert!(runs > 60);
}

fn names<S: Subject>(formats: &[&'static Format<S>]) -> Vec<&'static str> {
    formats.iter().map(|format| format.name).collect()
}

/// A connection for each hostile string, which is in every field that peers
/// choose, and breaks a rule, so that `check` has to name it.
fn capture() -> Vec<u8> {
    let mut packets = Vec::new();
    for (port, hostile) in (40_000..).zip(HOSTILE) {
        let escaped: String = hostile
            .iter()
            .map(|byte| format!("\\x{byte:02x}"))
            .collect();
        // The mark comes last, so that a formula is at the start.
        let text = format!("\"{escaped}mark{port}\"");
        let pair = format!("\"a:{escaped}mark{port}\"");
        let filter = format!("\"{escaped}mark{port}:1\"");
        let lines = format!(
            "> CONNECT version=5 client={text} user={text} will_topic={text} will_payload={text} user_property={pair}\n\
             < CONNACK reason_string={text}\n\
             > SUBSCRIBE id=1 filter={filter}\n\
             < SUBACK id=1 codes=0x87 reason_string={text}\n\
             > PUBLISH qos=0 dup=1 topic={text} payload={text}\n\
             > PUBLISH qos=1 id=1 topic={text} payload={text} content_type={text}\n\
             < PUBACK id=1 code=0x10 reason_string={text}\n\
             < DISCONNECT code=0x81 reason_string={text}\n"
        );
        let mut wire = Wire::new(&Conversation::new(&lines));
        wire.client.set_port(port);
        packets.extend(wire.packets(&Stack::default()));
    }
    let format = files::Format::Pcap {
        nano: false,
        big: false,
    };
    format.write(&packets)
}

fn check(format: &str, args: &[&str], run: &Run) {
    let context = |what: &str| format!("{what}: mqttdump {args:?}\n{}\n2> {}", run.out, run.err);
    let out = without_colour(&run.out);
    let mut text = out.clone();
    match format {
        "csv" | "csv-topics" => text = without_payloads(&out),
        "json" | "sarif" => assert!(out.is_empty() || is_json(&out), "{}", context("JSON")),
        "ndjson" | "eve" | "otlp" => assert!(out.lines().all(is_json), "{}", context("JSON")),
        "junit" => assert!(!out.contains("]]>"), "{}", context("CDATA")),
        _ => {}
    }
    if matches!(format, "json" | "ndjson" | "sarif" | "junit") {
        assert!(!out.contains("</script"), "{}", context("script"));
    }
    for (stream, text) in [("out", &text), ("err", &run.err)] {
        assert!(
            !text.contains('\u{fffd}') || may_replace(format),
            "{}",
            context("not UTF-8")
        );
        for line in text.lines() {
            // Dumps begin with a tab of ours, and -A leaves tabs as they are.
            let tabs = args
                .iter()
                .any(|arg| matches!(*arg, "-A" | "-x" | "-X" | "zeek"));
            let found = line.chars().find(|c| acts(*c) && !(tabs && *c == '\t'));
            assert_eq!(found, None, "{}", context(stream));
            let command = line.trim_start().starts_with("::");
            let ours = format == "github" && stream == "out" && line.contains(" file=");
            assert!(!command || ours, "{}", context("a command of the job log"));
            assert!(!ours || !line.contains("%0A"), "{}", context("%0A"));
        }
    }
    // Nothing is hidden either. Reports of findings and accounts are selective.
    if args[0] == "-r" && run.code == Some(0) {
        for port in 40_000..40_000 + HOSTILE.len() {
            assert!(
                out.contains(&format!("mark{port}")),
                "{}",
                context("hidden")
            );
        }
    }
}

/// The page of `sessions`: nothing acts, no markup comes from the wire, and every
/// client is there.
fn check_page(page: &str) {
    let found = page.chars().find(|c| acts(*c) && *c != '\n');
    assert_eq!(found, None, "{page}");
    assert!(!page.contains("<script") && !page.contains("]]>"), "{page}");
    for port in 40_000..40_000 + HOSTILE.len() {
        assert!(page.contains(&format!("mark{port}")), "mark{port}: {page}");
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// Whether U+FFFD stands for invalid UTF-8.
fn may_replace(format: &str) -> bool {
    matches!(
        format,
        "json" | "ndjson" | "sarif" | "csv" | "csv-topics" | "eve" | "otlp"
    )
}

/// Written anew rather than taken from the program, which could be wrong.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Without the colours that the program itself switches.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !c.is_ascii_digit() && c != ';');
        match end {
            Some(end) if part[end..].starts_with('m') => out += &part[end + 1..],
            _ => out += &format!("\x1b[{part}"),
        }
    }
    out
}

/// Rows without the cell of the payload, which holds CR, LF and tab as they were.
fn without_payloads(text: &str) -> String {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let heading = reader.headers().expect("a heading").clone();
    let payload = heading.iter().position(|name| name == "payload");
    let mut out = String::new();
    for row in reader.records() {
        let row = row.expect("a row");
        for (column, cell) in row.iter().enumerate() {
            match Some(column) == payload {
                true => assert!(!cell.contains(|c| acts(c) && !"\r\n\t".contains(c))),
                false => out += &format!("{cell}\n"),
            }
        }
    }
    out
}
