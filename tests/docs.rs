//! The documents are true: commands in them work, files they name exist.
//! (What `--help` prints is compared in `golden/help.txt`.)

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use mqttdump::facts::Reason;

use crate::support::program::{Folder, mqttdump, project};

/// Commands on captures of ours, in any document, do what they promise: they
/// succeed and print something.
#[test]
fn commands_in_documents_work() {
    let mut commands = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        for line in text.lines().map(str::trim) {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            let args = match line.split_once(" -- ") {
                Some((cargo, args)) if cargo.contains("cargo run") => args,
                _ => match line.strip_prefix("mqttdump ") {
                    Some(args) => args,
                    None => continue,
                },
            };
            // Only commands that read a capture of the tree and write no file.
            if !args.contains("fixtures/") || args.contains(['|', '>', '<']) {
                continue;
            }
            let output = Command::new("sh")
                .current_dir(project(""))
                .arg("-c")
                .arg(format!(
                    "exec \"$0\" {}",
                    args.split(" #").next().unwrap_or(args)
                ))
                .arg(mqttdump().get_program())
                .env("TZ", "UTC")
                .output()
                .expect("sh starts");
            let message = String::from_utf8_lossy(&output.stderr);
            let context = format!("{}: {line}\n{message}", document.display());
            assert!(
                // `check` exits with 1 for findings.
                matches!(output.status.code(), Some(0 | 1)),
                "{context}"
            );
            assert!(!output.stdout.is_empty(), "{context}");
            commands += 1;
        }
    }
    assert!(
        commands > 0,
        "the README shows at least one command on a fixture"
    );
}

/// The two commands with which README begins, word for word: for root without `sudo` (a
/// container), and for a user with it. `apt-get` and `cargo` only note how they are called.
#[cfg(unix)]
#[test]
fn the_first_commands_of_readme_need_no_sudo() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let readme = std::fs::read_to_string(project("README.md")).expect("README");
    let commands: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("$(command -v sudo)"))
        .collect();
    let run = "cargo run --release -- -r fixtures/captures/seed-3.1.1-qos2.pcap\n";
    for (command, last) in commands.iter().zip([run, "cargo test\n"]) {
        for with_sudo in [false, true] {
            let folder = Folder::new();
            let log = folder.name("log");
            let stub = |name: &str, then: &str| {
                let script = format!("#!/bin/sh\necho {name} \"$@\" >>{log}\n{then}\n");
                let path = folder.write(name, script.as_bytes());
                let executable = std::fs::Permissions::from_mode(0o755);
                std::fs::set_permissions(path, executable).expect("ours");
            };
            stub("apt-get", "");
            stub("cargo", "");
            if with_sudo {
                stub("sudo", "exec \"$@\"");
            }
            symlink("/bin/sh", folder.path("sh")).expect("a link");
            let status = Command::new("/bin/sh")
                .args(["-c", command])
                .env_clear()
                .env("PATH", folder.name(""))
                .status();
            assert!(status.expect("sh starts").success(), "{command}");
            let called = std::fs::read_to_string(&log).expect("calls");
            let sudo = "sudo sh -c apt-get update && apt-get install -y libpcap-dev\n";
            let install = "apt-get update\napt-get install -y libpcap-dev\n";
            let sudo = if with_sudo { sudo } else { "" };
            assert_eq!(called, format!("{sudo}{install}{last}"));
        }
    }
    assert_eq!(commands.len(), 2);
    let with_sudo = |line: &&str| line.trim_start().starts_with("sudo ");
    assert_eq!(readme.lines().find(with_sudo), None);
}

/// The expressions of README separate messages and events in NDJSON.
#[test]
fn one_jq_expression_separates_messages_and_events() {
    let readme = std::fs::read_to_string(project("README.md")).expect("README");
    let (_, expression) = readme.split_once("--format ndjson | jq -r '").expect("jq");
    let (topics, _) = expression.split_once('\'').expect("its end");
    assert!(readme.contains("select(.event)"));
    for (expression, expected) in [
        (topics, "vdm/123/engineOff"),
        ("select(.event).event", "opened"),
    ] {
        let command = format!(
            "\"$0\" -r fixtures/captures/seed-3.1.1-qos1.pcap --format ndjson | jq -r '{expression}'"
        );
        let output = Command::new("sh")
            .current_dir(project(""))
            .args(["-c", &command])
            .arg(mqttdump().get_program())
            .output()
            .expect("sh starts");
        // Not everyone has jq.
        if output.status.code() == Some(127) {
            return;
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && printed.lines().any(|line| line == expected),
            "{printed}"
        );
    }
}

