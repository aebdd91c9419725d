//! Display filters: the selection of each construct, and the same filters by tshark.
//!
//! The comparison with tshark evaluates filters for every shared field on the
//! captures of [`USUAL`], or on all of `fixtures`. A Lua script makes tshark
//! evaluate all filters for a capture in one run:
//!
//! ```sh
//! MQTTDUMP_TSHARK=all cargo test --test integration filters_as_tshark -- --nocapture
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use mqttdump::capture::{Capture, Item};
use mqttdump::engine::{Config, Engine, Output};
use mqttdump::filter::{Filter, Subject};
use mqttdump::frame::MQTTFrame;
use mqttdump::mqtt::{ControlPacket, PropertyValue, Version};
use mqttdump::time::Timestamp;

use crate::support::program::{Folder, project};
use crate::support::scene::scene;

const CONVERSATION: &str = r#"
    > CONNECT client=sensor-7 version=5 keep_alive=60 user=Anna will_topic=plant/7/status will_payload=gone
    < CONNACK code=0 topic_alias_maximum=10
    > SUBSCRIBE id=1 filter=plant/+/set:1 filter=$share/g/all/#:2
    < SUBACK id=1 codes=0x01,0x8f
    > PUBLISH qos=1 id=7 topic=plant/7/temp topic_alias=2 payload="21.5 C" user_property=unit:celsius
    < PUBACK id=7 code=0x10
    > PUBLISH qos=2 id=8 topic_alias=2 payload="22.5 C" dup=1
    < PUBREC id=8 code=0x87
    > PUBLISH topic=Plant/8/temp retain=1
    > DISCONNECT code=4
"#;

/// Selection of a filter from the conversation: positions, from 0.
#[track_caller]
fn selected(filter: &str) -> Vec<usize> {
    let filter = Filter::new(filter).unwrap_or_else(|error| panic!("{error}"));
    let mut engine = Engine::new(Config::default());
    let (mut at, mut found) = (0, Vec::new());
    let mut take = |output: Output<'_>| {
        if let Output::Frame(frame) = output {
            if filter.matches(&Subject::of(frame)) {
                found.push(at);
            }
            at += 1;
        }
    };
    for (number, packet) in (1..).zip(scene(CONVERSATION)) {
        let captured = packet.captured(number);
        engine.push(&captured, &mut take);
    }
    engine.finish(&mut take);
    found
}

