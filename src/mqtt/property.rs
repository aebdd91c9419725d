//! The properties of MQTT 5.0: a table of their definitions, a lazy iterator
//! over those of a packet, and their validation.
//!
//! ```text
//!        Property Length   id  value   id  name…       value…
//! PUBLISH      0A          23  00 07   26  00 01 'k'   00 01 'v'
//! ```
//!
//! A new property is one row of [`DEFINITIONS`]. An unknown property ends the
//! iteration, because its length is unknown.

use std::ops::RangeInclusive;

use nom::combinator::map;
use nom::error::{ErrorKind, ParseError};
use nom::multi::length_data;
use nom::number::complete::{be_u8, be_u16, be_u32};
use nom::{Err, IResult, Parser};

use super::defect::DefectCode;
use super::header::PacketType;
use super::reader::Reader;
use super::text::Text;
use super::varint;

/// The properties of a control packet: a slice of it, decoded on iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Properties<'a> {
    /// The bytes after the Property Length; fewer than it promises when the
    /// packet or the capture ends early.
    pub bytes: &'a [u8],
    /// Where `bytes` starts, from the first byte of the control packet.
    pub offset: u32,
}

/// One property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Property<'a> {
    /// Property Identifier, such as 0x23.
    pub id: u32,
    /// Its value.
    pub value: PropertyValue<'a>,
    /// Offset of its identifier from the first byte of the control packet.
    pub offset: u32,
    /// Bytes of identifier and value.
    pub len: usize,
}

/// A value of a property, by its data type.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum PropertyValue<'a> {
    Byte(u8),
    TwoByteInteger(u16),
    FourByteInteger(u32),
    VariableByteInteger(u32),
    String(Text<'a>),
    Pair(Text<'a>, Text<'a>),
    Binary(&'a [u8]),
}

/// Definition of a property (5.0: table 2-4 and the sections of the packets).
#[derive(Clone, Debug)]
pub struct Definition {
    /// Property Identifier.
    pub id: u8,
    /// The specification's name, such as `Topic Alias`.
    pub name: &'static str,
    /// The same in snake case, such as `topic_alias`.
    pub snake_name: &'static str,
    /// How its value is written.
    pub data_type: DataType,
    /// The values a number may have.
    pub range: RangeInclusive<u32>,
    places: u16,
    repeats: u16,
}

/// Data types of values (5.0: 1.5).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum DataType {
    Byte,
    TwoByteInteger,
    FourByteInteger,
    VariableByteInteger,
    String,
    Pair,
    Binary,
}

/// Location of properties: after the variable header of a packet, or before the
/// will in the payload of a CONNECT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum Place {
    Packet(PacketType),
    Will,
}

impl<'a> Properties<'a> {
    /// The properties in order, up to the first that cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        let (bytes, offset) = (self.bytes, self.offset);
        let mut rest = bytes;
        std::iter::from_fn(move || {
            let offset = offset + (bytes.len() - rest.len()) as u32;
            let (next, (definition, value)) = property(rest).ok()?;
            let len = rest.len() - next.len();
            rest = next;
            Some(Property {
                id: definition.id.into(),
                value,
                offset,
                len,
            })
        })
    }

    /// The first property with this identifier.
    pub fn find(&self, id: u32) -> Option<PropertyValue<'a>> {
        self.iter()
            .find(|property| property.id == id)
            .map(|property| property.value)
    }

    /// Whether there are none, as far as known.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Decodes the Property Length and the properties, notes their defects, and
    /// calls `each` for each. The second value is whether `each` was called for
    /// all of them.
    #[inline]
    pub(super) fn read(
        reader: &mut Reader<'a>,
        place: Place,
        each: impl FnMut(&PropertyValue<'a>, &'static Definition),
    ) -> (Self, bool) {
        let start = reader.offset();
        let Some(length) = reader.varint("Property Length") else {
            return (Self::default(), false);
        };
        let (length, left) = (length as usize, reader.left());
        let offset = reader.offset();
        let visible = reader.visible();
        let properties = Self {
            bytes: visible.get(..length).unwrap_or(visible),
            offset,
        };
        if length > left {
            reader.defect(
                DefectCode::PropertyLength,
                "Property Length",
                start,
                format_args!(
                    "Property Length: expected at most the {left} bytes the packet has left, \
                     found {length}"
                ),
            );
            reader.give_up();
            return (properties, false);
        }
        let whole = properties.check(reader, place, length, each);
        reader.skip(length);
        (properties, whole)
    }

    #[inline]
    fn check(
        &self,
        reader: &mut Reader<'a>,
        place: Place,
        length: usize,
        mut each: impl FnMut(&PropertyValue<'a>, &'static Definition),
    ) -> bool {
        let mut seen = 0_u64;
        let mut rest = self.bytes;
        while !rest.is_empty() && reader.reading() {
            let offset = self.offset + (self.bytes.len() - rest.len()) as u32;
            match property(rest) {
                Ok((next, (definition, value))) => {
                    let bit = 1 << (definition.id & 63);
                    if seen & bit != 0 && !definition.repeats_in(place) {
                        repeated(reader, definition, offset);
                    }
                    seen |= bit;
                    if !definition.allowed_in(place) {
                        misplaced(reader, definition, place, offset);
                    }
                    check_value(reader, definition, &value, offset, rest.len() - next.len());
                    each(&value, definition);
                    rest = next;
                }
                Err(error) => {
                    if self.bytes.len() == length || !matches!(error, Err::Error(Fault::Short)) {
                        broken(reader, error, offset, rest.len());
                    }
                    return false;
                }
            }
        }
        self.bytes.len() == length
    }
}

