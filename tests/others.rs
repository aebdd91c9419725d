//! Output for other programs: Zeek's logs, Suricata's EVE, OpenTelemetry, comments on
//! packets.

use std::process::Command;

use serde_json::{Value, json};

use crate::support::files::Format;
use crate::support::program::{Folder, run};
use crate::support::scene::scene;

/// What is on standard output; events are beside it.
fn output(args: &[&str]) -> String {
    let run = run(args);
    assert_eq!(run.code, Some(0), "{}", run.err);
    run.out
}

fn lines(args: &[&str]) -> Vec<Value> {
    let out = output(args);
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn capture(name: &str) -> String {
    format!("fixtures/third-party/mqtt/suricata-{name}.pcap")
}

/// The value at a path such as `mqtt.connect.flags.will`.
fn at<'a>(event: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(event, |value, key| &value[key])
}

/// What suricata-verify expects of Suricata on the same captures: how many events go to
/// port 1883, and keys of one event each.
#[test]
fn eve_as_suricata_writes_it() {
    let expected = [
        (
            "mqtt31-sub-userpass",
            3,
            json!([
                {"connect": {"protocol_string": "MQIsdp", "protocol_version": 3}},
                {"connack": {"qos": 0, "retain": false, "dup": false, "session_present": false, "return_code": 0}},
                {"subscribe": {"qos": 1, "message_id": 1, "topics": [{"topic": "topicX", "qos": 0}, {"topic": "topicY", "qos": 0}]}},
                {"suback": {"message_id": 1, "qos_granted": [0, 0]}},
                {"disconnect": {"qos": 0, "retain": false, "dup": false}},
            ]),
        ),
        (
            "mqtt311-pub-qos2",
            3,
            json!([
                {"connect": {"qos": 0, "client_id": "myvoiceismypassport", "username": "user", "password": "pass",
                             "flags": {"username": true, "password": true, "will": false, "will_retain": false, "clean_session": true}}},
                {"publish": {"qos": 2, "topic": "topicX", "message": "baabaablacksheep", "message_id": 1}},
                {"pubrec": {"qos": 0, "message_id": 1}},
                {"pubrel": {"qos": 1, "message_id": 1}},
                {"pubcomp": {"qos": 0, "message_id": 1}},
            ]),
        ),
        (
            "mqtt311-unsub-qos1",
            5,
            json!([
                {"unsubscribe": {"qos": 1, "topics": ["topicX"], "message_id": 2}},
                {"unsubscribe": {"qos": 1, "topics": ["topicY"], "message_id": 3}},
                {"unsuback": {"message_id": 2}},
                {"unsuback": {"message_id": 3}},
            ]),
        ),
        (
            "mqtt5-pub-qos1",
            3,
            json!([
                {"connect": {"protocol_version": 5, "properties": {"receive_maximum": 20}}},
                {"connack": {"return_code": 0, "properties": {"topic_alias_maximum": 10}}},
                {"puback": {"message_id": 1, "reason_code": 16}},
                {"disconnect": {"reason_code": 0}},
            ]),
        ),
        (
            "mqtt5-pub-mosquittoprops",
            3,
            json!([
                {"connect": {"will": {"topic": "willtopic", "message": "willmessage", "properties": {
                    "content_type": "mywilltype", "correlation_data": "1234567", "message_expiry_interval": 133,
                    "payload_format_indicator": 144, "response_topic": "response_topic1", "userprop5": "userval5", "will_delay_interval": 200}},
                  "properties": {"maximum_packet_size": 11111, "receive_maximum": 222, "session_expiry_interval": 555,
                    "topic_alias_maximum": 666, "userprop1": "userval1", "userprop2": "userval2"}}},
                {"publish": {"topic": "topicX", "properties": {"content_type": "mytype", "correlation_data": "12345",
                    "message_expiry_interval": 77, "topic_alias": 5, "userprop3": "userval3"}}},
                {"disconnect": {"reason_code": 0, "properties": {"session_expiry_interval": 122, "userprop4": "userval4"}}},
            ]),
        ),
    ];
    for (name, up, messages) in expected {
        let file = capture(name);
        let events = lines(&["-r", &file, "--format", "eve", "--show-secrets"]);
        let to_server = events.iter().filter(|event| event["dest_port"] == 1883);
        assert_eq!(to_server.count(), up, "{name}");
        for message in messages.as_array().expect("messages") {
            let holds = |event: &&Value| includes(&event["mqtt"], message);
            assert_eq!(
                events.iter().filter(holds).count(),
                1,
                "{name}: {message} in {events:#?}"
            );
        }
        for event in &events {
            assert_eq!(event["event_type"], "mqtt");
            assert!(
                at(event, "community_id")
                    .as_str()
                    .is_some_and(|id| id.starts_with("1:"))
            );
        }
    }
    // A password is written only on request.
    let events = output(&["-r", &capture("mqtt311-pub-qos2"), "--format", "eve"]);
    assert!(!events.contains("\"pass\""), "{events}");
}

