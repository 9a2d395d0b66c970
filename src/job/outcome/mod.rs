//! Results as files.
//!
//! | file of this folder | what it writes |
//! |---|---|
//! | `columns.rs` | the columns of an exposure: name, unit, where it comes from |
//! | `parquet.rs`, `csv.rs`, `json.rs` | a table in one format each |
//! | `table.rs` | the waypoints of a flights file with sampled values beside them |
//! | `rejects.rs` | the flights that were not answered, and why |
//!
//! Every format holds the same values. A value that does not exist is null
//! (an empty cell in CSV), never zero and never NaN. Times are UTC in
//! microseconds; text has all six decimals in every row, so that a reader that
//! infers one format for a column is right about all of it.
//!
//! Metadata (units, rules, data set, version) are in the Parquet footer and at
//! the end of a JSON document. A CSV file has no place for them that readers
//! agree on, so they lie beside it as `<name>.csv.meta.json`.
//!
//! A file appears under its name only when it is whole: it is written to a
//! temporary file beside it and renamed.

mod cell;
mod columns;
mod csv;
mod file;
mod json;
mod parquet;
pub mod rejects;
pub mod table;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, SchemaRef};
use bytes::Bytes;

use crate::exposure::Exposure;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Apache Parquet, zstd.
    Parquet,
    /// RFC 4180, with a header.
    Csv,
    /// One JSON document.
    Json,
}

/// What a result says about itself: rules, data set, version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// By name. Units of the columns need not be given: they are added.
    pub pairs: BTreeMap<String, String>,
}

/// Writes exposures, a slice at a time.
///
/// Dropped before [`finish`](Self::finish), it leaves nothing behind.
pub trait OutcomeWriter: Send {
    /// Appends rows in their order.
    ///
    /// # Errors
    /// [`OutcomeError`] names the file.
    fn write(&mut self, rows: &[Exposure]) -> Result<(), OutcomeError>;

    /// Adds to the metadata what is known only now that the rows are there.
    fn note(&mut self, name: &str, value: &str);

    /// Completes the file and puts it under its name, replacing what was there.
    ///
    /// # Errors
    /// [`OutcomeError`] names the file.
    fn finish(self: Box<Self>) -> Result<(), OutcomeError>;
}

/// Why a result was not written.
#[derive(Debug, thiserror::Error)]
pub enum OutcomeError {
    /// The ending or the name of a format is not known.
    #[error("{0}: not an output format; expected parquet, csv or json")]
    Format(String),
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// Of the output.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The Parquet encoder refuses.
    #[error("{}: {source}", path.display())]
    Parquet {
        /// Of the output.
        path: PathBuf,
        /// What it says.
        source: ::parquet::errors::ParquetError,
    },
    /// Columns that do not make a table.
    #[error("{}: {source}", path.display())]
    Table {
        /// Of the output.
        path: PathBuf,
        /// What is wrong with them.
        source: ArrowError,
    },
    /// A column of a type that text has no form for.
    #[error("{}: column {column} is {data_type}, which CSV and JSON cannot hold; write Parquet", path.display())]
    Column {
        /// Of the output.
        path: PathBuf,
        /// Its name.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A sampled variable has the name of a column of the flights file.
    #[error("{}: the flights already have a column {column}; rename it or leave out the variable", path.display())]
    Taken {
        /// Of the output.
        path: PathBuf,
        /// The name.
        column: String,
    },
}

/// Writes a table, a batch at a time; all batches have the schema that the
/// writer was made with.
trait TableWriter: Send {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutcomeError>;
    fn note(&mut self, name: &str, value: &str);
    fn finish(self: Box<Self>) -> Result<(), OutcomeError>;
}

/// What a table is called in the formats that name it.
#[derive(Debug, Clone, Copy)]
struct TableName {
    /// Of the list of rows in a JSON document.
    rows: &'static str,
}

/// Begins a file of exposures at `path`.
///
/// # Errors
/// [`OutcomeError::Io`] where nothing can be written there.
pub fn create(path: &Path, format: OutputFormat, metadata: Metadata) -> Result<Box<dyn OutcomeWriter>, OutcomeError> {
    Ok(Box::new(ExposureWriter::create(path, format, metadata)?))
}

/// Names of the columns of an exposure, in the order of a file.
#[must_use]
pub fn column_names() -> Vec<String> {
    columns::schema().fields().iter().map(|f| f.name().clone()).collect()
}

/// Exposures as a Parquet file in memory.
///
/// # Errors
/// [`OutcomeError::Parquet`] where the encoder refuses.
pub fn parquet_bytes(rows: &[Exposure], metadata: Metadata) -> Result<Vec<u8>, OutcomeError> {
    let path = || PathBuf::from("rows");
    let batches = rows.chunks(ROWS_AT_A_TIME).map(columns::batch).collect::<Result<Vec<_>, _>>();
    let batches = batches.map_err(|source| OutcomeError::Table { path: path(), source })?;
    parquet::bytes(&batches, &columns::schema(), metadata)
        .map_err(|source| OutcomeError::Parquet { path: path(), source })
}

fn create_table(
    path: &Path,
    format: OutputFormat,
    schema: &SchemaRef,
    metadata: Metadata,
    name: TableName,
) -> Result<Box<dyn TableWriter>, OutcomeError> {
    Ok(match format {
        OutputFormat::Parquet => Box::new(parquet::Parquet::create(path, schema, metadata)?),
        OutputFormat::Csv => Box::new(csv::Csv::create(path, schema, metadata)?),
        OutputFormat::Json => Box::new(json::Json::create(path, schema, metadata, name)?),
    })
}

/// A file of exposures that takes them from other files, too.
pub struct ExposureWriter {
    path: PathBuf,
    table: Box<dyn TableWriter>,
}

impl ExposureWriter {
    /// Begins a file at `path`.
    ///
    /// # Errors
    /// [`OutcomeError::Io`] where nothing can be written there.
    pub fn create(path: &Path, format: OutputFormat, metadata: Metadata) -> Result<Self, OutcomeError> {
        let table = create_table(path, format, &columns::schema(), metadata, TableName { rows: "exposures" })?;
        Ok(Self { path: path.to_owned(), table })
    }

