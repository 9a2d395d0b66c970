//! The prepared form: the field that loads fastest.
//!
//! A Zarr v3 store that xarray and zarr-python 3 read as CF data. Each
//! variable is one `float32` array `[member][time][level][latitude][longitude]`
//! (without `member` where there is no ensemble, without `level` for surface
//! fields), missing as NaN. A chunk is one time, one band of levels and the
//! whole grid, so that it is read with one system call and no decoding.
//!
//! | array | type | what |
//! |---|---|---|
//! | `time` | `int64`, or `float64` with fractions | seconds since 1970-01-01 |
//! | `level` | `float64` | Pa, metres, or flight level by its `units`; `int64` for model levels |
//! | `a_half`, `b_half` | `float64` | half-level coefficients of model levels \[Pa, 1\] |
//! | `latitude`, `longitude` | `float64` | degrees |
//! | `member` | `int64` | the ensemble's members |

use std::{collections::BTreeSet, path::Path};

use serde_json::{Map, Value, json};

use super::metadata::is_plain_name;
use crate::field::{
    FieldError, HybridLevels, Levels,
    cf::RawArray,
    dataset::{LevelPlace, ValueRule},
};

/// Attribute of the group: `unfinished` or [`FINISHED`].
pub(super) const STATE: &str = "skydose_prepared";
/// Attribute of the group: what the store was made of.
pub(super) const FINGERPRINT: &str = "skydose_fingerprint";
/// Attribute of the group: what a value at a level stands for.
pub const LEVELS_AT: &str = "skydose_levels_at";
/// Attribute of an array whose values are to be interpolated as logarithms.
const INTERPOLATION: &str = "skydose_interpolation";
const LOG: &str = "log";
pub(super) const UNFINISHED: &str = "unfinished";
pub(super) const FINISHED: &str = "finished";

/// A band of levels is about this long [bytes].
const BAND_BYTES: usize = 4 << 20;
/// Names of coordinates, which no variable may have.
const COORDINATES: [&str; 8] = ["member", "time", "level", "latitude", "longitude", "half_level", "a_half", "b_half"];

/// What a prepared store holds.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedLayout {
    /// At least one.
    pub variables: Vec<PreparedVariable>,
    /// Ascending, seconds since 1970.
    pub times_s: Vec<f64>,
    /// Ascending or descending; [`Levels::Surface`] where no variable has any.
    pub levels: Levels,
    /// Ascending degrees north.
    pub latitudes_deg: Vec<f64>,
    /// Ascending degrees east.
    pub longitudes_deg: Vec<f64>,
    /// Names of the ensemble's members; empty where there is no ensemble.
    pub members: Vec<String>,
    /// Attributes of the whole: `title`, `source`, `history`.
    pub attributes: Map<String, Value>,
    /// Levels a chunk; see [`band`].
    pub band: usize,
    /// Of the chunks.
    pub compression: Compression,
    /// Of the inputs; see [`super::writer::fingerprint`].
    pub fingerprint: String,
}

/// A variable of a prepared store.
#[derive(Debug, Clone, PartialEq)]
pub struct PreparedVariable {
    /// Also the name of a folder.
    pub name: String,
    /// CF `standard_name`.
    pub standard_name: Option<String>,
    /// CF `long_name`.
    pub long_name: Option<String>,
    /// Of the values as they are written.
    pub units: Option<String>,
    /// Whether it has the vertical axis; a surface field has not.
    pub vertical: bool,
    /// Between its values.
    pub interpolation: ValueRule,
}

/// How chunks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all: the fastest to read.
    #[default]
    None,
    /// zstd, level 3: the smallest.
    Zstd,
    /// blosc with LZ4 and byte shuffle.
    Blosc,
}

/// Levels a chunk for planes of `plane` values: about 4 MiB, in bands of even
/// size.
#[must_use]
pub fn band(levels: usize, plane: usize) -> usize {
    let levels = levels.max(1);
    let most = (BAND_BYTES / plane.saturating_mul(size_of::<f32>()).max(1)).clamp(1, levels);
    levels.div_ceil(levels.div_ceil(most))
}

