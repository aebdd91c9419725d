//! Which findings are reported: not those of rules that are allowed, and not
//! those of a baseline.

use crate::limits;

use super::{Baseline, Finding, Rule};

/// Filters findings, and records them for a new baseline.
#[derive(Debug, Default)]
pub struct FindingFilter {
    /// Rules whose findings are not reported.
    allow: Vec<&'static Rule>,
    /// Known findings.
    known: Baseline,
    /// Known findings that occurred.
    met: Baseline,
    /// All findings, for a new baseline.
    pub record: Option<Baseline>,
    /// Findings beyond the limit of the new baseline.
    pub unrecorded: u64,
}

impl FindingFilter {
    /// Findings of the rules `allow`, and those of the baseline `known`, are not
    /// reported.
    pub fn new(allow: Vec<&'static Rule>, known: Baseline) -> Self {
        Self {
            allow,
            known,
            ..Self::default()
        }
    }

    /// Whether a finding is reported.
    pub fn passes(&mut self, finding: &Finding) -> bool {
        let allowed = self
            .allow
            .iter()
            .any(|rule| std::ptr::eq(*rule, finding.rule));
        let known = self.known.contains(finding);
        if known {
            self.met.insert(finding);
        }
        if let Some(record) = self.record.as_mut().filter(|_| !allowed) {
            match record.len() < limits::FINDINGS || record.contains(finding) {
                true => record.insert(finding),
                false => self.unrecorded += 1,
            }
        }
        !(allowed || known)
    }

    /// Number of known findings that did not occur.
    pub fn gone(&self) -> usize {
        self.known.len() - self.met.len()
    }
}
