//! CONNECT: the only packet that contains the version, and the only one that is
//! decoded by its own.

use crate::mqtt::property::{Place, Properties};
use crate::mqtt::reader::Reader;
use crate::mqtt::{DefectCode, PacketType, Text, Version};

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

const RESERVED: u8 = 0x01;
const CLEAN_START: u8 = 0x02;
const WILL: u8 = 0x04;
const WILL_RETAIN: u8 = 0x20;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

impl<'a> Connect<'a> {
    /// The requested version, if it exists. The level decides, whatever the name.
    pub fn version(&self) -> Option<Version> {
        Version::from_level(self.protocol_level?)
    }

    /// Clean Start (5.0), Clean Session before.
    pub fn clean_start(&self) -> Option<bool> {
        Some(self.flags? & CLEAN_START != 0)
    }

    /// Whether it identifies itself as a bridge, as mosquitto does by bit 7 of
    /// the protocol level in 3.1 and 3.1.1.
    pub fn is_bridge(&self) -> bool {
        matches!(self.protocol_level, Some(0x83 | 0x84))
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let name_offset = reader.offset();
        let protocol_name = reader.binary("Protocol Name").map(Text);
        let level_offset = reader.offset();
        let protocol_level = reader.byte("Protocol Level");
        let (Some(name), Some(level)) = (protocol_name, protocol_level) else {
            return Self {
                protocol_name,
                protocol_level,
                ..Self::default()
            };
        };
        let version = Version::from_level(level);
        let expected_name = match version {
            Some(Version::V3_1) => b"MQIsdp".as_slice(),
            _ => b"MQTT",
        };
        if name.0 != expected_name {
            reader.defect(
                DefectCode::UnknownProtocol,
                "Protocol Name",
                name_offset,
                format_args!(
                    "Protocol Name: expected MQIsdp with level 3 or MQTT with 4 or 5, found {:?} with {level}",
                    name.lossy()
                ),
            );
        }
        let rest = match version {
            Some(version) => Self::read_by(reader, version),
            None => {
                reader.defect(
                    DefectCode::UnknownProtocol,
                    "Protocol Level",
                    level_offset,
                    format_args!("Protocol Level: expected 3, 4 or 5, found {level}"),
                );
                Self::read_by_best(reader)
            }
        };
        Self {
            protocol_name,
            protocol_level,
            ..rest
        }
    }

    /// A level of no version: the layout that fits better.
    fn read_by_best(reader: &mut Reader<'a>) -> Self {
        let mut v5 = reader.clone();
        let without_properties = Self::read_by(reader, Version::V3_1_1);
        let with_properties = Self::read_by(&mut v5, Version::V5);
        // Bytes left over count as a defect that finishing would find.
        let faults = |reader: &Reader<'_>| reader.defects() + usize::from(reader.left() > 0);
        if faults(&v5) < faults(reader) {
            *reader = v5;
            with_properties
        } else {
            without_properties
        }
    }

    /// What follows the Protocol Level.
    fn read_by(reader: &mut Reader<'a>, version: Version) -> Self {
        reader.version = version;
        super::check_header(reader);
        let flags_offset = reader.offset();
        let flags = reader.byte("Connect Flags");
        if let Some(flags) = flags {
            check_flags(reader, flags, flags_offset);
        }
        let has = |bit| flags.is_some_and(|flags| flags & bit != 0);
        let keep_alive = reader.number("Keep Alive");
        let properties = super::properties(reader, PacketType::Connect);
        let client_id = reader.text("Client Identifier");
        let will = has(WILL).then(|| Will::read(reader, flags.unwrap_or(0)));
        // 3.1 tolerates that a flag is set and Remaining Length ends before
        // the field.
        let there = |reader: &Reader<'_>| version != Version::V3_1 || reader.left() > 0;
        let username = (has(USERNAME) && there(reader))
            .then(|| reader.text("User Name"))
            .flatten();
        let password = (has(PASSWORD) && there(reader))
            .then(|| reader.binary("Password"))
            .flatten();
        Self {
            protocol_name: None,
            protocol_level: None,
            flags,
            keep_alive,
            properties,
            client_id,
            will,
            username,
            password,
        }
    }
}

impl<'a> Will<'a> {
    fn read(reader: &mut Reader<'a>, flags: u8) -> Self {
        let properties = if reader.v5() {
            Properties::read(reader, Place::Will, |_, _| ()).0
        } else {
            Properties::default()
        };
        let offset = reader.offset();
        let topic = reader.topic_name("Will Topic");
        if let Some(topic) = topic {
            reader.check_not_empty("Will Topic", offset, topic);
        }
        Self {
            properties,
            topic,
            payload: reader.binary("Will Payload"),
            qos: will_qos(flags),
            retain: flags & WILL_RETAIN != 0,
        }
    }
}

