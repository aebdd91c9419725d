//! What connections were like, kept small, so that it can be asked what they
//! would have cost if they had been otherwise.

use super::Map;
use super::account::{ConnectionAccount, GroupKey, Terms};
use super::cause::{Cause, Mechanism};
use super::distribution::Distribution;
use super::label::publish_properties;
use super::level::Measures;
use crate::engine::Captured;
use crate::frame::{Direction, MQTTFrame, PerDirection, Transport};
use crate::limits;
use crate::mqtt::packet::Publish;
use crate::mqtt::{ControlPacket, PacketType, PropertyValue, Version};
use crate::time::Timestamp;

/// The size of a PUBLISH, in parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Bytes of the topic name on the wire, without its length; 0 behind a
    /// Topic Alias.
    pub topic: u16,
    /// A Topic Alias is among the properties.
    pub alias: bool,
    /// A Packet Identifier is there.
    pub packet_id: bool,
    /// Bytes of properties without Property Length; `None` before 5.0.
    pub properties: Option<u32>,
    /// Bytes of payload.
    pub payload: u32,
}

/// Bytes of a Variable Byte Integer.
pub fn varint_len(value: u64) -> u64 {
    match value {
        0..128 => 1,
        128..16_384 => 2,
        16_384..2_097_152 => 3,
        _ => 4,
    }
}

impl Shape {
    pub(super) fn of(frame: &MQTTFrame<'_>, publish: &Publish<'_>) -> Self {
        let encoded = publish_properties(frame);
        // The Property Length takes one byte of up to 127, and so on.
        let properties = (1..=4)
            .map(|bytes| encoded.saturating_sub(bytes))
            .find(|&len| varint_len(len.into()) + u64::from(len) == u64::from(encoded));
        Self {
            topic: publish.topic.map_or(0, |t| t.bytes().len() as u16),
            alias: publish.topic_alias.is_some(),
            packet_id: frame.header.qos() > 0,
            properties: (frame.version == Version::V5).then(|| properties.unwrap_or(0)),
            payload: publish.payload_len.unwrap_or(0),
        }
    }

    /// Bytes of the whole control packet.
    ///
    /// ```
    /// use mqttdump::overhead::Shape;
    ///
    /// let shape = Shape { topic: 11, payload: 5, ..Shape::default() };
    /// assert_eq!(shape.packet_len(), 2 + 2 + 11 + 5);
    /// ```
    pub fn packet_len(&self) -> u64 {
        let properties = self
            .properties
            .map_or(0, |len| varint_len(len.into()) + u64::from(len));
        let remaining = 2
            + u64::from(self.topic)
            + if self.packet_id { 2 } else { 0 }
            + properties
            + u64::from(self.payload);
        1 + varint_len(remaining) + remaining
    }
}

/// Frames of a message, up and down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// With control packets of its own, first copies.
    pub data: PerDirection<u64>,
    /// Bare acknowledgements.
    pub acks: PerDirection<u64>,
}

impl Frames {
    pub(super) fn add(&mut self, cause: Cause, direction: Direction, packets: u64) {
        match cause.1 {
            Mechanism::Packet => self.data[direction] += packets,
            Mechanism::Ack => self.acks[direction] += packets,
            _ => {}
        }
    }
}

/// Messages of a connection that are alike in topic, QoS and direction.
#[derive(Clone, Debug, Default)]
pub struct GroupTraffic {
    /// Sizes and how often they came; at most
    /// [`crate::limits::ACCOUNTED_SHAPES`], the nearest stands for others.
    pub shapes: Vec<(Shape, u64)>,
    /// Frames of all of them.
    pub frames: Frames,
    /// How many.
    pub n: u64,
    /// Times of the first and the last.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// Headers of segments.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers {
    /// All of them.
    pub sum: Measures,
    /// Bytes of them that are TCP header and options.
    pub tcp: u64,
    /// What TCP timestamps took of them.
    pub timestamps: u64,
}

/// What a connection was like.
#[derive(Clone, Debug, Default)]
pub struct ConnectionTraffic {
    /// Version, if known.
    pub version: Option<Version>,
    /// Whether any control packet could be read: not if it is encrypted.
    pub is_read: bool,
    /// Its messages.
    pub groups: Map<GroupKey, GroupTraffic>,
    /// Headers of segments but SYN, up and down.
    pub headers: PerDirection<Headers>,
    /// Headers of SYN and SYN-ACK.
    pub syn: Headers,
    /// Segments that carried control packets, up and down.
    pub writes: PerDirection<u64>,
    /// What carried it, besides TCP.
    pub transport: Transport,
    /// Bytes of TLS records and WebSocket frames around control packets, up and
    /// down.
    pub carriers: PerDirection<u64>,
    /// What it cost, by what that scales with.
    pub terms: Terms,
    /// SUBSCRIBE packets.
    pub subscribes: u64,
    /// Whether it began within the capture.
    pub is_from_start: bool,
    /// Keep Alive in seconds, as the server wants it if it said so; `None` if
    /// no CONNECT was seen.
    pub keep_alive: Option<u16>,
    /// Topic Alias Maximum: of the server for what goes up, of the client for
    /// what goes down.
    pub alias_maximum: PerDirection<u16>,
    /// CONNECT, CONNACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK packets,
    /// for which 5.0 takes a byte more.
    pub taxed: u64,
    /// Who the client is: its identifier, else its address.
    pub client: Box<[u8]>,
    /// Segments that the capture does not show because the card makes them (or
    /// has joined them): beyond those of the MSS, up and down.
    pub joined_segments: PerDirection<u64>,
    /// Bytes of the Client Identifier.
    pub client_id: u64,
    /// PINGREQ packets.
    pub pings: u64,
    /// Milliseconds between control packets of the client, pings apart.
    pub gaps_out: Distribution,
    /// The same between control packets of either side.
    pub gaps_any: Distribution,
    last_out: Option<Timestamp>,
    last_any: Option<Timestamp>,
}

