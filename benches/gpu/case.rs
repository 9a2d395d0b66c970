//! A field and flights: what is computed.

use std::sync::Arc;

use rayon::prelude::*;
use skydose::{
    compute::Window,
    exposure::program::{Integration, Lane, Program, Quantity, Threshold},
    field::slab::{Slab, padded},
    grid::{Axis, Grid, LevelAxis, LongitudeAxis},
    trajectory::{Fleet, phase::Phase, synthetic},
    units::Dimension,
};

use crate::Failure;

/// The levels of the CAMS global products \[hPa\].
const HPA: [f64; 25] = [
    1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 70.0, 100.0, 150.0, 200.0, 250.0, 300.0, 400.0, 500.0, 600.0,
    700.0, 800.0, 850.0, 900.0, 925.0, 950.0, 1000.0,
];
pub const STEP_S: f64 = 10_800.0;

pub struct Case {
    pub step_deg: f64,
    pub species: usize,
    pub grid: Grid,
    pub times_s: Vec<f64>,
    pub slabs: Vec<Arc<Slab>>,
    pub fleet: Fleet,
    pub phases: Vec<Vec<Phase>>,
    pub program: Program,
}

impl Case {
    pub fn new(step_deg: f64, species: usize, flights: usize, levels: usize, times: usize) -> Result<Self, Failure> {
        if !(1..=HPA.len()).contains(&levels) || times < 2 {
            return Err("--levels is 1 to 25, --times 2 or more".into());
        }
        let nodes = |from: f64, count: f64| -> Vec<f64> {
            let numbers = std::iter::successors(Some(0.0), |i| Some(i + 1.0)).take_while(|i| *i < count);
            numbers.map(|i| from + i * step_deg).collect()
        };
        let grid = Grid {
            levels: LevelAxis::Levels {
                axis: Axis::new("level", HPA[HPA.len() - levels..].iter().map(|hpa| hpa * 100.0).collect())?,
                log: false,
            },
            latitude: Axis::new("latitude", nodes(-90.0, (180.0 / step_deg).round() + 1.0))?,
            longitude: LongitudeAxis::new(nodes(-180.0, (360.0 / step_deg).round()))?,
        };
        let channels = padded(species).ok_or("more than 16 species")?;
        let slabs = (0..times).map(|time| slab(&grid, channels, time)).collect::<Result<_, _>>()?;
        let times_s: Vec<f64> = (0..times).map(|t| t as f64 * STEP_S).collect();
        let fleet = synthetic::fleet(flights, 60.0, 1, 0.0, times_s[times - 1]);
        let phases = fleet.iter().map(|f| vec![Phase::Cruise; f.len()]).collect();
        Ok(Self { step_deg, species, grid, times_s, slabs, fleet, phases, program: program(species) })
    }

    pub fn name(&self) -> String {
        format!("{}°, {} species, {} flights", self.step_deg, self.species, self.fleet.len())
    }

    pub fn window(&self) -> Window<'_> {
        Window { grid: &self.grid, times_s: &self.times_s, first: 0, slabs: &self.slabs }
    }

    pub fn samples(&self) -> f64 {
        (self.fleet.waypoints() * self.species) as f64
    }

    /// Levels \[hPa\].
    pub fn levels_hpa(&self) -> &'static [f64] {
        &HPA[HPA.len() - self.grid.levels.len()..]
    }
}

fn slab(grid: &Grid, channels: usize, time: usize) -> Result<Arc<Slab>, Failure> {
    let mut slab = Slab::zeroed(grid.points(), channels)?;
    let row = grid.longitude.columns() * channels;
    slab.values_mut().par_chunks_mut(row).enumerate().for_each(|(y, values)| {
        for (x, value) in values.iter_mut().enumerate() {
            *value = 1e-7 * (1.3 + (x as f32 * 0.01 + y as f32 * 0.03 + time as f32).sin());
        }
    });
    Ok(Arc::new(slab))
}

fn program(species: usize) -> Program {
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
        lanes: (0..species).map(lane).collect(),
        temperature: None,
        humidity: None,
        integration: Integration::Waypoints,
        engine_flow: None,
    }
}
