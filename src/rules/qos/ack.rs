//! Acknowledgements: which, for what, and in which order.

use crate::event::Side;
use crate::facts::{AckStep, FrameFacts, Overdue, Reason, Step};
use crate::frame::Direction::Up;
use crate::mqtt::PacketType as P;

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, violation, warning};
use super::{never_answered, of_topic, so_far};

pub(super) static ACK_TYPE: Rule = Rule {
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

pub(super) static UNKNOWN_ACK: Rule = Rule {
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

pub(super) static ACK_ORDER: Rule = Rule {
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

pub(super) static MISSING_ACK: Rule = Rule {
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
