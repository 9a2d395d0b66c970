//! From samples to figures, in the order of time.

use std::ops::Range;

use super::path::{BLOCK, Points};
use crate::{
    compute::state::{FlightState, Totals, fraction_above},
    exposure::flow::EngineFlow,
    trajectory::phase::Phase,
    units::Pressure,
};

/// A block of samples behind the last sample of the block before it, which
/// stands at index 0: step `i` leads from sample `i − 1` to sample `i`.
pub(super) struct Samples<const S: usize> {
    pub points: Points,
    /// Whether the sample lies inside the field.
    pub inside: [bool; BLOCK + 1],
    /// Each lane's quantity; NaN is missing.
    pub values: [[f64; S]; BLOCK + 1],
    /// Each lane's mixing ratio, where a dose is asked for.
    pub mixing_ratio: Vec<[f64; S]>,
}

/// A threshold of a lane.
pub(super) struct Limit {
    pub lane: usize,
    pub value: f64,
}

/// The running figures of the current phase, one register lane a lane.
#[derive(Clone, Copy)]
pub(super) struct Running<const S: usize> {
    /// Seconds during which every lane had a value.
    common_s: f64,
    dosage: [f64; S],
    peak: [f64; S],
    peak_time_s: [f64; S],
}

impl<const S: usize> Running<S> {
    /// Goes on where `totals` left off: adding to the same number in the same
    /// order gives the same bytes however often it is put down and taken up.
    pub(super) fn take_up(totals: &Totals) -> Self {
        let mut running = Self {
            common_s: totals.common_s,
            dosage: [0.0; S],
            peak: [f64::NEG_INFINITY; S],
            peak_time_s: [f64::NAN; S],
        };
        let lanes = totals.dosage().len();
        running.dosage[..lanes].copy_from_slice(totals.dosage());
        running.peak[..lanes].copy_from_slice(totals.peak());
        running.peak_time_s[..lanes].copy_from_slice(totals.peak_time_s());
        running
    }

    pub(super) fn put_down(&self, totals: &mut Totals) {
        totals.common_s = self.common_s;
        let [dosage, peak, peak_time_s] = totals.running_mut();
        let lanes = dosage.len();
        dosage.copy_from_slice(&self.dosage[..lanes]);
        peak.copy_from_slice(&self.peak[..lanes]);
        peak_time_s.copy_from_slice(&self.peak_time_s[..lanes]);
    }

    /// The peak over one sample.
    #[inline(always)]
    pub(super) fn observe(&mut self, time_s: f64, values: &[f64; S]) {
        for i in 0..S {
            let higher = values[i] > self.peak[i];
            self.peak[i] = if higher { values[i] } else { self.peak[i] };
            self.peak_time_s[i] = if higher { time_s } else { self.peak_time_s[i] };
        }
    }

    /// Dosage and peak over steps of one phase. `MISSING`: a sample inside the
    /// field may lack the value of a lane; otherwise it has them all.
    #[inline(always)]
    pub(super) fn add<const MISSING: bool>(
        &mut self,
        samples: &Samples<S>,
        steps: Range<usize>,
        partial_s: &mut [f64],
    ) {
        let mut running = *self;
        for i in steps {
            let (before, after) = (&samples.values[i - 1], &samples.values[i]);
            if samples.inside[i - 1] && samples.inside[i] {
                let seconds = samples.points.time_s[i] - samples.points.time_s[i - 1];
                if MISSING && lacks_any(before, after, partial_s.len()) {
                    running.partial_step(seconds, before, after, partial_s);
                } else {
                    running.step(seconds, before, after);
                }
            }
            running.observe(samples.points.time_s[i], after);
        }
        *self = running;
    }

    /// One step along which every lane has a value: the trapezoid.
    #[inline(always)]
    fn step(&mut self, seconds: f64, before: &[f64; S], after: &[f64; S]) {
        let half = 0.5 * seconds;
        for i in 0..S {
            self.dosage[i] = half.mul_add(before[i] + after[i], self.dosage[i]);
        }
        self.common_s += seconds;
    }

    /// One step along which some lanes lack a value.
    #[inline(always)]
    fn partial_step(&mut self, seconds: f64, before: &[f64; S], after: &[f64; S], partial_s: &mut [f64]) {
        let half = 0.5 * seconds;
        for (i, sampled) in partial_s.iter_mut().enumerate() {
            let sum = before[i] + after[i];
            if !sum.is_nan() {
                self.dosage[i] = half.mul_add(sum, self.dosage[i]);
                *sampled += seconds;
            }
        }
    }
}

