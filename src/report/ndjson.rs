//! NDJSON: one object per control packet or event and line, for programs.
//!
//! The keys, their order and their meaning are documented in `docs/formats.md`.
//! The output is built by the functions in this file, not derived from the core's
//! types, so that the core can change without breaking the format.
//!
//! Objects are written with [`json::Object`], because `serde_json` took four times
//! as many instructions for the same bytes.

use std::sync::LazyLock;

use super::json::{self, Object, key};
use super::prefix::Prefixes;
use super::secret::{AUTHENTICATION_DATA, MASK};
use super::utc::Utc;
use super::{
    Format, FrameItem, FrameNeeds, Frames, Options, Report, escape, layer, message, payload, put,
};
use crate::event::{Event, EventKind};
use crate::facts::{FrameFact, Needs};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::mqtt::packet::{Connect, Publish, Subscription, Will};
use crate::mqtt::{
    ControlPacket, Defect, FixedHeader, Properties, PropertyValue, Text, Version, reason,
};
use crate::payload::Decoded;

/// `--format ndjson`
pub static NDJSON: Format<Frames> = Format {
    name: "ndjson",
    help: "one JSON object per control packet or event and line, for programs",
    needs: FrameNeeds {
        events: true,
        facts: |_| Needs::EXCHANGES | Needs::SESSION_UIDS,
    },
    new: |options| {
        Box::new(Ndjson {
            options: options.clone(),
            utc: Utc::default(),
            prefixes: Prefixes::default(),
            scratch: Vec::new(),
        })
    },
};

struct Ndjson {
    options: Options,
    utc: Utc,
    prefixes: Prefixes,
    /// The message of an event.
    scratch: Vec<u8>,
}

impl Report<Frames> for Ndjson {
    fn put(&mut self, item: &FrameItem<'_>, out: &mut Vec<u8>) {
        match *item {
            FrameItem::Frame {
                frame,
                exchange,
                topic_unknown,
                payload,
            } => {
                let fact = FrameFact::without_topic(frame, exchange);
                self.frame(fact, topic_unknown, payload, out);
            }
            FrameItem::Event(event) => self.event(event, out),
            FrameItem::Ended(_) | FrameItem::LinkHeader(_) => {}
        }
    }
}

