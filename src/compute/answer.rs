//! From states to answers: a row a contaminant and phase, and statistics over
//! the members of an ensemble.

use std::sync::Arc;

use super::{
    cpu::path::{Segment, part},
    run::{Flights, Passed},
    state::{FlightState, Totals},
};
use crate::{
    exposure::{
        Exposure, Peak,
        program::{Lane, Program, Quantity},
        request::Pass,
    },
    trajectory::{Trajectory, phase::Phase},
};

/// Quantiles over an ensemble's members, as results name them.
const QUANTILES: [(&str, f64); 5] = [("p05", 0.05), ("p25", 0.25), ("p50", 0.50), ("p75", 0.75), ("p95", 0.95)];

/// A sampled part of a duration that falls short of it by rounding alone: of
/// sums, and of times on their way to a GPU.
const WHOLE: f64 = 1.0 - 1e-6;

/// Makes the rows of flights from what the passes left.
pub struct Answers<'a> {
    passes: &'a [Pass],
    flights: &'a Flights<'a>,
    passed: &'a [Passed],
    /// Names of the members; empty without an ensemble.
    members: Vec<Arc<str>>,
}

/// When and for how long a flight was in a phase.
#[derive(Debug, Clone, Copy)]
struct Stay {
    phase: Phase,
    start_s: f64,
    end_s: f64,
    duration_s: f64,
}

/// A flight with its stays.
struct Subject<'a> {
    id: Arc<str>,
    flight: Trajectory<'a>,
    stays: Vec<Stay>,
}

impl<'a> Answers<'a> {
    /// Of `passed` passes over `flights`.
    #[must_use]
    pub fn new(passes: &'a [Pass], flights: &'a Flights<'a>, passed: &'a [Passed], members: &[String]) -> Self {
        Self { passes, flights, passed, members: members.iter().map(|m| Arc::from(m.as_str())).collect() }
    }

    /// The rows of one flight: by contaminant, phase and member.
    #[must_use]
    pub fn of(&self, index: usize) -> Vec<Exposure> {
        let Some(flight) = self.flights.fleet.get(index) else { return Vec::new() };
        let subject = Subject { id: flight.id.into(), flight, stays: stays(&flight, &self.flights.phases[index]) };
        let mut rows = Vec::new();
        for (pass, Pass { program, .. }) in self.passes.iter().enumerate() {
            for (lane, asked) in program.lanes.iter().enumerate() {
                if asked.quantity == Quantity::Concentration {
                    self.contaminant(&subject, index, pass, lane, &mut rows);
                }
            }
        }
        rows
    }

    fn contaminant(&self, subject: &Subject<'_>, index: usize, pass: usize, lane: usize, rows: &mut Vec<Exposure>) {
        let program = &self.passes[pass].program;
        let states: Vec<(&FlightState, Option<Totals>)> = self
            .passed
            .iter()
            .filter(|p| p.pass == pass)
            .map(|p| (&p.states[index], p.states[index].flight()))
            .collect();
        for stay in &subject.stays {
            let mut of_members: Vec<Exposure> = states
                .iter()
                .map(|(state, whole)| {
                    let totals = if stay.phase == Phase::Flight { whole.as_ref() } else { state.phase(stay.phase) };
                    row(subject, stay, program, lane, state, totals)
                })
                .collect();
            if self.members.is_empty() {
                rows.append(&mut of_members);
                continue;
            }
            let statistics = statistics(&of_members);
            for (row, member) in of_members.iter_mut().zip(&self.members) {
                row.member = Some(member.clone());
            }
            rows.append(&mut of_members);
            rows.extend(statistics);
        }
    }
}

/// The whole flight, then its phases in order.
fn stays(flight: &Trajectory<'_>, phases: &[Phase]) -> Vec<Stay> {
    let whole = Stay {
        phase: Phase::Flight,
        start_s: flight.start_s(),
        end_s: flight.end_s(),
        duration_s: flight.end_s() - flight.start_s(),
    };
    let mut found: [Option<Stay>; 4] = [None; 4];
    let steps = flight.time_s.windows(2).zip(phases);
    for (times, &phase) in steps {
        let index = usize::from(part(phase));
        let stay = found[index].get_or_insert(Stay {
            phase: Phase::PARTS[index],
            start_s: times[0],
            end_s: times[0],
            duration_s: 0.0,
        });
        stay.end_s = times[1];
        stay.duration_s += times[1] - times[0];
    }
    std::iter::once(whole).chain(found.into_iter().flatten()).collect()
}

