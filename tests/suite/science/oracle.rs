//! The naive implementation: everything in double precision, axes searched
//! from one end to the other, sixteen corners weighed one by one.
//!
//! It shares no code with the engine. What is missing at a corner of a cell is
//! missing in the cell, but where the corner has no weight: on a node of an
//! axis. A step counts when both its ends have a value.

use std::collections::BTreeMap;

use skydose::{
    field::Levels,
    grid::VerticalRule,
    trajectory::{Waypoint, phase::Phase},
};

use super::memory::Memory;

/// Between which places of a file's axis a point lies, and how much the
/// second one weighs.
type Between = (usize, usize, f64);

/// A field as the oracle sees it.
pub struct Oracle<'a> {
    pub field: &'a Memory,
    pub rule: VerticalRule,
    /// Whether the longitudes go all the way round.
    pub is_global: bool,
    /// `(a, b)` of the half levels of hybrid levels.
    pub half_levels: Vec<(f64, f64)>,
    pub member: usize,
}

/// What one phase, or the flight, came to.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    pub duration_s: f64,
    pub sampled_s: f64,
    pub dosage: f64,
    /// Value and time.
    pub peak: Option<(f64, f64)>,
    /// Least and most that the time above each threshold may be, for values
    /// known to a relative `SLACK`.
    pub above_s: Vec<(f64, f64)>,
}

/// Relative error that single-precision corners and weights may have.
pub const SLACK: f64 = 6e-7;

/// A corner weighs nothing where its part along an axis is smaller.
const NO_WEIGHT: f64 = 1e-6;

/// What a contaminant's variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    MixingRatio,
    Concentration,
}

/// ICAO standard atmosphere: temperature \[K\] at a pressure \[Pa\].
pub fn isa_temperature(pressure_pa: f64) -> f64 {
    let exponent = 287.052_87 * 0.006_5 / 9.806_65;
    let troposphere = 288.15 * (pressure_pa / 101_325.0).powf(exponent);
    let p20 = 5_474.89;
    if pressure_pa >= p20 {
        troposphere.max(216.65)
    } else {
        216.65 * (pressure_pa / p20).powf(-287.052_87 * 0.001 / 9.806_65)
    }
}

/// Density of moist air \[kg m⁻³\].
pub fn density(pressure_pa: f64, kelvin: f64, humidity: f64) -> f64 {
    pressure_pa / (287.06 * kelvin * (1.0 + 0.609 * humidity))
}

fn ascending(values: &[f64]) -> Vec<(f64, usize)> {
    let mut pairs: Vec<(f64, usize)> = values.iter().copied().zip(0..).collect();
    pairs.sort_by(|a, b| a.0.partial_cmp(&b.0).expect("numbers"));
    pairs
}

#[expect(clippy::float_cmp, reason = "an axis of one node is that very place")]
fn between(sorted: &[(f64, usize)], x: f64) -> Option<Between> {
    if let [(only, place)] = *sorted {
        return (x == only).then_some((place, place, 0.0));
    }
    // The last cell that begins at or before the point.
    let cell = sorted.windows(2).rfind(|w| w[0].0 <= x && x <= w[1].0)?;
    Some((cell[0].1, cell[1].1, (x - cell[0].0) / (cell[1].0 - cell[0].0)))
}

/// Layers that meet midway between levels: top, base, place in the file.
fn layers(sorted: &[(f64, usize)]) -> Vec<(f64, f64, usize)> {
    let step = |k: usize| sorted[k + 1].0 - sorted[k].0;
    let last = sorted.len() - 1;
    (0..=last)
        .map(|k| {
            let (here, place) = sorted[k];
            (here - 0.5 * step(k.saturating_sub(1)), here + 0.5 * step(k.min(last - 1)), place)
        })
        .collect()
}

