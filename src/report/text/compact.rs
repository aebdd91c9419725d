//! The compact style: one line that fits the terminal.
//!
//! ```text
//! 13:05:02.104 sensor-7       → PUBLISH   plant/7/temp qos1 11 B "123|456|789"
//! 13:05:02.105 sensor-7       ← PUBACK    plant/7/temp 0.8 ms
//! 13:05:09.311 sensor-9       ← CONNACK   REFUSED 0x87 Not authorized 1.2 ms
//! 13:05:09.312 sensor-9       -- closed by server after the refusal
//! └── clock ─┘ └ client ────┘ └ from or to the client
//! ```
//!
//! A client keeps its colour. Acknowledgements are dimmed and carry the topic of
//! their message and the time since it; refusals and defects are red. Text that does
//! not fit is cut at `…`; events and defects continue on the next line.

use std::time::Duration;

use super::cause::Causes;
use super::{Paint, TextReport, summary};
use crate::event::{CloseReason, Event, EventKind};
use crate::facts::{ExchangeFact, Role};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::mqtt::packet::{Connack, Connect, Publish};
use crate::mqtt::{ControlPacket, PacketType, Properties, PropertyValue, Version};
use crate::packet::PacketRef;
use crate::payload::Decoded;
use crate::report::escape::{self, Within};
use crate::report::payload;
use crate::report::wrap::{self, shortened, shortened_end};
use crate::report::{message, put};
use crate::time::Timestamp;

/// Columns if the width of the terminal is unknown.
const USUAL_WIDTH: usize = 80;
/// Columns for the type. UNSUBSCRIBE, UNSUBACK and DISCONNECT are one or two longer
/// and shift the rest of their line.
const TYPE: usize = 9;
/// Minimum number of columns of a line.
const NARROWEST: usize = 40;
/// Minimum number of columns of a payload preview.
const SHORTEST_PREVIEW: usize = 6;
/// Minimum number of columns of a topic.
const SHORTEST_TOPIC: usize = 8;
/// Indentation of continued lines.
const INDENT: usize = 4;
/// Reason codes from here on are failures (5.0: 2.4).
const FAILURE: u8 = 0x80;
/// Bytes of a topic that are kept for its acknowledgement.
const KEPT_TOPIC: usize = 96;
/// Exchanges whose topic is kept.
const KEPT_TOPICS: usize = 1 << 16;

/// State of the compact style.
#[derive(Debug, Default)]
pub(super) struct Compact {
    /// The topic, or the only filter, of open exchanges, by their slot.
    topics: Vec<Box<[u8]>>,
    /// Defects and doubts of the current frame.
    tail: Vec<u8>,
    causes: Causes,
}

impl TextReport {
    pub(super) fn compact_frame(
        &mut self,
        frame: &MQTTFrame<'_>,
        exchange: Option<&ExchangeFact>,
        topic_unknown: bool,
        decoded: Option<&Decoded>,
        out: &mut Vec<u8>,
    ) {
        let mut compact = std::mem::take(&mut self.compact);
        compact.tail.clear();
        compact.causes.frame(frame);
        summary::tail(frame, None, &mut compact.tail);
        let Compact { topics, tail, .. } = &mut compact;
        let topic = topic(topics, frame, exchange);
        let mut line = self.begin_compact(frame.last, frame.time, out);
        line.client(Some(frame.connection));
        line.push(match frame.direction {
            Direction::Up => "→ ",
            Direction::Down => "← ",
        });
        if is_acknowledgement(frame.header.packet_type()) {
            line.dim();
        }
        line.padded(frame.header.packet_type().name(), TYPE);
        if topic_unknown {
            line.word("?");
        }
        // Defects go at the end of the line, or on the next one.
        let tail = String::from_utf8_lossy(tail);
        let columns = escape::columns(tail.as_bytes());
        let kept = if columns <= line.left / 2 { columns } else { 0 };
        line.left -= kept;
        line.packet(frame, exchange, topic, decoded);
        line.left += kept;
        line.plain();
        if !tail.is_empty() {
            line.alarm();
            match kept {
                0 => line.next_line(tail.trim_start()),
                _ => line.push(&tail),
            }
            line.plain();
        }
        out.push(b'\n');
        self.compact = compact;
    }