/// Whether a value has all of another.
fn includes(value: &Value, part: &Value) -> bool {
    match (value, part) {
        (Value::Object(value), Value::Object(part)) => part
            .iter()
            .all(|(key, part)| value.get(key).is_some_and(|value| includes(value, part))),
        _ => value == part,
    }
}

/// The same by Suricata, where it is installed.
#[test]
fn eve_and_suricata() {
    if Command::new("suricata").arg("-V").output().is_err() {
        eprintln!("skipped: there is no suricata to compare with");
        return;
    }
    let folder = Folder::new();
    let config = folder.write(
        "suricata.yaml",
        b"%YAML 1.1\n---\noutputs:\n  - eve-log:\n      enabled: yes\n      filetype: regular\n      filename: eve.json\n      \
          types:\n        - mqtt:\n            passwords: yes\napp-layer:\n  protocols:\n    mqtt:\n      enabled: yes\n",
    );
    for name in [
        "mqtt31-sub-userpass",
        "mqtt311-pub-qos2",
        "mqtt311-unsub-qos1",
        "mqtt5-pub-qos1",
        "mqtt5-pub-mosquittoprops",
    ] {
        let file = capture(name);
        let done = Command::new("suricata")
            .args([
                "-c",
                &config,
                "-r",
                &file,
                "-k",
                "none",
                "-S",
                "/dev/null",
                "-l",
                &folder.name(""),
            ])
            .output()
            .expect("suricata starts");
        assert!(done.status.success(), "{done:?}");
        let theirs = std::fs::read_to_string(folder.path("eve.json")).expect("events");
        let mut theirs: Vec<String> = theirs
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
            .filter(|event| event["event_type"] == "mqtt")
            .map(|event| {
                format!(
                    "{} {} {}",
                    event["src_port"], event["dest_port"], event["mqtt"]
                )
            })
            .collect();
        let ours = lines(&["-r", &file, "--format", "eve", "--show-secrets"]);
        let mut ours: Vec<String> = ours
            .iter()
            .map(|event| {
                format!(
                    "{} {} {}",
                    event["src_port"], event["dest_port"], event["mqtt"]
                )
            })
            .collect();
        ours.sort();
        theirs.sort();
        assert_eq!(ours, theirs, "{name}");
        std::fs::remove_file(folder.path("eve.json")).expect("a file");
    }
}

const SCENE: &str = "
    > CONNECT client=pump will_topic=w will_payload=gone
    < CONNACK
    > SUBSCRIBE id=1 filter=a/#:1 filter=b,c:0
    < SUBACK id=1 codes=1,0
    > PUBLISH topic=a/b payload=on
    > PUBLISH topic=a/b qos=1 id=2 retain=1 payload=hex:0a2d09
    < PUBACK id=2
    > PUBLISH topic=- qos=2 id=3 payload=x
    < PUBREC id=3
    > UNSUBSCRIBE id=4 filter=a/#
    < UNSUBACK id=4
    > DISCONNECT
";

