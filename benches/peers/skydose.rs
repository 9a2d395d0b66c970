//! skydose's side of the comparison with its peers.
//!
//! `inputs --flights N --out DIR [--step DEGREES] [--species N]` writes
//! `DIR/raw.zarr`, a field of eight species at 0.75°, and
//! `DIR/flights.parquet`.
//!
//! `memory --field F --dataset D --flights P --threads N --repeat K --out R`
//! times the peers' task with everything in memory: interpolation at the
//! waypoints, dosage, peak and time above one threshold, for each flight. Its
//! last line is `{"seconds": [...]}`; R holds the figures as `compute` writes
//! them.
//!
//! `bound --field F --dataset D --flights P --threads N --repeat K` times what
//! no way of interpolating goes below: reading, at random places, as many cache
//! lines as the flights meet anew from waypoint to waypoint, from as much
//! memory as the field takes. Its last line is `{"seconds": [...]}`.
//!
//! `read --field F --dataset D --threads N --repeat K` times the reading of
//! all times of F into the form that is computed from; its last line is
//! `{"seconds": [...], "bytes": B}`, with the bytes of float32 in F.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Instant};

use rayon::prelude::*;
use serde_json::Map;
use skydose::{
    compute::{
        Batch,
        answer::Answers,
        cpu::Cpu,
        run::{Flights, Passed, whole_window},
        state::FlightState,
    },
    exposure::{
        program::Integration,
        request::{Limit, Request},
    },
    field::{
        Levels,
        dataset::{Dataset, DatasetFile, Field, ValueRule},
        slab::{Slab, padded},
        zarr::{
            prepared::{Compression, PreparedLayout, PreparedVariable, band},
            writer::PreparedWriter,
        },
    },
    grid::{Axis, VerticalRule},
    job::outcome::{self, Metadata, OutputFormat},
    trajectory::{self, ReadOptions, Trajectory, phase::Phase, synthetic},
};

const HPA: [f64; 25] = [
    1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 600.0,
    700.0, 800.0, 850.0, 900.0, 925.0, 950.0, 1000.0,
];
/// 2024-06-01T00:00:00Z
const START_S: f64 = 1_717_200_000.0;
const TIMES: usize = 9;
const STEP_S: f64 = 10_800.0;
/// 0.2 mg m-3, the lowest of the limits that ICAO names for ash.
const THRESHOLD: &str = "0.2 mg m-3";

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let what = words.next();
    let mut options = BTreeMap::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        options.insert(name, value);
    }
    let option = |name: &str| options.get(name).cloned().ok_or_else(|| format!("{name} is missing"));
    match what.as_deref() {
        Some("inputs") => {
            let step_deg = options.get("--step").map_or("0.75", String::as_str).parse()?;
            let species = options.get("--species").map_or("8", String::as_str).parse()?;
            inputs(option("--flights")?.parse()?, step_deg, species, &option("--out")?.into())
        }
        Some("memory") => {
            let paths = [option("--field")?, option("--dataset")?, option("--flights")?, option("--out")?];
            memory(&paths.map(PathBuf::from), option("--threads")?.parse()?, option("--repeat")?.parse()?)
        }
        Some("bound") => {
            let paths = [option("--field")?, option("--dataset")?, option("--flights")?];
            bound(&paths.map(PathBuf::from), option("--threads")?.parse()?, option("--repeat")?.parse()?)
        }
        Some("read") => {
            let paths = [option("--field")?, option("--dataset")?];
            read(&paths.map(PathBuf::from), option("--threads")?.parse()?, option("--repeat")?.parse()?)
        }
        // `cargo bench` runs every bench without arguments.
        None => {
            println!("nothing to measure alone: see benches/peers/run");
            Ok(())
        }
        Some(other) => Err(format!("{other:?} is none of inputs, memory, bound and read").into()),
    }
}

