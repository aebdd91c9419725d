//! Opening of connections: CONNECT, CONNACK, session ownership.

use std::time::Duration;

use crate::event::Side;
use crate::facts::properties as p;
use crate::facts::{Cause, ConnectionFacts, FrameFacts, Opening, Reason, Step, StillOpen};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{ControlPacket, PacketType as P, Version};

use super::clause::{Case, v5, v31, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, violation, warning};

pub(super) static RULES: &[&Rule] = &[
    &CONNECT_FIRST,
    &SECOND_CONNECT,
    &CONNACK_FIRST,
    &SECOND_CONNACK,
    &SESSION_PRESENT_CLEAN,
    &SESSION_PRESENT_IMPOSSIBLE,
    &SESSION_LOST,
    &ACKS_AFTER_REFUSAL,
    &RESERVED_FLAG_ACCEPTED,
    &MALFORMED_CONNECT_ACCEPTED,
    &EMPTY_ID_ACCEPTED,
    &UNSUPPORTED_LEVEL,
    &ASSIGNED_ID,
    &PLAIN_ID_REFUSED,
    &WILL_BEYOND_SERVER,
    &RESPONSE_INFORMATION,
    &PROBLEM_INFORMATION,
    &CLIENT_LOST_SESSION,
    &REFUSED_THEN_CLOSE,
    &TAKEOVER,
];

static CONNECT_FIRST: Rule = Rule {
    id: "connect-first",
    title: "The first packet from a client is CONNECT",
    why: "Packets before it are ignored at best. The usual cause is a client that assumes it is already connected.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.1.0-1"), v5("MQTT-3.1.0-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "> PUBLISH topic=a payload=x",
        cut: "\
! gap 40 >
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Frame(&P::ALL, connect_first),
};

fn connect_first(f: &FrameFacts<'_>) -> Judged {
    let (frame, facts) = (f.frame, f.connection);
    // If the capture starts in the middle of a connection, its CONNECT was before it:
    // nothing looks wrong.
    let first = frame.connection.from_start[Up] && frame.direction == Up && facts.frames[Up] == 0;
    (first && frame.header.packet_type() != P::Connect).then(|| {
        let at_start = frame.offset == 0;
        violation(format!(
            "expected CONNECT as the first packet from the client, found {}",
            frame.header.packet_type()
        ))
        .unless(f.doubt_of_sender())
        .unless_when(!at_start, Reason::Gap)
        // Cut off, a PROXY header looks like PUBREC.
        .unless_when(frame.missing > 0, Reason::Clipped)
        // Without CONNECT the version is unknown, and not needed here.
        .in_any_version()
    })
}

static SECOND_CONNECT: Rule = Rule {
    id: "second-connect",
    title: "A client sends CONNECT once on a connection",
    why: "A reconnect that forgot to open a new connection. The server has to treat it as a protocol error.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-3.1-1"), v5("U-3.1-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c
< CONNACK
> CONNECT client=c",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 >
> CONNECT client=c",
    },
    check: Check::Frame(&[P::Connect], second_connect),
};

fn second_connect(f: &FrameFacts<'_>) -> Judged {
    let before = f
        .connection
        .opening
        .as_ref()
        .filter(|_| f.frame.direction == Up)?;
    Some(
        violation("expected one CONNECT on a connection, found a second")
            .at(before.seen.packet)
            .unless(f.doubt_of_sender()),
    )
}

static CONNACK_FIRST: Rule = Rule {
    id: "connack-first",
    title: "The first packet from a server is CONNACK",
    why: "A client does not know yet whether it was accepted, and may treat anything else as an error. Only AUTH may come before, in 5.0.",
    binds: Binds::Server,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-3.2.0-1"),
        v311("MQTT-3.1.4-4"),
        v5("MQTT-3.2.0-1"),
        v5("MQTT-3.1.4-5"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
+ SUBSCRIBE id=1 filter=a:0
< CONNACK
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
+ SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0
< CONNACK",
        cut: "\
> CONNECT client=c
+ SUBSCRIBE id=1 filter=a:0
! gap 4 <
< SUBACK id=1 codes=0
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&P::ALL, connack_first),
};

