//! Selection of frames.
//!
//! A [`Selection`] holds the criteria (`--topic plant/# --qos 1`); a [`Selector`]
//! applies them frame by frame. Kinds of criteria are combined by *and*, values of
//! one kind by *or*. An empty selection costs nothing.
//!
//! Topic and QoS select whole exchanges, so that all packets of a message are shown,
//! not only the first:
//!
//! ```text
//!   > PUBLISH id 7 topic "plant/7/temp"      --topic plant/# : by its topic
//!   < PUBREC  id 7                                             as the answer
//!   > PUBREL  id 7                                             as the next packet
//!   < PUBCOMP id 7                                             as its answer
//! ```
//!
//! | criterion | selects |
//! |---|---|
//! | topic | PUBLISH whose topic matches, SUBSCRIBE and UNSUBSCRIBE with a filter that overlaps, CONNECT whose will topic matches; and what answers them |
//! | QoS | PUBLISH with that QoS, and what answers it; nothing else |
//! | type | the frame itself |
//! | client, connection | everything on it |
//! | display filter | each control packet alone |
//!
//! If the topic of a frame is unknown, because the capture lacks its bytes, the
//! PUBLISH that it answers or the one that set its alias, the result is
//! [`Verdict::TopicUnknown`]: the frame is shown and marked, so that no message is
//! missing silently. The QoS of an answer without its PUBLISH follows from its type.
//! An answer is matched to its request by the exchange in the facts
//! ([`crate::facts::ExchangeFact`]).

mod about;
mod foresight;
mod unmatched;

use std::sync::Arc;

use crate::event::{Event, EventKind};
use crate::facts::{ExchangeFact, FrameFact, Needs, Role};
use crate::filter::{Exchange, Filter, Subject};
use crate::frame::{Connection, MQTTFrame};
use crate::layer::Note;
use crate::mqtt::topic::TopicFilter;
use crate::mqtt::{ControlPacket, PacketType};
use crate::payload;
use crate::time::Timestamp;

use about::{About, Topicality};

pub use foresight::Foresight;
pub use unmatched::{Criterion, There, Unmatched};

/// Criteria. Empty lists select everything.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Topics, as filters with wildcards.
    pub topics: Vec<TopicFilter>,
    /// Client identifiers, exactly.
    pub clients: Vec<Box<[u8]>>,
    /// Types of control packets.
    pub types: Vec<PacketType>,
    /// QoS of PUBLISH exchanges, 0 to 3.
    pub qos: Vec<u8>,
    /// Numbers of connections.
    pub connections: Vec<u64>,
    /// A display filter.
    pub filter: Option<Arc<Filter>>,
}

impl Selection {
    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
            && self.clients.is_empty()
            && self.types.is_empty()
            && self.qos.is_empty()
            && self.connections.is_empty()
            && self.filter.is_none()
    }

    /// Whether its display filter reads payloads.
    pub fn needs_payloads(&self) -> bool {
        let filter = self.filter.as_ref().map(|filter| filter.needs());
        filter.is_some_and(|needs| needs.payload)
    }

    /// Whether it asks for only some of the frames of a connection.
    pub fn parts_connections(&self) -> bool {
        !(self.topics.is_empty() && self.qos.is_empty() && self.types.is_empty())
            || self.filter.is_some()
    }
}

/// The result for one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It matches.
    Selected,
    /// It may match: its topic is unknown, and it matches all other criteria.
    TopicUnknown,
    /// It does not match.
    Hidden,
}

impl Verdict {
    /// Whether to show it.
    pub fn is_shown(self) -> bool {
        self != Self::Hidden
    }
}

/// A [`Selection`] applied to one capture.
#[derive(Debug)]
pub struct Selector {
    selection: Selection,
    /// Properties of exchanges, by [`First::slot`](crate::facts::First::slot).
    about: Vec<About>,
    /// Time of the first packet, for the display filter.
    origin: Option<Timestamp>,
    /// Results of a first reading, for the display filter.
    foresight: Foresight,
}

