//! Records: what the engine has read of one shard, so that facts about all shards can
//! be gathered in one place.
//!
//! ```text
//! shard 0 ─→ Engine ─Output→ Recorder ─→ file ─┐
//! shard 1 ─→ Engine ─Output→ Recorder ─→ file ─┼→ Records ─Output→ Facts ─→ sinks
//! shard 2 ─→ Engine ─Output→ Recorder ─→ file ─┘  by time
//! ```
//! Decryption, reassembly, framing and decoding are done for each shard. Sessions,
//! deliveries, wills and retained messages concern connections of several shards; the
//! records hold what the facts of these are made from, and no payloads: control packets
//! up to their payload, its digest, events, and facts of TCP. Replayed in the order of
//! the capture, they give the facts of one process.
//!
//! A file is a line of JSON ([`Header`]), then rows, each with its length in front.
//! The last row has the counts, and [`Header::END`] follows it; a file without was cut.
//! Then comes a checksum of all that, [`Header::CHECKSUM`] bytes.

mod merge;
mod row;

use serde::{Deserialize, Serialize};

pub use merge::{Input, Records, Unmerged};
use row::Row;

use crate::engine::{Placed, Summary};
use crate::frame::{Connection, MQTTFrame};
use crate::mqtt::ControlPacket;
use crate::packet::{CapturedPacket, PacketRef};
use crate::shard::{PAUSE, Portion};
use crate::time::Timestamp;

use super::properties as p;
use super::{Fact, Needs, Sink};

/// The first line of a file of records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Header {
    /// Name of the format.
    pub format: String,
    /// Version of the format.
    pub version: u32,
    /// Version of the program that wrote it.
    pub program: String,
    /// The files that packets refer to.
    pub files: Vec<String>,
    /// The shards that were read; none of a capture that is whole.
    pub portion: Portion,
}

impl Header {
    /// Name of the format, with which a file begins.
    pub const FORMAT: &str = "mqttdump-facts";
    /// Version of the format that this program reads and writes.
    pub const VERSION: u32 = 3;
    /// How a file begins.
    pub const BEGINNING: &[u8] = b"{\"format\":\"mqttdump-facts\"";

    /// How a complete file ends: no row has this length.
    pub const END: &[u8; 8] = b"\xff\xff\xff\xffend\n";

    /// Bytes of the checksum at the end: XXH64, little-endian.
    pub const CHECKSUM: usize = 8;

    /// A header for records of packets in these files.
    pub fn new(files: Vec<String>, portion: Portion) -> Self {
        Self {
            format: Self::FORMAT.into(),
            version: Self::VERSION,
            program: env!("CARGO_PKG_VERSION").into(),
            files,
            portion,
        }
    }
}

/// Counts of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Captured packets.
    pub packets: u64,
    /// Control packets.
    pub frames: u64,
    /// Segments that were duplicates of an earlier packet.
    pub duplicates: u64,
    /// TCP connections that carried MQTT, or were on an MQTT port.
    pub mqtt_connections: u64,
    /// Other TCP connections.
    pub other_connections: u64,
    /// Packets that the capture lost, by its own account.
    pub dropped: u64,
    /// The input could be read to its end.
    pub whole: bool,
}

impl Counts {
    /// The counts of a summary.
    pub fn new(summary: &Summary, dropped: u64, whole: bool) -> Self {
        Self {
            packets: summary.packets,
            frames: summary.frames,
            duplicates: summary.duplicates,
            mqtt_connections: summary.mqtt_connections,
            other_connections: summary.other_connections,
            dropped,
            whole,
        }
    }

    fn add(&mut self, other: &Self) {
        self.packets += other.packets;
        self.frames += other.frames;
        self.duplicates += other.duplicates;
        self.mqtt_connections += other.mqtt_connections;
        self.other_connections += other.other_connections;
        // Each shard reports all losses.
        self.dropped = self.dropped.max(other.dropped);
        self.whole &= other.whole;
    }
}

/// Writes records, as bytes that the caller takes.
#[derive(Debug)]
pub struct Recorder {
    bytes: Vec<u8>,
    /// Rows of the packet being read: whether it opens a connection is known after it.
    rows: Vec<u8>,
    at: Row<'static>,
    /// The connection that was opened last.
    opened: u64,
    /// Pauses are those between the packets, unless these are a shard.
    of_whole: bool,
    /// Time of the last packet.
    last: Option<Timestamp>,
    /// Connections as they were written last.
    connections: std::collections::HashMap<u64, Connection, foldhash::fast::FixedState>,
}

impl Recorder {
    /// Starts a file.
    pub fn new(header: &Header) -> Self {
        let mut bytes = serde_json::to_vec(header).unwrap_or_default();
        bytes.push(b'\n');
        Self {
            bytes,
            rows: Vec::new(),
            at: Row::AtEnd,
            opened: 0,
            of_whole: header.portion.is_empty(),
            last: None,
            connections: std::collections::HashMap::default(),
        }
    }

