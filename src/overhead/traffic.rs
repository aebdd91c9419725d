//! Compact models of connections, for estimates of what they would cost if they
//! were different.

use super::Map;
use super::amount::Amount;
use super::cause::{Cause, Mechanism};
use super::distribution::Distribution;
use super::ledger::HeaderBytes;
use super::message::GroupKey;
use super::term::Terms;
use crate::frame::{Direction, MQTTFrame, PerDirection, Transport};
use crate::limits;
use crate::mqtt::packet::Publish;
use crate::mqtt::{ControlPacket, PacketType, PropertyValue, Version};
use crate::net::{Anatomy, Endpoint};
use crate::time::Timestamp;

/// The size of a PUBLISH, by its parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// Bytes of the topic name on the wire, without its length; 0 with a Topic
    /// Alias.
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
    /// Of a PUBLISH whose Property Length and properties have `encoded` bytes.
    pub(super) fn of(frame: &MQTTFrame<'_>, publish: &Publish<'_>, encoded: u32) -> Self {
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
    /// Sizes and their counts, in order; at most
    /// [`crate::limits::ACCOUNTED_SHAPES`], beyond that counted as the nearest.
    pub shapes: Vec<(Shape, u64)>,
    /// Which of them the first message had.
    pub first: usize,
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
    /// Bytes of all headers.
    pub l2: u64,
    /// Bytes of those from IP on.
    pub l3: u64,
    /// Frames.
    pub packets: u64,
    /// Bytes of them that are TCP header and options.
    pub tcp: u64,
    /// Bytes of TCP timestamps among them.
    pub timestamps: u64,
}

impl Headers {
    /// All of them together.
    pub(super) fn amount(&self) -> Amount {
        Amount {
            l2: self.l2 as f64,
            l3: self.l3 as f64,
            packets: self.packets as f64,
            ..Amount::default()
        }
    }
}

impl GroupTraffic {
    /// Adds a message.
    pub(super) fn add(&mut self, shape: Shape, frames: &Frames, time: Timestamp) {
        self.n += 1;
        for direction in Direction::ALL {
            self.frames.data[direction] += frames.data[direction];
            self.frames.acks[direction] += frames.acks[direction];
        }
        self.span = match self.span {
            Some((first, last)) => Some((first.min(time), last.max(time))),
            None => Some((time, time)),
        };
        match self
            .shapes
            .binary_search_by_key(&shape, |(shape, _)| *shape)
        {
            Ok(at) => self.shapes[at].1 += 1,
            Err(at) if self.shapes.len() < limits::ACCOUNTED_SHAPES => {
                self.first += usize::from(at <= self.first && !self.shapes.is_empty());
                // Many groups have a single one.
                if self.shapes.is_empty() {
                    self.shapes.reserve_exact(1);
                }
                self.shapes.insert(at, (shape, 1));
            }
            Err(_) => {
                if let Some((_, n)) = nearest(&mut self.shapes, shape) {
                    *n += 1;
                }
            }
        }
    }
}

/// Model of a connection.
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
    /// Transport above TCP.
    pub transport: Transport,
    /// Bytes of TLS records and WebSocket frames around control packets, up and
    /// down.
    pub carriers: PerDirection<u64>,
    /// Its cost, by what that scales with.
    pub terms: Terms,
    /// SUBSCRIBE packets.
    pub subscribes: u64,
    /// Whether it began within the capture.
    pub is_from_start: bool,
    /// Keep Alive in seconds, the Server Keep Alive if sent; `None` if no
    /// CONNECT was captured.
    pub keep_alive: Option<u16>,
    /// Topic Alias Maximum: the server's for packets up, the client's for packets
    /// down.
    pub alias_maximum: PerDirection<u16>,
    /// CONNECT, CONNACK, SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK packets,
    /// which have one more byte in 5.0.
    pub taxed: u64,
    /// The client: its identifier, else its address.
    pub client: Box<[u8]>,
    /// Segments that the capture does not show because of segmentation offload,
    /// by the MSS, up and down.
    pub joined_segments: PerDirection<u64>,
    /// Bytes of the Client Identifier.
    pub client_id: u64,
    /// Bytes of user name and password with a colon between them, if any: HTTP
    /// sends them with each request.
    pub credentials: u64,
    /// PINGREQ packets.
    pub pings: u64,
    /// Milliseconds between control packets of the client other than pings, where
    /// they are a second or more: Keep Alive is in seconds.
    pub gaps_out: Gaps,
    /// The same between control packets of either side.
    pub gaps_any: Gaps,
}

