//! The interface of layers: a [`Layer`] for each connection, and a [`LayerType`] that
//! describes it.

use std::fmt;

use super::tls::{KeyLog, TlsInfo};
use super::websocket::WebSocketInfo;
use super::{Answer, Chunk, Sink};
use crate::direction::Direction;
use crate::flow::At;

/// A kind of layer.
#[derive(Debug)]
pub struct LayerType {
    /// Its name, as in `transport` of JSON.
    pub name: &'static str,
    /// Whether it is named there. A proxy's header is not: the bytes after it are
    /// the same without it.
    pub in_transport: bool,
    /// Whether nothing above it can be read without secrets.
    pub encrypts: bool,
    /// Whether bytes of the client begin with it.
    pub opens: fn(&[u8]) -> Answer,
    /// Whether bytes of the server begin with its answer; for connections whose
    /// opening was lost.
    pub answers: Option<fn(&[u8]) -> Answer>,
    /// Reads it from its first byte.
    pub begin: fn() -> Box<dyn Layer>,
    /// Reads it from somewhere in its middle, where that can be done.
    pub join: Option<fn() -> Box<dyn Layer>>,
}

/// Inputs of a layer besides the bytes.
#[derive(Clone, Copy)]
pub struct LayerContext<'a> {
    /// Secrets of TLS.
    pub keys: &'a KeyLog,
    /// More of them may come.
    pub expects_keys: bool,
    /// The packet being read.
    pub now: At,
}

/// Facts of a layer.
#[derive(Clone, Copy, Debug)]
pub enum LayerFacts<'a> {
    /// Nothing that a reader asks for.
    None,
    /// Of TLS.
    Tls(&'a TlsInfo),
    /// Of a WebSocket.
    WebSocket(&'a WebSocketInfo),
}

/// A protocol that lies between TCP and MQTT, on one connection.
pub trait Layer: fmt::Debug {
    /// Takes the next chunk of one direction, and pushes out its content.
    /// Where its opening has just been read, it returns the bytes behind that, to
    /// be pushed again once its facts were looked at.
    #[must_use = "what is returned has to be pushed again"]
    fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        cx: LayerContext<'_>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>>;

    /// Secrets may have come.
    fn settle(&mut self, _: LayerContext<'_>, _: Sink<'_>) {}

    /// Drops its buffers: all connections together keep too much.
    fn shed(&mut self, _: LayerContext<'_>, _: Sink<'_>) {}

    /// Nothing more comes.
    fn finish(&mut self, _: LayerContext<'_>, _: Sink<'_>) {}

    /// Bytes of memory that it keeps.
    fn kept(&self) -> usize;

    /// Its facts so far.
    fn facts(&self) -> LayerFacts<'_> {
        LayerFacts::None
    }

    /// Whether its own negotiation names MQTT.
    fn names_mqtt(&self) -> bool {
        false
    }

    /// Whether its content will never be known.
    fn is_unreadable(&self, _: LayerContext<'_>) -> bool {
        false
    }
}