fn written(folder: &Folder, scene_text: &str) -> String {
    folder.write("a.pcapng", &Format::PCAPNG.write(&scene(scene_text)))
}

/// The fields are those of Zeek's documentation and of its empty logs.
#[test]
fn zeek_logs() {
    let folder = Folder::new();
    let out = output(&["-r", &written(&folder, SCENE), "--format", "zeek"]);
    let uid = out
        .lines()
        .find_map(|line| line.split('\t').find(|cell| cell.starts_with("1:")));
    let text = out.replace(uid.expect("an identity"), "UID");
    let rows: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once("UID\t").map(|(_, row)| row))
        .collect();
    let ends = "10.0.0.7\t40122\t10.0.1.1\t1883\t";
    let rows: Vec<&str> = rows
        .iter()
        .map(|row| row.strip_prefix(ends).expect("addresses"))
        .collect();
    assert_eq!(
        rows,
        [
            "MQTT\t3.1.1\tpump\tConnection Accepted\tw\tgone",
            "MQTT::SUBSCRIBE\ta/#,b\\x2cc\t1,0\t1\tT",
            "T\tF\tat most once\tok\ta/b\ton\t2",
            "T\tT\tat least once\tok\ta/b\t\\x0a-\\x09\t3",
            "MQTT::UNSUBSCRIBE\ta/#\t-\t-\tT",
            "T\tF\texactly once\tincomplete_qos\t\\x2d\tx\t1",
        ]
    );
    let head = "#fields\tts\tuid\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\t";
    for (path, fields, types) in [
        (
            "mqtt_connect",
            "proto_name\tproto_version\tclient_id\tconnect_status\twill_topic\twill_payload",
            "string\tstring\tstring\tstring\tstring\tstring",
        ),
        (
            "mqtt_publish",
            "from_client\tretain\tqos\tstatus\ttopic\tpayload\tpayload_len",
            "bool\tbool\tstring\tstring\tstring\tstring\tcount",
        ),
        (
            "mqtt_subscribe",
            "action\ttopics\tqos_levels\tgranted_qos_level\tack",
            "enum\tvector[string]\tvector[count]\tcount\tbool",
        ),
    ] {
        let log = text
            .split(&format!("#path\t{path}\n"))
            .nth(1)
            .expect("a log");
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines[0].starts_with("#open\t"));
        assert_eq!(lines[1], format!("{head}{fields}"));
        assert_eq!(
            lines[2],
            format!("#types\ttime\tstring\taddr\tport\taddr\tport\t{types}")
        );
    }
    assert!(
        text.lines()
            .last()
            .is_some_and(|line| line.starts_with("#close\t"))
    );
}

/// The number of rows on Zeek's own capture.
#[test]
fn zeek_logs_of_a_capture() {
    let file = "fixtures/third-party/mqtt/zeek-mqtt.pcap";
    let out = output(&["-r", file, "--format", "zeek"]);
    let rows = |mark: &str| out.lines().filter(|line| line.contains(mark)).count();
    let frames = lines(&["-r", file, "--format", "ndjson"]);
    let of = |kind: &str| frames.iter().filter(|frame| frame["type"] == kind).count();
    assert_eq!(
        rows("Connection Accepted") + rows("Refused: "),
        of("CONNACK")
    );
    assert_eq!(rows("\tok\t") + rows("\tincomplete_qos\t"), of("PUBLISH"));
    assert_eq!(rows("MQTT::SUBSCRIBE"), of("SUBSCRIBE"));
}

/// What has no place in these formats is reported beside them.
#[test]
fn events_beside_the_formats_of_others() {
    let file = "fixtures/third-party/mqtt/zeek-mqtt.pcap";
    for format in ["zeek", "eve", "otlp"] {
        let run = run(&["-r", file, "--format", format]);
        assert_eq!(run.code, Some(0));
        assert!(
            run.err.contains("closed by client"),
            "{format}: {}",
            run.err
        );
        assert!(!run.out.contains("closed by client"), "{format}");
    }
}

