//! DISCONNECT (3.1.1: 3.14; 5.0: 3.14): a code and properties only since 5.0.

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::check_code;

/// DISCONNECT.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disconnect<'a> {
    /// Reason Code of 5.0, if it was on the wire.
    pub code: Option<u8>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut disconnect = Self::default();
        if reader.v5() && reader.left() > 0 {
            let at = reader.offset();
            disconnect.code = reader.byte("Reason Code");
            check_code(reader, at, disconnect.code);
            if reader.left() > 0 {
                let place = Place::Packet(PacketType::Disconnect);
                disconnect.properties = Properties::read(reader, place, |_, _| {}).0;
            }
        }
        disconnect
    }
}
