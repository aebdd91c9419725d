//! MQTT control packets: framing and decoding of 3.1, 3.1.1 and 5.0.
//!
//! ```text
//! byte stream ─→ Framer ─Framed→ decode ─→ ControlPacket + Defects
//!                  └ Resync, plausible: where framing was lost
//! ```
//! Knows nothing of captured packets, flows or time. Decoding never refuses:
//! it returns what could be read, and what is wrong with the bytes as
//! [`Defect`]s; numbers stay numbers, so that QoS 3 can be shown.
//!
//! ```
//! use mqttdump::mqtt::{ControlPacket, FixedHeader, Version, decode};
//! let bytes = b"\x30\x05\x00\x01thi";
//! let header = FixedHeader::read(bytes).unwrap();
//! let decoded = decode(header, bytes, Version::V3_1_1);
//! let ControlPacket::Publish(publish) = decoded.packet else { unreachable!() };
//! assert_eq!(publish.topic.unwrap().as_str(), Some("t"));
//! assert_eq!(publish.payload, b"hi");
//! assert!(decoded.defects.is_empty());
//! ```

mod defect;
mod framer;
mod header;
pub mod packet;
pub mod plausible;
mod property;
mod reader;
pub mod reason;
mod resync;
mod text;
pub mod topic;
pub mod varint;
mod version;
mod version_hint;

pub use defect::{CODES, Defect, MOST_DEFECTS};
pub use framer::{End, Framed, Framer, Sink, Trouble, head_len};
pub use header::{FixedHeader, PacketType, qos_name};
pub use packet::ControlPacket;
pub use property::{DataType, Definition, Place, Properties, Property, PropertyValue, definition};
pub use resync::Resync;
pub use text::{Text, TextFault};
pub use topic::TopicFilter;
pub use version::Version;
pub use version_hint::infer_version;

/// A control packet decoded as far as it could be.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// What it says.
    pub packet: ControlPacket<'a>,
    /// What is wrong with its bytes, in order of offset.
    pub defects: Vec<Defect>,
}

/// Decodes the control packet whose first bytes are `bytes` (fixed header
/// included, up to the first byte that was not captured or not kept). What
/// cannot be read because `bytes` end early is unknown, and no defect.
pub fn decode<'a>(header: FixedHeader, bytes: &'a [u8], version: Version) -> Decoded<'a> {
    let mut reader = reader::Reader::new(header, bytes, version);
    let length = header.remaining_length;
    // The fixed header itself: 5.0 wants the shortest form of a length.
    reader.check_shortest(
        "Remaining Length",
        1,
        length,
        usize::from(header.length_bytes),
    );
    let packet = ControlPacket::read(&mut reader);
    Decoded {
        packet,
        defects: reader.finish(),
    }
}
