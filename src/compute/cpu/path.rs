//! The samples of a path: the waypoints, and those between them.

use crate::{
    atmosphere::{isa_altitude, isa_pressure},
    compute::state::Cursor,
    exposure::program::Integration,
    grid::{Grid, finest_between},
    trajectory::{Trajectory, geodesy::GreatCircle, phase::Phase},
    units::{Altitude, Pressure},
};

/// Samples a grid cell is given along each axis: with linear interpolation
/// and the trapezoidal rule, four keep the error of a smooth plume below
/// 0.1 % (see the convergence tests).
const STEPS_PER_CELL: f64 = 4.0;
/// In a layered axis the values jump between layers, and the error is half a
/// step's share of the jump.
const STEPS_PER_LAYER: f64 = 32.0;
/// No segment is cut finer than this: near a pole meridians crowd together
/// without end.
const MOST_STEPS: usize = 4096;

/// A segment that is a whole number of steps long but for rounding is cut into
/// that many, so that every backend cuts it alike.
const WHOLE_STEP: f64 = 1e-6;

/// How many samples are taken at a time.
pub(super) const BLOCK: usize = 64;

/// A block of samples in columns, at 1 to `len`; at 0 stands the last sample
/// of the block before.
pub(super) struct Points {
    pub len: usize,
    pub time_s: [f64; BLOCK + 1],
    pub longitude_deg: [f64; BLOCK + 1],
    pub latitude_deg: [f64; BLOCK + 1],
    pub pressure_pa: [f64; BLOCK + 1],
    /// Index in [`Phase::PARTS`] of the step that ends at the sample.
    pub phase: [u8; BLOCK + 1],
}

/// How finely a grid is to be sampled: steps a unit along each axis.
pub(crate) struct Steps {
    integration: Integration,
    /// Of the levels or the layers' boundaries, downwards.
    levels_pa: Vec<f64>,
    per_longitude_deg: f64,
    per_latitude_deg: f64,
    per_level: f64,
    per_second: f64,
    /// First and last instant of the field.
    range_s: (f64, f64),
}

/// A flight with the label of each of its waypoints.
#[derive(Clone, Copy)]
pub(super) struct Labelled<'a> {
    pub flight: Trajectory<'a>,
    pub phases: &'a [Phase],
}

impl Steps {
    pub(crate) fn new(integration: Integration, grid: &Grid, times_s: &[f64]) -> Self {
        let range_s = (times_s[0], times_s[times_s.len() - 1]);
        let shortest = times_s.windows(2).map(|w| w[1] - w[0]).fold(f64::INFINITY, f64::min);
        let per_level = if grid.levels.is_layered() { STEPS_PER_LAYER } else { STEPS_PER_CELL };
        Self {
            integration,
            levels_pa: grid.levels.pressures_pa(),
            per_longitude_deg: STEPS_PER_CELL / grid.longitude.finest_step(),
            per_latitude_deg: STEPS_PER_CELL / grid.latitude.finest_step(),
            per_level,
            per_second: STEPS_PER_CELL / shortest,
            range_s,
        }
    }

    /// Steps a degree of longitude, a degree of latitude, a level and a second.
    pub(crate) fn densities(&self) -> [f64; 4] {
        [self.per_longitude_deg, self.per_latitude_deg, self.per_level, self.per_second]
    }

    /// Into how many equal parts the segment that ends at `waypoint` is cut.
    fn count(&self, flight: &Trajectory<'_>, waypoint: usize) -> usize {
        let (a, b) = (waypoint - 1, waypoint);
        let turn = (flight.longitude_deg[b] - flight.longitude_deg[a]).abs();
        let longitude = turn.min(360.0 - turn) * self.per_longitude_deg;
        let latitude = (flight.latitude_deg[b] - flight.latitude_deg[a]).abs() * self.per_latitude_deg;
        let time = (flight.time_s[b] - flight.time_s[a]) * self.per_second;
        let (p0, p1) = (flight.pressure_pa[a], flight.pressure_pa[b]);
        let level = if p0.to_bits() == p1.to_bits() {
            0.0
        } else {
            (p1 - p0).abs() / finest_between(&self.levels_pa, p0, p1) * self.per_level
        };
        let steps = (longitude.max(latitude).max(time).max(level) - WHOLE_STEP).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; the bounds follow")]
        let steps = steps as usize;
        steps.clamp(1, MOST_STEPS)
    }

