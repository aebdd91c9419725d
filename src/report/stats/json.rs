//! One object per row, for programs.

use serde::Serialize;

use super::{Counts, StatsTable};
use crate::report::utc::Utc;
use crate::report::{Format, Report, json};
use crate::stats::{Row, Table};
use crate::time::Timestamp;

/// `stats --format ndjson`
pub(super) static NDJSON: Format<Counts> = Format {
    name: "ndjson",
    help: "one JSON object per row and line, for programs",
    needs: (),
    new: |options| Box::new(Ndjson { many: options.many }),
};

struct Ndjson {
    many: bool,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a str>,
    from: String,
    to: String,
    by: &'static str,
    /// `null` if unknown.
    key: Option<Key<'a>>,
    /// Sum of the keys that have no row of their own.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    other: bool,
    messages: u64,
    bytes: u64,
    payload_bytes: u64,
    retained: u64,
    duplicates: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    messages_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_p50: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_p99: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<String>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Key<'a> {
    Number(u64),
    Text(std::borrow::Cow<'a, str>),
}

impl Report<Counts> for Ndjson {
    fn put(&mut self, item: &StatsTable<'_>, out: &mut Vec<u8>) {
        let table = item.table;
        let file = self.many.then_some(item.name);
        for (key, row) in &table.rows {
            let text = String::from_utf8_lossy(key);
            let key = match text.parse() {
                Ok(number) if table.by.is_number() => Key::Number(number),
                _ => Key::Text(text),
            };
            put(table, file, (Some(key), false), row, out);
        }
        for (row, other) in [(&table.unknown, false), (&table.other, true)] {
            if row.messages > 0 {
                put(table, file, (None, other), row, out);
            }
        }
    }
}

fn put(
    table: &Table,
    file: Option<&str>,
    (key, other): (Option<Key<'_>>, bool),
    row: &Row,
    out: &mut Vec<u8>,
) {
    let object = Object {
        file,
        from: utc(table.from),
        to: utc(table.to),
        by: table.by.key(),
        key,
        other,
        messages: row.messages,
        bytes: row.bytes,
        payload_bytes: row.payload_bytes,
        retained: row.retained,
        duplicates: row.duplicates,
        messages_per_second: table.rate(row.messages),
        bytes_per_second: table.rate(row.bytes),
        size_p50: row.sizes.quantile(0.5),
        size_p99: row.sizes.quantile(0.99),
        first: row.first.map(utc),
        last: row.last.map(utc),
    };
    json::compact(&object, out);
    out.push(b'\n');
}

pub(super) fn utc(time: Timestamp) -> String {
    let mut text = Vec::new();
    Utc::default().put(time, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
