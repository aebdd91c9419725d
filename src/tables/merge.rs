//! Tables of several runs as one.
//!
//! Row groups are copied as they are, in an order that does not depend on that of the
//! inputs: so tables can be merged in any order, and merged tables again. Only
//! `sessions` is decided again: rows of the same session are added up.

use std::collections::BTreeMap;
use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{TimestampNanosecondType, UInt16Type, UInt32Type, UInt64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::column::writer::ColumnCloseResult;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::statistics::Statistics;

use super::error::Error;
use super::rows::{Form, Rows, arrow_schema};
use super::schema::{SESSIONS, Table};
use super::sheet::{Batch, Partition};
use super::writer::TableFile;

/// A file of a table.
#[allow(missing_debug_implementations, reason = "parquet's readers have none")]
pub struct Input<R: ChunkReader + 'static> {
    file: R,
    /// The same, for its rows.
    rows: ParquetRecordBatchReaderBuilder<R>,
    metadata: ParquetMetaData,
}

impl<R: ChunkReader + 'static> Input<R> {
    /// Reads what a file states of itself; `file` and `again` read the same.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or is not a file of this version of the table.
    pub fn new(table: &Table, file: R, again: R) -> Result<Self, Error> {
        let rows = ParquetRecordBatchReaderBuilder::try_new(again)?;
        if **rows.schema() != *arrow_schema(table) {
            return Err(Error::Version(table.name));
        }
        let metadata = ParquetMetaDataReader::new().parse_and_finish(&file)?;
        Ok(Self {
            file,
            rows,
            metadata,
        })
    }

    /// How many rows it has.
    pub fn rows(&self) -> u64 {
        let rows = self.metadata.file_metadata().num_rows();
        u64::try_from(rows).unwrap_or_default()
    }

    /// The bytes of the columns of a row group, one after the other. Those that cannot be
    /// read are noticed when they are copied.
    fn content<'a>(&'a self, group: &'a RowGroupMetaData) -> impl Iterator<Item = Option<Bytes>> {
        group.columns().iter().map(|column| {
            let (start, length) = column.byte_range();
            let length = usize::try_from(length).ok()?;
            self.file.get_bytes(start, length).ok()
        })
    }
}

/// Puts files of a table together.
///
/// # Errors
///
/// If one cannot be read, or the result not be written.
pub fn merge<R: ChunkReader + 'static, W: Write + Send>(
    table: &'static Table,
    inputs: Vec<Input<R>>,
    to: &mut TableFile<W>,
) -> Result<(), Error> {
    if table.name == SESSIONS.name {
        return sums(inputs, to);
    }
    let mut groups: Vec<_> = inputs
        .iter()
        .flat_map(|input| {
            let groups = input.metadata.row_groups().iter();
            groups.map(move |group| (key(table, group), input, group))
        })
        .collect();
    groups.sort_by(|(one, input, group), (other, its_input, its_group)| {
        let content = || input.content(group).cmp(its_input.content(its_group));
        one.cmp(other).then_with(content)
    });
    for (_, input, group) in groups {
        to.copy(&input.file, group)?;
    }
    Ok(())
}

/// Orders row groups, by their first time and packet, then by what else is known without
/// reading them.
fn key(table: &Table, group: &RowGroupMetaData) -> Vec<i64> {
    let least = |name: &str| {
        let at = table
            .columns
            .iter()
            .position(|column| column.name == name)?;
        match group.column(at).statistics() {
            Some(Statistics::Int64(known)) => known.min_opt().copied(),
            _ => None,
        }
    };
    let time = least(table.time).unwrap_or_default();
    let packet = least("packet").unwrap_or_default();
    let sizes = group
        .columns()
        .iter()
        .map(|column| column.compressed_size());
    let first = [time, packet, group.num_rows()].into_iter();
    first.chain(sizes).collect()
}

impl<W: Write + Send> TableFile<W> {
    /// Adds a row group of another file.
    fn copy(&mut self, from: &impl ChunkReader, group: &RowGroupMetaData) -> Result<(), Error> {
        let rows = u64::try_from(group.num_rows()).unwrap_or_default();
        self.add_group(rows, |to| {
            for column in group.columns() {
                let close = ColumnCloseResult {
                    bytes_written: u64::try_from(column.compressed_size()).unwrap_or_default(),
                    rows_written: rows,
                    metadata: column.clone(),
                    bloom_filter: None,
                    column_index: None,
                    offset_index: None,
                };
                to.append_column(from, close)?;
            }
            Ok(())
        })
    }
}

