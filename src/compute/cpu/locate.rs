//! From positions to cells.

use super::{
    gather::{Cell, Cells, Slabs},
    path::Points,
};
use crate::{compute::Window, field::slab::Slab, grid::axis::walk};

/// Finds the cells of points, one flight after another; remembers where the
/// last one was, for the next is near.
pub(super) struct Locator<'a> {
    window: &'a Window<'a>,
    plane: usize,
    row: usize,
    levels_stand_alone: bool,
    time: usize,
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
            level: 0,
            latitude: 0,
            longitude: 0,
        }
    }

    /// The cells of all points, and which points lie inside the field; asks
    /// for the corners of each new cell as soon as it is known.
    #[inline(always)]
    pub(super) fn locate<const S: usize>(
        &mut self,
        points: &Points,
        slabs: &Slabs<'_>,
        cells: &mut Cells,
        inside: &mut [bool],
    ) {
        let mut last = (u32::MAX, u32::MAX);
        for i in 0..points.len {
            let found =
                self.cell(points.time_s[i], points.longitude_deg[i], points.latitude_deg[i], points.pressure_pa[i]);
            inside[i] = found.is_some();
            if let Some(cell) = found {
                if (cell.point, cell.slab) != last {
                    slabs.prefetch::<S>(&cell);
                    last = (cell.point, cell.slab);
                }
                cells.set(i, &cell);
            }
        }
    }

    #[inline(always)]
    fn cell(&mut self, time_s: f64, longitude_deg: f64, latitude_deg: f64, pressure_pa: f64) -> Option<Cell> {
        let grid = self.window.grid;
        let (time, time_weight) = self.time(time_s)?;
        let longitude = grid.longitude.column_from(longitude_deg, &mut self.longitude)?;
        let latitude = grid.latitude.locate_from(latitude_deg, &mut self.latitude)?;
        let column = latitude.index * self.row + longitude.index;
        #[expect(clippy::cast_possible_truncation, reason = "a slab has fewer than 2^32 points; weights are f32")]
        let mut cell = Cell {
            point: column as u32,
            slab: (time - self.window.first) as u32,
            time: time_weight as f32,
            level: 0.0,
            latitude: latitude.weight as f32,
            longitude: longitude.weight as f32,
        };
        let surface_pa = if grid.levels.needs_surface_pressure() { self.surface_pa(&cell) } else { f64::NAN };
        let level = grid.levels.locate_from(pressure_pa, surface_pa, &mut self.level)?;
        #[expect(clippy::cast_possible_truncation, reason = "a slab has fewer than 2^32 points; weights are f32")]
        {
            cell.point += (level.index * self.plane) as u32;
            cell.level = if self.levels_stand_alone { 0.0 } else { level.weight as f32 };
        }
        Some(cell)
    }

    /// Index of the earlier time in the whole axis, and the later one's weight.
    #[inline(always)]
    fn time(&mut self, time_s: f64) -> Option<(usize, f64)> {
        let times = self.window.times_s;
        let last = times.len() - 1;
        if !(time_s >= times[0] && time_s <= times[last]) {
            return None;
        }
        if last == 0 {
            return Some((0, 0.0));
        }
        let index = walk(times, time_s, self.time);
        self.time = index;
        let (low, high) = (times[index], times[index + 1]);
        Some((index, (time_s - low) / (high - low)))
    }

    /// Surface pressure at the point \[Pa\], bilinear and linear in time.
    fn surface_pa(&self, cell: &Cell) -> f64 {
        let slabs = self.window.slabs;
        let earlier = &slabs[cell.slab as usize];
        let later = slabs.get(cell.slab as usize + 1).unwrap_or(earlier);
        let (wx, wy, wt) = (f64::from(cell.longitude), f64::from(cell.latitude), f64::from(cell.time));
        let at = |slab: &Slab, point: usize| slab.surface_pa().get(point).copied().map_or(f64::NAN, f64::from);
        // A neighbour without weight is not looked at: it may not exist.
        let between = |a: f64, w: f64, b: &dyn Fn() -> f64| if w > 0.0 { a + w * (b() - a) } else { a };
        let bilinear = |slab: &Slab| {
            let along = |point: usize| between(at(slab, point), wx, &|| at(slab, point + 1));
            let south = cell.point as usize;
            between(along(south), wy, &|| along(south + self.row))
        };
        between(bilinear(earlier), wt, &|| bilinear(later))
    }
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
