//! OpenBSD's encapsulation interface (link type 109): IP packets before or
//! after IPsec.
//!
//! ```text
//! | address family 4 | SPI 4 | flags 4 | IP
//! ```
//!
//! The address family is in the byte order of the machine that captured.

use super::{Bytes, Link, Next, Step};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(109),
    name: "ENC",
    open,
    show: |_| None,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    Ok((Next::Ip, bytes.skip(12)?))
}
