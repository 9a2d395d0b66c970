//! Tests that need to choose the instruction set.

use std::sync::Arc;

use super::{Cpu, kernel::Instructions};
use crate::{
    compute::{Batch, Window, state::FlightState},
    exposure::program::{Integration, Lane, Program, Quantity, Threshold},
    field::slab::{Slab, padded},
    grid::{Axis, Grid, LevelAxis, LongitudeAxis},
    trajectory::{Fleet, Waypoint, phase},
    units::{Dimension, Pressure},
};

fn random(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) as f64 / 2_147_483_648.0
}

fn grid() -> Grid {
    let axis = |name, values: &[f64]| Axis::new(name, values.to_vec()).unwrap();
    Grid {
        levels: LevelAxis::Levels { axis: axis("level", &[20_000.0, 30_000.0, 45_000.0]), log: false },
        latitude: axis("latitude", &[0.0, 1.0, 2.5, 3.0]),
        longitude: LongitudeAxis::new((0..6).map(f64::from).collect()).unwrap(),
    }
}

/// Lanes without and with density, some values missing.
fn program(lanes: usize, with_density: bool) -> Program {
    let stored = if with_density { Dimension::MassMixingRatio } else { Dimension::MassConcentration };
    let lane = |i: usize| Lane {
        contaminant: i.to_string().into(),
        stored,
        quantity: Quantity::Concentration,
        log: false,
        thresholds: vec![Threshold { label: "0.5".into(), value: 0.5 }],
        dosage_limits: Vec::new(),
        rolling_window_s: Some(300.0),
    };
    Program {
        lanes: (0..lanes).map(lane).collect(),
        temperature: with_density.then_some(lanes),
        humidity: with_density.then_some(lanes + 1),
        integration: Integration::Path,
        engine_flow: None,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a field is single precision")]
fn slab(program: &Program, points: usize, seed: &mut u64) -> Arc<Slab> {
    let channels = program.channels();
    let width = padded(channels).unwrap();
    let mut slab = Slab::zeroed(points, width).unwrap();
    for point in slab.values_mut().chunks_exact_mut(width) {
        for (channel, value) in point[..channels].iter_mut().enumerate() {
            let is_lane = channel < program.lanes.len();
            *value = if is_lane && random(seed) < 0.02 { f32::NAN } else { (0.1 + random(seed)) as f32 };
        }
    }
    slab.set_has_missing(true);
    Arc::new(slab)
}

fn fleet(seed: &mut u64) -> Fleet {
    let mut fleet = Fleet::new();
    for flight in 0..3 {
        let waypoint = |i: i32| Waypoint {
            time_s: 60.0 * f64::from(i),
            longitude_deg: 0.1 * f64::from(i) + random(seed),
            latitude_deg: 3.0 * random(seed),
            pressure: Pressure::from_pascal(20_000.0 + 25_000.0 * random(seed)),
            on_ground: false,
        };
        fleet.push(flight.to_string(), &(0..40).map(waypoint).collect::<Vec<_>>()).unwrap();
    }
    fleet
}

#[test]
fn every_instruction_set_gives_the_same_bytes() {
    let (grid, mut seed) = (grid(), 1);
    let fleet = fleet(&mut seed);
    let phases: Vec<_> = fleet.iter().map(|flight| phase::label(&flight)).collect();
    for (lanes, with_density) in [(1, false), (2, false), (3, true), (8, false), (6, true), (14, true), (16, false)] {
        let program = program(lanes, with_density);
        let slabs: Vec<_> = (0..3).map(|_| slab(&program, grid.points(), &mut seed)).collect();
        let figures = |instructions| {
            let mut states: Vec<FlightState> = fleet.iter().map(|_| FlightState::new(&program)).collect();
            let window = Window { grid: &grid, times_s: &[0.0, 1_000.0, 3_000.0], first: 0, slabs: &slabs };
            let mut batch = Batch { fleet: &fleet, phases: &phases, states: &mut states };
            Cpu { instructions }.advance(&program, &window, &mut batch);
            format!("{states:?}")
        };
        assert_eq!(figures(Instructions::Portable), figures(Instructions::detect()), "{lanes} lanes");
    }
}
