//! What the first bytes of a connection say about what it carries.
//!
//! On a port that is not known to carry MQTT only a CONNECT with the right
//! protocol name and a known level will do: eight bytes at fixed places, which
//! no other protocol begins with. On a known port anything that could be a
//! control packet is taken for one, because a wrong one is worth showing.

use crate::flow::{At, End, StreamEvent};
use crate::mqtt::Version;
use crate::mqtt::plausible::{self, Evidence};
use crate::mqtt::varint::{self, Varint};

/// What some first bytes are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// MQTT.
    Mqtt,
    /// Something else.
    No,
    /// Too few bytes to tell.
    More,
}

/// Whether bytes begin with a CONNECT of MQTT 3.1, 3.1.1 or 5.0.
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
pub(super) fn on_known_port(bytes: &[u8], up: bool) -> Answer {
    let (Some(&first), second) = (bytes.first(), bytes.get(1)) else {
        return Answer::More;
    };
    match (connect(bytes), second) {
        (_, Some(3)) if first == 0x16 => Answer::No,
        (answer @ (Answer::Mqtt | Answer::More), _) => answer,
        // A CONNECT of another name or level, and a CONNACK of any contents,
        // are shown with their defects.
        (Answer::No, _) if up && first >> 4 == 1 => odd_connect(bytes),
        (Answer::No, None) => Answer::More,
        (Answer::No, Some(2..=127)) if !up && first == 0x20 => Answer::Mqtt,
        (Answer::No, _) => match plausible::evidence(bytes, Some(up), None) {
            Evidence::NeedMore => Answer::More,
            Evidence::Plausible { bits, .. } if bits >= 12 => Answer::Mqtt,
            Evidence::Plausible { .. } | Evidence::Impossible => broken_but_framed(bytes, up),
        },
    }
}

/// A CONNECT with a protocol name of its own: something printable and short.
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
fn broken_but_framed(bytes: &[u8], up: bool) -> Answer {
    let Varint::Value { value, bytes: n } = varint::decode(&bytes[1..]) else {
        return Answer::No;
    };
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
    // Text protocols begin with letters, which are 0x4 to 0x7 here.
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
pub(super) fn looks_like(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x16, 3, ..] => "this looks like TLS",
        [b'G', b'E', b'T', b' ', ..]
        | [b'P', b'O', b'S', b'T', ..]
        | [b'H', b'T', b'T', b'P', ..] => "this looks like HTTP",
        [b'P', b'R', b'O', b'X', b'Y', b' ', ..] | [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, ..] => {
            "this looks like the PROXY protocol"
        }
        _ => "the first bytes are no MQTT control packet",
    }
}

/// The first bytes of a connection on a port that says nothing, until it is
/// clear whether one side's are a CONNECT. A CONNACK may have been captured
/// before the CONNECT that it answers.
#[derive(Debug, Default)]
pub(super) struct Prefix {
    /// By end.
    bytes: [Vec<u8>; 2],
    /// From whom, position, length.
    pieces: Vec<(End, u64, usize, At)>,
}

/// Most bytes that are held while nothing is clear.
const LONGEST: usize = 4096;

impl Prefix {
    /// Takes what the connection says next. MQTT is told with who sent the
    /// CONNECT.
    pub(super) fn push(&mut self, from: End, event: StreamEvent<'_>) -> (Answer, End) {
        let StreamEvent::Data { offset, bytes, at } = event else {
            return match event {
                StreamEvent::Gap { .. } => (Answer::No, from),
                _ => (Answer::More, from),
            };
        };
        self.pieces.push((from, offset, bytes.len(), at));
        self.bytes[from.index()].extend_from_slice(bytes);
        let mut undecided = true;
        for end in [End::A, End::B] {
            let bytes = &self.bytes[end.index()];
            match connect(bytes) {
                Answer::Mqtt => return (Answer::Mqtt, end),
                Answer::More => {}
                Answer::No => undecided &= begins_like_connack(bytes) && bytes.len() <= LONGEST,
            }
        }
        let answer = if undecided { Answer::More } else { Answer::No };
        (answer, from)
    }

    /// Tells again what was held.
    pub(super) fn replay(&self, mut out: impl FnMut(End, StreamEvent<'_>)) {
        let mut rest = [self.bytes[0].as_slice(), self.bytes[1].as_slice()];
        for &(from, offset, len, at) in &self.pieces {
            let (bytes, after) = rest[from.index()].split_at(len);
            rest[from.index()] = after;
            out(from, StreamEvent::Data { offset, bytes, at });
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
