//! Flights from CSV: separated by comma, semicolon, tab or bar.

use std::{io::Read, path::PathBuf, sync::Arc};

use ::csv::{ByteRecord, Reader, ReaderBuilder};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, RecordBatchOptions, StringArray,
    builder::StringBuilder,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};

use super::{
    column::{is_missing, number},
    dialect,
    error::FlightsError,
    format::{Columns, Table},
    source::Source,
};

const SEPARATORS: [u8; 4] = *b",;\t|";
const BATCH_ROWS: usize = 1 << 16;
/// Text of a batch; far below the 2 GiB that a string array can address.
const BATCH_BYTES: usize = 64 << 20;
const MAX_RECORD_BYTES: usize = 16 << 20;

/// Whether the first bytes are lines of text.
pub(super) fn recognises(head: &[u8]) -> bool {
    let printable = |b: &u8| *b >= b' ' || matches!(b, b'\n' | b'\r' | b'\t');
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    !head.is_empty()
        && head.iter().all(printable)
        && match std::str::from_utf8(head) {
            Ok(_) => true,
            // Cut within a character, or with the odd byte of a legacy code page.
            Err(e) => {
                head.len() - e.valid_up_to() < 4 || head.iter().filter(|b| !b.is_ascii()).count() * 20 < head.len()
            }
        }
}

/// Reads a table. Cells are text; with [`Columns::All`] each column becomes
/// numbers or truth values where all its cells are.
pub(super) fn open(source: &Source, columns: Columns) -> Result<Table, FlightsError> {
    let mut reader =
        ReaderBuilder::new().delimiter(separator(source.head())).has_headers(false).from_reader(source.reader()?);
    let path = source.path().to_owned();
    let mut header = ByteRecord::new();
    reader.read_byte_record(&mut header).map_err(|e| fault(&path, &e))?;
    let names = header_names(&header);
    let chosen: Vec<usize> = (0..names.len()).filter(|&i| columns.include(&names[i])).collect();
    let schema: SchemaRef =
        Arc::new(Schema::new(chosen.iter().map(|&i| Field::new(&names[i], DataType::Utf8, true)).collect::<Vec<_>>()));
    let rows = Rows { path, reader, chosen, schema, done: false };
    Ok(match columns {
        Columns::Wanted(_) => Table { names, batches: Box::new(rows) },
        Columns::All => {
            let batches = rows.collect::<Result<Vec<_>, _>>()?;
            let typed = infer(source, &batches)?;
            Table { names, batches: Box::new(std::iter::once(Ok(typed))) }
        }
    })
}

struct Rows<R> {
    path: PathBuf,
    reader: Reader<R>,
    chosen: Vec<usize>,
    schema: SchemaRef,
    done: bool,
}

impl<R: Read> Iterator for Rows<R> {
    type Item = Result<RecordBatch, FlightsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let batch = self.read_batch();
        self.done |= batch.is_err();
        batch.transpose()
    }
}

impl<R: Read> Rows<R> {
    fn read_batch(&mut self) -> Result<Option<RecordBatch>, FlightsError> {
        let mut cells: Vec<StringBuilder> = self.chosen.iter().map(|_| StringBuilder::new()).collect();
        let mut record = ByteRecord::new();
        let (mut rows, mut bytes) = (0, 0);
        while rows < BATCH_ROWS && bytes < BATCH_BYTES {
            if !self.reader.read_byte_record(&mut record).map_err(|e| fault(&self.path, &e))? {
                self.done = true;
                break;
            }
            let size = record.as_slice().len();
            if size > MAX_RECORD_BYTES {
                let line = record.position().map_or(0, ::csv::Position::line);
                return Err(FlightsError::corrupt(
                    &self.path,
                    format_args!("line {line} has {size} bytes: a quote that is not closed?"),
                ));
            }
            for (cell, &i) in cells.iter_mut().zip(&self.chosen) {
                match record.get(i).map(<[u8]>::trim_ascii) {
                    None | Some(b"") => cell.append_null(),
                    Some(text) => cell.append_value(String::from_utf8_lossy(text)),
                }
            }
            rows += 1;
            bytes += size;
        }
        if rows == 0 {
            return Ok(None);
        }
        let arrays: Vec<ArrayRef> = cells.iter_mut().map(|c| Arc::new(c.finish()) as ArrayRef).collect();
        table(self.schema.clone(), arrays, rows).map(Some).map_err(|e| FlightsError::corrupt(&self.path, e))
    }
}

