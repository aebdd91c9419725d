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
    BinaryBuilder, BooleanBuilder, StringBuilder, TimestampNanosecondBuilder, UInt8Builder,
    UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};

use super::column::{Column, Store};
use super::schema::{Column as Described, Kind, Table, VERSION};
use crate::identity::ExchangeId;
use crate::net::Endpoint;
use crate::time::Timestamp;

/// Most rows of a row group.
const MOST_ROWS: u32 = 1 << 20;
/// Memory of a row group.
const MOST_BYTES: usize = 4 << 20;
/// How often memory is measured.
const MEASURED_ROWS: u32 = 512;
/// Bytes of texts, payloads and lists between two measurements.
const MEASURED_BYTES: usize = 256 << 10;

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

fn field(column: &Described) -> Field {
    let list = |item| DataType::List(Arc::new(Field::new_list_field(item, true)));
    let data_type = match column.kind {
        Kind::U8 => DataType::UInt8,
        Kind::U16 => DataType::UInt16,
        Kind::U32 => DataType::UInt32,
        Kind::U64 | Kind::Digest => DataType::UInt64,
        Kind::Bool => DataType::Boolean,
        Kind::Text | Kind::Exchange => DataType::Utf8,
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
pub struct Rows {
    table: &'static Table,
    columns: Vec<Column>,
    /// The column of the next value.
    at: usize,
    /// How many rows have the next values.
    times: u32,
    rows: u32,
    /// From how many rows on memory is measured again.
    measured: u32,
    /// Bytes of lists, and of what was added since memory was measured.
    lists: usize,
    more: usize,
    is_full: bool,
    /// What the connection of the last row is known by; 0 at the beginning.
    stamp: u64,
}

impl Rows {
    /// No rows of this table.
    pub(super) fn new(table: &'static Table) -> Self {
        Self {
            table,
            columns: table.columns.iter().map(Column::new).collect(),
            at: 0,
            times: 1,
            rows: 0,
            measured: MEASURED_ROWS,
            lists: 0,
            more: 0,
            is_full: false,
            stamp: 0,
        }
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        (self.rows, self.measured) = (0, MEASURED_ROWS);
        (self.lists, self.more, self.stamp) = (0, 0, 0);
        self.is_full = false;
    }

    /// The table.
    pub(super) const fn table(&self) -> &'static Table {
        self.table
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.rows
    }

    /// The columns that have no lists; lists as an array.
    pub(super) fn columns(&mut self) -> impl Iterator<Item = Result<&Column, ArrayRef>> {
        self.columns.iter_mut().map(|column| match lists(column) {
            Some(lists) => Err(lists),
            None => Ok(&*column),
        })
    }

    /// The values that follow are those of so many rows.
    pub(super) fn times(&mut self, rows: u32) {
        self.times = rows;
    }

    /// The values that follow are those of one row, from this column on.
    #[inline]
    pub(super) fn start_at(&mut self, at: usize) {
        (self.at, self.times) = (at, 1);
    }

    /// The next column, and how many rows have its value.
    #[inline]
    fn next(&mut self) -> (&mut Column, u32) {
        self.at += 1;
        (&mut self.columns[self.at - 1], self.times)
    }

    /// A number, which fits by the meaning of the column.
    #[inline]
    pub(super) fn number(&mut self, number: impl Into<u64>) {
        let (column, rows) = self.next();
        column.push(number.into(), rows);
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
        let (column, rows) = self.next();
        column.push_null(rows);
    }

    /// True or false.
    #[inline]
    pub(super) fn flag(&mut self, flag: bool) {
        self.number(flag);
    }

    /// True or false, if known.
    #[inline]
    pub(super) fn optional_flag(&mut self, flag: Option<bool>) {
        self.optional(flag);
    }

    /// A text that is shared.
    #[inline]
    pub(super) fn shared(&mut self, text: &Arc<str>) {
        let (column, rows) = self.next();
        column.push_shared(text, rows);
    }

    /// A text that is shared, if there is one.
    #[inline]
    pub(super) fn optional_shared(&mut self, text: Option<&Arc<str>>) {
        match text {
            Some(text) => self.shared(text),
            None => self.null(),
        }
    }

    /// A name of the program.
    #[inline]
    pub(super) fn name(&mut self, name: &'static str) {
        let (column, rows) = self.next();
        column.push_name(name, rows);
    }

    /// A name of the program, if there is one.
    #[inline]
    pub(super) fn optional_name(&mut self, name: Option<&'static str>) {
        match name {
            Some(name) => self.name(name),
            None => self.null(),
        }
    }

    /// The values of the next columns: those of the row before if `is_same`, else those
    /// that `add` adds.
    #[inline]
    pub(super) fn group<const N: usize>(&mut self, is_same: bool, add: impl FnOnce(&mut Self)) {
        let end = self.at + N;
        if is_same {
            for column in &mut self.columns[self.at..end] {
                column.runs.repeat(self.times);
            }
            self.at = end;
        } else {
            add(self);
            debug_assert_eq!(self.at, end, "columns of a group");
        }
    }

    /// Whether the row before belongs to the same connection, of which the same is known:
    /// [`Info::stamp`](super::known::Info::stamp).
    #[inline]
    pub(super) fn has_same(&mut self, stamp: u64) -> bool {
        std::mem::replace(&mut self.stamp, stamp) == stamp
    }

    /// A text.
    #[inline]
    pub(super) fn word(&mut self, word: &str) {
        let (column, rows) = self.next();
        column.push_text(word.as_bytes(), rows);
    }

    /// A text, if there is one.
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
        let Some(text) = text else {
            return self.null();
        };
        self.more += text.len();
        let (column, rows) = self.next();
        column.push_wire_text(text, rows);
    }

    /// The identity of an exchange on a connection, if there is one.
    #[inline]
    pub(super) fn exchange(&mut self, connection_uid: &str, id: Option<ExchangeId>) {
        let (column, rows) = self.next();
        match id {
            Some(id) => column.push_exchange(connection_uid, id, rows),
            None => column.push_null(rows),
        }
    }

    /// Any bytes.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.more += bytes.len();
        self.next().0.push_bytes(bytes);
    }

    /// A point in time.
    #[inline]
    pub(super) fn time(&mut self, time: Timestamp) {
        self.number(time.nanos() as u64);
    }

    /// A point in time, if known.
    #[inline]
    pub(super) fn optional_time(&mut self, time: Option<Timestamp>) {
        self.optional(time.map(|time| time.nanos() as u64));
    }

    /// A duration in nanoseconds, if known.
    #[inline]
    pub(super) fn nanos(&mut self, time: Option<std::time::Duration>) {
        self.optional(time.map(|time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)));
    }

    /// An address, and a port.
    #[inline]
    pub(super) fn endpoint(&mut self, endpoint: Endpoint) {
        let (column, rows) = self.next();
        column.push_address(endpoint.addr, rows);
        self.number(endpoint.port);
    }

    /// A list of numbers.
    pub(super) fn numbers(&mut self, numbers: impl Iterator<Item = u64>) {
        let count = self.next().0.push_numbers(numbers);
        self.list(8 * count);
    }

    /// A list of texts.
    pub(super) fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        let bytes = self.next().0.push_texts(texts);
        self.list(bytes);
    }

    fn list(&mut self, bytes: usize) {
        self.lists += bytes + 16;
        self.more += bytes + 16;
    }

    /// The row is complete.
    #[inline]
    pub(super) fn end(&mut self) {
        self.end_all(1);
    }

    /// So many rows are complete.
    #[inline]
    pub(super) fn end_all(&mut self, rows: u32) {
        debug_assert_eq!(self.at, self.columns.len(), "values of a row");
        (self.at, self.times) = (0, 1);
        self.rows += rows;
        if self.rows >= self.measured || self.more >= MEASURED_BYTES {
            self.measure();
        }
    }

    #[cold]
    fn measure(&mut self) {
        self.measured = self.rows + MEASURED_ROWS;
        self.more = 0;
        self.is_full = self.rows >= MOST_ROWS || self.memory() >= MOST_BYTES;
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let columns = self.columns.iter().map(Column::memory).sum::<usize>();
        columns + self.lists
    }

    /// Whether it is time to write them.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// As Arrow has them.
    pub(super) fn record_batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let columns = self.columns.iter_mut().zip(self.table.columns);
        let columns = columns.map(|(column, described)| array(column, described.kind));
        RecordBatch::try_new(arrow_schema(self.table), columns.collect())
    }
}

