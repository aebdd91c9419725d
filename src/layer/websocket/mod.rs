//! WebSocket (RFC 6455): MQTT packets in frames, after an HTTP request.
//!
//! ```text
//!  up    GET … Upgrade ┊ 82 9a key │ CONNECT │ 82 86 key │ PUBLISH, first half │ 80 …
//!        └─ WsUpgrade ─┘ └WsFrame┘ └─ Data ──┘
//!  down  HTTP/1.1 101 … ┊ 82 04 │ CONNACK │ 89 00 │ 82 05 │ …
//!                                          └WsPing┘
//! ```
//! Frames have nothing to do with packets: one may hold several, or the first
//! byte of one. So payloads are passed on as they come, unmasked and inflated, and
//! whoever frames MQTT never learns of frames.
//!
//! Nothing is refused that can be read: a text frame, a client that does not
//! mask, a length in too many bytes are reported and followed. What the upgrade says
//! (and lacks) is in [`WebSocketInfo`]; who wants to blame somebody does it there.
//!
//! # Losses
//!
//! A gap inside a payload is counted through, and the mask goes on behind it. A
//! gap over a header ends the direction until a frame is found again
//! (`search.rs`). Of compressed messages the one with the gap is lost from there
//! on, and of later ones what looks back at it (`inflate.rs`). Where something is
//! lost and nobody knows how much, a gap of unknown length is passed on, with an
//! empty place if the bytes are all there and merely make no sense.

mod header;
mod inflate;
mod lane;
mod search;
#[cfg(test)]
mod tests;
mod upgrade;

pub use upgrade::{Deflate, WebSocketInfo, answers_http2, is_http2, request, response};

use super::{Chunk, Layer, LayerContext, LayerFacts, LayerType, Sink};
use crate::direction::{Direction, PerDirection};
use lane::{Context, Lane, Shared};
use upgrade::Compression;

/// Both directions of a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    shared: Shared,
    lanes: PerDirection<Lane>,
}

/// WebSocket as a layer.
pub static LAYER: LayerType = LayerType {
    name: "websocket",
    in_transport: true,
    encrypts: false,
    opens: request,
    answers: Some(response),
    begin: || Box::new(WebSocket::new()),
    join: Some(|| Box::new(WebSocket::joining())),
};

impl Layer for WebSocket {
    fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        _: LayerContext<'_>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>> {
        self.push(direction, chunk, out)
    }

    fn shed(&mut self, _: LayerContext<'_>, out: Sink<'_>) {
        self.shed(out);
    }

    fn finish(&mut self, _: LayerContext<'_>, out: Sink<'_>) {
        self.finish(out);
    }

    fn kept(&self) -> usize {
        self.kept()
    }

    fn facts(&self) -> LayerFacts<'_> {
        LayerFacts::WebSocket(self.info())
    }

    fn names_mqtt(&self) -> bool {
        self.info().names_mqtt()
    }
}

impl Default for WebSocket {
    fn default() -> Self {
        Self::new()
    }
}

impl WebSocket {
    /// From the first byte of the request.
    pub fn new() -> Self {
        Self::with(PerDirection::from_fn(|_| Lane::new()))
    }

    /// From somewhere in the middle, when the upgrade was not captured. Frames
    /// are read once they are beyond doubt.
    pub fn joining() -> Self {
        Self::with(PerDirection::from_fn(Lane::joining))
    }

    fn with(lanes: PerDirection<Lane>) -> Self {
        Self {
            shared: Shared {
                info: WebSocketInfo::default(),
                compression: Compression::Unknown,
                announced: false,
                may_ask_again: false,
            },
            lanes,
        }
    }

    /// Takes what comes next one way. Where the opening has just been read, what
    /// lies behind it is handed back, to be pushed again by who has looked at
    /// [`WebSocket::info`].
    #[must_use = "what is handed back has to be pushed again"]
    pub fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>> {
        let left = self.lane(direction, out, |lane, cx| lane.push(chunk, cx));
        match chunk {
            Chunk::Data(piece) if left > 0 => {
                let taken = piece.bytes.len().saturating_sub(left);
                Some(Chunk::Data(piece.split_at(taken).1))
            }
            _ => None,
        }
    }

    /// Nothing more comes, either way.
    pub fn finish(&mut self, out: Sink<'_>) {
        for direction in Direction::ALL {
            self.lane(direction, out, Lane::finish);
        }
    }

    /// Gives up the memory that compression needs, for when there are too many
    /// of these. Messages that look back cannot be read from here on.
    pub fn shed(&mut self, out: Sink<'_>) {
        for direction in Direction::ALL {
            self.lane(direction, out, Lane::shed);
        }
    }

    /// What the opening says, as far as it has come.
    pub fn info(&self) -> &WebSocketInfo {
        &self.shared.info
    }

    /// Bytes of memory that are kept.
    pub fn kept(&self) -> usize {
        self.lanes.iter().map(Lane::kept).sum()
    }

    fn lane<R>(
        &mut self,
        direction: Direction,
        out: Sink<'_>,
        f: impl FnOnce(&mut Lane, &mut Context<'_>) -> R,
    ) -> R {
        let lane = &mut self.lanes[direction];
        let shared = &mut self.shared;
        f(
            lane,
            &mut Context {
                direction,
                shared,
                out,
            },
        )
    }
}
