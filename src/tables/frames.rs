//! Rows of `frames`, `events` and `findings`: one for each fact.

use super::known::Known;
use super::rows::{Rows, Shape};
use super::sheet::Sheet;
use crate::event::{Event, EventKind, Side};
use crate::facts::FrameFact;
use crate::frame::MQTTFrame;
use crate::mqtt::packet::{Connack, Connect, Publish};
use crate::mqtt::{ControlPacket, Properties, reason};
use crate::packet::PacketRef;
use crate::report;
use crate::rules::Finding;

/// Writes rows, with memory that is used again.
#[derive(Debug, Default)]
pub(super) struct Frames {
    text: Vec<u8>,
}

impl Frames {
    /// A row of `frames`.
    pub(super) fn frame(
        &mut self,
        fact: &FrameFact<'_>,
        stamp: u64,
        known: &Known,
        sheet: &mut Sheet,
    ) {
        let frame = fact.frame;
        let connection = frame.connection;
        let header = frame.header;
        let rows = sheet.row(frame.time, Some(connection.server));
        let own = match &frame.packet {
            ControlPacket::Connect(connect) => connect.client_id.map(|id| id.0),
            _ => None,
        };
        // The client identifier of CONNECT may not be that of the connection.
        rows.of(if own.is_some() { 0 } else { stamp });
        rows.shape(shape(frame));
        rows.alike::<1>(|rows| rows.shared(known.file(frame.last)));
        rows.number(frame.first.number);
        rows.number(frame.last.number);
        rows.time(frame.time);
        rows.time(frame.started);
        rows.common::<3>(|rows| {
            rows.number(connection.number);
            rows.shared(connection.uid());
            rows.optional_shared(connection.session_uid.as_ref());
        });
        rows.exchange(connection.uid(), fact.exchange_id());
        rows.dense(frame.number);
        rows.alike::<1>(|rows| rows.name(frame.direction.name()));
        rows.common::<5>(|rows| {
            rows.endpoint(connection.client);
            rows.endpoint(connection.server);
            rows.text(connection.client_id.as_deref().or(own));
        });
        rows.alike::<1>(|rows| rows.name(frame.version.name()));
        rows.common::<2>(|rows| {
            rows.flag(connection.version_assumed);
            rows.name(connection.transport.name());
        });
        rows.alike::<4>(|rows| {
            rows.name(header.packet_type().name());
            rows.number(header.qos());
            rows.flag(header.dup());
            rows.flag(header.retain());
        });
        rows.dense(header.packet_len());
        rows.alike::<2>(|rows| {
            rows.number(frame.missing);
            rows.flag(frame.resynchronised);
        });
        rows.optional(frame.packet.packet_id());
        self.content(fact, rows);
        rows.end();
    }

    /// The columns from `topic` on.
    fn content(&mut self, fact: &FrameFact<'_>, rows: &mut Rows) {
        let frame = fact.frame;
        let packet = &frame.packet;
        let publish = match packet {
            ControlPacket::Publish(publish) => Some(publish),
            _ => None,
        };
        rows.topic(fact.topic);
        rows.optional(publish.and_then(|publish| publish.topic_alias));
        payload(publish, rows);
        rows.optional_dense(frame.payload_digest);
        rows.alike::<7>(|rows| answer(frame, rows));
        self.properties(packet.properties(), rows);
        rows.alike::<2>(|rows| lists(frame, rows));
    }

    fn properties(&mut self, properties: Properties<'_>, rows: &mut Rows) {
        if properties.bytes.is_empty() {
            return rows.null();
        }
        self.text.clear();
        report::put_properties(properties, false, &mut self.text);
        rows.text(Some(&self.text));
    }

    /// A row of `events`.
    pub(super) fn event(&mut self, event: &Event<'_>, known: &Known, sheet: &mut Sheet) {
        let connection = event.connection;
        let rows = sheet.row(event.time, connection.map(|connection| connection.server));
        rows.shared(known.file(event.packet));
        rows.number(event.packet.number);
        rows.time(event.time);
        rows.optional(connection.map(|connection| connection.number));
        rows.optional_word(connection.map(|connection| &**connection.uid()));
        rows.optional_word(connection.and_then(|connection| connection.session_uid.as_deref()));
        rows.text(connection.and_then(|connection| connection.client_id.as_deref()));
        rows.name(event.kind.name());
        rows.optional_name(event.direction.map(|direction| direction.name()));
        rows.optional(event.bytes);
        let (by, reason) = match event.kind {
            EventKind::Closed { by, reason, .. } => (by, Some(reason.name())),
            EventKind::Conflict { kept } => (None, Some(kept.name())),
            kind => (None, kind.reason()),
        };
        rows.optional_word(by.map(Side::name));
        rows.optional_word(reason);
        self.text.clear();
        report::put_event(event, &mut self.text);
        rows.text(Some(&self.text));
        rows.end();
    }
}