    /// The instants of the samples of a segment across the first or the last
    /// instant of the field, with a sample right there; `None` for others.
    fn instants_at_edges(&self, flight: &Trajectory<'_>, waypoint: usize, parts: usize) -> Option<Vec<f64>> {
        if waypoint == 0 {
            return None;
        }
        let (start, end) = (flight.time_s[waypoint - 1], flight.time_s[waypoint]);
        let edges = [self.range_s.0, self.range_s.1];
        if !edges.iter().any(|&edge| start < edge && edge < end) {
            return None;
        }
        let mut instants: Vec<f64> = (1..=parts).map(|k| instant(flight, waypoint, k, parts)).collect();
        for edge in edges {
            if start < edge && edge < end && !instants.contains(&edge) {
                instants.push(edge);
            }
        }
        instants.sort_unstable_by(f64::total_cmp);
        Some(instants)
    }
}

impl Points {
    pub(super) fn new() -> Self {
        Self {
            len: 0,
            time_s: [f64::NAN; BLOCK + 1],
            longitude_deg: [f64::NAN; BLOCK + 1],
            latitude_deg: [f64::NAN; BLOCK + 1],
            pressure_pa: [f64::NAN; BLOCK + 1],
            phase: [0; BLOCK + 1],
        }
    }

    /// Takes the next samples earlier than `end_s`; none are left when the
    /// block stays empty.
    pub(super) fn fill(&mut self, path: &Labelled<'_>, steps: &Steps, cursor: &mut Cursor, end_s: f64) {
        self.len = 0;
        match steps.integration {
            Integration::Waypoints => self.copy(path, cursor, end_s),
            Integration::Path => self.refine(path, steps, cursor, end_s),
        }
    }

    #[inline(always)]
    fn copy(&mut self, path: &Labelled<'_>, cursor: &mut Cursor, end_s: f64) {
        let flight = &path.flight;
        let from = cursor.waypoint;
        let mut to = (from + BLOCK).min(flight.len());
        if to > from && flight.time_s[to - 1] >= end_s {
            to = from + flight.time_s[from..to].partition_point(|&t| t < end_s);
        }
        let n = to - from;
        self.time_s[1..=n].copy_from_slice(&flight.time_s[from..to]);
        self.longitude_deg[1..=n].copy_from_slice(&flight.longitude_deg[from..to]);
        self.latitude_deg[1..=n].copy_from_slice(&flight.latitude_deg[from..to]);
        self.pressure_pa[1..=n].copy_from_slice(&flight.pressure_pa[from..to]);
        // The first waypoint belongs to the step that follows it.
        let first = from.saturating_sub(1);
        self.phase[1] = part(path.phases[first]);
        let after_first = 1 + from - first;
        for (phase, &label) in self.phase[2..=n.max(1)].iter_mut().zip(&path.phases[after_first + first - 1..]) {
            *phase = part(label);
        }
        self.len = n;
        cursor.waypoint = to;
    }

