//! The likelihood that a control packet starts at a position, for
//! resynchronisation in the middle of a byte stream.
//!
//! The result is evidence in bits. Bytes with `b` bits look so much like a
//! control packet that random bytes do so once in 2^`b` times:
//!
//! ```text
//! C0 00                  PINGREQ    8 bits for the first byte, 8 for the length
//! 40 02 12 34            PUBACK     the same; any identifier but 0 would do
//! 30 0C 0005 'a/b/c' …   PUBLISH    4.7 for the first byte, 12.8 for a topic length
//!                                   that fits, 1.25 for each printable byte
//!                        and 4 less for each, because there are 16 readings
//! ```
//!
//! # The model
//!
//! Fields are weighed in the order of the bytes, each by at most `-log2 p`,
//! where `p` is the probability that random bytes pass there, *given the bytes
//! before*. Then 2^evidence is a supermartingale that starts at 1, and by
//! Markov's inequality random bytes reach `b` bits with a probability of at
//! most 2^-`b`. That holds for each way to read the bytes (14 types, some in
//! two versions), of which one must have been used, so 4 bits, for 16 ways, are
//! subtracted for every packet. Then the bound holds for all readings together,
//! and for chains of packets the bits add up. A test verifies the model.
//!
//! Bytes that are not random are restricted less than this, and payloads are
//! not random. The caller should require several packets in a row.
//!
//! Being strict only delays the result, so everything unusual counts as
//! impossible: every defect, overlong lengths, strings with control characters,
//! flags that 3.1 does not use, a packet of more than a megabyte other than
//! PUBLISH.

use super::header::{FixedHeader, PacketType};
use super::packet::{Connect, ControlPacket, Publish};
use super::property::{DEFINITIONS, Place, Properties, PropertyValue};
use super::reader::Reader;
use super::text::Text;
use super::varint::{self, Varint};
use super::version::Version;
use super::{reason, topic};
use crate::direction::Direction;

/// Result for some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Evidence {
    /// No control packet starts here.
    Impossible,
    /// Nothing is wrong so far, and more bytes are needed.
    NeedMore,
    /// A control packet may start here.
    Plausible {
        /// At least `-log2` of the probability that random bytes look so.
        bits: u32,
        /// Bytes of the whole control packet.
        packet_len: u64,
        /// Its fixed header.
        header: FixedHeader,
        /// The version, if the content determines it. 3.1 and 3.1.1 can hardly
        /// be distinguished: 3.1.1 represents both.
        version: Option<Version>,
    },
}

/// Largest packet of a type other than PUBLISH that is believed, in bytes.
const LARGEST_BUT_PUBLISH: u64 = 1 << 20;

/// Evidence that suffices when a packet is not there to its end, in bits: no
/// need to wait for the rest of a long list of filters.
const ENOUGH: u32 = 40;

/// log2 of the number of ways to read some bytes: types, and versions where
/// they differ.
const READINGS_BITS: u32 = 4;

/// Weighs the bytes from a position on, as far as they are available.
/// `direction` is their direction, `version` the one to decode them by, each if
/// known.
pub fn evidence(bytes: &[u8], direction: Option<Direction>, version: Option<Version>) -> Evidence {
    let Some((&first, rest)) = bytes.split_first() else {
        return Evidence::NeedMore;
    };
    let (value, length_bytes) = match varint::decode(rest) {
        Varint::Value { value, bytes } => (value, bytes),
        // The first byte alone excludes most positions.
        Varint::Incomplete => (0, 0),
        Varint::Malformed => return Evidence::Impossible,
    };
    let header = FixedHeader {
        first,
        length_bytes,
        remaining_length: value,
    };
    if !fits_direction(header, direction) || !any_version(header, version) {
        return Evidence::Impossible;
    }
    if length_bytes == 0 {
        return Evidence::NeedMore;
    }
    if length_bytes > varint::len(value) || !fits_length(header) {
        return Evidence::Impossible;
    }
    let mut old = Verdict::No;
    let mut new = Verdict::No;
    for candidate in CANDIDATES {
        // A CONNECT has a version of its own.
        let begins_anew = header.packet_type() == PacketType::Connect;
        if !begins_anew && version.is_some_and(|known| known != candidate)
            || !may_come_from(header, direction, candidate)
        {
            continue;
        }
        let verdict = weigh(header, bytes, candidate);
        match candidate {
            Version::V5 => new = verdict,
            // One reading for both: 3.1.1, unless only 3.1 has such flags.
            Version::V3_1 | Version::V3_1_1 => old = old.or(verdict),
        }
    }
    let (bits, version) = match (old, new) {
        (Verdict::No, Verdict::No) => return Evidence::Impossible,
        (Verdict::Perhaps, _) | (_, Verdict::Perhaps) => return Evidence::NeedMore,
        (Verdict::Yes(bits, version), Verdict::No) | (Verdict::No, Verdict::Yes(bits, version)) => {
            (bits, Some(version))
        }
        (Verdict::Yes(one, _), Verdict::Yes(other, _)) => (one.max(other), version),
    };
    Evidence::Plausible {
        bits: bits.saturating_sub(READINGS_BITS),
        packet_len: header.packet_len(),
        header,
        version,
    }
}

