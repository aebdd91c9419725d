//! Reports of `stats`.
//!
//! ```text
//! Table ─┬─ text    aligned columns, for a reader
//!        ├─ ndjson  one object per row, for programs
//!        └─ csv     one row per row
//! ```
//!
//! A format is a file here and an entry in [`STATS_REPORTS`].

mod csv;
mod json;
mod text;

use super::{Format, Subject};
use crate::stats::Table;

/// The counts of captures: the subject of `stats`.
#[derive(Debug)]
pub enum Counts {}

impl Subject for Counts {
    type Item<'a> = StatsTable<'a>;
    type Needs = ();
}

/// Counts of a capture, or of a period of it.
#[derive(Clone, Copy, Debug)]
pub struct StatsTable<'a> {
    /// The table, with its rows in order.
    pub table: &'a Table,
    /// Name of the capture, as given.
    pub name: &'a str,
    /// It is that of a period.
    pub is_period: bool,
}

/// All formats; the first is the default.
pub static STATS_REPORTS: &[&Format<Counts>] = &[&text::TEXT, &json::NDJSON, &csv::CSV];
