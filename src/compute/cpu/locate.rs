//! From positions to cells.

use super::{
    gather::{Cells, Slabs},
    node::NO_WEIGHT,
    path::{BLOCK, Points},
};
use crate::{
    compute::Window,
    field::slab::Slab,
    grid::{Located, axis::walk},
};

/// Finds the cells of points, one flight after another; remembers where the
/// last one was, for the next is near.
pub(super) struct Locator<'a> {
    window: &'a Window<'a>,
    plane: usize,
    row: usize,
    levels_stand_alone: bool,
    time: usize,
    /// One over the length of the interval `time`; NaN before the first.
    per_second: f64,
    level: usize,
    latitude: usize,
    longitude: usize,
}

impl<'a> Locator<'a> {
    pub(super) fn new(window: &'a Window<'a>) -> Self {
        let grid = window.grid;
        let row = grid.longitude.columns();
        Self {
            window,
            plane: row * grid.latitude.len(),
            row,
            levels_stand_alone: stand_alone(window),
            time: window.first,
            per_second: f64::NAN,
            level: 0,
            latitude: 0,
            longitude: 0,
        }
    }

    /// The cells of all points, and which points lie inside the field; tells
    /// whether all of them do.
    #[inline(always)]
    pub(super) fn locate(&mut self, points: &Points, cells: &mut Cells, inside: &mut [bool]) -> bool {
        let n = points.len;
        let grid = self.window.grid;
        let inside = &mut inside[..n];
        inside.fill(true);
        self.times(&points.time_s[1..=n], cells, inside);
        let (mut column, mut row, mut level) = ([0; BLOCK], [0; BLOCK], [0; BLOCK]);
        let mut out = Located { index: &mut column[..n], weight: &mut cells.longitude[..n], inside };
        grid.longitude.columns_block(&points.longitude_deg[1..=n], &mut out, &mut self.longitude);
        let mut out = Located { index: &mut row[..n], weight: &mut cells.latitude[..n], inside };
        grid.latitude.locate_block(&points.latitude_deg[1..=n], &mut out, &mut self.latitude);
        #[expect(clippy::cast_possible_truncation, reason = "a slab has fewer than 2^32 points")]
        let (per_row, per_plane) = (self.row as u32, self.plane as u32);
        for ((point, row), column) in cells.point[..n].iter_mut().zip(&row).zip(&column) {
            *point = row * per_row + column;
        }
        let mut surface_pa = [f64::NAN; BLOCK];
        if grid.levels.needs_surface_pressure() {
            for i in 0..n {
                if inside[i] {
                    surface_pa[i] = self.surface_pa(cells, i);
                }
            }
        }
        let mut out = Located { index: &mut level[..n], weight: &mut cells.level[..n], inside };
        grid.levels.locate_block(&points.pressure_pa[1..=n], &surface_pa[..n], &mut out, &mut self.level);
        for (point, level) in cells.point[..n].iter_mut().zip(&level) {
            *point += level * per_plane;
        }
        if self.levels_stand_alone {
            cells.level[..n].fill(0.0);
        }
        find_runs(cells, n);
        inside.iter().fold(true, |all, &inside| all & inside)
    }

    /// Slabs and weights of a block of instants.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "slabs are fewer than 2^32")]
    fn times(&mut self, time_s: &[f64], cells: &mut Cells, inside: &mut [bool]) {
        let mut from = 0;
        while from < time_s.len() {
            let rest = &time_s[from..];
            let Some((low, high)) = self.interval(rest[0]) else {
                // No interval, or none that goes on: the instant by itself.
                match self.time(rest[0]) {
                    Some((slab, weight)) => (cells.slab[from], cells.time[from]) = (slab, weight),
                    None => inside[from] = false,
                }
                from += 1;
                continue;
            };
            #[expect(clippy::needless_bitwise_bool, reason = "without branches")]
            let is_within = |time_s: f64| (time_s >= low) & (time_s < high);
            // A block seldom leaves the interval of its first instant.
            let all = rest.iter().fold(true, |all, &time_s| all & is_within(time_s));
            let len = if all { rest.len() } else { rest.iter().take_while(|&&time_s| is_within(time_s)).count() };
            for (weight, &time_s) in cells.time[from..from + len].iter_mut().zip(rest) {
                *weight = weight_within(time_s, low, self.per_second);
            }
            cells.slab[from..from + len].fill((self.time - self.window.first) as u32);
            from += len;
        }
    }

