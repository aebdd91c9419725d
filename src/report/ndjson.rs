//! NDJSON: one object per control packet or event and line, for programs.
//!
//! The keys, their order and their meaning are promised in `docs/formats.md`.
//! What is written here is made of the types in this file and not of the core's
//! own, so that the core can change without breaking the promise.
//!
//! Objects are serialised straight from borrowed data. JSON leaves it to the
//! writer which characters beyond ASCII to escape, so those that could deceive
//! a reader at a terminal are written as `\u202e`: parsed, they are the same.

use std::io::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;

use super::utc::Utc;
use super::{Format, Options, Report, escape, layer, message, put};
use crate::event::{Event, EventKind};
use crate::frame::{Connection, Direction, MQTTFrame};
use crate::mqtt::packet::{Connect, Publish, Subscription, Will};
use crate::mqtt::{ControlPacket, Defect, Properties, PropertyValue, Text, Version, reason};

/// `--format ndjson`
pub static NDJSON: Format = Format {
    name: "ndjson",
    help: "one JSON object per control packet or event and line, for programs",
    new: |options| {
        Box::new(Ndjson {
            options: options.clone(),
            utc: Utc::default(),
            scratch: Vec::new(),
        })
    },
};

struct Ndjson {
    options: Options,
    utc: Utc,
    /// Time and endpoints as text, or an event's message.
    scratch: Vec<u8>,
}

impl Ndjson {
    /// Writes what every object has in common into the scratch buffer, and
    /// returns where each part ends.
    fn prepare(
        &mut self,
        time: crate::time::Timestamp,
        connection: Option<&Connection>,
        direction: Direction,
    ) -> [usize; 3] {
        self.scratch.clear();
        self.utc.put(time, &mut self.scratch);
        let time_end = self.scratch.len();
        let Some(connection) = connection else {
            return [time_end; 3];
        };
        let (src, dst) = connection.endpoints(direction);
        put::endpoint(src, &mut self.scratch);
        let src_end = self.scratch.len();
        put::endpoint(dst, &mut self.scratch);
        [time_end, src_end, self.scratch.len()]
    }
}

impl Report for Ndjson {
    fn frame(&mut self, frame: &MQTTFrame<'_>, topic_unknown: bool, out: &mut Vec<u8>) {
        let ends = self.prepare(frame.time, Some(frame.connection), frame.direction);
        let object = FrameObject {
            file: self.options.file(frame.last),
            texts: Texts::new(&self.scratch, ends),
            topic_unknown,
            show_secrets: self.options.show_secrets,
            frame,
        };
        put_line(&object, out);
    }

    fn event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        let direction = event.direction.unwrap_or(Direction::Up);
        let ends = self.prepare(event.time, event.connection, direction);
        message::event(event, &mut self.scratch);
        let object = EventObject {
            file: self.options.file(event.packet),
            texts: Texts::new(&self.scratch, ends),
            event,
        };
        put_line(&object, out);
    }
}

/// Appends an object and a line feed.
fn put_line(object: &impl Serialize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut serializer = serde_json::Serializer::with_formatter(&mut *out, Safe::default());
    // Neither a Vec nor these types can fail; if they did, half a line would be
    // worse than none.
    if object.serialize(&mut serializer).is_err() {
        out.truncate(start);
        return;
    }
    out.push(b'\n');
}

/// What was put into the scratch buffer.
struct Texts<'a> {
    time: &'a str,
    src: &'a str,
    dst: &'a str,
    message: &'a str,
}

impl<'a> Texts<'a> {
    fn new(scratch: &'a [u8], [time, src, dst]: [usize; 3]) -> Self {
        let scratch = std::str::from_utf8(scratch).unwrap_or_default();
        let part = |from, to| scratch.get(from..to).unwrap_or_default();
        Self {
            time: part(0, time),
            src: part(time, src),
            dst: part(src, dst),
            message: part(dst, scratch.len()),
        }
    }
}

struct FrameObject<'a> {
    file: Option<&'a str>,
    texts: Texts<'a>,
    topic_unknown: bool,
    show_secrets: bool,
    frame: &'a MQTTFrame<'a>,
}

