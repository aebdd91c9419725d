//! What the bytes of a stream are: each control packet labels its stretch, and
//! so does what carries it ([`super::carriage`]).

use std::collections::VecDeque;

use super::cause::Purpose;
use super::layer::Layer;
use crate::frame::MQTTFrame;
use crate::limits;
use crate::mqtt::varint::{self, Varint};
use crate::mqtt::{ControlPacket, PacketType, Version};

/// A stretch of a stream that is for one thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Label {
    pub(super) start: i64,
    pub(super) end: i64,
    /// Its layers in order; they add up to its length.
    pub(super) parts: Parts,
    /// The control packet that it is of, or that it carries.
    pub(super) packet: Option<Packet>,
    pub(super) purpose: Purpose,
    /// Slot of the message that it belongs to; else it is the connection's.
    pub(super) owner: Option<u32>,
    /// The last byte of the control packet is its last.
    pub(super) ends: bool,
}

/// A control packet: what it is, and where it begins in the MQTT stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) packet_type: PacketType,
    pub(super) offset: u64,
}

/// Layers in order, and how many bytes each has.
pub(super) type Parts = [(Layer, u32); 5];

/// No layer has a byte.
pub(super) const NO_PARTS: Parts = [NOTHING; 5];

impl Label {
    /// The label of a control packet in the MQTT stream.
    pub(super) fn of(frame: &MQTTFrame<'_>, owner: Option<u32>) -> Self {
        let packet_type = frame.header.packet_type();
        Self {
            start: frame.offset as i64,
            end: (frame.offset + frame.header.packet_len()) as i64,
            parts: split(frame),
            packet: Some(Packet {
                packet_type,
                offset: frame.offset,
            }),
            purpose: Purpose::of(packet_type, frame.header.dup()),
            owner,
            ends: true,
        }
    }

    /// Bytes by layer of what lies between two offsets.
    pub(super) fn layers(&self, from: i64, to: i64, mut each: impl FnMut(Layer, u64)) {
        let mut start = self.start;
        for (layer, len) in self.parts {
            let end = start + i64::from(len);
            let bytes = to.min(end) - from.max(start);
            if bytes > 0 {
                each(layer, bytes as u64);
            }
            start = end;
        }
    }
}

/// Bytes of the Property Length and the properties of a PUBLISH.
pub(super) fn publish_properties(frame: &MQTTFrame<'_>) -> u32 {
    let parts = split(frame);
    parts
        .iter()
        .find(|(layer, _)| *layer == Layer::MqttProperties)
        .map_or(0, |&(_, len)| len)
}

/// The layers of a control packet, in order.
fn split(frame: &MQTTFrame<'_>) -> Parts {
    use ControlPacket as P;
    use Layer as L;
    let header = frame.header;
    let fixed = 1 + u32::from(header.length_bytes);
    let left = header.remaining_length;
    // Property Length and properties, which begin so far behind the fixed
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
    [
        (L::MqttFixedHeader, fixed),
        first,
        second,
        third,
        (rest, left),
    ]
}

const NOTHING: (Layer, u32) = (Layer::MqttVariableHeader, 0);

/// A stretch of a stream, under one label or none.
pub(super) struct Stretch<'a> {
    pub(super) label: Option<&'a Label>,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// The labels of one direction, as far back as they may be asked for: what the
/// peer has not acknowledged, and some more.
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

    /// Forgets labels that are not needed any more: those before `needed`, but
    /// for the last few. `forgotten` hears of their owners.
    pub(super) fn prune(&mut self, needed: i64, mut forgotten: impl FnMut(u32)) {
        const KEPT: usize = 8;
        if self.labels.len() < 2 * KEPT {
            return;
        }
        while let Some(label) = self.labels.front() {
            let too_many = self.labels.len() > limits::LABELS;
            if self.labels.len() <= KEPT || (label.end > needed && !too_many) {
                break;
            }
            if let Some(owner) = label.owner {
                forgotten(owner);
            }
            self.labels.pop_front();
        }
    }

    /// All labels; none are left.
    pub(super) fn take(&mut self) -> VecDeque<Label> {
        std::mem::take(&mut self.labels)
    }

    /// The stretches between two offsets, in order; together they are all of
    /// it.
    pub(super) fn stretches(&self, from: i64, to: i64) -> impl Iterator<Item = Stretch<'_>> {
        let mut next = self.labels.partition_point(|label| label.end <= from);
        let mut at = from;
        std::iter::from_fn(move || {
            if at >= to {
                return None;
            }
            let label = self.labels.get(next).filter(|label| label.start < to);
            let stretch = match label {
                Some(label) if label.start <= at => {
                    next += 1;
                    Stretch {
                        label: Some(label),
                        from: at,
                        to: label.end.min(to),
                    }
                }
                _ => Stretch {
                    label: None,
                    from: at,
                    to: label.map_or(to, |label| label.start),
                },
            };
            at = stretch.to;
            Some(stretch)
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
