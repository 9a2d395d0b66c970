//! Writing the prepared form: chunk by chunk, in any order, from many
//! threads, resumed where it stopped.
//!
//! Every file is written beside its place and renamed, so that what has a
//! name is whole. What was written from is kept as a fingerprint; a store is
//! only ever added to from the same inputs.

use std::{
    borrow::Cow,
    fs::{self, File},
    ops::Range,
    path::{Path, PathBuf},
};

use zarrs::array::codec::{BloscCompressor, BloscShuffleMode, blosc_compress_bytes};

use super::{
    fingerprint::layout_fingerprint,
    folder::{Existing, document, io, lock, put, put_if_different, remove_partial, remove_store},
    prepared::{ArrayDocument, Compression, FINGERPRINT, FINISHED, PreparedLayout, STATE, UNFINISHED},
};
use crate::field::FieldError;

pub use super::fingerprint::fingerprint;

/// Levels of effort, as [`Compression`] and the metadata of arrays say.
const ZSTD_LEVEL: i32 = 3;
const BLOSC_LEVEL: u8 = 5;

/// Numbers of one chunk: what is written at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PreparedChunk {
    /// Into [`PreparedLayout::members`]; 0 without an ensemble.
    pub member: usize,
    /// Into [`PreparedLayout::times_s`].
    pub time: usize,
    /// Into [`PreparedLayout::variables`].
    pub variable: usize,
    /// Band of levels, counted from the first level.
    pub band: usize,
}

/// A prepared store that is being written, or was.
///
/// While it lives no other writer opens the same folder.
#[derive(Debug)]
pub struct PreparedWriter {
    dir: PathBuf,
    layout: PreparedLayout,
    fingerprint: String,
    finished: bool,
    /// The folder itself, locked.
    _lock: Option<File>,
}

impl PreparedWriter {
    /// Makes the store in folder `dir`, or goes on with it where it was made
    /// from the same inputs with the same layout. With `overwrite` a prepared
    /// store of other inputs is replaced; anything else never is.
    ///
    /// # Errors
    /// Where the folder holds something else, or is being written; where the
    /// layout cannot be written; [`FieldError::Io`].
    pub fn create(dir: &Path, layout: PreparedLayout, overwrite: bool) -> Result<Self, FieldError> {
        layout.validate()?;
        let arrays = layout.arrays();
        let fingerprint = layout_fingerprint(&layout, &arrays);
        fs::create_dir_all(dir).map_err(|source| io(dir, source))?;
        let lock = lock(dir)?;
        let mut finished = false;
        match Existing::of(dir)? {
            Existing::Empty => {}
            Existing::Prepared { group, .. } if group["attributes"][FINGERPRINT] == fingerprint.as_str() => {
                finished = group["attributes"][STATE] == FINISHED;
            }
            Existing::Prepared { group, names } if overwrite => remove_store(dir, group, &names)?,
            Existing::Prepared { .. } => {
                return Err(FieldError::unsupported(
                    dir,
                    "prepared from other files or with other options",
                    "give another folder, or replace it with --overwrite",
                ));
            }
            Existing::Other => {
                return Err(FieldError::unsupported(
                    dir,
                    "the folder is not empty and holds no prepared field",
                    "give a folder that is new or empty",
                ));
            }
        }
        let writer = Self { dir: dir.to_owned(), layout, fingerprint, finished, _lock: lock };
        writer.put_metadata(&arrays)?;
        Ok(writer)
    }

    /// What is being written.
    #[must_use]
    pub fn layout(&self) -> &PreparedLayout {
        &self.layout
    }

