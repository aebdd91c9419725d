//! Captures as tables, for SQL.
//!
//! ```text
//!         ┌ frames, exchanges, subscriptions, events   rows as facts arrive
//! Fact ─→ ┤ Sessions ─Record, Finding→                 connections, sessions, findings
//!         │ Deliveries ─Publication→                   deliveries
//!         └ Ledger ─Cost→                              overhead
//!                        │ Sheet: rows by partition
//!                        ↓
//!                      Batch ─→ parquet or ipc ─→ bytes
//! ```
//! [`Tables`] is a [`Sink`]; only what the wanted tables need is gathered. Between two
//! packets [`Tables::take`] hands over the [`Batch`]es that are full. Rows wait in memory
//! only until their batch is full, so memory does not depend on the size of a capture.
//! The columns are in [`schema`].

mod bits;
mod chunk;
mod column;
mod connections;
mod deliveries;
mod deltas;
mod encode;
mod error;
mod exchanges;
mod frames;
mod hybrid;
mod known;
mod latest;
pub mod merge;
mod overhead;
mod rows;
mod runs;
mod same;
pub mod schema;
mod sheet;
mod store;
mod subscriptions;
mod texts;
mod writer;

use std::collections::HashSet;

use crate::event::EventKind;
use crate::facts::{Fact, Needs, Sink};
use crate::rules::{self, Finding, Judge};
use crate::select::Selection;
use crate::sessions::{Deliveries, Keep, Sessions, Settled};
use crate::time::Timestamp;

use connections::Sums;
use deliveries::Publications;
use exchanges::Exchanges;
use frames::Frames;
use known::Known;
use latest::Latest;
use overhead::Overhead;
use schema::Table;
use sheet::{Sheet, To};
use subscriptions::Subscriptions;

pub use error::Error;
pub use rows::{Form, Rows, arrow_schema};
pub use sheet::{Batch, Partition, Partitioning};
pub use writer::{Stream, TableFile};

/// What to write.
#[derive(Clone, Debug)]
pub struct Options {
    /// The tables.
    pub tables: Vec<&'static Table>,
    /// What they are divided by.
    pub partitioning: Partitioning,
    /// What becomes of their rows.
    pub form: Form,
    /// Names of the capture's parts, by the index in `PacketRef::file`.
    pub files: Vec<String>,
    /// Which messages have rows. What applies to single frames and events is decided by
    /// [`Tables::select`], what applies to findings here.
    pub selection: Selection,
    /// Earlier facts ([`Sink::earlier`]) are of what is not wanted, as if it had not been
    /// selected. Otherwise an earlier run has written their rows, except for those of what
    /// it left open.
    pub is_cut: bool,
}

/// Gathers the rows of one capture.
#[derive(Debug)]
pub struct Tables {
    known: Known,
    frames: Frames,
    frame_rows: Option<Sheet>,
    event_rows: Option<Sheet>,
    exchanges: Option<(Exchanges, Sheet)>,
    subscriptions: Option<(Subscriptions, Sheet)>,
    deliveries: Option<(Deliveries, Publications, Sheet)>,
    sessions: Option<(Sessions, Records)>,
    overhead: Option<(Overhead, Sheet)>,
    /// The capture has ended, and does not go on in another file.
    finished: bool,
    is_muted: bool,
    /// Connections that were evicted since the rows of their costs were written.
    evicted: Vec<u64>,
    /// Memory is short: rows are written before their batches are full.
    is_short: bool,
    /// Connections with a selected frame that have no row yet; `None` if all are.
    selected: Option<HashSet<u64>>,
    /// The next frame or event is selected.
    is_selected: bool,
    /// Whatever is not earlier is selected, frames or not.
    selects_segments: bool,
    /// Earlier facts are not selected: [`Options::is_cut`].
    is_cut: bool,
}

/// Where records of connections and findings go.
#[derive(Debug)]
struct Records {
    connections: Option<Sheet>,
    sessions: Option<(Sums, Sheet)>,
    findings: Option<Sheet>,
    /// Packets that completed selected frames, if a display filter selects: findings are
    /// about them. `None` for all.
    matched: Option<Latest>,
}

