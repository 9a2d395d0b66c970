//! Zarr v2 and v3 stores in a folder, and the prepared form.
//!
//! | concern | file |
//! |---|---|
//! | which arrays there are, what they declare | `metadata.rs`, `store.rs` |
//! | boxes of an array, chunk by chunk | `array.rs`, `geometry.rs` |
//! | compression, shards | `codec.rs`, `shard.rs` |
//! | uncompressed chunks, straight to where they belong | `file.rs` |
//! | the form that loads fastest: layout, writer | `prepared.rs`, `writer.rs`, `folder.rs`, `fingerprint.rs` |
//!
//! A chunk that was never written is missing data (NaN), never the fill
//! value: a fill value of 0 would turn what is not known into clean air.

mod array;
mod codec;
mod element;
mod file;
mod fingerprint;
mod folder;
mod geometry;
mod metadata;
pub mod prepared;
mod shard;
mod store;
pub mod writer;

#[cfg(test)]
mod read_tests;
#[cfg(test)]
mod write_tests;

use std::{ops::Range, path::Path};

use self::store::ZarrStore;
use super::{
    FieldError, FieldSource, Variable, Window,
    cf::{self, ArrayStore, Attribute, Interpreted, RawArray},
    dataset::{LevelPlace, ValueRule},
};

/// Dimensions of arrays that need no interpretation, slowest first.
const CANONICAL: [&str; 5] = ["member", "time", "level", "latitude", "longitude"];

/// Attributes that change what stored numbers mean.
const REPACKING: [&str; 6] = ["scale_factor", "add_offset", "missing_value", "valid_min", "valid_max", "valid_range"];

/// Whether `path` is the folder of a Zarr store.
#[must_use]
pub fn recognises(path: &Path, _first_bytes: &[u8]) -> bool {
    path.is_dir() && ["zarr.json", ".zgroup", ".zmetadata", ".zarray"].iter().any(|name| path.join(name).is_file())
}

/// Opens the store in a folder.
///
/// # Errors
/// Broken metadata with the name of the document; no variable on a grid; a
/// prepared store that was not finished.
pub fn open(path: &Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    let (store, mut remarks) = ZarrStore::open(path)?;
    let mut interpreted = cf::interpret(&store)?;
    remarks.append(&mut interpreted.remarks);
    interpreted.remarks = remarks;
    let direct = interpreted.variables.iter().map(|variable| Direct::find(&store, variable)).collect();
    let rules = interpreted.variables.iter().map(|variable| {
        let array = store.arrays().iter().find(|array| array.name == variable.name);
        array.map_or(Ok(ValueRule::Linear), |array| prepared::value_rule(path, array))
    });
    let rules = rules.collect::<Result<_, _>>()?;
    Ok(vec![Box::new(ZarrSource { store, interpreted, direct, rules })])
}

struct ZarrSource {
    store: ZarrStore,
    interpreted: Interpreted,
    direct: Vec<Option<Direct>>,
    rules: Vec<ValueRule>,
}

/// An array whose box is the answer as it stands: canonical order, 32-bit
/// floats, NaN where missing, uncompressed.
struct Direct {
    array: usize,
    /// Which of [`CANONICAL`] the array has.
    dims: Vec<usize>,
}

impl Direct {
    fn find(store: &ZarrStore, variable: &Variable) -> Option<Self> {
        let array = store.arrays().iter().position(|a| a.name == variable.name)?;
        let raw = &store.arrays()[array];
        if !store.chunked(array)?.is_plain_f32() || !is_unpacked(raw) {
            return None;
        }
        let dims = raw.dims.iter().map(|d| CANONICAL.iter().position(|c| c == d)).collect::<Option<Vec<_>>>()?;
        let lengths = [
            variable.members.len().max(1),
            variable.times_s.len(),
            variable.levels.len(),
            variable.latitudes_deg.len(),
            variable.longitudes_deg.len(),
        ];
        let ordered = dims.is_sorted_by(|a, b| a < b);
        let same = dims.iter().zip(&raw.shape).all(|(&d, &n)| lengths[d] == n);
        let whole = (0..lengths.len()).all(|d| lengths[d] == 1 || dims.contains(&d));
        (ordered && same && whole).then_some(Self { array, dims })
    }

    /// Whether the box is at 0 along the axes that the array does not have.
    fn covers(&self, window: &Window) -> bool {
        let axes =
            [&(window.member..window.member + 1), &window.times, &window.levels, &window.latitudes, &window.longitudes];
        (0..CANONICAL.len()).all(|d| self.dims.contains(&d) || *axes[d] == (0..1))
    }
}

fn is_unpacked(array: &RawArray) -> bool {
    let nan_or_none = |name| match array.attributes.get(name) {
        None => true,
        Some(Attribute::Numbers(numbers)) => numbers.iter().all(|n| n.is_nan()),
        Some(Attribute::Text(_)) => false,
    };
    nan_or_none("_FillValue") && REPACKING.iter().all(|name| !array.attributes.contains_key(*name))
}

impl FieldSource for ZarrSource {
    fn format(&self) -> String {
        self.store.format()
    }

    fn path(&self) -> Option<&Path> {
        Some(self.store.path())
    }

    fn levels_at(&self) -> LevelPlace {
        self.store.levels_at()
    }

    fn value_rule(&self, variable: usize) -> ValueRule {
        self.rules.get(variable).copied().unwrap_or_default()
    }

    fn variables(&self) -> &[Variable] {
        &self.interpreted.variables
    }

    fn remarks(&self) -> &[String] {
        &self.interpreted.remarks
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        let Some(layout) = self.interpreted.layouts.get(variable) else {
            let path = self.store.path().display();
            return Err(FieldError::Dataset(format!("{path}: no variable number {variable}")));
        };
        let direct = self.direct.get(variable).and_then(Option::as_ref);
        let Some((direct, array)) = direct.and_then(|d| Some((d, self.store.chunked(d.array)?))) else {
            return cf::read(&self.store, layout, window, out);
        };
        if !direct.covers(window) {
            return cf::read(&self.store, layout, window, out);
        }
        let member = window.member..window.member.saturating_add(1);
        let axes = [&member, &window.times, &window.levels, &window.latitudes, &window.longitudes];
        let ranges: Vec<Range<u64>> = direct.dims.iter().map(|&d| axes[d].start as u64..axes[d].end as u64).collect();
        array.read_into(&ranges, out, f32::NAN).map(drop)
    }
}
