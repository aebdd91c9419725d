//! How much bytes look like a control packet, for finding one in the middle of
//! a stream.
//!
//! [`evidence`] says how many bits speak for a packet at the start of some
//! bytes: `n` bits mean that of random bytes (each value as likely as any
//! other) at most one position in 2^n looks like this. The estimate is
//! conservative, a lower bound:
//!
//! - the first byte counts log2(256 / number of legal first bytes), 4 bits;
//! - a Remaining Length that the type fixes (0, 2, …) counts 8 bits;
//! - a string length counts by how few of its 65,536 values fit the packet;
//! - a character counts [`CHARACTER_BITS`] tenths of a bit, because only
//!   printable ASCII (and well-formed UTF-8, which counts nothing) will do,
//!   up to [`TEXT_BITS`] in all;
//! - a code counts by how few of 256 are legal.
//!
//! Packets must be perfect: any defect, in every version that is possible,
//! rules the position out. What real traffic with faults loses by this is
//! found at its next good packet.

use super::header::{FixedHeader, PacketType};
use super::packet::ControlPacket;
use super::reason;
use super::varint::{self, Varint};
use super::version::Version;

/// Tenths of a bit for a printable ASCII character: log2(256 / 95) is 1.43.
pub const CHARACTER_BITS: u32 = 14;
/// What the characters of one string count at most, in bits.
pub const TEXT_BITS: u32 = 40;
/// Longest packet other than PUBLISH that is believed, in bytes.
const LONGEST: u32 = 1 << 20;

/// What speaks for a control packet at the start of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// It cannot be one.
    Impossible,
    /// Too few bytes to tell.
    NeedMore,
    /// It can be one.
    Plausible {
        /// Of 2^bits random positions at most one looks like this.
        bits: u32,
        /// Bytes of the whole packet.
        packet_len: u64,
        /// Its fixed header.
        header: FixedHeader,
        /// The version, where the contents tell it.
        version: Option<Version>,
    },
}

/// The evidence for a control packet at the start of `bytes`. `up` says
/// whether the client sent it, `version` what the connection speaks, if known.
pub fn evidence(bytes: &[u8], up: Option<bool>, version: Option<Version>) -> Evidence {
    let Some(&first) = bytes.first() else {
        return Evidence::NeedMore;
    };
    let kind = PacketType::ALL[usize::from(first >> 4)];
    if !may_begin(first, kind, up, version) {
        return Evidence::Impossible;
    }
    let header = match varint::decode(&bytes[1..]) {
        Varint::Value { value, bytes } if bytes == varint::len(value) => FixedHeader {
            first,
            length_bytes: bytes,
            remaining_length: value,
        },
        Varint::Incomplete => return Evidence::NeedMore,
        _ => return Evidence::Impossible,
    };
    if kind == PacketType::Publish {
        return publish(header, bytes, version);
    }
    let length = header.remaining_length;
    if length > LONGEST || !length_fits(kind, length, version) {
        return Evidence::Impossible;
    }
    let Some(packet) = usize::try_from(header.packet_len())
        .ok()
        .and_then(|len| bytes.get(..len))
    else {
        // Some types can be told from their first bytes already.
        return match early(header, &bytes[header.header_len()..]) {
            true => Evidence::NeedMore,
            false => Evidence::Impossible,
        };
    };
    let Some((bits, version)) = whole(header, packet, version) else {
        return Evidence::Impossible;
    };
    Evidence::Plausible {
        bits,
        packet_len: header.packet_len(),
        header,
        version,
    }
}

/// Whether a packet of this type, flags and direction exists.
fn may_begin(first: u8, kind: PacketType, up: Option<bool>, version: Option<Version>) -> bool {
    use PacketType as P;
    let flags = first & 0x0f;
    let goes_up = up != Some(false);
    let goes_down = up != Some(true);
    match kind {
        P::Reserved => false,
        P::Publish => flags & 6 != 6 && flags & 0x0e != 8,
        P::Connect | P::Pingreq => flags == 0 && goes_up,
        // DUP on these is a resend of 3.1.
        P::Subscribe | P::Unsubscribe => {
            (flags == 2 || (flags == 10 && version == Some(Version::V3_1))) && goes_up
        }
        P::Pubrel => flags == 2 || (flags == 10 && version == Some(Version::V3_1)),
        P::Puback | P::Pubrec | P::Pubcomp => flags == 0,
        P::Connack | P::Suback | P::Unsuback | P::Pingresp => flags == 0 && goes_down,
        P::Disconnect => flags == 0 && (goes_up || version.is_none_or(|v| v == Version::V5)),
        P::Auth => flags == 0 && version.is_none_or(|v| v == Version::V5),
    }
}

