//! Linux netfilter log (link type 239).
//!
//! ```text
//! | family 1 | version 0 | resource 2 | then, padded to 4 bytes each:
//! | length 2 | type 2 | value … |      type 9 is the packet
//! ```
//!
//! Lengths and types are in the byte order of the machine that captured. The
//! first length tells which: it is short, and read the wrong way round it is
//! at least 256 and rarely fits the packet.

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(239),
    name: "NFLOG",
    open,
    show: |_| None,
};

/// NFULA_PAYLOAD.
const PAYLOAD: u16 = 9;
/// AF_INET and AF_INET6, as on Linux.
const FAMILIES: [u8; 2] = [2, 10];

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let [family, version] = bytes.array(0)?;
    if version != 0 || !FAMILIES.contains(&family) {
        return Err(Stop::NotIp);
    }
    let mut rest = bytes.skip(4)?;
    let first = rest.array(0)?;
    let number = if u16::from_le_bytes(first) <= u16::from_be_bytes(first) {
        u16::from_le_bytes
    } else {
        u16::from_be_bytes
    };
    loop {
        let length = usize::from(number(rest.array(0)?));
        let kind = number(rest.array(2)?);
        if length < 4 {
            return Err(Stop::Malformed);
        }
        // The upper bits of a netlink type are flags.
        if kind & 0x3fff == PAYLOAD {
            if length > rest.wire() {
                return Err(Stop::Malformed);
            }
            return Ok((Next::Ip, rest.at_most(length).skip(4)?));
        }
        rest = rest.skip(length.next_multiple_of(4))?;
    }
}
