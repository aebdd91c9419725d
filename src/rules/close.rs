//! How a connection ends: DISCONNECT, and closes that have to follow.

use crate::event::Side;
use crate::facts::{Cause, FrameFacts, Reason, StillOpen, Stream};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{DefectCode, PacketType as P, Version};

use super::clause::{About, Case, v5, v31, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, violation};

pub(super) static RULES: &[&Rule] = &[
    &AFTER_DISCONNECT,
    &DISCONNECT_THEN_CLOSE,
    &SECOND_CONNECT_CLOSE,
    &FAULT_THEN_CLOSE,
    &SERVER_DISCONNECT_EARLY,
    &UNFRAMED,
];

static AFTER_DISCONNECT: Rule = Rule {
    id: "after-disconnect",
    title: "Nothing is sent after DISCONNECT",
    why: "The other side has closed the connection already, so the message is lost silently.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.14.4-2"), v5("MQTT-3.14.4-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> DISCONNECT",
        bad: "\
> CONNECT client=c
< CONNACK
> DISCONNECT
> PUBLISH topic=a",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 >
> DISCONNECT
> PUBLISH topic=a qos=1 id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=1",
    },
    check: Check::Frame(&P::ALL, after_disconnect),
};

fn after_disconnect(f: &FrameFacts<'_>) -> Judged {
    let frame = f.frame;
    let (before, _) = f.connection.disconnect[frame.direction]?;
    // Before 5.0 a server has no DISCONNECT.
    if frame.direction == Down && frame.version != Version::V5 {
        return None;
    }
    Some(
        violation(format!(
            "expected nothing after DISCONNECT, found {}",
            frame.header.packet_type()
        ))
        .at(before.packet)
        .unless(f.doubt_of_sender()),
    )
}

static DISCONNECT_THEN_CLOSE: Rule = Rule {
    id: "disconnect-then-close",
    title: "The sender of DISCONNECT closes the connection",
    why: "The socket stays open on both sides until a timer closes it.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.14.4-1"),
        v5("MQTT-4.12.1-2").when(Case::Reauthentication),
        v5("MQTT-4.13.2-1").when(Case::Error),
        v5("MQTT-3.14.4-2"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> DISCONNECT
! fin >",
        bad: "\
> CONNECT client=c
< CONNACK
> DISCONNECT
! wait 10s
< PINGRESP
! wait 10s
< PINGRESP",
        cut: "\
! midstream
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2
> DISCONNECT
! wait 10s
< PINGRESP
! wait 10s
< PINGRESP",
    },
    check: Check::StillOpen(disconnect_then_close),
};

