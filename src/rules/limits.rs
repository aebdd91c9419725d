//! Limits negotiated in CONNECT and CONNACK: sizes, quality of service, aliases,
//! flow control.
//!
//! CONNACK binds the client from the moment the client has received it. Packets sent
//! before are at the client's risk (5.0: 4.13.1), which gives a warning.

use crate::event::Side;
use crate::facts::properties as p;
use crate::facts::{Acceptance, FrameFacts, Reason, Step};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{ControlPacket, PacketType as P, topic};

use super::clause::{Case, v5};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Fault, Judged, violation, warning};

pub(super) static RULES: &[&Rule] = &[
    &MAXIMUM_QOS,
    &RETAIN_UNAVAILABLE,
    &MAXIMUM_PACKET_SIZE,
    &WILDCARD_UNAVAILABLE,
    &SUBSCRIPTION_ID_UNAVAILABLE,
    &SHARED_UNAVAILABLE,
    &ALIAS_MAXIMUM,
    &ALIAS_UNKNOWN,
    &ALIAS_REFUSED,
    &RECEIVE_MAXIMUM,
    &SESSION_EXPIRY_RAISED,
    &QOS_REFUSED_LATE,
];

static MAXIMUM_QOS: Rule = Rule {
    id: "maximum-qos",
    title: "A client does not publish above the server's Maximum QoS",
    why: "The server disconnects with 0x9B. A client that ignores the limit never gets through to small brokers.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.2.2-11")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK maximum_qos=1
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK maximum_qos=1
> PUBLISH topic=a qos=2 id=1",
        cut: "\
> CONNECT client=c version=5
< CONNACK maximum_qos=1
! gap 40 >
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1
> PUBLISH topic=a qos=2 id=2
< PUBREC id=2",
    },
    check: Check::Frame(&[P::Publish], maximum_qos),
};

fn maximum_qos(f: &FrameFacts<'_>) -> Judged {
    let accepted = from_client(f)?;
    let (qos, most) = (f.frame.header.qos(), accepted.maximum_qos);
    (qos > most && qos != 3).then(|| {
        client(
            f,
            violation(format!(
                "expected at most QoS {most}, the server's maximum, found QoS {qos}"
            )),
        )
    })
}

static RETAIN_UNAVAILABLE: Rule = Rule {
    id: "retain-unavailable",
    title: "A client does not publish retained messages if the server does not support them",
    why: "The server disconnects with 0x9A.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.2.2-14")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK retain_available=0
> PUBLISH topic=a",
        bad: "\
> CONNECT client=c version=5
< CONNACK retain_available=0
> PUBLISH topic=a retain=1",
        cut: "\
> CONNECT client=c version=5
< CONNACK retain_available=0
! gap 40 >
> PUBLISH topic=a retain=1 qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a retain=1 qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Frame(&[P::Publish], retain_unavailable),
};

fn retain_unavailable(f: &FrameFacts<'_>) -> Judged {
    let accepted = from_client(f)?;
    (f.frame.header.retain() && !accepted.retain_available).then(|| {
        client(
            f,
            violation("expected RETAIN 0, because the server has no retained messages, found 1"),
        )
    })
}