    /// What follows comes from this packet; without one, from the end of the capture.
    pub fn before(&mut self, packet: Option<&CapturedPacket<'_>>) {
        if let Some(packet) = packet
            && self.of_whole
            && let Some(last) = self.last.replace(packet.time)
            && (packet.time.since(last) > PAUSE || last.since(packet.time) > PAUSE)
        {
            self.pause(packet.id, last, packet.time);
        }
        self.flush();
        self.at = packet.map_or(Row::AtEnd, |packet| Row::At {
            time: packet.time,
            packet: packet.id,
            is_clock: false,
        });
    }

    /// What follows comes from the clock of the whole capture, at this packet.
    pub fn clock(&mut self, packet: PacketRef, time: Timestamp) {
        self.flush();
        self.at = Row::At {
            time,
            packet,
            is_clock: true,
        };
    }

    /// The whole capture had no packet between these times; this one ended it.
    #[cold]
    pub fn pause(&mut self, packet: PacketRef, from: Timestamp, until: Timestamp) {
        self.clock(packet, until);
        Row::Pause { from, until }.put(self.bytes_at());
    }

    /// The packet belongs there.
    #[inline]
    pub fn after(&mut self, placed: Placed<'_>) {
        if let Some(number) = placed.connection
            && number > self.opened
        {
            self.opened = number;
            Row::Opened(number).put(self.bytes_at());
        }
    }

    /// Finished bytes of the file.
    pub fn take(&mut self) -> Vec<u8> {
        self.flush();
        std::mem::take(&mut self.bytes)
    }

    /// Number of bytes that can be taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Ends the file.
    pub fn finish(&mut self, counts: Counts) {
        self.flush();
        Row::Counts(counts).put(&mut self.bytes);
        self.bytes.extend_from_slice(Header::END);
    }

    /// The file, with the packet in it.
    fn bytes_at(&mut self) -> &mut Vec<u8> {
        if !matches!(self.at, Row::Done) {
            std::mem::replace(&mut self.at, Row::Done).put(&mut self.bytes);
        }
        &mut self.bytes
    }

    fn flush(&mut self) {
        if !self.rows.is_empty() {
            let rows = std::mem::take(&mut self.rows);
            self.bytes_at().extend_from_slice(&rows);
            self.rows = rows;
            self.rows.clear();
        }
    }

    /// Writes a connection, unless it is as it was.
    fn connection(&mut self, connection: &Connection) {
        let known = self.connections.get(&connection.number);
        if known != Some(connection) {
            Row::Connection(connection.clone()).put(&mut self.rows);
            self.connections
                .insert(connection.number, connection.clone());
        }
    }

    fn frame(&mut self, frame: &MQTTFrame<'_>) {
        self.connection(frame.connection);
        let mut bytes = frame.bytes;
        if let ControlPacket::Publish(publish) = frame.packet
            && frame.payload_digest.is_some()
            // A rule reads it.
            && p::number(publish.properties, p::PAYLOAD_FORMAT).is_none()
        {
            bytes = &bytes[..bytes.len().saturating_sub(publish.payload.len())];
        }
        Row::Frame(row::Frame::of(frame, bytes)).put(&mut self.rows);
    }
}

impl Sink for Recorder {
    fn needs(&self) -> Needs {
        Needs::TCP | Needs::DIGESTS
    }

    fn fact(&mut self, fact: Fact<'_>) {
        match fact {
            Fact::Frame(fact) => self.frame(fact.frame),
            Fact::Unfinished(frame) => self.frame(frame),
            Fact::Event(event) => {
                if let Some(connection) = event.connection {
                    self.connection(connection);
                }
                Row::Event {
                    kind: event.kind,
                    time: event.time,
                    packet: event.packet,
                    connection: event.connection.map(|it| it.number),
                    direction: event.direction,
                    bytes: event.bytes,
                }
                .put(&mut self.rows);
            }
            Fact::Tcp(tcp) => {
                self.connection(tcp.connection);
                Row::Tcp {
                    connection: tcp.connection.number,
                    from: tcp.from,
                    fact: tcp.fact,
                    packet: tcp.packet,
                    time: tcp.time,
                }
                .put(&mut self.rows);
            }
            Fact::Ended(ended) => {
                self.connection(ended.connection);
                Row::Ended {
                    connection: ended.connection.number,
                    reason: ended.reason,
                    packet: ended.packet,
                    time: ended.time,
                }
                .put(&mut self.rows);
                self.connections.remove(&ended.connection.number);
            }
            _ => {}
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, _: Timestamp) {
        self.fact(fact);
    }
}
