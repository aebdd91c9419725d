//! Counts of broken rules for summaries and metrics, independent of which findings are
//! kept. Its size depends on the number of rules, not on the length of the capture.

use crate::event::Side;

use super::finding::Finding;
use super::rule::Rule;
use super::verdict::Verdict;

/// Counts by rule, verdict and side.
#[derive(Clone, Debug, Default)]
pub struct Tally(Vec<Counted>);

/// How often one rule was broken by one side, with one verdict.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// The rule.
    pub rule: &'static Rule,
    /// How sure.
    pub verdict: Verdict,
    /// The side.
    pub by: Option<Side>,
    /// On how many connections.
    pub connections: u64,
    /// How often in all.
    pub times: u64,
}

impl Tally {
    /// Counts one more, which may be the first of its connection.
    pub(super) fn add(
        &mut self,
        rule: &'static Rule,
        verdict: Verdict,
        by: Option<Side>,
        first: bool,
    ) {
        let same = |counted: &&mut Counted| {
            std::ptr::eq(counted.rule, rule) && counted.verdict == verdict && counted.by == by
        };
        match self.0.iter_mut().find(same) {
            Some(counted) => {
                counted.connections += u64::from(first);
                counted.times += 1;
            }
            None => self.0.push(Counted {
                rule,
                verdict,
                by,
                connections: 1,
                times: 1,
            }),
        }
    }

    /// A finding of the first verdict has become one of the second.
    pub(super) fn revise(&mut self, before: Verdict, finding: &Finding) {
        let (rule, by) = (finding.rule, finding.by);
        let same = |counted: &&mut Counted| {
            std::ptr::eq(counted.rule, rule) && counted.verdict == before && counted.by == by
        };
        if let Some(counted) = self.0.iter_mut().find(same) {
            counted.connections = counted.connections.saturating_sub(1);
            counted.times = counted.times.saturating_sub(finding.count);
        }
        self.0.retain(|counted| counted.times > 0);
        for time in 0..finding.count {
            self.add(rule, finding.verdict, by, time == 0);
        }
    }

    /// All counts, in the order in which they first arose.
    pub fn iter(&self) -> impl Iterator<Item = &Counted> {
        self.0.iter()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
