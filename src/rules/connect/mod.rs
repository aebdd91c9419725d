//! Opening of connections: CONNECT, CONNACK, session ownership.

mod answer;
mod order;
mod session;

use crate::facts::{FrameFacts, Opening};
use crate::frame::Direction::Down;

use super::rule::Rule;

pub(super) static RULES: &[&Rule] = &[
    &order::CONNECT_FIRST,
    &order::SECOND_CONNECT,
    &order::CONNACK_FIRST,
    &order::SECOND_CONNACK,
    &session::SESSION_PRESENT_CLEAN,
    &session::SESSION_PRESENT_IMPOSSIBLE,
    &session::SESSION_LOST,
    &order::ACKS_AFTER_REFUSAL,
    &answer::RESERVED_FLAG_ACCEPTED,
    &answer::MALFORMED_CONNECT_ACCEPTED,
    &answer::EMPTY_ID_ACCEPTED,
    &answer::UNSUPPORTED_LEVEL,
    &answer::ASSIGNED_ID,
    &answer::PLAIN_ID_REFUSED,
    &answer::WILL_BEYOND_SERVER,
    &answer::RESPONSE_INFORMATION,
    &answer::PROBLEM_INFORMATION,
    &session::CLIENT_LOST_SESSION,
    &order::REFUSED_THEN_CLOSE,
    &session::TAKEOVER,
];

/// The CONNECT that a CONNACK answers, if it is the first.
fn opening<'a>(f: &FrameFacts<'a>) -> Option<&'a Opening> {
    let facts = f.connection;
    let first = f.frame.direction == Down && facts.accepted.is_none();
    facts.opening.as_deref().filter(|_| first)
}

fn accepts(f: &FrameFacts<'_>) -> bool {
    f.frame.packet.code() == Some(0)
}
