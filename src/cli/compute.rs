//! `skydose compute`: exposures of flights in fields.

use std::{path::PathBuf, time::Duration};

use anyhow::bail;
use clap::Args;
use rayon::prelude::*;

use super::{Ending, args, asked::Asked};
use crate::{
    compute::{
        Backend, Description,
        answer::Answers,
        cuda::Choice,
        run::{Computed, Flights, Run, Spent},
    },
    exposure::{
        Exposure,
        request::{Pass, Request},
    },
    field::dataset::Dataset,
    grid::VerticalRule,
    job::outcome::{self, Metadata, OutcomeWriter, rejects},
    trajectory::{AltitudeUnit, Fleet, FleetReader, Loaded, ReadOptions, Repairs, phase},
};

/// Flights whose rows are made at a time.
const FLIGHTS_AT_A_TIME: usize = 1024;

/// Bytes of memory that a waypoint takes while its flight is computed: its
/// columns, its label, and its part of the flight's figures and rows.
const BYTES_PER_WAYPOINT: usize = 96;

/// Arguments of `compute`.
#[derive(Debug, Args)]
pub struct Compute {
    #[command(flatten)]
    fields: args::Fields,
    #[command(flatten)]
    flights: args::FlightsFiles,
    /// The file of results.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    asked: Asked,
    /// Who computes: the GPU where it is sound, else the CPU.
    #[arg(long, value_enum, default_value_t)]
    backend: args::BackendArg,
    /// How field values lie in a GPU's memory.
    #[arg(long, value_enum, default_value_t)]
    precision: args::PrecisionArg,
    /// How results are written [default: by the ending of --out].
    #[arg(long, value_enum)]
    format: Option<args::FormatArg>,
    #[command(flatten)]
    machine: args::Machine,
}

/// What is computed, when everything is known.
pub(super) struct Job<'a> {
    pub dataset: &'a Dataset,
    pub passes: &'a [Pass],
    pub backend: &'a dyn Backend,
    pub vertical: VerticalRule,
    pub memory: usize,
}

/// What a computation came to.
#[derive(Default)]
pub(super) struct Account {
    pub flights: usize,
    pub waypoints: usize,
    /// Flights of which some contaminant was not sampled at all.
    pub unsampled: usize,
    pub reading_flights: Duration,
    pub writing: Duration,
    pub spent: Spent,
    pub repairs: Repairs,
    pub rejects: Vec<rejects::Reject>,
}

/// What goes into the summary besides the account.
#[derive(Clone, Copy)]
pub(super) struct Report<'a> {
    pub backend: &'a str,
    pub took: Duration,
    pub verbose: u8,
}

