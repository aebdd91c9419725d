//! Radiotap (link type 127): metadata of the radio about an 802.11 frame.
//!
//! ```text
//! | version 0 | pad | length 2 LE | present 4 LE … | fields, each aligned | 802.11
//! ```
//!
//! Only the flags field is used: whether there is a checksum at the end of the frame
//! and padding after its header.

use super::ieee80211::{self, Shape};
use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(127),
    name: "IEEE802_11_RADIO",
    open,
    show,
};

fn open(bytes: Bytes<'_>) -> Step<'_> {
    if bytes.u8(0)? != 0 {
        return Err(Stop::Malformed);
    }
    let length = header_len(bytes)?;
    let header = Bytes::new(bytes.first(length)?, length);
    let flags = flags(header)?;
    let shape = Shape {
        checksum: flags & 0x10 != 0,
        padded: flags & 0x20 != 0,
    };
    Ok((Next::Ieee80211(shape), bytes.skip(length)?))
}

fn header_len(bytes: Bytes<'_>) -> Result<usize, Stop> {
    match u16::from_le_bytes(bytes.array(2)?) {
        length @ 8.. => Ok(length.into()),
        _ => Err(Stop::Malformed),
    }
}

/// The flags field, 0 if absent. It is the second field; only the 64-bit timer can
/// precede it, after the last of the `present` words.
fn flags(header: Bytes<'_>) -> Result<u8, Stop> {
    const TIMER: u32 = 1;
    const FLAGS: u32 = 1 << 1;
    const ANOTHER_WORD: u32 = 1 << 31;
    let present = u32::from_le_bytes(header.array(4)?);
    if present & FLAGS == 0 {
        return Ok(0);
    }
    let mut at = 4;
    while u32::from_le_bytes(header.array(at)?) & ANOTHER_WORD != 0 {
        at += 4;
    }
    at += 4;
    if present & TIMER != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    header.u8(at)
}

fn show(data: &[u8]) -> Option<String> {
    let length = header_len(Bytes::new(data, data.len())).ok()?;
    ieee80211::show(data.get(length..)?)
}