impl Property<'_> {
    /// The specification's name in snake case, such as `topic_alias`.
    pub fn name(&self) -> &'static str {
        definition(self.id).map_or("unknown", |definition| definition.snake_name)
    }

    /// Whether it may occur more than once in some packet (then JSON has a list
    /// in every packet): User Property, and Subscription Identifier because of
    /// PUBLISH.
    pub fn repeats(&self) -> bool {
        definition(self.id).is_some_and(|definition| definition.repeats != NEVER)
    }
}

impl Definition {
    /// Whether it is allowed there.
    pub const fn allowed_in(&self, place: Place) -> bool {
        self.places & place.bit() != 0
    }

    /// Whether it may occur more than once there.
    pub const fn repeats_in(&self, place: Place) -> bool {
        self.repeats & place.bit() != 0
    }
}

impl Place {
    const fn bit(self) -> u16 {
        match self {
            Self::Packet(PacketType::Reserved) => 0,
            Self::Packet(packet) => 1 << packet as u16,
            Self::Will => WILL,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Packet(packet) => packet.name(),
            Self::Will => "a will",
        }
    }
}

/// The definition of a Property Identifier.
#[inline]
pub fn definition(id: u32) -> Option<&'static Definition> {
    let row = *BY_ID.get(id as usize)?;
    DEFINITIONS.get(usize::from(row))
}

/// Why a property cannot be read.
#[derive(Debug, PartialEq)]
enum Fault {
    /// The bytes end before it does.
    Short,
    /// Its identifier is that of no property, so that its length is unknown.
    Unknown(u32),
    /// A Variable Byte Integer of five bytes.
    Malformed,
}

impl<I> ParseError<I> for Fault {
    fn from_error_kind(_: I, kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::TooLarge => Self::Malformed,
            _ => Self::Short,
        }
    }

    fn append(_: I, _: ErrorKind, other: Self) -> Self {
        other
    }
}

type Parsed<'a, T> = IResult<&'a [u8], T, Fault>;

#[inline(always)]
fn property(input: &[u8]) -> Parsed<'_, (&'static Definition, PropertyValue<'_>)> {
    let (input, id) = varint::varint(input)?;
    let definition = definition(id).ok_or(Err::Error(Fault::Unknown(id)))?;
    let (input, value) = match definition.data_type {
        Byte => map(be_u8, PropertyValue::Byte).parse_complete(input),
        TwoByteInteger => map(be_u16, PropertyValue::TwoByteInteger).parse_complete(input),
        FourByteInteger => map(be_u32, PropertyValue::FourByteInteger).parse_complete(input),
        VariableByteInteger => {
            map(varint::varint, PropertyValue::VariableByteInteger).parse_complete(input)
        }
        String => map(binary, |bytes| PropertyValue::String(Text(bytes))).parse_complete(input),
        Pair => map((binary, binary), |(name, value)| {
            PropertyValue::Pair(Text(name), Text(value))
        })
        .parse_complete(input),
        Binary => map(binary, PropertyValue::Binary).parse_complete(input),
    }?;
    Ok((input, (definition, value)))
}

#[inline(always)]
fn binary(input: &[u8]) -> Parsed<'_, &[u8]> {
    length_data(be_u16).parse_complete(input)
}

