//! What `sessions` does with one capture.

use mqttdump::facts::{self, Fact, Needs, Sink};
use mqttdump::overhead::Ledger;
use mqttdump::packet::CapturedPacket;
use mqttdump::report::sessions::ConnectionsItem;
use mqttdump::rules;
use mqttdump::select::Selection;
use mqttdump::sessions::{Deliveries, Ladder, Record, Sessions};
use mqttdump::time::Timestamp;

use super::super::driver::Job;
use super::super::in_order::Turn;
use super::super::matching::Matching;
use super::super::messages::{Messages, Selected};
use super::super::state::Rotation;
use super::super::stop::Stop;
use super::Printer;

/// Which connections are reported.
pub(super) struct Wanted {
    selection: Selection,
}

impl Wanted {
    pub(super) fn new(selection: Selection) -> Self {
        Self { selection }
    }

    /// Whether a connection is: its client and number are asked for, and it has a
    /// message that is, if messages are asked for.
    pub(super) fn has(&self, record: &Record, matching: Option<&Matching<u64>>) -> bool {
        let Selection {
            clients,
            connections,
            ..
        } = &self.selection;
        let client = record.client_id.as_deref();
        (clients.is_empty() || clients.iter().any(|id| Some(&**id) == client))
            && (connections.is_empty() || connections.contains(&record.connection))
            && matching.is_none_or(|matching| matching.has(&record.connection))
    }
}

/// The connections; for a page, ladder and account; which connections have a
/// selected message.
type Sinks = (
    Sessions,
    Option<(Selected<Ladder>, Ledger)>,
    Option<Matching<u64>>,
);

/// Follows connections.
pub(super) struct SessionsJob<'a, 'b> {
    pub(super) sinks: Sinks,
    pub(super) wanted: &'a Wanted,
    /// Where connections go as they close, while a capture goes on.
    pub(super) live: Option<Live<'a, 'b>>,
}

/// Where connections go as they close.
pub(super) struct Live<'a, 'b> {
    pub(super) name: &'a str,
    pub(super) turn: &'a mut Turn<'b, Printer>,
}

impl Job for SessionsJob<'_, '_> {
    type Sink = (
        Sessions,
        Option<(Selected<Ladder>, Ledger)>,
        Option<Matching<u64>>,
    );

    fn sink(&mut self) -> &mut Self::Sink {
        &mut self.sinks
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn options(&self) -> facts::Options {
        rules::Options::default().facts()
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        let Some(packet) = packet else { return };
        if let Some((ladder, _)) = &mut self.sinks.1
            && let Some(messages) = &mut ladder.messages
        {
            messages.packet(packet.time);
        }
        if let Some(matching) = &mut self.sinks.2 {
            matching.packet(packet.time);
        }
    }

    fn settle(&mut self) -> Result<(), Stop> {
        let Some(live) = &mut self.live else {
            return Ok(());
        };
        let (sessions, _, matching) = &mut self.sinks;
        let printer = live.turn.take()?;
        if sessions.has_finished() {
            for record in sessions.take_finished() {
                if self.wanted.has(&record, matching.as_ref()) {
                    printer.put(&ConnectionsItem::Closed(live.name, &record));
                }
                if let Some(matching) = matching {
                    matching.forget(&record.connection);
                }
            }
        }
        Ok(printer.out.settle()?)
    }

    fn flush(&mut self) -> Result<(), Stop> {
        if let Some(live) = &mut self.live {
            live.turn.take()?.out.flush()?;
        }
        Ok(())
    }
}

/// Draws a ladder.
pub(super) struct LadderJob(pub(super) Selected<Ladder>);

impl Job for LadderJob {
    type Sink = Selected<Ladder>;

    fn sink(&mut self) -> &mut Self::Sink {
        &mut self.0
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(messages)) = (packet, &mut self.0.messages) {
            messages.packet(packet.time);
        }
    }
}

/// Follows messages.
pub(super) struct DeliveriesJob(pub(super) Chosen);

/// Deliveries of the selected messages.
pub(super) struct Chosen {
    /// `None` for all.
    pub(super) messages: Option<Messages>,
    pub(super) deliveries: Deliveries,
}

impl Sink for Chosen {
    fn needs(&self) -> Needs {
        let own = self.messages.as_ref().map_or(Needs::NONE, Messages::needs);
        own | self.deliveries.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        if let (Some(messages), Fact::Frame(fact)) = (&mut self.messages, fact) {
            self.deliveries.select(messages.selects(&fact));
        }
        self.deliveries.fact(fact);
    }

    /// What was published and subscribed before the range of time explains deliveries
    /// in it.
    fn earlier(&mut self, fact: Fact<'_>, _: Timestamp) {
        if let (Some(messages), Fact::Frame(fact)) = (&mut self.messages, fact) {
            messages.matches(&fact);
        }
        self.deliveries.select(false);
        self.deliveries.fact(fact);
        self.deliveries.select(true);
    }

    fn make_room(&mut self) -> bool {
        self.deliveries.make_room()
    }
}

impl Job for DeliveriesJob {
    type Sink = Chosen;

    fn takes_records(&self) -> bool {
        self.0.messages.is_none()
    }

    fn sink(&mut self) -> &mut Chosen {
        &mut self.0
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(messages)) = (packet, &mut self.0.messages) {
            messages.packet(packet.time);
        }
    }
}
