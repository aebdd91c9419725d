//! Keep Alive: PINGREQ and PINGRESP, silent clients, servers that keep dead
//! connections. Times are measured at the point of capture, so all findings are
//! warnings, and differences within the tolerance are ignored.

use std::time::Duration;

use crate::event::Side;
use crate::facts::{FrameFacts, Overdue, Reason, Shown, Silence, Step};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{PacketType as P, Version};

use super::clause::{v5, v31, v311};
use super::qos::{never_answered, so_far};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, warning};

pub(super) static RULES: &[&Rule] = &[
    &MISSING_PINGRESP,
    &UNASKED_PINGRESP,
    &CLIENT_SILENT,
    &DEAD_CLIENT_KEPT,
    &DROPPED_EARLY,
];

static MISSING_PINGRESP: Rule = Rule {
    id: "missing-pingresp",
    title: "PINGREQ is answered by PINGRESP",
    why: "A client without an answer closes the connection and reconnects: a frequent cause is a server too busy to answer.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.12.4-1"), v5("MQTT-3.12.4-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP
> DISCONNECT",
        bad: "\
> CONNECT client=c
< CONNACK
> PINGREQ
! wait 30s
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> DISCONNECT",
        cut: "\
! open
> CONNECT client=c
< CONNACK
> PINGREQ",
    },
    check: Check::Overdue(missing_pingresp),
};

fn missing_pingresp(f: &Overdue<'_>) -> Judged {
    if f.expected != P::Pingresp || !f.is_due() {
        return None;
    }
    never_answered(
        f,
        warning(format!(
            "expected PINGRESP for PINGREQ, found none{}",
            so_far(f)
        )),
    )
}

static UNASKED_PINGRESP: Rule = Rule {
    id: "unasked-pingresp",
    title: "PINGRESP answers a PINGREQ",
    why: "A client may treat it as the answer to its next PINGREQ, and detect a dead server one Keep Alive later.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v31(), v311("U-3.13-1"), v5("U-3.13-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c
< CONNACK
< PINGRESP",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 2 >
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&[P::Pingresp], unasked_pingresp),
};

fn unasked_pingresp(f: &FrameFacts<'_>) -> Judged {
    (matches!(f.step, Step::Pingresp { asked: false, .. }) && f.frame.direction == Down)
        .then(|| warning("expected PINGREQ before PINGRESP, found none").unless(f.any_doubt()))
}

static CLIENT_SILENT: Rule = Rule {
    id: "client-silent",
    title: "A client sends something within each Keep Alive",
    why: "After one and a half times the Keep Alive the server drops it, and publishes its will.",
    binds: Binds::Client,
    severity: Severity::Warn,
    clauses: &[
        v31(),
        v311("MQTT-3.1.2-23"),
        v5("MQTT-3.1.2-21").field("Server Keep Alive"),
        v5("MQTT-3.2.2-21").field("Server Keep Alive"),
        v5("MQTT-3.1.2-20"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c keep_alive=10
< CONNACK
! wait 9s
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c keep_alive=10
< CONNACK
! wait 13s
> PINGREQ
< PINGRESP",
        cut: "\
> CONNECT client=c keep_alive=10
< CONNACK
! gap 2 >
! wait 13s
> PINGREQ
< PINGRESP
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Silence(client_silent),
};

fn client_silent(f: &Silence<'_>) -> Judged {
    if f.shown == Shown::Frame(Down) {
        return None;
    }
    // The same silence was reported for the client; now the server is at fault.
    if f.shown == Shown::Time && f.reported.any() {
        return None;
    }
    let by_server = f
        .connection
        .accepted
        .as_ref()
        .is_some_and(|a| a.keep_alive.is_some());
    let fault = warning(format!(
        "expected a packet within each Keep Alive of {} s, found {:.1} s without one",
        f.keep_alive.as_secs(),
        f.silent.as_secs_f64()
    ))
    .at(f.since.packet)
    .by(Side::Client)
    .about(by_server.then_some("Server Keep Alive"));
    let limit = f.keep_alive + f.tolerance();
    (f.silent > limit).then(|| {
        fault
            .unless(f.connection.doubt[Up])
            .unless_when(!f.certainly_exceeds(limit), Reason::Clock)
            .unless_when(f.connection.zero_window, Reason::Tolerance)
    })
}

static DEAD_CLIENT_KEPT: Rule = Rule {
    id: "dead-client-kept",
    title: "A server drops a client that was silent for one and a half times its Keep Alive",
    why: "Messages are sent to a dead client, the will is not published, and the Client Identifier stays in use.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v31(), v311("MQTT-3.1.2-24"), v5("MQTT-3.1.2-22")],
    examples: Examples {
        good: "\
> CONNECT client=c keep_alive=10
< CONNACK
! wait 9s
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c keep_alive=10
< CONNACK
! wait 30s
> PINGREQ
< PINGRESP",
        cut: "\
> CONNECT client=c keep_alive=10
< CONNACK
! gap 2 >
! wait 30s
> PINGREQ
< PINGRESP",
    },
    check: Check::Silence(dead_client_kept),
};

fn dead_client_kept(f: &Silence<'_>) -> Judged {
    let limit = f.keep_alive * 3 / 2;
    let tolerated = limit + f.tolerance().max(Duration::from_secs(2));
    (f.silent > tolerated).then(|| {
        warning(format!(
            "expected the server to close after {} s without a packet from the client, found the connection {} after {} s",
            limit.as_secs(),
            match f.shown {
                Shown::Frame(_) => "in use",
                Shown::Close => "closed only",
                Shown::Time => "open",
            },
            f.silent.as_secs()
        ))
        .at(f.since.packet)
        .by(Side::Server)
        .unless(f.connection.doubt[Up])
        .unless_when(!f.certainly_exceeds(tolerated), Reason::Clock)
        .unless_when(f.connection.zero_window, Reason::Tolerance)
    })
}

static DROPPED_EARLY: Rule = Rule {
    id: "dropped-early",
    title: "A server waits for one and a half times the Keep Alive in effect",
    why: "A client that respects its own Keep Alive is disconnected: the server uses another value without sending it in CONNACK.",
    binds: Binds::Server,
    severity: Severity::Warn,
    clauses: &[v5("MQTT-3.2.2-22")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 keep_alive=60
< CONNACK
! wait 95s
< DISCONNECT code=0x8d",
        bad: "\
> CONNECT client=c version=5 keep_alive=60
< CONNACK
! wait 30s
< DISCONNECT code=0x8d",
        cut: "\
> CONNECT client=c version=5 keep_alive=60
< CONNACK
! gap 2 >
! wait 30s
< DISCONNECT code=0x8d",
    },
    check: Check::Frame(&[P::Disconnect], dropped_early),
};

fn dropped_early(f: &FrameFacts<'_>) -> Judged {
    let keep_alive = f.connection.keep_alive()?;
    let last = f.connection.latest[Up]?;
    let silent = f.frame.time.since(last.time);
    let early = f.frame.direction == Down
        && f.frame.version == Version::V5
        && f.frame.packet.code() == Some(0x8d)
        && silent + Duration::from_secs(2) < keep_alive * 3 / 2;
    early.then(|| {
        warning(format!(
            "expected the server to wait for {} s, found DISCONNECT 0x8d (Keep Alive timeout) after {:.1} s",
            (keep_alive * 3 / 2).as_secs(),
            silent.as_secs_f64()
        ))
        .at(last.packet)
        .unless(f.any_doubt())
        .unless_when(f.set_back, Reason::Clock)
    })
}
