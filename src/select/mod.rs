//! Which frames a user asked for.
//!
//! A [`Selection`] is the question (`--topic plant/# --qos 1`), a [`Selector`]
//! answers it frame by frame. Kinds of criteria are joined by *and*, values of
//! one kind by *or*. It stands between the engine and the report, and nobody
//! who asks for everything pays for it.
//!
//! Topic and QoS are asked of whole exchanges, so that a reader sees the whole
//! ladder of a message and not its first rung alone:
//!
//! ```text
//!   > PUBLISH id 7 topic "plant/7/temp"      --topic plant/# : by its topic
//!   < PUBREC  id 7                                             as the answer
//!   > PUBREL  id 7                                             as the next rung
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
//! When nobody can tell the topic of a frame, because the capture lacks its
//! bytes, the PUBLISH that it answers or the one that set its alias, the
//! answer is [`Verdict::TopicUnknown`]: better a line too many, marked, than a
//! message silently missing. The QoS of an answer without its PUBLISH is
//! plain from its type. Answers find their question by the facts' exchange
//! ([`crate::facts::ExchangeFact`]).

mod about;
mod foresight;
mod unmatched;

use std::sync::Arc;

use crate::event::{Event, EventKind};
use crate::facts::{ExchangeFact, FrameFact, Needs, Role};
use crate::filter::{Exchange, Filter, Subject};
use crate::frame::MQTTFrame;
use crate::layer::Note;
use crate::mqtt::topic::TopicFilter;
use crate::mqtt::{ControlPacket, PacketType};
use crate::payload;
use crate::time::Timestamp;

use about::{About, Topicality};

pub use foresight::Foresight;
pub use unmatched::{Criterion, There, Unmatched};

/// What was asked for. Empty lists ask for everything.
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
    /// Whether it asks for everything.
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
            && self.clients.is_empty()
            && self.types.is_empty()
            && self.qos.is_empty()
            && self.connections.is_empty()
            && self.filter.is_none()
    }

    /// Whether its display filter looks into payloads.
    pub fn needs_payloads(&self) -> bool {
        let filter = self.filter.as_ref().map(|filter| filter.needs());
        filter.is_some_and(|needs| needs.payload)
    }

    /// Whether it asks for only some of the frames of a connection.
    fn parts_connections(&self) -> bool {
        !(self.topics.is_empty() && self.qos.is_empty() && self.types.is_empty())
            || self.filter.is_some()
    }
}

/// The answer for one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It was asked for.
    Selected,
    /// It may have been asked for: nobody can tell its topic, and everything
    /// else agrees.
    TopicUnknown,
    /// It was not asked for.
    Hidden,
}

impl Verdict {
    /// Whether to show it.
    pub fn is_shown(self) -> bool {
        self != Self::Hidden
    }
}

/// A [`Selection`] at work on one capture.
#[derive(Debug)]
pub struct Selector {
    selection: Selection,
    /// What exchanges are about, by [`First::slot`](crate::facts::First::slot).
    about: Vec<About>,
    /// When the capture began, for the display filter.
    origin: Option<Timestamp>,
    /// What an earlier reading of the capture found out, for the display filter.
    foresight: Foresight,
}

impl Selector {
    /// A selector that has seen nothing yet.
    pub fn new(selection: Selection) -> Self {
        Self {
            selection,
            about: Vec::new(),
            origin: None,
            foresight: Foresight::default(),
        }
    }

    /// The same, with what an earlier reading of the capture found out.
    pub fn with_foresight(self, foresight: Foresight) -> Self {
        Self { foresight, ..self }
    }

    /// The next packet was captured at this time. Wants at least the first of the
    /// capture.
    #[inline]
    pub fn packet(&mut self, time: Timestamp) {
        self.origin.get_or_insert(time);
    }

    /// What it has to know of frames.
    pub fn needs(&self) -> Needs {
        let asked = &self.selection;
        let filter = asked.filter.as_ref().map(|filter| filter.needs());
        let exchanges = !asked.topics.is_empty() || !asked.qos.is_empty();
        Needs::EXCHANGES.when(exchanges || filter.is_some_and(|needs| needs.exchange))
    }

    /// Whether a frame was asked for. Wants every frame of the capture, in
    /// order: what is hidden now may be answered by what comes later. `payload` is
    /// its payload, for a display filter that needs it.
    pub fn frame(&mut self, fact: &FrameFact<'_>, payload: Option<&payload::Lazy<'_>>) -> Verdict {
        let frame = fact.frame;
        let asked = &self.selection;
        if asked.is_empty() {
            return Verdict::Selected;
        }
        if !self.wants_connection(frame.connection.number) || !self.wants_client(client_id(frame)) {
            return Verdict::Hidden;
        }
        // Nothing has to be remembered of connections that are not shown.
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

    /// What is known of an exchange: of one that ends here, everything; of others,
    /// what an earlier reading saw.
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
    /// On connections that were asked for, everything is; when only some of
    /// their frames were, only what tells that the answer may be incomplete.
    pub fn event(&self, event: &Event<'_>) -> bool {
        let Some(connection) = event.connection else {
            return true;
        };
        self.wants_connection(connection.number)
            && self.wants_client(connection.client_id.as_deref())
            && (!self.selection.parts_connections() || is_about_completeness(event.kind))
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

/// The client of the connection; a CONNECT says it itself.
fn client_id<'a>(frame: &'a MQTTFrame<'_>) -> Option<&'a [u8]> {
    match (&frame.connection.client_id, &frame.packet) {
        (Some(id), _) => Some(id),
        (None, ControlPacket::Connect(connect)) => connect.client_id.map(|id| id.bytes()),
        _ => None,
    }
}

/// Whether an event says that frames may be missing, doubtful or undecoded.
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
            Note::Undecrypted(_) | Note::Broken(_) | Note::Bound(_)
        ),
        EventKind::Opened | EventKind::Closed { .. } | EventKind::NotMqtt { .. } => false,
    }
}

#[cfg(test)]
mod tests;
