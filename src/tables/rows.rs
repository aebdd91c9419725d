//! [`Rows`]: rows of one table on their way into a file.
//!
//! Values are added column by column, in the order of the schema:
//!
//! ```text
//! rows.word("a.pcap"); rows.number(7); rows.time(t); …; rows.end();
//! ```
//!
//! A page of rows that is full is encoded, and a row group has many pages: what was just
//! added is still in the processor's cache, and takes a tenth of the memory afterwards.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use arrow_array::builder::{
    ArrayBuilder, BinaryBuilder, BooleanBuilder, StringBuilder, TimestampNanosecondBuilder,
    UInt8Builder, UInt16Builder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch, new_null_array};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::errors::ParquetError;
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;

use super::column::Column;
use super::encode::PageEncoder;
use super::error::Error;
use super::same::{Next, Same};
use super::schema::{Column as Described, Kind, Table, VERSION};
use super::store::{Store, fill};
use crate::facts::Topic;
use crate::identity::ExchangeId;
use crate::net::Endpoint;
use crate::time::Timestamp;

/// Rows of a page: one that has so many is encoded.
const PAGE_ROWS: u32 = 4096;
/// Bytes of texts and payloads of a page.
const PAGE_BYTES: usize = 256 << 10;
/// Most rows of a row group.
const MOST_ROWS: u32 = 1 << 20;
/// Memory of a row group.
const MOST_BYTES: usize = 4 << 20;

/// Columns that rows of a kind have in common.
const IN_KIND: usize = 3;

/// What rows have in common apart from their connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Shape {
    /// The file of their packet.
    pub(super) file: u32,
    /// A number for whatever else decides the values of [`Rows::alike`].
    pub(super) form: u64,
}

/// What becomes of rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Pages of Parquet, for [`TableFile`](super::TableFile).
    Pages,
    /// Arrays, for [`Stream`](super::Stream): a page is a batch.
    Arrays,
}

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
    form: Form,
    columns: Vec<Column>,
    encoder: PageEncoder,
    /// The column of the next value.
    at: usize,
    /// Rows of the page that is not full, and of those before.
    row: u32,
    before: u32,
    /// Bytes of texts, payloads and lists of the page, and of all lists.
    bytes: usize,
    lists: usize,
    is_full: bool,
    /// The row's connection, and the columns that rows of it have in common.
    same: Same,
    /// The values of rows of each kind.
    kinds: Vec<Option<[u64; IN_KIND]>>,
    /// The shape of the row, if it has one, and whether it is that of the row before.
    shape: Option<Shape>,
    is_alike: bool,
    error: Option<ParquetError>,
}

impl Rows {
    /// No rows of this table.
    pub(super) fn new(table: &'static Table, form: Form) -> Self {
        Self {
            table,
            form,
            columns: table.columns.iter().map(Column::new).collect(),
            encoder: PageEncoder::new(),
            at: 0,
            row: 0,
            before: 0,
            bytes: 0,
            lists: 0,
            is_full: false,
            same: Same::default(),
            kinds: Vec::new(),
            shape: None,
            is_alike: false,
            error: None,
        }
    }

