//! Whatever is lost, the rest is read, and the reports of the loss are true.

use proptest::prelude::*;

use super::conversation::*;
use super::*;

/// Runs a conversation without some bytes of one direction.
fn without(talk: &Conversation, side: Direction, gaps: &[(u64, u64)], segment: usize) -> Got {
    let mut reader = talk.reader();
    for (direction, sent) in &talk.records {
        for chunk in sent.bytes.chunks(segment) {
            let start = reader.next[*direction as usize];
            let mut at = 0;
            while at < chunk.len() {
                let position = start + at as u64;
                let lost = |p: u64| {
                    *direction == side && gaps.iter().any(|(from, to)| (*from..*to).contains(&p))
                };
                let here = lost(position);
                let same = |n: &usize| lost(start + *n as u64) == here;
                let end = at + (at..chunk.len()).take_while(same).count();
                match here {
                    true => reader.gap(*direction, (end - at) as u64),
                    false => reader.data(*direction, &chunk[at..end]),
                }
                at = end;
            }
        }
    }
    reader.finish().0
}

/// The records that a gap touches, by position.
fn touched(talk: &Conversation, side: Direction, gaps: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut out = Vec::new();
    let mut start = 0;
    for (_, sent) in talk
        .records
        .iter()
        .filter(|(direction, _)| *direction == side)
    {
        let end = start + sent.bytes.len() as u64;
        if gaps.iter().any(|(from, to)| *from < end && start < *to) {
            out.push((start, end));
        }
        start = end;
    }
    out
}

/// The output is right, and complete as far as possible.
fn check(talk: &Conversation, side: Direction, gaps: &[(u64, u64)], got: &Got, exact: bool) {
    let gone = touched(talk, side, gaps);
    let survives = |(position, _): &&(u64, u8)| {
        !gone
            .iter()
            .any(|(from, to)| (*from..*to).contains(position))
    };
    let expected = talk.expected();
    let other = side.reversed();
    let same = got.bytes[other as usize] == expected[other as usize];
    assert!(same, "the other side: {gaps:?} {:?}", got.notes);
    let all = &expected[side as usize];
    let rest: Vec<_> = all.iter().filter(survives).copied().collect();
    let same = got.bytes[side as usize] == rest;
    assert!(same, "{gaps:?} {:?} {:?}", got.notes, got.gaps);
    // Gaps of known length have the length of the missing bytes.
    let gaps = &got.gaps[side as usize];
    let lens: Option<Vec<u64>> = gaps.iter().map(|(_, len)| *len).collect();
    // After the last record nothing shows the loss.
    let open = rest.last() != all.last();
    match lens {
        Some(lens) => assert_eq!(lens.iter().sum::<u64>() as usize, all.len() - rest.len()),
        None => assert!(!exact || open, "{gaps:?} after {gaps:?}"),
    }
}

fn length(talk: &Conversation, side: Direction) -> u64 {
    let mine = talk
        .records
        .iter()
        .filter(|(direction, _)| *direction == side);
    mine.map(|(_, sent)| sent.bytes.len() as u64).sum()
}

/// Where the first record of data begins.
fn data_begins(talk: &Conversation, side: Direction) -> u64 {
    let mine = talk
        .records
        .iter()
        .filter(|(direction, _)| *direction == side);
    let before = mine.take_while(|(_, sent)| sent.data.is_empty());
    before.map(|(_, sent)| sent.bytes.len() as u64).sum()
}