/// Whether the group's attributes are of a prepared store.
///
/// # Errors
/// Where they are, but it was never finished.
pub(super) fn check_finished(root: &Path, attributes: &Map<String, Value>) -> Result<bool, FieldError> {
    match attributes.get(STATE) {
        None => Ok(false),
        Some(state) if state == FINISHED => Ok(true),
        Some(_) => Err(FieldError::unsupported(
            root,
            "a prepared field that was not finished",
            "run the same `skydose prepare` again: it goes on where it stopped",
        )),
    }
}

/// What the levels of a store stand for, as the attribute [`LEVELS_AT`] says.
///
/// # Errors
/// Where it says something else.
pub(super) fn levels_at(root: &Path, attributes: &Map<String, Value>) -> Result<LevelPlace, FieldError> {
    let Some(said) = attributes.get(LEVELS_AT) else { return Ok(LevelPlace::Point) };
    serde_json::from_value(said.clone()).map_err(|_| {
        FieldError::corrupt(root, format!("attribute {LEVELS_AT} is {said}, expected point, layer-top or layer-mean"))
    })
}

/// How an array is interpolated, as its attributes say.
///
/// # Errors
/// Where they say what is not known.
pub(super) fn value_rule(root: &Path, array: &RawArray) -> Result<ValueRule, FieldError> {
    match array.attributes.get(INTERPOLATION) {
        None => Ok(ValueRule::Linear),
        Some(_) if array.text(INTERPOLATION) == Some(LOG) => Ok(ValueRule::Log),
        Some(other) => Err(FieldError::corrupt(
            root,
            format!("attribute {INTERPOLATION} of {} is {other:?}, expected {LOG:?}", array.name),
        )),
    }
}

/// An array of a store: its metadata, and for a coordinate its values.
pub(super) struct ArrayDocument {
    pub(super) name: String,
    pub(super) metadata: Value,
    /// Little-endian, one chunk; `None` for a variable.
    pub(super) coordinate: Option<Vec<u8>>,
}

impl PreparedLayout {
    /// Checks that the axes and names can be written.
    ///
    /// # Errors
    /// [`FieldError::Dataset`] naming the axis or variable.
    pub(super) fn validate(&self) -> Result<(), FieldError> {
        let refuse = |what: String| Err(FieldError::Dataset(format!("cannot prepare: {what}")));
        for (name, axis) in
            [("time", &self.times_s), ("latitude", &self.latitudes_deg), ("longitude", &self.longitudes_deg)]
        {
            if axis.is_empty() || axis.iter().any(|v| !v.is_finite()) || !axis.is_sorted_by(|a, b| a < b) {
                return refuse(format!("axis {name} is empty, not finite or not ascending"));
            }
        }
        if !levels_are_monotonic(&self.levels) {
            return refuse("axis level is empty, not finite or not monotonic".to_owned());
        }
        if self.band == 0 || self.variables.is_empty() {
            return refuse(format!("{} variables in bands of {} levels", self.variables.len(), self.band));
        }
        let mut names = BTreeSet::from(COORDINATES);
        for variable in &self.variables {
            let name = variable.name.as_str();
            if !is_plain_name(name) || name.starts_with('.') || name == "zarr.json" || !names.insert(name) {
                return refuse(format!("variable {name:?}: the name is taken or cannot be that of a folder"));
            }
            if variable.vertical && self.levels == Levels::Surface {
                return refuse(format!("variable {name} has levels, but the field has none"));
            }
        }
        Ok(())
    }

    /// Values of one latitude-longitude plane.
    pub(super) fn plane(&self) -> usize {
        self.latitudes_deg.len() * self.longitudes_deg.len()
    }

    /// Levels a chunk of a variable.
    pub(super) fn band_of(&self, variable: &PreparedVariable) -> usize {
        if variable.vertical { self.band.min(self.levels.len()) } else { 1 }
    }

    /// Levels of a variable; 1 without a vertical axis.
    pub(super) fn levels_of(&self, variable: &PreparedVariable) -> usize {
        if variable.vertical { self.levels.len() } else { 1 }
    }

    /// The group's metadata.
    pub(super) fn group(&self, state: &str, fingerprint: &str, arrays: &[ArrayDocument]) -> Value {
        let mut attributes = self.attributes.clone();
        attributes.insert("Conventions".to_owned(), json!("CF-1.11"));
        attributes.insert(STATE.to_owned(), json!(state));
        attributes.insert(FINGERPRINT.to_owned(), json!(fingerprint));
        let metadata: Map<String, Value> = arrays.iter().map(|a| (a.name.clone(), a.metadata.clone())).collect();
        json!({
            "zarr_format": 3,
            "node_type": "group",
            "attributes": attributes,
            "consolidated_metadata": { "kind": "inline", "must_understand": false, "metadata": metadata },
        })
    }

