//! GRIB edition 2: a file is a row of messages, each with one or more
//! horizontal fields.
//!
//! | part | file |
//! |---|---|
//! | bytes on disk or in memory | `input.rs`, `octets.rs` |
//! | the list of fields, from headers alone | `index.rs` |
//! | section 3, the grid | `grid.rs`, `gaussian.rs` |
//! | section 4, the product | `product.rs`, `names.rs` |
//! | fields that make a variable | `variables.rs` |
//! | sections 5 to 7, the values | `decode.rs`, `limits.rs` |
//!
//! Opening a file reads headers only; a field is decoded when a window asks
//! for it, several at once. Messages have no order of their own, so times,
//! levels and members are sorted, ascending. Longitudes run on past 360°
//! where a grid crosses Greenwich.
//!
//! Read are regular latitude-longitude and regular Gaussian grids in every
//! scanning mode, and simple, complex (also with spatial differencing), IEEE,
//! CCSDS, JPEG 2000 and PNG packing, with bit maps. Reference: WMO-No. 306,
//! Manual on Codes, volume I.2, FM 92 GRIB.

mod decode;
mod gaussian;
mod grid;
mod index;
mod input;
mod limits;
mod names;
mod octets;
mod product;
mod variables;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use self::{
    decode::Values,
    index::{Index, Refusal},
    input::Input,
    variables::Slots,
};
use super::{FieldError, FieldSource, Variable, Window};

/// Whether a file with these first bytes is GRIB: the magic, and a possible
/// edition behind it, as "GRIB" alone occurs in other files' attributes.
#[must_use]
pub fn recognises(_path: &Path, head: &[u8]) -> bool {
    head.windows(8).any(|start| start.starts_with(b"GRIB") && (1..=3).contains(&start[7]))
}

/// Opens a GRIB2 file; the list of its fields is read, no data.
///
/// # Errors
/// [`FieldError`]: the file cannot be read, is truncated or broken, is of
/// edition 1, or has no field on a grid and in a packing that is read.
pub fn open(path: &Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    source(path, Input::open(path)?)
}

/// Opens GRIB2 data in memory, as from a zip file; `name` is for messages.
///
/// # Errors
/// As [`open`].
pub fn from_bytes(name: &Path, bytes: Vec<u8>) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    source(name, Input::Memory(bytes))
}

fn source(path: &Path, input: Input) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    Ok(vec![Box::new(GribSource::new(path, input)?)])
}

/// What is wrong with a message.
#[derive(Debug)]
enum Fault {
    /// It breaks the format.
    Corrupt(String),
    /// It is of a form that is not read.
    Unsupported { what: String, remedy: String },
}

impl Fault {
    /// As an error of the file, for the message at byte `position`.
    fn at(self, path: &Path, position: u64) -> FieldError {
        match self {
            Self::Corrupt(what) => {
                FieldError::corrupt(path, format_args!("the message at byte {position} is broken: {what}"))
            }
            Self::Unsupported { what, remedy } => FieldError::unsupported(
                path,
                format_args!("the message at byte {position} is not read: {what}"),
                remedy,
            ),
        }
    }
}

/// One GRIB2 file.
struct GribSource {
    path: PathBuf,
    input: Input,
    index: Index,
    variables: Vec<Variable>,
    /// One for each variable.
    slots: Vec<Slots>,
    remarks: Vec<String>,
}

impl GribSource {
    fn new(path: &Path, input: Input) -> Result<Self, FieldError> {
        let index = index::scan(path, &input)?;
        let mut remarks = Vec::new();
        if let Some((at, bytes)) = index.junk {
            remarks.push(format!("{bytes} bytes that are not GRIB were skipped, the first at byte {at}"));
        }
        if let (true, Some((Refusal { what, remedy }, _))) = (index.fields.is_empty(), index.refused.first_key_value())
        {
            return Err(FieldError::unsupported(path, what, remedy));
        }
        remarks.extend(index.grids.iter().flat_map(|grid| grid.remarks.iter().cloned()));
        for (Refusal { what, remedy }, count) in &index.refused {
            remarks.push(format!("{count} fields were skipped: {what}; {remedy}"));
        }
        let groups = variables::group(&index, &mut remarks).map_err(|what| FieldError::corrupt(path, what))?;
        let (variables, slots) = groups.into_iter().unzip();
        Ok(Self { path: path.to_owned(), input, index, variables, slots, remarks })
    }

    /// Decodes one field and copies the window's box of it.
    fn plane(&self, field: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let field = &self.index.fields[field];
        let grid = &self.index.grids[field.grid];
        match field.packed.decode(&self.input, grid.points()).map_err(|fault| fault.at(&self.path, field.position))? {
            Values::Constant(value) => out.fill(value),
            Values::Points(values) => grid.crop(&values, &window.latitudes, &window.longitudes, out),
        }
        Ok(())
    }

    /// The fields of the variable, if `window` lies within it and fills `out`.
    fn checked(&self, variable: usize, window: &Window, out: &[f32]) -> Result<&Slots, FieldError> {
        let path = self.path.display();
        let (Some(found), Some(slots)) = (self.variables.get(variable), self.slots.get(variable)) else {
            return Err(FieldError::Dataset(format!("{path}: no variable {variable}, of {}", self.variables.len())));
        };
        let whole = found.whole(0);
        let fits = window.member < found.members.len().max(1)
            && window.times.end <= whole.times.end
            && window.levels.end <= whole.levels.end
            && window.latitudes.end <= whole.latitudes.end
            && window.longitudes.end <= whole.longitudes.end;
        if !fits || window.len() != out.len() {
            return Err(FieldError::Dataset(format!(
                "{path}: {}: the window {window:?} does not fit {whole:?} or {} values",
                found.name,
                out.len()
            )));
        }
        Ok(slots)
    }
}

impl FieldSource for GribSource {
    fn format(&self) -> String {
        "GRIB2".to_owned()
    }

    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn variables(&self) -> &[Variable] {
        &self.variables
    }

    fn remarks(&self) -> &[String] {
        &self.remarks
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let slots = self.checked(variable, window, out)?;
        if out.is_empty() {
            return Ok(());
        }
        let plane = window.latitudes.len() * window.longitudes.len();
        let levels = window.levels.len();
        out.par_chunks_mut(plane).enumerate().try_for_each(|(i, out)| {
            let slot = (window.member, window.times.start + i / levels, window.levels.start + i % levels);
            if let Some(&field) = slots.get(&slot) {
                return self.plane(field, window, out);
            }
            out.fill(f32::NAN);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;
