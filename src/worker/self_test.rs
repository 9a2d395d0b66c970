//! Whether the backend computes: a field and flights whose figures are known
//! beforehand, before the first job is taken.

use std::sync::Arc;

use crate::{
    compute::{Backend, Window, run::Flights, state::FlightState},
    exposure::program::{Integration, Lane, Program, Quantity, Threshold},
    field::slab::{Slab, padded},
    grid::{Axis, Grid, LevelAxis, LongitudeAxis},
    trajectory::{Fleet, Waypoint, phase},
    units::{Dimension, Pressure},
};

/// Concentration at the equator \[kg m⁻³\]; it rises with each degree north
/// by as much again.
const AT_EQUATOR: f64 = 1e-6;
/// From the true figure, which single precision does not hold exactly.
const TOLERANCE: f64 = 1e-5;
/// The same with fields in half precision.
const TOLERANCE_FLOAT16: f64 = 1e-3;
/// Length of the flight \[s\].
const LONG_S: f64 = 600.0;

/// Flies north at a steady pace through a field that rises steadily: the
/// dosage is the mean of both ends over the time, and the limit in the middle
/// is passed for half of it.
///
/// # Errors
/// Says which figure is wrong, what it is and what was expected.
pub fn run(backend: &dyn Backend) -> Result<(), String> {
    let state = computed(backend).map_err(|what| format!("{}: self-test: {what}", backend.name()))?;
    let totals = state.flight().ok_or_else(|| format!("{}: self-test: no figures", backend.name()))?;
    let tolerance = if backend.description().precision == "float16" { TOLERANCE_FLOAT16 } else { TOLERANCE };
    let figures = [
        ("dosage", totals.dosage()[0], 1.5 * AT_EQUATOR * LONG_S),
        ("peak", totals.peak()[0], 2.0 * AT_EQUATOR),
        ("time above", totals.above_s(&program(), 0)[0], LONG_S / 2.0),
        ("time sampled", totals.sampled_s(0), LONG_S),
    ];
    for (name, figure, expected) in figures {
        let error = (figure - expected).abs() / expected;
        // Neither is what is no number.
        if error > tolerance || error.is_nan() {
            return Err(format!("{}: self-test: the {name} is {figure}, expected {expected}", backend.name()));
        }
    }
    Ok(())
}

fn computed(backend: &dyn Backend) -> Result<FlightState, String> {
    let (grid, program, fleet) = (grid()?, program(), fleet()?);
    let phases: Vec<_> = fleet.iter().map(|flight| phase::label(&flight)).collect();
    let slabs = [slab(&grid)?, slab(&grid)?];
    let mut session =
        backend.begin(&program, Flights { fleet: &fleet, phases: &phases }).map_err(|fault| fault.to_string())?;
    let window = Window { grid: &grid, times_s: &[0.0, 2.0 * LONG_S], first: 0, slabs: &slabs };
    session.advance(&window).map_err(|fault| fault.to_string())?;
    let states = session.finish().map_err(|fault| fault.to_string())?;
    states.into_iter().next().ok_or_else(|| "no flight came back".to_owned())
}

fn grid() -> Result<Grid, String> {
    let axis = |name, values: &[f64]| Axis::new(name, values.to_vec()).map_err(|e| e.to_string());
    Ok(Grid {
        levels: LevelAxis::Levels { axis: axis("level", &[20_000.0, 30_000.0])?, log: false },
        latitude: axis("latitude", &[-1.0, 0.0, 1.0, 2.0])?,
        longitude: LongitudeAxis::new((0..4).map(f64::from).collect()).map_err(|e| e.to_string())?,
    })
}

fn program() -> Program {
    let middle = Threshold { label: "the middle".into(), value: 1.5 * AT_EQUATOR };
    let lane = Lane {
        contaminant: "test".into(),
        stored: Dimension::MassConcentration,
        quantity: Quantity::Concentration,
        log: false,
        thresholds: vec![middle],
        dosage_limits: Vec::new(),
        rolling_window_s: None,
    };
    Program { lanes: vec![lane], temperature: None, humidity: None, integration: Integration::Path, engine_flow: None }
}

fn slab(grid: &Grid) -> Result<Arc<Slab>, String> {
    let width = padded(1).unwrap_or(1);
    let mut slab = Slab::zeroed(grid.points(), width).map_err(|e| e.to_string())?;
    let columns = grid.longitude.columns();
    let latitudes = grid.latitude.values().to_vec();
    for (point, values) in slab.values_mut().chunks_exact_mut(width).enumerate() {
        let latitude_deg = latitudes[point / columns % latitudes.len()];
        #[expect(clippy::cast_possible_truncation, reason = "a field is single precision")]
        let value = (AT_EQUATOR * (1.0 + latitude_deg)) as f32;
        values[0] = value;
    }
    Ok(Arc::new(slab))
}

fn fleet() -> Result<Fleet, String> {
    let waypoint = |part: f64| Waypoint {
        time_s: part * LONG_S,
        longitude_deg: 1.5,
        latitude_deg: part,
        pressure: Pressure::from_pascal(25_000.0),
        on_ground: false,
    };
    let mut fleet = Fleet::new();
    fleet.push("test", &[waypoint(0.0), waypoint(0.5), waypoint(1.0)]).map_err(|e| e.to_string())?;
    Ok(fleet)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compute::{BackendFault, Description, Health, Session, cpu::Cpu};

    #[test]
    fn the_definition_of_right_passes() {
        run(&Cpu::new()).unwrap();
    }

    /// Computes with a field that is a thousandth too large.
    struct Off(Cpu);

    struct OffSession<'a>(Box<dyn Session + 'a>);

    impl Backend for Off {
        fn description(&self) -> Description {
            self.0.description()
        }

        fn name(&self) -> String {
            "off".into()
        }

        fn begin<'a>(
            &'a self,
            program: &'a Program,
            flights: Flights<'a>,
        ) -> Result<Box<dyn Session + 'a>, BackendFault> {
            Ok(Box::new(OffSession(self.0.begin(program, flights)?)))
        }

        fn health(&self) -> Health {
            Health::Well
        }
    }

    impl Session for OffSession<'_> {
        fn advance(&mut self, window: &Window<'_>) -> Result<(), BackendFault> {
            let more = |slab: &Arc<Slab>| {
                let mut larger = Slab::zeroed(slab.values().len() / slab.channels(), slab.channels()).unwrap();
                let values = larger.values_mut().iter_mut().zip(slab.values());
                values.for_each(|(more, value)| *more = value * 1.001);
                Arc::new(larger)
            };
            let slabs: Vec<_> = window.slabs.iter().map(more).collect();
            self.0.advance(&Window { slabs: &slabs, ..*window })
        }

        fn finish(self: Box<Self>) -> Result<Vec<FlightState>, BackendFault> {
            self.0.finish()
        }
    }

    #[test]
    fn a_backend_that_is_a_little_off_does_not() {
        let fault = run(&Off(Cpu::new())).unwrap_err();
        assert!(fault.starts_with("off: self-test: the dosage is 0.00090"), "{fault}");
    }
}
