//! One case on the processors and on the GPU.

use std::{
    path::{Path, PathBuf},
    time::Instant,
};

use rayon::prelude::*;
use serde_json::Map;
use skydose::{
    compute::{
        Backend, Session, Window,
        answer::Answers,
        cpu::Cpu,
        cuda::{Cuda, DeviceInfo, Precision, Settings},
        run::{Flights, Run, Spent},
    },
    exposure::{
        Exposure,
        program::Integration,
        request::{Limit, Request},
    },
    field::{
        Levels,
        dataset::{Dataset, DatasetFile, ValueRule, VariableRule},
        zarr::{
            prepared::{Compression, PreparedLayout, PreparedVariable, band},
            writer::PreparedWriter,
        },
    },
    grid::VerticalRule,
    job::outcome::{self, Metadata, OutputFormat},
    trajectory::{self, ReadOptions, phase},
};

use crate::{Failure, Machine, Options, case::Case, traffic::bytes_a_waypoint};

/// Operations in single precision a sample: fifteen interpolations between
/// two corners, each a difference and a fused multiply-add.
const SINGLE: f64 = 15.0 * 3.0;
/// In double precision: a sum and a fused multiply-add of the trapezoid.
const DOUBLE: f64 = 3.0;

/// What the arithmetic units can do \[1/s\].
pub struct Peak {
    pub single: f64,
    pub double: f64,
}

/// What one side took \[s\].
pub struct Side {
    pub memory_s: f64,
    pub files_s: f64,
}

/// One line of the table.
pub struct Row {
    case: String,
    precision: &'static str,
    samples: f64,
    waypoints: f64,
    kernel_s: f64,
    all_s: f64,
    bytes_a_waypoint: f64,
    bound_s: f64,
    overlap: f64,
    files_s: f64,
    cpu_s: f64,
    cpu_files_s: f64,
    difference: f64,
}

impl Peak {
    /// Units a multiprocessor by compute capability (CUDA C++ Programming
    /// Guide, table of arithmetic throughput), two operations each a cycle.
    pub fn of(gpu: &DeviceInfo) -> Self {
        let (single, double) = match gpu.capability {
            (7, 0 | 2) | (8, 0) => (64.0, 32.0),
            (7, 5) => (64.0, 2.0),
            (9 | 10, _) => (128.0, 64.0),
            _ => (128.0, 2.0),
        };
        let cycles = 2.0 * f64::from(gpu.multiprocessors) * f64::from(gpu.clock_khz) * 1e3;
        Self { single: single * cycles, double: double * cycles }
    }
}

impl Row {
    pub const HEAD: &'static str = "| case | field | kernel, ms | 10⁹ samples/s | 10⁶ waypoints/s | bytes a waypoint, GB in all | bound, ms | \
         of the bound | all, ms | 10⁹ samples/s | overlap | end to end, s | processors: 10⁹ samples/s | end to end, s | GPU faster by | \
         largest difference |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";

    pub fn line(&self) -> String {
        format!(
            "| {} | {} | {:.3} | {:.1} | {:.0} | {:.0}, {:.2} | {:.3} | {:.0} % | {:.1} | {:.1} | {:.0} % | {:.2} | {:.3} | {:.2} | {:.1} | {:.0e} |",
            self.case,
            self.precision,
            self.kernel_s * 1e3,
            self.samples / self.kernel_s / 1e9,
            self.waypoints / self.kernel_s / 1e6,
            self.bytes_a_waypoint,
            self.bytes_a_waypoint * self.waypoints / 1e9,
            self.bound_s * 1e3,
            self.bound_s / self.kernel_s * 100.0,
            self.all_s * 1e3,
            self.samples / self.all_s / 1e9,
            self.overlap * 100.0,
            self.files_s,
            self.samples / self.cpu_s / 1e9,
            self.cpu_files_s,
            self.cpu_s / self.all_s,
            self.difference,
        )
    }
}

#[expect(clippy::disallowed_methods, reason = "this is what a bench is for")]
fn now() -> Instant {
    Instant::now()
}

