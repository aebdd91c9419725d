//! Budgets: limits of a project beyond the specification. They cover no statement
//! and apply only when they are set.

use crate::event::Side;
use crate::facts::{AckStep, AnswerStep, FrameFacts, Overdue, Step};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{PacketType as P, TopicFilter};

use super::allowance::Budgets;
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, violation};

pub(super) static RULES: &[&Rule] = &[&ACK_TIME, &MESSAGE_SIZE, &REQUIRED_QOS, &FORBIDDEN_TOPIC];

/// Examples of budgets need the option, and are tested with it.
const NONE: Examples = Examples {
    good: "",
    bad: "",
    cut: "",
};

static ACK_TIME: Rule = Rule {
    id: "budget-ack-time",
    title: "Acknowledgements come within --max-ack-ms",
    why: "Rising acknowledgement times are the first sign of an overloaded broker.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[],
    examples: NONE,
    check: Check::Budget(ACKNOWLEDGEMENTS, ack_time, Some(ack_overdue)),
};

const ACKNOWLEDGEMENTS: &[P] = &[P::Puback, P::Pubrec, P::Pubcomp, P::Suback, P::Unsuback];

fn ack_time(f: &FrameFacts<'_>, budgets: &Budgets) -> Judged {
    let most = budgets.ack?;
    let since = match f.step {
        Step::Ack(AckStep::Expected { exchange, .. }) if !exchange.carried => exchange.last,
        Step::Answer(AnswerStep::Expected(request)) => request.seen,
        _ => return None,
    };
    let took = f.frame.time.since(since.time);
    (took > most).then(|| {
        violation(format!(
            "expected {} within {} ms, found it after {:.1} ms",
            f.frame.header.packet_type(),
            most.as_millis(),
            took.as_secs_f64() * 1e3
        ))
        .at(since.packet)
        .unless(f.any_doubt())
    })
}

/// No acknowledgement arrived, and both ends were present for longer than the budget.
fn ack_overdue(f: &Overdue<'_>, budgets: &Budgets) -> Judged {
    let most = budgets.ack?;
    let counts = ACKNOWLEDGEMENTS.contains(&f.expected) && !f.carried && f.is_due();
    (counts && f.age > most).then(|| {
        violation(format!(
            "expected {} within {} ms, found none for {:.1} ms",
            f.expected,
            most.as_millis(),
            f.age.as_secs_f64() * 1e3
        ))
        .unless(f.doubt)
        .unless(f.connection.any_doubt())
    })
}

pub(super) static MESSAGE_SIZE: Rule = Rule {
    id: "budget-message-size",
    title: "No message has more bytes than --max-bytes-per-message",
    why: "On a link that is billed by the byte, one large message can cost as much as a day of normal traffic.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[],
    examples: NONE,
    check: Check::Budget(&[P::Publish], message_size, None),
};

fn message_size(f: &FrameFacts<'_>, budgets: &Budgets) -> Judged {
    let topic = f.frame.topic.map(|topic| topic.bytes());
    let most = budgets.message.most(topic)?;
    let size = f.frame.header.packet_len();
    (size > most).then(|| {
        violation(format!(
            "expected at most {most} bytes, found a PUBLISH of {size}"
        ))
    })
}

static REQUIRED_QOS: Rule = Rule {
    id: "budget-required-qos",
    title: "Clients publish to the topics of --require-qos with that QoS at least",
    why: "An alarm that is sent with QoS 0 is lost with the connection.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[],
    examples: NONE,
    check: Check::Budget(&[P::Publish], required_qos, None),
};

fn required_qos(f: &FrameFacts<'_>, budgets: &Budgets) -> Judged {
    let topic = f.frame.topic.filter(|_| f.frame.direction == Up)?.bytes();
    let qos = f.frame.header.qos();
    let wanted = |(filter, least): &&(TopicFilter, u8)| filter.matches(topic) && qos < *least;
    let (_, least) = budgets.qos.iter().find(wanted)?;
    Some(violation(format!(
        "expected QoS {least} at least, found {qos}"
    )))
}

static FORBIDDEN_TOPIC: Rule = Rule {
    id: "budget-forbidden-topic",
    title: "No client publishes to the topics of --forbid-topic",
    why: "It detects test traffic in production.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[],
    examples: NONE,
    check: Check::Budget(&[P::Publish], forbidden_topic, None),
};

fn forbidden_topic(f: &FrameFacts<'_>, budgets: &Budgets) -> Judged {
    let topic = f.frame.topic?.bytes();
    let filter = budgets
        .forbidden
        .iter()
        .find(|filter| filter.matches(topic))?;
    let by = if f.frame.direction == Down {
        Side::Server
    } else {
        Side::Client
    };
    Some(
        violation(format!(
            "expected nothing for {}, found a PUBLISH",
            String::from_utf8_lossy(filter.bytes())
        ))
        .by(by),
    )
}
