//! Exported PDUs as segments of a connection.
//!
//! ```text
//! PDU of "mqtt", "tls", "websocket" …, addresses and TCP ports
//!     └─→ Segment: sequence number = bytes exported so far in this direction
//! ```
//!
//! Wireshark exports the data given to a dissector, without the TCP header. The PDUs
//! of one direction are its stream in order, so sequence and acknowledgement numbers
//! follow from the bytes counted. A PDU that was not exported leaves no gap: the
//! stream continues after it.

use std::collections::HashMap;

use super::{Endpoint, Segment, TcpFlags, whole_packet};
use crate::limits;
use crate::link::exported_pdu::{self, Pdu};
use crate::packet::{CapturedPacket, LinkType};

/// Bytes exported so far, by sender and receiver.
#[derive(Debug, Default)]
pub(super) struct Exported {
    next: HashMap<(Endpoint, Endpoint), u32, foldhash::fast::RandomState>,
}

/// The PDU in a packet, if it has no TCP header.
pub(super) fn pdu<'a>(packet: &CapturedPacket<'a>) -> Option<Pdu<'a>> {
    if packet.link_type != LinkType(252) {
        return None;
    }
    let pdu = exported_pdu::open(whole_packet(packet)).ok()?;
    let carried = [&b"mqtt"[..], b"tls", b"http", b"websocket", b"tcp.payload"];
    (carried.contains(&pdu.dissector) && pdu.ports.is_some()).then_some(pdu)
}

impl Exported {
    /// The segment that represents the PDU; `None` without addresses.
    pub(super) fn segment<'a>(
        &mut self,
        packet: &CapturedPacket<'a>,
        pdu: &Pdu<'a>,
    ) -> Option<Segment<'a>> {
        let (src_port, dst_port) = pdu.ports?;
        let endpoint = |addr, port| Endpoint { addr, port };
        let (src, dst) = (endpoint(pdu.src?, src_port), endpoint(pdu.dst?, dst_port));
        // No SYN was exported: streams start at 1, as after one.
        let ack = self.next.get(&(dst, src)).copied().unwrap_or(1);
        if self.next.len() >= limits::EXPORTED_STREAMS && !self.next.contains_key(&(src, dst)) {
            self.next.clear();
        }
        let next = self.next.entry((src, dst)).or_insert(1);
        let seq = *next;
        *next = seq.wrapping_add(pdu.body.wire() as u32);
        Some(Segment {
            packet: packet.id,
            time: packet.time,
            src,
            dst,
            seq,
            ack,
            flags: TcpFlags(TcpFlags::ACK.0 | TcpFlags::PSH.0),
            window: u16::MAX,
            payload: pdu.body.captured(),
            cut: u32::try_from(pdu.body.cut()).unwrap_or(u32::MAX),
            window_scale: None,
            ttl: 0,
            copy_marks: (0, 0),
            checksum_ok: None,
            fragments: &[],
        })
    }
}
