//! Captures whose frames are written down beside them, and captures whose
//! packets were counted by others.
//!
//! `NAME.frames.csv` beside a capture has one row per control packet, made by
//! a decoder that shares nothing with this program. Compared are type, QoS,
//! DUP, packet identifier, Remaining Length, missing bytes and the topic of a
//! PUBLISH, in order within each direction of each connection; empty cells
//! are not compared. Where `NAME-1.pcap` has a table and `NAME-2.pcap` has
//! none, they are the parts of one capture.
//!
//! A `reader-truth.csv` has the number of packets of captures by name. Every
//! capture that it names is read, or refused with a reason.
//!
//! The same can be asked of any folders, for a table of what agrees:
//!
//! ```sh
//! MQTTDUMP_CAPTURES=/some/captures:/others cargo test table_of_captures -- --nocapture
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::program::{Run, mqttdump, project, run};

/// Every capture under `fixtures/` with a list of its frames; those on other
/// carriers than TCP are for `transports.rs`.
#[test]
fn captures_with_expected_frames() {
    let captures = with_extension(&project("fixtures"), ".frames.csv");
    assert!(
        captures.len() >= 30,
        "{} tables under fixtures/",
        captures.len()
    );
    let wrong: Vec<String> = captures.iter().filter_map(|c| frames(c).err()).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every capture under `fixtures/` that others have counted.
#[test]
fn packet_counts() {
    let counted = counted(&project("fixtures"));
    assert!(counted.len() >= 10, "{} counted captures", counted.len());
    let wrong: Vec<String> = (counted.iter())
        .filter_map(|(capture, packets)| packet_count(capture, *packets).err())
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Captures with one fault each are read to their end; those without have no
/// defects.
#[test]
fn violations() {
    let captures = with_extension(&project("fixtures/violations"), ".pcap");
    assert!(captures.len() >= 10, "{} captures", captures.len());
    let wrong: Vec<String> = captures.iter().filter_map(|c| violation(c).err()).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// The founding document's ladders, letter for letter: what the publisher's
/// connection of the seed conversations prints.
#[test]
fn seed_ladders() {
    let ladders = [
        &[
            "CONNECT, qos: AT_MOST_ONCE",
            "CONNACK, qos: AT_MOST_ONCE",
            "PUBLISH, qos: AT_MOST_ONCE",
        ][..],
        &[
            "CONNECT, qos: AT_MOST_ONCE",
            "CONNACK, qos: AT_MOST_ONCE",
            "PUBLISH, qos: AT_LEAST_ONCE",
            "PUBACK, qos: AT_MOST_ONCE",
        ],
        &[
            "CONNECT, qos: AT_MOST_ONCE",
            "CONNACK, qos: AT_MOST_ONCE",
            "PUBLISH, qos: EXACTLY_ONCE",
            "PUBREC, qos: AT_MOST_ONCE",
            "PUBREL, qos: AT_LEAST_ONCE",
            "PUBCOMP, qos: AT_MOST_ONCE",
        ],
    ];
    for version in ["3.1", "3.1.1", "5.0"] {
        for (qos, ladder) in ladders.iter().enumerate() {
            let capture = format!("fixtures/captures/seed-{version}-qos{qos}.pcap");
            let out = run(&["-r", &capture, "--connection", "2", "-q"]).clean();
            let ladder: String = (ladder.iter())
                .map(|step| format!("MQTTFrame {{ type: {step}, dup:false }}\n"))
                .collect();
            let rest = out.strip_prefix(&ladder);
            let disconnect = "MQTTFrame { type: DISCONNECT, qos: AT_MOST_ONCE, dup:false }\n";
            assert!(
                matches!(rest, Some("")) || rest == Some(disconnect),
                "{capture}:\n{out}"
            );
        }
    }
}

/// The fusesource client prints `MQTTFrame { … }` itself: we agree, line by
/// line.
#[test]
fn fusesource_tracer() {
    let printed = with_extension(&project("fixtures/captures"), ".frames.txt");
    assert!(printed.len() >= 3, "{} tracer outputs", printed.len());
    for stem in printed {
        let capture = format!("{}.pcap", stem.display());
        let lines = std::fs::read_to_string(format!("{}.frames.txt", stem.display()));
        let out = run(&["-r", &capture, "--connection", "1", "-q"]).clean();
        assert_eq!(out, lines.expect("it was just listed"), "{capture}");
    }
}

/// A table over folders of one's own.
#[test]
fn table_of_captures() {
    let Some(folders) = std::env::var_os("MQTTDUMP_CAPTURES") else {
        return;
    };
    let mut wrong = 0;
    let mut row = |name: &Path, what: &str, result: Result<String, String>| {
        let (verdict, text) = match result {
            Ok(text) => ("ok", text),
            Err(text) => ("WRONG", text),
        };
        wrong += usize::from(verdict == "WRONG");
        let name = name.file_name().unwrap_or_default().to_string_lossy();
        println!("{name:52} {what:8} {verdict:5}  {text}");
    };
    for folder in std::env::split_paths(&folders) {
        assert!(folder.is_dir(), "{} is no folder", folder.display());
        for capture in with_extension(&folder, ".frames.csv") {
            row(&capture, "frames", frames(&capture));
        }
        for (capture, packets) in counted(&folder) {
            row(&capture, "packets", packet_count(&capture, packets));
        }
        for capture in with_extension(&folder, ".pcap") {
            let name = capture
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let rest = name.strip_prefix("v").unwrap_or_default();
            if name.starts_with("clean-") || rest.trim_end_matches(".pcap").parse::<u32>().is_ok() {
                row(&capture, "faults", violation(&capture));
            }
        }
    }
    assert_eq!(wrong, 0, "rows are wrong");
}

/// Compares a capture with its table.
fn frames(capture: &Path) -> Result<String, String> {
    let table = with_suffix(capture, ".frames.csv");
    let mut expected: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    let mut reader = csv::Reader::from_path(&table).map_err(|e| e.to_string())?;
    for record in reader.deserialize() {
        let row: BTreeMap<String, String> = record.map_err(|e| e.to_string())?;
        if row.get("status").is_some_and(|s| s == "unfinished") {
            continue;
        }
        let stream: u64 = row["tcp_stream"].parse().map_err(|_| "tcp_stream?")?;
        let key = ((stream + 1).to_string(), row["from"].clone());
        expected.entry(key).or_default().push(Row::from_table(&row));
    }
    let mut found: BTreeMap<(String, String), Vec<Row>> = BTreeMap::new();
    for frame in ndjson(&parts(capture))? {
        if frame.get("type").is_some() {
            let key = (text(&frame, "connection"), text(&frame, "src"));
            found.entry(key).or_default().push(Row::from_json(&frame));
        }
    }
    let count = expected.values().map(Vec::len).sum::<usize>();
    let name = capture.display();
    for key in expected.keys().chain(found.keys()) {
        let none = Vec::new();
        let (expected, found) = (
            expected.get(key).unwrap_or(&none),
            found.get(key).unwrap_or(&none),
        );
        for at in 0..expected.len().max(found.len()) {
            let same = match (expected.get(at), found.get(at)) {
                (Some(e), Some(f)) => e.agrees(f),
                _ => false,
            };
            if !same {
                return Err(format!(
                    "{name}: connection {} from {}, frame {} of {}:\n  expected {:?}\n  found    {:?}",
                    key.0,
                    key.1,
                    at + 1,
                    expected.len(),
                    expected.get(at),
                    found.get(at)
                ));
            }
        }
    }
    Ok(format!("{count} frames as expected"))
}

/// Compared fields of a frame; empty where unknown.
#[derive(Debug, Default)]
struct Row {
    kind: String,
    qos: String,
    dup: String,
    packet_id: String,
    topic: String,
    remaining_length: String,
    missing: String,
}

impl Row {
    fn from_table(row: &BTreeMap<String, String>) -> Self {
        let cell = |name: &str| row.get(name).cloned().unwrap_or_default();
        let kind = cell("type");
        let missing = cell("status").strip_prefix("missing=").map(str::to_owned);
        Self {
            topic: if kind == "PUBLISH" {
                cell("text")
            } else {
                String::new()
            },
            kind: if kind == "reserved" {
                "RESERVED".into()
            } else {
                kind
            },
            qos: cell("qos"),
            dup: cell("dup"),
            packet_id: cell("packet_id"),
            remaining_length: cell("remaining_length"),
            missing: missing.unwrap_or_else(|| "0".to_owned()),
        }
    }

    fn from_json(frame: &Value) -> Self {
        let length = frame["length"].as_u64().unwrap_or(0);
        let header = match length {
            0..130 => 2,
            130..16_387 => 3,
            16_387..2_097_156 => 4,
            _ => 5,
        };
        let missing = text(frame, "missing");
        Self {
            kind: text(frame, "type"),
            qos: text(frame, "qos"),
            dup: text(frame, "dup")
                .replace("false", "0")
                .replace("true", "1"),
            packet_id: text(frame, "packet_id"),
            topic: text(frame, "topic"),
            remaining_length: length.saturating_sub(header).to_string(),
            missing: if missing.is_empty() {
                "0".into()
            } else {
                missing
            },
        }
    }

    /// Whether another row has the same in every cell that is filled here.
    fn agrees(&self, other: &Self) -> bool {
        [
            (&self.kind, &other.kind),
            (&self.qos, &other.qos),
            (&self.dup, &other.dup),
            (&self.packet_id, &other.packet_id),
            (&self.topic, &other.topic),
            (&self.remaining_length, &other.remaining_length),
            (&self.missing, &other.missing),
        ]
        .iter()
        .all(|(mine, theirs)| mine.is_empty() || mine == theirs)
    }
}

/// Copies a capture, block by block, and counts the packets of the copy.
fn packet_count(capture: &Path, expected: u64) -> Result<String, String> {
    let name = capture.display().to_string();
    // An empty expression keeps everything.
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let copy = folder.join(format!(
        "copy-{}-{}.pcapng",
        std::process::id(),
        capture.file_name().unwrap_or_default().to_string_lossy()
    ));
    let output = mqttdump()
        .arg("-r")
        .arg(capture)
        .arg("-w")
        .arg(&copy)
        .output()
        .map_err(|e| e.to_string())?;
    let run = Run::from(output);
    let bytes = std::fs::read(&copy).unwrap_or_default();
    drop(std::fs::remove_file(&copy));
    let found = packets_of_pcapng(&bytes);
    let reason = run.err.lines().next().unwrap_or_default();
    match run.code {
        Some(0) if found == expected => Ok(format!("{found} packets")),
        // A damaged file is read as far as possible, and the reason for the end is reported.
        // Others may have read on into nonsense.
        Some(2) if found <= expected && !reason.is_empty() => {
            Ok(format!("{found} of {expected} packets; {reason}"))
        }
        code => Err(format!(
            "{name}: {found} packets, expected {expected}; exit {code:?}; {reason}"
        )),
    }
}

/// Counts the packet blocks (enhanced, simple, obsolete) of a pcapng file.
fn packets_of_pcapng(file: &[u8]) -> u64 {
    const SECTION: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];
    let mut packets = 0;
    let mut big = false;
    let mut rest = file;
    while let Some(&[a, b, c, d, e, f, g, h, order, ..]) = rest.first_chunk::<12>() {
        if [a, b, c, d] == SECTION {
            big = order == 0x1a;
        }
        let number = |bytes| match big {
            true => u32::from_be_bytes(bytes),
            false => u32::from_le_bytes(bytes),
        };
        packets += u64::from(matches!(number([a, b, c, d]), 2 | 3 | 6));
        let length = number([e, f, g, h]).max(12) as usize;
        rest = rest.get(length..).unwrap_or_default();
    }
    packets
}

/// Reads a capture with (at most) a protocol fault.
fn violation(capture: &Path) -> Result<String, String> {
    let frames = ndjson(&[capture.to_owned()])?;
    let name = capture.file_name().unwrap_or_default().to_string_lossy();
    let defects: Vec<_> = frames.iter().filter_map(|f| f.get("defects")).collect();
    match (frames.len(), defects.as_slice()) {
        (0, _) => Err(format!("{name}: no frames")),
        (_, [first, ..]) if name.starts_with("clean-") => Err(format!("{name}: {first}")),
        (n, found) => Ok(format!("{n} lines, {} with defects", found.len())),
    }
}

/// The NDJSON of a capture.
fn ndjson(parts: &[PathBuf]) -> Result<Vec<Value>, String> {
    let mut command = mqttdump();
    command.args(["--format", "ndjson"]);
    for part in parts {
        command.arg("-r").arg(part);
        let keys = part.with_extension("keys");
        if keys.is_file() {
            command.arg("--tls-keylog").arg(keys);
        }
    }
    let run = Run::from(command.output().map_err(|e| e.to_string())?);
    // A damaged file is read as far as possible, and the reason for the end is reported.
    if run.code != Some(0) && (run.code != Some(2) || run.err.is_empty()) {
        return Err(format!("{parts:?}: exit {:?}: {}", run.code, run.err));
    }
    (run.out.lines())
        .map(|line| serde_json::from_str(line).map_err(|e| format!("{parts:?}: {e}: {line}")))
        .collect()
}

fn text(frame: &Value, key: &str) -> String {
    match &frame[key] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The parts of the capture whose table is beside `capture`.
fn parts(capture: &Path) -> Vec<PathBuf> {
    let mut parts = vec![capture.to_owned()];
    let path = capture.to_string_lossy();
    if let Some((stem, extension)) = path.split_once("-1.pcap") {
        for n in 2.. {
            let next = PathBuf::from(format!("{stem}-{n}.pcap{extension}"));
            if !next.is_file() || with_suffix(&next, ".frames.csv").is_file() {
                break;
            }
            parts.push(next);
        }
    }
    parts
}

/// The captures named by a `reader-truth.csv` in a folder, with their counts.
fn counted(folder: &Path) -> Vec<(PathBuf, u64)> {
    let files = all_files(folder);
    let truths = files.iter().filter(|f| f.ends_with("reader-truth.csv"));
    let mut counted = Vec::new();
    for truth in truths {
        let mut reader = csv::Reader::from_path(truth).expect("a table");
        for record in reader.deserialize() {
            let row: BTreeMap<String, String> = record.expect("a row");
            let packets = row["packets"].parse().expect("a number of packets");
            let named = files.iter().find(|f| f.ends_with(&row["name"]));
            if let Some(file) = named {
                counted.push((file.clone(), packets));
            }
        }
    }
    counted
}

/// Files whose name ends so, without that ending; but with it where it is
/// that of a capture.
fn with_extension(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let files = all_files(folder).into_iter();
    let named = files.filter_map(|f| {
        let path = f.to_string_lossy();
        let stem = path.strip_suffix(extension)?;
        Some(PathBuf::from(match extension {
            ".pcap" => &path,
            _ => stem,
        }))
    });
    named.collect()
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(all_files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