/// The output that documents show is the command's output: the lines below
/// it, in order; `…` stands for any.
#[test]
fn output_in_documents_is_real() {
    let mut shown = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        for block in text.split("```text\n").skip(1) {
            let block = block.split("```").next().unwrap_or_default();
            let Some((command, lines)) = block.split_once('\n') else {
                continue;
            };
            let Some(args) = command.strip_prefix("$ mqttdump ") else {
                continue;
            };
            if args.contains(['|', '>', '<']) {
                continue;
            }
            let args: Vec<&str> = args.split_whitespace().collect();
            let output = mqttdump().args(args).output().expect("it starts");
            let output = String::from_utf8_lossy(&output.stdout).into_owned();
            let mut printed = output.lines();
            for line in lines
                .lines()
                .filter(|line| *line != "…" && !line.is_empty())
            {
                assert!(
                    printed.any(|printed| printed == line),
                    "{}: {command}\ndoes not print, instead:\n{line}",
                    document.display()
                );
                shown += 1;
            }
        }
    }
    assert!(shown > 20, "{shown} lines");
}

/// Relative links in documents lead somewhere.
#[test]
fn links_in_documents_lead_somewhere() {
    for document in documents() {
        let text = std::fs::read_to_string(&document).expect("a document");
        let folder = document.parent().expect("a folder");
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..]
                .split([')', ' ', '#'])
                .next()
                .unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            assert!(
                folder.join(target).exists(),
                "{} links to {target}, which is not there",
                document.display()
            );
        }
    }
}

/// The table of reasons for `cannot_tell` lists all of them, and no others.
#[test]
fn every_reason_is_documented() {
    let text = std::fs::read_to_string(project("docs/checking.md")).expect("a document");
    let table = text
        .split("| reason | |\n|---|---|\n")
        .nth(1)
        .expect("a table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let mut documented: Vec<&str> = rows
        .filter_map(|row| row.split('|').nth(1))
        .flat_map(|cell| cell.split(','))
        .map(|name| name.trim().trim_matches('`'))
        .collect();
    documented.sort_unstable();
    let mut known = Reason::ALL.map(Reason::name);
    known.sort_unstable();
    assert_eq!(documented, known);
}

/// README and everything under `docs/`.
fn documents() -> Vec<PathBuf> {
    let mut documents = Vec::new();
    for folder in [project(""), project("docs")] {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if Path::new(&path).extension().is_some_and(|e| e == "md") {
                documents.push(path);
            }
        }
    }
    documents
}

/// `docs/limits.md` has every limit of `src/limits.rs`; `BLESS=1` writes it.
#[test]
fn the_table_of_limits_is_fresh() {
    let source = std::fs::read_to_string(project("src/limits.rs")).expect("the limits");
    let mut text = "# Limits\n\nAll memory that input can grow is limited. The limits are generous: \
        normal traffic does not reach them. A limit that is reached is reported, as a `bound` event, a count \
        at the end, or an inconclusive finding. `--max-memory` (512 MiB by default) is a limit on all of them together: when \
        more is needed, the connections that have been silent longest are evicted, with the oldest sessions and details, and \
        counted. The kinds of captures of `benches/hostile/kinds.rs` make each table grow; \
        `hostile_captures_stay_below_the_ceiling` reads all of them in little address space. The table is made from \
        `src/limits.rs`; the last column names the test that reaches the limit itself.\n\n\
        | limit | value | of what, and what happens then | test |\n|---|---|---|---|\n"
        .to_owned();
    let tests = tests_of_limits();
    let mut remark: Vec<&str> = Vec::new();
    for line in source.lines() {
        if let Some(more) = line.strip_prefix("/// ") {
            remark.push(more);
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            let (name, value) = constant.split_once(": ").expect("a type");
            let (_, value) = value.split_once(" = ").expect("a value");
            let value = value.trim_end_matches(';');
            let value = match value.starts_with(|first: char| first.is_ascii_digit()) {
                true => value.replace('_', ","),
                false => value.to_owned(),
            };
            text += &format!(
                "| `{name}` | {} | {} | {} |\n",
                in_words(&value),
                plain(&remark.join(" ")),
                tests
                    .get(name)
                    .map_or_else(String::new, |test| format!("`{test}`"))
            );
            remark.clear();
        } else {
            remark.clear();
        }
    }
    assert!(text.lines().count() > 100, "{text}");
    let path = project("docs/limits.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("the table is written");
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        text,
        "BLESS=1 writes it"
    );
}

/// The test that reaches each limit; each has to be there.
fn tests_of_limits() -> BTreeMap<&'static str, &'static str> {
    let mut sources = String::new();
    for folder in ["src", "tests"] {
        append_sources(&project(folder), &mut sources);
    }
    let source = std::fs::read_to_string(project("src/limits.rs")).expect("the limits");
    for (limit, test) in TESTS_OF_LIMITS {
        assert!(sources.contains(&format!("fn {test}()")), "no test {test}");
        let constant = format!("pub const {limit}:");
        assert!(source.contains(&constant), "no limit {limit}");
    }
    TESTS_OF_LIMITS.iter().copied().collect()
}

fn append_sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            append_sources(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            text.push_str(&std::fs::read_to_string(path).expect("a source"));
        }
    }
}

