//! Flights from JSON: records, JSON lines, and the tables that pandas writes
//! by column.
//!
//! | form | as in |
//! |---|---|
//! | records | `[{"time": 0, "lat": 1}, …]` |
//! | lines | `{"time": 0, "lat": 1}` on each line |
//! | columns | `{"time": {"0": 0, …}, "lat": [1, …]}` |

use std::{
    collections::HashMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    io::Read,
    sync::Arc,
};

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::{Field, Schema};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{
    cells::{Cell, Cells},
    error::FlightsError,
    format::{Columns, Table},
    source::Source,
};

/// Empty cells that records may leave for each that they fill, beyond
/// the first million or so: a table whose records share no keys would fill the memory.
const MAX_EMPTY_PER_CELL: usize = 64;
const FREE_EMPTY: usize = 1 << 16;
/// Rows a batch when the table is handed on.
const BATCH_ROWS: usize = 1 << 16;

/// Whether the first bytes open an array or an object.
pub(super) fn recognises(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match head.first() {
        Some(b'[') => matches!(head[1..].trim_ascii_start().first(), None | Some(b'{' | b']')),
        Some(b'{') => matches!(head[1..].trim_ascii_start().first(), None | Some(b'"' | b'}')),
        _ => false,
    }
}

/// Reads a table.
pub(super) fn open(source: &Source, columns: Columns) -> Result<Table, FlightsError> {
    let mut reader = source.reader()?;
    if source.head().starts_with(b"\xef\xbb\xbf") {
        let mut mark = [0; 3];
        reader.read_exact(&mut mark).map_err(|e| FlightsError::io(source.path(), e))?;
    }
    let mut rows = Rows { columns, names: Vec::new(), table: Vec::new(), index: HashMap::new(), rows: 0, filled: 0 };
    let corrupt = |e: serde_json::Error| FlightsError::corrupt(source.path(), format_args!("JSON: {e}"));
    let mut json = serde_json::Deserializer::from_reader(reader);
    match layout(source.head()) {
        Layout::Records => {
            json.deserialize_seq(Records(&mut rows)).map_err(corrupt)?;
            json.end().map_err(corrupt)?;
        }
        Layout::Columns => {
            json.deserialize_map(ByColumn(&mut rows)).map_err(corrupt)?;
            json.end().map_err(corrupt)?;
        }
        Layout::Lines => {
            // `end` fails as long as something other than blanks is left.
            while json.end().is_err() {
                Record(&mut rows).deserialize(&mut json).map_err(corrupt)?;
            }
        }
    }
    let names = rows.names.clone();
    let batch = rows.finish().map_err(|e| FlightsError::corrupt(source.path(), e))?;
    let starts = (0..batch.num_rows()).step_by(BATCH_ROWS);
    let slices: Vec<_> = starts.map(|at| Ok(batch.slice(at, BATCH_ROWS.min(batch.num_rows() - at)))).collect();
    Ok(Table { names, batches: Box::new(slices.into_iter()) })
}

enum Layout {
    Records,
    Lines,
    Columns,
}

/// A table by column is an object whose first value is an array or an object.
fn layout(head: &[u8]) -> Layout {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if head.first() == Some(&b'[') {
        return Layout::Records;
    }
    let mut escaped = false;
    let mut bytes = head[1..].trim_ascii_start().iter().skip(1);
    // To the end of the first key …
    for &b in bytes.by_ref() {
        match b {
            b'"' if !escaped => break,
            _ => escaped = b == b'\\' && !escaped,
        }
    }
    // … and over the colon.
    match bytes.find(|b| !b.is_ascii_whitespace() && **b != b':') {
        Some(b'{' | b'[') => Layout::Columns,
        _ => Layout::Lines,
    }
}

/// The table so far.
struct Rows {
    columns: Columns,
    /// All columns that were seen, read or not.
    names: Vec<String>,
    /// Name and cells of those that are read; ragged until finished.
    table: Vec<(String, Cells)>,
    /// Of each name seen, its place in `table`.
    index: HashMap<String, Option<usize>>,
    rows: usize,
    filled: usize,
}

impl Rows {
    /// The column of a name, or that it is not read. `guess` is where it is
    /// when all records have the same keys in the same order.
    fn column(&mut self, name: &str, guess: usize) -> Option<usize> {
        if self.table.get(guess).is_some_and(|(n, _)| n == name) {
            return Some(guess);
        }
        if let Some(&place) = self.index.get(name) {
            return place;
        }
        let place = self.columns.include(name).then_some(self.table.len());
        if place.is_some() {
            self.table.push((name.to_owned(), Cells::Nulls(0)));
        }
        self.names.push(name.to_owned());
        self.index.insert(name.to_owned(), place);
        place
    }

