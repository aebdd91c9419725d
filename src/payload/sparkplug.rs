//! Sparkplug B: Protobuf payloads whose metrics carry their types, and omit their
//! names if an earlier birth message assigned an alias.
//!
//! ```text
//! spBv1.0/Plant/NBIRTH/edge1    metrics with name, alias, datatype, value ─┐ remembered per
//! spBv1.0/Plant/DBIRTH/edge1/d  the same, of a device                     ─┤ edge node
//! spBv1.0/Plant/DDATA/edge1/d   metrics with alias and value              ←┘ get name and type
//! ```
//!
//! The numbers are those of Eclipse Tahu's `sparkplug_b.proto`; values by type
//! are those of the Sparkplug specification 3.0, section 6.4.

use std::collections::HashMap;

use super::fault::{Budget, Fault};
use super::value::Value;
use super::wire::{Fields, Raw};
use crate::limits;

/// A Sparkplug topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Topic<'a> {
    group: &'a [u8],
    kind: &'a [u8],
    edge_node: &'a [u8],
}

impl<'a> Topic<'a> {
    /// `spBv1.0/GROUP/TYPE/EDGE_NODE[/DEVICE]`; `None` for others, such as the
    /// STATE of a host, which is JSON.
    fn read(topic: &'a [u8]) -> Option<Self> {
        let mut levels = topic.split(|byte| *byte == b'/');
        if levels.next()? != b"spBv1.0" {
            return None;
        }
        let (group, kind, edge_node) = (levels.next()?, levels.next()?, levels.next()?);
        let known = [
            &b"NBIRTH"[..],
            b"NDEATH",
            b"DBIRTH",
            b"DDEATH",
            b"NDATA",
            b"DDATA",
            b"NCMD",
            b"DCMD",
        ];
        known.contains(&kind).then_some(Self {
            group,
            kind,
            edge_node,
        })
    }
}

/// Whether a topic is one of those whose payload is Sparkplug's Protobuf.
pub(super) fn is_topic(topic: &[u8]) -> bool {
    Topic::read(topic).is_some()
}

/// Names and types of metrics by alias, for each edge node.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    edge_nodes: HashMap<EdgeNode, HashMap<u64, Known>>,
    count: usize,
    /// Aliases that were not remembered because of a limit.
    dropped: u64,
}

type EdgeNode = (Box<[u8]>, Box<[u8]>);

#[derive(Clone, Debug)]
struct Known {
    name: Box<str>,
    datatype: Option<u32>,
}

impl Aliases {
    /// Aliases that were not remembered ([`limits::SPARKPLUG_ALIASES`]).
    pub(super) fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Keeps the aliases of a birth message; other messages change nothing.
    pub(super) fn observe(&mut self, topic: &[u8], payload: &[u8]) {
        let Some(topic) = Topic::read(topic) else {
            return;
        };
        let node_birth = topic.kind == b"NBIRTH";
        if !node_birth && topic.kind != b"DBIRTH" {
            return;
        }
        let key: EdgeNode = (topic.group.into(), topic.edge_node.into());
        let known = self.edge_nodes.entry(key).or_default();
        if node_birth {
            self.count -= known.len();
            known.clear();
        }
        let mut fields = Fields::new(payload, 0);
        while !fields.is_over() {
            // Aliases before the fault are kept.
            let Ok(field) = fields.next() else { return };
            let (2, Raw::Bytes(metric)) = (field.number, field.value) else {
                continue;
            };
            let Some((alias, metric)) = learn(metric) else {
                continue;
            };
            if self.count < limits::SPARKPLUG_ALIASES || known.contains_key(&alias) {
                self.count += usize::from(known.insert(alias, metric).is_none());
            } else {
                self.dropped += 1;
            }
        }
    }

    fn of(&self, topic: &[u8]) -> Option<&HashMap<u64, Known>> {
        let topic = Topic::read(topic)?;
        self.edge_nodes
            .get(&(topic.group.into(), topic.edge_node.into()))
    }
}