/// All connections, the first so many of very many.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The connections.
    pub connections: Vec<ConnectionTraffic>,
    /// How many more there were.
    pub omitted: u64,
}

impl ConnectionTraffic {
    pub(super) fn new() -> Self {
        Self {
            gaps_out: Distribution::coarse(),
            gaps_any: Distribution::coarse(),
            ..Self::default()
        }
    }

    pub(super) fn segment(
        &mut self,
        direction: Direction,
        is_syn: bool,
        head: &Measures,
        captured: &Captured<'_>,
    ) {
        let headers = match is_syn {
            true => &mut self.syn,
            false => &mut self.headers[direction],
        };
        headers.sum += *head;
        headers.tcp += u64::from(captured.anatomy.tcp + captured.anatomy.tcp_options);
        headers.timestamps += u64::from(captured.anatomy.timestamps);
        self.writes[direction] += u64::from(captured.anatomy.payload > 0);
    }

    pub(super) fn frame(&mut self, frame: &MQTTFrame<'_>) {
        const SERVER_KEEP_ALIVE: u32 = 0x13;
        const TOPIC_ALIAS_MAXIMUM: u32 = 0x22;
        let number = |id| match frame.packet.properties().find(id) {
            Some(PropertyValue::TwoByteInteger(value)) => Some(value),
            _ => None,
        };
        self.is_read = true;
        self.version = frame.connection.version.or(self.version);
        self.transport = frame.connection.transport;
        match &frame.packet {
            ControlPacket::Connect(connect) => {
                self.keep_alive = connect.keep_alive;
                self.client_id = connect.client_id.map_or(0, |id| id.bytes().len() as u64);
                self.alias_maximum[Direction::Down] = number(TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
                self.taxed += 1;
            }
            ControlPacket::Connack(_) => {
                self.keep_alive = number(SERVER_KEEP_ALIVE).or(self.keep_alive);
                self.alias_maximum[Direction::Up] = number(TOPIC_ALIAS_MAXIMUM).unwrap_or(0);
                self.taxed += 1;
            }
            ControlPacket::Subscribe(_) => {
                self.taxed += 1;
                self.subscribes += 1;
            }
            ControlPacket::Suback(_)
            | ControlPacket::Unsubscribe(_)
            | ControlPacket::Unsuback(_) => self.taxed += 1,
            ControlPacket::Pingreq => self.pings += 1,
            _ => {}
        }
        if matches!(
            frame.header.packet_type(),
            PacketType::Pingreq | PacketType::Pingresp
        ) {
            return;
        }
        let millis = |last: &mut Option<Timestamp>| {
            let before = last.replace(frame.time)?;
            Some(frame.time.since(before).as_millis() as u64)
        };
        if frame.direction == Direction::Up
            && let Some(gap) = millis(&mut self.last_out)
        {
            self.gaps_out.add(gap, 1);
        }
        if let Some(gap) = millis(&mut self.last_any) {
            self.gaps_any.add(gap, 1);
        }
    }

    pub(super) fn message(
        &mut self,
        key: GroupKey,
        shape: Shape,
        frames: &Frames,
        time: Timestamp,
    ) {
        let group = self.groups.entry(key).or_default();
        group.n += 1;
        for direction in Direction::ALL {
            group.frames.data[direction] += frames.data[direction];
            group.frames.acks[direction] += frames.acks[direction];
        }
        group.span = match group.span {
            Some((first, last)) => Some((first.min(time), last.max(time))),
            None => Some((time, time)),
        };
        let known = group.shapes.iter().position(|(known, _)| *known == shape);
        match known {
            Some(at) => group.shapes[at].1 += 1,
            None if group.shapes.len() < limits::ACCOUNTED_SHAPES => group.shapes.push((shape, 1)),
            None => {
                if let Some((_, n)) = nearest(&mut group.shapes, shape) {
                    *n += 1;
                }
            }
        }
    }

    pub(super) fn close(&mut self, account: &ConnectionAccount, terms: Terms, is_from_start: bool) {
        self.version = account.version;
        self.terms = terms;
        self.is_from_start = is_from_start;
        self.client = match &account.client_id {
            Some(id) => id.clone(),
            None => account.client.addr.to_string().into_bytes().into(),
        };
    }

    /// How many messages went in a direction, or in both.
    pub fn messages(&self, direction: Option<Direction>) -> u64 {
        let groups = self.groups.iter();
        groups
            .filter(|(key, _)| direction.is_none_or(|direction| key.direction == direction))
            .map(|(_, group)| group.n)
            .sum()
    }
}

/// The known shape whose payload is nearest.
fn nearest(shapes: &mut [(Shape, u64)], shape: Shape) -> Option<&mut (Shape, u64)> {
    shapes.iter_mut().min_by_key(|(other, _)| {
        let unlike = (other.topic, other.alias) != (shape.topic, shape.alias);
        (unlike, other.payload.abs_diff(shape.payload))
    })
}