/// The columns from `code` to `will_topic`.
fn answer(frame: &MQTTFrame<'_>, rows: &mut Rows) {
    let packet = &frame.packet;
    let code = packet.code();
    rows.optional(code);
    let kind = frame.header.packet_type();
    rows.optional_name(code.and_then(|code| reason::name(frame.version, kind, code)));
    let connack: Option<&Connack<'_>> = match packet {
        ControlPacket::Connack(connack) => Some(connack),
        _ => None,
    };
    rows.optional_flag(connack.and_then(|connack| connack.session_present(frame.version)));
    let connect: Option<&Connect<'_>> = match packet {
        ControlPacket::Connect(connect) => Some(connect),
        _ => None,
    };
    rows.optional_flag(connect.and_then(|connect| connect.clean_start()));
    rows.optional(connect.and_then(|connect| connect.keep_alive));
    rows.text(connect.and_then(|connect| Some(connect.username?.0)));
    let will = connect.and_then(|connect| connect.will.as_ref());
    rows.text(will.and_then(|will| Some(will.topic?.0)));
}

/// What complete messages have in common.
fn shape(frame: &MQTTFrame<'_>) -> Option<Shape> {
    let is_plain = matches!(frame.packet, ControlPacket::Publish(_))
        && frame.missing == 0
        && !frame.resynchronised
        && frame.defects.is_empty();
    let form = frame.header.flags() | (frame.direction as u8) << 4 | (frame.version as u8) << 5;
    is_plain.then(|| Shape {
        file: frame.last.file,
        form: form.into(),
    })
}

/// The columns `filters` and `defects`.
fn lists(frame: &MQTTFrame<'_>, rows: &mut Rows) {
    match &frame.packet {
        ControlPacket::Subscribe(subscribe) => {
            rows.texts(subscribe.filters().map(|asked| asked.filter.0));
        }
        ControlPacket::Unsubscribe(unsubscribe) => {
            rows.texts(unsubscribe.filters().map(|filter| filter.0));
        }
        _ => rows.null(),
    }
    match frame.defects {
        [] => rows.null(),
        defects => rows.texts(defects.iter().map(|defect| defect.code.name().as_bytes())),
    }
}

/// The columns `payload_length` and `payload`.
fn payload(publish: Option<&Publish<'_>>, rows: &mut Rows) {
    match publish.and_then(|publish| Some((publish.payload, publish.payload_len?))) {
        Some((payload, length)) => {
            rows.dense(length);
            rows.bytes(payload);
        }
        None => {
            rows.null();
            rows.null();
        }
    }
}

/// A row of `findings`.
pub(super) fn finding(finding: &Finding, known: &Known, sheet: &mut Sheet) {
    let offending: PacketRef = finding.packets.last().copied().unwrap_or_default();
    let id = finding.connection_id;
    let rows = sheet.row(finding.time, id.map(|id| id.server));
    rows.shared(known.file(offending));
    rows.number(offending.number);
    rows.time(finding.time);
    rows.optional(finding.connection);
    let uid = id.map(|id| id.uid().into());
    rows.optional_shared(uid.as_ref());
    rows.optional_word(finding.session_uid.as_deref());
    rows.text(finding.client_id.as_deref());
    rows.text(finding.topic.as_deref());
    rows.word(finding.rule.id);
    rows.word(finding.verdict.name());
    rows.optional_word(finding.verdict.reason().map(|reason| reason.name()));
    rows.word(finding.rule.severity.name());
    rows.optional_word(finding.by.map(Side::name));
    rows.number(finding.count);
    rows.word(&finding.message);
    let clauses: Vec<String> = finding
        .clauses
        .iter()
        .map(|clause| finding.rule.clause_name(clause))
        .collect();
    rows.texts(clauses.iter().map(String::as_bytes));
    rows.numbers(finding.packets.iter().map(|packet| packet.number));
    match &uid {
        Some(uid) => rows.exchange(uid, finding.exchange),
        None => rows.null(),
    }
    rows.end();
}
