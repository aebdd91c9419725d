//! UNSUBACK (3.1.1: 3.11; 5.0: 3.11): codes only since 5.0.

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::{check_codes, empty_payload};

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
        let mut unsuback = Self {
            packet_id: reader.packet_id(),
            ..Self::default()
        };
        if reader.v5() {
            let place = Place::Packet(PacketType::Unsuback);
            unsuback.properties = Properties::read(reader, place, |_, _| {}).0;
            empty_payload(reader, "Reason Code");
            let at = reader.offset();
            unsuback.codes = reader.rest().0;
            check_codes(reader, at, unsuback.codes);
        }
        unsuback
    }
}
