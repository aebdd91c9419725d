//! What is inside payloads: JSON, CBOR, MessagePack, Protobuf, Sparkplug B.

mod value;

pub use value::{Number, Value};
