//! A table as text.

use std::fmt::Write as _;

use super::{Counts, StatsTable};
use crate::report::escape::{self, Within};
use crate::report::utc::Utc;
use crate::report::wrap::shortened;
use crate::report::{Format, Report};
use crate::stats::{Row, Table};
use crate::time::Timestamp;

/// `stats --format text`
pub(super) static TEXT: Format<Counts> = Format {
    name: "text",
    help: "a table, for reading",
    needs: (),
    new: |options| {
        Box::new(Text {
            many: options.many,
            width: options.width,
        })
    },
};

struct Text {
    many: bool,
    width: Option<usize>,
}

impl Report<Counts> for Text {
    fn put(&mut self, item: &StatsTable<'_>, out: &mut Vec<u8>) {
        table(item, self.many, self.width, out);
    }
}

const HEADINGS: [&str; 11] = [
    "MESSAGES", "/s", "BYTES", "B/s", "PAYLOAD", "RETAINED", "DUP", "p50", "p99", "FIRST", "LAST",
];

/// Columns that a narrow terminal lacks, from the first to be left out.
const OPTIONAL: [&str; 8] = [
    "LAST", "FIRST", "p99", "p50", "DUP", "RETAINED", "B/s", "PAYLOAD",
];

/// Columns of a key, however narrow the terminal.
const SHORTEST_KEY: usize = 8;

fn table(item: &StatsTable<'_>, many: bool, terminal: Option<usize>, out: &mut Vec<u8>) {
    let table = item.table;
    if item.is_period {
        let mut from = Vec::new();
        Utc::default().put(table.from, &mut from);
        let seconds = table.duration().as_secs_f64();
        let from = String::from_utf8_lossy(&from);
        out.extend_from_slice(format!("-- {from}, {seconds} s\n").as_bytes());
    }
    let mut rows = vec![(heading(item, many), HEADINGS.map(str::to_owned))];
    for (key, row) in &table.rows {
        let mut text = Vec::new();
        escape::escaped(key, Within::Cell, &mut text);
        rows.push((
            String::from_utf8_lossy(&text).into_owned(),
            cells(row, table),
        ));
    }
    for (name, row) in [("(unknown)", &table.unknown), ("(other)", &table.other)] {
        if row.messages > 0 {
            rows.push((name.to_owned(), cells(row, table)));
        }
    }
    let mut widths = [0; HEADINGS.len()];
    for (_, cells) in &rows {
        for (width, cell) in widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.len());
        }
    }
    let longest = rows.iter().map(|(key, _)| escape::columns(key.as_bytes()));
    let longest = longest.max().unwrap_or(0);
    let mut shown = [true; HEADINGS.len()];
    for name in OPTIONAL {
        let columns = widths.iter().zip(shown).filter(|(_, shown)| *shown);
        let needed = longest + columns.map(|(width, _)| width + 2).sum::<usize>();
        if terminal.is_none_or(|columns| needed <= columns) {
            break;
        }
        for (shown, heading) in shown.iter_mut().zip(HEADINGS) {
            *shown &= heading != name;
        }
    }
    // The key comes last, because only it may be long.
    for (key, cells) in &rows {
        let mut line = String::new();
        for ((width, cell), shown) in widths.iter().zip(cells).zip(shown) {
            if shown {
                let _ = write!(line, "{cell:>width$}  ");
            }
        }
        match terminal {
            // Topics differ at their ends.
            Some(columns) => {
                let room = columns.saturating_sub(line.len()).max(SHORTEST_KEY);
                line += &shortened(key, room, 0);
            }
            None => line += key,
        }
        out.extend_from_slice(line.trim_end().as_bytes());
        out.push(b'\n');
    }
}

fn heading(item: &StatsTable<'_>, many: bool) -> String {
    let key = item.table.by.name().to_uppercase();
    match many {
        true => format!("{key} in {}", String::from_utf8_lossy(&visible(item.name))),
        false => key,
    }
}

fn visible(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    escape::escaped(name.as_bytes(), Within::Cell, &mut out);
    out
}

fn cells(row: &Row, table: &Table) -> [String; HEADINGS.len()] {
    let rate = |count| table.rate(count).map_or_else(|| "-".to_owned(), rounded);
    let quantile = |share| {
        let size = row.sizes.quantile(share);
        size.map_or_else(|| "-".to_owned(), |size| size.to_string())
    };
    // Relative to the start of the table, for comparison.
    let since = |time: Option<Timestamp>| {
        time.map_or_else(
            || "-".to_owned(),
            |time| format!("+{:.3}", time.since(table.from).as_secs_f64()),
        )
    };
    [
        row.messages.to_string(),
        rate(row.messages),
        row.bytes.to_string(),
        rate(row.bytes),
        row.payload_bytes.to_string(),
        row.retained.to_string(),
        row.duplicates.to_string(),
        quantile(0.5),
        quantile(0.99),
        since(row.first),
        since(row.last),
    ]
}

fn rounded(rate: f64) -> String {
    match rate {
        100.0.. => format!("{rate:.0}"),
        10.0.. => format!("{rate:.1}"),
        _ => format!("{rate:.2}"),
    }
}
