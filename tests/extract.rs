//! Payloads as files and as bytes, the packets of exchanges, and packets typed in
//! hexadecimal.

use std::collections::BTreeSet;
use std::path::Path;

use mqttdump::capture::{Capture, Item};
use mqttdump::frame::Direction;
use serde_json::Value;

use crate::support::files::Format;
use crate::support::program::{Folder, mqttdump, run, run_with_input};
use crate::support::scene::merged;
use crate::support::stack::Stack;
use crate::support::transcript::Conversation;
use crate::support::wire::Wire;

const PLANT: &str = "fixtures/captures/mosquitto-paho-5.0.pcap";

fn objects(ndjson: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).expect("an object");
    ndjson.lines().map(parse).collect()
}

/// PUBLISH packets as NDJSON, of a selection.
fn published(arguments: &[&str]) -> Vec<Value> {
    let reading = ["-r", PLANT, "--format", "ndjson", "--type", "publish"];
    let all = objects(&run(&[&reading[..], arguments].concat()).clean());
    all.into_iter()
        .filter(|it| it["type"] == "PUBLISH")
        .collect()
}

fn payload_of(frame: &Value) -> Vec<u8> {
    frame["payload"].as_str().unwrap_or_default().into()
}

#[test]
fn each_payload_becomes_a_file_and_the_manifest_lists_them() {
    let folder = Folder::new();
    let export = folder.name("out");
    let run = run(&["-r", PLANT, "--export", &export]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""), "{}", run.err);
    let frames = published(&[]);
    assert!(
        run.err.contains(&format!("{} payloads", frames.len())),
        "{}",
        run.err
    );
    let manifest = std::fs::read_to_string(folder.path("out/manifest.ndjson")).expect("a manifest");
    let entries = objects(&manifest);
    assert_eq!(entries.len(), frames.len());
    let mut names = BTreeSet::new();
    for (entry, frame) in entries.iter().zip(&frames) {
        let name = entry["file"].as_str().expect("a name");
        assert!(names.insert(name), "{name} twice");
        let file = folder.path("out").join(name);
        assert_eq!(std::fs::read(&file).expect(name), payload_of(frame));
        for key in ["topic", "client_id", "qos", "retain", "dup", "connection"] {
            assert_eq!(entry[key], frame[key], "{name} {key}");
        }
        assert_eq!(entry["packet"], frame["last_packet"], "{name}");
        assert!(name.starts_with(frame["topic"].as_str().unwrap()), "{name}");
        is_private(&file);
    }
}

fn is_private(file: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(file)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{}", file.display());
    }
}

/// A second export, and a topic that is the name of something, destroy nothing.
#[test]
fn nothing_that_exists_is_overwritten() {
    let folder = Folder::new();
    let export = folder.name("out");
    let all = ["-r", PLANT, "--export", &export, "--export-name"];
    assert_eq!(
        run(&[&all[..], &["manifest.ndjson"]].concat()).code,
        Some(0)
    );
    let names = folder.names();
    assert_eq!(names, ["out"]);
    let manifest = std::fs::read_to_string(folder.path("out/manifest.ndjson")).expect("a manifest");
    let files: Vec<_> = objects(&manifest)
        .iter()
        .map(|it| it["file"].to_string())
        .collect();
    assert_eq!(files[0], "\"manifest-2.ndjson\"");
    assert_eq!(files.iter().collect::<BTreeSet<_>>().len(), files.len());
    let again = run(&[&all[..], &["{number}"]].concat());
    assert_eq!(again.code, Some(2));
    assert!(
        again.err.contains("manifest.ndjson exists"),
        "{}",
        again.err
    );
}

#[test]
fn templates_and_folders_that_cannot_be_are_refused() {
    let folder = Folder::new();
    let file = folder.write("file", b"x");
    for arguments in [
        &["--export", "x", "--export-name", "../{topic}"][..],
        &["--export", "x", "--export-name", "{tpoic}"],
        &["--export", &file],
        &["--print"],
        &["--export-name", "{topic}"],
    ] {
        let run = run(&[&["-r", PLANT][..], arguments].concat());
        assert_eq!(run.code, Some(2), "{arguments:?}: {}", run.err);
        assert!(!run.err.is_empty() && run.out.is_empty(), "{arguments:?}");
        assert!(!run.err.contains("File exists"), "{}", run.err);
    }
}

#[test]
fn payload_bytes_alone_go_to_a_pipe() {
    let output = mqttdump()
        .args(["-r", PLANT, "--payload-only", "--topic", "plant/7/temp"])
        .output()
        .expect("the program starts");
    let expected: Vec<u8> = published(&["--topic", "plant/7/temp"])
        .iter()
        .flat_map(payload_of)
        .collect();
    assert!(output.status.success() && expected.len() > 50);
    assert_eq!(output.stdout, expected);
}

/// A payload for which there is no room is cut short. Its connection goes on.
#[test]
fn a_payload_that_needs_too_much_memory_is_cut_short() {
    let text = "> CONNECT client=c\n< CONNACK\n> PUBLISH topic=a payload_size=12000000\n\
                > PUBLISH topic=b payload=rest";
    let segments: Vec<usize> = (1..=200).map(|segment| segment * 60_000).collect();
    let wire = Wire::new(&Conversation::new(text)).split(Direction::Up, &segments);
    let packets = merged(&[wire], &Stack::default());
    let format = Format::Pcap {
        nano: true,
        big: false,
    };
    let folder = Folder::new();
    let capture = folder.write("a.pcap", &format.write(&packets));
    for (memory, is_whole) in [("32M", false), ("128M", true)] {
        let args = ["--payload-only", "--max-memory", memory];
        let output = mqttdump().args(["-r", &capture]).args(args).output();
        let output = output.expect("the program starts");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.success(), is_whole, "{err}");
        assert_eq!(output.stdout.len() == 12_000_004, is_whole, "{memory}");
        assert!(output.stdout.len() > 1_000_000 && output.stdout.ends_with(b"rest"));
        assert_eq!(err.contains("1 payload was cut short"), !is_whole, "{err}");
        assert!(!err.contains("evicted"), "{err}");
    }
}

