//! What is known of a flight while its samples come in, in the order of time.

use super::rolling::RollingMean;
use crate::{exposure::program::Program, trajectory::phase::Phase};

/// How far a flight has come, and its figures so far.
#[derive(Debug, Clone, Default)]
pub struct FlightState {
    /// The next sample.
    pub(crate) cursor: Cursor,
    /// The last sample.
    pub(crate) previous: Option<Sample>,
    /// In the order of [`Phase::PARTS`]; `None` for a phase not met.
    pub(crate) phases: [Option<Box<Totals>>; 4],
    /// Lane and rolling mean, for the lanes that have a window.
    pub(crate) rolling: Vec<(usize, RollingMean)>,
}

/// Where the next sample is: sub-step `step` of the segment that ends at
/// waypoint `waypoint`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub waypoint: usize,
    pub step: usize,
}

/// One sample of all lanes; NaN is missing.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub time_s: f64,
    pub lanes: Vec<f64>,
    /// χ of each lane \[kg kg⁻¹\], where a dose is asked for; else empty.
    pub mixing_ratio: Vec<f64>,
    pub pressure_pa: f64,
    /// Whether it lies inside the field.
    pub inside: bool,
    /// Index in [`Phase::PARTS`] of the step that ended here.
    pub phase: u8,
}

/// Figures of one phase: one number a lane, in the lane's unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Seconds between samples at which every lane had a value.
    pub(crate) common_s: f64,
    /// Seconds between samples at which this lane had a value and another had
    /// not.
    pub(crate) partial_s: Vec<f64>,
    /// ∫ over these.
    pub dosage: Vec<f64>,
    /// Largest value; −∞ where there was none.
    pub peak: Vec<f64>,
    /// When \[s since 1970\].
    pub peak_time_s: Vec<f64>,
    /// ∫ χ ṁ dt \[kg\]; NaN where χ is not known for part of the time sampled.
    pub dose: Vec<f64>,
    /// Seconds at or above each threshold, a list a lane.
    pub above_s: Vec<Vec<f64>>,
}

impl FlightState {
    /// Before the first sample.
    #[must_use]
    pub fn new(program: &Program) -> Self {
        let rolling = program
            .lanes
            .iter()
            .enumerate()
            .filter_map(|(i, lane)| Some((i, RollingMean::new(lane.rolling_window_s?))))
            .collect();
        Self { rolling, ..Self::default() }
    }

    /// The figures of one phase, `None` where the flight was never in it.
    #[must_use]
    pub fn phase(&self, phase: Phase) -> Option<&Totals> {
        let index = Phase::PARTS.iter().position(|&p| p == phase)?;
        self.phases[index].as_deref()
    }

    /// The figures of the whole flight: its phases added up, in a fixed order.
    #[must_use]
    pub fn flight(&self) -> Option<Totals> {
        let mut parts = self.phases.iter().flatten();
        let mut sum = Totals::clone(parts.next()?);
        for part in parts {
            sum.add(part);
        }
        Some(sum)
    }

    /// Largest rolling mean of a lane, in the lane's unit.
    #[must_use]
    pub fn rolling_peak(&self, lane: usize) -> Option<f64> {
        self.rolling.iter().find(|(index, _)| *index == lane)?.1.largest()
    }
}

impl Totals {
    pub(crate) fn new(program: &Program) -> Self {
        let lanes = program.lanes.len();
        Self {
            common_s: 0.0,
            partial_s: vec![0.0; lanes],
            dosage: vec![0.0; lanes],
            peak: vec![f64::NEG_INFINITY; lanes],
            peak_time_s: vec![f64::NAN; lanes],
            dose: vec![0.0; lanes],
            above_s: program.lanes.iter().map(|lane| vec![0.0; lane.thresholds.len()]).collect(),
        }
    }

    /// Seconds during which a lane had a value.
    #[must_use]
    pub fn sampled_s(&self, lane: usize) -> f64 {
        self.common_s + self.partial_s[lane]
    }

    fn add(&mut self, other: &Self) {
        self.common_s += other.common_s;
        for lane in 0..self.dosage.len() {
            self.partial_s[lane] += other.partial_s[lane];
            self.dosage[lane] += other.dosage[lane];
            self.dose[lane] += other.dose[lane];
            let (peak, time) = (other.peak[lane], other.peak_time_s[lane]);
            // The earlier of two equal peaks, whatever the order of phases.
            if peak > self.peak[lane] || (peak >= self.peak[lane] && time < self.peak_time_s[lane]) {
                self.peak[lane] = peak;
                self.peak_time_s[lane] = time;
            }
            for (sum, part) in self.above_s[lane].iter_mut().zip(&other.above_s[lane]) {
                *sum += part;
            }
        }
    }
}

/// Part of a linear step from `a` to `b` that is at or above `threshold`.
#[must_use]
pub fn fraction_above(a: f64, b: f64, threshold: f64) -> f64 {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    if low >= threshold {
        1.0
    } else if high < threshold {
        0.0
    } else {
        (high - threshold) / (high - low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_above_is_exact_on_a_line() {
        assert!((fraction_above(0.0, 4.0, 1.0) - 0.75).abs() < 1e-15);
        assert!((fraction_above(4.0, 0.0, 1.0) - 0.75).abs() < 1e-15);
        assert!((fraction_above(1.0, 1.0, 1.0) - 1.0).abs() < 1e-15);
        assert!(fraction_above(0.0, 0.5, 1.0).abs() < 1e-15);
        assert!(fraction_above(0.0, 1.0, 1.0).abs() < 1e-15);
    }
}