static MAXIMUM_PACKET_SIZE: Rule = Rule {
    id: "maximum-packet-size",
    title: "No packet is larger than its receiver's Maximum Packet Size",
    why: "A device with a small buffer closes the connection with 0x95, again and again if the message is retained.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-3.2.2-15").by(Side::Client),
        v5("MQTT-3.1.2-24").by(Side::Server),
        v5("MQTT-3.2.2-19")
            .packet(P::Connack)
            .field("Reason String"),
        v5("MQTT-3.2.2-20")
            .packet(P::Connack)
            .field("User Property"),
        v5("MQTT-3.4.2-2").packet(P::Puback).field("Reason String"),
        v5("MQTT-3.4.2-3").packet(P::Puback).field("User Property"),
        v5("MQTT-3.5.2-2").packet(P::Pubrec).field("Reason String"),
        v5("MQTT-3.5.2-3").packet(P::Pubrec).field("User Property"),
        v5("MQTT-3.6.2-2").packet(P::Pubrel).field("Reason String"),
        v5("MQTT-3.6.2-3").packet(P::Pubrel).field("User Property"),
        v5("MQTT-3.7.2-2").packet(P::Pubcomp).field("Reason String"),
        v5("MQTT-3.7.2-3").packet(P::Pubcomp).field("User Property"),
        v5("MQTT-3.9.2-1").packet(P::Suback).field("Reason String"),
        v5("MQTT-3.9.2-2").packet(P::Suback).field("User Property"),
        v5("MQTT-3.11.2-1")
            .packet(P::Unsuback)
            .field("Reason String"),
        v5("MQTT-3.11.2-2")
            .packet(P::Unsuback)
            .field("User Property"),
        v5("MQTT-3.14.2-3")
            .packet(P::Disconnect)
            .field("Reason String"),
        v5("MQTT-3.14.2-4")
            .packet(P::Disconnect)
            .field("User Property"),
        v5("MQTT-3.15.2-2").packet(P::Auth).field("Reason String"),
        v5("MQTT-3.15.2-3").packet(P::Auth).field("User Property"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK maximum_packet_size=20
> PUBLISH topic=a",
        bad: "\
> CONNECT client=c version=5 maximum_packet_size=20
< CONNACK
< PUBLISH topic=a payload_size=20",
        cut: "\
! midstream
> CONNECT client=c version=5 maximum_packet_size=20
< CONNACK
< PUBLISH topic=a payload_size=20",
    },
    check: Check::Frame(&P::ALL, maximum_packet_size),
};

fn maximum_packet_size(f: &FrameFacts<'_>) -> Judged {
    let most = match f.frame.direction {
        Up => from_client(f)?.maximum_packet_size?,
        Down => f.connection.opening.as_ref()?.maximum_packet_size?,
    };
    let size = f.frame.header.packet_len();
    if size <= u64::from(most) {
        return None;
    }
    let properties = f.frame.packet.properties();
    let what = match () {
        () if p::has(properties, p::REASON_STRING) => Some("Reason String"),
        () if p::has(properties, p::USER_PROPERTY) => Some("User Property"),
        () => None,
    };
    let fault = violation(format!(
        "expected at most {most} bytes, the receiver's Maximum Packet Size, found {} of {size}",
        f.frame.header.packet_type()
    ))
    .about(what);
    Some(match f.frame.direction {
        Up => client(f, fault),
        Down => fault.unless(f.any_doubt()),
    })
}

static WILDCARD_UNAVAILABLE: Rule = Rule {
    id: "wildcard-unavailable",
    title: "A client does not use wildcards if the server does not support them",
    why: "The server disconnects, or answers 0xA2 for each filter.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v5("U-3.2-7")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK wildcard_subscription_available=0
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c version=5
< CONNACK wildcard_subscription_available=0
> SUBSCRIBE id=1 filter=a/#:0
< SUBACK id=1 codes=0xa2",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK wildcard_subscription_available=0
> SUBSCRIBE id=1 filter=a/#:0
< SUBACK id=1 codes=0xa2",
    },
    check: Check::Frame(&[P::Subscribe], wildcard_unavailable),
};

fn wildcard_unavailable(f: &FrameFacts<'_>) -> Judged {
    let accepted = from_client(f)?;
    let wild = |filter: &[u8]| {
        let bare = topic::shared(filter).map_or(filter, |(_, filter)| filter);
        topic::check_wildcards(bare).is_err()
    };
    (!accepted.wildcard_available && any_filter(f, wild)).then(|| {
        client(
            f,
            violation("expected no wildcards, which the server does not offer, found some"),
        )
    })
}

static SUBSCRIPTION_ID_UNAVAILABLE: Rule = Rule {
    id: "subscription-id-unavailable",
    title: "A client does not use Subscription Identifiers if the server does not support them",
    why: "The server disconnects, or answers 0xA1.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v5("U-3.2-8")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK subscription_identifier_available=0
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c version=5
< CONNACK subscription_identifier_available=0
> SUBSCRIBE id=1 filter=a:0 subscription_identifier=3
< SUBACK id=1 codes=0xa1",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK subscription_identifier_available=0
> SUBSCRIBE id=1 filter=a:0 subscription_identifier=3
< SUBACK id=1 codes=0xa1",
    },
    check: Check::Frame(&[P::Subscribe], subscription_id_unavailable),
};

