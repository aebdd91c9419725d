//! Whatever comes, nothing breaks, nothing grows, and every byte is accounted for once.

use proptest::prelude::*;

use super::conversation::*;
use super::*;
use crate::layer::Answer;

/// Memory that a connection may keep, whatever is sent: waiting records, and for each
/// direction a record, a message and the bytes that are searched.
const KEPT: usize = limits::TLS_WAITING + 2 * (limits::TLS_MESSAGE_KEPT + 3 * 17_000);

fn feed(reader: &mut Reader, direction: Direction, bytes: &[u8], size: usize) {
    for chunk in bytes.chunks(size) {
        reader.data(direction, chunk);
        assert!(reader.tls.kept() <= KEPT, "{}", reader.tls.kept());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Bytes of a conversation are changed, dropped and doubled; what is still
    /// passed on was sent.
    #[test]
    fn forged_conversations(
        suite in any_suite(),
        acts in acts(10),
        early in any::<Option<bool>>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0u8..3, any::<u8>()), 1..12),
        size in 1usize..2000,
    ) {
        let data: [&[u8]; 2] = [b"sent before", b"the handshake was over"];
        let early = early.map(|accepted| Early { data: &data, accepted });
        let talk = match suite.0.v13 {
            true => v13_early(suite.0, early, &acts),
            false => make(suite, &acts),
        };
        let mut reader = talk.reader();
        let total: usize = talk.records.iter().map(|(_, sent)| sent.bytes.len()).sum();
        let mut sent_bytes = Vec::new();
        let mut at = 0;
        for (direction, sent) in &talk.records {
            let mut bytes = sent.bytes.clone();
            for (index, how, value) in changes.iter().rev() {
                let Some(here) = index.index(total).checked_sub(at) else { continue };
                if here < bytes.len() {
                    match how {
                        0 => bytes[here] = *value,
                        1 => drop(bytes.remove(here)),
                        _ => bytes.insert(here, *value),
                    }
                }
            }
            at += sent.bytes.len();
            sent_bytes.push(sent.data.clone());
            feed(&mut reader, *direction, &bytes, size);
        }
        let (got, _) = reader.finish();
        for direction in Direction::ALL {
            // Some sent bytes may be missing: every way to read the rest counts,
            // because a short record may look like the start of the next one.
            let text = got.text(direction);
            let mut ends = std::collections::BTreeSet::from([0]);
            for data in sent_bytes.iter().filter(|d| !d.is_empty()) {
                let more: Vec<_> = ends
                    .iter()
                    .filter(|&&end| text[end..].starts_with(data))
                    .map(|end| end + data.len())
                    .collect();
                ends.extend(more);
            }
            prop_assert!(ends.contains(&text.len()), "nothing that was not sent");
        }
    }

    /// Any bytes at all after a header, from anybody.
    #[test]
    fn noise(
        start in prop::sample::select(vec![&b""[..], b"\x16\x03\x01", b"\x17\x03\x03", b"\x80\x2e\x01"]),
        up in prop::collection::vec(any::<u8>(), 0..3000),
        down in prop::collection::vec(prop::sample::select(vec![0u8, 1, 2, 3, 20, 21, 22, 23, 24, 255]), 0..3000),
        size in 1usize..1500,
    ) {
        let mut reader = Reader::new("");
        feed(&mut reader, Direction::Up, &[start, &up].concat(), size);
        feed(&mut reader, Direction::Down, &down, size);
        reader.finish();
    }

    /// The detector never accepts bytes that no handshake begins with.
    #[test]
    fn noise_is_no_hello(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert_ne!(client_hello(&bytes), Answer::Yes);
    }
}

#[test]
fn a_message_of_sixteen_megabytes_is_counted_through() {
    let mut reader = Reader::new("");
    let mut body = vec![1, 0xFF, 0xFF, 0xFF];
    body.resize(16_000, 7);
    let header = [22, 3, 1, (16_000u16 >> 8) as u8, 16_000u16 as u8];
    for _ in 0..1100 {
        feed(
            &mut reader,
            Direction::Up,
            &[&header[..], &body].concat(),
            1460,
        );
    }
    reader.finish();
}

