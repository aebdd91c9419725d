//! A field: its name, its type, and how to get its values from a control packet.

use std::borrow::Cow;
use std::sync::Arc;

use super::value::{Subject, Value};
use crate::mqtt::{PacketType, Properties, PropertyValue, Version, reason};
use crate::payload;

/// A field that filters can name.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name, such as `mqtt.topic`.
    pub name: Cow<'static, str>,
    /// The type of its values.
    pub kind: Kind,
    /// Description, in one line.
    pub help: Cow<'static, str>,
    pub(super) values: Values,
    pub(super) access: Access,
}

/// The type of a field determines which literals and operators it accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Is there or not.
    Presence,
    /// True or false.
    Flag,
    /// An unsigned integer.
    Number,
    /// A floating-point number.
    Real,
    /// Text, compared byte by byte.
    Text,
    /// A Topic Name: `~` matches it with a Topic Filter.
    Topic,
    /// A Topic Filter: `~` finds those that overlap.
    TopicFilter,
    /// Bytes.
    Bytes,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// An address and a port.
    Endpoint,
    /// A point in time.
    Time,
    /// Seconds.
    Elapsed,
    /// Any value of a payload.
    Any,
}

impl Kind {
    /// Its name in the list of fields.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Presence => "presence",
            Self::Flag => "boolean",
            Self::Number => "number",
            Self::Real => "decimal",
            Self::Text => "text",
            Self::Topic => "topic",
            Self::TopicFilter => "topic filter",
            Self::Bytes => "bytes",
            Self::Ipv4 => "IPv4 address",
            Self::Ipv6 => "IPv6 address",
            Self::Endpoint => "address:port",
            Self::Time => "time",
            Self::Elapsed => "seconds",
            Self::Any => "any",
        }
    }

    pub(super) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Topic | Self::TopicFilter)
    }
}

/// Names of values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Values {
    None,
    /// A number may be written as one of these names.
    Numbers(&'static [(u64, &'static str)]),
    /// A number is a reason code of this packet type.
    Reasons(PacketType),
    /// A text is one of these.
    Names(&'static [&'static str]),
}

impl Values {
    /// The numbers with a name, ignoring case.
    pub(super) fn numbers(self, name: &str) -> Option<u64> {
        match self {
            Self::Numbers(table) => table
                .iter()
                .find(|(_, known)| known.eq_ignore_ascii_case(name))
                .map(|(number, _)| *number),
            Self::Reasons(packet) => (0..=u8::MAX)
                .find(|code| {
                    reason::name(Version::V5, packet, *code)
                        .is_some_and(|known| known.eq_ignore_ascii_case(name))
                })
                .map(u64::from),
            Self::None | Self::Names(_) => None,
        }
    }
}

/// Gets the value of a field that occurs once at most.
pub(super) type One = for<'a> fn(&Subject<'a>) -> Option<Value<'a>>;
/// Visits the values of a field until the visitor returns true; returns
/// whether it did.
pub(super) type Many = for<'a> fn(&Subject<'a>, &mut dyn FnMut(Value<'a>) -> bool) -> bool;

/// How to get at the values of a field.
#[derive(Clone, Debug)]
pub(super) enum Access {
    One(One),
    Many(Many),
    /// The MQTT 5.0 property of this identifier, of the packet or of its will.
    Property {
        id: u32,
        will: bool,
    },
    /// The values of the User Property of this name.
    UserProperty {
        name: Arc<[u8]>,
        will: bool,
    },
    /// A value inside the payload.
    Payload(Arc<[PathStep]>),
}

/// A step down into a decoded payload.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum PathStep {
    Name(Box<str>),
    /// From the end, if negative.
    Index(i64),
}

impl Access {
    /// Visits the values until the visitor returns true; returns whether it did.
    #[inline]
    pub(super) fn any<'a>(
        &self,
        subject: &Subject<'a>,
        mut visit: impl FnMut(Value<'a>) -> bool,
    ) -> bool {
        match self {
            Self::One(get) => get(subject).is_some_and(visit),
            Self::Many(each) => each(subject, &mut visit),
            Self::Property { id, will } => properties(subject, *will)
                .iter()
                .filter(|property| property.id == *id)
                .any(|property| property_value(property.value, &mut visit)),
            Self::UserProperty { name, will } => {
                properties(subject, *will)
                    .iter()
                    .any(|property| match property.value {
                        PropertyValue::Pair(key, value) if key.bytes() == &**name => {
                            visit(Value::Text(value.bytes()))
                        }
                        _ => false,
                    })
            }
            Self::Payload(path) => subject
                .payload
                .and_then(|payload| payload.value())
                .is_some_and(|root| descend(root, path, &mut visit)),
        }
    }
}

/// The properties of the packet, or of its will.
pub(super) fn properties<'a>(subject: &Subject<'a>, will: bool) -> Properties<'a> {
    use crate::mqtt::ControlPacket::Connect;
    match (&subject.frame.packet, will) {
        (packet, false) => packet.properties(),
        (Connect(connect), true) => connect
            .will
            .as_ref()
            .map_or(Properties::default(), |will| will.properties),
        (_, true) => Properties::default(),
    }
}

fn property_value<'a>(value: PropertyValue<'a>, visit: &mut impl FnMut(Value<'a>) -> bool) -> bool {
    match value {
        PropertyValue::Byte(number) => visit(Value::Number(number.into())),
        PropertyValue::TwoByteInteger(number) => visit(Value::Number(number.into())),
        PropertyValue::FourByteInteger(number) | PropertyValue::VariableByteInteger(number) => {
            visit(Value::Number(number.into()))
        }
        PropertyValue::String(text) => visit(Value::Text(text.bytes())),
        PropertyValue::Pair(name, value) => {
            visit(Value::Text(name.bytes())) || visit(Value::Text(value.bytes()))
        }
        PropertyValue::Binary(bytes) => visit(Value::Bytes(bytes)),
    }
}

/// Visits the values at the end of a path. A key that occurs twice is visited twice. A
/// name applied to a list selects that member of each element, and elements whose
/// `name` is equal to it, such as a metric of Sparkplug.
fn descend<'a>(
    value: &'a payload::Value,
    path: &[PathStep],
    visit: &mut impl FnMut(Value<'a>) -> bool,
) -> bool {
    let Some((step, rest)) = path.split_first() else {
        return visit(Value::Item(value));
    };
    match (step, value) {
        (PathStep::Name(name), payload::Value::Map(entries)) => entries
            .iter()
            .filter(|(key, _)| key == name)
            .any(|(_, inner)| descend(inner, rest, visit)),
        (PathStep::Name(name), payload::Value::List(items)) => items.iter().any(|item| {
            let payload::Value::Map(entries) = item else {
                return false;
            };
            let is_called = entries.iter().any(|(key, value)| {
                &**key == "name" && matches!(value, payload::Value::Text(text) if text == name)
            });
            (is_called && descend(item, rest, visit)) || descend(item, path, visit)
        }),
        (PathStep::Index(index), payload::Value::List(items)) => {
            let index = match usize::try_from(*index) {
                Ok(index) => Some(index),
                Err(_) => items.len().checked_sub(index.unsigned_abs() as usize),
            };
            index
                .and_then(|index| items.get(index))
                .is_some_and(|inner| descend(inner, rest, visit))
        }
        _ => false,
    }
}
