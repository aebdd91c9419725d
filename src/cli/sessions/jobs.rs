//! What `sessions` does with one capture.

use mqttdump::facts;
use mqttdump::overhead::Ledger;
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::report::sessions::ConnectionsItem;
use mqttdump::rules;
use mqttdump::select::Selection;
use mqttdump::sessions::{Deliveries, Ladder, Record, Sessions};

use super::super::driver::Job;
use super::super::in_order::Turn;
use super::super::matching::Matching;
use super::super::messages::Selected;
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
pub(super) struct DeliveriesJob(pub(super) (Deliveries, Option<Matching<PacketRef>>));

impl Job for DeliveriesJob {
    type Sink = (Deliveries, Option<Matching<PacketRef>>);

    fn takes_records(&self) -> bool {
        self.0.1.is_none()
    }

    fn sink(&mut self) -> &mut Self::Sink {
        &mut self.0
    }

    fn rotation(&self) -> Rotation {
        Rotation::Whole
    }

    fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let (Some(packet), Some(matching)) = (packet, &mut self.0.1) {
            matching.packet(packet.time);
        }
    }
}
