//! Reports of what `overhead` counted.
//!
//! ```text
//! Account ─┬─ text        for a reader: the answer, with -v all views
//!          ├─ json        everything, in integers, and figures derived from it
//!          ├─ ndjson      a line for each interval, then one for the whole
//!          ├─ csv         a row for each message
//!          └─ csv-topics  a row for each topic, QoS and direction
//! ```
//!
//! A format is a file here and an entry in [`OVERHEAD_REPORTS`].

mod csv;
mod json;
mod text;

use super::{Format, Subject};
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

/// An interval of capture time that has passed.
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

/// The accounts of captures: the subject of `overhead`.
#[derive(Debug)]
pub enum Overhead {}

impl Subject for Overhead {
    type Item<'a> = OverheadItem<'a>;
    type Needs = OverheadNeeds;
}

/// What accounting for captures gives.
#[derive(Clone, Copy, Debug)]
pub enum OverheadItem<'a> {
    /// So far: what has come since the interval before, of a capture that goes
    /// on.
    Interval(Passed<'a>),
    /// The account of a capture.
    Capture(Counted<'a>),
}

/// What a format of accounts asks of the command.
#[derive(Clone, Copy, Debug)]
pub struct OverheadNeeds {
    /// Whether it names messages one by one.
    pub messages: bool,
}

/// All formats; the first is the default.
pub static OVERHEAD_REPORTS: &[&Format<Overhead>] = &[
    &text::TEXT,
    &json::JSON,
    &json::NDJSON,
    &csv::CSV,
    &csv::TOPICS,
];