#[inline(always)]
fn lacks_any<const S: usize>(before: &[f64; S], after: &[f64; S], lanes: usize) -> bool {
    let mut any = false;
    for i in 0..lanes.min(S) {
        any |= (before[i] + after[i]).is_nan();
    }
    any
}

impl<const S: usize> Samples<S> {
    /// Before the first sample.
    pub(super) fn new(with_dose: bool) -> Self {
        Self {
            points: Points::new(),
            inside: [false; BLOCK + 1],
            values: [[f64::NAN; S]; BLOCK + 1],
            mixing_ratio: if with_dose { vec![[f64::NAN; S]; BLOCK + 1] } else { Vec::new() },
        }
    }

    /// Before the first sample of another flight.
    pub(super) fn begin(&mut self) {
        self.points.len = 0;
        (self.points.time_s[0], self.points.pressure_pa[0]) = (f64::NAN, f64::NAN);
        (self.points.phase[0], self.inside[0]) = (0, false);
        self.values[0] = [f64::NAN; S];
        if let Some(mixing_ratio) = self.mixing_ratio.first_mut() {
            *mixing_ratio = [f64::NAN; S];
        }
    }

    /// Makes room for the next block: the last sample becomes the first.
    pub(super) fn turn(&mut self) {
        let last = self.points.len;
        self.points.time_s[0] = self.points.time_s[last];
        self.points.pressure_pa[0] = self.points.pressure_pa[last];
        self.points.phase[0] = self.points.phase[last];
        self.inside[0] = self.inside[last];
        self.values[0] = self.values[last];
        if let Some(&mixing_ratio) = self.mixing_ratio.get(last) {
            self.mixing_ratio[0] = mixing_ratio;
        }
        self.points.len = 0;
    }

    /// Whether any sample reaches a lane's lowest threshold.
    #[inline(always)]
    pub(super) fn reach(&self, alert: &[f64; S]) -> bool {
        let mut highest = [f64::NEG_INFINITY; S];
        for values in &self.values[..=self.points.len] {
            for i in 0..S {
                highest[i] = if values[i] > highest[i] { values[i] } else { highest[i] };
            }
        }
        let mut any = false;
        for i in 0..S {
            any |= highest[i] >= alert[i];
        }
        any
    }

    /// Adds the time above each lane's thresholds along the steps. `alert` is
    /// the lowest threshold of each lane.
    #[inline(always)]
    pub(super) fn add_time_above(&self, alert: &[f64; S], limits: &[Limit], steps: Range<usize>, totals: &mut Totals) {
        let above_s = totals.all_above_s_mut();
        for i in steps {
            let (before, after) = (&self.values[i - 1], &self.values[i]);
            let mut any = false;
            for k in 0..S {
                any |= before[k].max(after[k]) >= alert[k];
            }
            if !any {
                continue;
            }
            let seconds = self.points.time_s[i] - self.points.time_s[i - 1];
            for (above_s, limit) in above_s.iter_mut().zip(limits) {
                let (a, b) = (before[limit.lane], after[limit.lane]);
                // Not a number at either end is no step.
                if (a >= limit.value && !b.is_nan()) || (b >= limit.value && !a.is_nan()) {
                    *above_s += seconds * fraction_above(a, b, limit.value);
                }
            }
        }
    }

    /// Adds the mass ingested along steps of one phase: the trapezoid of χ ṁ.
    #[inline(never)]
    pub(super) fn add_dose(&self, flow: &EngineFlow, phase: Phase, steps: Range<usize>, totals: &mut Totals) {
        for i in steps {
            let seconds = self.points.time_s[i] - self.points.time_s[i - 1];
            let at = |i: usize| flow.at(phase, Pressure::from_pascal(self.points.pressure_pa[i]));
            let (before, after) = (at(i - 1), at(i));
            for (k, dose) in totals.dose_mut().iter_mut().enumerate() {
                let sum = before * self.mixing_ratio[i - 1][k] + after * self.mixing_ratio[i][k];
                if !sum.is_nan() {
                    *dose += 0.5 * seconds * sum;
                } else if !(self.values[i - 1][k] + self.values[i][k]).is_nan() {
                    // Sampled, but without the density that the dose needs:
                    // a sum that leaves this step out would pass for a dose.
                    *dose = f64::NAN;
                }
            }
        }
    }

    /// Hands the samples to the lanes that have a rolling window.
    #[inline(never)]
    pub(super) fn roll(&self, state: &mut FlightState) {
        for (lane, rolling) in &mut state.rolling {
            for i in 1..=self.points.len {
                let value = self.values[i][*lane];
                if value.is_nan() {
                    rolling.interrupt();
                } else {
                    rolling.push(self.points.time_s[i], value);
                }
            }
        }
    }
}
