//! Runs the library on packets and keeps its output, in owned values that
//! can be compared and printed.

use mqttdump::engine::{Config, Engine, Output, Summary};
use mqttdump::event::EventKind;
use mqttdump::frame::{Direction, MQTTFrame};
use mqttdump::mqtt::{ControlPacket, PacketType};
use mqttdump::packet::{CapturedPacket, PacketRef};
use mqttdump::time::Timestamp;

use super::stack::OwnedPacket;
use super::transcript::{Conversation, Packet};

/// The output for a capture.
#[derive(Debug, Default)]
pub struct Read {
    /// All frames, in the order they were pushed out.
    pub frames: Vec<OwnedFrame>,
    /// All events.
    pub events: Vec<OwnedEvent>,
    /// Frames and events in one order: `Ok` is an index into `frames`, `Err`
    /// one into `events`.
    pub order: Vec<Result<usize, usize>>,
    /// The engine's counts.
    pub summary: Summary,
}

/// A frame that owns its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedFrame {
    pub connection: u64,
    pub direction: Direction,
    pub kind: PacketType,
    pub first_byte: u8,
    pub remaining_length: u32,
    pub packet_id: Option<u16>,
    pub topic: Option<Vec<u8>>,
    pub payload_len: Option<u32>,
    pub payload: Vec<u8>,
    pub bytes: Vec<u8>,
    pub missing: u64,
    pub resynchronised: bool,
    pub defects: Vec<String>,
    pub version: &'static str,
    pub version_assumed: bool,
    pub client_id: Option<Vec<u8>>,
    pub offset: u64,
    pub first: u64,
    pub last: u64,
    pub time: i64,
    pub display: String,
}

/// An event that owns its parts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnedEvent {
    pub name: &'static str,
    pub kind: EventKind,
    pub connection: Option<u64>,
    pub direction: Option<Direction>,
    pub bytes: Option<u64>,
    pub packet: u64,
}

/// Reads packets with the default configuration.
pub fn read(packets: &[OwnedPacket]) -> Read {
    read_with(packets, Config::default())
}

/// Reads packets.
pub fn read_with(packets: &[OwnedPacket], config: Config) -> Read {
    let mut reader = Reader::new(config);
    for packet in packets {
        reader.push(packet);
    }
    reader.finish()
}

/// The frames of packets, compared with [`assert_frames`] or by eye.
pub fn frames(packets: &[OwnedPacket]) -> Vec<OwnedFrame> {
    read(packets).frames
}

/// Reads packets one at a time, for tests that check intermediate states.
#[derive(Debug)]
pub struct Reader {
    engine: Engine,
    number: u64,
    /// The output up to now.
    pub read: Read,
}

impl Reader {
    /// A reader without any packets.
    pub fn new(config: Config) -> Self {
        Self {
            engine: Engine::new(config),
            number: 0,
            read: Read::default(),
        }
    }

    /// The engine's counts up to now.
    pub fn summary(&self) -> Summary {
        self.engine.summary().clone()
    }

    /// The next packet.
    pub fn push(&mut self, packet: &OwnedPacket) {
        self.number += 1;
        let captured = CapturedPacket {
            id: PacketRef {
                number: self.number,
                file: 0,
            },
            time: Timestamp::from_nanos(packet.time),
            link_type: packet.link,
            original_len: packet.original_len,
            data: &packet.data,
        };
        let read = &mut self.read;
        self.engine.push(&captured, &mut |output| read.take(output));
    }

    /// Time goes by without packets, to so many seconds after the latest one that
    /// `packet` stands for.
    pub fn tick(&mut self, packet: &OwnedPacket, seconds: i64) {
        let now = Timestamp::from_nanos(packet.time + seconds * 1_000_000_000);
        let read = &mut self.read;
        self.engine.tick(now, &mut |output| read.take(output));
    }

