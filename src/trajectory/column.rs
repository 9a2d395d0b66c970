//! Arrow columns of any type as numbers, times, truth values and names.

use std::collections::HashMap;

use arrow_array::types::{
    Date32Type, Date64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow_array::{
    AnyDictionaryArray, Array, ArrayAccessor, ArrayRef, LargeStringArray, StringArray, StringViewArray,
    cast::AsArray,
    types::{
        Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type,
        UInt16Type, UInt32Type, UInt64Type,
    },
};
use arrow_schema::{DataType, TimeUnit};

use crate::time::UnixTime;

/// The code of a row that has no name.
pub(super) const NO_NAME: u32 = u32::MAX;

/// Names of rows, each distinct name once.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// Index into `names` for each row, [`NO_NAME`] where there is none.
    pub(super) codes: Vec<u32>,
    /// Not necessarily distinct, and some may be used by no row.
    pub(super) names: Vec<String>,
}

/// Values that are there but could not be read.
#[derive(Debug, Default, Clone)]
pub(super) struct Unreadable {
    /// How many.
    pub(super) count: u64,
    /// Row in the batch and text of the first.
    pub(super) first: Option<(usize, String)>,
}

impl Unreadable {
    fn note(&mut self, row: usize, text: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| (row, text.chars().take(60).collect()));
    }
}

/// Whether a cell of text says that there is no value.
pub(super) fn is_missing(text: &str) -> bool {
    const MARKS: [&str; 9] = ["", "nan", "null", "none", "na", "n/a", "nat", "-", "\\n"];
    text.len() <= 4 && MARKS.iter().any(|m| text.eq_ignore_ascii_case(m))
}

/// A finite number.
pub(super) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|v| v.is_finite())
}

/// A column as numbers, NaN where there is none.
pub(super) fn numbers(array: &ArrayRef, bad: &mut Unreadable) -> Option<Vec<f64>> {
    macro_rules! cast {
        ($kind:ty) => {
            Some(fill(array.as_primitive::<$kind>(), |v| f64::from(v)))
        };
    }
    macro_rules! cast_wide {
        ($kind:ty) => {
            Some(fill(array.as_primitive::<$kind>(), |v| v as f64))
        };
    }
    match array.data_type() {
        DataType::Float64 => {
            Some(fill(array.as_primitive::<Float64Type>(), |v| if v.is_finite() { v } else { f64::NAN }))
        }
        DataType::Float32 => {
            Some(fill(array.as_primitive::<Float32Type>(), |v| if v.is_finite() { f64::from(v) } else { f64::NAN }))
        }
        DataType::Float16 => cast!(Float16Type),
        DataType::Int8 => cast!(Int8Type),
        DataType::Int16 => cast!(Int16Type),
        DataType::Int32 => cast!(Int32Type),
        DataType::Int64 => cast_wide!(Int64Type),
        DataType::UInt8 => cast!(UInt8Type),
        DataType::UInt16 => cast!(UInt16Type),
        DataType::UInt32 => cast!(UInt32Type),
        DataType::UInt64 => cast_wide!(UInt64Type),
        DataType::Decimal128(_, scale) => {
            let factor = 10_f64.powi(-i32::from(*scale));
            Some(fill(array.as_primitive::<Decimal128Type>(), |v| v as f64 * factor))
        }
        DataType::Null => Some(vec![f64::NAN; array.len()]),
        _ => texts(array, |text, row| parse(text, row, number, bad), f64::NAN),
    }
}

/// A column as seconds since 1970, NaN where there is no time.
///
/// Numbers without a unit are seconds, milli-, micro- or nanoseconds, by
/// their magnitude: see [`epoch_seconds`].
pub(super) fn times(array: &ArrayRef, bad: &mut Unreadable) -> Option<Vec<f64>> {
    match array.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            Some(fill(array.as_primitive::<TimestampSecondType>(), |v| v as f64))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Some(fill(array.as_primitive::<TimestampMillisecondType>(), |v| scaled(v, 1_000)))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Some(fill(array.as_primitive::<TimestampMicrosecondType>(), |v| scaled(v, 1_000_000)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            Some(fill(array.as_primitive::<TimestampNanosecondType>(), |v| scaled(v, 1_000_000_000)))
        }
        DataType::Date32 => Some(fill(array.as_primitive::<Date32Type>(), |v| f64::from(v) * 86_400.0)),
        DataType::Date64 => Some(fill(array.as_primitive::<Date64Type>(), |v| scaled(v, 1_000))),
        DataType::Int64 => Some(fill(array.as_primitive::<Int64Type>(), |v| scaled(v, epoch_scale(v as f64)))),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            texts(array, |text, row| parse(text, row, time, bad), f64::NAN)
        }
        _ => numbers(array, bad).map(|v| v.into_iter().map(epoch_seconds).collect()),
    }
}

