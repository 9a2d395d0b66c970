//! A job as a JSON document, with a few flights inline.

use std::{cell::RefCell, collections::HashSet, fmt, path::Path, sync::Arc};

use arrow_array::{ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray};
use arrow_schema::ArrowError;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor},
};

use super::{
    Head, Limits, Rejection, body,
    head::{Parts, refuse, unknown},
};
use crate::{
    time::UnixTime,
    trajectory::{ColumnKind, Loaded, TableOptions, Trajectory, column_kind, column_names, read_tables},
};

/// What errors call the flights of a message.
const FLIGHTS: &str = "flights";

/// A job as it is written.
#[derive(Debug, Serialize)]
pub(super) struct Document<'a> {
    /// What is asked.
    #[serde(flatten)]
    pub head: &'a Head,
    /// The flights, unless they are in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flights: Option<Vec<Flight<'a>>>,
}

/// A flight as it is written: its values as they stand.
#[derive(Debug, Serialize)]
pub(super) struct Flight<'a> {
    flight_id: &'a str,
    time: &'a [f64],
    longitude: &'a [f64],
    latitude: &'a [f64],
    pressure_pa: &'a [f64],
    #[serde(skip_serializing_if = "Option::is_none")]
    on_ground: Option<&'a [bool]>,
}

impl<'a> Flight<'a> {
    pub(super) fn of(flight: &Trajectory<'a>) -> Self {
        Self {
            flight_id: flight.id,
            time: flight.time_s,
            longitude: flight.longitude_deg,
            latitude: flight.latitude_deg,
            pressure_pa: flight.pressure_pa,
            on_ground: flight.on_ground.contains(&true).then_some(flight.on_ground),
        }
    }
}

/// Reads a document.
pub(super) fn decode(bytes: &[u8], limits: &Limits) -> Result<(Head, Option<Loaded>), Rejection> {
    body::check_depth(bytes)?;
    let table = RefCell::new(Table::new(limits));
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let document = Job { table: &table }.deserialize(&mut json);
    let read = document.and_then(|parts| json.end().map(|()| parts)).map_err(|e| refuse("body", &e))?;
    let head = read.parts.finish()?;
    let loaded = read.has_flights.then(|| table.into_inner().flights(&head)).transpose()?;
    Ok((head, loaded))
}

struct Read {
    parts: Parts,
    has_flights: bool,
}

struct Job<'t, 'l> {
    table: &'t RefCell<Table<'l>>,
}

impl<'de> DeserializeSeed<'de> for Job<'_, '_> {
    type Value = Read;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Read, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Job<'_, '_> {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a job: an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let mut read = Read { parts: Parts::new(), has_flights: false };
        while let Some(name) = map.next_key::<String>()? {
            if name == FLIGHTS {
                if std::mem::replace(&mut read.has_flights, true) {
                    return Err(A::Error::custom("flights is there twice, expected once"));
                }
                map.next_value_seed(Flights { table: self.table })?;
            } else if !read.parts.read(&name, &mut map)? {
                return Err(unknown(&name, &[FLIGHTS]));
            }
        }
        Ok(read)
    }
}

/// The array of flights.
struct Flights<'t, 'l> {
    table: &'t RefCell<Table<'l>>,
}

impl<'de> DeserializeSeed<'de> for Flights<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Flights<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("flights: an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(OneFlight { table: self.table })?.is_some() {}
        Ok(())
    }
}

struct OneFlight<'t, 'l> {
    table: &'t RefCell<Table<'l>>,
}

impl<'de> DeserializeSeed<'de> for OneFlight<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneFlight<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a flight: an object of a name and columns")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut table = self.table.borrow_mut();
        let number = table.ids.len();
        let mut id: Option<String> = None;
        while let Some(name) = map.next_key::<String>()? {
            let at = || format!("flights[{number}].{}", name.chars().take(60).collect::<String>());
            if name == "flight_id" {
                id = Some(map.next_value().map_err(|e| A::Error::custom(format!("{}: {e}", at())))?);
                continue;
            }
            let column = table.column(&name).map_err(|what| A::Error::custom(format!("{}: {what}", at())))?;
            let room = table.room();
            let values = &mut table.columns[column].values;
            map.next_value_seed(Append { values, room }).map_err(|e| A::Error::custom(format!("{}: {e}", at())))?;
        }
        let id =
            id.ok_or_else(|| A::Error::custom(format!("flights[{number}].flight_id is absent, expected a name")))?;
        table.close(id).map_err(|what| A::Error::custom(format!("flights[{number}]: {what}")))
    }
}

/// The columns of all flights so far.
struct Table<'l> {
    limits: &'l Limits,
    ids: Vec<String>,
    known: HashSet<String>,
    /// Waypoints up to the end of each flight.
    ends: Vec<usize>,
    columns: Vec<Column>,
}

struct Column {
    name: String,
    values: Values,
}

enum Values {
    /// NaN where there is none.
    Times(Vec<f64>),
    Numbers(Vec<f64>),
    Truths(Vec<bool>),
}

impl<'l> Table<'l> {
    fn new(limits: &'l Limits) -> Self {
        Self { limits, ids: Vec::new(), known: HashSet::new(), ends: Vec::new(), columns: Vec::new() }
    }

