//! Defects: bytes that break the packet format. Wrong *behaviour* of a
//! well-formed packet is not a defect but a finding, and not told here.

use std::fmt;

/// One place where the bytes of a control packet are not as the specification
/// has them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Defect {
    /// Short stable name in kebab case, such as `bad-utf8`.
    pub code: &'static str,
    /// Where, in bytes from the first byte of the control packet.
    pub offset: u32,
    /// What was expected and what was there.
    pub message: String,
}

impl fmt::Display for Defect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at offset {}: {}",
            self.code, self.offset, self.message
        )
    }
}