/// A column as truth values, false where there is none.
pub(super) fn truths(array: &ArrayRef, bad: &mut Unreadable) -> Option<Vec<bool>> {
    let truth = |text: &str| match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
        "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
        _ => None,
    };
    match array.data_type() {
        DataType::Boolean => Some(array.as_boolean().iter().map(|v| v == Some(true)).collect()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..) => {
            let mut read = |text: &str, row| {
                if is_missing(text) {
                    return false;
                }
                truth(text).unwrap_or_else(|| {
                    bad.note(row, text);
                    false
                })
            };
            texts(array, &mut read, false)
        }
        _ => numbers(array, bad).map(|v| v.into_iter().map(|x| x.is_finite() && x != 0.0).collect()),
    }
}

/// A column as names; numbers are written as integers where they are.
pub(super) fn names(array: &ArrayRef) -> Option<Names> {
    if let Some(dictionary) = array.as_any_dictionary_opt() {
        return dictionary_names(dictionary);
    }
    match array.data_type() {
        DataType::Utf8 => Some(collect_names(&array.as_string::<i32>())),
        DataType::LargeUtf8 => Some(collect_names(&array.as_string::<i64>())),
        DataType::Utf8View => Some(collect_names(&array.as_string_view())),
        _ => {
            let values = numbers(array, &mut Unreadable::default())?;
            let text = |v: f64| if v.is_nan() { None } else { Some(v.to_string()) };
            let text: StringArray = values.into_iter().map(text).collect();
            Some(collect_names(&&text))
        }
    }
}

/// Seconds since 1970 of a time that is a bare number, by its magnitude:
/// below 10¹¹ seconds (to the year 5138), below 10¹⁴ milliseconds (from
/// March 1973), below 10¹⁷ microseconds, else nanoseconds.
pub(super) fn epoch_seconds(value: f64) -> f64 {
    value / epoch_scale(value) as f64
}

fn epoch_scale(value: f64) -> i64 {
    match value.abs() {
        v if v < 1e11 => 1,
        v if v < 1e14 => 1_000,
        v if v < 1e17 => 1_000_000,
        _ => 1_000_000_000,
    }
}

fn scaled(value: i64, units_per_second: i64) -> f64 {
    value.div_euclid(units_per_second) as f64 + value.rem_euclid(units_per_second) as f64 / units_per_second as f64
}

/// A time written as text: a date and time, or a number as [`epoch_seconds`] reads it.
fn time(text: &str) -> Option<f64> {
    common_time(text.as_bytes())
        .or_else(|| UnixTime::parse(text).map(|t| t.0))
        .or_else(|| number(text).map(epoch_seconds))
}

/// The fast way for `YYYY-MM-DD hh:mm:ss`, with a `T` or a space and perhaps
/// a `Z` or `+00:00`, which is nearly every time in nearly every file.
fn common_time(text: &[u8]) -> Option<f64> {
    let (fixed, rest) = text.split_at_checked(19)?;
    if !matches!(rest, b"" | b"Z" | b"+00:00") || !matches!(fixed[10], b' ' | b'T') {
        return None;
    }
    if (fixed[4], fixed[7], fixed[13], fixed[16]) != (b'-', b'-', b':', b':') {
        return None;
    }
    let digits = |at: std::ops::Range<usize>| {
        fixed[at].iter().try_fold(0_i64, |n, b| b.is_ascii_digit().then(|| n * 10 + i64::from(b - b'0')))
    };
    let (year, month, day) = (digits(0..4)?, digits(5..7)?, digits(8..10)?);
    let (hour, minute, second) = (digits(11..13)?, digits(14..16)?, digits(17..19)?);
    // The last days of a month are left to the calendar's own code.
    if !(1..=12).contains(&month) || !(1..=28).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    // Days since 1970 in the Gregorian calendar; the year starts in March.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second) as f64)
}

fn parse(text: &str, row: usize, read: impl Fn(&str) -> Option<f64>, bad: &mut Unreadable) -> f64 {
    if is_missing(text) {
        return f64::NAN;
    }
    read(text).unwrap_or_else(|| {
        bad.note(row, text);
        f64::NAN
    })
}

fn fill<T: arrow_array::ArrowPrimitiveType>(
    array: &arrow_array::PrimitiveArray<T>,
    convert: impl Fn(T::Native) -> f64,
) -> Vec<f64> {
    if array.null_count() == 0 {
        array.values().iter().map(|&v| convert(v)).collect()
    } else {
        array.iter().map(|v| v.map_or(f64::NAN, &convert)).collect()
    }
}

