//! `skydose inspect`: what is in a file, and what is wrong with it.
//!
//! | concern | file |
//! |---|---|
//! | a file of fields | `field.rs` |
//! | its axes in words | `axes.rs` |
//! | the contaminants that files make together | `verdict.rs` |
//! | a file of flights | `flights.rs` |
//! | lines, tables and figures | `text.rs` |

mod axes;
mod field;
mod flights;
mod text;
mod verdict;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use clap::Args;

use self::text::Report;
use super::{Ending, args::AltitudeUnitArg};
use crate::{
    field::{FieldError, SOURCES, dataset::DatasetFile},
    trajectory::{AltitudeUnit, FlightsError, ReadOptions},
};

/// How many first bytes formats of fields are recognised by.
const FIRST_BYTES: u64 = 512;

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct Inspect {
    /// Field and flights files.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the fields do not say themselves: names, units, levels, offsets.
    #[arg(long, value_name = "FILE.toml")]
    dataset: Option<PathBuf>,
    /// Unit of a column called just `altitude` [default: by the kind of file].
    #[arg(long, value_name = "UNIT")]
    altitude_unit: Option<AltitudeUnitArg>,
}

/// What a path turned out to be.
enum Kind {
    Field,
    Flights,
    Unreadable,
}

impl Inspect {
    /// Prints a report a file, and one of all fields together.
    ///
    /// # Errors
    /// When a file cannot be read; the others are reported all the same.
    pub fn run(self) -> anyhow::Result<Ending> {
        let file = match &self.dataset {
            Some(path) => DatasetFile::read(path).context("--dataset")?,
            None => DatasetFile::default(),
        };
        let options =
            ReadOptions { altitude_unit: self.altitude_unit.map(AltitudeUnit::from), ..ReadOptions::default() };
        let mut fields = Vec::new();
        let mut unreadable = 0;
        for (i, path) in self.paths.iter().enumerate() {
            let mut report = Report::default();
            if i > 0 {
                report.blank();
            }
            match inspect(path, &file, &options, &mut report) {
                Kind::Field => fields.push(path.clone()),
                Kind::Flights => {}
                Kind::Unreadable => unreadable += 1,
            }
            super::say(report.as_str())?;
        }
        if fields.len() > 1 {
            let mut report = Report::default();
            report.blank();
            verdict::together(&fields, file, &mut report);
            super::say(report.as_str())?;
        }
        if unreadable > 0 {
            bail!("{unreadable} of {} paths cannot be read to their end", self.paths.len());
        }
        Ok(Ending::Whole)
    }
}

fn inspect(path: &Path, file: &DatasetFile, options: &ReadOptions, report: &mut Report) -> Kind {
    report.title(&path.display().to_string());
    let is_field = match looks_like_field(path) {
        Ok(is_field) => is_field,
        Err(error) => {
            report.fault(&error.to_string());
            return Kind::Unreadable;
        }
    };
    if is_field {
        return match field::inspect(path, file, report) {
            Ok(true) => Kind::Field,
            Ok(false) => Kind::Unreadable,
            Err(error) => {
                report.fault(&without_path(path, &error.to_string()));
                Kind::Unreadable
            }
        };
    }
    match flights::inspect(path, options, report) {
        Ok(()) => Kind::Flights,
        Err(error) => {
            neither(path, &error, report);
            Kind::Unreadable
        }
    }
}

/// Whether the first bytes are of a field; an ending may lie.
fn looks_like_field(path: &Path) -> io::Result<bool> {
    let mut first = Vec::new();
    if !std::fs::metadata(path)?.is_dir() {
        File::open(path)?.take(FIRST_BYTES).read_to_end(&mut first)?;
    } else if !SOURCES.iter().any(|format| (format.recognises)(path, &first)) {
        return Err(io::Error::new(
            io::ErrorKind::IsADirectory,
            "a folder that is no Zarr store; give the files in it",
        ));
    }
    Ok(SOURCES.iter().any(|format| (format.recognises)(path, &first)))
}

/// What a file that is neither looks like as either.
fn neither(path: &Path, error: &FlightsError, report: &mut Report) {
    let as_field = match crate::field::open_within(path, crate::app::default_memory()) {
        Err(FieldError::Unknown { found, .. }) => format!("no: it looks like {found}"),
        Err(error) => without_path(path, &error.to_string()),
        Ok(_) => "yes".to_owned(),
    };
    report.line("neither fields nor flights");
    report.entry("as field", &as_field);
    report.entry("as flights", &without_path(path, &error.to_string()));
}

