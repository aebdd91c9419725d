//! Control packets as a ladder: sender, packet and receiver, in order.
//!
//! A [`Ladder`] keeps the parts of each control packet that a drawing needs; a report draws it.

use crate::engine::Tcp;
use crate::event::{Event, EventKind, Side};
use crate::facts::{Fact, FrameFact, Needs, Sink};
use crate::flow::TcpFact;
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::limits;
use crate::mqtt::{FixedHeader, PacketType};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Selects the control packets that a ladder shows.
#[derive(Clone, Debug, Default)]
pub struct LadderOptions {
    /// Only those with one of these Packet Identifiers; all, if there is none.
    pub ids: Vec<u16>,
    /// Also facts of TCP: retransmissions, windows, FIN and RST.
    pub tcp: bool,
}

/// A connection in a ladder.
#[derive(Clone, Debug)]
pub struct Participant {
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
    /// Index into [`Ladder::participants`].
    pub participant: usize,
    /// Its content.
    pub what: Shown,
}

/// Content of a rung.
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
        /// Bytes of it missing from the capture.
        missing: u64,
    },
    /// Bytes missing from the capture.
    Gap {
        /// Which way they went.
        direction: Direction,
        /// How many, if known.
        bytes: Option<u64>,
    },
    /// The SYN of the connection.
    Opened,
    /// A fact that a TCP segment shows.
    Tcp {
        /// Which way it went.
        direction: Direction,
        /// The fact, in a few words.
        what: String,
    },
    /// The connection ended.
    Closed {
        /// Who ended it.
        by: Option<Side>,
    },
}

/// Control packets in order.
#[derive(Clone, Debug, Default)]
pub struct Ladder {
    options: LadderOptions,
    participants: Vec<Participant>,
    rungs: Vec<Rung>,
    more: u64,
}

impl Ladder {
    /// A ladder without rungs.
    pub fn new(options: LadderOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The ladder of one connection.
    pub(super) fn of_one(participant: Participant, rungs: Vec<Rung>) -> Self {
        Self {
            participants: vec![participant],
            rungs,
            ..Self::default()
        }
    }

    /// The connections, in the order in which they came.
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// The rungs, in order.
    pub fn rungs(&self) -> &[Rung] {
        &self.rungs
    }

    /// Rungs that were not kept because there were too many.
    pub const fn more(&self) -> u64 {
        self.more
    }

    fn participant(&mut self, connection: &Connection) -> usize {
        let known = self
            .participants
            .iter()
            .rposition(|participant| participant.connection == connection.number);
        let participant = known.unwrap_or_else(|| {
            self.participants.push(Participant {
                connection: connection.number,
                client: connection.client,
                server: connection.server,
                client_id: None,
                publishes: false,
            });
            self.participants.len() - 1
        });
        if self.participants[participant].client_id.is_none() {
            self.participants[participant]
                .client_id
                .clone_from(&connection.client_id);
        }
        participant
    }

    fn add(&mut self, rung: Rung) {
        match self.rungs.len() < limits::LADDER_RUNGS {
            true => self.rungs.push(rung),
            false => self.more += 1,
        }
    }

    fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let ids = &self.options.ids;
        let id = frame.packet.packet_id();
        if !ids.is_empty() && !id.is_some_and(|id| ids.contains(&id)) {
            return;
        }
        let participant = self.participant(frame.connection);
        if is_publish(frame) && frame.direction == Direction::Up {
            self.participants[participant].publishes = true;
        }
        self.add(Rung::of(fact, participant));
    }

    fn event(&mut self, event: &Event<'_>) {
        let (Some(connection), Some(rung)) = (event.connection, Rung::of_event(event, 0)) else {
            return;
        };
        if !self.options.ids.is_empty() && !matches!(rung.what, Shown::Gap { .. }) {
            return;
        }
        let participant = self.participant(connection);
        self.add(Rung {
            participant,
            ..rung
        });
    }

    fn tcp(&mut self, tcp: &Tcp<'_>) {
        if !self.options.tcp
            || matches!(
                tcp.fact,
                TcpFact::Acknowledged { .. } | TcpFact::Unseen | TcpFact::OutOfOrder { .. }
            )
        {
            return;
        }
        let participant = self.participant(tcp.connection);
        self.add(Rung {
            time: tcp.time,
            packet: tcp.packet,
            participant,
            what: Shown::Tcp {
                direction: tcp.from,
                what: in_words(tcp.fact),
            },
        });
    }
}

fn is_publish(frame: &MQTTFrame<'_>) -> bool {
    frame.header.packet_type() == PacketType::Publish
}

impl Rung {
    /// The rung of an event, if it has one.
    pub(super) fn of_event(event: &Event<'_>, participant: usize) -> Option<Self> {
        let what = match (&event.kind, event.direction) {
            (EventKind::Gap, Some(direction)) => Shown::Gap {
                direction,
                bytes: event.bytes,
            },
            (EventKind::Opened, _) => Shown::Opened,
            (EventKind::Closed { by, .. }, _) => Shown::Closed { by: *by },
            _ => return None,
        };
        Some(Self {
            time: event.time,
            packet: event.packet,
            participant,
            what,
        })
    }

    /// The rung of a control packet.
    pub(super) fn of(fact: &FrameFact<'_>, participant: usize) -> Self {
        let frame = fact.frame;
        let exchange = fact.exchange.filter(|exchange| exchange.is_message());
        Self {
            time: frame.time,
            packet: frame.last,
            participant,
            what: Shown::Packet {
                direction: frame.direction,
                header: frame.header,
                id: frame.packet.packet_id(),
                topic: frame
                    .topic
                    .filter(|_| is_publish(frame))
                    .map(|topic| topic.bytes().into()),
                code: frame.packet.code(),
                exchange: exchange.and_then(|exchange| Some(exchange.first?.number)),
                missing: frame.missing,
            },
        }
    }
}

impl Sink for Ladder {
    fn needs(&self) -> Needs {
        Needs::EXCHANGES | Needs::TCP.when(self.options.tcp)
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(&fact),
            Fact::Event(event) => self.event(event),
            Fact::Tcp(tcp) => self.tcp(tcp),
            _ => {}
        }
    }
}

/// A fact of TCP, in a few words.
fn in_words(fact: TcpFact) -> String {
    match fact {
        TcpFact::Fin => "FIN".to_owned(),
        TcpFact::Reset(reset) => format!("RST, TTL {}", reset.ttl),
        TcpFact::ZeroWindow => "window closed".to_owned(),
        TcpFact::WindowOpened => "window open".to_owned(),
        TcpFact::SynAgain { tries } => format!("SYN again ({tries})"),
        TcpFact::Retransmitted { bytes, .. } => format!("{bytes} B sent again"),
        TcpFact::KeepAlive { .. } => "TCP keep-alive".to_owned(),
        TcpFact::OutOfOrder { bytes, .. } => format!("{bytes} B out of order"),
        TcpFact::Unseen => "bytes not captured".to_owned(),
        TcpFact::Acknowledged { offset, .. } => format!("ACK {offset}"),
    }
}
