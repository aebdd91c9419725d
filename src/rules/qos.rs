//! QoS 1 and 2: handshakes, Packet Identifiers, resending.
//!
//! The proofs are those of the state machines: a captured acknowledgement may not have
//! been received, a received one takes effect, and evidence from another connection of
//! the session gives at most a warning.

use crate::event::Side;
use crate::facts::{
    AckStep, ConnectionFacts, Ending, FrameFacts, Overdue, Reason, State, Step, Subscription,
};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{PacketType as P, Version};

use super::clause::{Case, v5, v31, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Fault, Judged, note, violation, warning};

pub(super) static RULES: &[&Rule] = &[
    &ID_IN_USE,
    &MISSING_DUP,
    &DUP_ON_FIRST,
    &RESEND_WHILE_CONNECTED,
    &PUBLISH_AFTER_PUBREL,
    &RESEND_AFTER_FAILURE,
    &ACK_TYPE,
    &UNKNOWN_ACK,
    &PUBCOMP_EARLY,
    &PUBREL_EARLY,
    &PUBREL_AFTER_FAILURE,
    &STATE_MISMATCH,
    &ACK_ORDER,
    &RESEND_ORDER,
    &MISSING_ACK,
    &MISSING_PUBREL,
    &MISSING_RESEND,
];

static ID_IN_USE: Rule = Rule {
    id: "id-in-use",
    title: "A new packet has a Packet Identifier that is not in use",
    why: "The acknowledgement of the first message counts as that of the second: one of them is lost silently.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-2.3.1-2").by(Side::Client),
        v311("MQTT-2.3.1-4").by(Side::Server),
        v311("MQTT-4.3.2-1").when(Case::Qos1),
        v311("MQTT-4.3.3-1").when(Case::Qos2),
        v311("MQTT-2.3.1-3").by(Side::Client),
        v5("MQTT-2.2.1-3").by(Side::Client),
        v5("MQTT-2.2.1-4").by(Side::Server),
        v5("MQTT-4.3.3-5").when(Case::AfterPubrel),
        v5("MQTT-4.3.2-1").when(Case::Qos1),
        v5("MQTT-4.3.3-1").when(Case::Qos2),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=1 payload=2
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
> PUBLISH topic=a qos=1 id=1 payload=2
< PUBACK id=1
< PUBACK id=1",
        cut: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
! gap 4 <
> PUBLISH topic=a qos=1 id=1 payload=2
< PUBACK id=1",
    },
    check: Check::Exchange(&[P::Publish, P::Subscribe, P::Unsubscribe], id_in_use),
};

fn id_in_use(f: &FrameFacts<'_>) -> Judged {
    let (frame, direction) = (f.frame, f.frame.direction);
    let kind = frame.header.packet_type();
    let id = frame.packet.packet_id()?;
    let mut released = false;
    let (before, of, doubt, same) = match f.step {
        Step::Publish { step, request, .. } => match (step.open, request) {
            (Some(open), _) if !frame.header.dup() && !open.carried => {
                if step.same_message == Some(true) {
                    return None;
                }
                released = open.state == State::WaitComp;
                (open.publish, "PUBLISH", open.doubt, step.same_message)
            }
            (None, Some(request)) => (*request, "a request", None, Some(false)),
            _ => return None,
        },
        Step::Request {
            request: Some(request),
            ..
        } => (
            request.seen,
            request.kind.name(),
            request.doubt,
            Some(false),
        ),
        Step::Request {
            exchange: Some(open),
            ..
        } if !open.carried => (open.publish, "PUBLISH", open.doubt, Some(false)),
        _ => return None,
    };
    let about = match (kind, frame.header.qos()) {
        _ if released && frame.version == Version::V5 => Some(Case::AfterPubrel),
        (P::Publish, 1) => Some(Case::Qos1),
        (P::Publish, _) => Some(Case::Qos2),
        _ => None,
    };
    // 3.1 allows SUBSCRIBE and UNSUBSCRIBE to be sent again.
    let resent = kind != P::Publish && frame.header.dup();
    (!resent && (direction == Up || kind == P::Publish)).then(|| {
        violation(format!(
            "expected an unused Packet Identifier in {kind}, found {id}, which {of} still holds"
        ))
        .at(before.packet)
        .about(about)
        .unless(doubt)
        .unless(f.any_doubt())
        // It may be the same message without DUP, which another rule names.
        .unless_when(same.is_none(), Reason::Clipped)
    })
}

