//! SUBSCRIBE: Topic Filters, each with Subscription Options.

use nom::Parser;
use nom::combinator::opt;
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16};

use crate::mqtt::property::Properties;
use crate::mqtt::reader::Reader;
use crate::mqtt::{DefectCode, PacketType, Text, Version, topic};

/// SUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Subscribe<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// The payload: Topic Filters with their options. Walk it with
    /// [`Subscribe::filters`].
    pub payload: &'a [u8],
}

/// A Topic Filter and its Subscription Options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// Topic Filter.
    pub filter: Text<'a>,
    /// The options byte as on the wire; `None` when it is missing.
    pub options: Option<u8>,
}

const RESERVED_3_1_1: u8 = 0xfc;
const RESERVED_5: u8 = 0xc0;

impl<'a> Subscribe<'a> {
    /// The subscriptions in order, up to the first that cannot be read.
    pub fn filters(&self) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let mut entry = (length_data(be_u16), opt(be_u8));
            let parsed: nom::IResult<_, _, ()> = entry.parse_complete(rest);
            let (next, (filter, options)) = parsed.ok()?;
            rest = next;
            let filter = Text(filter);
            Some(Subscription { filter, options })
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let packet_id = reader.packet_id();
        let properties = super::properties(reader, PacketType::Subscribe);
        let payload = reader.visible();
        super::check_entries(reader, "Topic Filter", |reader| {
            let filter = super::filter(reader);
            let offset = reader.offset();
            let options = reader.byte("Subscription Options");
            if let (Some(filter), Some(options)) = (filter, options) {
                check_options(reader, filter, options, offset);
            }
        });
        Self {
            packet_id,
            properties,
            payload,
        }
    }
}

impl Subscription<'_> {
    /// Maximum QoS (5.0), Requested QoS before; 0 to 3.
    pub fn max_qos(&self) -> Option<u8> {
        Some(self.options? & 0x03)
    }

    /// No Local (5.0).
    pub fn no_local(&self) -> Option<bool> {
        Some(self.options? & 0x04 != 0)
    }

    /// Retain As Published (5.0).
    pub fn retain_as_published(&self) -> Option<bool> {
        Some(self.options? & 0x08 != 0)
    }

    /// Retain Handling (5.0), 0 to 3: send retained messages at the
    /// subscription, only if it is new, not at all; 3 is illegal.
    pub fn retain_handling(&self) -> Option<u8> {
        Some((self.options? >> 4) & 0x03)
    }
}

fn check_options(reader: &mut Reader<'_>, filter: Text<'_>, options: u8, offset: u32) {
    let reserved = match reader.version {
        // "The upper 6 bits of this byte are not used."
        Version::V3_1 => 0,
        Version::V3_1_1 => RESERVED_3_1_1,
        Version::V5 => RESERVED_5,
    };
    if options & reserved != 0 {
        reader.defect(
            DefectCode::ReservedOptions,
            "Subscription Options",
            offset,
            format_args!(
                "Subscription Options: expected the bits 0x{reserved:02x} to be 0, \
                 found 0x{options:02x}"
            ),
        );
    }
    let subscription = Subscription {
        filter,
        options: Some(options),
    };
    if subscription.max_qos() == Some(3) {
        reader.defect(
            DefectCode::Qos3,
            "Subscription Options",
            offset,
            format_args!("Subscription Options: expected a QoS of 0 to 2, found 3"),
        );
    }
    if !reader.v5() {
        return;
    }
    if subscription.retain_handling() == Some(3) {
        reader.defect(
            DefectCode::RetainHandling3,
            "Subscription Options",
            offset,
            format_args!("Subscription Options: expected a Retain Handling of 0 to 2, found 3"),
        );
    }
    if subscription.no_local() == Some(true) && topic::shared(filter.0).is_some() {
        reader.defect(
            DefectCode::SharedNoLocal,
            "Subscription Options",
            offset,
            format_args!(
                "Subscription Options: expected no No Local with a shared subscription, \
                 found 0x{options:02x}"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::ControlPacket;
    use crate::mqtt::samples::{clean, decoded};

    #[test]
    fn filters_and_options() {
        let hex = "82 13 0007 02 0b 05 0003 'a/+' 2e 0001 '#' 01 0001 '/' 00";
        let ControlPacket::Subscribe(packet) = clean(Version::V5, hex) else {
            panic!()
        };
        assert_eq!(packet.packet_id, Some(7));
        assert_eq!(packet.properties.iter().count(), 1);
        let filters: Vec<_> = packet.filters().collect();
        let names: Vec<_> = filters.iter().map(|entry| entry.filter.0).collect();
        assert_eq!(names, [&b"a/+"[..], b"#", b"/"]);
        assert_eq!(filters[0].max_qos(), Some(2));
        assert_eq!(filters[0].no_local(), Some(true));
        assert_eq!(filters[0].retain_as_published(), Some(true));
        assert_eq!(filters[0].retain_handling(), Some(2));
        assert_eq!(filters[1].options, Some(1));
    }

    #[test]
    fn the_last_option_may_be_missing() {
        let decoded = decoded(Version::V3_1_1, "82 09 0007 0001 'a' 00 0001 'b'");
        let ControlPacket::Subscribe(packet) = &decoded.packet else {
            panic!()
        };
        let options: Vec<_> = packet.filters().map(|entry| entry.options).collect();
        assert_eq!(options, [Some(0), None]);
        assert_eq!(decoded.defects[0].code.name(), "missing-field");
        assert_eq!(decoded.defects[0].offset, 11);
    }
}
