//! UNSUBSCRIBE (3.1.1: 3.10; 5.0: 3.10).

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::super::text::Text;
use super::{check_filter, empty_payload};

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
    /// The Topic Filters, as far as they can be read.
    pub fn filters(&self) -> impl Iterator<Item = Text<'a>> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let (filter, tail) = super::string(rest)?;
            rest = tail;
            Some(filter)
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut unsubscribe = Self {
            packet_id: reader.packet_id(),
            ..Self::default()
        };
        if reader.v5() {
            let place = Place::Packet(PacketType::Unsubscribe);
            unsubscribe.properties = Properties::read(reader, place, |_, _| {}).0;
        }
        unsubscribe.payload = reader.visible();
        empty_payload(reader, "Topic Filter");
        while reader.left() > 0 {
            let at = reader.offset() + 2;
            let Some(filter) = reader.text("Topic Filter") else {
                break;
            };
            check_filter(reader, at, filter);
        }
        unsubscribe
    }
}
