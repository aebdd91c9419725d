//! The fixed header: packet type, flags and Remaining Length.

use serde::{Deserialize, Serialize};

use std::fmt;

use super::varint::{self, Varint};

/// MQTT Control Packet type, the upper four bits of the first byte.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum PacketType {
    /// 0, forbidden in every version; represented so that it can be shown.
    Reserved = 0,
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    /// 15, forbidden before MQTT 5.0.
    Auth = 15,
}

impl PacketType {
    /// All types, by number.
    pub const ALL: [Self; 16] = [
        Self::Reserved,
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];

    /// The type of the packet that answers it; `qos` is that of a PUBLISH.
    /// SUBACK answers SUBSCRIBE, PUBCOMP answers PUBREL, nothing answers a
    /// PUBLISH of QoS 0.
    ///
    /// ```
    /// use mqttdump::mqtt::PacketType;
    ///
    /// assert_eq!(PacketType::Publish.answered_by(1), Some(PacketType::Puback));
    /// assert_eq!(PacketType::Puback.answered_by(0), None);
    /// ```
    pub const fn answered_by(self, qos: u8) -> Option<Self> {
        match (self, qos) {
            (Self::Connect, _) => Some(Self::Connack),
            (Self::Publish, 1) => Some(Self::Puback),
            (Self::Publish, 2) => Some(Self::Pubrec),
            (Self::Pubrec, _) => Some(Self::Pubrel),
            (Self::Pubrel, _) => Some(Self::Pubcomp),
            (Self::Subscribe, _) => Some(Self::Suback),
            (Self::Unsubscribe, _) => Some(Self::Unsuback),
            (Self::Pingreq, _) => Some(Self::Pingresp),
            _ => None,
        }
    }

    /// The specification's name, in capitals.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "RESERVED",
            Self::Connect => "CONNECT",
            Self::Connack => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::Puback => "PUBACK",
            Self::Pubrec => "PUBREC",
            Self::Pubrel => "PUBREL",
            Self::Pubcomp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::Suback => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::Unsuback => "UNSUBACK",
            Self::Pingreq => "PINGREQ",
            Self::Pingresp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }

    /// The type of a control packet with this first byte.
    pub const fn of(first: u8) -> Self {
        Self::ALL[(first >> 4) as usize]
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The fixed header as on the wire. Values are numbers, so that QoS 3 and
/// packet type 0 can be shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FixedHeader {
    /// The first byte: type in the upper half, flags in the lower.
    pub first: u8,
    /// Bytes the Remaining Length took, 1 to 4.
    pub length_bytes: u8,
    /// Remaining Length, 0 to 268,435,455.
    pub remaining_length: u32,
}

impl FixedHeader {
    /// Decodes the fixed header at the start of `bytes`, if it is complete and
    /// its length is valid.
    #[inline]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (&first, rest) = bytes.split_first()?;
        match varint::decode(rest) {
            Varint::Value { value, bytes } => Some(Self {
                first,
                length_bytes: bytes,
                remaining_length: value,
            }),
            Varint::Incomplete | Varint::Malformed => None,
        }
    }

    /// The packet type.
    pub const fn packet_type(self) -> PacketType {
        PacketType::of(self.first)
    }

    /// The lower four bits of the first byte.
    pub const fn flags(self) -> u8 {
        self.first & 0x0f
    }

    /// Bits 2-1 of the first byte, 0 to 3, whatever the packet type.
    pub const fn qos(self) -> u8 {
        (self.first >> 1) & 3
    }

    /// Bit 3 of the first byte, whatever the packet type.
    pub const fn dup(self) -> bool {
        self.first & 0x08 != 0
    }

    /// Bit 0 of the first byte, whatever the packet type.
    pub const fn retain(self) -> bool {
        self.first & 0x01 != 0
    }

    /// Bytes of the fixed header, 2 to 5.
    pub const fn header_len(self) -> usize {
        1 + self.length_bytes as usize
    }

    /// Bytes of the whole control packet.
    pub const fn packet_len(self) -> u64 {
        self.header_len() as u64 + self.remaining_length as u64
    }
}

/// The notation of this project's founding document, letter for letter:
/// `MQTTFrame { type: PUBREL, qos: AT_LEAST_ONCE, dup:false }`.
impl fmt::Display for FixedHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MQTTFrame { type: ")?;
        f.write_str(self.packet_type().name())?;
        f.write_str(", qos: ")?;
        f.write_str(qos_name(self.qos()))?;
        f.write_str(if self.dup() {
            ", dup:true }"
        } else {
            ", dup:false }"
        })
    }
}

/// `AT_MOST_ONCE`, `AT_LEAST_ONCE`, `EXACTLY_ONCE`, or `RESERVED` for 3.
pub const fn qos_name(qos: u8) -> &'static str {
    match qos {
        0 => "AT_MOST_ONCE",
        1 => "AT_LEAST_ONCE",
        2 => "EXACTLY_ONCE",
        _ => "RESERVED",
    }
}