impl Tables {
    /// Starts without rows.
    pub fn new(options: &Options) -> Self {
        let sheet = |table: &Table| {
            let wanted = options
                .tables
                .iter()
                .find(|wanted| wanted.name == table.name);
            wanted.map(|table| Sheet::new(table, options.partitioning, options.form))
        };
        let records = Records {
            connections: sheet(&schema::CONNECTIONS),
            sessions: sheet(&schema::SESSIONS).map(|sheet| (Sums::default(), sheet)),
            findings: sheet(&schema::FINDINGS),
            matched: options.selection.filter.as_ref().map(|_| Latest::default()),
        };
        let wants_records = records.connections.is_some()
            || records.sessions.is_some()
            || records.findings.is_some();
        let judge = || {
            Judge::new(rules::Options {
                session_uids: true,
                selection: options.selection.clone(),
                ..rules::Options::default()
            })
        };
        let selects_all = options.selection.is_empty();
        let keep = Keep {
            all_findings: records.findings.is_some(),
            ..Keep::default()
        };
        Self {
            known: Known::new(options.files.clone(), selects_all && !options.is_cut),
            frames: Frames::default(),
            frame_rows: sheet(&schema::FRAMES),
            event_rows: sheet(&schema::EVENTS),
            exchanges: sheet(&schema::EXCHANGES).map(|sheet| (Exchanges::default(), sheet)),
            subscriptions: sheet(&schema::SUBSCRIPTIONS)
                .map(|sheet| (Subscriptions::default(), sheet)),
            deliveries: sheet(&schema::DELIVERIES)
                .map(|sheet| (Deliveries::streaming(), Publications::default(), sheet)),
            sessions: wants_records.then(|| (Sessions::keeping(judge(), keep), records)),
            overhead: sheet(&schema::OVERHEAD).map(|sheet| (Overhead::new(), sheet)),
            finished: false,
            is_muted: false,
            evicted: Vec::new(),
            is_short: false,
            selected: (!selects_all || options.is_cut).then(HashSet::new),
            is_selected: true,
            selects_segments: selects_all && options.is_cut,
            is_cut: options.is_cut,
        }
    }

    /// Sets whether the frame or event that is taken next is selected: then it has a row,
    /// and so have its exchange, its connection and its session. Without a call, all
    /// are.
    pub fn select(&mut self, selected: bool) {
        self.is_selected = selected;
        if let Some((deliveries, ..)) = &mut self.deliveries {
            deliveries.select(selected);
        }
        if let Some((overhead, _)) = &mut self.overhead {
            overhead.ledger.select(selected);
        }
    }

    /// How the facts have to be gathered.
    pub fn facts(&self) -> crate::facts::Options {
        rules::Options::default().facts()
    }

    /// What is read are shards of a capture, without the others.
    pub fn only_part(&mut self, part: rules::Part) {
        if let Some((sessions, _)) = &mut self.sessions {
            sessions.only_part(part);
        }
    }

    /// Whether there are tables whose rows depend on all shards.
    pub fn needs_whole(&self) -> bool {
        let records = self.sessions.as_ref().map(|(_, records)| records);
        self.deliveries.is_some() || records.is_some_and(|it| it.findings.is_some())
    }

    /// Whether [records](crate::facts::record) are enough for the tables, so that those of
    /// all shards give the rows of the capture.
    pub fn takes_records(&self) -> bool {
        let of_connections = self.sessions.as_ref().is_some_and(|(_, records)| {
            records.connections.is_some() || records.sessions.is_some()
        });
        let of_packets = self.frame_rows.is_some()
            || self.event_rows.is_some()
            || self.exchanges.is_some()
            || self.subscriptions.is_some()
            || self.overhead.is_some();
        !of_connections && !of_packets
    }

    /// Writes the batches that are full.
    pub fn take(&mut self, write: &mut dyn FnMut(&mut Batch)) {
        let to = &mut To::Writer(write);
        self.add_rows(to);
        if std::mem::take(&mut self.is_short) {
            self.each(|sheet| sheet.finish(to));
        }
        self.each(|sheet| sheet.write(to));
    }

    /// Adds the rows of what is over.
    fn add_rows(&mut self, to: &mut To<'_>) {
        let known = &self.known;
        if let Some((sessions, records)) = &mut self.sessions {
            records.take(sessions, &mut self.selected, known, to);
        }
        if let Some((deliveries, rows, sheet)) = &mut self.deliveries {
            deliveries.take_settled(|settled| {
                match settled {
                    Settled::Publication(of) if !of.is_selected => {}
                    Settled::Publication(of) => rows.publication(of, known, sheet),
                    Settled::Unpublished(of) => deliveries::unpublished(of, known, sheet),
                }
                sheet.write(to);
            });
        }
        if let Some((overhead, sheet)) = &mut self.overhead {
            overhead.write(known, sheet, to);
        }
        for number in self.evicted.drain(..) {
            self.known.remove(number);
        }
    }

