//! Results in JSON: accounts, tables of `stats`, lines of `sessions`.
//!
//! Numbers of bytes, packets and messages add up exactly. Whatever cannot be computed
//! from the parts (percentiles of sizes, rates, projections) is left out rather than
//! approximated.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::cli::stop::Stop;

/// What a file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// A plan.
    Plan,
    /// It was added to the results.
    Result,
}

/// Results of one kind.
#[derive(Default)]
pub(super) struct Results {
    accounts: Vec<Map<String, Value>>,
    rows: Vec<Map<String, Value>>,
    sessions: Vec<Map<String, Value>>,
}

impl Results {
    /// Adds a file; `None` if it is nothing that can be merged.
    pub(super) fn add(&mut self, path: &Path) -> Result<Option<Kind>, Stop> {
        let name = path.display();
        let bytes = fs::read(path).map_err(|error| format!("{name}: {error}"))?;
        let mut objects = Vec::new();
        for value in serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>() {
            match value {
                Ok(Value::Object(object)) => objects.push(object),
                _ => return Ok(None),
            }
        }
        let Some(first) = objects.first() else {
            return Ok(None);
        };
        let has = |key: &str| first.contains_key(key);
        if first.get("format").and_then(Value::as_str) == Some("mqttdump-plan") {
            return Ok(Some(Kind::Plan));
        }
        if let Some(Value::Array(captures)) = first.get("captures") {
            let accounts = captures.iter().filter_map(Value::as_object);
            self.accounts.extend(accounts.cloned());
        } else if has("layers") && has("causes") {
            self.accounts.append(&mut objects);
        } else if has("by") && has("payload_bytes") {
            self.rows.append(&mut objects);
        } else if has("connection_uid") && has("close") {
            self.sessions.append(&mut objects);
        } else if has("findings") || has("summary") || has("rule") {
            return Err(Stop::Failed(format!(
                "{name}: findings may depend on other shards, so reports of check are not merged: \
                 merge files of check --facts-out"
            )));
        } else {
            return Ok(None);
        }
        Ok(Some(Kind::Result))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.rows.is_empty() && self.sessions.is_empty()
    }

    /// All of them as one result of the same kind.
    pub(super) fn merged(self) -> Vec<u8> {
        let mut objects = Vec::new();
        if !self.accounts.is_empty() {
            objects.push(account(self.accounts));
        }
        objects.extend(table(self.rows));
        objects.extend(list(self.sessions));
        let lines = objects
            .into_iter()
            .map(|object| format!("{}\n", Value::Object(object)));
        lines.collect::<String>().into_bytes()
    }
}

/// The sum of accounts: counters are added, connections put together.
fn account(parts: Vec<Map<String, Value>>) -> Map<String, Value> {
    let mut sum = Map::new();
    let mut connections = Vec::new();
    let mut files: Vec<String> = Vec::new();
    for mut part in parts {
        part.remove("derived");
        if let Some(Value::Array(list)) = part.remove("connections") {
            connections.extend(list);
        }
        for key in ["file", "files"] {
            match part.remove(key) {
                Some(Value::String(file)) => files.push(file),
                Some(Value::Array(list)) => {
                    files.extend(list.iter().filter_map(|it| it.as_str().map(str::to_owned)));
                }
                _ => {}
            }
        }
        add(&mut sum, part);
    }
    files.sort();
    files.dedup();
    connections.sort_by_cached_key(|connection| {
        let text = |key: &str| connection.get(key).map(ToString::to_string);
        (
            text("connection_uid"),
            text("client"),
            text("server"),
            connection.to_string(),
        )
    });
    sum.insert("files".into(), files.into());
    sum.insert("connections".into(), connections.into());
    sum
}

/// Adds numbers; of anything else, the first stays.
fn add(sum: &mut Map<String, Value>, part: Map<String, Value>) {
    for (key, value) in part {
        match (sum.get_mut(&key), value) {
            (None, value) => {
                sum.insert(key, value);
            }
            (Some(Value::Object(inner)), Value::Object(more)) => add(inner, more),
            (Some(known), Value::Number(more)) => {
                if let (Some(one), Some(other)) = (known.as_u64(), more.as_u64()) {
                    *known = (one + other).into();
                }
            }
            _ => {}
        }
    }
}

