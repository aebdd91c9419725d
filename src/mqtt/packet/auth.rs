//! AUTH, of 5.0 alone.

use crate::mqtt::PacketType;
use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;

/// AUTH (5.0).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth<'a> {
    /// Reason Code, if it was on the wire (the short form means 0x00).
    pub code: Option<u8>,
    /// Properties.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        if !reader.v5() {
            // Type 15 of another version, which is a defect of the header: the
            // rest has no defined meaning.
            reader.rest();
            return Self::default();
        }
        if reader.left() == 0 {
            return Self::default();
        }
        // Unlike DISCONNECT it has no form of a code alone.
        Self {
            code: super::code(reader, PacketType::Auth),
            properties: super::properties(reader, PacketType::Auth),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mqtt::samples::{clean, codes};
    use crate::mqtt::{ControlPacket, Version};

    #[test]
    fn forms() {
        let hex = "f0 0e 18 0c 15 0004 'SCRA' 16 0002 0001";
        let ControlPacket::Auth(packet) = clean(Version::V5, hex) else {
            panic!()
        };
        assert_eq!(packet.code, Some(0x18));
        assert_eq!(packet.properties.iter().count(), 2);
        clean(Version::V5, "f0 00");
        assert_eq!(codes(Version::V5, "f0 01 00"), ["missing-field"]);
        assert_eq!(codes(Version::V3_1_1, "f0 01 00"), ["reserved-type"]);
    }
}
