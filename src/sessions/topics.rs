//! Messages by topic: counts, and how long acknowledgements took.

use std::collections::HashMap;

use crate::facts::{FrameFact, Role};
use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::limits;
use crate::mqtt::{ControlPacket, PacketType};
use crate::time::Timestamp;

use super::latency::Distribution;

/// Messages by topic. Topics beyond [`limits::TOPIC_COUNTS`] are counted together.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    indices: HashMap<Box<[u8]>, u32, foldhash::fast::FixedState>,
    counts: Vec<TopicCount>,
    /// Messages of topics that are not kept.
    pub others: TopicCount,
    /// Times to the last acknowledgement, if they are wanted.
    acknowledged: Option<Box<Acknowledged>>,
}

/// Messages of one topic, or of several.
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
    /// When the first and the last of them was complete.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// How long the acknowledgement of messages took: PUBACK, and PUBCOMP, each since the
/// PUBLISH, by the direction of the PUBLISH.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    /// The topic of each exchange, by [`First::slot`](crate::facts::First::slot).
    topics: Vec<u32>,
    by_topic: HashMap<u32, PerDirection<Distribution>, foldhash::fast::FixedState>,
    /// Of topics that came later.
    of_others: PerDirection<Distribution>,
    /// Of QoS 1, and of QoS 2.
    by_qos: [PerDirection<Distribution>; 2],
}

/// An exchange whose topic is not known.
const UNKNOWN: u32 = u32::MAX;

impl TopicCount {
    fn add(&mut self, frame: &MQTTFrame<'_>, payload: u64) {
        let direction = frame.direction;
        self.messages[direction] += 1;
        self.payload[direction] += payload;
        if direction == Direction::Up {
            if let Some(count) = self.qos.get_mut(usize::from(frame.header.qos())) {
                *count += 1;
            }
            self.retained += u64::from(frame.header.retain());
        }
        let (first, _) = self.span.unwrap_or((frame.time, frame.time));
        self.span = Some((first, frame.time));
    }

    /// Adds the messages of another topic.
    pub fn merge(&mut self, other: &Self) {
        for direction in Direction::ALL {
            self.messages[direction] += other.messages[direction];
            self.payload[direction] += other.payload[direction];
        }
        for (sum, count) in self.qos.iter_mut().zip(other.qos) {
            *sum += count;
        }
        self.retained += other.retained;
        self.span = match (self.span, other.span) {
            (Some((a, b)), Some((c, d))) => Some((a.min(c), b.max(d))),
            (one, other) => one.or(other),
        };
    }

    /// Messages from clients per second, between the first and the last message; `None`
    /// for fewer than two.
    pub fn rate(&self) -> Option<f64> {
        let (first, last) = self.span?;
        let seconds = last.since(first).as_secs_f64();
        (self.messages.up > 1 && seconds > 0.0).then(|| (self.messages.up - 1) as f64 / seconds)
    }
}

impl Topics {
    /// The same, with times to the acknowledgement.
    pub(super) fn with_latencies(self) -> Self {
        Self {
            acknowledged: Some(Box::default()),
            ..self
        }
    }

    /// Topics in byte order, so that those of one branch stand together.
    pub fn sorted(&self) -> Vec<(&[u8], &TopicCount)> {
        let indices = self.indices.iter();
        let mut all: Vec<_> = indices
            .map(|(topic, index)| (&**topic, &self.counts[*index as usize]))
            .collect();
        all.sort_unstable_by_key(|(topic, _)| *topic);
        all
    }

    /// How long the last acknowledgement of messages took since their PUBLISH, by topic,
    /// in byte order. Only if it was asked for, and of the first
    /// [`limits::TOPIC_LATENCIES`] topics with an acknowledgement.
    pub fn latencies(&self) -> Vec<(&[u8], &PerDirection<Distribution>)> {
        let Some(acknowledged) = &self.acknowledged else {
            return Vec::new();
        };
        let indices = self.indices.iter();
        let mut all: Vec<_> = indices
            .filter_map(|(topic, index)| Some((&**topic, acknowledged.by_topic.get(index)?)))
            .collect();
        all.sort_unstable_by_key(|(topic, _)| *topic);
        all
    }

    /// The same of all other topics together.
    pub fn other_latencies(&self) -> Option<&PerDirection<Distribution>> {
        Some(&self.acknowledged.as_ref()?.of_others)
    }

    /// The same of all messages of QoS 1, and of QoS 2.
    pub fn latencies_by_qos(&self) -> Option<&[PerDirection<Distribution>; 2]> {
        Some(&self.acknowledged.as_ref()?.by_qos)
    }

    pub(super) fn frame(&mut self, fact: &FrameFact<'_>) {
        let frame = fact.frame;
        let index = match &frame.packet {
            ControlPacket::Publish(publish) => {
                let payload = u64::from(publish.payload_len.unwrap_or(0));
                let index = self.index(frame);
                match index.and_then(|index| self.counts.get_mut(index as usize)) {
                    Some(count) => count.add(frame, payload),
                    None => self.others.add(frame, payload),
                }
                index
            }
            _ => None,
        };
        if let Some(acknowledged) = &mut self.acknowledged {
            acknowledged.frame(fact, index);
        }
    }

    /// Index of a message's topic in `counts`.
    fn index(&mut self, frame: &MQTTFrame<'_>) -> Option<u32> {
        let topic = frame.topic?.bytes();
        if let Some(index) = self.indices.get(topic) {
            return Some(*index);
        }
        if self.counts.len() >= limits::TOPIC_COUNTS {
            return None;
        }
        let index = u32::try_from(self.counts.len()).ok()?;
        self.indices.insert(topic.into(), index);
        self.counts.push(TopicCount::default());
        Some(index)
    }
}

impl Acknowledged {
    fn frame(&mut self, fact: &FrameFact<'_>, index: Option<u32>) {
        let Some(exchange) = fact.exchange.filter(|exchange| exchange.is_message()) else {
            return;
        };
        let Some(first) = exchange.first else {
            return;
        };
        let slot = first.slot as usize;
        match exchange.role {
            Role::Opens => {
                if self.topics.len() <= slot {
                    self.topics.resize(slot + 1, UNKNOWN);
                }
                self.topics[slot] = index.unwrap_or(UNKNOWN);
            }
            Role::Completes => {
                let Some(time) = exchange.since_first(fact.frame) else {
                    return;
                };
                let packet = fact.frame.last;
                let qos = match fact.frame.header.packet_type() {
                    PacketType::Puback => 0,
                    PacketType::Pubcomp => 1,
                    // PUBREC with an error ends it, too (5.0: 4.3.3).
                    _ => return,
                };
                self.by_qos[qos][exchange.asked].add(time, packet);
                let index = self.topics.get(slot).copied().unwrap_or(UNKNOWN);
                let is_full = self.by_topic.len() >= limits::TOPIC_LATENCIES;
                if is_full && !self.by_topic.contains_key(&index) {
                    self.of_others[exchange.asked].add(time, packet);
                    return;
                }
                if index == UNKNOWN {
                    return;
                }
                self.by_topic.entry(index).or_default()[exchange.asked].add(time, packet);
            }
            _ => {}
        }
    }
}
