//! Decodes the payloads of a capture by rules.

use std::cell::OnceCell;

use super::fault::Fault;
use super::rules::{Format, Rule};
use super::sparkplug::{self, Aliases};
use super::value::Value;
use super::{cbor, json, msgpack};
use crate::frame::MQTTFrame;
use crate::mqtt::{ControlPacket, PropertyValue, Text};

/// A payload and what is known about it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The topic, if known.
    pub topic: Option<&'a [u8]>,
    /// The Content Type of MQTT 5.0.
    pub content_type: Option<&'a [u8]>,
    /// The payload, or its beginning.
    pub payload: &'a [u8],
    /// Whether that is all of it.
    pub is_whole: bool,
}

impl<'a> Message<'a> {
    /// The payload of a PUBLISH; `None` for other packets, and if its start is
    /// unknown.
    pub fn of(frame: &'a MQTTFrame<'_>) -> Option<Self> {
        let ControlPacket::Publish(publish) = &frame.packet else {
            return None;
        };
        let len = publish.payload_len?;
        let content_type = match publish.properties.find(CONTENT_TYPE) {
            Some(PropertyValue::String(text)) => Some(text.bytes()),
            _ => None,
        };
        Some(Self {
            topic: frame.topic.map(Text::bytes),
            content_type,
            payload: publish.payload,
            is_whole: publish.payload.len() as u64 == u64::from(len),
        })
    }
}

const CONTENT_TYPE: u32 = 0x03;

/// A payload that was decoded, or that should be in a format and is not.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded {
    /// The name of the format.
    pub format: &'static str,
    /// The value, or the fault.
    pub value: Result<Value, Fault>,
}

/// Decodes payloads by the first rule that matches their topic.
#[derive(Debug)]
pub struct Decoder {
    rules: Vec<Rule>,
    aliases: Aliases,
}

/// Decodes by format `auto`.
impl Default for Decoder {
    fn default() -> Self {
        Self::new(vec![Rule {
            topic: None,
            format: Format::Auto,
        }])
    }
}

impl Decoder {
    /// A decoder for a new capture.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self {
            rules,
            aliases: Aliases::default(),
        }
    }

    /// Keeps what later payloads refer to. Must be called for every PUBLISH, in order.
    #[inline]
    pub fn observe(&mut self, message: &Message<'_>) {
        if let Some(topic) = message.topic
            && topic.starts_with(b"spBv1.0/")
        {
            self.aliases.observe(topic, message.payload);
        }
    }

    /// How many aliases of Sparkplug were not remembered because of a limit.
    pub fn dropped_aliases(&self) -> u64 {
        self.aliases.dropped()
    }

    /// Decodes a payload; `None` if no rule applies, or `auto` finds no format.
    pub fn decode(&self, message: &Message<'_>) -> Option<Decoded> {
        let rule = self.rules.iter().find(|rule| match &rule.topic {
            Some(filter) => message.topic.is_some_and(|topic| filter.matches(topic)),
            None => true,
        })?;
        match rule.format {
            Format::Auto => self.auto(message),
            ref format => Some(self.as_format(format, message)),
        }
    }

    fn auto(&self, message: &Message<'_>) -> Option<Decoded> {
        if message.topic.is_some_and(sparkplug::is_topic) {
            return Some(self.as_format(&Format::Sparkplug, message));
        }
        if let Some(format) = message.content_type.and_then(format_of) {
            return Some(self.as_format(&format, message));
        }
        if !message.is_whole {
            return None;
        }
        // An object or a list; a number or a word alone is text as well.
        let first = message
            .payload
            .iter()
            .find(|byte| !byte.is_ascii_whitespace());
        match first? {
            b'{' | b'[' => json::decode(message.payload).ok().map(|value| Decoded {
                format: "json",
                value: Ok(value),
            }),
            0xa1.. => cbor::decode(message.payload)
                .ok()
                .filter(|value| cbor::is_telling(message.payload, value))
                .map(|value| Decoded {
                    format: "cbor",
                    value: Ok(value),
                }),
            _ => None,
        }
    }

    fn as_format(&self, format: &Format, message: &Message<'_>) -> Decoded {
        let bytes = message.payload;
        let value = match format {
            Format::Auto => Ok(Value::Null),
            Format::Text(charset) => Ok(Value::Text(charset.read(bytes).into())),
            Format::Hex => Ok(Value::Text(hex(bytes).into())),
            _ if !message.is_whole => Err(Fault::new(
                bytes.len(),
                "expected more bytes, which were not captured or not kept (--payload)",
            )),
            Format::Json => json::decode(bytes),
            Format::Cbor => cbor::decode(bytes),
            Format::MessagePack => msgpack::decode(bytes),
            Format::Sparkplug => {
                sparkplug::decode(bytes, message.topic.unwrap_or_default(), &self.aliases)
            }
            Format::Protobuf(message) => message.decode(bytes),
        };
        Decoded {
            format: format.name(),
            value,
        }
    }
}

/// The format that a Content Type names, parameters left out.
fn format_of(content_type: &[u8]) -> Option<Format> {
    let text = std::str::from_utf8(content_type).ok()?;
    let name = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    Some(match name.as_str() {
        "application/json" | "text/json" => Format::Json,
        "application/cbor" => Format::Cbor,
        "application/msgpack" | "application/x-msgpack" | "application/vnd.msgpack" => {
            Format::MessagePack
        }
        name if name.ends_with("+json") => Format::Json,
        name if name.ends_with("+cbor") => Format::Cbor,
        _ => return None,
    })
}

/// `0a ff 00`.
fn hex(bytes: &[u8]) -> String {
    let pairs: Vec<_> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    pairs.join(" ")
}

/// A payload that is decoded on first use.
#[derive(Debug)]
pub struct Lazy<'a> {
    decoder: &'a Decoder,
    message: Message<'a>,
    decoded: OnceCell<Option<Decoded>>,
}

impl<'a> Lazy<'a> {
    /// A payload that is not decoded yet.
    pub fn new(decoder: &'a Decoder, message: Message<'a>) -> Self {
        Self {
            decoder,
            message,
            decoded: OnceCell::new(),
        }
    }

    /// The decoded payload; see [`Decoder::decode`].
    pub fn get(&self) -> Option<&Decoded> {
        let decoded = self
            .decoded
            .get_or_init(|| self.decoder.decode(&self.message));
        decoded.as_ref()
    }

    /// Its value, if it is in its format.
    pub fn value(&self) -> Option<&Value> {
        self.get()?.value.as_ref().ok()
    }
}
