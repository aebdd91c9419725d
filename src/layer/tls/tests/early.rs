//! Only early data that the server accepted counts.

use super::conversation::*;
use super::*;

const EARLY: [&[u8]; 3] = [b"first", b"second, longer", b"third"];

fn talk(accepted: bool) -> Conversation {
    let acts: Vec<_> = (1..5u8)
        .flat_map(|n| Direction::ALL.map(|direction| (direction, Act::Data(vec![n; 30], 0))))
        .collect();
    let early = Early {
        data: &EARLY,
        accepted,
    };
    v13_early(Suite::find(0x1301).unwrap(), Some(early), &acts)
}

/// Reads the records that `there` selects: whether it is there at all, and if so
/// whether it was captured.
fn read(talk: &Conversation, keys: &str, there: impl Fn(usize, Direction) -> Option<bool>) -> Got {
    let mut reader = Reader::new(keys);
    for (n, (direction, sent)) in talk.records.iter().enumerate() {
        match there(n, *direction) {
            Some(true) => reader.data(*direction, &sent.bytes),
            Some(false) => reader.gap(*direction, sent.bytes.len() as u64),
            None => {}
        }
    }
    reader.finish().0
}

fn all(_: usize, _: Direction) -> Option<bool> {
    Some(true)
}

fn unread() -> u64 {
    EARLY.iter().map(|data| data.len() as u64).sum()
}

fn rejected(got: &Got) {
    assert_eq!(got.own(Direction::Up, LayerBytes::Unread), unread());
    assert_eq!(got.notes, [(Direction::Up, Note::EarlyDataRejected)]);
    assert!(got.gaps[0].iter().all(|(_, len)| *len == Some(0)));
}

#[test]
fn it_is_read_when_the_server_took_it() {
    let talk = talk(true);
    let got = read(&talk, &talk.keys, all);
    assert_eq!(got.bytes, talk.expected());
    assert!(got.text(Direction::Up).starts_with(&EARLY.concat()));
    assert!(got.notes.is_empty(), "{:?}", got.notes);
}

#[test]
fn it_is_not_when_the_server_did_not() {
    let talk = talk(false);
    let got = read(&talk, &talk.keys, all);
    assert_eq!(got.bytes, talk.expected());
    rejected(&got);
}

/// A client that knows that its early data was accepted marks its end, so that the
/// client's side alone suffices.
#[test]
fn the_client_alone_suffices() {
    for accepted in [true, false] {
        let talk = talk(accepted);
        let up = |_, direction| (direction == Direction::Up).then_some(true);
        let one_side = read(&talk, &talk.keys, up);
        let no_secret = read(&talk, &talk.keys_without("SERVER"), all);
        for got in [one_side, no_secret] {
            assert_eq!(got.bytes[0], talk.expected()[0], "{accepted}");
            assert_eq!(
                got.notes
                    .contains(&(Direction::Up, Note::EarlyDataRejected)),
                !accepted
            );
        }
    }
}

/// So does the server alone, when the client's other secrets are missing.
#[test]
fn the_server_alone_suffices() {
    for accepted in [true, false] {
        let talk = talk(accepted);
        let got = read(&talk, &talk.keys_without("CLIENT_HANDSHAKE"), all);
        assert_eq!(got.bytes, talk.expected(), "{accepted}");
    }
}

#[test]
fn its_secret_may_come_late() {
    for accepted in [true, false] {
        let talk = talk(accepted);
        for late in 0..talk.records.len() {
            let mut reader = Reader::new("");
            for (n, (direction, sent)) in talk.records.iter().enumerate() {
                if n == late {
                    reader.secrets(&talk.keys);
                }
                reader.data(*direction, &sent.bytes);
            }
            let (got, _) = reader.finish();
            assert_eq!(got.bytes, talk.expected(), "{accepted}, record {late}");
            if !accepted {
                rejected(&got);
            }
        }
    }
}

/// Without its secret early data is unreadable; it is reported as missing if the
/// server accepted it.
#[test]
fn without_its_secret_it_is_a_gap() {
    for accepted in [true, false] {
        let talk = talk(accepted);
        let got = read(&talk, &talk.keys_without("EARLY"), all);
        let expected = &talk.expected()[0];
        let from = if accepted { unread() as usize } else { 0 };
        assert_eq!(got.bytes[0], expected[from..], "{accepted}");
        let unknown = got.gaps[0].iter().any(|(_, len)| len.is_none());
        assert_eq!(unknown, accepted, "{:?}", got.gaps);
        let why = Note::Undecrypted(Unreadable::NoSecret);
        assert_eq!(got.notes, [(Direction::Up, why)], "{accepted}");
    }
}

/// The evidence of both sides is lost.
#[test]
fn an_unknown_outcome_is_reported() {
    for accepted in [true, false] {
        let talk = talk(accepted);
        let finished = talk
            .records
            .iter()
            .position(|(_, sent)| sent.data.first() == Some(&1))
            .unwrap();
        // From the ServerHello to the client's Finished.
        let got = read(&talk, &talk.keys, |n, _| {
            Some(n < 1 + EARLY.len() || n >= finished)
        });
        let early = EARLY.concat();
        assert!(
            !got.text(Direction::Up).starts_with(&early[..5]),
            "{accepted}"
        );
        assert_eq!(got.text(Direction::Up).len(), 4 * 30);
        let why = Note::Undecrypted(Unreadable::EarlyDataUnknown);
        assert_eq!(got.notes, [(Direction::Up, why)]);
        assert!(got.gaps[0].iter().any(|(_, len)| len.is_none()));
    }
}

/// Where some of it is lost, the rest is read, or is not, as before.
#[test]
fn any_of_its_records_may_be_lost() {
    for accepted in [true, false] {
        let talk = talk(accepted);
        for lost in 1..=EARLY.len() {
            let got = read(&talk, &talk.keys, |n, _| Some(n != lost));
            let text: Vec<u8> = (1..)
                .zip(EARLY)
                .filter(|(n, _)| accepted && *n != lost)
                .flat_map(|(_, data)| data.to_vec())
                .collect();
            assert!(
                got.text(Direction::Up).starts_with(&text),
                "{accepted} {lost}"
            );
            assert_eq!(got.text(Direction::Up).len(), text.len() + 4 * 30);
            let unknown = got.gaps[0].iter().any(|(_, len)| len.is_none());
            assert!(
                !unknown || accepted,
                "{lost} {:?} {:?}",
                got.gaps,
                got.notes
            );
        }
    }
}
