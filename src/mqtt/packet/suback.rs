//! SUBACK (3.1.1: 3.9; 5.0: 3.9).

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::{check_codes, empty_payload};

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
        let mut suback = Self {
            packet_id: reader.packet_id(),
            ..Self::default()
        };
        if reader.v5() {
            let place = Place::Packet(PacketType::Suback);
            suback.properties = Properties::read(reader, place, |_, _| {}).0;
        }
        empty_payload(reader, "return code");
        let at = reader.offset();
        suback.codes = reader.rest().0;
        check_codes(reader, at, suback.codes);
        suback
    }
}