fn length_fits(kind: PacketType, length: u32, version: Option<Version>) -> bool {
    use PacketType as P;
    let v5 = version.is_none_or(|v| v == Version::V5);
    match kind {
        P::Pingreq | P::Pingresp => length == 0,
        P::Disconnect => length == 0 || v5,
        P::Connack => length == 2 || (v5 && length >= 3),
        P::Puback | P::Pubrec | P::Pubrel | P::Pubcomp => length == 2 || (v5 && length >= 3),
        P::Unsuback => length == 2 || (v5 && length >= 4),
        P::Suback => length >= 3,
        P::Subscribe => length >= 6,
        P::Unsubscribe => length >= 5,
        P::Connect => length >= 12,
        P::Auth => length >= 2,
        P::Reserved | P::Publish => false,
    }
}

/// Whether the first bytes after the fixed header can still become a packet.
fn early(header: FixedHeader, body: &[u8]) -> bool {
    match header.packet_type() {
        PacketType::Connect => [&b"\x00\x04MQTT"[..], b"\x00\x06MQIsdp"]
            .iter()
            .any(|name| body.iter().zip(*name).all(|(a, b)| a == b)),
        PacketType::Connack => body.first().is_none_or(|&flags| flags <= 1),
        PacketType::Disconnect | PacketType::Auth => body
            .first()
            .is_none_or(|&code| reason::is_known(Version::V5, header.packet_type(), code)),
        _ => !body.starts_with(&[0, 0]),
    }
}

/// The evidence in a whole packet other than PUBLISH, and the version it
/// tells. `None` if it is not perfect in any version that is possible.
fn whole(
    header: FixedHeader,
    packet: &[u8],
    version: Option<Version>,
) -> Option<(u32, Option<Version>)> {
    let candidates: &[Version] = match version {
        Some(Version::V3_1) => &[Version::V3_1],
        Some(Version::V3_1_1) => &[Version::V3_1_1],
        Some(Version::V5) => &[Version::V5],
        None => &[Version::V3_1_1, Version::V5],
    };
    let mut best: Option<(u32, Version)> = None;
    let mut fitting = 0;
    for &candidate in candidates {
        let decoded = super::decode(header, packet, candidate);
        if !decoded.defects.is_empty() {
            continue;
        }
        let Some(bits) = contents(header, &decoded.packet, candidate) else {
            continue;
        };
        fitting += 1;
        // With several readings the weaker evidence counts.
        if best.is_none_or(|(b, _)| bits < b) {
            best = Some((bits, candidate));
        }
    }
    let (bits, candidate) = best?;
    let kind = header.packet_type();
    let told = match kind {
        PacketType::Connect => None,
        _ if version.is_some() => version,
        PacketType::Pingreq | PacketType::Pingresp => None,
        _ if fitting == 1 => Some(candidate),
        _ => None,
    };
    Some((bits, told))
}

