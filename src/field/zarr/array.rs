//! One array of a store: its declaration, and reading boxes of it.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytemuck::Pod;
use serde_json::Value;
use zarrs::array::{Array, ArrayMetadata, DataType, FillValue};

use super::{
    codec::{ChunkCodec, caught, refuse_unknown},
    element::Element,
    file::ChunkFile,
    geometry::{Block, Cell, Run, cells, runs},
    shard::{Shards, codec_names},
};
use crate::field::{FieldError, cf::Values};

/// An array whose chunks can be read.
pub(super) struct ChunkedArray {
    dir: PathBuf,
    element: Element,
    shape: Vec<u64>,
    chunk: Vec<u64>,
    storage: Storage,
    /// Of `zarrs`, for the names of chunk files; it is given no storage.
    declared: Array<()>,
}

enum Storage {
    /// Chunk files are elements in this machine's byte order, nothing else.
    Plain(ChunkCodec),
    Encoded(ChunkCodec),
    Sharded(Box<Shards>),
}

/// Parts of a box that no chunk was written for.
type Missing = Vec<Vec<Range<u64>>>;

impl ChunkedArray {
    /// From metadata as parsed (`metadata_path` names them in errors) of an
    /// array in folder `dir`. `Ok(None)` where the elements are not numbers.
    pub(super) fn new(dir: PathBuf, metadata_path: &Path, metadata: &Value) -> Result<Option<Self>, FieldError> {
        let element = match metadata["zarr_format"].as_u64() {
            Some(2) => Element::from_v2(&metadata["dtype"]),
            Some(3) => Element::from_v3(&metadata["data_type"]),
            _ => return Err(FieldError::corrupt(metadata_path, "zarr_format is neither 2 nor 3")),
        };
        let Some(element) = element else {
            return Ok(None);
        };
        let shape: Vec<u64> = serde_json::from_value(metadata["shape"].clone())
            .map_err(|_| FieldError::corrupt(metadata_path, format!("shape {}", metadata["shape"])))?;
        let chunk = chunk_shape(metadata_path, metadata, shape.len())?;
        refuse_filters(metadata_path, metadata)?;
        let codecs = codec_names(&metadata["codecs"]).unwrap_or_default();
        let compressor = metadata["compressor"]["id"].as_str();
        refuse_unknown(metadata_path, &codecs)?;
        refuse_unknown(metadata_path, compressor.as_slice())?;
        let declared = caught(metadata_path, || {
            let typed: ArrayMetadata = serde_json::from_value(metadata.clone()).map_err(|e| e.to_string())?;
            Array::new_with_metadata(Arc::new(()), "/", typed).map_err(|e| e.to_string())
        })?;
        let data_type: (&DataType, usize) = (declared.data_type(), element.size());
        let fill_value: &FillValue = declared.fill_value();
        let storage = if let Some(at) = codecs.iter().position(|&name| name == "sharding_indexed") {
            if codecs.len() != 1 {
                let what = format!("codecs {} around shards", codecs.join(", "));
                return Err(FieldError::unsupported(metadata_path, what, "put them inside the shards"));
            }
            let configuration = &metadata["codecs"][at]["configuration"];
            Storage::Sharded(Box::new(Shards::new(metadata_path, configuration, &chunk, data_type, fill_value)?))
        } else {
            let chain = declared.codecs();
            let names = match compressor {
                Some(id) => vec![id],
                None => codecs[codecs.len().saturating_sub(chain.bytes_to_bytes_codecs().len())..].to_vec(),
            };
            let codec = ChunkCodec::new(metadata_path, &chain, &names, data_type, fill_value, &chunk)?;
            if is_plain(metadata, &codecs, element) { Storage::Plain(codec) } else { Storage::Encoded(codec) }
        };
        Ok(Some(Self { dir, element, shape, chunk, storage, declared }))
    }

    /// Length of each dimension.
    pub(super) fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Shape of the pieces that are decoded as one.
    pub(super) fn decoded_chunk(&self) -> &[u64] {
        match &self.storage {
            Storage::Sharded(shards) => &shards.inner,
            Storage::Plain(_) | Storage::Encoded(_) => &self.chunk,
        }
    }

    /// Whether boxes go from the file to the caller's buffer as they are, as
    /// [`read_into`](Self::read_into) with `f32`.
    pub(super) fn is_plain_f32(&self) -> bool {
        matches!(self.storage, Storage::Plain(_)) && self.element == Element::F32
    }

    /// Whether the elements are floating-point numbers.
    pub(super) fn is_float(&self) -> bool {
        matches!(self.element, Element::F32 | Element::F64)
    }