/// Times between control packets.
#[derive(Clone, Debug, Default)]
pub struct Gaps {
    last: Option<Timestamp>,
    /// Those of a second or more.
    long: Option<Box<Distribution>>,
}

impl Gaps {
    fn note(&mut self, time: Timestamp) {
        if let Some(before) = self.last.replace(time) {
            let pause = time.since(before);
            if pause.as_secs() > 0 {
                let millis = pause.as_millis() as u64;
                let long = self
                    .long
                    .get_or_insert_with(|| Distribution::coarse().into());
                long.add(millis, 1);
            }
        }
    }

    /// Pauses of a second or more: milliseconds, and their counts.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.long.iter().flat_map(|long| long.iter())
    }
}

/// All connections, up to the limit.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// The connections.
    pub connections: Vec<ConnectionTraffic>,
    /// How many more there were.
    pub omitted: u64,
}

impl ConnectionTraffic {
    pub(super) fn segment(
        &mut self,
        direction: Direction,
        is_syn: bool,
        header: &HeaderBytes,
        anatomy: &Anatomy,
    ) {
        let headers = match is_syn {
            true => &mut self.syn,
            false => &mut self.headers[direction],
        };
        headers.l2 += header.l2;
        headers.l3 += header.l3;
        headers.packets += header.packets;
        headers.tcp += u64::from(anatomy.tcp + anatomy.tcp_options);
        headers.timestamps += u64::from(anatomy.timestamps);
        self.writes[direction] += u64::from(anatomy.payload > 0);
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
                let password = connect.password.map_or(0, <[u8]>::len);
                let credentials = connect
                    .username
                    .map_or(0, |name| name.bytes().len() + 1 + password);
                self.credentials = credentials as u64;
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
        if frame.direction == Direction::Up {
            self.gaps_out.note(frame.time);
        }
        self.gaps_any.note(frame.time);
    }

    pub(super) fn close(
        &mut self,
        version: Option<Version>,
        is_from_start: bool,
        client_id: Option<&[u8]>,
        client: Endpoint,
    ) {
        self.version = version;
        self.is_from_start = is_from_start;
        self.client = match client_id {
            Some(id) => id.into(),
            None => client.addr.to_string().into_bytes().into(),
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

/// The known shape with the most similar payload size.
fn nearest(shapes: &mut [(Shape, u64)], shape: Shape) -> Option<&mut (Shape, u64)> {
    shapes.iter_mut().min_by_key(|(other, _)| {
        let unlike = (other.topic, other.alias) != (shape.topic, shape.alias);
        (unlike, other.payload.abs_diff(shape.payload))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_beyond_the_limit_count_as_the_nearest() {
        let mut group = GroupTraffic::default();
        let shape = |payload: usize| Shape {
            payload: payload as u32,
            ..Shape::default()
        };
        for n in 0..limits::ACCOUNTED_SHAPES {
            group.add(shape(10 * n), &Frames::default(), Timestamp::MIN);
        }
        let most = 10 * limits::ACCOUNTED_SHAPES;
        for payload in [most + 1000, 12, 12, 20] {
            group.add(shape(payload), &Frames::default(), Timestamp::MIN);
        }
        assert_eq!(group.shapes.len(), limits::ACCOUNTED_SHAPES);
        let many = group.shapes.iter().filter(|(_, n)| *n > 1);
        let many: Vec<_> = many.map(|(shape, n)| (shape.payload, *n)).collect();
        assert_eq!(many, [(10, 3), (20, 2), (most as u32 - 10, 2)]);
        assert_eq!(group.n, limits::ACCOUNTED_SHAPES as u64 + 4);
    }
}
