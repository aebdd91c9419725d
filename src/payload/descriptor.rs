//! Descriptor sets, written by `protoc --include_imports -o FILE.desc`. Only what
//! decoding needs is kept.
//!
//! The numbers are those of `google/protobuf/descriptor.proto`.

use std::collections::HashMap;

use super::fault::Fault;
use super::wire::{Fields, Raw};

/// Message and enum types by full name, such as `plant.v1.Reading`.
#[derive(Clone, Debug, Default)]
pub struct Schema {
    pub(super) messages: Vec<Message>,
    pub(super) enums: Vec<Enum>,
    by_name: HashMap<Box<str>, Type>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Message(usize),
    Enum(usize),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Message {
    pub(super) name: Box<str>,
    pub(super) fields: HashMap<u32, FieldType>,
    /// An entry of a map field.
    pub(super) is_map_entry: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Enum {
    pub(super) values: HashMap<i32, Box<str>>,
}

#[derive(Clone, Debug)]
pub(super) struct FieldType {
    pub(super) name: Box<str>,
    pub(super) repeated: bool,
    pub(super) kind: Kind,
    /// The oneof that it is a member of, by its number in the message.
    pub(super) oneof: Option<u32>,
}

/// The types of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int64,
    UInt64,
    Int32,
    Fixed64,
    Fixed32,
    Bool,
    String,
    /// An index into [`Schema::messages`].
    Group(usize),
    Message(usize),
    Bytes,
    UInt32,
    /// An index into [`Schema::enums`].
    Enum(usize),
    SFixed32,
    SFixed64,
    SInt32,
    SInt64,
}

impl Kind {
    /// As a `.proto` file spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Double => "double",
            Self::Float => "float",
            Self::Int64 => "int64",
            Self::UInt64 => "uint64",
            Self::Int32 => "int32",
            Self::Fixed64 => "fixed64",
            Self::Fixed32 => "fixed32",
            Self::Bool => "bool",
            Self::String => "string",
            Self::Group(_) => "a group",
            Self::Message(_) => "a message",
            Self::Bytes => "bytes",
            Self::UInt32 => "uint32",
            Self::Enum(_) => "an enum",
            Self::SFixed32 => "sfixed32",
            Self::SFixed64 => "sfixed64",
            Self::SInt32 => "sint32",
            Self::SInt64 => "sint64",
        }
    }
}

/// A field whose type is not resolved yet.
struct Pending {
    message: usize,
    number: u32,
    field: FieldType,
    type_number: u64,
    type_name: Box<str>,
}