    /// The end of the capture.
    pub fn finish(mut self) -> Read {
        let read = &mut self.read;
        self.engine.finish(&mut |output| read.take(output));
        self.read.summary = self.engine.summary().clone();
        self.read
    }
}

impl Read {
    fn take(&mut self, output: Output<'_>) {
        match output {
            Output::Frame(frame) => {
                self.order.push(Ok(self.frames.len()));
                self.frames.push(OwnedFrame::from(frame));
            }
            Output::Unfinished(_)
            | Output::Ended(_)
            | Output::Tcp(_)
            | Output::Segment(_)
            | Output::Packet(_)
            | Output::Span(_)
            | Output::Evicted(_) => {}
            Output::Event(event) => {
                self.order.push(Err(self.events.len()));
                self.events.push(OwnedEvent {
                    name: event.kind.name(),
                    kind: event.kind,
                    connection: event.connection.map(|c| c.number),
                    direction: event.direction,
                    bytes: event.bytes,
                    packet: event.packet.number,
                });
            }
        }
    }

    /// The events of a name.
    pub fn events_named(&self, name: &str) -> Vec<&OwnedEvent> {
        self.events.iter().filter(|e| e.name == name).collect()
    }

    /// The frames that went one way.
    pub fn way(&self, way: Direction) -> Vec<&OwnedFrame> {
        self.frames.iter().filter(|f| f.direction == way).collect()
    }

    /// `PUBLISH:7`, `PINGREQ`: types and packet identifiers, one direction.
    pub fn ladder(&self, way: Direction) -> Vec<String> {
        self.way(way).iter().map(|f| f.short()).collect()
    }
}

impl OwnedFrame {
    fn short(&self) -> String {
        match self.packet_id {
            Some(id) => format!("{}:{id}", self.kind),
            None => self.kind.to_string(),
        }
    }
}

impl From<&MQTTFrame<'_>> for OwnedFrame {
    fn from(frame: &MQTTFrame<'_>) -> Self {
        use ControlPacket as P;
        let packet_id = match &frame.packet {
            P::Publish(p) => p.packet_id,
            P::Puback(p) | P::Pubrec(p) | P::Pubrel(p) | P::Pubcomp(p) => p.packet_id,
            P::Subscribe(p) => p.packet_id,
            P::Suback(p) => p.packet_id,
            P::Unsubscribe(p) => p.packet_id,
            P::Unsuback(p) => p.packet_id,
            _ => None,
        };
        let (payload_len, payload) = match &frame.packet {
            P::Publish(p) => (p.payload_len, p.payload.to_vec()),
            _ => (None, Vec::new()),
        };
        Self {
            connection: frame.connection.number,
            direction: frame.direction,
            kind: frame.header.packet_type(),
            first_byte: frame.header.first,
            remaining_length: frame.header.remaining_length,
            packet_id,
            topic: frame.topic.map(|t| t.bytes().to_vec()),
            payload_len,
            payload,
            bytes: frame.bytes.to_vec(),
            missing: frame.missing,
            resynchronised: frame.resynchronised,
            defects: frame.defects.iter().map(ToString::to_string).collect(),
            version: frame.version.name(),
            // Nothing is known where there was nothing to infer it from.
            version_assumed: frame.connection.version_assumed || frame.connection.version.is_none(),
            client_id: frame.connection.client_id.as_deref().map(<[u8]>::to_vec),
            offset: frame.offset,
            first: frame.first.number,
            last: frame.last.number,
            time: frame.time.nanos(),
            display: frame.to_string(),
        }
    }
}

/// Expected decoding of one packet of a transcript.
#[derive(PartialEq, Eq, Debug)]
struct Expected<'a> {
    bytes: &'a [u8],
    id: Option<u16>,
    topic: Option<&'a [u8]>,
    payload: Option<&'a [u8]>,
    missing: u64,
    offset: u64,
}

/// Asserts that the output for one connection is exactly the conversation:
/// every packet, in order in each direction, with all its bytes, no more.
#[track_caller]
pub fn assert_frames(read: &Read, conversation: &Conversation) {
    if let Err(message) = same_frames(read, conversation) {
        panic!("{message}\nevents: {:#?}", read.events);
    }
}

