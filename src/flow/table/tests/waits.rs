//! Limits on what waits and on how long connections are kept.

use super::*;
use crate::limits::Limit;

/// What a handler receives of streams: gaps, limits, and how many bytes were passed on.
#[derive(Default)]
struct Streams {
    is_uninteresting: bool,
    bytes: u64,
    gaps: Vec<(u64, u64)>,
    limits: Vec<(u64, Limit)>,
    ends: Ends,
}

impl Handler<()> for Streams {
    fn opened(&mut self, _: &FlowInfo, (): &mut (), _: At) {}
    fn stream(
        &mut self,
        flow: &FlowInfo,
        (): &mut (),
        _: End,
        event: StreamEvent<'_>,
        now: At,
    ) -> Interest {
        match event {
            StreamEvent::Chunk(Chunk::Data(data)) => self.bytes += data.range.len(),
            StreamEvent::Chunk(Chunk::Gap { range, .. }) => {
                self.gaps.push((now.packet.number, range.len()));
            }
            StreamEvent::Limit { limit } => self.limits.push((flow.number, limit)),
            StreamEvent::Conflict { .. } | StreamEvent::Late { .. } => {}
        }
        match self.is_uninteresting {
            true => Interest::Ignored,
            false => Interest::Wanted,
        }
    }
    fn closed(&mut self, flow: &FlowInfo, state: &mut (), how: Closed, at: At) {
        self.ends.closed(flow, state, how, at);
    }
}

const ACK: TcpFlags = TcpFlags::ACK;

/// A packet of the client of connection `port`, which starts at sequence number 1000.
fn from_client(port: u16, offset: u32, payload: &[u8], millis: i64) -> Segment<'_> {
    let endpoint = |port| Endpoint {
        addr: IpAddr::from([10, 0, 0, 1]),
        port,
    };
    Segment {
        packet: PacketRef {
            number: millis as u64 + 1,
            file: 0,
        },
        time: Timestamp::from_nanos(millis * 1_000_000),
        src: endpoint(port),
        dst: endpoint(1883),
        seq: 1000 + offset,
        ack: 5000,
        flags: ACK,
        payload,
        copy_marks: (millis as u16, 0),
        ..syn(1)
    }
}

/// An acknowledgement of its server.
fn from_server(port: u16, acked: u32, millis: i64) -> Segment<'static> {
    let packet = from_client(port, 0, &[], millis);
    Segment {
        src: packet.dst,
        dst: packet.src,
        seq: 5000,
        ack: 1000 + acked,
        ..packet
    }
}

/// Lets capture time pass, in steps that the clock follows.
fn wait(table: &mut FlowTable<()>, from: u64, to: u64, handler: &mut Streams) {
    for second in (from..=to).step_by(300) {
        table.tick(Timestamp::from_parts(second as i64, 0), handler);
    }
}

#[test]
fn late_packets_belong_to_a_closed_connection_for_a_while() {
    let late = limits::CLOSED_SECONDS as i64 * 1_000;
    for (millis, number) in [(late - 1, 1), (late, 2)] {
        let (mut table, mut streams) = (FlowTable::default(), Streams::default());
        table.push(&from_client(7, 0, b"ab", 0), &mut streams);
        table.push(&from_server(7, 2, 0), &mut streams);
        let mut reset = from_client(7, 2, b"", 0);
        reset.flags = TcpFlags::RST;
        table.push(&reset, &mut streams);
        let connection = table.push(&from_client(7, 2, b"cd", millis), &mut streams);
        assert_eq!(connection, number, "after {millis} ms");
    }
}

#[test]
fn silent_connections_expire_by_what_they_carry() {
    for (is_uninteresting, patience) in [
        (true, limits::IDLE_SECONDS),
        (false, limits::IDLE_MQTT_SECONDS),
    ] {
        let mut table = FlowTable::default();
        let mut streams = Streams {
            is_uninteresting,
            ..Streams::default()
        };
        table.push(&from_client(7, 0, b"ab", 0), &mut streams);
        wait(&mut table, 0, patience - 300, &mut streams);
        assert_eq!((table.live(), streams.ends.0.len()), (1, 0));
        wait(&mut table, patience, patience, &mut streams);
        assert_eq!(table.live(), 0);
        assert_eq!(streams.ends.0, [(1, Closed::Idle)]);
    }
}