impl Oracle<'_> {
    fn longitude(&self, longitudes: &[f64], x: f64) -> Option<Between> {
        let mut sorted = ascending(&longitudes.iter().map(|l| l.rem_euclid(360.0)).collect::<Vec<_>>());
        let n = sorted.len();
        if n > 1 {
            // Cells eastwards, and the widest of them is no cell in a region.
            let width = |i: usize| (sorted[(i + 1) % n].0 - sorted[i].0).rem_euclid(360.0);
            let widest = (0..n).fold(0, |best, i| if width(i) > width(best) { i } else { best });
            if !self.is_global {
                sorted.rotate_left((widest + 1) % n);
            }
        }
        let cells = if self.is_global { n } else { n - 1 };
        for i in 0..cells.max(1) {
            let (west, east) = (sorted[i], sorted[(i + 1) % n]);
            let width = (east.0 - west.0).rem_euclid(360.0);
            let into = (x - west.0).rem_euclid(360.0);
            if n == 1 {
                return (into == 0.0).then_some((west.1, west.1, 0.0));
            }
            if into < width || (into <= width && !self.is_global && i + 1 == cells) {
                return Some((west.1, east.1, into / width));
            }
        }
        None
    }

    fn surface_pa(&self, time: Between, latitude: Between, longitude: Between) -> f64 {
        let Some(variable) = self.field.find("sp") else { return f64::NAN };
        self.weigh(variable, time, (0, 0, 0.0), latitude, longitude).expect("surface pressure everywhere")
    }

    fn level(&self, levels: &Levels, pressure_pa: f64, surface_pa: f64) -> Option<Between> {
        let half = |n: usize| self.half_levels[n].0 + self.half_levels[n].1 * surface_pa;
        let full: Vec<f64> = match levels {
            Levels::Pressure(pa) => pa.clone(),
            Levels::Hybrid(hybrid) => {
                hybrid.numbers.iter().map(|&n| 0.5 * (half(n as usize - 1) + half(n as usize))).collect()
            }
            _ => panic!("not in these tests"),
        };
        let sorted = ascending(&full);
        match self.rule {
            VerticalRule::LinearP => between(&sorted, pressure_pa),
            VerticalRule::LogP => {
                let logarithms: Vec<(f64, usize)> = sorted.iter().map(|(p, i)| (p.ln(), *i)).collect();
                between(&logarithms, pressure_pa.ln())
            }
            VerticalRule::LayerMean => {
                let mut layers = match levels {
                    Levels::Hybrid(hybrid) => {
                        let numbers = hybrid.numbers.iter().map(|&n| n as usize).enumerate();
                        numbers.map(|(i, n)| (half(n - 1), half(n), i)).collect()
                    }
                    _ => layers(&sorted),
                };
                layers.retain(|(top, base, _)| *top <= pressure_pa && pressure_pa <= *base);
                // Of two that meet, the lower.
                let layer = layers.into_iter().max_by(|a, b| a.0.total_cmp(&b.0))?;
                Some((layer.2, layer.2, 0.0))
            }
        }
    }

    fn weigh(&self, variable: usize, t: Between, k: Between, y: Between, x: Between) -> Option<f64> {
        let member = if self.field.header(variable).members.is_empty() { 0 } else { self.member };
        let mut sum = 0.0;
        for corner in 0..16 {
            let side = |axis: Between, bit: usize| {
                if corner >> bit & 1 == 1 { (axis.1, axis.2) } else { (axis.0, 1.0 - axis.2) }
            };
            let sides = [side(t, 0), side(k, 1), side(y, 2), side(x, 3)];
            let [t, k, y, x] = sides.map(|side| side.0);
            let value = f64::from(self.field.value(variable, [member, t, k, y, x]));
            // A corner that is missing makes the sum so, where it has weight.
            if value.is_nan() && sides.iter().any(|side| side.1 < NO_WEIGHT) {
                continue;
            }
            sum += sides.iter().map(|side| side.1).product::<f64>() * value;
        }
        (!sum.is_nan()).then_some(sum)
    }

    /// A variable at a point; `None` outside the field or where it is missing.
    pub fn at(&self, name: &str, point: &Waypoint) -> Option<f64> {
        let variable = self.field.find(name)?;
        let header = self.field.header(variable);
        let time = between(&ascending(&header.times_s), point.time_s)?;
        let latitude = between(&ascending(&header.latitudes_deg), point.latitude_deg)?;
        let longitude = self.longitude(&header.longitudes_deg, point.longitude_deg)?;
        let surface_pa = self.surface_pa(time, latitude, longitude);
        let level = self.level(&header.levels, point.pressure.pascal(), surface_pa)?;
        self.weigh(variable, time, level, latitude, longitude)
    }

    fn density(&self, point: &Waypoint) -> Option<f64> {
        let pressure_pa = point.pressure.pascal();
        let kelvin = match self.field.find("t") {
            Some(_) => self.at("t", point)?,
            None => isa_temperature(pressure_pa),
        };
        let humidity = if self.field.find("q").is_some() { self.at("q", point)? } else { 0.0 };
        Some(density(pressure_pa, kelvin, humidity))
    }

    /// Mass concentration \[kg m⁻³\] at a point.
    pub fn concentration(&self, name: &str, stored: Stored, point: &Waypoint) -> Option<f64> {
        let value = self.at(name, point)?;
        Some(match stored {
            Stored::Concentration => value,
            Stored::MixingRatio => value * self.density(point)?,
        })
    }

    /// Mass mixing ratio \[kg kg⁻¹\] at a point.
    pub fn mixing_ratio(&self, name: &str, stored: Stored, point: &Waypoint) -> Option<f64> {
        let value = self.at(name, point)?;
        Some(match stored {
            Stored::MixingRatio => value,
            Stored::Concentration => value / self.density(point)?,
        })
    }
}

