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

/// The line of the document that divides Zeek's logs does so with any awk.
#[test]
fn the_logs_of_zeek_are_divided() {
    let document = std::fs::read_to_string(project("docs/formats.md")).expect("a document");
    let line = document
        .lines()
        .find(|line| line.contains("--format zeek | awk"));
    let line = line
        .and_then(|line| line.strip_prefix("mqttdump "))
        .expect("the line");
    let folder = Folder::new();
    let capture = project("fixtures/captures/aedes-mqttjs-3.1.1.pcap");
    std::fs::copy(capture, folder.path("a.pcap")).expect("a copy");
    let output = Command::new("sh")
        .current_dir(folder.path(""))
        .args(["-c", &format!("\"$0\" {line}")])
        .arg(mqttdump().get_program())
        .output()
        .expect("sh starts");
    assert!(output.status.success(), "{output:?}");
    let names = folder.names();
    let logs = ["mqtt_connect.log", "mqtt_publish.log", "mqtt_subscribe.log"];
    assert_eq!(names, [&["a.pcap"][..], &logs].concat());
    for (log, name) in logs
        .iter()
        .zip(["mqtt_connect", "mqtt_publish", "mqtt_subscribe"])
    {
        let text = std::fs::read_to_string(folder.path(log)).expect("a log");
        assert!(text.starts_with("#separator"), "{text}");
        assert_eq!(text.matches(&format!("#path\t{name}")).count(), 1, "{text}");
        assert!(text.lines().any(|line| !line.starts_with('#')), "{text}");
    }
}

