//! Gridded fields: what a file holds, and how a box of it is read.
//!
//! A [`FieldSource`] is one opened file (or store). It describes its
//! [`Variable`]s in the order and direction that the file has them and reads
//! boxes of them as physical values in the file's unit, missing as NaN.
//! Making one data set of several sources, with canonical axes and units, is
//! the work of `dataset`.
//!
//! | format | where |
//! |---|---|
//! | `NetCDF` classic (CDF-1, 2, 5) and `NetCDF`-4 | `netcdf/` |
//! | GRIB2 | `grib/` |
//! | Zarr v2 and v3 | `zarr/` |
//! | zip of the above | `archive.rs` |
//! | none: functions | `analytic.rs`, `synthetic/` |
//!
//! What jobs may name of all this is in `catalogue/`. What the array formats
//! share, the CF conventions, is in `cf/`; what a file
//! of no format looks like, in `lookalike.rs`.

pub mod analytic;
pub mod archive;
pub mod catalogue;
pub mod cf;
pub mod dataset;
pub mod grib;
pub mod hybrid;
mod lookalike;
pub mod netcdf;
pub mod slab;
pub mod synthetic;
pub mod zarr;

use std::{
    fs::File,
    io::Read,
    ops::Range,
    path::{Path, PathBuf},
};

use self::dataset::{LevelPlace, ValueRule};

/// One opened file or store.
///
/// Reads may come from many threads at once.
pub trait FieldSource: Send + Sync {
    /// What the source calls itself: format and version, as in `NetCDF-4`.
    fn format(&self) -> String;

    /// What messages call it, `outer.zip:inner.nc` inside an archive; `None`
    /// for one that is of no file.
    fn path(&self) -> Option<&Path> {
        None
    }

    /// What a value at a level stands for, where the source itself says so.
    fn levels_at(&self) -> LevelPlace {
        LevelPlace::Point
    }

    /// How variable number `variable` is interpolated between its values,
    /// where the source itself says so.
    fn value_rule(&self, _variable: usize) -> ValueRule {
        ValueRule::Linear
    }

    /// Bytes of the file's content that the source keeps in memory.
    fn held_bytes(&self) -> u64 {
        0
    }

    /// The gridded variables, in the file's order. Coordinates are not listed.
    fn variables(&self) -> &[Variable];

    /// What was noticed and is worth telling, though it can be read: skipped
    /// variables with the reason, repaired attributes, odd units.
    fn remarks(&self) -> &[String];

    /// Reads the box `window` of variable number `variable` into `out`.
    ///
    /// `out` is `[time][level][latitude][longitude]`, each in the file's own
    /// direction, C order, exactly as long as the window. Values are physical
    /// (unpacked), in the file's own unit; missing is NaN.
    ///
    /// # Errors
    /// [`FieldError`] names file and variable.
    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError>;
}

/// A variable on a grid.
#[derive(Debug, Clone, PartialEq)]
pub struct Variable {
    /// As in the file; for GRIB the ECMWF short name of the parameter.
    pub name: String,
    /// CF `standard_name`.
    pub standard_name: Option<String>,
    /// CF `long_name`.
    pub long_name: Option<String>,
    /// As written, `None` where the file gives none.
    pub units: Option<String>,
    /// Valid times, seconds since 1970, in the file's order; a two-dimensional
    /// `valid_time` is flattened, `Window::times` counts in this list.
    pub times_s: Vec<f64>,
    /// Names of the ensemble's members; empty where there is no ensemble.
    pub members: Vec<String>,
    /// The vertical axis.
    pub levels: Levels,
    /// Degrees north, in the file's order.
    pub latitudes_deg: Vec<f64>,
    /// Degrees east, in the file's order, as written.
    pub longitudes_deg: Vec<f64>,
    /// Times and levels that the file decodes together (1, 1 where it does
    /// not matter): reads aligned to these waste nothing.
    pub chunk: Chunk,
}

/// How many times and levels share a compressed chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chunk {
    /// Times a chunk.
    pub times: usize,
    /// Levels a chunk.
    pub levels: usize,
}

