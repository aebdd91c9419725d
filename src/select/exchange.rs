//! Which exchange a frame belongs to.
//!
//! An acknowledgement names its PUBLISH, SUBSCRIBE or UNSUBSCRIBE by packet
//! identifier, and identifiers belong to the side that asked: the client's
//! `id 7` and the server's `id 7` are two exchanges. So an exchange is kept
//! under (who asked, what for, identifier), and an answer looks it up with the
//! direction reversed; PUBREL alone goes the way of its PUBLISH. CONNACK
//! answers CONNECT, without an identifier.
//!
//! An exchange that was answered is not dropped at once, because a PUBLISH
//! that is sent again is answered again; it only counts as *settled*. Two
//! things make it forgotten:
//!
//! - its connection has collected more than [`SETTLED_EXCHANGES`] of them;
//! - bytes of the asking side were lost after it was settled. The identifier
//!   may have been used again in there, and the next answer would be taken for
//!   one to the old message. The same holds when both sides lost bytes, for
//!   then the answer may have been lost as well as the next question.
//!
//! In an honest connection at most 65,535 exchanges are open in each direction.
//! Over all connections no more than [`SELECTED_EXCHANGES`] are remembered; when
//! they are reached, all settled ones go, and if those are few, new ones are not
//! taken up. What was forgotten leads to "unknown", never to a wrong topic.

use std::collections::HashMap;

use crate::frame::{Direction, MQTTFrame, PerDirection};
use crate::limits::{SELECTED_EXCHANGES, SETTLED_EXCHANGES};
use crate::mqtt::topic::{self, TopicFilter};
use crate::mqtt::{ControlPacket, Text};

/// What the selection has to know of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct About {
    /// Whether its topic was asked for.
    pub(super) topic: Topicality,
    /// QoS of its PUBLISH exchange; `None` for all other frames.
    pub(super) qos: Option<u8>,
}

/// Whether a topic was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Topicality {
    Asked,
    Other,
    Unknown,
}

/// The exchanges of all connections.
#[derive(Debug)]
pub(super) struct Exchanges {
    connections: HashMap<u64, OfConnection, foldhash::fast::RandomState>,
    /// Exchanges in all of `connections`.
    total: usize,
    /// How many of them are settled.
    settled: usize,
    most: usize,
    forgotten: u64,
}

impl Default for Exchanges {
    fn default() -> Self {
        Self {
            connections: HashMap::default(),
            total: 0,
            settled: 0,
            most: SELECTED_EXCHANGES,
            forgotten: 0,
        }
    }
}

#[derive(Debug, Default)]
struct OfConnection {
    exchanges: HashMap<Key, Exchange, foldhash::fast::RandomState>,
    /// How many of them are settled.
    settled: usize,
    /// Counts gaps; the time by which exchanges and gaps are ordered.
    clock: u32,
    /// When bytes were last lost in each direction: up, down.
    last_gap: PerDirection<u32>,
}

/// Who asked, what for, and under which packet identifier.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    asked: Direction,
    what: Request,
    id: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Request {
    Connect,
    Publish,
    Subscribe,
    Unsubscribe,
}

#[derive(Clone, Copy, Debug)]
struct Exchange {
    about: About,
    /// When it was begun.
    begun: u32,
    /// When it was answered in full.
    settled: Option<u32>,
}

/// The part that a frame plays in an exchange.
enum Role {
    /// It begins one; `None` when its packet identifier is unknown.
    Asks(Request, Option<u16>, About),
    /// It answers one, which may settle it.
    Answers {
        key: Option<Key>,
        /// What to think when the question is not known.
        otherwise: About,
        settles: bool,
    },
    /// It is no part of any.
    Alone(About),
}

const NOTHING: About = About {
    topic: Topicality::Other,
    qos: None,
};

impl Exchanges {
    /// Puts a frame into its exchange and tells what it is about.
    pub(super) fn place(&mut self, frame: &MQTTFrame<'_>, asked: &[TopicFilter]) -> About {
        let number = frame.connection.number;
        match role(frame, asked) {
            Role::Alone(about) => about,
            Role::Asks(what, Some(id), about) => {
                let key = Key {
                    asked: frame.direction,
                    what,
                    id,
                };
                self.open(number, key, about);
                about
            }
            Role::Asks(_, None, about) => {
                // It may have used any identifier.
                self.gap(number, frame.direction);
                about
            }
            Role::Answers {
                key: Some(key),
                otherwise,
                settles,
            } => self.answer(number, key, settles).unwrap_or(otherwise),
            Role::Answers {
                key: None,
                otherwise,
                ..
            } => {
                self.gap(number, frame.direction);
                otherwise
            }
        }
    }

    /// Bytes were lost that may have held control packets.
    pub(super) fn gap(&mut self, connection: u64, direction: Direction) {
        if let Some(of) = self.connections.get_mut(&connection) {
            of.clock = of.clock.saturating_add(1);
            of.last_gap[direction] = of.clock;
        }
    }

    /// The connection has ended.
    pub(super) fn forget(&mut self, connection: u64) {
        if let Some(of) = self.connections.remove(&connection) {
            self.total -= of.exchanges.len();
            self.settled -= of.settled;
        }
    }

    /// How many exchanges were not remembered because there were too many.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// How many exchanges are remembered.
    #[cfg(test)]
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Remembers no more than that.
    #[cfg(test)]
    pub(super) fn limit(&mut self, most: usize) {
        self.most = most;
    }