static MISSING_DUP: Rule = Rule {
    id: "missing-dup",
    title: "A resent PUBLISH has DUP 1",
    why: "The receiver cannot distinguish the duplicate from a new message.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.3.1-1"), v5("MQTT-3.3.1-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
> PUBLISH topic=a qos=1 id=1 payload=1 dup=1
< PUBACK id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
> PUBLISH topic=a qos=1 id=1 payload=1
< PUBACK id=1
< PUBACK id=1",
        cut: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 payload=1
! gap 4 <
> PUBLISH topic=a qos=1 id=1 payload=1
< PUBACK id=1",
    },
    check: Check::Exchange(&[P::Publish], missing_dup),
};

fn missing_dup(f: &FrameFacts<'_>) -> Judged {
    let Step::Publish { step, .. } = f.step else {
        return None;
    };
    let open = step
        .open
        .filter(|_| !f.frame.header.dup() && step.same_message == Some(true))?;
    let session_present = f
        .connection
        .accepted
        .as_ref()
        .and_then(|a| a.session_present);
    if open.carried && session_present != Some(true) {
        // The session is gone: a new message.
        return None;
    }
    Some(
        violation(format!(
            "expected DUP 1 in the second copy of PUBLISH with id {}, found 0",
            open.id
        ))
        .at(open.publish.packet)
        .only_warning_if(open.carried)
        .unless(open.doubt)
        .unless(f.any_doubt()),
    )
}

static DUP_ON_FIRST: Rule = Rule {
    id: "dup-on-first",
    title: "The first transmission of a PUBLISH has DUP 0",
    why: "Receivers that discard duplicates lose the message. A server that copies the publisher's DUP affects all its subscribers.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.3.1-3").by(Side::Server),
        v311("MQTT-4.3.2-1").when(Case::Qos1),
        v311("MQTT-4.3.3-1").when(Case::Qos2),
        v5("MQTT-3.3.1-3").by(Side::Server),
        v5("MQTT-4.3.2-2").when(Case::Qos1),
        v5("MQTT-4.3.3-2").when(Case::Qos2),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1",
        cut: "\
> CONNECT client=c clean=0
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1",
    },
    check: Check::Exchange(&[P::Publish], dup_on_first),
};

fn dup_on_first(f: &FrameFacts<'_>) -> Judged {
    let frame = f.frame;
    let Step::Publish { step, .. } = f.step else {
        return None;
    };
    if !frame.header.dup() || step.open.is_some() {
        return None;
    }
    let mut fault = violation(format!(
        "expected DUP 0 in the first PUBLISH with id {}, found 1",
        frame.packet.packet_id()?
    ))
    .about(if frame.header.qos() == 1 {
        Case::Qos1
    } else {
        Case::Qos2
    });
    if let Some(ended) = step.ended {
        if ended.failed {
            return None;
        }
        let known = ConnectionFacts::knew(frame, ended.by);
        fault = fault
            .at(ended.by.packet)
            .unless_when(!known, Reason::Crossing);
    }
    Some(
        fault
            .unless(f.any_doubt())
            .unless(f.doubt_of_past(frame.direction)),
    )
}

static RESEND_WHILE_CONNECTED: Rule = Rule {
    id: "resend-while-connected",
    title: "Nothing is resent on the same connection",
    why: "TCP has delivered it already. On a slow link, retries by a timer make it slower. 3.1.1 does not forbid it, 3.1 expects it.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v311("U-4.4-1"), v5("MQTT-4.4.0-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
! wait 5s
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1
< PUBACK id=1",
        cut: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
! gap 4 <
! wait 5s
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1",
    },
    check: Check::Exchange(&[P::Publish, P::Pubrel], resend_while_connected),
};

