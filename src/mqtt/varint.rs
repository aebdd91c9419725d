//! Variable Byte Integers (5.0: 1.5.5; 3.1.1: 2.2.3): Remaining Length,
//! Property Length, Property and Subscription Identifiers.
//!
//! Seven bits a byte, the least significant group first, the top bit meaning
//! that another byte follows, four bytes at most:
//!
//! ```text
//! 321 = 65 + 2 × 128   →   C1 02
//! ```
//!
//! Whether a longer form than necessary is allowed is decided by the caller:
//! 5.0 forbids it, 3.1 and 3.1.1 do not.

use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult};

/// The largest value, 268,435,455 (`FF FF FF 7F`).
pub const MAX: u32 = 0x0fff_ffff;

/// Result of decoding at the start of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Varint {
    /// A whole integer.
    Value {
        /// The value, 0 to [`MAX`].
        value: u32,
        /// The bytes it took, 1 to 4.
        bytes: u8,
    },
    /// The bytes end before the integer does.
    Incomplete,
    /// A fourth byte with the continuation bit: invalid, whatever follows.
    Malformed,
}

/// Decodes the integer at the start of `bytes`. Call it again with more bytes after
/// [`Varint::Incomplete`].
#[inline]
pub fn decode(bytes: &[u8]) -> Varint {
    // Nearly all of them are below 128.
    if let Some(&value @ 0..=0x7f) = bytes.first() {
        return Varint::Value {
            value: value.into(),
            bytes: 1,
        };
    }
    decode_long(bytes)
}

fn decode_long(bytes: &[u8]) -> Varint {
    let mut value = 0;
    for (taken, &byte) in (1..=4).zip(bytes) {
        value |= u32::from(byte & 0x7f) << (7 * (taken - 1));
        if byte & 0x80 == 0 {
            return Varint::Value {
                value,
                bytes: taken as u8,
            };
        }
    }
    if bytes.len() < 4 {
        Varint::Incomplete
    } else {
        Varint::Malformed
    }
}

/// Bytes of the shortest form of `value`: a form of more bytes is overlong.
pub const fn len(value: u32) -> u8 {
    match value {
        0..=0x7f => 1,
        0x80..=0x3fff => 2,
        0x4000..=0x1f_ffff => 3,
        _ => 4,
    }
}

/// Appends the shortest form of `value`; values above [`MAX`] are truncated.
pub fn encode(value: u32, out: &mut Vec<u8>) {
    let mut rest = value & MAX;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// [`decode`] as a parser. A malformed integer is an error of kind
/// `TooLarge`, too few bytes one of kind `Eof`.
#[inline]
pub(super) fn varint<'a, E: ParseError<&'a [u8]>>(input: &'a [u8]) -> IResult<&'a [u8], u32, E> {
    let kind = match decode(input) {
        Varint::Value { value, bytes } => match input.get(usize::from(bytes)..) {
            Some(rest) => return Ok((rest, value)),
            None => ErrorKind::Eof,
        },
        Varint::Incomplete => ErrorKind::Eof,
        Varint::Malformed => ErrorKind::TooLarge,
    };
    Err(Err::Error(E::from_error_kind(input, kind)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_of_every_size() {
        for (value, form) in [
            (0, &[0x00][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (321, &[0xc1, 0x02]),
            (16_383, &[0xff, 0x7f]),
            (16_384, &[0x80, 0x80, 0x01]),
            (2_097_151, &[0xff, 0xff, 0x7f]),
            (2_097_152, &[0x80, 0x80, 0x80, 0x01]),
            (MAX, &[0xff, 0xff, 0xff, 0x7f]),
        ] {
            let mut out = Vec::new();
            encode(value, &mut out);
            assert_eq!(out, form, "{value}");
            let bytes = form.len() as u8;
            assert_eq!(decode(form), Varint::Value { value, bytes });
            assert_eq!(len(value), bytes);
        }
    }

    #[test]
    fn overlong_forms_have_their_value() {
        let (value, bytes) = (0, 2);
        assert_eq!(decode(&[0x80, 0x00]), Varint::Value { value, bytes });
        assert!(bytes > len(value));
    }

    #[test]
    fn a_fifth_byte_is_never_read() {
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), Varint::Malformed);
        assert_eq!(decode(&[0x80, 0x80, 0x80, 0x80, 0x01]), Varint::Malformed);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(value in 0..=MAX, more in any::<Vec<u8>>()) {
            let mut out = Vec::new();
            encode(value, &mut out);
            let bytes = out.len();
            for cut in 0..bytes {
                prop_assert_eq!(decode(&out[..cut]), Varint::Incomplete);
            }
            out.extend(more);
            prop_assert_eq!(decode(&out), Varint::Value { value, bytes: bytes as u8 });
        }
    }
}