    /// Coordinates, then variables.
    pub(super) fn arrays(&self) -> Vec<ArrayDocument> {
        let mut arrays = vec![self.time()];
        arrays.push(coordinate(
            "latitude",
            Numbers::Float(&self.latitudes_deg),
            &json!({ "standard_name": "latitude", "units": "degrees_north", "axis": "Y" }),
        ));
        arrays.push(coordinate(
            "longitude",
            Numbers::Float(&self.longitudes_deg),
            &json!({ "standard_name": "longitude", "units": "degrees_east", "axis": "X" }),
        ));
        arrays.extend(self.vertical());
        if !self.members.is_empty() {
            arrays.push(self.member());
        }
        arrays.extend(self.variables.iter().map(|variable| self.variable(variable)));
        arrays
    }

    fn time(&self) -> ArrayDocument {
        let attributes = json!({
            "standard_name": "time", "axis": "T",
            "units": "seconds since 1970-01-01 00:00:00", "calendar": "proleptic_gregorian",
        });
        match whole_numbers(&self.times_s) {
            Some(seconds) => coordinate("time", Numbers::Int(&seconds), &attributes),
            None => coordinate("time", Numbers::Float(&self.times_s), &attributes),
        }
    }

    fn vertical(&self) -> Vec<ArrayDocument> {
        let level = |values: &[f64], standard_name: &str, units: &str, positive: &str| {
            let attributes =
                json!({ "standard_name": standard_name, "units": units, "positive": positive, "axis": "Z" });
            vec![coordinate("level", Numbers::Float(values), &attributes)]
        };
        match &self.levels {
            Levels::Surface => Vec::new(),
            Levels::Pressure(pa) => level(pa, "air_pressure", "Pa", "down"),
            Levels::Altitude(m) => level(m, "altitude", "m", "up"),
            Levels::FlightLevel(fl) => level(fl, "barometric_altitude", "hft", "up"),
            Levels::Hybrid(hybrid) => hybrid_levels(hybrid),
        }
    }

    /// Members are written as their numbers; names that are none are counted
    /// and listed in an attribute.
    fn member(&self) -> ArrayDocument {
        let mut attributes = json!({ "standard_name": "realization", "units": "1" });
        let numbers = self.members.iter().map(|m| m.parse().ok()).collect::<Option<Vec<i64>>>();
        let numbers = numbers.unwrap_or_else(|| {
            attributes["names"] = json!(self.members);
            (0..).take(self.members.len()).collect()
        });
        coordinate("member", Numbers::Int(&numbers), &attributes)
    }

    fn variable(&self, variable: &PreparedVariable) -> ArrayDocument {
        let mut axes = vec![("time", self.times_s.len(), 1)];
        if !self.members.is_empty() {
            axes.insert(0, ("member", self.members.len(), 1));
        }
        if variable.vertical {
            axes.push(("level", self.levels.len(), self.band_of(variable)));
        }
        axes.push(("latitude", self.latitudes_deg.len(), self.latitudes_deg.len()));
        axes.push(("longitude", self.longitudes_deg.len(), self.longitudes_deg.len()));
        let named = [
            ("standard_name", &variable.standard_name),
            ("long_name", &variable.long_name),
            ("units", &variable.units),
        ];
        let mut attributes: Map<String, Value> =
            named.into_iter().filter_map(|(key, text)| Some((key.to_owned(), json!(text.as_ref()?)))).collect();
        if variable.interpolation == ValueRule::Log {
            attributes.insert(INTERPOLATION.to_owned(), json!(LOG));
        }
        let mut codecs = vec![little_endian()];
        codecs.extend(self.compression.codec());
        let mut metadata = array("float32", &axes, &Value::Object(attributes));
        metadata["fill_value"] = json!("NaN");
        metadata["codecs"] = Value::Array(codecs);
        ArrayDocument { name: variable.name.clone(), metadata, coordinate: None }
    }
}

