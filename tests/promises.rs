//! Promises of the command line, one test for each promise that no golden
//! session (`golden/usage.txt`, `golden/formats.txt`) shows.

use mqttdump::frame::Direction;

use crate::support::files::Format;
use crate::support::program::{Folder, TempFile, project, run};
use crate::support::scene::scene;
use crate::support::stack::Stack;
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

const REAL: &str = "fixtures/market/aedes-paho-4.pcap";

/// A capture is never taken for a baseline that may be written.
#[test]
fn a_capture_is_not_written_over_by_a_baseline() {
    let folder = Folder::new();
    let bytes = std::fs::read(project("fixtures/captures/seed-3.1-qos0.pcap")).expect("a capture");
    let capture = folder.write("run.pcap", &bytes);
    let other = folder.write("other.pcap", &bytes);
    for target in [&capture, &other] {
        let refused = run(&["check", &capture, "--write-baseline", target]);
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(refused.err.contains("not overwritten"), "{refused:?}");
    }
    assert_eq!(std::fs::read(&capture).expect("the capture"), bytes);
    assert_eq!(std::fs::read(&other).expect("the other"), bytes);
}

/// A reset after DISCONNECT names both, at the position and time of the RST.
#[test]
fn a_reset_after_disconnect_names_both() {
    let packets = scene("> CONNECT client=c\n< CONNACK\n> DISCONNECT\n! reset >");
    let file = TempFile::new("reset", &Format::ALL[0].write(&packets));
    let lines = run(&["-r", file.path()]).clean();
    let last = lines.lines().last().expect("a line");
    assert!(
        last.ends_with("reset by client after DISCONNECT by client"),
        "{lines}"
    );
}

/// A close has the time and packet of the first FIN, whoever sent it, and is printed in
/// its place.
#[test]
fn a_close_is_printed_where_the_first_fin_is() {
    for (first, second, by) in [('<', '>', "server"), ('>', '<', "client")] {
        let packets = scene(&format!(
            "> CONNECT client=a\n< CONNACK\n! fin {first}\n! wait 3s\n! connection 2\n\
             > CONNECT client=b\n< CONNACK\n! connection 1\n! wait 3s\n! fin {second}"
        ));
        let file = TempFile::new("close", &Format::ALL[0].write(&packets));
        let lines = run(&["-r", file.path()]).clean();
        let place = |what: &str| {
            let line = lines.lines().position(|line| line.contains(what));
            line.unwrap_or_else(|| panic!("{what}:\n{lines}"))
        };
        assert!(
            place(&format!("closed by {by}")) < place("client \"b\""),
            "{lines}"
        );

        let events = run(&["-r", file.path(), "--format", "ndjson"]).clean();
        let events = events
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let events: Vec<serde_json::Value> = events.collect();
        let closed = events.iter().find(|event| event["event"] == "closed");
        let closed = closed.expect("a close");
        let connack = events.iter().find(|event| event["type"] == "CONNACK");
        let connack = connack.expect("a CONNACK");
        assert_eq!(closed["connection"], 1);
        let after = |event: &serde_json::Value| event["packet"].as_u64().expect("a packet");
        assert!(after(closed) - after(connack) <= 3, "{closed}");
        let second =
            |event: &serde_json::Value| event["time"].as_str().expect("a time")[..19].to_owned();
        assert_eq!(second(closed), second(connack));
    }
}

/// Quotes in payloads stay as they are, as `tcpdump -A | grep` would find them.
#[test]
fn payloads_in_pipes_can_be_searched() {
    let lines = run(&["-r", "fixtures/reading/g02-json-payloads.pcap"]).clean();
    assert!(lines.contains("\"{\"ts\":1700000000,\""), "{lines}");
}

/// `--count` prints the number alone.
#[test]
fn count_is_a_number_alone() {
    assert_eq!(
        run(&["-r", REAL, "--count"]).clean(),
        run(&["--count", REAL]).clean()
    );
    let count = run(&["-r", REAL, "--count", "--type", "connect"]).clean();
    assert_eq!(count, "14\n");
}

/// The bill is one device's first, then the fleet's, and `exact` is what the capture holds.
#[test]
fn the_bill_is_of_one_device_first() {
    let bill = run(&["overhead", REAL]).clean();
    let place = |what: &str| bill.find(what).unwrap_or_else(|| panic!("{what}:\n{bill}"));
    assert!(place("a device costs") < place("devices cost"));
    let tried = run(&["overhead", REAL, "-v"]).clean();
    for line in tried
        .lines()
        .filter(|line| line.trim_end().ends_with(" exact"))
    {
        let exact = ["(as it is)", "no-timestamps"];
        assert!(exact.iter().any(|what| line.contains(what)), "{line}");
    }
}

