//! From samples to figures, in the order of time.

use std::ops::Range;

use super::{block::Block, path::BLOCK, vector::Vectors};
use crate::{
    compute::state::{FlightState, Totals, fraction_above},
    exposure::flow::EngineFlow,
    trajectory::phase::Phase,
    units::Pressure,
};

/// A block of samples behind the last sample of the block before it, which
/// stands at index 0: step `i` leads from sample `i − 1` to sample `i`.
pub(super) struct Samples<const S: usize> {
    pub block: Box<Block>,
    /// Each lane's quantity; NaN is missing.
    pub values: [[f32; S]; BLOCK + 1],
    /// Each lane's mixing ratio, where a dose is asked for.
    pub mixing_ratio: Vec<[f32; S]>,
    /// Duration of each step \[s\].
    seconds: [f64; BLOCK + 1],
}

/// A threshold of a lane.
pub(super) struct Limit {
    pub lane: usize,
    pub value: f64,
}

/// The running figures of the current phase.
#[derive(Clone, Copy)]
pub(super) struct Running<const S: usize> {
    /// Seconds during which every lane had a value.
    common_s: f64,
    dosage: [f64; S],
    peak: [f32; S],
    peak_time_s: [f64; S],
}

/// The highest value of each lane among some samples, and at which it is.
struct Top<const S: usize> {
    value: [f32; S],
    sample: [f32; S],
}

impl<const S: usize> Running<S> {
    /// Goes on where `totals` left off: adding to the same number in the same
    /// order gives the same bytes however often it is put down and taken up.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "peaks are values in single precision")]
    pub(super) fn take_up(totals: &Totals) -> Self {
        let mut running = Self {
            common_s: totals.common_s,
            dosage: [0.0; S],
            peak: [f32::NEG_INFINITY; S],
            peak_time_s: [f64::NAN; S],
        };
        let lanes = totals.dosage().len().min(S);
        for lane in 0..lanes {
            running.dosage[lane] = totals.dosage()[lane];
            running.peak[lane] = totals.peak()[lane] as f32;
            running.peak_time_s[lane] = totals.peak_time_s()[lane];
        }
        running
    }

    #[inline(always)]
    pub(super) fn put_down(&self, totals: &mut Totals) {
        totals.common_s = self.common_s;
        let [dosage, peak, peak_time_s] = totals.running_mut();
        for lane in 0..dosage.len().min(S) {
            dosage[lane] = self.dosage[lane];
            peak[lane] = f64::from(self.peak[lane]);
            peak_time_s[lane] = self.peak_time_s[lane];
        }
    }

    /// Dosage and peak over steps along which every lane has a value. Tells
    /// whether a lane reaches its `alert`.
    #[inline(always)]
    pub(super) fn add<const N: usize, V: Vectors<N>>(
        &mut self,
        v: V,
        samples: &Samples<S>,
        steps: Range<usize>,
        alert: &[f32; S],
    ) -> bool {
        let (first, end) = (steps.start - 1, steps.end.min(BLOCK + 1));
        let mut top = Top { value: [0.0; S], sample: [0.0; S] };
        let mut common_s = self.common_s;
        for lanes in 0..S / N {
            let mut sum = v.load_wide(&self.dosage.as_chunks::<N>().0[lanes]);
            let mut highest = v.load(&samples.values[first].as_chunks::<N>().0[lanes]);
            let mut before = v.widen(highest);
            #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
            let mut at = v.splat(first as f32);
            let mut mark = at;
            common_s = self.common_s;
            for i in first + 1..end {
                let value = v.load(&samples.values[i].as_chunks::<N>().0[lanes]);
                let after = v.widen(value);
                sum = v.add_trapezoid(sum, before, after, 0.5 * samples.seconds[i]);
                common_s += samples.seconds[i];
                at = v.next(at);
                (highest, mark) = v.raise(highest, mark, value, at);
                before = after;
            }
            v.store_wide(sum, &mut self.dosage.as_chunks_mut::<N>().0[lanes]);
            v.store(highest, &mut top.value.as_chunks_mut::<N>().0[lanes]);
            v.store(mark, &mut top.sample.as_chunks_mut::<N>().0[lanes]);
        }
        self.common_s = common_s;
        self.raise(&top, &samples.block.points.time_s, alert)
    }

    /// As [`Running::add`] where values may be missing; `partial_s` are the
    /// seconds during which a lane had a value and another had not.
    #[inline(never)]
    pub(super) fn add_partial(
        &mut self,
        samples: &Samples<S>,
        steps: Range<usize>,
        alert: &[f32; S],
        partial_s: &mut [f64],
    ) -> bool {
        let lanes = partial_s.len().min(S);
        for i in steps.clone() {
            let (before, after) = (&samples.values[i - 1], &samples.values[i]);
            let lacks_any = (0..lanes).any(|k| (before[k] + after[k]).is_nan());
            let seconds = samples.seconds[i];
            for k in 0..lanes {
                let (before, after) = (f64::from(before[k]), f64::from(after[k]));
                if !(before.is_nan() || after.is_nan()) {
                    self.dosage[k] = (0.5 * seconds).mul_add(before + after, self.dosage[k]);
                    if lacks_any {
                        partial_s[k] += seconds;
                    }
                }
            }
            if !lacks_any {
                self.common_s += seconds;
            }
        }
        let mut top = Top { value: [f32::NEG_INFINITY; S], sample: [0.0; S] };
        for i in steps.start - 1..steps.end {
            for k in 0..S {
                if samples.values[i][k] > top.value[k] {
                    #[expect(clippy::cast_precision_loss, reason = "below 2^24")]
                    let sample = i as f32;
                    (top.value[k], top.sample[k]) = (samples.values[i][k], sample);
                }
            }
        }
        self.raise(&top, &samples.block.points.time_s, alert)
    }

