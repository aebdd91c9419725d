//! What goes through a server from one client to another: publications,
//! retained messages, wills, and what of them was delivered.
//!
//! A delivery is matched with the publication it comes from by topic and
//! payload. Only a single match counts; and as servers can be configured, have
//! plug-ins, and are fed by connections nobody captured, rules make warnings
//! of it at most.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use crate::frame::MQTTFrame;
use crate::limits;
use crate::mqtt::{ControlPacket, Properties, PropertyValue};
use crate::net::Endpoint;
use crate::time::Timestamp;

use super::properties as p;
use super::seen::Seen;

/// A message that a client gave to the server.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Its PUBLISH; of a will the last packet of its connection.
    pub seen: Seen,
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
    /// Place among the publications of its server.
    pub order: u64,
}

impl Publication {
    /// Bytes of names and values that it holds.
    fn held(&self) -> usize {
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

/// Properties of 5.0 that a server passes on unaltered, each as it was written.
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
        let mut carried = Self {
            payload_format: p::number(properties, p::PAYLOAD_FORMAT),
            content_type: p::bytes(properties, p::CONTENT_TYPE),
            response_topic: p::bytes(properties, p::RESPONSE_TOPIC),
            correlation_data: p::bytes(properties, p::CORRELATION_DATA),
            user: Vec::new(),
        };
        for property in properties.iter() {
            if let PropertyValue::Pair(name, value) = property.value {
                carried
                    .user
                    .push((name.bytes().into(), value.bytes().into()));
            }
        }
        carried
    }
}

/// What is known of a PUBLISH that a server sends.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// What it comes from, if that is one publication.
    pub publication: Option<Rc<Publication>>,
    /// There are several that it may come from.
    pub ambiguous: bool,
    /// How often this client got it before.
    pub earlier: u32,
    /// A publication of the same topic, publisher and QoS that was delivered
    /// on this connection before, although it was published later.
    pub overtaken_by: Option<Seen>,
    /// The last message that was published to the topic with RETAIN 1; its
    /// payload is told by `is_latest_retained`.
    pub retained: Option<Seen>,
    /// Whether this is that message.
    pub is_latest_retained: bool,
    /// It is the will of a client that had sent DISCONNECT, and nobody
    /// published it.
    pub dropped_will: Option<Seen>,
}

/// A publication among those of its server.
#[derive(Debug)]
struct Kept {
    key: u64,
    publication: Rc<Publication>,
    /// The one before it with the same key, which may be forgotten.
    previous: u64,
}

/// All servers. Of very many, those are forgotten that nobody has published to
/// for longest.
#[derive(Debug, Default)]
pub(super) struct Brokers {
    brokers: HashMap<Endpoint, (Broker, u64)>,
    turns: u64,
    /// How many were forgotten.
    pub(super) forgotten: u64,
}

impl Brokers {
    pub(super) fn get(&self, server: Endpoint) -> Option<&Broker> {
        self.brokers.get(&server).map(|(broker, _)| broker)
    }

    /// That of a server, to which something comes.
    pub(super) fn at(&mut self, server: Endpoint) -> &mut Broker {
        self.turns += 1;
        if self.brokers.len() >= limits::SERVERS && !self.brokers.contains_key(&server) {
            let all = self.brokers.iter();
            let oldest = all.min_by_key(|(_, (_, turn))| *turn).map(|(at, _)| *at);
            if let Some(oldest) = oldest {
                self.brokers.remove(&oldest);
                self.forgotten += 1;
            }
        }
        let (broker, turn) = self.brokers.entry(server).or_default();
        *turn = self.turns;
        broker
    }
}

/// What goes through one server.
#[derive(Debug, Default)]
pub(super) struct Broker {
    /// In the order they came.
    publications: VecDeque<Kept>,
    /// The latest of each key, and how many there are.
    by_key: HashMap<u64, (u64, u32), foldhash::fast::FixedState>,
    published: u64,
    /// Bytes that publications hold.
    held: usize,
    retained: HashMap<Box<[u8]>, (u64, Seen, bool)>,
    retained_held: usize,
    dropped_wills: HashMap<u64, Seen>,
}

impl Broker {
    /// A client publishes; `key` is of topic and payload.
    pub(super) fn publish(&mut self, frame: &MQTTFrame<'_>, key: u64) {
        let (ControlPacket::Publish(publish), Some(topic)) = (&frame.packet, frame.topic) else {
            return;
        };
        // A second copy is not a second message.
        if frame.header.dup() && self.by_key.contains_key(&key) {
            return;
        }
        let retain = frame.header.retain();
        let empty = publish.payload_len == Some(0);
        self.add(
            key,
            Publication {
                seen: Seen::of(frame),
                topic: topic.bytes().into(),
                qos: frame.header.qos(),
                retain,
                will: false,
                expiry: p::number(publish.properties, p::MESSAGE_EXPIRY),
                carried: Carried::of(publish.properties),
                order: 0,
            },
            empty,
        );
    }

