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
mod usual;
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

/// The Packet Identifier alone, of types that have one; `None` where the bytes end
/// before it.
pub fn packet_id(header: FixedHeader, bytes: &[u8]) -> Option<u16> {
    use PacketType as P;
    let number = |at: usize| {
        let bytes = bytes.get(at..)?.first_chunk()?;
        Some(u16::from_be_bytes(*bytes))
    };
    let start = header.header_len();
    match header.packet_type() {
        P::Publish if header.qos() == 0 => None,
        P::Publish => number(start + 2 + usize::from(number(start)?)),
        P::Puback | P::Pubrec | P::Pubrel | P::Pubcomp => number(start),
        P::Subscribe | P::Suback | P::Unsubscribe | P::Unsuback => number(start),
        P::Reserved | P::Connect | P::Connack | P::Pingreq => None,
        P::Pingresp | P::Disconnect | P::Auth => None,
    }
}

/// Decodes the control packet whose first bytes are `bytes` (fixed header
/// included, up to the first byte that was not captured or not kept). A CONNECT
/// is decoded by its own version.
///
/// Allocates only for defects and for a CONNECT. Bytes after the packet are ignored.
#[inline]
pub fn decode<'a>(header: FixedHeader, bytes: &'a [u8], version: Version) -> Decoded<'a> {
    match usual::read(header, bytes, version) {
        Some(packet) => Decoded {
            packet,
            defects: Vec::new(),
        },
        None => decode_fields(header, bytes, version),
    }
}

/// Decodes a packet field after field.
#[inline(never)]
fn decode_fields(header: FixedHeader, bytes: &[u8], version: Version) -> Decoded<'_> {
    let mut reader = Reader::new(header, bytes, version);
    let packet = ControlPacket::read(&mut reader);
    Decoded {
        packet,
        defects: reader.finish(),
    }
}
