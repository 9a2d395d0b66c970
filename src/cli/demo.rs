//! `skydose demo`: the whole way on fields and flights that skydose makes.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{Ending, args, compute::now, prepare, say, worker::runtime};
use crate::{
    app,
    compute::{Backend, cuda::Choice},
    exposure::{Exposure, request::Request},
    field::{
        catalogue::{Catalogue, Entry},
        dataset::{Dataset, DatasetFile},
        synthetic::{Synthetic, TIME_STEP_S, TIMES},
    },
    grid::VerticalRule,
    job::{
        Id, Terms,
        answer::{Manifest, Rows},
        outcome::{self, Metadata, OutputFormat},
        wire::{Encoding, Limits},
    },
    queue::Message,
    store::{self, Objects},
    time::UnixTime,
    trajectory::{self, Fleet, phase::Phase, synthetic},
};

/// First time of the demo's field: 2024-06-01T00:00:00Z.
const START_S: f64 = 1_717_200_000.0;
/// Seconds between waypoints.
const SPACING_S: f64 = 60.0;
/// What jobs call the field.
const DATASET: &str = "demo";
/// Flights of a job.
const CHUNK: usize = 200;
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
    /// Who computes: the GPU where it is sound, else the CPU.
    #[arg(long, value_enum, default_value_t)]
    backend: args::BackendArg,
    #[command(flatten)]
    machine: args::Machine,
}

impl Demo {
    /// Makes, computes, prints, writes.
    ///
    /// # Errors
    /// What cannot be written.
    pub fn run(self) -> anyhow::Result<Ending> {
        let started = now();
        let memory = self.machine.start()?;
        let Choice { backend, why_cpu } = args::backend(self.backend, args::PrecisionArg::F32)?;
        std::fs::create_dir_all(&self.out).with_context(|| format!("making {}", self.out.display()))?;
        let files = Files::of(&self.out);
        say("Making a day of a CAMS-like field: 0.75°, 25 pressure levels, every 3 hours, a dust and an ash plume\n")?;
        let made = Dataset::of(vec![Box::new(Synthetic::new(START_S))], DatasetFile::default())?;
        prepare::write(&made, &files.field, &format!("demo field of {}", UnixTime(START_S)), memory)?;
        say(&format!("Making {} flights between real airports, a waypoint every {SPACING_S} s\n", self.number))?;
        let fleet = synthetic::fleet(self.number, SPACING_S, 1, START_S, TIME_STEP_S * (TIMES - 1) as f64);
        trajectory::write_parquet(&files.flights, &fleet)?;
        say(&compute(&files, &fleet, (Arc::from(backend), memory as u64))?)?;
        if let Some(why) = why_cpu {
            say(&format!("no GPU computes: {why}\n"))?;
        }
        say(&format!("\nEverything took {:.1} s. {}", started.elapsed().as_secs_f64(), files.next(&self.out)))?;
        Ok(Ending::Whole)
    }
}

/// What the demo writes.
struct Files {
    field: PathBuf,
    flights: PathBuf,
    results: PathBuf,
    store: PathBuf,
}

impl Files {
    fn of(out: &Path) -> Self {
        let [field, flights, results, store] =
            ["field.zarr", "flights.parquet", "exposures.parquet", "store"].map(|name| out.join(name));
        Self { field, flights, results, store }
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

/// Computes by a worker, on a queue in memory and a store in the demo's
/// folder, and writes the results; what there is to tell of them.
fn compute(files: &Files, fleet: &Fleet, with: (Arc<dyn Backend>, u64)) -> anyhow::Result<String> {
    let entry = Entry {
        name: DATASET.into(),
        version: UnixTime(START_S).to_string(),
        dataset: Dataset::open(std::slice::from_ref(&files.field), DatasetFile::default())?,
    };
    let uri = format!("file:{}", files.store.display());
    let store = Objects::open(&store::Settings { uri, durable: false, ..store::Settings::default() })?;
    let catalogue = Catalogue::of_open(vec![entry]);
    let computing = now();
    let runtime = runtime()?;
    let answered = runtime.block_on(app::compute_here(catalogue, store, with, jobs(fleet)?))?;
    let took = computing.elapsed().as_secs_f64();
    let rows = write(files, answered.manifests)?;
    let summary = format!(
        "{} jobs of up to {CHUNK} flights, {} waypoints in {took:.2} s ({:.0} flights/s) by a worker on {}\n",
        answered.jobs,
        fleet.waypoints(),
        fleet.len() as f64 / took,
        answered.backend
    );
    Ok(format!("{}\n{summary}", table(&rows)))
}

/// The messages of jobs for all flights.
fn jobs(fleet: &Fleet) -> anyhow::Result<Vec<Message>> {
    let submission = Id::new_submission();
    let numbers: Vec<usize> = (0..fleet.len()).collect();
    let encode = |(job, numbers): (usize, &[usize])| {
        let terms = Terms {
            id: Id::job(&submission, job)?,
            submission: submission.clone(),
            dataset: DATASET.parse()?,
            request: Request::default(),
            vertical: VerticalRule::LinearP,
            deadline: None,
        };
        Ok(Encoding::default().encode(&terms, &fleet.select(numbers), &Limits::default())?.message)
    };
    numbers.chunks(CHUNK).enumerate().map(encode).collect()
}

/// Writes the rows of all answers in the order of the jobs; those of whole
/// flights are handed on.
fn write(files: &Files, manifests: Vec<Manifest>) -> anyhow::Result<Vec<Exposure>> {
    let mut pairs = manifests.first().map(|manifest| manifest.rules.clone()).unwrap_or_default();
    let backends: BTreeSet<&str> = manifests.iter().map(|manifest| manifest.backend.as_str()).collect();
    pairs.insert("backend".to_owned(), Vec::from_iter(backends).join("; "));
    pairs.extend([("field", "field.zarr"), ("flights", "flights.parquet")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let mut writer = outcome::create(&files.results, OutputFormat::Parquet, Metadata { pairs })?;
    let mut whole = Vec::new();
    for manifest in manifests {
        let Rows::Inline(rows) = manifest.rows else { bail!("{}: the rows are not in the answer", manifest.job) };
        let rows: Vec<Exposure> = rows.into_iter().map(Exposure::from).collect();
        writer.write(&rows)?;
        whole.extend(rows.into_iter().filter(|row| row.phase == Phase::Flight));
    }
    writer.finish()?;
    Ok(whole)
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
