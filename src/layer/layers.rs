//! The known layers, and what each has to offer.
//!
//! A new layer is a file with a [`Layer`] and its [`LayerType`], and an entry in
//! [`LAYERS`].

use std::fmt;
use std::sync::LazyLock;

use super::tls::{KeyLog, TlsInfo};
use super::websocket::WebSocketInfo;
use super::{Answer, Chunk, Sink, proxy, tls, websocket};
use crate::direction::Direction;
use crate::flow::At;

/// Every layer, from the lowest up. A connection has each at most once, and in
/// this order.
pub static LAYERS: [&LayerType; 3] = [&proxy::LAYER, &tls::LAYER, &websocket::LAYER];

/// A kind of layer.
#[derive(Debug)]
pub struct LayerType {
    /// Its name, as in `transport` of JSON.
    pub name: &'static str,
    /// Whether it is named there. A proxy's header is not: what follows it is
    /// as without.
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

impl LayerType {
    /// Its place in [`LAYERS`].
    pub fn place(&'static self) -> usize {
        let same = |other: &&LayerType| std::ptr::eq(*other, self);
        LAYERS.iter().position(same).unwrap_or(LAYERS.len())
    }

    /// Whether it may lie on another one, or on TCP.
    pub fn may_lie_on(&'static self, below: Option<&'static Self>) -> bool {
        below.is_none_or(|below| below.place() < self.place())
    }
}

/// What a layer may look at besides the bytes.
#[derive(Clone, Copy)]
pub struct LayerContext<'a> {
    /// Secrets of TLS.
    pub keys: &'a KeyLog,
    /// More of them may come.
    pub expects_keys: bool,
    /// The packet being read.
    pub now: At,
}

/// What a layer has learnt of itself.
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
    /// Takes what comes next in one direction, and pushes out what it holds.
    /// Where its opening has just been read, it returns what lies behind that, to
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

    /// Gives up what it keeps: all connections together keep too much.
    fn shed(&mut self, _: LayerContext<'_>, _: Sink<'_>) {}

    /// Nothing more comes.
    fn finish(&mut self, _: LayerContext<'_>, _: Sink<'_>) {}

    /// Bytes of memory that it keeps.
    fn kept(&self) -> usize;

    /// What it has learnt of itself so far.
    fn facts(&self) -> LayerFacts<'_> {
        LayerFacts::None
    }

    /// Whether it says itself that it carries MQTT.
    fn names_mqtt(&self) -> bool {
        false
    }

    /// Whether what it carries will never be known.
    fn is_unreadable(&self, _: LayerContext<'_>) -> bool {
        false
    }
}

/// What carries MQTT, by the layers on TCP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Transport(u8);

impl Transport {
    /// TCP alone.
    pub const TCP: Self = Self(0);

    /// The same, with another layer, if that one is named at all.
    #[must_use]
    pub fn with(self, layer: &'static LayerType) -> Self {
        match layer.in_transport {
            true => Self(self.0 | 1 << layer.place()),
            false => self,
        }
    }

    /// Its layers, from the lowest up.
    pub fn layers(self) -> impl Iterator<Item = &'static LayerType> {
        let has = move |(place, _): &(usize, &LayerType)| self.0 & 1 << place != 0;
        LAYERS
            .into_iter()
            .enumerate()
            .filter(has)
            .map(|(_, layer)| layer)
    }

    /// Whether a layer is part of it.
    pub fn has(self, layer: &'static LayerType) -> bool {
        self.0 & 1 << layer.place() != 0
    }

    /// Whether TLS is part of it.
    pub fn is_tls(self) -> bool {
        self.has(&tls::LAYER)
    }

    /// Whether WebSocket is part of it.
    pub fn is_websocket(self) -> bool {
        self.has(&websocket::LAYER)
    }

    /// The name used in JSON: those of its layers, `tls+websocket`, or `tcp`.
    pub fn name(self) -> &'static str {
        static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
            let name = |layers| {
                let names: Vec<&str> = Transport(layers).layers().map(|l| l.name).collect();
                names.join("+")
            };
            (0..1 << LAYERS.len()).map(name).collect()
        });
        match self {
            Self::TCP => "tcp",
            _ => NAMES.get(usize::from(self.0)).map_or("", String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_are_named_by_their_layers() {
        let tls = Transport::TCP.with(&proxy::LAYER).with(&tls::LAYER);
        assert_eq!(Transport::TCP.name(), "tcp");
        assert_eq!(tls.name(), "tls");
        assert_eq!(tls.with(&websocket::LAYER).name(), "tls+websocket");
        assert_eq!(Transport::TCP.with(&websocket::LAYER).name(), "websocket");
        assert!(LAYERS.len() <= 8, "a bit for each");
    }
}