fn resend_while_connected(f: &FrameFacts<'_>) -> Judged {
    let frame = f.frame;
    let open = match f.step {
        Step::Publish { step, .. } => step
            .open
            .filter(|open| frame.header.dup() && open.state != State::WaitComp)?,
        Step::Ack(AckStep::Again(open)) if frame.header.packet_type() == P::Pubrel => *open,
        _ => return None,
    };
    if open.carried || open.publish.connection != frame.connection.number {
        return None;
    }
    let message = format!(
        "expected no second {} with id {} on one connection, found one",
        frame.header.packet_type(),
        open.id
    );
    let fault = match frame.version {
        Version::V5 => violation(message),
        _ => note(message),
    };
    Some(
        fault
            .at(open.last.packet)
            .unless(open.doubt)
            .unless(f.any_doubt()),
    )
}

static PUBLISH_AFTER_PUBREL: Rule = Rule {
    id: "publish-after-pubrel",
    title: "A PUBLISH is not resent after its PUBREL",
    why: "The receiver has discarded the identifier, and delivers the message a second time, which violates exactly once.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-4.3.3-1"), v5("MQTT-4.3.3-6")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
> PUBLISH topic=a qos=2 id=1 dup=1
< PUBREC id=1
< PUBCOMP id=1",
        cut: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
! gap 4 <
> PUBLISH topic=a qos=2 id=1 dup=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1",
    },
    check: Check::Exchange(&[P::Publish], publish_after_pubrel),
};

fn publish_after_pubrel(f: &FrameFacts<'_>) -> Judged {
    let Step::Publish { step, .. } = f.step else {
        return None;
    };
    let open = step
        .open
        .filter(|open| f.frame.header.dup() && open.state == State::WaitComp)?;
    Some(
        violation(format!(
            "expected PUBCOMP for id {} before anything else with it, found its PUBLISH again after PUBREL",
            open.id
        ))
        .at(open.publish.packet)
        .at(open.last.packet)
        .only_warning_if(open.carried && !f.vouched)
        .unless(open.doubt)
        .unless(f.any_doubt()),
    )
}

static RESEND_AFTER_FAILURE: Rule = Rule {
    id: "resend-after-failure",
    title: "A refused message is not resent",
    why: "A PUBACK or PUBREC of 0x80 and above ends the exchange. A resent message is refused again, without end.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v5("MQTT-4.4.0-2")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x87
! wait 2s
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2 code=0x87",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x87
! wait 2s
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1 code=0x87",
        cut: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1 code=0x87
! gap 40 >
! wait 2s
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1 code=0x87
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Exchange(&[P::Publish], resend_after_failure),
};

fn resend_after_failure(f: &FrameFacts<'_>) -> Judged {
    let Step::Publish { step, .. } = f.step else {
        return None;
    };
    let ended = step
        .ended
        .filter(|ended| f.frame.header.dup() && ended.failed)?;
    let known = ConnectionFacts::knew(f.frame, ended.by);
    Some(
        violation(format!(
            "expected no PUBLISH with id {} after it was refused, found it again",
            ended.id
        ))
        .at(ended.by.packet)
        .unless_when(!known, Reason::Crossing)
        .unless(f.any_doubt())
        .unless(f.doubt_of_past(f.frame.direction)),
    )
}

static ACK_TYPE: Rule = Rule {
    id: "ack-type",
    title: "QoS 1 is answered by PUBACK, QoS 2 by PUBREC and PUBCOMP",
    why: "The sender waits for the right one without end, or resends after the next reconnect.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.3.4-1"),
        v311("MQTT-4.3.2-2").when(Case::Qos1),
        v311("MQTT-4.3.3-2").when(Case::Qos2),
        v5("MQTT-3.3.4-1"),
        v5("MQTT-4.3.2-4").when(Case::Qos1),
        v5("MQTT-4.3.3-8").when(Case::Qos2),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBREC id=1",
        cut: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
! gap 40 >
< PUBREC id=1
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Puback, P::Pubrec, P::Pubcomp], ack_type),
};

fn ack_type(f: &FrameFacts<'_>) -> Judged {
    let Step::Ack(AckStep::WrongType(open)) = f.step else {
        return None;
    };
    Some(
        violation(format!(
            "expected {} for the PUBLISH of QoS {} with id {}, found {}",
            if open.qos == 1 { "PUBACK" } else { "PUBREC" },
            open.qos,
            open.id,
            f.frame.header.packet_type()
        ))
        .at(open.publish.packet)
        .about(if open.qos == 1 {
            Case::Qos1
        } else {
            Case::Qos2
        })
        .unless(open.doubt)
        .unless(f.any_doubt())
        .unless_when(open.carried, Reason::SessionUnknown),
    )
}

