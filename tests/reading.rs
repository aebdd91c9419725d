//! Captures of situations from bug reports, and the lines that a reader must (or
//! must not) be shown of them.

use crate::support::program::{project, run};

struct Case {
    file: &'static str,
    /// The command and its options.
    args: &'static [&'static str],
    /// Each is a part of some line, in this order.
    shows: &'static [&'static str],
    /// None is a part of any line.
    never: &'static [&'static str],
}

const READ: &[&str] = &["-r"];
const CHECK: &[&str] = &["check"];

#[rustfmt::skip]
const CASES: &[Case] = &[
    // A Remaining Length that is 3 too short: the rest looks like a PUBLISH of QoS 3.
    Case {
        file: "m32-publish-length-short.pcap", args: READ,
        shows: &["closed by server", "unfinished PUBLISH with QoS 3: 5 bytes seen"],
        never: &["not MQTT"],
    },
    Case {
        file: "m32-publish-length-short.pcap", args: CHECK,
        shows: &["VIOLATION by client: A PUBLISH has QoS 0, 1 or 2"],
        never: &["by server"],
    },
    // Packet type 0, in a packet that never ends.
    Case {
        file: "p07-mosquitto2325-bad-pingreq.pcap", args: READ,
        shows: &["unfinished RESERVED: 4 bytes seen"],
        never: &[],
    },
    Case {
        file: "p07-mosquitto2325-bad-pingreq.pcap", args: CHECK,
        shows: &["VIOLATION by client", "packet-type"],
        never: &["VIOLATION by server"],
    },
    // The length of the protocol name in the wrong byte order.
    Case {
        file: "p08-iotse1634.pcap", args: READ,
        shows: &["type: CONNECT", "defect: "],
        never: &["not MQTT"],
    },
    Case {
        file: "p08-iotse1634.pcap", args: CHECK,
        shows: &["VIOLATION", "by client"],
        never: &["by server"],
    },
    // MQTT in clear on the port of TLS, joined in its middle.
    Case {
        file: "p04b-clear-on-8883-midstream.pcap", args: READ,
        shows: &["type: PUBLISH"],
        never: &["encrypted", "00:00:00.000000"],
    },
    // On an unusual port, joined in the middle: one message, and many.
    Case {
        file: "p02-so-topic-port30083.pcap", args: READ,
        shows: &["10.11.128.243:50026 > 10.11.128.242:30083", "type: PUBLISH", "PKGCTRL/1/status/frequency"],
        never: &["not recognised"],
    },
    Case {
        file: "p02b-so-topic-port30083-40.pcap", args: &["--count", "-r"],
        shows: &["40"],
        never: &["not recognised"],
    },
    // A value behind the first 64 characters of a payload.
    Case {
        file: "g02-json-payloads.pcap", args: &["--count", "-Y", "payload.json.ts == 1700000005 && payload.json.alarm == \"none\"", "-r"],
        shows: &["1\n"],
        never: &[],
    },
    // One topic among many in one connection.
    Case {
        file: "g01-one-topic-of-many.pcap", args: &["--count", "--topic", "PKGCTRL/1/status/frequency", "--type", "PUBLISH", "-r"],
        shows: &["5\n"],
        never: &[],
    },
    Case {
        file: "p03b-port1884-midstream.pcap", args: READ,
        shows: &["10.0.0.7:40122 > 10.0.1.1:1884 MQTTFrame", "type: PUBLISH", "type: PUBACK"],
        never: &["not recognised"],
    },
    // Captured before and after NAT, and a service of Kubernetes.
    Case {
        file: "a06-nat-seen-twice-v4.pcap", args: READ,
        shows: &["172.17.0.2:40122 > 10.0.1.1:1883 opened", "CONNECT", "CONNACK", "closed by", "shown once"],
        never: &["192.168.1.50"],
    },
    Case {
        file: "a07-k8s-service-dnat-v5.pcap", args: READ,
        shows: &["10.244.2.9:40122 > 10.96.0.10:1883", "CONNECT", "CONNACK", "shown once"],
        never: &["10.244.1.5"],
    },
    Case {
        file: "p15b-any-docker-nat.pcap", args: READ,
        shows: &["172.17.0.2:40122", "CONNECT", "DISCONNECT", "1 connection was captured before"],
        never: &["192.168.1.50"],
    },
    Case {
        file: "p15b-any-docker-nat.pcap", args: &["--keep-duplicates", "-r"],
        shows: &["172.17.0.2:40122", "192.168.1.50:40122"],
        never: &["shown once"],
    },
    Case {
        file: "p15b-any-docker-nat.pcap", args: &["overhead", "--format", "csv"],
        shows: &["c1"],
        never: &["192.168.1.50"],
    },
    // Joined within a PUBLISH of 100 kB from the server.
    Case {
        file: "a05-midstream-after-big-publish.pcap", args: READ,
        shows: &["type: PUBLISH", "id 3 topic \"bar\"", "DISCONNECT", "type: PUBACK", "id 3 ", "type: PUBACK", "id 4 "],
        never: &["not MQTT"],
    },
    // Joined within a PUBLISH whose payload is MQTT.
    Case {
        file: "m20b-mqtt-inside-payload-midstream.pcap", args: READ,
        shows: &["id 1 topic \"dump/raw\"", "id 2 topic \"real/next\"", "DISCONNECT"],
        never: &["[inner]", "topic \"in/"],
    },
    // Behind an HTTP request, an HTTP proxy, and a SOCKS proxy.
    Case {
        file: "w02-ws-after-http-request.pcap", args: READ,
        shows: &["WebSocket opened at \"/mqtt\"", "type: CONNECT", "[w]", "type: DISCONNECT", "closed by client"],
        never: &["not recognised"],
    },
    Case {
        file: "w03-http-connect-proxy.pcap", args: READ,
        shows: &["type: CONNECT", "[c1]", "type: DISCONNECT", "closed by client"],
        never: &["not recognised"],
    },
    Case {
        file: "w03-http-connect-proxy.pcap", args: &["overhead", "-v"],
        shows: &["proxy        106"],
        never: &[],
    },
    Case {
        file: "s01-socks5-microsocks.pcap", args: READ,
        shows: &["[one] MQTTFrame { type: CONNECT", "[one]", "type: PUBACK", "[two]", "type: PUBCOMP"],
        never: &["not recognised", "secret"],
    },
    // Four interfaces, whose packets lie in the file one after the other.
    Case {
        file: "p17-pcapng-mixed-links.pcapng", args: READ,
        shows: &[
            "22:13:20.130000 10.0.0.7:50001 > 10.0.1.1:1883 [c0] closed by client",
            "22:13:20.001000 10.0.0.7:50002 > 10.0.1.1:1883 opened",
            "22:13:20.131000 10.0.0.7:50002 > 10.0.1.1:1883 [c1] closed by client",
        ],
        never: &[],
    },
    // Days without a packet are a clock that was set, and no silence.
    Case {
        file: "a01-clock-forward-1970-2023.pcap", args: CHECK,
        shows: &["11 messages on 1 connection"],
        never: &["WARNING", "VIOLATION"],
    },
    // The clock is set during the connection, forwards and back.
    Case {
        file: "a01-clock-forward-1970-2023.pcap", args: READ,
        shows: &["00:01:00.000000", "opened", "22:13:20.140000", "closed by client"],
        never: &["idle", "resynchronised", "gap"],
    },
    Case {
        file: "a03-clock-back-1h.pcap", args: READ,
        shows: &["22:13:20.000000", "opened", "21:13:20.140000", "closed by client"],
        never: &["idle", "resynchronised", "gap"],
    },
    // The client breaks a rule and the server closes, as it must, or answers.
    Case {
        file: "v01-publish-wildcard-then-close.pcap", args: CHECK,
        shows: &["VIOLATION by client", "topic-wildcard"],
        never: &["by server"],
    },
    Case {
        file: "v04-subscribe-qos3-then-close.pcap", args: CHECK,
        shows: &["VIOLATION by client", "subscribe-qos-3"],
        never: &["by server"],
    },
    Case {
        file: "v08-pingreq-with-body.pcap", args: CHECK,
        shows: &["VIOLATION by client", "fields-fill-packet"],
        never: &["by server"],
    },
    Case {
        file: "m08-connect-twice-data-after-disconnect.pcap", args: CHECK,
        shows: &["VIOLATION by client", "second-connect", "VIOLATION by client", "after-disconnect"],
        never: &["by server"],
    },
    Case {
        file: "p07-mosquitto2325-bad-pingreq.pcap", args: CHECK,
        shows: &["*     8", "RESERVED"],
        never: &["lacks bytes"],
    },
    // Payloads that CSV has to quote; `promises.rs` looks at the cells.
    Case {
        file: "g03-csv-payloads.pcap", args: &["--format", "csv", "-r"],
        shows: &["=1+1,utf-8,false", r#""l1"#, r#"l2,""q""",utf-8,false"#],
        never: &[],
    },
    Case {
        file: "g04-csv-5000.pcap", args: &["--payload", "100", "--format", "csv", "-r"],
        shows: &["5000,", ",utf-8,true"],
        never: &[],
    },
    // A SYN that RST answers, and one that nothing answers.
    Case {
        file: "t13b-refused-and-unanswered.pcap", args: READ,
        shows: &[
            "22:13:20.010000 10.0.0.7:40122 > 10.0.1.1:1883 refused by server",
            "10.0.0.7:40123 > 10.0.1.1:1883 closed: no answer to the SYN",
        ],
        never: &["opened"],
    },
    Case {
        file: "t13b-refused-and-unanswered.pcap", args: &["--format", "ndjson", "-r"],
        shows: &[r#""reason":"tcp_refused""#, r#""reason":"tcp_unanswered""#],
        never: &[r#""event":"opened""#],
    },
    // Of two copies the first has a wrong checksum.
    Case {
        file: "t26-bad-checksum-first.pcap", args: &["--verify-checksums", "-r"],
        shows: &["the second copy kept: its checksum is correct", r#"topic "real""#],
        never: &[],
    },
];

#[test]
fn situations_are_shown_as_they_are() {
    for case in CASES {
        let file = project("fixtures/reading").join(case.file);
        let file = file.to_str().expect("UTF-8");
        let run = run(&[case.args, &[file]].concat());
        let shown = format!("{}{}", run.out, run.err);
        let mut rest = shown.as_str();
        for part in case.shows {
            match rest.split_once(part) {
                Some((_, after)) => rest = after,
                None => panic!("{} {:?}: no {part:?} in\n{shown}", case.file, case.args),
            }
        }
        for part in case.never {
            let found = shown.contains(part);
            assert!(
                !found,
                "{} {:?}: {part:?} in\n{shown}",
                case.file, case.args
            );
        }
    }
}
