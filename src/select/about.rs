//! Topic and QoS of a frame, or of the exchange that it belongs to.

use crate::facts::{ExchangeKind, FrameFact};
use crate::frame::MQTTFrame;
use crate::mqtt::topic::{self, TopicFilter};
use crate::mqtt::{ControlPacket, PacketType, Text};

/// Properties of a frame that the selection needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct About {
    /// Whether its topic was asked for.
    pub(super) topic: Topicality,
    /// QoS of its PUBLISH exchange; `None` for all other frames.
    pub(super) qos: Option<u8>,
}

/// Whether a topic is selected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Topicality {
    Asked,
    Other,
    Unknown,
}

const NOTHING: About = About {
    topic: Topicality::Other,
    qos: None,
};

impl About {
    /// Properties of a frame by its own content, or by the exchange that it answers.
    /// `of_exchanges` holds those of the exchanges.
    pub(super) fn of(
        fact: &FrameFact<'_>,
        asked: &[TopicFilter],
        of_exchanges: &mut Vec<Self>,
    ) -> Self {
        let Some(exchange) = fact.exchange else {
            return Self::asking(fact.frame, asked).unwrap_or(NOTHING);
        };
        let slot = exchange.first.map(|first| first.slot as usize);
        if let Some(about) = Self::asking(fact.frame, asked) {
            if let Some(slot) = slot {
                if slot >= of_exchanges.len() {
                    of_exchanges.resize(slot + 1, NOTHING);
                }
                of_exchanges[slot] = about;
            }
            return about;
        }
        let known = slot
            .filter(|_| exchange.doubt.is_none())
            .and_then(|slot| of_exchanges.get(slot));
        let unknown = |qos| Self {
            topic: Topicality::Unknown,
            qos,
        };
        match (exchange.kind, fact.frame.header.packet_type()) {
            (ExchangeKind::Ping | ExchangeKind::Auth, _) | (_, PacketType::Auth) => NOTHING,
            (kind, packet) => known.copied().unwrap_or(match (kind, packet) {
                (ExchangeKind::Publish, _) => unknown(Self::qos(fact.frame)),
                // A CONNACK without its CONNECT is not marked.
                (ExchangeKind::Connect, _) => NOTHING,
                _ => unknown(None),
            }),
        }
    }

    /// QoS of the PUBLISH exchange that a frame belongs to, by its own content.
    pub(super) fn qos(frame: &MQTTFrame<'_>) -> Option<u8> {
        match frame.header.packet_type() {
            PacketType::Publish => Some(frame.header.qos()),
            PacketType::Puback => Some(1),
            PacketType::Pubrec | PacketType::Pubrel | PacketType::Pubcomp => Some(2),
            _ => None,
        }
    }

    /// Properties by the content of a frame that starts an exchange or belongs to
    /// none.
    pub(super) fn asking(frame: &MQTTFrame<'_>, asked: &[TopicFilter]) -> Option<Self> {
        let lacking = frame.missing > 0 || (frame.bytes.len() as u64) < frame.header.packet_len();
        let (topic, qos) = match &frame.packet {
            ControlPacket::Publish(_) => (topic(frame.topic, asked), Some(frame.header.qos())),
            ControlPacket::Subscribe(subscribe) => {
                let filters = subscribe.filters().map(|s| s.filter);
                (overlap(filters, asked, lacking), None)
            }
            ControlPacket::Unsubscribe(unsubscribe) => {
                (overlap(unsubscribe.filters(), asked, lacking), None)
            }
            ControlPacket::Connect(connect) => {
                let will_flag = connect.flags.map(|flags| flags & 0x04 != 0);
                let topic = match (will_flag, &connect.will) {
                    (Some(false), _) => Topicality::Other,
                    (_, Some(will)) => topic(will.topic, asked),
                    (Some(true), None) => Topicality::Unknown,
                    (None, None) if lacking => Topicality::Unknown,
                    (None, None) => Topicality::Other,
                };
                (topic, None)
            }
            _ => return None,
        };
        Some(Self { topic, qos })
    }
}

fn topic(topic: Option<Text<'_>>, asked: &[TopicFilter]) -> Topicality {
    match topic {
        None => Topicality::Unknown,
        Some(topic) if asked.iter().any(|filter| filter.matches(topic.0)) => Topicality::Asked,
        Some(_) => Topicality::Other,
    }
}

/// The filters of a SUBSCRIBE or UNSUBSCRIBE; the capture may lack some.
fn overlap<'a>(
    mut filters: impl Iterator<Item = Text<'a>>,
    asked: &[TopicFilter],
    lacking: bool,
) -> Topicality {
    let overlaps = |text: Text<'_>| {
        topic::check_filter(text.0, true).is_ok()
            && asked.iter().any(|filter| filter.overlaps(text.0))
    };
    match filters.any(overlaps) {
        true => Topicality::Asked,
        false if lacking => Topicality::Unknown,
        false => Topicality::Other,
    }
}