/// A vertical axis, in the file's order.
#[derive(Debug, Clone, PartialEq)]
pub enum Levels {
    /// No vertical dimension: surface or column fields.
    Surface,
    /// Pressure surfaces \[Pa\].
    Pressure(Vec<f64>),
    /// ECMWF hybrid model levels.
    Hybrid(HybridLevels),
    /// Height above mean sea level \[m\].
    Altitude(Vec<f64>),
    /// Pressure altitude in hundreds of feet.
    FlightLevel(Vec<f64>),
}

/// Hybrid levels: p½ = a + b `p_s`.
#[derive(Debug, Clone, PartialEq)]
pub struct HybridLevels {
    /// Model level numbers as the file has them; 1 is the top.
    pub numbers: Vec<u32>,
    /// Half-level coefficients `(a [Pa], b)` from the top, `n + 1` for `n`
    /// levels, where the file itself gives them.
    pub half_levels: Option<Vec<(f64, f64)>>,
}

/// A box to read, counted along each axis in the file's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// Index into [`Variable::members`]; 0 where there is no ensemble.
    pub member: usize,
    /// Into [`Variable::times_s`].
    pub times: Range<usize>,
    /// Into the levels; `0..1` for [`Levels::Surface`].
    pub levels: Range<usize>,
    /// Into [`Variable::latitudes_deg`].
    pub latitudes: Range<usize>,
    /// Into [`Variable::longitudes_deg`].
    pub longitudes: Range<usize>,
}

/// What is wrong with a field, with the file's name.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// The file cannot be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Of the file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// No known format.
    #[error("{}: not a field: {found}; expected NetCDF, GRIB2, Zarr or a zip of them", path.display())]
    Unknown {
        /// Of the file.
        path: PathBuf,
        /// What it looks like instead.
        found: String,
    },
    /// The file breaks its own format.
    #[error("{}: {what}", path.display())]
    Corrupt {
        /// Of the file.
        path: PathBuf,
        /// Which part, its value, what was expected.
        what: String,
    },
    /// A form that skydose does not read, with the way out.
    #[error("{}: {what}; {remedy}", path.display())]
    Unsupported {
        /// Of the file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do instead.
        remedy: String,
    },
    /// Files that do not make one data set, or lack what a call asks for.
    #[error("{0}")]
    Dataset(String),
}

impl FieldError {
    /// [`FieldError::Corrupt`] for `path`.
    pub fn corrupt(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Corrupt { path: path.to_owned(), what: what.to_string() }
    }

    /// [`FieldError::Unsupported`] for `path`.
    pub fn unsupported(path: &Path, what: impl std::fmt::Display, remedy: impl std::fmt::Display) -> Self {
        Self::Unsupported { path: path.to_owned(), what: what.to_string(), remedy: remedy.to_string() }
    }
}

impl Levels {
    /// Number of levels; 1 for a surface field.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Surface => 1,
            Self::Pressure(v) | Self::Altitude(v) | Self::FlightLevel(v) => v.len(),
            Self::Hybrid(h) => h.numbers.len(),
        }
    }

    /// Whether there is no level at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Variable {
    /// The box that covers everything of one member.
    #[must_use]
    pub fn whole(&self, member: usize) -> Window {
        Window {
            member,
            times: 0..self.times_s.len(),
            levels: 0..self.levels.len(),
            latitudes: 0..self.latitudes_deg.len(),
            longitudes: 0..self.longitudes_deg.len(),
        }
    }
}

impl Window {
    /// Values in the box; saturates instead of overflowing.
    #[must_use]
    pub fn len(&self) -> usize {
        [&self.times, &self.levels, &self.latitudes, &self.longitudes]
            .into_iter()
            .fold(1, |n: usize, r| n.saturating_mul(r.len()))
    }

