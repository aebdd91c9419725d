//! Batches as bytes: [`TableFile`] is Parquet, [`Stream`] an Arrow IPC stream.

use std::io::Write;

use arrow_ipc::writer::StreamWriter;
use arrow_schema::ArrowError;
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};

use super::rows::arrow_schema;
use super::schema::Table;
use super::sheet::Batch;

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Arrow.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

impl Error {
    /// The error of the system, if it is one.
    ///
    /// # Errors
    ///
    /// Any other, as it is.
    pub fn into_io(self) -> Result<std::io::Error, Self> {
        match self {
            Self::Arrow(ArrowError::IoError(_, error)) => Ok(error),
            other => Err(other),
        }
    }
}

/// Rows of a row group.
const GROUP_ROWS: usize = 1 << 20;

/// A Parquet file of a table.
#[derive(Debug)]
pub struct TableFile<W: Write + Send> {
    writer: ArrowWriter<W>,
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
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_dictionary_page_size_limit(256 << 10)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(concat!("mqttdump ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self {
            writer: ArrowWriter::try_new(to, arrow_schema(table), Some(properties))?,
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn write(&mut self, batch: &Batch) -> Result<(), Error> {
        self.rows += batch.rows.num_rows() as u64;
        Ok(self.writer.write(&batch.rows)?)
    }

    /// Bytes of the row group that is not written yet.
    pub fn waiting(&self) -> usize {
        self.writer.memory_size()
    }

    /// Ends the row group.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn flush(&mut self) -> Result<(), Error> {
        Ok(self.writer.flush()?)
    }

    /// Ends the file. Returns the number of its rows.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn finish(mut self) -> Result<(u64, W), Error> {
        self.writer.flush()?;
        let rows = self.rows;
        Ok((rows, self.writer.into_inner()?))
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
    pub fn write(&mut self, batch: &Batch) -> Result<(), Error> {
        Ok(self.0.write(&batch.rows)?)
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