const CANDIDATES: [Version; 3] = [Version::V3_1_1, Version::V3_1, Version::V5];

/// Result for one version.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Verdict {
    No,
    Perhaps,
    Yes(u32, Version),
}

impl Verdict {
    fn or(self, other: Self) -> Self {
        if self == Self::No { other } else { self }
    }
}

fn fits_direction(header: FixedHeader, direction: Option<Direction>) -> bool {
    use PacketType as P;
    match (header.packet_type(), direction) {
        (_, None) => true,
        (P::Connect | P::Subscribe | P::Unsubscribe | P::Pingreq, Some(direction)) => {
            direction == Direction::Up
        }
        (P::Connack | P::Suback | P::Unsuback | P::Pingresp, Some(direction)) => {
            direction == Direction::Down
        }
        _ => true,
    }
}

/// Servers send DISCONNECT in 5.0 only.
fn may_come_from(header: FixedHeader, direction: Option<Direction>, version: Version) -> bool {
    header.packet_type() != PacketType::Disconnect
        || direction != Some(Direction::Down)
        || version == Version::V5
}

/// Whether the type and its flags are those of a version that it may be.
fn any_version(header: FixedHeader, version: Option<Version>) -> bool {
    use PacketType as P;
    let flags = header.flags();
    match header.packet_type() {
        P::Reserved => false,
        P::Publish => header.qos() < 3 && (header.qos() > 0 || !header.dup()),
        P::Pubrel | P::Subscribe | P::Unsubscribe => match version {
            None | Some(Version::V3_1) => flags == 0x2 || flags == 0xa,
            Some(Version::V3_1_1 | Version::V5) => flags == 0x2,
        },
        P::Auth => flags == 0 && matches!(version, None | Some(Version::V5)),
        _ => flags == 0,
    }
}

/// Whether a packet of any version may be of that length.
fn fits_length(header: FixedHeader) -> bool {
    use PacketType as P;
    let length = header.remaining_length;
    let least = match header.packet_type() {
        P::Connect => 12,
        P::Connack | P::Puback | P::Pubrec | P::Pubrel | P::Pubcomp | P::Unsuback => 2,
        P::Publish | P::Suback => 3,
        P::Subscribe => 6,
        P::Unsubscribe => 5,
        P::Pingreq | P::Pingresp => return length == 0,
        P::Reserved | P::Disconnect | P::Auth => 0,
    };
    let most = match header.packet_type() {
        P::Publish => u64::MAX,
        _ => LARGEST_BUT_PUBLISH,
    };
    length >= least && header.packet_len() <= most
}

fn weigh(header: FixedHeader, bytes: &[u8], version: Version) -> Verdict {
    // The cheap look that ends nearly all candidates in a payload.
    if header.packet_type() == PacketType::Publish && !topic_begins(header, bytes) {
        return Verdict::No;
    }
    let mut reader = Reader::strict(header, bytes, version);
    let packet = ControlPacket::read(&mut reader);
    let cut = reader.cut();
    // A CONNECT is decoded by its own version, whichever was given.
    if !reader.is_clean() || reader.version != version {
        return Verdict::No;
    }
    let mut scale = Scale::default();
    if scale.packet(header, &packet, version).is_none() {
        return Verdict::No;
    }
    let bits = scale.bits();
    if cut && bits < ENOUGH {
        return Verdict::Perhaps;
    }
    Verdict::Yes(bits, version)
}

