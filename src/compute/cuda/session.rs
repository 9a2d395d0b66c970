//! Flights on their way through the devices: a share each, and beside them on
//! the CPU those that a device cannot take and a few that check it.

use rayon::prelude::*;

use super::{
    Cuda,
    columns::MOST_WAYPOINTS,
    gpu::{Fault, Gpu},
    program::Precision,
    share::Share,
    waypoints::Clock,
};
use crate::{
    compute::{
        BackendFault, Batch, Session, Window,
        cpu::Cpu,
        run::Flights,
        state::{FlightState, Totals},
    },
    exposure::program::Program,
    trajectory::{Fleet, phase::Phase},
};

/// Figures of one device for a flight within this of the CPU's are right:
/// twice what is promised, so that rounding alone never quarantines a device.
const TOLERANCE_FLOAT32: f64 = 2e-5;
/// With values of 2 bytes.
const TOLERANCE_FLOAT16: f64 = 2e-3;

/// Flights on the devices of a backend.
pub(super) struct CudaSession<'a> {
    program: &'a Program,
    precision: Precision,
    flights: usize,
    shares: Vec<Share<'a>>,
    /// Computed on the CPU alone.
    apart: Aside,
    /// Computed on both.
    checks: Aside,
}

/// Flights of a fleet that the CPU computes.
struct Aside {
    /// Their places in the fleet.
    chosen: Vec<usize>,
    fleet: Fleet,
    phases: Vec<Vec<Phase>>,
    states: Vec<FlightState>,
}

impl Aside {
    fn new(program: &Program, flights: Flights<'_>, chosen: Vec<usize>) -> Self {
        Self {
            fleet: flights.fleet.select(&chosen),
            phases: chosen.iter().map(|&i| flights.phases[i].clone()).collect(),
            states: chosen.iter().map(|_| FlightState::new(program)).collect(),
            chosen,
        }
    }

    fn advance(&mut self, program: &Program, window: &Window<'_>) {
        if !self.chosen.is_empty() {
            let mut batch = Batch { fleet: &self.fleet, phases: &self.phases, states: &mut self.states };
            Cpu::new().advance(program, window, &mut batch);
        }
    }
}

impl<'a> CudaSession<'a> {
    pub(super) fn begin(cuda: &'a Cuda, program: &'a Program, flights: Flights<'a>) -> Result<Self, BackendFault> {
        let precision = cuda.settings.precision.of(program);
        let clock = |i: usize| {
            let flight = flights.fleet.get(i)?;
            (flight.len() <= MOST_WAYPOINTS).then(|| Clock::of(flight.time_s)).flatten()
        };
        let clocks: Vec<Option<Clock>> = (0..flights.fleet.len()).into_par_iter().map(clock).collect();
        let apart = (0..clocks.len()).filter(|&i| clocks[i].is_none()).collect();
        let chosen: Vec<(usize, Clock)> = clocks.iter().enumerate().filter_map(|(i, c)| Some((i, (*c)?))).collect();
        let checks = checked(&chosen, cuda.settings.check_fraction);
        let gpus = cuda.usable()?;
        let mut shares = Vec::new();
        for (gpu, chosen) in gpus.iter().zip(divide(flights.fleet, chosen, gpus.len())) {
            if !chosen.is_empty() {
                let share = Share::begin(gpu, program, flights, &chosen, precision);
                shares.push(share.map_err(|fault| told(gpu, &fault))?);
            }
        }
        Ok(Self {
            program,
            precision,
            flights: clocks.len(),
            shares,
            apart: Aside::new(program, flights, apart),
            checks: Aside::new(program, flights, checks),
        })
    }

    /// The first flight whose figures differ from those of the CPU loses its
    /// device.
    fn check(&self, states: &[FlightState]) -> Result<(), BackendFault> {
        let tolerance = match self.precision {
            Precision::Float32 => TOLERANCE_FLOAT32,
            Precision::Float16 => TOLERANCE_FLOAT16,
        };
        for ((&index, expected), flight) in
            self.checks.chosen.iter().zip(&self.checks.states).zip(self.checks.fleet.iter())
        {
            let Some(share) = self.shares.iter().find(|share| share.chosen.binary_search(&index).is_ok()) else {
                continue;
            };
            let compared = compare(&states[index], expected, tolerance);
            match compared {
                Ok(difference) => share.gpu.add(|trace| {
                    trace.checked += 1;
                    trace.largest_difference = trace.largest_difference.max(difference);
                }),
                Err(what) => {
                    let why = format!("flight {:?} is not what the CPU computes: {what}", flight.id);
                    share.gpu.device.lose(why.clone());
                    return Err(told(&share.gpu, &Fault::Other(why)));
                }
            }
        }
        Ok(())
    }
}

