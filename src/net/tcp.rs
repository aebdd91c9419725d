//! The TCP header.
//!
//! A snap length may have cut the payload, or even the options: with the first 20
//! bytes, everything is known except the missing bytes, and their number is known
//! too. Urgent data stays in the stream (RFC 6093), because MQTT does not use it.

use std::net::IpAddr;

use etherparse::{TcpHeaderSlice, TcpOptionElement};

use super::ip::Ip;
use super::segment::TcpFlags;
use crate::link::{Bytes, Stop};

/// Maximum header length by the data offset.
pub(super) const LONGEST: usize = 60;

/// Decodes the header, and returns the payload after it. `room` replaces a header
/// whose options were cut: they are not needed.
#[inline(always)]
pub(super) fn open<'a, 'h>(
    bytes: Bytes<'a>,
    room: &'h mut [u8; LONGEST],
) -> Result<(TcpHeaderSlice<'h>, Bytes<'a>), Stop>
where
    'a: 'h,
{
    const FIXED: usize = 20;
    const DATA_OFFSET: usize = 12;
    let header_len = usize::from(bytes.u8(DATA_OFFSET)? >> 4) * 4;
    let payload = bytes.skip(header_len)?;
    let header = match bytes.captured().get(..header_len) {
        Some(header) => header,
        None => {
            let (start, _) = room.split_at_mut(FIXED);
            start.copy_from_slice(bytes.first(FIXED)?);
            room.get(..header_len).ok_or(Stop::Malformed)?
        }
    };
    match TcpHeaderSlice::from_slice(header) {
        Ok(header) => Ok((header, payload)),
        Err(_) => Err(Stop::Malformed),
    }
}

/// The control bits, the eight that TCP has defined.
#[inline]
pub(super) fn flags(header: &TcpHeaderSlice<'_>) -> TcpFlags {
    const FLAGS: usize = 13;
    TcpFlags(header.slice().get(FLAGS).copied().unwrap_or(0))
}

/// The window scale option, which only a SYN has.
#[inline]
pub(super) fn window_scale(header: &TcpHeaderSlice<'_>) -> Option<u8> {
    if !header.syn() {
        return None;
    }
    header.options_iterator().find_map(|option| match option {
        // RFC 7323, 2.3: a shift of more than 14 counts as 14.
        Ok(TcpOptionElement::WindowScale(bits)) => Some(bits.min(14)),
        _ => None,
    })
}

/// Whether the checksum is right. All of the segment must be there.
pub(super) fn is_checksum_right(header: &TcpHeaderSlice<'_>, ip: Ip<'_>, payload: &[u8]) -> bool {
    let right = match (ip.addresses.src(), ip.addresses.dst()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            header.calc_checksum_ipv4_raw(src.octets(), dst.octets(), payload)
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            header.calc_checksum_ipv6_raw(src.octets(), dst.octets(), payload)
        }
        _ => return false,
    };
    // Zero has two forms in one's complement.
    let one_form = |sum: u16| if sum == 0xffff { 0 } else { sum };
    right.is_ok_and(|right| one_form(right) == one_form(header.checksum()))
}