/// Whether the length of the topic fits in the packet, and its first
/// characters, as far as they are there, could be of a topic.
fn topic_begins(header: FixedHeader, bytes: &[u8]) -> bool {
    let start = header.header_len();
    let Some(&[high, low]) = bytes.get(start..start + 2) else {
        return true;
    };
    let length = u16::from_be_bytes([high, low]);
    let topic = bytes.get(start + 2..).unwrap_or_default();
    let seen = topic.iter().take(usize::from(length).min(8));
    u32::from(length) + 2 <= header.remaining_length
        && seen.fold(true, |fine, &byte| {
            fine & (byte > 0x1f) & (byte != 0x7f) & (byte != b'+') & (byte != b'#')
        })
}

/// Sums up evidence, in sixteenths of a bit.
#[derive(Default)]
struct Scale {
    sixteenths: i32,
    /// The part of it from strings.
    text: i32,
}

const BIT: i32 = 16;
/// A byte of printable ASCII, 95 of 256, in a string that may contain longer
/// characters as well: the weights 2^(20/16) for these, 2 for characters of two
/// bytes, 4 for three and 16 for four have a mean of at most 1.
const ASCII: i32 = 20;
/// Strings give no more than this altogether.
const MOST_TEXT: i32 = 40 * BIT;

impl Scale {
    fn bits(&self) -> u32 {
        u32::try_from(self.sixteenths / BIT).unwrap_or(0)
    }

    fn add(&mut self, sixteenths: i32) {
        self.sixteenths += sixteenths;
    }

    /// One of `many` values out of 2^`bits`, all equally likely.
    fn one_of(&mut self, many: usize, bits: i32) {
        self.add(bits * BIT - log2_above(many));
    }

    /// A packet without defects. `None` if something in it is too unusual.
    fn packet(
        &mut self,
        header: FixedHeader,
        packet: &ControlPacket<'_>,
        version: Version,
    ) -> Option<()> {
        let kind = header.packet_type();
        let length = header.remaining_length;
        let left = length as usize;
        let flags_are_one_of = match kind {
            PacketType::Publish => 10,
            _ => 1,
        };
        self.one_of(flags_are_one_of, 8);
        match packet {
            ControlPacket::Reserved => return None,
            ControlPacket::Connect(connect) => self.connect(connect)?,
            ControlPacket::Publish(publish) => self.publish(header, publish, version)?,
            ControlPacket::Pingreq | ControlPacket::Pingresp => self.add(8 * BIT),
            ControlPacket::Connack(connack) => {
                self.one_of(2, 8);
                if version != Version::V5 && connack.flags.is_some_and(|flags| flags > 1) {
                    return None;
                }
                if length == 2 {
                    self.add(8 * BIT);
                    self.one_of(6, 8);
                } else {
                    self.one_of(reason::count(version, kind), 8);
                    self.filling_properties(kind, &connack.properties, left.saturating_sub(2))?;
                }
            }
            ControlPacket::Puback(ack)
            | ControlPacket::Pubrec(ack)
            | ControlPacket::Pubrel(ack)
            | ControlPacket::Pubcomp(ack) => {
                self.short_forms(version, kind, length, 2, &ack.properties)?;
            }
            ControlPacket::Disconnect(disconnect) => {
                self.short_forms(version, kind, length, 0, &disconnect.properties)?;
            }
            ControlPacket::Auth(auth) => {
                self.short_forms(version, kind, length, 0, &auth.properties)?;
            }
            ControlPacket::Subscribe(subscribe) => {
                self.properties(version, kind, &subscribe.properties, left)?;
                let options = match version {
                    Version::V3_1 | Version::V3_1_1 => 3,
                    Version::V5 => 3 * 2 * 2 * 3,
                };
                let mut left = left;
                for entry in subscribe.filters() {
                    self.text_within(entry.filter, left, true)?;
                    left = left.saturating_sub(entry.filter.0.len() + 3);
                    if let Some(byte) = entry.options {
                        self.one_of(options, 8);
                        if version != Version::V5 && byte > 2 {
                            return None;
                        }
                    }
                }
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                self.properties(version, kind, &unsubscribe.properties, left)?;
                let mut left = left;
                for filter in unsubscribe.filters() {
                    self.text_within(filter, left, true)?;
                    left = left.saturating_sub(filter.0.len() + 2);
                }
            }
            ControlPacket::Suback(suback) => {
                self.properties(version, kind, &suback.properties, left)?;
                self.codes(header, version, suback.codes, &suback.properties);
            }
            ControlPacket::Unsuback(unsuback) => {
                if version == Version::V5 {
                    self.properties(version, kind, &unsuback.properties, left)?;
                    self.codes(header, version, unsuback.codes, &unsuback.properties);
                } else {
                    self.add(8 * BIT);
                }
            }
        }
        Some(())
    }