fn row(
    subject: &Subject<'_>,
    stay: &Stay,
    program: &Program,
    lane: usize,
    state: &FlightState,
    totals: Option<&Totals>,
) -> Exposure {
    let asked = &program.lanes[lane];
    let peak = totals.map(|t| t.peak()[lane]).filter(|p| p.is_finite());
    let sampled_s = totals.map_or(0.0, |t| t.sampled_s(lane));
    let has_figures = totals.is_some_and(|t| has_value(t, lane, stay));
    let figure = |of: &dyn Fn(&Totals) -> f64| totals.filter(|_| has_figures).map(of);
    let sampled_fraction = sampled_fraction(totals, lane, stay);
    let dosage_kg = figure(&|t| t.dosage()[lane]);
    let is_flight = stay.phase == Phase::Flight;
    let mut time_above_s = above(program, lane, totals.filter(|_| has_figures));
    if let Some((index, _)) = ratio_lane(program, lane) {
        // Of less time than the row tells it would pass for a smaller figure.
        let known = totals.filter(|t| has_value(t, index, stay) && t.sampled_s(index) >= sampled_s * WHOLE);
        time_above_s.extend(above(program, index, known));
    }
    Exposure {
        flight_id: subject.id.clone(),
        contaminant: asked.contaminant.clone(),
        phase: stay.phase,
        member: None,
        start_s: stay.start_s,
        end_s: stay.end_s,
        duration_s: stay.duration_s,
        sampled_fraction,
        dosage_g_s_m3: dosage_kg.map(|kg| kg * 1e3),
        mean_mg_m3: dosage_kg.filter(|_| sampled_s > 0.0).map(|kg| kg / sampled_s * 1e6),
        peak: totals.zip(peak).map(|(t, value)| place(&subject.flight, value, t.peak_time_s()[lane])),
        rolling_peak_mg_m3: is_flight.then(|| state.rolling_peak(lane)).flatten().map(|kg| kg * 1e6),
        rolling_window_s: asked.rolling_window_s.filter(|_| is_flight),
        dose_g: program.engine_flow.as_ref().and_then(|_| figure(&|t| t.dose()[lane] * 1e3)).filter(|g| !g.is_nan()),
        time_above_s,
        exceedance: exceedance(program, lane, totals, stay),
    }
}

/// Whether a lane was sampled for any time, or at the one instant that there is.
fn has_value(totals: &Totals, lane: usize, stay: &Stay) -> bool {
    totals.sampled_s(lane) > 0.0 || (stay.duration_s <= 0.0 && totals.peak()[lane].is_finite())
}

/// Part of a stay for which a lane had a value.
fn sampled_fraction(totals: Option<&Totals>, lane: usize, stay: &Stay) -> f64 {
    let Some(totals) = totals else { return 0.0 };
    if stay.duration_s > 0.0 {
        let fraction = totals.sampled_s(lane) / stay.duration_s;
        if fraction >= WHOLE { 1.0 } else { fraction }
    } else {
        f64::from(u8::from(totals.peak()[lane].is_finite()))
    }
}

/// The lane of mixing ratio beside a lane of concentration.
fn ratio_lane(program: &Program, lane: usize) -> Option<(usize, &Lane)> {
    let next = program.lanes.get(lane + 1)?;
    let belongs = next.quantity == Quantity::MixingRatio && next.contaminant == program.lanes[lane].contaminant;
    belongs.then_some((lane + 1, next))
}

fn above(program: &Program, lane: usize, totals: Option<&Totals>) -> Vec<(Arc<str>, Option<f64>)> {
    let above_s = totals.map(|totals| totals.above_s(program, lane));
    let thresholds = program.lanes[lane].thresholds.iter().enumerate();
    thresholds.map(|(i, t)| (t.label.clone(), above_s.map(|above_s| above_s[i]))).collect()
}