fn connack_first(f: &FrameFacts<'_>) -> Judged {
    let (frame, facts) = (f.frame, f.connection);
    let kind = frame.header.packet_type();
    // If the capture starts in the middle of a connection, its CONNACK was before it:
    // nothing looks wrong.
    let joined = frame.connection.from_start[Down];
    if frame.direction == Up || facts.accepted.is_some() || kind == P::Connack || !joined {
        return None;
    }
    let auth = kind == P::Auth && frame.version == Version::V5;
    // A server may always send the reason before it closes.
    let farewell = kind == P::Disconnect;
    let opening = facts.opening.as_ref();
    (!auth && !farewell && (opening.is_some() || facts.frames[Down] == 0)).then(|| {
        violation(format!(
            "expected CONNACK before anything else from the server, found {kind}"
        ))
        .unless(f.any_doubt())
        .unless_when(opening.is_none(), Reason::MidStream)
    })
}

static SECOND_CONNACK: Rule = Rule {
    id: "second-connack",
    title: "A server sends CONNACK once on a connection",
    why: "A client that treats it as a new session discards its state.",
    binds: Binds::Server,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.2.0-1"), v5("MQTT-3.2.0-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c
< CONNACK
< CONNACK",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 <
< CONNACK",
    },
    check: Check::Frame(&[P::Connack], second_connack),
};

fn second_connack(f: &FrameFacts<'_>) -> Judged {
    let before = f
        .connection
        .accepted
        .as_ref()
        .filter(|_| f.frame.direction == Down)?;
    Some(
        violation("expected one CONNACK on a connection, found a second")
            .at(before.seen.packet)
            .unless(f.any_doubt()),
    )
}

static SESSION_PRESENT_CLEAN: Rule = Rule {
    id: "session-present-clean",
    title: "After Clean Start the CONNACK has Session Present 0",
    why: "The client has discarded its own state; a server that has kept its part will send messages for subscriptions that the client does not know.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v311("MQTT-3.2.2-1"),
        v311("MQTT-3.1.2-6"),
        v311("MQTT-3.1.4-3"),
        v5("MQTT-3.2.2-2"),
        v5("MQTT-3.1.2-4"),
        v5("MQTT-3.1.4-4"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c clean=1
< CONNACK session_present=1",
        cut: "\
! midstream
> CONNECT client=c clean=1
< CONNACK session_present=1",
    },
    check: Check::Frame(&[P::Connack], session_present_clean),
};

fn session_present_clean(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    (opening.clean_start && session_present(f) == Some(true)).then(|| {
        violation("expected Session Present 0 after Clean Start 1, found 1")
            .at(opening.seen.packet)
            .unless(f.any_doubt())
    })
}

static SESSION_PRESENT_IMPOSSIBLE: Rule = Rule {
    id: "session-present-impossible",
    title: "Session Present is 0 when no session can be there",
    why: "The resumed session belongs to another client, or should have been discarded.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v311("MQTT-3.2.2-3"),
        v311("MQTT-3.1.2-6"),
        v5("MQTT-3.2.2-3"),
        v5("U-3.2-10").when(Case::ExpiredByServer),
        v5("MQTT-4.1.0-2").when(Case::Expired),
        v5("MQTT-3.1.2-6"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c clean=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=0
< CONNACK",
        bad: "\
> CONNECT client=c clean=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1",
        cut: "\
> CONNECT client=c clean=1
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=0
! gap 4 <
< CONNACK session_present=1
< PINGRESP
> PINGREQ
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Connack], session_present_impossible),
};

