//! PUBACK, PUBREC, PUBREL and PUBCOMP (3.1.1: 3.4 to 3.7; 5.0: the same): one form
//! for all four.

use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::check_code;

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
    /// The Reason Code, which the short forms leave out for 0x00; only 5.0 has
    /// one.
    pub fn reason_code(&self) -> u8 {
        self.code.unwrap_or(0)
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut ack = Self {
            packet_id: reader.packet_id(),
            ..Self::default()
        };
        if reader.v5() && reader.left() > 0 {
            let at = reader.offset();
            ack.code = reader.byte("Reason Code");
            check_code(reader, at, ack.code);
            if reader.left() > 0 {
                let place = Place::Packet(reader.header.packet_type());
                ack.properties = Properties::read(reader, place, |_, _| {}).0;
            }
        }
        ack
    }
}
