//! The header of a record of TLS 1.0 to 1.3.
//!
//! ```text
//! 17 │ 03 03 │ 01 23 │ body …
//! type version length
//! ```

use crate::flow::At;
use crate::layer::{Data, Seal};

/// Bytes of a record before its body.
pub(super) const HEADER: usize = 5;

/// The longest body: RFC 5246, 6.2.3.
const LONGEST: usize = (1 << 14) + 2048;

/// Types of content.
pub(super) mod kind {
    pub(in super::super) const CHANGE_CIPHER_SPEC: u8 = 20;
    pub(in super::super) const ALERT: u8 = 21;
    pub(in super::super) const HANDSHAKE: u8 = 22;
    pub(in super::super) const APPLICATION: u8 = 23;
    pub(in super::super) const HEARTBEAT: u8 = 24;
}

/// The part of a record that one packet carried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) len: usize,
    pub(super) at: At,
    pub(super) seal: Option<Seal>,
}

/// Type and length of the body, if the bytes begin with a possible header.
pub(super) fn header(bytes: &[u8]) -> Option<(u8, usize)> {
    let &[kind, major, minor, high, low, ..] = bytes else {
        return None;
    };
    let len = usize::from(high) << 8 | usize::from(low);
    let known = (kind::CHANGE_CIPHER_SPEC..=kind::HEARTBEAT).contains(&kind);
    // Only application data may be empty.
    let fits = len <= LONGEST && (len > 0 || kind == kind::APPLICATION);
    (known && major == 3 && minor <= 4 && fits).then_some((kind, len))
}

pub(super) fn part(data: &Data<'_>) -> Part {
    Part {
        len: data.bytes.len(),
        at: data.at,
        seal: data.seal,
    }
}