/// Like [`acts`], with data at the beginning and at the end of both sides.
fn framed() -> impl Strategy<Value = Vec<(Direction, Act)>> {
    acts(0).prop_map(|mut acts| {
        // A ticket amid data would be taken for data when it is lost.
        acts.retain(|(_, act)| !matches!(act, Act::Ticket));
        let all = [
            (Direction::Up, 1),
            (Direction::Down, 2),
            (Direction::Up, 3),
            (Direction::Down, 4),
        ]
        .map(|(direction, n)| (direction, Act::Data(vec![n; 30], 0)));
        [&all[..], &acts, &all].concat()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// One gap after the handshake, of any size and anywhere.
    #[test]
    fn one_gap_in_the_data(
        suite in any_suite(),
        acts in framed(),
        side in direction(),
        from in 0.0..1.0f64,
        len in 1u64..800,
        segment in 20usize..1500,
    ) {
        let talk = make(suite, &acts);
        let (begins, length) = (data_begins(&talk, side), length(&talk, side));
        let from = begins + ((length - begins) as f64 * from) as u64;
        let gaps = [(from, (from + len).min(length))];
        let got = without(&talk, side, &gaps, segment);
        // A lost KeyUpdate hides how much data was lost.
        let plain = acts.iter().all(|(_, act)| matches!(act, Act::Data(..)));
        let chained = matches!(suite.0.cipher, suite::Cipher::Cbc(..));
        // The first record of a server of TLS 1.3 could have been a ticket.
        let first = side == Direction::Down && suite.0.v13 && from < begins + 60;
        check(&talk, side, &gaps, &got, plain && !chained && !first);
    }

    /// Several small gaps after the handshake.
    #[test]
    fn several_gaps_in_the_data(
        suite in any_suite(),
        acts in framed(),
        side in direction(),
        gaps in prop::collection::vec((0.0..1.0f64, 1u64..100), 2..5),
        segment in 20usize..1500,
    ) {
        let talk = make(suite, &acts);
        let (begins, length) = (data_begins(&talk, side), length(&talk, side));
        let range = |(from, len): &(f64, u64)| {
            let from = begins + ((length - begins) as f64 * from) as u64;
            (from, (from + len).min(length))
        };
        let gaps: Vec<_> = gaps.iter().map(range).collect();
        let got = without(&talk, side, &gaps, segment);
        check(&talk, side, &gaps, &got, false);
    }

    /// A gap in the handshake, but not in the ServerHello: that costs no data
    /// of its own.
    #[test]
    fn a_gap_in_the_handshake(
        suite in any_suite(),
        acts in framed(),
        side in direction(),
        from in 0.0..1.0f64,
        len in 1u64..2000,
        segment in 20usize..1500,
    ) {
        let talk = make(suite, &acts);
        let begins = data_begins(&talk, side);
        // Of TLS 1.2 the ServerHello is in the first record of 405 bytes.
        let first = match (side, suite.0.v13) {
            (Direction::Down, false) => 405,
            _ => 0,
        };
        let from = first + ((begins - first) as f64 * from) as u64;
        let gaps = [(from, (from + len).min(begins))];
        let got = without(&talk, side, &gaps, segment);
        check(&talk, side, &gaps, &got, false);
    }
}

/// Every single byte of a conversation.
#[test]
fn any_single_byte() {
    let acts: Vec<_> = (0..4u8)
        .flat_map(|n| Direction::ALL.map(|w| (w, Act::Data(vec![n; 20], 0))))
        .collect();
    for id in [0x1301, 0xC02F] {
        let talk = make((Suite::find(id).unwrap(), false), &acts);
        for side in Direction::ALL {
            let first = match (side, id) {
                (Direction::Down, 0xC02F) => 405,
                _ => 0,
            };
            for from in first..length(&talk, side) {
                let gaps = [(from, from + 1)];
                let got = without(&talk, side, &gaps, 1400);
                check(&talk, side, &gaps, &got, false);
            }
        }
    }
}

/// A long gap: the sequence number shows how many records it covers.
#[test]
fn hundreds_of_records() {
    let data = |n: u32| {
        (
            Direction::Up,
            Act::Data(vec![n as u8; 20 + n as usize % 60], 0),
        )
    };
    let acts: Vec<_> = (0..900).map(data).collect();
    for suite in [0x1303, 0xC0AE].map(|id| (Suite::find(id).unwrap(), false)) {
        let talk = make(suite, &acts);
        let begins = data_begins(&talk, Direction::Up);
        let gaps = [(begins + 200, length(&talk, Direction::Up) - 700)];
        let got = without(&talk, Direction::Up, &gaps, 1400);
        check(&talk, Direction::Up, &gaps, &got, true);
    }
}

/// A lost ServerHello of TLS 1.2 cannot be recovered, and that is reported.
#[test]
fn a_lost_server_hello() {
    let acts = [
        (Direction::Up, Act::Data(vec![1; 9], 0)),
        (Direction::Down, Act::Data(vec![2; 9], 0)),
    ];
    for (id, read) in [(0xC02F, false), (0x1301, true)] {
        let talk = make((Suite::find(id).unwrap(), false), &acts);
        let got = without(&talk, Direction::Down, &[(0, 300)], 1400);
        assert_eq!(got.bytes == talk.expected(), read, "{:?}", got.notes);
        if !read {
            assert!(got.bytes.iter().all(Vec::is_empty));
            let is_reported = |(_, note): &(Direction, Note)| matches!(note, Note::Encrypted(_));
            let count = got.notes.iter().filter(|note| is_reported(note)).count();
            assert_eq!(count, 1, "{:?}", got.notes);
        }
    }
}
