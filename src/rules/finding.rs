//! A [`Finding`]: the result of a rule, with verdict and evidence.

use std::sync::Arc;

use crate::event::Side;
use crate::facts::Endpoint;
use crate::frame::Direction;
use crate::identity::{ConnectionId, ExchangeId};
use crate::packet::PacketRef;
use crate::time::Timestamp;

use super::clause::Clause;
use super::rule::Rule;
use super::verdict::Verdict;

/// A result of a rule on a connection. Repetitions on the same connection only add
/// to the count.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule.
    pub rule: &'static Rule,
    /// Those of the rule's clauses that apply.
    pub clauses: Vec<&'static Clause>,
    /// How sure it is.
    pub verdict: Verdict,
    /// The side that broke the rule.
    pub by: Option<Side>,
    /// Number of the TCP connection; `None` if it concerns the whole capture.
    pub connection: Option<u64>,
    /// What distinguishes that connection from all others.
    pub connection_id: Option<ConnectionId>,
    /// Identity of its session, where known and
    /// [followed](crate::facts::Needs::SESSION_UIDS).
    pub session_uid: Option<Arc<str>>,
    /// The exchange on the connection that it is about; of several, the first.
    pub exchange: Option<ExchangeId>,
    /// The client's identifier, where known.
    pub client_id: Option<Box<[u8]>>,
    /// The topic or filter, where there is one.
    pub topic: Option<Box<[u8]>>,
    /// The packets of the evidence, the offending one last, and then the
    /// offending ones of its repetitions; at most [`MOST_PACKETS`].
    pub packets: Vec<PacketRef>,
    /// How often.
    pub count: u64,
    /// When it was first found.
    pub time: Timestamp,
    /// What was expected and what was found, in one sentence.
    pub message: String,
    /// The frames around it, if requested.
    pub ladder: Vec<Rung>,
    /// It rests on which publication of this server a message was taken for.
    pub rests_on: Option<(Endpoint, u64)>,
}

/// In addition to the other rules that a finding represents.
const AND: &str = "; also ";

impl Finding {
    /// Identity of the exchange that it is about.
    pub fn exchange_uid(&self) -> Option<String> {
        Some(self.exchange?.uid(&self.connection_id?.uid()))
    }

    /// Counts a repetition, in this packet.
    pub(super) fn again(&mut self, packet: PacketRef) {
        self.count += 1;
        if self.packets.len() < MOST_PACKETS && !self.packets.contains(&packet) {
            self.packets.push(packet);
        }
    }

    /// Merges a finding of another rule, which is not reported separately.
    pub(super) fn join(&mut self, other: Self) {
        self.count += other.count;
        for packet in other.packets {
            if self.packets.len() < MOST_PACKETS && !self.packets.contains(&packet) {
                self.packets.push(packet);
            }
        }
        if other.rule.id == self.rule.id || self.message.ends_with(other.rule.id) {
            return;
        }
        let and = match self.message.contains(AND) {
            false => AND,
            true => ", ",
        };
        self.message.push_str(and);
        self.message.push_str(other.rule.id);
    }
}

/// A frame in the ladder around a finding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rung {
    /// The captured packet that completed it.
    pub packet: PacketRef,
    /// When.
    pub time: Timestamp,
    /// Direction.
    pub direction: Direction,
    /// Its fixed header's first byte.
    pub first: u8,
    /// Its Packet Identifier.
    pub packet_id: Option<u16>,
    /// Its topic, or its first filter.
    pub topic: Option<Vec<u8>>,
    /// Whether the finding is about it.
    pub marked: bool,
}

/// Packets that a finding names.
pub const MOST_PACKETS: usize = 8;