impl Serialize for FrameObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let frame = self.frame;
        let header = frame.header;
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "file", self.file)?;
        map.serialize_entry("packet", &frame.first.number)?;
        map.serialize_entry("last_packet", &frame.last.number)?;
        map.serialize_entry("time", self.texts.time)?;
        map.serialize_entry("connection", &frame.connection.number)?;
        map.serialize_entry("src", self.texts.src)?;
        map.serialize_entry("dst", self.texts.dst)?;
        map.serialize_entry("direction", frame.direction.name())?;
        let client_id = frame
            .connection
            .client_id
            .as_deref()
            .or(match &frame.packet {
                ControlPacket::Connect(connect) => connect.client_id.map(Text::bytes),
                _ => None,
            });
        optional(&mut map, "client_id", client_id.map(Lossy))?;
        map.serialize_entry("version", frame.version.name())?;
        flag(
            &mut map,
            "version_assumed",
            frame.connection.version_assumed,
        )?;
        map.serialize_entry("type", header.packet_type().name())?;
        map.serialize_entry("qos", &header.qos())?;
        map.serialize_entry("dup", &header.dup())?;
        map.serialize_entry("retain", &header.retain())?;
        map.serialize_entry("length", &header.packet_len())?;
        if frame.missing > 0 {
            map.serialize_entry("missing", &frame.missing)?;
        }
        flag(&mut map, "resynchronised", frame.resynchronised)?;
        self.packet(&mut map)?;
        map.serialize_entry("transport", frame.connection.transport.name())?;
        if !frame.defects.is_empty() {
            map.serialize_entry("defects", &Seq(|| frame.defects.iter().map(DefectObject)))?;
        }
        map.end()
    }
}

impl FrameObject<'_> {
    /// The keys that depend on the packet type.
    fn packet<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let frame = self.frame;
        let properties = match &frame.packet {
            ControlPacket::Reserved | ControlPacket::Pingreq | ControlPacket::Pingresp => {
                return Ok(());
            }
            ControlPacket::Connect(connect) => {
                self.connect(connect, map)?;
                connect.properties
            }
            ControlPacket::Connack(connack) => {
                self.reason(connack.code, map)?;
                let present = connack.flags.map(|flags| flags & 1 != 0);
                optional(map, "session_present", present)?;
                connack.properties
            }
            ControlPacket::Publish(publish) => {
                self.publish(publish, map)?;
                publish.properties
            }
            ControlPacket::Puback(ack)
            | ControlPacket::Pubrec(ack)
            | ControlPacket::Pubrel(ack)
            | ControlPacket::Pubcomp(ack) => {
                optional(map, "packet_id", ack.packet_id)?;
                self.reason(ack.code, map)?;
                ack.properties
            }
            ControlPacket::Subscribe(subscribe) => {
                optional(map, "packet_id", subscribe.packet_id)?;
                let filters = Seq(|| {
                    subscribe.filters().map(|subscription| FilterObject {
                        filter: subscription.filter,
                        subscription: Some(subscription),
                        version: frame.version,
                    })
                });
                map.serialize_entry("filters", &filters)?;
                subscribe.properties
            }
            ControlPacket::Suback(suback) => {
                optional(map, "packet_id", suback.packet_id)?;
                map.serialize_entry("codes", suback.codes)?;
                suback.properties
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                optional(map, "packet_id", unsubscribe.packet_id)?;
                let filters = Seq(|| {
                    unsubscribe.filters().map(|filter| FilterObject {
                        filter,
                        subscription: None,
                        version: frame.version,
                    })
                });
                map.serialize_entry("filters", &filters)?;
                unsubscribe.properties
            }
            ControlPacket::Unsuback(unsuback) => {
                optional(map, "packet_id", unsuback.packet_id)?;
                if frame.version == Version::V5 {
                    map.serialize_entry("codes", unsuback.codes)?;
                }
                unsuback.properties
            }
            ControlPacket::Disconnect(disconnect) => {
                self.reason(disconnect.code, map)?;
                disconnect.properties
            }
            ControlPacket::Auth(auth) => {
                self.reason(auth.code, map)?;
                auth.properties
            }
        };
        put_properties(map, properties)
    }

    fn connect<M: SerializeMap>(&self, connect: &Connect<'_>, map: &mut M) -> Result<(), M::Error> {
        optional(map, "protocol_name", connect.protocol_name.map(lossy))?;
        let level = connect.protocol_level;
        optional(map, "protocol_level", level.map(|level| level & 0x7f))?;
        flag(map, "bridge", level.is_some_and(|level| level & 0x80 != 0))?;
        let clean_start = connect.flags.map(|flags| flags & 0x02 != 0);
        optional(map, "clean_start", clean_start)?;
        optional(map, "keep_alive", connect.keep_alive)?;
        optional(map, "will", connect.will.as_ref().map(WillObject))?;
        optional(map, "username", connect.username.map(lossy))?;
        let Some(password) = connect.password else {
            return Ok(());
        };
        if !self.show_secrets {
            return map.serialize_entry("password", "***");
        }
        match std::str::from_utf8(password) {
            Ok(text) => map.serialize_entry("password", text),
            Err(_) => map.serialize_entry("password_base64", &Base64(password)),
        }
    }

    fn publish<M: SerializeMap>(&self, publish: &Publish<'_>, map: &mut M) -> Result<(), M::Error> {
        optional(map, "packet_id", publish.packet_id)?;
        // An alias that nobody can resolve leaves an empty name on the wire,
        // which is no topic.
        let sent = publish
            .topic
            .filter(|topic| !topic.bytes().is_empty() || publish.topic_alias.is_none());
        if let Some(topic) = self.frame.topic.or(sent) {
            map.serialize_entry("topic", &lossy(topic))?;
            if topic.as_str().is_none() {
                map.serialize_entry("topic_base64", &Base64(topic.bytes()))?;
            }
        }
        flag(map, "topic_unknown", self.topic_unknown)?;
        optional(map, "topic_alias", publish.topic_alias)?;
        put_payload(map, publish.payload, publish.payload_len)
    }

    fn reason<M: SerializeMap>(&self, code: Option<u8>, map: &mut M) -> Result<(), M::Error> {
        let Some(code) = code else {
            return Ok(());
        };
        map.serialize_entry("reason_code", &code)?;
        let packet_type = self.frame.header.packet_type();
        optional(
            map,
            "reason",
            reason::name(self.frame.version, packet_type, code),
        )
    }
}

