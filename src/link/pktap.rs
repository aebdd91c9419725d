//! macOS's packet tap (link type 258): a header that names the process and the
//! interface, around a packet of another link type.
//!
//! ```text
//! | length 4 LE | record type 4 LE | link type 4 LE | interface 24 | … | packet
//! ```

use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(258),
    name: "PKTAP",
    open,
    show: |_| None,
};

/// Header bytes up to the inner link type.
const SHORTEST: u32 = 12;
/// What the record holds: 1 is a packet.
const PACKET: u32 = 1;

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let le = |at| bytes.array(at).map(u32::from_le_bytes);
    let (length, record, inner) = (le(0)?, le(4)?, le(8)?);
    if record != PACKET {
        return Err(Stop::NotIp);
    }
    match (usize::try_from(length), u16::try_from(inner)) {
        (Ok(header), Ok(inner)) if length >= SHORTEST => {
            Ok((Next::Link(LinkType(inner)), bytes.skip(header)?))
        }
        _ => Err(Stop::Malformed),
    }
}