impl Ndjson {
    fn frame(
        &mut self,
        fact: FrameFact<'_>,
        topic_unknown: bool,
        decoded: Option<&Decoded>,
        out: &mut Vec<u8>,
    ) {
        let frame = fact.frame;
        let header = frame.header;
        let mut object = Object::open(out);
        if let Some(file) = self.options.file(frame.last) {
            object.string(key!("file"), file);
        }
        object.number(key!("packet"), frame.first.number);
        object.number(key!("last_packet"), frame.last.number);
        object.text(key!("time"), |out| self.utc.put(frame.time, out));
        self.prefixes.put(
            frame.connection,
            frame.direction,
            object.rest(),
            put_connection,
        );
        object.number(key!("frame"), frame.number);
        if let Some(id) = fact.exchange_id() {
            object.text(key!("exchange_uid"), |out| {
                put::exchange_uid(frame.connection.uid(), id, out)
            });
        }
        if frame.connection.client_id.is_none()
            && let ControlPacket::Connect(connect) = &frame.packet
        {
            object.wire(key!("client_id"), connect.client_id);
        }
        object.word(key!("version"), frame.version.name());
        object.flag(key!("version_assumed"), frame.connection.version_assumed);
        object
            .rest()
            .extend_from_slice(&FIXED_HEADERS[usize::from(header.first)]);
        object.number(key!("length"), header.packet_len());
        if frame.missing > 0 {
            object.number(key!("missing"), frame.missing);
        }
        object.flag(key!("resynchronised"), frame.resynchronised);
        Packet {
            frame,
            topic_unknown,
            decoded,
            show_secrets: self.options.show_secrets,
        }
        .put(&mut object);
        object.word(key!("transport"), frame.connection.transport.name());
        if !frame.defects.is_empty() {
            object.list(key!("defects"), frame.defects, put_defect);
        }
        object.close();
        out.push(b'\n');
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let mut object = Object::open(out);
        if let Some(file) = self.options.file(event.packet) {
            object.string(key!("file"), file);
        }
        object.word(key!("event"), event.kind.name());
        object.text(key!("time"), |out| self.utc.put(event.time, out));
        object.number(key!("packet"), event.packet.number);
        if let Some(connection) = event.connection {
            object.number(key!("connection"), connection.number);
            put_identity(connection, &mut object);
            let (src, dst) = connection.endpoints(event.direction.unwrap_or(Direction::Up));
            object.text(key!("src"), |out| put::endpoint(src, out));
            object.text(key!("dst"), |out| put::endpoint(dst, out));
            object.wire(key!("client_id"), connection.client_id.as_deref().map(Text));
        }
        if let Some(direction) = event.direction {
            object.word(key!("direction"), direction.name());
        }
        if let Some(bytes) = event.bytes {
            object.number(key!("bytes"), bytes);
        }
        match event.kind {
            EventKind::Closed { by: Some(side), .. } => object.word(key!("by"), side.name()),
            EventKind::Dropped { packets } => object.number(key!("packets"), packets),
            EventKind::Unfinished { wanted, .. } => object.nullable(key!("wanted"), wanted),
            EventKind::Layer(note) => layer::keys(
                note,
                event.connection,
                self.options.show_secrets,
                &mut object,
            ),
            EventKind::Conflict { kept } => object.word(key!("kept"), kept.name()),
            _ => {}
        }
        if let Some(reason) = event.kind.reason() {
            object.word(key!("reason"), reason);
        }
        self.scratch.clear();
        message::event(event, self.options.show_secrets, &mut self.scratch);
        object.lossy(key!("message"), &self.scratch);
        object.close();
        out.push(b'\n');
    }
}

/// The keys from `type` to `retain`, by the first byte of the fixed header.
static FIXED_HEADERS: LazyLock<[Vec<u8>; 256]> = LazyLock::new(|| {
    std::array::from_fn(|first| {
        let header = FixedHeader {
            first: first as u8,
            length_bytes: 1,
            remaining_length: 0,
        };
        let mut keys = Vec::new();
        let mut object = Object::goes_on(&mut keys);
        object.word(key!("type"), header.packet_type().name());
        object.number(key!("qos"), header.qos());
        object.bool(key!("dup"), header.dup());
        object.bool(key!("retain"), header.retain());
        keys
    })
});

/// Keys that are the same for all frames of one direction of a connection.
fn put_connection(connection: &Connection, direction: Direction, out: &mut Vec<u8>) {
    let mut object = Object::goes_on(out);
    object.number(key!("connection"), connection.number);
    put_identity(connection, &mut object);
    let (src, dst) = connection.endpoints(direction);
    object.text(key!("src"), |out| put::endpoint(src, out));
    object.text(key!("dst"), |out| put::endpoint(dst, out));
    object.word(key!("direction"), direction.name());
    object.wire(key!("client_id"), connection.client_id.as_deref().map(Text));
}

fn put_identity(connection: &Connection, object: &mut Object<'_>) {
    object.word(key!("connection_uid"), connection.uid());
    if let Some(session) = &connection.session_uid {
        object.word(key!("session_uid"), session);
    }
}

/// The keys that depend on the packet type.
struct Packet<'a> {
    frame: &'a MQTTFrame<'a>,
    topic_unknown: bool,
    decoded: Option<&'a Decoded>,
    show_secrets: bool,
}

