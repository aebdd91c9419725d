//! The HTTP request and response that open a WebSocket (RFC 6455, 4).
//!
//! ```text
//! GET /mqtt HTTP/1.1                        HTTP/1.1 101 Switching Protocols
//! Host: broker.example                      Upgrade: websocket
//! Upgrade: websocket                        Connection: Upgrade
//! Connection: Upgrade                       Sec-WebSocket-Accept: s3pP…
//! Sec-WebSocket-Key: dGhl…                  Sec-WebSocket-Protocol: mqtt
//! Sec-WebSocket-Version: 13
//! Sec-WebSocket-Protocol: mqtt, mqttv3.1
//! Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits
//! ```
//! A request is one for a WebSocket by its `Upgrade` field alone. Other
//! missing fields are reported, and it is followed all the same: the server decides, and its
//! answer will be here too.

use serde::{Deserialize, Serialize};

use super::super::http::{BlankLine, Body, fields};
use super::super::{Answer, Unusual};
use crate::direction::Direction;
use crate::limits;

/// Facts of a WebSocket's opening.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebSocketInfo {
    /// Request target: a path, or a whole URI if the client speaks to a
    /// proxy. `None` while the request is not known.
    pub path: Option<String>,
    /// The request's `Host`.
    pub host: Option<String>,
    /// Subprotocols that the client offers, in its order.
    pub offered: Vec<String>,
    /// The subprotocol that the server selected.
    pub selected: Option<String>,
    /// Status code of the response; `None` while that is not known. Anything
    /// but 101 refuses.
    pub status: Option<u16>,
    /// Compression that was agreed on.
    pub deflate: Option<Deflate>,
    /// Other extensions that were agreed on, as the server wrote them.
    pub extensions: Vec<String>,
}

impl WebSocketInfo {
    /// Whether the server refused to open it.
    pub fn is_refused(&self) -> bool {
        self.status.is_some_and(|status| status != SWITCHING)
    }

    /// Whether the opening itself names MQTT: the server by its
    /// choice, else the client by offering nothing else.
    pub fn names_mqtt(&self) -> bool {
        let is_mqtt = |name: &String| is_mqtt(name);
        match (self.status, &self.offered[..]) {
            (Some(_), _) => self.selected.as_ref().is_some_and(is_mqtt),
            (None, []) => false,
            (None, offered) => offered.iter().all(is_mqtt),
        }
    }
}

/// Parameters of permessage-deflate (RFC 7692, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deflate {
    /// The server compresses every message afresh.
    pub server_no_context_takeover: bool,
    /// The client compresses every message afresh.
    pub client_no_context_takeover: bool,
    /// log2 of the server's window, if less than 15 was asked for.
    pub server_max_window_bits: Option<u8>,
    /// log2 of the client's window. In an offer `None` may also mean that the
    /// client leaves it to the server.
    pub client_max_window_bits: Option<u8>,
}

impl Deflate {
    /// Whether messages that go this way are compressed each by itself.
    pub(super) const fn starts_afresh(self, direction: Direction) -> bool {
        match direction {
            Direction::Up => self.client_no_context_takeover,
            Direction::Down => self.server_no_context_takeover,
        }
    }
}

/// State of the negotiation of compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    /// Nothing: the request was not captured.
    Unknown,
    /// The client offers it, and the answer is not known.
    Offered(Deflate),
    /// It was agreed on.
    Agreed(Deflate),
    /// There is none.
    Without,
}

impl Compression {
    /// Parameters that hold, or would hold, for compressed messages.
    pub(super) const fn deflate(self) -> Option<Deflate> {
        match self {
            Self::Offered(deflate) | Self::Agreed(deflate) => Some(deflate),
            Self::Unknown | Self::Without => None,
        }
    }
}

/// Whether the first bytes of a connection are an HTTP/1.1 request that opens a
/// WebSocket.
pub fn request(bytes: &[u8]) -> Answer {
    let is_http = |line: &[u8]| line.ends_with(b" HTTP/1.1");
    head(bytes, b"GET ", is_http, Direction::Up)
}

/// Whether the first bytes that a server sends open a WebSocket.
pub fn response(bytes: &[u8]) -> Answer {
    let is_switching = |line: &[u8]| line.split(|&b| b == b' ').nth(1) == Some(b"101");
    head(bytes, b"HTTP/1.1 ", is_switching, Direction::Down)
}

/// Whether bytes begin with a head for a WebSocket: with `start`, a first line
/// that will do, and an `Upgrade` field.
fn head(bytes: &[u8], start: &[u8], first_line: fn(&[u8]) -> bool, direction: Direction) -> Answer {
    if !bytes.starts_with(start) {
        return match start.starts_with(bytes) {
            true => Answer::More,
            false => Answer::No,
        };
    }
    let line = bytes.split(|&byte| byte == b'\n').next();
    let line = line.filter(|line| line.len() < bytes.len());
    let will_do = line.is_none_or(|line| first_line(line.trim_ascii_end()));
    match BlankLine::default().find(bytes) {
        _ if !will_do => Answer::No,
        None if bytes.len() >= limits::UPGRADE_BYTES => Answer::No,
        None => Answer::More,
        Some(end) => match fields(bytes.get(..end).unwrap_or_default(), direction) {
            Some(head) if head.has_token("Upgrade", "websocket") => Answer::Yes,
            _ => Answer::No,
        },
    }
}

