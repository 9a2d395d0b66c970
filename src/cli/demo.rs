//! `skydose demo`: the whole way on fields and flights that skydose makes.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::Args;

use super::{
    Ending, args,
    compute::{Account, Job, Report, now},
    prepare, say,
};
use crate::{
    compute::{Backend as _, cpu::Cpu},
    exposure::{Exposure, program::Integration, request::Request},
    field::{
        dataset::{Dataset, DatasetFile},
        synthetic::{Synthetic, TIME_STEP_S, TIMES},
    },
    grid::VerticalRule,
    job::outcome::{self, Metadata, OutcomeError, OutcomeWriter, OutputFormat},
    time::UnixTime,
    trajectory::{self, Fleet, Loaded, phase::Phase, synthetic},
};

/// First time of the demo's field: 2024-06-01T00:00:00Z.
const START_S: f64 = 1_717_200_000.0;
/// Seconds between waypoints.
const SPACING_S: f64 = 60.0;
/// Flights in the table of the most exposed.
const MOST_EXPOSED: usize = 10;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// The folder for the field, the flights and the results.
    #[arg(long, default_value = "demo", value_name = "DIR")]
    out: PathBuf,
    /// How many flights.
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    number: usize,
    #[command(flatten)]
    machine: args::Machine,
}

impl Demo {
    /// Makes, computes, prints, writes.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn run(self, verbose: u8) -> anyhow::Result<Ending> {
        let started = now();
        let memory = self.machine.start()?;
        std::fs::create_dir_all(&self.out).with_context(|| format!("making {}", self.out.display()))?;
        let files = Files::of(&self.out);
        say("Making a day of a CAMS-like field: 0.75°, 25 pressure levels, every 3 hours, a dust and an ash plume\n")?;
        let made = Dataset::of(vec![Box::new(Synthetic::new(START_S))], DatasetFile::default())?;
        prepare::write(&made, &files.field, &format!("demo field of {}", UnixTime(START_S)), memory)?;
        say(&format!("Making {} flights between real airports, a waypoint every {SPACING_S} s\n", self.number))?;
        let fleet = synthetic::fleet(self.number, SPACING_S, 1, START_S, TIME_STEP_S * (TIMES - 1) as f64);
        trajectory::write_parquet(&files.flights, &fleet)?;
        say(&compute(&files, fleet, memory, verbose)?)?;
        say(&format!("\nEverything took {:.1} s. {}", started.elapsed().as_secs_f64(), files.next(&self.out)))?;
        Ok(Ending::Whole)
    }
}

/// What the demo writes.
struct Files {
    field: PathBuf,
    flights: PathBuf,
    results: PathBuf,
}

impl Files {
    fn of(out: &Path) -> Self {
        let [field, flights, results] =
            ["field.zarr", "flights.parquet", "exposures.parquet"].map(|name| out.join(name));
        Self { field, flights, results }
    }

    /// What a person may try next.
    fn next(&self, out: &Path) -> String {
        let (field, flights, out) = (self.field.display(), self.flights.display(), out.display());
        format!(
            "The files are for the other commands to read:\n  \
             skydose inspect {field} {flights}\n  \
             skydose compute --field {field} --flights {flights} --contaminant ash --out {out}/ash.csv\n  \
             skydose sample --field {field} --flights {flights} --variable t,ash --out {out}/samples.parquet\n"
        )
    }
}