impl Packet<'_> {
    fn put(&self, object: &mut Object<'_>) {
        let frame = self.frame;
        let properties = match &frame.packet {
            ControlPacket::Reserved | ControlPacket::Pingreq | ControlPacket::Pingresp => return,
            ControlPacket::Connect(connect) => {
                self.connect(connect, object);
                connect.properties
            }
            ControlPacket::Connack(connack) => {
                self.reason(connack.code, object);
                if let Some(present) = connack.session_present(frame.version) {
                    object.bool(key!("session_present"), present);
                }
                connack.properties
            }
            ControlPacket::Publish(publish) => {
                self.publish(publish, object);
                publish.properties
            }
            ControlPacket::Puback(ack)
            | ControlPacket::Pubrec(ack)
            | ControlPacket::Pubrel(ack)
            | ControlPacket::Pubcomp(ack) => {
                object.optional(key!("packet_id"), ack.packet_id);
                self.reason(ack.code, object);
                ack.properties
            }
            ControlPacket::Subscribe(subscribe) => {
                object.optional(key!("packet_id"), subscribe.packet_id);
                object.list(
                    key!("filters"),
                    subscribe.filters(),
                    |subscription, object| {
                        put_subscription(subscription, frame.version, object);
                    },
                );
                subscribe.properties
            }
            ControlPacket::Suback(suback) => {
                object.optional(key!("packet_id"), suback.packet_id);
                object.numbers(key!("codes"), suback.codes);
                suback.properties
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                object.optional(key!("packet_id"), unsubscribe.packet_id);
                object.list(key!("filters"), unsubscribe.filters(), put_filter);
                unsubscribe.properties
            }
            ControlPacket::Unsuback(unsuback) => {
                object.optional(key!("packet_id"), unsuback.packet_id);
                if frame.version == Version::V5 {
                    object.numbers(key!("codes"), unsuback.codes);
                }
                unsuback.properties
            }
            ControlPacket::Disconnect(disconnect) => {
                self.reason(disconnect.code, object);
                disconnect.properties
            }
            ControlPacket::Auth(auth) => {
                self.reason(auth.code, object);
                auth.properties
            }
        };
        self.properties(properties, object);
    }

    fn connect(&self, connect: &Connect<'_>, object: &mut Object<'_>) {
        object.wire(key!("protocol_name"), connect.protocol_name);
        if let Some(level) = connect.protocol_level {
            object.number(key!("protocol_level"), level & 0x7f);
            object.flag(key!("bridge"), level & 0x80 != 0);
        }
        if let Some(flags) = connect.flags {
            object.bool(key!("clean_start"), flags & 0x02 != 0);
        }
        object.optional(key!("keep_alive"), connect.keep_alive);
        if let Some(will) = &connect.will {
            object.object(key!("will"), |object| self.will(will, object));
        }
        object.wire(key!("username"), connect.username);
        let Some(password) = connect.password else {
            return;
        };
        match std::str::from_utf8(password) {
            _ if !self.show_secrets => object.word(key!("password"), MASK),
            Ok(text) => object.string(key!("password"), text),
            Err(_) => object.base64(key!("password_base64"), password),
        }
    }

    fn will(&self, will: &Will<'_>, object: &mut Object<'_>) {
        object.exact(key!("topic"), key!("topic_base64"), will.topic);
        object.number(key!("qos"), will.qos);
        object.bool(key!("retain"), will.retain);
        if let Some(payload) = will.payload {
            put_payload(payload, u32::try_from(payload.len()).ok(), object);
        }
        self.properties(will.properties, object);
    }

    fn publish(&self, publish: &Publish<'_>, object: &mut Object<'_>) {
        object.optional(key!("packet_id"), publish.packet_id);
        object.exact(key!("topic"), key!("topic_base64"), self.frame.topic);
        object.flag(key!("topic_unknown"), self.topic_unknown);
        object.optional(key!("topic_alias"), publish.topic_alias);
        put_payload(publish.payload, publish.payload_len, object);
        match self.decoded.map(|decoded| &decoded.value) {
            Some(Ok(value)) => {
                object.value(key!("payload_decoded"), |out| payload::json(value, out));
            }
            Some(Err(fault)) => object.string(key!("payload_error"), &fault.to_string()),
            None => {}
        }
    }

    fn reason(&self, code: Option<u8>, object: &mut Object<'_>) {
        let Some(code) = code else {
            return;
        };
        object.number(key!("reason_code"), code);
        let packet_type = self.frame.header.packet_type();
        if let Some(name) = reason::name(self.frame.version, packet_type, code) {
            object.word(key!("reason"), name);
        }
    }

    fn properties(&self, properties: Properties<'_>, object: &mut Object<'_>) {
        if !properties.bytes.is_empty() {
            object.value(key!("properties"), |out| {
                put_properties(properties, self.show_secrets, out);
            });
        }
    }
}

