//! Whole connections: as others recorded them, and as they may be cut, lost and
//! forged.

#![cfg(feature = "tls")]

mod conversation;
mod cost;
mod early;
mod excess;
mod hostile;
mod late;
mod loss;
mod rfc8448;

use super::facts::Negotiated;
use super::record::{HEADER, kind};
use super::suite::Suite;
use super::*;
use crate::layer::{ByteRange, Data, Seal};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// Reads a connection and keeps all that comes out.
struct Reader {
    tls: Tls,
    keys: KeyLog,
    /// By way: where the next bytes lie.
    next: [u64; 2],
    packet: u64,
    got: Got,
}

/// The output.
#[derive(Default, Debug, PartialEq)]
struct Got {
    /// By way: position and value of each byte that was passed on.
    bytes: [Vec<(u64, u8)>; 2],
    /// By way: position and length of each gap passed on.
    gaps: [Vec<(ByteRange, Option<u64>)>; 2],
    own: [Vec<(ByteRange, LayerBytes)>; 2],
    notes: Vec<(Direction, Note)>,
    /// By way: where the last range ended.
    reported: [u64; 2],
    /// By way, of each chunk: position, seal and packet.
    seals: [Vec<(u64, Option<Seal>, u64)>; 2],
    /// Packets that completed the seals of chunks, in the order in which
    /// they were passed on.
    order: Vec<u64>,
}

impl Reader {
    fn new(keys: &str) -> Self {
        let mut log = KeyLog::default();
        log.push(keys.as_bytes());
        Self {
            tls: Tls::new(),
            keys: log,
            next: [0; 2],
            packet: 0,
            got: Got::default(),
        }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.packet += 1;
        let start = self.next[direction as usize];
        let end = start + bytes.len() as u64;
        self.next[direction as usize] = end;
        let chunk = Data {
            bytes,
            range: ByteRange { start, end },
            at: at(self.packet),
            seal: None,
        };
        let (tls, got) = (&mut self.tls, &mut self.got);
        tls.push(direction, Chunk::Data(chunk), &self.keys, &mut |w, p| {
            got.take(w, p)
        });
    }

    fn gap(&mut self, direction: Direction, len: u64) {
        if len == 0 {
            return;
        }
        let start = self.next[direction as usize];
        let end = start + len;
        self.next[direction as usize] = end;
        let gap = Chunk::Gap {
            range: ByteRange { start, end },
            len: Some(len),
        };
        let (tls, got) = (&mut self.tls, &mut self.got);
        tls.push(direction, gap, &self.keys, &mut |w, p| got.take(w, p));
    }

    fn secrets(&mut self, text: &str) {
        self.keys.push(text.as_bytes());
        let got = &mut self.got;
        self.tls.settle(&self.keys, &mut |w, p| got.take(w, p));
    }

    fn finish(mut self) -> (Got, TlsInfo) {
        let got = &mut self.got;
        self.tls.finish(&self.keys, &mut |w, p| got.take(w, p));
        assert_eq!(self.got.reported, self.next, "every byte is reported");
        (self.got, self.tls.info().clone())
    }
}

impl Got {
    fn take(&mut self, direction: Direction, passed: LayerOutput<'_>) {
        let side = direction as usize;
        let range = match passed {
            LayerOutput::Chunk(Chunk::Data(chunk)) => {
                assert!(!chunk.bytes.is_empty());
                assert_eq!(chunk.range.len(), chunk.bytes.len() as u64);
                let seal = chunk.seal.expect("all content is sealed");
                assert!(chunk.range.end <= seal.end);
                assert!(chunk.at.packet.number <= seal.at.packet.number);
                self.bytes[side].extend((chunk.range.start..).zip(chunk.bytes.iter().copied()));
                self.order.push(seal.at.packet.number);
                self.seals[side].push((chunk.range.start, chunk.seal, chunk.at.packet.number));
                chunk.range
            }
            LayerOutput::Chunk(Chunk::Gap { range, len }) => {
                self.gaps[side].push((range, len));
                range
            }
            LayerOutput::Own(range, own) => {
                assert!(!range.is_empty());
                self.own[side].push((range, own));
                range
            }
            LayerOutput::Note(note, _) => {
                self.notes.push((direction, note));
                return;
            }
        };
        assert_eq!(
            range.start, self.reported[side],
            "ranges ascend without a gap"
        );
        self.reported[side] = range.end;
    }

    fn text(&self, direction: Direction) -> Vec<u8> {
        self.bytes[direction as usize]
            .iter()
            .map(|(_, b)| *b)
            .collect()
    }

    /// Bytes that something is for, by way.
    fn own(&self, direction: Direction, what: LayerBytes) -> u64 {
        let all = self.own[direction as usize].iter();
        all.filter(|(_, own)| *own == what)
            .map(|(p, _)| p.len())
            .sum()
    }
}

fn at(packet: u64) -> At {
    At {
        packet: PacketRef {
            number: packet,
            file: 0,
        },
        time: Timestamp::from_nanos(packet as i64 * 1_000),
        acked: 0,
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}
