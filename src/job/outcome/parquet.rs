//! Results as Parquet, the columns of a row group encoded side by side.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::parquet::{
    arrow::{
        ArrowWriter,
        arrow_reader::ParquetRecordBatchReaderBuilder,
        arrow_writer::{ArrowColumnWriter, ArrowLeafColumn, ArrowRowGroupWriterFactory, compute_leaves},
    },
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties, writer::SerializedFileWriter},
    schema::types::ColumnPath,
};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Fields, Schema, SchemaRef};
use bytes::Bytes;
use rayon::prelude::*;

use super::{Metadata, OutcomeError, TableWriter, columns, file::AtomicFile};

/// Rows that a reader can skip or load together.
const ROW_GROUP_ROWS: usize = 1 << 18;

pub(super) struct Parquet {
    path: PathBuf,
    writer: RowGroups<AtomicFile>,
}

/// A file on its way, row group by row group.
struct RowGroups<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    /// Of the row group that is not full yet; empty before its first row.
    open: Vec<ArrowColumnWriter>,
    open_rows: usize,
}

impl Parquet {
    pub(super) fn create(path: &Path, schema: &Schema, metadata: Metadata) -> Result<Self, OutcomeError> {
        let writer = RowGroups::begin(AtomicFile::create(path)?, schema, metadata).map_err(Self::fault(path))?;
        Ok(Self { path: path.to_owned(), writer })
    }

    fn fault(path: &Path) -> impl Fn(ParquetError) -> OutcomeError {
        move |source| OutcomeError::Parquet { path: path.to_owned(), source }
    }
}

impl TableWriter for Parquet {
    fn write(&mut self, batch: &RecordBatch) -> Result<(), OutcomeError> {
        self.writer.write(batch).map_err(Self::fault(&self.path))
    }

    fn note(&mut self, name: &str, value: &str) {
        self.writer.file.append_key_value_metadata(KeyValue::new(name.to_owned(), value.to_owned()));
    }

    fn finish(self: Box<Self>) -> Result<(), OutcomeError> {
        self.writer.finish().map_err(Self::fault(&self.path))?.finish()
    }
}

/// A file of batches in memory.
pub(super) fn bytes(batches: &[RecordBatch], schema: &Schema, metadata: Metadata) -> Result<Vec<u8>, ParquetError> {
    let mut writer = RowGroups::begin(Vec::new(), schema, metadata)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()
}

/// The rows of a file in memory, which has the columns of `schema`; `path` is
/// what errors speak of.
pub(super) fn read(bytes: Bytes, schema: &SchemaRef, path: &Path) -> Result<Vec<RecordBatch>, OutcomeError> {
    let fault = Parquet::fault(path);
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
        .and_then(ParquetRecordBatchReaderBuilder::build)
        .map_err(&fault)?;
    let table = |source| OutcomeError::Table { path: path.to_owned(), source };
    let batch = |batch: Result<RecordBatch, ArrowError>| {
        let batch = batch.map_err(table)?;
        let names = |fields: &Fields| fields.iter().map(|f| f.name().clone()).collect::<Vec<_>>();
        if names(batch.schema_ref().fields()) != names(schema.fields()) {
            return Err(table(ArrowError::SchemaError("not the columns of exposures".to_owned())));
        }
        // The metadata of the file that was read are not those of this one.
        RecordBatch::try_new(Arc::clone(schema), batch.columns().to_vec()).map_err(table)
    };
    reader.map(batch).collect()
}

impl<W: Write + Send> RowGroups<W> {
    fn begin(into: W, schema: &Schema, metadata: Metadata) -> Result<Self, ParquetError> {
        let mut pairs: HashMap<_, _> = metadata.pairs.into_iter().collect();
        let units = columns::units(schema);
        if !units.is_empty() {
            pairs.insert(columns::UNITS.to_owned(), serde_json::Value::from(units).to_string());
        }
        let properties = properties(schema, &pairs);
        // Readers that find an Arrow schema in the footer look there alone.
        let schema = Arc::new(schema.clone().with_metadata(pairs));
        let writer = ArrowWriter::try_new(into, schema.clone(), Some(properties))?;
        let (file, columns) = writer.into_serialized_writer()?;
        Ok(Self { file, columns, schema, open: Vec::new(), open_rows: 0 })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), ParquetError> {
        let mut from = 0;
        while from < batch.num_rows() {
            if self.open.is_empty() {
                self.open = self.columns.create_column_writers(self.file.flushed_row_groups().len())?;
            }
            let rows = (batch.num_rows() - from).min(ROW_GROUP_ROWS - self.open_rows);
            let part = batch.slice(from, rows);
            let fields: Vec<_> = self.schema.fields().iter().zip(part.columns()).collect();
            let leaves = fields.par_iter().map(|(field, array)| compute_leaves(field, array));
            let leaves: Vec<ArrowLeafColumn> = leaves.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
            self.open.par_iter_mut().zip(&leaves).try_for_each(|(column, leaf)| column.write(leaf))?;
            from += rows;
            self.open_rows += rows;
            if self.open_rows == ROW_GROUP_ROWS {
                self.close_row_group()?;
            }
        }
        Ok(())
    }

    fn close_row_group(&mut self) -> Result<(), ParquetError> {
        let open = std::mem::take(&mut self.open);
        let chunks = open.into_par_iter().map(ArrowColumnWriter::close).collect::<Result<Vec<_>, _>>()?;
        let mut row_group = self.file.next_row_group()?;
        for chunk in chunks {
            chunk.append_to_row_group(&mut row_group)?;
        }
        row_group.close()?;
        self.open_rows = 0;
        Ok(())
    }

    fn finish(mut self) -> Result<W, ParquetError> {
        if self.open_rows > 0 {
            self.close_row_group()?;
        }
        self.file.into_inner()
    }
}

fn properties(schema: &Schema, pairs: &HashMap<String, String>) -> WriterProperties {
    let mut pairs: Vec<_> = pairs.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    pairs.sort_by(|a, b| a.key.cmp(&b.key));
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("skydose version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_key_value_metadata(Some(pairs));
    for field in schema.fields() {
        // Measured numbers hardly repeat: a dictionary of them costs time and
        // is given up again.
        if matches!(field.data_type(), DataType::Float64 | DataType::Float32 | DataType::Timestamp(..)) {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(field.name().as_str()), false);
        }
    }
    properties.build()
}
