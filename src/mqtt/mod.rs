//! MQTT control packets of 3.1, 3.1.1 and 5.0: framing and decoding.
//!
//! ```text
//! byte stream ─→ Framer ─Framed→ decode ─→ ControlPacket + Defects
//!                  └ Resync, plausible: where framing was lost
//! ```
//!
//! This module is independent of captured packets, connections and time. The
//! [`Framer`] finds the boundaries of packets; [`decode`] takes the bytes of
//! one packet, or as many as there are, and the version, and returns the fields
//! and the defects:
//!
//! ```text
//!  32  0C  0003 'a/b'  0007  02 2301…
//!  └┬┘ └┬┘ └────┬───┘  └┬─┘  └──┬──
//!  first Remaining  Topic  Packet  properties (5.0), then the payload
//!  byte  Length     Name   Identifier
//! ```
//!
//! ```
//! use mqttdump::mqtt::{ControlPacket, DefectCode, FixedHeader, Text, Version, decode};
//!
//! let bytes = b"\x32\x0a\x00\x03a/b\x00\x00hi!";
//! let header = FixedHeader { first: 0x32, length_bytes: 1, remaining_length: 10 };
//! let decoded = decode(header, bytes, Version::V3_1_1);
//! let ControlPacket::Publish(publish) = decoded.packet else { panic!() };
//! assert_eq!(publish.topic, Some(Text(b"a/b")));
//! assert_eq!(decoded.defects[0].code, DefectCode::PacketId0);
//! ```
//!
//! Decoding never fails: a field that cannot be read is `None`, and an error is
//! a [`Defect`]. There are two ways to run out of bytes. If Remaining Length
//! ends too early, the packet is wrong; if only the kept part ends, because the
//! capture lacks the rest or it was not kept, it is not.

mod defect;
mod digest;
mod framer;
mod header;
pub mod packet;
pub mod plausible;
mod property;
mod reader;
pub mod reason;
mod resync;
#[cfg(test)]
mod samples;
mod text;
pub mod topic;
pub mod varint;
mod version;
mod version_hint;

pub use defect::{Defect, DefectCode, MOST_DEFECTS};
pub use digest::Digest;
pub use framer::{End, Framed, Framer, Malformed, PayloadDigest, Sink, Trouble, head_len};
pub use header::{FixedHeader, PacketType, qos_name};
pub use packet::ControlPacket;
pub use property::{
    DEFINITIONS, DataType, Definition, Place, Properties, Property, PropertyValue, definition,
};
pub use resync::Resync;
pub use text::{Text, TextFault};
pub use topic::TopicFilter;
pub use version::Version;
pub use version_hint::{Certainty, infer_version};

use reader::Reader;

/// A control packet decoded as far as it could be.
#[derive(Debug)]
pub struct Decoded<'a> {
    /// The decoded fields.
    pub packet: ControlPacket<'a>,
    /// Defects of its bytes, in order of offset; at most [`MOST_DEFECTS`].
    pub defects: Vec<Defect>,
}

/// Decodes the control packet whose first bytes are `bytes` (fixed header
/// included, up to the first byte that was not captured or not kept). A CONNECT
/// is decoded by its own version.
///
/// Allocates only for defects. Bytes after the packet are ignored.
#[inline]
pub fn decode<'a>(header: FixedHeader, bytes: &'a [u8], version: Version) -> Decoded<'a> {
    let mut reader = Reader::new(header, bytes, version);
    let packet = ControlPacket::read(&mut reader);
    Decoded {
        packet,
        defects: reader.finish(),
    }
}
