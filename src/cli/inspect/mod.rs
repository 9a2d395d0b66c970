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
    io::{self, Read, Write},
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
            print(&report)?;
        }
        if fields.len() > 1 {
            let mut report = Report::default();
            report.blank();
            verdict::together(&fields, file, &mut report);
            print(&report)?;
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
    let as_field = match crate::field::open(path) {
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

fn print(report: &Report) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(report.as_str().as_bytes()) {
        // The reader, such as `head`, has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("writing the report"),
    }
}