const TESTS_OF_LIMITS: &[(&str, &str)] = &[
    ("TUNNEL_DEPTH", "depth_is_bounded_and_said"),
    ("FRAGMENTED_DATAGRAMS", "the_oldest_datagram_makes_room"),
    ("FRAGMENT_BYTES", "bytes_that_wait_are_bounded"),
    ("PACKET_BYTES", "a_record_that_claims_too_much"),
    ("INTERFACES", "too_many_interfaces_are_refused"),
    ("FLOWS", "the_longest_silent_make_room"),
    (
        "IDLE_EMPTY_SECONDS",
        "a_handshake_that_nothing_follows_is_evicted",
    ),
    (
        "IDLE_MQTT_SECONDS",
        "the_clock_alone_lets_connections_expire",
    ),
    (
        "CLOCK_STEP_SECONDS",
        "the_clock_alone_lets_connections_expire",
    ),
    ("WAITING_BYTES", "a_reached_limit_is_reported"),
    ("GAP_PACKETS", "a_gap_becomes_final_by_packets_or_by_time"),
    ("GAP_MILLIS", "a_gap_becomes_final_by_packets_or_by_time"),
    ("BLIND_GAP_PACKETS", "a_gap_that_no_peer_acknowledged_waits"),
    (
        "HISTORY_BYTES",
        "compares_across_segments_and_evicts_overwritten_bytes",
    ),
    ("KEPT_TOTAL", "kept_payloads_are_limited"),
    ("PACKET_KEPT", "kept_payloads_are_limited"),
    ("PAUSES", "few_are_kept"),
    ("PUBLISH_HEAD_KEPT", "many_properties_keep_the_payload"),
    ("UPGRADE_BYTES", "an_endless_head_is_limited"),
    ("HTTP_REQUESTS", "unsupported_messages_are_abandoned"),
    ("HTTP_BODIES", "unsupported_messages_are_abandoned"),
    ("INFLATED_BYTES", "many_bombs_go_off_within_the_same_limits"),
    ("INFLATED_RATIO", "a_bomb_goes_off_within_limits"),
    ("ALIAS_BYTES", "aliases_beyond_the_limit_are_dropped"),
    (
        "TRACKED_EXCHANGES",
        "settled_exchanges_make_room_for_new_ones",
    ),
    ("SETTLED_EXCHANGES", "memory_is_bounded_by_what_is_open"),
    (
        "SAVE_BUFFERED_BYTES",
        "the_oldest_make_room_and_are_counted",
    ),
    (
        "UNORDERED_SPANS",
        "what_never_comes_is_waited_for_no_longer_than_the_bound",
    ),
    (
        "WAITING_SPANS",
        "a_message_of_any_number_of_segments_is_one_range",
    ),
    (
        "WAITING_PACKETS",
        "a_frame_of_any_number_of_packets_keeps_few",
    ),
    ("ACCOUNTED_TOPICS", "topics_beyond_the_limits_count_as_one"),
    ("SAMPLES", "samples_are_limited_and_spread"),
    ("SESSIONS", "sessions_beyond_the_limit_are_evicted"),
    ("FINDINGS", "findings_beyond_the_limit_are_counted"),
    ("TLS_SESSIONS", "old_secrets_make_room_and_it_is_counted"),
    (
        "TLS_WAITING",
        "secrets_that_never_come_cost_no_more_than_the_limit",
    ),
    ("PAYLOAD_DEPTH", "depth_and_count_have_limits"),
    ("PAYLOAD_NAME", "keys_in_keys_have_a_limit"),
    ("PAYLOAD_VALUES", "depth_and_count_have_limits"),
    ("STATS_KEYS", "topics_beyond_the_limits_count_as_one"),
];

/// `64 << 10` as 64 Ki.
fn in_words(value: &str) -> String {
    match value.split_once(" << ") {
        Some((n, "10")) => format!("{n} Ki"),
        Some((n, "20")) => format!("{n} Mi"),
        Some((n, shift)) => match (n.parse::<u64>(), shift.parse::<u32>()) {
            (Ok(n), Ok(shift)) => (n << shift).to_string(),
            _ => value.to_owned(),
        },
        None => value.to_owned(),
    }
}

/// Without links to code, which mean nothing there.
fn plain(remark: &str) -> String {
    let mut text = String::new();
    let mut rest = remark.replace('|', "\\|");
    while let Some(start) = rest.find('[') {
        text += &rest[..start];
        let after = rest[start + 1..].to_owned();
        let Some(end) = after.find(']') else {
            return text + &rest[start..];
        };
        text += &after[..end];
        let behind = &after[end + 1..];
        let target = behind.starts_with('(').then(|| behind.find(')')).flatten();
        rest = behind[target.map_or(0, |at| at + 1)..].to_owned();
    }
    text + &rest
}

/// Every direct dependency has its line in `docs/dependencies.md`.
#[test]
fn every_dependency_is_justified() {
    let manifest = std::fs::read_to_string(project("Cargo.toml")).expect("the manifest");
    let document = std::fs::read_to_string(project("docs/dependencies.md")).expect("a document");
    let mut is_listed = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            is_listed = line == "[dependencies]" || line.starts_with("[target.");
        } else if is_listed && let Some((name, _)) = line.split_once(" = ") {
            assert!(
                document.contains(&format!("| `{name}` | ")),
                "{name} has no line"
            );
        }
    }
}
