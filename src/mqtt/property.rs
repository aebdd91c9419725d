//! The properties of MQTT 5.0. (to be written)

use super::text::Text;

/// The properties of a control packet: a slice of it, walked when asked.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Properties<'a> {
    /// The bytes after the Property Length; fewer than it promises when the
    /// packet or the capture ends early.
    pub bytes: &'a [u8],
    /// Where `bytes` starts, from the first byte of the control packet.
    pub offset: u32,
}

impl<'a> Properties<'a> {
    /// The properties in order, up to the first that cannot be read.
    pub fn iter(&self) -> impl Iterator<Item = Property<'a>> + use<'a> {
        std::iter::empty()
    }
}

/// One property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Property<'a> {
    /// Property Identifier, such as 0x23.
    pub id: u32,
    /// Its value.
    pub value: PropertyValue<'a>,
    /// Where its identifier stands, from the first byte of the control packet.
    pub offset: u32,
}

impl Property<'_> {
    /// The specification's name in snake case, such as `topic_alias`.
    pub fn name(&self) -> &'static str {
        "unknown"
    }

    /// Whether a packet may hold it more than once (JSON shows it as a list):
    /// User Property everywhere, Subscription Identifier in PUBLISH.
    pub fn repeats(&self) -> bool {
        false
    }
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