/// The same as a result, for properties.
pub fn same_frames(read: &Read, conversation: &Conversation) -> Result<(), String> {
    for way in Direction::ALL {
        let packets = conversation.packets(way);
        let frames = read.way(way);
        let mut offset = 0;
        let expected: Vec<_> = packets
            .iter()
            .map(|p| {
                let expected = expect(p, offset);
                offset += p.encoded.bytes.len() as u64;
                expected
            })
            .collect();
        let found: Vec<_> = frames
            .iter()
            .map(|f| Expected {
                bytes: &f.bytes,
                id: f.packet_id,
                topic: f.topic.as_deref(),
                payload: f.payload_len.map(|_| f.payload.as_slice()),
                missing: f.missing,
                offset: f.offset,
            })
            .collect();
        let at = (0..expected.len().max(found.len())).find(|&i| expected.get(i) != found.get(i));
        if let Some(at) = at {
            return Err(format!(
                "{} frame {at} of {} differs\nexpected {:?}\nfound    {:?}\nread: {:?}",
                way.name(),
                expected.len(),
                expected.get(at),
                found.get(at),
                read.ladder(way),
            ));
        }
    }
    Ok(())
}

fn expect<'a>(packet: &&'a Packet, offset: u64) -> Expected<'a> {
    Expected {
        bytes: &packet.encoded.bytes,
        id: packet.encoded.id,
        topic: packet.topic.as_deref(),
        payload: packet.encoded.payload.as_deref(),
        missing: 0,
        offset,
    }
}

/// Asserts that every frame is one of the conversation, in its order, with no
/// byte that was not sent: frames may be absent or incomplete, but none is
/// invented. `captured` shows which stream bytes (by direction) the capture
/// holds.
pub fn nothing_invented(
    read: &Read,
    conversation: &Conversation,
    captured: &dyn Fn(Direction, u64) -> bool,
) -> Result<(), String> {
    for way in Direction::ALL {
        let mut truth = conversation.packets(way).into_iter();
        for frame in read.way(way) {
            let real = truth
                .by_ref()
                .find(|p| {
                    let sent = &p.encoded.bytes;
                    sent.first() == Some(&frame.first_byte)
                        && sent.starts_with(&frame.bytes)
                        && wire_length(frame) == sent.len() as u64
                        && (p.encoded.id == frame.packet_id || frame.packet_id.is_none())
                        && (p.topic == frame.topic
                            || frame.topic.is_none()
                            || frame.version_assumed)
                })
                .ok_or_else(|| format!("invented (or out of order) {} {frame:#?}", way.name()))?;
            let sent = &real.encoded.bytes;
            let kept = (0..frame.bytes.len() as u64).all(|i| captured(way, frame.offset + i));
            if !kept && !conversation.midstream {
                return Err(format!("bytes that were not captured: {frame:#?}"));
            }
            let uncaptured = (0..sent.len() as u64)
                .filter(|i| !captured(way, frame.offset + i))
                .count() as u64;
            if frame.missing != uncaptured && !conversation.midstream {
                return Err(format!(
                    "missing is {}, not captured are {uncaptured}: {frame:#?}",
                    frame.missing
                ));
            }
            if let Some(payload) = &real.encoded.payload
                && !payload.starts_with(&frame.payload)
                // A wrong guess at the version reads properties as payload.
                && !frame.version_assumed
            {
                return Err(format!("payload bytes that were not sent: {frame:#?}"));
            }
        }
    }
    Ok(())
}

fn wire_length(frame: &OwnedFrame) -> u64 {
    let n = u64::from(frame.remaining_length);
    let length_bytes = match n {
        0..=127 => 1,
        128..=16_383 => 2,
        16_384..=2_097_151 => 3,
        _ => 4,
    };
    1 + length_bytes + n
}
