//! One flight through one window: fill, locate, gather, reduce, block by
//! block.

use std::ops::Range;

use pulp::NullaryFnOnce;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::{
    gather::{Cells, Slabs},
    locate::Locator,
    path::{BLOCK, Labelled, Steps},
    reduce::{Limit, Running, Samples},
    vector::{Portable, Vectors},
};
use crate::{
    atmosphere::{density, isa_temperature},
    compute::{
        Window,
        state::{FlightState, Totals},
    },
    exposure::program::Program,
    trajectory::phase::Phase,
    units::{Dimension, Pressure, Temperature},
};

/// What all flights of a window share.
pub(super) struct Shared<'a> {
    pub instructions: Instructions,
    pub window: &'a Window<'a>,
    pub slabs: Slabs<'a>,
    pub steps: Steps<'a>,
    /// Whether any value in the window is missing.
    pub has_missing: bool,
}

/// The instruction set to run on.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instructions {
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    Portable,
}

impl Instructions {
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(v4) = V4::try_new() {
                return Self::Avx512(v4);
            }
            if let Some(v3) = V3::try_new() {
                return Self::Avx2(v3);
            }
        }
        Self::Portable
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(_) => "AVX-512",
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => "AVX2",
            Self::Portable => "portable",
        }
    }
}

/// What one thread works with, flight after flight.
pub(super) struct Scratch<'a, const S: usize> {
    unpacked: Unpacked<'a, S>,
    cells: Cells,
    /// Which points of the block lie inside the field.
    inside: [bool; BLOCK],
    samples: Samples<S>,
}

impl<'a, const S: usize> Scratch<'a, S> {
    pub(super) fn new(program: &'a Program) -> Self {
        let with_dose = program.engine_flow.is_some();
        Self {
            unpacked: Unpacked::new(program),
            cells: Cells::new(),
            inside: [false; BLOCK],
            samples: Samples::new(with_dose),
        }
    }
}

/// Takes the samples of one flight that lie in the window.
pub(super) fn run<'a, const S: usize>(
    shared: &Shared<'a>,
    scratch: &mut Scratch<'a, S>,
    path: Labelled<'_>,
    state: &mut FlightState,
) {
    match shared.instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) if S >= 8 => {
            v4.vectorize(Walk::<S, 8, V4> { vectors: v4, shared, scratch, path, state });
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) => {
            v4.vectorize(Walk::<S, S, Portable> { vectors: Portable, shared, scratch, path, state });
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) if S >= 8 => {
            v3.vectorize(Walk::<S, 8, V3> { vectors: v3, shared, scratch, path, state });
        }
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) => {
            v3.vectorize(Walk::<S, S, Portable> { vectors: Portable, shared, scratch, path, state });
        }
        Instructions::Portable => Walk::<S, S, Portable> { vectors: Portable, shared, scratch, path, state }.call(),
    }
}

/// All channels at the cells of a block; NaN where one is not in memory.
pub(super) fn sample_block<const S: usize>(
    instructions: Instructions,
    slabs: &Slabs<'_>,
    cells: &Cells,
    values: &mut [[f32; S]],
) {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) => v4.vectorize(Gather::<S> { slabs, cells, values }),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) => v3.vectorize(Gather::<S> { slabs, cells, values }),
        Instructions::Portable => Gather::<S> { slabs, cells, values }.call(),
    }
}

struct Gather<'a, const S: usize> {
    slabs: &'a Slabs<'a>,
    cells: &'a Cells,
    values: &'a mut [[f32; S]],
}

impl<const S: usize> NullaryFnOnce for Gather<'_, S> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.slabs.gather::<S, S, _>(Portable, self.cells, self.values);
    }
}

/// The walk as a value: a closure would not be compiled for the instruction
/// set that it is dispatched to.
struct Walk<'a, 'b, const S: usize, const N: usize, V> {
    vectors: V,
    shared: &'a Shared<'b>,
    scratch: &'a mut Scratch<'b, S>,
    path: Labelled<'a>,
    state: &'a mut FlightState,
}

