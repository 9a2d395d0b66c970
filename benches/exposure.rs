//! The engine alone, field and flights in memory: samples a second.

use std::{hint::black_box, sync::Arc};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use skydose::{
    compute::{Batch, Window, cpu::Cpu, state::FlightState},
    exposure::program::{Integration, Lane, Program, Quantity, Threshold},
    field::slab::{Slab, padded},
    grid::{Axis, Grid, LevelAxis, LongitudeAxis},
    trajectory::{phase::Phase, synthetic},
    units::Dimension,
};

const HPA: [f64; 25] = [
    1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 600.0,
    700.0, 800.0, 850.0, 900.0, 925.0, 950.0, 1000.0,
];
const TIMES: usize = 9;
const STEP_S: f64 = 10_800.0;

struct Case {
    name: &'static str,
    step_deg: f64,
    species: usize,
    integration: Integration,
}

const CASES: [Case; 4] = [
    Case { name: "8 species, 0.75°, waypoints", step_deg: 0.75, species: 8, integration: Integration::Waypoints },
    Case { name: "8 species, 0.75°, path", step_deg: 0.75, species: 8, integration: Integration::Path },
    Case { name: "4 species, 0.75°, waypoints", step_deg: 0.75, species: 4, integration: Integration::Waypoints },
    Case { name: "1 species, 0.4°, waypoints", step_deg: 0.4, species: 1, integration: Integration::Waypoints },
];

fn grid(step_deg: f64) -> Grid {
    let nodes = |from: f64, count: f64| {
        let mut values = Vec::new();
        let mut i = 0.0;
        while i < count {
            values.push(from + i * step_deg);
            i += 1.0;
        }
        values
    };
    Grid {
        levels: LevelAxis::Levels {
            axis: Axis::new("level", HPA.iter().map(|hpa| hpa * 100.0).collect()).expect("ascending"),
            log: false,
        },
        latitude: Axis::new("latitude", nodes(-90.0, (180.0 / step_deg).round() + 1.0)).expect("ascending"),
        longitude: LongitudeAxis::new(nodes(-180.0, (360.0 / step_deg).round())).expect("ascending"),
    }
}

fn slab(grid: &Grid, channels: usize, time: usize) -> Slab {
    let mut slab = Slab::zeroed(grid.points(), channels).expect("memory");
    let row = grid.longitude.columns() * channels;
    for (i, value) in slab.values_mut().iter_mut().enumerate() {
        let (x, y) = ((i % row) as f32, (i / row) as f32);
        *value = 1e-7 * (1.3 + (x * 0.01 + y * 0.03 + time as f32).sin());
    }
    slab
}

fn program(case: &Case) -> Program {
    let lane = |i: usize| Lane {
        contaminant: format!("c{i}").into(),
        stored: Dimension::MassConcentration,
        quantity: Quantity::Concentration,
        log: false,
        thresholds: vec![Threshold { label: "0.2 mg m-3".into(), value: 2e-7 }],
        dosage_limits: Vec::new(),
        rolling_window_s: None,
    };
    Program {
        lanes: (0..case.species).map(lane).collect(),
        temperature: None,
        humidity: None,
        integration: case.integration,
        engine_flow: None,
    }
}

fn exposure(c: &mut Criterion) {
    let seconds = (TIMES - 1) as f64 * STEP_S;
    let fleet = synthetic::fleet(2_000, 60.0, 1, 0.0, seconds);
    let phases: Vec<Vec<Phase>> = fleet.iter().map(|f| vec![Phase::Cruise; f.len()]).collect();
    let times_s: Vec<f64> = (0..TIMES).map(|t| t as f64 * STEP_S).collect();
    let mut group = c.benchmark_group("exposure/cpu");
    group.sample_size(20);
    for case in &CASES {
        let grid = grid(case.step_deg);
        let width = padded(case.species).expect("a width");
        let slabs: Vec<Arc<Slab>> = (0..TIMES).map(|t| Arc::new(slab(&grid, width, t))).collect();
        let window = Window { grid: &grid, times_s: &times_s, first: 0, slabs: &slabs };
        let program = program(case);
        group.throughput(Throughput::Elements((fleet.waypoints() * case.species) as u64));
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
            group.bench_function(format!("{}, {threads} threads", case.name), |b| {
                b.iter(|| {
                    let mut states: Vec<_> = fleet.iter().map(|_| FlightState::new(&program)).collect();
                    let mut batch = Batch { fleet: &fleet, phases: &phases, states: &mut states };
                    pool.install(|| Cpu::new().advance(&program, &window, &mut batch));
                    black_box(states);
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, exposure);
criterion_main!(benches);
