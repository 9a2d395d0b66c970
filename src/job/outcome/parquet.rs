//! Results as Parquet.

use std::{
    collections::HashMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use ::parquet::{
    arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
    schema::types::ColumnPath,
};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, DataType, Fields, Schema, SchemaRef};
use bytes::Bytes;

use super::{Metadata, OutcomeError, TableWriter, columns, file::AtomicFile};

/// Rows that a reader can skip or load together.
const ROW_GROUP_ROWS: usize = 1 << 18;

pub(super) struct Parquet {
    path: PathBuf,
    writer: ArrowWriter<AtomicFile>,
}

impl Parquet {
    pub(super) fn create(path: &Path, schema: &Schema, metadata: Metadata) -> Result<Self, OutcomeError> {
        let writer = writer(AtomicFile::create(path)?, schema, metadata).map_err(Self::fault(path))?;
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
        self.writer.append_key_value_metadata(KeyValue::new(name.to_owned(), value.to_owned()));
    }

    fn finish(self: Box<Self>) -> Result<(), OutcomeError> {
        self.writer.into_inner().map_err(Self::fault(&self.path))?.finish()
    }
}

/// A file of batches in memory.
pub(super) fn bytes(batches: &[RecordBatch], schema: &Schema, metadata: Metadata) -> Result<Vec<u8>, ParquetError> {
    let mut writer = writer(Vec::new(), schema, metadata)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
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

fn writer<W: Write + Send>(into: W, schema: &Schema, metadata: Metadata) -> Result<ArrowWriter<W>, ParquetError> {
    let mut pairs: HashMap<_, _> = metadata.pairs.into_iter().collect();
    let units = columns::units(schema);
    if !units.is_empty() {
        pairs.insert(columns::UNITS.to_owned(), serde_json::Value::from(units).to_string());
    }
    let properties = properties(schema, &pairs);
    // Readers that find an Arrow schema in the footer look there alone.
    let schema = Arc::new(schema.clone().with_metadata(pairs));
    ArrowWriter::try_new(into, schema, Some(properties))
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
