//! Reports of `sessions`: one result per connection.
//!
//! ```text
//! Record ─┬─ text    a table, then what needs attention first
//!         ├─ ndjson  one object per connection, for programs
//!         ├─ csv     one row per connection
//!         └─ html    a page of its own, to send to somebody
//! Ladder ─── ladder  control packets as arrows between columns
//! ```
//! Like all reports they turn values into bytes and decide nothing. The records come in
//! the order of their numbers.

mod csv;
mod html;
mod json;
mod ladder;
mod text;

use jiff::tz::TimeZone;

use super::escape::{Within, escaped};
use crate::sessions::{Deliveries, Record};

pub use html::{Page, put_html};
pub use ladder::{LadderStyle, put_ladder};

/// What the formats are told.
#[derive(Clone, Debug)]
pub struct SessionsOptions {
    /// Columns of the terminal, if the output is one.
    pub width: Option<usize>,
    /// Terminal colours.
    pub colour: bool,
    /// Where "local time" is.
    pub zone: TimeZone,
    /// By what the table is ordered.
    pub sort: Sort,
    /// Rows of the table and of each list; all, if `None`.
    pub limit: Option<usize>,
    /// Name of the capture, if there are several.
    pub file: Option<String>,
    /// Records that were evicted before they could be reported.
    pub evicted: u64,
}

/// By what the table is ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Sort {
    /// Number of the connection.
    #[default]
    Connection,
    /// Client identifier.
    Client,
    /// How long it was open, longest first.
    Duration,
    /// Messages, most first.
    Messages,
    /// Bytes, most first.
    Bytes,
    /// Time from CONNECT to CONNACK, longest first.
    Latency,
    /// Cause of the end, those that need attention first.
    Cause,
}

/// A format that can be asked for by name.
pub struct SessionsFormat {
    /// The name, as in `--format NAME`.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Appends the report of one capture.
    pub put: fn(&[Record], &SessionsOptions, &mut Vec<u8>),
    /// Appends what became of the messages of one capture; `None` if the format cannot.
    pub put_deliveries: Option<PutDeliveries>,
    /// What comes before the first capture.
    pub begin: fn(&mut Vec<u8>),
}

/// Appends what became of messages.
pub type PutDeliveries = fn(&Deliveries, &SessionsOptions, &mut Vec<u8>);

/// All formats; the first is the default.
pub static SESSIONS_REPORTS: &[&SessionsFormat] = &[&text::TEXT, &json::NDJSON, &csv::CSV];

/// Bytes of the wire as text that no terminal obeys.
fn visible(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    escaped(bytes, Within::Cell, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The records in an order.
fn sorted(records: &[Record], sort: Sort) -> Vec<&Record> {
    let mut all: Vec<&Record> = records.iter().collect();
    match sort {
        Sort::Connection => {}
        Sort::Client => all.sort_by(|a, b| a.client_id.cmp(&b.client_id)),
        Sort::Duration => all.sort_by_key(|r| std::cmp::Reverse(r.seen.1.since(r.seen.0))),
        Sort::Messages => all.sort_by_key(|r| std::cmp::Reverse(r.message_count())),
        Sort::Bytes => all.sort_by_key(|r| std::cmp::Reverse(r.bytes.up + r.bytes.down)),
        Sort::Latency => all.sort_by_key(|r| std::cmp::Reverse(r.latency.connect)),
        Sort::Cause => all.sort_by_key(|r| (!r.close.is_abnormal(), r.close.cause)),
    }
    all
}
