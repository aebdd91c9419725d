//! MQTT control packets. (to be written)
mod defect;
mod framer;
mod header;
pub mod packet;
pub mod plausible;
mod property;
pub mod reason;
mod resync;
mod text;
pub mod varint;
mod version;

pub use defect::Defect;
pub use framer::{End, Framed, Framer, Sink, Trouble, head_len};
pub use header::{FixedHeader, PacketType, qos_name};
pub use packet::ControlPacket;
pub use property::{Properties, Property, PropertyValue};
pub use text::Text;
pub use version::Version;

/// A control packet decoded as far as it could be.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// What it says.
    pub packet: ControlPacket<'a>,
    /// What is wrong with its bytes, in order of offset.
    pub defects: Vec<Defect>,
}

/// Decodes the control packet whose first bytes are `bytes` (fixed header
/// included, up to the first byte that was not captured or not kept).
pub fn decode<'a>(_header: FixedHeader, _bytes: &'a [u8], _version: Version) -> Decoded<'a> {
    Decoded {
        packet: ControlPacket::Reserved,
        defects: Vec::new(),
    }
}

/// stub
pub fn infer_version(_header: FixedHeader, _bytes: &[u8], _up: Option<bool>) -> Option<Version> {
    None
}
