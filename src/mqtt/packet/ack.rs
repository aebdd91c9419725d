//! PUBACK, PUBREC, PUBREL and PUBCOMP, which are alike.

use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;

/// PUBACK, PUBREC, PUBREL and PUBCOMP.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ack<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Reason Code of 5.0, if it was on the wire (short forms mean 0x00).
    pub code: Option<u8>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let kind = reader.header.packet_type();
        let packet_id = reader.packet_id();
        let mut ack = Self {
            packet_id,
            ..Self::default()
        };
        // Of 5.0, the short forms leave out the properties, and the code too.
        if reader.v5() && reader.left() > 0 {
            ack.code = super::code(reader, kind);
        }
        if reader.v5() && reader.left() > 0 {
            ack.properties = super::properties(reader, kind);
        }
        ack
    }
}

#[cfg(test)]
mod tests {
    use crate::mqtt::samples::{clean, codes};
    use crate::mqtt::{ControlPacket, Version};

    #[test]
    fn short_and_long_forms() {
        for (hex, code, properties) in [
            ("40 02 0007", None, 0),
            ("40 03 0007 10", Some(0x10), 0),
            ("40 04 0007 10 00", Some(0x10), 0),
            ("40 09 0007 87 05 1f 0002 'no'", Some(0x87), 1),
        ] {
            let ControlPacket::Puback(ack) = clean(Version::V5, hex) else {
                panic!("{hex}")
            };
            assert_eq!(ack.packet_id, Some(7));
            assert_eq!(ack.code, code);
            assert_eq!(ack.properties.iter().count(), properties);
        }
        assert_eq!(codes(Version::V3_1_1, "40 03 0007 10"), ["trailing-bytes"]);
    }

    #[test]
    fn each_has_its_own_codes() {
        clean(Version::V5, "50 03 0007 10");
        assert_eq!(codes(Version::V5, "62 03 0007 10"), ["unknown-code"]);
        clean(Version::V5, "70 03 0007 92");
        assert_eq!(codes(Version::V5, "50 03 0007 92"), ["unknown-code"]);
    }
}