/// Flights and field in memory, to figures in memory.
fn whole(backend: &dyn Backend, case: &Case) -> Result<f64, Failure> {
    let started = now();
    let flights = Flights { fleet: &case.fleet, phases: &case.phases };
    let mut session = backend.begin(&case.program, flights)?;
    session.advance(&case.window())?;
    let states = session.finish()?;
    let seconds = started.elapsed().as_secs_f64();
    if states.len() != case.fleet.len() {
        return Err("flights are missing".into());
    }
    Ok(seconds)
}

/// The same window by window, fields sent meanwhile; the time of the windows
/// alone.
fn by_windows(cuda: &Cuda, case: &Case) -> Result<f64, Failure> {
    let flights = Flights { fleet: &case.fleet, phases: &case.phases };
    let mut session: Box<dyn Session + '_> = cuda.begin(&case.program, flights)?;
    let started = now();
    for first in 0..case.slabs.len() - 1 {
        let slabs = &case.slabs[first..first + 2];
        session.advance(&Window { first, slabs, ..case.window() })?;
    }
    session.finish()?;
    Ok(started.elapsed().as_secs_f64())
}

/// The processors with all their cores.
pub fn cpu(case: &Case, files: &Path) -> Result<Side, Failure> {
    let cpu = Cpu::new();
    let memory_s = whole(&cpu, case)?.min(whole(&cpu, case)?);
    write_files(case, files)?;
    Ok(Side { memory_s, files_s: from_files(&cpu, files, case.species)? })
}

/// The GPU, and what became of it beside the processors.
pub fn gpu(
    case: &Case,
    precision: Precision,
    machine: &Machine,
    options: &Options,
    cpu: &Side,
) -> Result<Row, Failure> {
    let settings = Settings { precision, check_fraction: 0.0, ..Settings::default() };
    let open = |settings| Cuda::open(std::slice::from_ref(&machine.gpu), &machine.compiler, settings);
    let cuda = open(settings.clone())?;
    // Compiles, and makes the buffers that are used again.
    by_windows(&cuda, case)?;
    cuda.forget_fields();
    cuda.take_trace();
    let windows_s = by_windows(&cuda, case)?;
    let sent = cuda.take_trace();
    let hidden = sent.kernels_s + sent.uploads_s - windows_s;
    let overlap = (hidden / sent.kernels_s.min(sent.uploads_s)).clamp(0.0, 1.0);
    whole(&cuda, case)?;
    cuda.take_trace();
    let mut all: Vec<f64> = (0..options.repeat).map(|_| whole(&cuda, case)).collect::<Result<_, _>>()?;
    all.sort_by(f64::total_cmp);
    let kernel_s = cuda.take_trace().kernels_s / options.repeat as f64;
    drop(cuda);
    let checked = open(Settings { check_fraction: Settings::default().check_fraction, ..settings })?;
    whole(&checked, case)?;
    let difference = checked.take_trace().largest_difference;
    let files_s = from_files(&checked, &options.files, case.species)?;
    let waypoints = case.fleet.waypoints() as f64;
    let bytes_a_waypoint = bytes_a_waypoint(case, precision);
    let peak = Peak::of(&machine.gpu);
    let arithmetic_s = (case.samples() * SINGLE / peak.single).max(case.samples() * DOUBLE / peak.double);
    Ok(Row {
        case: case.name(),
        precision: precision.name(),
        samples: case.samples(),
        waypoints,
        kernel_s,
        all_s: all[all.len() / 2],
        bytes_a_waypoint,
        bound_s: (bytes_a_waypoint * waypoints / machine.copy).max(arithmetic_s),
        overlap,
        files_s,
        cpu_s: cpu.memory_s,
        cpu_files_s: cpu.files_s,
        difference,
    })
}

fn paths(folder: &Path) -> [PathBuf; 3] {
    ["gpu-field.zarr", "gpu-flights.parquet", "gpu-results.parquet"].map(|name| folder.join(name))
}

fn names(species: usize) -> impl Iterator<Item = String> {
    (1..=species).map(|i| format!("c{i}"))
}