    /// The field's interval that an instant lies in, which it makes the
    /// current one; `None` at its end.
    #[inline(always)]
    fn interval(&mut self, time_s: f64) -> Option<(f64, f64)> {
        self.time(time_s)?;
        let (low, high) = (self.window.times_s[self.time], *self.window.times_s.get(self.time + 1)?);
        (time_s < high).then_some((low, high))
    }

    /// The slab of the earlier time, counted from the window's first, and the
    /// later one's weight.
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "fewer than 2^32 times")]
    fn time(&mut self, time_s: f64) -> Option<(u32, f32)> {
        let times = self.window.times_s;
        let last = times.len() - 1;
        if !(time_s >= times[0] && time_s <= times[last]) {
            return None;
        }
        if last == 0 {
            return Some((0, 0.0));
        }
        let index = walk(times, time_s, self.time);
        let low = times[index];
        if index != self.time || self.per_second.is_nan() {
            self.time = index;
            self.per_second = 1.0 / (times[index + 1] - low);
        }
        Some(((index - self.window.first) as u32, weight_within(time_s, low, self.per_second)))
    }

    /// Surface pressure at the point \[Pa\], bilinear and linear in time.
    fn surface_pa(&self, cells: &Cells, i: usize) -> f64 {
        let (slabs, slab) = (self.window.slabs, cells.slab[i] as usize);
        let earlier = &slabs[slab];
        let later = slabs.get(slab + 1).unwrap_or(earlier);
        let (wx, wy, wt) = (f64::from(cells.longitude[i]), f64::from(cells.latitude[i]), f64::from(cells.time[i]));
        let at = |slab: &Slab, point: usize| slab.surface_pa().get(point).copied().map_or(f64::NAN, f64::from);
        let bilinear = |slab: &Slab| {
            let along = |point: usize| between(at(slab, point), wx, &|| at(slab, point + 1));
            let south = cells.point[i] as usize;
            between(along(south), wy, &|| along(south + self.row))
        };
        between(bilinear(earlier), wt, &|| bilinear(later))
    }
}

/// `a + w (b − a)`. A neighbour without weight is not looked at, for it may not
/// exist; one without a value counts as [`super::node`] says.
fn between(a: f64, w: f64, b: &dyn Fn() -> f64) -> f64 {
    if w <= 0.0 {
        return a;
    }
    let b = b();
    let value = a + w * (b - a);
    if !value.is_nan() {
        value
    } else if w < f64::from(NO_WEIGHT) {
        a
    } else if w > f64::from(1.0 - NO_WEIGHT) {
        b
    } else {
        f64::NAN
    }
}

/// Weight of the end of an interval that begins at `low`.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "weights are f32")]
fn weight_within(time_s: f64, low: f64, per_second: f64) -> f32 {
    let weight = (time_s - low) * per_second;
    (if weight < 1.0 { weight } else { 1.0 }) as f32
}

/// Notes which of the first `n` points have another cell than the one before.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^16 points")]
fn find_runs(cells: &mut Cells, n: usize) {
    let mut last = (u32::MAX, u32::MAX);
    let mut runs = 0;
    for i in 0..n.min(BLOCK) {
        let cell = (cells.point[i], cells.slab[i]);
        // Written in any case and kept where it is new: there is no telling
        // from point to point.
        cells.start[runs % BLOCK] = i as u16;
        runs += usize::from(cell != last);
        last = cell;
    }
    cells.runs = runs;
}

/// Whether one level alone gives a point's value.
fn stand_alone(window: &Window<'_>) -> bool {
    window.grid.levels.is_layered() || window.grid.levels.len() == 1
}

impl<'a> Slabs<'a> {
    pub(super) fn of(window: &'a Window<'a>) -> Self {
        let grid = window.grid;
        let row = grid.longitude.columns();
        let mut values: Vec<&[f32]> = window.slabs.iter().map(|slab| slab.values()).collect();
        values.extend(values.last().copied());
        Self {
            values,
            plane: if stand_alone(window) { 0 } else { row * grid.latitude.len() },
            row: if grid.latitude.len() > 1 { row } else { 0 },
        }
    }
}
