//! [`Sheet`]: the rows of a table, by partition.

use std::collections::HashMap;

use arrow_array::RecordBatch;

use super::rows::Rows;
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
    /// The table.
    pub table: &'static Table,
    /// Its part.
    pub partition: Partition,
    /// The rows.
    pub rows: RecordBatch,
}

/// Parts of a table whose rows wait at once.
const PARTS: usize = 64;

/// The rows of a table that wait to be written.
#[derive(Debug)]
pub(super) struct Sheet {
    table: &'static Table,
    by: Partitioning,
    latest: (Partition, Rows),
    others: HashMap<Partition, Rows>,
    ready: Vec<Batch>,
    /// Rows are dropped: an earlier run has written them.
    is_muted: bool,
    dropped: Rows,
}

impl Sheet {
    pub(super) fn new(table: &'static Table, by: Partitioning) -> Self {
        Self {
            table,
            by,
            latest: (Partition::default(), Rows::new(table)),
            others: HashMap::new(),
            ready: Vec::new(),
            is_muted: false,
            dropped: Rows::new(table),
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
                self.dropped.take();
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
            Some(rows) => rows,
            None => Rows::new(self.table),
        };
        let before = std::mem::replace(&mut self.latest, (partition, rows));
        self.others.insert(before.0, before.1);
        if self.others.len() >= PARTS {
            for (partition, mut rows) in std::mem::take(&mut self.others) {
                self.put(partition, rows.take());
            }
        }
    }

    #[cold]
    fn write_latest(&mut self) {
        let rows = self.latest.1.take();
        self.put(self.latest.0, rows);
    }

    fn put(&mut self, partition: Partition, rows: Option<RecordBatch>) {
        self.ready.extend(rows.map(|rows| Batch {
            table: self.table,
            partition,
            rows,
        }));
    }

    /// Moves batches that are ready into `out`.
    pub(super) fn take(&mut self, out: &mut Vec<Batch>) {
        out.append(&mut self.ready);
    }

    /// Moves all rows into `out`.
    pub(super) fn finish(&mut self, out: &mut Vec<Batch>) {
        for (partition, mut rows) in std::mem::take(&mut self.others) {
            self.put(partition, rows.take());
        }
        self.write_latest();
        // In an order that does not depend on the hasher.
        self.ready.sort_by_key(|batch| batch.partition);
        self.take(out);
    }
}
