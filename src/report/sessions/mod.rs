//! Reports of `sessions`: one result per connection.
//!
//! ```text
//! Record ─┬─ text    a table, then the connections that need attention
//!         ├─ ndjson  one object per connection, for programs
//!         ├─ csv     one row per connection
//!         └─ html    a self-contained page, to send to a colleague
//! Ladder ─── ladder  control packets as arrows between columns
//! ```
//! Like all reports they turn values into bytes and decide nothing. The records come in
//! the order of their numbers.

mod csv;
mod details;
mod html;
mod json;
mod ladder;
mod layout;
mod text;
mod topic_tree;

use super::escape::{Within, escaped};
use super::{Format, Subject};
use crate::sessions::{Deliveries, Record, Topics};

pub use html::{Page, put_html};
pub use ladder::{LadderStyle, put_ladder};

/// The connections of captures: the subject of `sessions`.
#[derive(Debug)]
pub enum Connections {}

impl Subject for Connections {
    type Item<'a> = ConnectionsItem<'a>;
    type Needs = ConnectionsNeeds;
}

/// The results of following connections.
#[derive(Clone, Copy, Debug)]
pub enum ConnectionsItem<'a> {
    /// The connections of a capture.
    Capture(Followed<'a>),
    /// A connection that has closed, of a capture that goes on.
    Closed(&'a str, &'a Record),
    /// The outcomes of the messages of a capture.
    Deliveries(Carried<'a>),
}

/// The data that a format of connections needs.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionsNeeds {
    /// Whether it can report [`ConnectionsItem::Deliveries`].
    pub deliveries: bool,
}

/// The connections of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Followed<'a> {
    /// The capture as it was named.
    pub name: &'a str,
    /// Its connections, in the order of their numbers.
    pub records: &'a [Box<Record>],
    /// Their topics.
    pub topics: &'a Topics,
    /// Records that were evicted before they could be reported.
    pub evicted: u64,
    /// Sort key of the table.
    pub sort: Sort,
    /// How ladders of the last packets are drawn.
    pub ladder: LadderStyle,
    /// Rows of the table and of each list; all, if `None`.
    pub limit: Option<usize>,
    /// Only some connections are wanted.
    pub selecting: bool,
}

/// The messages of a capture.
#[derive(Clone, Copy, Debug)]
pub struct Carried<'a> {
    /// The capture as it was named.
    pub name: &'a str,
    /// Their outcomes.
    pub deliveries: &'a Deliveries,
    /// Rows of each list; all, if `None`.
    pub limit: Option<usize>,
}

/// Sort key of the table.
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

/// All formats; the first is the default.
pub static SESSIONS_REPORTS: &[&Format<Connections>] = &[&text::TEXT, &json::NDJSON, &csv::CSV];

/// Bytes of the wire as text that no terminal obeys.
fn visible(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    escaped(bytes, Within::Cell, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// The records in an order.
fn sorted(records: &[Box<Record>], sort: Sort) -> Vec<&Record> {
    let mut all: Vec<&Record> = records.iter().map(Box::as_ref).collect();
    match sort {
        Sort::Connection => {}
        Sort::Client => all.sort_by(|a, b| a.client_id.cmp(&b.client_id)),
        Sort::Duration => all.sort_by_key(|r| std::cmp::Reverse(r.captured.1.since(r.captured.0))),
        Sort::Messages => all.sort_by_key(|r| std::cmp::Reverse(r.message_count())),
        Sort::Bytes => all.sort_by_key(|r| std::cmp::Reverse(r.bytes.up + r.bytes.down)),
        Sort::Latency => all.sort_by_key(|r| std::cmp::Reverse(r.latency.connect)),
        Sort::Cause => all.sort_by_key(|r| (!r.close.is_abnormal(), r.close.cause)),
    }
    all
}