static UNKNOWN_ACK: Rule = Rule {
    id: "unknown-ack",
    title: "PUBACK, PUBREC and PUBCOMP answer a packet that was sent, once for each transmission",
    why: "A surplus answer may acknowledge the next message with the same identifier, which is then lost.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-2.3.1-6"),
        v311("MQTT-4.3.2-2").packet(P::Puback),
        v311("MQTT-4.3.3-2").packet(P::Pubrec),
        v5("MQTT-2.2.1-5"),
        v5("MQTT-4.3.2-4").packet(P::Puback),
        v5("MQTT-4.3.3-8").packet(P::Pubrec),
        v5("MQTT-4.3.3-11").packet(P::Pubcomp),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
< PUBACK id=1
< PUBACK id=9",
        cut: "\
! midstream
! version 5
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
< PUBACK id=9
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Frame(&[P::Puback, P::Pubrec, P::Pubcomp], unknown_ack),
};

fn unknown_ack(f: &FrameFacts<'_>) -> Judged {
    let frame = f.frame;
    let before = match f.step {
        Step::Ack(AckStep::Unknown(ended)) => ended.map(|ended| ended.by),
        Step::Ack(AckStep::Again(open)) => Some(open.last),
        _ => return None,
    };
    let kind = frame.header.packet_type();
    // PUBCOMP 0x92 states that the identifier is unknown.
    if kind == P::Pubcomp && frame.packet.code() == Some(0x92) {
        return None;
    }
    let id = frame.packet.packet_id()?;
    let opening = f.connection.opening.as_ref();
    let resumes = opening.is_none_or(|opening| !opening.clean_start);
    let fault = match before {
        Some(before) => violation(format!(
            "expected one {kind} for each copy of the packet with id {id}, found one more"
        ))
        .at(before.packet),
        None => violation(format!(
            "expected {kind} to answer a packet that was sent, found id {id} of none"
        )),
    };
    Some(
        fault
            .unless(f.any_doubt())
            .unless(f.doubt_of_past(frame.direction.reversed()))
            .unless_when(
                resumes && frame.direction == Up && !f.knew_acceptance(),
                Reason::Crossing,
            ),
    )
}

static PUBCOMP_EARLY: Rule = Rule {
    id: "pubcomp-early",
    title: "PUBCOMP answers PUBREL",
    why: "The receiver completes before the sender has released: a lost PUBREL is never detected.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-4.3.3-2"), v5("MQTT-4.3.3-11")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
< PUBCOMP id=1",
        cut: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
! gap 4 >
< PUBCOMP id=1
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Pubcomp], pubcomp_early),
};

fn pubcomp_early(f: &FrameFacts<'_>) -> Judged {
    let Step::Ack(AckStep::TooEarly(open)) = f.step else {
        return None;
    };
    Some(
        violation(format!(
            "expected PUBREL for id {} before its PUBCOMP, found none",
            open.id
        ))
        .at(open.publish.packet)
        .unless(open.doubt)
        .unless(f.any_doubt())
        .unless_when(open.carried, Reason::SessionUnknown),
    )
}

static PUBREL_EARLY: Rule = Rule {
    id: "pubrel-without-pubrec",
    title: "PUBREL answers PUBREC",
    why: "The sender releases a message that the receiver may not have.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-2.3.1-6"),
        v311("MQTT-4.3.3-1"),
        v5("MQTT-2.2.1-5"),
        v5("MQTT-4.3.3-4"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
> PUBREL id=1
< PUBREC id=1
< PUBCOMP id=1",
        cut: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
! gap 4 <
> PUBREL id=1
< PUBCOMP id=1",
    },
    check: Check::Frame(&[P::Pubrel], pubrel_early),
};

