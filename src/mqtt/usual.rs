//! The control packets that nearly all are, read at fixed places: PUBLISH and its
//! acknowledgements without properties, and PINGREQ and PINGRESP.
//!
//! ```text
//! | 3x | Remaining Length | Topic Name | [Packet Identifier] | [00] | payload |
//! | 40 | 02 | Packet Identifier |
//! ```
//! Measured: 130 instructions less a PUBLISH than field after field. Whatever is
//! unusual about a packet is left to [`Reader`](super::reader::Reader), which would
//! make the same of these; a test compares them.

use super::header::{FixedHeader, PacketType};
use super::packet::{Ack, ControlPacket, Publish};
use super::property::Properties;
use super::text::Text;
use super::version::Version;
use super::{topic, varint};

/// The packet, if it is of this kind, without defects, and if everything before the
/// payload is there.
#[inline]
pub(super) fn read<'a>(
    header: FixedHeader,
    bytes: &'a [u8],
    version: Version,
) -> Option<ControlPacket<'a>> {
    use ControlPacket as C;
    match (header.packet_type(), header.flags()) {
        (PacketType::Publish, _) => publish(header, bytes, version).map(C::Publish),
        (PacketType::Puback, 0) => ack(header, bytes).map(C::Puback),
        (PacketType::Pubrec, 0) => ack(header, bytes).map(C::Pubrec),
        (PacketType::Pubrel, 2) => ack(header, bytes).map(C::Pubrel),
        (PacketType::Pubcomp, 0) => ack(header, bytes).map(C::Pubcomp),
        (PacketType::Pingreq, 0) => is_alone(header, bytes).then_some(C::Pingreq),
        (PacketType::Pingresp, 0) => is_alone(header, bytes).then_some(C::Pingresp),
        _ => None,
    }
}

#[inline]
fn publish<'a>(header: FixedHeader, bytes: &'a [u8], version: Version) -> Option<Publish<'a>> {
    let qos = header.qos();
    if qos == 3
        || qos == 0 && header.dup()
        || header.length_bytes != varint::len(header.remaining_length)
    {
        return None;
    }
    let end = usize::try_from(header.packet_len()).ok()?;
    let packet = bytes.get(..end).unwrap_or(bytes);
    let mut at = header.header_len();
    let (len, rest) = packet.get(at..)?.split_first_chunk()?;
    let (topic, mut rest) = rest.split_at_checked(u16::from_be_bytes(*len).into())?;
    at += 2 + topic.len();
    if topic.is_empty() || !topic::is_plain_name(topic) {
        return None;
    }
    let mut packet_id = None;
    if qos > 0 {
        let (id, after) = rest.split_first_chunk()?;
        packet_id = Some(u16::from_be_bytes(*id)).filter(|&id| id != 0);
        packet_id?;
        rest = after;
        at += 2;
    }
    let mut properties = Properties::default();
    if version == Version::V5 {
        let (0, after) = rest.split_first().map(|(len, after)| (*len, after))? else {
            return None;
        };
        rest = after;
        at += 1;
        properties.offset = at as u32;
    }
    Some(Publish {
        topic: Some(Text(topic)),
        packet_id,
        properties,
        topic_alias: None,
        payload_len: Some((end - at) as u32),
        payload: rest,
    })
}

#[inline]
fn ack<'a>(header: FixedHeader, bytes: &'a [u8]) -> Option<Ack<'a>> {
    let &[_, 2, high, low, ..] = bytes else {
        return None;
    };
    let id = u16::from_be_bytes([high, low]);
    (header.remaining_length == 2 && id != 0).then(|| Ack {
        packet_id: Some(id),
        ..Ack::default()
    })
}

/// Whether a packet is its fixed header of two bytes.
#[inline]
fn is_alone(header: FixedHeader, bytes: &[u8]) -> bool {
    header.remaining_length == 0 && header.length_bytes == 1 && bytes.len() >= 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mqtt::reader::Reader;
    use crate::mqtt::samples::{bytes, header};

    /// The general way.
    fn general<'a>(
        header: FixedHeader,
        bytes: &'a [u8],
        version: Version,
    ) -> (ControlPacket<'a>, usize) {
        let mut reader = Reader::new(header, bytes, version);
        let packet = ControlPacket::read(&mut reader);
        (packet, reader.finish().len())
    }

    const USUAL: [&str; 9] = [
        "30 07 0003 'a/b' 'hi'",
        "32 09 0003 'a/b' 0007 'hi'",
        "3d 0a 0003 'a/b' 0007 00 'hi'",
        "30 1a 000a 'plant/7/te' 00 0102030405060708090a0b0c0d",
        "40 02 0007",
        "50 02 0007",
        "62 02 0007",
        "70 02 0007",
        "c0 00",
    ];

    const VERSIONS: [Version; 3] = [Version::V3_1, Version::V3_1_1, Version::V5];

    #[test]
    fn usual_packets_are_read_here() {
        for hex in USUAL {
            let all = bytes(hex);
            let by = |version| read(header(all), all, version).is_some();
            assert!(VERSIONS.into_iter().any(by), "{hex}");
        }
    }

    proptest! {
        #[test]
        fn the_general_way_gives_the_same(
            sample in prop::sample::select(&USUAL),
            version in prop::sample::select(&VERSIONS),
            changes in prop::collection::vec((0_usize..20, any::<u8>()), 0..3),
            cut in 0_usize..30,
        ) {
            let mut all = bytes(sample).to_vec();
            for (at, value) in changes {
                if let Some(byte) = all.get_mut(at) {
                    *byte = value;
                }
            }
            all.truncate(all.len().saturating_sub(cut).max(2));
            if let Some(header) = FixedHeader::read(&all)
                && let Some(packet) = read(header, &all, version)
            {
                prop_assert_eq!((packet, 0), general(header, &all, version));
            }
        }
    }
}