/// Writes the field and the flights.
fn inputs(flights: usize, step_deg: f64, species: usize, out: &PathBuf) -> Result<(), Failure> {
    std::fs::create_dir_all(out)?;
    let nodes = |from: f64, turn: f64| {
        let axis = std::iter::successors(Some(0.0), |i| Some(i + 1.0)).map(|i: f64| i * step_deg);
        axis.take_while(|x| *x < turn - 1e-9).map(|x| from + x).collect::<Vec<f64>>()
    };
    let latitudes_deg = nodes(-90.0, 180.0 + step_deg);
    let longitudes_deg = nodes(0.0, 360.0);
    let plane = latitudes_deg.len() * longitudes_deg.len();
    let layout = PreparedLayout {
        variables: (1..=species)
            .map(|i| PreparedVariable {
                name: format!("c{i}"),
                standard_name: None,
                long_name: Some(format!("species {i}")),
                units: Some("kg m-3".to_owned()),
                vertical: true,
                interpolation: ValueRule::Linear,
            })
            .collect(),
        times_s: (0..TIMES).map(|t| START_S + t as f64 * STEP_S).collect(),
        levels: Levels::Pressure(HPA.iter().map(|hpa| hpa * 100.0).collect()),
        latitudes_deg: latitudes_deg.clone(),
        longitudes_deg: longitudes_deg.clone(),
        members: Vec::new(),
        attributes: Map::new(),
        band: band(HPA.len(), plane),
        compression: Compression::None,
        fingerprint: "peers".to_owned(),
    };
    let writer = PreparedWriter::create(&out.join("raw.zarr"), layout, true)?;
    let chunks: Vec<_> = writer.missing().collect();
    chunks.par_iter().try_for_each(|&chunk| {
        let mut values = Vec::new();
        for level in writer.levels(chunk) {
            for &latitude in &latitudes_deg {
                for &longitude in &longitudes_deg {
                    values.push(concentration(chunk.variable, chunk.time, HPA[level], latitude, longitude));
                }
            }
        }
        writer.write(chunk, &values)
    })?;
    writer.finish()?;
    let seconds = (TIMES - 1) as f64 * STEP_S;
    let fleet = synthetic::fleet(flights, 60.0, 1, START_S, seconds);
    trajectory::write_parquet(&out.join("flights.parquet"), &fleet)?;
    println!("{flights} flights, {} waypoints", fleet.waypoints());
    Ok(())
}

/// Positive, smooth, and above the threshold in a few places.
#[expect(clippy::cast_possible_truncation, reason = "fields are single precision")]
fn concentration(species: usize, time: usize, hpa: f64, latitude: f64, longitude: f64) -> f32 {
    let (s, t) = (species as f64, time as f64);
    let (lat, lon) = (latitude.to_radians(), longitude.to_radians());
    let wave = (3.0 * lon + 0.7 * s + 0.2 * t).sin() * (5.0 * lat + 0.3 * s).cos()
        + (7.0 * lon - 0.4 * t + s).cos() * lat.cos();
    (1.2e-7 * (1.3 + 0.6 * wave) * (hpa / 500.0).powf(0.4) * (1.0 + 0.05 * s)) as f32
}

fn memory([field, dataset, flights, out]: &[PathBuf; 4], threads: usize, repeat: usize) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let dataset = Dataset::open(std::slice::from_ref(field), DatasetFile::read(dataset)?)?;
    let loaded = trajectory::read(std::slice::from_ref(flights), &ReadOptions::default())?;
    let limit = Limit::parse(THRESHOLD)?;
    let request = Request {
        thresholds: dataset.contaminants()?.iter().map(|a| (a.name.to_string(), vec![limit.clone()])).collect(),
        integration: Integration::Waypoints,
        ..Request::default()
    };
    let passes = request.passes(&dataset)?;
    let [pass] = passes.as_slice() else { return Err("more than one pass".into()) };
    let field = dataset.field(&pass.channels, VerticalRule::LinearP, None)?;
    let slabs = (0..field.times_s.len()).map(|t| field.load(t, 0).map(Arc::new)).collect::<Result<Vec<_>, _>>()?;
    let window = whole_window(&field, &slabs);
    // Phases are no part of the peers' task.
    let phases: Vec<Vec<Phase>> = loaded.fleet.iter().map(|f| vec![Phase::Cruise; f.len()]).collect();
    let backend = Cpu::new();
    let mut seconds = Vec::new();
    let mut states = Vec::new();
    for _ in 0..repeat {
        let started = now();
        states = loaded.fleet.iter().map(|_| FlightState::new(&pass.program)).collect();
        let mut batch = Batch { fleet: &loaded.fleet, phases: &phases, states: &mut states };
        backend.advance(&pass.program, &window, &mut batch);
        seconds.push(started.elapsed().as_secs_f64());
    }
    let flights = Flights { fleet: &loaded.fleet, phases: &phases };
    let passed = [Passed { member: 0, pass: 0, states }];
    let answers = Answers::new(&passes, &flights, &passed, &[]);
    let mut writer = outcome::create(out, OutputFormat::Parquet, Metadata::default())?;
    for i in 0..loaded.fleet.len() {
        writer.write(&answers.of(i))?;
    }
    writer.finish()?;
    println!("{}", serde_json::json!({ "seconds": seconds }));
    Ok(())
}

/// Bytes of a cache line.
const LINE: usize = 64;

