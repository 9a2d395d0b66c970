//! What the conventions of climate data (CF) make of a store of named arrays,
//! the same for every format: which dimension is time, level, latitude,
//! longitude or member, what the numbers mean, and how a box of a variable is
//! gathered whatever the order of its dimensions.
//!
//! A format gives an [`ArrayStore`]; [`open`] turns it into a [`FieldSource`].
//!
//! | concern | file |
//! |---|---|
//! | from arrays to variables | `interpret.rs` |
//! | arrays by name, coordinates' values | `catalogue.rs` |
//! | which array is which axis | `axes.rs` |
//! | pressure, hybrid, altitude; half-level tables | `levels.rs`, `half_levels.rs` |
//! | valid times of a variable | `instants.rs` |
//! | `hours since 1900-01-01`, calendars | `time.rs` |
//! | packing, missing values | `unpack.rs` |
//! | boxes of a variable | `layout.rs` |

mod axes;
mod catalogue;
mod fault;
mod half_levels;
mod instants;
mod interpret;
mod layout;
mod levels;
mod time;
mod unpack;

use std::{collections::BTreeMap, ops::Range, path::Path};

pub use self::{layout::Layout, unpack::Values};
use super::{FieldError, FieldSource, Variable, Window};
use crate::contaminant::Entry;

/// One array of a store, as the file declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct RawArray {
    /// Name within the store's root.
    pub name: String,
    /// Names of the dimensions, slowest first; as many as `shape` is long.
    pub dims: Vec<String>,
    /// Length of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// The array's own attributes. A format puts what it knows by other ways
    /// (a fill value in its metadata) here under the CF name.
    pub attributes: BTreeMap<String, Attribute>,
    /// Whether [`ArrayStore::read_box`] can read it: integers and floats, not
    /// text, booleans or compounds.
    pub numeric: bool,
    /// Shape of the compressed chunks, where there are any.
    pub chunk_shape: Option<Vec<usize>>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Attribute {
    /// Text.
    Text(String),
    /// One number or several.
    Numbers(Vec<f64>),
}

/// A store of named arrays. Reads may come from many threads at once.
pub trait ArrayStore: Send + Sync {
    /// What messages call the file.
    fn path(&self) -> &Path;

    /// Format and version, as in `NetCDF-4`.
    fn format(&self) -> String;

    /// The arrays of the root, in the file's order.
    fn arrays(&self) -> &[RawArray];

    /// Stored values, before any unpacking, of the box `ranges` (one range a
    /// dimension, inside the shape) of array number `array`, in C order of the
    /// array's own dimensions. A scalar has no ranges and one value.
    ///
    /// # Errors
    /// [`FieldError`] names file and array.
    fn read_box(&self, array: usize, ranges: &[Range<usize>]) -> Result<Values, FieldError>;
}

/// What [`interpret`] finds: variable number i is read through layout i.
#[derive(Debug)]
pub struct Interpreted {
    /// Gridded variables in the file's order.
    pub variables: Vec<Variable>,
    /// How to read each of them.
    pub layouts: Vec<Layout>,
    /// What was skipped or repaired, and why.
    pub remarks: Vec<String>,
}

/// Makes a field of a store; `remarks` are those of the format itself.
///
/// # Errors
/// Where no variable can be used: why the first one cannot, and the remedy.
/// Where a coordinate is broken: its name and value.
pub fn open<S: ArrayStore + 'static>(store: S, remarks: Vec<String>) -> Result<Box<dyn FieldSource>, FieldError> {
    let mut interpreted = interpret(&store)?;
    interpreted.remarks.splice(0..0, remarks);
    Ok(Box::new(CfSource { store, interpreted }))
}

/// Recognises axes and variables.
///
/// # Errors
/// As [`open`].
pub fn interpret(store: &dyn ArrayStore) -> Result<Interpreted, FieldError> {
    interpret::interpret(store)
}

/// Reads a box as [`FieldSource::read`] does.
///
/// # Errors
/// As [`FieldSource::read`].
pub fn read(store: &dyn ArrayStore, layout: &Layout, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
    layout.read(store, window, out)
}

struct CfSource<S> {
    store: S,
    interpreted: Interpreted,
}

impl RawArray {
    /// A text attribute, trimmed; `None` where it is absent, empty or a number.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Attribute::Text(text)) => Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0')),
            _ => None,
        }
        .filter(|text| !text.is_empty())
    }

    /// A numeric attribute; text that spells a number counts.
    #[must_use]
    pub fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        match self.attributes.get(name)? {
            Attribute::Numbers(numbers) => Some(numbers.clone()),
            Attribute::Text(text) => text.trim().parse().ok().map(|number| vec![number]),
        }
    }

    /// Elements; saturates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d))
    }

    /// Whether a dimension has length zero.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this is surface pressure or its logarithm, which ECMWF files
    /// keep on model level 1.
    fn is_surface_pressure(&self) -> bool {
        [Some(self.name.as_str()), self.text("standard_name")]
            .into_iter()
            .flatten()
            .filter_map(Entry::find)
            .any(|entry| matches!(entry.name, "surface_pressure" | "log_surface_pressure"))
    }
}

impl<S: ArrayStore> FieldSource for CfSource<S> {
    fn format(&self) -> String {
        self.store.format()
    }

    fn path(&self) -> Option<&Path> {
        Some(self.store.path())
    }

    fn variables(&self) -> &[Variable] {
        &self.interpreted.variables
    }

    fn remarks(&self) -> &[String] {
        &self.interpreted.remarks
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let layout = self.interpreted.layouts.get(variable).ok_or_else(|| {
            FieldError::Dataset(format!("{}: no variable number {variable}", self.store.path().display()))
        })?;
        read(&self.store, layout, window, out)
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
