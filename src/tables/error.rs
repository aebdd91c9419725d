//! [`Error`]: why a table cannot be written.

use arrow_schema::ArrowError;
use parquet::errors::ParquetError;

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Parquet.
    #[error(transparent)]
    Parquet(#[from] ParquetError),
    /// Arrow.
    #[error(transparent)]
    Arrow(#[from] ArrowError),
    /// The system.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is not of this table, or of another version of it.
    #[error("no table {0} of this version")]
    Version(&'static str),
}

impl Error {
    /// The error of the system, if it is one.
    ///
    /// # Errors
    ///
    /// Any other, as it is.
    pub fn into_io(self) -> Result<std::io::Error, Self> {
        match self {
            Self::Arrow(ArrowError::IoError(_, error)) | Self::Io(error) => Ok(error),
            other => Err(other),
        }
    }
}
