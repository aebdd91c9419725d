//! Kinds of conversations, and the findings on each: one line for each fault of
//! `check` that users have met.

use std::fmt::Write as _;

use mqttdump::rules::{Options, Verdict};

use crate::cases::Names;
use crate::rules::{describe, judge};
use crate::support::scene::scene;

/// A conversation in the notation of `docs/transcripts.md`, and the rules or
/// statements that must be named as a violation or a warning; with none, nothing
/// may be.
struct Kind {
    what: &'static str,
    must_name: &'static str,
    complete: bool,
    text: &'static str,
}

const fn right(what: &'static str, text: &'static str) -> Kind {
    wrong(what, "", text)
}

const fn wrong(what: &'static str, must_name: &'static str, text: &'static str) -> Kind {
    Kind {
        what,
        must_name,
        complete: false,
        text,
    }
}

impl Kind {
    const fn complete(self) -> Self {
        Self {
            complete: true,
            ..self
        }
    }
}

const KINDS: &[Kind] = &[
    right(
        "a first copy may be lost before the tap, so that only the one with DUP is there",
        "\
> CONNECT client=c clean=1 version=5 session_expiry_interval=100
< CONNACK
! reset <
! connection 2
> CONNECT client=c clean=0 version=5 session_expiry_interval=100
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1",
    )
    .complete(),
    right(
        "whether a session of expiry 0 goes on in the connection that takes it over is unspecified",
        "\
> CONNECT client=c version=5 clean=1
< CONNACK
! connection 2
> CONNECT client=c version=5 clean=0
< CONNACK session_present=1
! connection 1
< DISCONNECT code=0x8e
! fin <
! fin >",
    )
    .complete(),
    right(
        "retained messages expire",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1 message_expiry_interval=1
< PUBACK id=1
! wait 5s
! connection 2
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a retained message of QoS 0 may be dropped at any time",
        "\
> CONNECT client=p
< CONNACK
> PUBLISH topic=t/a payload=x retain=1
! wait 1s
! connection 2
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a refused PUBLISH is not retained",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1 code=0x87
! wait 1s
! connection 2
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "two groups share a filter, and each member gets a copy",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/a/t:1
< SUBACK id=1 codes=1
> SUBSCRIBE id=2 filter=$share/b/t:1
< SUBACK id=2 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
< PUBLISH topic=t payload=x qos=1 id=2
> PUBACK id=1
> PUBACK id=2",
    ),
    right(
        "unsubscribing the share leaves the plain subscription",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t:1 filter=$share/a/t:1
< SUBACK id=1 codes=1,1
> UNSUBSCRIBE id=2 filter=$share/a/t
< UNSUBACK id=2 codes=0
! wait 10s
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    right(
        "servers share subscriptions in 3.1.1 as well",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=$share/a/t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    right(
        "UNSUBSCRIBE drops what waits",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
> UNSUBSCRIBE id=2 filter=t
< UNSUBACK id=2
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    wrong(
        "a message that came before an older one of its topic and QoS, which never comes",
        "lost-delivery",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t payload=y qos=1 id=2
< PUBACK id=2
! connection 1
< PUBLISH topic=t payload=y qos=1 id=1
> PUBACK id=1
> DISCONNECT",
    ),
    wrong(
        "what was published while the client was away is lost, and what came later is not",
        "3.1.2-5",
        "\
> CONNECT client=s clean=0
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t payload=y qos=1 id=2
< PUBACK id=2
! connection 3
> CONNECT client=s clean=0
< CONNACK session_present=1
< PUBLISH topic=t payload=y qos=1 id=1
> PUBACK id=1
> DISCONNECT",
    ),
    wrong(
        "an identifier of an earlier SUBSCRIBE",
        "3.3.4-3",
        "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=a/+:0 subscription_identifier=4
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=a/b payload=x
! connection 1
< PUBLISH topic=a/b payload=x subscription_identifier=3",
    ),
    right(
        "no identifier after subscribing again without one",
        "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=a/+:0
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=a/b payload=x
! connection 1
< PUBLISH topic=a/b payload=x",
    ),
    wrong(
        "one copy with one of two identifiers",
        "3.3.4-4",
        "\
> CONNECT client=c version=5
< CONNACK
> SUBSCRIBE id=1 filter=a/+:0 subscription_identifier=3
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=a/b:0 subscription_identifier=4
< SUBACK id=2 codes=0
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=a/b payload=x
! connection 1
< PUBLISH topic=a/b payload=x subscription_identifier=3
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    wrong(
        "a retained message of 5.0 with RETAIN 0",
        "retained-without-flag",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
! wait 2s
! connection 2
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
< PUBLISH topic=t/a payload=x qos=1 id=1
> PUBACK id=1",
    ),
    wrong(
        "a new message goes before one that was to be sent again, which never is",
        "missing-resend",
        "\
> CONNECT client=c clean=0
< CONNACK
< PUBLISH topic=a qos=1 id=1 payload=1
! reset >
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
< PUBLISH topic=a qos=1 id=2 payload=2
> PUBACK id=2
> DISCONNECT",
    ),
    wrong(
        "a session is resumed 10 s after it had expired",
        "session-present-impossible",
        "\
> CONNECT client=c version=5 session_expiry_interval=10
< CONNACK
> DISCONNECT
! fin >
! fin <
! wait 20s
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=10
< CONNACK session_present=1",
    ),
    right(
        "a level that no version has is for the server to refuse",
        "\
> CONNECT client=c level=6
< CONNACK code=1
! fin <",
    ),
    right(
        "a message may expire while its client is away",
        "\
> CONNECT client=c version=5 clean=0 session_expiry_interval=1000
< CONNACK
> SUBSCRIBE id=1 filter=a:1
< SUBACK id=1 codes=1
< PUBLISH topic=a qos=1 id=1 payload=1 message_expiry_interval=5
! reset >
! wait 30s
! connection 2
> CONNECT client=c version=5 clean=0 session_expiry_interval=1000
< CONNACK session_present=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a server without retained messages retains none",
        "\
> CONNECT client=p version=5
< CONNACK retain_available=0
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! wait 1s
! connection 2
> CONNECT client=s version=5
< CONNACK retain_available=0
> SUBSCRIBE id=1 filter=t/+:1
< SUBACK id=1 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a client's own retained message may be kept back by No Local",
        "\
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x retain=1 qos=1 id=1
< PUBACK id=1
> SUBSCRIBE id=2 filter=t/+:5
< SUBACK id=2 codes=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a refused UNSUBSCRIBE leaves the subscription",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
> UNSUBSCRIBE id=2 filter=t
< UNSUBACK id=2 codes=0x87
! wait 5s
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    right(
        "what was buffered before UNSUBSCRIBE may come after UNSUBACK",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
> UNSUBSCRIBE id=2 filter=t
< UNSUBACK id=2 codes=0
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    right(
        "nothing comes while the client's Receive Maximum is used up",
        "\
> CONNECT client=s version=5 receive_maximum=1
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
> PUBLISH topic=t payload=y qos=1 id=2
< PUBACK id=2
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
! wait 40s
! reset >",
    ),
    right(
        "DISCONNECT with will message publishes the will",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=w:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=c version=5 will_topic=w will_payload=gone
< CONNACK
> DISCONNECT code=0x04
! fin >
! fin <
! connection 1
< PUBLISH topic=w payload=gone",
    ),
    wrong(
        "DISCONNECT with will message owes the will",
        "missing-will",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=w:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=c version=5 will_topic=w will_payload=gone will_qos=1
< CONNACK
> DISCONNECT code=0x04
! fin >
! fin <
! connection 1
! wait 60s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a subscription may be upgraded just before its SUBACK",
        "\
> CONNECT client=s
< CONNACK
> SUBSCRIBE id=1 filter=t:0
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=t:1
! connection 2
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
< SUBACK id=2 codes=1
> PUBACK id=1",
    ),
    right(
        "user names that rotate are one client to its server",
        "\
> CONNECT client=c user=token1 clean=0
< CONNACK
> SUBSCRIBE id=1 filter=t:1
< SUBACK id=1 codes=1
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c user=token2 clean=0
< CONNACK session_present=1
! connection 3
> CONNECT client=p
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 2
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1
> DISCONNECT
! fin >
! fin <
! connection 4
> CONNECT client=c user=token1 clean=0
< CONNACK session_present=1",
    ),
    wrong(
        "a silent client whose server closes with that reason",
        "client-silent",
        "\
> CONNECT client=c version=5 keep_alive=10
< CONNACK
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0
! wait 12s
< PUBLISH topic=a payload=x
! wait 4s
< DISCONNECT code=0x8d
! fin <
! fin >",
    ),
    wrong(
        "a QoS 2 message is sent again before PUBREL, and delivered twice",
        "4.3.3-10",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t:2
< SUBACK id=1 codes=2
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=2 id=1
> PUBLISH topic=t payload=x qos=2 id=1 dup=1
< PUBREC id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1
! connection 1
< PUBLISH topic=t payload=x qos=2 id=1
> PUBREC id=1
< PUBREL id=1
> PUBCOMP id=1
< PUBLISH topic=t payload=x qos=2 id=2
> PUBREC id=2
< PUBREL id=2
> PUBCOMP id=2",
    ),
    wrong(
        "two members of a shared subscription get one message",
        "U-4.8-1",
        "\
> CONNECT client=a version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
! connection 2
> CONNECT client=b version=5
< CONNACK
> SUBSCRIBE id=1 filter=$share/g/t:1
< SUBACK id=1 codes=1
! connection 3
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1
! connection 2
< PUBLISH topic=t payload=x qos=1 id=1
> PUBACK id=1",
    ),
    wrong(
        "one copy at the lower QoS of two subscriptions",
        "3.3.4-2",
        "\
> CONNECT client=s version=5
< CONNACK
> SUBSCRIBE id=1 filter=t/+:0
< SUBACK id=1 codes=0
> SUBSCRIBE id=2 filter=t/a:1
< SUBACK id=2 codes=1
! connection 2
> CONNECT client=p version=5
< CONNACK
> PUBLISH topic=t/a payload=x qos=1 id=1
< PUBACK id=1
! connection 1
< PUBLISH topic=t/a payload=x
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    wrong(
        "a server goes on after an excess",
        "4.13.1-1",
        "\
> CONNECT client=c version=5
< CONNACK maximum_packet_size=20
> PUBLISH topic=a payload=0123456789012345678901234567890123456789
! wait 30s
> PINGREQ
< PINGRESP",
    ),
    right(
        "3.1.1 does not ask for the shortest Remaining Length",
        "\
> CONNECT client=c
< CONNACK
> hex 30 84 00 00 01 61 78
> PINGREQ
< PINGRESP
> DISCONNECT",
    ),
    right(
        "a PUBLISH that is itself a fault need not be acknowledged",
        "\
> CONNECT client=c version=5
< CONNACK maximum_qos=1
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
! fin <",
    ),
];

#[test]
fn kinds_have_their_verdicts() {
    let mut wrong = String::new();
    for kind in KINDS {
        let options = Options {
            complete: kind.complete,
            ..Options::default()
        };
        let found = judge(&scene(kind.text), options);
        let mut accused = found
            .iter()
            .filter(|finding| finding.verdict >= Verdict::Warning);
        let good = match kind.must_name {
            "" => accused.next().is_none(),
            names => accused.any(|finding| Names::parse(names).has(finding)),
        };
        if !good {
            let _ = writeln!(wrong, "{}:\n{}", kind.what, describe(&found));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
