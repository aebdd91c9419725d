//! Infers the version of a connection whose CONNECT was not captured, from
//! single packets.
//!
//! | packet | version |
//! |---|---|
//! | CONNECT | its level |
//! | AUTH, DISCONNECT of a server or with a body, acknowledgements of three bytes and more, CONNACK longer than two | 5.0 for certain |
//! | UNSUBACK of two bytes, SUBACK of three | before 5.0 |
//! | DUP in SUBSCRIBE, UNSUBSCRIBE or PUBREL | 3.1 |
//! | SUBSCRIBE, SUBACK, PUBLISH … that only parse one way | that way |
//!
//! Versions before 5.0 are reported as 3.1.1, which looks the same as 3.1 in nearly all
//! packets; so such a result is never certain.

use super::header::{FixedHeader, PacketType};
use super::packet::{Connect, ControlPacket};
use super::reader::Reader;
use super::version::Version;
use crate::direction::Direction;

/// How much a hint is worth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Certainty {
    /// The best guess; another packet may contradict it.
    Likely,
    /// Only this version has such a packet.
    Certain,
}

/// The version of a well-formed control packet, if it shows one. `bytes` start
/// with the fixed header, as for [`decode`](super::decode); `direction` is its
/// direction, if known.
pub fn infer_version(
    header: FixedHeader,
    bytes: &[u8],
    direction: Option<Direction>,
) -> Option<(Version, Certainty)> {
    use Certainty::{Certain, Likely};
    use PacketType as P;
    let length = header.remaining_length;
    if header.packet_type() == P::Connect {
        return level(header, bytes);
    }
    let new = reads(header, bytes, Version::V5)?;
    let old = reads(header, bytes, Version::V3_1_1)?;
    let v5 = |certainty| new.then_some((Version::V5, certainty));
    let v3 = old.then_some((Version::V3_1_1, Likely));
    match header.packet_type() {
        P::Auth => v5(Certain),
        P::Disconnect if length > 0 || direction == Some(Direction::Down) => v5(Certain),
        P::Connack | P::Puback | P::Pubrec | P::Pubcomp if length > 2 => v5(Certain),
        // A refusal in the old form may answer a client of 5.0.
        P::Connack => match bytes.get(header.header_len() + 1) {
            Some(0) => v3,
            _ => None,
        },
        P::Pubrel | P::Subscribe | P::Unsubscribe if header.flags() == 0x0a => {
            let v3_1 = reads(header, bytes, Version::V3_1)?;
            v3_1.then_some((Version::V3_1, Likely))
        }
        P::Pubrel if length > 2 => v5(Certain),
        P::Unsuback | P::Suback | P::Subscribe | P::Unsubscribe => match (new, old) {
            (true, false) => v5(Certain),
            (false, _) => v3,
            // Two codes, or no properties and one code: filters are mostly
            // subscribed to one by one.
            (true, true) => v5(Likely),
        },
        P::Publish => match (new, old) {
            // No payload starts with a property section by accident often;
            // one of zeros may.
            (true, _) => v5(Likely),
            (false, _) => v3,
        },
        P::Reserved | P::Connect | P::Puback | P::Pubrec | P::Pubrel | P::Pubcomp => None,
        P::Pingreq | P::Pingresp | P::Disconnect => None,
    }
}

fn level(header: FixedHeader, bytes: &[u8]) -> Option<(Version, Certainty)> {
    let mut reader = Reader::new(header, bytes, Version::V3_1_1);
    match ControlPacket::read(&mut reader) {
        ControlPacket::Connect(connect) => Some((Connect::version(&connect)?, Certainty::Certain)),
        _ => None,
    }
}

/// Whether the packet has no defect in that version; `None` if too few of its bytes are
/// available.
fn reads(header: FixedHeader, bytes: &[u8], version: Version) -> Option<bool> {
    let mut reader = Reader::strict(header, bytes, version);
    ControlPacket::read(&mut reader);
    (!reader.cut()).then(|| reader.is_clean())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::samples::{bytes, header};

    #[test]
    fn hints() {
        let v3_1 = Some((Version::V3_1, Certainty::Likely));
        let v3_1_1 = Some((Version::V3_1_1, Certainty::Likely));
        let likely = Some((Version::V5, Certainty::Likely));
        let certain = Some((Version::V5, Certainty::Certain));
        let down = Some(Direction::Down);
        for (sample, direction, expected) in [
            ("10 0d 0004 'MQTT' 05 02 0000 00 0000", None, certain),
            ("f0 00", None, certain),
            ("e0 00", None, None),
            ("e0 00", down, certain),
            ("e0 01 00", None, certain),
            ("20 02 00 00", None, v3_1_1),
            ("20 02 00 05", None, None),
            ("20 03 00 00 00", None, certain),
            ("40 02 0001", None, None),
            ("40 03 0001 10", None, certain),
            ("40 03 0001 44", None, None),
            ("62 02 0001", None, None),
            ("6a 02 0001", None, v3_1),
            ("62 04 0001 92 00", None, certain),
            ("8a 06 0001 0001 'a' 00", None, v3_1),
            ("82 06 0001 0001 'a' 00", None, v3_1_1),
            ("82 07 0001 00 0001 'a' 00", None, certain),
            ("90 03 0001 01", None, v3_1_1),
            ("90 04 0001 01 01", None, v3_1_1),
            ("90 04 0001 00 01", None, likely),
            ("90 04 0001 00 87", None, certain),
            ("b0 02 0001", None, v3_1_1),
            ("b0 04 0001 00 11", None, certain),
            ("30 07 0003 'a/b' 'hi'", None, v3_1_1),
            ("30 05 0003 'a/b'", None, v3_1_1),
            ("30 08 0003 'a/b' 00 'hi'", None, likely),
            ("c0 00", None, None),
        ] {
            let bytes = bytes(sample);
            assert_eq!(
                infer_version(header(bytes), bytes, direction),
                expected,
                "{sample}"
            );
        }
    }

    #[test]
    fn what_is_cut_says_nothing() {
        let all = bytes("32 0c 0003 'a/b' 0001 03 23 0001 'x'");
        let header = header(all);
        let before_properties = &all[..9];
        assert_eq!(infer_version(header, before_properties, None), None);
        let before_payload = &all[..13];
        assert!(infer_version(header, before_payload, None).is_some());
        assert_eq!(infer_version(header, &all[..6], None), None);
    }
}
