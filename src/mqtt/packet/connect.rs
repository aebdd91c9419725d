//! CONNECT (3.1.1: 3.1; 5.0: 3.1): read by its own protocol level, whatever the
//! connection was taken for.

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::super::text::Text;
use super::super::version::Version;

/// CONNECT (3.1.1: 3.1; 5.0: 3.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect<'a> {
    /// `MQTT` or `MQIsdp`.
    pub protocol_name: Option<Text<'a>>,
    /// Protocol level as on the wire, bridge bit included.
    pub protocol_level: Option<u8>,
    /// Connect Flags.
    pub flags: Option<u8>,
    /// Keep Alive in seconds, 0 for none.
    pub keep_alive: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// Client Identifier.
    pub client_id: Option<Text<'a>>,
    /// The will, if its flag is set.
    pub will: Option<Will<'a>>,
    /// User name, if its flag is set and it was there.
    pub username: Option<Text<'a>>,
    /// Password, if its flag is set and it was there.
    pub password: Option<&'a [u8]>,
}

/// The will of a CONNECT; QoS and retain are in the connect flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Will<'a> {
    /// Will Properties of 5.0.
    pub properties: Properties<'a>,
    /// Will Topic.
    pub topic: Option<Text<'a>>,
    /// Will Payload (5.0), Will Message (3.x).
    pub payload: Option<&'a [u8]>,
    /// Will QoS, bits 4-3 of the connect flags, 0 to 3.
    pub qos: u8,
    /// Will Retain, bit 5.
    pub retain: bool,
}

/// Bits of the Connect Flags.
const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_QOS: u8 = 0x18;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

impl<'a> Connect<'a> {
    /// The version it asks for, the bridge bit left aside.
    pub fn version(&self) -> Option<Version> {
        self.protocol_level.and_then(Version::from_level)
    }

    /// Whether a mosquitto bridge sent it: bit 7 of the protocol level.
    pub fn bridge(&self) -> bool {
        self.protocol_level.is_some_and(|level| level & 0x80 != 0)
    }

    /// Clean Start (5.0), Clean Session (3.x).
    pub fn clean_start(&self) -> Option<bool> {
        Some(self.flags? & CLEAN_START != 0)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut connect = Self::default();
        let at = reader.offset();
        connect.protocol_name = reader.text("Protocol Name");
        connect.protocol_level = reader.byte("Protocol Level");
        if let (Some(name), Some(level)) = (connect.protocol_name, connect.protocol_level) {
            let version = connect.version();
            let right = match version {
                Some(Version::V3_1) => name.bytes() == b"MQIsdp",
                Some(_) => name.bytes() == b"MQTT",
                None => false,
            };
            if !right {
                reader.defect(
                    "unknown-protocol",
                    at,
                    format_args!(
                        "expected MQIsdp level 3, MQTT level 4 or MQTT level 5, found {} level {level}",
                        name.lossy().escape_debug()
                    ),
                );
            }
            reader.version = version.unwrap_or(Version::V3_1_1);
        }
        let at = reader.offset();
        connect.flags = reader.byte("Connect Flags");
        let flags = connect.flags.unwrap_or(0);
        check_flags(reader, at, flags);
        connect.keep_alive = reader.number("Keep Alive");
        if reader.v5() {
            let place = Place::Packet(PacketType::Connect);
            connect.properties = Properties::read(reader, place, |_, _| {}).0;
        }
        connect.client_id = reader.text("Client Identifier");
        if flags & WILL != 0 {
            let mut will = Will {
                qos: (flags & WILL_QOS) >> 3,
                retain: flags & WILL_RETAIN != 0,
                ..Will::default()
            };
            if reader.v5() {
                will.properties = Properties::read(reader, Place::Will, |_, _| {}).0;
            }
            let at = reader.offset();
            will.topic = reader.topic_name("Will Topic");
            if let Some(topic) = will.topic {
                reader.check_not_empty("Will Topic", at, topic);
            }
            will.payload = reader.binary("Will Payload");
            connect.will = Some(will);
        }
        // 3.1 tolerates flags without their fields: Remaining Length wins.
        let tolerant = reader.version == Version::V3_1;
        if flags & USERNAME != 0 && !(tolerant && reader.left() == 0) {
            connect.username = reader.text("User Name");
        }
        if flags & PASSWORD != 0 && !(tolerant && reader.left() == 0) {
            connect.password = reader.binary("Password");
        }
        connect
    }
}

fn check_flags(reader: &mut Reader<'_>, at: u32, flags: u8) {
    if flags & RESERVED != 0 && reader.version != Version::V3_1 {
        reader.defect(
            "reserved-connect-flag",
            at,
            format_args!("Connect Flags: expected bit 0 clear, found 0x{flags:02x}"),
        );
    }
    if flags & WILL_QOS == WILL_QOS {
        reader.defect(
            "qos-3",
            at,
            format_args!("Will QoS: expected 0 to 2, found 3"),
        );
    }
    if flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0 && reader.version != Version::V3_1
    {
        reader.defect(
            "will-flags",
            at,
            format_args!(
                "expected Will QoS and Will Retain clear without the Will Flag, found 0x{flags:02x}"
            ),
        );
    }
    if flags & PASSWORD != 0 && flags & USERNAME == 0 && !reader.v5() {
        reader.defect(
            "password-without-username",
            at,
            format_args!("expected the User Name Flag with the Password Flag, found 0x{flags:02x}"),
        );
    }
}
