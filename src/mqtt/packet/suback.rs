//! SUBACK: a code for each Topic Filter of the SUBSCRIBE.

use crate::mqtt::PacketType;
use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;

/// SUBACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suback<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// One return or reason code per filter.
    pub codes: &'a [u8],
}

impl<'a> Suback<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        Self {
            packet_id: reader.packet_id(),
            properties: super::properties(reader, PacketType::Suback),
            codes: super::codes(reader, PacketType::Suback),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mqtt::samples::{clean, codes};
    use crate::mqtt::{ControlPacket, Version};

    #[test]
    fn codes_by_version() {
        let ControlPacket::Suback(packet) = clean(Version::V3_1_1, "90 05 0007 01 02 80") else {
            panic!()
        };
        assert_eq!(packet.codes, [1, 2, 0x80]);
        let ControlPacket::Suback(packet) = clean(Version::V5, "90 05 0007 00 02 8f") else {
            panic!()
        };
        assert_eq!(packet.codes, [2, 0x8f]);
        let suback = "90 04 0007 01 80";
        assert_eq!(codes(Version::V3_1, suback), ["unknown-code"]);
        assert_eq!(codes(Version::V3_1_1, "90 03 0007 03"), ["unknown-code"]);
    }
}
