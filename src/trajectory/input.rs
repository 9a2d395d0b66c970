//! A file of flights on its way in: what its columns mean, and its rows part
//! by part.

use std::path::Path;

use arrow_array::RecordBatch;
use rayon::prelude::*;

use super::{
    dialect::{self, Mapping},
    error::FlightsError,
    format::{Batches, Columns, Format},
    parquet::{self, ParquetFile},
    read::ReadOptions,
    report::FileReport,
    rows::{Chunk, Extent},
    source::Source,
};

/// Endings that are no part of a flight's name.
const ENDINGS: [&str; 10] = ["gz", "csv", "tsv", "txt", "json", "jsonl", "ndjson", "parquet", "pq", "parq"];

/// An opened file.
pub(super) struct Input {
    bytes: Bytes,
    /// What its flight is called where nothing names flights.
    pub(super) stem: String,
    pub(super) report: FileReport,
    unreadable: Vec<Unread>,
}

enum Bytes {
    Parquet(Box<(ParquetFile, Mapping)>),
    Other(&'static Format, Source),
}

/// A part of an input: all of it, or a row group.
pub(super) struct Part {
    pub(super) input: usize,
    pub(super) row_group: Option<usize>,
}

/// Rows of a part that are still to be read.
pub(super) struct Unfinished {
    mapping: Mapping,
    batches: Batches,
}

/// Values of a column that could not be read; the first one's row and text.
struct Unread {
    column: String,
    expected: &'static str,
    count: u64,
    row: u64,
    text: String,
}

impl Unfinished {
    /// Decodes up to the first rows, where nobody waits for them yet.
    pub(super) fn read_ahead(&mut self) -> Result<(), FlightsError> {
        if let Some(first) = self.batches.next() {
            let rest = std::mem::replace(&mut self.batches, Box::new(std::iter::empty()));
            self.batches = Box::new(std::iter::once(Ok(first?)).chain(rest));
        }
        Ok(())
    }
}

impl Input {
    /// Looks into a file. That of Parquet is described at once, others when
    /// their rows are read.
    pub(super) fn open(path: &Path, options: &ReadOptions) -> Result<Self, FlightsError> {
        let source = Source::open(path)?;
        let format = Format::of(&source)?;
        let mut report = FileReport::new(path, format, source.is_gzipped());
        let bytes = if parquet::recognises(source.head()) {
            let file = ParquetFile::open(&source)?;
            let mapping = Mapping::of(path, &file.names(), options.altitude_unit)?;
            report.describe(&mapping, file.names());
            Bytes::Parquet(Box::new((file, mapping)))
        } else {
            Bytes::Other(format, source)
        };
        Ok(Self { bytes, stem: stem(path), report, unreadable: Vec::new() })
    }

    /// How many row groups can be read apart; `None` where the file has to be
    /// read whole.
    pub(super) fn row_groups(&self) -> Option<usize> {
        match &self.bytes {
            Bytes::Parquet(parquet) => Some(parquet.0.row_groups()),
            Bytes::Other(..) => None,
        }
    }

    /// Rows of a part; 0 where that is not known.
    pub(super) fn rows_of(&self, part: &Part) -> usize {
        match (&self.bytes, part.row_group) {
            (Bytes::Parquet(parquet), Some(group)) => parquet.0.rows_of(group),
            _ => 0,
        }
    }

    /// Begins to read a part.
    pub(super) fn begin(&mut self, part: &Part, options: &ReadOptions) -> Result<Unfinished, FlightsError> {
        let wanted = Columns::Wanted(dialect::is_known);
        match &self.bytes {
            Bytes::Parquet(parquet) => {
                let (file, mapping) = &**parquet;
                let groups = part.row_group.map_or(0..file.row_groups(), |g| g..g + 1);
                Ok(Unfinished { mapping: mapping.clone(), batches: file.read(wanted, groups) })
            }
            Bytes::Other(format, source) => {
                let table = (format.open)(source, wanted)?;
                let mapping = Mapping::of(&self.report.path, &table.names, options.altitude_unit)?;
                self.report.describe(&mapping, table.names);
                Ok(Unfinished { mapping, batches: table.batches })
            }
        }
    }

