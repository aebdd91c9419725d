//! SUBSCRIBE (3.1.1: 3.8; 5.0: 3.8).

use super::super::header::PacketType;
use super::super::property::{Place, Properties};
use super::super::reader::Reader;
use super::super::text::Text;
use super::super::topic;
use super::super::version::Version;
use super::{check_filter, empty_payload};

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

impl<'a> Subscribe<'a> {
    /// The Topic Filters with their options, as far as they can be read.
    pub fn filters(&self) -> impl Iterator<Item = Subscription<'a>> + use<'a> {
        let mut rest = self.payload;
        std::iter::from_fn(move || {
            let (filter, tail) = super::string(rest)?;
            let options = tail.first().copied();
            rest = tail.get(1..).unwrap_or_default();
            Some(Subscription { filter, options })
        })
    }

    pub(super) fn read(reader: &mut Reader<'a>) -> Self {
        let mut subscribe = Self {
            packet_id: reader.packet_id(),
            ..Self::default()
        };
        if reader.v5() {
            let place = Place::Packet(PacketType::Subscribe);
            subscribe.properties = Properties::read(reader, place, |_, _| {}).0;
        }
        subscribe.payload = reader.visible();
        empty_payload(reader, "Topic Filter");
        while reader.left() > 0 {
            let at = reader.offset() + 2;
            let filter = reader.text("Topic Filter");
            let options_at = reader.offset();
            let options = reader.byte("Subscription Options");
            let Some(filter) = filter else { break };
            check_filter(reader, at, filter);
            if let Some(options) = options {
                check_options(reader, options_at, filter, options);
            }
        }
        subscribe
    }
}

fn check_options(reader: &mut Reader<'_>, at: u32, filter: Text<'_>, options: u8) {
    if options & 3 == 3 {
        reader.defect(
            "qos-3",
            at,
            format_args!("requested QoS: expected 0 to 2, found 3"),
        );
    }
    let reserved = match reader.version {
        Version::V3_1 => 0,
        Version::V3_1_1 => 0xfc,
        Version::V5 => 0xc0,
    };
    if options & reserved != 0 {
        reader.defect(
            "reserved-options",
            at,
            format_args!(
                "Subscription Options: expected reserved bits clear, found 0x{options:02x}"
            ),
        );
    }
    if !reader.v5() {
        return;
    }
    if options & 0x30 == 0x30 {
        reader.defect(
            "retain-handling-3",
            at,
            format_args!("Retain Handling: expected 0 to 2, found 3"),
        );
    }
    if options & 4 != 0 && topic::is_shared(filter.bytes()) {
        reader.defect(
            "shared-no-local",
            at,
            format_args!("expected No Local clear on a shared subscription, found it set"),
        );
    }
}

impl Subscription<'_> {
    /// Requested maximum QoS, 0 to 3.
    pub fn max_qos(&self) -> Option<u8> {
        self.options.map(|options| options & 3)
    }

    /// No Local (5.0).
    pub fn no_local(&self) -> Option<bool> {
        self.options.map(|options| options & 4 != 0)
    }

    /// Retain As Published (5.0).
    pub fn retain_as_published(&self) -> Option<bool> {
        self.options.map(|options| options & 8 != 0)
    }

    /// Retain Handling, 0 to 3 (5.0).
    pub fn retain_handling(&self) -> Option<u8> {
        self.options.map(|options| (options >> 4) & 3)
    }
}
