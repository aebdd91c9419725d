//! Who owns the session: Session Present, and a client that connects twice.

use std::time::Duration;

use crate::event::Side;
use crate::facts::{Cause, ConnectionFacts, FrameFacts, Reason, Step, StillOpen};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{ControlPacket, PacketType as P, Version};

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, violation, warning};
use super::{accepts, opening};

pub(super) static SESSION_PRESENT_CLEAN: Rule = Rule {
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

pub(super) static SESSION_PRESENT_IMPOSSIBLE: Rule = Rule {
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

pub(super) static SESSION_LOST: Rule = Rule {
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

pub(super) static CLIENT_LOST_SESSION: Rule = Rule {
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

pub(super) static TAKEOVER: Rule = Rule {
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

fn session_present(f: &FrameFacts<'_>) -> Option<bool> {
    match &f.frame.packet {
        ControlPacket::Connack(connack) if accepts(f) => connack.session_present(f.frame.version),
        _ => None,
    }
}
