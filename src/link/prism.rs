//! Old radio headers around 802.11: Prism (119) and AVS (163).
//!
//! ```text
//! | message code 4 | message length 4 | device 16 | 10 × 12 bytes |   Prism: 144
//! | magic and version 4 BE | length 4 BE | … |                        AVS
//! ```
//!
//! Drivers used Prism's number for AVS headers too; the magic number
//! distinguishes them.

use super::ieee80211::Shape;
use super::{Bytes, Link, Next, Step, Stop};
use crate::packet::LinkType;

/// LINKTYPE_IEEE802_11_PRISM.
pub(super) const PRISM: Link = Link {
    number: LinkType(119),
    name: "PRISM_HEADER",
    open,
    show: |_| None,
};
/// LINKTYPE_IEEE802_11_AVS.
pub(super) const AVS: Link = Link {
    number: LinkType(163),
    name: "IEEE802_11_RADIO_AVS",
    open,
    show: |_| None,
};

const PRISM_HEADER: usize = 144;

fn open(bytes: Bytes<'_>) -> Step<'_> {
    let length = match bytes.u32(0)? {
        0x8021_1001 | 0x8021_1002 => match usize::try_from(bytes.u32(4)?) {
            Ok(length) if length >= 8 => length,
            _ => return Err(Stop::Malformed),
        },
        _ => PRISM_HEADER,
    };
    Ok((Next::Ieee80211(Shape::default()), bytes.skip(length)?))
}
