//! GENEVE (RFC 8926): any EtherType within UDP.
//!
//! ```text
//! | version 2 bits, length of options in words 6 | O C 0 | EtherType 2 | network 3 | 0 1 | options
//! ```

use crate::link::{Bytes, Next, Step, Stop};

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    const HEADER: usize = 8;
    let first = bytes.u8(0)?;
    if first >> 6 != 0 {
        return Err(Stop::NotIp);
    }
    let options = usize::from(first & 0x3f) * 4;
    match bytes.u16(2)? {
        ether_type @ 0x0600.. => Ok((Next::EtherType(ether_type), bytes.skip(HEADER + options)?)),
        _ => Err(Stop::NotIp),
    }
}
