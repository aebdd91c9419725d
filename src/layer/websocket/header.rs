//! The header of a WebSocket frame (RFC 6455, 5.2).
//!
//! ```text
//! |F|R R R|opcode| |M| length 7 | [length 16 or 64] | [masking key 32] |
//! ```
//! A length of 126 or 127 means that the real one follows in two or eight bytes.
//! Whatever the bytes are, they are read; errors in them are for others.

use nom::IResult;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u64};

/// A frame's header as it was on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameHeader {
    first: u8,
    /// Bytes that the length took besides the seven bits: 0, 2 or 8.
    extended: u8,
    /// Bytes of payload.
    pub(super) len: u64,
    /// Key that masks the payload, if it is masked.
    pub(super) key: Option<[u8; 4]>,
}

/// Kind of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Text,
    Binary,
    Close,
    Ping,
    Pong,
    Reserved,
}

impl FrameHeader {
    /// Reads the header that `bytes` begin with, if it is there to its end.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        frame_header(bytes).ok().map(|(_, header)| header)
    }

    /// Bytes of the header itself.
    pub(super) const fn header_len(self) -> usize {
        let key = if self.key.is_some() { 4 } else { 0 };
        2 + self.extended as usize + key
    }

    pub(super) const fn is_final(self) -> bool {
        self.first & 0x80 != 0
    }

    /// The bit that permessage-deflate uses.
    pub(super) const fn rsv1(self) -> bool {
        self.first & 0x40 != 0
    }

    /// The two reserved bits.
    pub(super) const fn rsv23(self) -> bool {
        self.first & 0x30 != 0
    }

    pub(super) const fn opcode(self) -> Opcode {
        match self.first & 0x0f {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => Opcode::Reserved,
        }
    }

    /// Whether it is one that may stand between the frames of a message.
    pub(super) const fn is_control(self) -> bool {
        self.first & 0x08 != 0
    }

    /// Whether the length takes as few bytes as it can.
    pub(super) const fn is_minimal(self) -> bool {
        match self.extended {
            0 => true,
            2 => self.len > 125,
            _ => self.len > 0xffff,
        }
    }
}

fn frame_header(input: &[u8]) -> IResult<&[u8], FrameHeader> {
    let (rest, (first, second)) = (be_u8, be_u8).parse(input)?;
    let (rest, extended, len) = match second & 0x7f {
        126 => be_u16(rest).map(|(rest, len)| (rest, 2, u64::from(len)))?,
        127 => be_u64(rest).map(|(rest, len)| (rest, 8, len))?,
        len => (rest, 0, u64::from(len)),
    };
    let (rest, key) = match second & 0x80 {
        0 => (rest, None),
        _ => take(4_usize)(rest).map(|(rest, key): (_, &[u8])| (rest, key.first_chunk()))?,
    };
    let key = key.copied();
    let header = FrameHeader {
        first,
        extended,
        len,
        key,
    };
    Ok((rest, header))
}

/// Masks or unmasks bytes that begin `phase` bytes into a payload: the same
/// thing (RFC 6455, 5.3).
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4], phase: u64) {
    let mut turned = key;
    turned.rotate_left((phase % 4) as usize);
    let mut words = bytes.chunks_exact_mut(4);
    for word in &mut words {
        for (byte, key) in word.iter_mut().zip(turned) {
            *byte ^= key;
        }
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(turned) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_length_and_every_cut() {
        for (bytes, len, header_len, minimal) in [
            (&b"\x82\x05"[..], 5, 2, true),
            (b"\x82\x7e\x00\x7e", 126, 4, true),
            (b"\x82\x7e\x00\x7d", 125, 4, false),
            (b"\x82\x7f\0\0\0\0\0\x01\0\0", 65536, 10, true),
            (b"\x82\x7f\0\0\0\0\0\0\xff\xff", 65535, 10, false),
            (b"\x82\x85\x01\x02\x03\x04", 5, 6, true),
            (
                b"\x82\xff\0\0\0\0\0\x01\0\0\x01\x02\x03\x04",
                65536,
                14,
                true,
            ),
        ] {
            let header = FrameHeader::read(bytes).unwrap();
            assert_eq!(header.len, len, "{bytes:x?}");
            assert_eq!(header.header_len(), header_len, "{bytes:x?}");
            assert_eq!(header.is_minimal(), minimal, "{bytes:x?}");
            for cut in 0..bytes.len() {
                assert_eq!(FrameHeader::read(&bytes[..cut]), None, "{bytes:x?}");
            }
        }
    }

    #[test]
    fn masking_goes_on_where_it_was() {
        let clear: Vec<u8> = (0..50).collect();
        let mut whole = clear.clone();
        mask(&mut whole, [0x37, 0xfa, 0x21, 0x3d], 0);
        // RFC 6455, 5.7: a masked "Hello".
        let mut hello = *b"Hello";
        mask(&mut hello, [0x37, 0xfa, 0x21, 0x3d], 0);
        assert_eq!(hello, [0x7f, 0x9f, 0x4d, 0x51, 0x58]);
        for cut in 0..whole.len() {
            let mut parts = clear.clone();
            let (before, after) = parts.split_at_mut(cut);
            mask(before, [0x37, 0xfa, 0x21, 0x3d], 0);
            mask(after, [0x37, 0xfa, 0x21, 0x3d], cut as u64);
            assert_eq!(parts, whole, "{cut}");
        }
    }
}
