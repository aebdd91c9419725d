//! One connection, as it is reported.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::frame::{PerDirection, Transport};
use crate::mqtt::{Version, topic};
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::rules::Finding;
use crate::time::Timestamp;

use super::cause::Close;
use super::ladder::{Ladder, Participant, Rung};
use super::latency::Latency;
use super::stall::Stall;

/// A connection from its first packet to its last.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its number, as in frames.
    pub connection: u64,
    /// Community ID and time of the SYN, or of the first packet: the same in every
    /// run.
    pub uid: Arc<str>,
    /// [Identity](crate::identity::session_uid) of its session, where known.
    pub session_uid: Option<Arc<str>>,
    /// Its first captured packet.
    pub first: PacketRef,
    /// Client Identifier.
    pub client_id: Option<Box<[u8]>>,
    /// User name of the CONNECT.
    pub username: Option<Box<[u8]>>,
    /// Version of MQTT, and whether no CONNECT shows it.
    pub version: Option<Version>,
    /// Whether the version is inferred.
    pub version_assumed: bool,
    /// The layers that carry MQTT.
    pub transport: Transport,
    /// The client.
    pub client: Endpoint,
    /// The server.
    pub server: Endpoint,
    /// Time of the SYN, if the capture has it.
    pub opened: Option<Timestamp>,
    /// Time of the first packet that closed it, if the capture has one.
    pub closed: Option<Timestamp>,
    /// Times of its first and last captured packet.
    pub captured: (Timestamp, Timestamp),
    /// Clean Start, or Clean Session before 5.0.
    pub clean_start: Option<bool>,
    /// Session Present of the CONNACK.
    pub session_present: Option<bool>,
    /// Effective Keep Alive in seconds.
    pub keep_alive: Option<u16>,
    /// Effective Session Expiry Interval in seconds (5.0).
    pub session_expiry: Option<u32>,
    /// The will of the CONNECT.
    pub will: Option<Will>,
    /// PUBLISH packets by QoS; those of QoS 3, which does not exist, count as well.
    pub messages: PerDirection<[u64; 4]>,
    /// Bytes of MQTT control packets.
    pub bytes: PerDirection<u64>,
    /// Control packets.
    pub frames: PerDirection<u64>,
    /// Topic Filters of its SUBSCRIBE packets.
    pub subscriptions: Vec<Subscription>,
    /// Violations that `check` finds on it.
    pub violations: u64,
    /// Warnings.
    pub warnings: u64,
    /// Who closed it, and why.
    pub close: Close,
    /// How long answers took.
    pub latency: Latency,
    /// The longest silence after which bytes went on: every device on the path
    /// kept the connection through it.
    pub longest_idle: Duration,
    /// Gaps between a request and its answer that TCP explains.
    pub stalls: Vec<Stall>,
    /// Its last control packets, gaps and end, if requested.
    pub last: VecDeque<Rung>,
    /// Findings of `check` on it, if requested.
    pub findings: Vec<Finding>,
    /// Items of it that were evicted because a limit was reached.
    pub evicted: u64,
}

impl Record {
    /// From the SYN to the packet that closed it.
    pub fn duration(&self) -> Option<Duration> {
        Some(self.closed?.since(self.opened?))
    }

    /// Its last control packets as a ladder.
    pub fn ladder(&self) -> Ladder {
        let participant = Participant {
            connection: self.connection,
            client: self.client,
            server: self.server,
            client_id: self.client_id.clone(),
            publishes: true,
        };
        Ladder::of_one(participant, self.last.iter().cloned().collect())
    }

    /// Messages in both directions.
    pub fn message_count(&self) -> u64 {
        self.messages.iter().flatten().sum()
    }
}

/// A will.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Will Topic.
    pub topic: Box<[u8]>,
    /// Will QoS.
    pub qos: u8,
    /// Will Retain.
    pub retain: bool,
    /// Its outcome.
    pub state: WillState,
}

/// Outcome of a will.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WillState {
    /// The server delivered it, in this packet.
    Published(PacketRef),
    /// The server owes it, and the capture has no delivery.
    Owed,
    /// The client has withdrawn it with DISCONNECT, or was never accepted.
    NotOwed,
    /// How the connection ended is not known.
    CannotTell,
}

/// A Topic Filter of a SUBSCRIBE.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscription {
    /// The filter as on the wire.
    pub filter: Box<[u8]>,
    /// QoS granted by SUBACK; requested, while there is no SUBACK.
    pub qos: u8,
    /// SUBACK refused it.
    pub refused: bool,
    /// Deliveries that it explains, alone or with other filters.
    pub matched: u64,
}

impl Subscription {
    /// The share name, if it is a shared subscription.
    pub fn share(&self) -> Option<&[u8]> {
        topic::shared(&self.filter).map(|(name, _)| name)
    }
}