    /// The capture has ended: writes all rows. If it goes on in another file
    /// ([`Sink::finish`] was not called), what is open has no rows yet.
    pub fn take_rest(&mut self, write: &mut dyn FnMut(&mut Batch)) {
        self.take(write);
        let to = &mut To::Writer(write);
        if self.finished {
            self.write_open(to);
        }
        self.each(|sheet| sheet.finish(to));
    }

    /// Writes the rows of what is open.
    fn write_open(&mut self, to: &mut To<'_>) {
        let known = &self.known;
        if let Some((overhead, sheet)) = &mut self.overhead {
            overhead.finish(known, sheet, to);
        }
        if let Some((exchanges, sheet)) = &mut self.exchanges {
            exchanges.finish(known, sheet, to);
        }
        if let Some((subscriptions, sheet)) = &mut self.subscriptions {
            subscriptions.finish(known, sheet, to);
        }
        if let Some((deliveries, rows, sheet)) = &mut self.deliveries {
            for of in deliveries.take_rest().filter(|of| of.is_selected) {
                rows.publication(&of, known, sheet);
                sheet.write(to);
            }
        }
        if let Some((_, records)) = &mut self.sessions
            && let Some((sums, sheet)) = &mut records.sessions
        {
            sums.finish(known, sheet, to);
        }
    }

    fn each(&mut self, mut f: impl FnMut(&mut Sheet)) {
        let records = self.sessions.as_mut().map(|(_, records)| records);
        let (connections, sessions, findings) = match records {
            Some(records) => (
                records.connections.as_mut(),
                records.sessions.as_mut().map(|(_, sheet)| sheet),
                records.findings.as_mut(),
            ),
            None => (None, None, None),
        };
        let all = [
            self.frame_rows.as_mut(),
            self.exchanges.as_mut().map(|(_, sheet)| sheet),
            connections,
            sessions,
            self.subscriptions.as_mut().map(|(_, sheet)| sheet),
            self.deliveries.as_mut().map(|(.., sheet)| sheet),
            findings,
            self.overhead.as_mut().map(|(_, sheet)| sheet),
            self.event_rows.as_mut(),
        ];
        all.into_iter().flatten().for_each(&mut f);
    }

    fn mute(&mut self, mute: bool) {
        self.is_muted = mute;
        self.each(|sheet| sheet.mute(mute));
    }

    fn gather(&mut self, fact: Fact<'_>) {
        self.follow(&fact);
        if let Some((deliveries, ..)) = &mut self.deliveries {
            deliveries.fact(fact);
        }
        if let Some((sessions, _)) = &mut self.sessions {
            sessions.fact(fact);
        }
        if let Some((overhead, _)) = &mut self.overhead {
            overhead.ledger.fact(fact);
        }
    }

    /// A fact that is only context of later ones.
    fn gather_context(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.select(false);
        self.follow(&fact);
        if let Some((deliveries, ..)) = &mut self.deliveries {
            deliveries.fact(fact);
        }
        if let Some((sessions, _)) = &mut self.sessions {
            sessions.context(fact, from);
        }
        self.select(true);
    }

    /// What rows need to know, and rows of frames, events, exchanges and requests.
    fn follow(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Frame(fact) => {
                let frame = fact.frame;
                let stamp = self
                    .known
                    .update(frame.connection, frame.first, frame.started);
                let is_selected = self.is_selected;
                if is_selected {
                    self.select_connection(frame.connection.number);
                    if let Some((_, records)) = &mut self.sessions
                        && let Some(matched) = &mut records.matched
                    {
                        matched.add(frame.last);
                    }
                }
                let known = &self.known;
                if let Some(sheet) = self.frame_rows.as_mut().filter(|_| is_selected) {
                    self.frames.frame(fact, stamp, known, sheet);
                }
                if let Some((exchanges, sheet)) = &mut self.exchanges {
                    exchanges.frame(fact, is_selected, known, sheet);
                }
                if let Some((subscriptions, sheet)) = &mut self.subscriptions {
                    subscriptions.frame(fact, is_selected, known, sheet);
                }
            }
            Fact::Event(event) => {
                if let Some((exchanges, _)) = &mut self.exchanges
                    && matches!(event.kind, EventKind::Closed { .. })
                    && let Some(connection) = event.connection
                {
                    exchanges.closed(connection.number, &self.known);
                }
                if let Some(sheet) = self.event_rows.as_mut().filter(|_| self.is_selected) {
                    self.frames.event(event, &self.known, sheet);
                }
            }
            Fact::Segment(segment) => {
                let connection = segment.connection;
                self.known.update(connection, segment.packet, segment.time);
                if self.selects_segments && self.is_selected {
                    self.select_connection(connection.number);
                }
            }
            Fact::Ended(ended) => self.ended(ended.connection.number),
            Fact::Evicted(number) => self.evicted.push(*number),
            _ => {}
        }
    }

    /// A connection has rows.
    fn select_connection(&mut self, number: u64) {
        if let Some(selected) = &mut self.selected {
            self.known.select(number);
            selected.insert(number);
        }
    }

    fn ended(&mut self, number: u64) {
        if let Some((exchanges, sheet)) = &mut self.exchanges {
            exchanges.ended(number, &self.known, sheet);
        }
        if let Some((subscriptions, sheet)) = &mut self.subscriptions {
            subscriptions.ended(number, &self.known, sheet);
        }
    }
}