    /// The next rows, several batches in parallel; none at the end.
    pub(super) fn read_on(&mut self, rest: &mut Unfinished) -> Result<Vec<Chunk>, FlightsError> {
        let ahead = 2 * rayon::current_num_threads();
        let mut window: Vec<(u64, RecordBatch)> = Vec::with_capacity(ahead);
        let mut row = self.report.rows;
        for batch in rest.batches.by_ref().take(ahead) {
            let batch = batch?;
            let rows = batch.num_rows() as u64;
            window.push((row, batch));
            row += rows;
        }
        self.report.rows = row;
        let (path, mapping) = (&self.report.path, &rest.mapping);
        let read = |(row, batch): &(u64, RecordBatch)| {
            let chunk = Chunk::read(path, mapping, batch, *row)?;
            Ok((*row, chunk.extent(), chunk))
        };
        let read: Vec<(u64, Option<Extent>, Chunk)> =
            window.par_iter().map(read).collect::<Result<_, FlightsError>>()?;
        let mut chunks = Vec::with_capacity(read.len());
        for (row, extent, chunk) in read {
            self.report.extent = match (self.report.extent, extent) {
                (Some(a), Some(b)) => Some(a.union(&b)),
                (a, b) => a.or(b),
            };
            self.note_unreadable(&chunk, row);
            chunks.push(chunk);
        }
        Ok(chunks)
    }

    /// Ends the reading of a part.
    pub(super) fn finish(&mut self, part: &Part) -> Result<(), FlightsError> {
        let last = part.row_group.is_none_or(|g| self.row_groups().is_none_or(|n| g + 1 == n));
        if last { self.judge_unreadable() } else { Ok(()) }
    }

    /// Reads only which flights the rows of a row group belong to.
    pub(super) fn read_names(&self, part: &Part) -> Result<Vec<Chunk>, FlightsError> {
        let (Bytes::Parquet(parquet), Some(group)) = (&self.bytes, part.row_group) else { return Ok(Vec::new()) };
        let (file, mapping) = &**parquet;
        let batches = file.read(Columns::Wanted(dialect::is_identity), group..group + 1);
        batches.map(|batch| Chunk::read_names(&self.report.path, mapping, &batch?, 0)).collect()
    }

    fn note_unreadable(&mut self, chunk: &Chunk, start: u64) {
        for (column, expected, bad) in &chunk.unreadable {
            if let Some(known) = self.unreadable.iter_mut().find(|u| u.column == *column) {
                known.count += bad.count;
            } else if let Some((row, text)) = &bad.first {
                self.unreadable.push(Unread {
                    column: column.clone(),
                    expected,
                    count: bad.count,
                    row: start + *row as u64 + 1,
                    text: text.clone(),
                });
            }
        }
    }

    /// Values that cannot be read are worth a remark; where no row can be
    /// placed because of them, the file is not what it seems.
    fn judge_unreadable(&mut self) -> Result<(), FlightsError> {
        for bad in std::mem::take(&mut self.unreadable) {
            if self.report.extent.and_then(|e| e.altitude_m).is_none() {
                return Err(FlightsError::Value {
                    path: self.report.path.clone(),
                    row: bad.row,
                    column: bad.column,
                    value: bad.text,
                    expected: bad.expected,
                });
            }
            self.report.remarks.push(format!(
                "{} values of column {:?} cannot be read and count as missing; the first is {:?} in row {}, expected a {}",
                bad.count, bad.column, bad.text, bad.row, bad.expected
            ));
        }
        Ok(())
    }
}

/// The name of a file without the endings of formats.
fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let mut stem = name.as_str();
    while let Some((rest, ending)) = stem.rsplit_once('.')
        && !rest.is_empty()
        && ENDINGS.iter().any(|e| ending.eq_ignore_ascii_case(e))
    {
        stem = rest;
    }
    stem.to_owned()
}
