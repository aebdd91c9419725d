//! Recognises the protocol of a connection by its first bytes.
//!
//! On a port that is not MQTT's, a connection has to start with a CONNECT with
//! a valid protocol name and level, which are eight bytes at fixed offsets that
//! no other protocol starts with, or with a layer that may carry it. On a port
//! of MQTT, anything that could be a control packet counts as one, because a
//! wrong one should be shown.

use crate::direction::Direction;
use crate::event::NotMqtt;
use crate::flow::{End, PerEnd};
use crate::layer::pending::Pending;
use crate::layer::{self, ByteRange, Chunk, LAYERS, LayerType, tls, websocket};
use crate::mqtt::plausible::{self, Evidence};
use crate::mqtt::varint::{self, Varint};
use crate::mqtt::{PacketType, Resync, Version};

/// Protocol of some first bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// MQTT.
    Mqtt,
    /// Something else.
    No,
    /// Too few bytes to recognise it.
    More,
}

/// Too few bytes to recognise anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooFew;

/// The layer that the first bytes of one side belong to, if any.
pub(super) fn carrier(
    bytes: &[u8],
    direction: Direction,
) -> Result<Option<&'static LayerType>, TooFew> {
    let mut few = false;
    for layer in LAYERS {
        let answer = match direction {
            Direction::Up => (layer.opens)(bytes),
            Direction::Down => layer
                .answers
                .map_or(layer::Answer::No, |begins| begins(bytes)),
        };
        match answer {
            layer::Answer::Yes => return Ok(Some(layer)),
            layer::Answer::More => few = true,
            layer::Answer::No => {}
        }
    }
    match few {
        true => Err(TooFew),
        false => Ok(None),
    }
}

/// Whether bytes start with a CONNECT of MQTT 3.1, 3.1.1 or 5.0.
pub(super) fn connect(bytes: &[u8]) -> Answer {
    let Some((&first, rest)) = bytes.split_first() else {
        return Answer::More;
    };
    if first >> 4 != 1 {
        return Answer::No;
    }
    let body = match varint::decode(rest) {
        Varint::Value { bytes, .. } => &rest[usize::from(bytes)..],
        Varint::Incomplete => return Answer::More,
        Varint::Malformed => return Answer::No,
    };
    let mut answer = Answer::No;
    for name in [&b"\x00\x04MQTT"[..], b"\x00\x06MQIsdp"] {
        let common = name.len().min(body.len());
        if body[..common] != name[..common] {
            continue;
        }
        answer = match body.get(name.len()) {
            None => Answer::More,
            Some(&level) if Version::from_level(level).is_some() => Answer::Mqtt,
            Some(_) => Answer::No,
        };
    }
    answer
}

/// Whether the first bytes that one side of a connection on an MQTT port sent
/// can be MQTT.
pub(super) fn on_known_port(bytes: &[u8], direction: Direction) -> Answer {
    let (Some(&first), second) = (bytes.first(), bytes.get(1)) else {
        return Answer::More;
    };
    match (connect(bytes), second) {
        (_, Some(3)) if first == 0x16 => Answer::No,
        (answer @ (Answer::Mqtt | Answer::More), _) => answer,
        // A CONNECT of another name or level, and a CONNACK of any contents,
        // are shown with their defects.
        (Answer::No, _) if direction == Direction::Up && first >> 4 == 1 => odd_connect(bytes),
        (Answer::No, None) => Answer::More,
        (Answer::No, _) if direction == Direction::Down && first == 0x20 => connack(bytes),
        (Answer::No, _) => match plausible::evidence(bytes, Some(direction), None) {
            Evidence::NeedMore => Answer::More,
            Evidence::Plausible { bits, .. } if bits >= 12 => Answer::Mqtt,
            Evidence::Plausible { .. } | Evidence::Impossible => {
                broken_but_framed(bytes, direction)
            }
        },
    }
}

/// A CONNACK with any content. Before 5.0 its length may have more bytes than necessary
/// (2.2.3).
fn connack(bytes: &[u8]) -> Answer {
    match varint::decode(&bytes[1..]) {
        Varint::Value { value: 2.., .. } => Answer::Mqtt,
        Varint::Incomplete => Answer::More,
        Varint::Value { .. } | Varint::Malformed => Answer::No,
    }
}