const fn will_qos(flags: u8) -> u8 {
    (flags >> 3) & 3
}

fn check_flags(reader: &mut Reader<'_>, flags: u8, offset: u32) {
    let v3_1 = reader.version == Version::V3_1;
    if flags & RESERVED != 0 && !v3_1 {
        reader.defect(
            DefectCode::ReservedConnectFlag,
            "Connect Flags",
            offset,
            format_args!("Connect Flags: expected bit 0 to be 0, found 0x{flags:02x}"),
        );
    }
    if flags & WILL != 0 {
        if will_qos(flags) == 3 {
            reader.defect(
                DefectCode::Qos3,
                "Will QoS",
                offset,
                format_args!("Will QoS: expected 0 to 2, found 3"),
            );
        }
    } else if (will_qos(flags) != 0 || flags & WILL_RETAIN != 0) && !v3_1 {
        reader.defect(
            DefectCode::WillFlags,
            match will_qos(flags) {
                0 => "Will Retain",
                _ => "Will QoS",
            },
            offset,
            format_args!(
                "Connect Flags: expected no Will QoS and Will Retain without the Will Flag, \
                 found 0x{flags:02x}"
            ),
        );
    }
    if flags & PASSWORD != 0 && flags & USERNAME == 0 && !reader.v5() {
        reader.defect(
            DefectCode::PasswordWithoutUsername,
            "Connect Flags",
            offset,
            format_args!(
                "Connect Flags: expected a User Name with the Password, found 0x{flags:02x}"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::ControlPacket;
    use crate::mqtt::samples::{clean, codes, decoded};

    fn connect(hex: &str) -> Connect<'static> {
        match clean(Version::V3_1_1, hex) {
            ControlPacket::Connect(connect) => *connect,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn mqtt_3_1_1_with_everything() {
        let packet = connect(
            "10 25 0004 'MQTT' 04 ee 003c 0002 'c1' 0003 'a/w' 0002 00ff 0004 'user' 0006 'secret'",
        );
        assert_eq!(packet.version(), Some(Version::V3_1_1));
        assert_eq!(packet.clean_start(), Some(true));
        assert_eq!(packet.keep_alive, Some(60));
        assert_eq!(packet.client_id, Some(Text(b"c1")));
        let will = packet.will.unwrap();
        assert_eq!(will.topic, Some(Text(b"a/w")));
        assert_eq!(will.payload, Some(&b"\0\xff"[..]));
        assert_eq!((will.qos, will.retain), (1, true));
        assert_eq!(packet.username, Some(Text(b"user")));
        assert_eq!(packet.password, Some(&b"secret"[..]));
    }

    #[test]
    fn mqtt_5_with_two_sections_of_properties() {
        let packet = connect(
            "10 28 0004 'MQTT' 05 06 0000 05 11 0000000a 0001 'c' \
             0c 18 00000005 26 0001 'k' 0001 'v' 0001 't' 0003 'bye'",
        );
        assert_eq!(packet.version(), Some(Version::V5));
        assert_eq!(packet.properties.offset, 13);
        assert_eq!(packet.properties.iter().count(), 1);
        let will = packet.will.unwrap();
        let names: Vec<_> = will.properties.iter().map(|found| found.name()).collect();
        assert_eq!(names, ["will_delay_interval", "user_property"]);
        assert_eq!(will.payload, Some(&b"bye"[..]));
    }

    #[test]
    fn bridges_and_3_1() {
        let packet = connect("10 10 0006 'MQIsdp' 83 02 000a 0002 'br'");
        assert!(packet.is_bridge());
        assert_eq!(packet.version(), Some(Version::V3_1));
        // In 3.1, user name and password may be announced and missing.
        let packet = connect("10 10 0006 'MQIsdp' 03 c2 000a 0002 'br'");
        assert_eq!((packet.username, packet.password), (None, None));
        assert_eq!(
            codes(Version::V3_1, "10 0e 0004 'MQTT' 04 c2 000a 0002 'br'"),
            ["missing-field"]
        );
    }

    #[test]
    fn an_unknown_level_is_read_by_what_fits() {
        for (hex, properties) in [
            ("10 0e 0004 'MQTT' 09 02 000a 0002 'br'", 0),
            ("10 12 0004 'MQTT' 09 02 000a 03 21 0007 0002 'br'", 1),
        ] {
            let decoded = decoded(Version::V5, hex);
            let ControlPacket::Connect(packet) = &decoded.packet else {
                panic!("{decoded:?}")
            };
            assert_eq!(packet.version(), None);
            assert_eq!(packet.client_id, Some(Text(b"br")), "{hex}");
            assert_eq!(packet.properties.iter().count(), properties);
            let codes: Vec<_> = decoded
                .defects
                .iter()
                .map(|defect| defect.code.name())
                .collect();
            assert_eq!(codes, ["unknown-protocol"]);
        }
    }
}
