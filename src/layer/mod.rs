//! The layers between TCP and MQTT: TLS, WebSocket, the PROXY protocol.
//!
//! ```text
//!        ┌─ Proxy ─┐  ┌── Tls ──┐  ┌ WebSocket ┐
//! flow ─→│ header  │─→│ records │─→│ upgrade,  │─→ MQTT
//! Chunk  └─────────┘  │  keys   │  │ frames    │   Chunk
//!                     └─────────┘  └───────────┘
//! ```
//! Each [`Layer`] takes the [`Chunk`]s of both directions and pushes out others,
//! so that any of them can be left out. Nothing here knows files, clocks, flows
//! or the meaning of MQTT packets.
//!
//! Positions are those of the TCP stream all the way up ([`ByteRange`]). So of
//! every MQTT packet it is known which segments carried it and when the peer had
//! all of it, however deep it was wrapped. The bytes of a layer itself are
//! [`LayerOutput::Own`], so that every byte of the TCP stream is accounted for
//! exactly once.

mod alert;
pub mod http;
mod layer_type;
mod note;
pub(crate) mod pending;
pub mod proxy;
pub mod socks;
pub mod tls;
mod transport;
pub mod websocket;

pub use alert::alert_name;
pub use layer_type::{Layer, LayerContext, LayerFacts, LayerType};
pub use note::{Broken, Note, Unusual};
pub use transport::{LAYERS, Transport};

use crate::direction::Direction;
use crate::flow::At;
pub use crate::flow::{ByteRange, Chunk, Data, Seal};

/// Output of a layer.
#[derive(Clone, Copy, Debug)]
pub enum LayerOutput<'a> {
    /// For the next layer.
    Chunk(Chunk<'a>),
    /// Bytes of the layer itself. With the ranges of [`LayerOutput::Chunk`] they are
    /// all of the layer's input; ranges of one direction ascend.
    Own(ByteRange, LayerBytes),
    /// An event.
    Note(Note, At),
}

/// The use of a layer's own bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LayerBytes {
    /// PROXY protocol header.
    Proxy,
    /// TLS handshake, change of cipher and ticket records, whole.
    TlsHandshake,
    /// TLS alert records, whole.
    TlsAlert,
    /// Start of a TLS record of application data: header, nonce. All of
    /// the record that could be read or not lies between it and its
    /// [`LayerBytes::TlsRecordEnd`].
    TlsRecord,
    /// Its end: tag, inner type, padding.
    TlsRecordEnd,
    /// HTTP request or response that opens a WebSocket.
    WsUpgrade,
    /// Header of a WebSocket frame that carries data, and bytes that compression
    /// added that stand for no byte of its own.
    WsFrame,
    /// WebSocket ping or pong, whole.
    WsPing,
    /// WebSocket close frame, whole.
    WsClose,
    /// Bytes that cannot be read: without a key, after an error, foreign.
    Unread,
}

/// Whether some first bytes are a layer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// They are.
    Yes,
    /// They are not.
    No,
    /// Too few bytes to decide.
    More,
}

/// Takes the output of a layer.
pub type Sink<'a> = &'a mut dyn FnMut(Direction, LayerOutput<'_>);