/// JUnit shows as failed the findings that make the exit status 1, and nothing else.
#[test]
fn junit_fails_as_the_exit_status_does() {
    for (fail_on, failures, code) in [
        ("violation", 0, 0),
        ("warning", 2, 1),
        ("warning,session-lost=never", 1, 1),
        ("warning,session-lost=never,delivered-qos=never", 0, 0),
        ("never,session-lost=warning", 1, 1),
        ("never", 0, 0),
    ] {
        let run = run(&["check", REAL, "--format", "junit", "--fail-on", fail_on]);
        let failed = run.out.matches("<failure ").count();
        assert_eq!((failed, run.code), (failures, Some(code)), "{fail_on}");
    }
}

/// Paths in SARIF are relative to where the program runs, and its version is there.
#[test]
fn sarif_has_relative_paths_and_a_version() {
    let absolute = project(REAL);
    for path in [REAL, absolute.to_str().expect("UTF-8")] {
        let sarif: serde_json::Value =
            serde_json::from_str(&run(&["check", path, "--format", "sarif"]).out).expect("JSON");
        let run = &sarif["runs"][0];
        let version = &run["tool"]["driver"]["semanticVersion"];
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        let results = run["results"].as_array().expect("results");
        assert!(!results.is_empty());
        for result in results {
            let location = &result["locations"][0]["physicalLocation"];
            assert_eq!(location["artifactLocation"]["uri"], REAL);
        }
    }
}

