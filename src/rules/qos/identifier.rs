//! Whether a packet is new or sent again: Packet Identifiers, DUP.

use crate::event::Side;
use crate::facts::{ConnectionFacts, FrameFacts, Reason, State, Step};
use crate::frame::Direction::Up;
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, violation};

pub(super) static ID_IN_USE: Rule = Rule {
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

pub(super) static MISSING_DUP: Rule = Rule {
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

pub(super) static DUP_ON_FIRST: Rule = Rule {
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
