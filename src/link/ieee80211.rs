//! 802.11 frames (link type 105), and within radiotap, PPI and the like:
//! unencrypted data frames only.
//!
//! ```text
//! | control 2 | duration 2 | address 1-3 18 | sequence 2 |
//!     [address 4 6] [QoS 2] [HT 4] | LLC/SNAP …
//! ```
//!
//! The fourth address is there between access points, QoS in QoS data, HT
//! control when the order bit is set there. QoS data may be an aggregate
//! (A-MSDU): several frames, each like 802.3 and padded to four bytes.
//! Encrypted frames are counted as such; nothing here decrypts.

use super::ethernet::Mac;
use super::{Bytes, Link, Next, Step, Stop, Subframe};
use crate::limits;
use crate::packet::LinkType;

/// Its entry in the list of link types.
pub(super) const LINK: Link = Link {
    number: LinkType(105),
    name: "IEEE802_11",
    open: |bytes| Ok((Next::Ieee80211(Shape::default()), bytes)),
    show,
};

/// Properties of the frame from the radio header.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Shape {
    /// There is a checksum of four bytes at its end.
    pub(crate) checksum: bool,
    /// Its header is padded to a multiple of four bytes.
    pub(crate) padded: bool,
}

const FROM_AND_TO: u8 = 0x03;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

/// Reads the header of a data frame.
pub(super) fn open(bytes: Bytes<'_>, shape: Shape) -> Step<'_> {
    let bytes = if shape.checksum {
        let length = bytes.wire().checked_sub(4).ok_or(Stop::Malformed)?;
        bytes.at_most(length)
    } else {
        bytes
    };
    let [control, flags] = bytes.array(0)?;
    let subtype = control >> 4;
    let is_data = control & 0x0f == 0x08;
    let has_body = subtype & 0x4 == 0;
    if !is_data || !has_body {
        return Err(Stop::NotIp);
    }
    if flags & PROTECTED != 0 {
        return Err(Stop::Encrypted);
    }
    let mut header = 24;
    if flags & FROM_AND_TO == FROM_AND_TO {
        header += 6;
    }
    let mut aggregate = false;
    if subtype & 0x8 != 0 {
        aggregate = bytes.u8(header)? & 0x80 != 0;
        header += 2;
        if flags & ORDER != 0 {
            header += 4;
        }
    }
    if shape.padded {
        header = header.next_multiple_of(4);
    }
    let next = if aggregate { Next::Amsdu } else { Next::Llc };
    Ok((next, bytes.skip(header)?))
}

/// Reads the header of one frame of an aggregate, and finds the next: it
/// follows if its header was captured.
pub(super) fn open_amsdu(
    bytes: Bytes<'_>,
    Subframe { index, offset }: Subframe,
) -> Result<(Bytes<'_>, Option<Subframe>), Stop> {
    const HEADER: usize = 14;
    if usize::from(index) >= limits::AGGREGATED_FRAMES {
        return Err(Stop::Malformed);
    }
    let start = bytes.skip(offset as usize)?;
    let length = HEADER + usize::from(start.u16(12)?);
    let step = length.next_multiple_of(4);
    let is_next = start
        .skip(step)
        .is_ok_and(|behind| behind.first(HEADER).is_ok());
    let next = is_next.then(|| Subframe {
        index: index + 1,
        offset: offset + step as u32,
    });
    Ok((start.at_most(length), next))
}

/// The receiver, the transmitter and what else there is in data frames:
/// `RA:… TA:… 3rd:…`.
pub(super) fn show(data: &[u8]) -> Option<String> {
    let [control, flags] = *data.first_chunk()?;
    if control & 0x0c != 0x08 {
        return None;
    }
    let address = |at: usize| -> Option<Mac> { Some(Mac(*data.get(at..)?.first_chunk()?)) };
    let mut text = format!(
        "RA:{} TA:{} 3rd:{}",
        address(4)?,
        address(10)?,
        address(16)?
    );
    if flags & FROM_AND_TO == FROM_AND_TO {
        text.push_str(&format!(" 4th:{}", address(24)?));
    }
    if flags & PROTECTED != 0 {
        text.push_str(" Protected");
    }
    Some(text)
}