fn learn(metric: &[u8]) -> Option<(u64, Known)> {
    let (mut name, mut alias, mut datatype) = (None, None, None);
    let mut fields = Fields::new(metric, 0);
    while !fields.is_over() {
        let field = fields.next().ok()?;
        match (field.number, field.value) {
            (1, Raw::Bytes(text)) => name = std::str::from_utf8(text).ok(),
            (2, Raw::Varint(number)) => alias = Some(number),
            (4, Raw::Varint(number)) => datatype = Some(number as u32),
            _ => {}
        }
    }
    let name = name?.into();
    Some((alias?, Known { name, datatype }))
}

/// Decodes a payload that was published to a topic.
pub(super) fn decode(bytes: &[u8], topic: &[u8], aliases: &Aliases) -> Result<Value, Fault> {
    let mut reader = Reader {
        known: aliases.of(topic),
        budget: Budget::new(),
    };
    reader.payload(bytes)
}

struct Reader<'a> {
    known: Option<&'a HashMap<u64, Known>>,
    budget: Budget,
}

type Entries = Vec<(Box<str>, Value)>;

/// Decodes a value by its data type.
#[derive(Clone, Copy)]
struct Typed<'a> {
    raw: Option<(u32, Raw<'a>, usize)>,
    datatype: Option<u32>,
    is_null: bool,
}

