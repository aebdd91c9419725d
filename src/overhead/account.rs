//! The account: the results of [`Ledger`](super::Ledger), in integers.

use std::collections::BTreeMap;

use super::cause::Causes;
use super::compress::Samples;
use super::distribution::Distribution;
use super::layer::Layers;
use super::level::{Level, Measures};
use super::message::{GroupKey, Ladder, Message};
use super::share::Share;
use super::term::Terms;
use super::traffic::Traffic;
use super::wake::Wakes;
use crate::frame::PerDirection;
use crate::identity::ConnectionId;
use crate::limits;
use crate::mqtt::Version;
use crate::net::Endpoint;
use crate::time::Timestamp;

/// Where every byte of a capture went.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// The level at which bytes are counted.
    pub level: Level,
    /// How headers of shared frames were divided.
    pub share: Share,
    /// All captured frames.
    pub all: Measures,
    /// Frames of anything but MQTT connections, duplicates included.
    pub foreign: Measures,
    /// Duplicates of packets of MQTT connections: mirror ports show them, no link
    /// carried them.
    pub copies: Measures,
    /// Bytes of MQTT connections by layer.
    pub layers: Layers,
    /// Bytes of MQTT connections by cause.
    pub causes: Causes,
    /// MQTT connections, in order of their first packets: at most
    /// [`crate::limits::ACCOUNTED_CONNECTIONS`].
    pub connections: Vec<ConnectionAccount>,
    /// MQTT connections, all of them.
    pub connection_count: u64,
    /// Topics, by the numbers that messages and groups name them by.
    pub topics: Vec<Topic>,
    /// Messages alike in topic, QoS and direction.
    pub groups: BTreeMap<GroupKey, Group>,
    /// Messages of each client.
    pub clients: BTreeMap<Box<[u8]>, Costs>,
    /// Sums by what they scale with.
    pub terms: Terms,
    /// Models of the connections, for what-ifs.
    pub shape: Traffic,
    /// Bursts of packets, per connection.
    pub wakes: Wakes,
    /// Acknowledgements without an open exchange, all connections.
    pub orphans: u64,
    /// Messages that were not kept individually.
    pub messages_omitted: u64,
    /// Time of the first and the last packet.
    pub span: Option<(Timestamp, Timestamp)>,
    /// The frames of some messages, one by one.
    pub ladders: Vec<Ladder>,
    /// Bytes by which frames are shorter than Ethernet's shortest.
    pub short: u64,
    /// Limitations of the numbers.
    pub doubts: Doubts,
}

/// A topic.
#[derive(Clone, Debug, Default)]
pub struct Topic {
    /// Its name; empty for messages whose topic is unknown, and for those beyond
    /// [`crate::limits::ACCOUNTED_TOPICS`].
    pub name: Box<[u8]>,
    /// Some of its payloads.
    pub samples: Samples,
}

/// Limitations of the numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubts {
    /// Frames that the snap length cut.
    pub cut: u64,
    /// Segments longer than the peer's MSS allows: captured above segmentation
    /// offload.
    pub offloaded: u64,
    /// Additional frames that those would have been on the link.
    pub offload_frames: u64,
    /// MQTT connections with one direction only.
    pub one_sided: u64,
    /// MQTT connections that began before the capture.
    pub joined: u64,
    /// Bytes that could not be read as MQTT.
    pub unparsed: u64,
    /// Bytes retransmitted so late that their label is no longer kept.
    pub unlabelled: u64,
}

impl Doubts {
    pub(super) fn add_connection(&mut self, other: &Self) {
        self.offloaded += other.offloaded;
        self.offload_frames += other.offload_frames;
        self.one_sided += other.one_sided;
        self.joined += other.joined;
        self.unparsed += other.unparsed;
        self.unlabelled += other.unlabelled;
    }
}

/// Cost of one MQTT connection.
#[derive(Clone, Debug)]
pub struct ConnectionAccount {
    /// Number among all TCP connections, from 1.
    pub number: u64,
    /// What distinguishes it from all others.
    pub id: Option<ConnectionId>,
    /// The client's end.
    pub client: Endpoint,
    /// The server's end.
    pub server: Endpoint,
    /// Client Identifier, if known.
    pub client_id: Option<Box<[u8]>>,
    /// Version, if known.
    pub version: Option<Version>,
    /// Frames, up and down.
    pub frames: PerDirection<u64>,
    /// Bytes, up and down.
    pub bytes: PerDirection<Measures>,
    /// Bytes by layer.
    pub layers: Layers,
    /// Bytes by cause.
    pub causes: Causes,
    /// Bytes that no message owns.
    pub fixed: u64,
    /// Messages.
    pub message_count: u64,
    /// Acknowledgements without an open exchange: the session began on another
    /// connection.
    pub orphans: u64,
    /// The messages, if they are kept.
    pub messages: Vec<Message>,
}