    fn check_density(&self) -> Result<(), String> {
        let cells = self.rows.saturating_mul(self.table.len());
        if cells / MAX_EMPTY_PER_CELL > self.filled + FREE_EMPTY {
            return Err(format!(
                "{} records name {} columns and fill {} cells: not the rows of one table",
                self.rows,
                self.table.len(),
                self.filled
            ));
        }
        Ok(())
    }

    fn finish(self) -> Result<RecordBatch, String> {
        self.check_density()?;
        let (mut fields, mut arrays) = (Vec::new(), Vec::new());
        for (name, mut cells) in self.table {
            cells.pad(self.rows);
            let array = cells.finish();
            fields.push(Field::new(name, array.data_type().clone(), true));
            arrays.push(array);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(|e| e.to_string())
    }
}

/// An array of records.
struct Records<'a>(&'a mut Rows);

impl<'de> Visitor<'de> for Records<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of records")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(Record(self.0))?.is_some() {}
        Ok(())
    }
}

/// One record: an object of cells.
struct Record<'a>(&'a mut Rows);

impl<'de> DeserializeSeed<'de> for Record<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Record<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record: an object with a value for each column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let rows = self.0;
        let row = rows.rows;
        let mut guess = 0;
        while let Some(name) = map.next_key::<Name>()? {
            let columns = rows.table.len();
            let place = rows.column(&name.0, guess);
            if rows.table.len() > columns {
                rows.check_density().map_err(A::Error::custom)?;
            }
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            guess = place + 1;
            let cell: Cell = map.next_value()?;
            let cells = &mut rows.table[place].1;
            if cells.len() > row {
                return Err(A::Error::custom(format!("record {} has {:?} twice", row + 1, name.0)));
            }
            cells.pad(row);
            cells.push(cell);
            rows.filled += 1;
        }
        rows.rows += 1;
        if rows.rows.is_multiple_of(1 << 10) {
            rows.check_density().map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// A key; deserialised as this so that escapes are read too.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

/// An object of columns.
struct ByColumn<'a>(&'a mut Rows);

impl<'de> Visitor<'de> for ByColumn<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with an array or an object for each column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let rows = self.0;
        let mut first: Option<(String, usize, Option<u64>)> = None;
        while let Some(Name(name)) = map.next_key()? {
            let place = rows.column(&name, rows.table.len());
            let mut unread = Cells::Nulls(0);
            let cells = place.map_or(&mut unread, |p| &mut rows.table[p].1);
            if cells.len() > 0 {
                return Err(A::Error::custom(format!("column {name:?} is there twice")));
            }
            let (len, labels) = map.next_value_seed(Column { cells, read: place.is_some() })?;
            match &first {
                None => {
                    rows.rows = len;
                    first = Some((name, len, labels));
                }
                Some((other, n, _)) if *n != len => {
                    return Err(A::Error::custom(format!("column {name:?} has {len} rows, {other:?} has {n}")));
                }
                Some((other, _, l)) if l.is_some() && labels.is_some() && *l != labels => {
                    return Err(A::Error::custom(format!(
                        "columns {name:?} and {other:?} label their rows differently"
                    )));
                }
                Some(_) => {}
            }
            if place.is_some() {
                rows.filled += len;
            }
        }
        Ok(())
    }
}

/// One column of a table by column; gives its length and a hash of its labels.
struct Column<'a> {
    cells: &'a mut Cells,
    read: bool,
}

impl<'de> DeserializeSeed<'de> for Column<'_> {
    type Value = (usize, Option<u64>);

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Column<'_> {
    type Value = (usize, Option<u64>);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a column: an array, or an object with a value for each row")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut len = 0;
        while let Some(cell) = seq.next_element::<Cell>()? {
            if self.read {
                self.cells.push(cell);
            }
            len += 1;
        }
        Ok((len, None))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut labels = DefaultHasher::new();
        let mut len = 0;
        while let Some(Name(label)) = map.next_key()? {
            label.hash(&mut labels);
            let cell: Cell = map.next_value()?;
            if self.read {
                self.cells.push(cell);
            }
            len += 1;
        }
        Ok((len, Some(labels.finish())))
    }
}