impl<const S: usize, const N: usize, V: Vectors<N>> NullaryFnOnce for Walk<'_, '_, S, N, V> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { vectors, shared, scratch: Scratch { unpacked, cells, inside, samples }, path, state } = self;
        let unpacked = &*unpacked;
        let mut locator = Locator::new(shared.window);
        let end_s = shared.window.end_s();
        let mut walker = Walker::<S>::resume(unpacked, samples, state);
        let mut may_miss = shared.has_missing || walker.begins_missing();
        loop {
            walker.samples.points.fill(&path, &shared.steps, &mut walker.state.cursor, end_s);
            let len = walker.samples.points.len;
            if len == 0 {
                break;
            }
            let all_inside = locator.locate(&walker.samples.points, cells, inside);
            shared.slabs.gather::<S, N, V>(vectors, cells, &mut walker.samples.values[1..=len]);
            if shared.has_missing {
                shared.slabs.look_again(cells, &mut walker.samples.values[1..=len]);
            }
            walker.transform();
            if !all_inside {
                walker.unset(inside);
            }
            may_miss |= !all_inside;
            walker.reduce(vectors, may_miss);
            may_miss = shared.has_missing || walker.begins_missing();
        }
        let is_finished = walker.state.cursor.waypoint >= path.flight.len();
        walker.suspend(is_finished);
    }
}

/// A program unpacked for `S` channels.
struct Unpacked<'a, const S: usize> {
    program: &'a Program,
    lanes: usize,
    /// Lane = v (a + b ρ + c / ρ), of which one is 1 and two are 0.
    a: [f32; S],
    b: [f32; S],
    c: [f32; S],
    /// χ = v (a + c / ρ), for the dose; one is 1 and the other 0.
    dose_a: [f32; S],
    dose_c: [f32; S],
    /// At or below the lowest threshold of each lane; ∞ where there is none.
    alert: [f32; S],
    /// All thresholds, lane by lane.
    limits: Vec<Limit>,
    has_density: bool,
    has_log: bool,
    /// Whether what is stored is what is reduced, and nothing else is asked.
    is_plain: bool,
}

impl<'a, const S: usize> Unpacked<'a, S> {
    fn new(program: &'a Program) -> Self {
        let mut unpacked = Self {
            program,
            lanes: program.lanes.len(),
            a: [0.0; S],
            b: [0.0; S],
            c: [0.0; S],
            dose_a: [0.0; S],
            dose_c: [0.0; S],
            alert: [f32::INFINITY; S],
            limits: Vec::new(),
            has_density: program.needs_density(),
            has_log: program.lanes.iter().any(|lane| lane.log),
            is_plain: false,
        };
        unpacked.is_plain = !unpacked.has_density && !unpacked.has_log && program.engine_flow.is_none();
        for (i, lane) in program.lanes.iter().enumerate() {
            let (a, b, c) = lane.factors();
            #[expect(clippy::cast_possible_truncation, reason = "each is 0 or 1")]
            {
                (unpacked.a[i], unpacked.b[i], unpacked.c[i]) = (a as f32, b as f32, c as f32);
            }
            if lane.stored == Dimension::MassConcentration {
                unpacked.dose_c[i] = 1.0;
            } else {
                unpacked.dose_a[i] = 1.0;
            }
            unpacked.limits.extend(lane.thresholds.iter().map(|t| Limit { lane: i, value: t.value }));
            unpacked.alert[i] = rounded_down(lane.thresholds.iter().map(|t| t.value).fold(f64::INFINITY, f64::min));
        }
        unpacked
    }

    /// Air density \[kg m⁻³\] at a sample.
    #[inline(always)]
    fn density(&self, channels: &[f32; S], pressure_pa: f64) -> f64 {
        let pressure = Pressure::from_pascal(pressure_pa);
        let temperature = match self.program.temperature {
            Some(i) => Temperature::from_kelvin(f64::from(channels[i])),
            None => isa_temperature(pressure),
        };
        let humidity = match self.program.humidity {
            Some(i) => f64::from(channels[i]),
            None => 0.0,
        };
        density(pressure, temperature, humidity)
    }

    #[inline(never)]
    #[expect(clippy::cast_possible_truncation, reason = "a value is single precision")]
    fn undo_logarithms(&self, stored: &mut [f32; S]) {
        for (value, lane) in stored.iter_mut().zip(&self.program.lanes) {
            if lane.log {
                *value = f64::from(*value).exp() as f32;
            }
        }
    }
}

