//! UNSUBSCRIBE: Topic Filters.

use nom::Parser;
use nom::multi::length_data;
use nom::number::complete::be_u16;

use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;
use crate::mqtt::{PacketType, Text};

/// UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsubscribe<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// The payload: Topic Filters. Walk it with [`Unsubscribe::filters`].
    pub payload: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    /// The filters in order, up to the first that cannot be read.
    pub fn filters(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let parsed: nom::IResult<_, _, ()> = length_data(be_u16).parse_complete(rest);
            let (next, filter) = parsed.ok()?;
            rest = next;
            Some(Text(filter))
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let packet_id = reader.packet_id();
        let properties = super::properties(reader, PacketType::Unsubscribe);
        let payload = reader.visible();
        super::check_entries(reader, "Topic Filter", |reader| {
            super::filter(reader);
        });
        Self {
            packet_id,
            properties,
            payload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::samples::clean;
    use crate::mqtt::{ControlPacket, Version};

    #[test]
    fn filters() {
        let hex = "a2 0a 0007 0003 'a/#' 0001 'b'";
        let ControlPacket::Unsubscribe(packet) = clean(Version::V3_1_1, hex) else {
            panic!()
        };
        let filters: Vec<_> = packet.filters().map(Text::bytes).collect();
        assert_eq!(filters, [&b"a/#"[..], b"b"]);
    }
}
