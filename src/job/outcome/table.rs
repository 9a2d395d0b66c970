//! Waypoints with sampled values: the columns of a flights file as they are,
//! and new ones beside them.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow_array::{ArrayRef, Float64Array, RecordBatch};
use arrow_schema::{Schema, SchemaRef};

use super::{Metadata, OutcomeError, OutputFormat, TableName, TableWriter, columns};

/// A variable that is sampled at every waypoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sampled {
    /// Name of its column.
    pub name: String,
    /// Unit of its values.
    pub unit: String,
}

/// Writes waypoints with sampled values, a batch at a time.
///
/// Dropped before [`finish`](Self::finish), it leaves nothing behind.
pub struct SampleWriter {
    path: PathBuf,
    schema: SchemaRef,
    table: Box<dyn TableWriter>,
}

impl SampleWriter {
    /// Begins a file at `path` for batches of the schema `input`.
    ///
    /// # Errors
    /// [`OutcomeError::Taken`] where `input` has a column of a sampled
    /// variable's name, [`OutcomeError::Column`] where the format cannot hold
    /// a column, [`OutcomeError::Io`] where nothing can be written.
    pub fn create(
        path: &Path,
        format: OutputFormat,
        input: &Schema,
        sampled: &[Sampled],
        metadata: Metadata,
    ) -> Result<Self, OutcomeError> {
        let mut fields: Vec<_> = input.fields().iter().cloned().collect();
        for Sampled { name, unit } in sampled {
            if fields.iter().any(|f| f.name() == name) {
                return Err(OutcomeError::Taken { path: path.to_owned(), column: name.clone() });
            }
            fields.push(Arc::new(columns::number(name, unit)));
        }
        // Metadata of the input's table (pandas' list of its columns) would
        // be wrong about the new one.
        let schema = Arc::new(Schema::new(fields));
        let name = TableName { rows: "waypoints" };
        let table = super::create_table(path, format, &schema, metadata, name)?;
        Ok(Self { path: path.to_owned(), schema, table })
    }

    /// Appends waypoints: the batch of the input and, for each sampled
    /// variable, a value a row, NaN where there is none.
    ///
    /// # Errors
    /// [`OutcomeError::Table`] where the lengths or the columns are not what
    /// the writer was made for; else [`OutcomeError`] names the file.
    pub fn write(&mut self, input: &RecordBatch, sampled: &[Vec<f64>]) -> Result<(), OutcomeError> {
        let mut columns: Vec<ArrayRef> = input.columns().to_vec();
        for values in sampled {
            columns.push(Arc::new(values.iter().map(|&v| columns::finite(Some(v))).collect::<Float64Array>()));
        }
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|source| OutcomeError::Table { path: self.path.clone(), source })?;
        self.table.write(&batch)
    }

    /// Completes the file and puts it under its name, replacing what was there.
    ///
    /// # Errors
    /// [`OutcomeError`] names the file.
    pub fn finish(self) -> Result<(), OutcomeError> {
        self.table.finish()
    }
}
