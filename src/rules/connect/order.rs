//! What comes first, what comes once, and what follows a refusal.

use crate::event::Side;
use crate::facts::{Cause, FrameFacts, Opening, Reason, StillOpen};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::{PacketType as P, Version};

use super::super::clause::{Case, v5, v31, v311};
use super::super::rule::{Binds, Check, Examples, Rule, Severity};
use super::super::verdict::{Judged, violation};

pub(super) static CONNECT_FIRST: Rule = Rule {
    id: "connect-first",
    title: "The first packet from a client is CONNECT",
    why: "Packets before it are ignored at best. The usual cause is a client that assumes it is already connected.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.1.0-1"), v5("MQTT-3.1.0-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "> PUBLISH topic=a payload=x",
        cut: "\
! gap 40 >
> PUBLISH topic=a qos=1 id=1
< PUBACK id=1
> PUBLISH topic=a qos=1 id=2
< PUBACK id=2",
    },
    check: Check::Frame(&P::ALL, connect_first),
};

fn connect_first(f: &FrameFacts<'_>) -> Judged {
    let (frame, facts) = (f.frame, f.connection);
    // If the capture starts in the middle of a connection, its CONNECT was before it:
    // nothing looks wrong.
    let first = frame.connection.from_start[Up] && frame.direction == Up && facts.frames[Up] == 0;
    (first && frame.header.packet_type() != P::Connect).then(|| {
        let at_start = frame.offset == 0;
        violation(format!(
            "expected CONNECT as the first packet from the client, found {}",
            frame.header.packet_type()
        ))
        .unless(f.doubt_of_sender())
        .unless_when(!at_start, Reason::Gap)
        // Cut off, a PROXY header looks like PUBREC.
        .unless_when(frame.missing > 0, Reason::Clipped)
        // Without CONNECT the version is unknown, and not needed here.
        .in_any_version()
    })
}

pub(super) static SECOND_CONNECT: Rule = Rule {
    id: "second-connect",
    title: "A client sends CONNECT once on a connection",
    why: "A reconnect that forgot to open a new connection. The server has to treat it as a protocol error.",
    binds: Binds::Client,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("U-3.1-1"), v5("U-3.1-1")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c
< CONNACK
> CONNECT client=c",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 >
> CONNECT client=c",
    },
    check: Check::Frame(&[P::Connect], second_connect),
};

fn second_connect(f: &FrameFacts<'_>) -> Judged {
    let before = f
        .connection
        .opening
        .as_ref()
        .filter(|_| f.frame.direction == Up)?;
    Some(
        violation("expected one CONNECT on a connection, found a second")
            .at(before.seen.packet)
            .unless(f.doubt_of_sender()),
    )
}

