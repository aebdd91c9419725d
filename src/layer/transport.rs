//! The known layers, and the transport of MQTT that they form.
//!
//! A new layer is a file with a [`Layer`](super::Layer) and its [`LayerType`], and
//! an entry in [`LAYERS`].

use serde::{Deserialize, Serialize};

use std::sync::LazyLock;

use super::layer_type::LayerType;
use super::{http, proxy, socks, tls, websocket};

/// Every layer, from the lowest up. A connection has each at most once, and in
/// this order.
pub static LAYERS: [&LayerType; 6] = [
    &proxy::LAYER,
    &socks::LAYER,
    &http::CONNECT,
    &tls::LAYER,
    &http::REQUESTS,
    &websocket::LAYER,
];

impl LayerType {
    /// Its index in [`LAYERS`].
    pub fn index(&'static self) -> usize {
        let same = |other: &&LayerType| std::ptr::eq(*other, self);
        LAYERS.iter().position(same).unwrap_or(LAYERS.len())
    }

    /// Whether it may lie on another one, or on TCP.
    pub fn may_lie_on(&'static self, below: Option<&'static Self>) -> bool {
        below.is_none_or(|below| below.index() < self.index())
    }
}

/// The transport of MQTT: the layers on TCP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Serialize, Deserialize)]
pub struct Transport(u8);

impl Transport {
    /// TCP alone.
    pub const TCP: Self = Self(0);

    /// The same with another layer, if that one is part of the name.
    #[must_use]
    pub fn with(self, layer: &'static LayerType) -> Self {
        match layer.in_transport {
            true => Self(self.0 | 1 << layer.index()),
            false => self,
        }
    }

    /// Its layers, from the lowest up.
    pub fn layers(self) -> impl Iterator<Item = &'static LayerType> {
        let has = move |(index, _): &(usize, &LayerType)| self.0 & 1 << index != 0;
        LAYERS
            .into_iter()
            .enumerate()
            .filter(has)
            .map(|(_, layer)| layer)
    }

    /// Whether a layer is part of it.
    pub fn has(self, layer: &'static LayerType) -> bool {
        self.0 & 1 << layer.index() != 0
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
