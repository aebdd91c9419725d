//! UNSUBACK: bare before 5.0, a code for each Topic Filter since.

use crate::mqtt::PacketType;
use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;

/// UNSUBACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsuback<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// One reason code per filter (5.0); empty before.
    pub codes: &'a [u8],
}

impl<'a> Unsuback<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let packet_id = reader.packet_id();
        if !reader.v5() {
            return Self {
                packet_id,
                ..Self::default()
            };
        }
        Self {
            packet_id,
            properties: super::properties(reader, PacketType::Unsuback),
            codes: super::codes(reader, PacketType::Unsuback),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::mqtt::samples::{clean, codes};
    use crate::mqtt::{ControlPacket, Version};

    #[test]
    fn codes_since_5() {
        let ControlPacket::Unsuback(packet) = clean(Version::V5, "b0 05 0007 00 00 11") else {
            panic!()
        };
        assert_eq!(packet.codes, [0, 0x11]);
        clean(Version::V3_1_1, "b0 02 0007");
        assert_eq!(codes(Version::V3_1_1, "b0 03 0007 00"), ["trailing-bytes"]);
        assert_eq!(codes(Version::V5, "b0 03 0007 00"), ["empty-payload"]);
    }
}