/// A CONNECT with another protocol name, printable and short; or with a valid
/// name after a wrong length, as from a client that writes the length in the
/// byte order of its machine.
fn odd_connect(bytes: &[u8]) -> Answer {
    let (length, body) = match varint::decode(&bytes[1..]) {
        Varint::Value { value, bytes: n } => (value as usize, &bytes[1 + usize::from(n)..]),
        Varint::Incomplete => return Answer::More,
        // A length without end is a CONNECT that cannot be framed.
        Varint::Malformed => return Answer::Mqtt,
    };
    let Some(&[high, low]) = body.first_chunk::<2>() else {
        return Answer::More;
    };
    for name in [&b"MQTT"[..], b"MQIsdp"] {
        let here = body.get(2..).unwrap_or_default();
        let common = name.len().min(here.len());
        match here[..common] == name[..common] {
            true if common < name.len() => return Answer::More,
            true => return Answer::Mqtt,
            false => {}
        }
    }
    let name_len = usize::from(u16::from_be_bytes([high, low]));
    if name_len > 16 || name_len + 8 > length {
        return Answer::No;
    }
    match body.get(2..2 + name_len) {
        None => Answer::More,
        Some(name) if name.iter().all(u8::is_ascii_graphic) => Answer::Mqtt,
        Some(_) => Answer::No,
    }
}

/// A packet with defects, but framed as MQTT frames: a legal type and flags
/// for its direction, alone in its segment or followed by more of the kind.
fn broken_but_framed(bytes: &[u8], direction: Direction) -> Answer {
    let Varint::Value { value, bytes: n } = varint::decode(&bytes[1..]) else {
        return Answer::No;
    };
    let up = direction == Direction::Up;
    let whole = 1 + usize::from(n) + value as usize == bytes.len();
    let flags = bytes[0] & 0x0f;
    let fits = match bytes[0] >> 4 {
        3 => flags & 6 != 6,
        6 | 8 | 10 => flags == 2 && (up || bytes[0] >> 4 == 6),
        4 | 5 | 7 => flags == 0,
        9 | 11 | 13 => flags == 0 && !up,
        12 | 14 => flags == 0 && up,
        _ => false,
    };
    // Text protocols start with letters, which are 0x4 to 0x7 here.
    let text = bytes
        .iter()
        .take(8)
        .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace());
    if whole && fits && !text {
        Answer::Mqtt
    } else {
        Answer::No
    }
}

/// What bytes that are not MQTT look like, for the message.
pub(super) fn looks_like(bytes: &[u8]) -> NotMqtt {
    match bytes {
        _ if websocket::is_http2(bytes) => NotMqtt::Http2,
        [0x16, 3, ..] => NotMqtt::Tls,
        [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', ..]
        | [b'H', b'T', b'T', b'P', ..] => NotMqtt::Http,
        [b'P', b'R', b'O', b'X', b'Y', b' ', ..] | [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, ..] => {
            NotMqtt::Proxy
        }
        _ => NotMqtt::NoControlPacket,
    }
}

/// Protocol of the first bytes of a connection on another port.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    /// MQTT; this end sent the CONNECT.
    Mqtt(End),
    /// A layer that may carry it; this end opened it.
    Layer(&'static LayerType, End),
    /// MQTT without its beginning; this end sent a control packet of this type.
    Joined(End, PacketType),
    /// Something else.
    Nothing,
    /// Too few bytes to recognise it.
    More,
}

/// The first bytes of a connection on another port, or within a layer, until
/// the protocol of one side is recognised. A CONNACK may have been captured
/// before its CONNECT, and the client's opening of a layer may be lost: then
/// the answer decides.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    /// By end.
    pending: PerEnd<Pending>,
    /// Chunks in order of arrival.
    order: Vec<Came>,
    /// By end, whether bytes are lost that it began with.
    lost: PerEnd<bool>,
    /// By end, a gap of unknown length before its first byte: not reported if no byte
    /// follows.
    gaps: PerEnd<Option<ByteRange>>,
    /// By end, the search for control packets at the starts of segments, of a
    /// connection without its beginning.
    searches: Option<Box<PerEnd<Resync>>>,
}

#[derive(Clone, Copy, Debug)]
enum Came {
    Data(End),
    Gap(End, ByteRange, Option<u64>),
}

/// Maximum number of pending chunks of a connection without its beginning.
const LONGEST_CHUNKS: usize = 64;
/// Maximum number of pending bytes; an HTTP request fits.
const LONGEST: usize = 16 << 10;

