//! [`Part`]: the exchange of a control packet, and its role there, by its own content.
//!
//! | exchange | opened by | continued by | completed by |
//! |---|---|---|---|
//! | `Connect` | CONNECT | AUTH | CONNACK |
//! | `Publish` | PUBLISH of QoS 1, 2 | PUBREC, PUBREL | PUBACK, PUBCOMP, PUBREC of 0x80 and above |
//! | `Subscribe` | SUBSCRIBE | | SUBACK |
//! | `Unsubscribe` | UNSUBSCRIBE | | UNSUBACK |
//! | `Ping` | PINGREQ | | PINGRESP |
//! | `Auth` | AUTH 0x19 | AUTH 0x18 | AUTH 0x00 |
//!
//! An acknowledgement names its PUBLISH, SUBSCRIBE or UNSUBSCRIBE by Packet
//! Identifier, and identifiers belong to the requesting side: the client's `id
//! 7` and the server's `id 7` are two exchanges. So an exchange has a key
//! (requester, kind, identifier), and an answer has the key with the direction
//! reversed; only PUBREL has the direction of its PUBLISH.

use crate::frame::{Direction, MQTTFrame};
use crate::mqtt::{ControlPacket, PacketType};

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

/// Role of a control packet in its exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Action {
    /// It opens the exchange, or repeats the opening if DUP is set.
    Asks { dup: bool },
    /// PUBREC, PUBREL, AUTH 0x18.
    Continues,
    /// It is the last packet of the exchange: of a message of this QoS, if it is
    /// a message.
    Completes { qos: Option<u8> },
}

/// Exchange and role of a control packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Part {
    /// Kind of the exchange. AUTH counts as `Auth`, also between CONNECT and CONNACK.
    pub(super) kind: ExchangeKind,
    /// The direction of the packet that opens the exchange.
    pub(super) asked: Direction,
    /// Role of the packet.
    pub(super) action: Action,
}

impl Part {
    /// The part of a frame; `None` for PUBLISH of QoS 0 and DISCONNECT, which
    /// belong to no exchange.
    #[inline]
    pub(super) fn of(frame: &MQTTFrame<'_>) -> Option<Self> {
        use Action::{Asks, Completes, Continues};
        use ExchangeKind as K;
        let asks = Asks {
            dup: frame.header.dup(),
        };
        let answers = Completes { qos: None };
        let (kind, action) = match frame.header.packet_type() {
            PacketType::Publish if frame.header.qos() == 0 => return None,
            PacketType::Publish => (K::Publish, asks),
            PacketType::Puback => (K::Publish, Completes { qos: Some(1) }),
            PacketType::Pubrec if failed(frame) => (K::Publish, Completes { qos: Some(2) }),
            PacketType::Pubrec | PacketType::Pubrel => (K::Publish, Continues),
            PacketType::Pubcomp => (K::Publish, Completes { qos: Some(2) }),
            PacketType::Subscribe => (K::Subscribe, asks),
            PacketType::Suback => (K::Subscribe, answers),
            PacketType::Unsubscribe => (K::Unsubscribe, asks),
            PacketType::Unsuback => (K::Unsubscribe, answers),
            PacketType::Connect => (K::Connect, Asks { dup: false }),
            PacketType::Connack => (K::Connect, answers),
            PacketType::Pingreq => (K::Ping, Asks { dup: false }),
            PacketType::Pingresp => (K::Ping, answers),
            PacketType::Auth => return Self::of_auth(frame),
            PacketType::Disconnect | PacketType::Reserved => return None,
        };
        let goes_with_question = match action {
            Asks { .. } => true,
            Continues => frame.header.packet_type() == PacketType::Pubrel,
            Completes { .. } => false,
        };
        let asked = match goes_with_question {
            true => frame.direction,
            false => frame.direction.reversed(),
        };
        Some(Self {
            kind,
            asked,
            action,
        })
    }

    /// The client starts to re-authenticate, and the server completes it.
    fn of_auth(frame: &MQTTFrame<'_>) -> Option<Self> {
        let ControlPacket::Auth(auth) = &frame.packet else {
            return None;
        };
        Some(Self {
            kind: ExchangeKind::Auth,
            asked: Direction::Up,
            action: match (auth.code.unwrap_or(0), frame.direction) {
                (0x19, Direction::Up) => Action::Asks { dup: false },
                (0, Direction::Down) => Action::Completes { qos: None },
                _ => Action::Continues,
            },
        })
    }
}

/// Whether a packet carries a Reason Code of 0x80 or above.
pub(super) fn failed(frame: &MQTTFrame<'_>) -> bool {
    frame.packet.code().is_some_and(|code| code >= 0x80)
}