/// Messages that are counted together.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Their cost.
    pub costs: Costs,
    /// Number with a Topic Alias in place of the topic.
    pub by_alias: u64,
}

/// Cost of a group of messages, at the level of the account.
#[derive(Clone, Debug, Default)]
pub struct Costs {
    /// Bytes of payload, where known.
    pub payload: u64,
    /// Bytes that the messages own, up and down.
    pub bytes: PerDirection<u64>,
    /// Bytes of their PUBLISH packets.
    pub packets: u64,
    /// Bytes that each owns.
    pub marginal: Distribution,
    /// The same with the share of their connection's fixed bytes; quantiles to
    /// the byte.
    pub loaded: Distribution,
}

/// Sums over messages.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Charged {
    /// Bytes of payload, where known.
    pub(super) payload: u64,
    /// Bytes that the messages own, up and down.
    pub(super) bytes: PerDirection<u64>,
    /// Bytes of their PUBLISH packets.
    pub(super) packets: u64,
    /// How many have a Topic Alias in place of the topic.
    pub(super) by_alias: u64,
}

impl Charged {
    pub(super) fn add(&mut self, other: &Self) {
        self.payload += other.payload;
        self.bytes.up += other.bytes.up;
        self.bytes.down += other.bytes.down;
        self.packets += other.packets;
        self.by_alias += other.by_alias;
    }
}

impl Group {
    /// Adds sums over messages.
    pub(super) fn charge(&mut self, sums: &Charged) {
        self.costs.charge(sums);
        self.by_alias += sums.by_alias;
    }
}

impl Costs {
    /// Adds the costs of other messages.
    pub fn merge(&mut self, other: &Self) {
        self.payload += other.payload;
        self.bytes.up += other.bytes.up;
        self.bytes.down += other.bytes.down;
        self.packets += other.packets;
        self.marginal.merge_shifted(&other.marginal, 0);
        self.loaded.merge_shifted(&other.loaded, 0);
    }

    /// Adds sums over messages, whose costs are added by the following.
    pub(super) fn charge(&mut self, sums: &Charged) {
        self.payload += sums.payload;
        self.bytes.up += sums.bytes.up;
        self.bytes.down += sums.bytes.down;
        self.packets += sums.packets;
    }

    /// Adds the costs of messages of one connection; each gets `share` of the
    /// connection's fixed bytes.
    pub(super) fn load(&mut self, marginal: &Distribution, share: u64) {
        self.marginal.merge_shifted(marginal, 0);
        self.loaded.merge_shifted(marginal, share);
    }

    /// The same for `n` messages that cost about `marginal` each, and `sum` together.
    pub(super) fn load_run(&mut self, marginal: u64, n: u64, sum: u64, share: u64) {
        self.marginal.add_run(marginal, n, sum);
        self.loaded.add_run(marginal + share, n, sum + n * share);
    }

    /// How many messages.
    pub fn n(&self) -> u64 {
        self.marginal.n
    }
}

impl Account {
    /// The messages of a client; those of further clients are counted as one's.
    pub(super) fn client(&mut self, id: Box<[u8]>) -> &mut Costs {
        let has_room = self.clients.len() < limits::ACCOUNTED_CONNECTIONS;
        let id = match has_room || self.clients.contains_key(&id) {
            true => id,
            false => Box::default(),
        };
        self.clients.entry(id).or_default()
    }

    /// All bytes that count: of MQTT connections and of others.
    pub fn bytes(&self) -> u64 {
        self.mqtt_bytes() + self.level.of(&self.foreign)
    }

    /// Bytes of MQTT connections.
    pub fn mqtt_bytes(&self) -> u64 {
        self.causes.total()
    }

    /// Bytes of payload in first copies.
    pub fn payload(&self) -> u64 {
        self.groups.values().map(|group| group.costs.payload).sum()
    }

    /// Messages of a QoS.
    pub fn of_qos(&self, qos: u8) -> Costs {
        let mut costs = Costs::default();
        for (_, group) in self.groups.iter().filter(|(key, _)| key.qos == qos) {
            costs.merge(&group.costs);
        }
        costs
    }

    /// How many messages.
    pub fn message_count(&self) -> u64 {
        self.groups.values().map(|group| group.costs.n()).sum()
    }

    /// Seconds from the first packet to the last.
    pub fn seconds(&self) -> f64 {
        self.span
            .map_or(0.0, |(first, last)| last.since(first).as_secs_f64())
    }
}
