//! [`Sheet`]: the rows of a table, by partition.

use std::collections::BTreeMap;

use super::rows::{Form, Rows};
use super::schema::Table;
use crate::net::Endpoint;
use crate::time::Timestamp;

/// What tables are divided by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Partitioning {
    /// The hour, UTC.
    pub hour: bool,
    /// The server.
    pub server: bool,
}

/// A part of a table.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Partition {
    /// Hours since 1970, UTC, if tables are divided by hour.
    pub hour: Option<i64>,
    /// The server, if tables are divided by server; of what concerns no server, `None`.
    pub server: Option<Option<Endpoint>>,
}

/// Rows of a table that go to one file.
#[derive(Debug)]
pub struct Batch {
    /// The part of the table.
    pub partition: Partition,
    /// The rows.
    pub rows: Rows,
}

impl Batch {
    /// The table.
    pub const fn table(&self) -> &'static Table {
        self.rows.table()
    }
}

/// Where batches that are ready go.
pub(super) enum To<'a> {
    /// To this writer.
    Writer(&'a mut dyn FnMut(&mut Batch)),
    /// Nowhere yet: they wait for one.
    Wait,
}

/// Memory of the rows of a table that wait, except for the latest part: of all nine tables
/// an eighth of what there is by default.
const WAITING: usize = 4 << 20;

/// The rows of a table that wait to be written.
#[derive(Debug)]
pub(super) struct Sheet {
    table: &'static Table,
    form: Form,
    by: Partitioning,
    latest: (Partition, Rows),
    others: BTreeMap<Partition, Rows>,
    /// Memory of the others.
    waiting: usize,
    ready: Vec<Batch>,
    /// Empty, with memory for the next.
    spare: Option<Rows>,
    /// Rows are dropped: an earlier run has written them.
    is_muted: bool,
    dropped: Rows,
}

impl Sheet {
    pub(super) fn new(table: &'static Table, by: Partitioning, form: Form) -> Self {
        Self {
            table,
            form,
            by,
            latest: (Partition::default(), Rows::new(table, form)),
            others: BTreeMap::new(),
            waiting: 0,
            ready: Vec::new(),
            spare: None,
            is_muted: false,
            dropped: Rows::new(table, form),
        }
    }

    /// Sets whether rows are dropped.
    pub(super) fn mute(&mut self, mute: bool) {
        self.is_muted = mute;
    }

    /// Where a row of this time and server goes.
    #[inline]
    pub(super) fn row(&mut self, time: Timestamp, server: Option<Endpoint>) -> &mut Rows {
        if self.is_muted {
            if self.dropped.is_full() {
                self.dropped = Rows::new(self.table, self.form);
            }
            return &mut self.dropped;
        }
        if self.by != Partitioning::default() {
            let partition = Partition {
                hour: self.by.hour.then(|| time.seconds().div_euclid(3600)),
                server: self.by.server.then_some(server),
            };
            if partition != self.latest.0 {
                self.turn_to(partition);
            }
        }
        if self.latest.1.is_full() {
            self.put_latest();
        }
        &mut self.latest.1
    }

    #[cold]
    fn turn_to(&mut self, partition: Partition) {
        let rows = match self.others.remove(&partition) {
            Some(rows) => {
                self.waiting -= rows.footprint();
                rows
            }
            None => Rows::new(self.table, self.form),
        };
        let (before, mut rows) = std::mem::replace(&mut self.latest, (partition, rows));
        rows.park();
        self.waiting += rows.footprint();
        self.others.insert(before, rows);
        if self.waiting >= WAITING {
            self.put_others();
        }
    }

    #[cold]
    fn put_latest(&mut self) {
        let next = self.spare.take();
        let next = next.unwrap_or_else(|| Rows::new(self.table, self.form));
        let rows = std::mem::replace(&mut self.latest.1, next);
        self.put(self.latest.0, rows);
    }

    fn put_others(&mut self) {
        self.waiting = 0;
        for (partition, rows) in std::mem::take(&mut self.others) {
            self.put(partition, rows);
        }
    }

    fn put(&mut self, partition: Partition, rows: Rows) {
        if rows.len() > 0 {
            self.ready.push(Batch { partition, rows });
        }
    }

    /// Whether there are rows.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.others.is_empty() && self.latest.1.len() == 0
    }

    /// Writes batches that are ready.
    #[inline]
    pub(super) fn write(&mut self, to: &mut To<'_>) {
        if let To::Writer(write) = to
            && !self.ready.is_empty()
        {
            self.write_ready(write);
        }
    }

    #[cold]
    fn write_ready(&mut self, write: &mut dyn FnMut(&mut Batch)) {
        for mut batch in std::mem::take(&mut self.ready) {
            write(&mut batch);
            batch.rows.clear();
            self.spare = Some(batch.rows);
        }
    }

    /// Writes all rows, in the order of partitions.
    pub(super) fn finish(&mut self, to: &mut To<'_>) {
        self.put_others();
        self.put_latest();
        self.ready.sort_by_key(|batch| batch.partition);
        self.write(to);
        self.spare = None;
    }
}