impl Reader<'_> {
    fn payload(&mut self, bytes: &[u8]) -> Result<Value, Fault> {
        let mut entries = Entries::new();
        let mut metrics = Vec::new();
        let mut fields = Fields::new(bytes, 0);
        while !fields.is_over() {
            let field = fields.next()?;
            let at = field.offset;
            self.budget.value(at)?;
            match (field.number, field.value) {
                (1, Raw::Varint(time)) => entry(&mut entries, "timestamp", integer(time)),
                (2, Raw::Bytes(metric)) => metrics.push(self.metric(metric, at)?),
                (3, Raw::Varint(seq)) => entry(&mut entries, "seq", integer(seq)),
                (4, Raw::Bytes(uuid)) => entry(&mut entries, "uuid", text(uuid)),
                (5, Raw::Bytes(body)) => entry(&mut entries, "body", Value::Bytes(body.into())),
                (number, raw) => extension(&mut entries, (number, raw, at), 6, "a payload")?,
            }
        }
        if !metrics.is_empty() {
            entry(&mut entries, "metrics", Value::List(metrics));
        }
        Ok(Value::Map(entries))
    }

    fn metric(&mut self, bytes: &[u8], base: usize) -> Result<Value, Fault> {
        self.budget.enter(base)?;
        let mut entries = Entries::new();
        let mut value = Typed {
            raw: None,
            datatype: None,
            is_null: false,
        };
        let (mut named, mut alias) = (false, None);
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            let at = field.offset;
            self.budget.value(at)?;
            match (field.number, field.value) {
                (1, Raw::Bytes(name)) => {
                    named = true;
                    entries.insert(0, ("name".into(), text(name)));
                }
                (2, Raw::Varint(number)) => alias = Some(number),
                (3, Raw::Varint(time)) => entry(&mut entries, "timestamp", integer(time)),
                (4, Raw::Varint(number)) => value.datatype = Some(number as u32),
                (5, Raw::Varint(set)) => flag(&mut entries, "is_historical", set),
                (6, Raw::Varint(set)) => flag(&mut entries, "is_transient", set),
                (7, Raw::Varint(set)) => value.is_null = set != 0,
                (8, Raw::Bytes(inner)) => {
                    entry(&mut entries, "metadata", self.metadata(inner, at)?)
                }
                (9, Raw::Bytes(inner)) => {
                    let properties = self.property_set(inner, at)?;
                    entry(&mut entries, "properties", properties);
                }
                (10..=19, raw) => value.raw = Some((field.number - 10, raw, at)),
                (number, raw) => extension(&mut entries, (number, raw, at), 20, "a metric")?,
            }
        }
        if let Some(alias) = alias {
            let known = self.known.and_then(|known| known.get(&alias));
            if let (Some(known), false) = (known, named) {
                entries.insert(0, ("name".into(), Value::Text(known.name.clone())));
            }
            value.datatype = value.datatype.or(known.and_then(|known| known.datatype));
            entry(&mut entries, "alias", integer(alias));
        }
        if let Some(datatype) = value.datatype {
            entry(&mut entries, "datatype", datatype_name(datatype));
        }
        entry(&mut entries, "value", self.value(value)?);
        self.budget.leave();
        Ok(Value::Map(entries))
    }

    /// A value by the fields that metrics, properties, parameters and cells of
    /// data sets have in the same order: int, long, float, double, boolean, string,
    /// then, of metrics, bytes, data set, template.
    fn value(&mut self, typed: Typed<'_>) -> Result<Value, Fault> {
        let Some((which, raw, at)) = typed.raw.filter(|_| !typed.is_null) else {
            return Ok(Value::Null);
        };
        Ok(match (which, raw) {
            (0 | 1, Raw::Varint(bits)) => number(bits, typed.datatype, which),
            (2, Raw::Fixed32(bits)) => Value::Single(f32::from_bits(bits)),
            (3, Raw::Fixed64(bits)) => Value::Double(f64::from_bits(bits)),
            (4, Raw::Varint(set)) => Value::Bool(set != 0),
            (5, Raw::Bytes(bytes)) => text(bytes),
            (6, Raw::Bytes(bytes)) => self.bytes(bytes, typed.datatype, at)?,
            (7, Raw::Bytes(bytes)) => self.data_set(bytes, at)?,
            (8, Raw::Bytes(bytes)) => self.template(bytes, at)?,
            (9, Raw::Bytes(bytes)) => Value::Bytes(bytes.into()),
            _ => {
                let message = format!("expected the value of a metric, found {}", raw.name());
                return Err(Fault::new(at, message));
            }
        })
    }

    /// Bytes, or one of the arrays that are written as bytes.
    fn bytes(&mut self, bytes: &[u8], datatype: Option<u32>, at: usize) -> Result<Value, Fault> {
        let items: Vec<Value> = match datatype {
            Some(22) => bytes
                .iter()
                .map(|byte| Value::Integer((*byte as i8).into()))
                .collect(),
            Some(26) => bytes
                .iter()
                .map(|byte| Value::Integer((*byte).into()))
                .collect(),
            Some(23) => array(bytes, at, |b| Value::Integer(i16::from_le_bytes(b).into()))?,
            Some(24) => array(bytes, at, |b| Value::Integer(i32::from_le_bytes(b).into()))?,
            Some(25) => array(bytes, at, |b| Value::Integer(i64::from_le_bytes(b).into()))?,
            Some(27) => array(bytes, at, |b| Value::Integer(u16::from_le_bytes(b).into()))?,
            Some(28) => array(bytes, at, |b| Value::Integer(u32::from_le_bytes(b).into()))?,
            Some(29 | 34) => array(bytes, at, |b| Value::Integer(u64::from_le_bytes(b).into()))?,
            Some(30) => array(bytes, at, |b| Value::Single(f32::from_le_bytes(b)))?,
            Some(31) => array(bytes, at, |b| Value::Double(f64::from_le_bytes(b)))?,
            Some(32) => booleans(bytes, at)?,
            Some(33) => {
                let whole = bytes.strip_suffix(b"\0").unwrap_or(bytes);
                let parts = whole.split(|byte| *byte == 0).map(text);
                if whole.is_empty() {
                    Vec::new()
                } else {
                    parts.collect()
                }
            }
            _ => return Ok(Value::Bytes(bytes.into())),
        };
        for _ in &items {
            self.budget.value(at)?;
        }
        Ok(Value::List(items))
    }

    fn metadata(&mut self, bytes: &[u8], base: usize) -> Result<Value, Fault> {
        let mut entries = Entries::new();
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            self.budget.value(field.offset)?;
            match (field.number, field.value) {
                (1, Raw::Varint(set)) => {
                    entry(&mut entries, "is_multi_part", Value::Bool(set != 0))
                }
                (2, Raw::Bytes(bytes)) => entry(&mut entries, "content_type", text(bytes)),
                (3, Raw::Varint(size)) => entry(&mut entries, "size", integer(size)),
                (4, Raw::Varint(seq)) => entry(&mut entries, "seq", integer(seq)),
                (5, Raw::Bytes(bytes)) => entry(&mut entries, "file_name", text(bytes)),
                (6, Raw::Bytes(bytes)) => entry(&mut entries, "file_type", text(bytes)),
                (7, Raw::Bytes(bytes)) => entry(&mut entries, "md5", text(bytes)),
                (8, Raw::Bytes(bytes)) => entry(&mut entries, "description", text(bytes)),
                (number, raw) => {
                    extension(&mut entries, (number, raw, field.offset), 9, "metadata")?;
                }
            }
        }
        Ok(Value::Map(entries))
    }

    /// Names and values in two lists of one length.
    fn property_set(&mut self, bytes: &[u8], base: usize) -> Result<Value, Fault> {
        self.budget.enter(base)?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            self.budget.value(field.offset)?;
            match (field.number, field.value) {
                (1, Raw::Bytes(name)) => names.push(text(name).into_name()),
                (2, Raw::Bytes(inner)) => values.push(self.property(inner, field.offset)?),
                _ => {}
            }
        }
        self.budget.leave();
        if names.len() != values.len() {
            let message = format!(
                "expected {} property values, found {}",
                names.len(),
                values.len()
            );
            return Err(Fault::new(base, message));
        }
        Ok(Value::Map(names.into_iter().zip(values).collect()))
    }

    fn property(&mut self, bytes: &[u8], base: usize) -> Result<Value, Fault> {
        self.budget.enter(base)?;
        let mut value = Typed {
            raw: None,
            datatype: None,
            is_null: false,
        };
        let mut sets = None;
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            match (field.number, field.value) {
                (1, Raw::Varint(number)) => value.datatype = Some(number as u32),
                (2, Raw::Varint(set)) => value.is_null = set != 0,
                (3..=8, raw) => value.raw = Some((field.number - 3, raw, field.offset)),
                (9, Raw::Bytes(inner)) => sets = Some(self.property_set(inner, field.offset)?),
                (10, Raw::Bytes(inner)) => {
                    let mut list = Vec::new();
                    let mut inner = Fields::new(inner, field.offset);
                    while !inner.is_over() {
                        let field = inner.next()?;
                        if let (1, Raw::Bytes(set)) = (field.number, field.value) {
                            list.push(self.property_set(set, field.offset)?);
                        }
                    }
                    sets = Some(Value::List(list));
                }
                _ => {}
            }
        }
        self.budget.leave();
        match sets {
            Some(sets) => Ok(sets),
            None => self.value(value),
        }
    }

    fn data_set(&mut self, bytes: &[u8], base: usize) -> Result<Value, Fault> {
        let (mut columns, mut types, mut rows) = (Vec::new(), Vec::new(), Vec::new());
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            self.budget.value(field.offset)?;
            match (field.number, field.value) {
                (2, Raw::Bytes(name)) => columns.push(text(name)),
                (3, Raw::Varint(number)) => types.push(number as u32),
                (3, Raw::Bytes(packed)) => {
                    let numbers = super::wire::packed_varints(packed, field.offset)?;
                    types.extend(numbers.into_iter().map(|number| number as u32));
                }
                (4, Raw::Bytes(row)) => rows.push((row, field.offset)),
                _ => {}
            }
        }
        let mut read = Vec::new();
        for (row, at) in rows {
            read.push(self.row(row, at, &types)?);
        }
        let types = types.into_iter().map(datatype_name).collect();
        let entries = [
            ("columns", Value::List(columns)),
            ("types", Value::List(types)),
            ("rows", Value::List(read)),
        ];
        Ok(Value::Map(
            entries.map(|(name, value)| (name.into(), value)).into(),
        ))
    }

    fn row(&mut self, bytes: &[u8], base: usize, types: &[u32]) -> Result<Value, Fault> {
        let mut cells = Vec::new();
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            self.budget.value(field.offset)?;
            let (1, Raw::Bytes(cell)) = (field.number, field.value) else {
                continue;
            };
            let mut value = Typed {
                raw: None,
                datatype: types.get(cells.len()).copied(),
                is_null: false,
            };
            let mut inner = Fields::new(cell, field.offset);
            while !inner.is_over() {
                let field = inner.next()?;
                if let 1..=6 = field.number {
                    value.raw = Some((field.number - 1, field.value, field.offset));
                }
            }
            cells.push(self.value(value)?);
        }
        Ok(Value::List(cells))
    }

    fn template(&mut self, bytes: &[u8], base: usize) -> Result<Value, Fault> {
        self.budget.enter(base)?;
        let mut entries = Entries::new();
        let (mut metrics, mut parameters) = (Vec::new(), Entries::new());
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            let at = field.offset;
            self.budget.value(at)?;
            match (field.number, field.value) {
                (1, Raw::Bytes(version)) => entry(&mut entries, "version", text(version)),
                (2, Raw::Bytes(metric)) => metrics.push(self.metric(metric, at)?),
                (3, Raw::Bytes(parameter)) => parameters.push(self.parameter(parameter, at)?),
                (4, Raw::Bytes(name)) => entry(&mut entries, "template_ref", text(name)),
                (5, Raw::Varint(set)) => {
                    entry(&mut entries, "is_definition", Value::Bool(set != 0))
                }
                (number, raw) => extension(&mut entries, (number, raw, at), 6, "a template")?,
            }
        }
        if !parameters.is_empty() {
            entry(&mut entries, "parameters", Value::Map(parameters));
        }
        entry(&mut entries, "metrics", Value::List(metrics));
        self.budget.leave();
        Ok(Value::Map(entries))
    }

    fn parameter(&mut self, bytes: &[u8], base: usize) -> Result<(Box<str>, Value), Fault> {
        let mut name = Box::default();
        let mut value = Typed {
            raw: None,
            datatype: None,
            is_null: false,
        };
        let mut fields = Fields::new(bytes, base);
        while !fields.is_over() {
            let field = fields.next()?;
            match (field.number, field.value) {
                (1, Raw::Bytes(bytes)) => name = text(bytes).into_name(),
                (2, Raw::Varint(number)) => value.datatype = Some(number as u32),
                (3..=8, raw) => value.raw = Some((field.number - 3, raw, field.offset)),
                _ => {}
            }
        }
        Ok((name, self.value(value)?))
    }
}

