//! What CONNACK accepts, refuses and assigns.

use crate::facts::properties as p;
use crate::facts::{FrameFacts, Opening, Reason};
use crate::frame::Direction::Up;
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, violation, warning};
use super::{accepts, opening};

pub(super) static RESERVED_FLAG_ACCEPTED: Rule = Rule {
    id: "reserved-flag-accepted",
    title: "A server does not accept a CONNECT whose reserved flag is set",
    why: "Without the check, faulty clients are noticed only when another server refuses them.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v311("MQTT-3.1.2-3"), v5("MQTT-3.1.2-3")],
    examples: Examples {
        good: "\
> CONNECT client=c connect_flags=3
! fin <",
        bad: "\
> CONNECT client=c connect_flags=3
< CONNACK",
        cut: "\
! midstream
> CONNECT client=c connect_flags=3
< CONNACK",
    },
    check: Check::Frame(&[P::Connack], reserved_flag_accepted),
};

fn reserved_flag_accepted(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    (opening.flags & 1 != 0 && accepts(f)).then(|| {
        violation(
            "expected the server to disconnect over bit 0 of the Connect Flags, found CONNACK 0",
        )
        .in_answer_to_a_fault()
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

pub(super) static MALFORMED_CONNECT_ACCEPTED: Rule = Rule {
    id: "malformed-connect-accepted",
    title: "A malformed CONNECT is not accepted",
    why: "The intended values of the client's fields, including its user name, are unknown.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.1.4-1"), v5("MQTT-3.1.4-1")],
    examples: Examples {
        good: "\
> CONNECT client=c append=hex:00
! fin <",
        bad: "\
> CONNECT client=c append=hex:00
< CONNACK",
        cut: "\
! midstream
> CONNECT client=c append=hex:00
< CONNACK",
    },
    check: Check::Frame(&[P::Connack], malformed_connect_accepted),
};

fn malformed_connect_accepted(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    // These have rules of their own.
    let other = opening.flags & 1 != 0 || empty_and_kept(opening) || unsupported(opening);
    (opening.malformed && !other && accepts(f)).then(|| {
        violation("expected the server to close over a malformed CONNECT, found CONNACK 0")
            .in_answer_to_a_fault()
            .at(opening.seen.packet)
            .unless(f.any_doubt())
    })
}

pub(super) static EMPTY_ID_ACCEPTED: Rule = Rule {
    id: "empty-id-accepted",
    title: "An empty Client Identifier with Clean Session 0 is refused with return code 2",
    why: "The server keeps a session that no client can ever resume.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v311("MQTT-3.1.3-8")],
    examples: Examples {
        good: r#"> CONNECT client="" clean=0
< CONNACK code=2
! fin <"#,
        bad: r#"> CONNECT client="" clean=0
< CONNACK code=0"#,
        cut: r#"! midstream
> CONNECT client="" clean=0
< CONNACK code=0"#,
    },
    check: Check::Frame(&[P::Connack], empty_id_accepted),
};

fn empty_id_accepted(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    (empty_and_kept(opening) && accepts(f)).then(|| {
        violation(
            "expected return code 2 for an empty Client Identifier with Clean Session 0, found 0",
        )
        .in_answer_to_a_fault()
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

pub(super) static UNSUPPORTED_LEVEL: Rule = Rule {
    id: "unsupported-level",
    title: "A CONNECT of an unknown protocol level is refused",
    why: "The server answers in a protocol that the client did not ask for.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v311("MQTT-3.1.2-2"),
        v311("MQTT-3.1.2-1"),
        v5("MQTT-3.1.2-2"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c level=9
< CONNACK code=1
! fin <",
        bad: "\
> CONNECT client=c level=9
< CONNACK code=0",
        cut: "",
    },
    check: Check::Frame(&[P::Connack], unsupported_level),
};

fn unsupported_level(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    (unsupported(opening) && accepts(f)).then(|| {
        warning(format!(
            "expected a refusal of protocol level {}, found CONNACK 0",
            opening.level
        ))
        .in_answer_to_a_fault()
        .at(opening.seen.packet)
        .unless(f.any_doubt())
        .unless_when(!opening.whole, Reason::Clipped)
        .in_any_version()
    })
}

pub(super) static ASSIGNED_ID: Rule = Rule {
    id: "assigned-id",
    title: "A server that accepts an empty Client Identifier sends the one it assigned",
    why: "Without it the client cannot resume its session.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.1.3-7"), v5("MQTT-3.2.2-16"), v5("MQTT-3.1.3-6")],
    examples: Examples {
        good: r#"> CONNECT client="" version=5
< CONNACK assigned_client_identifier=x1"#,
        bad: r#"> CONNECT client="" version=5
< CONNACK"#,
        cut: r#"! midstream
> CONNECT client="" version=5
< CONNACK"#,
    },
    check: Check::Frame(&[P::Connack], assigned_id),
};

fn assigned_id(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    let assigned = p::bytes(f.frame.packet.properties(), p::ASSIGNED_CLIENT_ID);
    let named = assigned.is_some_and(|id| !id.is_empty());
    (opening.client_id.is_empty() && opening.whole && accepts(f) && !named).then(|| {
        violation(
            "expected an Assigned Client Identifier for an empty Client Identifier, found none",
        )
        .at(opening.seen.packet)
        .unless(f.any_doubt())
        .unless_when(f.frame.missing > 0, Reason::Clipped)
    })
}

pub(super) static PLAIN_ID_REFUSED: Rule = Rule {
    id: "plain-id-refused",
    title: "Client Identifiers of 1 to 23 letters and digits are accepted",
    why: "Every client may rely on these. An access rule may still refuse one, so it is a warning.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v311("MQTT-3.1.3-5"), v5("MQTT-3.1.3-5")],
    examples: Examples {
        good: "\
> CONNECT client=a-b
< CONNACK code=2
! fin <",
        bad: "\
> CONNECT client=ab1
< CONNACK code=2
! fin <",
        cut: "\
! midstream
> CONNECT client=ab1
< CONNACK code=2
! fin <",
    },
    check: Check::Frame(&[P::Connack], plain_id_refused),
};

fn plain_id_refused(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    let refusal = if opening.version == Version::V5 {
        0x85
    } else {
        2
    };
    let plain = (1..=23).contains(&opening.client_id.len())
        && opening.client_id.iter().all(u8::is_ascii_alphanumeric);
    (plain && f.frame.packet.code() == Some(refusal)).then(|| {
        warning(
            "expected a Client Identifier of letters and digits to be accepted, found it refused",
        )
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

pub(super) static WILL_BEYOND_SERVER: Rule = Rule {
    id: "will-beyond-server",
    title: "A will that the server does not support is refused",
    why: "The client relies on a will that will never be published as requested.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-3.2.2-12").field("Will QoS"),
        v5("MQTT-3.2.2-13").field("Will Retain"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 will_topic=w will_qos=1
< CONNACK maximum_qos=1",
        bad: "\
> CONNECT client=c version=5 will_topic=w will_qos=1
< CONNACK maximum_qos=0",
        cut: "\
! midstream
> CONNECT client=c version=5 will_topic=w will_qos=1
< CONNACK maximum_qos=0",
    },
    check: Check::Frame(&[P::Connack], will_beyond_server),
};

fn will_beyond_server(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    let will = opening.will.as_ref().filter(|_| accepts(f))?;
    let properties = f.frame.packet.properties();
    let maximum = p::number(properties, p::MAXIMUM_QOS).unwrap_or(2);
    let fault = if u32::from(will.qos) > maximum {
        violation(format!(
            "expected a refusal of Will QoS {} by a server of Maximum QoS {maximum}, found CONNACK 0",
            will.qos
        ))
        .about("Will QoS")
    } else if will.retain && p::number(properties, p::RETAIN_AVAILABLE) == Some(0) {
        violation("expected a refusal of Will Retain by a server without retained messages, found CONNACK 0")
            .about("Will Retain")
    } else {
        return None;
    };
    Some(fault.at(opening.seen.packet).unless(f.any_doubt()))
}

pub(super) static RESPONSE_INFORMATION: Rule = Rule {
    id: "response-information",
    title: "Response Information is sent only to a client that asked for it",
    why: "It may reveal a topic structure that should not be public.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.1.2-28")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 request_response_information=1
< CONNACK response_information=r",
        bad: "\
> CONNECT client=c version=5
< CONNACK response_information=r",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK response_information=r",
    },
    check: Check::Frame(&[P::Connack], response_information),
};

fn response_information(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    let there = p::has(f.frame.packet.properties(), p::RESPONSE_INFORMATION);
    (there && !opening.request_response).then(|| {
        violation("expected no Response Information, which the client did not ask for, found some")
            .at(opening.seen.packet)
            .unless(f.any_doubt())
            .unless_when(!opening.whole, Reason::Clipped)
    })
}

pub(super) static PROBLEM_INFORMATION: Rule = Rule {
    id: "problem-information",
    title: "Without Request Problem Information, Reason Strings and User Properties come in PUBLISH, CONNACK and DISCONNECT only",
    why: "A constrained client requested short packets and gets long ones.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.1.2-29")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 request_problem_information=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c version=5 request_problem_information=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x10 reason_string=x",
        cut: "\
> CONNECT client=c version=5 request_problem_information=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
! gap 40 <
< PUBACK id=1 code=0x10 reason_string=x",
    },
    check: Check::Frame(
        &[
            P::Puback,
            P::Pubrec,
            P::Pubrel,
            P::Pubcomp,
            P::Suback,
            P::Unsuback,
            P::Auth,
        ],
        problem_information,
    ),
};

fn problem_information(f: &FrameFacts<'_>) -> Judged {
    let opening = f.connection.opening.as_ref()?;
    if f.frame.direction == Up || opening.request_problem {
        return None;
    }
    let properties = f.frame.packet.properties();
    (p::has(properties, p::REASON_STRING) || p::has(properties, p::USER_PROPERTY)).then(|| {
        violation(format!(
            "expected neither Reason String nor User Property in {}, because Request Problem Information is 0",
            f.frame.header.packet_type()
        ))
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

/// Before 5.0: an empty identifier with a persistent session.
fn empty_and_kept(opening: &Opening) -> bool {
    opening.version != Version::V5
        && opening.whole
        && opening.client_id.is_empty()
        && !opening.clean_start
}

fn unsupported(opening: &Opening) -> bool {
    Version::from_level(opening.level).is_none()
}
