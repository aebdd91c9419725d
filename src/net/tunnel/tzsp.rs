//! TZSP, the TaZmen Sniffer Protocol: captured frames streamed over UDP, as
//! MikroTik routers and wireless access points do.
//!
//! ```text
//! | version 1 | type 1 | protocol 2 | tags … | frame
//! tag: | type 1 | length 1 | …, but 0 (padding) and 1 (end) are one byte
//! ```

use crate::link::{Bytes, Next, Step, Stop};
use crate::packet::LinkType;

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    const PADDING: u8 = 0;
    const END: u8 = 1;
    let [version, kind] = bytes.array(0)?;
    // Received (0) and sent (1) packets; others keep the stream alive.
    if version != 1 || kind > 1 {
        return Err(Stop::NotIp);
    }
    let next = match bytes.u16(2)? {
        1 => Next::Ethernet,
        18 => Next::Link(LinkType(105)),
        119 => Next::Link(LinkType(119)),
        127 => Next::Link(LinkType(163)),
        _ => return Err(Stop::NotIp),
    };
    let mut rest = bytes.skip(4)?;
    loop {
        rest = match rest.u8(0)? {
            PADDING => rest.skip(1)?,
            END => return Ok((next, rest.skip(1)?)),
            _ => rest.skip(2 + usize::from(rest.u8(1)?))?,
        };
    }
}