/// A batch of known length, which one without columns has too.
fn table(schema: SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, arrow_schema::ArrowError> {
    RecordBatch::try_new_with_options(schema, arrays, &RecordBatchOptions::new().with_row_count(Some(rows)))
}

/// The separator that the first line has most of, outside quotes.
fn separator(head: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [0_usize; SEPARATORS.len()];
    for &b in head.iter().take_while(|&&b| b != b'\n') {
        quoted ^= b == b'"';
        if let Some(i) = SEPARATORS.iter().position(|&s| s == b && !quoted) {
            counts[i] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let first = counts.iter().position(|&n| n == most).unwrap_or(0);
    SEPARATORS[first]
}

/// Names of the columns; those of an unnamed index are numbered as pandas does.
fn header_names(header: &ByteRecord) -> Vec<String> {
    let name = |(i, bytes): (usize, &[u8])| {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}').trim().trim_matches('"');
        if text.is_empty() { format!("Unnamed: {i}") } else { text.to_owned() }
    };
    header.iter().enumerate().map(name).collect()
}

fn fault(path: &std::path::Path, error: &::csv::Error) -> FlightsError {
    match error.kind() {
        ::csv::ErrorKind::Io(e) => FlightsError::io(path, std::io::Error::new(e.kind(), e.to_string())),
        ::csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, ::csv::Position::line);
            FlightsError::corrupt(
                path,
                format_args!("line {line} has {len} fields, expected {expected_len} as in the header: cut off?"),
            )
        }
        _ => FlightsError::corrupt(path, error),
    }
}

/// One batch of all, each column of the narrowest type that holds its cells:
/// truth values, integers, numbers, else text. Names of flights stay text.
fn infer(source: &Source, batches: &[RecordBatch]) -> Result<RecordBatch, FlightsError> {
    let Some(first) = batches.first() else {
        return Ok(RecordBatch::new_empty(Arc::new(Schema::empty())));
    };
    let corrupt = |e| FlightsError::corrupt(source.path(), format_args!("does not fit in one table: {e}"));
    let whole = arrow_select::concat::concat_batches(&first.schema(), batches).map_err(corrupt)?;
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for (field, array) in whole.schema().fields().iter().zip(whole.columns()) {
        let text = array.as_any().downcast_ref::<StringArray>();
        let typed = text
            .filter(|_| !dialect::is_identity(field.name()))
            .and_then(|cells| as_truth(cells).or_else(|| as_integers(cells)).or_else(|| as_numbers(cells)))
            .unwrap_or_else(|| array.clone());
        fields.push(Field::new(field.name(), typed.data_type().clone(), true));
        arrays.push(typed);
    }
    table(Arc::new(Schema::new(fields)), arrays, whole.num_rows()).map_err(corrupt)
}

fn as_truth(cells: &StringArray) -> Option<ArrayRef> {
    let read = |text: &str| match text {
        "True" | "true" | "TRUE" => Some(true),
        "False" | "false" | "FALSE" => Some(false),
        _ => None,
    };
    all(cells, read).map(|v| Arc::new(BooleanArray::from(v)) as ArrayRef)
}

fn as_integers(cells: &StringArray) -> Option<ArrayRef> {
    // "007" and "+7" are names rather than numbers.
    let plain = |text: &str| text == "0" || !text.trim_start_matches('-').starts_with(['0', '+']);
    all(cells, |text| text.parse::<i64>().ok().filter(|_| plain(text)))
        .map(|v| Arc::new(Int64Array::from(v)) as ArrayRef)
}

fn as_numbers(cells: &StringArray) -> Option<ArrayRef> {
    let plain = |text: &str| {
        let digits = text.trim_start_matches('-').as_bytes();
        !(digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit())
    };
    all(cells, |text| number(text).filter(|_| plain(text))).map(|v| Arc::new(Float64Array::from(v)) as ArrayRef)
}

/// Every cell read, missing ones as `None`; `None` where one cannot be read
/// or all are missing.
fn all<T>(cells: &StringArray, read: impl Fn(&str) -> Option<T>) -> Option<Vec<Option<T>>> {
    let mut values = Vec::with_capacity(cells.len());
    let mut any = false;
    for cell in cells {
        match cell {
            Some(text) if !is_missing(text) => {
                values.push(Some(read(text)?));
                any = true;
            }
            _ => values.push(None),
        }
    }
    any.then_some(values)
}