/// The document names the columns of CSV.
#[test]
fn the_columns_of_csv_are_documented() {
    let document = std::fs::read_to_string(project("docs/formats.md")).expect("a document");
    let (_, names) = document
        .split_once("the first row names the columns: ")
        .expect("it");
    let (names, _) = names.split_once(". They are").expect("its end");
    let names = names.split('`').skip(1).step_by(2).collect::<Vec<_>>();
    let args = ["-r", "fixtures/captures/cut.pcap", "--format", "csv"];
    let output = mqttdump().args(args).output().expect("it starts");
    let output = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.lines().next(), Some(&*names.join(",")));
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
    for line in source.lines() {
        if let Some((limit, _)) = line
            .strip_prefix("pub const ")
            .and_then(|it| it.split_once(':'))
        {
            let is_named = TESTS_OF_LIMITS.iter().any(|(named, _)| *named == limit);
            assert!(is_named, "no test reaches {limit}");
        }
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
    ("FRAGMENT_SECONDS", "a_datagram_waits_for_a_minute_only"),
    (
        "FRAGMENT_DEPTH",
        "fragments_of_fragments_are_joined_to_a_depth",
    ),
    (
        "AGGREGATED_FRAMES",
        "an_aggregate_of_too_many_frames_is_malformed",
    ),
    (
        "EXPORTED_STREAMS",
        "beyond_the_limit_streams_go_on_as_other_connections",
    ),
    ("PACKET_BYTES", "a_record_that_claims_too_much"),
    ("BLOCK_BYTES", "a_block_that_claims_too_much_is_refused"),
    ("INTERFACES", "too_many_interfaces_are_refused"),
    ("FLOWS", "the_longest_silent_make_room"),
    (
        "CLOSED_SECONDS",
        "late_packets_belong_to_a_closed_connection_for_a_while",
    ),
    (
        "IDLE_EMPTY_SECONDS",
        "a_handshake_that_nothing_follows_is_evicted",
    ),
    (
        "IDLE_SECONDS",
        "silent_connections_expire_by_what_they_carry",
    ),
    (
        "IDLE_MQTT_SECONDS",
        "silent_connections_expire_by_what_they_carry",
    ),
    (
        "CLOCK_STEP_SECONDS",
        "a_clock_that_is_set_ends_no_connection",
    ),
    ("WAITING_BYTES", "a_reached_limit_is_reported"),
    (
        "WAITING_BYTES_TOTAL",
        "bytes_that_wait_on_all_connections_are_limited",
    ),
    (
        "WAITING_SEGMENT",
        "small_segments_that_wait_are_limited_as_well",
    ),
    ("GAP_PACKETS", "a_gap_becomes_final_by_packets_or_by_time"),
    ("GAP_MILLIS", "a_gap_becomes_final_by_packets_or_by_time"),
    (
        "BLIND_GAP_PACKETS",
        "a_gap_that_no_peer_can_acknowledge_becomes_final_by_packets_or_by_time",
    ),
    (
        "BLIND_GAP_MILLIS",
        "a_gap_that_no_peer_can_acknowledge_becomes_final_by_packets_or_by_time",
    ),
    (
        "HISTORY_BYTES",
        "compares_across_segments_and_evicts_overwritten_bytes",
    ),
    (
        "UNDECIDED_NOTES",
        "events_before_the_protocol_is_recognised_are_limited",
    ),
    (
        "LAYERS_KEPT",
        "bytes_that_layers_of_all_connections_keep_are_limited",
    ),
    ("PACKET_KEPT", "the_beginning_of_a_long_packet_is_kept"),
    ("PUBLISH_HEAD_KEPT", "many_properties_keep_the_payload"),
    ("KEPT_TOTAL", "kept_payloads_are_limited"),
    ("FILTERED_PACKETS", "packets_of_long_ago_are_forgotten"),
    (
        "RESYNC_BYTES",
        "a_boundary_whose_proof_does_not_come_is_dropped",
    ),
    ("UPGRADE_BYTES", "an_endless_head_is_limited"),
    ("UPGRADE_FIELDS", "a_head_of_too_many_fields_is_none"),
    ("HTTP_REQUESTS", "unsupported_messages_are_abandoned"),
    ("HTTP_BODIES", "unsupported_messages_are_abandoned"),
    ("INFLATED_BYTES", "many_bombs_go_off_within_the_same_limits"),
    ("INFLATED_RATIO", "a_bomb_goes_off_within_limits"),
    (
        "WEBSOCKET_BREAKS",
        "who_breaks_the_format_again_and_again_is_read_no_more",
    ),
    (
        "WEBSOCKET_GLANCE",
        "the_beginning_of_a_long_payload_is_evidence_enough",
    ),
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
        "SAVE_CLOSED",
        "late_packets_of_connections_that_closed_long_ago_are_not_saved",
    ),
    (
        "SAVE_CARRIED_BYTES",
        "the_newest_blocks_are_repeated_up_to_the_limit",
    ),
    (
        "SAVE_COMMANDS",
        "few_programs_run_at_once_and_few_files_wait",
    ),
    (
        "SAVE_COMMANDS_WAITING",
        "few_programs_run_at_once_and_few_files_wait",
    ),
    ("SAVE_FRAGMENTS", "fragments_beyond_the_limit_are_counted"),
    ("PLAN_FLOWS", "flows_beyond_the_limit_are_counted"),
    (
        "SAVE_SPANS",
        "beyond_the_limit_of_spans_whole_connections_are_saved",
    ),
    ("WAITING_FRAMES", "frames_of_one_long_packet_are_merged"),
    ("LABELS", "labels_that_are_not_acknowledged_are_limited"),
    ("WAITING_LABELS", "labels_of_a_waiting_frame_are_limited"),
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
    (
        "UNDECIDED_SEGMENTS",
        "segments_of_an_undecided_connection_are_kept_up_to_the_limit",
    ),
    ("WAITING_FRAGMENTS", "the_oldest_fragments_make_room"),
    (
        "ACCOUNTED_MESSAGES",
        "messages_beyond_the_limit_are_only_summed_up",
    ),
    (
        "ACCOUNTED_CONNECTIONS",
        "connections_beyond_the_limit_are_only_summed_up",
    ),
    ("ACCOUNTED_TOPICS", "topics_beyond_the_limits_count_as_one"),
    (
        "ACCOUNTED_GROUPS",
        "topics_beyond_the_limit_of_all_connections_count_as_one",
    ),
    (
        "ACCOUNTED_SHAPES",
        "sizes_beyond_the_limit_count_as_the_nearest",
    ),
    ("LADDERS", "few_messages_are_kept_frame_by_frame"),
    ("SAMPLES", "samples_are_limited_and_spread"),
    (
        "SAMPLE_BYTES",
        "samples_of_long_payloads_take_no_more_bytes_than_the_limit",
    ),
    (
        "TRIED_PAYLOADS",
        "few_payloads_of_the_largest_topics_are_compressed",
    ),
    (
        "TRIED_TOPICS",
        "few_payloads_of_the_largest_topics_are_compressed",
    ),
    ("SAMPLED_TOPICS", "payloads_of_few_topics_are_sampled"),
    (
        "ENDED_EXCHANGES",
        "duplicate_answers_to_exchanges_of_long_ago_answer_nothing",
    ),
    (
        "FAULTY_PACKETS",
        "too_many_faults_excuse_what_the_other_side_does",
    ),
    ("CLOSE_CAUSES", "few_causes_are_kept_and_each_once"),
    ("SESSIONS", "sessions_beyond_the_limit_are_evicted"),
    (
        "SESSION_ITEMS",
        "sessions_with_too_many_subscriptions_make_room",
    ),
    (
        "SUBSCRIPTIONS",
        "deliveries_are_inconclusive_with_too_many_subscriptions",
    ),
    (
        "UNACKED_REQUESTS",
        "requests_that_are_not_acknowledged_by_tcp_are_tracked_up_to_the_limit",
    ),
    ("FINDINGS", "findings_beyond_the_limit_are_counted"),
    (
        "PUBLICATIONS",
        "the_oldest_publications_are_not_matched_with_deliveries",
    ),
    (
        "PUBLICATION_BYTES",
        "publications_of_long_topics_make_room_sooner",
    ),
    (
        "SERVERS",
        "servers_beyond_the_limit_are_evicted_and_counted",
    ),
    ("DELIVERIES", "few_missing_deliveries_are_looked_for"),
    (
        "WATCHED_SUBSCRIBERS",
        "missing_deliveries_are_not_looked_for_among_many_connections",
    ),
    ("TLS_SESSIONS", "old_secrets_make_room_and_it_is_counted"),
    ("TLS_KEY_LINE", "a_line_of_any_length_takes_little_memory"),
    (
        "TLS_WAITING",
        "secrets_that_never_come_cost_no_more_than_the_limit",
    ),
    (
        "TLS_MESSAGE_KEPT",
        "the_beginning_of_a_long_message_is_read_and_the_next_one_found",
    ),
    ("TLS_ALPN", "few_application_protocols_are_kept"),
    ("TLS_SUBJECT", "a_long_subject_is_cut"),
    (
        "TLS_HANDSHAKES",
        "endless_renegotiation_makes_a_connection_unreadable",
    ),
    (
        "TLS_CANDIDATES",
        "few_headers_are_followed_at_once_and_the_next_records_found",
    ),
    (
        "TLS_TRIAL_BYTES",
        "the_search_for_a_sequence_number_ends_and_it_is_reported",
    ),
    (
        "TLS_TRIAL_RATIO",
        "trials_are_paid_for_with_bytes_that_were_sent",
    ),
    (
        "TLS_STRANGERS",
        "a_lost_hello_is_looked_for_among_the_newest_connections",
    ),
    ("TLS_KEY_UPDATES", "few_key_updates_are_bridged"),
    (
        "BUFFERED_FRAMES",
        "frames_that_wait_for_earlier_ones_are_limited",
    ),
    (
        "BUFFERED_BYTES",
        "bytes_that_wait_on_all_connections_for_earlier_ones_are_limited",
    ),
    ("PAUSES", "few_are_kept"),
    (
        "CLOSED_CONNECTIONS",
        "late_frames_of_recently_closed_connections_are_known_as_such",
    ),
    ("PAYLOAD_DEPTH", "depth_and_count_have_limits"),
    ("PAYLOAD_NAME", "keys_in_keys_have_a_limit"),
    ("PAYLOAD_VALUES", "depth_and_count_have_limits"),
    (
        "SPARKPLUG_ALIASES",
        "aliases_beyond_the_limit_are_dropped_and_counted",
    ),
    ("STATS_KEYS", "topics_beyond_the_limits_count_as_one"),
    (
        "CARRIED_OVERDUE",
        "few_exchanges_of_earlier_connections_are_reported",
    ),
    (
        "SESSION_RECORDS",
        "the_oldest_records_make_room_and_are_counted",
    ),
    (
        "ANNOTATED_PACKETS",
        "packets_beyond_the_limit_have_no_comments_and_are_counted",
    ),
    (
        "SERVER_ENDS",
        "a_server_that_closed_very_many_connections_closed_at_least_so_many",
    ),
    (
        "DELIVERED_PUBLICATIONS",
        "the_oldest_publications_make_room_and_are_counted",
    ),
    (
        "STREAMED_PUBLICATIONS",
        "publications_that_leave_the_window_are_settled",
    ),
    (
        "LADDER_RUNGS",
        "the_rungs_of_a_ladder_are_limited_and_the_others_counted",
    ),
    ("TOPIC_COUNTS", "topics_beyond_the_limit_are_counted_as_one"),
    (
        "TOPIC_LATENCIES",
        "acknowledgements_of_few_topics_are_measured",
    ),
    (
        "REDUCED_PACKETS",
        "captures_of_too_many_packets_are_refused",
    ),
    ("REDUCED_BYTES", "packets_of_too_many_bytes_are_not_kept"),
    (
        "REDUCED_SECRETS",
        "a_key_log_of_too_many_bytes_is_refused_by_reduce",
    ),
    (
        "REDACT_HELD_BYTES",
        "a_control_packet_that_never_ends_is_refused",
    ),
    (
        "REDACTED_VALUES",
        "values_beyond_the_limit_are_replaced_alike_but_not_listed",
    ),
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
