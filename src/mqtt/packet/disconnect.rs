//! DISCONNECT: bare before 5.0, and from clients only.

use crate::mqtt::PacketType;
use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;

/// DISCONNECT.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disconnect<'a> {
    /// Reason Code of 5.0, if it was on the wire (the short form means 0x00).
    pub code: Option<u8>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut disconnect = Self::default();
        if reader.v5() && reader.left() > 0 {
            disconnect.code = super::code(reader, PacketType::Disconnect);
        }
        if reader.v5() && reader.left() > 0 {
            disconnect.properties = super::properties(reader, PacketType::Disconnect);
        }
        disconnect
    }
}

#[cfg(test)]
mod tests {
    use crate::mqtt::samples::{clean, codes};
    use crate::mqtt::{ControlPacket, Version};

    #[test]
    fn three_forms() {
        for (hex, code, properties) in [
            ("e0 00", None, 0),
            ("e0 01 8e", Some(0x8e), 0),
            ("e0 07 04 05 11 00000000", Some(0x04), 1),
        ] {
            let ControlPacket::Disconnect(packet) = clean(Version::V5, hex) else {
                panic!("{hex}")
            };
            assert_eq!(packet.code, code);
            assert_eq!(packet.properties.iter().count(), properties);
        }
        assert_eq!(codes(Version::V3_1, "e0 01 00"), ["trailing-bytes"]);
    }
}
