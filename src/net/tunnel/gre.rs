//! GRE: version 0 (RFC 2784, 2890, 1701) and the version 1 of PPTP (RFC 2637).
//!
//! ```text
//! | C R K S s 0 0 0 | A 0 0 0 0 version 3 | EtherType 2 |
//!     [checksum 2, offset 2]   C or R        not in version 1
//!     [key 4]                  K             payload length 2, call 2 there
//!     [sequence 4]             S
//!     [acknowledgement 4]      A             only in version 1
//!     [routes]                 R             each: family 2, offset 1, length 1, …
//! ```
//!
//! A keepalive is a GRE packet within a GRE packet whose EtherType is 0.

use super::erspan;
use crate::link::{Bytes, Next, Step, Stop};

const CHECKSUM: u16 = 0x8000;
const ROUTING: u16 = 0x4000;
const KEY: u16 = 0x2000;
const SEQUENCE: u16 = 0x1000;
const ACKNOWLEDGEMENT: u16 = 0x0080;

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let flags = bytes.u16(0)?;
    let protocol = bytes.u16(2)?;
    let has = |bit: u16| flags & bit != 0;
    let mut header = 4;
    match flags & 0x0007 {
        0 => {
            header += 4 * usize::from(has(CHECKSUM | ROUTING));
            header += 4 * usize::from(has(KEY));
            header += 4 * usize::from(has(SEQUENCE));
        }
        1 => {
            header += 4 * usize::from(has(KEY));
            header += 4 * usize::from(has(SEQUENCE));
            header += 4 * usize::from(has(ACKNOWLEDGEMENT));
        }
        _ => return Err(Stop::Malformed),
    }
    let mut rest = bytes.skip(header)?;
    if flags & 0x0007 == 0 && has(ROUTING) {
        rest = skip_routes(rest)?;
    }
    match protocol {
        0x88be => erspan::open(rest, has(SEQUENCE)),
        0x22eb => erspan::open_iii(rest),
        // Redirected by WCCP: version 2 puts four bytes before the packet.
        0x883e => match rest.u8(0)? >> 4 {
            4 => Ok((Next::Ip, rest)),
            _ => Ok((Next::Ip, rest.skip(4)?)),
        },
        ether_type @ 0x0600.. => Ok((Next::EtherType(ether_type), rest)),
        _ => Err(Stop::NotIp),
    }
}

/// Routes end with one whose family and length are 0.
fn skip_routes(mut rest: Bytes<'_>) -> Result<Bytes<'_>, Stop> {
    loop {
        let family = rest.u16(0)?;
        let length = rest.u8(3)?;
        rest = rest.skip(4 + usize::from(length))?;
        if family == 0 && length == 0 {
            return Ok(rest);
        }
    }
}
