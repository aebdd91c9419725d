//! Events of the layers between TCP and MQTT, in words and as JSON.

use std::borrow::Cow;

use super::escape;
use super::json::{Object, key, put_json};
use super::{put, secret};
use crate::frame::Connection;
use crate::layer::Note;
use crate::layer::alert_name;
use crate::layer::tls::TlsInfo;
use crate::layer::websocket::WebSocketInfo;

/// Appends what happened. Text from the wire is quoted and escaped.
pub(super) fn words(note: Note, about: Option<&Connection>, show_secrets: bool, out: &mut Vec<u8>) {
    let mut put_text = |text: &str| out.extend_from_slice(text.as_bytes());
    match note {
        Note::Proxied { client, server } => {
            put_text(&format!("proxied for {client}, connected to {server}"))
        }
        Note::Tls => {
            if let Some(tls) = about.and_then(|connection| connection.tls.as_deref()) {
                tls_words(tls, out);
            }
        }
        Note::Encrypted(reason) => {
            put_text("encrypted");
            if let Some(tls) = about.and_then(|connection| connection.tls.as_deref()) {
                out.extend_from_slice(b": ");
                tls_words(tls, out);
            }
            because("", reason.text(), out);
        }
        Note::Undecrypted(reason) => because("not decrypted", reason.text(), out),
        Note::EarlyDataRejected => put_text("early data rejected by the server"),
        Note::Alert { level, description } => {
            put_text(if level == 2 {
                "fatal TLS alert "
            } else {
                "TLS alert "
            });
            match alert_name(description) {
                Some(name) => put_text(name),
                None => put::decimal(description, out),
            }
        }
        Note::WebSocket => {
            put_text("WebSocket opened");
            if let Some(websocket) = about.and_then(|connection| connection.websocket.as_deref()) {
                websocket_words(websocket, show_secrets, out);
            }
        }
        Note::Refused { status } => {
            put_text("WebSocket refused with status ");
            put::decimal(status, out);
        }
        Note::WsClose { code } => {
            put_text("WebSocket closed");
            if let Some(code) = code {
                put_text(" with code ");
                put::decimal(code, out);
            }
        }
        Note::TextMessage => {
            put_text("MQTT in a WebSocket text message, expected a binary message")
        }
        Note::Unusual(reason) => because("unusual", reason.text(), out),
        Note::Broken(reason) => because("malformed", reason.text(), out),
        Note::Limit(limit) => because("limit reached", limit.text(), out),
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
pub(super) fn websocket_words(websocket: &WebSocketInfo, show_secrets: bool, out: &mut Vec<u8>) {
    let path = path(websocket, show_secrets);
    let selected = websocket.selected.as_deref();
    for (what, text) in [(" at ", path.as_deref()), (", subprotocol ", selected)] {
        if let Some(text) = text {
            out.extend_from_slice(what.as_bytes());
            escape::quoted(text.as_bytes(), out);
        }
    }
    if selected.is_none() {
        out.extend_from_slice(b", no subprotocol");
    }
    if websocket.deflate.is_some() {
        out.extend_from_slice(b", compressed");
    }
}

/// Adds the keys of the event to a JSON object.
pub(super) fn keys(
    note: Note,
    about: Option<&Connection>,
    show_secrets: bool,
    object: &mut Object<'_>,
) {
    match note {
        Note::Proxied { client, server } => {
            object.text(key!("proxied_src"), |out| put::endpoint(client, out));
            object.text(key!("proxied_dst"), |out| put::endpoint(server, out));
        }
        Note::Tls | Note::Encrypted(_) => {
            if let Some(tls) = about.and_then(|connection| connection.tls.as_deref()) {
                object.object(key!("tls"), |object| tls_keys(tls, object));
            }
        }
        Note::Alert { level, description } => {
            object.number(key!("level"), level);
            object.number(key!("description"), description);
        }
        Note::WebSocket => {
            if let Some(websocket) = about.and_then(|connection| connection.websocket.as_deref()) {
                object.object(key!("websocket"), |object| {
                    websocket_keys(websocket, show_secrets, object);
                });
            }
        }
        Note::Refused { status } => object.number(key!("status"), status),
        Note::WsClose { code } => object.optional(key!("code"), code),
        Note::Undecrypted(_)
        | Note::Unusual(_)
        | Note::Broken(_)
        | Note::Limit(_)
        | Note::TextMessage
        | Note::EarlyDataRejected => {}
    }
}

fn tls_keys(tls: &TlsInfo, object: &mut Object<'_>) {
    let version = tls.version.map(|version| match version.number() {
        Some(number) => number.to_owned(),
        None => version.to_string(),
    });
    optional(key!("version"), version.as_deref(), object);
    let suite = tls.cipher_suite.map(|suite| suite.to_string());
    optional(key!("cipher_suite"), suite.as_deref(), object);
    optional(key!("server_name"), tls.server_name.as_deref(), object);
    optional(key!("alpn"), tls.alpn.as_deref(), object);
    if !tls.alpn_offered.is_empty() {
        object.values(key!("alpn_offered"), &tls.alpn_offered, |name, out| {
            put_json(name, out)
        });
    }
    for (key, certificate) in [
        (key!("server_certificate"), &tls.server_certificate),
        (key!("client_certificate"), &tls.client_certificate),
    ] {
        optional(key, certificate.as_deref(), object);
    }
    object.flag(key!("resumed"), tls.resumed);
    object.flag(key!("psk"), tls.psk);
    object.flag(key!("early_data"), tls.early_data);
}

fn websocket_keys(websocket: &WebSocketInfo, show_secrets: bool, object: &mut Object<'_>) {
    optional(
        key!("path"),
        path(websocket, show_secrets).as_deref(),
        object,
    );
    optional(key!("host"), websocket.host.as_deref(), object);
    if !websocket.offered.is_empty() {
        object.values(key!("offered"), &websocket.offered, |name, out| {
            let shown = if show_secrets {
                name
            } else {
                secret::subprotocol(name)
            };
            put_json(shown, out);
        });
    }
    optional(key!("subprotocol"), websocket.selected.as_deref(), object);
    object.flag(key!("compressed"), websocket.deflate.is_some());
}

fn path(websocket: &WebSocketInfo, show_secrets: bool) -> Option<Cow<'_, str>> {
    let path = websocket.path.as_deref()?;
    Some(match show_secrets {
        true => Cow::Borrowed(path),
        false => secret::target(path),
    })
}

fn optional(key: &str, text: Option<&str>, object: &mut Object<'_>) {
    if let Some(text) = text {
        object.string(key, text);
    }
}
