//! The rules of MQTT that can be seen on the wire.

mod finding;
mod rule;
mod verdict;

pub use crate::analysis::Reason;
pub use finding::{Finding, MOST_PACKETS, Rung, Verdict};
pub use rule::{Binds, Check, Clause, Examples, Rule, Severity, Wrong};
pub use verdict::{Fault, Judged};

/// Every rule.
pub static RULES: &[&Rule] = &[];
