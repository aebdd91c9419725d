//! The rules of MQTT that are visible on the wire, and the judge that applies them.
//!
//! In: facts ([`crate::facts::Fact`]). Out: [`Finding`]s.
//!
//! A rule is one documented static and, unless it only maps a defect of the decoder,
//! one small function that reads facts and returns nothing or a [`Fault`] with its
//! verdict. A rule is stateless, and independent of captured packets and other rules.
//!
//! ```text
//! facts ─→ Judge ─→ rule, rule, rule ─→ Finding
//! ```
//!
//! # Adding a rule
//!
//! Copy a rule of the same file and change what it requires, why it matters, who has
//! to obey it, its clauses, three conversations (good, bad, cut), and the function. Add
//! it to the list at the top of the file. `cargo test rules` runs the conversations and
//! checks the catalogue for gaps; `BLESS=1 cargo test catalogue` writes the pages in
//! `docs/rules`.

mod allowance;
mod auth;
mod baseline;
mod budget;
mod clause;
mod close;
mod connect;
mod costs;
mod delivery;
mod encrypted;
mod excuse;
mod fail_on;
mod filter;
mod finding;
mod fingerprint;
mod format;
mod judge;
mod keep_alive;
mod limits;
mod packet;
pub mod page;
mod qos;
mod rule;
mod scope;
mod security;
mod subscribe;
mod tally;
pub mod unchecked;
mod verdict;
mod websocket;

use std::sync::LazyLock;

pub use crate::facts::{GivenUp, Reason};
pub use allowance::{Budgets, SizeBudget};
pub use baseline::Baseline;
pub use clause::{About, Case, Clause};
pub use costs::expensive;
pub use fail_on::{FailLevel, FailOn, FailOnError};
pub use filter::FindingFilter;
pub use finding::{Finding, MOST_PACKETS, Rung};
pub use fingerprint::fingerprint;
pub use judge::{Judge, Options};
pub use rule::{Binds, Check, Examples, Rule, Severity, Wrong};
pub use scope::{Part, Scope};
pub use tally::{Counted, Tally};
pub use verdict::{Fault, Judged, Verdict};

/// The chapters, in the order of the catalogue.
static CHAPTERS: &[&[&Rule]] = &[
    format::RULES,
    packet::RULES,
    connect::RULES,
    limits::RULES,
    qos::RULES,
    subscribe::RULES,
    keep_alive::RULES,
    close::RULES,
    auth::RULES,
    delivery::RULES,
    websocket::RULES,
    encrypted::RULES,
    security::RULES,
    budget::RULES,
];

/// Every rule.
pub static RULES: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| CHAPTERS.concat());

/// The rule of that id.
pub fn find(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id).copied()
}
