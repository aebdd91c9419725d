//! Which captured packets, and which connections, have a message that the selection
//! wants: for commands whose results name packets or connections.

use std::collections::HashSet;
use std::hash::Hash;

use mqttdump::facts::{Fact, Needs, Sink};
use mqttdump::frame::MQTTFrame;
use mqttdump::packet::PacketRef;
use mqttdump::time::Timestamp;

use super::messages::Messages;

/// Collects what has selected messages, by a key of the message.
pub(crate) struct Matching<K> {
    messages: Messages,
    key: fn(&MQTTFrame<'_>) -> K,
    found: HashSet<K>,
}

impl Matching<PacketRef> {
    /// Collects packets.
    pub(crate) fn packets(messages: Messages) -> Self {
        Self::new(messages, |frame| frame.last)
    }
}

impl Matching<u64> {
    /// Collects connections by their numbers.
    pub(crate) fn connections(messages: Messages) -> Self {
        Self::new(messages, |frame| frame.connection.number)
    }
}

impl<K: Eq + Hash> Matching<K> {
    fn new(messages: Messages, key: fn(&MQTTFrame<'_>) -> K) -> Self {
        Self {
            messages,
            key,
            found: HashSet::new(),
        }
    }

    /// Sets the capture time of the next packet.
    pub(crate) fn packet(&mut self, time: Timestamp) {
        self.messages.packet(time);
    }

    /// The messages.
    pub(crate) fn messages(&self) -> &Messages {
        &self.messages
    }

    /// Whether this has a selected message.
    pub(crate) fn has(&self, key: &K) -> bool {
        self.found.contains(key)
    }

    /// Nothing more comes of this, and nothing more is asked.
    pub(crate) fn forget(&mut self, key: &K) {
        self.found.remove(key);
    }

    /// What has selected messages.
    pub(crate) fn into_found(self) -> HashSet<K> {
        self.found
    }
}

impl<K: Eq + Hash> Sink for Matching<K> {
    fn needs(&self) -> Needs {
        self.messages.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        if let Fact::Frame(fact) = fact
            && self.messages.selects(&fact)
        {
            self.found.insert((self.key)(fact.frame));
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, _: Timestamp) {
        if let Fact::Frame(fact) = fact {
            self.messages.matches(&fact);
        }
    }
}