#[test]
fn filters_select_the_expected_frames() {
    for (filter, expected) in [
        ("mqtt", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9][..]),
        ("mqtt.msgtype == 3", &[4, 6, 8]),
        (r#"mqtt.msgtype == "Publish Message""#, &[4, 6, 8]),
        ("mqtt.msgtype == PUBLISH", &[4, 6, 8]),
        ("type == publish or type == PUBACK", &[4, 5, 6, 8]),
        ("mqtt.qos == 1", &[4]),
        ("qos == 1", &[2, 4]),
        ("mqtt.qos", &[4, 6, 8]),
        ("mqtt.qos != 1", &[6, 8]),
        ("!mqtt.qos == 1", &[0, 1, 2, 3, 5, 6, 7, 8, 9]),
        ("not mqtt.qos in {1, 2}", &[0, 1, 2, 3, 5, 7, 8, 9]),
        ("mqtt.qos not in {1..2}", &[0, 1, 2, 3, 5, 7, 8, 9]),
        ("mqtt.qos in {1..2}", &[4, 6]),
        ("mqtt.dupflag == true", &[6]),
        ("mqtt.dupflag == 1 && mqtt.msgid ge 8", &[6]),
        (r#"mqtt.topic == "plant/7/temp""#, &[4, 6]),
        ("mqtt.topic == plant/7/temp", &[4, 6]),
        (r#"mqtt.topic contains "temp""#, &[4, 6, 8]),
        (r#"mqtt.topic matches "^plant/[0-9]+/temp$""#, &[4, 6, 8]),
        (r#"mqtt.topic ~ "^PLANT/8""#, &[8]),
        (r#"topic ~ "plant/+/temp""#, &[4, 6]),
        (r#"topic ~ "+/#""#, &[4, 6, 8]),
        (r#"filters.filter ~ "plant/7/set""#, &[2]),
        (r#"filters.filter ~ "all/x/y""#, &[2]),
        (r#"lower(mqtt.topic) == "plant/8/temp""#, &[8]),
        (r#"upper(topic) contains "/TEMP""#, &[4, 6, 8]),
        ("len(mqtt.topic) == 12", &[4, 6, 8]),
        ("len(mqtt.msg) > 0", &[4, 6]),
        ("count(mqtt.topic) == 2", &[2]),
        (r#"mqtt.topic[0:5] == "Plant""#, &[8]),
        (r#"mqtt.topic[-4:] == "temp""#, &[4, 6, 8]),
        (r#"mqtt.topic[0,6] == "P8""#, &[8]),
        ("mqtt.msg[0] == 32", &[4, 6]),
        ("mqtt.msg[1-2] == 31:2e", &[4]),
        ("mqtt.msg contains 31:2e", &[4]),
        (r#"payload contains "5 C""#, &[4, 6]),
        (r#"mqtt.topic != "plant/+/set""#, &[4, 6, 8]),
        (r#"any mqtt.topic != "plant/+/set""#, &[2, 4, 6, 8]),
        (r#"mqtt.topic !== "plant/+/set""#, &[2, 4, 6, 8]),
        (r#"all mqtt.topic contains "a""#, &[2, 4, 6, 8]),
        (r#"all mqtt.topic contains "plant""#, &[4, 6]),
        ("mqtt.suback.reason_code === 1", &[]),
        ("mqtt.suback.reason_code == 1", &[3]),
        ("codes >= 0x80", &[3]),
        (r#"mqtt.pubrec.reason_code == "Not authorized""#, &[7]),
        (r#"reason == "Not authorized""#, &[7]),
        ("reason_code >= 0x80", &[7]),
        ("mqtt.clientid == \"sensor-7\"", &[0]),
        ("client_id == sensor-7", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("mqtt.username == Anna", &[0]),
        ("mqtt.kalive == 60", &[0]),
        ("keep_alive <= 60", &[0]),
        ("mqtt.conflags & 0x04", &[0]),
        ("mqtt.conflags & 0x04 == 0", &[]),
        (r#"will.topic ~ "plant/#""#, &[0]),
        (r#"properties.user_property == "celsius""#, &[4]),
        (r#"properties.user_property.unit == "celsius""#, &[4]),
        (r#"properties.user_property.unit == "kelvin""#, &[]),
        ("properties.topic_alias == 2", &[4, 6]),
        ("properties.topic_alias_maximum", &[1]),
        ("mqtt.prop_number == 10", &[1]),
        ("retain == 1 and length < 20", &[8]),
        ("direction == down", &[1, 3, 5, 7]),
        ("version == 5.0", &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("mqtt.willtopic == mqtt.topic", &[]),
        ("mqtt.username_len == len(mqtt.username)", &[0]),
        (
            "mqtt.msgid == 7 or mqtt.msgid == 8 and mqtt.qos == 2",
            &[4, 5, 6],
        ),
        (
            "(mqtt.msgid == 7 or mqtt.msgid == 8) and mqtt.qos == 2",
            &[6],
        ),
        (
            "tcp.port == 1883 && tcp.stream == 0 && connection == 1",
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        ),
        ("tcp.dstport == 1883 && mqtt.msgtype in {4, 5, 14}", &[9]),
        ("missing or defects.code or resynchronised", &[]),
        (
            "transport == tcp and not tls",
            &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
        ),
    ] {
        assert_eq!(selected(filter), expected, "{filter}");
    }
}

#[test]
fn errors_report_the_position_and_a_correction() {
    for (filter, column, printed) in [
        ("mqtt.topik == 1", 1, "the nearest is mqtt.topic"),
        ("mqtt.qos == 1 and clientid", 19, "the nearest is client_id"),
        ("mqtt.qos == high", 13, "expected a number or one of"),
        ("type == PUBLISHED", 9, "type is one of RESERVED, CONNECT"),
        (
            "mqtt.qos contains 1",
            1,
            "only text and bytes can be searched",
        ),
        ("ip.addr == 10.0.0", 12, "expected an IPv4 address"),
        ("ip.addr == 10.0.0.0/33", 12, "expected an IPv4 address"),
        ("ip.addr > 10.0.0.0/8", 11, "a network has no order"),
        ("mqtt == 1", 9, "no value to compare"),
        (r#"mqtt.topic matches "(""#, 20, "regular expression"),
        (r#"mqtt.topic matches "\d""#, 21, r"no escape sequence"),
        (r#"topic ~ "a/#/b""#, 9, "#"),
        ("topic ~ a", 9, "double quotes"),
        ("len(mqtt.qos) == 1", 5, "len() takes text or bytes"),
        ("lower(mqtt.msg) == \"a\"", 7, "lower() takes text"),
        ("size(mqtt.msg) == 1", 1, "unknown function size"),
        ("mqtt.qos[0] == 1", 9, "only text and bytes can be sliced"),
        ("mqtt.topic[x] == a", 11, "expected ranges"),
        ("mqtt.topic == mqtt.qos", 15, "cannot be compared"),
        ("frame.time > yesterday", 14, "expected a time"),
        ("mqtt.topic & 1", 14, "& takes a number"),
    ] {
        let error = Filter::new(filter).expect_err(filter);
        assert_eq!(error.column(), column, "{error}");
        assert!(error.to_string().contains(printed), "{error}");
    }
}

/// The page matches the program's table.
#[test]
fn the_page_of_fields_is_fresh() {
    let path = project("docs/fields.md");
    let page = mqttdump::filter::markdown();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &page).expect("docs/fields.md");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == page,
        "docs/fields.md is old: BLESS=1 cargo test the_page_of_fields"
    );
}

#[test]
fn filters_as_tshark() {
    let Ok(version) = Command::new("tshark").arg("--version").output() else {
        eprintln!("skipped: there is no tshark to compare with");
        return;
    };
    if !String::from_utf8_lossy(&version.stdout).contains("with Lua") {
        eprintln!("skipped: this tshark has no Lua, which evaluates the filters");
        return;
    }
    let mut captures = Vec::new();
    if std::env::var("MQTTDUMP_TSHARK").is_ok_and(|what| what == "all") {
        collect(&project("fixtures"), &mut captures);
    } else {
        captures.extend(USUAL.map(|name| project(&format!("fixtures/captures/{name}.pcap"))));
    }
    captures.sort();
    let (mut total, mut wrong) = (Tally::default(), Vec::new());
    let mut used = BTreeSet::new();
    for capture in &captures {
        let Some((tally, differences)) = compare(capture, &mut used) else {
            continue;
        };
        total.add(&tally);
        wrong.extend(differences);
    }
    eprintln!(
        "{} captures, {} filters; {} comparisons of a filter on a packet, {} of them selected it; \
         {} packets left out: {} where the two see another number of control packets, {} with \
         missing bytes or defects, {} of connections whose version \
         Wireshark does not know, for want of a CONNECT or because of the bridge bit, {} with Topic Aliases of both directions",
        captures.len(),
        total.filters,
        total.compared,
        total.selected,
        total.uneven + total.damaged + total.assumed + total.aliased,
        total.uneven,
        total.damaged,
        total.assumed,
        total.aliased,
    );
    assert!(
        wrong.is_empty(),
        "{} differences:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    assert!(total.compared > 50_000 && total.selected > 5_000);
    let shared: BTreeSet<_> = mqttdump::filter::fields()
        .iter()
        .map(|field| field.name.to_string())
        .filter(|name| is_wiresharks(name))
        .collect();
    let missed: Vec<_> = shared.difference(&used).collect();
    assert!(missed.is_empty(), "no filter asks for {missed:?}");
}

/// Captures that have every field between them; the rest has more of the same.
const USUAL: [&str; 12] = [
    "aedes-mqttjs-3.1",
    "bridge",
    "forbidden-5.0",
    "fusesource-qos2",
    "ipv6",
    "mosquitto-paho-3.1.1",
    "mosquitto-paho-5.0",
    "mqttjs-alias-auth-5.0",
    "refused-3.1",
    "refused-5.0",
    "wildcards",
    "will",
];

fn is_wiresharks(name: &str) -> bool {
    let first = name.split('.').next().unwrap_or_default();
    ["mqtt", "frame", "tcp", "ip", "ipv6", "tls", "websocket"].contains(&first)
}

#[derive(Default)]
struct Tally {
    filters: usize,
    compared: usize,
    selected: usize,
    uneven: usize,
    damaged: usize,
    assumed: usize,
    aliased: usize,
}

impl Tally {
    fn add(&mut self, other: &Self) {
        self.filters += other.filters;
        self.compared += other.compared;
        self.selected += other.selected;
        self.uneven += other.uneven;
        self.damaged += other.damaged;
        self.assumed += other.assumed;
        self.aliased += other.aliased;
    }
}

fn collect(folder: &Path, captures: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, captures);
        } else if path
            .extension()
            .is_some_and(|e| e == "pcap" || e == "pcapng")
        {
            captures.push(path);
        }
    }
}

/// A filter for both.
struct Question {
    text: String,
    /// Whether it is a single comparison that is true of a packet as soon as it
    /// is of one of its messages.
    positive: bool,
}

/// Facts about a captured packet that completed control packets.
#[derive(Default)]
struct Completed {
    frames: usize,
    damaged: bool,
    assumed: bool,
    aliased: bool,
    connection: u64,
    connects: bool,
    /// Which questions select one of them.
    selected: BTreeSet<usize>,
}

fn compare(path: &Path, used: &mut BTreeSet<String>) -> Option<(Tally, Vec<String>)> {
    let mut samples = Samples::default();
    each_frame(path, |frame, _| samples.take(frame))?;
    let questions = samples.questions();
    let filters: Vec<_> = questions
        .iter()
        .map(|q| Filter::new(&q.text).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    for question in &questions {
        let words = question
            .text
            .split(|c: char| !c.is_alphanumeric() && c != '.' && c != '_');
        used.extend(words.filter(|word| is_wiresharks(word)).map(str::to_owned));
    }

    let mut ours: BTreeMap<u64, Completed> = BTreeMap::new();
    let (mut bridges, mut aliases) = (BTreeSet::new(), BTreeSet::new());
    each_frame(path, |frame, origin| {
        let completed = ours.entry(frame.last.number).or_default();
        completed.frames += 1;
        completed.connection = frame.connection.number;
        completed.connects |= matches!(frame.packet, ControlPacket::Connect(_));
        completed.damaged |= frame.missing > 0 || !frame.defects.is_empty();
        let number = frame.connection.number;
        if matches!(&frame.packet, ControlPacket::Connect(connect) if connect.is_bridge()) {
            bridges.insert(number);
        }
        if let ControlPacket::Publish(publish) = &frame.packet
            && publish.topic_alias.is_some()
        {
            aliases.insert((number, frame.direction));
            completed.aliased |= aliases.contains(&(number, frame.direction.reversed()));
        }
        completed.assumed |= frame.connection.version_assumed || bridges.contains(&number);
        let subject = Subject {
            origin: Some(origin),
            ..Subject::of(frame)
        };
        let selecting = (0..).zip(&filters).filter(|(_, f)| f.matches(&subject));
        completed.selected.extend(selecting.map(|(at, _)| at));
    })?;

    let theirs = tshark(path, &questions);
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    let mut unread = BTreeSet::new();
    tally.filters = questions.len();
    for (number, completed) in &ours {
        if completed.damaged {
            tally.damaged += 1;
            continue;
        }
        if completed.assumed {
            tally.assumed += 1;
            continue;
        }
        // Wireshark has one table of Topic Aliases for both directions.
        if completed.aliased {
            tally.aliased += 1;
            continue;
        }
        if theirs.messages.get(number).copied().unwrap_or(0) != completed.frames {
            // Without its CONNECT, behind a PROXY header for instance, Wireshark
            // does not know what to make of the rest of the connection.
            if completed.connects {
                unread.insert(completed.connection);
            }
            tally.uneven += 1;
            continue;
        }
        if unread.contains(&completed.connection) {
            tally.uneven += 1;
            continue;
        }
        let before = wrong.len();
        for (at, question) in questions.iter().enumerate() {
            if completed.frames > 1 && !question.positive {
                continue;
            }
            let (we, they) = (
                completed.selected.contains(&at),
                theirs.selected.contains(&(at, *number)),
            );
            tally.compared += 1;
            tally.selected += usize::from(they);
            if we != they && wrong.len() < before + 3 {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                wrong.push(format!(
                    "{name} packet {number}: {} is {we} here and {they} there",
                    question.text
                ));
            }
        }
    }
    Some((tally, wrong))
}

/// Reads a capture; `None` if it is in no format that a library can open.
fn each_frame(path: &Path, mut take: impl FnMut(&MQTTFrame<'_>, Timestamp)) -> Option<()> {
    let mut capture = Capture::open(path, 0).ok()?;
    let mut engine = Engine::new(Config {
        payload: u32::MAX,
        ..Config::default()
    });
    let mut origin = None;
    while let Ok(Some(item)) = capture.next() {
        let Item::Packet(packet) = item else { continue };
        let origin = *origin.get_or_insert(packet.packet.time);
        engine.push(&packet.packet, &mut |output| {
            if let Output::Frame(frame) = output {
                take(frame, origin);
            }
        });
    }
    let origin = origin.unwrap_or_default();
    engine.finish(&mut |output| {
        if let Output::Frame(frame) = output {
            take(frame, origin);
        }
    });
    Some(())
}

/// Values of a capture, for questions that are sometimes true.
#[derive(Default)]
struct Samples {
    texts: BTreeMap<&'static str, BTreeSet<Vec<u8>>>,
    numbers: BTreeMap<&'static str, BTreeSet<u64>>,
    times: BTreeSet<i64>,
    ports: BTreeSet<u16>,
    addresses: BTreeSet<std::net::IpAddr>,
}

/// Fields that are numbers, with a value that is asked for wherever it is not
/// sampled.
const NUMBERS: &[(&str, u64)] = &[
    ("mqtt.len", 2),
    ("mqtt.hdrflags", 0x32),
    ("mqtt.msgtype", 3),
    ("mqtt.qos", 1),
    ("mqtt.hdr_reserved", 2),
    ("mqtt.retain_reserved", 0),
    ("mqtt.msgid", 1),
    ("mqtt.proto_len", 4),
    ("mqtt.ver", 4),
    ("mqtt.conflags", 2),
    ("mqtt.conflag.qos", 1),
    ("mqtt.kalive", 60),
    ("mqtt.clientid_len", 0),
    ("mqtt.willtopic_len", 5),
    ("mqtt.willmsg_len", 4),
    ("mqtt.username_len", 4),
    ("mqtt.passwd_len", 6),
    ("mqtt.conack.flags", 0),
    ("mqtt.conack.val", 0),
    ("mqtt.topic_len", 12),
    ("mqtt.sub.qos", 1),
    ("mqtt.suback.qos", 1),
    ("mqtt.subscription_options", 1),
    ("mqtt.subscription_options_qos", 1),
    ("mqtt.subscription_options_retain", 0),
    ("mqtt.subscription_options_reserved", 0),
    ("mqtt.connack.reason_code", 0),
    ("mqtt.puback.reason_code", 0x10),
    ("mqtt.pubrec.reason_code", 0x10),
    ("mqtt.pubrel.reason_code", 0),
    ("mqtt.pubcomp.reason_code", 0),
    ("mqtt.suback.reason_code", 1),
    ("mqtt.unsuback.reason_code", 0),
    ("mqtt.disconnect.reason_code", 0),
    ("mqtt.auth.reason_code", 24),
    ("mqtt.property_len", 0),
    ("mqtt.property_id", 0x26),
    ("mqtt.prop_number", 10),
    ("mqtt.property.max_qos", 1),
    ("mqtt.property.topic_alias", 1),
    ("mqtt.prop_string_len", 5),
    ("mqtt.prop_key_len", 3),
    ("mqtt.prop_value_len", 1),
    ("frame.number", 10),
    ("tcp.stream", 0),
    ("tcp.port", 1883),
    ("tcp.srcport", 1883),
    ("tcp.dstport", 1883),
];

const FLAGS: &[&str] = &[
    "mqtt.dupflag",
    "mqtt.retain",
    "mqtt.conflag.uname",
    "mqtt.conflag.passwd",
    "mqtt.conflag.retain",
    "mqtt.conflag.willflag",
    "mqtt.conflag.cleansess",
    "mqtt.conflag.reserved",
    "mqtt.conack.flags.reserved",
    "mqtt.conack.flags.sp",
    "mqtt.subscription_options_nl",
    "mqtt.subscription_options_rap",
];

const TEXTS: &[&str] = &[
    "mqtt.topic",
    "mqtt.clientid",
    "mqtt.username",
    "mqtt.passwd",
    "mqtt.protoname",
    "mqtt.willtopic",
    "mqtt.prop_string",
    "mqtt.prop_key",
    "mqtt.prop_value",
    "mqtt.property.content_type",
];

const BYTES: &[&str] = &["mqtt.msg", "mqtt.willmsg"];

const PRESENT: &[&str] = &[
    "mqtt",
    "frame",
    "tcp",
    "ip",
    "ipv6",
    "tls",
    "websocket",
    "mqtt.properties",
    "mqtt.will_properties",
    "mqtt.unknown_topic_alias",
    "mqtt.unknown_version",
];

/// Questions about several fields, or about the language.
const COMPOUND: &[&str] = &[
    "not mqtt.qos == 1",
    "!mqtt.qos",
    "mqtt.qos == 1 and mqtt.retain == 0",
    "mqtt.qos == 1 && mqtt.topic contains \"a\" || mqtt.msgtype == 4",
    "mqtt.msgtype == 4 or mqtt.qos == 1 and not mqtt.msgid == 1",
    "!(mqtt.qos == 1 || mqtt.msgtype == 4)",
    "not not mqtt.qos",
    "mqtt.qos not in {1, 2}",
    "mqtt.msgtype in {\"Publish Message\", 1, 12..14}",
    "mqtt.qos == \"At least once delivery (Acknowledged deliver)\"",
    "mqtt.msgtype == \"publish message\"",
    "mqtt.conack.val == \"Connection Refused: not authorized\"",
    "mqtt.connack.reason_code == \"Not authorized\"",
    "mqtt.disconnect.reason_code != \"Normal disconnection\"",
    "mqtt.ver == \"MQTT v5.0\"",
    "mqtt.conflags & 2",
    "mqtt.conflags & 0xc0 == 0xc0",
    "mqtt.hdrflags & 0xf0 == 0x30",
    "mqtt.hdrflags & 0b110",
    "mqtt.kalive == 074",
    "len(mqtt.topic) == mqtt.topic_len",
    "mqtt.clientid == mqtt.username",
    "mqtt.topic contains mqtt.topic",
    "mqtt.topic_len > mqtt.msgid",
    "mqtt.topic[0] == 'v'",
    "mqtt.topic[0:2] == 76:64",
    "mqtt.topic[-3:] == \"Off\"",
    "mqtt.topic[1-3] == \"dm/\"",
    "mqtt.topic[0,4] == \"v1\"",
    "mqtt.msg[0] == 31",
    "mqtt.msg[-1:] == \"0\"",
    "mqtt.topic matches r\"^\\w+/\\d+\"",
    "mqtt.topic matches \"^\\\\w+/[0-9]{3}\"",
    "mqtt.topic matches \"/ENGINE.*\"",
    "mqtt.topic in {\"a\"..\"m\", \"vdm/123/engineOff\"}",
    "mqtt.topic > \"m\"",
    "upper(mqtt.topic) contains \"TEMP\"",
    "lower(mqtt.clientid) matches \"mosq\"",
    "count(mqtt.topic) > 1",
    "count(mqtt.prop_key) == 2",
    "len(mqtt.msg) > 10 and len(mqtt.msg) <= 100",
    "any mqtt.topic == \"test\" or all mqtt.prop_key != \"a\"",
    "mqtt.prop_number all_ne 10",
    "mqtt.prop_number === 10",
    "mqtt.prop_number !== 10",
    "mqtt.prop_number any_ne 10",
    "mqtt.property_id all_eq 0x26",
    "ip.addr == 127.0.0.0/8 and ip.src != 10.0.0.1",
    "ip.dst == 192.168.0.0/16 or ipv6.dst == ::1",
    "ipv6.addr == fe80::/10 or ipv6.src == ::/0",
    "tcp.port in {1883, 8000..9000}",
    "frame.time_relative > 0.5",
    "frame.time_relative <= 0.01",
    "frame.time > \"2026-01-01 00:00:00\"",
    "frame.time <= \"Jun 30, 2030 12:00:00.5\"",
];

impl Samples {
    fn text(&mut self, field: &'static str, bytes: &[u8]) {
        self.texts.entry(field).or_default().insert(bytes.to_vec());
    }

    fn number(&mut self, field: &'static str, number: impl Into<u64>) {
        let number = number.into();
        self.numbers.entry(field).or_default().insert(number);
    }

    fn take(&mut self, frame: &MQTTFrame<'_>) {
        self.number("mqtt.len", frame.header.remaining_length);
        self.number("mqtt.hdrflags", frame.header.first);
        self.number("mqtt.msgtype", frame.header.first >> 4);
        self.number("frame.number", frame.last.number);
        self.number("tcp.stream", frame.connection.number - 1);
        self.times.insert(frame.time.nanos());
        self.ports.insert(frame.connection.client.port);
        self.addresses.insert(frame.connection.client.addr);
        self.addresses.insert(frame.connection.server.addr);
        if let Some(id) = frame.packet.packet_id() {
            self.number("mqtt.msgid", id);
        }
        for property in frame.packet.properties().iter() {
            self.number("mqtt.property_id", property.id);
            match property.value {
                PropertyValue::Byte(number) => self.number("mqtt.prop_number", number),
                PropertyValue::TwoByteInteger(number) => self.number("mqtt.prop_number", number),
                PropertyValue::FourByteInteger(number)
                | PropertyValue::VariableByteInteger(number) => {
                    self.number("mqtt.prop_number", number);
                }
                PropertyValue::String(text) => {
                    self.text("mqtt.prop_string", text.bytes());
                    self.text("mqtt.property.content_type", text.bytes());
                }
                PropertyValue::Pair(key, value) => {
                    self.text("mqtt.prop_key", key.bytes());
                    self.text("mqtt.prop_value", value.bytes());
                }
                PropertyValue::Binary(_) => {}
            }
        }
        match &frame.packet {
            ControlPacket::Publish(publish) => {
                self.text("mqtt.msg", publish.payload);
                if let Some(topic) = frame.topic {
                    self.text("mqtt.topic", topic.bytes());
                }
            }
            ControlPacket::Subscribe(subscribe) => {
                for entry in subscribe.filters() {
                    self.text("mqtt.topic", entry.filter.bytes());
                    let options = match frame.version {
                        Version::V5 => "mqtt.subscription_options",
                        _ => "mqtt.sub.qos",
                    };
                    self.number(options, entry.options.unwrap_or_default());
                }
            }
            ControlPacket::Connect(connect) => {
                let texts = [
                    ("mqtt.clientid", connect.client_id.map(|t| t.bytes())),
                    ("mqtt.username", connect.username.map(|t| t.bytes())),
                    ("mqtt.protoname", connect.protocol_name.map(|t| t.bytes())),
                    ("mqtt.passwd", connect.password),
                ];
                for (field, bytes) in texts {
                    self.text(field, bytes.unwrap_or_default());
                }
                if let Some(will) = &connect.will {
                    self.text("mqtt.willtopic", will.topic.map_or(b"", |t| t.bytes()));
                    self.text("mqtt.willmsg", will.payload.unwrap_or_default());
                }
                self.number("mqtt.kalive", connect.keep_alive.unwrap_or_default());
                self.number("mqtt.conflags", connect.flags.unwrap_or_default());
            }
            _ => {}
        }
    }

    fn questions(&self) -> Vec<Question> {
        let mut questions = Vec::new();
        let mut ask = |positive: bool, text: String| questions.push(Question { text, positive });
        for name in PRESENT {
            ask(true, (*name).into());
        }
        for (name, usual) in NUMBERS {
            ask(true, (*name).into());
            let sampled = self.numbers.get(name).into_iter().flatten();
            let values: BTreeSet<u64> = sampled
                .copied()
                .step_by(3)
                .take(3)
                .chain([*usual])
                .collect();
            for value in values {
                for op in ["==", ">", "ge", "<", "le"] {
                    ask(true, format!("{name} {op} {value}"));
                }
                ask(false, format!("{name} != {value}"));
                ask(true, format!("{name} in {{{value}, 0x7f..0x81}}"));
            }
        }
        for name in FLAGS {
            ask(true, (*name).into());
            ask(true, format!("{name} == 1"));
            ask(false, format!("{name} != True"));
        }
        for name in TEXTS {
            ask(true, (*name).into());
            let sampled = self.texts.get(name).into_iter().flatten();
            // Wireshark's strings end at NUL, and cannot contain invalid UTF-8.
            let plain = |text: &&Vec<u8>| text.iter().all(|byte| (0x20..0x7f).contains(byte));
            let values: Vec<_> = sampled.filter(plain).take(4).collect();
            for value in values {
                let quoted = quote(value);
                for op in ["==", ">", ">=", "<", "<=", "contains"] {
                    ask(true, format!("{name} {op} {quoted}"));
                }
                ask(false, format!("{name} != {quoted}"));
                let middle = value
                    .get(value.len() / 3..value.len() / 2)
                    .unwrap_or_default();
                if !middle.is_empty() {
                    ask(true, format!("{name} contains {}", quote(middle)));
                }
                ask(true, format!("len({name}) == {}", value.len()));
                let lower = quote(&value.to_ascii_lowercase());
                ask(true, format!("lower({name}) == {lower}"));
            }
        }
        for name in BYTES {
            ask(true, (*name).into());
            let sampled = self.texts.get(name).into_iter().flatten();
            for value in sampled.filter(|v| !v.is_empty() && v.len() < 200).take(3) {
                let hex: Vec<_> = value.iter().map(|byte| format!("{byte:02x}")).collect();
                let hex = hex.join(":");
                for op in ["==", ">", "<=", "contains"] {
                    ask(true, format!("{name} {op} {hex}"));
                }
                ask(false, format!("{name} != {hex}"));
                ask(true, format!("len({name}) == {}", value.len()));
                if value.iter().all(|byte| (0x20..0x7f).contains(byte)) {
                    ask(true, format!("{name} == {}", quote(value)));
                    let end = value.get(value.len() / 2..).unwrap_or_default();
                    ask(true, format!("{name} contains {}", quote(end)));
                }
            }
        }
        for address in self.addresses.iter().take(2) {
            let (family, prefix) = match address.is_ipv4() {
                true => ("ip", 24),
                false => ("ipv6", 64),
            };
            for name in ["addr", "src", "dst"] {
                ask(true, format!("{family}.{name} == {address}"));
                ask(true, format!("{family}.{name} == {address}/{prefix}"));
                ask(false, format!("{family}.{name} != {address}"));
            }
        }
        for port in self.ports.iter().take(2) {
            ask(true, format!("tcp.port == {port}"));
            ask(false, format!("tcp.port != {port}"));
        }
        for nanos in self.times.iter().step_by(7).take(3) {
            let (seconds, nanos) = (
                nanos.div_euclid(1_000_000_000),
                nanos.rem_euclid(1_000_000_000),
            );
            for op in ["==", ">", "<="] {
                ask(true, format!("frame.time_epoch {op} {seconds}.{nanos:09}"));
            }
        }
        for text in COMPOUND {
            ask(false, (*text).into());
        }
        questions
    }
}

fn quote(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[derive(Default)]
struct Theirs {
    /// How many MQTT messages each packet has.
    messages: BTreeMap<u64, usize>,
    /// Question and packet.
    selected: BTreeSet<(usize, u64)>,
}

fn tshark(path: &Path, questions: &[Question]) -> Theirs {
    let filters: String = questions
        .iter()
        .map(|question| format!("{},\n", lua_string(&question.text)))
        .collect();
    let script = format!(
        r##"local types = Field.new("mqtt.msgtype")
local all = Listener.new("frame", "mqtt")
function all.packet(packet) print("messages", select("#", types()), packet.number) end
for at, text in ipairs({{{filters}}}) do
  local ok, listener = pcall(Listener.new, "frame", text)
  if not ok then print("refused", at - 1, listener) else
    function listener.packet(packet) print("selected", at - 1, packet.number) end
  end
end
"##
    );
    let folder = Folder::new();
    let script = folder.write("filters.lua", script.as_bytes());
    let output = Command::new("tshark")
        .env("TZ", "UTC")
        .args(["-n", "-q", "-X", &format!("lua_script:{script}"), "-r"])
        .arg(path)
        .output()
        .expect("tshark starts");
    let mut theirs = Theirs::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let mut words = line.splitn(3, '\t');
        let mut next = || words.next().unwrap_or_default();
        let (what, one, other) = (next(), next(), next());
        let number = || other.parse().expect(line);
        match what {
            "messages" => {
                theirs.messages.insert(number(), one.parse().expect(line));
            }
            "selected" => {
                theirs.selected.insert((one.parse().expect(line), number()));
            }
            "refused" => {
                let at: usize = one.parse().expect(line);
                panic!("tshark refuses {}: {other}", questions[at].text);
            }
            _ => {}
        }
    }
    theirs
}

fn lua_string(text: &str) -> String {
    let bytes = text.bytes().map(|byte| format!("\\{byte:03}"));
    format!("\"{}\"", bytes.collect::<String>())
}
