//! CAPWAP data (RFC 5415): the frames of wireless clients between access point
//! and controller, within UDP.
//!
//! ```text
//! | version 4 bits, type 4 | HLEN 5, RID 5, WBID 5, T 1 | F L W M K flags 3 | fragment 4 | …
//! ```
//!
//! HLEN is the length of the header in words of four bytes. T says whether the
//! frame is in the wireless format; without it, it is Ethernet's.

use crate::link::{Bytes, Next, Step, Stop};
use crate::packet::LinkType;

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    const WIRELESS: u8 = 0x01;
    const FRAGMENT: u8 = 0x80;
    const KEEP_ALIVE: u8 = 0x08;
    let [preamble, first, second, third] = bytes.array(0)?;
    // Type 1 is DTLS. A fragment of a frame is not joined.
    if preamble != 0 || third & (FRAGMENT | KEEP_ALIVE) != 0 {
        return Err(Stop::NotIp);
    }
    let header = usize::from(first >> 3) * 4;
    let binding = (second >> 1) & 0x1f;
    let next = match (second & WIRELESS != 0, binding) {
        (false, _) => Next::Ethernet,
        (true, 1) => Next::Link(LinkType(105)),
        (true, _) => return Err(Stop::NotIp),
    };
    match header {
        0..8 => Err(Stop::NotIp),
        header => Ok((next, bytes.skip(header)?)),
    }
}