#[test]
fn a_clock_that_is_set_ends_no_connection() {
    let (mut table, mut streams) = (FlowTable::default(), Streams::default());
    table.push(&from_client(7, 0, b"ab", 0), &mut streams);
    let years = 10 * 365 * 86_400_000;
    assert_eq!(
        table.push(&from_client(7, 2, b"cd", years), &mut streams),
        1
    );
    let step = table.clock.since(Timestamp::from_nanos(0));
    assert_eq!(step.as_secs(), limits::CLOCK_STEP_SECONDS);
    table.tick(Timestamp::from_nanos(2 * years * 1_000_000), &mut streams);
    assert_eq!((table.live(), streams.ends.0.len()), (1, 0));
}

/// A segment is missing, and its receiver was never captured.
#[test]
fn a_gap_that_no_peer_can_acknowledge_becomes_final_by_packets_or_by_time() {
    let later = |packets: i64, millis: i64| {
        let (mut table, mut streams) = (FlowTable::default(), Streams::default());
        table.push(&from_client(7, 0, b"ab", 0), &mut streams);
        for n in 0..=packets {
            let at = 1 + n * millis / packets;
            table.push(&from_client(7, 4 + 2 * n as u32, b"cd", at), &mut streams);
        }
        streams.gaps.len()
    };
    let (packets, millis) = (
        i64::from(limits::BLIND_GAP_PACKETS),
        limits::BLIND_GAP_MILLIS as i64,
    );
    assert_eq!(later(packets - 1, 0), 0);
    assert_eq!(later(packets, 0), 1);
    assert_eq!(later(1, millis - 1), 0);
    assert_eq!(later(1, millis), 1);
}

#[test]
fn bytes_that_wait_on_all_connections_are_limited() {
    let bytes = vec![b'x'; 1 << 20];
    let (mut table, mut streams) = (FlowTable::default(), Streams::default());
    let mut taken = 0;
    let most = limits::WAITING_BYTES_TOTAL / bytes.len();
    for n in 0..most as u32 {
        let (port, place) = (100 + (n / 7) as u16, n % 7);
        if place == 0 {
            table.push(&from_client(port, 0, b"ab", 0), &mut streams);
            table.push(&from_server(port, 2, 0), &mut streams);
            taken += 2;
        }
        let offset = 4 + place * bytes.len() as u32;
        table.push(&from_client(port, offset, &bytes, 0), &mut streams);
        assert!(table.waiting <= limits::WAITING_BYTES_TOTAL);
    }
    // The connection that exceeds it waits no longer, and all others do.
    let last = (most as u64 - 1) / 7 + 1;
    assert_eq!(streams.limits, [(last, Limit::AllSegmentsWaiting)]);
    assert_eq!(streams.gaps.len(), 1);
    assert_eq!(streams.bytes - taken, bytes.len() as u64);
    table.finish(&mut streams);
    assert_eq!(streams.bytes - taken, (most * bytes.len()) as u64);
}

/// Each segment takes memory besides its bytes, however few it has.
#[test]
fn small_segments_that_wait_are_limited_as_well() {
    let (mut table, mut streams) = (FlowTable::default(), Streams::default());
    table.push(&from_client(7, 0, b"ab", 0), &mut streams);
    table.push(&from_server(7, 2, 0), &mut streams);
    let most = limits::WAITING_BYTES / (2 + limits::WAITING_SEGMENT);
    for n in 0..most as u32 {
        table.push(&from_client(7, 4 + 4 * n, b"cd", 0), &mut streams);
    }
    assert_eq!(streams.limits, []);
    table.push(&from_client(7, 4 + 4 * most as u32, b"cd", 0), &mut streams);
    assert_eq!(streams.limits, [(1, Limit::SegmentsWaiting)]);
    assert_eq!(streams.gaps.len(), 1);
}
