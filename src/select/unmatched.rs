//! Criteria of a selection that select nothing. The usual cause is a misspelt name,
//! whose empty result would look like a capture without faults.

use std::collections::BTreeSet;

use crate::facts::{Fact, Sink};
use crate::frame::MQTTFrame;

use super::about::{About, Topicality};
use super::{Selection, client_id};

/// Maximum number of names kept of each kind.
const REMEMBERED: usize = 1_000;

/// Finds the selected topics, clients and connections that are in none of the
/// captures, and lists those that are.
#[derive(Debug, Default)]
pub struct Unmatched {
    asked: Selection,
    topics: Vec<bool>,
    clients: Vec<bool>,
    connections: Vec<bool>,
    there: There,
}

/// Names in the captures.
#[derive(Clone, Debug, Default)]
pub struct There {
    /// Topics of PUBLISH packets, the first 1,000.
    pub topics: BTreeSet<Box<[u8]>>,
    /// Client identifiers, the first 1,000.
    pub clients: BTreeSet<Box<[u8]>>,
    /// Numbers of connections with MQTT, the first 1,000.
    pub connections: BTreeSet<u64>,
}

/// A criterion that matches nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Criterion<'a> {
    /// A topic filter.
    Topic(&'a [u8]),
    /// A client identifier.
    Client(&'a [u8]),
    /// The number of a connection.
    Connection(u64),
}

impl Unmatched {
    /// For these criteria; `None` if there are none by topic, client or
    /// connection.
    pub fn new(asked: &Selection) -> Option<Self> {
        let none =
            asked.topics.is_empty() && asked.clients.is_empty() && asked.connections.is_empty();
        (!none).then(|| Self {
            topics: vec![false; asked.topics.len()],
            clients: vec![false; asked.clients.len()],
            connections: vec![false; asked.connections.len()],
            asked: asked.clone(),
            there: There::default(),
        })
    }

    /// The criteria that match nothing.
    pub fn criteria(&self) -> impl Iterator<Item = Criterion<'_>> {
        let asked = &self.asked;
        let topics = asked.topics.iter().map(|filter| filter.bytes());
        let clients = asked.clients.iter().map(|client| &**client);
        let unmatched = |(_, matched): &(_, &bool)| !**matched;
        let topics = topics.zip(&self.topics).filter(unmatched);
        let unmatched = |(_, matched): &(_, &bool)| !**matched;
        let clients = clients.zip(&self.clients).filter(unmatched);
        let connections = asked.connections.iter().zip(&self.connections);
        let connections = connections.filter(|(_, matched)| !**matched);
        topics
            .map(|(topic, _)| Criterion::Topic(topic))
            .chain(clients.map(|(client, _)| Criterion::Client(client)))
            .chain(connections.map(|(number, _)| Criterion::Connection(*number)))
    }

    /// Adds what was found in other captures, which come after these.
    pub fn absorb(&mut self, other: Self) {
        let or = |ours: &mut Vec<bool>, theirs: Vec<bool>| {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a |= b);
        };
        or(&mut self.topics, other.topics);
        or(&mut self.clients, other.clients);
        or(&mut self.connections, other.connections);
        for name in &other.there.topics {
            remember(&mut self.there.topics, name);
        }
        for name in &other.there.clients {
            remember(&mut self.there.clients, name);
        }
        let room = REMEMBERED.saturating_sub(self.there.connections.len());
        let numbers = other.there.connections.into_iter().take(room);
        self.there.connections.extend(numbers);
    }

    /// Names in the captures.
    pub fn there(&self) -> &There {
        &self.there
    }

    fn connection(&mut self, number: Option<u64>) {
        for (asked, matched) in self.asked.connections.iter().zip(&mut self.connections) {
            *matched |= Some(*asked) == number;
        }
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let number = frame.connection.number;
        if self.there.connections.len() < REMEMBERED {
            self.there.connections.insert(number);
        }
        self.connection(Some(number));
        if let Some(id) = client_id(frame) {
            remember(&mut self.there.clients, id);
            for (asked, matched) in self.asked.clients.iter().zip(&mut self.clients) {
                *matched |= **asked == *id;
            }
        }
        if self.asked.topics.is_empty() {
            return;
        }
        if let Some(topic) = frame.topic {
            remember(&mut self.there.topics, topic.0);
        }
        for (asked, matched) in self.asked.topics.iter().zip(&mut self.topics) {
            // An unknown topic may match.
            *matched = *matched
                || About::asking(frame, std::slice::from_ref(asked))
                    .is_some_and(|about| about.topic != Topicality::Other);
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
            // Of a connection without messages, how it ended may be asked.
            Fact::Event(event) => self.connection(event.connection.map(|it| it.number)),
            _ => {}
        }
    }
}
