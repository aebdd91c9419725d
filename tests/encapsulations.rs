use std::path::PathBuf;
use std::process::Command;

use crate::support::program::{project, run};

const FOLDER: &str = "fixtures/encapsulations";

/// The same conversation in every link type, tag and tunnel gives the same
/// control packets and the same account of their bytes.
#[test]
fn every_encapsulation_gives_the_same_control_packets() {
    let expected = frames("base.pcap");
    assert_eq!(expected.len(), 5);
    let captures = captures();
    assert!(captures.len() >= 21, "{captures:?}");
    for capture in &captures {
        assert_eq!(frames(capture), expected, "{capture}");
        let path = format!("{FOLDER}/{capture}");
        let account = run(&["overhead", "--format", "json", &path]).clean();
        let account: serde_json::Value = serde_json::from_str(&account).expect(capture);
        let layers = account["layers"].as_object().expect("layers");
        let sum: u64 = layers.values().filter_map(serde_json::Value::as_u64).sum();
        let foreign = account["foreign_bytes"].as_u64().unwrap_or(0);
        assert_eq!(Some(sum + foreign), account["bytes"].as_u64(), "{capture}");
        assert_eq!(foreign, 0, "{capture}");
    }
}

/// tshark sees the same types of control packets, in each capture that it
/// decodes.
#[test]
fn tshark_agrees() {
    if Command::new("tshark").arg("--version").output().is_err() {
        eprintln!("skipped: tshark is not installed");
        return;
    }
    let mut compared = 0;
    for capture in captures() {
        let output = Command::new("tshark")
            .args(["-T", "fields", "-e", "mqtt.msgtype", "-r"])
            .arg(project(FOLDER).join(&capture))
            .output()
            .expect("tshark starts");
        let types: Vec<_> = String::from_utf8_lossy(&output.stdout)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        // Link types that tshark does not know give nothing.
        if types.is_empty() {
            continue;
        }
        compared += 1;
        assert_eq!(types, ["1", "2", "3", "4", "14"], "{capture}");
    }
    assert!(compared >= 15, "tshark decoded {compared} captures");
}

fn captures() -> Vec<String> {
    let entries = std::fs::read_dir(project(FOLDER)).expect(FOLDER);
    let mut names: Vec<String> = entries
        .map(|entry| PathBuf::from(entry.expect(FOLDER).file_name()))
        .filter(|path| path.extension().is_some_and(|extension| extension != "md"))
        .filter_map(|path| path.to_str().map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The control packets of a capture, without what names the captured packet.
fn frames(capture: &str) -> Vec<serde_json::Value> {
    let path = format!("{FOLDER}/{capture}");
    let lines = run(&["-r", &path, "--format", "ndjson"]).clean();
    lines
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|object| object.get("type").is_some())
        .map(|mut frame| {
            let object = frame.as_object_mut().expect("an object");
            // Without a SYN, identities have the time of another packet.
            for key in [
                "packet",
                "last_packet",
                "time",
                "src",
                "dst",
                "connection_uid",
                "session_uid",
                "exchange_uid",
            ] {
                object.remove(key);
            }
            frame
        })
        .collect()
}
