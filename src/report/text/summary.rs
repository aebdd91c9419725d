//! The part of a line after the notation: fields by packet type.

use super::Paint;
use crate::frame::MQTTFrame;
use crate::mqtt::packet::{
    Ack, Connack, Connect, Publish, Suback, Subscribe, Unsuback, Unsubscribe,
};
use crate::mqtt::{ControlPacket, PacketType, Properties, PropertyValue, Text, Version, reason};
use crate::payload::Decoded;
use crate::report::escape::{self, Within};
use crate::report::payload;
use crate::report::put;

/// A narrower preview continues on the next row of the terminal.
const NARROWEST_PREVIEW: usize = 16;
/// Columns of a topic, client id or other string in a line. Longer ones are rare;
/// `-v` prints them in full.
const LONGEST_STRING: usize = 512;
/// Filters or codes in a line; `-v` prints all of them.
const LONGEST_LIST: usize = 16;
/// Defects in a line; `-v` prints all of them.
const MOST_DEFECTS: usize = 4;

/// How much of a payload is shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum Preview {
    /// All of it that was kept.
    Whole,
    /// As much as fits into the terminal's row in which the preview starts.
    Fit {
        /// Columns of the terminal.
        width: usize,
        /// Where the line starts in the buffer, plus its invisible bytes.
        start: usize,
        /// Columns of what follows the preview.
        tail: usize,
    },
}

impl Preview {
    /// Columns for a preview that begins at the end of `out`.
    fn columns(self, out: &[u8]) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Fit { width, start, tail } => {
                // Escape codes are ASCII, so their columns are their bytes.
                let used = escape::columns(out.get(start..).unwrap_or_default()) % width.max(1);
                // Two quotes and the ellipsis.
                let taken = used + tail + 3;
                let room = width.saturating_sub(taken);
                if room < NARROWEST_PREVIEW {
                    room + width.max(NARROWEST_PREVIEW)
                } else {
                    room
                }
            }
        }
    }
}

/// Appends the fields of the packet, each with a space before it.
pub(super) fn summary(
    frame: &MQTTFrame<'_>,
    decoded: Option<&Decoded>,
    preview: Preview,
    show_secrets: bool,
    out: &mut Vec<u8>,
) {
    let packet_type = frame.header.packet_type();
    let mut line = Line {
        version: frame.version,
        packet_type,
        out,
    };
    match &frame.packet {
        ControlPacket::Reserved | ControlPacket::Pingreq | ControlPacket::Pingresp => {}
        ControlPacket::Connect(connect) => line.connect(connect, show_secrets),
        ControlPacket::Connack(connack) => line.connack(connack),
        ControlPacket::Publish(publish) => line.publish(frame, publish, decoded, preview),
        ControlPacket::Puback(ack)
        | ControlPacket::Pubrec(ack)
        | ControlPacket::Pubrel(ack)
        | ControlPacket::Pubcomp(ack) => line.ack(ack),
        ControlPacket::Subscribe(subscribe) => line.subscribe(subscribe),
        ControlPacket::Suback(suback) => line.suback(suback),
        ControlPacket::Unsubscribe(unsubscribe) => line.unsubscribe(unsubscribe),
        ControlPacket::Unsuback(unsuback) => line.unsuback(unsuback),
        ControlPacket::Disconnect(disconnect) => {
            line.reason(disconnect.code, disconnect.properties)
        }
        ControlPacket::Auth(auth) => line.reason(auth.code, auth.properties),
    }
}

/// Appends what is unusual about the frame, each part after a space; returns the
/// number of invisible bytes.
pub(super) fn tail(frame: &MQTTFrame<'_>, paint: Option<&Paint>, out: &mut Vec<u8>) -> usize {
    if frame.missing > 0 {
        out.extend_from_slice(b" missing ");
        put::decimal(frame.missing, out);
        out.extend_from_slice(b" B");
    }
    if frame.resynchronised {
        out.extend_from_slice(b" resynchronised");
    }
    if frame.connection.version_assumed {
        out.extend_from_slice(b" version ");
        out.extend_from_slice(frame.version.name().as_bytes());
        out.extend_from_slice(b" assumed");
    }
    if frame.defects.is_empty() {
        return 0;
    }
    out.push(b' ');
    if let Some(paint) = paint {
        out.extend_from_slice(&paint.defect);
    }
    out.extend_from_slice(b"defect: ");
    for (at, defect) in frame.defects.iter().take(MOST_DEFECTS).enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(defect.code.name().as_bytes());
        out.extend_from_slice(b" at ");
        put::decimal(defect.offset, out);
    }
    put_more(frame.defects.len(), MOST_DEFECTS, out);
    match paint {
        Some(paint) => {
            out.extend_from_slice(&paint.reset);
            paint.defect.len() + paint.reset.len()
        }
        None => 0,
    }
}