/// Bits that the contents of a packet count, besides what length and first
/// byte do; those are counted here too.
fn contents(header: FixedHeader, packet: &ControlPacket<'_>, version: Version) -> Option<u32> {
    use ControlPacket as P;
    let length = header.remaining_length;
    // First byte: exactly one value fits where the type is given, and 16 types
    // compete; 4 bits is what they count together.
    let mut bits = 4;
    // A length that is fixed by the type or checked to the byte by the
    // decoding of the contents.
    bits += 4;
    Some(match packet {
        P::Pingreq | P::Pingresp => bits + 4,
        P::Connect(_) => 48,
        P::Connack(connack) => {
            let code = code_bits(version, header);
            let flags = 7;
            let exact = u32::from(length == 2) * 4;
            // Session Present with a refusal is not legal.
            if connack.flags == Some(1) && connack.code != Some(0) {
                return None;
            }
            bits + flags + code + exact
        }
        P::Puback(ack) | P::Pubrec(ack) | P::Pubrel(ack) | P::Pubcomp(ack) => match length {
            2 => bits + 4,
            3 => bits + 4 + code_bits(version, header),
            _ => bits + code_bits(version, header) + properties(ack.properties.bytes.len()),
        },
        P::Subscribe(subscribe) => {
            let mut text = 0;
            for subscription in subscribe.filters() {
                text += printable(subscription.filter.bytes())? + 4 * 10;
                text += string_bits(subscription.filter.bytes().len(), length) * 10;
            }
            bits + (text / 10).min(TEXT_BITS)
        }
        P::Unsubscribe(unsubscribe) => {
            let mut text = 0;
            for filter in unsubscribe.filters() {
                text += printable(filter.bytes())?;
                text += string_bits(filter.bytes().len(), length) * 10;
            }
            bits + (text / 10).min(TEXT_BITS)
        }
        P::Suback(suback) => {
            let codes = suback.codes.len() as u32;
            bits + (codes * code_bits(version, header)).min(TEXT_BITS)
        }
        P::Unsuback(unsuback) if version == Version::V5 => {
            let codes = unsuback.codes.len() as u32;
            bits + (codes * code_bits(version, header)).min(TEXT_BITS)
        }
        P::Unsuback(_) => bits + 4,
        P::Disconnect(disconnect) => match length {
            0 => bits + 4,
            1 => bits + 4 + code_bits(version, header),
            _ => bits + code_bits(version, header) + properties(disconnect.properties.bytes.len()),
        },
        P::Auth(auth) => {
            bits + code_bits(version, header) + properties(auth.properties.bytes.len())
        }
        P::Publish(_) | P::Reserved => return None,
    })
}

/// Bits that a legal code counts: how few of 256 values are.
fn code_bits(version: Version, header: FixedHeader) -> u32 {
    let legal = reason::count(version, header.packet_type()).max(1) as u32;
    (256 / legal).ilog2()
}

/// Bits of a property section that was read without a fault: its length fits,
/// and it has a known identifier if it has any.
fn properties(len: usize) -> u32 {
    match len {
        0 => 4,
        _ => 6,
    }
}

/// Tenths of a bit for the characters of a string; `None` if one is not
/// printable. Control characters are legal, but not believed here.
fn printable(text: &[u8]) -> Option<u32> {
    let mut tenths = 0;
    for &byte in text {
        match byte {
            0x20..=0x7e => tenths += CHARACTER_BITS,
            0x80.. => {}
            _ => return None,
        }
    }
    std::str::from_utf8(text).ok()?;
    Some(tenths.min(TEXT_BITS * 10))
}

/// Bits that a string length counts which fits a packet of `length` bytes.
fn string_bits(_len: usize, length: u32) -> u32 {
    (65_536 / length.clamp(1, 65_536)).ilog2()
}

