//! WebSocket (RFC 6455): MQTT packets in frames, after an HTTP request.
//!
//! ```text
//!  up    GET … Upgrade ┊ 82 9a key │ CONNECT │ 82 86 key │ PUBLISH, part 1     │ 80 …
//!        └─ WsUpgrade ─┘ └WsFrame┘ └─ Data ──┘
//!  down  HTTP/1.1 101 … ┊ 82 04 │ CONNACK │ 89 00 │ 82 05 │ …
//!                                          └WsPing┘
//! ```
//! Frames have nothing to do with packets: one may hold several, or the first
//! byte of one. So payloads are passed on as they come, unmasked and inflated, and
//! the MQTT framer does not see frames.
//!
//! Nothing is refused that can be read: a text frame, a client that does not
//! mask, a length in too many bytes are reported and followed. The content
//! of the upgrade, and its missing fields, are in [`WebSocketInfo`], for rules to judge.
//!
//! # Losses
//!
//! A gap inside a payload is counted through, and the mask goes on behind it. A
//! gap over a header ends the direction until a frame is found again
//! (`search.rs`). Of compressed messages the one with the gap is lost from there
//! on, and of later ones the bytes that look back at it (`inflate.rs`). Where something is
//! lost and its length is unknown, a gap of unknown length is passed on, with an
//! empty range if the bytes are all there and merely make no sense.

mod header;
mod inflate;
mod search;
mod stream;
#[cfg(test)]
mod tests;
mod upgrade;

pub use upgrade::{Deflate, WebSocketInfo, answers_http2, is_http2, request, response};

use super::{Chunk, Layer, LayerContext, LayerFacts, LayerType, Sink};
use crate::direction::{Direction, PerDirection};
use stream::{Context, Shared, StreamState};
use upgrade::Compression;

/// Both directions of a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    shared: Shared,
    streams: PerDirection<StreamState>,
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
        Self::with(PerDirection::from_fn(|_| StreamState::new()))
    }

    /// From somewhere in the middle, when the upgrade was not captured. Frames
    /// are read once they are beyond doubt.
    pub fn joining() -> Self {
        Self::with(PerDirection::from_fn(StreamState::joining))
    }

    fn with(streams: PerDirection<StreamState>) -> Self {
        Self {
            shared: Shared {
                info: WebSocketInfo::default(),
                compression: Compression::Unknown,
                announced: false,
                may_ask_again: false,
            },
            streams,
        }
    }

    /// Takes the next chunk one way. Where the opening has just been read, the
    /// bytes behind it are handed back, to be pushed again by who has looked at
    /// [`WebSocket::info`].
    #[must_use = "what is handed back has to be pushed again"]
    pub fn push<'a>(
        &mut self,
        direction: Direction,
        chunk: Chunk<'a>,
        out: Sink<'_>,
    ) -> Option<Chunk<'a>> {
        let left = self.stream(direction, out, |stream, cx| stream.push(chunk, cx));
        match chunk {
            Chunk::Data(data) if left > 0 => {
                let taken = data.bytes.len().saturating_sub(left);
                Some(Chunk::Data(data.split_at(taken).1))
            }
            _ => None,
        }
    }

    /// Nothing more comes, either way.
    pub fn finish(&mut self, out: Sink<'_>) {
        for direction in Direction::ALL {
            self.stream(direction, out, StreamState::finish);
        }
    }

    /// Gives up the memory that compression needs, for when there are too many
    /// of these. Messages that look back cannot be read from here on.
    pub fn shed(&mut self, out: Sink<'_>) {
        for direction in Direction::ALL {
            self.stream(direction, out, StreamState::shed);
        }
    }

    /// Facts of the opening, as far as it has come.
    pub fn info(&self) -> &WebSocketInfo {
        &self.shared.info
    }

    /// Bytes of memory that are kept.
    pub fn kept(&self) -> usize {
        self.streams.iter().map(StreamState::kept).sum()
    }

    fn stream<R>(
        &mut self,
        direction: Direction,
        out: Sink<'_>,
        f: impl FnOnce(&mut StreamState, &mut Context<'_>) -> R,
    ) -> R {
        let stream = &mut self.streams[direction];
        let shared = &mut self.shared;
        f(
            stream,
            &mut Context {
                direction,
                shared,
                out,
            },
        )
    }
}
