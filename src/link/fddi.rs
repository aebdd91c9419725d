//! FDDI (link type 10).
//!
//! ```text
//! | frame control 1 | destination 6 | source 6 | LLC
//! ```

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(10),
    name: "FDDI",
    open,
    show: |_| None,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    // Frame control xx01 xxxx is LLC; the lower bits are a priority.
    if bytes.u8(0)? & 0x30 != 0x10 {
        return Err(Stop::NotIp);
    }
    Ok((Next::Llc, bytes.skip(13)?))
}
