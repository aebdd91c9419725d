//! The second half of QoS 2: PUBREL and PUBCOMP.

use crate::facts::{AckStep, ConnectionFacts, FrameFacts, Overdue, Reason, Step};
use crate::mqtt::PacketType as P;

use super::super::clause::{v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, violation, warning};
use super::{never_answered, so_far};

pub(super) static PUBCOMP_EARLY: Rule = Rule {
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

pub(super) static PUBREL_EARLY: Rule = Rule {
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

pub(super) static PUBREL_AFTER_FAILURE: Rule = Rule {
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

pub(super) static STATE_MISMATCH: Rule = Rule {
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

pub(super) static MISSING_PUBREL: Rule = Rule {
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
