//! Flights from Parquet, several row groups at a time.

use std::{
    collections::VecDeque,
    fmt::Display,
    fs::File,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use ::parquet::arrow::{
    ProjectionMask,
    arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
};
use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use rayon::prelude::*;

use super::{
    dialect,
    error::FlightsError,
    format::{Batches, Columns, Table},
    source::{Seekable, Source},
};

/// First and last bytes of a file.
const MAGIC: &[u8] = b"PAR1";
const BATCH_ROWS: usize = 1 << 16;
/// Rows decoded ahead, unless one row group has more.
const AHEAD_ROWS: usize = 4 << 20;

/// Whether the first bytes are those of Parquet.
pub(super) fn recognises(head: &[u8]) -> bool {
    head.starts_with(MAGIC)
}

/// Reads a table.
pub(super) fn open(source: &Source, columns: Columns) -> Result<Table, FlightsError> {
    let file = ParquetFile::open(source)?;
    let names = file.names();
    let groups = 0..file.row_groups();
    Ok(Table { names, batches: file.read(columns, groups) })
}

/// A Parquet file whose footer was read. Clones share it.
#[derive(Clone)]
pub(super) struct ParquetFile {
    path: PathBuf,
    bytes: Arc<Seekable>,
    metadata: ArrowReaderMetadata,
}

impl ParquetFile {
    pub(super) fn open(source: &Source) -> Result<Self, FlightsError> {
        let path = source.path().to_owned();
        let bytes = source.seekable()?;
        let file = bytes.open().map_err(|source| FlightsError::Io { path: path.clone(), source })?;
        let metadata = guarded(&path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?;
        let hinted = hint(metadata.schema());
        let options = ArrowReaderOptions::new().with_schema(hinted);
        // Types that cannot be hinted at are read as they are.
        let metadata = ArrowReaderMetadata::try_new(metadata.metadata().clone(), options).unwrap_or(metadata);
        Ok(Self { path, bytes: Arc::new(bytes), metadata })
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.metadata.schema().fields().iter().map(|f| f.name().clone()).collect()
    }

    pub(super) fn row_groups(&self) -> usize {
        self.metadata.metadata().num_row_groups()
    }

    /// The rows of some row groups, in order.
    pub(super) fn read(&self, columns: Columns, groups: Range<usize>) -> Batches {
        let reader = Reader { file: self.clone(), columns, groups, ready: VecDeque::new(), failed: false };
        Box::new(reader)
    }

    pub(super) fn rows_of(&self, group: usize) -> usize {
        usize::try_from(self.metadata.metadata().row_group(group).num_rows()).unwrap_or(0)
    }

    fn decode(&self, columns: Columns, group: usize) -> Result<Vec<RecordBatch>, FlightsError> {
        let file: File = self.bytes.open().map_err(|source| FlightsError::Io { path: self.path.clone(), source })?;
        // Categories are a means of reading fast; kept columns stay as the file has them.
        let metadata = match columns {
            Columns::Wanted(_) => self.metadata.clone(),
            Columns::All => guarded(&self.path, || ArrowReaderMetadata::load(&file, ArrowReaderOptions::new()))?,
        };
        guarded(&self.path, || {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            let fields = builder.schema().fields().iter().enumerate();
            let chosen: Vec<usize> = fields.filter(|(_, f)| columns.include(f.name())).map(|(i, _)| i).collect();
            let mask = ProjectionMask::roots(builder.parquet_schema(), chosen);
            let reader =
                builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(BATCH_ROWS).build()?;
            reader.map(|batch| batch.map_err(::parquet::errors::ParquetError::from)).collect()
        })
    }
}

struct Reader {
    file: ParquetFile,
    columns: Columns,
    groups: Range<usize>,
    ready: VecDeque<RecordBatch>,
    failed: bool,
}

impl Reader {
    /// Decodes the next row groups, one a thread.
    fn fill(&mut self) -> Result<(), FlightsError> {
        let first = self.groups.start;
        let mut rows = 0;
        while self.groups.start < self.groups.end && self.groups.start - first < rayon::current_num_threads() {
            rows += self.file.rows_of(self.groups.start);
            if rows > AHEAD_ROWS && self.groups.start > first {
                break;
            }
            self.groups.start += 1;
        }
        let range = first..self.groups.start;
        let decoded: Vec<_> = range.into_par_iter().map(|g| self.file.decode(self.columns, g)).collect();
        for batches in decoded {
            self.ready.extend(batches?);
        }
        Ok(())
    }
}

impl Iterator for Reader {
    type Item = Result<RecordBatch, FlightsError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.groups.is_empty() && !self.failed {
            if let Err(e) = self.fill() {
                self.failed = true;
                self.ready.clear();
                return Some(Err(e));
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// The schema under which names are read as categories, so that a name is
/// hashed once a row group and not once a row, and bytes without a type as text.
fn hint(schema: &SchemaRef) -> SchemaRef {
    let category = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let fields = schema.fields().iter().map(|field| {
        let text = matches!(
            field.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary | DataType::LargeBinary
        );
        if text && dialect::is_identity(field.name()) {
            Arc::new(Field::new(field.name(), category.clone(), field.is_nullable()))
        } else {
            field.clone()
        }
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// Runs the decoder; what it reports, or dies of, is a fault of the file.
fn guarded<T, E: Display>(path: &Path, decode: impl FnOnce() -> Result<T, E>) -> Result<T, FlightsError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(result) => result.map_err(|e| FlightsError::corrupt(path, format_args!("Parquet: {e}"))),
        Err(_) => Err(FlightsError::corrupt(path, "Parquet: its parts contradict each other")),
    }
}
