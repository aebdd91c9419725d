//! A message that a client publishes, and what identifies it.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};

use crate::frame::MQTTFrame;
use crate::mqtt::{Properties, PropertyValue};
use crate::time::Timestamp;

use super::frame_ref::FrameRef;
use super::properties as p;

/// A message that a client gave to the server.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its PUBLISH; of a will its CONNECT.
    pub seen: FrameRef,
    /// Key by which messages are matched.
    pub(super) key: u64,
    /// Topic Name.
    pub topic: Box<[u8]>,
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
    /// Bytes of its names and values.
    pub(super) fn size(&self) -> usize {
        let of = |value: &Option<Box<[u8]>>| value.as_ref().map_or(0, |value| value.len());
        let carried = &self.carried;
        let user: usize = carried.user.iter().map(|(n, v)| n.len() + v.len()).sum();
        self.topic.len()
            + of(&carried.content_type)
            + of(&carried.response_topic)
            + of(&carried.correlation_data)
            + user
    }
}

/// Properties of 5.0 that a server passes on unaltered, as encoded.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Carried {
    /// Payload Format Indicator.
    pub payload_format: Option<u32>,
    /// Content Type.
    pub content_type: Option<Box<[u8]>>,
    /// Response Topic.
    pub response_topic: Option<Box<[u8]>>,
    /// Correlation Data.
    pub correlation_data: Option<Box<[u8]>>,
    /// User Properties in order.
    pub user: Vec<UserProperty>,
}

/// Name and value.
type UserProperty = (Box<[u8]>, Box<[u8]>);

impl Carried {
    /// Those of a PUBLISH or of a will.
    pub fn of(properties: Properties<'_>) -> Self {
        if properties.is_empty() {
            return Self::default();
        }
        // Of what occurs again, which it may not, the first counts.
        let mut carried = Self::default();
        for property in properties.iter() {
            match (property.id, property.value) {
                (p::PAYLOAD_FORMAT, value) => {
                    carried.payload_format = carried.payload_format.or(p::as_number(value));
                }
                (p::CONTENT_TYPE, PropertyValue::String(text)) => {
                    carried
                        .content_type
                        .get_or_insert_with(|| text.bytes().into());
                }
                (p::RESPONSE_TOPIC, PropertyValue::String(text)) => {
                    carried
                        .response_topic
                        .get_or_insert_with(|| text.bytes().into());
                }
                (p::CORRELATION_DATA, PropertyValue::Binary(bytes)) => {
                    carried.correlation_data.get_or_insert_with(|| bytes.into());
                }
                (_, PropertyValue::Pair(name, value)) => {
                    carried
                        .user
                        .push((name.bytes().into(), value.bytes().into()));
                }
                _ => {}
            }
        }
        carried
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

/// Key of a message: topic and payload. `None` if not all of it was captured.
pub(super) fn digest(frame: &MQTTFrame<'_>) -> Option<u64> {
    Some(key(frame.topic?.bytes(), frame.payload_digest?))
}

/// Key of a message, by the [`Digest`](crate::mqtt::Digest) of the payload.
pub(super) fn key(topic: &[u8], payload: u64) -> u64 {
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    topic.hash(&mut hasher);
    payload.hash(&mut hasher);
    hasher.finish()
}
