//! Results of a first reading for a second one: how exchanges ended, and which
//! findings packets have.

use std::collections::HashMap;
use std::time::Duration;

use crate::facts::{Fact, Needs, Role, Sink};
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// What a reading of a capture found out about packets that came before. It is a
/// sink of that reading; a [`Selector`](super::Selector) of the next uses it.
#[derive(Clone, Debug, Default)]
pub struct Foresight {
    known: bool,
    /// Duration of completed exchanges, by number.
    completed: HashMap<u64, Duration>,
    findings: HashMap<PacketRef, Vec<&'static str>>,
}

impl Foresight {
    /// Whether there was a first reading.
    pub fn is_known(&self) -> bool {
        self.known
    }

    /// Adds a finding about packets.
    pub fn found(&mut self, rule: &'static str, packets: &[PacketRef]) {
        for packet in packets {
            let rules = self.findings.entry(*packet).or_default();
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }

    pub(super) fn completed(&self, exchange: u64) -> Option<Duration> {
        self.completed.get(&exchange).copied()
    }

    pub(super) fn findings(&self, packet: PacketRef) -> &[&'static str] {
        self.findings.get(&packet).map_or(&[], Vec::as_slice)
    }
}

impl Sink for Foresight {
    fn needs(&self) -> Needs {
        Needs::EXCHANGES
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.known = true;
        if let Fact::Frame(fact) = fact
            && let Some(exchange) = fact.exchange
            && exchange.role == Role::Completes
            && let Some(first) = exchange.first
            && let Some(latency) = exchange.since_first(fact.frame)
        {
            self.completed.insert(first.number, latency);
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, _: Timestamp) {
        self.fact(fact);
    }
}
