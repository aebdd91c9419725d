//! The judge: applies the rules to facts, and keeps the findings.
//!
//! One judge checks one capture. Its memory is limited: repetitions of a finding on the
//! same connection only add to a count, and findings of a connection can be taken
//! when it is closed ([`Judge::take_finished`]).
//!
//! ```text
//! frame, event ─→ rules ─┬─ final ───────────────→ findings of the connection ─→ take_finished
//! deadline ──────────────┘                   └──→ once, when it arises ──────→ take_arisen
//!                  provisional ─────────────────┘
//! ```
//! Deadlines only add to `take_arisen`. Final findings are the same for the same
//! packets, whether or not ticks advanced the clock between them.

mod options;
mod runner;
mod tables;

use super::RULES;
use super::finding::Finding;
use super::rule::Rule;
use super::scope::Part;
use super::tally::Tally;
use crate::facts::{Fact, Needs, SessionFact, Sink};
use crate::time::Timestamp;

use runner::RuleRunner;

pub use options::Options;

/// Checks a capture.
#[derive(Debug)]
pub struct Judge {
    runner: RuleRunner,
}

impl Judge {
    /// A judge for a new capture.
    pub fn new(options: Options) -> Self {
        Self {
            runner: RuleRunner::new(options),
        }
    }

    /// Takes the findings on closed connections.
    pub fn take_finished(&mut self) -> Vec<Finding> {
        self.runner.kept -= self.runner.finished.len();
        std::mem::take(&mut self.runner.finished)
    }

    /// Whether there are findings to take.
    pub fn has_finished(&self) -> bool {
        !self.runner.finished.is_empty()
    }

    /// Takes findings that arose since the last call, with [`Options::live`]. Each
    /// combination of rule, verdict and side is reported once for a connection; the
    /// counts are in [`Judge::tally`].
    pub fn take_arisen(&mut self) -> Vec<Finding> {
        std::mem::take(&mut self.runner.arisen)
    }

    /// Whether any arose.
    pub fn has_arisen(&self) -> bool {
        !self.runner.arisen.is_empty()
    }

    /// How often each rule was broken up to now.
    pub fn tally(&self) -> &Tally {
        &self.runner.tally
    }

    /// The rules that were applied at least once.
    pub fn judged(&self) -> Vec<&'static Rule> {
        let rules = RULES.iter().enumerate();
        rules
            .filter(|(at, rule)| self.runner.judged.has(*at) && self.runner.wants(rule))
            .map(|(_, rule)| *rule)
            .collect()
    }

    /// What is checked is a part of a capture: whatever may depend on the rest of it is
    /// inconclusive, [`Reason::Shard`](crate::facts::Reason::Shard).
    pub fn only_part(&mut self, part: Part) {
        self.runner.part = Some(part);
    }

    /// Findings that were only counted, because there were too many.
    pub fn uncounted(&self) -> u64 {
        self.runner.more
    }

    /// Connections that carried a frame.
    pub fn connections(&self) -> u64 {
        self.runner.connections
    }
}

impl Sink for Judge {
    fn needs(&self) -> Needs {
        Needs::SESSIONS | Needs::SESSION_UIDS.when(self.runner.options.session_uids)
    }

    fn fact(&mut self, fact: Fact<'_>) {
        let Fact::Session(fact) = fact else { return };
        let runner = &mut self.runner;
        match fact {
            SessionFact::Frame(facts) => runner.frame(facts),
            SessionFact::Unfinished(facts) => runner.unfinished(facts),
            SessionFact::Overdue(facts) => runner.overdue(facts),
            SessionFact::Undelivered(facts) => runner.undelivered(facts),
            SessionFact::Missed(facts) => runner.missed(facts),
            SessionFact::StillOpen(facts) => runner.still_open(facts),
            SessionFact::Silence(facts) => runner.silence(facts),
            SessionFact::Unreadable(facts) => runner.stream(facts),
            SessionFact::Closed(connection) => runner.settle(connection.number),
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.runner.from = from;
        self.fact(fact);
    }

    fn finish(&mut self) {
        self.runner.finish();
    }
}
