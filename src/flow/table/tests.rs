//! Connections in the table: how they are distinguished, kept and evicted.

mod waits;

use std::net::IpAddr;

use proptest::prelude::*;

use super::super::{Carried, Chunk, Interest, StreamEvent, TcpFact};
use super::*;
use crate::net::Endpoint;
use crate::packet::PacketRef;

/// Which connections ended, and how.
#[derive(Default)]
struct Ends(Vec<(u64, Closed)>);

impl Handler<()> for Ends {
    fn opened(&mut self, _: &FlowInfo, (): &mut (), _: At) {}
    fn stream(&mut self, _: &FlowInfo, (): &mut (), _: End, _: StreamEvent<'_>, _: At) -> Interest {
        Interest::Wanted
    }
    fn closed(&mut self, flow: &FlowInfo, (): &mut (), how: Closed, _: At) {
        self.0.push((flow.number, how));
    }
}

fn syn(number: u64) -> Segment<'static> {
    let endpoint = |port| Endpoint {
        addr: IpAddr::from([10, 0, 0, 1]),
        port,
    };
    Segment {
        packet: PacketRef { number, file: 0 },
        time: Timestamp::from_nanos(number as i64),
        src: endpoint(10_000 + number as u16),
        dst: endpoint(1883),
        seq: 0,
        ack: 0,
        flags: TcpFlags::SYN,
        window: 0,
        window_scale: None,
        ttl: 64,
        payload: &[],
        cut: 0,
        copy_marks: (0, 0),
        checksum_ok: None,
        fragments: &[],
    }
}

/// Everything that is passed to a handler.
#[derive(Default)]
struct Record(Vec<String>);

impl Handler<()> for Record {
    fn opened(&mut self, flow: &FlowInfo, (): &mut (), now: At) {
        self.0.push(format!("opened {flow:?} {now:?}"));
    }
    fn stream(
        &mut self,
        flow: &FlowInfo,
        (): &mut (),
        from: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Interest {
        self.0.push(format!("{flow:?} {from:?} {event:?} {now:?}"));
        match event {
            StreamEvent::Chunk(Chunk::Data(data)) if data.bytes.starts_with(b"!") => {
                Interest::Ignored
            }
            _ => Interest::Wanted,
        }
    }
    fn follows_tcp(&self) -> bool {
        true
    }
    fn tcp(&mut self, _: &FlowInfo, (): &mut (), from: End, fact: TcpFact, now: At) {
        self.0.push(format!("{from:?} {fact:?} {now:?}"));
    }
    fn follows_segments(&self) -> bool {
        true
    }
    fn segment(&mut self, _: &FlowInfo, (): &mut (), from: End, carried: Carried, now: At) {
        self.0.push(format!("{from:?} {carried:?} {now:?}"));
    }
    fn closing(&mut self, _: &FlowInfo, (): &mut (), how: Closed, at: At) {
        self.0.push(format!("closing {how:?} {at:?}"));
    }
    fn closed(&mut self, _: &FlowInfo, (): &mut (), how: Closed, at: At) {
        self.0.push(format!("closed {how:?} {at:?}"));
    }
}

/// A packet of a connection: its side, its position and bytes, what it has of the
/// other side, and its control bits.
type Sent = (bool, u32, usize, u32, u8);

fn segments(sent: &[Sent]) -> Vec<Segment<'static>> {
    const BYTES: &[u8] = b"abcdefgh";
    let endpoint = |port| Endpoint {
        addr: IpAddr::from([10, 0, 0, 1]),
        port,
    };
    let (mut next, mut segments) = ([1000_u32, 5000], Vec::new());
    let flags = |bits: u8| TcpFlags(bits);
    for (number, &(from_server, back, len, unacked, kind)) in sent.iter().enumerate() {
        let me = usize::from(from_server);
        let ports = [40_000, 1883];
        let payload = &BYTES[..len];
        let seq = next[me].wrapping_sub(back);
        segments.push(Segment {
            packet: PacketRef {
                number: number as u64 + 1,
                file: 0,
            },
            time: Timestamp::from_nanos(number as i64 * 300_000),
            src: endpoint(ports[me]),
            dst: endpoint(ports[1 - me]),
            seq,
            ack: next[1 - me].wrapping_sub(unacked),
            flags: match kind {
                0 => flags(TcpFlags::SYN.0 | TcpFlags::ACK.0),
                1 => flags(TcpFlags::FIN.0 | TcpFlags::ACK.0),
                2 => TcpFlags::RST,
                3 => flags(TcpFlags::PSH.0 | TcpFlags::ACK.0),
                _ => TcpFlags::ACK,
            },
            window: if kind == 4 { 0 } else { 500 },
            window_scale: None,
            ttl: 64,
            payload: if kind == 5 { b"!" } else { payload },
            cut: u32::from(kind == 6),
            copy_marks: (0, number as u16),
            checksum_ok: None,
            fragments: &[],
        });
        next[me] = next[me].max(seq.wrapping_add(len as u32));
    }
    segments
}