#[test]
fn endless_fragments_and_empty_records() {
    let mut reader = Reader::new("");
    for n in 0..60_000u32 {
        let content = match n % 3 {
            0 => vec![22, 3, 3, 0, 1, 1],
            1 => vec![23, 3, 3, 0, 0],
            _ => vec![22, 3, 3, 0, 4, 99, 0, 0, 0],
        };
        feed(&mut reader, Direction::ALL[n as usize % 2], &content, 3);
    }
    let (got, _) = reader.finish();
    assert!(got.notes.len() < 10, "{}", got.notes.len());
}

#[test]
fn headers_without_end_after_a_gap() {
    let mut reader = Reader::new("");
    reader.gap(Direction::Down, 100);
    // Each looks like a header, none is followed by one.
    let forged = b"\x17\x03\x03\x3f\xffx".repeat(20_000);
    feed(&mut reader, Direction::Down, &forged, 1460);
    reader.finish();
}

/// Eight times as much takes about eight times as long, not sixty-four times,
/// whatever it is.
#[test]
fn time_is_linear() {
    let noise = |n: usize| (0..n as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8);
    let talk = |n| {
        let data = |n: usize| (Direction::Up, Act::Data(vec![n as u8; 100], 0));
        let acts: Vec<_> = (0..n / 100).map(data).collect();
        make((Suite::find(0x1301).unwrap(), false), &acts)
    };
    let searching = |n: usize| {
        let mut reader = Reader::new("");
        reader.gap(Direction::Up, 1);
        let bytes: Vec<u8> = noise(n).collect();
        feed(&mut reader, Direction::Up, &bytes, 1);
    };
    let gathering = |n: usize| {
        let mut reader = Reader::new("");
        let header = b"\x16\x03\x03\x00\x01";
        for byte in noise(n / 6) {
            feed(
                &mut reader,
                Direction::Up,
                &[&header[..], &[byte]].concat(),
                6,
            );
        }
    };
    let waiting = |n: usize| {
        let talk = talk(n);
        let mut reader = Reader::new("");
        for (n, (direction, sent)) in talk.records.iter().enumerate() {
            // Others' secrets come all the time.
            reader.secrets(&format!("CLIENT_RANDOM {n:064x} {n:096x}\n"));
            feed(&mut reader, *direction, &sent.bytes, 1460);
        }
    };
    let losing = |n: usize| {
        let talk = talk(n);
        let mut reader = talk.reader();
        for (n, (direction, sent)) in talk.records.iter().enumerate() {
            match n % 2 {
                0 => feed(&mut reader, *direction, &sent.bytes, 1460),
                _ => reader.gap(*direction, sent.bytes.len() as u64),
            }
        }
    };
    let cases: [(&str, &dyn Fn(usize)); 4] = [
        ("searching", &searching),
        ("gathering", &gathering),
        ("waiting", &waiting),
        ("losing", &losing),
    ];
    for (name, run) in cases {
        let time = |n| {
            let once = || {
                let begin = cpu_time();
                run(n);
                cpu_time() - begin
            };
            (0..3).map(|_| once()).fold(f64::INFINITY, f64::min)
        };
        let (short, long) = (time(20_000), time(160_000));
        assert!(long < short * 32.0, "{name}: {short:?} and {long:?}");
    }
}

/// Seconds that this thread has computed: other work on the machine does not
/// count.
fn cpu_time() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[test]
fn secrets_that_never_come_cost_no_more_than_the_limit() {
    let data = |_| (Direction::Up, Act::Data(vec![7; 250], 0));
    let acts: Vec<_> = (0..3000).map(data).collect();
    let talk = make((Suite::find(0x1301).unwrap(), false), &acts);
    let mut reader = Reader::new("");
    for (direction, sent) in &talk.records {
        feed(&mut reader, *direction, &sent.bytes, 1460);
    }
    let is_limit = |(_, note): &&(Direction, Note)| matches!(note, Note::Limit(_));
    assert_eq!(reader.got.notes.iter().filter(is_limit).count(), 1);
    // They come after all: the next records can be read.
    reader.secrets(&talk.keys);
    let before = reader.got.bytes[0].len();
    let (_, last) = &talk.records[talk.records.len() - 1];
    assert_eq!(last.data.len(), 250);
    let (got, _) = reader.finish();
    assert_eq!(got.bytes[0].len(), before);
}

