//! What the layers between TCP and MQTT tell, in words and as JSON.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::escape;
use super::put;
use crate::frame::Connection;
use crate::layer::Note;
use crate::layer::tls::TlsInfo;
use crate::layer::websocket::WebSocketInfo;

/// Appends what happened. What peers chose is in quotes, and escaped.
pub(super) fn words(note: Note, about: Option<&Connection>, out: &mut Vec<u8>) {
    let mut say = |text: &str| out.extend_from_slice(text.as_bytes());
    match note {
        Note::Proxied { client, server } => say(&format!(
            "proxied for {client}, which had connected to {server}"
        )),
        Note::Tls => {
            if let Some(tls) = about.and_then(|connection| connection.tls.as_deref()) {
                tls_words(tls, out);
            }
        }
        Note::Encrypted(reason) => {
            say("encrypted");
            if let Some(tls) = about.and_then(|connection| connection.tls.as_deref()) {
                out.extend_from_slice(b": ");
                tls_words(tls, out);
            }
            because("", reason, out);
        }
        Note::Undecrypted(reason) => because("not decrypted", reason, out),
        Note::EarlyDataRejected => say("early data that the server rejected"),
        Note::Alert { level, description } => {
            say(if level == 2 {
                "fatal TLS alert "
            } else {
                "TLS alert "
            });
            match alert(description) {
                Some(name) => say(name),
                None => put::decimal(description, out),
            }
        }
        Note::WebSocket => {
            say("WebSocket opened");
            if let Some(websocket) = about.and_then(|connection| connection.websocket.as_deref()) {
                websocket_words(websocket, out);
            }
        }
        Note::Refused { status } => {
            say("WebSocket refused with status ");
            put::decimal(status, out);
        }
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

/// `TLS 1.3, server name "broker.example", ALPN "mqtt"`.
pub(super) fn tls_words(tls: &TlsInfo, out: &mut Vec<u8>) {
    match tls.version {
        Some(version) => out.extend_from_slice(version.to_string().as_bytes()),
        None => out.extend_from_slice(b"TLS"),
    }
    if let Some(suite) = tls.cipher_suite {
        out.extend_from_slice(b", ");
        out.extend_from_slice(suite.to_string().as_bytes());
    }
    let offered = tls.alpn_offered.join(" ");
    let offered = (tls.alpn.is_none() && !offered.is_empty()).then_some(offered);
    for (what, text) in [
        ("server name ", &tls.server_name),
        ("ALPN ", &tls.alpn),
        ("ALPN offered ", &offered),
        ("server certificate ", &tls.server_certificate),
        ("client certificate ", &tls.client_certificate),
    ] {
        if let Some(text) = text {
            out.extend_from_slice(b", ");
            out.extend_from_slice(what.as_bytes());
            escape::quoted(text.as_bytes(), out);
        }
    }
    for (is, what) in [
        (tls.resumed, ", resumed"),
        (tls.psk, ", pre-shared key"),
        (tls.early_data, ", early data"),
    ] {
        if is {
            out.extend_from_slice(what.as_bytes());
        }
    }
}

/// ` at "/mqtt", subprotocol "mqtt", compressed`.
pub(super) fn websocket_words(websocket: &WebSocketInfo, out: &mut Vec<u8>) {
    for (what, text) in [
        (" at ", &websocket.path),
        (", subprotocol ", &websocket.selected),
    ] {
        if let Some(text) = text {
            out.extend_from_slice(what.as_bytes());
            escape::quoted(text.as_bytes(), out);
        }
    }
    if websocket.selected.is_none() {
        out.extend_from_slice(b", no subprotocol");
    }
    if websocket.deflate.is_some() {
        out.extend_from_slice(b", compressed");
    }
}

/// Adds what else there is to a JSON object.
pub(super) fn keys<M: SerializeMap>(
    note: Note,
    about: Option<&Connection>,
    map: &mut M,
) -> Result<(), M::Error> {
    match note {
        Note::Proxied { client, server } => {
            map.serialize_entry("proxied_src", &client.to_string())?;
            map.serialize_entry("proxied_dst", &server.to_string())
        }
        Note::Tls | Note::Encrypted(_) => {
            if let Some(tls) = about.and_then(|connection| connection.tls.as_deref()) {
                map.serialize_entry("tls", &TlsObject(tls))?;
            }
            match note {
                Note::Encrypted(reason) => map.serialize_entry("reason", reason),
                _ => Ok(()),
            }
        }
        Note::Undecrypted(reason)
        | Note::Odd(reason)
        | Note::Broken(reason)
        | Note::Bound(reason) => map.serialize_entry("reason", reason),
        Note::Alert { level, description } => {
            map.serialize_entry("level", &level)?;
            map.serialize_entry("description", &description)?;
            match alert(description) {
                Some(name) => map.serialize_entry("reason", name),
                None => Ok(()),
            }
        }
        Note::WebSocket => match about.and_then(|connection| connection.websocket.as_deref()) {
            Some(websocket) => map.serialize_entry("websocket", &WebSocketObject(websocket)),
            None => Ok(()),
        },
        Note::Refused { status } => map.serialize_entry("status", &status),
        Note::WsClose { code: Some(code) } => map.serialize_entry("code", &code),
        Note::WsClose { code: None } | Note::TextMessage | Note::EarlyDataRejected => Ok(()),
    }
}

struct TlsObject<'a>(&'a TlsInfo);

impl Serialize for TlsObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tls = self.0;
        let mut map = serializer.serialize_map(None)?;
        let version = tls.version.map(|version| match version.number() {
            Some(number) => number.to_owned(),
            None => version.to_string(),
        });
        optional(&mut map, "version", &version)?;
        optional(
            &mut map,
            "cipher_suite",
            &tls.cipher_suite.map(|s| s.to_string()),
        )?;
        optional(&mut map, "server_name", &tls.server_name)?;
        optional(&mut map, "alpn", &tls.alpn)?;
        if !tls.alpn_offered.is_empty() {
            map.serialize_entry("alpn_offered", &tls.alpn_offered)?;
        }
        optional(&mut map, "server_certificate", &tls.server_certificate)?;
        optional(&mut map, "client_certificate", &tls.client_certificate)?;
        for (key, is) in [
            ("resumed", tls.resumed),
            ("psk", tls.psk),
            ("early_data", tls.early_data),
        ] {
            if is {
                map.serialize_entry(key, &true)?;
            }
        }
        map.end()
    }
}

struct WebSocketObject<'a>(&'a WebSocketInfo);

impl Serialize for WebSocketObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let websocket = self.0;
        let mut map = serializer.serialize_map(None)?;
        optional(&mut map, "path", &websocket.path)?;
        optional(&mut map, "host", &websocket.host)?;
        if !websocket.offered.is_empty() {
            map.serialize_entry("offered", &websocket.offered)?;
        }
        optional(&mut map, "subprotocol", &websocket.selected)?;
        if websocket.deflate.is_some() {
            map.serialize_entry("compressed", &true)?;
        }
        map.end()
    }
}

fn optional<M: SerializeMap>(
    map: &mut M,
    key: &str,
    value: &Option<impl Serialize>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, value),
        None => Ok(()),
    }
}

/// Names of the alerts of TLS 1.2 and 1.3, as registered.
fn alert(description: u8) -> Option<&'static str> {
    Some(match description {
        0 => "close_notify",
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return None,
    })
}
