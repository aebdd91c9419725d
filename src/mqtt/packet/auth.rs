//! AUTH (5.0: 3.15).

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::check_code;

/// AUTH (5.0).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth<'a> {
    /// Reason Code, if it was on the wire.
    pub code: Option<u8>,
    /// Properties.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut auth = Self::default();
        // Length 0 means Success; length 1 is not defined (3.15.2.1), so that
        // the Property Length is missing then.
        if reader.left() > 0 {
            let at = reader.offset();
            auth.code = reader.byte("Reason Code");
            check_code(reader, at, auth.code);
            let place = Place::Packet(PacketType::Auth);
            auth.properties = Properties::read(reader, place, |_, _| {}).0;
        }
        auth
    }
}
