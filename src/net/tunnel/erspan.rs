//! ERSPAN: mirrored frames sent over GRE (draft-foschiano-erspan).
//!
//! ```text
//! type I    Ethernet                            GRE without sequence number
//! type II   | version 1, VLAN … 4 | index 4 | Ethernet
//! type III  | version 2, VLAN … 4 | timestamp 4 | … O 4 | [platform 8] | Ethernet or IP
//! ```

use crate::link::{Bytes, Next, Step, Stop};

/// Types I and II share an EtherType; they differ by the sequence number.
pub(super) fn open(bytes: Bytes<'_>, has_sequence: bool) -> Step<'_> {
    if !has_sequence {
        return Ok((Next::Ethernet, bytes));
    }
    match bytes.u8(0)? >> 4 {
        1 => Ok((Next::Ethernet, bytes.skip(8)?)),
        _ => Err(Stop::Malformed),
    }
}

/// Type III: the frame type says whether an Ethernet frame (0) or an IP packet
/// (2) follows, the last bit whether there are platform bytes.
pub(super) fn open_iii(bytes: Bytes<'_>) -> Step<'_> {
    if bytes.u8(0)? >> 4 != 2 {
        return Err(Stop::Malformed);
    }
    let last = bytes.u16(10)?;
    let header = if last & 1 == 1 { 20 } else { 12 };
    let next = match (last >> 10) & 0x1f {
        0 => Next::Ethernet,
        2 => Next::Ip,
        _ => return Err(Stop::NotIp),
    };
    Ok((next, bytes.skip(header)?))
}