    fn connect(&mut self, connect: &Connect<'_>) -> Option<()> {
        // The name with its length, and a level; the rest has no weight, but has to be
        // plausible.
        if let Some(name) = connect.protocol_name {
            if !matches!(name.0, b"MQTT" | b"MQIsdp") {
                return None;
            }
            self.add((name.0.len() as i32 + 2) * 8 * BIT);
        }
        if connect.protocol_level.is_some() {
            self.one_of(2, 8);
        }
        let strings = [
            connect.client_id,
            connect.username,
            connect.will.as_ref().and_then(|will| will.topic),
        ];
        strings
            .into_iter()
            .flatten()
            .all(|text| is_printable(text).is_some())
            .then_some(())
    }

    fn publish(
        &mut self,
        header: FixedHeader,
        publish: &Publish<'_>,
        version: Version,
    ) -> Option<()> {
        let id_bytes = if header.qos() > 0 { 2 } else { 0 };
        let left = (header.remaining_length as usize).saturating_sub(id_bytes);
        if let Some(topic) = publish.topic {
            self.text_within(topic, left, false)?;
            let left = left.saturating_sub(2 + topic.0.len());
            self.properties(version, PacketType::Publish, &publish.properties, left)?;
        }
        Some(())
    }

    /// Packets that may leave out their last fields: Remaining Length is
    /// `least`, one more for a code, or more for code and properties.
    fn short_forms(
        &mut self,
        version: Version,
        kind: PacketType,
        length: u32,
        least: u32,
        properties: &Properties<'_>,
    ) -> Option<()> {
        let more = length.saturating_sub(least) as usize;
        if more > 0 {
            self.one_of(reason::count(version, kind), 8);
        }
        if more < 2 {
            self.add(8 * BIT);
            Some(())
        } else {
            self.filling_properties(kind, properties, more - 1)
        }
    }

    /// Properties that fill the packet: the Property Length is the one that
    /// does.
    fn filling_properties(
        &mut self,
        kind: PacketType,
        properties: &Properties<'_>,
        left: usize,
    ) -> Option<()> {
        self.add(if left <= 0x80 { 8 * BIT } else { 16 * BIT });
        self.walk(kind, properties)
    }

    /// Properties of 5.0, followed by other fields.
    fn properties(
        &mut self,
        version: Version,
        kind: PacketType,
        properties: &Properties<'_>,
        left: usize,
    ) -> Option<()> {
        if version != Version::V5 || properties.offset == 0 {
            return Some(());
        }
        // A Property Length of one byte has to fit. Longer ones add no evidence.
        if properties.bytes.len() < 0x80 {
            self.one_of(left.clamp(1, 0x80), 8);
        }
        self.walk(kind, properties)
    }

    fn walk(&mut self, kind: PacketType, properties: &Properties<'_>) -> Option<()> {
        let place = Place::Packet(kind);
        let allowed = DEFINITIONS
            .iter()
            .filter(|definition| definition.allowed_in(place))
            .count();
        let end = properties.bytes.len();
        for property in properties.iter() {
            self.one_of(allowed, 8);
            let at = (property.offset - properties.offset) as usize + 1;
            let left = end.saturating_sub(at);
            match property.value {
                PropertyValue::Byte(_) => self.one_of(2, 8),
                PropertyValue::TwoByteInteger(_)
                | PropertyValue::FourByteInteger(_)
                | PropertyValue::VariableByteInteger(_) => {}
                PropertyValue::String(text) => self.text_within(text, left, true)?,
                PropertyValue::Pair(name, value) => {
                    self.text_within(name, left, true)?;
                    let left = left.saturating_sub(name.0.len() + 2);
                    self.text_within(value, left, true)?;
                }
                PropertyValue::Binary(data) => self.length_within(data.len(), left)?,
            }
        }
        Some(())
    }

