use super::*;
use proptest::prelude::*;

/// The bytes that a reassembler passed on: `None` for a missing one.
#[derive(Default)]
struct Heard {
    bytes: Vec<Option<u8>>,
    conflicts: u64,
    late: u64,
}

impl Heard {
    fn hear(&mut self, event: StreamEvent<'_>) {
        match event {
            StreamEvent::Chunk(Chunk::Data(Data { range, bytes, .. })) => {
                assert_eq!(range.start, self.bytes.len() as u64);
                self.bytes.extend(bytes.iter().map(|&b| Some(b)));
            }
            StreamEvent::Chunk(Chunk::Gap { range, .. }) => {
                assert_eq!(range.start, self.bytes.len() as u64);
                self.bytes.extend((0..range.len()).map(|_| None));
            }
            StreamEvent::Conflict { bytes, .. } => self.conflicts += bytes,
            StreamEvent::Late { bytes, .. } => self.late += bytes,
            StreamEvent::Limit { .. } => unreachable!("a reassembler has no limits"),
        }
    }
}

fn payload(seq: u32, bytes: &[u8], cut: u32) -> Payload<'_> {
    Payload {
        seq,
        bytes,
        cut,
        at: At::default(),
        suspect: false,
    }
}

fn run(isn: u32, segments: &[(u32, &[u8], u32)]) -> (Heard, Reassembler) {
    let (mut reassembler, mut history, mut heard) =
        (Reassembler::default(), History::new(), Heard::default());
    reassembler.syn(isn);
    for &(offset, bytes, cut) in segments {
        let seq = isn.wrapping_add(1).wrapping_add(offset);
        reassembler.data(payload(seq, bytes, cut), &mut history, &mut |p| {
            heard.hear(p)
        });
    }
    reassembler.flush(&mut history, &mut |p| heard.hear(p));
    (heard, reassembler)
}

proptest! {
    /// The twin: a map from position to the first byte captured there.
    #[test]
    fn agrees_with_a_naive_twin(
        isn in prop_oneof![any::<u32>(), Just(u32::MAX - 20)],
        chunks in prop::collection::vec((0u32..60, 1usize..24, any::<bool>()), 0..24),
    ) {
        let stream: Vec<u8> = (0..200u8).collect();
        let other: Vec<u8> = (0..200u8).map(|b| b ^ 0x80).collect();
        let mut segments = Vec::new();
        let mut twin: BTreeMap<u64, u8> = BTreeMap::new();
        let mut end = 0;
        for &(offset, len, honest) in &chunks {
            let range = offset as usize..offset as usize + len;
            let bytes = if honest { &stream[range] } else { &other[range] };
            segments.push((offset, bytes, 0));
            for (i, &b) in bytes.iter().enumerate() {
                twin.entry(u64::from(offset) + i as u64).or_insert(b);
            }
            end = end.max(u64::from(offset) + len as u64);
        }
        let (heard, reassembler) = run(isn, &segments);
        let expected: Vec<Option<u8>> = (0..end).map(|i| twin.get(&i).copied()).collect();
        // A lone byte right before the passed-on bytes is a keep-alive
        // probe, and is not looked at; nothing else may differ.
        prop_assert_eq!(heard.bytes, expected);
        prop_assert_eq!(heard.late, 0);
        prop_assert_eq!(reassembler.waiting_bytes(), 0);
    }

    /// The same with segments that the snap length cut: a byte that came after
    /// its position was passed over is late, and nothing else is missing.
    #[test]
    fn cut_tails_miss_nothing_that_came_in_time(
        chunks in prop::collection::vec((0u32..60, 0usize..12, 0u32..24), 0..24),
    ) {
        let stream: Vec<u8> = (0..200u8).collect();
        let mut segments = Vec::new();
        let mut known = [false; 200];
        let mut end = 0;
        for &(offset, len, cut) in &chunks {
            let range = offset as usize..offset as usize + len;
            // A byte alone may be taken for a keep-alive probe.
            if len == 1 || len + cut as usize == 0 {
                continue;
            }
            end = end.max(range.end + cut as usize);
            known[range.clone()].fill(true);
            segments.push((offset, &stream[range], cut));
        }
        let (heard, reassembler) = run(7, &segments);
        prop_assert_eq!(heard.bytes.len(), end);
        let mut missing = 0;
        for (at, byte) in heard.bytes.iter().enumerate() {
            prop_assert!(byte.is_none_or(|byte| usize::from(byte) == at));
            missing += u64::from(byte.is_none() && known[at]);
        }
        prop_assert_eq!(missing, heard.late);
        prop_assert_eq!(heard.conflicts, 0);
        prop_assert_eq!(reassembler.waiting_bytes(), 0);
    }
}