/// The largest single-precision number at or below `value`.
#[expect(clippy::cast_possible_truncation, reason = "mended where it rounds up")]
fn rounded_down(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) > value { rounded.next_down() } else { rounded }
}

/// The reduction of one flight, its state unpacked for `S` lanes.
struct Walker<'a, 'b, const S: usize> {
    unpacked: &'a Unpacked<'b, S>,
    state: &'a mut FlightState,
    samples: &'a mut Samples<S>,
    totals: Box<Totals>,
    running: Running<S>,
    /// Index in [`Phase::PARTS`] of `totals`.
    phase: u8,
    started: bool,
}

impl<'a, 'b, const S: usize> Walker<'a, 'b, S> {
    #[inline(always)]
    fn resume(unpacked: &'a Unpacked<'b, S>, samples: &'a mut Samples<S>, state: &'a mut FlightState) -> Self {
        samples.points.len = 0;
        samples.points.phase[0] = 0;
        // Padding takes part in vector arithmetic but has no meaning.
        samples.values[0] = [0.0; S];
        let started = state.previous.is_some();
        if let Some(last) = &state.previous {
            samples.values[0][..unpacked.lanes].copy_from_slice(&last.lanes);
            samples.points.time_s[0] = last.time_s;
            samples.points.pressure_pa[0] = last.pressure_pa;
            samples.points.phase[0] = last.phase;
            if let Some(mixing_ratio) = samples.mixing_ratio.first_mut() {
                mixing_ratio[..unpacked.lanes].copy_from_slice(&last.mixing_ratio);
            }
        }
        let phase = samples.points.phase[0];
        let totals = take_totals(state, phase, unpacked.program);
        let running = Running::take_up(&totals);
        Self { unpacked, state, samples, totals, running, phase, started }
    }

    /// Whether the sample at which the next block begins lacks a value: the
    /// block may miss none, and yet the step into it does.
    #[inline(always)]
    fn begins_missing(&self) -> bool {
        self.samples.values[0].iter().fold(false, |any, value| any | value.is_nan())
    }

    /// Puts the figures down, and the last sample too where more will follow.
    #[inline(always)]
    fn suspend(mut self, is_finished: bool) {
        if !self.started {
            return;
        }
        self.running.put_down(&mut self.totals);
        self.state.phases[usize::from(self.phase)] = Some(self.totals);
        if is_finished {
            self.state.previous = None;
            return;
        }
        let lanes = self.unpacked.lanes;
        let last = self.state.previous.get_or_insert_default();
        last.time_s = self.samples.points.time_s[0];
        last.pressure_pa = self.samples.points.pressure_pa[0];
        last.phase = self.samples.points.phase[0];
        last.lanes.clear();
        last.lanes.extend_from_slice(&self.samples.values[0][..lanes]);
        last.mixing_ratio.clear();
        if let Some(mixing_ratio) = self.samples.mixing_ratio.first() {
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
        for i in 1..=self.samples.points.len.min(BLOCK) {
            let values = &mut self.samples.values[i];
            let density =
                if unpacked.has_density { unpacked.density(values, self.samples.points.pressure_pa[i]) } else { 1.0 };
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
    fn unset(&mut self, inside: &[bool; BLOCK]) {
        for i in 1..=self.samples.points.len {
            if !inside[i - 1] {
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
        }
        self.samples.measure_steps();
        let is_missing = may_miss && self.samples.has_missing();
        let len = self.samples.points.len;
        let mut from = 1;
        while from <= len {
            let phase = self.samples.points.phase[from];
            let rest = &self.samples.points.phase[from..=len];
            let steps = from..from + rest.iter().take_while(|&&p| p == phase).count();
            if phase != self.phase || !self.started {
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
        self.samples.turn();
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
        if self.started {
            self.running.put_down(&mut self.totals);
            self.state.phases[usize::from(self.phase)] = Some(std::mem::replace(&mut self.totals, next));
        } else {
            self.totals = next;
        }
        self.started = true;
        self.phase = phase;
        self.running = Running::take_up(&self.totals);
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "it goes back into its box")]
fn take_totals(state: &mut FlightState, phase: u8, program: &Program) -> Box<Totals> {
    state.phases[usize::from(phase)].take().unwrap_or_else(|| Box::new(Totals::new(program)))
}