fn pubrel_early(f: &FrameFacts<'_>) -> Judged {
    let frame = f.frame;
    let (before, carried, doubt) = match f.step {
        Step::Ack(AckStep::TooEarly(open) | AckStep::WrongType(open)) => {
            (Some(open.publish.packet), open.carried, open.doubt)
        }
        Step::Ack(AckStep::Unknown(ended)) => match ended {
            // The answer to a PUBREC without a PUBLISH.
            Some(ended) if ended.kind == P::Pubrec => return None,
            Some(ended) => {
                let known = ConnectionFacts::knew(frame, ended.by);
                let lost = (!known).then_some(Reason::Crossing);
                (Some(ended.by.packet), false, lost)
            }
            None => (None, false, None),
        },
        _ => return None,
    };
    // 0x92 states that the identifier is unknown.
    if frame.packet.code() == Some(0x92) {
        return None;
    }
    let mut fault = violation(format!(
        "expected PUBREC before PUBREL with id {}, found none",
        frame.packet.packet_id()?
    ));
    if let Some(packet) = before {
        fault = fault.at(packet);
    }
    Some(
        fault
            .unless(doubt)
            .unless(f.any_doubt())
            .unless(f.doubt_of_past(frame.direction))
            .unless_when(carried, Reason::SessionUnknown),
    )
}

static PUBREL_AFTER_FAILURE: Rule = Rule {
    id: "pubrel-after-failure",
    title: "A PUBREC with an error code is not answered by PUBREL",
    why: "The exchange is over, and the identifier is free. There is no MUST NOT, so it is a warning; the receiver answers PUBCOMP 0x92.",
    binds: Binds::Both,
    severity: Severity::Warn,
    clauses: &[v5("MQTT-4.3.3-4")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1 code=0x87",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1 code=0x87
> PUBREL id=1
< PUBCOMP id=1 code=0x92",
        cut: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1 code=0x87
! gap 40 >
> PUBREL id=1
< PUBCOMP id=1 code=0x92",
    },
    check: Check::Frame(&[P::Pubrel], pubrel_after_failure),
};

fn pubrel_after_failure(f: &FrameFacts<'_>) -> Judged {
    let Step::Ack(AckStep::Unknown(Some(ended))) = f.step else {
        return None;
    };
    let received =
        ended.by.connection == f.frame.connection.number && f.frame.received.surely >= ended.by.end;
    (ended.failed && ended.kind == P::Pubrec && received).then(|| {
        warning(format!(
            "expected no PUBREL after a PUBREC that refuses id {}, found one",
            ended.id
        ))
        .at(ended.by.packet)
        .unless(f.any_doubt())
    })
}

static STATE_MISMATCH: Rule = Rule {
    id: "state-mismatch",
    title: "State of a session is not lost while it is connected",
    why: "0x92 (Packet Identifier not found) or 0x91 (in use) where nothing was resumed: the two sides disagree about the messages in flight.",
    binds: Binds::Both,
    severity: Severity::Warn,
    clauses: &[v5("U-3.7-1"), v5("MQTT-4.1.0-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1 code=0x92",
        cut: "\
> CONNECT client=c version=5
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
! gap 40 >
< PUBCOMP id=1 code=0x92
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(
        &[P::Puback, P::Pubrec, P::Pubrel, P::Pubcomp],
        state_mismatch,
    ),
};

fn state_mismatch(f: &FrameFacts<'_>) -> Judged {
    let Step::Ack(AckStep::Expected { exchange, .. }) = f.step else {
        return None;
    };
    let code = f
        .frame
        .packet
        .code()
        .filter(|code| matches!(code, 0x91 | 0x92))?;
    let here = !exchange.carried && exchange.publish.connection == f.frame.connection.number;
    here.then(|| {
        warning(format!(
            "expected the exchange with id {} to be known, found {} 0x{code:02x}",
            exchange.id,
            f.frame.header.packet_type()
        ))
        .at(exchange.publish.packet)
        .unless(exchange.doubt)
        .unless(f.any_doubt())
    })
}

static ACK_ORDER: Rule = Rule {
    id: "ack-order",
    title: "A client sends answers in the order of the packets they answer",
    why: "PUBACKs and PUBRECs in the order of the PUBLISH packets, PUBRELs in that of the PUBRECs: servers may rely on it to keep messages in order.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[
        v311("MQTT-4.6.0-2").packet(P::Puback),
        v311("MQTT-4.6.0-3").packet(P::Pubrec),
        v311("MQTT-4.6.0-4").packet(P::Pubrel),
        v5("MQTT-4.6.0-2").packet(P::Puback),
        v5("MQTT-4.6.0-3").packet(P::Pubrec),
        v5("MQTT-4.6.0-4").packet(P::Pubrel),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
< PUBLISH topic=a qos=1 id=1
< PUBLISH topic=a qos=1 id=2
> PUBACK id=1
> PUBACK id=2",
        bad: "\
> CONNECT client=c
< CONNACK
< PUBLISH topic=a qos=1 id=1
< PUBLISH topic=a qos=1 id=2
> PUBACK id=2
> PUBACK id=1",
        cut: "\
> CONNECT client=c
< CONNACK
< PUBLISH topic=a qos=1 id=1
< PUBLISH topic=a qos=1 id=2
> PUBACK id=2
! gap 40 <
> PUBACK id=1
> PINGREQ
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Puback, P::Pubrec, P::Pubrel], ack_order),
};

