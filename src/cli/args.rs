//! Arguments that several subcommands take, and how they are read.

use std::path::PathBuf;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    app,
    compute::cuda::{self, Choice, Precision, Settings, Wish},
    field::dataset::{Dataset, DatasetFile},
    grid::VerticalRule,
    job::outcome::OutputFormat,
    trajectory::AltitudeUnit,
};

/// Where the fields come from.
#[derive(Debug, Args)]
pub(super) struct Fields {
    /// Field files or folders: NetCDF, GRIB2, Zarr, or zip files of them;
    /// several make one data set.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub field: Vec<PathBuf>,
    /// What the fields do not say themselves: names, units, levels, offsets.
    #[arg(long, value_name = "FILE.toml")]
    pub dataset: Option<PathBuf>,
}

/// Where the flights come from.
#[derive(Debug, Args)]
pub(super) struct FlightsFiles {
    /// Flights files: Parquet, CSV or JSON, also gzipped.
    #[arg(long, required = true, num_args = 1.., value_name = "PATH")]
    pub flights: Vec<PathBuf>,
    /// Unit of a column called just `altitude` [default: by the kind of file].
    #[arg(long, value_name = "UNIT")]
    pub altitude_unit: Option<AltitudeUnitArg>,
    /// Added to every time of the flights.
    #[arg(long, default_value_t = 0.0, value_name = "SECONDS", allow_negative_numbers = true)]
    pub time_shift: f64,
}

/// Unit of a bare altitude.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum AltitudeUnitArg {
    /// Metres.
    M,
    /// International feet.
    Ft,
}

/// How much of the machine is used.
#[derive(Debug, Args)]
pub(super) struct Machine {
    /// Threads [default: as many as the machine has].
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Memory to stay under, such as 2GB or 512MiB [default: half of the
    /// machine's].
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub memory: Option<usize>,
}

/// Between levels.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(super) enum VerticalArg {
    /// Linear in pressure.
    #[default]
    LinearP,
    /// Linear in the logarithm of pressure.
    LogP,
    /// Constant within a layer.
    LayerMean,
}

/// Who computes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum BackendArg {
    /// The GPU where it is sound, else the CPU.
    #[default]
    Auto,
    /// The processors.
    Cpu,
    /// A GPU.
    Cuda,
}

/// How field values lie in a GPU's memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum PrecisionArg {
    /// 4 bytes, as on the CPU.
    #[default]
    F32,
    /// 2 bytes: faster, figures within 1e-3.
    F16,
}

/// How GPUs are used.
pub(super) fn settings(precision: PrecisionArg) -> Settings {
    let precision = match precision {
        PrecisionArg::F32 => Precision::Float32,
        PrecisionArg::F16 => Precision::Float16,
    };
    Settings { precision, ..Settings::default() }
}

/// Who computes, as the call asks for it.
pub(super) fn backend(wish: BackendArg, precision: PrecisionArg) -> anyhow::Result<Choice> {
    if wish == BackendArg::Cpu && precision == PrecisionArg::F16 {
        bail!("--precision f16 is for GPUs, and --backend is cpu, which computes in f32");
    }
    let wish = match wish {
        BackendArg::Auto => Wish::Auto,
        BackendArg::Cpu => Wish::Cpu,
        BackendArg::Cuda => Wish::Cuda,
    };
    cuda::choose(wish, settings(precision)).map_err(|why| anyhow!("--backend cuda: {why}; use --backend cpu"))
}

/// How a file is written.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum FormatArg {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values.
    Csv,
    /// One JSON document.
    Json,
}

impl Fields {
    pub(super) fn open(&self, memory: usize) -> anyhow::Result<(Dataset, usize)> {
        let file = match &self.dataset {
            Some(path) => DatasetFile::read(path).context("--dataset")?,
            None => DatasetFile::default(),
        };
        open_within(&self.field, file, memory)
    }
}

/// Files as one data set, and what their content leaves of `memory` bytes.
pub(super) fn open_within(paths: &[PathBuf], file: DatasetFile, memory: usize) -> anyhow::Result<(Dataset, usize)> {
    let dataset = Dataset::open_within(paths, file, memory as u64)?;
    let held = usize::try_from(dataset.held_bytes()).unwrap_or(usize::MAX);
    Ok((dataset, memory.saturating_sub(held)))
}

impl From<AltitudeUnitArg> for AltitudeUnit {
    fn from(arg: AltitudeUnitArg) -> Self {
        match arg {
            AltitudeUnitArg::M => Self::Metres,
            AltitudeUnitArg::Ft => Self::Feet,
        }
    }
}

impl From<VerticalArg> for VerticalRule {
    fn from(arg: VerticalArg) -> Self {
        match arg {
            VerticalArg::LinearP => Self::LinearP,
            VerticalArg::LogP => Self::LogP,
            VerticalArg::LayerMean => Self::LayerMean,
        }
    }
}

impl From<FormatArg> for OutputFormat {
    fn from(arg: FormatArg) -> Self {
        match arg {
            FormatArg::Parquet => Self::Parquet,
            FormatArg::Csv => Self::Csv,
            FormatArg::Json => Self::Json,
        }
    }
}

impl Machine {
    /// Starts the thread pool, and the memory to stay under \[bytes\].
    pub(super) fn start(&self) -> anyhow::Result<usize> {
        if let Some(threads) = self.threads {
            if threads == 0 {
                bail!("--threads is 0, expected at least 1");
            }
            rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("starting the threads")?;
        }
        let default = || usize::try_from(app::default_memory()).unwrap_or(usize::MAX);
        Ok(self.memory.unwrap_or_else(default))
    }
}

/// Reads `2GB`, `512MiB`, `1000000`.
fn bytes(text: &str) -> Result<usize, String> {
    const UNITS: [(&str, f64); 10] = [
        ("kib", 1024.0),
        ("mib", 1_048_576.0),
        ("gib", 1_073_741_824.0),
        ("kb", 1e3),
        ("mb", 1e6),
        ("gb", 1e9),
        ("k", 1e3),
        ("m", 1e6),
        ("g", 1e9),
        ("b", 1.0),
    ];
    let lower = text.trim().to_lowercase();
    let (number, factor) = UNITS
        .iter()
        .find_map(|(unit, factor)| lower.strip_suffix(unit).map(|number| (number, *factor)))
        .unwrap_or((&lower, 1.0));
    match number.trim().parse::<f64>() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; saturates")]
        Ok(value) if value > 0.0 && value.is_finite() => Ok((value * factor) as usize),
        _ => Err("expected a size such as 2GB, 512MiB or 1000000".to_owned()),
    }
}

/// A bar on a terminal, nothing in a pipe.
pub(super) fn progress(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(1000);
    let style = ProgressStyle::with_template("{msg} {bar:40} {percent:>3} %  {elapsed} so far, {eta} to go");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// The format that a call names, else that of the path's ending.
pub(super) fn format_of(path: &std::path::Path, format: Option<FormatArg>) -> anyhow::Result<OutputFormat> {
    match format {
        Some(format) => Ok(format.into()),
        None => OutputFormat::from_ending(path).context("--out"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, expected) in [("2GB", 2_000_000_000), ("512MiB", 536_870_912), ("1.5 g", 1_500_000_000), ("77", 77)]
        {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for bad in ["", "much", "-1GB", "0", "GB"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
