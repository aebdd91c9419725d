//! What each control packet says, as far as its bytes could be read.
//!
//! Every field that may be missing (because the packet is too short, or the
//! capture lacks the bytes) is an `Option`; numbers stay numbers. Nothing here
//! allocates: lists are slices of the packet that are walked when asked.

use super::property::Properties;
use super::text::Text;

/// The variable header and payload of a control packet, by type. One struct
/// per type for all versions; properties are empty before 5.0.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum ControlPacket<'a> {
    /// Type 0: no version defines it.
    Reserved,
    Connect(Connect<'a>),
    Connack(Connack<'a>),
    Publish(Publish<'a>),
    Puback(Ack<'a>),
    Pubrec(Ack<'a>),
    Pubrel(Ack<'a>),
    Pubcomp(Ack<'a>),
    Subscribe(Subscribe<'a>),
    Suback(Suback<'a>),
    Unsubscribe(Unsubscribe<'a>),
    Unsuback(Unsuback<'a>),
    Pingreq,
    Pingresp,
    Disconnect(Disconnect<'a>),
    Auth(Auth<'a>),
}

/// CONNECT (3.1.1: 3.1; 5.0: 3.1).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Connect<'a> {
    /// `MQTT` or `MQIsdp`.
    pub protocol_name: Option<Text<'a>>,
    /// Protocol level as on the wire, bridge bit included.
    pub protocol_level: Option<u8>,
    /// Connect Flags.
    pub flags: Option<u8>,
    /// Keep Alive in seconds, 0 for none.
    pub keep_alive: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// Client Identifier.
    pub client_id: Option<Text<'a>>,
    /// The will, if its flag is set.
    pub will: Option<Will<'a>>,
    /// User name, if its flag is set and it was there.
    pub username: Option<Text<'a>>,
    /// Password, if its flag is set and it was there.
    pub password: Option<&'a [u8]>,
}

/// The will of a CONNECT; QoS and retain are in the connect flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Will<'a> {
    /// Will Properties of 5.0.
    pub properties: Properties<'a>,
    /// Will Topic.
    pub topic: Option<Text<'a>>,
    /// Will Payload (5.0), Will Message (3.x).
    pub payload: Option<&'a [u8]>,
    /// Will QoS, bits 4-3 of the connect flags, 0 to 3.
    pub qos: u8,
    /// Will Retain, bit 5.
    pub retain: bool,
}

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

/// PUBLISH.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publish<'a> {
    /// Topic Name as on the wire: empty where a Topic Alias stands for it.
    pub topic: Option<Text<'a>>,
    /// Packet Identifier, present with QoS above 0; 0 is illegal but shown.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// Topic Alias, if that property is there.
    pub topic_alias: Option<u16>,
    /// Bytes of the whole payload; `None` if its start is unknown.
    pub payload_len: Option<u32>,
    /// The beginning of the payload, as far as it was kept and captured
    /// without a hole.
    pub payload: &'a [u8],
}

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

/// SUBACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suback<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// One return or reason code per filter.
    pub codes: &'a [u8],
}

/// UNSUBSCRIBE.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsubscribe<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// The payload: Topic Filters. Walk it with [`Unsubscribe::filters`].
    pub payload: &'a [u8],
}

/// UNSUBACK.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unsuback<'a> {
    /// Packet Identifier.
    pub packet_id: Option<u16>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
    /// One reason code per filter (5.0); empty before.
    pub codes: &'a [u8],
}

/// DISCONNECT.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Disconnect<'a> {
    /// Reason Code of 5.0, if it was on the wire.
    pub code: Option<u8>,
    /// Properties of 5.0.
    pub properties: Properties<'a>,
}

/// AUTH (5.0).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Auth<'a> {
    /// Reason Code, if it was on the wire.
    pub code: Option<u8>,
    /// Properties.
    pub properties: Properties<'a>,
}