    /// Whether an earlier run finished this store; [`missing`](Self::missing)
    /// is empty then, unless files were deleted.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.finished
    }

    /// Every chunk, by member, time, variable and band.
    pub fn chunks(&self) -> impl Iterator<Item = PreparedChunk> + '_ {
        let bands: Vec<usize> = (0..self.layout.variables.len()).map(|v| self.bands(v)).collect();
        (0..self.layout.members.len().max(1)).flat_map(move |member| {
            let bands = bands.clone();
            (0..self.layout.times_s.len()).flat_map(move |time| {
                let bands = bands.clone();
                (0..bands.len()).flat_map(move |variable| {
                    (0..bands[variable]).map(move |band| PreparedChunk { member, time, variable, band })
                })
            })
        })
    }

    /// The chunks that are still to be written.
    pub fn missing(&self) -> impl Iterator<Item = PreparedChunk> + '_ {
        self.chunks().filter(|chunk| !self.is_written(*chunk))
    }

    /// Bands of levels that a variable has.
    #[must_use]
    pub fn bands(&self, variable: usize) -> usize {
        self.layout.variables.get(variable).map_or(0, |v| self.layout.levels_of(v).div_ceil(self.layout.band_of(v)))
    }

    /// The levels of a chunk; `0..1` without a vertical axis.
    #[must_use]
    pub fn levels(&self, chunk: PreparedChunk) -> Range<usize> {
        self.layout.variables.get(chunk.variable).map_or(0..0, |variable| {
            let (band, count) = (self.layout.band_of(variable), self.layout.levels_of(variable));
            (chunk.band * band).min(count)..((chunk.band + 1) * band).min(count)
        })
    }

    /// Whether the chunk is there and, uncompressed, as long as it must be.
    #[must_use]
    pub fn is_written(&self, chunk: PreparedChunk) -> bool {
        let Some(variable) = self.layout.variables.get(chunk.variable) else {
            return false;
        };
        let expected = (self.layout.band_of(variable) * self.layout.plane() * size_of::<f32>()) as u64;
        fs::metadata(self.chunk_path(chunk)).is_ok_and(|m| {
            m.is_file() && if self.layout.compression == Compression::None { m.len() == expected } else { m.len() > 0 }
        })
    }

    /// Writes one chunk: `values` are `[level][latitude][longitude]` of
    /// [`levels`](Self::levels), missing as NaN. Chunks may be written at the
    /// same time.
    ///
    /// # Errors
    /// [`FieldError::Dataset`] where there is no such chunk or `values` is not
    /// as long; [`FieldError::Io`].
    pub fn write(&self, chunk: PreparedChunk, values: &[f32]) -> Result<(), FieldError> {
        let path = self.chunk_path(chunk);
        let exists = chunk.time < self.layout.times_s.len()
            && chunk.member < self.layout.members.len().max(1)
            && chunk.band < self.bands(chunk.variable);
        let expected = self.levels(chunk).len() * self.layout.plane();
        if !exists || values.len() != expected {
            let what = format!("{} values for {chunk:?}, expected {expected}", values.len());
            return Err(FieldError::Dataset(format!("{}: {what}", path.display())));
        }
        // The last band is as long as the others; beyond the levels it is missing.
        let full =
            self.layout.variables.get(chunk.variable).map_or(0, |v| self.layout.band_of(v)) * self.layout.plane();
        let mut padded = Cow::Borrowed(values);
        if values.len() < full {
            padded.to_mut().resize(full, f32::NAN);
        }
        let bytes = little_endian(&padded);
        match self.layout.compression {
            Compression::None => put(&path, &bytes),
            Compression::Zstd => put(&path, &zstd::bulk::compress(&bytes, ZSTD_LEVEL).map_err(|e| io(&path, e))?),
            Compression::Blosc => put(&path, &blosc(&path, &bytes)?),
        }
    }

    /// Marks the store as whole.
    ///
    /// # Errors
    /// [`FieldError::Dataset`] where chunks are missing; [`FieldError::Io`].
    pub fn finish(self) -> Result<(), FieldError> {
        let missing = self.missing().count();
        if missing > 0 {
            return Err(FieldError::Dataset(format!("{}: {missing} chunks were not written", self.dir.display())));
        }
        let group = self.layout.group(FINISHED, &self.fingerprint, &self.layout.arrays());
        put_if_different(&self.dir.join("zarr.json"), &document(&group))
    }

    fn put_metadata(&self, arrays: &[ArrayDocument]) -> Result<(), FieldError> {
        if !self.finished {
            let group = self.layout.group(UNFINISHED, &self.fingerprint, arrays);
            put_if_different(&self.dir.join("zarr.json"), &document(&group))?;
        }
        for array in arrays {
            let dir = self.dir.join(&array.name);
            fs::create_dir_all(&dir).map_err(|source| io(&dir, source))?;
            remove_partial(&dir)?;
            put_if_different(&dir.join("zarr.json"), &document(&array.metadata))?;
            if let Some(bytes) = &array.coordinate {
                put_if_different(&dir.join("c.0"), bytes)?;
            }
        }
        remove_partial(&self.dir)
    }

    fn chunk_path(&self, chunk: PreparedChunk) -> PathBuf {
        let variable = self.layout.variables.get(chunk.variable);
        let member = if self.layout.members.is_empty() { String::new() } else { format!("{}.", chunk.member) };
        let band = if variable.is_some_and(|v| v.vertical) { format!("{}.", chunk.band) } else { String::new() };
        let name = format!("c.{member}{}.{band}0.0", chunk.time);
        self.dir.join(variable.map_or("", |v| v.name.as_str())).join(name)
    }
}

/// The values as they are on disk.
fn little_endian(values: &[f32]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        Cow::Borrowed(bytemuck::cast_slice(values))
    } else {
        Cow::Owned(values.iter().flat_map(|v| v.to_le_bytes()).collect())
    }
}

fn blosc(path: &Path, bytes: &[u8]) -> Result<Vec<u8>, FieldError> {
    let fault = |what: String| FieldError::Dataset(format!("{}: cannot be compressed: {what}", path.display()));
    let level = BLOSC_LEVEL.try_into().map_err(|_| fault(format!("blosc has no level {BLOSC_LEVEL}")))?;
    let element = size_of::<f32>();
    blosc_compress_bytes(bytes, level, BloscShuffleMode::Shuffle, element, BloscCompressor::LZ4, 0, 1)
        .map_err(|error| fault(error.to_string()))
}
