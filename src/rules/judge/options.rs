//! [`Options`] of checking.

use super::super::allowance::Budgets;
use super::super::rule::Rule;
use crate::facts;
use crate::limits;
use crate::select::Selection;
use std::time::Duration;

/// Options of checking.
#[derive(Clone, Debug)]
pub struct Options {
    /// The user asserts that every connection of these clients was captured, so that
    /// what one connection shows is proof for the next.
    pub complete: bool,
    /// Keep the frames around each finding.
    pub ladders: bool,
    /// Add the identity of the session to each finding.
    pub session_uids: bool,
    /// Apply only these rules; empty for all.
    pub rules: Vec<&'static Rule>,
    /// Report only findings about selected frames.
    pub selection: Selection,
    /// Budgets.
    pub budgets: Budgets,
    /// Report findings as they arise, and overdue answers at their deadline.
    pub live: bool,
    /// Time limit for answers and deliveries without a specified one.
    pub patience: Duration,
    /// Addresses of one server: the second of each pair is replaced by the first.
    pub same_server: Vec<(facts::Endpoint, facts::Endpoint)>,
    /// How many findings to keep, until they are taken; further ones are only counted.
    pub most_findings: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            complete: false,
            ladders: false,
            session_uids: false,
            rules: Vec::new(),
            selection: Selection::default(),
            budgets: Budgets::default(),
            live: false,
            patience: facts::PATIENCE,
            same_server: Vec::new(),
            most_findings: limits::FINDINGS,
        }
    }
}

impl Options {
    /// How the facts have to be gathered for it.
    pub fn facts(&self) -> facts::Options {
        facts::Options {
            complete: self.complete,
            live: self.live,
            patience: self.patience,
            same_server: self.same_server.clone(),
            ack: self.budgets.ack,
        }
    }
}
