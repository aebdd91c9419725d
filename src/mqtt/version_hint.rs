//! Which version a connection speaks when its CONNECT was not captured, by the
//! shape of one packet.

use super::header::{FixedHeader, PacketType};
use super::version::Version;

/// The version that the shape of a control packet tells, if it tells one:
///
/// - AUTH, a DISCONNECT from the server or with contents, a CONNACK longer
///   than 2, an acknowledgement longer than 2: 5.0;
/// - DUP in PUBREL, SUBSCRIBE or UNSUBSCRIBE: 3.1;
/// - UNSUBACK of length 2, CONNACK of length 2: not 5.0, so 3.1.1;
/// - SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK and PUBLISH: whichever version
///   decodes them without a defect, if only one does.
///
/// 3.1 and 3.1.1 look alike otherwise; then it is 3.1.1. `None` is no answer:
/// the next packet may have one.
pub fn infer_version(header: FixedHeader, bytes: &[u8], up: Option<bool>) -> Option<Version> {
    let length = header.remaining_length;
    match header.packet_type() {
        PacketType::Auth => Some(Version::V5),
        PacketType::Disconnect if up == Some(false) || length > 0 => Some(Version::V5),
        PacketType::Connack if length > 2 => Some(Version::V5),
        PacketType::Puback | PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp
            if length > 2 =>
        {
            Some(Version::V5)
        }
        PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe if header.dup() => {
            Some(Version::V3_1)
        }
        PacketType::Connack if length == 2 => Some(Version::V3_1_1),
        PacketType::Unsuback if length == 2 => Some(Version::V3_1_1),
        PacketType::Subscribe
        | PacketType::Suback
        | PacketType::Unsubscribe
        | PacketType::Unsuback
        | PacketType::Publish => by_decoding(header, bytes),
        _ => None,
    }
}

fn by_decoding(header: FixedHeader, bytes: &[u8]) -> Option<Version> {
    // With bytes missing, a misreading may go unnoticed.
    if (bytes.len() as u64) < header.packet_len() && header.packet_type() != PacketType::Publish {
        return None;
    }
    let clean = |version| super::decode(header, bytes, version).defects.is_empty();
    match (clean(Version::V3_1_1), clean(Version::V5)) {
        (true, false) => Some(Version::V3_1_1),
        (false, true) => Some(Version::V5),
        // A payload that begins with a byte 0 is rare, an empty property list
        // is not.
        (true, true) if header.packet_type() == PacketType::Publish => {
            match super::decode(header, bytes, Version::V3_1_1).packet {
                super::ControlPacket::Publish(publish) if publish.payload.first() == Some(&0) => {
                    Some(Version::V5)
                }
                _ => None,
            }
        }
        _ => None,
    }
}
