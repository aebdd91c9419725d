//! [`Rows`]: rows of one table on their way into a file.
//!
//! Values are added column by column, in the order of the schema:
//!
//! ```text
//! rows.word("a.pcap"); rows.number(7); rows.time(t); …; rows.end();
//! ```

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, ListBuilder, StringBuilder, TimestampNanosecondBuilder,
    UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::schema::{Column, Kind, Table, VERSION};
use crate::net::Endpoint;
use crate::time::Timestamp;

/// Rows of a batch.
const FULL_ROWS: usize = 8192;
/// Bytes of text and payloads in a batch.
const FULL_BYTES: usize = 2 << 20;

/// The Arrow schema of a table.
pub fn arrow_schema(table: &Table) -> SchemaRef {
    let fields = table.columns.iter().map(field).collect::<Vec<_>>();
    let metadata = [
        ("mqttdump.schema_version", VERSION.to_string()),
        ("mqttdump.table", table.name.to_owned()),
    ];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value));
    Arc::new(Schema::new(fields).with_metadata(HashMap::from(metadata)))
}

fn field(column: &Column) -> Field {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    let data_type = match column.kind {
        Kind::U8 => DataType::UInt8,
        Kind::U16 => DataType::UInt16,
        Kind::U32 => DataType::UInt32,
        Kind::U64 => DataType::UInt64,
        Kind::Bool => DataType::Boolean,
        Kind::Text => DataType::Utf8,
        Kind::Bytes => DataType::Binary,
        Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        Kind::U64List => list(DataType::UInt64),
        Kind::TextList => list(DataType::Utf8),
    };
    let field = Field::new(column.name, data_type, column.optional);
    match column.unit {
        "" => field,
        unit => field.with_metadata(HashMap::from([("unit".to_owned(), unit.to_owned())])),
    }
}

/// Rows of a table that are not written yet.
#[derive(Debug)]
pub(super) struct Rows {
    schema: SchemaRef,
    columns: Vec<Values>,
    /// The column of the next value.
    at: usize,
    rows: usize,
    bytes: usize,
}

#[derive(Debug)]
enum Values {
    U8(UInt8Builder),
    U16(UInt16Builder),
    U32(UInt32Builder),
    U64(UInt64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Bytes(BinaryBuilder),
    Time(TimestampNanosecondBuilder),
    U64List(ListBuilder<UInt64Builder>),
    TextList(ListBuilder<StringBuilder>),
}

impl Values {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::U8 => Self::U8(UInt8Builder::with_capacity(0)),
            Kind::U16 => Self::U16(UInt16Builder::with_capacity(0)),
            Kind::U32 => Self::U32(UInt32Builder::with_capacity(0)),
            Kind::U64 => Self::U64(UInt64Builder::with_capacity(0)),
            Kind::Bool => Self::Bool(BooleanBuilder::with_capacity(0)),
            Kind::Text => Self::Text(StringBuilder::with_capacity(0, 0)),
            Kind::Bytes => Self::Bytes(BinaryBuilder::with_capacity(0, 0)),
            Kind::Time => {
                Self::Time(TimestampNanosecondBuilder::with_capacity(0).with_timezone("UTC"))
            }
            Kind::U64List => Self::U64List(ListBuilder::with_capacity(
                UInt64Builder::with_capacity(0),
                0,
            )),
            Kind::TextList => Self::TextList(ListBuilder::with_capacity(
                StringBuilder::with_capacity(0, 0),
                0,
            )),
        }
    }

    fn null(&mut self) {
        match self {
            Self::U8(values) => values.append_null(),
            Self::U16(values) => values.append_null(),
            Self::U32(values) => values.append_null(),
            Self::U64(values) => values.append_null(),
            Self::Bool(values) => values.append_null(),
            Self::Text(values) => values.append_null(),
            Self::Bytes(values) => values.append_null(),
            Self::Time(values) => values.append_null(),
            Self::U64List(values) => values.append(false),
            Self::TextList(values) => values.append(false),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::U8(values) => Arc::new(values.finish()),
            Self::U16(values) => Arc::new(values.finish()),
            Self::U32(values) => Arc::new(values.finish()),
            Self::U64(values) => Arc::new(values.finish()),
            Self::Bool(values) => Arc::new(values.finish()),
            Self::Text(values) => Arc::new(values.finish()),
            Self::Bytes(values) => Arc::new(values.finish()),
            Self::Time(values) => Arc::new(values.finish()),
            Self::U64List(values) => Arc::new(values.finish()),
            Self::TextList(values) => Arc::new(values.finish()),
        }
    }
}

impl Rows {
    /// No rows of this table.
    pub(super) fn new(table: &Table) -> Self {
        let columns = table.columns.iter();
        Self {
            schema: arrow_schema(table),
            columns: columns.map(|column| Values::new(column.kind)).collect(),
            at: 0,
            rows: 0,
            bytes: 0,
        }
    }