impl Prefix {
    /// For a connection on another port whose beginning the capture does not have: it is
    /// recognised by the evidence that finds MQTT after a gap.
    pub(super) fn joined() -> Self {
        Self {
            searches: Some(Box::new(PerEnd {
                a: Resync::at_segments(),
                b: Resync::at_segments(),
            })),
            ..Self::default()
        }
    }

    /// Takes what one side sends next.
    pub(super) fn push(&mut self, from: End, chunk: Chunk<'_>) -> Found {
        let found = self.push_first(from, chunk);
        let Some(searches) = &mut self.searches else {
            return found;
        };
        if !matches!(found, Found::Nothing | Found::More) {
            return found;
        }
        let search = &mut searches[from];
        match chunk {
            Chunk::Data(data) => search.data(data.bytes, None, None),
            Chunk::Gap { .. } => search.gap(),
        }
        if let Some(found) = search.found_type() {
            return Found::Joined(from, found);
        }
        let kept: usize = self.pending.iter().map(|it| it.bytes().len()).sum();
        match kept < LONGEST && self.order.len() < LONGEST_CHUNKS {
            true => Found::More,
            false => Found::Nothing,
        }
    }

    /// The end of a connection without its beginning: what it is, and the evidence in
    /// bits that all of it is whole control packets.
    pub(super) fn joined_at_end(&mut self) -> Option<(Found, u32)> {
        let searches = self.searches.as_deref_mut()?;
        let of = |end: End, search: &mut Resync| {
            search.end(false);
            let bits = search.whole_bits().unwrap_or(0);
            let found = search.found_type();
            (
                found.map_or(Found::Nothing, |it| Found::Joined(end, it)),
                bits,
            )
        };
        let a = of(End::A, &mut searches.a);
        let b = of(End::B, &mut searches.b);
        Some(match (a.0, b.0) {
            (Found::Nothing, found) => (found, a.1 + b.1),
            (found, _) => (found, a.1 + b.1),
        })
    }

    fn push_first(&mut self, from: End, chunk: Chunk<'_>) -> Found {
        let pending = &mut self.pending[from];
        let gap = &mut self.gaps[from];
        match chunk {
            Chunk::Data(data) => {
                if let Some(range) = gap.take() {
                    self.order.push(Came::Gap(from, range, None));
                }
                self.order.push(Came::Data(from));
                pending.push(data);
            }
            Chunk::Gap { range, len: None } if pending.is_empty() && !self.lost[from] => {
                let start = gap.map_or(range.start, |gap| gap.start);
                *gap = Some(ByteRange { start, ..range });
            }
            Chunk::Gap { range, len } => {
                self.order.push(Came::Gap(from, range, len));
                self.lost[from] |= len != Some(0);
            }
        }
        self.look()
    }

    fn look(&self) -> Found {
        let mut undecided = true;
        for end in End::ALL {
            let bytes = self.pending[end].bytes();
            let waits = match self.lost[end] {
                // Bytes after a gap do not show the protocol before it.
                true => !self.lost[end.peer()],
                false => match self.side(end) {
                    Ok(Some(found)) => return found,
                    Ok(None) => false,
                    Err(TooFew) => true,
                },
            };
            undecided &= waits && bytes.len() <= LONGEST;
        }
        match undecided {
            true => Found::More,
            false => Found::Nothing,
        }
    }

    /// Protocol of the bytes of one side.
    fn side(&self, end: End) -> Result<Option<Found>, TooFew> {
        let bytes = self.pending[end].bytes();
        let answer = connect(bytes);
        if answer == Answer::Mqtt {
            return Ok(Some(Found::Mqtt(end)));
        }
        let (opens, answers) = (
            carrier(bytes, Direction::Up),
            carrier(bytes, Direction::Down),
        );
        if let Ok(Some(carrier)) = opens {
            return Ok(Some(Found::Layer(carrier, end)));
        }
        if let Ok(Some(carrier)) = answers {
            return Ok(Some(Found::Layer(carrier, end.peer())));
        }
        let may_answer = begins_like_connack(bytes) || websocket::answers_http2(bytes);
        let waits = may_answer && !self.lost[end.peer()];
        match answer == Answer::More || opens.is_err() || answers.is_err() || waits {
            true => Err(TooFew),
            false => Ok(None),
        }
    }

