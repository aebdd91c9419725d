//! The program on real captures, as a user runs it.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

fn mqttdump(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mqttdump"))
        .args(args)
        .env("TZ", "UTC")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The founding notes' ladders, letter for letter; a DISCONNECT may follow.
#[test]
fn seed_conversations_print_their_ladder() {
    let frame =
        |kind: &str, qos: &str| format!("MQTTFrame {{ type: {kind}, qos: {qos}, dup:false }}\n");
    let ladders: [&[(&str, &str)]; 3] = [
        &[("PUBLISH", "AT_MOST_ONCE")],
        &[("PUBLISH", "AT_LEAST_ONCE"), ("PUBACK", "AT_MOST_ONCE")],
        &[
            ("PUBLISH", "EXACTLY_ONCE"),
            ("PUBREC", "AT_MOST_ONCE"),
            ("PUBREL", "AT_LEAST_ONCE"),
            ("PUBCOMP", "AT_MOST_ONCE"),
        ],
    ];
    for version in ["3.1", "3.1.1", "5.0"] {
        for (qos, ladder) in ladders.iter().enumerate() {
            let file = fixture(&format!("captures/seed-{version}-qos{qos}.pcap"));
            let output = mqttdump(&["-r", file.to_str().unwrap(), "--connection", "2", "-q"]);
            let mut expected = frame("CONNECT", "AT_MOST_ONCE") + &frame("CONNACK", "AT_MOST_ONCE");
            for (kind, qos) in *ladder {
                expected += &frame(kind, qos);
            }
            expected += &frame("DISCONNECT", "AT_MOST_ONCE");
            assert_eq!(text(&output.stdout), expected, "{file:?}");
            assert_eq!(text(&output.stderr), "");
        }
    }
}

/// The Java client that gave the notation its name agrees line by line.
#[test]
fn fusesource_traces_agree() {
    let mut traces = 0;
    for entry in std::fs::read_dir(fixture("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".frames.txt") else {
            continue;
        };
        let capture = fixture(&format!("captures/{name}.pcap"));
        let output = mqttdump(&["-r", capture.to_str().unwrap(), "--connection", "1", "-q"]);
        assert_eq!(
            text(&output.stdout),
            std::fs::read_to_string(&path).unwrap(),
            "{name}"
        );
        traces += 1;
    }
    assert!(traces >= 3);
}

#[test]
fn clean_captures_have_no_defects() {
    for name in [
        "311",
        "311-bridge-bit",
        "311-length-field-split",
        "5-alias-both-directions",
    ] {
        let file = fixture(&format!("violations/clean-{name}.pcap"));
        let output = mqttdump(&["--format", "ndjson", "-r", file.to_str().unwrap()]);
        let lines = text(&output.stdout);
        assert!(lines.lines().count() > 3, "{name}");
        assert!(!lines.contains("\"defects\""), "{name}: {lines}");
    }
}

/// Wrong inputs: one clear message, exit 2.
#[test]
fn wrong_inputs_are_told_in_one_message() {
    let folder = std::env::temp_dir().join(format!("mqttdump-test-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let seed = fixture("captures/seed-3.1.1-qos1.pcap");
    let bytes = std::fs::read(&seed).unwrap();
    let seed = seed.to_str().unwrap().to_owned();
    let mut foreign = bytes.clone();
    foreign[20..24].copy_from_slice(&220_u32.to_le_bytes());
    let cases = [
        vec!["-r".into(), folder.join("absent").to_str().unwrap().into()],
        vec!["-r".into(), folder.to_str().unwrap().into()],
        vec!["-r".into(), file("empty", b"")],
        vec!["-r".into(), file("text", b"this is no capture at all\n")],
        vec!["-r".into(), file("cut", &bytes[..bytes.len() - 7])],
        vec!["-r".into(), file("foreign", &foreign)],
        vec!["-r".into(), seed.clone(), "no such primitive".into()],
        vec!["-r".into(), seed.clone(), "--no-such-option".into()],
        vec![seed.clone()],
    ];
    for args in cases {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = mqttdump(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        let message = text(&output.stderr);
        assert!(message.starts_with("mqttdump: "), "{args:?}: {message}");
        assert_eq!(
            message.matches("mqttdump: ").count(),
            1,
            "{args:?}: {message}"
        );
    }
    // What was readable is reported all the same.
    let cut = mqttdump(&["-r", folder.join("cut").to_str().unwrap()]);
    assert!(text(&cut.stdout).contains("type: PUBLISH"));
    std::fs::remove_dir_all(&folder).unwrap();
}

/// A pipe that is still growing shows each message when it is complete.
#[test]
fn a_growing_pipe_is_shown_at_once() {
    let bytes = std::fs::read(fixture("captures/seed-3.1.1-qos1.pcap")).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqttdump"))
        .args(["-r", "-", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Everything but the end of the last packet.
    stdin.write_all(&bytes[..bytes.len() - 1]).unwrap();
    stdin.flush().unwrap();
    let mut first = [0; 56];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut first)
        .unwrap();
    assert!(first.starts_with(b"MQTTFrame { type: CONNECT,"));
    stdin.write_all(&bytes[bytes.len() - 1..]).unwrap();
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