    /// How many chunk files the whole array has.
    pub(super) fn chunk_count(&self) -> u64 {
        self.shape.iter().zip(&self.chunk).fold(1, |n: u64, (s, c)| n.saturating_mul(s.div_ceil(*c)))
    }

    /// Values of the box in the array's type. Where chunks were not written
    /// they are NaN, for which integers become `f64`.
    pub(super) fn read(&self, ranges: &[Range<u64>]) -> Result<Values, FieldError> {
        macro_rules! integers {
            ($variant:ident) => {{
                let (values, missing) = self.read_vec(ranges, 0)?;
                if missing.is_empty() {
                    Ok(Values::$variant(values))
                } else {
                    let mut values: Vec<f64> = values.into_iter().map(|v| v as f64).collect();
                    erase(&missing, ranges, &mut values, f64::NAN);
                    Ok(Values::F64(values))
                }
            }};
        }
        #[allow(clippy::cast_lossless, reason = "one macro for every width")]
        match self.element {
            Element::I8 => integers!(I8),
            Element::I16 => integers!(I16),
            Element::I32 => integers!(I32),
            Element::I64 => integers!(I64),
            Element::U8 => integers!(U8),
            Element::U16 => integers!(U16),
            Element::U32 => integers!(U32),
            Element::U64 => integers!(U64),
            Element::F32 => self.read_vec(ranges, f32::NAN).map(|(values, _)| Values::F32(values)),
            Element::F64 => self.read_vec(ranges, f64::NAN).map(|(values, _)| Values::F64(values)),
        }
    }

    fn read_vec<T: Pod>(&self, ranges: &[Range<u64>], absent: T) -> Result<(Vec<T>, Missing), FieldError> {
        let len = box_len(ranges);
        let mut out = Vec::new();
        let reserved = usize::try_from(len).ok().filter(|&len| out.try_reserve_exact(len).is_ok());
        let Some(len) = reserved else {
            return Err(FieldError::corrupt(&self.dir, format!("a box of {len} values does not fit memory")));
        };
        out.resize(len, T::zeroed());
        let missing = self.read_into(ranges, &mut out, absent)?;
        Ok((out, missing))
    }

    /// Reads the box into `out`, as long as the box; `absent` stands where no
    /// chunk was written. `T` is of the size of the array's elements.
    pub(super) fn read_into<T: Pod>(
        &self,
        ranges: &[Range<u64>],
        out: &mut [T],
        absent: T,
    ) -> Result<Missing, FieldError> {
        let extent: Vec<u64> = ranges.iter().map(|r| r.end.saturating_sub(r.start)).collect();
        let inside = ranges.len() == self.shape.len() && ranges.iter().zip(&self.shape).all(|(r, &s)| r.end <= s);
        if !inside || box_len(ranges) != out.len() as u64 {
            let what = format!("box {ranges:?} of an array of shape {:?}", self.shape);
            return Err(FieldError::Dataset(format!("{}: {what}", self.dir.display())));
        }
        if out.is_empty() {
            return Ok(Missing::new());
        }
        let start: Vec<u64> = ranges.iter().map(|r| r.start).collect();
        let window = Block { origin: &start, shape: &extent };
        let mut missing = Missing::new();
        for cell in cells(ranges, &self.chunk) {
            match ChunkFile::open(self.chunk_path(&cell.index))? {
                Some(file) => self.read_chunk(&file, &cell, window, out, &mut missing)?,
                None => missing.push(cell.part),
            }
        }
        erase(&missing, ranges, out, absent);
        Ok(missing)
    }

    fn read_chunk<T: Pod>(
        &self,
        file: &ChunkFile,
        cell: &Cell,
        window: Block,
        out: &mut [T],
        missing: &mut Missing,
    ) -> Result<(), FieldError> {
        let origin = cell.origin(&self.chunk);
        let block = Block { origin: &origin, shape: &self.chunk };
        match &self.storage {
            Storage::Plain(codec) => {
                if file.len() != codec.decoded_len() as u64 {
                    return Err(wrong_length(file, codec.decoded_len()));
                }
                file.read_runs(runs(&cell.part, block, window), out)
            }
            Storage::Encoded(codec) => {
                if file.len() > codec.max_encoded_len() {
                    return Err(wrong_length(file, codec.decoded_len()));
                }
                let encoded = file.bytes(0, usize::try_from(file.len()).unwrap_or(usize::MAX))?;
                copy(&codec.decode(file.path(), encoded)?, runs(&cell.part, block, window), out);
                Ok(())
            }
            Storage::Sharded(shards) => {
                let index = shards.index(file)?;
                for inner in cells(&cell.part, &shards.inner) {
                    let inner_origin = inner.origin(&shards.inner);
                    let within: Vec<u64> =
                        inner_origin.iter().zip(&origin).zip(&shards.inner).map(|((i, o), n)| (i - o) / n).collect();
                    match shards.read(file, &index, &within)? {
                        Some(bytes) => {
                            let block = Block { origin: &inner_origin, shape: &shards.inner };
                            copy(&bytes, runs(&inner.part, block, window), out);
                        }
                        None => missing.push(inner.part),
                    }
                }
                Ok(())
            }
        }
    }