fn subscription_id_unavailable(f: &FrameFacts<'_>) -> Judged {
    let accepted = from_client(f)?;
    let there = p::has(f.frame.packet.properties(), p::SUBSCRIPTION_ID);
    (!accepted.subscription_id_available && there).then(|| {
        client(
            f,
            violation(
                "expected no Subscription Identifier, which the server does not offer, found one",
            ),
        )
    })
}

static SHARED_UNAVAILABLE: Rule = Rule {
    id: "shared-unavailable",
    title: "A client does not use shared subscriptions if the server does not support them",
    why: "The server disconnects, or answers 0x9E.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v5("U-3.2-9")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK shared_subscription_available=0
> SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c version=5
< CONNACK shared_subscription_available=0
> SUBSCRIBE id=1 filter=$share/g/a:0
< SUBACK id=1 codes=0x9e",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK shared_subscription_available=0
> SUBSCRIBE id=1 filter=$share/g/a:0
< SUBACK id=1 codes=0x9e",
    },
    check: Check::Frame(&[P::Subscribe], shared_unavailable),
};

fn shared_unavailable(f: &FrameFacts<'_>) -> Judged {
    let accepted = from_client(f)?;
    let shared = |filter: &[u8]| topic::shared(filter).is_some();
    (!accepted.shared_available && any_filter(f, shared)).then(|| {
        client(
            f,
            violation(
                "expected no shared subscription, which the server does not offer, found one",
            ),
        )
    })
}

static ALIAS_MAXIMUM: Rule = Rule {
    id: "alias-maximum",
    title: "A Topic Alias does not exceed the receiver's Topic Alias Maximum",
    why: "The receiver has no room for it and disconnects with 0x94.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-3.3.2-9").by(Side::Client),
        v5("MQTT-3.2.2-18").by(Side::Client).when(Case::NoAlias),
        v5("MQTT-3.2.2-17")
            .by(Side::Client)
            .when(Case::AboveMaximum),
        v5("MQTT-3.3.2-11").by(Side::Server),
        v5("MQTT-3.1.2-27").by(Side::Server).when(Case::NoAlias),
        v5("MQTT-3.1.2-26")
            .by(Side::Server)
            .when(Case::AboveMaximum),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=2",
        bad: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=3",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=3",
    },
    check: Check::Frame(&[P::Publish], alias_maximum),
};

fn alias_maximum(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Publish(publish) = &f.frame.packet else {
        return None;
    };
    let alias = u32::from(publish.topic_alias?);
    let most = match f.frame.direction {
        Up => from_client(f)?.topic_alias_maximum,
        Down => f.connection.opening.as_ref()?.topic_alias_maximum,
    };
    if alias <= most {
        return None;
    }
    let case = match most {
        0 => Case::NoAlias,
        _ => Case::AboveMaximum,
    };
    let expected = match most {
        0 => "no Topic Alias, because the receiver takes none".to_owned(),
        _ => format!("a Topic Alias of at most {most}, the receiver's maximum"),
    };
    let fault = violation(format!("expected {expected}, found {alias}")).about(case);
    Some(match f.frame.direction {
        Up => client(f, fault),
        Down => server(f, fault),
    })
}

static ALIAS_UNKNOWN: Rule = Rule {
    id: "alias-unknown",
    title: "A PUBLISH without a Topic Name has a Topic Alias that was set before, on this connection and in this direction",
    why: "The message cannot be delivered. A frequent cause is that aliases end with the connection.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v5("U-3.3-2"), v5("MQTT-3.3.2-7")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=2
> PUBLISH topic_alias=2",
        bad: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic_alias=2",
        cut: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
! gap 9 >
> PUBLISH topic_alias=2 qos=1 id=1
< PUBACK id=1
> PUBLISH topic_alias=2 qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Frame(&[P::Publish], alias_unknown),
};