impl Selector {
    /// A selector for a new capture.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            about: Vec::new(),
            origin: None,
            foresight: Foresight::default(),
        }
    }

    /// The same, with the results of a first reading.
    pub fn with_foresight(self, foresight: Foresight) -> Self {
        Self { foresight, ..self }
    }

    /// Sets the capture time of the next packet. Must be called at least for the first
    /// packet of the capture.
    #[inline]
    pub fn packet(&mut self, time: Timestamp) {
        self.origin.get_or_insert(time);
    }

    /// What it needs to know of frames.
    pub fn needs(&self) -> Needs {
        let asked = &self.selection;
        let filter = asked.filter.as_ref().map(|filter| filter.needs());
        let exchanges = !asked.topics.is_empty() || !asked.qos.is_empty();
        Needs::FIELDS
            | Needs::EXCHANGES.when(exchanges || filter.is_some_and(|needs| needs.exchange))
    }

    /// Whether a frame matches. Must be called for every frame of the capture, in
    /// order, because later frames may answer hidden ones. `payload` is its payload,
    /// for a display filter that needs it.
    pub fn frame(&mut self, fact: &FrameFact<'_>, payload: Option<&payload::Lazy<'_>>) -> Verdict {
        let frame = fact.frame;
        let asked = &self.selection;
        if asked.is_empty() {
            return Verdict::Selected;
        }
        if !self.wants_connection(frame.connection.number) || !self.wants_client(client_id(frame)) {
            return Verdict::Hidden;
        }
        // Exchanges of connections that are not shown are not tracked.
        let mut verdict = Verdict::Selected;
        if !asked.topics.is_empty() || !asked.qos.is_empty() {
            let about = About::of(fact, &asked.topics, &mut self.about);
            verdict = self.judge(about);
        }
        let asked = &self.selection;
        if !asked.types.is_empty() && !asked.types.contains(&frame.header.packet_type()) {
            return Verdict::Hidden;
        }
        match &asked.filter {
            Some(filter) if verdict.is_shown() && !self.passes(filter, fact, payload) => {
                Verdict::Hidden
            }
            _ => verdict,
        }
    }

    fn passes(
        &self,
        filter: &Filter,
        fact: &FrameFact<'_>,
        payload: Option<&payload::Lazy<'_>>,
    ) -> bool {
        filter.matches(&Subject {
            frame: fact.frame,
            origin: self.origin,
            payload,
            exchange: match fact.exchange {
                Some(exchange) if filter.needs().exchange => self.exchange(exchange, fact.frame),
                _ => Exchange::default(),
            },
            findings: self.foresight.findings(fact.frame.last),
        })
    }

    /// Facts of an exchange: complete if it ends here, else as far as a first reading
    /// found them.
    fn exchange(&self, exchange: &ExchangeFact, frame: &MQTTFrame<'_>) -> Exchange {
        if exchange.role == Role::Completes {
            return Exchange {
                latency: exchange.since_first(frame),
                acked: Some(true),
            };
        }
        let latency = exchange
            .first
            .and_then(|first| self.foresight.completed(first.number));
        Exchange {
            latency,
            acked: self.foresight.is_known().then_some(latency.is_some()),
        }
    }

    /// Whether an event is shown.
    ///
    /// On selected connections all events are shown; if only some of their frames are
    /// selected, only events about missing, doubtful or undecoded frames.
    pub fn event(&self, event: &Event<'_>) -> bool {
        let Some(connection) = event.connection else {
            return true;
        };
        self.wants(connection)
            && (!self.selection.parts_connections() || is_about_completeness(event.kind))
    }

    /// Whether its client and its number are wanted.
    pub fn wants(&self, connection: &Connection) -> bool {
        self.wants_connection(connection.number)
            && self.wants_client(connection.client_id.as_deref())
    }

    fn judge(&self, about: About) -> Verdict {
        let asked = &self.selection;
        if !asked.qos.is_empty() && !about.qos.is_some_and(|qos| asked.qos.contains(&qos)) {
            return Verdict::Hidden;
        }
        match about.topic {
            _ if asked.topics.is_empty() => Verdict::Selected,
            Topicality::Asked => Verdict::Selected,
            Topicality::Unknown => Verdict::TopicUnknown,
            Topicality::Other => Verdict::Hidden,
        }
    }

    fn wants_connection(&self, number: u64) -> bool {
        let asked = &self.selection.connections;
        asked.is_empty() || asked.contains(&number)
    }

    fn wants_client(&self, id: Option<&[u8]>) -> bool {
        let asked = &self.selection.clients;
        asked.is_empty() || id.is_some_and(|id| asked.iter().any(|client| **client == *id))
    }
}

/// The client identifier of the connection, or of the CONNECT itself.
fn client_id<'a>(frame: &'a MQTTFrame<'_>) -> Option<&'a [u8]> {
    match (&frame.connection.client_id, &frame.packet) {
        (Some(id), _) => Some(id),
        (None, ControlPacket::Connect(connect)) => connect.client_id.map(|id| id.bytes()),
        _ => None,
    }
}

/// Whether an event means that frames may be missing, doubtful or undecoded.
fn is_about_completeness(kind: EventKind) -> bool {
    match kind {
        EventKind::Gap
        | EventKind::Resynchronised
        | EventKind::Malformed { .. }
        | EventKind::Unfinished { .. }
        | EventKind::Bound { .. }
        | EventKind::Conflict { .. }
        | EventKind::Late
        | EventKind::Dropped { .. } => true,
        EventKind::Layer(note) => matches!(
            note,
            Note::Undecrypted(_) | Note::Broken(_) | Note::Limit(_)
        ),
        EventKind::Opened | EventKind::Closed { .. } | EventKind::NotMqtt { .. } => false,
    }
}

#[cfg(test)]
mod tests;
