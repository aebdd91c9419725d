//! (to be written)
mod segment;

pub use segment::{Endpoint, Segment, TcpFlags};

/// stub
#[derive(Debug)]
pub struct Decoder;
/// stub
pub enum Decoded<'a> {
    Segment(Segment<'a>),
    Other,
}
impl Decoder {
    /// stub
    pub fn new(_: bool) -> Self {
        Self
    }
    /// stub
    pub fn decode<'a>(&'a mut self, _: &crate::packet::CapturedPacket<'a>) -> Decoded<'a> {
        Decoded::Other
    }
}
