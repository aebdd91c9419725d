//! Where the password of a CONNECT lies, so that dumps can mask it.
//!
//! The password is the last field (3.1.1: 3.1.3, 5.0: 3.1.3), behind up to
//! five others whose lengths are on the wire:
//!
//! ```text
//! fixed header | name level flags keep-alive [properties] |
//!     client id | [will properties, topic, payload] | [user name] | [PASSWORD]
//! ```
//!
//! This walk is its own and does not trust the decoded fields: a CONNECT whose
//! user name is cut short has no decoded password, and its bytes may hold one
//! all the same. Where the walk cannot go on, everything that follows counts as
//! password: hiding too much of a broken packet is the smaller harm.

use std::ops::Range;

use crate::frame::MQTTFrame;
use crate::mqtt::{PacketType, Version};

/// The range of [`MQTTFrame::bytes`] that holds, or may hold, a password; empty
/// when there is none.
pub(super) fn password(frame: &MQTTFrame<'_>) -> Range<usize> {
    if frame.header.packet_type() != PacketType::Connect {
        return 0..0;
    }
    let has_properties = frame.version == Version::V5;
    let mut walk = Walk {
        bytes: frame.bytes,
        at: frame.header.header_len(),
    };
    match walk.password(has_properties) {
        Ok(None) => 0..0,
        Ok(Some(password)) => password,
        Err(Lost) => walk.at.min(frame.bytes.len())..frame.bytes.len(),
    }
}

const WILL: u8 = 0x04;
const PASSWORD: u8 = 0x40;
const USERNAME: u8 = 0x80;

struct Lost;

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn password(&mut self, has_properties: bool) -> Result<Option<Range<usize>>, Lost> {
        self.field()?;
        let &[_level, flags, _, _] = self.peek(4)? else {
            return Err(Lost);
        };
        if flags & PASSWORD == 0 {
            return Ok(None);
        }
        self.skip(4)?;
        if has_properties {
            self.properties()?;
        }
        self.field()?;
        if flags & WILL != 0 {
            if has_properties {
                self.properties()?;
            }
            self.field()?;
            self.field()?;
        }
        if flags & USERNAME != 0 {
            self.field()?;
        }
        let start = self.at.saturating_add(2);
        self.field()?;
        Ok(Some(start..self.at))
    }

    /// Two bytes of length, and that many bytes.
    fn field(&mut self) -> Result<(), Lost> {
        let &[high, low] = self.peek(2)? else {
            return Err(Lost);
        };
        self.skip(2 + usize::from(u16::from_be_bytes([high, low])))
    }

    /// A Variable Byte Integer, and that many bytes.
    fn properties(&mut self) -> Result<(), Lost> {
        let mut length = 0;
        for taken in 1..=4 {
            let &byte = self.peek(taken)?.last().ok_or(Lost)?;
            length |= usize::from(byte & 0x7f) << (7 * (taken - 1));
            if byte & 0x80 == 0 {
                return self.skip(taken + length);
            }
        }
        Err(Lost)
    }

    fn peek(&self, count: usize) -> Result<&[u8], Lost> {
        let end = self.at.checked_add(count).ok_or(Lost)?;
        self.bytes.get(self.at..end).ok_or(Lost)
    }

    fn skip(&mut self, count: usize) -> Result<(), Lost> {
        self.peek(count)?;
        self.at += count;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::Sample;

    /// Everything but the password is in lower case, so the mask is right when
    /// it covers all capitals and nothing else.
    fn check(bytes: &[u8], version: Version) {
        let sample = Sample::raw(bytes, version);
        let masked = sample.with(password);
        let capitals: Vec<_> = (0..bytes.len())
            .filter(|&at| bytes[at].is_ascii_uppercase())
            .collect();
        assert_eq!(masked.collect::<Vec<_>>(), capitals);
    }

    const V4: &[u8] = b"\x10\x1b\x00\x04mqtt\x04\xc2\x00\x3c\x00\x02id\x00\x03joe\x00\x04PASS";
    const V5: &[u8] = b"\x10\x2b\x00\x04mqtt\x05\xc6\x00\x3c\x02\x17\x01\x00\x02id\x05\x18\x00\x00\x00\x09\x00\x01t\x00\x03msg\x00\x03joe\x00\x02PW";

    #[test]
    fn masks_the_password_and_nothing_else() {
        check(V4, Version::V3_1_1);
        check(V5, Version::V5);
        // Bytes after the end are not the password.
        check(&[V4, b"more"].concat(), Version::V3_1_1);
    }

    #[test]
    fn a_connect_without_one_has_no_mask() {
        let bytes = b"\x10\x10\x00\x04mqtt\x04\x02\x00\x3c\x00\x04ABCD";
        let sample = Sample::raw(bytes, Version::V3_1_1);
        assert!(sample.with(password).is_empty());
    }

    #[test]
    fn a_cut_password_is_masked_as_far_as_it_goes() {
        for (bytes, version) in [(V4, Version::V3_1_1), (V5, Version::V5)] {
            for end in 2..bytes.len() {
                let sample = Sample::raw(&bytes[..end], version);
                let masked = sample.with(password);
                for (at, byte) in bytes[..end].iter().enumerate() {
                    assert!(!byte.is_ascii_uppercase() || masked.contains(&at));
                }
            }
        }
    }

    #[test]
    fn a_length_that_runs_over_hides_the_rest() {
        let bytes = b"\x10\x1b\x00\x04mqtt\x04\xc2\x00\x3c\x00\x02id\xff\xffjoe\x00\x04PASS";
        let sample = Sample::raw(bytes, Version::V3_1_1);
        assert_eq!(sample.with(password), 16..bytes.len());
    }
}
