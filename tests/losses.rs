//! The cost of a lost segment, over TLS and WebSocket: only the bytes it carried.
//!
//! Each recording of `fixtures/transport` is read again and again, each time
//! without one of the segments that carry data. The others' messages have to be
//! there all the same, whole, and nothing else: a record or frame that is lost
//! must not take the next one with it, and guesses must be right.
//!
//! Some losses cannot be recovered; each of them is reported by an event. And on
//! an unknown port a connection whose CONNECT, or what would have named
//! MQTT, is lost, is only counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mqttdump::capture::{Capture, Item};
use mqttdump::engine::{Config, Engine, Output};
use mqttdump::flow::ByteRange;
use mqttdump::frame::Direction;
use mqttdump::mqtt::ControlPacket;
use mqttdump::packet::{CapturedPacket, LinkType, PacketRef};
use mqttdump::time::Timestamp;

use crate::support::program::project;

/// Bytes that a test has time for.
const LARGEST: u64 = 24 << 10;

#[test]
fn a_lost_segment_costs_only_the_bytes_it_carried() {
    let (mut wrong, mut losses) = (Vec::new(), 0);
    let mut unavoidable = BTreeMap::<String, usize>::new();
    for path in captures() {
        let recording = Recording::load(&path);
        let whole = recording.read(None);
        if whole.frames.is_empty() {
            continue;
        }
        let name = path.file_name().unwrap_or_default();
        let name = name.to_string_lossy().into_owned();
        for segment in &whole.segments {
            losses += 1;
            let lossy = recording.read(Some(segment.packet));
            let why = match compare(&whole, &lossy, segment) {
                Ok(()) => continue,
                Err(Wrong::Absent(_)) if lossy.reports_loss(&whole) => {
                    *unavoidable.entry(name.clone()).or_insert(0) += 1;
                    continue;
                }
                Err(Wrong::Absent(what)) => format!("{what} is not there"),
                Err(Wrong::Invented(what)) => format!("{what} is invented"),
            };
            wrong.push(format!("{name} without packet {}: {why}", segment.packet));
        }
    }
    println!("of {losses} losses these cannot be recovered: {unavoidable:#?}");
    let unavoidable: usize = unavoidable.values().sum();
    // Nearly all of those are of compressed messages that look back.
    assert!(unavoidable * 5 < losses, "{unavoidable} of {losses}");
    assert!(losses > 1500, "{losses}");
    assert!(
        wrong.is_empty(),
        "{} of {losses}\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// Effects of a loss beyond the bytes it carried.
enum Wrong {
    /// A message that it did not touch is not read.
    Absent(String),
    /// A message that was never sent. Nothing excuses it.
    Invented(String),
}

fn compare(whole: &Shown, lossy: &Shown, lost: &Segment) -> Result<(), Wrong> {
    let mut there = BTreeMap::<&Frame, i64>::new();
    for (frame, _, missing) in &lossy.frames {
        *there.entry(frame).or_default() += i64::from(*missing == 0);
    }
    let is_hit = |(frame, range, _): &&(Frame, ByteRange, u64)| {
        (frame.connection, frame.direction) == (lost.connection, lost.direction)
            && range.start < lost.range.end
            && lost.range.start < range.end
    };
    // Where the rest of a packet that was hit ends, in the middle of a segment,
    // is unknown.
    let behind = |range: &ByteRange| {
        let inside = |s: &&Segment| s.range.start < range.start && range.start < s.range.end;
        let of_hit = |range: &ByteRange, segment: &Segment| {
            range.end > segment.range.start && range.start < segment.range.start
        };
        let mine = whole
            .segments
            .iter()
            .filter(|s| s.direction == lost.direction);
        mine.filter(inside).any(|segment| {
            let mut hits = whole.frames.iter().filter(is_hit);
            hits.any(|(_, range, _)| of_hit(range, segment))
        })
    };
    // Those that were hit last: another may look the same.
    let (hit, safe): (Vec<_>, Vec<_>) = whole.frames.iter().partition(is_hit);
    let all = safe.iter().map(|frame| (frame, false));
    let mut absent = None;
    for ((frame, range, _), hit) in all.chain(hit.iter().map(|frame| (frame, true))) {
        match there.get_mut(frame) {
            Some(n) if *n > 0 => *n -= 1,
            _ if hit || behind(range) => {}
            _ => {
                let what = || format!("{} {:?}", frame.direction.name(), frame.what);
                absent.get_or_insert_with(what);
            }
        }
    }
    if let Some((frame, _)) = there.iter().find(|(_, n)| **n > 0) {
        return Err(Wrong::Invented(format!("{:?}", frame.what)));
    }
    absent.map_or(Ok(()), |what| Err(Wrong::Absent(what)))
}

/// A message, as far as its carrier has nothing to do with it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Frame {
    connection: u64,
    direction: Direction,
    what: String,
    bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    packet: u64,
    connection: u64,
    direction: Direction,
    range: ByteRange,
}

/// The output.
#[derive(Default)]
struct Shown {
    /// With where they lie, and their missing bytes.
    frames: Vec<(Frame, ByteRange, u64)>,
    segments: Vec<Segment>,
    events: Vec<&'static str>,
    /// Connections that are not shown.
    others: u64,
}

impl Shown {
    /// Whether an event reports a loss beyond the bytes that are lost.
    fn reports_loss(&self, whole: &Self) -> bool {
        if self.frames.is_empty() && self.others > whole.others {
            return true;
        }
        let shown = ["encrypted", "undecrypted", "malformed"];
        let count = |of: &Self| of.events.iter().filter(|e| shown.contains(e)).count();
        count(self) > count(whole)
    }
}

struct Recording {
    packets: Vec<(Vec<u8>, u32, i64, LinkType)>,
    keys: Vec<u8>,
    config: Config,
}

impl Recording {
    fn load(path: &Path) -> Self {
        let mut capture = Capture::open(path, 0).expect("a capture");
        let mut packets = Vec::new();
        while let Some(item) = capture.next().expect("readable") {
            if let Item::Packet(packet) = item {
                let packet = packet.packet;
                packets.push((
                    packet.data.to_vec(),
                    packet.original_len,
                    packet.time.nanos(),
                    packet.link_type,
                ));
            }
        }
        let keys = path.with_extension("keys");
        Self {
            packets,
            keys: std::fs::read(keys).unwrap_or_default(),
            config: Config {
                follow_packets: true,
                expects_keys: true,
                payload: u32::MAX,
                ..Config::default()
            },
        }
    }

    /// Reads it, but for one packet.
    fn read(&self, without: Option<u64>) -> Shown {
        let mut shown = Shown::default();
        let mut engine = Engine::new(self.config.clone());
        engine.secrets(&self.keys);
        let mut clients = BTreeMap::new();
        let mut take = |output: Output<'_>| match output {
            Output::Frame(frame) => {
                let id = match &frame.packet {
                    ControlPacket::Publish(publish) => publish.packet_id,
                    _ => None,
                };
                let what = format!("{} {id:?}", frame.header.packet_type());
                shown.frames.push((
                    Frame {
                        connection: frame.connection.number,
                        direction: frame.direction,
                        what,
                        bytes: frame.bytes.to_vec(),
                    },
                    frame.range,
                    frame.missing,
                ));
            }
            Output::Event(event) => shown.events.push(event.kind.name()),
            Output::Packet(captured) => {
                let Some(segment) = captured.segment.filter(|s| s.carried.len > 0) else {
                    return;
                };
                let client = segment.opener.unwrap_or(segment.src);
                let client = *clients.entry(segment.number).or_insert(client);
                let start = u64::try_from(segment.carried.offset).unwrap_or(0);
                shown.segments.push(Segment {
                    packet: captured.packet.number,
                    connection: segment.number,
                    direction: match segment.src == client {
                        true => Direction::Up,
                        false => Direction::Down,
                    },
                    range: ByteRange {
                        start,
                        end: start + u64::from(segment.carried.len),
                    },
                });
            }
            _ => {}
        };
        for (number, (data, original_len, time, link_type)) in (1..).zip(&self.packets) {
            if without == Some(number) {
                continue;
            }
            let packet = CapturedPacket {
                id: PacketRef { number, file: 0 },
                time: Timestamp::from_nanos(*time),
                link_type: *link_type,
                original_len: *original_len,
                data,
            };
            engine.push(&packet, &mut take);
        }
        engine.finish(&mut take);
        shown.others = engine.summary().other_connections;
        shown
    }
}

fn captures() -> Vec<PathBuf> {
    let folder = project("fixtures/transport");
    let files = std::fs::read_dir(folder).expect("fixtures/transport");
    let mut paths: Vec<PathBuf> = files
        .filter_map(Result::ok)
        .filter(|file| file.metadata().is_ok_and(|about| about.len() <= LARGEST))
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "pcap"))
        .collect();
    paths.sort();
    paths
}
