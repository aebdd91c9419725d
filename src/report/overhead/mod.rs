//! Reports of what `overhead` counted.
//!
//! ```text
//! Account ─→ trait OverheadReport ─┬─ text      for a reader: five views
//!                                  ├─ json      everything, in integers, and figures derived from it
//!                                  ├─ ndjson    a line for each interval, then one for the whole
//!                                  ├─ csv       a row for each message
//!                                  └─ csv-topics  a row for each topic, QoS and direction
//! ```
//!
//! A format is a file here and an entry in [`OVERHEAD_REPORTS`].

mod csv;
mod json;
mod text;

use jiff::tz::TimeZone;

use crate::overhead::{Figures, Totals};
use crate::time::Timestamp;

/// What one capture came to.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// The capture as it was named.
    pub name: &'a str,
    /// What was counted, and what follows from it.
    pub figures: &'a Figures<'a>,
}

/// A stretch of capture time that has passed.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// The capture as it was named.
    pub name: &'a str,
    /// When it began.
    pub from: Timestamp,
    /// When it ended.
    pub to: Timestamp,
    /// What has come in it.
    pub totals: &'a Totals,
    /// Control packets that have.
    pub control_packets: u64,
}

impl Passed<'_> {
    fn seconds(&self) -> f64 {
        self.to.since(self.from).as_secs_f64()
    }
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
    /// Where "local time" is.
    pub zone: TimeZone,
}

/// Turns accounts into bytes.
pub trait OverheadReport {
    /// Adds the account of a capture.
    fn capture(&mut self, counted: &Counted<'_>, out: &mut Vec<u8>);

    /// So far: what has come since the interval before, of a capture that goes
    /// on.
    fn interval(&mut self, _passed: &Passed<'_>, _out: &mut Vec<u8>) {}

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
pub static OVERHEAD_REPORTS: &[OverheadFormat] =
    &[text::TEXT, json::JSON, json::NDJSON, csv::CSV, csv::TOPICS];