impl Compute {
    /// Computes and writes.
    ///
    /// # Errors
    /// A fault of the call or its files.
    pub fn run(self, verbose: u8) -> anyhow::Result<Ending> {
        let started = now();
        let format = args::format_of(&self.out, self.format)?;
        let memory = self.machine.start()?;
        if !self.flights.time_shift.is_finite() {
            bail!("--time-shift is {}, expected seconds", self.flights.time_shift);
        }
        let (dataset, memory) = self.fields.open(memory)?;
        let request = self.asked.request()?;
        let passes = request.passes(&dataset)?;
        let vertical = VerticalRule::from(self.asked.vertical);
        let Choice { backend, why_cpu } = args::backend(self.backend, self.precision)?;
        let metadata = self.metadata(&dataset, &request, &passes, vertical);
        let mut writer = outcome::create(&self.out, format, metadata)?;
        let job = Job { dataset: &dataset, passes: &passes, backend: &*backend, vertical, memory };
        let mut account = Account::default();
        account.spent.remarks.extend(why_cpu.map(|why| format!("no GPU computes: {why}")));
        let options =
            ReadOptions { altitude_unit: self.flights.altitude_unit.map(AltitudeUnit::from), ..ReadOptions::default() };
        let reading = now();
        let mut reader = FleetReader::open(&self.flights.flights, &options)?;
        account.reading_flights += reading.elapsed();
        // Flights get a third of the memory; fields the rest.
        let most = (memory / 3 / BYTES_PER_WAYPOINT).max(1);
        let bar = args::progress("computing");
        loop {
            let reading = now();
            let Some(mut loaded) = reader.next_batch(most)? else { break };
            loaded.fleet.shift_time(self.flights.time_shift);
            account.reading_flights += reading.elapsed();
            job.check_flights(&loaded.fleet)?;
            job.batch(&loaded, &mut account, writer.as_mut(), &|part| {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000")]
                bar.set_position((part * 1000.0) as u64);
            })?;
            account.rejects.extend(loaded.rejects.into_iter().map(|r| rejects::Reject {
                flight_id: r.flight_id,
                reason: r.reason,
                waypoints: r.waypoints,
                file: r.path,
            }));
            account.repairs.add(&loaded.repairs);
        }
        bar.finish_and_clear();
        let writing = now();
        for (name, value) in computed_by(&backend.description(), &account.spent.computed, &passes) {
            writer.note(name, &value);
        }
        writer.finish()?;
        let rejected = rejects::write(&self.out, &account.rejects)?;
        account.writing += writing.elapsed();
        let summary = account.summary(&Report { backend: &backend.name(), took: started.elapsed(), verbose });
        eprint!("{summary}");
        eprintln!("results: {}", self.out.display());
        if let Some(path) = rejected {
            eprintln!("rejected: {} flights, named in {}", account.rejects.len(), path.display());
            return Ok(Ending::Rejects);
        }
        Ok(Ending::Whole)
    }

    fn metadata(&self, dataset: &Dataset, request: &Request, passes: &[Pass], vertical: VerticalRule) -> Metadata {
        let names = |paths: &[PathBuf]| {
            let names: Vec<_> =
                paths.iter().filter_map(|p| Some(p.file_name()?.to_string_lossy().into_owned())).collect();
            names.join(", ")
        };
        let pairs = [
            ("skydose_version", env!("CARGO_PKG_VERSION").to_owned()),
            ("integration", request.integration.name().to_owned()),
            ("vertical", vertical.name().to_owned()),
            ("density", density(passes)),
            ("field", names(&self.fields.field)),
            ("field_format", dataset.sources().first().map_or_else(String::new, |s| s.format())),
            ("flights", names(&self.flights.flights)),
            ("time_shift_s", self.flights.time_shift.to_string()),
            ("phases", "OpenAP FlightPhase; level flight counts as cruise".to_owned()),
        ];
        Metadata { pairs: pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect() }
    }
}

/// Which density the passes use; the passes that need none do not count.
pub(super) fn density(passes: &[Pass]) -> String {
    let used: Vec<&str> = passes.iter().map(|p| p.density).filter(|d| *d != "not needed").collect();
    used.first().copied().unwrap_or("not needed").to_owned()
}