impl Records {
    fn take(
        &mut self,
        sessions: &mut Sessions,
        selected: &mut Option<HashSet<u64>>,
        known: &Known,
        to: &mut To<'_>,
    ) {
        if let Some(sheet) = &mut self.findings {
            let matched = self.matched.as_ref();
            let is_about = |found: &Finding| {
                found.packets.is_empty()
                    || matched.is_none_or(|all| found.packets.iter().any(|it| all.has(it)))
            };
            for found in sessions.take_findings().into_iter().filter(is_about) {
                frames::finding(&found, known, sheet);
                sheet.write(to);
            }
        }
        if !sessions.has_finished() {
            return;
        }
        for record in sessions.take_finished() {
            let is_selected = selected
                .as_mut()
                .is_none_or(|selected| selected.remove(&record.connection));
            if let Some(sheet) = self.connections.as_mut().filter(|_| is_selected) {
                connections::connection(&record, known, sheet);
                sheet.write(to);
            }
            if let Some((sums, sheet)) = &mut self.sessions {
                sums.add(&record, is_selected, known, sheet, to);
            }
        }
    }
}

impl Sink for Tables {
    fn needs(&self) -> Needs {
        // So that it is known which connections are over.
        let mut needs = Needs::SEGMENTS;
        if self.frame_rows.is_some() || self.exchanges.is_some() {
            needs |= Needs::EXCHANGES | Needs::SESSION_UIDS | Needs::DIGESTS | Needs::TOPICS;
        }
        if self.subscriptions.is_some() || self.event_rows.is_some() {
            needs |= Needs::EXCHANGES | Needs::SESSION_UIDS;
        }
        if let Some((deliveries, ..)) = &self.deliveries {
            needs |= deliveries.needs();
        }
        if let Some((sessions, _)) = &self.sessions {
            needs |= sessions.needs();
        }
        if let Some((overhead, _)) = &self.overhead {
            needs |= overhead.ledger.needs() | Needs::SESSION_UIDS;
        }
        needs
    }

    fn fact(&mut self, fact: Fact<'_>) {
        if self.is_muted {
            // Rows of records and messages that are over by now.
            self.take(&mut |_| {});
            self.mute(false);
        }
        self.gather(fact);
    }

    /// What came before the range of time, or in an earlier run: it has no rows.
    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        if self.is_cut {
            return self.gather_context(fact, from);
        }
        if !self.is_muted {
            self.mute(true);
        }
        self.gather(fact);
    }

    fn tick(&mut self, now: Timestamp) {
        if let Some((sessions, _)) = &mut self.sessions {
            sessions.tick(now);
        }
    }

    /// Rows of what is over are written now, although more about it may come, and all
    /// rows that wait.
    fn make_room(&mut self) -> bool {
        if self.is_muted {
            return false;
        }
        let mut any = false;
        if let Some((sessions, _)) = &mut self.sessions {
            sessions.judge_all();
        }
        if let Some((deliveries, ..)) = &mut self.deliveries {
            any |= deliveries.make_room();
        }
        if let Some((exchanges, _)) = &mut self.exchanges {
            exchanges.make_room();
        }
        let wait = &mut To::Wait;
        self.add_rows(wait);
        if let Some((_, records)) = &mut self.sessions
            && let Some((sums, sheet)) = &mut records.sessions
        {
            sums.finish(&self.known, sheet, wait);
        }
        self.is_short = true;
        self.each(|sheet| any |= !sheet.is_empty());
        any
    }

    fn finish(&mut self) {
        if self.is_muted {
            self.take(&mut |_| {});
            self.mute(false);
        }
        self.finished = true;
        if let Some((sessions, _)) = &mut self.sessions {
            sessions.finish();
        }
    }
}
