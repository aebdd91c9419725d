//! QoS 1 and 2: handshakes, Packet Identifiers, resending.
//!
//! The proofs are those of the state machines: a captured acknowledgement may not have
//! been received, a received one takes effect, and evidence from another connection of
//! the session gives at most a warning.

mod ack;
mod identifier;
mod release;
mod resend;

use crate::facts::{Ending, Overdue, Reason};
use crate::frame::Direction::Up;

use super::rule::Rule;
use super::verdict::{Fault, Judged};

pub(super) static RULES: &[&Rule] = &[
    &identifier::ID_IN_USE,
    &identifier::MISSING_DUP,
    &identifier::DUP_ON_FIRST,
    &resend::RESEND_WHILE_CONNECTED,
    &resend::PUBLISH_AFTER_PUBREL,
    &resend::RESEND_AFTER_FAILURE,
    &ack::ACK_TYPE,
    &ack::UNKNOWN_ACK,
    &release::PUBCOMP_EARLY,
    &release::PUBREL_EARLY,
    &release::PUBREL_AFTER_FAILURE,
    &release::STATE_MISMATCH,
    &ack::ACK_ORDER,
    &resend::RESEND_ORDER,
    &ack::MISSING_ACK,
    &release::MISSING_PUBREL,
    &resend::MISSING_RESEND,
];

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
