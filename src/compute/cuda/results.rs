//! From a device's figures to the states that the CPU would have left.

use super::layout::{PHASES, State};
use crate::{
    compute::{
        rolling::RollingMean,
        state::{FlightState, Totals},
    },
    exposure::program::Program,
};

/// A flight's figures as the CPU would have left them.
pub(super) fn flight_state(program: &Program, state: &State, figures: &[f64], rolling: &[f64]) -> FlightState {
    let lanes = program.lanes.len();
    let has_dose = program.engine_flow.is_some();
    let mut phases = [const { None }; PHASES];
    for ((phase, totals), figures) in phases.iter_mut().enumerate().zip(figures.chunks_exact(figures.len() / PHASES)) {
        if state.phases >> phase & 1 == 0 {
            continue;
        }
        let mut sum = Totals::new(program);
        sum.common_s = figures[0];
        let (at_dosage, at_peak) = (1, 1 + lanes);
        let [dosage, peak, peak_time_s] = sum.running_mut();
        dosage.copy_from_slice(&figures[at_dosage..at_peak]);
        peak.copy_from_slice(&figures[at_peak..at_peak + lanes]);
        peak_time_s.copy_from_slice(&figures[at_peak + lanes..at_peak + 2 * lanes]);
        sum.partial_s_mut().copy_from_slice(&figures[at_peak + 2 * lanes..at_peak + 3 * lanes]);
        let rest = &figures[1 + 4 * lanes..];
        let rest = if has_dose {
            sum.dose_mut().copy_from_slice(&rest[..lanes]);
            &rest[lanes..]
        } else {
            rest
        };
        let above_s = sum.all_above_s_mut();
        let thresholds = above_s.len();
        above_s.copy_from_slice(&rest[..thresholds]);
        *totals = Some(Box::new(sum));
    }
    let windows = program.lanes.iter().enumerate().filter_map(|(i, lane)| Some((i, lane.rolling_window_s?)));
    let rolling = windows.enumerate().map(|(slot, (lane, window_s))| {
        let largest = rolling.get(slot).copied().unwrap_or(f64::NEG_INFINITY);
        (lane, RollingMean::with_largest(window_s, largest))
    });
    FlightState { phases, rolling: rolling.collect(), ..FlightState::default() }
}
