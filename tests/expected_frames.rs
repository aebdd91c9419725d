//! Every capture with a `.frames.csv` beside it gives exactly those frames:
//! type, QoS, DUP, packet identifier and topic, in order within each direction
//! of each connection. Empty cells are not compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

type Row = [String; 5];

/// `MQTTDUMP_CAPTURES=DIR cargo test expected` looks there instead.
fn folders() -> Vec<PathBuf> {
    match std::env::var_os("MQTTDUMP_CAPTURES") {
        Some(folder) => vec![folder.into()],
        None => ["captures", "third-party/mqtt"]
            .iter()
            .map(|folder| {
                Path::new(env!("CARGO_MANIFEST_DIR"))
                    .join("fixtures")
                    .join(folder)
            })
            .collect(),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn found(parts: &[PathBuf]) -> BTreeMap<(String, String), Vec<Row>> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttdump"));
    command.args(["--format", "ndjson"]);
    for part in parts {
        command.arg("-r").arg(part);
    }
    let output = command.output().unwrap();
    let mut rows: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let object: Value = serde_json::from_str(line).unwrap();
        if object["type"].is_null() {
            continue;
        }
        let publish = object["type"] == "PUBLISH";
        let only_publish = |text: String| if publish { text } else { String::new() };
        let dup = u8::from(object["dup"] == true).to_string();
        rows.entry((text(&object["src"]), text(&object["dst"])))
            .or_default()
            .push([
                text(&object["type"]),
                only_publish(text(&object["qos"])),
                only_publish(dup),
                text(&object["packet_id"]),
                only_publish(text(&object["topic"])),
            ]);
    }
    rows
}

fn expected(csv: &Path) -> BTreeMap<(String, String), Vec<Row>> {
    let mut reader = csv::Reader::from_path(csv).unwrap();
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|h| h == name).unwrap();
    let columns = ["type", "qos", "dup", "packet_id", "text"].map(column);
    let (from, to, status) = (column("from"), column("to"), column("status"));
    let mut rows: BTreeMap<_, Vec<Row>> = BTreeMap::new();
    for record in reader.records() {
        let record = record.unwrap();
        if &record[status] == "unfinished" {
            continue;
        }
        let mut row = columns.map(|column| record[column].to_owned());
        if row[0] != "PUBLISH" {
            row[4].clear();
        }
        rows.entry((record[from].to_owned(), record[to].to_owned()))
            .or_default()
            .push(row);
    }
    rows
}

#[test]
fn every_capture_gives_its_frames() {
    let mut captures = 0;
    for folder in folders() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let csv = entry.unwrap().path();
            let name = csv.file_name().unwrap().to_string_lossy().into_owned();
            let Some(capture) = name.strip_suffix(".frames.csv") else {
                continue;
            };
            let mut parts = vec![folder.join(capture)];
            if let Some(rest) = capture.strip_prefix("rotated-1") {
                parts.push(folder.join(format!("rotated-2{rest}")));
            }
            let (found, expected) = (found(&parts), expected(&csv));
            let keys = |rows: &BTreeMap<_, Vec<Row>>| rows.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&found), keys(&expected), "{name}");
            for (ends, rows) in &expected {
                let ours = &found[ends];
                assert_eq!(ours.len(), rows.len(), "{name} {ends:?}: {ours:#?}");
                for (ours, row) in ours.iter().zip(rows) {
                    for (ours, cell) in ours.iter().zip(row) {
                        // Types may be abbreviated there.
                        assert!(
                            cell.is_empty() || ours == cell,
                            "{name} {ends:?}: {ours} for {row:?}"
                        );
                    }
                }
            }
            captures += 1;
        }
    }
    assert!(captures > 0);
}