impl Compression {
    /// As array metadata say it.
    pub(super) fn codec(self) -> Option<Value> {
        match self {
            Self::None => None,
            Self::Zstd => Some(json!({ "name": "zstd", "configuration": { "level": 3, "checksum": false } })),
            Self::Blosc => Some(json!({ "name": "blosc", "configuration": {
                "cname": "lz4", "clevel": 5, "shuffle": "shuffle", "typesize": 4, "blocksize": 0,
            }})),
        }
    }
}

#[derive(Clone, Copy)]
enum Numbers<'a> {
    Int(&'a [i64]),
    Float(&'a [f64]),
}

fn coordinate(name: &str, values: Numbers, attributes: &Value) -> ArrayDocument {
    coordinate_along(name, name, values, attributes)
}

fn coordinate_along(name: &str, dim: &str, values: Numbers, attributes: &Value) -> ArrayDocument {
    let (data_type, len, bytes): (_, _, Vec<u8>) = match values {
        Numbers::Int(v) => ("int64", v.len(), v.iter().flat_map(|n| n.to_le_bytes()).collect()),
        Numbers::Float(v) => ("float64", v.len(), v.iter().flat_map(|n| n.to_le_bytes()).collect()),
    };
    let mut metadata = array(data_type, &[(dim, len, len)], attributes);
    metadata["fill_value"] = json!(0);
    metadata["codecs"] = json!([little_endian()]);
    ArrayDocument { name: name.to_owned(), metadata, coordinate: Some(bytes) }
}

/// `axes` are name, length and length of a chunk.
fn array(data_type: &str, axes: &[(&str, usize, usize)], attributes: &Value) -> Value {
    json!({
        "zarr_format": 3,
        "node_type": "array",
        "shape": axes.iter().map(|a| a.1).collect::<Vec<_>>(),
        "data_type": data_type,
        "chunk_grid": {
            "name": "regular",
            "configuration": { "chunk_shape": axes.iter().map(|a| a.2).collect::<Vec<_>>() },
        },
        // All chunks of an array in its folder, not a tree of folders.
        "chunk_key_encoding": { "name": "default", "configuration": { "separator": "." } },
        "attributes": attributes,
        "dimension_names": axes.iter().map(|a| a.0).collect::<Vec<_>>(),
        "storage_transformers": [],
    })
}

fn little_endian() -> Value {
    json!({ "name": "bytes", "configuration": { "endian": "little" } })
}

fn hybrid_levels(hybrid: &HybridLevels) -> Vec<ArrayDocument> {
    let numbers: Vec<i64> = hybrid.numbers.iter().map(|&n| i64::from(n)).collect();
    let attributes = json!({ "standard_name": "model_level_number", "units": "1", "positive": "down", "axis": "Z" });
    let mut arrays = vec![coordinate("level", Numbers::Int(&numbers), &attributes)];
    if let Some(table) = &hybrid.half_levels {
        let (a, b): (Vec<f64>, Vec<f64>) = table.iter().copied().unzip();
        let long = |which: &str| format!("{which} of half levels from the top: p = a_half + b_half surface pressure");
        for (name, values, units, long_name) in
            [("a_half", &a, "Pa", long("pressure term")), ("b_half", &b, "1", long("sigma term"))]
        {
            let attributes = json!({ "units": units, "long_name": long_name });
            arrays.push(coordinate_along(name, "half_level", Numbers::Float(values), &attributes));
        }
    }
    arrays
}

fn levels_are_monotonic(levels: &Levels) -> bool {
    match levels {
        Levels::Surface => true,
        Levels::Pressure(v) | Levels::Altitude(v) | Levels::FlightLevel(v) => {
            !v.is_empty()
                && v.iter().all(|v| v.is_finite())
                && (v.is_sorted_by(|a, b| a < b) || v.is_sorted_by(|a, b| a > b))
        }
        Levels::Hybrid(h) => {
            let n = &h.numbers;
            !n.is_empty() && (n.is_sorted_by(|a, b| a < b) || n.is_sorted_by(|a, b| a > b))
        }
    }
}

/// The values as integers, where all are.
fn whole_numbers(values: &[f64]) -> Option<Vec<i64>> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
    let whole = |v: &f64| (v.fract() == 0.0 && v.abs() <= EXACT).then_some(*v as i64);
    values.iter().map(whole).collect()
}