    fn chunk_path(&self, index: &[u64]) -> PathBuf {
        self.dir.join(self.declared.chunk_key(index).as_str())
    }
}

fn wrong_length(file: &ChunkFile, expected: usize) -> FieldError {
    FieldError::corrupt(file.path(), format!("a chunk of {} bytes, expected {expected}", file.len()))
}

/// Values in a box; saturates.
fn box_len(ranges: &[Range<u64>]) -> u64 {
    let mut lengths = ranges.iter().map(|r| r.end.saturating_sub(r.start));
    if lengths.clone().any(|n| n == 0) { 0 } else { lengths.try_fold(1, u64::checked_mul).unwrap_or(u64::MAX) }
}

/// Copies runs of elements, given as bytes in native order.
fn copy<T: Pod>(bytes: &[u8], runs: impl Iterator<Item = Run>, out: &mut [T]) {
    let size = size_of::<T>();
    for run in runs {
        let target: &mut [u8] = bytemuck::cast_slice_mut(&mut out[run.to..run.to + run.len]);
        target.copy_from_slice(&bytes[run.from * size..(run.from + run.len) * size]);
    }
}

/// Writes `absent` over the missing parts of a box.
fn erase<T: Pod>(missing: &Missing, ranges: &[Range<u64>], out: &mut [T], absent: T) {
    let origin: Vec<u64> = ranges.iter().map(|r| r.start).collect();
    let shape: Vec<u64> = ranges.iter().map(|r| r.end.saturating_sub(r.start)).collect();
    let window = Block { origin: &origin, shape: &shape };
    for part in missing {
        for run in runs(part, window, window) {
            out[run.to..run.to + run.len].fill(absent);
        }
    }
}

/// Shape of the chunks of a regular grid, checked against the rank.
fn chunk_shape(path: &Path, metadata: &Value, rank: usize) -> Result<Vec<u64>, FieldError> {
    let grid = &metadata["chunk_grid"];
    let declared = if metadata["zarr_format"] == 2 {
        &metadata["chunks"]
    } else if grid["name"] == "regular" {
        &grid["configuration"]["chunk_shape"]
    } else {
        return Err(FieldError::unsupported(path, format!("chunk grid {grid}"), "rechunk the array to a regular grid"));
    };
    serde_json::from_value::<Vec<u64>>(declared.clone())
        .ok()
        .filter(|chunk| chunk.len() == rank && chunk.iter().all(|&n| n > 0))
        .ok_or_else(|| FieldError::corrupt(path, format!("chunk shape {declared} of an array of {rank} dimensions")))
}

/// Zarr v2's filters would have to be undone after decompression.
fn refuse_filters(path: &Path, metadata: &Value) -> Result<(), FieldError> {
    match metadata["filters"].as_array().filter(|filters| !filters.is_empty()) {
        None => Ok(()),
        Some(filters) => {
            let names: Vec<&str> = filters.iter().map(|f| f["id"].as_str().unwrap_or("?")).collect();
            Err(FieldError::unsupported(
                path,
                format!("filters {}", names.join(", ")),
                "write the store without filters, or with the attributes scale_factor and add_offset",
            ))
        }
    }
}

/// Whether a chunk file is the elements in this machine's order.
fn is_plain(metadata: &Value, codecs: &[&str], element: Element) -> bool {
    if metadata["zarr_format"] == 2 {
        let native = if cfg!(target_endian = "little") { '<' } else { '>' };
        let order = metadata["dtype"].as_str().is_some_and(|t| t.starts_with([native, '|']));
        order && metadata["compressor"].is_null() && metadata["order"] == "C"
    } else {
        let native = if cfg!(target_endian = "little") { "little" } else { "big" };
        let endian = &metadata["codecs"][0]["configuration"]["endian"];
        codecs == ["bytes"] && (element.size() == 1 || endian == native)
    }
}