impl Schema {
    /// Reads a FileDescriptorSet.
    pub fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let mut schema = Self::default();
        let mut pending = Vec::new();
        each(bytes, 0, |number, raw, at| match (number, raw) {
            (1, Raw::Bytes(file)) => schema.file(file, at, &mut pending),
            _ => Ok(()),
        })?;
        if schema.messages.is_empty() {
            return Err(Fault::new(
                0,
                "expected a descriptor set, found no message type",
            ));
        }
        for Pending {
            message,
            number,
            mut field,
            type_number,
            type_name,
        } in pending
        {
            let kind = schema.kind(type_number, &type_name).ok_or_else(|| {
                let message = format!(
                    "field {} is of type {type_name:?}, which is not in the descriptor set; \
                     write it with protoc --include_imports",
                    field.name
                );
                Fault::new(0, message)
            })?;
            field.kind = kind;
            if let Some(message) = schema.messages.get_mut(message) {
                message.fields.insert(number, field);
            }
        }
        Ok(schema)
    }

    /// The message type of a full name.
    pub(super) fn message(&self, name: &str) -> Option<usize> {
        match self.by_name.get(name.trim_start_matches('.'))? {
            Type::Message(index) => Some(*index),
            Type::Enum(_) => None,
        }
    }

    /// The full names of all message types, map entries left out.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let messages = self.messages.iter().filter(|message| !message.is_map_entry);
        messages.map(|message| &*message.name)
    }

    fn kind(&self, number: u64, type_name: &str) -> Option<Kind> {
        let named = self.by_name.get(type_name.trim_start_matches('.'));
        Some(match number {
            1 => Kind::Double,
            2 => Kind::Float,
            3 => Kind::Int64,
            4 => Kind::UInt64,
            5 => Kind::Int32,
            6 => Kind::Fixed64,
            7 => Kind::Fixed32,
            8 => Kind::Bool,
            9 => Kind::String,
            12 => Kind::Bytes,
            13 => Kind::UInt32,
            15 => Kind::SFixed32,
            16 => Kind::SFixed64,
            17 => Kind::SInt32,
            18 => Kind::SInt64,
            _ => match (number, named?) {
                (10, Type::Message(index)) => Kind::Group(*index),
                (11, Type::Message(index)) => Kind::Message(*index),
                (14, Type::Enum(index)) => Kind::Enum(*index),
                _ => return None,
            },
        })
    }

    fn file(&mut self, bytes: &[u8], at: usize, pending: &mut Vec<Pending>) -> Result<(), Fault> {
        let mut package = "";
        each(bytes, at, |number, raw, at| {
            if let (2, Raw::Bytes(name)) = (number, raw) {
                package = text(name, at)?;
            }
            Ok(())
        })?;
        each(bytes, at, |number, raw, at| match (number, raw) {
            (4, Raw::Bytes(message)) => self.add_message(message, at, package, 0, pending),
            (5, Raw::Bytes(values)) => self.add_enum(values, at, package),
            _ => Ok(()),
        })
    }

    fn add_message(
        &mut self,
        bytes: &[u8],
        at: usize,
        scope: &str,
        depth: usize,
        pending: &mut Vec<Pending>,
    ) -> Result<(), Fault> {
        if depth > crate::limits::PAYLOAD_DEPTH {
            return Err(Fault::new(at, "message types are nested too deeply"));
        }
        let name = full_name(bytes, at, scope)?;
        let index = self.messages.len();
        self.messages.push(Message {
            name: name.clone(),
            ..Message::default()
        });
        self.by_name.insert(name.clone(), Type::Message(index));
        each(bytes, at, |number, raw, at| {
            match (number, raw) {
                (2, Raw::Bytes(field)) => pending.push(field_type(field, at, index)?),
                (3, Raw::Bytes(message)) => {
                    self.add_message(message, at, &name, depth + 1, pending)?;
                }
                (4, Raw::Bytes(values)) => self.add_enum(values, at, &name)?,
                (7, Raw::Bytes(options)) => {
                    let map_entry = varint_of(options, at, 7)?.is_some_and(|set| set != 0);
                    if let Some(message) = self.messages.get_mut(index) {
                        message.is_map_entry = map_entry;
                    }
                }
                _ => {}
            }
            Ok(())
        })
    }

    fn add_enum(&mut self, bytes: &[u8], at: usize, scope: &str) -> Result<(), Fault> {
        let own_name = full_name(bytes, at, scope)?;
        let mut values = HashMap::new();
        each(bytes, at, |number, raw, at| {
            if let (2, Raw::Bytes(value)) = (number, raw) {
                let number = varint_of(value, at, 2)?.unwrap_or(0) as i32;
                // The first of several names of one number.
                let name = name(value, at)?.into();
                values.entry(number).or_insert(name);
            }
            Ok(())
        })?;
        let index = self.enums.len();
        self.by_name.insert(own_name, Type::Enum(index));
        self.enums.push(Enum { values });
        Ok(())
    }
}

fn field_type(bytes: &[u8], at: usize, message: usize) -> Result<Pending, Fault> {
    let mut field = Pending {
        message,
        number: 0,
        field: FieldType {
            name: name(bytes, at)?.into(),
            repeated: false,
            kind: Kind::Bytes,
            oneof: None,
        },
        type_number: 0,
        type_name: Box::default(),
    };
    each(bytes, at, |number, raw, at| {
        match (number, raw) {
            (3, Raw::Varint(number)) => field.number = number as u32,
            (4, Raw::Varint(label)) => field.field.repeated = label == 3,
            (5, Raw::Varint(number)) => field.type_number = number,
            (9, Raw::Varint(index)) => field.field.oneof = Some(index as u32),
            (6, Raw::Bytes(name)) => field.type_name = text(name, at)?.into(),
            _ => {}
        }
        Ok(())
    })?;
    Ok(field)
}

/// The name in a descriptor, which is field 1 of all descriptors.
fn name(bytes: &[u8], at: usize) -> Result<&str, Fault> {
    let mut name = "";
    each(bytes, at, |number, raw, at| {
        if let (1, Raw::Bytes(bytes)) = (number, raw) {
            name = text(bytes, at)?;
        }
        Ok(())
    })?;
    Ok(name)
}

/// The name of a type in its scope.
fn full_name(bytes: &[u8], at: usize, scope: &str) -> Result<Box<str>, Fault> {
    let name = name(bytes, at)?;
    Ok(match scope {
        "" => name.into(),
        scope => format!("{scope}.{name}").into(),
    })
}

fn varint_of(bytes: &[u8], at: usize, wanted: u32) -> Result<Option<u64>, Fault> {
    let mut found = None;
    each(bytes, at, |number, raw, _| {
        if let (true, Raw::Varint(value)) = (number == wanted, raw) {
            found = Some(value);
        }
        Ok(())
    })?;
    Ok(found)
}

fn text(bytes: &[u8], at: usize) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::new(at, "expected a name in UTF-8"))
}

fn each<'a>(
    bytes: &'a [u8],
    base: usize,
    mut visit: impl FnMut(u32, Raw<'a>, usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut fields = Fields::new(bytes, base);
    while !fields.is_over() {
        let field = fields.next()?;
        visit(field.number, field.value, field.offset)?;
    }
    Ok(())
}
