//! VXLAN (RFC 7348): Ethernet within UDP.
//!
//! ```text
//! | flags 1: 08 = a network is named | 0 3 | network 3 | 0 1 | Ethernet
//! ```

use crate::link::{Bytes, Next, Step, Stop};

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    const HEADER: usize = 8;
    // Group policy and other extensions use the remaining bits.
    if bytes.u8(0)? & 0x08 == 0 {
        return Err(Stop::NotIp);
    }
    Ok((Next::Ethernet, bytes.skip(HEADER)?))
}
