//! Protocol Buffers by a message type of a descriptor set.
//!
//! Fields have their names, enums the names of their values, maps are maps. A
//! field that the type does not have keeps its number as name, and its value as
//! it was on the wire. Fields that are absent are absent: no defaults.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::descriptor::{FieldType, Kind, Schema};
use super::fault::{Budget, Fault};
use super::value::Value;
use super::wire::{Field, Fields, Raw, packed_varints};

/// A message type of a descriptor set.
#[derive(Clone, Debug)]
pub struct MessageType {
    schema: Arc<Schema>,
    root: usize,
}

/// A message type that a descriptor set does not have.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the descriptor set has no message type {name:?}; it has {}", known.join(", "))]
pub struct UnknownType {
    /// The name that was looked for.
    pub name: String,
    /// The first of those that are there.
    pub known: Vec<String>,
}

impl MessageType {
    /// The type with a full name, such as `plant.v1.Reading`. The error lists the known
    /// ones.
    pub fn new(schema: Arc<Schema>, name: &str) -> Result<Self, UnknownType> {
        match schema.message(name) {
            Some(root) => Ok(Self { schema, root }),
            None => Err(UnknownType {
                name: name.to_owned(),
                known: schema.names().take(20).map(str::to_owned).collect(),
            }),
        }
    }

    /// Decodes a payload that is one message.
    pub(super) fn decode(&self, bytes: &[u8]) -> Result<Value, Fault> {
        self.message(&[(bytes, 0)], self.root, &mut Budget::new())
    }

    /// A message in chunks: a field of message type that occurs more than once is one
    /// message in several chunks, each with its offset.
    fn message(
        &self,
        parts: &[(&[u8], usize)],
        index: usize,
        budget: &mut Budget,
    ) -> Result<Value, Fault> {
        let start = parts.first().map_or(0, |(_, at)| *at);
        budget.enter(start)?;
        let known = self
            .schema
            .messages
            .get(index)
            .map(|message| &message.fields);
        let mut building = Building::default();
        for (bytes, base) in parts {
            let mut fields = Fields::new(bytes, *base);
            while !fields.is_over() {
                let field = fields.next()?;
                budget.value(field.offset)?;
                match known.and_then(|known| known.get(&field.number)) {
                    Some(known) => self.known(field, known, &mut building, budget)?,
                    None => {
                        let value = unknown(field.value, field.offset, budget)?;
                        building.unknown(field.number, value);
                    }
                }
            }
        }
        for (at, index, parts) in std::mem::take(&mut building.messages).into_values() {
            let value = self.message(&parts, index, budget)?;
            if let Some((_, placeholder)) = building.entries.get_mut(at) {
                *placeholder = value;
            }
        }
        budget.leave();
        Ok(Value::Map(building.finish()))
    }