    /// The layer that the bytes of one side start with, if any.
    pub(super) fn carrier(
        &self,
        from: End,
        direction: Direction,
    ) -> Result<Option<&'static LayerType>, TooFew> {
        carrier(self.pending[from].bytes(), direction)
    }

    /// Whether the bytes of one side, on a connection captured from the middle
    /// on a port of TLS, are plain MQTT: not if a segment starts like a TLS
    /// record, and only by evidence that is sufficient for resynchronisation.
    /// `None` if more bytes are needed.
    pub(super) fn look_for_mqtt(&self, from: End, direction: Direction) -> Option<bool> {
        let pending = &self.pending[from];
        let mut search = Resync::default();
        for chunk in pending.chunks() {
            if tls::begins_record(chunk.bytes) {
                return Some(false);
            }
            search.data(chunk.bytes, Some(direction), None);
        }
        match search.is_found() {
            true => Some(true),
            false if pending.bytes().len() > LONGEST => Some(false),
            false => None,
        }
    }

    /// Its memory.
    pub(super) fn kept(&self) -> usize {
        let searches = self.searches.iter().flat_map(|searches| searches.iter());
        let searches: usize = searches.map(Resync::kept).sum();
        let pending: usize = self.pending.iter().map(Pending::kept).sum();
        searches + pending + self.order.capacity() * size_of::<Came>()
    }

    /// Nothing was received yet.
    pub(super) fn is_empty(&self) -> bool {
        self.pending.iter().all(Pending::is_empty)
    }

    /// Whether an end, or the one that opens a layer, was not captured from its start.
    pub(super) fn is_joined(&self, from: End) -> bool {
        let has_hole = |came: &Came| matches!(came, Came::Gap(end, ..) if *end == from);
        self.lost.iter().any(|&lost| lost)
            || self.gaps[from].is_some()
            || self.order.iter().any(has_hole)
    }

    /// Whether one side starts as HTTP/2 does.
    pub(super) fn is_http2(&self) -> bool {
        let mut pending = self.pending.iter();
        pending.any(|pending| websocket::is_http2(pending.bytes()))
    }

    /// Repeats the pending chunks, in order of arrival.
    pub(super) fn replay(&self, mut out: impl FnMut(End, Chunk<'_>)) {
        let (mut a, mut b) = (self.pending.a.chunks(), self.pending.b.chunks());
        for &came in &self.order {
            match came {
                Came::Gap(from, range, len) => out(from, Chunk::Gap { range, len }),
                Came::Data(from) => {
                    let next = match from {
                        End::A => a.next(),
                        End::B => b.next(),
                    };
                    if let Some(data) = next {
                        out(from, Chunk::Data(data));
                    }
                }
            }
        }
    }

    /// Reports gaps after which nothing was received.
    pub(super) fn replay_gaps(&self, mut out: impl FnMut(End, Chunk<'_>)) {
        for end in End::ALL {
            if let Some(range) = self.gaps[end] {
                out(end, Chunk::Gap { range, len: None });
            }
        }
    }
}

/// Type CONNACK, a Remaining Length, and acknowledge flags.
fn begins_like_connack(bytes: &[u8]) -> bool {
    matches!(bytes, [0x20] | [0x20, 2..=127] | [0x20, 2..=127, 0..=1, ..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_is_known_by_its_name_and_level() {
        for (bytes, answer) in [
            (&b"\x10\x12\x00\x04MQTT\x04\x02"[..], Answer::Mqtt),
            (b"\x10\x12\x00\x06MQIsdp\x03", Answer::Mqtt),
            (b"\x10\x12\x00\x06MQIsdp\x83", Answer::Mqtt),
            (b"\x10\xff\x01\x00\x04MQTT\x05", Answer::Mqtt),
            (b"\x10\x12\x00\x04MQTT\x07", Answer::No),
            (b"\x10\x12\x00\x04MQTX\x04", Answer::No),
            (b"\x16\x03\x01\x02\x00", Answer::No),
            (b"GET / HTTP/1.1\r\n", Answer::No),
            (b"", Answer::More),
        ] {
            assert_eq!(connect(bytes), answer, "{bytes:x?}");
        }
        let whole = b"\x10\xff\x01\x00\x06MQIsdp\x03";
        for len in 0..whole.len() {
            assert_eq!(connect(&whole[..len]), Answer::More, "{len} bytes");
        }
    }
}
