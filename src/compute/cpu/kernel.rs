//! One flight through one window: fill, locate, gather, reduce, block by
//! block.

use std::ops::Range;

use pulp::NullaryFnOnce;
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

use super::{
    gather::{Cells, Slabs},
    locate::Locator,
    path::{Labelled, Steps},
    reduce::{Limit, Running, Samples},
    vector::{Portable, Vectors},
};
use crate::{
    atmosphere::{density, isa_temperature},
    compute::{
        Window,
        state::{FlightState, Sample, Totals},
    },
    exposure::program::Program,
    trajectory::phase::Phase,
    units::{Dimension, Pressure, Temperature},
};

/// How many samples ahead corners are asked for: the memory answers while
/// the samples before are computed.
const AHEAD: usize = 20;

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
    samples: Samples<S>,
}

impl<'a, const S: usize> Scratch<'a, S> {
    pub(super) fn new(program: &'a Program) -> Self {
        let with_dose = program.engine_flow.is_some();
        Self { unpacked: Unpacked::new(program), cells: Cells::new(), samples: Samples::new(with_dose) }
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
        Instructions::Avx512(v4) => v4.vectorize(Walk::<S, V3> { vectors: *v4, shared, scratch, path, state }),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) => v3.vectorize(Walk::<S, V3> { vectors: v3, shared, scratch, path, state }),
        Instructions::Portable => Walk::<S, Portable> { vectors: Portable, shared, scratch, path, state }.call(),
    }
}

/// All channels at the cells of a block, where they lie `inside`.
pub(super) fn sample_block<const S: usize>(
    instructions: Instructions,
    slabs: &Slabs<'_>,
    cells: &Cells,
    inside: &[bool],
    values: &mut [[f64; S]],
) {
    match instructions {
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx512(v4) => v4.vectorize(Gather::<S, V3> { vectors: *v4, slabs, cells, inside, values }),
        #[cfg(target_arch = "x86_64")]
        Instructions::Avx2(v3) => v3.vectorize(Gather::<S, V3> { vectors: v3, slabs, cells, inside, values }),
        Instructions::Portable => {
            Gather::<S, Portable> { vectors: Portable, slabs, cells, inside, values }.call();
        }
    }
}

struct Gather<'a, const S: usize, V> {
    vectors: V,
    slabs: &'a Slabs<'a>,
    cells: &'a Cells,
    inside: &'a [bool],
    values: &'a mut [[f64; S]],
}

impl<const S: usize, V: Vectors> NullaryFnOnce for Gather<'_, S, V> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for (i, values) in self.values.iter_mut().enumerate().take(self.inside.len()) {
            if self.inside[i] {
                self.slabs.gather::<S, V>(self.vectors, &self.cells.get(i), values);
            }
        }
    }
}

/// The walk as a value: a closure would not be compiled for the instruction
/// set that it is dispatched to.
struct Walk<'a, 'b, const S: usize, V> {
    vectors: V,
    shared: &'a Shared<'b>,
    scratch: &'a mut Scratch<'b, S>,
    path: Labelled<'a>,
    state: &'a mut FlightState,
}