struct EventObject<'a> {
    file: Option<&'a str>,
    texts: Texts<'a>,
    event: &'a Event<'a>,
}

impl Serialize for EventObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let event = self.event;
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "file", self.file)?;
        map.serialize_entry("event", event.kind.name())?;
        map.serialize_entry("time", self.texts.time)?;
        map.serialize_entry("packet", &event.packet.number)?;
        if let Some(connection) = event.connection {
            map.serialize_entry("connection", &connection.number)?;
            map.serialize_entry("src", self.texts.src)?;
            map.serialize_entry("dst", self.texts.dst)?;
            let client_id = connection.client_id.as_deref();
            optional(&mut map, "client_id", client_id.map(Lossy))?;
        }
        optional(&mut map, "direction", event.direction.map(Direction::name))?;
        optional(&mut map, "bytes", event.bytes)?;
        match event.kind {
            EventKind::Closed { by, reason, .. } => {
                optional(&mut map, "by", by.map(|side| side.name()))?;
                map.serialize_entry("reason", reason.name())?;
            }
            EventKind::Dropped { packets } => map.serialize_entry("packets", &packets)?,
            EventKind::Unfinished { wanted, .. } => map.serialize_entry("wanted", &wanted)?,
            EventKind::Malformed { reason }
            | EventKind::NotMqtt { reason }
            | EventKind::Bound { reason } => map.serialize_entry("reason", reason)?,
            EventKind::Layer(note) => layer::keys(note, event.connection, &mut map)?,
            EventKind::Opened | EventKind::Gap | EventKind::Resynchronised | EventKind::Late => {}
            EventKind::Conflict { kept } => map.serialize_entry("kept", kept.name())?,
        }
        map.serialize_entry("message", self.texts.message)?;
        map.end()
    }
}

struct FilterObject<'a> {
    filter: Text<'a>,
    subscription: Option<Subscription<'a>>,
    version: Version,
}

impl Serialize for FilterObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("filter", &lossy(self.filter))?;
        if self.filter.as_str().is_none() {
            map.serialize_entry("filter_base64", &Base64(self.filter.bytes()))?;
        }
        if let Some(subscription) = self.subscription {
            optional(&mut map, "qos", subscription.max_qos())?;
            if self.version == Version::V5 {
                optional(&mut map, "no_local", subscription.no_local())?;
                let as_published = subscription.retain_as_published();
                optional(&mut map, "retain_as_published", as_published)?;
                let handling = subscription.retain_handling();
                optional(&mut map, "retain_handling", handling)?;
            }
        }
        map.end()
    }
}

struct WillObject<'a>(&'a Will<'a>);

impl Serialize for WillObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let will = self.0;
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "topic", will.topic.map(lossy))?;
        if let Some(topic) = will.topic.filter(|topic| topic.as_str().is_none()) {
            map.serialize_entry("topic_base64", &Base64(topic.bytes()))?;
        }
        map.serialize_entry("qos", &will.qos)?;
        map.serialize_entry("retain", &will.retain)?;
        if let Some(payload) = will.payload {
            put_payload(&mut map, payload, u32::try_from(payload.len()).ok())?;
        }
        put_properties(&mut map, will.properties)?;
        map.end()
    }
}

struct DefectObject<'a>(&'a Defect);

impl Serialize for DefectObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("code", self.0.code)?;
        map.serialize_entry("message", &self.0.message)?;
        map.serialize_entry("offset", &self.0.offset)?;
        map.end()
    }
}

