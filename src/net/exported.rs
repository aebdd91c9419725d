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
    /// Where streams start, besides 1.
    start: u32,
}

/// When counting starts again, streams start so far from where they did that what
/// follows belongs to other connections, and is no retransmission.
const APART: u32 = 1 << 28;

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
        if self.next.len() >= limits::EXPORTED_STREAMS && !self.next.contains_key(&(src, dst)) {
            self.next.clear();
            self.start = self.start.wrapping_add(APART);
        }
        // No SYN was exported: streams start at 1, as after one.
        let first = self.start.wrapping_add(1);
        let ack = self.next.get(&(dst, src)).copied().unwrap_or(first);
        let next = self.next.entry((src, dst)).or_insert(first);
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

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::link::Bytes;
    use crate::packet::PacketRef;
    use crate::time::Timestamp;

    const PACKET: CapturedPacket<'static> = CapturedPacket {
        id: PacketRef { number: 1, file: 0 },
        time: Timestamp::from_nanos(1),
        link_type: LinkType(252),
        original_len: 0,
        data: &[],
    };

    /// A PDU of two bytes of the client `number`.
    fn pdu(number: u32) -> Pdu<'static> {
        let [_, a, b, c] = number.to_be_bytes();
        Pdu {
            dissector: b"mqtt",
            src: Some(IpAddr::from([10, a, b, c])),
            dst: Some(IpAddr::from([11, 0, 0, 1])),
            ports: Some((40_000, 1883)),
            body: Bytes::new(b"\xc0\0", 2),
        }
    }

    #[test]
    fn beyond_the_limit_streams_go_on_as_other_connections() {
        let mut exported = Exported::default();
        let mut push = |number: usize| {
            let pdu = pdu(number as u32);
            let segment = exported.segment(&PACKET, &pdu).expect("addresses");
            assert!(exported.next.len() <= limits::EXPORTED_STREAMS);
            (segment.seq, segment.ack)
        };
        assert_eq!((push(0), push(0)), ((1, 1), (3, 1)));
        for number in 1..limits::EXPORTED_STREAMS {
            assert_eq!(push(number), (1, 1));
        }
        assert_eq!(push(0), (5, 1));
        // Too far away for the table of connections to take it for the same.
        let first = APART + 1;
        assert_eq!(push(limits::EXPORTED_STREAMS), (first, first));
        assert_eq!((push(0), push(0)), ((first, first), (first + 2, first)));
    }
}