/// `bytes` is the length of the whole property, its identifier included.
#[inline(always)]
fn check_value(
    reader: &mut Reader<'_>,
    definition: &Definition,
    value: &PropertyValue<'_>,
    offset: u32,
    bytes: usize,
) {
    // All identifiers are below 128: the shortest form is one byte.
    let mut expected = 1;
    match *value {
        PropertyValue::Byte(value) => {
            expected += 1;
            check_range(reader, definition, value.into(), offset);
        }
        PropertyValue::TwoByteInteger(value) => {
            expected += 2;
            check_range(reader, definition, value.into(), offset);
        }
        PropertyValue::FourByteInteger(value) => {
            expected += 4;
            check_range(reader, definition, value, offset);
        }
        PropertyValue::VariableByteInteger(value) => {
            expected += usize::from(varint::len(value));
            check_range(reader, definition, value, offset);
        }
        PropertyValue::String(text) => {
            expected += 2 + text.0.len();
            let start = offset + (bytes - text.0.len()) as u32;
            reader.check_text(definition.name, start, text);
            if definition.id == RESPONSE_TOPIC {
                reader.check_topic_name(definition.name, start, text);
                reader.check_not_empty(definition.name, start, text);
            }
        }
        PropertyValue::Pair(name, value) => {
            expected += 4 + name.0.len() + value.0.len();
            let end = offset + bytes as u32;
            let second = end - value.0.len() as u32;
            reader.check_text(definition.name, second - 2 - name.0.len() as u32, name);
            reader.check_text(definition.name, second, value);
        }
        PropertyValue::Binary(data) => expected += 2 + data.len(),
    }
    if bytes != expected {
        overlong(reader, definition, offset, bytes - expected);
    }
}

#[inline]
fn check_range(reader: &mut Reader<'_>, definition: &Definition, value: u32, offset: u32) {
    if !definition.range.contains(&value) {
        let (name, range) = (definition.name, &definition.range);
        reader.defect(
            DefectCode::PropertyValue,
            definition.name,
            offset,
            format_args!(
                "{name}: expected {} to {}, found {value}",
                range.start(),
                range.end()
            ),
        );
    }
}

#[cold]
fn overlong(reader: &mut Reader<'_>, definition: &Definition, offset: u32, more: usize) {
    reader.defect(
        DefectCode::OverlongInteger,
        definition.name,
        offset,
        format_args!(
            "{}: expected the shortest form of its integers, found {more} bytes more",
            definition.name
        ),
    );
}

#[cold]
fn repeated(reader: &mut Reader<'_>, definition: &Definition, offset: u32) {
    reader.defect(
        DefectCode::RepeatedProperty,
        definition.name,
        offset,
        format_args!("{}: expected once, found again", definition.name),
    );
}

#[cold]
fn misplaced(reader: &mut Reader<'_>, definition: &Definition, place: Place, offset: u32) {
    reader.defect(
        DefectCode::MisplacedProperty,
        definition.name,
        offset,
        format_args!(
            "expected a property of {}, found {}",
            place.name(),
            definition.name
        ),
    );
}

#[cold]
fn broken(reader: &mut Reader<'_>, error: Err<Fault>, offset: u32, left: usize) {
    match error {
        Err::Error(Fault::Unknown(id)) | Err::Failure(Fault::Unknown(id)) => reader.defect(
            DefectCode::UnknownProperty,
            "Properties",
            offset,
            format_args!("expected a property, found identifier 0x{id:02x}"),
        ),
        Err::Error(Fault::Malformed) | Err::Failure(Fault::Malformed) => reader.defect(
            DefectCode::MalformedInteger,
            "Properties",
            offset,
            format_args!("property: expected integers of at most 4 bytes, found a fifth announced"),
        ),
        Err::Error(Fault::Short) | Err::Failure(Fault::Short) | Err::Incomplete(_) => reader
            .defect(
                DefectCode::PropertyPastEnd,
                "Properties",
                offset,
                format_args!(
                    "a property does not fit in the {left} bytes the properties have left"
                ),
            ),
    }
}

const RESPONSE_TOPIC: u8 = 0x08;

use DataType::{Binary, Byte, FourByteInteger, Pair, String, TwoByteInteger, VariableByteInteger};

