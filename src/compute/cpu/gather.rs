//! Values at points: the corners of their cells, weighed in time, height,
//! latitude and longitude.

use std::ops::Range;

use super::{path::BLOCK, vector::Vectors};
use crate::compute::prefetch;

/// Samples between two looks at what is to be asked for.
const GROUP: usize = 8;

/// Where the points of a block lie in a field, and how the corners of their
/// cells weigh, in columns.
pub(super) struct Cells {
    /// Grid point of the cell's lowest corner, in points of a slab.
    pub point: [u32; BLOCK],
    /// Slab of the earlier time, counted from the window's first.
    pub slab: [u32; BLOCK],
    /// Weight of the later time.
    pub time: [f32; BLOCK],
    /// Of the next level.
    pub level: [f32; BLOCK],
    /// Of the next latitude.
    pub latitude: [f32; BLOCK],
    /// Of the next longitude.
    pub longitude: [f32; BLOCK],
    /// Points with another cell than the one before, in order: the first
    /// `runs` count.
    pub start: [u16; BLOCK],
    pub runs: usize,
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
            start: [0; BLOCK],
            runs: 0,
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

/// A slab's points from the lowest corner of its first cell on, from the
/// corner above that on, and both again one latitude to the north: at one
/// index in all of them are the corners of one cell. All are equally long.
type Corners<'a, const S: usize> = [&'a [[f32; S]]; 4];

impl Slabs<'_> {
    /// All channels at the first `values.len()` cells of a block; NaN where
    /// a cell is not in memory. Meanwhile memory is asked for the cells of the
    /// block that comes next.
    #[inline(always)]
    pub(super) fn gather<const S: usize, const N: usize, V: Vectors<N>>(
        &self,
        vectors: V,
        cells: &Cells,
        values: &mut [[f32; S]],
        next: Option<&Cells>,
    ) {
        let len = values.len().min(BLOCK);
        let mut asked = Asked { slabs: self, cells: next, runs: 0 };
        let mut from = 0;
        while from < len {
            // A block seldom lies in more than one slab.
            let slab = cells.slab[from];
            let differs = cells.slab[from..len].iter().fold(0, |differs, other| differs | (other ^ slab));
            let rest = &cells.slab[from..len];
            let to = if differs == 0 { len } else { from + rest.iter().take_while(|&&other| other == slab).count() };
            let (earlier, later) = (self.corners(slab as usize), self.corners(slab as usize + 1));
            for group in (from..to).step_by(GROUP) {
                asked.up_to::<S>(group + GROUP);
                points::<S, N, V>(vectors, earlier, later, cells, group..(group + GROUP).min(to), values);
            }
            from = to;
        }
        asked.up_to::<S>(BLOCK);
    }

    /// Asks memory for the cells of a block.
    #[inline(always)]
    pub(super) fn ask<const S: usize>(&self, cells: &Cells) {
        Asked { slabs: self, cells: Some(cells), runs: 0 }.up_to::<S>(BLOCK);
    }

    #[inline(always)]
    fn corners<const S: usize>(&self, slab: usize) -> Corners<'_, S> {
        let points = self.values.get(slab).map_or(&[][..], |values| values.as_chunks::<S>().0);
        let len = points.len().saturating_sub(self.plane + self.row);
        [
            part(points, 0, len),
            part(points, self.plane, len),
            part(points, self.row, len),
            part(points, self.plane + self.row, len),
        ]
    }

    /// Asks for the corners of point `i`, ahead of their use.
    #[inline(always)]
    fn prefetch<const S: usize>(&self, cells: &Cells, i: usize) {
        let slab = cells.slab[i] as usize;
        let (Some(&earlier), Some(&later)) = (self.values.get(slab), self.values.get(slab + 1)) else { return };
        let at = cells.point[i] as usize;
        for point in [at, at + self.plane, at + self.row, at + self.plane + self.row] {
            let (first, last) = (point * S, (point + 2) * S - 1);
            for slab in [earlier, later] {
                prefetch::line(slab, first);
                // A pair of few channels seldom lies across two cache lines.
                if S >= 4 {
                    prefetch::line(slab, last);
                }
            }
        }
    }
}

/// How many of a block's cells memory was asked for.
struct Asked<'a> {
    slabs: &'a Slabs<'a>,
    cells: Option<&'a Cells>,
    runs: usize,
}

impl Asked<'_> {
    /// Asks for the cells of the points before `end`.
    #[inline(always)]
    fn up_to<const S: usize>(&mut self, end: usize) {
        let Some(cells) = self.cells else { return };
        let starts = &cells.start[..cells.runs.min(BLOCK)];
        while self.runs < starts.len() && usize::from(starts[self.runs]) < end {
            self.slabs.prefetch::<S>(cells, usize::from(starts[self.runs]));
            self.runs += 1;
        }
    }
}

/// All channels at cells of one slab.
#[inline(always)]
fn points<const S: usize, const N: usize, V: Vectors<N>>(
    v: V,
    earlier: Corners<'_, S>,
    later: Corners<'_, S>,
    cells: &Cells,
    range: Range<usize>,
    values: &mut [[f32; S]],
) {
    // One length for all, so that one comparison a cell is enough.
    let len = earlier[3].len().min(later[3].len());
    let (earlier, later) = (first(earlier, len), first(later, len));
    for i in range {
        let (Some(out), Some(&point)) = (values.get_mut(i), cells.point.get(i)) else { break };
        let at = point as usize;
        if at + 1 >= len {
            *out = [f32::NAN; S];
            continue;
        }
        let (time, level) = (v.splat_sides(cells.time[i]), v.splat_sides(cells.level[i]));
        let (latitude, longitude) = (v.splat_sides(cells.latitude[i]), v.splat(cells.longitude[i]));
        for (lanes, out) in out.as_chunks_mut::<N>().0.iter_mut().enumerate() {
            let mut columns = [v.splat_sides(0.0); 4];
            for k in 0..4 {
                let before = sides::<S, N, V>(v, earlier[k], at, lanes);
                let after = sides::<S, N, V>(v, later[k], at, lanes);
                columns[k] = v.lerp_sides(before, after, time);
            }
            let south = v.lerp_sides(columns[0], columns[1], level);
            let north = v.lerp_sides(columns[2], columns[3], level);
            let (west, east) = v.part(v.lerp_sides(south, north, latitude));
            v.store(v.lerp(west, east, longitude), out);
        }
    }
}

/// `len` points from `from` on; none where they are not all there.
#[inline(always)]
fn part<const S: usize>(points: &[[f32; S]], from: usize, len: usize) -> &[[f32; S]] {
    points.get(from..from + len).unwrap_or(&[])
}

/// The first `len` points of each.
#[inline(always)]
fn first<const S: usize>(corners: Corners<'_, S>, len: usize) -> Corners<'_, S> {
    [&corners[0][..len], &corners[1][..len], &corners[2][..len], &corners[3][..len]]
}

/// Group `lanes` of the channels at points `at` and `at + 1`. No closure, here
/// and above: one that is not inlined is not compiled for the instruction set
/// at hand, and arrays' own `map` has been seen to be a call for each corner.
#[inline(always)]
fn sides<const S: usize, const N: usize, V: Vectors<N>>(
    v: V,
    points: &[[f32; S]],
    at: usize,
    lanes: usize,
) -> V::Sides {
    v.load_sides(&points[at].as_chunks::<N>().0[lanes], &points[at + 1].as_chunks::<N>().0[lanes])
}