proptest! {
    /// A segment that was predicted is read as it would be otherwise.
    #[test]
    fn prediction_changes_nothing(
        sent in prop::collection::vec(
            (
                any::<bool>(),
                prop_oneof![8 => Just(0_u32), 1 => 0_u32..12],
                0_usize..8,
                prop_oneof![6 => Just(0_u32), 2 => 0_u32..9, 1 => Just(u32::MAX)],
                prop_oneof![20 => Just(9_u8), 2 => Just(3_u8), 1 => 0_u8..8],
            ),
            1..60,
        )
    ) {
        let (mut record, mut general) = (Record::default(), Record::default());
        let mut table = FlowTable::<()>::default();
        let mut naive = FlowTable::<()>::default();
        for segment in segments(&sent) {
            naive.slots.iter_mut().flatten().for_each(|flow| flow.forget_prediction());
            table.push(&segment, &mut record);
            naive.push(&segment, &mut general);
        }
        table.finish(&mut record);
        naive.finish(&mut general);
        prop_assert_eq!(table.duplicates(), naive.duplicates());
        prop_assert_eq!(record.0, general.0);
    }
}

#[test]
fn the_longest_silent_make_room() {
    let mut ends = Ends::default();
    let mut table = FlowTable {
        most: 32,
        ..FlowTable::default()
    };
    for number in 1..=32 {
        assert_eq!(table.push(&syn(number), &mut ends), number);
    }
    // The first sends again.
    table.push(&syn(1), &mut ends);
    for number in 33..=100 {
        table.push(&syn(number), &mut ends);
        assert!(table.slots.len() - table.free.len() <= 32);
    }
    assert_eq!(ends.0.first(), Some(&(2, Closed::Evicted)));
    assert_eq!(ends.0.len() + table.index.len(), 100);
}

/// Keeps no state, and counts SYNs by how often they were sent.
#[derive(Default)]
struct Stateless(Ends, Vec<(u64, u32)>);

impl Handler<()> for Stateless {
    fn opened(&mut self, flow: &FlowInfo, (): &mut (), _: At) {
        self.1.push((flow.number, flow.syn_tries));
    }
    fn has_state(&self, (): &()) -> bool {
        false
    }
    fn stream(
        &mut self,
        flow: &FlowInfo,
        state: &mut (),
        from: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Interest {
        self.0.stream(flow, state, from, event, now)
    }
    fn closed(&mut self, flow: &FlowInfo, (): &mut (), how: Closed, _: At) {
        self.0.0.push((flow.number, how));
    }
}

fn at(mut segment: Segment<'static>, millis: i64) -> Segment<'static> {
    segment.time = Timestamp::from_nanos(millis * 1_000_000);
    segment
}

#[test]
fn a_connection_without_an_answer_takes_less_memory_until_it_gets_one() {
    // All of them have the same sequence number.
    let (mut table, mut ends) = (FlowTable::keeping_views(true), Stateless::default());
    for number in 1..=50 {
        table.push(&at(syn(number), 0), &mut ends);
    }
    table.push(&at(syn(51), 2_000), &mut ends);
    assert_eq!((table.half_open.len(), table.index.len()), (50, 1));
    assert!(size_of::<HalfOpen>() <= 160, "{}", size_of::<HalfOpen>());
    // Sent again, and answered.
    assert_eq!(table.push(&at(syn(7), 3_000), &mut ends), 7);
    let mut answer = at(syn(7), 3_001);
    (answer.src, answer.dst) = (answer.dst, answer.src);
    answer.flags = TcpFlags(TcpFlags::SYN.0 | TcpFlags::ACK.0);
    answer.ack = 1;
    assert_eq!(table.push(&answer, &mut ends), 7);
    assert_eq!(ends.1.last(), Some(&(7, 2)));
    // Sent again, without an answer: as small as before.
    assert_eq!(table.push(&at(syn(8), 4_000), &mut ends), 8);
    table.push(&at(syn(52), 6_000), &mut ends);
    assert_eq!((table.half_open.len(), table.index.len()), (50, 2));
    // A SYN of another connection on the same port pair.
    let mut other = at(syn(9), 7_000);
    other.seq = 5_000;
    assert_eq!(table.push(&other, &mut ends), 53);
    table.finish(&mut ends);
    let numbers: Vec<u64> = ends.0.0.iter().map(|end| end.0).collect();
    assert_eq!(numbers, (1..=53).collect::<Vec<_>>());
    let how = |number: u64| ends.0.0[number as usize - 1].1;
    assert_eq!(how(7), Closed::CaptureEnd);
    assert_eq!([how(1), how(8), how(9)], [Closed::Unanswered; 3]);
}

#[test]
fn unanswered_connections_are_evicted_in_time() {
    let (mut table, mut ends) = (FlowTable::keeping_views(true), Stateless::default());
    table.most = 64;
    for number in 1..=64 {
        table.push(&at(syn(number), 0), &mut ends);
    }
    table.push(&at(syn(65), 2_000), &mut ends);
    assert_eq!(ends.0.0.len(), 4);
    table.push(&at(syn(66), 302_000), &mut ends);
    table.push(&at(syn(67), 604_000), &mut ends);
    assert_eq!(ends.0.0.len() + table.live(), 67);
    assert!(table.live() < 10, "{}", table.live());
}