    /// Whether the box holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Opens a path as one or, for an archive, several sources.
pub type Open = fn(&Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError>;

/// Opens the content of a file, which messages call by the path.
pub type OpenBytes = fn(&Path, Vec<u8>) -> Result<Vec<Box<dyn FieldSource>>, FieldError>;

/// A format that skydose reads: how it is recognised, how it is opened.
pub struct Format {
    /// As users say it.
    pub name: &'static str,
    /// Whether a path with these first bytes (up to 512; empty for a folder)
    /// is of this format.
    pub recognises: fn(&Path, &[u8]) -> bool,
    /// Opens it; an archive holds several sources.
    pub open: Open,
    /// Opens its content, where the format can be inside an archive.
    pub open_bytes: Option<OpenBytes>,
}

/// Every field format, in the order in which they are tried.
pub const SOURCES: &[Format] = &[
    Format { name: "NetCDF", recognises: netcdf::recognises, open: netcdf::open, open_bytes: Some(netcdf::from_bytes) },
    Format { name: "GRIB2", recognises: grib::recognises, open: grib::open, open_bytes: Some(grib::from_bytes) },
    Format { name: "Zarr", recognises: zarr::recognises, open: zarr::open, open_bytes: None },
    Format { name: "zip", recognises: archive::recognises, open: archive::open, open_bytes: None },
];

/// How many first bytes [`Format::recognises`] is given, at most.
const FIRST_BYTES: u64 = 512;

/// Opens a file, folder or archive of any known format.
///
/// # Errors
/// [`FieldError::Unknown`] says what a path of no known format looks like;
/// otherwise as the format does.
pub fn open(path: &Path) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    open_within(path, u64::MAX)
}

/// As [`open`]; an archive may unpack at most `bytes` into memory.
///
/// # Errors
/// As [`open`]; [`FieldError::Unsupported`] where that is too little.
pub fn open_within(path: &Path, bytes: u64) -> Result<Vec<Box<dyn FieldSource>>, FieldError> {
    let io = |source| FieldError::Io { path: path.to_owned(), source };
    let mut first = Vec::new();
    let folder = std::fs::metadata(path).map_err(io)?.is_dir();
    if !folder {
        File::open(path).map_err(io)?.take(FIRST_BYTES).read_to_end(&mut first).map_err(io)?;
    }
    match SOURCES.iter().find(|format| (format.recognises)(path, &first)) {
        Some(_) if archive::recognises(path, &first) => archive::open_within(path, archive::Limits::within(bytes)),
        Some(format) => (format.open)(path),
        None if folder => Err(FieldError::Unknown { path: path.to_owned(), found: "a folder".to_owned() }),
        None => Err(FieldError::Unknown { path: path.to_owned(), found: lookalike::describe(&first).to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(name: &str, bytes: &[u8]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        open(&path).map(|sources| sources.len()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_field_is_named() {
        for (name, bytes, expected) in [
            ("empty.nc", &b""[..], "empty.nc: not a field: an empty file"),
            ("page.nc", b"<!DOCTYPE html>", "a web page"),
            ("old.grib", b"GRIB\0\0\x10\x01", "the message at byte 0 ends after 8 bytes"),
            ("flights.csv", b"flight_id,time,longitude\n", "a table in text"),
            ("field.nc.gz", b"\x1f\x8b\x08\0\0\0", "gunzip"),
            ("random.nc", b"\x93\xa1\x00\x17\xfe\xff\x01", "no known format; expected NetCDF"),
        ] {
            let message = refusal(name, bytes);
            assert!(message.contains(expected), "{message}");
        }
        let folder = tempfile::tempdir().unwrap();
        let message = open(folder.path()).map(|sources| sources.len()).unwrap_err().to_string();
        assert!(message.contains("not a field: a folder"), "{message}");
        assert!(matches!(open(Path::new("no such file")), Err(FieldError::Io { .. })));
    }

    #[test]
    fn a_file_is_what_its_first_bytes_say_whatever_its_name() {
        let message = refusal("flights.csv", b"\x89HDF\r\n\x1a\n and then nothing");
        assert!(message.contains("flights.csv: ") && !message.contains("not a field"), "{message}");
    }
}