    /// Removes all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.columns.iter_mut().for_each(Column::clear);
        (self.row, self.before) = (0, 0);
        self.same.clear();
        self.kinds.clear();
        self.shape = None;
        (self.bytes, self.lists) = (0, 0);
        self.is_full = false;
    }

    /// The table.
    pub(super) const fn table(&self) -> &'static Table {
        self.table
    }

    /// How many there are.
    pub(super) const fn len(&self) -> u32 {
        self.before + self.row
    }

    /// The next column, and the row.
    #[inline]
    fn next(&mut self) -> (&mut Column, u32) {
        self.at += 1;
        (&mut self.columns[self.at - 1], self.row)
    }

    /// A number, which fits by the meaning of the column.
    #[inline]
    pub(super) fn number(&mut self, number: impl Into<u64>) {
        let (column, row) = self.next();
        column.push(number.into(), row);
    }

    /// A number, if there is one.
    #[inline]
    pub(super) fn optional(&mut self, number: Option<impl Into<u64>>) {
        match number {
            Some(number) => self.number(number),
            None => self.null(),
        }
    }

    /// A number of a dense column.
    #[inline]
    pub(super) fn dense(&mut self, number: impl Into<u64>) {
        let (column, row) = self.next();
        column.push_dense(number.into(), row);
    }

    /// A number of a dense column, if there is one.
    #[inline]
    pub(super) fn optional_dense(&mut self, number: Option<impl Into<u64>>) {
        match number {
            Some(number) => self.dense(number),
            None => self.null(),
        }
    }

    /// No value.
    #[inline]
    pub(super) fn null(&mut self) {
        let (column, row) = self.next();
        column.push_null(row);
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
        let (column, row) = self.next();
        column.push_shared(text, row);
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
        let (column, row) = self.next();
        column.push_name(name, row);
    }

    /// A name of the program, if there is one.
    #[inline]
    pub(super) fn optional_name(&mut self, name: Option<&'static str>) {
        match name {
            Some(name) => self.name(name),
            None => self.null(),
        }
    }

    /// The row has this shape. In a table that has shapes, each row states its own.
    #[inline]
    pub(super) fn shape(&mut self, shape: Option<Shape>) {
        self.is_alike = shape.is_some() && shape == self.shape;
        self.shape = shape;
    }

    /// The values of the next columns, which all rows of the shape have: `add` adds them,
    /// unless the row before has them.
    #[inline]
    pub(super) fn alike<const N: usize>(&mut self, add: impl FnOnce(&mut Self)) {
        let end = self.at + N;
        if self.is_alike {
            self.at = end;
        } else {
            add(self);
            debug_assert_eq!(self.at, end, "columns of a group");
        }
    }

    /// The row belongs to this connection, of which the same is known in all rows with the
    /// same [`Info::stamp`](super::known::Info::stamp); 0 if that is not known.
    #[inline]
    pub(super) fn of(&mut self, stamp: u64) {
        self.same.turn_to(stamp);
    }

    /// The values of the next columns, which all rows of the connection have: `add` adds
    /// them if they are not remembered. A table has up to [`COMMON`](super::same::COMMON) such columns.
    #[inline]
    pub(super) fn common<const N: usize>(&mut self, add: impl FnOnce(&mut Self)) {
        let (start, end) = (self.at, self.at + N);
        match self.same.next(N) {
            Next::Repeated => self.at = end,
            Next::Remembered(values) => {
                for (column, value) in self.columns[start..end].iter_mut().zip(values) {
                    column.set(*value, self.row);
                }
                self.at = end;
            }
            Next::New(values) => {
                let at = values.start;
                add(self);
                debug_assert_eq!(self.at, end, "columns of a group");
                for (at, column) in (at..).zip(&self.columns[start..end]) {
                    self.same.remember(at, column.runs.last());
                }
            }
        }
    }

    /// The numbers of the names that all rows of this kind have in columns from `column`
    /// on.
    #[inline]
    pub(super) fn kind(
        &mut self,
        kind: usize,
        column: usize,
        names: impl FnOnce() -> [&'static str; IN_KIND],
    ) -> [u64; IN_KIND] {
        match self.kinds.get(kind) {
            Some(Some(numbers)) => *numbers,
            _ => self.add_kind(kind, column, names()),
        }
    }

    #[cold]
    fn add_kind(
        &mut self,
        kind: usize,
        column: usize,
        names: [&'static str; IN_KIND],
    ) -> [u64; IN_KIND] {
        if self.kinds.len() <= kind {
            self.kinds.resize(kind + 1, None);
        }
        let numbers = std::array::from_fn(|at| self.columns[column + at].number_of(names[at]));
        self.kinds[kind] = Some(numbers);
        numbers
    }

    /// Numbers, each of a row that follows: rows that have all columns before in common.
    #[inline]
    pub(super) fn each(&mut self, numbers: impl Iterator<Item = u64>) {
        let (column, row) = self.next();
        for (row, number) in (row..).zip(numbers) {
            column.runs.set(number, row);
        }
    }

    /// The same, in a dense column.
    #[inline]
    pub(super) fn dense_each(&mut self, numbers: impl Iterator<Item = u64>) {
        self.next().0.push_dense_each(numbers);
    }

    /// A text.
    #[inline]
    pub(super) fn word(&mut self, word: &str) {
        let (column, row) = self.next();
        column.push_text(word.as_bytes(), row);
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
        self.bytes += text.len();
        let (column, row) = self.next();
        column.push_wire_text(text, row);
    }

    /// A topic, if there is one.
    #[inline]
    pub(super) fn topic(&mut self, topic: Option<&Topic>) {
        let Some(topic) = topic else {
            return self.null();
        };
        self.bytes += topic.len();
        let (column, row) = self.next();
        column.push_topic(topic, row);
    }

    /// The identity of an exchange on a connection, if there is one.
    #[inline]
    pub(super) fn exchange(&mut self, connection_uid: &Arc<str>, id: Option<ExchangeId>) {
        let (column, row) = self.next();
        match id {
            Some(id) => column.push_exchange(connection_uid, id, row),
            None => column.push_null(row),
        }
    }

    /// Any bytes.
    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        let (column, row) = self.next();
        column.push_bytes(bytes, row);
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
        let (column, row) = self.next();
        column.push_address(endpoint.addr, row);
        self.number(endpoint.port);
    }

    /// A list of numbers.
    pub(super) fn numbers(&mut self, numbers: impl Iterator<Item = u64>) {
        let row = self.len();
        let count = self.next().0.push_numbers(numbers, row);
        self.list(8 * count);
    }

    /// A list of texts.
    pub(super) fn texts<'a>(&mut self, texts: impl Iterator<Item = &'a [u8]>) {
        let row = self.len();
        let bytes = self.next().0.push_texts(texts, row);
        self.list(bytes);
    }

    fn list(&mut self, bytes: usize) {
        self.lists += bytes + 16;
        self.bytes += bytes + 16;
    }

    /// The row is complete.
    #[inline]
    pub(super) fn end(&mut self) {
        self.end_each(1);
    }

    /// So many rows, one at least, are complete. They are in one page, which may have more
    /// than [`PAGE_ROWS`] because of them.
    #[inline]
    pub(super) fn end_each(&mut self, rows: u32) {
        debug_assert_eq!(self.at, self.columns.len(), "values of a row");
        debug_assert!(rows > 0, "values without a row");
        self.at = 0;
        self.row += rows;
        if self.row >= PAGE_ROWS || self.bytes >= PAGE_BYTES {
            self.end_page();
        }
    }

    #[cold]
    fn end_page(&mut self) {
        match self.form {
            Form::Pages => self.encode(),
            Form::Arrays => self.is_full = true,
        }
        self.is_full |= self.len() >= MOST_ROWS || self.memory() >= MOST_BYTES;
    }

    /// Encodes the rows of the page.
    fn encode(&mut self) {
        for column in &mut self.columns {
            if let Err(error) = column.encode(self.row, &mut self.encoder) {
                self.error.get_or_insert(error);
            }
        }
        self.before += self.row;
        (self.row, self.bytes) = (0, 0);
    }

    /// Appends the columns to a row group. They are empty afterwards.
    pub(super) fn append<W: Write + Send>(
        &mut self,
        described: &[ColumnDescPtr],
        writers: Vec<ArrowColumnWriter>,
        group: &mut SerializedRowGroupWriter<'_, W>,
    ) -> Result<(), Error> {
        if self.row > 0 {
            self.encode();
        }
        if let Some(error) = self.error.take() {
            return Err(error.into());
        }
        let schema = arrow_schema(self.table);
        let rows = self.len();
        let mut writers = writers.into_iter();
        let columns = self.columns.iter_mut().zip(described);
        for ((column, described), field) in columns.zip(schema.fields()) {
            match (lists(column, field, rows), writers.next()) {
                (None, _) => {
                    let (bytes, close) =
                        column.finish(described.clone(), &mut self.encoder.compressor)?;
                    group.append_column(&bytes, close)?;
                }
                (Some(lists), Some(mut writer)) => {
                    for leaf in compute_leaves(field, &lists)? {
                        writer.write(&leaf)?;
                    }
                    writer.close()?.append_to_row_group(group)?;
                }
                (Some(_), None) => {}
            }
        }
        Ok(())
    }

    /// No row is added for some time: drops what only makes adding faster.
    pub(super) fn park(&mut self) {
        self.columns.iter_mut().for_each(Column::park);
        self.encoder = PageEncoder::new();
        self.same = Same::default();
        self.kinds = Vec::new();
        self.shape = None;
    }

    /// Bytes of memory that they take after [`Self::park`].
    pub(super) fn footprint(&self) -> usize {
        let columns = self.columns.iter().map(Column::footprint).sum::<usize>();
        size_of::<Self>() + columns + self.lists + self.encoder.memory()
    }

    /// Bytes of memory of the rows, and of what encodes them.
    pub(super) fn memory(&self) -> usize {
        let columns = self.columns.iter().map(Column::memory).sum::<usize>();
        columns + self.lists + self.encoder.memory() + self.same.memory()
    }

    /// Whether it is time to write them.
    #[inline]
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// As Arrow has them.
    pub(super) fn record_batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let schema = arrow_schema(self.table);
        let columns = self.columns.iter_mut().zip(self.table.columns);
        let columns = columns.zip(schema.fields());
        let columns = columns.map(|((column, described), field)| {
            lists(column, field, self.row)
                .unwrap_or_else(|| array(column, described.kind, self.row))
        });
        let columns = columns.collect();
        RecordBatch::try_new(schema, columns)
    }
}