impl<const S: usize, V: Vectors> NullaryFnOnce for Walk<'_, '_, S, V> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { vectors, shared, scratch: Scratch { unpacked, cells, samples }, path, state } = self;
        let unpacked = &*unpacked;
        let mut locator = Locator::new(shared.window);
        let end_s = shared.window.end_s();
        let mut walker = Walker::<S>::resume(unpacked, samples, state);
        let has_missing = shared.has_missing || walker.begins_missing();
        loop {
            walker.samples.points.fill(&path, &shared.steps, &mut walker.state.cursor, end_s);
            let len = walker.samples.points.len;
            if len == 0 {
                break;
            }
            locator.locate(&walker.samples.points, cells, &mut walker.samples.inside[1..]);
            for i in 0..AHEAD.min(len) {
                shared.slabs.prefetch::<S>(cells, i);
            }
            for i in 1..=len {
                if i - 1 + AHEAD < len {
                    shared.slabs.prefetch::<S>(cells, i - 1 + AHEAD);
                }
                if walker.samples.inside[i] {
                    shared.slabs.gather::<S, V>(vectors, &cells.get(i - 1), &mut walker.samples.values[i]);
                    walker.transform(i);
                } else {
                    walker.unset(i);
                }
            }
            if has_missing {
                walker.reduce::<true>();
            } else {
                walker.reduce::<false>();
            }
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
    a: [f64; S],
    b: [f64; S],
    c: [f64; S],
    /// χ = v (a + c / ρ), for the dose; one is 1 and the other 0.
    dose_a: [f64; S],
    dose_c: [f64; S],
    /// Lowest threshold of each lane; ∞ where there is none.
    alert: [f64; S],
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
            alert: [f64::INFINITY; S],
            limits: Vec::new(),
            has_density: program.needs_density(),
            has_log: program.lanes.iter().any(|lane| lane.log),
            is_plain: false,
        };
        unpacked.is_plain = !unpacked.has_density && !unpacked.has_log && program.engine_flow.is_none();
        for (i, lane) in program.lanes.iter().enumerate() {
            (unpacked.a[i], unpacked.b[i], unpacked.c[i]) = lane.factors();
            if lane.stored == Dimension::MassConcentration {
                unpacked.dose_c[i] = 1.0;
            } else {
                unpacked.dose_a[i] = 1.0;
            }
            unpacked.limits.extend(lane.thresholds.iter().map(|t| Limit { lane: i, value: t.value }));
            unpacked.alert[i] = lane.thresholds.iter().map(|t| t.value).fold(f64::INFINITY, f64::min);
        }
        unpacked
    }

    /// Air density \[kg m⁻³\] at a sample.
    #[inline(always)]
    fn density(&self, channels: &[f64; S], pressure_pa: f64) -> f64 {
        let pressure = Pressure::from_pascal(pressure_pa);
        let temperature = match self.program.temperature {
            Some(i) => Temperature::from_kelvin(channels[i]),
            None => isa_temperature(pressure),
        };
        let humidity = match self.program.humidity {
            Some(i) => channels[i],
            None => 0.0,
        };
        density(pressure, temperature, humidity)
    }

    #[inline(never)]
    fn undo_logarithms(&self, stored: &mut [f64; S]) {
        for (value, lane) in stored.iter_mut().zip(&self.program.lanes) {
            if lane.log {
                *value = value.exp();
            }
        }
    }
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
    fn resume(unpacked: &'a Unpacked<'b, S>, samples: &'a mut Samples<S>, state: &'a mut FlightState) -> Self {
        samples.begin();
        let started = state.previous.is_some();
        if let Some(last) = state.previous.take() {
            // Padding takes part in vector arithmetic but has no meaning.
            samples.values[0] = [0.0; S];
            samples.values[0][..unpacked.lanes].copy_from_slice(&last.lanes);
            samples.inside[0] = last.inside;
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

    /// Whether the last sample of the window before lacks a value: this window
    /// may miss none, and yet the step into it does.
    fn begins_missing(&self) -> bool {
        self.samples.inside[0] && self.samples.values[0][..self.unpacked.lanes].iter().any(|v| v.is_nan())
    }

    /// Puts the figures down, and the last sample too where more will follow.
    fn suspend(mut self, is_finished: bool) {
        if !self.started {
            return;
        }
        self.running.put_down(&mut self.totals);
        self.state.phases[usize::from(self.phase)] = Some(self.totals);
        if is_finished {
            return;
        }
        let lanes = self.unpacked.lanes;
        self.state.previous = Some(Sample {
            time_s: self.samples.points.time_s[0],
            lanes: self.samples.values[0][..lanes].to_vec(),
            inside: self.samples.inside[0],
            mixing_ratio: self.samples.mixing_ratio.first().map_or_else(Vec::new, |m| m[..lanes].to_vec()),
            pressure_pa: self.samples.points.pressure_pa[0],
            phase: self.samples.points.phase[0],
        });
    }

    /// Sample `i` from its channels to the lanes' quantities.
    #[inline(always)]
    fn transform(&mut self, i: usize) {
        let unpacked = self.unpacked;
        if unpacked.is_plain {
            return;
        }
        let values = &mut self.samples.values[i];
        let density =
            if unpacked.has_density { unpacked.density(values, self.samples.points.pressure_pa[i]) } else { 1.0 };
        if unpacked.has_log {
            unpacked.undo_logarithms(values);
        }
        let inverse = 1.0 / density;
        if let Some(mixing_ratio) = self.samples.mixing_ratio.get_mut(i) {
            for k in 0..S {
                mixing_ratio[k] = values[k] * if unpacked.dose_c[k] > 0.0 { inverse } else { unpacked.dose_a[k] };
            }
        }
        // Chosen, not multiplied by zero: a lane without density is not missing
        // where temperature or humidity are.
        for k in 0..S {
            let dense = if unpacked.b[k] > 0.0 { density } else { inverse };
            values[k] *= if unpacked.b[k] + unpacked.c[k] > 0.0 { dense } else { unpacked.a[k] };
        }
    }

    /// Sample `i` lies outside the field.
    #[inline(always)]
    fn unset(&mut self, i: usize) {
        self.samples.values[i] = [f64::NAN; S];
        if let Some(mixing_ratio) = self.samples.mixing_ratio.get_mut(i) {
            *mixing_ratio = [f64::NAN; S];
        }
    }

    /// Adds the block to the figures, phase by phase.
    #[inline(always)]
    fn reduce<const MISSING: bool>(&mut self) {
        let has_thresholds_met = self.samples.reach(&self.unpacked.alert);
        let len = self.samples.points.len;
        let mut from = 1;
        while from <= len {
            let phase = self.samples.points.phase[from];
            let mut to = from + 1;
            while to <= len && self.samples.points.phase[to] == phase {
                to += 1;
            }
            if phase != self.phase || !self.started {
                self.turn_to(phase, from - 1);
            }
            self.running.add::<MISSING>(self.samples, from..to, self.totals.partial_s_mut());
            self.add_rare(has_thresholds_met, from..to);
            from = to;
        }
        if !self.state.rolling.is_empty() {
            self.samples.roll(self.state);
        }
        self.samples.turn();
    }

    #[inline(always)]
    fn add_rare(&mut self, has_thresholds_met: bool, steps: Range<usize>) {
        if has_thresholds_met {
            let Unpacked { alert, limits, .. } = self.unpacked;
            self.samples.add_time_above(alert, limits, steps.clone(), &mut self.totals);
        }
        if let Some(flow) = &self.unpacked.program.engine_flow {
            let phase = Phase::PARTS[usize::from(self.phase)];
            self.samples.add_dose(flow, phase, steps, &mut self.totals);
        }
    }

    /// Turns to another phase; sample `last`, at which it begins, belongs to
    /// both.
    #[inline(never)]
    fn turn_to(&mut self, phase: u8, last: usize) {
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
        self.running.observe(self.samples.points.time_s[last], &self.samples.values[last]);
    }
}

#[expect(clippy::unnecessary_box_returns, reason = "it goes back into its box")]
fn take_totals(state: &mut FlightState, phase: u8, program: &Program) -> Box<Totals> {
    state.phases[usize::from(phase)].take().unwrap_or_else(|| Box::new(Totals::new(program)))
}