/// Computes and writes the results; what there is to tell of them.
fn compute(files: &Files, fleet: Fleet, memory: usize, verbose: u8) -> anyhow::Result<String> {
    let dataset = Dataset::open(std::slice::from_ref(&files.field), DatasetFile::default())?;
    let request = Request { integration: Integration::Path, ..Request::default() };
    let passes = request.passes(&dataset)?;
    let backend = Cpu::new();
    let job = Job { dataset: &dataset, passes: &passes, backend: &backend, vertical: VerticalRule::LinearP, memory };
    let pairs = [
        ("skydose_version", env!("CARGO_PKG_VERSION")),
        ("integration", request.integration.name()),
        ("vertical", job.vertical.name()),
        ("density", &super::compute::density(&passes)),
        ("field", "field.zarr"),
        ("flights", "flights.parquet"),
    ];
    let mut metadata = Metadata { pairs: pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into() };
    metadata.pairs.extend(super::compute::computed_by(&backend.description(), &passes));
    let inner = outcome::create(&files.results, OutputFormat::Parquet, metadata)?;
    let mut writer = Watched { inner, rows: Vec::new() };
    let mut account = Account::default();
    let computing = now();
    job.batch(&Loaded { fleet, ..Loaded::default() }, &mut account, &mut writer, &|_| {})?;
    let took = computing.elapsed();
    let Watched { inner, rows } = writer;
    inner.finish()?;
    let summary = account.summary(&Report { backend: &backend.name(), took, verbose });
    Ok(format!("{}\n{summary}", table(&rows)))
}

/// Keeps the rows of whole flights that pass through.
struct Watched {
    inner: Box<dyn OutcomeWriter>,
    rows: Vec<Exposure>,
}

impl OutcomeWriter for Watched {
    fn write(&mut self, rows: &[Exposure]) -> Result<(), OutcomeError> {
        self.rows.extend(rows.iter().filter(|row| row.phase == Phase::Flight).cloned());
        self.inner.write(rows)
    }

    fn finish(self: Box<Self>) -> Result<(), OutcomeError> {
        self.inner.finish()
    }
}

/// The flights with the highest dosages of dust and of ash, and all sums.
fn table(rows: &[Exposure]) -> String {
    let mut text = String::new();
    for contaminant in ["dust", "ash"] {
        let mut exposed: Vec<&Exposure> = rows.iter().filter(|r| &*r.contaminant == contaminant).collect();
        exposed.sort_by(|a, b| b.dosage_g_s_m3.unwrap_or(0.0).total_cmp(&a.dosage_g_s_m3.unwrap_or(0.0)));
        let _ = writeln!(text, "\nMost exposed to {contaminant}");
        text += "  flight            dosage      mean      peak   where and when                       sampled\n";
        text += "                   g s m⁻³    mg m⁻³    mg m⁻³\n";
        for row in exposed.iter().take(MOST_EXPOSED) {
            text += &line(row);
        }
    }
    text += "\nAll flights\n  contaminant        dosage, sum   highest peak   flights sampled throughout\n";
    text += "                         g s m⁻³         mg m⁻³\n";
    let mut names: Vec<&str> = rows.iter().map(|r| &*r.contaminant).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of: Vec<&Exposure> = rows.iter().filter(|r| &*r.contaminant == name).collect();
        let sum: f64 = of.iter().filter_map(|r| r.dosage_g_s_m3).sum();
        let peak = of.iter().filter_map(|r| r.peak).map(|p| p.mg_m3).fold(0.0, f64::max);
        let whole = of.iter().filter(|r| r.sampled_fraction > 1.0 - 1e-9).count();
        let _ = writeln!(text, "  {name:<16} {sum:>13.3} {peak:>14.5}   {whole} of {}", of.len());
    }
    text
}

fn line(row: &Exposure) -> String {
    let place = row.peak.map_or_else(String::new, |p| {
        let (ns, ew) = (if p.latitude_deg < 0.0 { 'S' } else { 'N' }, if p.longitude_deg < 0.0 { 'W' } else { 'E' });
        let time = UnixTime(p.time_s.round()).to_rfc3339();
        format!(
            "{:>4.1}°{ns} {:>5.1}°{ew} {:>4.0} hPa {}",
            p.latitude_deg.abs(),
            p.longitude_deg.abs(),
            p.pressure_hpa,
            time.get(11..16).unwrap_or_default()
        )
    });
    format!(
        "  {:<16} {:>8.3} {:>9.4} {:>9.4}   {place:<34} {:>5.1} %\n",
        row.flight_id,
        row.dosage_g_s_m3.unwrap_or(f64::NAN),
        row.mean_mg_m3.unwrap_or(f64::NAN),
        row.peak.map_or(f64::NAN, |p| p.mg_m3),
        row.sampled_fraction * 100.0
    )
}
