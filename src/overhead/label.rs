//! Labels: each control packet labels its range of a stream, and so does each
//! layer below it ([`super::carriage`]).

use std::collections::VecDeque;

use super::cause::Purpose;
use super::layer::Layer;
use crate::frame::MQTTFrame;
use crate::limits;
use crate::mqtt::varint::{self, Varint};
use crate::mqtt::{ControlPacket, PacketType, Version};

/// A labelled range of a stream. A connection keeps several, so it is small.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Its layers in order; they add up to its length.
    pub(super) parts: Parts,
    /// The control packet that it is of, or that it carries: its parts separately,
    /// which takes 8 bytes less.
    packet_type: Option<PacketType>,
    packet_offset: u32,
    /// Slot of the message that it belongs to; [`NO_OWNER`] for the connection.
    owner: u32,
    pub(super) purpose: Purpose,
    /// The last byte of the control packet is its last.
    pub(super) ends: bool,
}

const NO_OWNER: u32 = u32::MAX;

/// A control packet: its layers, purpose and owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) packet_type: PacketType,
    /// Where it begins in the MQTT stream, modulo 2³²: neighbours differ.
    pub(super) offset: u32,
}

/// Layers in order, and how many bytes each has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts {
    layers: [Layer; Parts::MOST],
    lens: [u32; Parts::MOST],
}

impl Parts {
    pub(super) const MOST: usize = 5;

    pub(super) fn new(parts: [(Layer, u32); Self::MOST]) -> Self {
        Self {
            layers: parts.map(|(layer, _)| layer),
            lens: parts.map(|(_, len)| len),
        }
    }

    /// A single one.
    pub(super) fn one(layer: Layer, len: u64) -> Self {
        let mut parts = [NOTHING; Self::MOST];
        parts[0] = (layer, u32::try_from(len).unwrap_or(u32::MAX));
        Self::new(parts)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Layer, u32)> {
        self.layers.into_iter().zip(self.lens)
    }
}

impl Label {
    /// The label of a control packet in the MQTT stream.
    pub(super) fn of(frame: &MQTTFrame<'_>) -> Self {
        let packet_type = frame.header.packet_type();
        Self {
            start: frame.offset as i64,
            end: (frame.offset + frame.header.packet_len()) as i64,
            parts: split(frame),
            packet_type: Some(packet_type),
            packet_offset: frame.offset as u32,
            owner: NO_OWNER,
            purpose: Purpose::of(packet_type, frame.header.dup()),
            ends: true,
        }
    }

    /// The label of a range that is not the whole of a control packet.
    pub(super) fn of_range(
        (start, end): (u64, u64),
        parts: Parts,
        packet: Option<Packet>,
        purpose: Purpose,
        owner: Option<u32>,
    ) -> Self {
        Self {
            start: start as i64,
            end: end as i64,
            parts,
            packet_type: packet.map(|packet| packet.packet_type),
            packet_offset: packet.map_or(0, |packet| packet.offset),
            owner: owner.unwrap_or(NO_OWNER),
            purpose,
            ends: false,
        }
    }

    /// The control packet that it is of, or that it carries.
    pub(super) fn packet(&self) -> Option<Packet> {
        self.packet_type.map(|packet_type| Packet {
            packet_type,
            offset: self.packet_offset,
        })
    }

    /// Slot of the message that it belongs to.
    pub(super) fn owner(&self) -> Option<u32> {
        (self.owner != NO_OWNER).then_some(self.owner)
    }

    pub(super) fn set_owner(&mut self, slot: u32) {
        self.owner = slot;
    }

    /// Bytes of the Property Length and the properties.
    pub(super) fn properties(&self) -> u32 {
        let mut parts = self.parts.iter();
        let found = parts.find(|(layer, _)| *layer == Layer::MqttProperties);
        found.map_or(0, |(_, len)| len)
    }

    /// Bytes by layer between two offsets.
    pub(super) fn layers(&self, from: i64, to: i64, mut each: impl FnMut(Layer, u64)) {
        let mut start = self.start;
        for (layer, len) in self.parts.iter() {
            let end = start + i64::from(len);
            let bytes = to.min(end) - from.max(start);
            if bytes > 0 {
                each(layer, bytes as u64);
            }
            start = end;
        }
    }
}