    fn open(&mut self, connection: u64, key: Key, about: About) {
        // Half of them at least, or the next time would come too soon.
        if self.total >= self.most && self.settled >= self.most / 2 {
            for of in self.connections.values_mut() {
                of.drop_settled();
            }
            self.total -= self.settled;
            self.settled = 0;
        }
        let of = self.connections.entry(connection).or_default();
        let exchange = Exchange {
            about,
            begun: of.clock,
            settled: None,
        };
        if let Some(old) = of.exchanges.get_mut(&key) {
            let settled = usize::from(old.settled.is_some());
            of.settled -= settled;
            self.settled -= settled;
            *old = exchange;
        } else if self.total < self.most {
            of.exchanges.insert(key, exchange);
            self.total += 1;
        } else {
            self.forgotten += 1;
        }
    }

    /// What the exchange is about that a frame answers or continues.
    fn answer(&mut self, connection: u64, key: Key, settles: bool) -> Option<About> {
        let of = self.connections.get_mut(&connection)?;
        let exchange = of.exchanges.get_mut(&key)?;
        let asking = of.last_gap[key.asked];
        let answering = of.last_gap[key.asked.reversed()];
        let reused = exchange.settled.is_some_and(|settled| asking > settled)
            || asking.min(answering) > exchange.begun;
        if reused {
            return None;
        }
        let about = exchange.about;
        if settles && exchange.settled.is_none() {
            exchange.settled = Some(of.clock);
            of.settled += 1;
            self.settled += 1;
            if of.settled > SETTLED_EXCHANGES {
                self.total -= of.settled;
                self.settled -= of.settled;
                of.drop_settled();
            }
        }
        Some(about)
    }
}

impl OfConnection {
    fn drop_settled(&mut self) {
        self.exchanges
            .retain(|_, exchange| exchange.settled.is_none());
        self.settled = 0;
    }
}

fn role(frame: &MQTTFrame<'_>, asked: &[TopicFilter]) -> Role {
    let lacking = frame.missing > 0 || (frame.bytes.len() as u64) < frame.header.packet_len();
    let to_peer = |what, id: Option<u16>, otherwise, settles| Role::Answers {
        key: id.map(|id| Key {
            asked: frame.direction.reversed(),
            what,
            id,
        }),
        otherwise,
        settles,
    };
    let unknown = |qos| About {
        topic: Topicality::Unknown,
        qos,
    };
    let refused = |code: Option<u8>| code.is_some_and(|code| code >= 0x80);

    match &frame.packet {
        ControlPacket::Publish(publish) => {
            let qos = frame.header.qos();
            let about = About {
                topic: topic(frame.topic, asked),
                qos: Some(qos),
            };
            match qos {
                0 => Role::Alone(about),
                _ => Role::Asks(Request::Publish, publish.packet_id, about),
            }
        }
        ControlPacket::Puback(ack) => {
            to_peer(Request::Publish, ack.packet_id, unknown(Some(1)), true)
        }
        ControlPacket::Pubrec(ack) => to_peer(
            Request::Publish,
            ack.packet_id,
            unknown(Some(2)),
            refused(ack.code),
        ),
        ControlPacket::Pubcomp(ack) => {
            to_peer(Request::Publish, ack.packet_id, unknown(Some(2)), true)
        }
        ControlPacket::Pubrel(ack) => Role::Answers {
            key: ack.packet_id.map(|id| Key {
                asked: frame.direction,
                what: Request::Publish,
                id,
            }),
            otherwise: unknown(Some(2)),
            settles: false,
        },
        ControlPacket::Subscribe(subscribe) => Role::Asks(
            Request::Subscribe,
            subscribe.packet_id,
            About {
                topic: filters(subscribe.filters().map(|s| s.filter), asked, lacking),
                qos: None,
            },
        ),
        ControlPacket::Suback(ack) => {
            to_peer(Request::Subscribe, ack.packet_id, unknown(None), true)
        }
        ControlPacket::Unsubscribe(unsubscribe) => Role::Asks(
            Request::Unsubscribe,
            unsubscribe.packet_id,
            About {
                topic: filters(unsubscribe.filters(), asked, lacking),
                qos: None,
            },
        ),
        ControlPacket::Unsuback(ack) => {
            to_peer(Request::Unsubscribe, ack.packet_id, unknown(None), true)
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
            Role::Asks(Request::Connect, Some(0), About { topic, qos: None })
        }
        // A CONNACK without its CONNECT is not worth a question mark.
        ControlPacket::Connack(_) => to_peer(Request::Connect, Some(0), NOTHING, true),
        ControlPacket::Pingreq
        | ControlPacket::Pingresp
        | ControlPacket::Disconnect(_)
        | ControlPacket::Auth(_)
        | ControlPacket::Reserved => Role::Alone(NOTHING),
    }
}

fn topic(topic: Option<Text<'_>>, asked: &[TopicFilter]) -> Topicality {
    match topic {
        None => Topicality::Unknown,
        Some(topic) if asked.iter().any(|filter| filter.matches(topic.0)) => Topicality::Asked,
        Some(_) => Topicality::Other,
    }
}

/// The filters of a SUBSCRIBE or UNSUBSCRIBE, some of which the capture may
/// lack.
fn filters<'a>(
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
