//! Arrow columns as text, row by row.

use std::{io::Write, ops::Range, path::Path};

use arrow_array::{
    Array, ArrowPrimitiveType, PrimitiveArray, RecordBatch,
    cast::AsArray,
    types::{
        Date32Type, Date64Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
        TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, TimeUnit};
use jiff::{Timestamp, tz::Offset};
use rayon::prelude::*;
use serde::Serialize;

use super::{OutcomeError, file::AtomicFile};

/// Appends the text of a row's value; false, and nothing appended, where
/// there is none.
pub(super) type WriteCell<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> bool + Send + Sync + 'a>;

/// One column, read row by row; the variants differ in how formats quote.
pub(super) enum Cells<'a> {
    /// Numbers and truth values: bare in every format.
    Number(WriteCell<'a>),
    /// RFC 3339: without a character that CSV quotes.
    Time(WriteCell<'a>),
    /// Anything that people write.
    Text(Box<dyn Fn(usize) -> Option<&'a str> + Send + Sync + 'a>),
    /// Already JSON.
    Document(WriteCell<'a>),
}

/// Rows that one thread writes at a time.
const ROWS_A_TASK: usize = 4096;
/// Tasks whose text is held before it goes to the file.
const TASKS_AT_A_TIME: usize = 32;

/// Refuses a table with a column that has no form as text.
pub(super) fn check(path: &Path, schema: &arrow_schema::SchemaRef) -> Result<(), OutcomeError> {
    cells(path, &RecordBatch::new_empty(schema.clone())).map(drop)
}

/// Writes every row, in order; rows become text on all threads.
pub(super) fn write_rows(
    file: &mut AtomicFile,
    batch: &RecordBatch,
    write_row: impl Fn(&[Cells<'_>], usize, &mut Vec<u8>) + Sync,
) -> Result<(), OutcomeError> {
    let columns = cells(file.target(), batch)?;
    let text_of = |rows: Range<usize>| {
        let mut text = Vec::with_capacity(rows.len() * columns.len() * 16);
        for row in rows {
            write_row(&columns, row, &mut text);
        }
        text
    };
    let rows = batch.num_rows();
    for begin in (0..rows).step_by(ROWS_A_TASK * TASKS_AT_A_TIME) {
        let tasks: Vec<_> = (begin..rows).step_by(ROWS_A_TASK).take(TASKS_AT_A_TIME).collect();
        let texts: Vec<_> = tasks.into_par_iter().map(|from| text_of(from..rows.min(from + ROWS_A_TASK))).collect();
        for text in texts {
            file.write_all(&text).map_err(OutcomeError::io(file.target()))?;
        }
    }
    Ok(())
}

/// Text in JSON's quotes.
pub(super) fn write_json_text(text: &str, out: &mut Vec<u8>) {
    write_json(&text, out);
}

fn cells<'a>(path: &Path, batch: &'a RecordBatch) -> Result<Vec<Cells<'a>>, OutcomeError> {
    let fields = batch.schema_ref().fields();
    let columns = fields.iter().zip(batch.columns()).map(|(field, array)| {
        Cells::of(array.as_ref()).ok_or_else(|| OutcomeError::Column {
            path: path.to_owned(),
            column: field.name().clone(),
            data_type: field.data_type().clone(),
        })
    });
    columns.collect()
}

impl<'a> Cells<'a> {
    /// `None` for a type that has no form as text here.
    fn of(array: &'a dyn Array) -> Option<Self> {
        Some(match array.data_type() {
            DataType::Null => Self::Number(Box::new(|_, _| false)),
            DataType::Boolean => {
                let array = array.as_boolean();
                Self::Number(Box::new(move |row, out| {
                    array.is_valid(row) && {
                        out.extend_from_slice(if array.value(row) { b"true" } else { b"false" });
                        true
                    }
                }))
            }
            DataType::Int8 => numbers::<Int8Type, _>(array, |v| v),
            DataType::Int16 => numbers::<Int16Type, _>(array, |v| v),
            DataType::Int32 => numbers::<Int32Type, _>(array, |v| v),
            DataType::Int64 => numbers::<Int64Type, _>(array, |v| v),
            DataType::UInt8 => numbers::<UInt8Type, _>(array, |v| v),
            DataType::UInt16 => numbers::<UInt16Type, _>(array, |v| v),
            DataType::UInt32 => numbers::<UInt32Type, _>(array, |v| v),
            DataType::UInt64 => numbers::<UInt64Type, _>(array, |v| v),
            DataType::Float16 => some_numbers::<Float16Type, _>(array, |v| Some(v.to_f32()).filter(|v| v.is_finite())),
            DataType::Float32 => some_numbers::<Float32Type, _>(array, |v| Some(v).filter(|v| v.is_finite())),
            DataType::Float64 => some_numbers::<Float64Type, _>(array, |v| Some(v).filter(|v| v.is_finite())),
            DataType::Utf8 => {
                let array = array.as_string::<i32>();
                Self::Text(Box::new(move |row| array.is_valid(row).then(|| array.value(row))))
            }
            DataType::LargeUtf8 => {
                let array = array.as_string::<i64>();
                Self::Text(Box::new(move |row| array.is_valid(row).then(|| array.value(row))))
            }
            DataType::Utf8View => {
                let array = array.as_string_view();
                Self::Text(Box::new(move |row| array.is_valid(row).then(|| array.value(row))))
            }
            DataType::Date32 => times::<Date32Type>(array, |v| i64::from(v) * 86_400, Form::DATE),
            DataType::Date64 => times::<Date64Type>(array, |v| v.div_euclid(1000), Form::DATE),
            DataType::Timestamp(unit, zone) => timestamps(array, *unit, zone.is_some()),
            DataType::Dictionary(..) => dictionary(array)?,
            DataType::Map(..) => map(array)?,
            _ => return None,
        })
    }
}

fn numbers<'a, T: ArrowPrimitiveType, V: Serialize>(
    array: &'a dyn Array,
    value: impl Fn(T::Native) -> V + Send + Sync + 'a,
) -> Cells<'a> {
    some_numbers::<T, V>(array, move |native| Some(value(native)))
}

fn some_numbers<'a, T: ArrowPrimitiveType, V: Serialize>(
    array: &'a dyn Array,
    value: impl Fn(T::Native) -> Option<V> + Send + Sync + 'a,
) -> Cells<'a> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    Cells::Number(Box::new(move |row, out| {
        let value = if array.is_valid(row) { value(array.value(row)) } else { None };
        value.is_some_and(|value| {
            write_json(&value, out);
            true
        })
    }))
}

