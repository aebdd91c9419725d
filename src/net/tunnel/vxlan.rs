//! VXLAN (RFC 7348): Ethernet within UDP; and its Generic Protocol Extension
//! (draft-ietf-nvo3-vxlan-gpe), which names what follows.
//!
//! ```text
//! VXLAN      | flags 1: 08 = a network is named | 0 3 | network 3 | 0 1 | Ethernet
//! VXLAN-GPE  | flags 1: 04 = a protocol is named | 0 2 | protocol 1 | network 3 | 0 1 | …
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

pub(super) fn open_gpe(bytes: Bytes<'_>) -> Step<'_> {
    const HEADER: usize = 8;
    const PROTOCOL: u8 = 0x04;
    let next = match (bytes.u8(0)? & PROTOCOL != 0, bytes.u8(3)?) {
        (false, _) | (true, 3) => Next::Ethernet,
        (true, 1 | 2) => Next::Ip,
        (true, 5) => Next::Mpls,
        (true, _) => return Err(Stop::NotIp),
    };
    Ok((next, bytes.skip(HEADER)?))
}