#[test]
fn otlp_spans() {
    let folder = Folder::new();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = "00f067aa0ba902b7";
    let file = written(
        &folder,
        &format!(
            "
            > CONNECT client=pump version=5
            < CONNACK
            > SUBSCRIBE id=1 filter=a:1
            < SUBACK id=1 codes=0x87
            > PUBLISH topic=a qos=1 id=2 payload=x user_property=traceparent:00-{trace}-{parent}-01
            < PUBACK id=2
            < PUBLISH topic=a payload=x user_property=traceparent:00-{trace}-{parent}-01
            > PUBLISH topic=a qos=1 id=3 payload=y user_property=traceparent:00-{}-{parent}-01
            > DISCONNECT
            ",
            "0".repeat(32)
        ),
    );
    let spans: Vec<Value> = lines(&["-r", &file, "--format", "otlp"])
        .iter()
        .map(|request| request["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone())
        .collect();
    let named =
        |name: &str| -> Vec<&Value> { spans.iter().filter(|span| span["name"] == name).collect() };
    let is_id = |id: &Value, len| {
        let id = id.as_str().expect("a text");
        id.len() == len && id.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    for span in &spans {
        assert!(
            is_id(&span["traceId"], 32) && is_id(&span["spanId"], 16),
            "{span}"
        );
        let nanos = |key: &str| span[key].as_str().and_then(|it| it.parse::<u64>().ok());
        assert!(
            nanos("startTimeUnixNano") <= nanos("endTimeUnixNano")
                && nanos("endTimeUnixNano") > Some(0)
        );
    }
    let publish = named("publish a");
    assert_eq!(publish.len(), 2);
    assert_eq!(
        (&publish[0]["traceId"], &publish[0]["parentSpanId"]),
        (&json!(trace), &json!(parent))
    );
    assert_eq!(publish[0]["kind"], 4);
    // A trace of zeros is none.
    assert!(publish[1]["parentSpanId"].is_null());
    let outcome = json!({"key": "mqtt.outcome", "value": {"stringValue": "open"}});
    assert!(
        publish[1]["attributes"]
            .as_array()
            .is_some_and(|all| all.contains(&outcome))
    );
    let deliver = named("deliver a");
    assert_eq!(
        (&deliver[0]["traceId"], &deliver[0]["kind"]),
        (&json!(trace), &json!(5))
    );
    assert_eq!(
        named("subscribe")[0]["status"],
        json!({"message": "Not authorized", "code": 2})
    );
    assert_eq!(named("connect").len(), 1);
}

/// Comments on saved packets, as tshark reads them.
#[test]
fn annotated_captures() {
    let folder = Folder::new();
    let file = written(
        &folder,
        "
        > CONNECT client=pump
        < CONNACK
        > PUBLISH topic=plant/7 dup=1 payload=x
        > DISCONNECT
    ",
    );
    let saved = folder.name("out.pcapng");
    run(&["-r", &file, "-w", &saved, "--annotate"]).clean();
    let refused = run(&["-r", &file, "-w", &folder.name("out.pcap"), "--annotate"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.err.contains(".pcapng"), "{}", refused.err);
    // The packets are the same.
    let frames = |file: &str| run(&["-r", file, "-q"]).clean();
    assert_eq!(frames(&saved), frames(&file));
    // So they are with a selection.
    let selected = folder.name("selected.pcapng");
    run(&[
        "-r",
        &file,
        "-w",
        &selected,
        "--annotate",
        "--client",
        "pump",
    ])
    .clean();
    for name in [&saved, &selected] {
        let Ok(output) = Command::new("tshark")
            .args(["-r", name, "-T", "fields", "-e", "frame.comment"])
            .output()
        else {
            eprintln!("skipped: there is no tshark to read comments");
            return;
        };
        let comments = String::from_utf8_lossy(&output.stdout);
        for comment in [
            "CONNECT, client pump",
            "PUBLISH, client pump, topic plant/7",
            "violation dup-with-qos-0: ",
        ] {
            assert!(comments.contains(comment), "{comment}: {comments}");
        }
    }
}