fn ack_order(f: &FrameFacts<'_>) -> Judged {
    let Step::Ack(AckStep::Expected {
        exchange,
        overtaken_by: Some(by),
    }) = f.step
    else {
        return None;
    };
    (f.frame.direction == Up).then(|| {
        violation(format!(
            "expected {} with id {} before the one to a later packet, found it after",
            f.frame.header.packet_type(),
            exchange.id
        ))
        .at(exchange.publish.packet)
        .at(*by)
        .unless(exchange.doubt)
        .unless(f.any_doubt())
    })
}

static RESEND_ORDER: Rule = Rule {
    id: "resend-order",
    title: "After a reconnect a client resends in the original order",
    why: "Messages are reordered, which ordered topics exclude.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v311("MQTT-4.6.0-1"), v5("MQTT-4.6.0-1")],
    examples: Examples {
        good: "\
> CONNECT client=c clean=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
> PUBLISH topic=a qos=1 id=2
! reset <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=1 dup=1
> PUBLISH topic=a qos=1 id=2 dup=1
< PUBACK id=1
< PUBACK id=2",
        bad: "\
> CONNECT client=c clean=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
> PUBLISH topic=a qos=1 id=2
! reset <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=2 dup=1
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=2
< PUBACK id=1",
        cut: "\
> CONNECT client=c clean=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
> PUBLISH topic=a qos=1 id=2
! gap 4 <
! wait 5s
> PINGREQ
< PINGRESP
! reset <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=2 dup=1
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=2
< PUBACK id=1",
    },
    check: Check::Exchange(&[P::Publish], resend_order),
};

fn resend_order(f: &FrameFacts<'_>) -> Judged {
    let Step::Publish { step, .. } = f.step else {
        return None;
    };
    let by = step.overtaken_by.filter(|_| f.frame.direction == Up)?;
    let open = step.open?;
    Some(
        violation(format!(
            "expected PUBLISH with id {} to be sent again before those published after it, found it later",
            open.id
        ))
        .at(open.publish.packet)
        .at(by)
        .only_warning_if(!f.vouched)
        .unless(open.doubt)
        .unless(f.any_doubt()),
    )
}

static MISSING_ACK: Rule = Rule {
    id: "missing-ack",
    title: "PUBLISH of QoS 1 is answered by PUBACK, QoS 2 by PUBREC",
    why: "The sender keeps the message, and a slot of its Receive Maximum, as long as the session lasts. There is no time limit, so it is a warning.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.3.4-1"),
        v311("MQTT-4.5.0-2").by(Side::Client),
        v311("MQTT-3.3.5-2").by(Side::Server),
        v5("MQTT-4.3.2-5").when(Case::AfterPuback),
        v5("MQTT-4.3.3-9").when(Case::AfterPubrec),
        v5("MQTT-4.3.3-12").when(Case::AfterPubcomp),
        v5("MQTT-4.3.2-4").packet(P::Puback),
        v5("MQTT-4.3.3-8").packet(P::Pubrec),
        v5("MQTT-4.5.0-2").by(Side::Client),
        v5("MQTT-3.3.4-1"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> DISCONNECT",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1
> DISCONNECT",
        cut: "\
! open
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=1 id=1",
    },
    check: Check::Overdue(missing_ack),
};