fn session_present_impossible(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    if opening.clean_start || session_present(f) != Some(true) {
        return None;
    }
    let earlier = f.connection.session.earlier.as_ref()?;
    let away = f.frame.time.since(earlier.ended);
    let expired = earlier.expiry.is_some_and(|seconds| {
        // Clocks may stop, and deletion may lag.
        let kept = Duration::from_secs(seconds.into()) + earlier.noticing;
        away > kept + kept / 10 + Duration::from_secs(2)
    });
    if !earlier.session_ended && !expired {
        return None;
    }
    let (what, about) = match expired && !earlier.session_ended {
        true if earlier.expiry_by_server => {
            ("its session had expired", Some(Case::ExpiredByServer))
        }
        true => ("its session had expired", Some(Case::Expired)),
        false => ("its session ended with that connection", None),
    };
    Some(
        violation(format!(
            "expected Session Present 0, because this client was last connected as connection {} and {what}; found 1",
            earlier.number
        ))
        .at(opening.seen.packet)
        .about(about)
        // Only the user knows whether there was a connection in between.
        .only_warning_if(!f.vouched || expired)
        // The specification does not define whether a session that ends with
        // its connection continues in the one that takes it over.
        .unless_when(earlier.taken_over, Reason::AmbiguousMatch)
        .unless_when(f.connection.session.elsewhere, Reason::SessionUnknown)
        .unless(f.any_doubt()),
    )
}

static SESSION_LOST: Rule = Rule {
    id: "session-lost",
    title: "A persistent session is present when its client reconnects",
    why: "Subscriptions and messages in flight are lost silently. Servers may lose sessions by restart or administration, so it is a warning.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[
        v311("MQTT-3.1.2-4"),
        v311("MQTT-3.2.2-2"),
        v311("MQTT-4.1.0-1"),
        v311("MQTT-3.1.3-2"),
        v311("MQTT-3.1.4-3"),
        v5("MQTT-3.1.2-5"),
        v5("MQTT-3.2.2-3"),
        v5("MQTT-3.1.2-23"),
        v5("MQTT-4.1.0-1"),
        v5("MQTT-3.1.3-2"),
        v5("MQTT-3.1.4-4"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c clean=0
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1",
        bad: "\
> CONNECT client=c clean=0
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=0",
        cut: "\
> CONNECT client=c clean=0
< CONNACK
> DISCONNECT
! fin >
! fin <
! connection 2
> CONNECT client=c clean=0
! gap 4 <
< CONNACK session_present=0
< PINGRESP
> PINGREQ
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Connack], session_lost),
};

fn session_lost(f: &FrameFacts<'_>) -> Judged {
    let opening = opening(f)?;
    if opening.clean_start || session_present(f) != Some(false) || !accepts(f) {
        return None;
    }
    let earlier = f.connection.session.earlier.as_ref()?;
    let away = f.frame.time.since(earlier.ended);
    let kept = match opening.version {
        Version::V5 => {
            let limit = earlier.expiry.map(|s| Duration::from_secs(s.into()));
            limit.is_none_or(|limit| away + Duration::from_secs(1) < limit)
        }
        _ => true,
    };
    (kept && !earlier.session_ended).then(|| {
        warning(format!(
            "expected Session Present 1, because the session of connection {} was to be kept; found 0",
            earlier.number
        ))
        .at(opening.seen.packet)
        .unless_when(!earlier.whole, Reason::Clipped)
        .unless_when(earlier.dropped_by_server, Reason::SessionUnknown)
        .unless_when(f.connection.session.elsewhere, Reason::SessionUnknown)
        .unless(f.any_doubt())
    })
}

static ACKS_AFTER_REFUSAL: Rule = Rule {
    id: "acks-after-refusal",
    title: "After refusing with CONNACK, the server processes nothing but AUTH",
    why: "A refused client is served all the same: the access check has no effect.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.1.4-5"), v5("MQTT-3.1.4-6")],
    examples: Examples {
        good: "\
> CONNECT client=c
+ PUBLISH topic=a qos=1 id=1
< CONNACK code=5
! fin <",
        bad: "\
> CONNECT client=c
+ PUBLISH topic=a qos=1 id=1
< CONNACK code=5
< PUBACK id=1",
        cut: "\
> CONNECT client=c
+ PUBLISH topic=a qos=1 id=1
< CONNACK code=5
! gap 40 <
< PUBACK id=1",
    },
    check: Check::Frame(
        &[
            P::Puback,
            P::Pubrec,
            P::Pubcomp,
            P::Suback,
            P::Unsuback,
            P::Pingresp,
            P::Publish,
        ],
        acks_after_refusal,
    ),
};