/// An integer by its type. Signed ones of 8 to 32 bits are in an unsigned field
/// of 32, those of 64 in one of 64; without a type they stay as they are.
fn number(bits: u64, datatype: Option<u32>, which: u32) -> Value {
    Value::Integer(match datatype {
        Some(1) => (bits as i8).into(),
        Some(2) => (bits as i16).into(),
        Some(3) => (bits as i32).into(),
        Some(4) => (bits as i64).into(),
        Some(5) => (bits as u8).into(),
        Some(6) => (bits as u16).into(),
        _ if which == 0 => (bits as u32).into(),
        _ => bits.into(),
    })
}

const DATATYPES: [&str; 35] = [
    "Unknown",
    "Int8",
    "Int16",
    "Int32",
    "Int64",
    "UInt8",
    "UInt16",
    "UInt32",
    "UInt64",
    "Float",
    "Double",
    "Boolean",
    "String",
    "DateTime",
    "Text",
    "UUID",
    "DataSet",
    "Bytes",
    "File",
    "Template",
    "PropertySet",
    "PropertySetList",
    "Int8Array",
    "Int16Array",
    "Int32Array",
    "Int64Array",
    "UInt8Array",
    "UInt16Array",
    "UInt32Array",
    "UInt64Array",
    "FloatArray",
    "DoubleArray",
    "BooleanArray",
    "StringArray",
    "DateTimeArray",
];

