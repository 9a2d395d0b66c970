//! Values at a point: the corners of its cell, weighed in time, height,
//! latitude and longitude.

use super::{path::BLOCK, vector::Vectors};
use crate::compute::prefetch;

/// Values a cache line.
const LINE: usize = 16;

/// Where a point lies in a field, and how its corners weigh.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cell {
    /// Grid point of the cell's lowest corner, in points of a slab.
    pub point: u32,
    /// Slab of the earlier time, counted from the window's first.
    pub slab: u32,
    /// Of the later time.
    pub time: f32,
    /// Of the next level.
    pub level: f32,
    /// Of the next latitude.
    pub latitude: f32,
    /// Of the next longitude.
    pub longitude: f32,
}

/// The cells of a block of points, in columns: a cell is written and read one
/// number at a time, and the processor forwards each from its own store.
pub(super) struct Cells {
    pub point: [u32; BLOCK],
    pub slab: [u32; BLOCK],
    pub time: [f32; BLOCK],
    pub level: [f32; BLOCK],
    pub latitude: [f32; BLOCK],
    pub longitude: [f32; BLOCK],
    /// Whether the corners are other ones than those of the point before.
    pub is_new: [bool; BLOCK],
}

impl Cells {
    pub(super) fn new() -> Self {
        Self {
            point: [0; BLOCK],
            slab: [0; BLOCK],
            time: [0.0; BLOCK],
            level: [0.0; BLOCK],
            latitude: [0.0; BLOCK],
            longitude: [0.0; BLOCK],
            is_new: [false; BLOCK],
        }
    }

    #[inline(always)]
    pub(super) fn get(&self, i: usize) -> Cell {
        Cell {
            point: self.point[i],
            slab: self.slab[i],
            time: self.time[i],
            level: self.level[i],
            latitude: self.latitude[i],
            longitude: self.longitude[i],
        }
    }
}

/// The slabs of a window, and how far apart neighbours are in them.
pub(super) struct Slabs<'a> {
    /// One more than the window has: the last one twice, so that a cell has a
    /// later slab in a field of one time too.
    pub values: Vec<&'a [f32]>,
    /// Points to the next level; 0 where a level stands alone: in a layered
    /// axis, and in one of a single level.
    pub plane: usize,
    /// Points to the next latitude; 0 on an axis of one.
    pub row: usize,
}

impl Slabs<'_> {
    /// All channels at a cell's point, in double precision.
    #[inline(always)]
    pub(super) fn gather<const S: usize, V: Vectors>(&self, vectors: V, cell: &Cell, out: &mut [f64; S]) {
        let (earlier, later) = self.pair(cell.slab);
        let at = cell.point as usize;
        // Order: earlier and later, of the corner, the level below, and both
        // again one latitude to the north.
        let corners = [at, at + self.plane, at + self.row, at + self.plane + self.row];
        let mut rows: [&[f32]; 8] = [&[]; 8];
        for i in 0..4 {
            let from = corners[i] * S;
            let (Some(a), Some(b)) = (earlier.get(from..from + 2 * S), later.get(from..from + 2 * S)) else {
                *out = [f64::NAN; S];
                return;
            };
            (rows[2 * i], rows[2 * i + 1]) = (a, b);
        }
        if S.is_multiple_of(8) {
            for (group, out) in out.as_chunks_mut::<8>().0.iter_mut().enumerate() {
                octet::<S, V>(vectors, &rows, 8 * group, cell, out);
            }
        } else {
            for (channel, out) in out.iter_mut().enumerate() {
                *out = f64::from(single::<S>(&rows, channel, cell));
            }
        }
    }

    /// Asks for the corners of point `i` where they are new, ahead of their
    /// use.
    #[inline(always)]
    pub(super) fn prefetch<const S: usize>(&self, cells: &Cells, i: usize) {
        if !cells.is_new[i] {
            return;
        }
        let (earlier, later) = self.pair(cells.slab[i]);
        let at = cells.point[i] as usize;
        for point in [at, at + self.plane, at + self.row, at + self.plane + self.row] {
            let (first, last) = (point * S, (point + 2) * S - 1);
            // Slabs begin with a page, so these count cache lines.
            let is_split = first / LINE != last / LINE;
            for slab in [earlier, later] {
                prefetch::line(slab, first);
                if is_split {
                    prefetch::line(slab, last);
                }
            }
        }
    }

    #[inline(always)]
    fn pair(&self, slab: u32) -> (&[f32], &[f32]) {
        let slab = slab as usize;
        (self.values[slab], self.values[slab + 1])
    }
}

/// Eight channels, from channel `first` on.
#[inline(always)]
fn octet<const S: usize, V: Vectors>(v: V, rows: &[&[f32]; 8], first: usize, cell: &Cell, out: &mut [f64; 8]) {
    let (time, level) = (v.splat(cell.time), v.splat(cell.level));
    let (latitude, longitude) = (v.splat(cell.latitude), v.splat(cell.longitude));
    let mut sides = [v.splat(0.0); 2];
    for (side, out) in sides.iter_mut().enumerate() {
        let from = first + side * S;
        let mut columns = [v.splat(0.0); 4];
        for i in 0..4 {
            let (a, b) = (rows[2 * i][from..].first_chunk(), rows[2 * i + 1][from..].first_chunk());
            if let (Some(a), Some(b)) = (a, b) {
                columns[i] = v.lerp(v.load(a), v.load(b), time);
            }
        }
        let south = v.lerp(columns[0], columns[1], level);
        let north = v.lerp(columns[2], columns[3], level);
        *out = v.lerp(south, north, latitude);
    }
    v.widen(v.lerp(sides[0], sides[1], longitude), out);
}

/// One channel, with the same operations as [`octet`].
#[inline(always)]
fn single<const S: usize>(rows: &[&[f32]; 8], channel: usize, cell: &Cell) -> f32 {
    let mut sides = [0.0; 2];
    for (side, out) in sides.iter_mut().enumerate() {
        let from = channel + side * S;
        let mut columns = [0.0; 4];
        for i in 0..4 {
            columns[i] = lerp(rows[2 * i][from], rows[2 * i + 1][from], cell.time);
        }
        let south = lerp(columns[0], columns[1], cell.level);
        let north = lerp(columns[2], columns[3], cell.level);
        *out = lerp(south, north, cell.latitude);
    }
    lerp(sides[0], sides[1], cell.longitude)
}

/// `a + w (b − a)`, fused: one rounding for the product and the sum, on every
/// machine, so that every machine gives the same bytes.
#[inline(always)]
fn lerp(a: f32, b: f32, w: f32) -> f32 {
    (b - a).mul_add(w, a)
}