fn alias_unknown(f: &FrameFacts<'_>) -> Judged {
    let ControlPacket::Publish(publish) = &f.frame.packet else {
        return None;
    };
    let alias = publish.topic_alias.filter(|alias| *alias != 0)?;
    let empty = publish.topic.is_some_and(|topic| topic.bytes().is_empty());
    (empty && f.frame.topic.is_none()).then(|| {
        violation(format!(
            "expected a Topic Alias that was set before on this connection, found {alias}"
        ))
        .unless(f.doubt_of_sender())
        .unless_when(f.connection.clipped[f.frame.direction], Reason::Clipped)
    })
}

static ALIAS_REFUSED: Rule = Rule {
    id: "alias-refused",
    title: "A receiver accepts every Topic Alias from 1 to its Topic Alias Maximum",
    why: "The peer is disconnected although it respected the limit.",
    binds: Binds::Both,
    severity: Severity::Warn,
    clauses: &[
        v5("MQTT-3.3.2-10").by(Side::Client),
        v5("MQTT-3.3.2-12").by(Side::Server),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=2
< DISCONNECT code=0x8b",
        bad: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=2
< DISCONNECT code=0x94",
        cut: "\
> CONNECT client=c version=5
< CONNACK topic_alias_maximum=2
> PUBLISH topic=a topic_alias=2
! gap 40 >
< DISCONNECT code=0x94",
    },
    check: Check::Frame(&[P::Disconnect], alias_refused),
};

fn alias_refused(f: &FrameFacts<'_>) -> Judged {
    let (direction, facts) = (f.frame.direction, f.connection);
    if f.frame.packet.code() != Some(0x94) {
        return None;
    }
    let own = match direction {
        Up => facts.opening.as_ref()?.topic_alias_maximum,
        Down => facts.accepted.as_ref()?.topic_alias_maximum,
    };
    let (highest, resolved) = facts.aliases[direction.reversed()];
    (highest > 0 && resolved && u32::from(highest) <= own).then(|| {
        warning(format!(
            "expected aliases up to {own} to be accepted, found DISCONNECT 0x94 (Topic Alias invalid) after {highest}"
        ))
        .unless(f.any_doubt())
    })
}

static RECEIVE_MAXIMUM: Rule = Rule {
    id: "receive-maximum",
    title: "Not more PUBLISH packets of QoS 1 and 2 are unacknowledged than the receiver's Receive Maximum",
    why: "The receiver has no place for one more and disconnects with 0x93. It is the only flow control there is.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-3.3.4-7").by(Side::Client),
        v5("MQTT-3.3.4-9").by(Side::Server),
        v5("MQTT-4.9.0-2"),
        v5("MQTT-4.9.0-1"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK receive_maximum=1
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
        bad: "\
> CONNECT client=c version=5
< CONNACK receive_maximum=1
> PUBLISH topic=a qos=1 id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=1
< PUBACK id=2",
        cut: "\
> CONNECT client=c version=5
< CONNACK receive_maximum=1
> PUBLISH topic=a qos=1 id=1
! gap 4 <
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Exchange(&[P::Publish], receive_maximum),
};

fn receive_maximum(f: &FrameFacts<'_>) -> Judged {
    let Step::Publish { outstanding, .. } = f.step else {
        return None;
    };
    let most = match f.frame.direction {
        Up => from_client(f)?.receive_maximum,
        Down => f.connection.opening.as_ref()?.receive_maximum,
    };
    (*outstanding >= most).then(|| {
        let doubt = f.connection.outstanding[f.frame.direction].1;
        let fault = violation(format!(
            "expected at most {most} unacknowledged PUBLISH packets, the receiver's Receive Maximum, found {}",
            outstanding + 1
        ))
        .unless(doubt);
        match f.frame.direction {
            Up => client(f, fault),
            Down => fault.unless(f.any_doubt()),
        }
    })
}

static SESSION_EXPIRY_RAISED: Rule = Rule {
    id: "session-expiry-raised",
    title: "A DISCONNECT does not set a Session Expiry Interval if CONNECT had 0",
    why: "The server does not keep the session, and treats it as a protocol error.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v5("U-3.14-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 session_expiry_interval=5
< CONNACK
> DISCONNECT code=0 session_expiry_interval=10",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> DISCONNECT code=0 session_expiry_interval=10",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK
> DISCONNECT code=0 session_expiry_interval=10",
    },
    check: Check::Frame(&[P::Disconnect], session_expiry_raised),
};