fn datatype_name(datatype: u32) -> Value {
    match DATATYPES.get(datatype as usize) {
        Some(name) => Value::Text((*name).into()),
        None => Value::Integer(datatype.into()),
    }
}

fn array<const N: usize>(
    bytes: &[u8],
    at: usize,
    read: impl Fn([u8; N]) -> Value,
) -> Result<Vec<Value>, Fault> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    match rest.is_empty() {
        true => Ok(chunks.iter().map(|chunk| read(*chunk)).collect()),
        false => Err(Fault::new(
            at,
            format!("expected numbers of {N} bytes each"),
        )),
    }
}

/// The number in 4 bytes, then one bit each, the highest bit of a byte first.
fn booleans(bytes: &[u8], at: usize) -> Result<Vec<Value>, Fault> {
    let split = bytes.split_first_chunk::<4>();
    let (count, bits) = split.ok_or_else(|| Fault::new(at, "expected the number of booleans"))?;
    let count = u32::from_le_bytes(*count) as usize;
    if count.div_ceil(8) != bits.len() {
        let message = format!(
            "expected {count} booleans, found {} bytes of them",
            bits.len()
        );
        return Err(Fault::new(at, message));
    }
    let bit = |index: usize| {
        bits.get(index / 8)
            .is_some_and(|byte| byte >> (7 - index % 8) & 1 != 0)
    };
    Ok((0..count).map(|index| Value::Bool(bit(index))).collect())
}

