//! [`ExchangeFact`]: the place of a control packet in its exchange.
//!
//! | exchange | opened by | continued by | completed by |
//! |---|---|---|---|
//! | `Connect` | CONNECT | AUTH | CONNACK |
//! | `Publish` | PUBLISH of QoS 1, 2 | PUBREC, PUBREL | PUBACK, PUBCOMP, PUBREC of 0x80 and above |
//! | `Subscribe` | SUBSCRIBE | | SUBACK |
//! | `Unsubscribe` | UNSUBSCRIBE | | UNSUBACK |
//! | `Ping` | PINGREQ | | PINGRESP |
//! | `Auth` | AUTH 0x19 | AUTH 0x18 | AUTH 0x00 |

use std::time::Duration;

use crate::frame::{Direction, MQTTFrame};

use super::doubt::Doubt;
use super::seen::Seen;

/// The kinds of exchanges.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ExchangeKind {
    /// CONNECT and CONNACK, with AUTH between them.
    Connect,
    /// A message of QoS 1 or 2.
    Publish,
    /// SUBSCRIBE and SUBACK.
    Subscribe,
    /// UNSUBSCRIBE and UNSUBACK.
    Unsubscribe,
    /// PINGREQ and PINGRESP.
    Ping,
    /// Re-authentication (5.0: 4.12.1).
    Auth,
}

/// What a control packet does in its exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It begins the exchange.
    Opens,
    /// It is a duplicate: its first packet again, or an answer again.
    Repeats,
    /// It is the next step, and others follow.
    Continues,
    /// It is the last step.
    Completes,
    /// The exchange with its identifier expects another packet.
    Unexpected,
    /// No exchange with its identifier is known.
    Unknown,
}

/// A control packet's place in its exchange.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeFact {
    /// What the exchange is for.
    pub kind: ExchangeKind,
    /// The direction of its first packet.
    pub asked: Direction,
    /// What this packet does in it.
    pub role: Role,
    /// Its first packet; `None` if none is known: [`Role::Unknown`].
    pub first: Option<First>,
    /// The [`First::slot`] of an exchange that ends here without completion,
    /// because this packet opens another with the same identifier.
    pub replaced: Option<u32>,
    /// Why the packet may belong to an exchange that was not captured: bytes
    /// are missing in which its identifier may have been used again.
    pub doubt: Doubt,
}

/// The packet that opened an exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct First {
    /// Number of the exchange, from 1 in the order of their first packets.
    pub number: u64,
    /// A small number for tables beside the exchanges. No two exchanges that can
    /// still be answered have the same; it is used again after that.
    /// [`Role::Opens`] comes before every other use.
    pub slot: u32,
    /// Where and when it was seen.
    pub seen: Seen,
    /// Its QoS; 0 unless it is a PUBLISH.
    pub qos: u8,
}

impl ExchangeFact {
    /// Whether it is the exchange of a message.
    pub fn is_message(&self) -> bool {
        self.kind == ExchangeKind::Publish
    }

    /// Time from the first packet of the exchange to `frame`, both complete.
    pub fn since_first(&self, frame: &MQTTFrame<'_>) -> Option<Duration> {
        Some(frame.time.since(self.first?.seen.time))
    }
}
