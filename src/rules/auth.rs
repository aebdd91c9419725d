//! Enhanced authentication of 5.0: AUTH and its method.

use crate::event::Side;
use crate::facts::properties as p;
use crate::facts::{FrameFacts, Opening, Reason};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{ControlPacket, PacketType as P};

use super::clause::{Case, v5};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, violation};

pub(super) static RULES: &[&Rule] = &[
    &AUTH_ONLY,
    &AUTH_CODE,
    &AUTH_METHOD,
    &AUTH_UNASKED,
    &AUTH_TURNS,
];

static AUTH_ONLY: Rule = Rule {
    id: "auth-only",
    title: "Before CONNACK, a client that authenticates by AUTH sends only AUTH and DISCONNECT",
    why: "The server has not authenticated the client yet.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.1.2-30")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c version=5 authentication_method=M
+ PINGREQ
< AUTH code=0x18 authentication_method=M",
        cut: "\
> CONNECT client=c version=5 authentication_method=M
! gap 40 <
> PINGREQ",
    },
    check: Check::Frame(&P::ALL, auth_only),
};

fn auth_only(f: &FrameFacts<'_>) -> Judged {
    let facts = f.connection;
    let opening = facts
        .opening
        .as_ref()
        .filter(|_| facts.accepted.is_none())?;
    let kind = f.frame.header.packet_type();
    let allowed = matches!(kind, P::Auth | P::Disconnect | P::Connect);
    (f.frame.direction == Up && opening.auth_method.is_some() && !allowed).then(|| {
        violation(format!(
            "expected AUTH or DISCONNECT before CONNACK, found {kind}"
        ))
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

static AUTH_CODE: Rule = Rule {
    id: "auth-code",
    title: "During authentication AUTH has 0x18 (Continue authentication)",
    why: "Any other code ends or restarts an exchange that is not complete.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-4.12.0-2").by(Side::Server),
        v5("MQTT-4.12.0-3").by(Side::Client),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M",
        bad: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x00 authentication_method=M",
        cut: "\
> CONNECT client=c version=5 authentication_method=M
! gap 40 <
< AUTH code=0x00 authentication_method=M
< AUTH code=0x00 authentication_method=M",
    },
    check: Check::Frame(&[P::Auth], auth_code),
};

fn auth_code(f: &FrameFacts<'_>) -> Judged {
    let facts = f.connection;
    let opening = facts
        .opening
        .as_ref()
        .filter(|_| facts.accepted.is_none())?;
    let code = f.frame.packet.code().unwrap_or(0);
    (opening.auth_method.is_some() && code != 0x18).then(|| {
        violation(format!(
            "expected 0x18 in AUTH before CONNACK, found 0x{code:02x}"
        ))
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

static AUTH_METHOD: Rule = Rule {
    id: "auth-method",
    title: "AUTH and CONNACK repeat the Authentication Method of CONNECT",
    why: "A change of method during the exchange is the sign of a downgrade attack.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-4.12.0-5"),
        v5("MQTT-4.12.1-1").when(Case::Reauthentication),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M",
        bad: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=N",
        cut: "\
! midstream
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=N",
    },
    check: Check::Frame(&[P::Auth, P::Connack], auth_method),
};

fn auth_method(f: &FrameFacts<'_>) -> Judged {
    let opening = f.connection.opening.as_ref()?;
    let method = opening.auth_method.as_deref()?;
    let found = p::bytes(f.frame.packet.properties(), p::AUTH_METHOD);
    let wrong = match (&f.frame.packet, &found) {
        (ControlPacket::Connack(connack), found) => {
            connack.code == Some(0) && found.as_deref() != Some(method)
        }
        // A missing Authentication Method is a rule of its own.
        (_, found) => found.as_deref().is_some_and(|found| found != method),
    };
    let again = f.frame.packet.code() == Some(0x19);
    wrong.then(|| {
        violation(format!(
            "expected the Authentication Method of CONNECT, found {} in {}",
            if found.is_some() { "another" } else { "none" },
            f.frame.header.packet_type()
        ))
        .at(opening.seen.packet)
        .about(again.then_some(Case::Reauthentication))
        .unless(f.any_doubt())
        .unless_when(found.is_none() && f.frame.missing > 0, Reason::Clipped)
    })
}

static AUTH_UNASKED: Rule = Rule {
    id: "auth-unasked",
    title: "Without an Authentication Method in CONNECT there is no AUTH",
    why: "The other side has no method for its answer.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v5("MQTT-4.12.0-6").by(Side::Server),
        v5("MQTT-4.12.0-7").by(Side::Client),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK",
        bad: "\
> CONNECT client=c version=5
< CONNACK
> AUTH code=0x19 authentication_method=M",
        cut: "\
! midstream
> CONNECT client=c version=5
< CONNACK
> AUTH code=0x19 authentication_method=M",
    },
    check: Check::Frame(&[P::Auth, P::Connack], auth_unasked),
};

fn auth_unasked(f: &FrameFacts<'_>) -> Judged {
    let opening: &Opening = f.connection.opening.as_ref()?;
    let kind = f.frame.header.packet_type();
    let method = p::has(f.frame.packet.properties(), p::AUTH_METHOD);
    let unasked = opening.auth_method.is_none() && opening.whole && (kind == P::Auth || method);
    unasked.then(|| {
        violation(format!(
            "expected no {}, because CONNECT had no Authentication Method, found one",
            if kind == P::Auth {
                "AUTH"
            } else {
                "Authentication Method in CONNACK"
            }
        ))
        .at(opening.seen.packet)
        .unless(f.any_doubt())
    })
}

static AUTH_TURNS: Rule = Rule {
    id: "auth-turns",
    title: "After CONNACK only the client starts re-authentication, and the sides alternate",
    why: "An unexpected AUTH is a protocol error for the other side.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v5("U-3.15-2")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M
> AUTH code=0x19 authentication_method=M
< AUTH code=0x00 authentication_method=M",
        bad: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M
< AUTH code=0x18 authentication_method=M",
        cut: "\
> CONNECT client=c version=5 authentication_method=M
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< CONNACK authentication_method=M
! gap 40 >
< AUTH code=0x18 authentication_method=M
> AUTH code=0x18 authentication_method=M
< AUTH code=0x18 authentication_method=M",
    },
    check: Check::Frame(&[P::Auth], auth_turns),
};

fn auth_turns(f: &FrameFacts<'_>) -> Judged {
    let facts = f.connection;
    let opening = facts.opening.as_ref()?;
    facts.accepted.as_ref().filter(|a| a.accepted())?;
    let code = f.frame.packet.code().unwrap_or(0);
    let wrong = match f.frame.direction {
        Up => code == 0x18 && !facts.auth_continues,
        Down => !facts.reauthenticating,
    };
    (wrong && opening.auth_method.is_some()).then(|| {
        violation(format!(
            "expected AUTH 0x19 from the client before any other, found 0x{code:02x}"
        ))
        .unless(f.any_doubt())
    })
}