fn disconnect_then_close(f: &StillOpen<'_>) -> Judged {
    (f.due.cause == Cause::Disconnected).then(|| {
        let code = f.connection.disconnect[f.due.by].map_or(0, |(_, code)| code);
        let about = match (f.connection.reauthenticating, code) {
            (true, _) => Some(Case::Reauthentication),
            (false, 0x80..) => Some(Case::Error),
            _ => None,
        };
        violation(format!(
            "expected the {} to close after its DISCONNECT, found the connection open {} s later",
            if f.due.by == Up { "client" } else { "server" },
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .about(about)
        .unless(f.connection.any_doubt())
    })
}

static SECOND_CONNECT_CLOSE: Rule = Rule {
    id: "second-connect-then-close",
    title: "A server closes the connection after a second CONNECT",
    why: "A server that accepts it may change the identity of a connection after the access check.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.1.0-2"), v5("MQTT-3.1.0-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> CONNECT client=c
! fin <",
        bad: "\
> CONNECT client=c
< CONNACK
> CONNECT client=c
! wait 30s
> PINGREQ
< PINGRESP",
        cut: "\
! midstream
> CONNECT client=c
< CONNACK
> CONNECT client=c
! wait 30s
> PINGREQ
< PINGRESP",
    },
    check: Check::StillOpen(second_connect_then_close),
};

fn second_connect_then_close(f: &StillOpen<'_>) -> Judged {
    (f.due.cause == Cause::SecondConnect).then(|| {
        violation(format!(
            "expected the server to close over a second CONNECT, found the connection open {} s later",
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .unless(f.connection.any_doubt())
    })
}

static FAULT_THEN_CLOSE: Rule = Rule {
    id: "fault-then-close",
    title: "The receiver of a malformed packet closes the connection",
    why: "A receiver that continues has guessed, and the two sides may interpret everything that follows differently. How strict a receiver has to be is not visible, so it is a warning except where the specification demands the check.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[
        v311("MQTT-2.2.2-2").when(Case::Defect(DefectCode::ReservedFlags)),
        v311("MQTT-3.14.1-1").when(Case::Defect(DefectCode::ReservedFlags)),
        v311("MQTT-1.5.3-1").when(Case::Defect(DefectCode::BadUtf8)),
        v311("MQTT-1.5.3-2").when(Case::Defect(DefectCode::NulInString)),
        v311("MQTT-3.3.1-4").when(Case::Defect(DefectCode::Qos3)),
        v311("MQTT-3.1.4-1").packet(P::Connect),
        v311("MQTT-3.1.2-3").when(Case::Defect(DefectCode::ReservedConnectFlag)),
        v311("MQTT-3.1.2-1").when(Case::Defect(DefectCode::UnknownProtocol)),
        v311("MQTT-4.8.0-1"),
        v5("MQTT-3.14.1-1").when(Case::Defect(DefectCode::ReservedFlags)),
        v5("MQTT-3.1.4-1").packet(P::Connect),
        v5("MQTT-3.1.2-3").when(Case::Defect(DefectCode::ReservedConnectFlag)),
        v5("MQTT-3.1.2-1").when(Case::Defect(DefectCode::UnknownProtocol)),
        v5("MQTT-4.13.1-1").by(Side::Server),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a dup=1
! fin <",
        bad: "\
> CONNECT client=c
< CONNACK
> PUBLISH topic=a dup=1
! wait 30s
> PINGREQ
< PINGRESP",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 <
> PUBLISH topic=a dup=1
! wait 30s
> PINGREQ
< PINGRESP",
    },
    check: Check::StillOpen(fault_then_close),
};

fn fault_then_close(f: &StillOpen<'_>) -> Judged {
    let (about, certain): (About, bool) = match f.due.cause {
        // Checks that a MUST requires of receivers.
        Cause::Malformed(code) => (Case::Defect(code).into(), code == DefectCode::ReservedFlags),
        Cause::MalformedConnect(code @ DefectCode::ReservedConnectFlag) => {
            (Case::Defect(code).into(), true)
        }
        Cause::MalformedConnect(_) => (P::Connect.into(), false),
        Cause::UnsupportedLevel => (Case::Defect(DefectCode::UnknownProtocol).into(), false),
        Cause::Exceeded(_) => (About::Frame, false),
        _ => return None,
    };
    // 4.13.1 of 5.0 binds servers alone.
    let v5 = f
        .connection
        .opening
        .as_ref()
        .is_some_and(|o| o.version == Version::V5);
    if v5 && f.due.by == Up && !certain {
        return None;
    }
    let what = match f.due.cause {
        Cause::Exceeded(limit) => limit.reason(),
        _ => "a malformed packet",
    };
    Some(
        violation(format!(
            "expected the connection to be closed over {what}, found it open {} s later",
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .about(about)
        .only_warning_if(!certain || v5 || f.connection.opening.is_none())
        .unless(f.connection.any_doubt()),
    )
}

static SERVER_DISCONNECT_EARLY: Rule = Rule {
    id: "server-disconnect-early",
    title: "A server sends DISCONNECT only after accepting the connection with CONNACK",
    why: "A client that is not connected yet does not expect it; a server refuses with CONNACK.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v5("MQTT-3.14.0-1")],
    examples: Examples {
        good: "\
> CONNECT client=c version=5
< CONNACK
< DISCONNECT code=0x8b",
        bad: "\
> CONNECT client=c version=5
< DISCONNECT code=0x8b",
        cut: "\
> CONNECT client=c version=5
! gap 5 <
< DISCONNECT code=0x8b
< DISCONNECT code=0x8b",
    },
    check: Check::Frame(&[P::Disconnect], server_disconnect_early),
};

fn server_disconnect_early(f: &FrameFacts<'_>) -> Judged {
    let facts = f.connection;
    let accepted = facts.accepted.as_ref().is_some_and(|a| a.code < 0x80);
    let opened = facts.opening.is_some();
    (f.frame.direction == Down && f.frame.version == Version::V5 && !accepted && opened).then(
        || {
            violation("expected CONNACK before DISCONNECT from the server, found none that accepts")
                .unless(f.any_doubt())
        },
    )
}

static UNFRAMED: Rule = Rule {
    id: "unframed",
    title: "All bytes on the connection are MQTT control packets",
    why: "After a Remaining Length of five bytes, no receiver can find the next packet.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-2.1-3"), v5("U-2.1-3")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "\
> CONNECT client=c
< CONNACK
> hex 30 ff ff ff ff 01",
        cut: "",
    },
    check: Check::Stream(unframed),
};

fn unframed(f: &Stream<'_>) -> Judged {
    if f.encrypted {
        return None;
    }
    let doubt = f.connection.doubt[f.direction];
    Some(
        violation(f.reason)
            .unless(doubt)
            .unless_when(f.connection.version_assumed, Reason::VersionAssumed)
            // Bytes in which nothing was ever framed may be of another protocol.
            .unless_when(f.connection.frames[f.direction] == 0, Reason::MidStream),
    )
}