fn missing_ack(f: &Overdue<'_>) -> Judged {
    if !matches!(f.expected, P::Puback | P::Pubrec) || f.carried || !f.is_due() {
        return None;
    }
    let fault = warning(format!(
        "expected {} for PUBLISH with id {}{}, found none{}",
        f.expected,
        f.id.unwrap_or(0),
        of_topic(f),
        so_far(f)
    ));
    // The identifier has been used before, and stands for a new message now.
    let about = match f.used_before {
        Some(P::Puback) => Some(Case::AfterPuback),
        Some(P::Pubrec) => Some(Case::AfterPubrec),
        Some(P::Pubcomp) => Some(Case::AfterPubcomp),
        _ => None,
    };
    never_answered(f, fault.about(about))
}

static MISSING_PUBREL: Rule = Rule {
    id: "missing-pubrel",
    title: "PUBREC is answered by PUBREL, and PUBREL by PUBCOMP",
    why: "Both sides keep the identifier in use, until none is left.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-4.3.3-1").packet(P::Pubrel),
        v311("MQTT-4.3.3-2").packet(P::Pubcomp),
        v5("MQTT-4.3.3-4").packet(P::Pubrel),
        v5("MQTT-4.3.3-11").packet(P::Pubcomp),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
< PUBCOMP id=1
> DISCONNECT",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1
! wait 30s
> PINGREQ
< PINGRESP
> DISCONNECT",
        cut: "\
! open
> CONNECT client=c
< CONNACK
> PUBLISH topic=a qos=2 id=1
< PUBREC id=1
> PUBREL id=1",
    },
    check: Check::Overdue(missing_pubrel),
};

fn missing_pubrel(f: &Overdue<'_>) -> Judged {
    if !matches!(f.expected, P::Pubrel | P::Pubcomp) || f.carried || !f.is_due() {
        return None;
    }
    let id = f.id.unwrap_or(0);
    let of = if f.expected == P::Pubrel {
        "PUBREC"
    } else {
        "PUBREL"
    };
    let fault = violation(format!(
        "expected {} for {of} with id {id}, found none{}",
        f.expected,
        so_far(f)
    ));
    never_answered(f, fault)
}

static MISSING_RESEND: Rule = Rule {
    id: "missing-resend",
    title: "After a reconnect both sides resend unacknowledged packets",
    why: "The message is lost, although QoS 1 and 2 promise otherwise. There is no time limit, so it is a warning.",
    binds: Binds::Both,
    severity: Severity::Warn,
    clauses: &[
        v311("MQTT-4.4.0-1"),
        v311("MQTT-3.10.4-3").when(Case::Unsubscribed),
        v311("MQTT-3.1.2-4"),
        v311("MQTT-4.1.0-1"),
        v5("MQTT-4.4.0-1"),
        v5("MQTT-3.10.4-3").when(Case::Unsubscribed),
        v5("MQTT-4.8.2-4").when(Case::Shared),
        v5("MQTT-4.3.2-3").packet(P::Puback),
        v5("MQTT-4.3.3-3").packet(P::Pubrec),
        v5("MQTT-4.3.3-5").packet(P::Pubcomp),
        v5("MQTT-3.1.2-5").by(Side::Server),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c clean=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
! reset <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
> PUBLISH topic=a qos=1 id=1 dup=1
< PUBACK id=1",
        bad: "\
> CONNECT client=c clean=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
! reset <
! connection 2
> CONNECT client=c clean=0
< CONNACK session_present=1
! wait 40s
> PINGREQ
< PINGRESP
> DISCONNECT",
        cut: "\
> CONNECT client=c clean=0
< CONNACK
> PUBLISH topic=a qos=1 id=1
! reset <
! connection 2
! open
> CONNECT client=c clean=0
< CONNACK session_present=1
! wait 40s
> PINGREQ
< PINGRESP",
    },
    check: Check::Overdue(missing_resend),
};