/// Whether each threshold was reached, as 1 or 0; `None` where it was not and
/// part of the time is not known.
fn exceedance(program: &Program, lane: usize, totals: Option<&Totals>, stay: &Stay) -> Vec<(Arc<str>, Option<f64>)> {
    let reached = |lane: usize, value: f64, limit: f64| {
        let is_whole = sampled_fraction(totals, lane, stay) >= WHOLE;
        if value >= limit { Some(1.0) } else { is_whole.then_some(0.0) }
    };
    let asked = &program.lanes[lane];
    let peak = |lane: usize, limit: f64| reached(lane, totals?.peak()[lane], limit);
    let mut all: Vec<_> = asked.thresholds.iter().map(|t| (t.label.clone(), peak(lane, t.value))).collect();
    if let Some((index, ratio)) = ratio_lane(program, lane) {
        all.extend(ratio.thresholds.iter().map(|t| (t.label.clone(), peak(index, t.value))));
    }
    let dosage = |limit: f64| reached(lane, totals?.dosage()[lane], limit);
    all.extend(asked.dosage_limits.iter().map(|limit| (limit.label.clone(), dosage(limit.value))));
    all
}

/// A peak with the place where the flight was at that instant.
fn place(flight: &Trajectory<'_>, value: f64, time_s: f64) -> Peak {
    let after = flight.time_s.partition_point(|&t| t < time_s).min(flight.len() - 1);
    let (longitude_deg, latitude_deg, pressure_pa) = if after == 0 || flight.time_s[after] <= time_s {
        (flight.longitude_deg[after], flight.latitude_deg[after], flight.pressure_pa[after])
    } else {
        Segment::new(flight, after).at(time_s)
    };
    Peak { mg_m3: value * 1e6, time_s, longitude_deg, latitude_deg, pressure_hpa: pressure_pa / 100.0 }
}

/// Mean and quantiles over the members of one flight, contaminant and phase.
/// A figure that a member lacks is lacking in the statistics.
fn statistics(members: &[Exposure]) -> Vec<Exposure> {
    let Some(first) = members.first() else { return Vec::new() };
    let over = |of: &dyn Fn(&Exposure) -> Option<f64>, statistic: &dyn Fn(&[f64]) -> f64| {
        let values: Option<Vec<f64>> = members.iter().map(of).collect();
        values.map(|mut values| {
            values.sort_by(f64::total_cmp);
            statistic(&values)
        })
    };
    let summary = |name: &str, statistic: &dyn Fn(&[f64]) -> f64| Exposure {
        member: Some(name.into()),
        sampled_fraction: members.iter().map(|m| m.sampled_fraction).fold(1.0, f64::min),
        dosage_g_s_m3: over(&|m| m.dosage_g_s_m3, statistic),
        mean_mg_m3: over(&|m| m.mean_mg_m3, statistic),
        peak: over(&|m| m.peak.map(|p| p.mg_m3), statistic).map(|mg_m3| Peak {
            mg_m3,
            time_s: f64::NAN,
            longitude_deg: f64::NAN,
            latitude_deg: f64::NAN,
            pressure_hpa: f64::NAN,
        }),
        rolling_peak_mg_m3: over(&|m| m.rolling_peak_mg_m3, statistic),
        dose_g: over(&|m| m.dose_g, statistic),
        time_above_s: (0..first.time_above_s.len())
            .map(|i| (first.time_above_s[i].0.clone(), over(&|m| m.time_above_s[i].1, statistic)))
            .collect(),
        exceedance: (0..first.exceedance.len())
            .map(|i| (first.exceedance[i].0.clone(), over(&|m| m.exceedance[i].1, &mean)))
            .collect(),
        ..first.clone()
    };
    let mut rows = vec![summary("mean", &mean)];
    rows.extend(QUANTILES.iter().map(|&(name, q)| summary(name, &|values| quantile(values, q))));
    rows
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Linear between order statistics of sorted values (Hyndman and Fan 1996,
/// type 7; what `NumPy` does).
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let position = q * (sorted.len() - 1) as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the slice")]
    let below = position.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (position - below as f64) * (sorted[above] - sorted[below])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_numpy() {
        // numpy.quantile([1, 2, 4, 8], [0.05, 0.25, 0.5, 0.95])
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (q, expected) in [(0.05, 1.15), (0.25, 1.75), (0.5, 3.0), (0.95, 7.4), (1.0, 8.0)] {
            assert!((quantile(&sorted, q) - expected).abs() < 1e-12, "{q}");
        }
    }
}