impl Session for CudaSession<'_> {
    fn advance(&mut self, window: &Window<'_>) -> Result<(), BackendFault> {
        self.shares
            .par_iter_mut()
            .try_for_each(|share| share.advance(window).map_err(|fault| told(&share.gpu, &fault)))?;
        self.apart.advance(self.program, window);
        self.checks.advance(self.program, window);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<FlightState>, BackendFault> {
        let mut states = vec![FlightState::default(); self.flights];
        for share in &mut self.shares {
            let found = share.finish().map_err(|fault| told(&share.gpu, &fault))?;
            for (&index, state) in share.chosen.iter().zip(found) {
                states[index] = state;
            }
        }
        self.check(&states)?;
        for (&index, state) in self.apart.chosen.iter().zip(std::mem::take(&mut self.apart.states)) {
            states[index] = state;
        }
        Ok(states)
    }
}

/// Names the device.
pub(super) fn told(gpu: &Gpu, fault: &Fault) -> BackendFault {
    BackendFault {
        device: gpu.device.info.to_string(),
        what: fault.to_string(),
        is_out_of_memory: fault.is_out_of_memory(),
    }
}

/// Every so many flights are checked, and always one.
fn checked(chosen: &[(usize, Clock)], fraction: f64) -> Vec<usize> {
    if fraction <= 0.0 {
        return Vec::new();
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 1")]
    let step = (1.0 / fraction).round().max(1.0) as usize;
    // Not always the first: the middle of each run.
    let start = (step / 2).min(chosen.len() / 2);
    chosen.iter().skip(start).step_by(step).map(|(index, _)| *index).collect()
}

/// Runs of flights with about as many waypoints each.
fn divide(fleet: &Fleet, chosen: Vec<(usize, Clock)>, parts: usize) -> Vec<Vec<(usize, Clock)>> {
    let len = |index: usize| fleet.get(index).map_or(0, |f| f.len());
    let all: usize = chosen.iter().map(|(index, _)| len(*index)).sum();
    let mut runs = vec![Vec::new(); parts];
    let mut before = 0;
    for (index, clock) in chosen {
        runs[(before * parts / all.max(1)).min(parts - 1)].push((index, clock));
        before += len(index);
    }
    runs
}

/// The largest relative difference of a dosage, or what differs by more than
/// `tolerance`.
pub(super) fn compare(actual: &FlightState, expected: &FlightState, tolerance: f64) -> Result<f64, String> {
    let mut largest = 0.0_f64;
    for phase in Phase::PARTS {
        let name = phase.name();
        match (actual.phase(phase), expected.phase(phase)) {
            (None, None) => {}
            (Some(actual), Some(expected)) => {
                let difference =
                    compare_totals(actual, expected, tolerance).map_err(|what| format!("{name}: {what}"))?;
                largest = largest.max(difference);
            }
            (actual, _) => {
                let which = if actual.is_some() { "only the device" } else { "only the CPU" };
                return Err(format!("{name}: {which} has figures"));
            }
        }
    }
    for (lane, _) in &expected.rolling {
        let pair = [actual.rolling_peak(*lane), expected.rolling_peak(*lane)].map(|p| p.unwrap_or(f64::NAN));
        differs("rolling peak", *lane, pair[0], pair[1], tolerance, 0.0)?;
    }
    Ok(largest)
}

fn compare_totals(actual: &Totals, expected: &Totals, tolerance: f64) -> Result<f64, String> {
    let mut largest = 0.0_f64;
    for lane in 0..expected.dosage().len() {
        let sampled_s = expected.sampled_s(lane);
        differs("time sampled", lane, actual.sampled_s(lane), sampled_s, 1e-6, 0.0)?;
        let peak = expected.peak()[lane];
        differs("peak", lane, actual.peak()[lane], peak, tolerance, 0.0)?;
        // Where values change their sign, a sum may be small beside its parts.
        let size = if peak.is_finite() { 1e-2 * peak.abs() * sampled_s } else { 0.0 };
        let (dosage, right) = (actual.dosage()[lane], expected.dosage()[lane]);
        differs("dosage", lane, dosage, right, tolerance, size)?;
        if right != 0.0 {
            largest = largest.max(((dosage - right) / right).abs());
        }
        differs(
            "dose",
            lane,
            actual.dose()[lane],
            expected.dose()[lane],
            tolerance,
            1e-2 * expected.dose()[lane].abs(),
        )?;
    }
    Ok(largest)
}

/// Two numbers may both be missing, or differ by a part of the right one and
/// of `size`.
fn differs(what: &str, lane: usize, actual: f64, expected: f64, tolerance: f64, size: f64) -> Result<(), String> {
    let same = actual.to_bits() == expected.to_bits() || (actual.is_nan() && expected.is_nan());
    if same || (actual - expected).abs() <= tolerance * (expected.abs() + size) {
        return Ok(());
    }
    Err(format!("{what} of lane {lane} is {actual:e}, expected {expected:e}"))
}