/// `, 12 more` if a list was cut.
fn put_more(count: usize, shown: usize, out: &mut Vec<u8>) {
    if count > shown {
        out.extend_from_slice(b", ");
        put::decimal(count - shown, out);
        out.extend_from_slice(b" more");
    }
}

struct Line<'o> {
    version: Version,
    packet_type: PacketType,
    out: &'o mut Vec<u8>,
}

impl Line<'_> {
    fn connect(&mut self, connect: &Connect<'_>, show_secrets: bool) {
        if let Some(name) = connect.protocol_name
            && !matches!(name.bytes(), b"MQTT" | b"MQIsdp")
        {
            self.string("protocol", name);
        }
        if let Some(client_id) = connect.client_id {
            self.string("client", client_id);
        }
        if let Some(level) = connect.protocol_level {
            match Version::from_level(level) {
                Some(version) => {
                    self.word("version");
                    self.word(version.name());
                }
                None => self.number("level", level),
            }
            if is_bridge(level) {
                self.word("bridge");
            }
        }
        if let Some(keep_alive) = connect.keep_alive {
            self.number("keep alive", keep_alive);
            self.word("s");
        }
        if connect.flags.is_some_and(|flags| flags & CLEAN_START != 0) {
            self.word(clean_start_name(self.version));
        }
        if let Some(will) = &connect.will {
            self.word("will");
            if let Some(topic) = will.topic {
                self.string("topic", topic);
            }
            self.number("qos", will.qos);
            if will.retain {
                self.word("retain");
            }
            if let Some(payload) = will.payload {
                self.byte_count(payload.len() as u64);
            }
        }
        if let Some(username) = connect.username {
            self.string("user", username);
        }
        if let Some(password) = connect.password {
            if show_secrets {
                self.string("password", Text(password));
            } else {
                self.word("password ***");
            }
        }
    }

    fn connack(&mut self, connack: &Connack<'_>) {
        if connack.flags.is_some_and(|flags| flags & 1 != 0) {
            self.word("session present");
        }
        self.reason(connack.code, connack.properties);
    }

    fn publish(
        &mut self,
        frame: &MQTTFrame<'_>,
        publish: &Publish<'_>,
        decoded: Option<&Decoded>,
        preview: Preview,
    ) {
        if frame.header.retain() {
            self.word("retain");
        }
        self.id(publish.packet_id);
        let sent = publish.own_topic();
        match (sent, frame.topic, publish.topic_alias) {
            (Some(topic), _, alias) => {
                self.string("topic", topic);
                if let Some(alias) = alias {
                    self.number("alias", alias);
                }
            }
            (None, Some(topic), alias) => {
                self.string("topic", topic);
                if let Some(alias) = alias {
                    self.number("from alias", alias);
                }
            }
            (None, None, Some(alias)) => self.number("topic unknown alias", alias),
            (None, None, None) => self.word("topic unknown"),
        }
        let Some(length) = publish.payload_len else {
            return;
        };
        self.byte_count(length.into());
        if publish.payload.is_empty() {
            return;
        }
        self.out.push(b' ');
        if let Some(decoded) = decoded.filter(|decoded| decoded.value.is_ok()) {
            let columns = Some(preview.columns(self.out)).filter(|&columns| columns < usize::MAX);
            payload::preview(decoded, columns, self.out);
            return;
        }
        match preview.columns(self.out) {
            usize::MAX => escape::payload(publish.payload, self.out),
            columns => {
                escape::quoted_within(publish.payload, Within::Payload, columns, self.out);
            }
        }
        // The kept part of the payload fits, but not all was kept.
        if (publish.payload.len() as u64) < u64::from(length)
            && !self.out.ends_with(escape::ELLIPSIS)
        {
            self.out.extend_from_slice(escape::ELLIPSIS);
        }
        if let Some(decoded) = decoded {
            self.out.push(b' ');
            payload::preview(decoded, None, self.out);
        }
    }

    fn ack(&mut self, ack: &Ack<'_>) {
        self.id(ack.packet_id);
        self.reason(ack.code, ack.properties);
    }

    fn subscribe(&mut self, subscribe: &Subscribe<'_>) {
        self.id(subscribe.packet_id);
        let mut count = 0;
        for subscription in subscribe.filters() {
            count += 1;
            if count > LONGEST_LIST {
                continue;
            }
            self.comma(count);
            self.out.push(b' ');
            self.quoted(subscription.filter);
            if let Some(qos) = subscription.max_qos() {
                self.number("qos", qos);
            }
            if self.version == Version::V5 {
                if subscription.no_local() == Some(true) {
                    self.word("no local");
                }
                if subscription.retain_as_published() == Some(true) {
                    self.word("retain as published");
                }
                if let Some(handling @ 1..) = subscription.retain_handling() {
                    self.number("retain handling", handling);
                }
            }
        }
        put_more(count, LONGEST_LIST, self.out);
    }

    fn suback(&mut self, suback: &Suback<'_>) {
        self.id(suback.packet_id);
        for (at, &code) in suback.codes.iter().take(LONGEST_LIST).enumerate() {
            self.comma(at + 1);
            if code < 3 {
                self.number("qos", code);
            } else {
                self.word("failure");
                self.code(code);
            }
        }
        put_more(suback.codes.len(), LONGEST_LIST, self.out);
        self.reason_string(suback.properties);
    }

    fn unsubscribe(&mut self, unsubscribe: &Unsubscribe<'_>) {
        self.id(unsubscribe.packet_id);
        let mut count = 0;
        for filter in unsubscribe.filters() {
            count += 1;
            if count > LONGEST_LIST {
                continue;
            }
            self.comma(count);
            self.out.push(b' ');
            self.quoted(filter);
        }
        put_more(count, LONGEST_LIST, self.out);
    }

    fn unsuback(&mut self, unsuback: &Unsuback<'_>) {
        self.id(unsuback.packet_id);
        for (at, &code) in unsuback.codes.iter().take(LONGEST_LIST).enumerate() {
            self.comma(at + 1);
            self.code(code);
        }
        put_more(unsuback.codes.len(), LONGEST_LIST, self.out);
        self.reason_string(unsuback.properties);
    }

    fn reason(&mut self, code: Option<u8>, properties: Properties<'_>) {
        if let Some(code) = code {
            self.word("reason");
            self.code(code);
        }
        self.reason_string(properties);
    }

    /// Reason String: more specific than the code.
    fn reason_string(&mut self, properties: Properties<'_>) {
        if properties.bytes.is_empty() {
            return;
        }
        for property in properties.iter() {
            if let (REASON_STRING, PropertyValue::String(text)) = (property.id, property.value) {
                self.out.push(b' ');
                self.quoted(text);
            }
        }
    }

    /// ` 0x87 Not authorized`
    fn code(&mut self, code: u8) {
        self.out.push(b' ');
        put_code(self.version, self.packet_type, code, self.out);
    }

    fn id(&mut self, packet_id: Option<u16>) {
        if let Some(id) = packet_id {
            self.number("id", id);
        }
    }

    fn comma(&mut self, count: usize) {
        if count > 1 {
            self.out.push(b',');
        }
    }

    fn byte_count(&mut self, count: u64) {
        self.out.push(b' ');
        put::decimal(count, self.out);
        self.out.extend_from_slice(b" B");
    }

    fn word(&mut self, word: &str) {
        self.out.push(b' ');
        self.out.extend_from_slice(word.as_bytes());
    }

    fn number(&mut self, name: &str, number: impl put::Decimal) {
        self.word(name);
        self.out.push(b' ');
        put::decimal(number, self.out);
    }

    fn string(&mut self, name: &str, text: Text<'_>) {
        self.word(name);
        self.out.push(b' ');
        self.quoted(text);
    }

    fn quoted(&mut self, text: Text<'_>) {
        escape::quoted_within(text.bytes(), Within::Quotes, LONGEST_STRING, self.out);
    }
}

/// Bit 1 of the Connect Flags.
pub(super) const CLEAN_START: u8 = 0x02;
/// Property Identifier of the Reason String.
pub(super) const REASON_STRING: u32 = 0x1f;

/// What bit 1 of the Connect Flags is called in a version.
pub(super) const fn clean_start_name(version: Version) -> &'static str {
    match version {
        Version::V5 => "clean start",
        Version::V3_1 | Version::V3_1_1 => "clean session",
    }
}

/// Whether a protocol level has the bit by which bridges identify themselves.
pub(super) const fn is_bridge(level: u8) -> bool {
    level & 0x80 != 0
}

/// `0x87 Not authorized`, or the number alone if it has no name.
pub(super) fn put_code(version: Version, packet_type: PacketType, code: u8, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0x");
    put::hex(code, out);
    if let Some(name) = reason::name(version, packet_type, code) {
        out.push(b' ');
        out.extend_from_slice(name.as_bytes());
    }
}