    fn known<'a>(
        &self,
        field: Field<'a>,
        known: &FieldType,
        building: &mut Building<'a>,
        budget: &mut Budget,
    ) -> Result<(), Fault> {
        let (number, at) = (field.number, field.offset);
        if let Some(oneof) = known.oneof {
            building.choose(oneof, number);
        }
        let message = match (known.kind, field.value) {
            (Kind::Message(index), Raw::Bytes(bytes)) | (Kind::Group(index), Raw::Group(bytes)) => {
                Some((index, bytes))
            }
            _ => None,
        };
        if let Some((index, bytes)) = message {
            if !known.repeated {
                building.part(number, &known.name, index, (bytes, at));
                return Ok(());
            }
            let value = self.message(&[(bytes, at)], index, budget)?;
            let is_entry = self
                .schema
                .messages
                .get(index)
                .is_some_and(|m| m.is_map_entry);
            match is_entry {
                true => {
                    let (key, value) = self.map_entry(value, index);
                    building.entry(number, &known.name, key, value);
                }
                false => building.push(number, &known.name, value),
            }
            return Ok(());
        }
        // Lists of numbers may be packed, whatever the descriptor says.
        if let (true, Raw::Bytes(bytes)) = (known.repeated, field.value)
            && let Some(values) = self.packed(bytes, at, known.kind)?
        {
            for value in values {
                budget.value(at)?;
                building.push(number, &known.name, value);
            }
            return Ok(());
        }
        let value = self.scalar(known.kind, field.value).ok_or_else(|| {
            let (kind, raw) = (known.kind.name(), field.value.name());
            Fault::new(
                at,
                format!("expected {kind} for {}, found {raw}", known.name),
            )
        })?;
        match known.repeated {
            true => building.push(number, &known.name, value),
            false => building.set(number, &known.name, value),
        }
        Ok(())
    }

    /// A value that is no message.
    fn scalar(&self, kind: Kind, raw: Raw<'_>) -> Option<Value> {
        Some(match (kind, raw) {
            (Kind::Double, Raw::Fixed64(bits)) => Value::Double(f64::from_bits(bits)),
            (Kind::Float, Raw::Fixed32(bits)) => Value::Single(f32::from_bits(bits)),
            (Kind::Int64, Raw::Varint(value)) => Value::Integer((value as i64).into()),
            (Kind::UInt64, Raw::Varint(value)) => Value::Integer(value.into()),
            // Negative ones are written with 64 bits.
            (Kind::Int32, Raw::Varint(value)) => Value::Integer((value as i32).into()),
            (Kind::UInt32, Raw::Varint(value)) => Value::Integer((value as u32).into()),
            (Kind::SInt32, Raw::Varint(value)) => {
                let value = value as u32;
                Value::Integer(((value >> 1) as i32 ^ -((value & 1) as i32)).into())
            }
            (Kind::SInt64, Raw::Varint(value)) => {
                Value::Integer(((value >> 1) as i64 ^ -((value & 1) as i64)).into())
            }
            (Kind::Fixed64, Raw::Fixed64(value)) => Value::Integer(value.into()),
            (Kind::Fixed32, Raw::Fixed32(value)) => Value::Integer(value.into()),
            (Kind::SFixed64, Raw::Fixed64(value)) => Value::Integer((value as i64).into()),
            (Kind::SFixed32, Raw::Fixed32(value)) => Value::Integer((value as i32).into()),
            (Kind::Bool, Raw::Varint(value)) => Value::Bool(value != 0),
            (Kind::Enum(index), Raw::Varint(value)) => {
                let number = value as i32;
                let names = &self.schema.enums.get(index)?.values;
                match names.get(&number) {
                    Some(name) => Value::Text(name.clone()),
                    None => Value::Integer(number.into()),
                }
            }
            (Kind::String, Raw::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => Value::Text(text.into()),
                Err(_) => Value::Bytes(bytes.into()),
            },
            (Kind::Bytes, Raw::Bytes(bytes)) => Value::Bytes(bytes.into()),
            _ => return None,
        })
    }

    /// Packed numbers; `None` for types that are never packed.
    fn packed(&self, bytes: &[u8], at: usize, kind: Kind) -> Result<Option<Vec<Value>>, Fault> {
        let raws: Vec<Raw<'_>> = match kind {
            Kind::Double | Kind::Fixed64 | Kind::SFixed64 => {
                let (chunks, rest) = bytes.as_chunks::<8>();
                if !rest.is_empty() {
                    return Err(Fault::new(at, "expected numbers of 8 bytes each"));
                }
                let numbers = chunks.iter().map(|chunk| u64::from_le_bytes(*chunk));
                numbers.map(Raw::Fixed64).collect()
            }
            Kind::Float | Kind::Fixed32 | Kind::SFixed32 => {
                let (chunks, rest) = bytes.as_chunks::<4>();
                if !rest.is_empty() {
                    return Err(Fault::new(at, "expected numbers of 4 bytes each"));
                }
                let numbers = chunks.iter().map(|chunk| u32::from_le_bytes(*chunk));
                numbers.map(Raw::Fixed32).collect()
            }
            Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Group(_) => return Ok(None),
            _ => packed_varints(bytes, at)?
                .into_iter()
                .map(Raw::Varint)
                .collect(),
        };
        Ok(raws.into_iter().map(|raw| self.scalar(kind, raw)).collect())
    }

    /// Key and value of a map entry; missing ones are the default of their type.
    fn map_entry(&self, entry: Value, index: usize) -> (Box<str>, Value) {
        let (mut key, mut value) = (None, None);
        if let Value::Map(parts) = entry {
            for (name, part) in parts {
                match &*name {
                    "key" => key = Some(part),
                    "value" => value = Some(part),
                    _ => {}
                }
            }
        }
        let fields = self
            .schema
            .messages
            .get(index)
            .map(|message| &message.fields);
        let default = |number: u32| {
            let field = fields.and_then(|fields| fields.get(&number));
            field.map_or(Value::Null, |field| self.default(field.kind))
        };
        (
            key.unwrap_or_else(|| default(1)).into_name(),
            value.unwrap_or_else(|| default(2)),
        )
    }

    fn default(&self, kind: Kind) -> Value {
        match kind {
            Kind::Double => Value::Double(0.0),
            Kind::Float => Value::Single(0.0),
            Kind::Bool => Value::Bool(false),
            Kind::String => Value::Text("".into()),
            Kind::Bytes => Value::Bytes([].into()),
            Kind::Message(_) | Kind::Group(_) => Value::Map(Vec::new()),
            Kind::Enum(_) => self
                .scalar(kind, Raw::Varint(0))
                .unwrap_or(Value::Integer(0)),
            _ => Value::Integer(0),
        }
    }
}