/// Whether the first bytes of a connection are those of HTTP/2, which can carry
/// WebSockets too (RFC 8441), but is not decoded.
pub fn is_http2(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
}

/// Whether they may be the first frame of an HTTP/2 server: SETTINGS.
pub fn answers_http2(bytes: &[u8]) -> bool {
    matches!(bytes, [0, _, _, 4, 0, 0, 0, 0, 0, ..])
}

const SWITCHING: u16 = 101;

/// How many bytes follow the head of a response that refuses; `None` if only the
/// end of the connection, or their content, decides.
pub(super) fn body_len(bytes: &[u8]) -> Option<u64> {
    match fields(bytes, Direction::Down)?.response_body() {
        Body::Length(length) => Some(length),
        Body::Chunked(_) | Body::UntilClose => None,
    }
}

/// Names of MQTT's subprotocols; the second is that of 3.1.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// Reads a whole request into `info`; reports unusual fields.
pub(super) fn read_request(
    bytes: &[u8],
    info: &mut WebSocketInfo,
    unusual: &mut dyn FnMut(Unusual),
) -> Compression {
    let Some(head) = fields(bytes, Direction::Up) else {
        unusual(Unusual::RequestNotHttp);
        return Compression::Unknown;
    };
    let own = |text: &str| text.to_owned();
    if info.is_refused() && info.path.is_some() {
        // The client asks again.
        *info = WebSocketInfo::default();
    }
    info.host = head.field("Host").map(own);
    info.offered = head.list("Sec-WebSocket-Protocol").map(own).collect();
    for (is_fine, what) in [
        (
            head.has_token("Connection", "Upgrade"),
            Unusual::NoConnectionUpgrade,
        ),
        (head.field("Sec-WebSocket-Key").is_some(), Unusual::NoKey),
        (
            head.has_token("Sec-WebSocket-Version", "13"),
            Unusual::OtherVersion,
        ),
        (info.host.is_some(), Unusual::NoHost),
        (!info.offered.is_empty(), Unusual::NoneOffered),
        (
            info.offered.is_empty() || info.offered.iter().any(|name| is_mqtt(name)),
            Unusual::MqttNotOffered,
        ),
    ] {
        if !is_fine {
            unusual(what);
        }
    }
    info.path = Some(head.target.clone());
    let offer = head
        .list("Sec-WebSocket-Extensions")
        .find_map(|extension| deflate(extension, unusual));
    match offer {
        Some(deflate) => Compression::Offered(deflate),
        None => Compression::Without,
    }
}

/// Reads a whole response into `info`, and reports unusual fields.
/// `before` is the state of compression so far. Of an interim response
/// nothing is read; then it is false.
pub(super) fn read_response(
    bytes: &[u8],
    info: &mut WebSocketInfo,
    compression: &mut Compression,
    unusual: &mut dyn FnMut(Unusual),
) -> bool {
    let Some(head) = fields(bytes, Direction::Down) else {
        unusual(Unusual::AnswerNotHttp);
        return true;
    };
    if (100..200).contains(&head.status) && head.status != SWITCHING {
        return false;
    }
    info.status = Some(head.status);
    if info.is_refused() {
        return true;
    }
    if !head.has_token("Upgrade", "websocket") {
        unusual(Unusual::NoUpgrade);
    }
    let mut selected = head.list("Sec-WebSocket-Protocol").map(str::to_owned);
    info.selected = selected.next();
    if selected.next().is_some() {
        unusual(Unusual::SeveralSelected);
    }
    // The client's offer is only known if its request was captured.
    let asked = info.path.is_some();
    match &info.selected {
        None => unusual(Unusual::NoneSelected),
        Some(name) if asked && !info.offered.contains(name) => {
            unusual(Unusual::SelectedNotOffered);
        }
        Some(name) if !is_mqtt(name) => unusual(Unusual::MqttNotSelected),
        Some(_) => {}
    }
    let before = *compression;
    *compression = Compression::Without;
    for extension in head.list("Sec-WebSocket-Extensions") {
        match deflate(extension, unusual) {
            Some(deflate) => {
                if before == Compression::Without {
                    unusual(Unusual::CompressionNotOffered);
                }
                info.deflate = Some(deflate);
                *compression = Compression::Agreed(deflate);
            }
            None => info.extensions.push(extension.to_owned()),
        }
    }
    true
}

fn is_mqtt(name: &str) -> bool {
    SUBPROTOCOLS.contains(&name)
}

