//! A program as the kernel wants it: numbers a lane side by side.

use super::reduce::Limit;
use crate::{
    atmosphere::{density, isa_temperature},
    exposure::program::Program,
    units::{Dimension, Pressure, Temperature},
};

/// A program unpacked for `S` channels.
pub(super) struct Unpacked<'a, const S: usize> {
    pub program: &'a Program,
    pub lanes: usize,
    /// Lane = v (a + b ρ + c / ρ), of which one is 1 and two are 0.
    pub a: [f32; S],
    pub b: [f32; S],
    pub c: [f32; S],
    /// χ = v (a + c / ρ), for the dose; one is 1 and the other 0.
    pub dose_a: [f32; S],
    pub dose_c: [f32; S],
    /// At or below the lowest threshold of each lane; ∞ where there is none.
    pub alert: [f32; S],
    /// All thresholds, lane by lane.
    pub limits: Vec<Limit>,
    pub has_density: bool,
    pub has_log: bool,
    /// Whether what is stored is what is reduced, and nothing else is asked.
    pub is_plain: bool,
}

impl<'a, const S: usize> Unpacked<'a, S> {
    pub(super) fn new(program: &'a Program) -> Self {
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
    pub(super) fn density(&self, channels: &[f32; S], pressure_pa: f64) -> f64 {
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
    pub(super) fn undo_logarithms(&self, stored: &mut [f32; S]) {
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