    /// Appends the rows of a file that [`parquet_bytes`] made.
    ///
    /// # Errors
    /// [`OutcomeError`] names this file, or says that the other one's columns
    /// are not those of exposures.
    pub fn append(&mut self, parquet: Bytes) -> Result<(), OutcomeError> {
        parquet::read(parquet, &columns::schema(), &self.path)?.iter().try_for_each(|batch| self.table.write(batch))
    }
}

/// Rows that are turned into columns at a time: some 30 MB.
const ROWS_AT_A_TIME: usize = 1 << 17;

impl OutcomeWriter for ExposureWriter {
    fn write(&mut self, rows: &[Exposure]) -> Result<(), OutcomeError> {
        for rows in rows.chunks(ROWS_AT_A_TIME) {
            let batch =
                columns::batch(rows).map_err(|source| OutcomeError::Table { path: self.path.clone(), source })?;
            self.table.write(&batch)?;
        }
        Ok(())
    }

    fn note(&mut self, name: &str, value: &str) {
        self.table.note(name, value);
    }

    fn finish(self: Box<Self>) -> Result<(), OutcomeError> {
        self.table.finish()
    }
}

impl OutputFormat {
    /// By its name, in either case.
    ///
    /// # Errors
    /// [`OutcomeError::Format`] with the name.
    pub fn parse(name: &str) -> Result<Self, OutcomeError> {
        match name.trim().to_ascii_lowercase().as_str() {
            "parquet" | "pq" => Ok(Self::Parquet),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(OutcomeError::Format(name.to_owned())),
        }
    }

    /// By the ending of a file's name.
    ///
    /// # Errors
    /// [`OutcomeError::Format`] with the path.
    pub fn from_ending(path: &Path) -> Result<Self, OutcomeError> {
        path.extension()
            .and_then(OsStr::to_str)
            .and_then(|ending| Self::parse(ending).ok())
            .ok_or_else(|| OutcomeError::Format(path.display().to_string()))
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::Json => "json",
        })
    }
}

impl Metadata {
    /// As a JSON object, the units of the columns among them under `units`.
    fn document(self, schema: &SchemaRef) -> serde_json::Map<String, serde_json::Value> {
        let mut document: serde_json::Map<_, _> =
            self.pairs.into_iter().map(|(key, value)| (key, value.into())).collect();
        let units = columns::units(schema);
        if !units.is_empty() {
            document.insert(columns::UNITS.to_owned(), units.into());
        }
        document
    }
}

impl OutcomeError {
    fn io(path: &Path) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests;
