//! What lies between TCP and MQTT: TLS, WebSocket, the PROXY protocol.
//!
//! ```text
//!        ┌─ Proxy ─┐  ┌── Tls ──┐  ┌ WebSocket ┐
//! flow ─→│ header  │─→│ records │─→│ upgrade,  │─→ MQTT
//! Chunk  └─────────┘  │  keys   │  │ frames    │   Chunk
//!                     └─────────┘  └───────────┘
//! ```
//! Each [`Layer`] takes the [`Chunk`]s of both directions and pushes out others,
//! so that any of them can be left out. Nothing here knows files, clocks, flows
//! or what MQTT packets mean.
//!
//! Positions are those of the TCP stream all the way up ([`ByteRange`]). So of
//! every MQTT packet it is known which segments carried it and when the peer had
//! all of it, however deep it was wrapped. The bytes that a layer has for itself
//! are [`LayerOutput::Own`], so that every byte of the TCP stream is accounted
//! for exactly once.

pub mod http;
mod layer_type;
pub(crate) mod pending;
pub mod proxy;
pub mod socks;
pub mod tls;
mod transport;
pub mod websocket;

pub use layer_type::{Layer, LayerContext, LayerFacts, LayerType};
pub use transport::{LAYERS, Transport};

use crate::direction::Direction;
use crate::flow::At;
pub use crate::flow::{ByteRange, Chunk, Data, Seal};
use crate::net::Endpoint;

/// What a layer pushes out.
#[derive(Clone, Copy, Debug)]
pub enum LayerOutput<'a> {
    /// For the next layer.
    Chunk(Chunk<'a>),
    /// Bytes that the layer has for itself. With the places of
    /// [`LayerOutput::Chunk`] they are all of what the layer was given; places of
    /// one direction ascend.
    Own(ByteRange, LayerBytes),
    /// Something that a reader wants to know.
    Note(Note, At),
}

/// What bytes of a layer are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerBytes {
    /// PROXY protocol header.
    Proxy,
    /// TLS handshake, change of cipher and ticket records, whole.
    TlsHandshake,
    /// TLS alert records, whole.
    TlsAlert,
    /// What a TLS record of application data begins with: header, nonce. All of
    /// the record that could be read or not lies between it and its
    /// [`LayerBytes::TlsRecordEnd`].
    TlsRecord,
    /// What it ends with: tag, inner type, padding.
    TlsRecordEnd,
    /// HTTP request or response that opens a WebSocket.
    WsUpgrade,
    /// Header of a WebSocket frame that carries data, and what compression
    /// added that stands for no byte of its own.
    WsFrame,
    /// WebSocket ping or pong, whole.
    WsPing,
    /// WebSocket close frame, whole.
    WsClose,
    /// Bytes that nobody can read: without a key, after an error, foreign.
    Unread,
}

/// What a layer tells of the conversation, for people. Where it concerns a
/// side, the direction with which it is pushed says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A proxy says who really speaks.
    Proxied {
        /// The client's own address.
        client: Endpoint,
        /// The address that it connected to.
        server: Endpoint,
    },
    /// TLS is read. Reported once a connection.
    Tls,
    /// TLS that will not be read, and why. Reported once a connection.
    Encrypted(&'static str),
    /// TLS bytes were lost, or cannot be decrypted from here on, and why.
    Undecrypted(&'static str),
    /// The server did not take data that the client sent before the TLS
    /// handshake was over: nobody has read it.
    EarlyDataRejected,
    /// TLS ended, or went wrong, in a peer's own words.
    Alert {
        /// 1 warning, 2 fatal.
        level: u8,
        /// As registered by IANA; 0 is close_notify.
        description: u8,
    },
    /// A WebSocket was opened.
    WebSocket,
    /// The server refused to open a WebSocket.
    Refused {
        /// Status code of its HTTP response.
        status: u16,
    },
    /// A WebSocket close frame.
    WsClose {
        /// Status code (RFC 6455, 7.4), if it has one.
        code: Option<u16>,
    },
    /// A WebSocket message that is text although it carries MQTT.
    TextMessage,
    /// Bytes that break the layer's format, or what it needs was lost; the
    /// direction cannot be followed further, or not until it is found again.
    Broken(&'static str),
    /// Bytes that break a rule of the layer; they are read all the same.
    Odd(&'static str),
    /// A limit was reached.
    Bound(&'static str),
}

impl Note {
    /// The name of the event that it becomes, in JSON.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Proxied { .. } => "proxied",
            Self::Tls => "tls",
            Self::Encrypted(_) => "encrypted",
            Self::Undecrypted(_) => "undecrypted",
            Self::EarlyDataRejected => "early_data_rejected",
            Self::Alert { .. } => "tls_alert",
            Self::WebSocket => "websocket",
            Self::Refused { .. } => "websocket_refused",
            Self::WsClose { .. } => "websocket_close",
            Self::TextMessage => "text_message",
            Self::Odd(_) => "odd",
            Self::Broken(_) => "malformed",
            Self::Bound(_) => "bound",
        }
    }
}

/// Whether some first bytes are a layer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// Too few bytes to tell.
    More,
}

/// Takes what a layer pushes out.
pub type Sink<'a> = &'a mut dyn FnMut(Direction, LayerOutput<'_>);