#[test]
fn after_the_limit_later_records_open_when_the_secret_comes() {
    let data = |n: usize| (Direction::Up, Act::Data(vec![n as u8; 250], 0));
    let acts: Vec<_> = (0..2000).map(data).collect();
    let talk = make((Suite::find(0x1301).unwrap(), false), &acts);
    // Only the secrets of the handshake are known at first.
    let known: String = talk.keys.split_inclusive('\n').take(2).collect();
    let mut reader = Reader::new(&known);
    let (first, last) = talk.records.split_at(talk.records.len() - 3);
    for (direction, sent) in first {
        reader.data(*direction, &sent.bytes);
    }
    reader.secrets(&talk.keys);
    for (direction, sent) in last {
        reader.data(*direction, &sent.bytes);
    }
    let (got, _) = reader.finish();
    let expected = &talk.expected()[0];
    assert!(got.bytes[0].ends_with(&expected[expected.len() - 3 * 250..]));
    let missing = expected.len() - got.bytes[0].len();
    assert!(missing > 0);
    assert_eq!(got.gaps[0].len(), 1, "{:?}", got.gaps[0]);
    let (range, len) = got.gaps[0][0];
    assert!(range.is_empty(), "the capture has all of it");
    assert_eq!(len, Some(missing as u64));
}

#[test]
fn detection() {
    let hello = hex("
        16 03 01 00 4c 01 00 00 48 03 03 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1
        c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 c1 00 00 02 13 01 01 00 00 1d 00 00 00 0d 00 0b 00 00 08 62
        72 6f 6b 65 72 2e 61 00 10 00 07 00 05 04 6d 71 74 74");
    let decided = 46;
    for cut in 0..=hello.len() {
        let expected = match cut < decided {
            true => Answer::More,
            false => Answer::Yes,
        };
        assert_eq!(client_hello(&hello[..cut]), expected, "{cut} bytes");
    }
    // Cut into many records.
    let fragments: Vec<u8> = hello[5..]
        .chunks(3)
        .flat_map(|part| [&[22, 3, 1, 0, part.len() as u8][..], part].concat())
        .collect();
    assert_eq!(client_hello(&fragments), Answer::Yes);
    let ssl2 = hex("80 2e 01 03 01 00 15 00 00 00 10 01 00 80 02 00 80 03 00 80");
    assert_eq!(client_hello(&ssl2), Answer::Yes);
    for other in [
        &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
        b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00",
        b"\x16\x03\x01\x00\x05hello, this is not a handshake at all, it is text",
        b"SSH-2.0-OpenSSH",
        b"\x80\x00\x00\x28nfs or any other remote procedure call",
        // A ServerHello.
        b"\x16\x03\x03\x00\x5a\x02\x00\x00\x56\x03\x03",
    ] {
        assert_eq!(client_hello(other), Answer::No, "{other:?}");
    }
}

#[test]
fn old_versions_are_named() {
    for (version, why) in [
        (0x0300u16, Unreadable::Ssl3),
        (0x0301, Unreadable::Tls10),
        (0x0302, Unreadable::Tls11),
    ] {
        let talk = make((Suite::find(0x002F).unwrap(), false), &[]);
        let mut reader = talk.reader();
        for (direction, sent) in &talk.records {
            let mut bytes = sent.bytes.clone();
            bytes[1..3].copy_from_slice(&version.to_be_bytes());
            if bytes[0] == 22 && bytes[5] == 2 {
                bytes[9..11].copy_from_slice(&version.to_be_bytes());
            }
            reader.data(*direction, &bytes);
        }
        let (got, info) = reader.finish();
        assert_eq!(got.notes, [(Direction::Up, Note::Encrypted(why))]);
        assert_eq!(info.version, Some(TlsVersion(version)));
    }
}
