//! [`FrameSink`]: from the control packets that a framer finds to frames: which packets
//! carried them, their version, their topic behind an alias, and what they teach about the
//! connection.

use super::provenance::Provenance;
use super::{Attempt, Config, Output, Shared};
use crate::direction::Direction;
use crate::event::{Event, EventKind, Side};
use crate::flow::{At, ByteRange};
use crate::frame::{Connection, MQTTFrame, Received};
use crate::limits::{self, Limit};
use crate::mqtt::packet::ControlPacket;
use crate::mqtt::{
    self, Certainty, Decoded, Defect, Digest, FixedHeader, Framed, PacketType, PropertyValue, Text,
    Trouble, Version,
};
use std::collections::HashMap;

/// The sink of a framer, for one call.
pub(super) struct FrameSink<'a> {
    pub(super) connection: &'a mut Connection,
    pub(super) disconnect: &'a mut Option<Side>,
    pub(super) guessed: &'a mut Option<Certainty>,
    /// The expected answer of the other direction.
    pub(super) expected: &'a mut Option<(PacketType, Option<u16>)>,
    pub(super) aliases: &'a mut Option<Box<Aliases>>,
    pub(super) attempt: &'a mut Option<Attempt>,
    /// Control packets read in this direction.
    pub(super) frames: &'a mut u64,
    pub(super) layered: bool,
    pub(super) provenance: &'a Provenance,
    pub(super) framed: &'a mut u64,
    /// Up to where the other direction has been read.
    pub(super) peer_read: u64,
    pub(super) direction: Direction,
    /// Time and packet of events.
    pub(super) at: At,
    pub(super) config: &'a Config,
    pub(super) shared: &'a mut Shared,
    pub(super) out: &'a mut dyn FnMut(Output<'_>),
}

/// What is decoded of a control packet.
struct Fields<'a> {
    packet: &'a ControlPacket<'a>,
    defects: &'a [Defect],
    topic: Option<Text<'a>>,
    bytes: &'a [u8],
    payload_digest: Option<u64>,
    version: Version,
}

/// Origin of a control packet.
struct Source {
    /// The packet with its first byte.
    first: At,
    /// The packet that completed it.
    last: At,
    range: ByteRange,
}

