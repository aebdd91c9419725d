//! Rows of CSV.

use csv::{ByteRecord, WriterBuilder};

use super::json::utc;
use super::{StatsFormat, StatsOptions};
use crate::report::escape::{self, Within};
use crate::stats::{Row, Table};

/// `stats --format csv`
pub(super) static CSV: StatsFormat = StatsFormat {
    name: "csv",
    help: "a row for each row, for spreadsheets",
    begin: heading,
    put: table,
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

fn heading(options: &StatsOptions, out: &mut Vec<u8>) {
    let names = std::iter::once(options.by.key()).chain(COLUMNS);
    write(&names.collect::<Vec<_>>().into(), out);
}

fn table(table: &Table, options: &StatsOptions, out: &mut Vec<u8>) {
    for (key, row) in &table.rows {
        let mut text = Vec::new();
        escape::escaped(key, Within::Cell, &mut text);
        put(table, options, (&text, false), row, out);
    }
    for (row, other) in [(&table.unknown, false), (&table.other, true)] {
        if row.messages > 0 {
            put(table, options, (b"", other), row, out);
        }
    }
}

fn put(
    table: &Table,
    options: &StatsOptions,
    (key, other): (&[u8], bool),
    row: &Row,
    out: &mut Vec<u8>,
) {
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default();
    let rate = |count| {
        table
            .rate(count)
            .map(|rate| rate.to_string())
            .unwrap_or_default()
    };
    let mut file = Vec::new();
    let name = options.file.as_deref().unwrap_or_default();
    escape::escaped(name.as_bytes(), Within::Cell, &mut file);
    let mut record = ByteRecord::new();
    record.push_field(key);
    for cell in [
        utc(table.from),
        utc(table.to),
        row.messages.to_string(),
        row.bytes.to_string(),
        row.payload_bytes.to_string(),
        row.retained.to_string(),
        row.duplicates.to_string(),
        rate(row.messages),
        rate(row.bytes),
        number(row.sizes.quantile(0.5)),
        number(row.sizes.quantile(0.99)),
        row.first.map(utc).unwrap_or_default(),
        row.last.map(utc).unwrap_or_default(),
        other.to_string(),
    ] {
        record.push_field(cell.as_bytes());
    }
    record.push_field(&file);
    write(&record, out);
}

fn write(record: &ByteRecord, out: &mut Vec<u8>) {
    let mut writer = WriterBuilder::new().from_writer(&mut *out);
    // A Vec never fails, and every row has the same number of cells.
    let _ = writer.write_byte_record(record);
    let _ = writer.flush();
}
