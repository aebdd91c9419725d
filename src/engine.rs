//! The stages wired together: captured packets in, frames and events out.
//!
//! The engine never opens a file, reads a clock, prints or starts a thread.

use std::collections::BTreeMap;

use crate::event::Event;
use crate::frame::MQTTFrame;
use crate::packet::{CapturedPacket, LinkType, PacketRef};

/// What the engine pushes out.
#[derive(Clone, Copy, Debug)]
pub enum Output<'a> {
    /// An MQTT control packet, when its last byte is known.
    Frame(&'a MQTTFrame<'a>),
    /// Something that is not a frame.
    Event(&'a Event<'a>),
}

/// What a TCP port is taken for, whatever its first bytes look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decode {
    /// MQTT in clear.
    Mqtt,
}

/// How an engine reads a capture.
#[derive(Clone, Debug)]
pub struct Config {
    /// Ports that are known to carry MQTT.
    pub ports: BTreeMap<u16, Decode>,
    /// Do not look for CONNECT on other ports.
    pub only_known_ports: bool,
    /// Bytes of each PUBLISH payload to keep for output.
    pub payload: u32,
    /// Verify TCP checksums, and prefer the copy with a right one.
    pub verify_checksums: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            ports: BTreeMap::from([(1883, Decode::Mqtt)]),
            only_known_ports: false,
            payload: 4096,
            verify_checksums: false,
        }
    }
}

/// Where a captured packet belongs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Placed<'a> {
    /// Number of its TCP connection, if it carried a TCP segment.
    pub connection: Option<u64>,
    /// Earlier packets whose IP fragments it completed.
    pub fragments: &'a [PacketRef],
}

/// What was read, in numbers.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Captured packets.
    pub packets: u64,
    /// Frames pushed out.
    pub frames: u64,
    /// Segments that were second copies of an earlier packet.
    pub duplicates: u64,
    /// TCP connections that carried MQTT, or were on an MQTT port.
    pub mqtt_connections: u64,
    /// All other TCP connections.
    pub other_connections: u64,
    /// Packets of link types that cannot be decoded, by link type.
    pub undecodable: BTreeMap<u16, (LinkType, u64)>,
}

/// One engine reads one capture.
#[derive(Debug)]
pub struct Engine {
    summary: Summary,
}

impl Engine {
    /// An engine that has read nothing yet.
    pub fn new(_config: Config) -> Self {
        Self {
            summary: Summary::default(),
        }
    }

    /// Reads the next captured packet and pushes out what it completes.
    pub fn push(
        &mut self,
        _packet: &CapturedPacket<'_>,
        _out: &mut dyn FnMut(Output<'_>),
    ) -> Placed<'_> {
        self.summary.packets += 1;
        Placed::default()
    }

    /// Says that the capture has ended: pushes out what still waits.
    pub fn finish(&mut self, _out: &mut dyn FnMut(Output<'_>)) {}

    /// What was read so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }
}
