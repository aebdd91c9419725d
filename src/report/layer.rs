//! What the layers between TCP and MQTT tell, in words and as JSON.

use serde::ser::SerializeMap;

use super::put;
use crate::layer::Note;

/// Appends what happened. Nothing in it comes from the wire, so nothing needs
/// escaping.
pub(super) fn words(note: Note, out: &mut Vec<u8>) {
    let mut say = |text: &str| out.extend_from_slice(text.as_bytes());
    match note {
        Note::Proxied { client, server } => say(&format!(
            "proxied: {client} speaks, and had connected to {server}"
        )),
        Note::Encrypted(reason) => because("encrypted", reason, out),
        Note::Undecrypted(reason) => because("not decrypted", reason, out),
        Note::Alert { level, description } => {
            say(if level == 1 {
                "TLS alert "
            } else {
                "fatal TLS alert "
            });
            put::decimal(description, out);
        }
        Note::WebSocket => say("WebSocket opened"),
        Note::WsClose { code } => {
            say("WebSocket closed");
            if let Some(code) = code {
                say(" with code ");
                put::decimal(code, out);
            }
        }
        Note::TextMessage => say("MQTT in a WebSocket text message, expected binary ones"),
        Note::Odd(reason) => because("odd", reason, out),
        Note::Broken(reason) => because("malformed", reason, out),
        Note::Bound(reason) => because("bound reached", reason, out),
    }
}

fn because(what: &str, reason: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(what.as_bytes());
    if !reason.is_empty() {
        out.extend_from_slice(b": ");
        out.extend_from_slice(reason.as_bytes());
    }
}

/// Adds what else there is to a JSON object.
pub(super) fn keys<M: SerializeMap>(note: Note, map: &mut M) -> Result<(), M::Error> {
    match note {
        Note::Proxied { client, server } => {
            map.serialize_entry("proxied_src", &client.to_string())?;
            map.serialize_entry("proxied_dst", &server.to_string())
        }
        Note::Encrypted(reason)
        | Note::Undecrypted(reason)
        | Note::Odd(reason)
        | Note::Broken(reason)
        | Note::Bound(reason) => map.serialize_entry("reason", reason),
        Note::Alert { level, description } => {
            map.serialize_entry("level", &level)?;
            map.serialize_entry("description", &description)
        }
        Note::WsClose { code: Some(code) } => map.serialize_entry("code", &code),
        Note::WsClose { code: None } | Note::WebSocket | Note::TextMessage => Ok(()),
    }
}