/// A row of `sessions`.
#[derive(Clone, Debug)]
struct Session {
    /// What orders those of the same session: the first names where it began.
    first: (i64, String, u64),
    server: (String, u16),
    client_id: Option<String>,
    username: Option<String>,
    began_before: bool,
    first_uid: String,
    last: (i64, String),
    /// `connections` to `warnings`.
    counts: [u64; 9],
}

/// Adds up the rows of each session.
fn sums<R: ChunkReader + 'static, W: Write + Send>(
    inputs: Vec<Input<R>>,
    to: &mut TableFile<W>,
) -> Result<(), Error> {
    let mut all: BTreeMap<String, Session> = BTreeMap::new();
    for input in inputs {
        for batch in input.rows.build()? {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                let (uid, session) = session(&batch, row);
                match all.get_mut(&uid) {
                    Some(known) => known.add(session),
                    None => drop(all.insert(uid, session)),
                }
            }
        }
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by(|(a, one), (b, other)| (one.first.0, a).cmp(&(other.first.0, b)));
    let mut rows = Rows::new(&SESSIONS, Form::Pages);
    let mut put = |rows: &mut Rows| {
        let full = std::mem::replace(rows, Rows::new(&SESSIONS, Form::Pages));
        let partition = Partition::default();
        to.write(&mut Batch {
            partition,
            rows: full,
        })
    };
    for (uid, session) in all {
        session.put(&uid, &mut rows);
        if rows.is_full() {
            put(&mut rows)?;
        }
    }
    match rows.len() {
        0 => Ok(()),
        _ => put(&mut rows),
    }
}

impl Session {
    fn add(&mut self, other: Self) {
        for (sum, count) in self.counts.iter_mut().zip(other.counts) {
            *sum += count;
        }
        let last = self.last.clone().max(other.last.clone());
        if other.begin() < self.begin() {
            let counts = self.counts;
            *self = Self { counts, ..other };
        }
        self.last = last;
    }

    /// Orders rows of the same session, also of captures with the same name.
    fn begin(&self) -> impl PartialOrd {
        (
            &self.first,
            &self.first_uid,
            &self.client_id,
            &self.username,
            self.began_before,
        )
    }

    fn put(&self, uid: &str, rows: &mut Rows) {
        let (started, file, packet) = &self.first;
        rows.word(file);
        rows.number(*packet);
        rows.word(uid);
        rows.word(&self.server.0);
        rows.number(self.server.1);
        rows.optional_word(self.client_id.as_deref());
        rows.optional_word(self.username.as_deref());
        rows.number(*started as u64);
        rows.number(self.last.0 as u64);
        rows.flag(self.began_before);
        rows.word(&self.first_uid);
        rows.word(&self.last.1);
        self.counts.iter().for_each(|count| rows.number(*count));
        rows.end();
    }
}

/// A row, whose columns [`Input::new`] has compared.
fn session(batch: &RecordBatch, row: usize) -> (String, Session) {
    let column = |name: &str| batch.column_by_name(name);
    let text = |name| {
        let column = column(name).filter(|column| column.is_valid(row))?;
        Some(column.as_string::<i32>().value(row).to_owned())
    };
    let word = |name| text(name).unwrap_or_default();
    let time = |name| {
        column(name).map_or(0, |it| {
            it.as_primitive::<TimestampNanosecondType>().value(row)
        })
    };
    let wide = |name| column(name).map_or(0, |it| it.as_primitive::<UInt64Type>().value(row));
    let narrow =
        |name| column(name).map_or(0, |it| it.as_primitive::<UInt32Type>().value(row).into());
    let port = column("server_port").map_or(0, |it| it.as_primitive::<UInt16Type>().value(row));
    let session = Session {
        first: (time("started"), word("file"), wide("packet")),
        server: (word("server_address"), port),
        client_id: text("client_id"),
        username: text("username"),
        began_before: column("began_before").is_some_and(|it| it.as_boolean().value(row)),
        first_uid: word("first_connection_uid"),
        last: (time("last_seen"), word("last_connection_uid")),
        counts: [
            narrow("connections"),
            narrow("taken_over"),
            narrow("without_disconnect"),
            wide("messages_up"),
            wide("messages_down"),
            wide("bytes_up"),
            wide("bytes_down"),
            wide("violations"),
            wide("warnings"),
        ],
    };
    (word("session_uid"), session)
}