/// How an instant is written.
#[derive(Debug, Clone, Copy)]
struct Form {
    /// Ticks of the column in a second, a power of ten.
    ticks_a_second: i64,
    /// Whether the time of day is written.
    clock: bool,
    /// Whether the time is known to be UTC.
    utc: bool,
}

impl Form {
    const DATE: Self = Self { ticks_a_second: 1, clock: false, utc: false };
}

fn timestamps(array: &dyn Array, unit: TimeUnit, utc: bool) -> Cells<'_> {
    let form = |ticks_a_second| Form { ticks_a_second, clock: true, utc };
    match unit {
        TimeUnit::Second => times::<TimestampSecondType>(array, |v| v, form(1)),
        TimeUnit::Millisecond => times::<TimestampMillisecondType>(array, |v| v, form(1_000)),
        TimeUnit::Microsecond => times::<TimestampMicrosecondType>(array, |v| v, form(1_000_000)),
        TimeUnit::Nanosecond => times::<TimestampNanosecondType>(array, |v| v, form(1_000_000_000)),
    }
}

fn times<T: ArrowPrimitiveType>(array: &dyn Array, ticks: fn(T::Native) -> i64, form: Form) -> Cells<'_> {
    let array: &PrimitiveArray<T> = array.as_primitive();
    Cells::Time(Box::new(move |row, out| array.is_valid(row) && write_time(ticks(array.value(row)), form, out)))
}

