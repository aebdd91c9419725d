//! Cost of a record: nanoseconds, and megabytes of content a second.
//!
//! ```sh
//! cargo test --release --lib tls::tests::cost -- --ignored --nocapture
//! ```

use std::hint::black_box;
use std::time::Instant;

use super::conversation::*;
use super::*;

/// Bytes of a TCP segment.
const SEGMENT: usize = 1448;

/// One of each way to seal.
const SUITES: [(u16, bool); 9] = [
    (0x1301, false),
    (0x1302, false),
    (0x1303, false),
    (0x1304, false),
    (0x1305, false),
    (0xC02F, false),
    (0xC013, false),
    (0xC027, true),
    (0xC028, false),
];

#[test]
#[ignore = "a measurement"]
fn cost_of_a_record() {
    println!("{:<40} {:>9} {:>9} {:>8}", "suite", "bytes", "ns", "MB/s");
    for (id, encrypt_then_mac) in SUITES {
        for (len, count) in [(100, 50_000), (1 << 14, 1_000)] {
            let data = (Direction::Up, Act::Data(vec![0x5A; len], 0));
            let suite = Suite::find(id).unwrap();
            let talk = make((suite, encrypt_then_mac), &vec![data; count]);
            let nanos = (0..3).map(|_| read(&talk)).min().unwrap() as f64;
            let name = CipherSuite(id).name().unwrap();
            println!(
                "{:<40} {len:>9} {:>9.0} {:>8.0}",
                format!("{name}{}", if encrypt_then_mac { ", EtM" } else { "" }),
                nanos / count as f64,
                (len * count) as f64 / nanos * 1e3,
            );
        }
    }
}

/// Nanoseconds to read a conversation, a record or a full segment at a time.
fn read(talk: &Conversation) -> u128 {
    let (mut tls, mut keys) = (Tls::new(), KeyLog::default());
    keys.push(talk.keys.as_bytes());
    let (mut next, mut packet, mut total) = ([0; 2], 0, 0);
    let begin = Instant::now();
    for (direction, sent) in &talk.records {
        for bytes in sent.bytes.chunks(SEGMENT) {
            packet += 1;
            let start = next[*direction as usize];
            let end = start + bytes.len() as u64;
            next[*direction as usize] = end;
            let chunk = Data {
                bytes,
                range: ByteRange { start, end },
                at: at(packet),
                seal: None,
            };
            tls.push(*direction, Chunk::Data(chunk), &keys, &mut |_, passed| {
                if let LayerOutput::Chunk(Chunk::Data(chunk)) = black_box(passed) {
                    total += chunk.bytes.len();
                }
            });
        }
    }
    let nanos = begin.elapsed().as_nanos();
    let sent: usize = talk.records.iter().map(|(_, sent)| sent.data.len()).sum();
    assert_eq!(total, sent);
    nanos
}
