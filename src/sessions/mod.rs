//! Who connected, what they did, and how it ended: one record per connection.

use std::collections::BTreeMap;

use crate::event::{Event, EventKind, Side};
use crate::facts::{Fact, Sink};
use crate::frame::{Connection, MQTTFrame, PerDirection};
use crate::mqtt::{PacketType, Version};
use crate::net::Endpoint;
use crate::time::Timestamp;

/// What is known of one connection.
#[derive(Clone, Debug)]
pub struct Session {
    /// Number of the TCP connection, from 1.
    pub connection: u64,
    /// The side that opened the connection.
    pub client: Endpoint,
    /// The side that accepted it.
    pub server: Endpoint,
    /// The client's identifier, where known.
    pub client_id: Option<Box<[u8]>>,
    /// Version of the protocol, where known or assumed.
    pub version: Option<Version>,
    /// PUBLISH packets in each direction.
    pub messages: PerDirection<u64>,
    /// The first time at which the capture shows it.
    pub first: Timestamp,
    /// The last time at which the capture shows it.
    pub last: Timestamp,
    /// How it was closed; `None` while it is open.
    pub closed: Option<Close>,
}

/// How a connection was closed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close {
    /// The side that closed it; `None` when neither did.
    pub by: Option<Side>,
    /// As in [`EventKind::Closed`].
    pub how: &'static str,
}

/// Gathers a [`Session`] for every connection that carries MQTT.
#[derive(Debug, Default)]
pub struct Sessions {
    all: BTreeMap<u64, Session>,
}

impl Sessions {
    /// The sessions so far, in order of connection.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.all.values()
    }

    fn session(&mut self, connection: &Connection, time: Timestamp) -> &mut Session {
        let session = self.all.entry(connection.number).or_insert(Session {
            connection: connection.number,
            client: connection.client,
            server: connection.server,
            client_id: None,
            version: None,
            messages: PerDirection::default(),
            first: time,
            last: time,
            closed: None,
        });
        session.first = session.first.min(time);
        session.last = session.last.max(time);
        session
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let session = self.session(frame.connection, frame.time);
        if session.client_id.is_none() {
            session.client_id.clone_from(&frame.connection.client_id);
        }
        session.version = frame.connection.version;
        if frame.header.packet_type() == PacketType::Publish {
            session.messages[frame.direction] += 1;
        }
    }

    fn event(&mut self, event: &Event<'_>) {
        let Some(connection) = event.connection else {
            return;
        };
        match event.kind {
            EventKind::Opened => {
                self.session(connection, event.time);
            }
            EventKind::Closed { by, reason, .. } => {
                let how = reason.name();
                self.session(connection, event.time).closed = Some(Close { by, how });
            }
            _ => {}
        }
    }
}

impl Sink for Sessions {
    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(fact.frame),
            Fact::Event(event) => self.event(event),
            _ => {}
        }
    }
}
