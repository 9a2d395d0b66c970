//! The self-test: a small field and a few flights, computed by the device and
//! by the CPU.

use std::sync::Arc;

use super::{Cuda, session::compare};
use crate::{
    compute::{Backend as _, Window, cpu::Cpu, run::Flights, state::FlightState},
    exposure::program::{Integration, Lane, Program, Quantity, Threshold},
    field::slab::Slab,
    grid::{Axis, Grid, LevelAxis, LongitudeAxis},
    trajectory::{Fleet, phase, synthetic},
    units::Dimension,
};

/// Figures of a sound device are within this of the CPU's.
const TOLERANCE: f64 = 1e-5;
/// With values of 2 bytes.
const TOLERANCE_HALF: f64 = 1e-3;
const FLIGHTS: usize = 48;
const TIMES_S: [f64; 4] = [0.0, 10_800.0, 21_600.0, 43_200.0];
/// Two contaminants, temperature and humidity.
const CHANNELS: usize = 4;

/// Computes the self-test on all devices of `cuda`; the largest relative
/// difference of a dosage.
///
/// # Errors
/// What failed, or which figure differs.
pub(super) fn run(cuda: &Cuda) -> Result<f64, String> {
    let program = program();
    let grid = grid().map_err(|e| e.to_string())?;
    let slabs = (0..TIMES_S.len()).map(|time| slab(&grid, time)).collect::<Result<Vec<_>, _>>()?;
    let fleet = synthetic::fleet(FLIGHTS, 120.0, 7, 0.0, TIMES_S[TIMES_S.len() - 1]);
    let phases: Vec<_> = fleet.iter().map(|flight| phase::label(&flight)).collect();
    let flights = Flights { fleet: &fleet, phases: &phases };
    let walk = |session: Result<_, _>| -> Result<Vec<FlightState>, crate::compute::BackendFault> {
        let mut session: Box<dyn crate::compute::Session + '_> = session?;
        for first in 0..slabs.len() - 1 {
            let slabs = &slabs[first..first + 2];
            session.advance(&Window { grid: &grid, times_s: &TIMES_S, first, slabs })?;
        }
        session.finish()
    };
    let cpu = Cpu::new();
    let expected = walk(cpu.begin(&program, flights)).map_err(|fault| fault.to_string())?;
    let actual = walk(cuda.begin(&program, flights)).map_err(|fault| fault.to_string())?;
    let tolerance = match cuda.settings.precision {
        super::Precision::Float32 => TOLERANCE,
        super::Precision::Float16 => TOLERANCE_HALF,
    };
    let mut largest = 0.0_f64;
    for ((actual, expected), flight) in actual.iter().zip(&expected).zip(fleet.iter()) {
        let difference = compare(actual, expected, tolerance)
            .map_err(|what| format!("its figures are not those of the CPU: flight {}: {what}", flight.id))?;
        largest = largest.max(difference);
    }
    check_sampled(&fleet, &expected)?;
    Ok(largest)
}

/// A test in which nothing was sampled proves nothing.
fn check_sampled(fleet: &Fleet, states: &[FlightState]) -> Result<(), String> {
    let sampled = states.iter().filter(|s| s.flight().is_some_and(|t| t.sampled_s(0) > 0.0)).count();
    if 2 * sampled > fleet.len() { Ok(()) } else { Err(format!("{sampled} of {} flights were sampled", fleet.len())) }
}

fn program() -> Program {
    let lane = |name: &str, stored, threshold| Lane {
        contaminant: name.into(),
        stored,
        quantity: Quantity::Concentration,
        log: false,
        thresholds: vec![Threshold { label: "".into(), value: threshold }],
        dosage_limits: Vec::new(),
        rolling_window_s: None,
    };
    Program {
        lanes: vec![
            lane("mixing ratio", Dimension::MassMixingRatio, 2e-8),
            lane("concentration", Dimension::MassConcentration, 1.5e-7),
        ],
        temperature: Some(2),
        humidity: Some(3),
        integration: Integration::Path,
        engine_flow: None,
    }
}

/// A globe of 5°, with one latitude out of step.
fn grid() -> Result<Grid, crate::grid::axis::AxisError> {
    let latitude: Vec<f64> = (0..37).map(|i| -90.0 + 5.0 * f64::from(i) + f64::from(u8::from(i == 20))).collect();
    let pressure = [10_000.0, 15_000.0, 20_000.0, 25_000.0, 30_000.0, 40_000.0, 60_000.0, 85_000.0, 100_000.0];
    Ok(Grid {
        levels: LevelAxis::Levels { axis: Axis::new("level", pressure.to_vec())?, log: false },
        latitude: Axis::new("latitude", latitude)?,
        longitude: LongitudeAxis::new((0..72).map(|i| -180.0 + 5.0 * f64::from(i)).collect())?,
    })
}

/// Values that differ from corner to corner, the same on every machine; a few
/// are missing.
fn slab(grid: &Grid, time: usize) -> Result<Arc<Slab>, String> {
    let mut slab = Slab::zeroed(grid.points(), CHANNELS).map_err(|e| e.to_string())?;
    let (columns, nodes) = (grid.longitude.columns(), grid.longitude.len());
    for (point, values) in slab.values_mut().chunks_exact_mut(CHANNELS).enumerate() {
        // A column that stands twice has its values twice.
        let (row, column) = (point / columns, point % columns % nodes);
        let seed = (row * nodes + column) * 4 + time;
        let noise = |channel: usize| {
            let mixed = (seed * 8 + channel).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            #[expect(clippy::cast_possible_truncation, reason = "16 bits")]
            let bits = (mixed >> 48) as u16;
            f32::from(bits) / 65_536.0
        };
        values[0] = 1e-8 * (1.0 + noise(0));
        values[1] = if noise(4) < 0.002 { f32::NAN } else { 1e-7 * (1.0 + noise(1)) };
        values[2] = 210.0 + 60.0 * noise(2);
        values[3] = 0.01 * noise(3);
    }
    slab.set_has_missing(true);
    Ok(Arc::new(slab))
}
