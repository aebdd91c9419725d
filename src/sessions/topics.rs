//! What was published where: counts by topic.

use std::collections::BTreeMap;

use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::limits;
use crate::mqtt::ControlPacket;

/// Messages by topic. Topics beyond [`limits::TOPIC_COUNTS`] are counted together.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    all: BTreeMap<Box<[u8]>, TopicCount>,
    /// Messages of topics that are not kept.
    pub others: TopicCount,
}

/// Messages of one topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TopicCount {
    /// PUBLISH packets.
    pub messages: PerDirection<u64>,
    /// Bytes of their payloads.
    pub payload: PerDirection<u64>,
    /// PUBLISH packets from clients by QoS.
    pub qos: [u64; 3],
    /// PUBLISH packets from clients with RETAIN.
    pub retained: u64,
}

impl TopicCount {
    fn add(&mut self, direction: Direction, qos: u8, retain: bool, payload: u64) {
        self.messages[direction] += 1;
        self.payload[direction] += payload;
        if direction == Direction::Up {
            if let Some(count) = self.qos.get_mut(usize::from(qos)) {
                *count += 1;
            }
            self.retained += u64::from(retain);
        }
    }
}

impl Topics {
    /// Topics in byte order, so that those of one branch stand together.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &TopicCount)> {
        self.all.iter().map(|(topic, count)| (&**topic, count))
    }

    pub(super) fn frame(&mut self, frame: &MQTTFrame<'_>) {
        let ControlPacket::Publish(publish) = &frame.packet else {
            return;
        };
        let payload = u64::from(publish.payload_len.unwrap_or(0));
        let header = frame.header;
        let room = self.all.len() < limits::TOPIC_COUNTS;
        let count = match frame.topic {
            Some(topic) => match self.all.get_mut(topic.bytes()) {
                Some(known) => known,
                None if room => self.all.entry(topic.bytes().into()).or_default(),
                None => &mut self.others,
            },
            None => &mut self.others,
        };
        count.add(frame.direction, header.qos(), header.retain(), payload);
    }
}