    pub(super) fn compact_event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let mut words = Vec::new();
        message::event(event, self.show_secrets, &mut words);
        let mut named = true;
        if let Some(connection) = event.connection {
            if event.kind == EventKind::Opened {
                // Who the client is comes with CONNECT.
                named = false;
                words.push(b' ');
                put::endpoint(connection.client, &mut words);
                words.extend_from_slice(b" > ");
                put::endpoint(connection.server, &mut words);
            }
            let cause = self.compact.causes.of(&event.kind, connection);
            words.extend_from_slice(cause.as_bytes());
        }
        let mut line = self.begin_compact(event.packet, event.time, out);
        if named {
            line.client(event.connection);
        }
        match is_alarming(&event.kind) {
            true => line.alarm(),
            false => line.dim(),
        }
        line.push("-- ");
        line.wrapped(&String::from_utf8_lossy(&words));
        line.plain();
        out.push(b'\n');
    }

    /// Number, time, link header.
    fn begin_compact<'o>(
        &'o mut self,
        packet: PacketRef,
        time: Timestamp,
        out: &'o mut Vec<u8>,
    ) -> Line<'o> {
        let start = out.len();
        self.begin_line(packet, time, out);
        let width = self.width.unwrap_or(USUAL_WIDTH).max(NARROWEST);
        let used = escape::columns(out.get(start..).unwrap_or_default());
        Line {
            out,
            paint: self.paint.as_ref(),
            show_secrets: self.show_secrets,
            width,
            left: width.saturating_sub(used),
            painted: false,
        }
    }
}

const fn is_acknowledgement(packet_type: PacketType) -> bool {
    matches!(
        packet_type,
        PacketType::Puback
            | PacketType::Pubrec
            | PacketType::Pubrel
            | PacketType::Pubcomp
            | PacketType::Suback
            | PacketType::Unsuback
            | PacketType::Pingreq
            | PacketType::Pingresp
    )
}

/// Whether the event reports an error, on the wire or in the capture.
fn is_alarming(kind: &EventKind) -> bool {
    match kind {
        EventKind::Closed { reason, .. } => matches!(
            reason,
            CloseReason::Reset | CloseReason::TcpRefused | CloseReason::TcpUnanswered
        ),
        EventKind::Opened | EventKind::Layer(_) | EventKind::Late => false,
        _ => true,
    }
}

/// The topic of the message that the frame acknowledges; keeps the topic of one
/// that starts an exchange.
fn topic<'t>(
    topics: &'t mut Vec<Box<[u8]>>,
    frame: &MQTTFrame<'_>,
    exchange: Option<&ExchangeFact>,
) -> Option<&'t [u8]> {
    let exchange = exchange?;
    let slot = usize::try_from(exchange.first?.slot).ok()?;
    if slot >= KEPT_TOPICS {
        return None;
    }
    match exchange.role {
        Role::Opens => {
            let topic: &[u8] = match &frame.packet {
                ControlPacket::Publish(_) => frame.topic.map_or(b"", |topic| topic.bytes()),
                ControlPacket::Subscribe(subscribe) => {
                    let mut filters = subscribe.filters();
                    match (filters.next(), filters.next()) {
                        (Some(only), None) => only.filter.bytes(),
                        _ => b"",
                    }
                }
                ControlPacket::Unsubscribe(unsubscribe) => {
                    let mut filters = unsubscribe.filters();
                    match (filters.next(), filters.next()) {
                        (Some(only), None) => only.bytes(),
                        _ => b"",
                    }
                }
                _ => b"",
            };
            if slot >= topics.len() {
                topics.resize(slot + 1, Box::default());
            }
            // The end of a topic is the most specific part.
            let start = topic.len().saturating_sub(KEPT_TOPIC);
            topics[slot] = topic[start..].into();
            None
        }
        _ => {
            let topic = topics.get(slot)?;
            (!topic.is_empty()).then_some(topic)
        }
    }
}

