//! The TCP header: the last one, behind which the bytes of the stream lie.
//!
//! A snap length may have cut the payload, or even the options: as long as
//! the first 20 bytes are there, everything is known but the bytes
//! themselves, and their number is. Urgent data stays in the stream (RFC
//! 6093): MQTT knows nothing of it.

use std::net::IpAddr;

use etherparse::TcpHeaderSlice;

use super::ip::Ip;
use super::segment::{Endpoint, Segment, TcpFlags};
use crate::link::Stop;
use crate::packet::{CapturedPacket, PacketRef};

/// Reads the segment that `ip` carries.
#[inline]
pub(super) fn open<'a>(
    packet: &CapturedPacket<'_>,
    ip: &Ip<'a>,
    fragments: &'a [PacketRef],
    verify_checksum: bool,
) -> Result<Segment<'a>, Stop> {
    const FIXED: usize = 20;
    const LONGEST: usize = 60;
    let bytes = ip.payload;
    let fixed = bytes.array::<FIXED>(0)?;
    let [.., offset, flags, _, _, _, _, _, _] = fixed;
    let header_len = usize::from(offset >> 4) * 4;
    let payload = bytes.skip(header_len)?;

    let mut padded = [0; LONGEST];
    let header = match bytes.captured().get(..header_len) {
        Some(header) => header,
        None => {
            // Options that were cut: nothing in them is needed.
            let (start, _) = padded.split_at_mut(FIXED);
            start.copy_from_slice(&fixed);
            padded.get(..header_len).ok_or(Stop::Malformed)?
        }
    };
    let header = TcpHeaderSlice::from_slice(header).map_err(|_| Stop::Malformed)?;
    let checksum_ok = (verify_checksum && bytes.cut() == 0)
        .then(|| is_checksum_right(&header, ip, payload.captured()));
    Ok(Segment {
        packet: packet.id,
        time: packet.time,
        src: Endpoint {
            addr: ip.src,
            port: header.source_port(),
        },
        dst: Endpoint {
            addr: ip.dst,
            port: header.destination_port(),
        },
        seq: header.sequence_number(),
        ack: header.acknowledgment_number(),
        flags: TcpFlags(flags),
        window: header.window_size(),
        payload: payload.captured(),
        cut: u32::try_from(payload.cut()).unwrap_or(u32::MAX),
        copy_marks: (ip.identification, header.checksum()),
        checksum_ok,
        fragments,
    })
}

fn is_checksum_right(header: &TcpHeaderSlice<'_>, ip: &Ip<'_>, payload: &[u8]) -> bool {
    let right = match (ip.src, ip.dst) {
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
