//! Stand-in until the layer is merged.
#![allow(missing_docs)]
use super::*;
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSocketInfo;
#[derive(Debug, Default)]
pub struct WebSocket(WebSocketInfo);
pub fn request(bytes: &[u8]) -> Answer {
    match bytes {
        [b'G', b'E', b'T', b' ', ..] => Answer::Yes,
        _ => Answer::No,
    }
}
impl WebSocket {
    pub fn new() -> Self {
        Self::default()
    }
    pub fn joining() -> Self {
        Self::default()
    }
    pub fn push(&mut self, _: Way, _: Stream<'_>, _: Sink<'_>) {}
    pub fn finish(&mut self, _: Sink<'_>) {}
    pub fn info(&self) -> &WebSocketInfo {
        &self.0
    }
    pub fn kept(&self) -> usize {
        0
    }
}
