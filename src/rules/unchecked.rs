//! Statements of the specification that no rule checks, or that a rule checks only in
//! part, with the reason. Together with the clauses of the rules they are the complete
//! catalogue, which a test verifies.

use crate::mqtt::Version;
use crate::mqtt::Version::{V3_1_1, V5};

/// A statement that is not, or not wholly, checked.
#[derive(Clone, Copy, Debug)]
pub struct Unchecked {
    /// Of which version.
    pub version: Version,
    /// Its number.
    pub id: &'static str,
    /// Why it is not checked, or which part is not.
    pub why: &'static str,
}

const fn not(version: Version, id: &'static str, why: &'static str) -> Unchecked {
    Unchecked { version, id, why }
}

const ALWAYS_TRUE: &str = "Always true: the length before a string has two bytes.";
const SPLIT: &str =
    "A receiver that rejects a fragmented packet looks like one that closes for any other reason.";
const BY_BYTES: &str = "A delivery is identified by its bytes: one with other bytes is a delivery that \
    matches no subscription (`no-subscription`), and the expected one is `lost-delivery`. \
    That the difference is one of normalisation is not reported.";
const BOM: &str = "A delivery without the bytes is a topic that matches no subscription \
    (`no-subscription`) or an altered property (`properties-altered`); that it is these bytes is not reported.";
const NO_GROUP: &str = "Which members a group has at a moment, and to whom the server offered a message before, \
    is not on the wire of one member; the same payload for another member may be another message.";
const HANDLED: &str =
    "Continued answers cannot be distinguished from ones that the peer was free to delay.";
const CONNECT_LATE: &str =
    "A recommendation with no time: a TCP connection without CONNECT is not known to be MQTT.";

/// Statements that no rule checks.
pub static UNCHECKED: &[Unchecked] = &[
    not(V3_1_1, "MQTT-1.5.3-3", BOM),
    not(V3_1_1, "MQTT-4.7.3-3", ALWAYS_TRUE),
    not(V3_1_1, "MQTT-4.7.3-4", BY_BYTES),
    not(V3_1_1, "MQTT-6.0.0-2", SPLIT),
    not(V3_1_1, "U-3.1-9", CONNECT_LATE),
    not(V5, "MQTT-1.5.4-3", BOM),
    not(
        V5,
        "MQTT-3.1.2-25",
        "That nothing too large is sent is checked (`maximum-packet-size`); a message that was skipped for its \
         size and one that was lost look the same.",
    ),
    not(
        V5,
        "MQTT-3.2.2-4",
        "What a client has stored is not visible; that a server resumes what cannot be there is \
         `session-present-impossible`.",
    ),
    not(
        V5,
        "MQTT-3.3.1-10",
        "A retained message after the second SUBSCRIBE may be one for the first that was still on its way.",
    ),
    not(V5, "MQTT-4.7.3-3", ALWAYS_TRUE),
    not(V5, "MQTT-4.7.3-4", BY_BYTES),
    not(V5, "MQTT-4.8.2-5", NO_GROUP),
    not(V5, "MQTT-4.8.2-6", NO_GROUP),
    not(V5, "MQTT-4.9.0-3", HANDLED),
    not(V5, "MQTT-6.0.0-2", SPLIT),
    not(V5, "U-3.1-9", CONNECT_LATE),
];

/// Statements of which a rule checks only what one connection shows.
pub static PARTLY: &[Unchecked] = &[
    not(
        V5,
        "MQTT-3.3.2-7",
        "Shown where an alias is used that was not set on the connection.",
    ),
    not(
        V5,
        "MQTT-4.3.2-5",
        "That the second message is acknowledged; not what the receiver does with it.",
    ),
    not(
        V5,
        "U-3.2-10",
        "Defines a computation: sessions are identified by it, and no finding is about it alone.",
    ),
];