    pub(super) fn add(
        &mut self,
        key: u64,
        mut publication: Publication,
        empty: bool,
    ) -> Rc<Publication> {
        self.published += 1;
        publication.order = self.published;
        let publication = Rc::new(publication);
        if publication.retain {
            let latest = (key, publication.seen, empty);
            let room = self.retained.len() < limits::PUBLICATIONS
                && self.retained_held < limits::PUBLICATION_BYTES;
            if let Some(known) = self.retained.get_mut(&publication.topic) {
                *known = latest;
            } else if room {
                self.retained_held += publication.topic.len();
                self.retained.insert(publication.topic.clone(), latest);
            }
        }
        self.held += publication.held();
        let (latest, count) = self.by_key.entry(key).or_default();
        self.publications.push_back(Kept {
            key,
            publication: publication.clone(),
            previous: std::mem::replace(latest, publication.order),
        });
        *count += 1;
        while self.publications.len() > limits::PUBLICATIONS
            || self.held > limits::PUBLICATION_BYTES
        {
            let Some(oldest) = self.publications.pop_front() else {
                break;
            };
            self.held -= oldest.publication.held();
            if let Some((_, count)) = self.by_key.get_mut(&oldest.key) {
                *count -= 1;
                if *count == 0 {
                    self.by_key.remove(&oldest.key);
                }
            }
        }
        publication
    }

    /// A client has said that its will is not wanted.
    pub(super) fn drop_will(&mut self, key: u64, by: Seen) {
        if self.dropped_wills.len() < limits::PUBLICATIONS {
            self.dropped_wills.insert(key, by);
        }
    }

    /// The publication of that PUBLISH.
    pub(super) fn find(&self, key: u64, seen: Seen) -> Option<Rc<Publication>> {
        let mut order = self.by_key.get(&key)?.0;
        while let Some(kept) = self.kept(order) {
            if kept.publication.seen == seen {
                return Some(kept.publication.clone());
            }
            order = kept.previous;
        }
        None
    }

    /// The publication at that place, unless it is forgotten.
    fn kept(&self, order: u64) -> Option<&Kept> {
        let first = self.publications.front()?.publication.order;
        self.publications
            .get(usize::try_from(order.checked_sub(first)?).ok()?)
    }

    /// A server delivers.
    pub(super) fn deliver(
        &self,
        frame: &MQTTFrame<'_>,
        key: u64,
        delivered: &mut Delivered,
    ) -> Delivery {
        let (latest, count) = self.by_key.get(&key).copied().unwrap_or_default();
        let publication = match count {
            1 => self.kept(latest).map(|kept| kept.publication.clone()),
            _ => None,
        };
        let retained = frame
            .topic
            .and_then(|topic| self.retained.get(topic.bytes()));
        let dropped = self.dropped_wills.get(&key).copied();
        let overtaken_by = publication.as_ref().and_then(|publication| {
            let live = !frame.header.retain() && !frame.header.dup();
            live.then(|| delivered.in_order(publication)).flatten()
        });
        Delivery {
            ambiguous: count > 1,
            earlier: delivered.again(key, frame.time),
            overtaken_by,
            retained: retained.map(|(_, seen, _)| *seen),
            is_latest_retained: retained.is_some_and(|(latest, ..)| *latest == key),
            dropped_will: dropped.filter(|_| count == 0),
            publication,
        }
    }

    /// The retained messages that match, by key.
    pub(super) fn retained(&self) -> impl Iterator<Item = (&[u8], u64, Seen)> {
        self.retained
            .iter()
            .filter(|(_, (_, _, empty))| !empty)
            .map(|(topic, (key, seen, _))| (&**topic, *key, *seen))
    }
}

/// What deliveries keep the order of: a publisher's connection, QoS and topic.
type Order = (u64, u8, Box<[u8]>);

/// What was delivered on a connection.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    recent: VecDeque<(u64, Timestamp)>,
    /// The latest publication.
    latest: HashMap<Order, (u64, Seen)>,
    /// What should still come.
    expected: Vec<Expected>,
}

/// A delivery that should come.
#[derive(Clone, Debug)]
pub(super) struct Expected {
    pub(super) key: u64,
    pub(super) because: Because,
    /// Its publication, or the SUBSCRIBE that asks for it.
    pub(super) of: Seen,
    /// From when on it is due.
    pub(super) since: Timestamp,
}

/// Why a delivery should come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Because {
    /// It was published to a topic that the client is subscribed to.
    Published,
    /// It is retained, and the client has subscribed.
    Retained,
    /// It is the will of a client that went away.
    Will,
}

impl Delivered {
    fn again(&mut self, key: u64, time: Timestamp) -> u32 {
        let before = self
            .recent
            .iter()
            .filter(|(other, _)| *other == key)
            .count();
        if self.recent.len() == limits::DELIVERIES {
            self.recent.pop_front();
        }
        self.recent.push_back((key, time));
        self.expected.retain(|expected| expected.key != key);
        before as u32
    }

    fn in_order(&mut self, publication: &Publication) -> Option<Seen> {
        if self.latest.len() >= limits::DELIVERIES {
            self.latest.clear();
        }
        let at = (
            publication.seen.connection,
            publication.qos,
            publication.topic.clone(),
        );
        let latest = self
            .latest
            .entry(at)
            .or_insert((publication.order, publication.seen));
        if publication.order < latest.0 {
            return Some(latest.1);
        }
        *latest = (publication.order, publication.seen);
        None
    }

    /// Something should come, unless it has come since it was published.
    pub(super) fn expect(&mut self, expected: Expected) {
        let published = match expected.because {
            Because::Published | Because::Will => expected.of.time,
            Because::Retained => expected.since,
        };
        let came = |(key, time): &(u64, Timestamp)| *key == expected.key && *time >= published;
        if self.expected.len() < limits::DELIVERIES && !self.recent.iter().any(came) {
            self.expected.push(expected);
        }
    }

    pub(super) fn expected(&self) -> &[Expected] {
        &self.expected
    }
}
