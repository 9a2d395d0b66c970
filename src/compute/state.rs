//! What is known of a flight while its samples come in, in the order of time.

use super::rolling::RollingMean;
use crate::{
    exposure::program::Program,
    trajectory::{Trajectory, phase::Phase},
};

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
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub time_s: f64,
    pub lanes: Vec<f32>,
    /// χ of each lane \[kg kg⁻¹\], where a dose is asked for; else empty.
    pub mixing_ratio: Vec<f32>,
    pub pressure_pa: f64,
    /// Index in [`Phase::PARTS`] of the step that ended here.
    pub phase: u8,
}

/// Figures of one phase: one number a lane, in the lane's unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Totals {
    /// Seconds between samples at which every lane had a value.
    pub(crate) common_s: f64,
    lanes: usize,
    /// One run of memory, section after section: flights have many of these.
    figures: Box<[f64]>,
}

/// Sections of [`Totals::figures`], each of one number a lane; the seconds at
/// or above each threshold follow, lane by lane.
#[derive(Debug, Clone, Copy)]
enum Section {
    /// Seconds between samples at which this lane had a value and another had
    /// not.
    Partial,
    Dosage,
    Peak,
    PeakTime,
    Dose,
}

const SECTIONS: usize = 5;

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

    /// Whether a sample may be left before `end_s`: the next one lies at or
    /// after the waypoint before it.
    pub(crate) fn is_due(&self, flight: &Trajectory<'_>, end_s: f64) -> bool {
        let next = self.cursor.waypoint;
        next < flight.len() && flight.time_s[next.saturating_sub(1)] < end_s
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
        let thresholds: usize = program.lanes.iter().map(|lane| lane.thresholds.len()).sum();
        let figures = vec![0.0; SECTIONS * lanes + thresholds].into_boxed_slice();
        let mut totals = Self { common_s: 0.0, lanes, figures };
        totals.section_mut(Section::Peak).fill(f64::NEG_INFINITY);
        totals.section_mut(Section::PeakTime).fill(f64::NAN);
        totals
    }

    /// Seconds during which a lane had a value.
    #[must_use]
    pub fn sampled_s(&self, lane: usize) -> f64 {
        self.common_s + self.section(Section::Partial)[lane]
    }

    /// ∫ over the time sampled.
    #[must_use]
    pub fn dosage(&self) -> &[f64] {
        self.section(Section::Dosage)
    }

    /// Largest value; −∞ where there was none.
    #[must_use]
    pub fn peak(&self) -> &[f64] {
        self.section(Section::Peak)
    }

    /// When the largest value was met \[s since 1970\].
    #[must_use]
    pub fn peak_time_s(&self) -> &[f64] {
        self.section(Section::PeakTime)
    }

    /// ∫ χ ṁ dt \[kg\]; NaN where χ is not known for part of the time sampled.
    #[must_use]
    pub fn dose(&self) -> &[f64] {
        self.section(Section::Dose)
    }

    /// Seconds at or above each threshold of a lane of `program`.
    #[must_use]
    pub fn above_s(&self, program: &Program, lane: usize) -> &[f64] {
        &self.figures[self.thresholds(program, lane)]
    }

    /// Of all thresholds, lane by lane.
    pub(crate) fn all_above_s_mut(&mut self) -> &mut [f64] {
        &mut self.figures[SECTIONS * self.lanes..]
    }

    pub(crate) fn dose_mut(&mut self) -> &mut [f64] {
        self.section_mut(Section::Dose)
    }

    pub(crate) fn partial_s_mut(&mut self) -> &mut [f64] {
        self.section_mut(Section::Partial)
    }

    /// Dosage, peak and its time, to be changed together.
    pub(crate) fn running_mut(&mut self) -> [&mut [f64]; 3] {
        let lanes = self.lanes;
        let (dosage, rest) = self.figures[Section::Dosage as usize * lanes..].split_at_mut(lanes);
        let (peak, rest) = rest.split_at_mut(lanes);
        [dosage, peak, &mut rest[..lanes]]
    }

    fn section(&self, section: Section) -> &[f64] {
        &self.figures[section as usize * self.lanes..][..self.lanes]
    }

    fn section_mut(&mut self, section: Section) -> &mut [f64] {
        &mut self.figures[section as usize * self.lanes..][..self.lanes]
    }

    fn thresholds(&self, program: &Program, lane: usize) -> std::ops::Range<usize> {
        let before: usize = program.lanes[..lane].iter().map(|lane| lane.thresholds.len()).sum();
        let start = SECTIONS * self.lanes + before;
        start..start + program.lanes[lane].thresholds.len()
    }

    fn add(&mut self, other: &Self) {
        self.common_s += other.common_s;
        let lanes = self.lanes;
        let is_peak =
            |i: usize| i / lanes.max(1) == Section::Peak as usize || i / lanes.max(1) == Section::PeakTime as usize;
        for (i, (sum, part)) in self.figures.iter_mut().zip(&other.figures).enumerate() {
            if !is_peak(i) {
                *sum += part;
            }
        }
        let [_, peaks, times] = self.running_mut();
        for lane in 0..lanes {
            let (peak, time) = (other.peak()[lane], other.peak_time_s()[lane]);
            // The earlier of two equal peaks, whatever the order of phases.
            if peak > peaks[lane] || (peak >= peaks[lane] && time < times[lane]) {
                (peaks[lane], times[lane]) = (peak, time);
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