/// Every text of a column read; `missing` where there is none.
fn texts<T: Copy>(array: &ArrayRef, mut read: impl FnMut(&str, usize) -> T, missing: T) -> Option<Vec<T>> {
    fn each<'a, T: Copy>(
        cells: impl Iterator<Item = Option<&'a str>>,
        mut read: impl FnMut(&str, usize) -> T,
        missing: T,
    ) -> Vec<T> {
        cells.enumerate().map(|(row, cell)| cell.map_or(missing, |text| read(text.trim(), row))).collect()
    }
    match array.data_type() {
        DataType::Utf8 => Some(each(array.as_string::<i32>().iter(), read, missing)),
        DataType::LargeUtf8 => Some(each(array.as_string::<i64>().iter(), read, missing)),
        DataType::Utf8View => Some(each(array.as_string_view().iter(), read, missing)),
        DataType::Dictionary(..) => {
            let names = names(array)?;
            let cell = |code: &u32| names.names.get(*code as usize).map(String::as_str);
            Some(each(names.codes.iter().map(cell), &mut read, missing))
        }
        _ => None,
    }
}

fn dictionary_names(dictionary: &dyn AnyDictionaryArray) -> Option<Names> {
    let values = names(dictionary.values())?;
    if dictionary.values().is_empty() {
        return Some(Names { codes: vec![NO_NAME; dictionary.len()], names: Vec::new() });
    }
    let keys = dictionary.normalized_keys();
    let nulls = dictionary.logical_nulls();
    let code = |(row, key): (usize, &usize)| {
        if nulls.as_ref().is_some_and(|n| n.is_null(row)) {
            NO_NAME
        } else {
            values.codes.get(*key).copied().unwrap_or(NO_NAME)
        }
    };
    Some(Names { codes: keys.iter().enumerate().map(code).collect(), names: values.names })
}

/// Text columns whose cells outlive the borrow of the array.
trait Cells<'a>: ArrayAccessor<Item = &'a str> {}
impl<'a> Cells<'a> for &'a StringArray {}
impl<'a> Cells<'a> for &'a LargeStringArray {}
impl<'a> Cells<'a> for &'a StringViewArray {}

/// Rows of one flight mostly follow each other: only a name that differs
/// from the one above is looked up.
fn collect_names<'a>(cells: &impl Cells<'a>) -> Names {
    let mut found = Names { codes: Vec::with_capacity(cells.len()), names: Vec::new() };
    let mut index: HashMap<&'a str, u32> = HashMap::new();
    let (mut last, mut last_code) = ("", NO_NAME);
    for row in 0..cells.len() {
        let text = if cells.is_null(row) { "" } else { cells.value(row).trim() };
        if text != last {
            last = text;
            last_code = if is_missing(text) {
                NO_NAME
            } else {
                *index.entry(text).or_insert_with(|| {
                    found.names.push(text.to_owned());
                    u32::try_from(found.names.len() - 1).unwrap_or(NO_NAME)
                })
            };
        }
        found.codes.push(last_code);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_calendar_is_the_calendar() {
        for year in [1, 1899, 1900, 1969, 1970, 1999, 2000, 2004, 2018, 2023, 2100, 2400, 9999] {
            for month in 1..=12 {
                for (day, time) in [(1, "00:00:00"), (12, "07:08:09"), (28, "23:59:59")] {
                    let text = format!("{year:04}-{month:02}-{day:02}T{time}");
                    let fast = common_time(text.as_bytes());
                    assert!(fast.is_some());
                    assert_eq!(fast, UnixTime::parse(&text).map(|t| t.0), "{text}");
                    assert_eq!(fast, common_time(text.replace('T', " ").as_bytes()));
                }
            }
        }
        for text in [
            "2018-13-01 00:00:00",
            "2018-00-01 00:00:00",
            "2018-01-01 24:00:00",
            "2018-01-01 00:00:60",
            "2018-01-01 00:00:0x",
        ] {
            assert_eq!(common_time(text.as_bytes()), None, "{text}");
        }
        // Python: datetime(2020, 2, 29, 12, tzinfo=utc).timestamp(), and with a fraction.
        assert_eq!(time("2020-02-29 12:00:00"), Some(1_582_977_600.0));
        assert_eq!(time("2020-02-29 12:00:00.5+00:00"), Some(1_582_977_600.5));
        assert_eq!(time("1582977600500"), Some(1_582_977_600.5));
        assert_eq!(time("noon"), None);
    }
}