/// Keys of rows that are counts.
const SUMS: [&str; 5] = [
    "messages",
    "bytes",
    "payload_bytes",
    "retained",
    "duplicates",
];

/// Rows of the same key, added.
fn table(rows: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    let mut all: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for row in rows {
        let text = |key: &str| row.get(key).map(ToString::to_string).unwrap_or_default();
        let key = [text("by"), text("key"), text("other")].join("\n");
        let sum = all.entry(key).or_default();
        for key in ["by", "key", "other"] {
            if let Some(value) = row.get(key) {
                sum.insert(key.into(), value.clone());
            }
        }
        for key in SUMS {
            let count = |row: &Map<String, Value>| row.get(key).and_then(Value::as_u64);
            let total = count(sum).unwrap_or(0) + count(&row).unwrap_or(0);
            sum.insert(key.into(), total.into());
        }
        // RFC 3339 in UTC with nine digits is in order of time.
        for (key, is_first) in [
            ("from", true),
            ("first", true),
            ("to", false),
            ("last", false),
        ] {
            let Some(time) = row.get(key).and_then(Value::as_str) else {
                continue;
            };
            let known = sum.get(key).and_then(Value::as_str);
            if known.is_none_or(|known| (time < known) == is_first && time != known) {
                sum.insert(key.into(), time.into());
            }
        }
    }
    all.into_values().collect()
}

/// Connections in order of their start, numbered anew.
fn list(mut lines: Vec<Map<String, Value>>) -> Vec<Map<String, Value>> {
    for line in &mut lines {
        line.remove("connection");
    }
    lines.sort_by_cached_key(|line| {
        let text = |key: &str| line.get(key).map(ToString::to_string);
        (
            text("opened"),
            text("connection_uid"),
            Value::Object(line.clone()).to_string(),
        )
    });
    for (number, line) in (1_u64..).zip(&mut lines) {
        line.insert("connection".into(), number.into());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(json: &[&str]) -> Vec<Map<String, Value>> {
        let parse = |text: &&str| serde_json::from_str(text).expect("an object");
        json.iter().map(parse).collect()
    }

    #[test]
    fn accounts_add_up_in_any_order() {
        let parts = [
            r#"{"file":"a","frames":3,"layers":{"ip.hdr":60},"causes":{},"connections":[{"id":1,"client":"b"}],"derived":{}}"#,
            r#"{"file":"b","frames":4,"layers":{"ip.hdr":80,"app":7},"causes":{},"connections":[{"id":1,"client":"a"}]}"#,
            r#"{"file":"a","frames":1,"layers":{"app":1},"causes":{"x":2},"connections":[]}"#,
        ];
        let merged = |order: &[usize]| {
            account(objects(
                &order.iter().map(|i| parts[*i]).collect::<Vec<_>>(),
            ))
        };
        let all = merged(&[0, 1, 2]);
        assert_eq!(all["frames"], 8);
        assert_eq!(all["layers"]["app"], 8);
        assert_eq!(all["files"], serde_json::json!(["a", "b"]));
        assert_eq!(all, merged(&[2, 1, 0]));
        // In two steps.
        let some = account(objects(&parts[1..]));
        assert_eq!(all, account(vec![objects(&parts[..1]).remove(0), some]));
    }

    #[test]
    fn rows_add_up_and_lists_are_ordered() {
        let rows = objects(&[
            r#"{"by":"topic","key":"a","messages":1,"first":"2014-01-02","last":"2014-01-02"}"#,
            r#"{"by":"topic","key":"a","messages":2,"first":"2014-01-01","last":"2014-01-03"}"#,
            r#"{"by":"topic","key":"b","messages":3}"#,
        ]);
        let all = table(rows);
        assert_eq!(all.len(), 2);
        assert_eq!(
            (&all[0]["messages"], &all[0]["first"], &all[0]["last"]),
            (&3.into(), &"2014-01-01".into(), &"2014-01-03".into())
        );
        let lines = list(objects(&[
            r#"{"connection":1,"connection_uid":"x","opened":"2014-01-02"}"#,
            r#"{"connection":1,"connection_uid":"y","opened":"2014-01-01"}"#,
        ]));
        assert_eq!(lines[0]["connection_uid"], "y");
        assert_eq!(lines[1]["connection"], 2);
        assert_eq!(list(lines.clone()), lines);
    }
}