fn acks_after_refusal(f: &FrameFacts<'_>) -> Judged {
    let refused = f.connection.accepted.as_ref().filter(|a| !a.accepted())?;
    (f.frame.direction == Down && refused.whole).then(|| {
        violation(format!(
            "expected nothing from the server after its CONNACK with 0x{:02x}, found {}",
            refused.code,
            f.frame.header.packet_type()
        ))
        .at(refused.seen.packet)
        .unless(f.any_doubt())
    })
}

static RESERVED_FLAG_ACCEPTED: Rule = Rule {
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

static MALFORMED_CONNECT_ACCEPTED: Rule = Rule {
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

static EMPTY_ID_ACCEPTED: Rule = Rule {
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

static UNSUPPORTED_LEVEL: Rule = Rule {
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

static ASSIGNED_ID: Rule = Rule {
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

static PLAIN_ID_REFUSED: Rule = Rule {
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

static WILL_BEYOND_SERVER: Rule = Rule {
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

static RESPONSE_INFORMATION: Rule = Rule {
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

static PROBLEM_INFORMATION: Rule = Rule {
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

static CLIENT_LOST_SESSION: Rule = Rule {
    id: "client-keeps-lost-session",
    title: "A client whose session is no longer present discards its own part of it",
    why: "It continues exchanges that the server does not know: duplicates, or acknowledgements without a message.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v311("MQTT-3.1.2-6"), v5("MQTT-3.2.2-5"), v5("MQTT-3.1.2-4")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 clean=0
< CONNACK session_present=0
! wait 2s
> PUBLISH topic=a qos=1 id=7
< PUBACK id=7",
        bad: "\
> CONNECT client=c version=5 clean=0
< CONNACK session_present=0
! wait 2s
> PUBREL id=7
< PUBCOMP id=7 code=0x92",
        cut: "\
> CONNECT client=c version=5 clean=0
< CONNACK session_present=0
! wait 2s
! gap 40 >
> PUBREL id=7
< PUBCOMP id=7 code=0x92
> PUBREL id=8
< PUBCOMP id=8 code=0x92",
    },
    check: Check::Exchange(&[P::Publish, P::Pubrel], client_lost_session),
};

fn client_lost_session(f: &FrameFacts<'_>) -> Judged {
    let (frame, facts) = (f.frame, f.connection);
    let opening = facts.opening.as_ref().filter(|_| frame.direction == Up)?;
    let accepted = facts.accepted.as_ref()?;
    // Before 5.0 only Clean Session shows that there is no session to resume.
    let gone = accepted.accepted()
        && match opening.version {
            Version::V5 => accepted.session_present == Some(false),
            _ => opening.clean_start,
        };
    if !gone || !ConnectionFacts::knew(frame, accepted.seen) {
        return None;
    }
    use crate::facts::AckStep;
    let resumed = match f.step {
        Step::Publish { step, .. } => {
            frame.header.dup() && step.open.is_none_or(|open| open.carried) && step.ended.is_none()
        }
        Step::Ack(AckStep::Unknown(None)) => true,
        Step::Ack(AckStep::Expected { exchange, .. }) => exchange.carried,
        _ => false,
    };
    // The answer to an unexpected PUBREC of the server.
    let answers = frame.header.packet_type() == P::Pubrel && facts.frames[Down] > 1;
    resumed.then(|| {
        let fault = violation(format!(
            "expected no exchange of a session that is gone, found {} with id {} of one",
            frame.header.packet_type(),
            frame.packet.packet_id().unwrap_or(0)
        ))
        .at(accepted.seen.packet)
        .unless(f.any_doubt())
        .unless(f.doubt_of_past(Up));
        fault.unless_when(answers, Reason::Crossing)
    })
}

static REFUSED_THEN_CLOSE: Rule = Rule {
    id: "refused-then-close",
    title: "A server that refuses a connection closes it",
    why: "Half-open connections fill up connection tables, such as a firewall's.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.2.2-5"),
        v311("MQTT-3.1.3-8").when(Case::EmptyIdentifier),
        v311("MQTT-3.1.3-9").when(Case::Identifier),
        v311("MQTT-3.1.2-2").when(Case::Version),
        v5("MQTT-3.2.2-7"),
        v5("MQTT-3.1.3-8").when(Case::Identifier),
        v5("MQTT-3.1.3-8").when(Case::EmptyIdentifier),
        v5("MQTT-3.1.2-2").when(Case::Version),
        v5("MQTT-4.12.0-1").when(Case::AuthenticationMethod),
        v5("MQTT-4.12.0-4").when(Case::Authentication),
        v5("MQTT-3.1.4-2").when(Case::Credentials),
        v5("MQTT-4.13.2-1"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK code=5
! fin <",
        bad: "\
> CONNECT client=c
< CONNACK code=5
! wait 30s
> PINGREQ
< PINGRESP",
        cut: "\
> CONNECT client=c
! gap 2 <
< CONNACK code=5
! wait 30s
> PINGREQ
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::StillOpen(refused_then_close),
};

fn refused_then_close(f: &StillOpen<'_>) -> Judged {
    (f.due.cause == Cause::Refused).then(|| {
        let empty = |opening: &Opening| opening.client_id.is_empty();
        let empty = f.connection.opening.as_deref().is_some_and(empty);
        let about = match f.connection.accepted.as_deref().map_or(0, |a| a.code) {
            0x01 | 0x84 => Case::Version,
            0x02 | 0x85 if empty => Case::EmptyIdentifier,
            0x02 | 0x85 => Case::Identifier,
            0x8c => Case::AuthenticationMethod,
            _ if f.connection.auth_continues => Case::Authentication,
            _ => Case::Credentials,
        };
        violation(format!(
            "expected the server to close after its CONNACK, found the connection open {} s later",
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .about(about)
        .by(Side::Server)
        .unless(f.connection.any_doubt())
    })
}

static TAKEOVER: Rule = Rule {
    id: "takeover",
    title: "A second connection of a client ends the first",
    why: "Two connections with one Client Identifier both get messages. The evidence depends on two connections, so it is a warning.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.1.4-2"), v5("MQTT-3.1.4-3")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
! connection 2
> CONNECT client=c
< CONNACK
! connection 1
! fin <",
        bad: "\
> CONNECT client=c
< CONNACK
! connection 2
> CONNECT client=c
< CONNACK
! wait 30s
! connection 1
> PINGREQ
< PINGRESP",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 20 >
! connection 2
> CONNECT client=c
< CONNACK
! wait 10s
! connection 1
> PINGREQ
< PINGRESP
! wait 10s
> PINGREQ
< PINGRESP",
    },
    check: Check::StillOpen(takeover),
};

fn takeover(f: &StillOpen<'_>) -> Judged {
    (f.due.cause == Cause::TakenOver).then(|| {
        warning(format!(
            "expected the server to close, because connection {} of the same client was accepted; found it open {} s later",
            f.due.seen.connection,
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .by(Side::Server)
        .unless(f.connection.any_doubt())
    })
}

/// The CONNECT that a CONNACK answers, if it is the first.
fn opening<'a>(f: &FrameFacts<'a>) -> Option<&'a Opening> {
    let facts = f.connection;
    let first = f.frame.direction == Down && facts.accepted.is_none();
    facts.opening.as_deref().filter(|_| first)
}

fn accepts(f: &FrameFacts<'_>) -> bool {
    f.frame.packet.code() == Some(0)
}

fn session_present(f: &FrameFacts<'_>) -> Option<bool> {
    match &f.frame.packet {
        ControlPacket::Connack(connack) if accepts(f) => connack.session_present(f.frame.version),
        _ => None,
    }
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
