//! The formats that flights are read from.

use arrow_array::RecordBatch;

use super::{csv, error::FlightsError, json, parquet, source::Source};

/// Rows of a table, a batch at a time, in the file's order. All batches have
/// the schema of the first.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, FlightsError>> + Send>;

/// Which columns of a table are read.
#[derive(Clone, Copy)]
pub(super) enum Columns {
    /// Every one, as typed as the format allows.
    All,
    /// Those whose name is accepted, in whatever form is read fastest.
    Wanted(fn(&str) -> bool),
}

/// An opened table.
pub(super) struct Table {
    /// Names of all columns of the file, read or not.
    pub(super) names: Vec<String>,
    /// Rows of the columns that are read.
    pub(super) batches: Batches,
}

/// A format that flights are read from: how it is recognised, how it is read.
pub(super) struct Format {
    /// As users say it.
    pub(super) name: &'static str,
    /// Whether a file with these first bytes (up to 8192) is of this format.
    pub(super) recognises: fn(&[u8]) -> bool,
    /// Reads it.
    pub(super) open: fn(&Source, Columns) -> Result<Table, FlightsError>,
}

/// Every format of flights, in the order in which they are tried.
pub(super) const FORMATS: &[Format] = &[
    Format { name: "Parquet", recognises: parquet::recognises, open: parquet::open },
    Format { name: "JSON", recognises: json::recognises, open: json::open },
    Format { name: "CSV", recognises: csv::recognises, open: csv::open },
];

impl Columns {
    pub(super) fn include(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Wanted(accepts) => accepts(name),
        }
    }
}

impl Format {
    /// The format of a file, by what is in it.
    pub(super) fn of(source: &Source) -> Result<&'static Self, FlightsError> {
        FORMATS
            .iter()
            .find(|f| (f.recognises)(source.head()))
            .ok_or_else(|| FlightsError::Unknown { path: source.path().to_owned(), found: describe(source.head()) })
    }
}

/// Says what bytes look like that no format recognises.
fn describe(head: &[u8]) -> String {
    const KNOWN: &[(&[u8], &str)] = &[
        (b"\x89HDF", "NetCDF-4 or HDF5"),
        (b"CDF", "NetCDF classic"),
        (b"GRIB", "GRIB"),
        (b"PK\x03\x04", "a zip archive"),
        (b"ARROW1", "an Arrow IPC file (Feather)"),
        (b"\xff\xfe", "UTF-16 text"),
        (b"\xfe\xff", "UTF-16 text"),
        (b"(\xb5/\xfd", "compressed with zstd"),
        (b"BZh", "compressed with bzip2"),
        (b"\x80\x04", "a Python pickle"),
        (b"\x80\x05", "a Python pickle"),
    ];
    let known = KNOWN.iter().find(|(magic, _)| head.starts_with(magic));
    known.map_or_else(|| "its first bytes are of no known format".to_owned(), |(_, name)| format!("it is {name}"))
}