/// `--patience` decides from when on something is missing.
#[test]
fn patience_follows_the_options() {
    let packets = scene(
        "> CONNECT client=s\n< CONNACK\n> SUBSCRIBE id=1 filter=t:1\n< SUBACK id=1 codes=1\n\
         ! connection 2\n> CONNECT client=p\n< CONNACK\n> PUBLISH topic=t qos=1 id=1\n\
         < PUBACK id=1\n! connection 1\n! wait 30s\n> PINGREQ\n< PINGRESP\n> DISCONNECT",
    );
    let file = TempFile::new("patience", &Format::ALL[0].write(&packets));
    for (patience, code) in [("20s", 1), ("40s", 0)] {
        let options = [
            "check",
            file.path(),
            "--fail-on",
            "warning",
            "--patience",
            patience,
        ];
        let run = run(&options);
        assert_eq!(run.code, Some(code), "{patience}: {run:?}");
    }
    let wrong = run(&["check", file.path(), "--patience", "soon"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("expected a time such as"), "{wrong:?}");
}

/// `--same-server` takes two addresses.
#[test]
fn same_server_takes_two_addresses() {
    let same = "127.0.0.1:1883=127.0.0.1:8883";
    assert_eq!(run(&["check", REAL, "--same-server", same]).code, Some(0));
    let wrong = run(&["check", REAL, "--same-server", "127.0.0.1:1883"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("ADDRESS:PORT=ADDRESS:PORT"), "{wrong:?}");
}

/// Bytes that the model of `overhead` adds are priced by every what-if, `keep-alive` is among
/// those that are tried without being asked for, and HTTP is.
#[test]
fn overhead_tries_every_what_if() {
    let tried = run(&["overhead", "fixtures/captures/keep-alive.pcap", "-v"]).clean();
    for what in [
        "keep-alive=",
        "http ",
        "tls ",
        "ws ",
        "coap ",
        "mqtt-sn ",
        "no-timestamps",
    ] {
        let named = tried
            .lines()
            .any(|line| line.trim_start().starts_with(what));
        assert!(named, "{what}:\n{tried}");
    }
    let answer = run(&["overhead", REAL]).clean();
    let first = |text: &str| {
        answer
            .find(text)
            .unwrap_or_else(|| panic!("{text}:\n{answer}"))
    };
    assert!(first("a message costs") < first("a device costs"));
    let http = ["http", "http=close", "http=2"];
    for what in http {
        let run = run(&["overhead", REAL, "--what-if", what]);
        assert_eq!(run.code, Some(0), "{what}: {run:?}");
    }
}

/// Lines in pipes have payloads whole up to `--payload`; text for scripts is one line
/// for each message.
#[test]
fn payloads_are_whole_in_pipes() {
    let capture = "fixtures/reading/g04-csv-5000.pcap";
    let line = |more: &[&str]| {
        let lines = run(&[&["-r", capture], more].concat()).clean();
        let line = lines.lines().find(|line| line.contains("PUBLISH"));
        line.expect("a PUBLISH").len()
    };
    let (short, usual, whole) = (
        line(&["--payload", "100"]),
        line(&[]),
        line(&["--payload", "all"]),
    );
    assert!((100..400).contains(&short), "{short}");
    assert!((4096..4400).contains(&usual), "{usual}");
    assert!((5000..5400).contains(&whole), "{whole}");
}

/// CSV has payloads as they were, by RFC 4180, and marks cut ones.
#[test]
fn csv_has_payloads_as_they_were() {
    let payloads = |capture: &str, more: &[&str]| {
        let csv = run(&[&["-r", capture, "--format", "csv"], more].concat()).out;
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let rows = reader.deserialize::<std::collections::HashMap<String, String>>();
        rows.map(|row| row.expect("a row"))
            .filter(|row| row["type"] == "PUBLISH")
            .map(|row| {
                let cell = |name: &str| row[name].clone();
                (
                    cell("payload"),
                    cell("payload_encoding"),
                    cell("payload_truncated"),
                )
            })
            .collect::<Vec<_>>()
    };
    let of = |payload: &str, encoding: &str| {
        (payload.to_owned(), encoding.to_owned(), "false".to_owned())
    };
    assert_eq!(
        payloads("fixtures/reading/g03-csv-payloads.pcap", &[]),
        [
            of("//4A", "base64"),
            of("//4A", "utf-8"),
            of("YQBi", "base64"),
            of("", "utf-8"),
            of("=1+1", "utf-8"),
            of("l1\r\nl2,\"q\"", "utf-8"),
        ]
    );
    let long = "fixtures/reading/g04-csv-5000.pcap";
    for (most, length, cut) in [("100", 100, "true"), ("all", 5000, "false")] {
        let found = payloads(long, &["--payload", most]);
        let (payload, _, truncated) = found.first().expect("a PUBLISH");
        assert_eq!((payload.len(), truncated.as_str()), (length, cut));
    }
}

/// `-v` shows the properties of MQTT 5, the connection and its transport.
#[test]
fn verbose_shows_properties_connection_and_transport() {
    let packets = scene(
        "! websocket\n> CONNECT client=c version=5 session_expiry_interval=77\n< CONNACK\n\
         > PUBLISH topic=a content_type=text/plain user_property=unit:celsius payload=x",
    );
    let file = TempFile::new("verbose", &Format::ALL[0].write(&packets));
    let shown = run(&["-r", file.path(), "--decode", "1883=ws", "-v"]).out;
    for what in [
        "77",
        "text/plain",
        "unit",
        "celsius",
        "connection 1",
        "websocket",
    ] {
        assert!(shown.to_lowercase().contains(what), "{what}:\n{shown}");
    }
}

/// Many properties hide no payload; beyond the limit it is missing, and that is reported.
#[test]
fn many_properties_keep_the_payload() {
    let value = "v".repeat(60_000);
    for (properties, kept) in [(5, true), (200, true), (600, false)] {
        let many = format!("user_property=n:{value} ").repeat(properties);
        let text = format!(
            "> CONNECT client=c version=5\n< CONNACK\n> PUBLISH topic=a {many}payload=the-payload"
        );
        // No more than an IP packet has room for in a segment.
        let borders: Vec<usize> = (1..=properties).map(|n| n * 60_000).collect();
        let wire = Wire::new(&Conversation::new(&text)).split(Direction::Up, &borders);
        let packets = wire.packets(&Stack::default());
        let file = TempFile::new("properties", &Format::ALL[0].write(&packets));
        let lines = run(&["-r", file.path(), "--format", "ndjson"]).out;
        let shown = lines.contains("\"payload\":\"the-payload\"");
        let limited = lines.contains("\"event\":\"bound\"");
        assert_eq!((shown, limited), (kept, !kept), "{properties}");
    }
}

/// Messages are ours: none has Rust's phrases.
#[test]
fn messages_are_in_plain_words() {
    for args in [
        &["-r", "no/such.pcap"][..],
        &["-r", REAL, "--payload", "x"],
        &["-r", REAL, "--qos", "7"],
        &["-r", REAL, "-c", "-1"],
        &["-r", REAL, "--decode", "99999=mqtt"],
        &["check", REAL, "--max-ack-ms", "x"],
        &["check", REAL, "--threads", "x"],
        &["check", REAL, "--threads", "0"],
        &["check", REAL, "--baseline", "no/such"],
        &["overhead", REAL, "--project", "devices=x"],
        &["check", "."],
        &["explain", "missing-ack", "id-in-use"],
    ] {
        let run = run(args);
        assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
        for phrase in [
            "os error",
            "invalid digit",
            "non-zero type",
            "ParseInt",
            "Utf8Error",
            "panicked",
        ] {
            assert!(!run.err.contains(phrase), "{args:?}: {}", run.err);
        }
    }
}

/// Captured packets and messages have names of their own: "frames" is neither in text.
#[test]
fn frames_are_packets_or_messages() {
    for args in [
        &["check", REAL][..],
        &["overhead", REAL, "-v"],
        &["sessions", REAL],
        &["stats", REAL],
    ] {
        let run = run(args);
        let reported = run
            .out
            .lines()
            .find(|line| line.contains(" frames") && !line.contains("frames appear"));
        assert_eq!(reported, None, "{args:?}");
    }
}

/// Commands that read a capture, each with its output in a folder of its own.
fn commands(folder: &Folder) -> Vec<Vec<String>> {
    let mut commands = vec![
        vec!["check", "--fail-on", "never"],
        vec!["overhead"],
        vec!["sessions"],
        vec!["sessions", "--deliveries"],
        vec!["sessions", "--ladder"],
        vec!["stats"],
        vec!["--count"],
    ];
    let tables = folder.name("tables");
    if cfg!(feature = "tables") {
        commands.push(vec!["tables", "-o", &tables]);
    }
    let owned = |args: Vec<&str>| args.into_iter().map(str::to_owned).collect();
    commands.into_iter().map(owned).collect()
}

/// A link type that cannot be decoded is named once, with a count, by every command.
#[test]
fn link_types_that_cannot_be_decoded_are_named() {
    for (capture, message) in [
        (
            "tcpdump-unsupported-link-type-160.pcap",
            "1 packet is of link type USER13 (160)",
        ),
        (
            "tcpdump-vsock-1.pcapng",
            "10 packets are of link type VSOCK (271)",
        ),
    ] {
        let capture = format!("fixtures/third-party/reader/{capture}");
        for command in commands(&Folder::new()) {
            let args: Vec<&str> = command.iter().map(String::as_str).collect();
            let run = run(&[&args[..], &["-r", &capture]].concat());
            assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
            assert_eq!(run.err.matches(message).count(), 1, "{args:?}: {run:?}");
        }
    }
}

/// A display filter that selects nothing is an error of `check`, and elsewhere a note: an
/// empty result does not look like that of a capture without MQTT.
#[test]
fn a_filter_that_selects_nothing_is_reported() {
    for command in commands(&Folder::new()) {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let run = run(&[&args[..], &["-Y", "topic ~ \"nope\"", "-r", REAL]].concat());
        let (code, note) = match args[0] {
            "check" => (2, "-Y selects none of 347 messages"),
            "--count" => (0, "none of 347 messages selected"),
            _ => (0, "-Y selects no message"),
        };
        assert_eq!(run.code, Some(code), "{args:?}: {run:?}");
        assert_eq!(run.err.matches(note).count(), 1, "{args:?}: {run:?}");
        assert!(!run.out.contains("no connection carried"), "{run:?}");
        assert!(!run.out.contains("no MQTT connection\n"), "{run:?}");
    }
}

/// Of a file that is not there, nothing else is said.
#[test]
fn a_filter_on_a_missing_file_is_not_reported() {
    for command in commands(&Folder::new()) {
        let args: Vec<&str> = command.iter().map(String::as_str).collect();
        let run = run(&[&args[..], &["-Y", "mqtt", "-r", "absent.pcap"]].concat());
        assert_eq!(run.code, Some(2), "{args:?}: {run:?}");
        let line = "mqttdump: absent.pcap: cannot open: No such file or directory\n";
        assert_eq!(run.err, line, "{args:?}");
    }
}

/// Types and QoS that are not in the capture, too.
#[test]
fn types_and_qos_that_select_nothing_are_errors() {
    let none = "fixtures/captures/mqttjs-alias-auth-5.0.pcap";
    for (capture, selection, message) in [
        (
            REAL,
            ["--type", "AUTH"],
            "no message matches --type AUTH (types: CONNECT",
        ),
        (
            none,
            ["--qos", "2"],
            "no message matches --qos 2 (QoS: 0, 1)",
        ),
    ] {
        for command in commands(&Folder::new()) {
            let args: Vec<&str> = command.iter().map(String::as_str).collect();
            let args = [&args[..], &selection, &["-r", capture]].concat();
            let refused = run(&args);
            assert_eq!(refused.code, Some(2), "{args:?}: {refused:?}");
            assert!(refused.err.contains(message), "{args:?}: {refused:?}");
            let accepted = run(&[&args[..], &["--allow-empty"]].concat());
            assert_eq!(accepted.code, Some(0), "{args:?}: {accepted:?}");
        }
    }
    // One of several is enough.
    run(&["-q", "--type", "AUTH,PUBACK", "-r", REAL]).clean();
}