    fn refine(&mut self, path: &Labelled<'_>, steps: &Steps, cursor: &mut Cursor, end_s: f64) {
        let flight = &path.flight;
        while self.len < BLOCK && cursor.waypoint < flight.len() {
            let waypoint = cursor.waypoint;
            let phase = part(path.phases[waypoint.saturating_sub(1)]);
            let parts = if waypoint == 0 { 1 } else { steps.count(flight, waypoint) };
            let edged = steps.instants_at_edges(flight, waypoint, parts);
            let count = edged.as_ref().map_or(parts, Vec::len);
            let segment = (count > 1).then(|| Segment::new(flight, waypoint));
            while cursor.step < count {
                let is_last = cursor.step + 1 == count;
                let time_s = match &edged {
                    Some(instants) => instants[cursor.step],
                    None if is_last => flight.time_s[waypoint],
                    None => instant(flight, waypoint, cursor.step + 1, parts),
                };
                if self.len == BLOCK || time_s >= end_s {
                    return;
                }
                let place = match &segment {
                    Some(segment) if !is_last => segment.at(time_s),
                    _ => waypoint_at(flight, waypoint),
                };
                self.push(time_s, place, phase);
                cursor.step += 1;
            }
            *cursor = Cursor { waypoint: waypoint + 1, step: 0 };
        }
    }

    fn push(&mut self, time_s: f64, place: (f64, f64, f64), phase: u8) {
        self.len += 1;
        let i = self.len;
        self.time_s[i] = time_s;
        (self.longitude_deg[i], self.latitude_deg[i], self.pressure_pa[i]) = place;
        self.phase[i] = phase;
    }
}

fn instant(flight: &Trajectory<'_>, waypoint: usize, k: usize, parts: usize) -> f64 {
    let (t0, t1) = (flight.time_s[waypoint - 1], flight.time_s[waypoint]);
    if k == parts { t1 } else { t0 + (t1 - t0) * (k as f64 / parts as f64) }
}

/// Longitude, latitude and pressure of a waypoint.
fn waypoint_at(flight: &Trajectory<'_>, waypoint: usize) -> (f64, f64, f64) {
    (flight.longitude_deg[waypoint], flight.latitude_deg[waypoint], flight.pressure_pa[waypoint])
}

/// Index in [`Phase::PARTS`], whose phases follow [`Phase::Flight`] in their
/// order; a label that names no part counts as cruise.
#[inline(always)]
pub(crate) fn part(phase: Phase) -> u8 {
    if phase == Phase::Flight { Phase::Cruise as u8 - 1 } else { phase as u8 - 1 }
}

/// The way between two waypoints: a great circle at constant speed, pressure
/// altitude linear in time.
pub(crate) struct Segment {
    circle: GreatCircle,
    time_s: (f64, f64),
    pressure_pa: f64,
    /// Pressure altitudes \[m\]; `None` in level flight.
    altitude_m: Option<(f64, f64)>,
}

impl Segment {
    /// The segment that ends at `waypoint` ≥ 1.
    pub(crate) fn new(flight: &Trajectory<'_>, waypoint: usize) -> Self {
        let (a, b) = (waypoint - 1, waypoint);
        let (p0, p1) = (flight.pressure_pa[a], flight.pressure_pa[b]);
        let altitude = |p| isa_altitude(Pressure::from_pascal(p)).metres();
        Self {
            circle: GreatCircle::new(
                flight.longitude_deg[a],
                flight.latitude_deg[a],
                flight.longitude_deg[b],
                flight.latitude_deg[b],
            ),
            time_s: (flight.time_s[a], flight.time_s[b]),
            pressure_pa: p0,
            altitude_m: (p0.to_bits() != p1.to_bits()).then(|| (altitude(p0), altitude(p1))),
        }
    }

    /// Longitude, latitude \[degrees\] and pressure \[Pa\] at an instant within.
    pub(crate) fn at(&self, time_s: f64) -> (f64, f64, f64) {
        let f = (time_s - self.time_s.0) / (self.time_s.1 - self.time_s.0);
        let (longitude, latitude) = self.circle.at(f);
        let pressure = self
            .altitude_m
            .map_or(self.pressure_pa, |(h0, h1)| isa_pressure(Altitude::from_metres(h0 + f * (h1 - h0))).pascal());
        (longitude, latitude, pressure)
    }
}