impl FrameSink<'_> {
    fn event(&mut self, kind: EventKind, bytes: Option<u64>) {
        (self.out)(Output::Event(&Event {
            kind,
            time: self.at.time,
            packet: self.at.packet,
            connection: Some(self.connection),
            direction: Some(self.direction),
            bytes,
        }));
    }

    /// The captured packets and the bytes of the TCP stream that carried a control
    /// packet.
    #[inline(always)]
    fn source(&self, framed: &Framed<'_>) -> Source {
        let start = framed.offset;
        let end = start + framed.header.packet_len();
        let (first, last) = self.provenance.of(start, end);
        Source {
            first,
            last,
            range: match self.layered {
                false => ByteRange { start, end },
                true => self.provenance.range(start, end),
            },
        }
    }

    /// Outputs a control packet.
    #[inline(always)]
    fn output(&mut self, framed: &Framed<'_>, fields: Fields<'_>) {
        let Source { first, last, range } = self.source(framed);
        self.shared.frames += 1;
        *self.frames += 1;
        *self.framed = range.end;
        (self.out)(Output::Frame(&MQTTFrame {
            header: framed.header,
            packet: fields.packet,
            defects: fields.defects,
            topic: fields.topic,
            bytes: fields.bytes,
            payload_digest: fields.payload_digest,
            missing: framed.missing,
            unfinished: false,
            resynchronised: framed.resynchronised,
            version: self.connection.version.unwrap_or(fields.version),
            connection: self.connection,
            direction: self.direction,
            number: *self.frames,
            first: first.packet,
            last: last.packet,
            time: last.time,
            offset: framed.offset,
            range,
            started: first.time,
            received: Received {
                surely: first.acked,
                at_most: last.acked,
                read: self.peer_read,
            },
        }));
    }

    /// Decodes a control packet, and outputs it.
    fn framed_with_fields(&mut self, framed: &Framed<'_>) {
        let header = framed.header;
        let version = self.version_for(header, framed.bytes);
        let mut decoded = mqtt::decode(header, framed.bytes, version);
        let bytes = self.limit(&mut decoded, framed, version);
        self.expect_answer(header, || decoded.packet.packet_id());
        let mut topic = None;
        match &decoded.packet {
            ControlPacket::Publish(publish) => {
                if self.attempt.is_some() {
                    self.follow_session(framed, &decoded.packet, version);
                }
                topic = publish.own_topic();
                if publish.topic_alias.is_some() || publish.payload_len.is_none() {
                    return self.framed_with_alias(framed, &decoded, bytes, version);
                }
            }
            packet => {
                self.learn(packet);
                if self.config.follow_sessions {
                    self.follow_session(framed, packet, version);
                }
            }
        }
        self.pass_on(framed, &decoded, topic, bytes, version);
    }

    #[cold]
    fn follow_session(
        &mut self,
        framed: &Framed<'_>,
        packet: &ControlPacket<'_>,
        version: Version,
    ) {
        let time = self.source(framed).last.time;
        let of = (self.direction, packet, version, time);
        let starts = &mut self.shared.session_starts;
        starts.follow(self.connection, self.attempt, of);
    }

    /// Outputs a PUBLISH that has a Topic Alias, or may have one.
    #[inline(never)]
    fn framed_with_alias(
        &mut self,
        framed: &Framed<'_>,
        decoded: &Decoded<'_>,
        bytes: &[u8],
        version: Version,
    ) {
        let ControlPacket::Publish(publish) = &decoded.packet else {
            return;
        };
        if publish.payload_len.is_none() {
            self.forget_aliases();
            if bytes.len() >= limits::PUBLISH_HEAD_KEPT {
                let limit = Limit::Properties;
                self.event(EventKind::Bound { limit }, None);
            }
        }
        let mut topic = publish.own_topic();
        if let (Some(topic), Some(alias)) = (topic, publish.topic_alias) {
            let aliases = self.aliases.get_or_insert_default();
            if !aliases.set(alias, topic.bytes()) {
                let limit = Limit::TopicAliases;
                self.event(EventKind::Bound { limit }, None);
            }
        }
        let aliases = self.aliases.take();
        if topic.is_none()
            && publish.topic.is_some()
            && let (Some(alias), Some(aliases)) = (publish.topic_alias, &aliases)
        {
            topic = aliases.topics.get(&alias).map(|topic| Text(topic));
        }
        self.pass_on(framed, decoded, topic, bytes, version);
        *self.aliases = aliases;
    }

    /// Outputs a decoded control packet.
    #[inline(always)]
    fn pass_on(
        &mut self,
        framed: &Framed<'_>,
        decoded: &Decoded<'_>,
        topic: Option<Text<'_>>,
        bytes: &[u8],
        version: Version,
    ) {
        let payload_digest = match self.config.digests {
            true => payload_digest(framed, &decoded.packet),
            false => None,
        };
        self.output(
            framed,
            Fields {
                packet: &decoded.packet,
                defects: &decoded.defects,
                topic,
                bytes,
                payload_digest,
                version,
            },
        );
    }

    /// Outputs a control packet whose fields are of no interest, not even here.
    fn framed_without_fields(&mut self, framed: &Framed<'_>) {
        let header = framed.header;
        let version = self.version_for(header, framed.bytes);
        self.expect_answer(header, || mqtt::packet_id(header, framed.bytes));
        let header_len = header.header_len().min(framed.bytes.len());
        self.output(
            framed,
            Fields {
                packet: ControlPacket::without_fields(header.packet_type()),
                defects: &[],
                topic: None,
                bytes: &framed.bytes[..header_len],
                payload_digest: None,
                version,
            },
        );
    }

    /// Notes what the other side is expected to send.
    #[inline]
    fn expect_answer(&mut self, header: FixedHeader, packet_id: impl FnOnce() -> Option<u16>) {
        if let Some(answer) = header.packet_type().answered_by(header.qos()) {
            *self.expected = Some((answer, packet_id()));
        }
    }

    /// Missing bytes may have changed Topic Aliases.
    fn forget_aliases(&mut self) {
        *self.aliases = None;
    }

    /// Updates the connection by a frame.
    fn learn(&mut self, packet: &ControlPacket<'_>) {
        match packet {
            ControlPacket::Connect(connect) => {
                if let Some(version) = connect.protocol_level.and_then(Version::from_level) {
                    self.connection.version = Some(version);
                    self.connection.version_assumed = false;
                }
                if let Some(id) = connect.client_id.filter(|id| !id.bytes().is_empty()) {
                    self.connection.client_id = Some(id.bytes().into());
                }
            }
            ControlPacket::Connack(connack) => {
                for property in connack.properties.iter() {
                    if property.id == ASSIGNED_CLIENT_IDENTIFIER
                        && let PropertyValue::String(id) = property.value
                    {
                        self.connection.client_id = Some(id.bytes().into());
                    }
                }
            }
            ControlPacket::Disconnect(_) => {
                self.disconnect.get_or_insert(self.direction.sender());
            }
            _ => {}
        }
    }

    /// Limits a decoded packet to what would have been kept of it; returns that part.
    #[inline]
    fn limit<'a>(
        &self,
        decoded: &mut Decoded<'a>,
        framed: &Framed<'a>,
        version: Version,
    ) -> &'a [u8] {
        let bytes = framed.bytes;
        let payload = self.config.payload as usize;
        if bytes.len() <= payload {
            return bytes;
        }
        // Nearly always only of a payload less is kept, if of anything.
        if bytes.len() <= limits::PACKET_KEPT {
            let ControlPacket::Publish(publish) = &mut decoded.packet else {
                return bytes;
            };
            if publish.payload_len.is_some() {
                let kept = publish.payload.len().min(payload);
                let unwanted = publish.payload.len() - kept;
                publish.payload = &publish.payload[..kept];
                return &bytes[..bytes.len() - unwanted];
            }
        }
        let bytes = self.asked_for(framed.header, bytes);
        *decoded = mqtt::decode(framed.header, bytes, version);
        bytes
    }

    /// The part of a packet that would have been kept, so that the result does
    /// not depend on the number of segments.
    fn asked_for<'a>(&self, header: FixedHeader, bytes: &'a [u8]) -> &'a [u8] {
        if bytes.len() <= self.config.payload as usize {
            return bytes;
        }
        let limit = mqtt::Sink::keep(self, header, bytes).unwrap_or(bytes.len());
        &bytes[..limit.min(bytes.len())]
    }

    /// Whether the version that was assumed cannot be, because it finds fault
    /// with a frame that another version can read.
    fn is_refuted(&self, header: FixedHeader, bytes: &[u8]) -> bool {
        self.connection
            .version
            .is_some_and(|version| !mqtt::decode(header, bytes, version).defects.is_empty())
    }

    /// The version by which a frame is decoded; inferred and marked as assumed
    /// if no CONNECT was captured.
    #[inline(always)]
    fn version_for(&mut self, header: FixedHeader, bytes: &[u8]) -> Version {
        if self.connection.version_assumed {
            self.infer_version(header, bytes);
        }
        self.connection.version.unwrap_or(Version::V3_1_1)
    }

    #[inline(never)]
    fn infer_version(&mut self, header: FixedHeader, bytes: &[u8]) {
        let bytes = self.asked_for(header, bytes);
        if *self.guessed < Some(Certainty::Certain)
            && let Some((version, certainty)) =
                mqtt::infer_version(header, bytes, Some(self.direction))
            && (*self.guessed < Some(certainty) || self.is_refuted(header, bytes))
        {
            self.connection.version = Some(version);
            *self.guessed = Some(certainty);
        }
    }
}