pub(super) static CONNACK_FIRST: Rule = Rule {
    id: "connack-first",
    title: "The first packet from a server is CONNACK",
    why: "A client does not know yet whether it was accepted, and may treat anything else as an error. Only AUTH may come before, in 5.0.",
    binds: Binds::Server,
    severity: Severity::Fatal,
    clauses: &[
        v31(),
        v311("MQTT-3.2.0-1"),
        v311("MQTT-3.1.4-4"),
        v5("MQTT-3.2.0-1"),
        v5("MQTT-3.1.4-5"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
+ SUBSCRIBE id=1 filter=a:0
< CONNACK
< SUBACK id=1 codes=0",
        bad: "\
> CONNECT client=c
+ SUBSCRIBE id=1 filter=a:0
< SUBACK id=1 codes=0
< CONNACK",
        cut: "\
> CONNECT client=c
+ SUBSCRIBE id=1 filter=a:0
! gap 4 <
< SUBACK id=1 codes=0
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::Frame(&P::ALL, connack_first),
};

fn connack_first(f: &FrameFacts<'_>) -> Judged {
    let (frame, facts) = (f.frame, f.connection);
    let kind = frame.header.packet_type();
    // If the capture starts in the middle of a connection, its CONNACK was before it:
    // nothing looks wrong.
    let joined = frame.connection.from_start[Down];
    if frame.direction == Up || facts.accepted.is_some() || kind == P::Connack || !joined {
        return None;
    }
    let auth = kind == P::Auth && frame.version == Version::V5;
    // A server may always send the reason before it closes.
    let farewell = kind == P::Disconnect;
    let opening = facts.opening.as_ref();
    (!auth && !farewell && (opening.is_some() || facts.frames[Down] == 0)).then(|| {
        violation(format!(
            "expected CONNACK before anything else from the server, found {kind}"
        ))
        .unless(f.any_doubt())
        .unless_when(opening.is_none(), Reason::MidStream)
    })
}

pub(super) static SECOND_CONNACK: Rule = Rule {
    id: "second-connack",
    title: "A server sends CONNACK once on a connection",
    why: "A client that treats it as a new session discards its state.",
    binds: Binds::Server,
    severity: Severity::Fatal,
    clauses: &[v31(), v311("MQTT-3.2.0-1"), v5("MQTT-3.2.0-2")],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK",
        bad: "\
> CONNECT client=c
< CONNACK
< CONNACK",
        cut: "\
> CONNECT client=c
< CONNACK
! gap 40 <
< CONNACK",
    },
    check: Check::Frame(&[P::Connack], second_connack),
};

fn second_connack(f: &FrameFacts<'_>) -> Judged {
    let before = f
        .connection
        .accepted
        .as_ref()
        .filter(|_| f.frame.direction == Down)?;
    Some(
        violation("expected one CONNACK on a connection, found a second")
            .at(before.seen.packet)
            .unless(f.any_doubt()),
    )
}

pub(super) static ACKS_AFTER_REFUSAL: Rule = Rule {
    id: "acks-after-refusal",
    title: "After refusing with CONNACK, the server processes nothing but AUTH",
    why: "A refused client is served all the same: the access check has no effect.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v31(), v311("MQTT-3.1.4-5"), v5("MQTT-3.1.4-6")],
    examples: Examples {
        good: "\
> CONNECT client=c
+ PUBLISH topic=a qos=1 id=1
< CONNACK code=5
! fin <",
        bad: "\
> CONNECT client=c
+ PUBLISH topic=a qos=1 id=1
< CONNACK code=5
< PUBACK id=1",
        cut: "\
> CONNECT client=c
+ PUBLISH topic=a qos=1 id=1
< CONNACK code=5
! gap 40 <
< PUBACK id=1",
    },
    check: Check::Frame(
        &[
            P::Puback,
            P::Pubrec,
            P::Pubcomp,
            P::Suback,
            P::Unsuback,
            P::Pingresp,
            P::Publish,
        ],
        acks_after_refusal,
    ),
};

fn acks_after_refusal(f: &FrameFacts<'_>) -> Judged {
    let refused = f.connection.accepted.as_ref().filter(|a| !a.accepted())?;
    (f.frame.direction == Down && refused.whole).then(|| {
        violation(format!(
            "expected nothing from the server after its CONNACK with 0x{:02x}, found {}",
            refused.code,
            f.frame.header.packet_type()
        ))
        .at(refused.seen.packet)
        .unless(f.any_doubt())
    })
}

pub(super) static REFUSED_THEN_CLOSE: Rule = Rule {
    id: "refused-then-close",
    title: "A server that refuses a connection closes it",
    why: "Half-open connections fill up connection tables, such as a firewall's.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[
        v31(),
        v311("MQTT-3.2.2-5"),
        v311("MQTT-3.1.3-8").when(Case::EmptyIdentifier),
        v311("MQTT-3.1.3-9").when(Case::Identifier),
        v311("MQTT-3.1.2-2").when(Case::Version),
        v5("MQTT-3.2.2-7"),
        v5("MQTT-3.1.3-8").when(Case::Identifier),
        v5("MQTT-3.1.3-8").when(Case::EmptyIdentifier),
        v5("MQTT-3.1.2-2").when(Case::Version),
        v5("MQTT-4.12.0-1").when(Case::AuthenticationMethod),
        v5("MQTT-4.12.0-4").when(Case::Authentication),
        v5("MQTT-3.1.4-2").when(Case::Credentials),
        v5("MQTT-4.13.2-1"),
    ],
    examples: Examples {
        good: "\
> CONNECT client=c
< CONNACK code=5
! fin <",
        bad: "\
> CONNECT client=c
< CONNACK code=5
! wait 30s
> PINGREQ
< PINGRESP",
        cut: "\
> CONNECT client=c
! gap 2 <
< CONNACK code=5
! wait 30s
> PINGREQ
< PINGRESP
> PINGREQ
< PINGRESP",
    },
    check: Check::StillOpen(refused_then_close),
};

fn refused_then_close(f: &StillOpen<'_>) -> Judged {
    (f.due.cause == Cause::Refused).then(|| {
        let empty = |opening: &Opening| opening.client_id.is_empty();
        let empty = f.connection.opening.as_deref().is_some_and(empty);
        let about = match f.connection.accepted.as_deref().map_or(0, |a| a.code) {
            0x01 | 0x84 => Case::Version,
            0x02 | 0x85 if empty => Case::EmptyIdentifier,
            0x02 | 0x85 => Case::Identifier,
            0x8c => Case::AuthenticationMethod,
            _ if f.connection.auth_continues => Case::Authentication,
            _ => Case::Credentials,
        };
        violation(format!(
            "expected the server to close after its CONNACK, found the connection open {} s later",
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .about(about)
        .by(Side::Server)
        .unless(f.connection.any_doubt())
    })
}
