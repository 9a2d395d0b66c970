//! The reduction of one flight, block by block.

use std::ops::Range;

use super::{
    block::Block,
    gather::Cells,
    kernel::Shared,
    path::BLOCK,
    reduce::{Running, Samples},
    unpacked::Unpacked,
    vector::Vectors,
};
use crate::{
    compute::state::{FlightState, Totals},
    exposure::program::Program,
    trajectory::phase::Phase,
};

/// The reduction of one flight, its state unpacked for `S` lanes.
pub(super) struct Walker<'a, 'b, const S: usize> {
    unpacked: &'a Unpacked<'b, S>,
    state: &'a mut FlightState,
    samples: &'a mut Samples<S>,
    totals: Box<Totals>,
    running: Running<S>,
    /// Index in [`Phase::PARTS`] of `totals`.
    phase: u8,
    started: bool,
    /// Whether the sample at which the block begins lacks a value: the block
    /// may miss none, and yet the step into it does.
    begins_missing: bool,
}

impl<'a, 'b, const S: usize> Walker<'a, 'b, S> {
    /// Takes up a flight whose first block lies in `samples`.
    #[inline(always)]
    pub(super) fn resume(
        unpacked: &'a Unpacked<'b, S>,
        samples: &'a mut Samples<S>,
        state: &'a mut FlightState,
    ) -> Self {
        // Padding takes part in vector arithmetic but has no meaning.
        samples.values[0] = [0.0; S];
        let started = state.previous.is_some();
        let points = &mut samples.block.points;
        if let Some(last) = &state.previous {
            samples.values[0][..unpacked.lanes].copy_from_slice(&last.lanes);
            points.time_s[0] = last.time_s;
            points.pressure_pa[0] = last.pressure_pa;
            points.phase[0] = last.phase;
            if let Some(mixing_ratio) = samples.mixing_ratio.first_mut() {
                mixing_ratio[..unpacked.lanes].copy_from_slice(&last.mixing_ratio);
            }
        }
        // The first sample belongs to the step that follows it.
        let phase = points.phase[usize::from(!started)];
        let totals = take_totals(state, phase, unpacked.program);
        let running = Running::take_up(&totals);
        let mut walker = Self { unpacked, state, samples, totals, running, phase, started, begins_missing: false };
        walker.look_at_begin();
        walker
    }

    #[inline(always)]
    fn look_at_begin(&mut self) {
        self.begins_missing = self.samples.values[0].iter().fold(false, |any, value| any | value.is_nan());
    }

    /// Samples and adds up the block at hand, and asks for the cells of the
    /// one that comes after it.
    #[inline(always)]
    pub(super) fn take<const N: usize, V: Vectors<N>>(
        &mut self,
        vectors: V,
        shared: &Shared<'_>,
        ahead: Option<&Cells>,
    ) {
        let len = self.samples.block.points.len;
        let Samples { block, values, .. } = &mut *self.samples;
        shared.slabs.gather::<S, N, V>(vectors, &block.cells, &mut values[1..=len], ahead);
        if shared.has_missing {
            shared.slabs.look_again(&block.cells, &mut values[1..=len]);
        }
        let all_inside = block.all_inside;
        self.transform();
        if !all_inside {
            self.unset();
        }
        self.reduce(vectors, shared.has_missing || !all_inside || self.begins_missing);
    }

    /// Goes on with another block: the last sample of this one becomes the
    /// first of that.
    #[inline(always)]
    pub(super) fn turn_to_block(&mut self, next: &mut Box<Block>) {
        self.samples.turn_to(next);
        self.look_at_begin();
    }

    /// Puts the figures down, and the last sample too where more will follow.
    #[inline(always)]
    pub(super) fn suspend(mut self, waypoints: usize) {
        self.state.cursor = self.samples.block.cursor;
        self.running.put_down(&mut self.totals);
        self.state.phases[usize::from(self.phase)] = Some(self.totals);
        if self.state.cursor.waypoint >= waypoints {
            self.state.previous = None;
            return;
        }
        let lanes = self.unpacked.lanes;
        let points = &self.samples.block.points;
        let i = points.len;
        let last = self.state.previous.get_or_insert_default();
        last.time_s = points.time_s[i];
        last.pressure_pa = points.pressure_pa[i];
        last.phase = points.phase[i];
        last.lanes.clear();
        last.lanes.extend_from_slice(&self.samples.values[i][..lanes]);
        last.mixing_ratio.clear();
        if let Some(mixing_ratio) = self.samples.mixing_ratio.get(i) {
            last.mixing_ratio.extend_from_slice(&mixing_ratio[..lanes]);
        }
    }