/// Whether the fields of a control packet determine how its connection is read.
const fn is_about_connection(packet_type: PacketType) -> bool {
    matches!(
        packet_type,
        PacketType::Connect | PacketType::Connack | PacketType::Disconnect
    )
}

/// Property Identifier of the client identifier that a server chose.
const ASSIGNED_CLIENT_IDENTIFIER: u32 = 0x12;

impl mqtt::Sink for FrameSink<'_> {
    #[inline(always)]
    fn framed(&mut self, framed: Framed<'_>) {
        match self.config.fields || is_about_connection(framed.header.packet_type()) {
            true => self.framed_with_fields(&framed),
            false => self.framed_without_fields(&framed),
        }
    }

    fn unfinished(&mut self, framed: Framed<'_>) {
        // No packet completed it, so its first byte sets the time.
        let Source { first, range, .. } = self.source(&framed);
        let version = self.connection.version.unwrap_or(Version::V3_1_1);
        let decoded = mqtt::decode(framed.header, framed.bytes, version);
        let topic = match &decoded.packet {
            ControlPacket::Publish(publish) => publish.own_topic(),
            _ => None,
        };
        (self.out)(Output::Unfinished(&MQTTFrame {
            header: framed.header,
            packet: &decoded.packet,
            defects: &decoded.defects,
            topic,
            bytes: framed.bytes,
            payload_digest: None,
            missing: framed.missing,
            unfinished: true,
            resynchronised: framed.resynchronised,
            version,
            connection: self.connection,
            direction: self.direction,
            number: *self.frames + 1,
            first: first.packet,
            last: first.packet,
            time: first.time,
            offset: framed.offset,
            range,
            started: first.time,
            received: Received {
                surely: first.acked,
                at_most: first.acked,
                read: self.peer_read,
            },
        }));
    }

    fn trouble(&mut self, _offset: u64, trouble: Trouble) {
        match trouble {
            Trouble::Gap { bytes } => self.event(EventKind::Gap, bytes),
            Trouble::Resynchronised { skipped } => {
                self.forget_aliases();
                self.event(EventKind::Resynchronised, Some(skipped));
            }
            Trouble::Malformed { reason } => self.event(EventKind::Malformed { reason }, None),
            Trouble::Bound { limit } => self.event(EventKind::Bound { limit }, None),
        }
    }

    fn version(&self) -> Option<Version> {
        self.connection.version
    }

    fn keep(&self, header: FixedHeader, kept: &[u8]) -> Option<usize> {
        let limit = match header.packet_type() {
            PacketType::Publish => limits::PUBLISH_HEAD_KEPT,
            _ => limits::PACKET_KEPT,
        };
        let version = self.connection.version.unwrap_or(Version::V3_1_1);
        mqtt::head_len(header, kept, version, self.config.payload as usize, limit)
    }

    fn reserve(&mut self, more: usize) -> bool {
        let kept = self.shared.kept + more;
        let granted = kept <= self.config.kept;
        if granted {
            self.shared.kept = kept;
        }
        granted
    }

    fn release(&mut self, bytes: usize) {
        self.shared.kept = self.shared.kept.saturating_sub(bytes);
    }

    fn digests(&self) -> bool {
        self.config.digests
    }
}