/// All properties by identifier: where they are allowed, where they may be
/// repeated, and the values of numbers.
#[rustfmt::skip]
pub static DEFINITIONS: [Definition; 27] = [
    row(0x01, "Payload Format Indicator", "payload_format_indicator", Byte, PUBLISH | WILL, NEVER, 0..=1),
    row(0x02, "Message Expiry Interval", "message_expiry_interval", FourByteInteger, PUBLISH | WILL, NEVER, ANY),
    row(0x03, "Content Type", "content_type", String, PUBLISH | WILL, NEVER, ANY),
    row(0x08, "Response Topic", "response_topic", String, PUBLISH | WILL, NEVER, ANY),
    row(0x09, "Correlation Data", "correlation_data", Binary, PUBLISH | WILL, NEVER, ANY),
    row(0x0b, "Subscription Identifier", "subscription_identifier", VariableByteInteger, PUBLISH | SUBSCRIBE, PUBLISH, 1..=varint::MAX),
    row(0x11, "Session Expiry Interval", "session_expiry_interval", FourByteInteger, CONNECT | CONNACK | DISCONNECT, NEVER, ANY),
    row(0x12, "Assigned Client Identifier", "assigned_client_identifier", String, CONNACK, NEVER, ANY),
    row(0x13, "Server Keep Alive", "server_keep_alive", TwoByteInteger, CONNACK, NEVER, ANY),
    row(0x15, "Authentication Method", "authentication_method", String, CONNECT | CONNACK | AUTH, NEVER, ANY),
    row(0x16, "Authentication Data", "authentication_data", Binary, CONNECT | CONNACK | AUTH, NEVER, ANY),
    row(0x17, "Request Problem Information", "request_problem_information", Byte, CONNECT, NEVER, 0..=1),
    row(0x18, "Will Delay Interval", "will_delay_interval", FourByteInteger, WILL, NEVER, ANY),
    row(0x19, "Request Response Information", "request_response_information", Byte, CONNECT, NEVER, 0..=1),
    row(0x1a, "Response Information", "response_information", String, CONNACK, NEVER, ANY),
    row(0x1c, "Server Reference", "server_reference", String, CONNACK | DISCONNECT, NEVER, ANY),
    row(0x1f, "Reason String", "reason_string", String, CONNACK | PUBACK | PUBREC | PUBREL | PUBCOMP | SUBACK | UNSUBACK | DISCONNECT | AUTH, NEVER, ANY),
    row(0x21, "Receive Maximum", "receive_maximum", TwoByteInteger, CONNECT | CONNACK, NEVER, 1..=0xffff),
    row(0x22, "Topic Alias Maximum", "topic_alias_maximum", TwoByteInteger, CONNECT | CONNACK, NEVER, ANY),
    row(0x23, "Topic Alias", "topic_alias", TwoByteInteger, PUBLISH, NEVER, 1..=0xffff),
    row(0x24, "Maximum QoS", "maximum_qos", Byte, CONNACK, NEVER, 0..=1),
    row(0x25, "Retain Available", "retain_available", Byte, CONNACK, NEVER, 0..=1),
    row(0x26, "User Property", "user_property", Pair, ALL, ALL, ANY),
    row(0x27, "Maximum Packet Size", "maximum_packet_size", FourByteInteger, CONNECT | CONNACK, NEVER, 1..=u32::MAX),
    row(0x28, "Wildcard Subscription Available", "wildcard_subscription_available", Byte, CONNACK, NEVER, 0..=1),
    row(0x29, "Subscription Identifier Available", "subscription_identifier_available", Byte, CONNACK, NEVER, 0..=1),
    row(0x2a, "Shared Subscription Available", "shared_subscription_available", Byte, CONNACK, NEVER, 0..=1),
];

const fn row(
    id: u8,
    name: &'static str,
    snake_name: &'static str,
    data_type: DataType,
    places: u16,
    repeats: u16,
    range: RangeInclusive<u32>,
) -> Definition {
    Definition {
        id,
        name,
        snake_name,
        data_type,
        range,
        places,
        repeats,
    }
}

const ANY: RangeInclusive<u32> = 0..=u32::MAX;

// Locations as bits by packet type; the bit of type 0 is used for the will.
const WILL: u16 = 1;
const CONNECT: u16 = 1 << PacketType::Connect as u16;
const CONNACK: u16 = 1 << PacketType::Connack as u16;
const PUBLISH: u16 = 1 << PacketType::Publish as u16;
const PUBACK: u16 = 1 << PacketType::Puback as u16;
const PUBREC: u16 = 1 << PacketType::Pubrec as u16;
const PUBREL: u16 = 1 << PacketType::Pubrel as u16;
const PUBCOMP: u16 = 1 << PacketType::Pubcomp as u16;
const SUBSCRIBE: u16 = 1 << PacketType::Subscribe as u16;
const SUBACK: u16 = 1 << PacketType::Suback as u16;
const UNSUBACK: u16 = 1 << PacketType::Unsuback as u16;
const DISCONNECT: u16 = 1 << PacketType::Disconnect as u16;
const AUTH: u16 = 1 << PacketType::Auth as u16;
/// Every packet that has properties, and the will.
const ALL: u16 = !(1 << PacketType::Pingreq as u16 | 1 << PacketType::Pingresp as u16);
const NEVER: u16 = 0;

