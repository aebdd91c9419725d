//! Batches as bytes: [`TableFile`] is Parquet, [`Stream`] an Arrow IPC stream.

use std::io::Write;

use arrow_ipc::writer::StreamWriter;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::error::Error;
use super::rows::arrow_schema;
use super::schema::Table;
use super::sheet::Batch;

/// A Parquet file of a table, with a row group for each batch.
#[allow(missing_debug_implementations, reason = "parquet's writers have none")]
pub struct TableFile<W: Write + Send> {
    file: SerializedFileWriter<W>,
    factory: ArrowRowGroupWriterFactory,
    groups: usize,
    rows: u64,
}

impl<W: Write + Send> TableFile<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// If `to` cannot be written.
    pub fn new(table: &Table, to: W) -> Result<Self, Error> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("mqttdump ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = ArrowWriter::try_new(to, arrow_schema(table), Some(properties))?;
        let (file, factory) = writer.into_serialized_writer()?;
        Ok(Self {
            file,
            factory,
            groups: 0,
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let has_lists = batch.table().columns.iter().any(|it| it.kind.is_list());
        let writers = match has_lists {
            true => self.factory.create_column_writers(self.groups)?,
            false => Vec::new(),
        };
        let described = self.file.schema_descr().columns().to_vec();
        let rows = batch.rows.len().into();
        self.add_group(rows, |group| batch.rows.append(&described, writers, group))
    }

    /// Adds a row group, whose columns `add` appends.
    pub(super) fn add_group(
        &mut self,
        rows: u64,
        add: impl FnOnce(&mut SerializedRowGroupWriter<'_, W>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut group = self.file.next_row_group()?;
        add(&mut group)?;
        group.close()?;
        self.groups += 1;
        self.rows += rows;
        Ok(())
    }

    /// Row groups that were written.
    pub const fn groups(&self) -> usize {
        self.groups
    }

    /// Ends the file. Returns the number of its rows.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn finish(self) -> Result<(u64, W), Error> {
        Ok((self.rows, self.file.into_inner()?))
    }
}

/// An Arrow IPC stream of a table.
#[allow(missing_debug_implementations, reason = "arrow's writer has none")]
pub struct Stream<W: Write>(StreamWriter<W>);

impl<W: Write> Stream<W> {
    /// Begins a stream.
    ///
    /// # Errors
    ///
    /// If `to` cannot be written.
    pub fn new(table: &Table, to: W) -> Result<Self, Error> {
        Ok(Self(StreamWriter::try_new(to, &arrow_schema(table))?))
    }

    /// Adds rows.
    ///
    /// # Errors
    ///
    /// If the stream cannot be written.
    pub fn write(&mut self, batch: &mut Batch) -> Result<(), Error> {
        Ok(self.0.write(&batch.rows.record_batch()?)?)
    }

    /// Ends the stream.
    ///
    /// # Errors
    ///
    /// If the stream cannot be written.
    pub fn finish(&mut self) -> Result<(), Error> {
        Ok(self.0.finish()?)
    }
}
