//! Teredo (RFC 4380): IPv6 within UDP, for hosts behind a NAT.
//!
//! ```text
//! [ 0001 | client id length 1, authentication length 1 | … | nonce 8 | confirmation 1 ]
//! [ 0000 | obscured port 2 | obscured address 4 ]
//! IPv6
//! ```

use crate::link::{Bytes, Next, Step, Stop};

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let mut rest = bytes;
    if rest.u16(0)? == 0x0001 {
        let [id, authentication] = rest.array(2)?;
        rest = rest.skip(4 + usize::from(id) + usize::from(authentication) + 9)?;
    }
    if rest.u16(0)? == 0x0000 {
        rest = rest.skip(8)?;
    }
    match rest.u8(0)? >> 4 {
        6 => Ok((Next::Ip, rest)),
        _ => Err(Stop::NotIp),
    }
}
