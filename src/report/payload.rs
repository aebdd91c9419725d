//! Decoded payloads: as JSON, as a preview on a line, as a tree below it.

use std::collections::HashMap;
use std::io::Write as _;

use super::escape::{self, Within};
use super::json::{put_base64, put_json, put_list};
use super::put;
use crate::payload::{Decoded, Value};

/// Appends a value as JSON: exact numbers, bytes as base64, NaN and infinities as
/// text.
pub(super) fn json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Integer(number) => put::decimal(*number, out),
        Value::Double(number) if number.is_finite() => {
            let _ = write!(out, "{number:?}");
        }
        Value::Single(number) if number.is_finite() => {
            let _ = write!(out, "{number:?}");
        }
        Value::Double(number) => put_json(not_finite(*number), out),
        Value::Single(number) => put_json(not_finite(f64::from(*number)), out),
        // The digits of a JSON number, or of an integer.
        Value::Decimal(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Text(text) => put_json(text, out),
        Value::Bytes(bytes) => put_base64(bytes, out),
        Value::List(items) => put_list(items, out, json),
        Value::Map(entries) => map(entries, out),
    }
}

/// An object. Keys are never repeated: the values of a repeated key form a list.
fn map(entries: &[(Box<str>, Value)], out: &mut Vec<u8>) {
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut names: Vec<(&str, Vec<&Value>)> = Vec::new();
    for (name, value) in entries {
        let at = *by_name.entry(name).or_insert(names.len());
        match names.get_mut(at) {
            Some((_, values)) => values.push(value),
            None => names.push((name, vec![value])),
        }
    }
    out.push(b'{');
    for (index, (name, values)) in names.into_iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_json(name, out);
        out.push(b':');
        match &values[..] {
            [only] => json(only, out),
            _ => put_list(values, out, json),
        }
    }
    out.push(b'}');
}

fn not_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Appends a payload in one line: `json {"a":1}`, or why it cannot be decoded:
/// `not json: byte 3: …`.
pub(super) fn preview(decoded: &Decoded, columns: Option<usize>, out: &mut Vec<u8>) {
    match &decoded.value {
        Ok(value) => {
            out.extend_from_slice(decoded.format.as_bytes());
            out.push(b' ');
            let text = value.to_string();
            let most = columns.unwrap_or(usize::MAX);
            match text.char_indices().nth(most) {
                Some((end, _)) => {
                    escape::escaped(&text.as_bytes()[..end], Within::Prose, out);
                    out.extend_from_slice(escape::ELLIPSIS);
                }
                None => escape::escaped(text.as_bytes(), Within::Prose, out),
            }
        }
        Err(fault) => {
            out.extend_from_slice(b"not ");
            out.extend_from_slice(decoded.format.as_bytes());
            out.extend_from_slice(b": ");
            escape::escaped(fault.to_string().as_bytes(), Within::Prose, out);
        }
    }
}

/// Appends a value as a tree, one line for each value that is not a container, each
/// line after `indent`.
pub(super) fn tree(value: &Value, indent: &str, out: &mut Vec<u8>) {
    match value {
        Value::Map(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                branch(name, value, indent, out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for (index, value) in items.iter().enumerate() {
                branch(&format!("[{index}]"), value, indent, out);
            }
        }
        scalar => {
            out.extend_from_slice(indent.as_bytes());
            escape::escaped(scalar.to_string().as_bytes(), Within::Prose, out);
            out.push(b'\n');
        }
    }
}

fn branch(name: &str, value: &Value, indent: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(indent.as_bytes());
    escape::escaped(name.as_bytes(), Within::Prose, out);
    out.push(b':');
    let is_container = match value {
        Value::Map(entries) => !entries.is_empty(),
        Value::List(items) => !items.is_empty(),
        _ => false,
    };
    if is_container {
        out.push(b'\n');
        tree(value, &format!("{indent}  "), out);
    } else {
        out.push(b' ');
        escape::escaped(value.to_string().as_bytes(), Within::Prose, out);
        out.push(b'\n');
    }
}
