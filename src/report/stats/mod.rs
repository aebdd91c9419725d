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

use crate::stats::{By, Table};

/// A format of `stats`.
pub struct StatsFormat {
    /// The name, as in `--format NAME`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Appends what precedes all tables.
    pub begin: fn(&StatsOptions, &mut Vec<u8>),
    /// Appends a table, whose rows are in order.
    pub put: fn(&Table, &StatsOptions, &mut Vec<u8>),
}

/// All formats; the first is the default.
pub static STATS_REPORTS: &[&StatsFormat] = &[&text::TEXT, &json::NDJSON, &csv::CSV];

/// Options of the formats.
#[derive(Clone, Debug)]
pub struct StatsOptions {
    /// Key by which messages are grouped.
    pub by: By,
    /// The name of the capture, if there are several.
    pub file: Option<String>,
    /// Tables are printed for periods.
    pub periods: bool,
}
