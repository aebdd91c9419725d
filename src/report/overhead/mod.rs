//! Reports of `overhead`.
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

/// The result of one capture.
#[derive(Clone, Copy, Debug)]
pub struct Counted<'a> {
    /// Name of the capture, as given.
    pub name: &'a str,
    /// Only some connections are wanted.
    pub selecting: bool,
    /// The account, and figures derived from it.
    pub figures: &'a Figures<'a>,
}

/// An interval of capture time that has passed.
#[derive(Clone, Copy, Debug)]
pub struct Passed<'a> {
    /// Name of the capture, as given.
    pub name: &'a str,
    /// Start.
    pub from: Timestamp,
    /// End.
    pub to: Timestamp,
    /// Bytes of the interval.
    pub totals: &'a Totals,
    /// Control packets of the interval.
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

/// Results of accounting for captures.
#[derive(Clone, Copy, Debug)]
pub enum OverheadItem<'a> {
    /// Bytes since the previous interval, of a capture that is still growing.
    Interval(Passed<'a>),
    /// The account of a capture.
    Capture(Counted<'a>),
}

/// What a format of accounts needs from the command.
#[derive(Clone, Copy, Debug)]
pub struct OverheadNeeds {
    /// Whether it prints individual messages.
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
