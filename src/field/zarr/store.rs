//! A store as the conventions see it: named arrays with attributes.

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use super::{
    array::ChunkedArray,
    metadata::{Group, Node},
    prepared,
};
use crate::field::{
    FieldError,
    cf::{ArrayStore, RawArray, Values},
    dataset::LevelPlace,
};

/// No axis of a field is longer.
const MAX_AXIS: u64 = 1 << 20;
/// Stores with more chunk files an array are not searched for missing ones.
const MAX_COUNTED_CHUNKS: u64 = 100_000;

/// An opened store.
pub(super) struct ZarrStore {
    root: PathBuf,
    format: String,
    levels_at: LevelPlace,
    arrays: Vec<RawArray>,
    chunked: Vec<Option<ChunkedArray>>,
}

impl ZarrStore {
    /// Reads all metadata; with remarks on what is odd.
    pub(super) fn open(root: &Path) -> Result<(Self, Vec<String>), FieldError> {
        let group = Group::read(root)?;
        let prepared = prepared::check_finished(root, &group.attributes)?;
        let format = format!("Zarr v{}{}", group.version, if prepared { ", prepared" } else { "" });
        let levels_at = prepared::levels_at(root, &group.attributes)?;
        let mut store = Self { root: root.to_owned(), format, levels_at, arrays: Vec::new(), chunked: Vec::new() };
        let mut remarks: Vec<String> =
            group.subgroups.iter().map(|name| format!("{name}: skipped, a group within the store")).collect();
        for (name, node) in &group.arrays {
            store.add(name, node, &mut remarks)?;
        }
        Ok((store, remarks))
    }

    /// What a value at a level stands for.
    pub(super) fn levels_at(&self) -> LevelPlace {
        self.levels_at
    }

    /// The array that can be read directly, by its number.
    pub(super) fn chunked(&self, array: usize) -> Option<&ChunkedArray> {
        self.chunked.get(array)?.as_ref()
    }

    fn add(&mut self, name: &str, node: &Node, remarks: &mut Vec<String>) -> Result<(), FieldError> {
        let dir = self.root.join(name);
        let chunked = match ChunkedArray::new(dir.clone(), &node.path, &node.metadata) {
            Ok(chunked) => chunked,
            Err(FieldError::Unsupported { what, remedy, .. }) => {
                remarks.push(format!("{name}: skipped, {what}; {remedy}"));
                None
            }
            Err(error) => return Err(error),
        };
        let Some(chunked) = chunked else {
            self.push(text_array(name, node), None);
            return Ok(());
        };
        let declared = node.dimensions();
        if let Some(dims) = declared.as_ref().filter(|dims| dims.len() != chunked.shape().len()) {
            let what = format!("array {name} of {} dimensions with names {dims:?}", chunked.shape().len());
            return Err(FieldError::corrupt(&node.path, what));
        }
        let dims = declared.unwrap_or_else(|| (0..chunked.shape().len()).map(|i| format!("dim_{i}")).collect());
        let is_axis = dims == [name];
        if is_axis && chunked.shape()[0] > MAX_AXIS {
            let what = format!("axis {name} of {} values, expected at most {MAX_AXIS}", chunked.shape()[0]);
            return Err(FieldError::corrupt(&node.path, what));
        }
        let Some(shape) = to_usize(chunked.shape()) else {
            return Err(FieldError::corrupt(&node.path, format!("array {name} of shape {:?}", chunked.shape())));
        };
        remark_missing_chunks(name, &dir, &chunked, remarks);
        if node.metadata["zarr_format"] == 2 && node.metadata["fill_value"].as_f64() == Some(0.0) && !is_axis {
            remarks.push(format!("{name}: its fill value is 0, so zeros are read as missing, as xarray reads them"));
        }
        let raw = RawArray {
            name: name.to_owned(),
            dims,
            shape,
            attributes: node.cf_attributes(chunked.is_float(), !is_axis),
            numeric: true,
            chunk_shape: to_usize(chunked.decoded_chunk()),
        };
        self.push(raw, Some(chunked));
        Ok(())
    }

    fn push(&mut self, raw: RawArray, chunked: Option<ChunkedArray>) {
        self.arrays.push(raw);
        self.chunked.push(chunked);
    }
}

impl ArrayStore for ZarrStore {
    fn path(&self) -> &Path {
        &self.root
    }

    fn format(&self) -> String {
        self.format.clone()
    }

    fn arrays(&self) -> &[RawArray] {
        &self.arrays
    }

    fn read_box(&self, array: usize, ranges: &[Range<usize>]) -> Result<Values, FieldError> {
        let Some(chunked) = self.chunked(array) else {
            let name = self.arrays.get(array).map_or("?", |a| &a.name);
            return Err(FieldError::corrupt(&self.root, format!("array {name} does not hold numbers")));
        };
        let ranges: Vec<Range<u64>> = ranges.iter().map(|r| r.start as u64..r.end as u64).collect();
        chunked.read(&ranges)
    }
}

/// An array that is known of but cannot be read: text, booleans.
fn text_array(name: &str, node: &Node) -> RawArray {
    let shape: Vec<u64> = serde_json::from_value(node.metadata["shape"].clone()).unwrap_or_default();
    let shape = to_usize(&shape).unwrap_or_default();
    let dims = node.dimensions().filter(|dims| dims.len() == shape.len());
    RawArray {
        name: name.to_owned(),
        dims: dims.unwrap_or_else(|| (0..shape.len()).map(|i| format!("dim_{i}")).collect()),
        shape,
        attributes: node.cf_attributes(false, false),
        numeric: false,
        chunk_shape: None,
    }
}

/// A chunk that was not written stands for the fill value. It is read as
/// missing even where that value is a number: nobody measured it.
fn remark_missing_chunks(name: &str, dir: &Path, array: &ChunkedArray, remarks: &mut Vec<String>) {
    let expected = array.chunk_count();
    if expected > MAX_COUNTED_CHUNKS {
        return;
    }
    let found = count_files(dir);
    if found < expected {
        remarks.push(format!(
            "{name}: {} of {expected} chunks were not written and are read as missing; \
             if they hold the fill value on purpose, write the store with write_empty_chunks",
            expected - found
        ));
    }
}

/// Chunk files below a folder: all but metadata and hidden files.
fn count_files(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| {
            let name = entry.file_name();
            if name == "zarr.json" || name.as_encoded_bytes().starts_with(b".") {
                0
            } else if entry.file_type().is_ok_and(|t| t.is_dir()) {
                count_files(&entry.path())
            } else {
                1
            }
        })
        .sum()
}

fn to_usize(shape: &[u64]) -> Option<Vec<usize>> {
    shape.iter().map(|&n| usize::try_from(n).ok()).collect()
}