#[test]
fn first_bytes_win_and_the_conflict_is_reported() {
    let (heard, _) = run(7, &[(0, b"abc", 0), (2, b"XYz", 0)]);
    assert_eq!(heard.bytes, b"abcYz".map(Some));
    assert_eq!(heard.conflicts, 1);
    // The same among segments that wait.
    let (heard, _) = run(7, &[(2, b"cd", 0), (1, b"BCDE", 0), (0, b"a", 0)]);
    assert_eq!(heard.bytes, b"aBcdE".map(Some));
    assert_eq!(heard.conflicts, 2);
}

#[test]
fn a_cut_tail_is_a_gap_unless_another_segment_carries_it() {
    let (heard, _) = run(7, &[(0, b"ab", 2), (4, b"ef", 0)]);
    assert_eq!(
        heard.bytes,
        [Some(b'a'), Some(b'b'), None, None, Some(b'e'), Some(b'f')]
    );
    // Early and cut, with the tail carried by another.
    let (heard, _) = run(7, &[(1, b"b", 2), (2, b"cd", 0), (0, b"a", 0)]);
    assert_eq!(heard.bytes, b"abcd".map(Some));
}

#[test]
fn a_cut_tail_that_waited_is_a_gap_at_once() {
    let (mut reassembler, mut history, mut heard) =
        (Reassembler::default(), History::new(), Heard::default());
    reassembler.syn(0);
    for segment in [
        payload(3, b"cd", 2),
        payload(7, b"gh", 0),
        payload(1, b"ab", 0),
    ] {
        reassembler.data(segment, &mut history, &mut |p| heard.hear(p));
    }
    let expected: Vec<_> = b"abcd".iter().map(|&b| Some(b)).collect();
    let expected = [expected, vec![None, None, Some(b'g'), Some(b'h')]].concat();
    assert_eq!(heard.bytes, expected);
}

#[test]
fn cut_tails_may_overlap() {
    // One reaches from 4 to 20, another from 6 to 8.
    let (heard, reassembler) = run(
        7,
        &[(2, b"cd", 16), (5, b"f", 2), (10, b"k", 0), (0, b"ab", 0)],
    );
    let mut expected = vec![None; 20];
    for (at, byte) in [
        (0, b'a'),
        (1, b'b'),
        (2, b'c'),
        (3, b'd'),
        (5, b'f'),
        (10, b'k'),
    ] {
        expected[at] = Some(byte);
    }
    assert_eq!(heard.bytes, expected);
    assert_eq!(reassembler.waiting_bytes(), 0);
}

#[test]
fn a_copy_with_a_right_checksum_is_preferred() {
    let (mut reassembler, mut history, mut heard) =
        (Reassembler::default(), History::new(), Heard::default());
    reassembler.syn(0);
    let suspect = |seq, bytes| Payload {
        suspect: true,
        ..payload(seq, bytes, 0)
    };
    reassembler.data(suspect(1, b"abXYef"), &mut history, &mut |p| heard.hear(p));
    reassembler.data(payload(3, b"cd", 0), &mut history, &mut |p| heard.hear(p));
    assert_eq!(heard.bytes, []);
    // A receiver that acknowledges has taken those bytes.
    reassembler.ack(7);
    reassembler.drain(&mut history, &mut |p| heard.hear(p));
    assert_eq!(heard.bytes, b"abcdef".map(Some));
    assert_eq!(heard.conflicts, 2);
    // Without another copy it is all there is.
    reassembler.data(suspect(7, b"gh"), &mut history, &mut |p| heard.hear(p));
    reassembler.flush(&mut history, &mut |p| heard.hear(p));
    assert_eq!(heard.bytes, b"abcdefgh".map(Some));
    assert_eq!(reassembler.waiting_bytes(), 0);
}

#[test]
fn bytes_for_a_declared_gap_are_late_once() {
    let (heard, _) = run(
        7,
        &[(0, b"ab", 3), (5, b"fg", 0), (2, b"cd", 0), (2, b"cd", 0)],
    );
    assert_eq!(heard.late, 2);
    assert_eq!(heard.conflicts, 0);
}

#[test]
fn a_keep_alive_probe_is_no_data_and_no_conflict() {
    let (heard, _) = run(7, &[(0, b"abc", 0), (2, b"\0", 0), (3, b"d", 0)]);
    assert_eq!(heard.bytes, b"abcd".map(Some));
    assert_eq!(heard.conflicts, 0);
}

#[test]
fn an_acknowledged_fin_that_was_not_captured_is_no_gap() {
    let mut reassembler = Reassembler::default();
    reassembler.syn(99);
    reassembler.ack(101);
    assert!(!reassembler.has_gap());
    reassembler.ack(102);
    assert!(reassembler.has_gap() && reassembler.gap_acked());
}
