//! Control packets as a ladder: who sent what to whom, in order.
//!
//! A [`Ladder`] keeps what a drawing needs of each control packet; a report draws it.

use std::collections::HashSet;

use crate::event::{Event, EventKind, Side};
use crate::facts::{Fact, FrameFact, Needs, Sink};
use crate::frame::{Connection, Direction};
use crate::limits;
use crate::mqtt::{FixedHeader, TopicFilter};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// What a ladder is to show. A list that is empty restricts nothing.
#[derive(Clone, Debug, Default)]
pub struct LadderOf {
    /// Connections by their numbers.
    pub connections: Vec<u64>,
    /// Client identifiers.
    pub clients: Vec<Box<[u8]>>,
    /// Topics of messages, with their acknowledgements.
    pub topics: Vec<TopicFilter>,
    /// Packet Identifiers.
    pub ids: Vec<u16>,
}

/// A connection in a ladder.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Its number.
    pub connection: u64,
    /// Its client.
    pub client: Endpoint,
    /// Its server.
    pub server: Endpoint,
    /// Client identifier.
    pub client_id: Option<Box<[u8]>>,
    /// Whether the client has sent a PUBLISH.
    pub publishes: bool,
}

/// One line of a ladder.
#[derive(Clone, Debug)]
pub struct Rung {
    /// When.
    pub time: Timestamp,
    /// The captured packet.
    pub packet: PacketRef,
    /// Index into [`Ladder::lanes`].
    pub lane: usize,
    /// What it shows.
    pub what: Shown,
}

/// What a rung shows.
#[derive(Clone, Debug)]
pub enum Shown {
    /// A control packet.
    Packet {
        /// Which way it went.
        direction: Direction,
        /// Its fixed header.
        header: FixedHeader,
        /// Packet Identifier.
        id: Option<u16>,
        /// Topic of a PUBLISH.
        topic: Option<Box<[u8]>>,
        /// Return or Reason Code.
        code: Option<u8>,
        /// Number of its exchange of QoS 1 or 2.
        exchange: Option<u64>,
        /// Bytes of it that the capture lacks.
        missing: u64,
    },
    /// Bytes that the capture lacks.
    Gap {
        /// Which way they went.
        direction: Direction,
        /// How many, if known.
        bytes: Option<u64>,
    },
    /// The SYN of the connection.
    Opened,
    /// The connection ended.
    Closed {
        /// Who ended it.
        by: Option<Side>,
    },
}

/// Control packets in order.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    of: LadderOf,
    lanes: Vec<Lane>,
    rungs: Vec<Rung>,
    /// Exchanges of selected topics.
    exchanges: HashSet<u64>,
    more: u64,
}

impl Ladder {
    /// A ladder of what is wanted.
    pub fn new(of: LadderOf) -> Self {
        Self {
            of,
            ..Self::default()
        }
    }

    /// The connections, in the order in which they came.
    pub fn lanes(&self) -> &[Lane] {
        &self.lanes
    }

    /// The rungs, in order.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Rungs that were not kept because there were too many.
    pub const fn more(&self) -> u64 {
        self.more
    }

    fn lane(&mut self, connection: &Connection) -> Option<usize> {
        let of = &self.of;
        if !of.connections.is_empty() && !of.connections.contains(&connection.number) {
            return None;
        }
        let id = connection.client_id.as_deref();
        if !of.clients.is_empty() && !of.clients.iter().any(|wanted| Some(&**wanted) == id) {
            return None;
        }
        let known = self
            .lanes
            .iter()
            .rposition(|lane| lane.connection == connection.number);
        let lane = known.unwrap_or_else(|| {
            self.lanes.push(Lane {
                connection: connection.number,
                client: connection.client,
                server: connection.server,
                client_id: None,
                publishes: false,
            });
            self.lanes.len() - 1
        });
        if self.lanes[lane].client_id.is_none() {
            self.lanes[lane].client_id.clone_from(&connection.client_id);
        }
        Some(lane)
    }

    fn add(&mut self, rung: Rung) {
        match self.rungs.len() < limits::LADDER_RUNGS {
            true => self.rungs.push(rung),
            false => self.more += 1,
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let Some(lane) = self.lane(frame.connection) else {
            return;
        };
        let number = fact
            .exchange
            .and_then(|exchange| Some(exchange.first?.number));
        let id = frame.packet.packet_id();
        if !self.of.ids.is_empty() && !id.is_some_and(|id| self.of.ids.contains(&id)) {
            return;
        }
        if !self.of.topics.is_empty() {
            let is_wanted = frame.topic.is_some_and(|topic| {
                self.of
                    .topics
                    .iter()
                    .any(|filter| filter.matches(topic.bytes()))
            });
            if is_wanted {
                self.exchanges.extend(number);
            } else if !number.is_some_and(|number| self.exchanges.contains(&number)) {
                return;
            }
        }
        let is_publish = frame.header.packet_type() == crate::mqtt::PacketType::Publish;
        if is_publish && frame.direction == Direction::Up {
            self.lanes[lane].publishes = true;
        }
        self.add(Rung {
            time: frame.time,
            packet: frame.last,
            lane,
            what: Shown::Packet {
                direction: frame.direction,
                header: frame.header,
                id,
                topic: frame
                    .topic
                    .filter(|_| is_publish)
                    .map(|topic| topic.bytes().into()),
                code: frame.packet.code(),
                exchange: number.filter(|_| fact.exchange.is_some_and(|e| e.is_message())),
                missing: frame.missing,
            },
        });
    }

    fn event(&mut self, event: &Event<'_>) {
        let Some(connection) = event.connection else {
            return;
        };
        let what = match (&event.kind, event.direction) {
            (EventKind::Gap, Some(direction)) => Shown::Gap {
                direction,
                bytes: event.bytes,
            },
            (EventKind::Opened, _) => Shown::Opened,
            (EventKind::Closed { by, .. }, _) => Shown::Closed { by: *by },
            _ => return,
        };
        let is_gap = matches!(what, Shown::Gap { .. });
        let is_narrow = !self.of.topics.is_empty() || !self.of.ids.is_empty();
        if is_narrow && !is_gap {
            return;
        }
        if let Some(lane) = self.lane(connection) {
            self.add(Rung {
                time: event.time,
                packet: event.packet,
                lane,
                what,
            });
        }
    }
}

impl Sink for Ladder {
    fn needs(&self) -> Needs {
        Needs::EXCHANGES
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Event(event) => self.event(event),
            _ => {}
        }
    }
}
