//! What is kept when a peer sends more than anyone needs.

use super::super::handshake::{Message, Messages, ServerHello};
use super::super::{facts::Facts, x509};
use super::conversation::*;
use super::*;

/// A DER element.
fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (body.len() as u32).to_be_bytes();
    [&[tag, 0x83, a, b, c], body].concat()
}

/// A certificate with a name of so many parts of ten letters.
fn certificate(parts: usize) -> Vec<u8> {
    let part = [&[6, 3, 0x55, 4, 3, 0x0C, 10][..], b"broker-one"].concat();
    let name = der(0x31, &der(0x30, &part)).repeat(parts);
    let before = [2, 1, 2, 0x30, 0, 0x30, 0, 0x30, 0];
    der(0x30, &der(0x30, &[&before[..], &der(0x30, &name)].concat()))
}

#[test]
fn a_long_subject_is_cut() {
    let one = "CN=broker-one";
    assert_eq!(x509::subject(&certificate(1)).as_deref(), Some(one));
    let fits = limits::TLS_SUBJECT / (one.len() + 2);
    for (parts, is_cut) in [(fits, false), (fits + 2, true), (2000, true)] {
        let subject = x509::subject(&certificate(parts)).expect("a subject");
        assert_eq!(subject.ends_with('…'), is_cut, "{parts}");
        assert!(subject.starts_with(one));
        assert!(subject.chars().count() <= limits::TLS_SUBJECT + 1);
    }
}

#[test]
fn the_beginning_of_a_long_message_is_read_and_the_next_one_found() {
    let chain = certificate(1);
    let [_, a, b, c] = (chain.len() as u32).to_be_bytes();
    let mut body = [&[0, 0xFF, 0xFF, 0xFF, a, b, c][..], &chain].concat();
    body.resize(3 * limits::TLS_MESSAGE_KEPT, 7);
    let sent = [message(11, &body), message(20, &[9; 32])].concat();
    let (mut messages, mut got, mut most) = (Messages::default(), Vec::new(), 0);
    for content in sent.chunks(16_000) {
        got.extend(messages.push(content, true));
        most = most.max(messages.kept());
    }
    assert_eq!(most, limits::TLS_MESSAGE_KEPT);
    assert_eq!(messages.kept(), 0);
    let [Message::Certificate { subject }, Message::Finished] = &got[..] else {
        panic!("{} messages", got.len());
    };
    assert_eq!(subject.as_deref(), Some("CN=broker-one"));
}

#[test]
fn few_application_protocols_are_kept() {
    let names = b"\x04mqtt".repeat(limits::TLS_ALPN + 9);
    let list = [&(names.len() as u16).to_be_bytes()[..], &names].concat();
    let extension = [&[0, 16][..], &(list.len() as u16).to_be_bytes(), &list].concat();
    let mut body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0]].concat();
    body.extend((extension.len() as u16 + 4).to_be_bytes());
    body.extend(extension);
    // What follows it is read all the same.
    body.extend([0, 42, 0, 0]);
    let hello = Messages::default().push(&message(1, &body), false);
    let [Message::ClientHello(hello)] = &hello[..] else {
        panic!("no ClientHello");
    };
    assert_eq!(hello.alpn, vec!["mqtt"; limits::TLS_ALPN]);
    assert!(hello.early_data);
}

#[test]
fn endless_renegotiation_makes_a_connection_unreadable() {
    let mut facts = Facts::default();
    let hello = |n: usize| ServerHello {
        version: 0x0303,
        random: [n as u8; 32],
        session_id: Vec::new(),
        suite: 0xC02F,
        compressed: false,
        alpn: None,
        encrypt_then_mac: false,
        truncated_hmac: false,
        psk: false,
    };
    for n in 0..limits::TLS_HANDSHAKES {
        facts.take(Direction::Down, Message::ServerHello(hello(n)), n > 0);
        assert_eq!(facts.unreadable, None);
    }
    let one_more = Message::ServerHello(hello(limits::TLS_HANDSHAKES));
    facts.take(Direction::Down, one_more, true);
    assert_eq!(facts.negotiated.len(), limits::TLS_HANDSHAKES);
    assert_eq!(facts.unreadable, Some(Unreadable::TooManyHandshakes));
}

