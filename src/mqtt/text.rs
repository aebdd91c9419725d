//! Strings from the wire: UTF-8 by the specification, any bytes in reality.

use std::borrow::Cow;

/// A UTF-8 Encoded String (5.0: 1.5.4) as its bytes were, valid or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Text<'a>(pub &'a [u8]);

impl<'a> Text<'a> {
    /// The bytes.
    pub const fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The string, if it is UTF-8.
    pub fn as_str(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }

    /// The string with U+FFFD for what is not UTF-8.
    pub fn lossy(self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.0)
    }
}
