//! The log of BSD's packet filter pf (link type 117).
//!
//! ```text
//! | length 1 | address family 1 | action 1 | reason 1 | interface 16 | … | padding | IP
//! ```
//!
//! The header is padded to a multiple of four; its length does not count the
//! padding.

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(117),
    name: "PFLOG",
    open,
    show: |_| None,
};

/// Header bytes up to the interface name; FreeBSD, OpenBSD and macOS differ in
/// what follows.
const SHORTEST: usize = 20;

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let length = usize::from(bytes.u8(0)?);
    if length < SHORTEST {
        return Err(Stop::Malformed);
    }
    Ok((Next::Ip, bytes.skip(length.next_multiple_of(4))?))
}
