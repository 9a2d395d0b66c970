//! `skydose prepare`: fields in the form that loads fastest.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};

use super::{Ending, args, compute::now};
use crate::field::{
    dataset::{Dataset, DatasetFile, Preparation, Written},
    zarr::{
        prepared::{Compression, PreparedLayout},
        writer::{PreparedWriter, fingerprint},
    },
};

/// Changes when what is written from the same files does.
const VERSION: u32 = 1;

/// Arguments of `prepare`.
#[derive(Debug, Args)]
pub struct Prepare {
    /// Field files or folders; several make one data set.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The folder to write; a run that was stopped goes on where it was.
    #[arg(long, value_name = "DIR.zarr")]
    out: PathBuf,
    /// What the fields do not say themselves; the prepared form needs it no
    /// more.
    #[arg(long, value_name = "FILE.toml")]
    dataset: Option<PathBuf>,
    /// Variables or groups, by their name in the file or in the catalogue
    /// [default: all that have levels].
    #[arg(long, value_delimiter = ',', value_name = "NAME,...")]
    variable: Vec<String>,
    /// How chunks are compressed; uncompressed ones load fastest.
    #[arg(long, value_enum, default_value_t)]
    compression: CompressionArg,
    /// Replace a prepared field of other files or options.
    #[arg(long)]
    overwrite: bool,
    #[command(flatten)]
    machine: args::Machine,
}

/// How chunks are compressed.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum CompressionArg {
    /// Not at all.
    #[default]
    None,
    /// zstd: the smallest.
    Zstd,
    /// blosc with LZ4 and byte shuffle.
    Blosc,
}

impl From<CompressionArg> for Compression {
    fn from(arg: CompressionArg) -> Self {
        match arg {
            CompressionArg::None => Self::None,
            CompressionArg::Zstd => Self::Zstd,
            CompressionArg::Blosc => Self::Blosc,
        }
    }
}

impl Prepare {
    /// Writes the prepared form.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn run(self, verbose: u8) -> anyhow::Result<Ending> {
        let started = now();
        let memory = self.machine.start()?;
        self.check_places()?;
        let file = match &self.dataset {
            Some(path) => DatasetFile::read(path).context("--dataset")?,
            None => DatasetFile::default(),
        };
        let options = format!("{VERSION} {:?} {file:?}", self.variable);
        let fingerprint = fingerprint(&self.paths, &options)?;
        let (dataset, memory) = args::open_within(&self.paths, file, memory)?;
        let preparation = Preparation::of(&dataset, &self.variable)?;
        let layout = preparation.layout(self.compression.into(), fingerprint);
        let what = describe(&layout);
        let writer = PreparedWriter::create(&self.out, layout, self.overwrite)?;
        let missing = writer.missing().count();
        for remark in preparation.remarks().iter().chain(dataset.remarks().iter().filter(|_| verbose > 0)) {
            eprintln!("note: {remark}");
        }
        if writer.is_finished() && missing == 0 {
            eprintln!("already prepared: {}", self.out.display());
            return Ok(Ending::Whole);
        }
        let chunks = writer.chunks().count();
        if missing < chunks {
            eprintln!("going on: {} of {chunks} chunks are there", chunks - missing);
        }
        let written = fill(&preparation, writer, memory)?;
        eprintln!("{what}");
        eprintln!("{}", summary(written, started.elapsed().as_secs_f64()));
        eprintln!("prepared: {}", self.out.display());
        Ok(Ending::Whole)
    }

    /// A field is never written over itself.
    fn check_places(&self) -> anyhow::Result<()> {
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        if let Some(out) = real(&self.out)
            && let Some(path) = self.paths.iter().find(|path| real(path).as_ref() == Some(&out))
        {
            bail!("--out {} is one of the fields to prepare, expected another folder", path.display());
        }
        Ok(())
    }
}

/// Writes a data set that `what` tells from others to `out`, where it is not
/// there yet; a prepared field of something else is replaced.
///
/// # Errors
/// What cannot be read or written.
pub(super) fn write(dataset: &Dataset, out: &Path, what: &str, memory: usize) -> anyhow::Result<()> {
    let preparation = Preparation::of(dataset, &[])?;
    let layout = preparation.layout(Compression::None, format!("{VERSION} {what}"));
    let writer = PreparedWriter::create(out, layout, true)?;
    fill(&preparation, writer, memory)?;
    Ok(())
}

/// Writes what is missing, under a bar.
fn fill(preparation: &Preparation<'_>, writer: PreparedWriter, memory: usize) -> anyhow::Result<Written> {
    let bar = args::progress("preparing");
    let written = preparation.write(&writer, memory, &|part| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
        bar.set_position((part * 1000.0) as u64);
        true
    });
    bar.finish_and_clear();
    let written = written?;
    writer.finish()?;
    Ok(written)
}

/// What is written, in a line.
fn describe(layout: &PreparedLayout) -> String {
    let names: Vec<&str> = layout.variables.iter().map(|v| v.name.as_str()).collect();
    let members = match layout.members.len() {
        0 => String::new(),
        n => format!("{n} members × "),
    };
    let counted = |n: usize, noun: &str| format!("{n} {noun}{}", if n == 1 { "" } else { "s" });
    format!(
        "{}: {members}{} × {} × {} × {}",
        names.join(", "),
        counted(layout.times_s.len(), "time"),
        counted(layout.levels.len(), "level"),
        counted(layout.latitudes_deg.len(), "latitude"),
        counted(layout.longitudes_deg.len(), "longitude")
    )
}

fn summary(written: Written, seconds: f64) -> String {
    let bytes = written.bytes as f64;
    let size = if bytes < 1e8 { format!("{:.1} MB", bytes / 1e6) } else { format!("{:.2} GB", bytes / 1e9) };
    let rate = bytes / 1e9 / seconds.max(1e-9);
    format!("{} chunks, {size} in {seconds:.2} s ({rate:.3} GB/s)", written.chunks)
}