/// The lists of a column of so many rows, if it has any.
fn lists(column: &mut Column, field: &Field, rows: u32) -> Option<ArrayRef> {
    let rows = rows as usize;
    let lists: ArrayRef = match &mut column.store {
        Store::NumberLists(lists) if !lists.is_empty() => {
            fill(lists, rows);
            Arc::new(lists.finish())
        }
        Store::TextLists(lists) if !lists.is_empty() => {
            fill(lists, rows);
            Arc::new(lists.finish())
        }
        Store::NumberLists(_) | Store::TextLists(_) => new_null_array(field.data_type(), rows),
        _ => return None,
    };
    Some(lists)
}

/// The rows of a column as an array.
fn array(column: &Column, kind: Kind, rows: u32) -> ArrayRef {
    /// Appends each value as often as rows have it.
    macro_rules! fill {
        ($builder:expr, $value:expr) => {{
            let mut builder = $builder;
            column.each(rows, |value, rows| {
                let value = value.map($value);
                (0..rows).for_each(|_| builder.append_option(value.as_ref().cloned()));
            });
            Arc::new(builder.finish())
        }};
    }
    match &column.store {
        Store::Texts(texts, _) => fill!(StringBuilder::new(), |number: u64| {
            String::from_utf8_lossy(texts.get(number))
        }),
        Store::Exchanges(exchanges) => fill!(StringBuilder::new(), |number: u64| {
            let (connection, id) = exchanges.get(number);
            id.uid(exchanges.connection(connection))
        }),
        Store::Bytes(bytes) => {
            let mut builder = BinaryBuilder::new();
            let mut rest = &bytes[..];
            column.runs.each(rows, |value, rows| {
                for _ in 0..rows {
                    match rest.split_first_chunk() {
                        Some((length, after)) if value.is_some() => {
                            let length = u32::from_le_bytes(*length) as usize;
                            let (value, after) = after.split_at(length);
                            builder.append_value(value);
                            rest = after;
                        }
                        _ => builder.append_null(),
                    }
                }
            });
            Arc::new(builder.finish())
        }
        _ => match kind {
            Kind::U8 => fill!(UInt8Builder::new(), |value: u64| value as u8),
            Kind::U16 => fill!(UInt16Builder::new(), |value: u64| value as u16),
            Kind::U32 => fill!(UInt32Builder::new(), |value: u64| value as u32),
            Kind::Bool => fill!(BooleanBuilder::new(), |value: u64| value == 1),
            Kind::Time => fill!(
                TimestampNanosecondBuilder::new().with_timezone("UTC"),
                |value: u64| value as i64
            ),
            _ => fill!(UInt64Builder::new(), |value: u64| value),
        },
    }
}
