//! Which payloads are in which format: `[TOPIC=]FORMAT`, the first that matches.

use std::sync::Arc;

use super::descriptor::Schema;
use super::protobuf::MessageType;
use super::text::Charset;
use crate::mqtt::topic::TopicFilter;

/// A format that payloads may be in.
#[derive(Clone, Debug)]
pub enum Format {
    /// The format that topic, Content Type or payload show without doubt.
    Auto,
    /// Text.
    Text(Charset),
    /// Bytes as hexadecimal digits.
    Hex,
    /// JSON.
    Json,
    /// CBOR.
    Cbor,
    /// MessagePack.
    MessagePack,
    /// Sparkplug B.
    Sparkplug,
    /// Protocol Buffers.
    Protobuf(MessageType),
}

impl Format {
    /// Its name in options and output.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Text(_) => "text",
            Self::Hex => "hex",
            Self::Json => "json",
            Self::Cbor => "cbor",
            Self::MessagePack => "msgpack",
            Self::Sparkplug => "sparkplug",
            Self::Protobuf(_) => "protobuf",
        }
    }
}

/// The formats, as options spell them.
pub const FORMATS: &str =
    "auto, text[:CHARSET], hex, json, cbor, msgpack, sparkplug, protobuf:FILE.desc:TYPE";

/// A format for the payloads of some topics.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `None` for all topics.
    pub topic: Option<TopicFilter>,
    /// The format.
    pub format: Format,
}

impl Rule {
    /// Reads `[TOPIC=]FORMAT`. `open` returns the bytes of a descriptor set.
    pub fn parse(
        text: &str,
        mut open: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, String> {
        // Topics and file names may contain `=`.
        let equals = text.match_indices('=').map(|(at, _)| at);
        let split = equals
            .rev()
            .find(|at| is_format(text.get(at + 1..).unwrap_or_default()));
        let (topic, format) = match split {
            Some(at) => (text.get(..at), text.get(at + 1..).unwrap_or_default()),
            None => (None, text),
        };
        let topic = match topic {
            Some(topic) => Some(
                TopicFilter::parse(topic.as_bytes())
                    .map_err(|fault| format!("topic filter {topic:?}: {fault}"))?,
            ),
            None => None,
        };
        let (name, parameter) = match format.split_once(':') {
            Some((name, parameter)) => (name, Some(parameter)),
            None => (format, None),
        };
        let format = match (name, parameter) {
            ("auto", None) => Format::Auto,
            ("text", None) => Format::Text(Charset::Utf8),
            ("text", Some(charset)) => {
                let known = "utf-8, latin1, utf-16le, utf-16be";
                let charset = Charset::parse(charset).ok_or_else(|| {
                    format!("unknown charset {charset:?}; expected one of {known}")
                })?;
                Format::Text(charset)
            }
            ("hex", None) => Format::Hex,
            ("json", None) => Format::Json,
            ("cbor", None) => Format::Cbor,
            ("msgpack", None) => Format::MessagePack,
            ("sparkplug", None) => Format::Sparkplug,
            ("protobuf", Some(parameter)) => {
                let (file, message) = parameter
                    .rsplit_once(':')
                    .ok_or("expected protobuf:FILE.desc:TYPE, found no type")?;
                let schema = Schema::read(&open(file)?)
                    .map_err(|fault| format!("{file} is no descriptor set: {fault}"))?;
                Format::Protobuf(MessageType::new(Arc::new(schema), message)?)
            }
            _ => {
                return Err(format!(
                    "unknown payload format {format:?}; expected one of {FORMATS}"
                ));
            }
        };
        Ok(Self { topic, format })
    }
}

fn is_format(text: &str) -> bool {
    let name = text.split(':').next().unwrap_or_default();
    let known = [
        "auto",
        "text",
        "hex",
        "json",
        "cbor",
        "msgpack",
        "sparkplug",
        "protobuf",
    ];
    known.contains(&name)
}