fn session_expiry_raised(f: &FrameFacts<'_>) -> Judged {
    let opening = f
        .connection
        .opening
        .as_ref()
        .filter(|_| f.frame.direction == Up)?;
    let now = p::number(f.frame.packet.properties(), p::SESSION_EXPIRY)?;
    let accepted = f.connection.accepted.as_ref();
    let by_server = accepted.and_then(|a| a.session_expiry);
    let whole = opening.whole && accepted.is_some_and(|accepted| accepted.whole);
    (now > 0 && opening.session_expiry == 0).then(|| {
        violation(format!(
            "expected no Session Expiry Interval, because CONNECT had none, found {now}"
        ))
        .at(opening.seen.packet)
        .only_warning_if(by_server.is_some_and(|seconds| seconds > 0))
        .unless(f.any_doubt())
        .unless_when(!whole, Reason::Clipped)
    })
}

static QOS_REFUSED_LATE: Rule = Rule {
    id: "qos-refused-late",
    title: "A server that lacks a QoS announces it in CONNACK, and accepts subscriptions of any QoS",
    why: "A client that respects the limits is disconnected.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v5("MQTT-3.2.2-9").packet(P::Publish),
        v5("MQTT-3.2.2-10").packet(P::Subscribe),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK maximum_qos=1
> SUBSCRIBE id=1 filter=a:2
< SUBACK id=1 codes=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< DISCONNECT code=0x9b",
        cut: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
! gap 4 <
< PINGRESP
< DISCONNECT code=0x9b",
    },
    check: Check::Frame(&[P::Disconnect], qos_refused_late),
};

fn qos_refused_late(f: &FrameFacts<'_>) -> Judged {
    let facts = f.connection;
    let accepted = facts
        .accepted
        .as_ref()
        .filter(|_| f.frame.direction == Down)?;
    if f.frame.packet.code() != Some(0x9b) {
        return None;
    }
    let (message, about) = if facts.highest_qos[Up] > accepted.maximum_qos {
        return None;
    } else if accepted.maximum_qos == 2 && facts.highest_qos[Up] > 0 {
        (
            "expected a Maximum QoS in CONNACK, found none, and DISCONNECT 0x9b (QoS not supported)",
            P::Publish,
        )
    } else if facts
        .session
        .subscriptions
        .all()
        .all(|s| s.options & 3 == 0)
    {
        return None;
    } else {
        (
            "expected a lower granted QoS, found DISCONNECT 0x9b (QoS not supported) although nothing was published above the maximum",
            P::Subscribe,
        )
    };
    Some(warning(message).about(about).unless(f.any_doubt()))
}

/// The limits that the server sent, for a packet from the client.
fn from_client<'a>(f: &FrameFacts<'a>) -> Option<&'a Acceptance> {
    let accepted = f.connection.accepted.as_deref()?;
    (f.frame.direction == Up && accepted.accepted()).then_some(accepted)
}

/// Excuses of a client: it did not know the limits yet, or resends what it started
/// under other limits (4.4.0-1).
fn client(f: &FrameFacts<'_>, fault: Box<Fault>) -> Box<Fault> {
    let resent = f.frame.header.packet_type() == P::Publish && f.frame.header.dup();
    let whole = f.connection.accepted.as_ref().is_some_and(|it| it.whole);
    fault
        .only_warning_if(!f.knew_acceptance() || resent)
        .unless(f.any_doubt())
        .unless_when(!whole, Reason::Clipped)
}

/// Excuses of a server: not all of CONNECT was captured.
fn server(f: &FrameFacts<'_>, fault: Box<Fault>) -> Box<Fault> {
    let whole = f.connection.opening.as_ref().is_some_and(|it| it.whole);
    fault
        .unless(f.any_doubt())
        .unless_when(!whole, Reason::Clipped)
}

fn any_filter(f: &FrameFacts<'_>, is: impl Fn(&[u8]) -> bool) -> bool {
    match &f.frame.packet {
        ControlPacket::Subscribe(packet) => packet.filters().any(|s| is(s.filter.bytes())),
        _ => false,
    }
}