/// The evidence in a PUBLISH, of which only the head must be here.
fn publish(header: FixedHeader, bytes: &[u8], version: Option<Version>) -> Evidence {
    let length = header.remaining_length;
    let identifier = u32::from(header.qos() > 0) * 2;
    if length < 3 + identifier {
        return Evidence::Impossible;
    }
    let body = &bytes[header.header_len()..];
    let Some(topic_len) = body.first_chunk::<2>().map(|b| u16::from_be_bytes(*b)) else {
        return match body.first() {
            Some(&high) if u32::from(high) << 8 > length => Evidence::Impossible,
            _ => Evidence::NeedMore,
        };
    };
    let topic_len = usize::from(topic_len);
    let head = 2 + topic_len + identifier as usize;
    if head as u64 > u64::from(length) || (topic_len == 0 && version != Some(Version::V5)) {
        return Evidence::Impossible;
    }
    let visible = &body[2..body.len().min(2 + topic_len)];
    let wildcard = visible
        .iter()
        .any(|b| matches!(b, b'+' | b'#' | 0..=0x1f | 0x7f));
    if wildcard {
        return Evidence::Impossible;
    }
    if body.len() < head {
        return Evidence::NeedMore;
    }
    let Some(text) = printable(visible) else {
        return Evidence::Impossible;
    };
    if identifier == 2 && body[head - 2..head] == [0, 0] {
        return Evidence::Impossible;
    }
    // First byte: 10 of 256 are a PUBLISH. The topic length must fit.
    let mut bits = 4 + string_bits(topic_len, length) + text / 10;
    let mut told = version;
    // Where all of it is here, the length led to its very end.
    let whole = usize::try_from(header.packet_len()).is_ok_and(|len| bytes.len() == len);
    if whole {
        bits += 4;
    }
    if version != Some(Version::V3_1) && version != Some(Version::V3_1_1) {
        let end = usize::try_from(header.packet_len()).map_or(bytes.len(), |l| l.min(bytes.len()));
        let defects = super::decode(header, &bytes[..end], Version::V5).defects;
        match (version, defects.is_empty()) {
            (Some(_), false) => return Evidence::Impossible,
            (Some(_), true) => bits += 2,
            (None, false) => told = Some(Version::V3_1_1),
            (None, true) => {
                let old = super::infer_version(header, &bytes[..end], None);
                told = old;
            }
        }
    }
    Evidence::Plausible {
        bits: bits.min(64),
        packet_len: header.packet_len(),
        header,
        version: told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that the test is the same everywhere.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }

    #[test]
    fn random_bytes_are_as_rare_as_the_bits_say() {
        let mut random = Random(0x2545_f491_4f6c_dd1d);
        const POSITIONS: u32 = 1 << 21;
        let mut found = [0_u32; 65];
        let mut window = [0_u8; 64];
        for _ in 0..POSITIONS / 8 {
            for chunk in window.chunks_mut(8) {
                chunk.copy_from_slice(&random.next().to_le_bytes());
            }
            for start in 0..8 {
                for up in [Some(true), Some(false)] {
                    if let Evidence::Plausible { bits, .. } =
                        evidence(&window[start..start + 56], up, None)
                    {
                        found[bits.min(64) as usize] += 1;
                    }
                }
            }
        }
        for bits in 6..=18 {
            let seen: u32 = found[bits..].iter().sum();
            // Two directions were tried; twice the odds for chance.
            let expected = (2 * POSITIONS) >> bits;
            assert!(
                seen <= expected * 2 + 8,
                "{seen} positions of {bits} bits, {expected} expected at most: {found:?}"
            );
        }
    }

    #[test]
    fn real_packets_count_enough() {
        let mut publish = b"\x30\x19\x00\x0avdm/123/on".to_vec();
        publish.extend(b"123|456|789|x");
        for (bytes, at_least) in [
            (&b"\xc0\x00"[..], 12),
            (b"\x40\x02\x00\x07", 12),
            (b"\x20\x02\x00\x00", 16),
            (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01c", 48),
            (&publish, 24),
        ] {
            match evidence(bytes, None, None) {
                Evidence::Plausible {
                    bits, packet_len, ..
                } => {
                    assert!(bits >= at_least, "{bits} bits for {bytes:02x?}");
                    assert_eq!(packet_len, bytes.len() as u64);
                }
                other => panic!("{other:?} for {bytes:02x?}"),
            }
        }
    }

    #[test]
    fn what_cannot_be() {
        for (bytes, up) in [
            (&b"\xc0\x00"[..], Some(false)),
            (b"\xd0\x00", Some(true)),
            (b"\x40\x02\x00\x00", None),
            (b"\x36\x05\x00\x01a\x00\x01", None),
            (b"\x30\x05\x00\x09abc", None),
            (b"\x30\x05\x00\x03a\x01c", None),
            (b"\xc1\x00", None),
            (b"\xc0\x80\x00", None),
            (b"\x00\x00", None),
            (b"HTTP/1.1 200 OK\r\n", None),
        ] {
            assert_eq!(
                evidence(bytes, up, None),
                Evidence::Impossible,
                "{bytes:02x?}"
            );
        }
    }
}
