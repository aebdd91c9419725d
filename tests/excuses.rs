//! A fault excuses its consequences: who answers a fault is not named for the
//! answer, and whose fault it was is.

use std::fmt::Write as _;

use mqttdump::event::Side;
use mqttdump::rules::{Finding, Options, Verdict};

use crate::rules::{describe, judge};
use crate::support::scene::scene;

struct Case {
    what: &'static str,
    /// Whose fault it is.
    by: Side,
    text: &'static str,
}

const CASES: &[Case] = &[
    Case {
        what: "a second CONNECT is answered by a second CONNACK",
        by: Side::Client,
        text: "\
> CONNECT client=c clean=1
< CONNACK
> CONNECT client=d clean=1
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> DISCONNECT",
    },
    Case {
        what: "an identifier in use is acknowledged twice",
        by: Side::Client,
        text: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
> PUBLISH topic=a qos=1 id=1 payload=2
< PUBACK id=1
< PUBACK id=1
< PUBACK id=1
> DISCONNECT",
    },
    Case {
        what: "an identifier in use is acknowledged once",
        by: Side::Client,
        text: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
> PUBLISH topic=a qos=2 id=1 payload=2
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    },
    Case {
        what: "PUBLISH and SUBSCRIBE share an identifier",
        by: Side::Client,
        text: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
> SUBSCRIBE id=1 filter=a:1
< SUBACK id=1 codes=1
< PUBACK id=1
< SUBACK id=1 codes=1
> DISCONNECT",
    },
    Case {
        what: "identifier 0 is acknowledged as it is",
        by: Side::Client,
        text: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=0
< PUBACK id=0
> DISCONNECT",
    },
    Case {
        what: "the wrong acknowledgement is taken for the right one",
        by: Side::Server,
        text: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBREC id=1
> PUBREL id=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    },
    Case {
        what: "a PUBLISH of QoS 3 is not acknowledged",
        by: Side::Client,
        text: "\
> CONNECT client=c
< CONNACK
> hex 36 06 00 01 61 00 01 78
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    },
    Case {
        what: "a request that is malformed is answered by DISCONNECT",
        by: Side::Client,
        text: "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a:3
< DISCONNECT code=0x81
! fin <",
    },
    Case {
        what: "a PUBLISH that is malformed is not acknowledged by the client",
        by: Side::Server,
        text: "\
> CONNECT client=c
< CONNACK
> SUBSCRIBE id=1 filter=a:1
< SUBACK id=1 codes=1
< PUBLISH topic=a/# qos=1 id=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    },
    Case {
        what: "what comes after DISCONNECT is not acknowledged",
        by: Side::Client,
        text: "\
> CONNECT client=c
< CONNACK
> DISCONNECT
> PUBLISH topic=a qos=1 id=1
> SUBSCRIBE id=2 filter=a:1
> PINGREQ
! wait 1s
! fin >
! fin <",
    },
    Case {
        what: "a client goes on over an excess of the server",
        by: Side::Server,
        text: "\
> CONNECT client=c version=5 receive_maximum=1
< CONNACK
> SUBSCRIBE id=1 filter=a:1
< SUBACK id=1 codes=1
< PUBLISH topic=a qos=1 id=1 payload=1
< PUBLISH topic=a qos=1 id=2 payload=2
> PUBACK id=1
> PUBACK id=2
! wait 3s
> PINGREQ
< PINGRESP
! wait 3s
> PINGREQ
< PINGRESP
! wait 3s
> PINGREQ
< PINGRESP
> DISCONNECT",
    },
];

/// That the connection goes on is a fault of its own.
fn is_about_closing(finding: &Finding) -> bool {
    finding.rule.id.ends_with("-then-close")
}

#[test]
fn who_answers_a_fault_is_not_accused() {
    let mut wrong = String::new();
    for case in CASES {
        let found = judge(&scene(case.text), Options::default());
        let named = found
            .iter()
            .any(|finding| finding.by == Some(case.by) && finding.verdict == Verdict::Violation);
        let other = found.iter().any(|finding| {
            let is_note = finding.verdict == Verdict::Note;
            finding.by != Some(case.by) && !is_note && !is_about_closing(finding)
        });
        if !named || other {
            let _ = writeln!(wrong, "{}:\n{}", case.what, describe(&found));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// An excuse ends with the next packet that is right.
#[test]
fn an_excuse_is_for_one_packet() {
    let text = "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=0
< PUBACK id=0
> PUBLISH topic=a qos=1 id=1 payload=1
> PUBLISH topic=a qos=1 id=1 payload=2
< PUBACK id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=1 payload=3
< PUBREC id=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT";
    let found = judge(&scene(text), Options::default());
    let server: Vec<_> = found
        .iter()
        .filter(|finding| finding.by == Some(Side::Server) && !is_about_closing(finding))
        .map(|finding| finding.rule.id)
        .collect();
    assert_eq!(server, ["ack-type", "missing-ack"], "{}", describe(&found));
}