fn missing_resend(f: &Overdue<'_>) -> Judged {
    let of = f.of.filter(|_| f.carried)?;
    let facts = f.connection;
    let accepted = facts.accepted.as_ref()?;
    if accepted.session_present != Some(true) {
        return None;
    }
    let latest = facts.latest[of]?;
    let alive = latest.time.since(accepted.seen.time);
    // New messages are sent after resent ones.
    let overtaken = facts.fresh[of];
    let fault = warning(format!(
        "expected {} with id {}{} of an earlier connection to be sent again, found none",
        if f.expected == P::Pubcomp {
            "PUBREL"
        } else {
            "PUBLISH"
        },
        f.id.unwrap_or(0),
        of_topic(f)
    ))
    .by(of.sender());
    let fault = match overtaken {
        Some(new) => fault.at(new.packet),
        None => fault,
    };
    let fault = fault.about(match of {
        Down => subscribed(f),
        Up => None,
    });
    Some(
        fault
            .unless(f.doubt)
            .unless(facts.any_doubt())
            .unless_when(f.expires, Reason::Tolerance)
            .unless_when(f.ending == Ending::Unseen, Reason::CaptureEnd)
            .unless_when(f.ending == Ending::Reset, Reason::Reset)
            .unless_when(
                overtaken.is_none() && alive < facts.patience,
                Reason::Tolerance,
            ),
    )
}

/// What a delivery was for: a subscription that has ended since, or a shared one.
fn subscribed(f: &Overdue<'_>) -> Option<Case> {
    let of_topic = |s: &&Subscription| f.topic.is_none_or(|topic| s.matches(topic));
    let mut all = f
        .connection
        .session
        .subscriptions
        .all()
        .filter(of_topic)
        .peekable();
    all.peek()?;
    let (mut ended, mut shared) = (true, true);
    for subscription in all {
        ended &= subscription.until.is_some();
        shared &= subscription.shared;
    }
    match (ended, shared) {
        (true, _) => Some(Case::Unsubscribed),
        (_, true) => Some(Case::Shared),
        _ => None,
    }
}

/// ` and topic "t"`, where it is known.
fn of_topic(f: &Overdue<'_>) -> String {
    f.topic.map_or_else(String::new, |topic| {
        format!(" and topic {:?}", String::from_utf8_lossy(topic))
    })
}

/// ` for 20 s`, while it may still arrive.
pub(super) fn so_far(f: &Overdue<'_>) -> String {
    match f.ending {
        Ending::Open => format!(" for {} s", f.age.as_secs()),
        _ => String::new(),
    }
}

/// A missing answer. The specifications have no time limit, so it is a warning: after
/// the user's limit, or when the connection ends.
pub(super) fn never_answered(f: &Overdue<'_>, fault: Box<Fault>) -> Judged {
    let facts = f.connection;
    let fault = fault.only_warning_if(true);
    if f.ending == Ending::Open {
        // It may still arrive, but is overdue.
        return Some(
            fault
                .unless(f.doubt)
                .unless(facts.any_doubt())
                .unless_when(facts.zero_window, Reason::Tolerance)
                .unless_when(f.acked.is_none(), Reason::Crossing),
        );
    }
    let by = f.by;
    let went_on = facts.latest[by]
        .zip(f.acked)
        .is_some_and(|(latest, acked)| latest.time > acked);
    let waited = f.waited >= facts.patience && went_on && !facts.zero_window;
    // The side that ends the connection owes no answer.
    if !waited && f.left.is_some_and(|(by, _)| by == f.by) {
        return None;
    }
    let left = facts.disconnect[by]
        .map(|(seen, _)| seen.time)
        .into_iter()
        .chain(facts.fin[by])
        .min();
    let arrived = f
        .acked
        .is_some_and(|acked| left.is_none_or(|left| acked <= left));
    let fault = fault.unless(f.doubt).unless(facts.any_doubt());
    if waited {
        return Some(fault);
    }
    Some(
        fault
            .unless_when(f.ending == Ending::Unseen, Reason::CaptureEnd)
            .unless_when(f.ending == Ending::Reset, Reason::Reset)
            // The other side has left; the answer may still have come.
            .unless_when(!facts.has_left(by), Reason::CaptureEnd)
            .unless_when(!arrived, Reason::Crossing)
            // A device that is gone, while its TCP still acknowledged.
            .unless_when(f.by == Up && !went_on, Reason::Tolerance),
    )
}