/// The parameters of an extension, if it is permessage-deflate.
fn deflate(extension: &str, unusual: &mut dyn FnMut(Unusual)) -> Option<Deflate> {
    let mut words = extension.split(';').map(str::trim);
    if !words.next()?.eq_ignore_ascii_case("permessage-deflate") {
        return None;
    }
    let mut deflate = Deflate::default();
    for word in words {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value.trim().trim_matches('"'))),
            None => (word, None),
        };
        let bits = value
            .and_then(|value| value.parse().ok())
            .filter(|bits| (8..=15).contains(bits));
        match name.to_ascii_lowercase().as_str() {
            "server_no_context_takeover" => deflate.server_no_context_takeover = true,
            "client_no_context_takeover" => deflate.client_no_context_takeover = true,
            "server_max_window_bits" if bits.is_some() => deflate.server_max_window_bits = bits,
            "client_max_window_bits" if bits.is_some() || value.is_none() => {
                deflate.client_max_window_bits = bits;
            }
            _ => unusual(Unusual::DeflateParameter),
        }
    }
    Some(deflate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASK: &str = "GET http://broker/mqtt HTTP/1.1\r\nhOsT: broker\r\nSEC-websocket-key: x\r\n\
        connection: keep-alive, upgrade\r\nsec-websocket-protocol: mqttv3.1\r\n\
        Sec-WebSocket-Protocol: mqtt\r\nuPGRADE: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Extensions: x-other, permessage-deflate; client_max_window_bits\r\n\r\n";

    #[test]
    fn a_request_is_known_by_its_upgrade_field() {
        for len in 0..ASK.len() {
            assert_eq!(request(&ASK.as_bytes()[..len]), Answer::More, "{len} bytes");
        }
        assert_eq!(request(ASK.as_bytes()), Answer::Yes);
        let first_frame = [ASK.as_bytes(), b"\x82\x80abcd"].concat();
        assert_eq!(request(&first_frame), Answer::Yes);
        let bare = ASK.replace("\r\n", "\n");
        assert_eq!(request(bare.as_bytes()), Answer::Yes);
        for (from, to) in [
            ("WebSocket\r\n", "h2c\r\n"),
            ("GET", "PUT"),
            ("1.1", "1.0"),
            ("hOsT:", "h st"),
        ] {
            let other = ASK.replacen(from, to, 1);
            assert_eq!(request(other.as_bytes()), Answer::No, "{to}");
        }
        let long = format!("GET /{} HTTP/1.1", "a".repeat(limits::UPGRADE_BYTES));
        assert_eq!(request(long.as_bytes()), Answer::No);
        assert_eq!(request(b"GET /x HTTP/1.0\r\n"), Answer::No);
    }

    #[test]
    fn names_and_lists_are_read_whatever_their_case() {
        let mut info = WebSocketInfo::default();
        let mut unusual = Vec::new();
        let compression = read_request(ASK.as_bytes(), &mut info, &mut |what| unusual.push(what));
        assert_eq!(info.path.as_deref(), Some("http://broker/mqtt"));
        assert_eq!(info.host.as_deref(), Some("broker"));
        assert_eq!(info.offered, ["mqttv3.1", "mqtt"]);
        assert_eq!(compression, Compression::Offered(Deflate::default()));
        assert!(unusual.is_empty(), "{unusual:?}");
    }

    /// Status, protocol and extensions of a response to [`ASK`].
    fn answer(fields: &str) -> (WebSocketInfo, Compression, Vec<Unusual>) {
        let (mut info, mut unusual) = (WebSocketInfo::default(), Vec::new());
        let mut compression = read_request(ASK.as_bytes(), &mut info, &mut |_| ());
        let head = format!("HTTP/1.1 101 \r\nUpgrade: websocket\r\n{fields}\r\n");
        assert!(read_response(
            head.as_bytes(),
            &mut info,
            &mut compression,
            &mut |what| unusual.push(what)
        ));
        (info, compression, unusual)
    }

    #[test]
    fn what_the_server_agrees_to() {
        let (info, compression, unusual) = answer(
            "Sec-WebSocket-Protocol: mqtt\r\nSec-WebSocket-Extensions: Permessage-Deflate; \
             server_no_context_takeover; server_max_window_bits=\"10\", other\r\n",
        );
        assert!(unusual.is_empty(), "{unusual:?}");
        assert_eq!(info.selected.as_deref(), Some("mqtt"));
        let deflate = info.deflate.unwrap();
        assert_eq!(compression, Compression::Agreed(deflate));
        assert_eq!(deflate.server_max_window_bits, Some(10));
        assert!(deflate.starts_afresh(Direction::Down) && !deflate.starts_afresh(Direction::Up));
        assert_eq!(info.extensions, ["other"]);
        assert_eq!(answer("").1, Compression::Without);
    }

    #[test]
    fn unusual_answers_are_reported() {
        for (fields, expected) in [
            ("", Unusual::NoneSelected),
            (
                "Sec-WebSocket-Protocol: chat\r\n",
                Unusual::SelectedNotOffered,
            ),
            (
                "Sec-WebSocket-Protocol: mqtt, mqttv3.1\r\n",
                Unusual::SeveralSelected,
            ),
            (
                "Sec-WebSocket-Protocol: mqtt\r\n\
                 Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n",
                Unusual::DeflateParameter,
            ),
        ] {
            assert_eq!(answer(fields).2, [expected], "{fields}");
        }
    }
}
