//! Secrets that come late, line by line: the output keeps the order of the
//! capture, and waiting bytes are limited.

use proptest::prelude::*;

use super::conversation::*;
use super::*;

fn in_order(got: &Got) -> bool {
    got.order.is_sorted()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Each line of the key log comes at a time of its own.
    #[test]
    fn a_key_log_that_grows(
        suite in any_suite(),
        acts in acts(10),
        times in prop::collection::vec(0usize..30, 5),
        segment in 20usize..1500,
    ) {
        let talk = make(suite, &acts);
        let mut reader = Reader::new("");
        for (n, (direction, sent)) in talk.records.iter().enumerate() {
            for (line, _) in talk.keys.split_inclusive('\n').zip(&times).filter(|(_, t)| **t == n) {
                reader.secrets(line);
            }
            sent.bytes.chunks(segment).for_each(|chunk| reader.data(*direction, chunk));
        }
        reader.secrets(&talk.keys);
        let (got, _) = reader.finish();
        prop_assert_eq!(&got.bytes, &talk.expected());
        prop_assert!(in_order(&got), "{:?}", got.order);
        prop_assert_eq!(&got.notes, &[]);
    }
}

fn both_ways(times: u8) -> Vec<(Direction, Act)> {
    (0..times)
        .flat_map(|n| Direction::ALL.map(|direction| (direction, Act::Data(vec![n; 100], 0))))
        .collect()
}

/// An answer is not shown before its question.
#[test]
fn readable_records_wait_for_earlier_ones() {
    let talk = v13(Suite::find(0x1303).unwrap(), &both_ways(5));
    let mut reader = Reader::new(&talk.keys_without("CLIENT_TRAFFIC"));
    for (direction, sent) in &talk.records {
        reader.data(*direction, &sent.bytes);
    }
    // But for the server's own first words nothing was passed on.
    assert!(reader.got.bytes.iter().all(Vec::is_empty));
    reader.secrets(&talk.keys);
    assert_eq!(reader.got.bytes, talk.expected());
    assert!(in_order(&reader.got));
}

/// When the question's secret never comes, the answers come in the end.
#[test]
fn the_other_direction_is_read_all_the_same() {
    let talk = v13(Suite::find(0x1303).unwrap(), &both_ways(5));
    let mut reader = Reader::new(&talk.keys_without("CLIENT_TRAFFIC"));
    for (direction, sent) in &talk.records {
        reader.data(*direction, &sent.bytes);
    }
    let (got, _) = reader.finish();
    assert!(got.bytes[0].is_empty());
    assert_eq!(got.bytes[1], talk.expected()[1]);
    let why = Note::Undecrypted(Unreadable::NoSecret);
    assert_eq!(got.notes, [(Direction::Up, why)]);
}

/// Buffered output counts like waiting records.
#[test]
fn buffered_output_is_limited() {
    let acts: Vec<_> = std::iter::repeat_with(|| both_ways(250))
        .take(20)
        .flatten()
        .collect();
    let talk = v13(Suite::find(0x1303).unwrap(), &acts);
    let mut reader = Reader::new(&talk.keys_without("CLIENT_TRAFFIC"));
    for (direction, sent) in &talk.records {
        reader.data(*direction, &sent.bytes);
        assert!(reader.tls.kept() < limits::TLS_WAITING + (64 << 10));
    }
    let is_limit = |(_, note): &&(Direction, Note)| matches!(note, Note::Limit(_));
    assert_eq!(reader.got.notes.iter().filter(is_limit).count(), 1);
    let (got, _) = reader.finish();
    assert_eq!(got.bytes[1], talk.expected()[1]);
}

/// A key log that ends in the middle of a line does not have that secret: it is
/// reported as missing, not as wrong.
#[test]
fn a_key_log_that_was_cut() {
    let talk = v13(Suite::find(0x1302).unwrap(), &both_ways(3));
    for cut in [1, 33, 60] {
        // 32 digits less would be a secret of the other length.
        let keys = &talk.keys[..talk.keys.len() - cut];
        let mut reader = Reader::new(keys);
        for (direction, sent) in &talk.records {
            reader.data(*direction, &sent.bytes);
        }
        let (got, _) = reader.finish();
        assert_eq!(got.bytes[0], talk.expected()[0]);
        assert!(got.bytes[1].is_empty());
        let why = Note::Undecrypted(Unreadable::NoSecret);
        assert_eq!(got.notes, [(Direction::Down, why)], "{cut}");
    }
}

/// Secrets of another connection are reported as such, whatever the version.
#[test]
fn wrong_secrets() {
    for id in [0x1301, 0x1302, 0x1303, 0xC02F, 0xCCA8, 0xC013, 0x003D] {
        let talk = make((Suite::find(id).unwrap(), false), &both_ways(3));
        // The last digits of each line are of the secret.
        let wrong = talk
            .keys
            .lines()
            .map(|line| format!("{}00\n", &line[..line.len() - 2]));
        let mut reader = Reader::new(&wrong.collect::<String>());
        for (direction, sent) in &talk.records {
            reader.data(*direction, &sent.bytes);
        }
        let (got, info) = reader.finish();
        assert!(got.bytes.iter().all(Vec::is_empty), "{id:04x}");
        let why = Note::Encrypted(Unreadable::NotVerified);
        assert!(
            matches!(&got.notes[..], [(_, note)] if *note == why),
            "{id:04x} {:?}",
            got.notes
        );
        assert!(!info.decrypted);
    }
}
