//! A publication: who published it, and who got it.

use std::sync::Arc;
use std::time::Duration;

use crate::facts::Topic;
use crate::frame::Connection;
use crate::identity::ExchangeId;
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// How a delivery was matched with its publication.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Match {
    /// Nothing else with this topic and payload was published.
    Exact,
    /// The same was published more than once, and the order decides.
    Ambiguous,
}

impl Match {
    /// The value in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Ambiguous => "ambiguous",
        }
    }
}

/// The client of a connection, as messages name it. Messages share it until more is known of
/// the connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Number of the connection.
    pub connection: u64,
    /// Identity of the connection.
    pub connection_uid: Arc<str>,
    /// Identity of its session, where known.
    pub session_uid: Option<Arc<str>>,
    /// Client identifier, where known.
    pub client_id: Option<Box<[u8]>>,
    /// The server.
    pub server: Endpoint,
}

impl Peer {
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            connection: connection.number,
            connection_uid: connection.uid().clone(),
            session_uid: connection.session_uid.clone(),
            client_id: connection.client_id.clone(),
            server: connection.server,
        }
    }

    /// Whether nothing new is known of its connection.
    pub(super) fn is_current(&self, connection: &Connection) -> bool {
        connection.is_in_session(self.session_uid.as_ref())
            && (self.client_id.is_some() || connection.client_id.is_none())
    }

    /// The text of an exchange on the connection.
    pub fn exchange_uid(&self, exchange: Option<ExchangeId>) -> Option<String> {
        Some(exchange?.uid(&self.connection_uid))
    }
}

/// A PUBLISH that a server received.
#[derive(Clone, Debug)]
pub struct Publication {
    /// Who published it.
    pub peer: Arc<Peer>,
    /// Its exchange.
    pub exchange: Option<ExchangeId>,
    /// The packet that completed it.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// It or one of its deliveries is selected:
    /// [`Deliveries::select`](super::Deliveries::select).
    pub is_selected: bool,
    /// Topic Name.
    pub topic: Topic,
    /// QoS.
    pub qos: u8,
    /// Whether it was to be retained.
    pub retain: bool,
    /// Bytes of its payload.
    pub payload_len: u32,
    /// Deliveries, in the order of capture.
    pub deliveries: Vec<Delivery>,
    /// Subscribers without a delivery.
    pub unseen: Vec<Unseen>,
    /// Digest of its payload.
    pub digest: u64,
    /// The key of what is equal to it.
    pub(super) key: u64,
}

/// A PUBLISH that a server sent.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Who got it.
    pub peer: Arc<Peer>,
    /// Its exchange.
    pub exchange: Option<ExchangeId>,
    /// The packet that completed it.
    pub packet: PacketRef,
    /// QoS.
    pub qos: u8,
    /// RETAIN: it was sent because of a new subscription.
    pub retained: bool,
    /// The client connected after the message was published: it was queued.
    pub queued: bool,
    /// Time in the server, from the publication to this.
    pub time: Duration,
    /// How it was matched.
    pub matched: Match,
}

/// A PUBLISH that a server sent, whose publication is not in the capture.
#[derive(Clone, Debug)]
pub struct Unpublished {
    /// Who got it.
    pub peer: Arc<Peer>,
    /// Its exchange.
    pub exchange: Option<ExchangeId>,
    /// The packet that completed it.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// Topic Name.
    pub topic: Topic,
    /// QoS.
    pub qos: u8,
    /// RETAIN: it was sent because of a new subscription.
    pub retained: bool,
    /// Bytes of its payload, where known.
    pub payload_len: Option<u32>,
    /// Digest of its payload.
    pub digest: u64,
}

/// A subscriber whose filter matches, without a delivery in this capture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unseen {
    /// The client.
    pub client_id: Option<Box<[u8]>>,
    /// Its filter.
    pub filter: Box<[u8]>,
}

/// What waits to be taken.
#[derive(Debug)]
pub enum Settled<'a> {
    /// A publication that is not matched any more.
    Publication(&'a Publication),
    /// A delivery without a publication.
    Unpublished(&'a Unpublished),
}