    /// The values of the next column.
    #[inline]
    fn next(&mut self) -> Option<&mut Values> {
        self.at += 1;
        let values = self.columns.get_mut(self.at - 1);
        debug_assert!(values.is_some(), "more values than columns");
        values
    }

    fn wrong(&self) {
        let field = self.schema.fields().get(self.at - 1);
        debug_assert!(false, "a value of another type for {field:?}");
    }

    /// A number, which fits by the meaning of the column.
    #[inline]
    pub(super) fn number(&mut self, number: impl Into<u64>) {
        let number = number.into();
        match self.next() {
            Some(Values::U64(values)) => values.append_value(number),
            Some(Values::U32(values)) => values.append_value(number as u32),
            Some(Values::U16(values)) => values.append_value(number as u16),
            Some(Values::U8(values)) => values.append_value(number as u8),
            _ => self.wrong(),
        }
    }

    /// A number, if there is one.
    #[inline]
    pub(super) fn optional(&mut self, number: Option<impl Into<u64>>) {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    /// No value.
    #[inline]
    pub(super) fn null(&mut self) {
        if let Some(values) = self.next() {
            values.null();
        }
    }

    /// True or false.
    #[inline]
    pub(super) fn flag(&mut self, flag: bool) {
        match self.next() {
            Some(Values::Bool(values)) => values.append_value(flag),
            _ => self.wrong(),
        }
    }

    /// True or false, if known.
    #[inline]
    pub(super) fn optional_flag(&mut self, flag: Option<bool>) {
        match flag {
            Some(flag) => self.flag(flag),
            None => self.null(),
        }
    }

    /// A text of ours.
    #[inline]
    pub(super) fn word(&mut self, word: &str) {
        self.bytes += word.len();
        match self.next() {
            Some(Values::Text(values)) => values.append_value(word),
            _ => self.wrong(),
        }
    }

    /// A text of ours, if there is one.
    #[inline]
    pub(super) fn optional_word(&mut self, word: Option<&str>) {
        match word {
            Some(word) => self.word(word),
            None => self.null(),
        }
    }

    /// A text from the wire, if there is one.
    #[inline]
    pub(super) fn text(&mut self, text: Option<&[u8]>) {
        match text.map(std::str::from_utf8) {
            Some(Ok(text)) => self.word(text),
            Some(Err(_)) => self.word(&String::from_utf8_lossy(text.unwrap_or_default())),
            None => self.null(),
        }
    }

    /// Any bytes.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        match self.next() {
            Some(Values::Bytes(values)) => values.append_value(bytes),
            _ => self.wrong(),
        }
    }

    /// A point in time.
    #[inline]
    pub(super) fn time(&mut self, time: Timestamp) {
        match self.next() {
            Some(Values::Time(values)) => values.append_value(time.nanos()),
            _ => self.wrong(),
        }
    }

    /// A point in time, if known.
    #[inline]
    pub(super) fn optional_time(&mut self, time: Option<Timestamp>) {
        match time {
            Some(time) => self.time(time),
            None => self.null(),
        }
    }

    /// A duration in nanoseconds, if known.
    #[inline]
    pub(super) fn nanos(&mut self, time: Option<std::time::Duration>) {
        self.optional(time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
    }

    /// An address, and a port.
    pub(super) fn endpoint(&mut self, endpoint: Endpoint) {
        use std::fmt::Write;
        self.bytes += 16;
        match self.next() {
            // Into memory: it does not fail.
            Some(Values::Text(values)) => {
                let _ = write!(values, "{}", endpoint.addr);
                values.append_value("");
            }
            _ => self.wrong(),
        }
        self.number(endpoint.port);
    }

    /// A list of numbers.
    pub(super) fn numbers(&mut self, numbers: impl Iterator<Item = u64>) {
        match self.next() {
            Some(Values::U64List(values)) => {
                numbers.for_each(|number| values.values().append_value(number));
                values.append(true);
            }
            _ => self.wrong(),
        }
    }

    /// A list of texts.
    pub(super) fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        let mut bytes = 0;
        match self.next() {
            Some(Values::TextList(values)) => {
                for text in texts {
                    bytes += text.len();
                    values.values().append_value(String::from_utf8_lossy(text));
                }
                values.append(true);
            }
            _ => self.wrong(),
        }
        self.bytes += bytes;
    }

    /// The row is complete.
    #[inline]
    pub(super) fn end(&mut self) {
        debug_assert_eq!(self.at, self.columns.len(), "values of a row");
        self.at = 0;
        self.rows += 1;
    }

    /// Whether it is time to write them.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.rows >= FULL_ROWS || self.bytes >= FULL_BYTES
    }

    /// Takes the rows; `None` if there are none.
    pub(super) fn take(&mut self) -> Option<RecordBatch> {
        if self.rows == 0 {
            return None;
        }
        (self.rows, self.bytes) = (0, 0);
        let columns = self.columns.iter_mut().map(Values::finish).collect();
        let batch = RecordBatch::try_new(self.schema.clone(), columns);
        debug_assert!(batch.is_ok(), "{batch:?}");
        batch.ok()
    }
}
