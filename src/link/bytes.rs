//! A slice of a packet: its captured bytes, and its length on the wire.
//!
//! Every header decoder takes one and returns the part after its header. The two
//! lengths differ if a snap length was applied:
//!
//! ```text
//! |<------- captured ------->|
//! |<---------------- wire ----------------->|
//! ```
//!
//! Reading past `captured` but within `wire` is [`Stop::Cut`]: the capture's
//! fault. Reading past `wire` is [`Stop::Malformed`]: the sender's.

use super::Stop;

/// Part of a packet. `captured` is never longer than `wire`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bytes<'a> {
    captured: &'a [u8],
    wire: usize,
}

impl<'a> Bytes<'a> {
    /// `captured`, which were the first of `wire` bytes.
    pub(crate) fn new(captured: &'a [u8], wire: usize) -> Self {
        Self {
            captured,
            wire: wire.max(captured.len()),
        }
    }

    /// The bytes that were captured.
    pub(crate) fn captured(self) -> &'a [u8] {
        self.captured
    }

    /// Bytes there were on the wire.
    pub(crate) fn wire(self) -> usize {
        self.wire
    }

    /// Bytes on the wire that were not captured.
    pub(crate) fn cut(self) -> usize {
        self.wire - self.captured.len()
    }

    /// The first `len` bytes.
    #[inline]
    pub(crate) fn first(self, len: usize) -> Result<&'a [u8], Stop> {
        self.captured.get(..len).ok_or_else(|| self.lacks(len))
    }

    /// The `N` bytes at `at`.
    #[inline]
    pub(crate) fn array<const N: usize>(self, at: usize) -> Result<[u8; N], Stop> {
        self.captured
            .get(at..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or_else(|| self.lacks(at.saturating_add(N)))
    }

    /// The byte at `at`.
    #[inline]
    pub(crate) fn u8(self, at: usize) -> Result<u8, Stop> {
        self.array(at).map(|[byte]| byte)
    }

    /// The big-endian 16-bit number at `at`.
    #[inline]
    pub(crate) fn u16(self, at: usize) -> Result<u16, Stop> {
        self.array(at).map(u16::from_be_bytes)
    }

    /// The big-endian 32-bit number at `at`.
    #[inline]
    pub(crate) fn u32(self, at: usize) -> Result<u32, Stop> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// What follows the first `len` bytes, which need not have been captured.
    #[inline]
    pub(crate) fn skip(self, len: usize) -> Result<Self, Stop> {
        let wire = self.wire.checked_sub(len).ok_or(Stop::Malformed)?;
        Ok(Self {
            captured: self.captured.get(len..).unwrap_or_default(),
            wire,
        })
    }

    /// At most the first `len` bytes: what follows is padding or a trailer.
    #[inline]
    pub(crate) fn at_most(self, len: usize) -> Self {
        Self {
            captured: self.captured.get(..len).unwrap_or(self.captured),
            wire: self.wire.min(len),
        }
    }

    /// Exactly `len` bytes, a length from an inner header, even if that exceeds the
    /// capture's length: mirrors and some tools truncate packets without a mark.
    #[inline]
    pub(crate) fn exactly(self, len: usize) -> Self {
        Self {
            captured: self.captured.get(..len).unwrap_or(self.captured),
            wire: len,
        }
    }

    /// Why `len` bytes cannot be had.
    #[cold]
    fn lacks(self, len: usize) -> Stop {
        if len <= self.wire {
            Stop::Cut
        } else {
            Stop::Malformed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_cut_from_malformed() {
        let bytes = Bytes::new(&[1, 2, 3], 5);
        assert_eq!(bytes.u16(1), Ok(0x0203));
        assert_eq!(bytes.u16(2), Err(Stop::Cut));
        assert_eq!(bytes.u16(4), Err(Stop::Malformed));
        assert_eq!(bytes.u8(usize::MAX), Err(Stop::Malformed));
    }

    #[test]
    fn skips_into_what_was_cut_but_not_beyond() {
        let rest = Bytes::new(&[1, 2, 3], 5).skip(4).unwrap();
        assert_eq!((rest.captured(), rest.wire()), (&[][..], 1));
        assert_eq!(rest.u8(0), Err(Stop::Cut));
        assert!(Bytes::new(&[1, 2, 3], 5).skip(6).is_err());
    }

    #[test]
    fn lengths_shorten_and_only_a_header_lengthens() {
        let bytes = Bytes::new(&[1, 2, 3], 5);
        assert_eq!(bytes.at_most(9).wire(), 5);
        assert_eq!(bytes.exactly(9).wire(), 9);
        let short = bytes.exactly(2);
        assert_eq!((short.captured(), short.cut()), (&[1, 2][..], 0));
    }
}
