//! The options at the end of a pcapng block: comments, names, flags.
//!
//! ```text
//! ┌──────┬──────┬─────────────┬ ─ ┐
//! │ code │ len  │ value (len) │pad│ … code 0, len 0
//! └──2───┴──2───┴─────────────┴ ─ ┘
//! ```

use super::bytes::{ByteOrder, Fields, padded};

/// A comment on a packet, an interface or a section; text.
pub const COMMENT: u16 = 1;

/// Bytes of a comment: its length has 16 bits.
const LONGEST: usize = 60_000;

/// An option list, decoded while it is walked.
///
/// A damaged list ends where the damage begins; what comes before is shown.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) order: ByteOrder,
}

impl<'a> Options<'a> {
    /// No options.
    pub const NONE: Options<'static> = Options {
        bytes: &[],
        order: ByteOrder::Little,
    };

    /// Codes and values in the order of the file, without the padding.
    pub fn iter(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut fields = Fields::new(self.bytes, self.order);
        std::iter::from_fn(move || {
            let code = fields.u16().filter(|&code| code != 0)?;
            let len = usize::from(fields.u16()?);
            let value = fields.take(len)?;
            // The last option's padding may be missing; its value is whole.
            if fields.take(padded(len) - len).is_none() {
                fields = Fields::new(&[], ByteOrder::Little);
            }
            Some((code, value))
        })
    }

    /// The value of the first option of this code.
    pub fn first(&self, code: u16) -> Option<&'a [u8]> {
        self.iter()
            .find_map(|(found, value)| (found == code).then_some(value))
    }

    /// Those of these codes, as they are laid out in the file.
    pub fn only(&self, codes: &[u16]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in self.iter().filter(|(code, _)| codes.contains(code)) {
            self.lay_out(code, value, &mut bytes);
        }
        bytes
    }

    /// These and further comments, as they are laid out in the file.
    pub fn with_comments<'c>(&self, comments: impl Iterator<Item = &'c str>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (code, value) in self.iter() {
            self.lay_out(code, value, &mut bytes);
        }
        for comment in comments {
            let mut len = comment.len().min(LONGEST);
            while !comment.is_char_boundary(len) {
                len -= 1;
            }
            self.lay_out(COMMENT, &comment.as_bytes()[..len], &mut bytes);
        }
        bytes
    }

    fn lay_out(&self, code: u16, value: &[u8], bytes: &mut Vec<u8>) {
        for number in [code, value.len() as u16] {
            bytes.extend(match self.order {
                ByteOrder::Little => number.to_le_bytes(),
                ByteOrder::Big => number.to_be_bytes(),
            });
        }
        bytes.extend_from_slice(value);
        bytes.resize(padded(bytes.len()), 0);
    }

    /// Options laid out as in a file.
    pub fn new(bytes: &'a [u8], order: ByteOrder) -> Self {
        Self { bytes, order }
    }

    /// The comments.
    pub fn comments(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.iter()
            .filter_map(|(code, value)| (code == COMMENT).then_some(value))
    }

    /// Byte order of the integers in the values.
    pub fn order(&self) -> ByteOrder {
        self.order
    }
}