/// Row of [`DEFINITIONS`] by identifier.
static BY_ID: [u8; 64] = {
    let mut rows = [u8::MAX; 64];
    let mut row = 0;
    while row < DEFINITIONS.len() {
        rows[DEFINITIONS[row].id as usize] = row as u8;
        row += 1;
    }
    rows
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        for pair in DEFINITIONS.windows(2) {
            assert!(pair[0].id < pair[1].id, "in order, hence unique");
        }
        for row in &DEFINITIONS {
            assert!(
                row.id < 64,
                "BY_ID and the set of those seen have 64 places"
            );
            let found = definition(row.id.into()).map(|found| found.name);
            assert_eq!(found, Some(row.name));
            let snake: std::string::String = row
                .name
                .chars()
                .map(|c| {
                    if c == ' ' {
                        '_'
                    } else {
                        c.to_ascii_lowercase()
                    }
                })
                .collect();
            assert_eq!(row.snake_name, snake);
            assert_ne!(row.places, 0);
            assert_eq!(row.repeats & !row.places, 0, "{}", row.name);
            if row.data_type == Byte {
                assert_eq!(row.range, 0..=1, "{}: all of them are flags", row.name);
            }
        }
        assert!(definition(0).is_none());
        assert!(definition(0x7f).is_none());
        assert!(definition(u32::MAX).is_none());
    }

    /// Number of properties that each packet may have, counted in the
    /// specification's table 2-4.
    #[test]
    fn places_by_packet() {
        let count = |place| {
            DEFINITIONS
                .iter()
                .filter(|row| row.allowed_in(place))
                .count()
        };
        let expected = [0, 9, 17, 8, 2, 2, 2, 2, 2, 2, 1, 2, 0, 0, 4, 4];
        for (packet, expected) in PacketType::ALL.into_iter().zip(expected) {
            assert_eq!(count(Place::Packet(packet)), expected, "{packet}");
        }
        assert_eq!(count(Place::Will), 7);
    }

    #[test]
    fn one_of_every_type() {
        let bytes = b"\x01\x01\x23\x00\x07\x02\x00\x01\x00\x00\x0b\x80\x01\
                      \x03\x00\x01t\x09\x00\x02\xff\x00\x26\x00\x01k\x00\x00";
        let properties = Properties { bytes, offset: 10 };
        let found: Vec<_> = properties
            .iter()
            .map(|property| (property.offset, property.name(), property.value))
            .collect();
        assert_eq!(
            found,
            [
                (10, "payload_format_indicator", PropertyValue::Byte(1)),
                (12, "topic_alias", PropertyValue::TwoByteInteger(7)),
                (
                    15,
                    "message_expiry_interval",
                    PropertyValue::FourByteInteger(65_536)
                ),
                (
                    20,
                    "subscription_identifier",
                    PropertyValue::VariableByteInteger(128)
                ),
                (23, "content_type", PropertyValue::String(Text(b"t"))),
                (27, "correlation_data", PropertyValue::Binary(b"\xff\0")),
                (
                    32,
                    "user_property",
                    PropertyValue::Pair(Text(b"k"), Text(b""))
                ),
            ]
        );
        assert_eq!(
            properties.find(0x23),
            Some(PropertyValue::TwoByteInteger(7))
        );
        assert_eq!(properties.find(0x24), None);
        let repeating: Vec<_> = properties
            .iter()
            .filter(Property::repeats)
            .map(|property| property.id)
            .collect();
        assert_eq!(repeating, [0x0b, 0x26]);
    }

    #[test]
    fn the_walk_ends_where_it_cannot_go_on() {
        let bytes = b"\x01\x01\x7e\x01\x01";
        assert_eq!(Properties { bytes, offset: 0 }.iter().count(), 1);
        let bytes = b"\x01\x00\x26\x00\x05ab";
        assert_eq!(Properties { bytes, offset: 0 }.iter().count(), 1);
    }
}
