//! MQTT over WebSocket: binary messages, and the subprotocol's name.
//!
//! The opening handshake is read before all packets, or not at all, so its content is
//! certain.

use crate::facts::{Cause, FrameFacts, StillOpen};
use crate::frame::Direction::{Down, Up};
use crate::mqtt::PacketType as P;

use super::clause::{v5, v311};
use super::rule::{Binds, Check, Examples, Rule, Severity};
use super::verdict::{Judged, violation};

pub(super) static RULES: &[&Rule] = &[
    &WEBSOCKET_TEXT,
    &WEBSOCKET_TEXT_ACCEPTED,
    &SUBPROTOCOL_NOT_OFFERED,
    &SUBPROTOCOL_NOT_SELECTED,
];

/// The name of the subprotocol, of 3.1.1 and 5.0. That of 3.1, which no
/// specification has, is mqttv3.1.
const MQTT: &str = "mqtt";

static WEBSOCKET_TEXT: Rule = Rule {
    id: "websocket-text",
    title: "Over WebSocket, control packets are in binary messages",
    why: "Text has to be UTF-8, and control packets are not: a browser, a proxy or a server closes the connection at the first byte that is not UTF-8.",
    binds: Binds::Both,
    severity: Severity::Fatal,
    clauses: &[v311("MQTT-6.0.0-1"), v5("MQTT-6.0.0-1")],
    examples: Examples {
        good: "\
! websocket
> CONNECT client=c
< CONNACK
> PINGREQ
< PINGRESP",
        bad: "\
! websocket
> CONNECT client=c
< CONNACK
! text
> PINGREQ",
        cut: "",
    },
    check: Check::OverWebSocket(&P::ALL, websocket_text),
};

fn websocket_text(f: &FrameFacts<'_>) -> Judged {
    let packet = f.connection.text[f.frame.direction]?;
    Some(
        violation("expected a binary message of the WebSocket, found a text message")
            .at(packet)
            .unless(f.doubt_of_sender()),
    )
}

static WEBSOCKET_TEXT_ACCEPTED: Rule = Rule {
    id: "websocket-text-accepted",
    title: "A receiver of other than binary messages over WebSocket closes the connection",
    why: "A server that accepts it hides a client that will fail with another server.",
    binds: Binds::Both,
    severity: Severity::Error,
    clauses: &[v311("MQTT-6.0.0-1"), v5("MQTT-6.0.0-1")],
    examples: Examples {
        good: "\
! websocket
> CONNECT client=c
< CONNACK
! text
> PUBLISH topic=a
! fin <",
        bad: "\
! websocket
> CONNECT client=c
< CONNACK
! text
> PUBLISH topic=a
! wait 30s
> PINGREQ
< PINGRESP",
        cut: "\
! websocket
> CONNECT client=c
< CONNACK
! gap 40 <
! text
> PUBLISH topic=a
! wait 10s
> PINGREQ
< PINGRESP
! wait 10s
> PINGREQ
< PINGRESP",
    },
    check: Check::StillOpen(websocket_text_accepted),
};

fn websocket_text_accepted(f: &StillOpen<'_>) -> Judged {
    (f.due.cause == Cause::TextMessage).then(|| {
        violation(format!(
            "expected the connection to be closed over a text message, found it open {} s later",
            f.open_for.as_secs()
        ))
        .at(f.due.seen.packet)
        .unless(f.connection.any_doubt())
    })
}

static SUBPROTOCOL_NOT_OFFERED: Rule = Rule {
    id: "subprotocol-not-offered",
    title: "A client offers the WebSocket subprotocol mqtt",
    why: "A server with several protocols on its port cannot select one, and one that follows the standard refuses.",
    binds: Binds::Client,
    severity: Severity::Error,
    clauses: &[v311("MQTT-6.0.0-3"), v5("MQTT-6.0.0-3")],
    examples: Examples {
        good: "\
! websocket offer=mqttv3.1,mqtt
> CONNECT client=c",
        bad: "\
! websocket offer=mqttv3.1 select=mqttv3.1
> CONNECT client=c",
        cut: "",
    },
    check: Check::OverWebSocket(&[P::Connect], subprotocol_not_offered),
};

fn subprotocol_not_offered(f: &FrameFacts<'_>) -> Judged {
    let opening = f.frame.connection.websocket.as_deref()?;
    // If the request is unknown, nothing looks wrong.
    let known = opening.path.is_some() && f.frame.direction == Up;
    let offered = opening.offered.iter().any(|name| name == MQTT);
    (known && !offered).then(|| {
        violation(match opening.offered.as_slice() {
            [] => "expected the client to offer the subprotocol mqtt, found none".to_owned(),
            names => format!(
                "expected the client to offer the subprotocol mqtt, found {}",
                names.join(", ")
            ),
        })
        .unless(f.doubt_of_sender())
    })
}

static SUBPROTOCOL_NOT_SELECTED: Rule = Rule {
    id: "subprotocol-not-selected",
    title: "A server selects the WebSocket subprotocol mqtt",
    why: "Browsers close the connection if the server selects a protocol that was not offered, and client libraries if it selects none.",
    binds: Binds::Server,
    severity: Severity::Error,
    clauses: &[v311("MQTT-6.0.0-4"), v5("MQTT-6.0.0-4")],
    examples: Examples {
        good: "\
! websocket
> CONNECT client=c
< CONNACK",
        bad: "\
! websocket select=
> CONNECT client=c
< CONNACK",
        cut: "",
    },
    check: Check::OverWebSocket(&[P::Connack], subprotocol_not_selected),
};

fn subprotocol_not_selected(f: &FrameFacts<'_>) -> Judged {
    let opening = f.frame.connection.websocket.as_deref()?;
    // A protocol that was not offered must not be selected (RFC 6455, 4.2.2).
    let offered = opening.offered.iter().any(|name| name == MQTT);
    let known = opening.status.is_some() && f.frame.direction == Down;
    (known && offered && opening.selected.as_deref() != Some(MQTT)).then(|| {
        violation(match &opening.selected {
            None => "expected the server to select the subprotocol mqtt, found none".to_owned(),
            Some(name) => {
                format!("expected the server to select the subprotocol mqtt, found {name}")
            }
        })
        .unless(f.doubt_of_sender())
    })
}
