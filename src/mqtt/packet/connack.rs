//! CONNACK.

use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;
use crate::mqtt::{DefectCode, PacketType, Version};

/// CONNACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connack<'a> {
    /// Connect Acknowledge Flags; bit 0 is Session Present from 3.1.1 on.
    pub flags: Option<u8>,
    /// Return code (3.x) or Reason Code (5.0).
    pub code: Option<u8>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    /// Session Present; 3.1 has no such flag.
    pub fn session_present(&self, version: Version) -> Option<bool> {
        (version != Version::V3_1).then_some(self.flags? & 1 != 0)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let offset = reader.offset();
        let flags = reader.byte("Connect Acknowledge Flags");
        if let Some(flags @ 2..) = flags
            && reader.version != Version::V3_1
        {
            reader.defect(
                DefectCode::ReservedConnackFlags,
                "Connect Acknowledge Flags",
                offset,
                format_args!("Connect Acknowledge Flags: expected 0 or 1, found 0x{flags:02x}"),
            );
        }
        // A server that only supports 3.1.1 refuses a CONNECT of 5.0 in its own form.
        let refused_by_3_1_1 =
            reader.header.remaining_length == 2 && matches!(reader.visible().first(), Some(1..=5));
        if reader.v5() && refused_by_3_1_1 {
            return Self {
                flags,
                code: reader.byte("Return Code"),
                properties: Properties::default(),
            };
        }
        Self {
            flags,
            code: super::code(reader, PacketType::Connack),
            properties: super::properties(reader, PacketType::Connack),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::samples::{clean, codes};
    use crate::mqtt::{ControlPacket, PropertyValue};

    #[test]
    fn all_versions() {
        let ControlPacket::Connack(packet) = clean(Version::V3_1_1, "20 02 01 00") else {
            panic!()
        };
        assert_eq!(packet.session_present(Version::V3_1_1), Some(true));
        assert_eq!(packet.session_present(Version::V3_1), None);
        assert_eq!(packet.code, Some(0));

        let ControlPacket::Connack(packet) = clean(Version::V5, "20 06 00 00 03 21 0014") else {
            panic!()
        };
        let found = packet.properties.find(0x21);
        assert_eq!(found, Some(PropertyValue::TwoByteInteger(20)));
    }

    #[test]
    fn an_old_server_refuses_a_new_client_in_its_own_form() {
        clean(Version::V5, "20 02 00 01");
        assert_eq!(codes(Version::V5, "20 02 00 00"), ["missing-field"]);
        assert_eq!(codes(Version::V5, "20 03 00 01 00"), ["unknown-code"]);
    }
}
