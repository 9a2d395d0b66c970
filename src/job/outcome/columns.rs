//! The columns of an exposure, one row each in [`COLUMNS`].

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock},
};

use arrow_array::{
    ArrayRef, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    builder::{Float64Builder, MapBuilder, MapFieldNames, StringBuilder, StringDictionaryBuilder},
    types::Int32Type,
};
use arrow_schema::{ArrowError, DataType, Field, Fields, Schema, SchemaRef, TimeUnit};
use rayon::prelude::*;

use crate::exposure::Exposure;

/// Name of the metadata that hold the units of all columns, as a JSON object.
pub(super) const UNITS: &str = "units";
/// Name of the metadata of one Arrow field that hold its unit.
pub(super) const UNIT: &str = "unit";

type Pairs = [(Arc<str>, Option<f64>)];

/// One column of the results.
struct Column {
    name: &'static str,
    /// UDUNITS spelling; empty for text.
    unit: &'static str,
    values: Values,
}

/// What a column holds, and where in an exposure it is.
enum Values {
    /// Text that differs from row to row.
    Text(fn(&Exposure) -> &str),
    /// Text of which there are few: dictionary-encoded in memory too.
    Label(fn(&Exposure) -> Option<&str>),
    /// Seconds since 1970.
    Time(fn(&Exposure) -> Option<f64>),
    Number(fn(&Exposure) -> Option<f64>),
    /// From a threshold as text to a number.
    Map(fn(&Exposure) -> &Pairs),
}

const fn column(name: &'static str, unit: &'static str, values: Values) -> Column {
    Column { name, unit, values }
}

/// Every column, in the order of the file.
const COLUMNS: &[Column] = &[
    column("flight_id", "", Values::Text(|e| &e.flight_id)),
    column("contaminant", "", Values::Label(|e| Some(&e.contaminant))),
    column("phase", "", Values::Label(|e| Some(e.phase.name()))),
    column("member", "", Values::Label(|e| e.member.as_deref())),
    column("start", "UTC", Values::Time(|e| Some(e.start_s))),
    column("end", "UTC", Values::Time(|e| Some(e.end_s))),
    column("duration_s", "s", Values::Number(|e| Some(e.duration_s))),
    column("sampled_fraction", "1", Values::Number(|e| Some(e.sampled_fraction))),
    column("dosage_g_s_m3", "g s m-3", Values::Number(|e| e.dosage_g_s_m3)),
    column("mean_mg_m3", "mg m-3", Values::Number(|e| e.mean_mg_m3)),
    column("peak_mg_m3", "mg m-3", Values::Number(|e| e.peak.map(|p| p.mg_m3))),
    column("peak_time", "UTC", Values::Time(|e| e.peak.map(|p| p.time_s))),
    column("peak_longitude", "degrees_east", Values::Number(|e| e.peak.map(|p| p.longitude_deg))),
    column("peak_latitude", "degrees_north", Values::Number(|e| e.peak.map(|p| p.latitude_deg))),
    column("peak_pressure_hpa", "hPa", Values::Number(|e| e.peak.map(|p| p.pressure_hpa))),
    column("rolling_peak_mg_m3", "mg m-3", Values::Number(|e| e.rolling_peak_mg_m3)),
    column("rolling_window_s", "s", Values::Number(|e| e.rolling_window_s)),
    column("dose_g", "g", Values::Number(|e| e.dose_g)),
    column("time_above_s", "s", Values::Map(|e| &e.time_above_s)),
    column("exceedance_probability", "1", Values::Map(|e| &e.exceedance)),
];

static SCHEMA: LazyLock<SchemaRef> =
    LazyLock::new(|| Arc::new(Schema::new(COLUMNS.iter().map(Column::field).collect::<Vec<_>>())));

/// The schema of [`batch`].
pub(super) fn schema() -> SchemaRef {
    Arc::clone(&SCHEMA)
}

/// Exposures in columns.
pub(super) fn batch(rows: &[Exposure]) -> Result<RecordBatch, ArrowError> {
    let arrays: Result<Vec<_>, _> = COLUMNS.par_iter().map(|column| column.values.array(rows)).collect();
    RecordBatch::try_new(schema(), arrays?)
}

/// Units of the columns that state one.
pub(super) fn units(schema: &Schema) -> serde_json::Map<String, serde_json::Value> {
    let units = schema.fields().iter().filter_map(|f| Some((f.name().clone(), f.metadata().get(UNIT)?.clone().into())));
    units.collect()
}

/// A nullable column of numbers in `unit`.
pub(super) fn number(name: &str, unit: &str) -> Field {
    Field::new(name, DataType::Float64, true).with_metadata(HashMap::from([(UNIT.to_owned(), unit.to_owned())]))
}

/// A number as files hold it: what is not finite does not exist.
pub(super) fn finite(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite())
}

impl Column {
    fn field(&self) -> Field {
        let (data_type, nullable) = match self.values {
            Values::Text(_) => (DataType::Utf8, false),
            Values::Label(_) => (DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()), true),
            Values::Time(_) => (DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
            Values::Number(_) => (DataType::Float64, true),
            Values::Map(_) => (map_type(), false),
        };
        let unit = HashMap::from([(UNIT.to_owned(), self.unit.to_owned())]);
        Field::new(self.name, data_type, nullable).with_metadata(unit)
    }
}

impl Values {
    fn array(&self, rows: &[Exposure]) -> Result<ArrayRef, ArrowError> {
        Ok(match *self {
            Self::Text(get) => Arc::new(StringArray::from_iter_values(rows.iter().map(get))),
            Self::Label(get) => labels(rows, get)?,
            Self::Time(get) => {
                let times = rows.iter().map(|row| finite(get(row)).map(microseconds));
                Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
            }
            Self::Number(get) => Arc::new(rows.iter().map(|row| finite(get(row))).collect::<Float64Array>()),
            Self::Map(get) => maps(rows, get)?,
        })
    }
}

fn labels(rows: &[Exposure], get: fn(&Exposure) -> Option<&str>) -> Result<ArrayRef, ArrowError> {
    let mut builder = StringDictionaryBuilder::<Int32Type>::with_capacity(rows.len(), 16, 256);
    for row in rows {
        match get(row) {
            Some(label) => _ = builder.append(label)?,
            None => builder.append_null(),
        }
    }
    Ok(Arc::new(builder.finish()))
}

/// The names that the Parquet format gives to the parts of a map.
fn map_names() -> MapFieldNames {
    MapFieldNames { entry: "key_value".to_owned(), key: "key".to_owned(), value: "value".to_owned() }
}

fn map_type() -> DataType {
    let MapFieldNames { entry, key, value } = map_names();
    let fields = vec![Field::new(key, DataType::Utf8, false), Field::new(value, DataType::Float64, true)];
    DataType::Map(Arc::new(Field::new(entry, DataType::Struct(Fields::from(fields)), false)), false)
}

fn maps(rows: &[Exposure], get: fn(&Exposure) -> &Pairs) -> Result<ArrayRef, ArrowError> {
    let mut builder = MapBuilder::new(Some(map_names()), StringBuilder::new(), Float64Builder::new());
    for row in rows {
        for (threshold, value) in get(row) {
            builder.keys().append_value(threshold);
            builder.values().append_option(finite(*value));
        }
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn microseconds(time_s: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "a float cast saturates")]
    let micros = (time_s * 1e6).round() as i64;
    micros
}