/// `payload_length`, `payload`, `payload_encoding` and `payload_truncated`.
fn put_payload<M: SerializeMap>(
    map: &mut M,
    payload: &[u8],
    length: Option<u32>,
) -> Result<(), M::Error> {
    let Some(length) = length else {
        return Ok(());
    };
    map.serialize_entry("payload_length", &length)?;
    let truncated = (payload.len() as u64) < u64::from(length);
    match as_text(payload, truncated) {
        Some(text) => {
            map.serialize_entry("payload", text)?;
            map.serialize_entry("payload_encoding", "utf-8")?;
        }
        None => {
            map.serialize_entry("payload", &Base64(payload))?;
            map.serialize_entry("payload_encoding", "base64")?;
        }
    }
    flag(map, "payload_truncated", truncated)
}

/// The payload as text, if it is. Where it was truncated, a last character cut
/// in two is left out rather than turning all of it into base64.
fn as_text(payload: &[u8], truncated: bool) -> Option<&str> {
    match std::str::from_utf8(payload) {
        Ok(text) => Some(text),
        Err(error) if truncated && error.error_len().is_none() => payload
            .get(..error.valid_up_to())
            .and_then(|whole| std::str::from_utf8(whole).ok()),
        Err(_) => None,
    }
}

fn put_properties<M: SerializeMap>(
    map: &mut M,
    properties: Properties<'_>,
) -> Result<(), M::Error> {
    if properties.bytes.is_empty() {
        return Ok(());
    }
    map.serialize_entry("properties", &PropertiesObject(properties))
}

/// Name → value. A property that may repeat is a list, and so is one that may
/// not but did, because a key is never repeated.
struct PropertiesObject<'a>(Properties<'a>);

impl Serialize for PropertiesObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let (mut seen, mut again) = (0u64, 0u64);
        for property in self.0.iter() {
            let bit = bit(property.id);
            again |= seen & bit;
            seen |= bit;
        }
        let mut written = 0u64;
        for property in self.0.iter() {
            let (id, bit) = (property.id, bit(property.id));
            if written & bit != 0 {
                continue;
            }
            written |= bit;
            if property.repeats() || again & bit != 0 {
                let all = || {
                    let same = self.0.iter().filter(move |other| other.id == id);
                    same.map(|other| Value(other.value))
                };
                map.serialize_entry(property.name(), &Seq(all))?;
            } else {
                map.serialize_entry(property.name(), &Value(property.value))?;
            }
        }
        map.end()
    }
}

/// The specification's identifiers reach to 42, and the walk stops at one it
/// does not know.
fn bit(id: u32) -> u64 {
    1u64.checked_shl(id).unwrap_or(0)
}

struct Value<'a>(PropertyValue<'a>);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            PropertyValue::Byte(number) => serializer.serialize_u8(number),
            PropertyValue::TwoByteInteger(number) => serializer.serialize_u16(number),
            PropertyValue::FourByteInteger(number) | PropertyValue::VariableByteInteger(number) => {
                serializer.serialize_u32(number)
            }
            PropertyValue::String(text) => lossy(text).serialize(serializer),
            PropertyValue::Pair(name, value) => serializer.collect_seq([lossy(name), lossy(value)]),
            PropertyValue::Binary(bytes) => Base64(bytes).serialize(serializer),
        }
    }
}

fn lossy(text: Text<'_>) -> Lossy<'_> {
    Lossy(text.bytes())
}

/// A string, with U+FFFD for what is not UTF-8.
struct Lossy<'a>(&'a [u8]);

impl Serialize for Lossy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&String::from_utf8_lossy(self.0))
    }
}

struct Base64<'a>(&'a [u8]);

impl Serialize for Base64<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
    }
}

/// A list, from a function that starts the walk over it.
struct Seq<F>(F);

impl<F, I> Serialize for Seq<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

fn optional<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, &value),
        None => Ok(()),
    }
}

/// A key that is there only when true.
fn flag<M: SerializeMap>(map: &mut M, key: &str, set: bool) -> Result<(), M::Error> {
    if set {
        map.serialize_entry(key, &true)?;
    }
    Ok(())
}

/// serde_json's compact form, with deceptive characters escaped.
#[derive(Default)]
struct Safe {
    /// Keys are ours; looking at them costs a quarter of the line.
    in_key: bool,
}

impl Formatter for Safe {
    fn begin_object_key<W: ?Sized + Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.in_key = true;
        if first { Ok(()) } else { out.write_all(b",") }
    }

    fn end_object_key<W: ?Sized + Write>(&mut self, _out: &mut W) -> io::Result<()> {
        self.in_key = false;
        Ok(())
    }

    /// serde_json hands over what it need not escape: everything but `"`, `\`
    /// and C0 controls.
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        out: &mut W,
        text: &str,
    ) -> io::Result<()> {
        if self.in_key || text.bytes().all(|byte| byte < 0x7f) {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some(at) = rest.find(is_unsafe) {
            let (plain, found) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut chars = found.chars();
            if let Some(char) = chars.next() {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
            rest = chars.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

fn is_unsafe(char: char) -> bool {
    char == '\x7f' || escape::deceives(char)
}