/// A message without the name that stands above it.
fn without_path(path: &Path, message: &str) -> String {
    let prefix = format!("{}: ", path.display());
    message.strip_prefix(&prefix).unwrap_or(message).to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::field::{
        cf::{
            Attribute, Values,
            testing::{MemoryStore, text},
        },
        netcdf::testing::classic,
    };

    fn report(name: &str, bytes: &[u8]) -> (Kind, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let mut report = Report::default();
        let kind = inspect(&path, &DatasetFile::default(), &ReadOptions::default(), &mut report);
        (kind, report.as_str().split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn expect(text: &str, expected: &[&str]) {
        for phrase in expected {
            assert!(text.contains(phrase), "{phrase:?} is not in {text}");
        }
    }

    #[test]
    fn a_field_is_told_with_what_is_wrong() {
        let dims = [("time", 1), ("level", 3), ("latitude", 2), ("longitude", 3)];
        let mut values: Vec<f32> = (0..18).map(|i| i as f32).collect();
        values[7] = f32::NAN;
        let with = |store: MemoryStore, name, attributes: &[(&str, Attribute)]| {
            store.array(name, &dims, Values::F32(values.clone()), attributes)
        };
        let store = MemoryStore::default()
            .axis("time", &[0.0], "hours since 2000-01-01")
            .axis("level", &[100.0, 200.0, 300.0], "hPa")
            .horizontal(2, 3);
        let store = with(store, "aermr04", &[("units", text("kg kg**-1"))]);
        let store = with(store, "aermr05", &[("units", text("kg kg**-1"))]);
        let store = with(store, "so2", &[("units", text("furlong"))]);
        let store = with(store, "co", &[]);
        // The ending lies.
        let (kind, text) = report("flights.csv", &classic(2, &store, None));
        assert!(matches!(kind, Kind::Field));
        expect(
            &text,
            &[
                "NetCDF classic (CDF-2)",
                "times 1: 2000-01-01T00:00:00Z",
                "3 pressure levels: 100, 200, 300 hPa",
                "2: 50 … 49 °N, every 1°, north to south",
                // The plane at 200 hPa holds 6 to 11, one of them missing.
                "aermr04 kg kg**-1 6 11 16.7 % dust_1: mineral dust, 0.03-0.55 µm",
                "WRONG a single time",
                "dust incomplete: dust_1 and dust_2 without dust_3, which is missing",
                "WRONG variable so2 has the unit \"furlong\"",
                "note co has no unit and is taken for mass mixing ratio",
            ],
        );
    }

    #[test]
    fn flights_are_told_with_rejects_and_repairs() {
        let mut csv = "flight_id,time,longitude,latitude,altitude,colour\n".to_owned();
        csv.extend((0..10).map(|i| format!("A1,2020-01-01T00:{i:02}:00Z,0.{i},50,10000,red\n")));
        csv += "A1,2020-01-01T00:03:00Z,0.3,50,10000,red\nB2,2020-01-01T00:00:00Z,0,95,10000,red\n";
        let (kind, text) = report("flights.nc", csv.as_bytes());
        assert!(matches!(kind, Kind::Flights));
        expect(
            &text,
            &[
                "flights: CSV",
                "rows 12: 1 flight of 10 waypoints, 1 flight rejected",
                "2020-01-01T00:00:00Z … 2020-01-01T00:09:00Z (9 min)",
                "10000 … 10000 m (32808 … 32808 ft, 264.4 … 264.4 hPa)",
                "altitude in metres: the default of a pycontrails file",
                "not used: colour",
                "1 rows at a time already taken dropped",
                "rejected B2 1 row",
            ],
        );
    }

    #[test]
    fn what_is_neither_is_told_as_both() {
        let (kind, text) = report("page.nc", b"<!DOCTYPE html><html>404</html>");
        assert!(matches!(kind, Kind::Unreadable));
        expect(&text, &["neither fields nor flights", "as field no: it looks like a web page", "as flights"]);
        let (kind, text) = report("cut.nc", b"CDF\x02\0\0\0\x01\0\0");
        assert!(matches!(kind, Kind::Unreadable));
        expect(&text, &["WRONG"]);
        let (kind, _) = report("empty", b"");
        assert!(matches!(kind, Kind::Unreadable));
    }
}
