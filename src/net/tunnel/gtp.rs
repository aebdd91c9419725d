//! GTP-U (3GPP TS 29.281): the packets of a mobile subscriber within UDP.
//!
//! ```text
//! | version 1, PT 1, E S N | type FF | length 2 | tunnel 4 |
//!     [sequence 2, N-PDU 1, next extension 1]      when any of E, S, N is set
//!     [extension: length in words 1, …, next 1]*   when E is set
//! ```
//!
//! Only type 255 carries a subscriber's packet; the others keep the tunnel.

use crate::link::{Bytes, Next, Step, Stop};

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    const G_PDU: u8 = 255;
    const HEADER: usize = 8;
    let [flags, kind] = bytes.array(0)?;
    let length = usize::from(bytes.u16(2)?);
    if flags & 0xf0 != 0x30 || kind != G_PDU {
        return Err(Stop::NotIp);
    }
    let mut rest = bytes.skip(HEADER)?.at_most(length);
    if flags & 0x07 != 0 {
        let mut extension = rest.u8(3)?;
        rest = rest.skip(4)?;
        while flags & 0x04 != 0 && extension != 0 {
            let length = match rest.u8(0)? {
                0 => return Err(Stop::Malformed),
                words => usize::from(words) * 4,
            };
            extension = rest.u8(length - 1)?;
            rest = rest.skip(length)?;
        }
    }
    match rest.u8(0)? >> 4 {
        4 | 6 => Ok((Next::Ip, rest)),
        _ => Err(Stop::NotIp),
    }
}
