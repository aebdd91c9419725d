//! Criteria of a selection that select nothing. The usual cause is a misspelt name,
//! whose empty result would look like a capture without faults.

use std::collections::BTreeSet;

use crate::event::Event;
use crate::facts::{Fact, Sink};
use crate::frame::MQTTFrame;
use crate::mqtt::PacketType;
use crate::mqtt::topic::TopicFilter;

use super::about::{About, Topicality};
use super::{Selection, client_id};

/// Maximum number of names kept of each kind.
const REMEMBERED: usize = 1_000;

/// Finds the criteria that select nothing in any of the captures, and lists what there
/// is. A display filter is not among them.
#[derive(Debug, Default)]
pub struct Unmatched {
    /// Each with whether it selects something.
    criteria: Vec<(Criterion, bool)>,
    there: There,
}

/// What is in the captures.
#[derive(Clone, Debug, Default)]
pub struct There {
    /// Topics of PUBLISH packets, the first 1,000; only if topics are asked for.
    pub topics: BTreeSet<Box<[u8]>>,
    /// Client identifiers, the first 1,000.
    pub clients: BTreeSet<Box<[u8]>>,
    /// Numbers of connections with MQTT, the first 1,000.
    pub connections: BTreeSet<u64>,
    /// Types of control packets.
    pub types: BTreeSet<PacketType>,
    /// QoS of PUBLISH exchanges.
    pub qos: BTreeSet<u8>,
}

/// A criterion: each name, because it may be misspelt; all types and all QoS together,
/// which cannot be.
#[derive(Clone, Debug)]
pub enum Criterion {
    /// A topic filter.
    Topic(TopicFilter),
    /// A client identifier.
    Client(Box<[u8]>),
    /// The number of a connection.
    Connection(u64),
    /// Types of control packets.
    Types(Vec<PacketType>),
    /// QoS of PUBLISH exchanges.
    Qos(Vec<u8>),
}

impl Criterion {
    fn selects(&self, frame: &MQTTFrame<'_>) -> bool {
        match self {
            // An unknown topic may match.
            Self::Topic(filter) => About::asking(frame, std::slice::from_ref(filter))
                .is_some_and(|about| about.topic != Topicality::Other),
            Self::Client(asked) => client_id(frame) == Some(asked),
            Self::Connection(number) => frame.connection.number == *number,
            Self::Types(types) => types.contains(&frame.header.packet_type()),
            Self::Qos(asked) => About::qos(frame).is_some_and(|qos| asked.contains(&qos)),
        }
    }
}

impl Unmatched {
    /// For these criteria; `None` if there are none.
    pub fn new(asked: &Selection) -> Option<Self> {
        let topics = asked.topics.iter().cloned().map(Criterion::Topic);
        let clients = asked.clients.iter().cloned().map(Criterion::Client);
        let connections = asked.connections.iter().copied().map(Criterion::Connection);
        let types = (!asked.types.is_empty()).then(|| Criterion::Types(asked.types.clone()));
        let qos = (!asked.qos.is_empty()).then(|| Criterion::Qos(asked.qos.clone()));
        let all = topics.chain(clients).chain(connections);
        let criteria: Vec<_> = all
            .chain(types)
            .chain(qos)
            .map(|criterion| (criterion, false))
            .collect();
        (!criteria.is_empty()).then(|| Self {
            criteria,
            there: There::default(),
        })
    }

    /// The criteria that match nothing.
    pub fn criteria(&self) -> impl Iterator<Item = &Criterion> {
        let unmatched = self.criteria.iter().filter(|(_, matched)| !matched);
        unmatched.map(|(criterion, _)| criterion)
    }

    /// Adds what was found in other captures, which come after these.
    pub fn absorb(&mut self, other: Self) {
        let both = self.criteria.iter_mut().zip(other.criteria);
        both.for_each(|((_, ours), (_, theirs))| *ours |= theirs);
        for name in &other.there.topics {
            remember(&mut self.there.topics, name);
        }
        for name in &other.there.clients {
            remember(&mut self.there.clients, name);
        }
        let room = REMEMBERED.saturating_sub(self.there.connections.len());
        let numbers = other.there.connections.into_iter().take(room);
        self.there.connections.extend(numbers);
        self.there.types.extend(other.there.types);
        self.there.qos.extend(other.there.qos);
    }

    /// What is in the captures.
    pub fn there(&self) -> &There {
        &self.there
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let there = &mut self.there;
        if there.connections.len() < REMEMBERED {
            there.connections.insert(frame.connection.number);
        }
        if let Some(id) = client_id(frame) {
            remember(&mut there.clients, id);
        }
        there.types.insert(frame.header.packet_type());
        there.qos.extend(About::qos(frame));
        let asks_topics =
            |(criterion, _): &(Criterion, bool)| matches!(criterion, Criterion::Topic(_));
        if let Some(topic) = frame.topic
            && self.criteria.iter().any(asks_topics)
        {
            remember(&mut there.topics, topic.0);
        }
        for (criterion, matched) in &mut self.criteria {
            *matched = *matched || criterion.selects(frame);
        }
    }

    /// Of a connection without messages, how it ended may be asked.
    fn event(&mut self, event: &Event<'_>) {
        let number = event.connection.map(|connection| connection.number);
        for (criterion, matched) in &mut self.criteria {
            *matched |= matches!(criterion, Criterion::Connection(asked) if Some(*asked) == number);
        }
    }
}

fn remember(names: &mut BTreeSet<Box<[u8]>>, name: &[u8]) {
    if names.len() < REMEMBERED && !names.contains(name) {
        names.insert(name.into());
    }
}

impl Sink for Unmatched {
    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(fact.frame),
            Fact::Event(event) => self.event(event),
            _ => {}
        }
    }
}
