//! CONNACK (3.1.1: 3.2; 5.0: 3.2).

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::super::version::Version;
use super::check_code;

/// CONNACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connack<'a> {
    /// Connect Acknowledge Flags; bit 0 is Session Present from 3.1.1 on.
    pub flags: Option<u8>,
    /// Return code (3.x) or Reason Code (5.0).
    pub code: Option<u8>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    /// Session Present; 3.1 has no such flag.
    pub fn session_present(&self, version: Version) -> Option<bool> {
        match version {
            Version::V3_1 => None,
            _ => Some(self.flags? & 1 != 0),
        }
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut connack = Self::default();
        let at = reader.offset();
        connack.flags = reader.byte("Connect Acknowledge Flags");
        if let Some(flags @ 2..) = connack.flags
            && reader.version != Version::V3_1
        {
            reader.defect(
                "reserved-connack-flags",
                at,
                format_args!("Connect Acknowledge Flags: expected 0 or 1, found 0x{flags:02x}"),
            );
        }
        let at = reader.offset();
        connack.code = reader.byte("return code");
        check_code(reader, at, connack.code);
        // A server that knows no 5.0 answers in the form of 3.1.1.
        let old_form = reader.left() == 0 && matches!(connack.code, Some(1..=5));
        if reader.v5() && !old_form {
            let place = Place::Packet(PacketType::Connack);
            connack.properties = Properties::read(reader, place, |_, _| {}).0;
        }
        connack
    }
}