/// The layers of a control packet, in order.
fn split(frame: &MQTTFrame<'_>) -> Parts {
    use ControlPacket as P;
    use Layer as L;
    let header = frame.header;
    let fixed = 1 + u32::from(header.length_bytes);
    let left = header.remaining_length;
    // Property Length and properties, at this offset from the fixed
    // header.
    let properties = |before: u32| {
        let bytes = frame.bytes.get((fixed + before) as usize..);
        match (frame.version, varint::decode(bytes.unwrap_or_default())) {
            (Version::V5, Varint::Value { value, bytes }) => value + u32::from(bytes),
            _ => 0,
        }
    };
    let (first, second, third, rest) = match &frame.packet {
        P::Connect(connect) => {
            // Name with its length, level, flags, Keep Alive.
            let name = connect.protocol_name.map_or(0, |name| name.bytes().len());
            let variable = 2 + name as u32 + 4;
            let properties = (L::MqttProperties, properties(variable));
            (
                (L::MqttVariableHeader, variable),
                properties,
                NOTHING,
                L::MqttBody,
            )
        }
        P::Connack(_) => {
            let properties = (L::MqttProperties, properties(2));
            ((L::MqttVariableHeader, 2), properties, NOTHING, L::MqttBody)
        }
        P::Publish(publish) => {
            let pid = if header.qos() > 0 { 2 } else { 0 };
            match (publish.topic, publish.payload_len) {
                (Some(topic), Some(payload)) => {
                    let topic = 2 + topic.bytes().len() as u32;
                    let properties = left.saturating_sub(topic + pid + payload);
                    (
                        (L::MqttTopic, topic),
                        (L::MqttPacketId, pid),
                        (L::MqttProperties, properties),
                        L::App,
                    )
                }
                _ => (NOTHING, NOTHING, NOTHING, L::Unparsed),
            }
        }
        P::Puback(_) | P::Pubrec(_) | P::Pubrel(_) | P::Pubcomp(_) => (
            (L::MqttPacketId, 2),
            (L::MqttVariableHeader, u32::from(left > 2)),
            (L::MqttProperties, if left > 3 { properties(3) } else { 0 }),
            L::MqttBody,
        ),
        P::Subscribe(_) | P::Suback(_) | P::Unsubscribe(_) | P::Unsuback(_) => (
            (L::MqttPacketId, 2),
            (L::MqttProperties, properties(2)),
            NOTHING,
            L::MqttBody,
        ),
        P::Disconnect(_) | P::Auth(_) => (
            (L::MqttVariableHeader, left.min(1)),
            (L::MqttProperties, if left > 1 { properties(1) } else { 0 }),
            NOTHING,
            L::MqttBody,
        ),
        P::Pingreq | P::Pingresp | P::Reserved => (NOTHING, NOTHING, NOTHING, L::MqttBody),
    };
    let mut left = left;
    let mut take = |(layer, len): (Layer, u32)| {
        let len = len.min(left);
        left -= len;
        (layer, len)
    };
    let (first, second, third) = (take(first), take(second), take(third));
    Parts::new([
        (L::MqttFixedHeader, fixed),
        first,
        second,
        third,
        (rest, left),
    ])
}

const NOTHING: (Layer, u32) = (Layer::MqttVariableHeader, 0);

/// A range of a stream, under one label or none.
pub(super) struct LabelledRange<'a> {
    pub(super) label: Option<&'a Label>,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The labels of one direction: those of bytes that the peer has not
/// acknowledged, and some more.
#[derive(Debug, Default)]
pub(super) struct Labels {
    labels: VecDeque<Label>,
    /// Everything before it has its label, or never will.
    pub(super) cursor: i64,
}

impl Labels {
    pub(super) fn push(&mut self, label: Label) {
        self.cursor = self.cursor.max(label.end);
        self.labels.push_back(label);
    }

    /// Drops the first label if it is no longer needed, and returns it: it
    /// ends before the bytes that the peer has not acknowledged and before those
    /// of waiting frames. The last few are always kept, for segments that are
    /// retransmitted although they were acknowledged.
    pub(super) fn prune(&mut self, unacked: i64, waiting: i64) -> Option<Label> {
        const KEPT: usize = 4;
        let (n, first) = (self.labels.len(), self.labels.front()?);
        let is_needed = match first.end {
            _ if n > limits::WAITING_LABELS => false,
            end if end > waiting => true,
            end => end > unacked && n <= limits::LABELS,
        };
        (n >= KEPT && !is_needed).then(|| self.labels.pop_front())?
    }

    /// Gives back memory that is not used.
    pub(super) fn shrink(&mut self) {
        self.labels.shrink_to_fit();
    }

    /// The ranges between two offsets, in order; together they are all of it.
    pub(super) fn ranges(&self, from: i64, to: i64) -> impl Iterator<Item = LabelledRange<'_>> {
        let mut next = self.labels.partition_point(|label| label.end <= from);
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let label = self.labels.get(next).filter(|label| label.start < to);
            let range = match label {
                Some(label) if label.start <= at => {
                    next += 1;
                    LabelledRange {
                        label: Some(label),
                        from: at,
                        to: label.end.min(to),
                    }
                }
                _ => LabelledRange {
                    label: None,
                    from: at,
                    to: label.map_or(to, |label| label.start),
                },
            };
            at = range.to;
            Some(range)
        })
    }
}

/// Whether a type of control packet belongs to the exchange of a message.
pub(super) fn is_of_exchange(packet_type: PacketType) -> bool {
    matches!(
        Purpose::of(packet_type, false),
        Purpose::Msg | Purpose::MsgAck
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of two bytes each, pruned as they come.
    fn labels(n: usize, unacked: i64, waiting: i64) -> Labels {
        let mut labels = Labels::default();
        for at in 0..n as i64 {
            labels.push(Label {
                start: 2 * at,
                end: 2 * at + 2,
                parts: Parts::one(Layer::MqttFixedHeader, 2),
                packet_type: Some(PacketType::Pingreq),
                packet_offset: 2 * at as u32,
                owner: NO_OWNER,
                purpose: Purpose::Keepalive,
                ends: true,
            });
            while labels.prune(unacked, waiting).is_some() {}
        }
        labels
    }

    fn unlabelled(labels: &Labels, to: i64) -> i64 {
        let none = labels.ranges(0, to).filter(|range| range.label.is_none());
        none.map(|range| range.to - range.from).sum()
    }

    #[test]
    fn labels_that_are_not_acknowledged_are_limited() {
        let most = limits::LABELS;
        let kept = labels(most, 0, i64::MAX);
        assert_eq!(
            (kept.labels.len(), unlabelled(&kept, 2 * most as i64)),
            (most, 0)
        );
        let kept = labels(most + 9, 0, i64::MAX);
        assert_eq!(kept.labels.len(), most);
        assert_eq!(unlabelled(&kept, 2 * (most as i64 + 9)), 18);
    }

    #[test]
    fn labels_of_a_waiting_frame_are_limited() {
        let most = limits::WAITING_LABELS;
        let kept = labels(most + 9, i64::MAX, 0);
        assert_eq!(kept.labels.len(), most);
        assert_eq!(unlabelled(&kept, 2 * (most as i64 + 9)), 18);
    }
}