/// Who computed, and in what precision: a float16 field gives figures within
/// 1e-3 of those of a float32 one, and logarithms stay in float32, as does
/// what the CPU computed instead.
fn computed_by(by: &Description, computed: &Computed, passes: &[Pass]) -> [(&'static str, String); 3] {
    let has_log = passes.iter().any(|pass| pass.program.lanes.iter().any(|lane| lane.log));
    let precision = match (by.precision, has_log) {
        ("float16", true) => "float16, figures within 1e-3; float32 where fields hold logarithms".to_owned(),
        ("float16", false) => "float16, figures within 1e-3".to_owned(),
        (other, _) => other.to_owned(),
    };
    [("backend", computed.by(by.backend)), ("device", by.device.clone()), ("precision", precision)]
}

impl Job<'_> {
    fn check_flights(&self, fleet: &Fleet) -> anyhow::Result<()> {
        let needed = fleet.waypoints().saturating_mul(BYTES_PER_WAYPOINT);
        if needed > self.memory {
            bail!(
                "{} waypoints of {} flights need {} MB, and --memory is {} MB; raise it, or sort the file by flight \
                 (Parquet) so that flights can be read in batches",
                fleet.waypoints(),
                fleet.len(),
                needed / 1_000_000,
                self.memory / 1_000_000
            );
        }
        Ok(())
    }

    /// Computes loaded flights and writes their rows, in order.
    pub(super) fn batch(
        &self,
        loaded: &Loaded,
        account: &mut Account,
        writer: &mut dyn OutcomeWriter,
        progress: &(dyn Fn(f64) + Sync),
    ) -> anyhow::Result<()> {
        let fleet = &loaded.fleet;
        if fleet.is_empty() {
            return Ok(());
        }
        let computing = now();
        let indices: Vec<usize> = (0..fleet.len()).collect();
        let phases: Vec<Vec<phase::Phase>> =
            indices.par_iter().map(|&i| fleet.get(i).map_or_else(Vec::new, |f| phase::label(&f))).collect();
        account.spent.computing += computing.elapsed();
        let flights = Flights { fleet, phases: &phases };
        let run = Run {
            dataset: self.dataset,
            backend: self.backend,
            vertical: self.vertical,
            field_bytes: self.memory.saturating_sub(fleet.waypoints() * BYTES_PER_WAYPOINT),
            kept: None,
            progress,
        };
        let passed = run.run(self.passes, &flights, &mut account.spent)?;
        let writing = now();
        let answers = Answers::new(self.passes, &flights, &passed, self.dataset.members());
        // Rows are made while those before them are written.
        let mut made: Vec<Exposure> = Vec::new();
        for chunk in indices.chunks(FLIGHTS_AT_A_TIME) {
            let make = || chunk.par_iter().map(|&i| answers.of(i)).collect::<Vec<Vec<Exposure>>>();
            let (rows, written) = rayon::join(make, || writer.write(&made));
            written?;
            account.unsampled += rows.iter().filter(|rows| rows.iter().all(|r| r.sampled_fraction <= 0.0)).count();
            made = rows.into_iter().flatten().collect();
        }
        writer.write(&made)?;
        account.writing += writing.elapsed();
        account.flights += fleet.len();
        account.waypoints += fleet.waypoints();
        Ok(())
    }
}

impl Account {
    /// A few lines for people.
    pub(super) fn summary(&self, report: &Report<'_>) -> String {
        let Report { backend, took, verbose } = *report;
        let seconds = took.as_secs_f64().max(1e-9);
        let mut lines = vec![format!(
            "{} flights, {} waypoints in {seconds:.2} s ({:.0} flights/s) on {backend}",
            self.flights,
            self.waypoints,
            self.flights as f64 / seconds
        )];
        if self.unsampled > 0 {
            lines
                .push(format!("{} flights lie outside the field in time or space and have no figures", self.unsampled));
        }
        let repaired: Vec<String> =
            self.repairs.iter().filter(|(_, n)| *n > 0).map(|(fault, n)| format!("{n} {}", fault.name())).collect();
        if !repaired.is_empty() {
            lines.push(format!("repaired: {}", repaired.join(", ")));
        }
        lines.extend(self.spent.remarks.iter().map(|remark| format!("note: {remark}")));
        if verbose > 0 {
            let part =
                |of: Duration| format!("{:.2} s ({:.0} %)", of.as_secs_f64(), of.as_secs_f64() / seconds * 100.0);
            lines.push(format!(
                "time: reading flights {}, reading fields {}, computing {}, writing {}; {:.2} GB of field loaded",
                part(self.reading_flights),
                part(self.spent.reading),
                part(self.spent.computing),
                part(self.writing),
                self.spent.field_bytes as f64 / 1e9
            ));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// The clock behind the summary; no figure depends on it.
#[expect(clippy::disallowed_methods, reason = "durations that are printed, never used")]
pub(super) fn now() -> std::time::Instant {
    std::time::Instant::now()
}