    /// Codes to the end of the packet. Few are likelier than many: the weight
    /// of `n` codes is that of a length with the probability 1/(n(n+1)).
    fn codes(
        &mut self,
        header: FixedHeader,
        version: Version,
        codes: &[u8],
        properties: &Properties<'_>,
    ) {
        let known = reason::count(version, header.packet_type());
        for _ in codes.iter().take(64) {
            self.one_of(known, 8);
        }
        let before = 2 + usize::from(version == Version::V5) + properties.bytes.len();
        let many = (header.remaining_length as usize).saturating_sub(before);
        if header.length_bytes == 1 && many < 15 {
            self.one_of(many * (many + 1), 8);
        } else {
            self.add(-2 * BIT);
        }
    }

    /// A string with its length, which has to be within `left` bytes.
    fn text_within(&mut self, text: Text<'_>, left: usize, wildcards: bool) -> Option<()> {
        self.length_within(text.0.len(), left)?;
        if !wildcards {
            topic::check_wildcards(text.0).ok()?;
        }
        let weight = is_printable(text)?.min(MOST_TEXT - self.text);
        self.text += weight;
        self.add(weight);
        Some(())
    }

    /// A Two Byte Integer that is followed by as many bytes, of `left` for both.
    fn length_within(&mut self, length: usize, left: usize) -> Option<()> {
        let most = left.checked_sub(2)?;
        if length > most {
            return None;
        }
        self.one_of((most + 1).min(1 << 16), 16);
        Some(())
    }
}

/// The weight of a string of printable characters.
fn is_printable(text: Text<'_>) -> Option<i32> {
    let weights = text.as_str()?.chars().map(|character| {
        let weight = match character.len_utf8() {
            1 => ASCII,
            2 => BIT,
            3 => 2 * BIT,
            _ => 4 * BIT,
        };
        (!character.is_control()).then_some(weight)
    });
    // Long strings are only checked for forbidden content.
    weights.sum::<Option<i32>>()
}