fn data(n: u8) -> (Direction, Act) {
    (Direction::Up, Act::Data(vec![n; 40], 0))
}

/// Whose connection it is has to be tried, and the newest are.
#[test]
fn a_lost_hello_is_looked_for_among_the_newest_connections() {
    let talk = v13(Suite::find(0x1301).expect("a suite"), &[data(1), data(2)]);
    for (strangers, is_read) in [
        (limits::TLS_STRANGERS - 1, true),
        (limits::TLS_STRANGERS, false),
    ] {
        let mut keys = talk.keys.clone();
        for n in 0..strangers {
            keys += &format!("CLIENT_TRAFFIC_SECRET_0 {n:064x} {n:064x}\n");
        }
        let mut reader = Reader::new(&keys);
        reader.keys.close();
        for (n, (direction, sent)) in talk.records.iter().enumerate() {
            match n {
                0 => reader.gap(*direction, sent.bytes.len() as u64),
                _ => reader.data(*direction, &sent.bytes),
            }
        }
        let (got, _) = reader.finish();
        let expected = match is_read {
            true => talk.expected()[0].clone(),
            false => Vec::new(),
        };
        assert_eq!(got.bytes[0], expected, "{strangers}: {:?}", got.notes);
        let why = Note::Encrypted(Unreadable::NoSecret);
        assert!(got.notes.iter().any(|(_, note)| *note == why) || is_read);
    }
}

/// A gap may have had changes of keys in it.
#[test]
fn few_key_updates_are_bridged() {
    let suite = Suite::find(0x1301).expect("a suite");
    for (updates, is_read) in [
        (limits::TLS_KEY_UPDATES, true),
        (limits::TLS_KEY_UPDATES + 1, false),
    ] {
        let update = vec![(Direction::Up, Act::Update); updates];
        let talk = v13(suite, &[&[data(1)][..], &update, &[data(2)]].concat());
        let mut reader = talk.reader();
        reader.keys.close();
        let last = talk.records.len() - 1;
        for (n, (direction, sent)) in talk.records.iter().enumerate() {
            match (last - updates..last).contains(&n) {
                true => reader.gap(*direction, sent.bytes.len() as u64),
                false => reader.data(*direction, &sent.bytes),
            }
        }
        let (got, _) = reader.finish();
        let mut expected = talk.expected()[0].clone();
        let why = Note::Undecrypted(Unreadable::LossNotBridged);
        if is_read {
            assert_eq!(got.notes, []);
        } else {
            expected.truncate(40);
            assert_eq!(got.notes, [(Direction::Up, why)]);
        }
        assert_eq!(got.bytes[0], expected, "{updates} updates");
    }
}

/// After a gap of gigabytes any of millions of sequence numbers may be the next.
#[test]
fn the_search_for_a_sequence_number_ends_and_it_is_reported() {
    let talk = v13(Suite::find(0x1303).expect("a suite"), &[data(1), data(2)]);
    let mut reader = talk.reader();
    reader.keys.close();
    let last = talk.records.len() - 1;
    for (n, (direction, sent)) in talk.records.iter().enumerate() {
        if n == last {
            // Its number is lower than any that can follow so large a gap.
            reader.gap(Direction::Up, 1 << 32);
        }
        reader.data(*direction, &sent.bytes);
    }
    let (got, _) = reader.finish();
    assert_eq!(got.text(Direction::Up), [1; 40]);
    let why = Note::Undecrypted(Unreadable::NumberNotFound);
    assert_eq!(got.notes, [(Direction::Up, why)]);
}