/// The lists of a column, if it has any.
fn lists(column: &mut Column) -> Option<ArrayRef> {
    match &mut column.store {
        Store::NumberLists(lists, nulls) => {
            (0..std::mem::take(nulls)).for_each(|_| lists.append(false));
            Some(Arc::new(lists.finish()))
        }
        Store::TextLists(lists, nulls) => {
            (0..std::mem::take(nulls)).for_each(|_| lists.append(false));
            Some(Arc::new(lists.finish()))
        }
        _ => None,
    }
}

/// A column as an array.
fn array(column: &mut Column, kind: Kind) -> ArrayRef {
    if let Some(lists) = lists(column) {
        return lists;
    }
    let runs = &column.runs;
    /// Appends each value as often as rows have it.
    macro_rules! fill {
        ($builder:expr, $value:expr) => {{
            let mut builder = $builder;
            for run in runs.iter() {
                let value = (!run.is_null).then(|| $value(run.value));
                (0..run.rows).for_each(|_| builder.append_option(value.as_ref().cloned()));
            }
            Arc::new(builder.finish())
        }};
    }
    match &column.store {
        Store::Texts(texts, _) => fill!(StringBuilder::new(), |number| {
            String::from_utf8_lossy(texts.get(number))
        }),
        Store::Exchanges(exchanges) => fill!(StringBuilder::new(), |number| {
            let (uid, _, id) = exchanges.get(number);
            id.uid(&String::from_utf8_lossy(uid))
        }),
        Store::Bytes(bytes) => {
            let mut builder = BinaryBuilder::new();
            let mut rest = &bytes[..];
            for run in runs.iter() {
                for _ in 0..run.rows {
                    match rest.split_first_chunk() {
                        Some((length, after)) if !run.is_null => {
                            let length = u32::from_le_bytes(*length) as usize;
                            let (value, after) = after.split_at(length);
                            builder.append_value(value);
                            rest = after;
                        }
                        _ => builder.append_null(),
                    }
                }
            }
            Arc::new(builder.finish())
        }
        _ => match kind {
            Kind::U8 => fill!(UInt8Builder::new(), |value| value as u8),
            Kind::U16 => fill!(UInt16Builder::new(), |value| value as u16),
            Kind::U32 => fill!(UInt32Builder::new(), |value| value as u32),
            Kind::Bool => fill!(BooleanBuilder::new(), |value| value == 1),
            Kind::Time => fill!(
                TimestampNanosecondBuilder::new().with_timezone("UTC"),
                |value| value as i64
            ),
            _ => fill!(UInt64Builder::new(), |value| value),
        },
    }
}