/// Builds a line within the width of the row.
struct Line<'o> {
    out: &'o mut Vec<u8>,
    paint: Option<&'o Paint>,
    show_secrets: bool,
    width: usize,
    left: usize,
    /// A colour is on.
    painted: bool,
}

impl Line<'_> {
    /// The client in its colour, padded.
    fn client(&mut self, connection: Option<&Connection>) {
        let columns = match self.width {
            ..70 => 10,
            70..100 => 14,
            _ => 20,
        };
        let mut name = Vec::new();
        match connection {
            Some(connection) => match connection.client_id.as_deref() {
                Some(id) if !id.is_empty() => escape::escaped(id, Within::Cell, &mut name),
                _ => put::endpoint(connection.client, &mut name),
            },
            None => name.push(b'-'),
        }
        let name = String::from_utf8_lossy(&name);
        // Client identifiers differ at both ends, addresses at their end.
        let head = match connection.is_some_and(|connection| connection.client_id.is_some()) {
            true => columns / 3,
            false => 0,
        };
        if let Some(paint) = self.paint {
            self.out.extend_from_slice(paint.client(name.as_bytes()));
            self.painted = true;
        }
        self.padded(&shortened(&name, columns, head), columns);
        self.plain();
        self.push(" ");
    }

    fn packet(
        &mut self,
        frame: &MQTTFrame<'_>,
        exchange: Option<&ExchangeFact>,
        topic: Option<&[u8]>,
        decoded: Option<&Decoded>,
    ) {
        let latency = exchange
            .filter(|exchange| exchange.asked != frame.direction || exchange.is_message())
            .filter(|exchange| !matches!(exchange.role, Role::Opens))
            .and_then(|exchange| exchange.since_first(frame));
        match &frame.packet {
            ControlPacket::Reserved | ControlPacket::Pingreq => {}
            ControlPacket::Pingresp => self.latency(latency),
            ControlPacket::Connect(connect) => self.connect(connect),
            ControlPacket::Connack(connack) => self.connack(frame, connack, latency),
            ControlPacket::Publish(publish) => self.publish(frame, publish, decoded),
            ControlPacket::Puback(ack)
            | ControlPacket::Pubrec(ack)
            | ControlPacket::Pubrel(ack)
            | ControlPacket::Pubcomp(ack) => {
                let failed = ack.code.is_some_and(|code| code >= FAILURE);
                let reason = ack.code.filter(|&code| code != 0);
                let after = 10 + if failed { 24 } else { 0 };
                self.about(topic, ack.packet_id, after);
                if let Some(code) = reason {
                    self.code(frame, code, failed);
                    self.reason_string(ack.properties);
                }
                self.latency(latency);
            }
            ControlPacket::Subscribe(subscribe) => {
                for (at, subscription) in subscribe.filters().enumerate() {
                    self.comma(at);
                    self.text(subscription.filter.bytes());
                    if let Some(qos @ 1..) = subscription.max_qos() {
                        self.word(&format!("qos{qos}"));
                    }
                }
            }
            ControlPacket::Suback(suback) => {
                self.about(topic, suback.packet_id, 20);
                for (at, &code) in suback.codes.iter().enumerate() {
                    self.comma(at);
                    match code {
                        0..3 => self.word(&format!("qos{code}")),
                        _ => self.refused(frame, code),
                    }
                }
                self.reason_string(suback.properties);
                self.latency(latency);
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                for (at, filter) in unsubscribe.filters().enumerate() {
                    self.comma(at);
                    self.text(filter.bytes());
                }
            }
            ControlPacket::Unsuback(unsuback) => {
                self.about(topic, unsuback.packet_id, 20);
                for &code in unsuback.codes.iter().filter(|code| **code != 0) {
                    self.code(frame, code, code >= FAILURE);
                }
                self.reason_string(unsuback.properties);
                self.latency(latency);
            }
            ControlPacket::Disconnect(disconnect) => {
                if let Some(code) = disconnect.code.filter(|&code| code != 0) {
                    self.code(frame, code, code >= FAILURE);
                }
                self.reason_string(disconnect.properties);
            }
            ControlPacket::Auth(auth) => {
                if let Some(code) = auth.code {
                    self.code(frame, code, code >= FAILURE);
                }
                self.reason_string(auth.properties);
            }
        }
    }

    fn connect(&mut self, connect: &Connect<'_>) {
        if let Some(level) = connect.protocol_level {
            match Version::from_level(level) {
                Some(version) => self.word(&format!("MQTT {version}")),
                None => self.word(&format!("level {level}")),
            }
        }
        if let Some(user) = connect.username {
            self.word("user");
            self.text(user.bytes());
        }
        if connect.flags.is_some_and(|flags| flags & 2 == 0) {
            self.word("resume");
        }
        if let Some(seconds) = connect.keep_alive {
            self.word(&format!("keep-alive {seconds} s"));
        }
        if let Some(topic) = connect.will.as_ref().and_then(|will| will.topic) {
            self.word("will");
            self.text(topic.bytes());
        }
        if let Some(password) = connect.password.filter(|_| self.show_secrets) {
            self.word("password");
            self.text(password);
        }
    }

    fn connack(&mut self, frame: &MQTTFrame<'_>, connack: &Connack<'_>, latency: Option<Duration>) {
        match connack.code {
            Some(0) => self.word("accepted"),
            Some(code) => self.refused(frame, code),
            None => {}
        }
        if connack.flags.is_some_and(|flags| flags & 1 != 0) {
            self.word("session present");
        }
        self.reason_string(connack.properties);
        self.dim();
        self.latency(latency);
    }

    fn publish(&mut self, frame: &MQTTFrame<'_>, publish: &Publish<'_>, decoded: Option<&Decoded>) {
        let header = frame.header;
        let mut after = Vec::new();
        for (is, word) in [
            (header.qos() == 1, "qos1"),
            (header.qos() == 2, "qos2"),
            (header.qos() == 3, "qos3"),
            (header.retain(), "retain"),
            (header.dup(), "dup"),
        ] {
            if is {
                after.push(word.to_owned());
            }
        }
        after.extend(publish.payload_len.map(|length| format!("{length} B")));
        // A preview of a short payload takes precedence over the start of a topic.
        let preview = match publish.payload.len() {
            0 => 0,
            length => length.min(SHORTEST_PREVIEW) + 4,
        };
        let columns: usize = after.iter().map(|word| word.len() + 1).sum();
        let room = self.left.saturating_sub(columns + preview + 2);
        match frame.topic {
            Some(topic) => self.shortened(topic.bytes(), room.max(SHORTEST_TOPIC)),
            None => match publish.topic_alias {
                Some(alias) => self.word(&format!("topic unknown, alias {alias}")),
                None => self.word("topic unknown"),
            },
        }
        after.iter().for_each(|word| self.word(word));
        if publish.payload.is_empty() || self.left < preview {
            return;
        }
        self.push(" ");
        let start = self.out.len();
        // Two quotes and the ellipsis.
        let columns = self.left - 3;
        if let Some(decoded) = decoded {
            payload::preview(decoded, Some(columns), self.out);
            let used = escape::columns(self.out.get(start..).unwrap_or_default());
            self.left = self.left.saturating_sub(used);
            return;
        }
        escape::quoted_within(publish.payload, Within::Payload, columns, self.out);
        let length = publish.payload_len.unwrap_or_default();
        if (publish.payload.len() as u64) < u64::from(length)
            && !self.out.ends_with(escape::ELLIPSIS)
        {
            self.out.extend_from_slice(escape::ELLIPSIS);
        }
        let used = escape::columns(self.out.get(start..).unwrap_or_default());
        self.left = self.left.saturating_sub(used);
    }

    /// The topic of an acknowledgement, or its packet identifier.
    fn about(&mut self, topic: Option<&[u8]>, packet_id: Option<u16>, after: usize) {
        match (topic, packet_id) {
            (Some(topic), _) => {
                let room = self.left.saturating_sub(after).max(SHORTEST_TOPIC);
                self.shortened(topic, room);
            }
            (None, Some(id)) => self.word(&format!("id {id}")),
            (None, None) => {}
        }
    }

    /// `0x10 No matching subscribers`, red when it failed.
    fn code(&mut self, frame: &MQTTFrame<'_>, code: u8, failed: bool) {
        let mut text = Vec::new();
        summary::put_code(frame.version, frame.header.packet_type(), code, &mut text);
        if failed {
            self.plain();
            self.alarm();
        }
        self.word(&String::from_utf8_lossy(&text));
        if failed {
            self.plain();
        }
    }

    fn refused(&mut self, frame: &MQTTFrame<'_>, code: u8) {
        self.plain();
        self.alarm();
        self.word("REFUSED");
        let mut text = Vec::new();
        summary::put_code(frame.version, frame.header.packet_type(), code, &mut text);
        // The names of 3.1.1 start with the same word.
        self.word(&String::from_utf8_lossy(&text).replace("Refused: ", ""));
        self.plain();
    }

    fn reason_string(&mut self, properties: Properties<'_>) {
        if let Some(PropertyValue::String(text)) = properties.find(summary::REASON_STRING) {
            let mut quoted = Vec::new();
            escape::quoted(text.bytes(), &mut quoted);
            self.word(&String::from_utf8_lossy(&quoted));
        }
    }

    fn latency(&mut self, latency: Option<Duration>) {
        let Some(millis) = latency.map(|latency| latency.as_secs_f64() * 1000.0) else {
            return;
        };
        self.word(&match millis {
            ..0.1 => "<0.1 ms".to_owned(),
            ..10.0 => format!("{millis:.1} ms"),
            ..1000.0 => format!("{millis:.0} ms"),
            _ => format!("{:.1} s", millis / 1000.0),
        });
    }

    fn comma(&mut self, at: usize) {
        if at > 0 && self.left > 0 {
            self.push(",");
        }
    }

    /// Text from the wire, without quotes unless it holds spaces.
    fn text(&mut self, text: &[u8]) {
        self.shortened(text, self.left.saturating_sub(1));
    }

    /// The same, cut at its start to `columns`: the end of a topic is the most
    /// specific part.
    fn shortened(&mut self, text: &[u8], columns: usize) {
        let mut escaped = Vec::new();
        if text.contains(&b' ') || text.is_empty() {
            escape::quoted(text, &mut escaped);
        } else {
            escape::escaped(text, Within::Cell, &mut escaped);
        }
        self.word(&shortened(&String::from_utf8_lossy(&escaped), columns, 0));
    }

    /// A space and a word; `…` where it does not fit, and nothing after that.
    fn word(&mut self, word: &str) {
        let columns = escape::columns(word.as_bytes());
        if columns < self.left {
            self.push(" ");
            self.push(word);
        } else if self.left > 1 {
            let whole = shortened_end(word, self.left.saturating_sub(1));
            self.push(" ");
            self.push(&whole);
            self.left = 0;
        } else {
            self.left = 0;
        }
    }

    fn padded(&mut self, text: &str, columns: usize) {
        self.push(text);
        for _ in escape::columns(text.as_bytes())..columns {
            self.push(" ");
        }
    }

    fn push(&mut self, text: &str) {
        let columns = escape::columns(text.as_bytes());
        self.left = self.left.saturating_sub(columns);
        self.out.extend_from_slice(text.as_bytes());
    }

    /// Words that continue on the next row, indented, broken at blanks outside of
    /// quotes.
    fn wrapped(&mut self, text: &str) {
        let indent = self.width.saturating_sub(self.left);
        let mut fresh = true;
        for word in wrap::words(text) {
            let columns = escape::columns(word.as_bytes());
            if fresh || columns < self.left {
                self.push(if fresh { "" } else { " " });
            } else {
                self.new_row(indent);
            }
            self.push(word);
            fresh = false;
        }
    }

    /// Words on a row of their own.
    fn next_line(&mut self, text: &str) {
        self.new_row(INDENT);
        self.wrapped(text);
    }

    fn new_row(&mut self, indent: usize) {
        self.out.push(b'\n');
        self.left = self.width;
        self.padded("", indent);
    }

    fn dim(&mut self) {
        self.switch(|paint| &paint.event);
    }

    fn alarm(&mut self) {
        self.switch(|paint| &paint.defect);
    }

    fn switch(&mut self, code: impl FnOnce(&Paint) -> &Vec<u8>) {
        if let Some(paint) = self.paint {
            self.out.extend_from_slice(code(paint));
            self.painted = true;
        }
    }

    fn plain(&mut self) {
        if let Some(paint) = self.paint.filter(|_| self.painted) {
            self.out.extend_from_slice(&paint.reset);
            self.painted = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Doubt, ExchangeKind, First, FrameRef};
    use crate::mqtt::Version as V;
    use crate::report::sample::{self, Sample};
    use crate::report::text::{Style, TextOptions};
    use crate::report::{FrameItem, Options, Report as _};

    fn report(width: usize, colour: bool) -> TextReport {
        TextReport::new(&Options {
            width: Some(width),
            colour,
            text: TextOptions {
                style: Style::Compact,
                ..TextOptions::default()
            },
            ..Options::default()
        })
    }

    fn line(report: &mut TextReport, sample: &Sample, exchange: Option<&ExchangeFact>) -> String {
        let mut out = Vec::new();
        sample.with(|frame| {
            let item = FrameItem::Frame {
                frame,
                payload: None,
                exchange,
                topic_unknown: false,
            };
            report.put(&item, &mut out);
        });
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn every_line_fits() {
        let mut samples: Vec<_> = sample::all()
            .into_iter()
            .map(|(_, sample)| sample)
            .collect();
        samples.push(sample::publish_of(&[b'x'; 300], &[b'y'; 300]));
        samples.push(sample::publish_of(
            "温度".repeat(40).as_bytes(),
            "温度".repeat(40).as_bytes(),
        ));
        samples.push(sample::publish_of(
            b"a b\x1b",
            b"\x00\xff\n::error::\x1b[2J",
        ));
        for width in 40..130 {
            for sample in &samples {
                let text = line(&mut report(width, false), sample, None);
                for row in text.lines() {
                    let columns = escape::columns(row.as_bytes());
                    assert!(columns <= width, "{columns} > {width}: {row}");
                    assert!(!row.contains(char::is_control), "{row}");
                }
            }
        }
    }

    #[test]
    fn what_matters_is_there_at_80_columns() {
        let mut report = report(80, false);
        let mut shown = |sample: &Sample| line(&mut report, sample, None);
        assert_eq!(
            shown(&sample::publish()),
            "11:05:02.104 sensor-7       → PUBLISH   plant/7/temp qos1 11 B \"123|456|789\"\n"
        );
        assert_eq!(
            shown(&Sample::packet(0x20, &[b"\0\x05"], V::V3_1_1).down()),
            "11:05:02.104 sensor-7       ← CONNACK   REFUSED 0x05 not authorized\n"
        );
        assert_eq!(
            shown(&sample::publish_of(
                &[b"long/".repeat(20), b"end".to_vec()].concat(),
                b"12"
            )),
            "11:05:02.104 sensor-7       → PUBLISH   …long/long/long/long/long/end 2 B \"12\"\n"
        );
    }

    #[test]
    fn an_acknowledgement_has_its_topic_and_its_latency() {
        let mut report = report(80, true);
        let publish = sample::publish();
        let fact = |role, seen| ExchangeFact {
            kind: ExchangeKind::Publish,
            asked: Direction::Up,
            role,
            first: Some(First {
                number: 1,
                slot: 4,
                seen,
                qos: 1,
            }),
            replaces: false,
            doubt: Doubt::default(),
        };
        let seen = FrameRef {
            time: publish.time,
            ..FrameRef::default()
        };
        line(&mut report, &publish, Some(&fact(Role::Opens, seen)));
        let mut puback = Sample::packet(0x40, &[b"\0\x07"], V::V3_1_1).down();
        puback.time = Timestamp::from_nanos(publish.time.nanos() + 820_000);
        let text = line(&mut report, &puback, Some(&fact(Role::Completes, seen)));
        assert!(
            text.contains("\x1b[2mPUBACK    plant/7/temp 0.8 ms\x1b[0m\n"),
            "{text:?}"
        );
    }
}