/// The figures of samples by the trapezoidal rule, of the flight and of each
/// phase; step `i` from sample `i` to the next is in phase `phases[i]`.
pub fn figures(
    samples: &[Waypoint],
    values: &[Option<f64>],
    phases: &[Phase],
    thresholds: &[f64],
) -> BTreeMap<Phase, Figures> {
    let mut all: BTreeMap<Phase, Figures> = BTreeMap::new();
    let flight = all.entry(Phase::Flight).or_insert_with(|| Figures::new(thresholds.len()));
    samples.iter().zip(values).for_each(|(sample, value)| flight.observe(*value, sample.time_s));
    for i in 1..samples.len() {
        let seconds = samples[i].time_s - samples[i - 1].time_s;
        for phase in [Phase::Flight, phases[i - 1]] {
            let figures = all.entry(phase).or_insert_with(|| Figures::new(thresholds.len()));
            figures.duration_s += seconds;
            figures.observe(values[i - 1], samples[i - 1].time_s);
            figures.observe(values[i], samples[i].time_s);
            if let (Some(a), Some(b)) = (values[i - 1], values[i]) {
                figures.sampled_s += seconds;
                figures.dosage += seconds * (a + b) / 2.0;
                for (above, threshold) in figures.above_s.iter_mut().zip(thresholds) {
                    above.0 += seconds * part_above(a, b, threshold * (1.0 + SLACK));
                    above.1 += seconds * part_above(a, b, threshold * (1.0 - SLACK));
                }
            }
        }
    }
    all
}

/// Part of the line from `a` to `b` that is not below `threshold`.
fn part_above(a: f64, b: f64, threshold: f64) -> f64 {
    match (a >= threshold, b >= threshold) {
        (true, true) => 1.0,
        (false, false) => 0.0,
        (true, false) => (a - threshold) / (a - b),
        (false, true) => (b - threshold) / (b - a),
    }
}

impl Figures {
    fn new(thresholds: usize) -> Self {
        Self { above_s: vec![(0.0, 0.0); thresholds], ..Self::default() }
    }

    /// Part of the time for which there was a value.
    pub fn fraction(&self) -> f64 {
        if self.duration_s > 0.0 { self.sampled_s / self.duration_s } else { f64::from(u8::from(self.peak.is_some())) }
    }

    /// Whether anything was sampled, for a time or at the one instant there is.
    pub fn is_known(&self) -> bool {
        self.sampled_s > 0.0 || (self.duration_s <= 0.0 && self.peak.is_some())
    }

    fn observe(&mut self, value: Option<f64>, time_s: f64) {
        if let Some(value) = value
            && self.peak.is_none_or(|(peak, _)| value > peak)
        {
            self.peak = Some((value, time_s));
        }
    }
}

/// The largest mean over a window, by brute force: between two instants at
/// which either end of the window meets a sample the mean is a parabola, known
/// by three of its points.
pub fn rolling_peak(window_s: f64, samples: &[(f64, Option<f64>)]) -> Option<f64> {
    let runs = samples.split(|s| s.1.is_none()).filter(|run| run.len() > 1);
    let of_run = |run: &[(f64, Option<f64>)]| {
        let line: Vec<(f64, f64)> = run.iter().filter_map(|s| Some((s.0, s.1?))).collect();
        let (first, last) = (line[0].0 + window_s, line[line.len() - 1].0);
        let mut instants: Vec<f64> = line.iter().flat_map(|s| [s.0, s.0 + window_s]).collect();
        instants.retain(|&t| t >= first && t <= last);
        instants.sort_by(f64::total_cmp);
        let mean = |t: f64| (integral(&line, t) - integral(&line, t - window_s)) / window_s;
        let tops = instants.windows(2).filter(|w| w[0] < w[1]).map(|w| {
            let (a, m, b) = (mean(w[0]), mean(0.5 * (w[0] + w[1])), mean(w[1]));
            let curvature = a - 2.0 * m + b;
            let turn = if curvature < 0.0 { (0.5 + (a - b) / (4.0 * curvature)).clamp(0.0, 1.0) } else { 0.0 };
            mean(w[0] + turn * (w[1] - w[0])).max(a).max(b)
        });
        tops.chain(instants.first().map(|&t| mean(t))).reduce(f64::max)
    };
    runs.filter_map(of_run).reduce(f64::max)
}

fn integral(line: &[(f64, f64)], upto: f64) -> f64 {
    line.windows(2)
        .map(|w| {
            let ((a, ca), (b, cb)) = (w[0], w[1]);
            let end = upto.clamp(a, b);
            0.5 * (ca + ca + (cb - ca) * (end - a) / (b - a)) * (end - a)
        })
        .sum()
}
