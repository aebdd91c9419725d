//! L2TP version 2 (RFC 2661): PPP within UDP.
//!
//! ```text
//! | T L 0 0 S 0 O P 0 0 0 0 version 2 | [length 2] | tunnel 2 | session 2 |
//!     [Ns 2, Nr 2]        S
//!     [offset 2, padding] O
//! ```
//!
//! Control messages have the T bit.

use crate::link::{Bytes, Next, Step, Stop};

const CONTROL: u16 = 0x8000;
const LENGTH: u16 = 0x4000;
const SEQUENCE: u16 = 0x0800;
const OFFSET: u16 = 0x0200;

pub(super) fn open(bytes: Bytes<'_>) -> Step<'_> {
    let flags = bytes.u16(0)?;
    let has = |bit: u16| flags & bit != 0;
    if flags & 0x000f != 2 || has(CONTROL) {
        return Err(Stop::NotIp);
    }
    let mut header = 6 + 2 * usize::from(has(LENGTH)) + 4 * usize::from(has(SEQUENCE));
    if has(OFFSET) {
        header += 2 + usize::from(bytes.u16(header)?);
    }
    let bytes = match has(LENGTH) {
        true => bytes.at_most(bytes.u16(2)?.into()),
        false => bytes,
    };
    Ok((Next::Ppp, bytes.skip(header)?))
}