fn entry(entries: &mut Entries, name: &str, value: Value) {
    entries.push((name.into(), value));
}

/// A flag that is shown only when it is set.
fn flag(entries: &mut Entries, name: &str, set: u64) {
    if set != 0 {
        entry(entries, name, Value::Bool(true));
    }
}

fn integer(number: u64) -> Value {
    Value::Integer(number.into())
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::Text(text.into()),
        Err(_) => Value::Bytes(bytes.into()),
    }
}

/// A field with a number from the first extension number on is kept by its number;
/// one below it has the wrong wire type.
fn extension(
    entries: &mut Entries,
    (number, raw, at): (u32, Raw<'_>, usize),
    first: u32,
    of: &str,
) -> Result<(), Fault> {
    let value = match raw {
        _ if number < first => {
            let message = format!("expected field {number} of {of}, found {}", raw.name());
            return Err(Fault::new(at, message));
        }
        Raw::Varint(value) | Raw::Fixed64(value) => integer(value),
        Raw::Fixed32(value) => Value::Integer(value.into()),
        Raw::Bytes(bytes) | Raw::Group(bytes) => Value::Bytes(bytes.into()),
    };
    entry(entries, &number.to_string(), value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A birth message with metrics of these names and aliases.
    fn birth(metrics: &[(&str, u8)]) -> Vec<u8> {
        let metric = |(name, alias): &(&str, u8)| {
            let body = [&[0x0a, name.len() as u8], name.as_bytes(), &[0x10, *alias]].concat();
            [&[0x12, body.len() as u8], &body[..]].concat()
        };
        metrics.iter().flat_map(metric).collect()
    }

    #[test]
    fn aliases_beyond_the_limit_are_dropped_and_counted() {
        let mut aliases = Aliases {
            // Those of other edge nodes.
            count: limits::SPARKPLUG_ALIASES - 2,
            ..Aliases::default()
        };
        let topic = b"spBv1.0/plant/DBIRTH/edge/device";
        aliases.observe(topic, &birth(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]));
        let names = |aliases: &Aliases| {
            let known = aliases.of(topic).expect("an edge node");
            let mut names: Vec<_> = known.values().map(|known| known.name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(
            (names(&aliases), aliases.dropped()),
            (vec!["a".into(), "b".into()], 2)
        );
        // A new name for a known alias needs no room.
        aliases.observe(topic, &birth(&[("z", 1)]));
        assert_eq!(
            (names(&aliases), aliases.dropped()),
            (vec!["b".into(), "z".into()], 2)
        );
        assert_eq!(aliases.count, limits::SPARKPLUG_ALIASES);
    }
}
