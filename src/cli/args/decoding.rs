//! `--decode-payload`: formats of payloads.

use std::fs::File;
use std::io::Read;

use clap::{ArgAction, Args};
use mqttdump::payload::Rule;

/// How payloads are decoded.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Payloads")]
pub(crate) struct Decoding {
    /// Decode payloads of all topics, or of TOPIC, in this format. Repeatable; the
    /// first match applies
    ///
    /// FORMAT is auto, text, text:CHARSET, hex, json, cbor, msgpack, sparkplug or
    /// protobuf:FILE.desc:TYPE, where FILE.desc was written by protoc
    /// --include_imports. auto decodes Sparkplug B by topic, formats named by the
    /// Content Type, and payloads that are a complete JSON object or array or a CBOR
    /// map.
    #[arg(long, value_name = "[TOPIC=]FORMAT", action = ArgAction::Append)]
    pub(crate) decode_payload: Vec<String>,
}

/// Maximum size of a Protobuf descriptor set.
const DESCRIPTOR_BYTES: u64 = 64 << 20;

impl Decoding {
    /// The rules in the order given, or the error message.
    pub(crate) fn rules(&self) -> Result<Vec<Rule>, String> {
        self.decode_payload
            .iter()
            .map(|text| Rule::parse(text, open).map_err(|why| format!("--decode-payload: {why}")))
            .collect()
    }
}

fn open(path: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(DESCRIPTOR_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{path}: {error}"))?;
    match bytes.len() as u64 > DESCRIPTOR_BYTES {
        true => Err(format!(
            "{path}: expected at most {DESCRIPTOR_BYTES} bytes, found more"
        )),
        false => Ok(bytes),
    }
}