/// The field prepared and the flights as Parquet.
fn write_files(case: &Case, folder: &Path) -> Result<(), Failure> {
    let [field, flights, _] = paths(folder);
    if field.exists() {
        std::fs::remove_dir_all(&field)?;
    }
    let variable = |name| PreparedVariable {
        name,
        standard_name: None,
        long_name: None,
        units: Some("kg m-3".to_owned()),
        vertical: true,
        interpolation: ValueRule::Linear,
    };
    let longitudes_deg = case.grid.longitude.values().to_vec();
    let plane = case.grid.latitude.len() * longitudes_deg.len();
    let layout = PreparedLayout {
        variables: names(case.species).map(variable).collect(),
        times_s: case.times_s.clone(),
        levels: Levels::Pressure(case.levels_hpa().iter().map(|hpa| hpa * 100.0).collect()),
        latitudes_deg: case.grid.latitude.values().to_vec(),
        longitudes_deg,
        members: Vec::new(),
        attributes: Map::new(),
        band: band(case.grid.levels.len(), plane),
        compression: Compression::None,
        fingerprint: "gpu".to_owned(),
    };
    let writer = PreparedWriter::create(&field, layout, true)?;
    let chunks: Vec<_> = writer.missing().collect();
    let columns = case.grid.longitude.columns();
    chunks.par_iter().try_for_each(|&chunk| {
        let slab = &case.slabs[chunk.time];
        let rows = writer.levels(chunk).flat_map(|level| {
            let from = level * case.grid.latitude.len();
            from..from + case.grid.latitude.len()
        });
        let nodes = case.grid.longitude.len();
        let points = rows.flat_map(|row| (0..nodes).map(move |column| row * columns + column));
        let values: Vec<f32> = points.map(|point| slab.values()[point * slab.channels() + chunk.variable]).collect();
        writer.write(chunk, &values)
    })?;
    writer.finish()?;
    trajectory::write_parquet(&flights, &case.fleet)?;
    Ok(())
}

/// From those files to a Parquet file of results, as `skydose compute` does.
fn from_files(backend: &dyn Backend, folder: &Path, species: usize) -> Result<f64, Failure> {
    let [field, flights, results] = paths(folder);
    let started = now();
    let rule = |name: String| (name.clone(), VariableRule { contaminant: Some(name), ..VariableRule::default() });
    let file = DatasetFile { variables: names(species).map(rule).collect(), ..DatasetFile::default() };
    let dataset = Dataset::open(&[field], file)?;
    let limit = Limit::parse("0.2 mg m-3")?;
    let request = Request {
        thresholds: dataset.contaminants()?.iter().map(|a| (a.name.to_string(), vec![limit.clone()])).collect(),
        integration: Integration::Waypoints,
        ..Request::default()
    };
    let passes = request.passes(&dataset)?;
    let fleet = trajectory::read(&[flights], &ReadOptions::default())?.fleet;
    let indices: Vec<usize> = (0..fleet.len()).collect();
    let phases: Vec<_> =
        indices.par_iter().map(|&i| fleet.get(i).map_or_else(Vec::new, |f| phase::label(&f))).collect();
    let flights = Flights { fleet: &fleet, phases: &phases };
    let run = Run {
        dataset: &dataset,
        backend,
        vertical: VerticalRule::LinearP,
        field_bytes: usize::MAX,
        kept: None,
        progress: &|_| (),
    };
    let mut spent = Spent::default();
    let passed = run.run(&passes, &flights, &mut spent)?;
    for remark in spent.remarks {
        eprintln!("note: {remark}");
    }
    let answers = Answers::new(&passes, &flights, &passed, &[]);
    let mut writer = outcome::create(&results, OutputFormat::Parquet, Metadata::default())?;
    for chunk in indices.chunks(2048) {
        let rows: Vec<Vec<Exposure>> = chunk.par_iter().map(|&i| answers.of(i)).collect();
        writer.write(&rows.into_iter().flatten().collect::<Vec<_>>())?;
    }
    writer.finish()?;
    Ok(started.elapsed().as_secs_f64())
}
