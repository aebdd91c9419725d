//! When packets are sent again, and when not.

use crate::event::Side;
use crate::facts::{
    AckStep, ConnectionFacts, Ending, FrameFacts, Overdue, Reason, State, Step, Subscription,
};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, note, violation, warning};
use super::of_topic;

pub(super) static RESEND_WHILE_CONNECTED: Rule = Rule {
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

pub(super) static PUBLISH_AFTER_PUBREL: Rule = Rule {
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

pub(super) static RESEND_AFTER_FAILURE: Rule = Rule {
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

pub(super) static RESEND_ORDER: Rule = Rule {
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

pub(super) static MISSING_RESEND: Rule = Rule {
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