/// An unknown field.
fn unknown(raw: Raw<'_>, at: usize, budget: &mut Budget) -> Result<Value, Fault> {
    Ok(match raw {
        Raw::Varint(value) | Raw::Fixed64(value) => Value::Integer(value.into()),
        Raw::Fixed32(value) => Value::Integer(value.into()),
        Raw::Bytes(bytes) => Value::Bytes(bytes.into()),
        Raw::Group(bytes) => {
            budget.enter(at)?;
            let mut building = Building::default();
            let mut fields = Fields::new(bytes, at);
            while !fields.is_over() {
                let field = fields.next()?;
                budget.value(field.offset)?;
                let value = unknown(field.value, field.offset, budget)?;
                building.unknown(field.number, value);
            }
            budget.leave();
            Value::Map(building.entries)
        }
    })
}

/// Chunks of a message: their bytes and offsets.
type Parts<'a> = Vec<(&'a [u8], usize)>;

/// Builds a message. Fields are found by number, however many there are.
#[derive(Default)]
struct Building<'a> {
    entries: Vec<(Box<str>, Value)>,
    /// Where the value of a field is in `entries`.
    by_number: HashMap<u32, usize>,
    /// Messages whose chunks are still collected: the index of the value, its type,
    /// its chunks.
    messages: BTreeMap<u32, (usize, usize, Parts<'a>)>,
    /// Where the value of a name is, in the map that is a field.
    map_names: HashMap<(u32, Box<str>), usize>,
    /// The member of each oneof that was last set.
    chosen: HashMap<u32, u32>,
    /// Entries of members that another member of their oneof replaced.
    replaced: BTreeSet<usize>,
}

impl<'a> Building<'a> {
    /// The value of a field, which is `first` if it is new.
    fn value(&mut self, number: u32, name: &str, first: Value) -> (&mut Value, bool) {
        let known = self.by_number.get(&number).copied();
        let at = known.unwrap_or(self.entries.len());
        if known.is_none() {
            self.by_number.insert(number, at);
            self.entries.push((name.into(), first));
        }
        // `at` is the last index, or one that was.
        (&mut self.entries[at].1, known.is_none())
    }

    /// Of a oneof the last member counts.
    fn choose(&mut self, oneof: u32, number: u32) {
        let before = self.chosen.insert(oneof, number);
        if let Some(before) = before.filter(|before| *before != number) {
            self.messages.remove(&before);
            self.replaced.extend(self.by_number.remove(&before));
        }
    }

    fn finish(self) -> Vec<(Box<str>, Value)> {
        if self.replaced.is_empty() {
            return self.entries;
        }
        let entries = self.entries.into_iter().enumerate();
        let kept = entries.filter(|(at, _)| !self.replaced.contains(at));
        kept.map(|(_, entry)| entry).collect()
    }

    /// The last value counts.
    fn set(&mut self, number: u32, name: &str, value: Value) {
        *self.value(number, name, Value::Null).0 = value;
    }

    fn push(&mut self, number: u32, name: &str, value: Value) {
        if let (Value::List(items), _) = self.value(number, name, Value::List(Vec::new())) {
            items.push(value);
        }
    }

    /// Adds a value of an unknown field: two make a list.
    fn unknown(&mut self, number: u32, value: Value) {
        match self.value(number, &number.to_string(), Value::Null) {
            (slot, true) => *slot = value,
            (Value::List(items), false) => items.push(value),
            (slot, false) => {
                let first = std::mem::replace(slot, Value::Null);
                *slot = Value::List(vec![first, value]);
            }
        }
    }

    fn part(&mut self, number: u32, name: &str, index: usize, part: (&'a [u8], usize)) {
        self.value(number, name, Value::Null);
        let at = self.by_number.get(&number).copied().unwrap_or_default();
        let (_, _, parts) = self
            .messages
            .entry(number)
            .or_insert_with(|| (at, index, Vec::new()));
        parts.push(part);
    }

    fn entry(&mut self, number: u32, name: &str, key: Box<str>, value: Value) {
        let known = self.map_names.get(&(number, key.clone())).copied();
        let (map, _) = self.value(number, name, Value::Map(Vec::new()));
        let Value::Map(map) = map else { return };
        match known.and_then(|at| map.get_mut(at)) {
            Some((_, slot)) => *slot = value,
            None => {
                let at = map.len();
                map.push((key.clone(), value));
                self.map_names.insert((number, key), at);
            }
        }
    }
}
