//! [`Sheet`]: the rows of a table, by partition.

use std::collections::HashMap;

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

/// Memory of the rows of a table that wait, except for the latest part.
const WAITING: usize = 8 << 20;

/// The rows of a table that wait to be written.
#[derive(Debug)]
pub(super) struct Sheet {
    table: &'static Table,
    form: Form,
    by: Partitioning,
    latest: (Partition, Rows),
    others: HashMap<Partition, Rows>,
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
            others: HashMap::new(),
            waiting: 0,
            ready: Vec::new(),
            spare: None,
            is_muted: false,
            dropped: Rows::new(table, form),
        }
    }

    /// The table.
    pub(super) const fn table(&self) -> &'static Table {
        self.table
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
            self.write_latest();
        }
        &mut self.latest.1
    }

    #[cold]
    fn turn_to(&mut self, partition: Partition) {
        let rows = match self.others.remove(&partition) {
            Some(rows) => {
                self.waiting -= rows.memory();
                rows
            }
            None => Rows::new(self.table, self.form),
        };
        let (before, rows) = std::mem::replace(&mut self.latest, (partition, rows));
        self.waiting += rows.memory();
        self.others.insert(before, rows);
        if self.waiting >= WAITING {
            self.waiting = 0;
            for (partition, rows) in std::mem::take(&mut self.others) {
                self.put(partition, rows);
            }
        }
    }

    #[cold]
    fn write_latest(&mut self) {
        let next = self.spare.take();
        let next = next.unwrap_or_else(|| Rows::new(self.table, self.form));
        let rows = std::mem::replace(&mut self.latest.1, next);
        self.put(self.latest.0, rows);
    }

    fn put(&mut self, partition: Partition, rows: Rows) {
        if rows.len() > 0 {
            self.ready.push(Batch { partition, rows });
        }
    }

    /// Takes back the memory of rows that were written.
    pub(super) fn recycle(&mut self, mut rows: Rows) {
        rows.clear();
        self.spare = Some(rows);
    }

    /// Moves batches that are ready into `out`.
    pub(super) fn take(&mut self, out: &mut Vec<Batch>) {
        out.append(&mut self.ready);
    }

    /// Moves all rows into `out`, in an order that does not depend on the hasher.
    pub(super) fn finish(&mut self, out: &mut Vec<Batch>) {
        (self.waiting, self.spare) = (0, None);
        for (partition, rows) in std::mem::take(&mut self.others) {
            self.put(partition, rows);
        }
        self.write_latest();
        self.ready.sort_by_key(|batch| batch.partition);
        self.take(out);
    }
}
