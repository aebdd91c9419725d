//! Strings from the wire: UTF-8 by the specification, any bytes in reality.

use std::borrow::Cow;
use std::fmt;

use super::defect::DefectCode;

/// A UTF-8 Encoded String (5.0: 1.5.4) as its bytes were, valid or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Text<'a>(pub &'a [u8]);

/// Why bytes are not a UTF-8 Encoded String.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TextFault {
    /// Not UTF-8 (overlong forms and surrogates included) from this byte on.
    BadUtf8 {
        /// Bytes before it.
        at: usize,
    },
    /// The null character U+0000, which strings must not contain.
    Nul {
        /// Bytes before it.
        at: usize,
    },
}

impl<'a> Text<'a> {
    /// The bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Whether it is printable ASCII alone, as nearly all are.
    pub fn is_printable(self) -> bool {
        const ONES: u64 = u64::MAX / 255;
        has_none(self.0, |word| {
            let controls = word.wrapping_sub(ONES * 0x20);
            word | controls | (word ^ (ONES * 0x7f)).wrapping_sub(ONES)
        })
    }

    /// The string, if it is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// The string with U+FFFD for bytes that are not UTF-8.
    pub fn lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }

    /// The first violation of UTF-8 Encoded Strings. Control characters and
    /// non-characters, which are only discouraged, are not violations.
    #[inline]
    pub fn fault(self) -> Option<TextFault> {
        // One pass without branches is sufficient for nearly every string.
        let (high, nul) = self.0.iter().fold((0, false), |(high, nul), &byte| {
            (high | byte, nul | (byte == 0))
        });
        if high < 0x80 && !nul {
            return None;
        }
        self.slow_fault()
    }

    #[cold]
    fn slow_fault(self) -> Option<TextFault> {
        let nul = self.0.iter().position(|&byte| byte == 0);
        let bad = std::str::from_utf8(self.0)
            .err()
            .map(|error| error.valid_up_to());
        match (bad, nul) {
            (Some(bad), Some(nul)) if nul < bad => Some(TextFault::Nul { at: nul }),
            (Some(at), _) => Some(TextFault::BadUtf8 { at }),
            (None, Some(at)) => Some(TextFault::Nul { at }),
            (None, None) => None,
        }
    }
}

/// Whether `odd` finds nothing among the bytes: it sets the high bit of those of
/// a word that it looks for, and may set those of others, which only costs time.
///
/// Eight bytes at a time, the last eight again: 200 instructions less for a
/// topic than a look at each byte.
#[inline]
pub(super) fn has_none(bytes: &[u8], odd: impl Fn(u64) -> u64) -> bool {
    const HIGH: u64 = (u64::MAX / 255) << 7;
    let of = |word: &[u8; 8]| odd(u64::from_le_bytes(*word));
    let found = match bytes.last_chunk::<8>() {
        Some(last) => {
            let words = bytes.as_chunks::<8>().0;
            words.iter().fold(of(last), |found, word| found | of(word))
        }
        None => {
            let mut word = [b'a'; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            of(&word)
        }
    };
    found & HIGH == 0
}

impl TextFault {
    /// The code of the defect it makes.
    pub const fn code(self) -> DefectCode {
        match self {
            Self::BadUtf8 { .. } => DefectCode::BadUtf8,
            Self::Nul { .. } => DefectCode::NulInString,
        }
    }

    /// Bytes of the string before the fault.
    pub const fn at(self) -> usize {
        match self {
            Self::BadUtf8 { at } | Self::Nul { at } => at,
        }
    }
}

impl fmt::Display for TextFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadUtf8 { at } => write!(f, "not UTF-8 from byte {at} on"),
            Self::Nul { at } => write!(f, "U+0000 at byte {at}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults() {
        let bad = |at| Some(TextFault::BadUtf8 { at });
        let nul = |at| Some(TextFault::Nul { at });
        for (bytes, fault) in [
            (&b"plain"[..], None),
            (b"", None),
            ("\u{7f}\u{feff}\u{ffff}ü😀".as_bytes(), None),
            (b"a\0b", nul(1)),
            (b"ab\xff", bad(2)),
            (b"a\xc0\x80", bad(1)),    // U+0000, overlong
            (b"\xed\xa0\x80", bad(0)), // a surrogate
            (b"x\xe2\x82", bad(1)),    // cut
            (b"\0\xff", nul(0)),
            (b"\xff\0", bad(0)),
        ] {
            assert_eq!(Text(bytes).fault(), fault, "{bytes:02x?}");
        }
    }
}
