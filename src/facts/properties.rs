//! Properties of 5.0 by their numbers.

use crate::mqtt::{Properties, PropertyValue};

pub(crate) const PAYLOAD_FORMAT: u32 = 0x01;
pub(crate) const MESSAGE_EXPIRY: u32 = 0x02;
pub(crate) const CONTENT_TYPE: u32 = 0x03;
pub(crate) const RESPONSE_TOPIC: u32 = 0x08;
pub(crate) const CORRELATION_DATA: u32 = 0x09;
pub(crate) const SUBSCRIPTION_ID: u32 = 0x0b;
pub(crate) const SESSION_EXPIRY: u32 = 0x11;
pub(crate) const ASSIGNED_CLIENT_ID: u32 = 0x12;
pub(crate) const SERVER_KEEP_ALIVE: u32 = 0x13;
pub(crate) const AUTH_METHOD: u32 = 0x15;
pub(crate) const AUTH_DATA: u32 = 0x16;
pub(crate) const REQUEST_PROBLEM_INFORMATION: u32 = 0x17;
pub(crate) const WILL_DELAY: u32 = 0x18;
pub(crate) const REQUEST_RESPONSE_INFORMATION: u32 = 0x19;
pub(crate) const RESPONSE_INFORMATION: u32 = 0x1a;
pub(crate) const REASON_STRING: u32 = 0x1f;
pub(crate) const RECEIVE_MAXIMUM: u32 = 0x21;
pub(crate) const TOPIC_ALIAS_MAXIMUM: u32 = 0x22;
pub(crate) const MAXIMUM_QOS: u32 = 0x24;
pub(crate) const RETAIN_AVAILABLE: u32 = 0x25;
pub(crate) const USER_PROPERTY: u32 = 0x26;
pub(crate) const MAXIMUM_PACKET_SIZE: u32 = 0x27;
pub(crate) const WILDCARD_AVAILABLE: u32 = 0x28;
pub(crate) const SUBSCRIPTION_ID_AVAILABLE: u32 = 0x29;
pub(crate) const SHARED_AVAILABLE: u32 = 0x2a;

/// The value of a property that is a number.
pub(crate) fn number(properties: Properties<'_>, id: u32) -> Option<u32> {
    if properties.is_empty() {
        return None;
    }
    properties.find(id).and_then(as_number)
}

pub(crate) fn as_number(value: PropertyValue<'_>) -> Option<u32> {
    match value {
        PropertyValue::Byte(value) => Some(value.into()),
        PropertyValue::TwoByteInteger(value) => Some(value.into()),
        PropertyValue::FourByteInteger(value) | PropertyValue::VariableByteInteger(value) => {
            Some(value)
        }
        _ => None,
    }
}

/// The bytes of a property that is a string or binary data.
pub(crate) fn bytes(properties: Properties<'_>, id: u32) -> Option<Box<[u8]>> {
    if properties.is_empty() {
        return None;
    }
    match properties.find(id)? {
        PropertyValue::String(text) => Some(text.bytes().into()),
        PropertyValue::Binary(bytes) => Some(bytes.into()),
        _ => None,
    }
}

/// Whether there is such a property.
pub(crate) fn has(properties: Properties<'_>, id: u32) -> bool {
    !properties.is_empty() && properties.find(id).is_some()
}
