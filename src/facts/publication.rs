//! A message that a client publishes, and what identifies it.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};

use crate::frame::MQTTFrame;
use crate::mqtt::{Properties, PropertyValue};
use crate::time::Timestamp;

use super::frame_ref::FrameRef;
use super::properties as p;

/// A message that a client gave to the server.
#[derive(Clone, Debug, Default)]
pub struct Publication {
    /// Its PUBLISH; of a will its CONNECT.
    pub seen: FrameRef,
    /// Key by which messages are matched: a hash of topic and payload.
    pub key: u64,
    /// Topic Name.
    pub topic: Vec<u8>,
    /// Published with this QoS.
    pub qos: u8,
    /// And with this RETAIN.
    pub retain: bool,
    /// It is a will.
    pub will: bool,
    /// Message Expiry Interval in seconds (5.0).
    pub expiry: Option<u32>,
    /// The properties that servers pass on.
    pub carried: Carried,
    /// It has no payload.
    pub empty: bool,
    /// Index among the publications of its server; 0 for a will.
    pub order: u64,
    /// How often its PUBLISH was sent again with DUP 1 on its connection, and
    /// of QoS 2 before PUBREL.
    pub resent: Cell<u32>,
    /// It was resent in another form, and may count as a new message.
    pub returned: Cell<bool>,
    /// The member of a shared subscription that got it: share, connection and
    /// time.
    pub(super) member: Cell<Option<(u64, u64, Timestamp)>>,
}

impl Publication {
    /// Bytes of its topic and properties.
    pub(super) fn size(&self) -> usize {
        self.topic.len() + self.carried.bytes.len()
    }
}

/// The properties of a message (5.0), of which a server passes some on unaltered. They
/// are kept as encoded, and decoded where they are compared: most are the same.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    bytes: Vec<u8>,
}

/// Properties that a server passes on unaltered. Of what occurs again, which it may
/// not, the first counts.
#[derive(PartialEq, Eq, Debug, Default)]
pub struct CarriedFields<'a> {
    /// Payload Format Indicator.
    pub payload_format: Option<u32>,
    /// Content Type.
    pub content_type: Option<&'a [u8]>,
    /// Response Topic.
    pub response_topic: Option<&'a [u8]>,
    /// Correlation Data.
    pub correlation_data: Option<&'a [u8]>,
    /// User Properties in order: names and values.
    pub user: Vec<(&'a [u8], &'a [u8])>,
}

impl Carried {
    /// Those of a PUBLISH or of a will.
    pub fn of(properties: Properties<'_>) -> Self {
        Self {
            bytes: properties.bytes.to_vec(),
        }
    }

    /// Takes those of a PUBLISH in place of these.
    pub(super) fn replace(&mut self, properties: Properties<'_>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(properties.bytes);
    }

    /// Whether these are the same properties, in the same order.
    pub fn is_same(&self, properties: Properties<'_>) -> bool {
        self.bytes == properties.bytes
    }

    /// The decoded properties.
    pub fn fields(&self) -> CarriedFields<'_> {
        CarriedFields::of(Properties {
            bytes: &self.bytes,
            offset: 0,
        })
    }
}

impl<'a> CarriedFields<'a> {
    /// Those of a PUBLISH or of a will.
    pub fn of(properties: Properties<'a>) -> Self {
        let mut fields = Self::default();
        for property in properties.iter() {
            match (property.id, property.value) {
                (p::PAYLOAD_FORMAT, value) => {
                    fields.payload_format = fields.payload_format.or(p::as_number(value));
                }
                (p::CONTENT_TYPE, PropertyValue::String(text)) => {
                    fields.content_type.get_or_insert(text.bytes());
                }
                (p::RESPONSE_TOPIC, PropertyValue::String(text)) => {
                    fields.response_topic.get_or_insert(text.bytes());
                }
                (p::CORRELATION_DATA, PropertyValue::Binary(bytes)) => {
                    fields.correlation_data.get_or_insert(bytes);
                }
                (_, PropertyValue::Pair(name, value)) => {
                    fields.user.push((name.bytes(), value.bytes()));
                }
                _ => {}
            }
        }
        fields
    }
}

/// The will of a connection, as far as it is needed when its client reconnects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LeftWill {
    /// The CONNECT.
    pub(super) connect: FrameRef,
    /// Key by which messages are matched.
    pub(super) key: u64,
    /// It has a Will Delay Interval.
    pub(super) delayed: bool,
}

/// Key of a message: topic and payload. `None` if not all of it was captured, and for an
/// empty topic: what a server makes of that is not known.
pub(super) fn digest(frame: &MQTTFrame<'_>) -> Option<u64> {
    let topic = frame.topic.filter(|topic| !topic.bytes().is_empty())?;
    Some(key(topic.bytes(), frame.payload_digest?))
}

/// Key of a message, by the [`Digest`](crate::mqtt::Digest) of the payload.
pub(super) fn key(topic: &[u8], payload: u64) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    topic.hash(&mut hasher);
    payload.hash(&mut hasher);
    hasher.finish()
}