/// log2 in sixteenths, rounded up: `x` is at most 2^(result/16).
fn log2_above(x: usize) -> i32 {
    let sixteenths = (x.max(1) as f64).log2() * f64::from(BIT);
    // The margin keeps rounding of the logarithm on the safe side.
    (sixteenths - 1e-9).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::samples::{CLEAN, bytes};

    fn bits(sample: &str, direction: Option<Direction>, version: Option<Version>) -> Option<u32> {
        match evidence(bytes(sample), direction, version) {
            Evidence::Plausible { bits, .. } => Some(bits),
            Evidence::NeedMore | Evidence::Impossible => None,
        }
    }

    #[test]
    fn bits_of_some_packets() {
        for (sample, expected) in [
            ("c0 00", 12),
            ("40 02 1234", 12),
            ("90 03 0001 01", 17),
            ("20 02 00 00", 24),
            ("30 0c 0005 'a/b/c' 'hello'", 19),
            ("30 05 0001 'a' 'hi'", 15),
            ("b0 04 0001 00 11", 22),
            ("82 0a 0001 0005 'a/b/c' 00", 29),
        ] {
            assert_eq!(bits(sample, None, None), Some(expected), "{sample}");
        }
    }

    #[test]
    fn nothing_odd_is_plausible() {
        for sample in [
            "00 00",
            "c1 00",
            "c0 80 00",
            "36 05 0001 'a' 0001",
            "38 03 0001 'a'",
            "40 02 0000",
            "30 05 0003 'a' 07 'b'",
            "30 05 0003 'a+b'",
            "30 05 0004 'abc'",
            "30 ffffffff",
            "10 0c 0004 'MQTX' 04 02 0000 0000",
            // The level is not there yet.
            "10 ff7f 0004 'MQTX'",
        ] {
            let found = evidence(bytes(sample), None, None);
            assert_eq!(found, Evidence::Impossible, "{sample}");
        }
    }

    #[test]
    fn direction_and_version_exclude() {
        assert_eq!(bits("c0 00", Some(Direction::Down), None), None);
        assert_eq!(bits("d0 00", Some(Direction::Up), None), None);
        assert_eq!(bits("f0 00", None, Some(Version::V3_1_1)), None);
        assert_eq!(bits("6a 02 0001", None, Some(Version::V3_1_1)), None);
        assert_eq!(bits("6a 02 0001", None, Some(Version::V3_1)), Some(12));
        assert_eq!(bits("e0 01 00", None, Some(Version::V3_1_1)), None);
        let down = Some(Direction::Down);
        assert_eq!(bits("e0 00", down, Some(Version::V3_1_1)), None);
        assert_eq!(bits("e0 00", down, Some(Version::V5)), Some(12));
        let connect = "10 0c 0004 'MQTT' 04 02 0000 0000";
        assert_eq!(bits(connect, None, Some(Version::V5)), Some(59));
        assert_eq!(bits("e0 01 8b", Some(Direction::Down), None), Some(15));
    }

    #[test]
    fn the_version_that_the_content_decides() {
        for (sample, expected) in [
            ("30 05 0001 'a' 'hi'", Some(Version::V3_1_1)),
            ("30 04 0001 'a' 00", None),
            ("6a 02 0001", Some(Version::V3_1)),
            ("62 02 0001", None),
            ("62 03 0001 92", Some(Version::V5)),
            ("10 0d 0004 'MQTT' 05 02 0000 00 0000", Some(Version::V5)),
            (
                "10 10 0006 'MQIsdp' 03 02 000a 0002 'br'",
                Some(Version::V3_1),
            ),
        ] {
            let Evidence::Plausible { version, .. } = evidence(bytes(sample), None, None) else {
                panic!("{sample}")
            };
            assert_eq!(version, expected, "{sample}");
        }
    }

    /// Real packets are found, and no prefix of them is called impossible.
    #[test]
    fn prefixes_of_clean_packets_are_never_impossible() {
        for &(version, sample) in CLEAN {
            let all = bytes(sample);
            let whole = evidence(all, None, Some(version));
            // Legal but unusual: flags that 3.1 does not use, strings that are
            // not UTF-8, a Remaining Length longer than necessary.
            let odd = [
                "11 ",
                "20 02 ff",
                "32 85 80 00",
                "38 04",
                "42 ",
                "8b ",
                "d7 ",
            ];
            let odd = odd.iter().any(|odd| sample.starts_with(odd));
            assert_eq!(whole == Evidence::Impossible, odd, "{sample}");
            if odd {
                continue;
            }
            assert_ne!(whole, Evidence::NeedMore, "{sample}");
            for cut in 0..all.len() {
                let part = evidence(&all[..cut], None, Some(version));
                assert_ne!(part, Evidence::Impossible, "{sample} cut at {cut}");
            }
        }
    }

    #[test]
    fn a_publish_need_not_be_there_to_its_end() {
        let found = evidence(bytes("30 ffff7f 0003 'a/b' 'and so on'"), None, None);
        let Evidence::Plausible { packet_len, .. } = found else {
            panic!("{found:?}")
        };
        assert_eq!(packet_len, 4 + 0x1f_ffff);
        assert_eq!(
            evidence(bytes("30 ffff7f 0003 'a/'"), None, None),
            Evidence::NeedMore
        );
    }

    /// Xorshift: the same bytes on every run.
    fn random(seed: u64, bytes: &mut [u8]) {
        let mut state = seed;
        for chunk in bytes.chunks_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            let (word, _) = word.split_at(chunk.len());
            chunk.copy_from_slice(word);
        }
    }

    /// Verifies the model: on random bytes, `b` bits are reached at most in 2^-b of the
    /// positions.
    #[test]
    fn random_bytes_reach_few_bits() {
        const PLACES: usize = 2_000_000;
        let mut bytes = vec![0; PLACES + 4096];
        random(0x9e37_79b9_7f4a_7c15, &mut bytes);
        let mut reached = [0_u32; 128];
        for place in 0..PLACES {
            let window = &bytes[place..place + 4096];
            if let Evidence::Plausible { bits, .. } = evidence(window, None, None) {
                reached[bits as usize] += 1;
            }
        }
        for bits in 4..=16 {
            let count: u32 = reached[bits..].iter().sum();
            let rate = f64::from(count) / PLACES as f64;
            let bound = 0.5_f64.powi(bits as i32);
            assert!(
                rate <= bound,
                "{bits} bits: {count} places, {}",
                rate / bound
            );
        }
        assert!(
            reached.iter().sum::<u32>() > 100,
            "some positions have evidence"
        );
    }
}