/// The packets of all selected messages are there, with less around them, and
/// with the bytes needed to read them again.
#[test]
fn only_the_packets_of_exchanges_are_saved() {
    let folder = Folder::new();
    let (some, all) = (folder.name("some.pcap"), folder.name("all.pcap"));
    let topic = ["--topic", "plant/7/humidity"];
    let save = |what: &str, to: &str| {
        let saving = ["-r", PLANT, "--save", what, "-w", to];
        assert_eq!(run(&[&saving[..], &topic].concat()).clean(), "");
    };
    save("exchanges", &some);
    save("connections", &all);
    let read = |file: &str, selection: &[&str]| {
        let reading = ["-r", file, "--format", "ndjson"];
        let frames = objects(&run(&[&reading[..], selection].concat()).out);
        let keys = |frame: Value| {
            let keys = ["type", "time", "topic"];
            keys.map(|key| frame[key].to_string())
        };
        let frames = frames.into_iter().filter(|frame| frame["event"].is_null());
        frames.map(keys).collect::<BTreeSet<_>>()
    };
    let wanted = read(PLANT, &topic);
    let saved = read(&some, &[]);
    // A message alone between two gaps may not be recognised; its packet is there.
    let missing = wanted.difference(&saved).count();
    assert!(wanted.len() > 20 && missing <= 1, "{missing}");
    assert!(saved.iter().any(|it| it[2].contains("humidity")));
    let times = packet_times(&some);
    let lost = |frame: &&[String; 3]| !times.contains(frame[1].trim_matches('"'));
    assert_eq!(wanted.iter().filter(lost).count(), 0);
    let types = |name: &str| {
        saved
            .iter()
            .filter(|it| it[0] == format!("\"{name}\""))
            .count()
    };
    assert!(types("CONNECT") > 0 && types("CONNECT") == types("CONNACK"));
    let size = |file: &str| std::fs::metadata(file).expect("a file").len();
    assert!(
        size(&some) * 3 < size(&all) * 2,
        "{} {}",
        size(&some),
        size(&all)
    );

    let capture = std::fs::read(PLANT).expect("a capture");
    let other = folder.name("other.pcap");
    let piped = run_with_input(&["-r", "-", "--save", "exchanges", "-w", &other], &capture);
    assert_eq!(piped.code, Some(2));
    assert!(piped.err.contains("reads its files twice"), "{}", piped.err);
}

/// As NDJSON has them.
fn packet_times(file: &str) -> BTreeSet<String> {
    let mut capture = Capture::open(file.as_ref(), 0).expect("a capture");
    let mut times = BTreeSet::new();
    while let Some(item) = capture.next().expect("a whole capture") {
        if let Item::Packet(packet) = item {
            let nanos = packet.packet.time.nanos().into();
            let time = jiff::Timestamp::from_nanosecond(nanos).expect("a time");
            times.insert(format!("{time:.9}"));
        }
    }
    times
}

#[test]
fn typed_bytes_are_decoded_without_a_capture() {
    let connect = "10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00";
    let both = run(&["--hex", &format!("{connect} 0xc0 0x00")]).clean();
    let lines: Vec<_> = both.lines().collect();
    assert_eq!(
        lines,
        [
            "MQTTFrame { type: CONNECT, qos: AT_MOST_ONCE, dup:false } client \"\" version 3.1.1 keep alive 60 s clean session",
            "MQTTFrame { type: PINGREQ, qos: AT_MOST_ONCE, dup:false }",
        ]
    );
    assert_eq!(
        run(&["-q", "--hex", "c0:00"]).out,
        "MQTTFrame { type: PINGREQ, qos: AT_MOST_ONCE, dup:false }\n"
    );
    let publish = run(&["--hex", "30 05 00 01 61 68 69", "-v"]);
    assert_eq!(publish.code, Some(0));
    assert!(
        publish.err.contains("read as MQTT 3.1.1"),
        "{}",
        publish.err
    );
    assert!(
        publish
            .out
            .contains("\n    topic \"a\"\n    payload 2 B \"hi\"\n"),
        "{}",
        publish.out
    );
    // Captured bytes are shown, and missing ones are reported.
    let cut = run(&["--hex", "30 05 00 01 61 68"]);
    assert_eq!(cut.code, Some(2));
    assert!(
        cut.out.contains("type: PUBLISH") && cut.err.contains("6 bytes of 7"),
        "{}",
        cut.err
    );
    for wrong in ["", "3", "zz", "ff ff ff ff ff ff"] {
        let run = run(&["--hex", wrong]);
        assert_eq!(run.code, Some(2), "{wrong}: {}", run.out);
    }
}

/// A word that no field has gives a message, not an empty list.
#[test]
fn fields_that_do_not_exist_are_an_error() {
    let none = run(&["fields", "nosuch"]);
    assert_eq!((none.code, none.out.as_str()), (Some(2), ""));
    assert!(none.err.contains("no field has \"nosuch\""), "{}", none.err);
    assert!(run(&["fields", "topic"]).clean().contains("mqtt.topic"));
}