/// Properties as an object: name → value. A property that may repeat is a list, and so
/// is one that may not but does, because keys are never repeated.
pub fn put_properties(properties: Properties<'_>, show_secrets: bool, out: &mut Vec<u8>) {
    let (mut seen, mut again) = (0u64, 0u64);
    for property in properties.iter() {
        let bit = bit(property.id);
        again |= seen & bit;
        seen |= bit;
    }
    let mut object = Object::open(out);
    let mut written = 0u64;
    for property in properties.iter() {
        let (id, bit) = (property.id, bit(property.id));
        if written & bit != 0 {
            continue;
        }
        written |= bit;
        object.named(property.name(), |out| {
            if property.repeats() || again & bit != 0 {
                let same = properties.iter().filter(|other| other.id == id);
                let values = same.map(|other| other.value);
                json::put_list(values, out, |value, out| {
                    put_value(id, value, show_secrets, out);
                });
            } else {
                put_value(id, property.value, show_secrets, out);
            }
        });
    }
    object.close();
}

fn put_value(id: u32, value: PropertyValue<'_>, show_secrets: bool, out: &mut Vec<u8>) {
    match value {
        PropertyValue::Byte(number) => put::decimal(number, out),
        PropertyValue::TwoByteInteger(number) => put::decimal(number, out),
        PropertyValue::FourByteInteger(number) | PropertyValue::VariableByteInteger(number) => {
            put::decimal(number, out);
        }
        PropertyValue::String(text) => json::put_lossy(text.bytes(), out),
        PropertyValue::Pair(name, value) => {
            out.push(b'[');
            json::put_lossy(name.bytes(), out);
            out.push(b',');
            json::put_lossy(value.bytes(), out);
            out.push(b']');
        }
        PropertyValue::Binary(_) if id == AUTHENTICATION_DATA && !show_secrets => {
            json::put_json(MASK, out);
        }
        PropertyValue::Binary(bytes) => json::put_base64(bytes, out),
    }
}

fn put_filter(filter: Text<'_>, object: &mut Object<'_>) {
    object.exact(key!("filter"), key!("filter_base64"), Some(filter));
}

fn put_subscription(subscription: Subscription<'_>, version: Version, object: &mut Object<'_>) {
    put_filter(subscription.filter, object);
    object.optional(key!("qos"), subscription.max_qos());
    if version == Version::V5 {
        for (key, set) in [
            (key!("no_local"), subscription.no_local()),
            (
                key!("retain_as_published"),
                subscription.retain_as_published(),
            ),
        ] {
            if let Some(set) = set {
                object.bool(key, set);
            }
        }
        object.optional(key!("retain_handling"), subscription.retain_handling());
    }
}

fn put_defect(defect: &Defect, object: &mut Object<'_>) {
    object.word(key!("code"), defect.code.name());
    object.string(key!("message"), &defect.message);
    object.number(key!("offset"), defect.offset);
}

/// `payload_length`, `payload`, `payload_encoding` and `payload_truncated`.
fn put_payload(payload: &[u8], length: Option<u32>, object: &mut Object<'_>) {
    let Some(length) = length else {
        return;
    };
    object.number(key!("payload_length"), length);
    let truncated = (payload.len() as u64) < u64::from(length);
    match escape::as_text(payload, truncated) {
        Some(text) => {
            object.string(key!("payload"), text);
            object.word(key!("payload_encoding"), "utf-8");
        }
        None => {
            object.base64(key!("payload"), payload);
            object.word(key!("payload_encoding"), "base64");
        }
    }
    object.flag(key!("payload_truncated"), truncated);
}

/// The specification's identifiers are at most 42; decoding stops at an unknown
/// one.
fn bit(id: u32) -> u64 {
    1u64.checked_shl(id).unwrap_or(0)
}