/// Reads as many cache lines as the flights need, at random.
fn bound([field, dataset, flights]: &[PathBuf; 3], threads: usize, repeat: usize) -> Result<(), Failure> {
    let dataset = Dataset::open(std::slice::from_ref(field), DatasetFile::read(dataset)?)?;
    let passes = Request { integration: Integration::Waypoints, ..Request::default() }.passes(&dataset)?;
    let [pass] = passes.as_slice() else { return Err("more than one pass".into()) };
    let field = dataset.field(&pass.channels, VerticalRule::LinearP, None)?;
    let fleet = trajectory::read(std::slice::from_ref(flights), &ReadOptions::default())?.fleet;
    let lines: usize = fleet.iter().map(|flight| new_lines(&field, &flight)).sum();

    let mut memory =
        Slab::zeroed(field.grid.points() * field.times_s.len(), padded(pass.channels.len()).ok_or("wide")?)?;
    memory.values_mut().fill(1.0);
    let values = memory.values();
    let places = u32::try_from(values.len() / (LINE / 4))?;
    let mut random = fastrand::Rng::with_seed(1);
    let chosen: Vec<u32> = (0..lines).map(|_| random.u32(0..places)).collect();
    let mut seconds = Vec::new();
    for _ in 0..repeat {
        let started = now();
        std::thread::scope(|scope| {
            for part in chosen.chunks(lines.div_ceil(threads)) {
                // Independent loads: as many are on their way as the core takes.
                let read = || part.iter().map(|&line| values[line as usize * (LINE / 4)]).sum::<f32>();
                scope.spawn(move || std::hint::black_box(read()));
            }
        });
        seconds.push(started.elapsed().as_secs_f64());
    }
    let per_waypoint = lines as f64 / fleet.waypoints() as f64;
    println!("{}", serde_json::json!({ "seconds": seconds, "lines_per_waypoint": per_waypoint }));
    Ok(())
}

/// Cache lines of a flight's cells that its waypoint before did not touch.
fn new_lines(field: &Field<'_>, flight: &Trajectory<'_>) -> usize {
    let grid = &field.grid;
    let width = padded(field.channels.len()).unwrap_or(1);
    let (row, plane) = (grid.longitude.columns(), grid.longitude.columns() * grid.latitude.len());
    let times = Axis::new("time", field.times_s.clone()).expect("ascending");
    let (mut before, mut count) = (Vec::new(), 0);
    for i in 0..flight.len() {
        let level = grid.levels.locate_from(flight.pressure_pa[i], f64::NAN, &mut 0);
        let column = grid.longitude.column_from(flight.longitude_deg[i], &mut 0);
        let (time, latitude) = (times.locate(flight.time_s[i]), grid.latitude.locate(flight.latitude_deg[i]));
        let (Some(time), Some(level), Some(latitude), Some(column)) = (time, level, latitude, column) else { continue };
        let lowest = level.index * plane + latitude.index * row + column.index;
        let mut touched = Vec::new();
        for slab in [time.index, time.index + 1] {
            for point in [lowest, lowest + row, lowest + plane, lowest + plane + row] {
                let (first, last) = (point * width * 4 / LINE, ((point + 2) * width * 4 - 1) / LINE);
                touched.extend((first..=last).map(|line| (slab, line)));
            }
        }
        count += touched.iter().filter(|line| !before.contains(*line)).count();
        before = touched;
    }
    count
}

/// Reads all times, again and again.
fn read([field, dataset]: &[PathBuf; 2], threads: usize, repeat: usize) -> Result<(), Failure> {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;
    let dataset = Dataset::open(std::slice::from_ref(field), DatasetFile::read(dataset)?)?;
    let passes = Request { integration: Integration::Waypoints, ..Request::default() }.passes(&dataset)?;
    let [pass] = passes.as_slice() else { return Err("more than one pass".into()) };
    let field = dataset.field(&pass.channels, VerticalRule::LinearP, None)?;
    // On one of the pool's threads, so that there are no more than asked for.
    let load = |time: usize| rayon::join(|| field.load(time, 0), || ()).0;
    let mut seconds = Vec::new();
    for _ in 0..repeat {
        let started = now();
        for time in 0..field.times_s.len() {
            drop(std::hint::black_box(load(time)?));
        }
        seconds.push(started.elapsed().as_secs_f64());
    }
    // A global field's repeated first meridian is no part of the file.
    let grid = &field.grid;
    let points = grid.levels.len() * grid.latitude.len() * grid.longitude.len();
    let bytes = points * pass.channels.len() * field.times_s.len() * size_of::<f32>();
    println!("{}", serde_json::json!({ "seconds": seconds, "bytes": bytes }));
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is what a bench is for")]
fn now() -> Instant {
    Instant::now()
}
