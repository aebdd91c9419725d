//! Rows of CSV.

use super::json::utc;
use super::{Counts, StatsTable};
use crate::report::cells::{self, Row as Cells};
use crate::report::{Format, Report};
use crate::stats::{Row, Table};

/// `stats --format csv`
pub(super) static CSV: Format<Counts> = Format {
    name: "csv",
    help: "a row for each row, for spreadsheets",
    needs: (),
    new: |options| {
        Box::new(Rows {
            many: options.many,
            has_heading: false,
            cells: Cells::new(options.csv_safe),
        })
    },
};

const COLUMNS: [&str; 15] = [
    "from",
    "to",
    "messages",
    "bytes",
    "payload_bytes",
    "retained",
    "duplicates",
    "messages_per_second",
    "bytes_per_second",
    "size_p50",
    "size_p99",
    "first",
    "last",
    "other",
    "file",
];

struct Rows {
    many: bool,
    /// The heading names the key, which only the first table tells.
    has_heading: bool,
    cells: Cells,
}

impl Report<Counts> for Rows {
    fn put(&mut self, item: &StatsTable<'_>, out: &mut Vec<u8>) {
        let table = item.table;
        if !std::mem::replace(&mut self.has_heading, true) {
            cells::heading(std::iter::once(table.by.key()).chain(COLUMNS), out);
        }
        for (key, row) in &table.rows {
            self.row(item, (key, false), row, out);
        }
        for (row, other) in [(&table.unknown, false), (&table.other, true)] {
            if row.messages > 0 {
                self.row(item, (b"", other), row, out);
            }
        }
    }
}

impl Rows {
    fn row(
        &mut self,
        item: &StatsTable<'_>,
        (key, other): (&[u8], bool),
        row: &Row,
        out: &mut Vec<u8>,
    ) {
        let table: &Table = item.table;
        let cells = &mut self.cells;
        let rate = |count| {
            let rate = table.rate(count);
            rate.map(|rate| rate.to_string()).unwrap_or_default()
        };
        cells.text(Some(key));
        cells.word(&utc(table.from));
        cells.word(&utc(table.to));
        for count in [
            row.messages,
            row.bytes,
            row.payload_bytes,
            row.retained,
            row.duplicates,
        ] {
            cells.number(Some(count));
        }
        cells.word(&rate(row.messages));
        cells.word(&rate(row.bytes));
        cells.number(row.sizes.quantile(0.5));
        cells.number(row.sizes.quantile(0.99));
        cells.word(&row.first.map(utc).unwrap_or_default());
        cells.word(&row.last.map(utc).unwrap_or_default());
        cells.flag(other);
        cells.file(if self.many { item.name } else { "" });
        cells.put(out);
    }
}
