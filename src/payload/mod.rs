//! Decodes payloads: JSON, CBOR, MessagePack, Protobuf, Sparkplug B.
//!
//! ```text
//! topic, Content Type, bytes ─→ Decoder ─→ Decoded { format, Value or Fault }
//!                                 │ rules   which format, by topic
//!                                 │ aliases from Sparkplug's birth messages
//! ```
//!
//! Payloads are untrusted: nothing here panics, reserves memory for a claimed length,
//! or recurses deeper than [`limits::PAYLOAD_DEPTH`]; a payload of more than
//! [`limits::PAYLOAD_VALUES`] values is a [`Fault`].
//!
//! Numbers are exact ([`Value`]). A payload that does not fit its format is a
//! [`Fault`] with the byte offset, what was expected and what was found.
//!
//! ```
//! use mqttdump::payload::{Decoder, Message, Rule};
//!
//! let rule = Rule::parse("plant/#=cbor", |_| Err("no file".into()))?;
//! let decoder = Decoder::new(vec![rule]);
//! let decoded = decoder.decode(&Message {
//!     topic: Some(b"plant/7"),
//!     content_type: None,
//!     payload: &[0xa1, 0x61, b't', 0x18, 80],
//!     is_whole: true,
//! });
//! let value = decoded.and_then(|decoded| decoded.value.ok()).ok_or("no CBOR")?;
//! assert_eq!(value.to_string(), r#"{"t":80}"#);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`limits::PAYLOAD_DEPTH`]: crate::limits::PAYLOAD_DEPTH
//! [`limits::PAYLOAD_VALUES`]: crate::limits::PAYLOAD_VALUES

mod cbor;
mod decoder;
mod descriptor;
mod fault;
mod json;
mod msgpack;
mod protobuf;
mod rules;
mod sparkplug;
mod text;
mod value;
mod wire;

pub use decoder::{Decoded, Decoder, Lazy, Message};
pub use descriptor::Schema;
pub use fault::Fault;
pub use protobuf::{MessageType, UnknownType};
pub use rules::{FORMATS, Format, Rule, RuleError};
pub use text::Charset;
pub use value::{Number, Value};