/// Of the payload as it was decoded: where a chunk was digested by another
/// version, it began elsewhere.
fn payload_digest(framed: &Framed<'_>, packet: &ControlPacket<'_>) -> Option<u64> {
    let ControlPacket::Publish(publish) = packet else {
        return None;
    };
    if framed.missing > 0 {
        return None;
    }
    let len = framed.header.packet_len();
    let start = len.checked_sub(u64::from(publish.payload_len?))?;
    if framed.bytes.len() as u64 == len {
        return Some(Digest::of(framed.bytes.get(start as usize..)?));
    }
    let digested = framed.payload.filter(|payload| payload.start == start);
    digested.map(|payload| payload.value)
}

/// Topics of Topic Aliases in one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    topics: HashMap<u16, Box<[u8]>>,
    bytes: usize,
}

impl Aliases {
    fn set(&mut self, alias: u16, topic: &[u8]) -> bool {
        let old = self.topics.get(&alias).map_or(0, |t| t.len());
        let bytes = self.bytes - old + topic.len();
        if bytes > limits::ALIAS_BYTES {
            // Better unknown than stale.
            self.bytes -= old;
            self.topics.remove(&alias);
            return false;
        }
        self.bytes = bytes;
        self.topics.insert(alias, topic.into());
        true
    }
}
