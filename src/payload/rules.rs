//! Which payloads are in which format: `[TOPIC=]FORMAT`, the first that matches.

use std::sync::Arc;

use super::descriptor::Schema;
use super::fault::Fault;
use super::protobuf::{MessageType, UnknownType};
use super::text::Charset;
use crate::mqtt::topic::{TopicFault, TopicFilter};

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

/// The charsets of `text`.
pub(super) const CHARSETS: &str = "utf-8, latin1, utf-16le, utf-16be";

/// A format for the payloads of some topics.
#[derive(Clone, Debug)]
pub struct Rule {
    /// `None` for all topics.
    pub topic: Option<TopicFilter>,
    /// The format.
    pub format: Format,
}

/// Why `[TOPIC=]FORMAT` was not understood.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RuleError {
    /// The topic is no Topic Filter.
    #[error("topic filter {topic:?}: {fault}")]
    Topic {
        /// As typed.
        topic: String,
        /// What is wrong with it.
        fault: TopicFault,
    },
    /// A charset of another name.
    #[error("unknown charset {0:?}; expected one of {CHARSETS}")]
    Charset(String),
    /// Protobuf without a message type.
    #[error("expected protobuf:FILE.desc:TYPE, found no type")]
    NoType,
    /// The descriptor set was not opened, for this reason.
    #[error("{0}")]
    Open(String),
    /// The file is no descriptor set.
    #[error("{file} is no descriptor set: {fault}")]
    Schema {
        /// Its name.
        file: String,
        /// What is wrong with it.
        fault: Fault,
    },
    /// The descriptor set has no such type.
    #[error(transparent)]
    Type(#[from] UnknownType),
    /// A format of another name.
    #[error("unknown payload format {0:?}; expected one of {FORMATS}")]
    Format(String),
}

impl Rule {
    /// Reads `[TOPIC=]FORMAT`. `open` returns the bytes of a descriptor set.
    pub fn parse(
        text: &str,
        mut open: impl FnMut(&str) -> Result<Vec<u8>, String>,
    ) -> Result<Self, RuleError> {
        // Topics and file names may contain `=`.
        let equals = text.match_indices('=').map(|(at, _)| at);
        let split = equals
            .rev()
            .find(|at| is_format(text.get(at + 1..).unwrap_or_default()));
        let (topic, format) = match split {
            Some(at) => (text.get(..at), text.get(at + 1..).unwrap_or_default()),
            None => (None, text),
        };
        let topic =
            match topic {
                Some(topic) => Some(TopicFilter::parse(topic.as_bytes()).map_err(|fault| {
                    RuleError::Topic {
                        topic: topic.to_owned(),
                        fault,
                    }
                })?),
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
                let known = Charset::parse(charset);
                Format::Text(known.ok_or_else(|| RuleError::Charset(charset.to_owned()))?)
            }
            ("hex", None) => Format::Hex,
            ("json", None) => Format::Json,
            ("cbor", None) => Format::Cbor,
            ("msgpack", None) => Format::MessagePack,
            ("sparkplug", None) => Format::Sparkplug,
            ("protobuf", Some(parameter)) => {
                let (file, message) = parameter.rsplit_once(':').ok_or(RuleError::NoType)?;
                let bytes = open(file).map_err(RuleError::Open)?;
                let schema = Schema::read(&bytes).map_err(|fault| RuleError::Schema {
                    file: file.to_owned(),
                    fault,
                })?;
                Format::Protobuf(MessageType::new(Arc::new(schema), message)?)
            }
            _ => {
                return Err(RuleError::Format(format.to_owned()));
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