/// As many decimals as the column can hold, in every row. False before the
/// year 0 and after 9999, for which RFC 3339 has no form.
fn write_time(ticks: i64, form: Form, out: &mut Vec<u8>) -> bool {
    let seconds = ticks.div_euclid(form.ticks_a_second);
    let Ok(stamp) = Timestamp::from_second(seconds) else { return false };
    let civil = Offset::UTC.to_datetime(stamp);
    let Ok(year) = u64::try_from(civil.year()) else { return false };
    let two = |value: i8| u64::from(value.unsigned_abs());
    write_digits(year, 4, out);
    for (mark, value) in [(b'-', civil.month()), (b'-', civil.day())] {
        out.push(mark);
        write_digits(two(value), 2, out);
    }
    if form.clock {
        for (mark, value) in [(b'T', civil.hour()), (b':', civil.minute()), (b':', civil.second())] {
            out.push(mark);
            write_digits(two(value), 2, out);
        }
        if form.ticks_a_second > 1 {
            out.push(b'.');
            let decimals = form.ticks_a_second.ilog10() as usize;
            write_digits(ticks.rem_euclid(form.ticks_a_second).unsigned_abs(), decimals, out);
        }
        if form.utc {
            out.push(b'Z');
        }
    }
    true
}

fn write_digits(mut value: u64, width: usize, out: &mut Vec<u8>) {
    let from = out.len();
    out.resize(from + width, b'0');
    for digit in out[from..].iter_mut().rev() {
        *digit = b"0123456789"[(value % 10) as usize];
        value /= 10;
    }
}

fn dictionary<'a>(array: &'a dyn Array) -> Option<Cells<'a>> {
    let array = array.as_any_dictionary_opt()?;
    let of_value = Cells::of(array.values().as_ref())?;
    // Keys of an empty dictionary are all null, and cannot be normalised.
    let keys = if array.values().is_empty() { vec![0; array.len()] } else { array.normalized_keys() };
    let there = |row| array.keys().is_valid(row);
    let redirect = |write: WriteCell<'a>, keys: Vec<usize>| -> WriteCell<'a> {
        Box::new(move |row, out| there(row) && write(keys[row], out))
    };
    Some(match of_value {
        Cells::Number(write) => Cells::Number(redirect(write, keys)),
        Cells::Time(write) => Cells::Time(redirect(write, keys)),
        Cells::Document(write) => Cells::Document(redirect(write, keys)),
        Cells::Text(get) => Cells::Text(Box::new(move |row| if there(row) { get(keys[row]) } else { None })),
    })
}

/// Maps from text to numbers, as a JSON object.
fn map(array: &dyn Array) -> Option<Cells<'_>> {
    let array = array.as_map_opt()?;
    let Cells::Text(key) = Cells::of(array.keys().as_ref())? else { return None };
    let Cells::Number(write) = Cells::of(array.values().as_ref())? else { return None };
    let bound = |row: usize| usize::try_from(array.value_offsets()[row]).unwrap_or(0);
    Some(Cells::Document(Box::new(move |row, out| {
        if array.is_null(row) {
            return false;
        }
        out.push(b'{');
        for (i, entry) in (bound(row)..bound(row + 1)).enumerate() {
            if i > 0 {
                out.push(b',');
            }
            write_json_text(key(entry).unwrap_or_default(), out);
            out.push(b':');
            if !write(entry, out) {
                out.extend_from_slice(b"null");
            }
        }
        out.push(b'}');
        true
    })))
}

fn write_json<T: Serialize>(value: &T, out: &mut Vec<u8>) {
    // A number or a string into memory: neither can fail.
    let written = serde_json::to_writer(out, value);
    debug_assert!(written.is_ok());
}
