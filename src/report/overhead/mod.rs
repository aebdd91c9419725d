//! Reports of what `overhead` counted.
//!
//! ```text
//! Account ─→ trait OverheadReport ─┬─ text      for a reader: five views
//!                                  ├─ json      everything, in integers, and figures derived from it
//!                                  ├─ csv       a row for each message
//!                                  └─ csv-topics  a row for each topic, QoS and direction
//! ```
//!
//! A format is a file here and an entry in [`OVERHEAD_REPORTS`].

mod csv;
mod json;
mod text;

use crate::overhead::Figures;

/// What one capture came to.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// The capture as it was named.
    pub name: &'a str,
    /// What was counted, and what follows from it.
    pub figures: &'a Figures<'a>,
}

/// What the formats are told.
#[derive(Clone, Debug)]
pub struct OverheadOptions {
    /// More than one capture is counted.
    pub many: bool,
    /// Terminal colours.
    pub colour: bool,
    /// Columns to fill.
    pub width: usize,
    /// Show connections, and all topics.
    pub verbose: bool,
}

/// Turns accounts into bytes.
pub trait OverheadReport {
    /// Adds the account of a capture.
    fn capture(&mut self, counted: &Counted<'_>, out: &mut Vec<u8>);

    /// Everything was counted.
    fn finish(&mut self, out: &mut Vec<u8>);
}

/// A format that can be asked for.
#[derive(Debug)]
pub struct OverheadFormat {
    /// What `--format` calls it.
    pub name: &'static str,
    /// One line for the help.
    pub help: &'static str,
    /// Whether it names messages one by one.
    pub messages: bool,
    /// Begins a report.
    pub new: fn(&OverheadOptions) -> Box<dyn OverheadReport>,
}

/// All formats; the first is the default.
pub static OVERHEAD_REPORTS: &[OverheadFormat] = &[text::TEXT, json::JSON, csv::CSV, csv::TOPICS];