    /// The block's samples from their channels to the lanes' quantities.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "a value is single precision")]
    fn transform(&mut self) {
        let unpacked = self.unpacked;
        if unpacked.is_plain {
            return;
        }
        for i in 1..=self.samples.block.points.len.min(BLOCK) {
            let values = &mut self.samples.values[i];
            let density = if unpacked.has_density {
                unpacked.density(values, self.samples.block.points.pressure_pa[i])
            } else {
                1.0
            };
            if unpacked.has_log {
                unpacked.undo_logarithms(values);
            }
            let (density, inverse) = (density as f32, (1.0 / density) as f32);
            if let Some(mixing_ratio) = self.samples.mixing_ratio.get_mut(i) {
                for k in 0..S {
                    mixing_ratio[k] = values[k] * if unpacked.dose_c[k] > 0.0 { inverse } else { unpacked.dose_a[k] };
                }
            }
            // Chosen, not multiplied by zero: a lane without density is not
            // missing where temperature or humidity are.
            for k in 0..S {
                let dense = if unpacked.b[k] > 0.0 { density } else { inverse };
                values[k] *= if unpacked.b[k] + unpacked.c[k] > 0.0 { dense } else { unpacked.a[k] };
            }
        }
    }

    /// Samples outside the field have no value.
    #[inline(never)]
    fn unset(&mut self) {
        for i in 1..=self.samples.block.points.len {
            if !self.samples.block.inside[i - 1] {
                self.samples.values[i] = [f32::NAN; S];
                if let Some(mixing_ratio) = self.samples.mixing_ratio.get_mut(i) {
                    *mixing_ratio = [f32::NAN; S];
                }
            }
        }
    }

    /// Adds the block to the figures, phase by phase. `may_miss`: a value may
    /// be missing.
    #[inline(always)]
    fn reduce<const N: usize, V: Vectors<N>>(&mut self, vectors: V, may_miss: bool) {
        if !self.started {
            self.samples.begin();
            self.started = true;
        }
        self.samples.measure_steps();
        let is_missing = may_miss && self.samples.has_missing();
        let len = self.samples.block.points.len;
        let mut from = 1;
        while from <= len {
            let phase = self.samples.block.points.phase[from];
            let rest = &self.samples.block.points.phase[from..=len];
            let steps = from..from + rest.iter().take_while(|&&p| p == phase).count();
            if phase != self.phase {
                self.turn_to(phase);
            }
            let alert = &self.unpacked.alert;
            let is_alert = if is_missing {
                self.running.add_partial(self.samples, steps.clone(), alert, self.totals.partial_s_mut())
            } else {
                self.running.add::<N, V>(vectors, self.samples, steps.clone(), alert)
            };
            from = steps.end;
            self.add_rare(is_alert, steps);
        }
        if !self.state.rolling.is_empty() {
            self.samples.roll(self.state);
        }
    }

    #[inline(always)]
    fn add_rare(&mut self, is_alert: bool, steps: Range<usize>) {
        if is_alert {
            let Unpacked { alert, limits, .. } = self.unpacked;
            self.samples.add_time_above(alert, limits, steps.clone(), &mut self.totals);
        }
        if let Some(flow) = &self.unpacked.program.engine_flow {
            let phase = Phase::PARTS[usize::from(self.phase)];
            self.samples.add_dose(flow, phase, steps, &mut self.totals);
        }
    }

    /// Turns to another phase; the sample at which it begins belongs to both.
    #[inline(never)]
    fn turn_to(&mut self, phase: u8) {
        let next = take_totals(self.state, phase, self.unpacked.program);
        self.running.put_down(&mut self.totals);
        self.state.phases[usize::from(self.phase)] = Some(std::mem::replace(&mut self.totals, next));
        self.phase = phase;
        self.running = Running::take_up(&self.totals);
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "it goes back into its box")]
fn take_totals(state: &mut FlightState, phase: u8, program: &Program) -> Box<Totals> {
    state.phases[usize::from(phase)].take().unwrap_or_else(|| Box::new(Totals::new(program)))
}