    /// Takes over what is higher; tells whether any reaches its `alert`.
    #[inline(always)]
    fn raise(&mut self, top: &Top<S>, time_s: &[f64; BLOCK + 1], alert: &[f32; S]) -> bool {
        let mut is_alert = false;
        for k in 0..S {
            is_alert |= top.value[k] >= alert[k];
            if top.value[k] > self.peak[k] {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index of a sample")]
                let sample = top.sample[k] as usize;
                self.peak[k] = top.value[k];
                self.peak_time_s[k] = time_s[sample.min(BLOCK)];
            }
        }
        is_alert
    }
}

impl<const S: usize> Samples<S> {
    /// Before the first sample.
    pub(super) fn new(with_dose: bool) -> Self {
        Self {
            block: Box::new(Block::new()),
            values: [[f32::NAN; S]; BLOCK + 1],
            mixing_ratio: if with_dose { vec![[f32::NAN; S]; BLOCK + 1] } else { Vec::new() },
            seconds: [0.0; BLOCK + 1],
        }
    }

    /// Puts the first sample of a flight at index 0 too: the flight begins
    /// with a step of no length.
    pub(super) fn begin(&mut self) {
        let points = &mut self.block.points;
        points.time_s[0] = points.time_s[1];
        points.pressure_pa[0] = points.pressure_pa[1];
        points.phase[0] = points.phase[1];
        self.begin_values_at(1);
    }

    /// Takes another block in exchange for this one, whose last sample is the
    /// first of that.
    #[inline(always)]
    pub(super) fn turn_to(&mut self, next: &mut Box<Block>) {
        let (points, last) = (&self.block.points, self.block.points.len);
        next.points.time_s[0] = points.time_s[last];
        next.points.pressure_pa[0] = points.pressure_pa[last];
        next.points.phase[0] = points.phase[last];
        self.begin_values_at(last);
        std::mem::swap(&mut self.block, next);
    }

    #[inline(always)]
    fn begin_values_at(&mut self, sample: usize) {
        self.values[0] = self.values[sample];
        if let Some(&mixing_ratio) = self.mixing_ratio.get(sample) {
            self.mixing_ratio[0] = mixing_ratio;
        }
    }

    /// Works out the steps' durations.
    #[inline(always)]
    pub(super) fn measure_steps(&mut self) {
        let len = self.block.points.len.min(BLOCK);
        for i in 1..=len {
            self.seconds[i] = self.block.points.time_s[i] - self.block.points.time_s[i - 1];
        }
    }

    /// Whether a value is missing in any channel, in the block or the sample
    /// before it.
    #[inline(always)]
    pub(super) fn has_missing(&self) -> bool {
        let values = self.values[..=self.block.points.len].as_flattened();
        values.iter().fold(false, |any, value| any | value.is_nan())
    }

    /// Adds the time above each lane's thresholds along the steps. `alert` is
    /// at or below the lowest threshold of each lane.
    #[inline(always)]
    pub(super) fn add_time_above(&self, alert: &[f32; S], limits: &[Limit], steps: Range<usize>, totals: &mut Totals) {
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
            for (above_s, limit) in above_s.iter_mut().zip(limits) {
                let (a, b) = (f64::from(before[limit.lane]), f64::from(after[limit.lane]));
                // Not a number at either end is no step.
                if (a >= limit.value && !b.is_nan()) || (b >= limit.value && !a.is_nan()) {
                    *above_s += self.seconds[i] * fraction_above(a, b, limit.value);
                }
            }
        }
    }

    /// Adds the mass ingested along steps of one phase: the trapezoid of χ ṁ.
    #[inline(never)]
    pub(super) fn add_dose(&self, flow: &EngineFlow, phase: Phase, steps: Range<usize>, totals: &mut Totals) {
        for i in steps {
            let at = |i: usize| flow.at(phase, Pressure::from_pascal(self.block.points.pressure_pa[i]));
            let (before, after) = (at(i - 1), at(i));
            for (k, dose) in totals.dose_mut().iter_mut().enumerate() {
                let sum = before * f64::from(self.mixing_ratio[i - 1][k]) + after * f64::from(self.mixing_ratio[i][k]);
                if !sum.is_nan() {
                    *dose += 0.5 * self.seconds[i] * sum;
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
            for i in 1..=self.block.points.len {
                let value = f64::from(self.values[i][*lane]);
                if value.is_nan() {
                    rolling.interrupt();
                } else {
                    rolling.push(self.block.points.time_s[i], value);
                }
            }
        }
    }
}
