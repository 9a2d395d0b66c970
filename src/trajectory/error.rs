//! What can be wrong with files of flights.

use std::path::{Path, PathBuf};

/// What is wrong with a file of flights, with its name.
#[derive(Debug, thiserror::Error)]
pub enum FlightsError {
    /// The file cannot be opened, read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Of the file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No known format.
    #[error("{}: not a file of flights: {found}; expected Parquet, CSV or JSON, also gzipped", path.display())]
    Unknown {
        /// Of the file.
        path: PathBuf,
        /// What it looks like instead.
        found: String,
    },
    /// The file breaks its own format.
    #[error("{}: {what}", path.display())]
    Corrupt {
        /// Of the file.
        path: PathBuf,
        /// Which part, its value, what was expected.
        what: String,
    },
    /// The table lacks a column that flights need.
    #[error("{}: no column for the {quantity}: expected {expected}; the file has {present}", path.display())]
    MissingColumn {
        /// Of the file.
        path: PathBuf,
        /// Which quantity.
        quantity: &'static str,
        /// The names that would do.
        expected: String,
        /// The names that are there.
        present: String,
    },
    /// A column none of whose values can be read, or that has the wrong type.
    #[error("{}: row {row}, column {column:?}: {value:?} is no {expected}", path.display())]
    Value {
        /// Of the file.
        path: PathBuf,
        /// Of the table, counted from 1 without the header.
        row: u64,
        /// Its name in the file.
        column: String,
        /// What it holds.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// More rows than can be counted.
    #[error("{rows} rows are too many to hold at once; the limit is {limit}")]
    TooMany {
        /// How many there are.
        rows: u64,
        /// How many there may be.
        limit: u64,
    },
}

impl FlightsError {
    /// [`FlightsError::Corrupt`] for `path`.
    pub fn corrupt(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), what: what.to_string() }
    }

    /// [`FlightsError::Io`] for `path`; a damaged gzip stream is [`FlightsError::Corrupt`].
    #[must_use]
    pub fn io(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
        match source.kind() {
            InvalidData | InvalidInput | UnexpectedEof | Other => {
                Self::corrupt(path, format_args!("cannot be read to its end: {source}"))
            }
            _ => Self::Io { path: path.to_owned(), source },
        }
    }
}