    fn rows(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Values that a column may still take.
    fn room(&self) -> usize {
        self.limits.waypoints.saturating_sub(self.rows())
    }

    /// The column of a name, filled up to the flight that is being read.
    fn column(&mut self, name: &str) -> Result<usize, String> {
        let rows = self.rows();
        if let Some(index) = self.columns.iter().position(|c| c.name == name) {
            if self.columns[index].values.len() > rows {
                return Err("is there twice, expected once".to_owned());
            }
            self.columns[index].values.pad(rows);
            return Ok(index);
        }
        let mut values = match column_kind(name) {
            Some(ColumnKind::Time) => Values::Times(Vec::new()),
            Some(ColumnKind::Number) => Values::Numbers(Vec::new()),
            Some(ColumnKind::Truth) => Values::Truths(Vec::new()),
            Some(ColumnKind::Name) | None => return Err(format!("unknown column, expected one of {}", column_names())),
        };
        values.pad(rows);
        self.columns.push(Column { name: name.to_owned(), values });
        Ok(self.columns.len() - 1)
    }

    /// Ends a flight.
    fn close(&mut self, id: String) -> Result<(), String> {
        let rows = self.rows();
        if self.ids.len() >= self.limits.flights {
            return Err(format!("one flight more than the {} that a job may have", self.limits.flights));
        }
        let lengths = self.columns.iter().map(|c| (c, c.values.len().saturating_sub(rows))).filter(|(_, n)| *n > 0);
        let mut lengths = lengths.map(|(c, n)| (c.name.as_str(), n));
        let (first, length) = lengths.next().ok_or("has no waypoints, expected at least one")?;
        if let Some((other, n)) = lengths.find(|(_, n)| *n != length) {
            return Err(format!("{other} has {n} values and {first} has {length}, expected as many of each"));
        }
        if !self.known.insert(id.clone()) {
            return Err(format!("flight_id is {id:?} again, expected a name of its own"));
        }
        self.ids.push(id);
        self.ends.push(rows + length);
        Ok(())
    }

    fn flights(self, head: &Head) -> Result<Loaded, Rejection> {
        if self.ids.is_empty() {
            return Ok(Loaded::default());
        }
        let batch = self.batch().map_err(|e| Rejection::new(FLIGHTS, e, "columns of one length"))?;
        read(&[batch], head)
    }

    fn batch(self) -> Result<RecordBatch, ArrowError> {
        let rows = self.rows();
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        let codes =
            starts.zip(&self.ends).zip(0_i32..).flat_map(|((start, end), code)| std::iter::repeat_n(code, end - start));
        let codes = Int32Array::from_iter_values(codes);
        let ids = DictionaryArray::try_new(codes, Arc::new(StringArray::from(self.ids)))?;
        let mut columns: Vec<(String, ArrayRef)> = vec![("flight_id".to_owned(), Arc::new(ids))];
        for mut column in self.columns {
            column.values.pad(rows);
            columns.push((column.name, column.values.array()));
        }
        RecordBatch::try_from_iter(columns)
    }
}

/// Flights of tables, by the rules of a head.
pub(super) fn read(batches: &[RecordBatch], head: &Head) -> Result<Loaded, Rejection> {
    let options = TableOptions { altitude_unit: head.altitude_unit, gap_s: 1800.0, repair: head.repair };
    read_tables(Path::new(FLIGHTS), batches, &options)
        .map_err(|e| Rejection::new(FLIGHTS, e, "columns as in flights files"))
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Times(v) | Self::Numbers(v) => v.len(),
            Self::Truths(v) => v.len(),
        }
    }

    fn pad(&mut self, rows: usize) {
        match self {
            Self::Times(v) | Self::Numbers(v) => v.resize(rows.max(v.len()), f64::NAN),
            Self::Truths(v) => v.resize(rows.max(v.len()), false),
        }
    }

    fn array(self) -> ArrayRef {
        match self {
            Self::Times(v) | Self::Numbers(v) => Arc::new(Float64Array::from(v)),
            Self::Truths(v) => Arc::new(BooleanArray::from(v)),
        }
    }
}

/// The values of one column of one flight.
struct Append<'v> {
    values: &'v mut Values,
    room: usize,
}

impl<'de> DeserializeSeed<'de> for Append<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Append<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array with a value for each waypoint")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let full = self.values.len() + self.room;
        match self.values {
            Values::Times(times) => append(times, full, &mut seq, |t: Time| t.0),
            Values::Numbers(numbers) => append(numbers, full, &mut seq, |n: Option<f64>| n.unwrap_or(f64::NAN)),
            Values::Truths(truths) => append(truths, full, &mut seq, |t: Option<bool>| t.unwrap_or(false)),
        }
    }
}

fn append<'de, T: Deserialize<'de>, V, A: SeqAccess<'de>>(
    values: &mut Vec<V>,
    full: usize,
    seq: &mut A,
    of: fn(T) -> V,
) -> Result<(), A::Error> {
    while let Some(value) = seq.next_element::<T>()? {
        if values.len() >= full {
            return Err(A::Error::custom("more waypoints than a job may have; cut the submission into more jobs"));
        }
        values.push(of(value));
    }
    Ok(())
}

/// Seconds since 1970, from a number or text; NaN for null.
struct Time(f64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since 1970 or RFC 3339")
            }
            fn visit_unit<E>(self) -> Result<Time, E> {
                Ok(Time(f64::NAN))
            }
            fn visit_f64<E>(self, seconds: f64) -> Result<Time, E> {
                Ok(Time(seconds))
            }
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
            fn visit_u64<E>(self, seconds: u64) -> Result<Time, E> {
                Ok(Time(seconds as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^52")]
            fn visit_i64<E>(self, seconds: i64) -> Result<Time, E> {
                Ok(Time(seconds as f64))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Time, E> {
                let text: String = text.chars().take(60).collect();
                UnixTime::parse(&text)
                    .map(|t| Time(t.0))
                    .ok_or_else(|| E::custom(format!("{text:?} is no time, expected seconds since 1970 or RFC 3339")))
            }
        }
        from.deserialize_any(Either)
    }
}
