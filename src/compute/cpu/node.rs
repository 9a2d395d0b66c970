//! Samples right on a node of an axis, whose other corners have no weight.
//!
//! At one of the field's times, on a level, a parallel or a meridian, a value
//! is that of the node alone. Weighing all corners would lose it wherever the
//! neighbour is missing: whatever is multiplied by nothing, NaN stays NaN. So a
//! sample for which that gave no number is weighed again without the corners
//! whose weight along some axis is below [`NO_WEIGHT`]. Nothing else changes: a
//! missing corner with weight leaves the sample missing, and where all corners
//! have values this is never reached.
//!
//! Weights are single precision and a waypoint is rounded on its way to a GPU,
//! so weights this small are those of nodes; both backends have the same bound
//! (`kernels/gather.cuh`).

use super::{
    gather::{Cells, Slabs},
    path::BLOCK,
    vector::lerp,
};

/// Weights below it are none: far more than rounding makes (2e-7), far less
/// than a value can be told apart by.
pub(super) const NO_WEIGHT: f32 = 1e-6;

impl Slabs<'_> {
    /// Gives the samples of a block that came out missing another look.
    #[inline(never)]
    pub(super) fn look_again<const S: usize>(&self, cells: &Cells, values: &mut [[f32; S]]) {
        for (i, value) in values.iter_mut().enumerate().take(BLOCK) {
            // A level that stands alone has no other.
            let level = if self.plane == 0 { 0.5 } else { cells.level[i] };
            if ![cells.time[i], level, cells.latitude[i], cells.longitude[i]].into_iter().any(is_on_node) {
                continue;
            }
            for (channel, value) in value.iter_mut().enumerate().filter(|(_, value)| value.is_nan()) {
                *value = self.weigh::<S>(cells, i, channel);
            }
        }
    }

    /// One channel at point `i` from the corners that have weight.
    fn weigh<const S: usize>(&self, cells: &Cells, i: usize, channel: usize) -> f32 {
        let (point, slab) = (cells.point[i] as usize, cells.slab[i] as usize);
        let corner = |slab: usize, point: usize| {
            let values = self.values.get(slab).and_then(|values| values.get(point * S + channel));
            values.copied().unwrap_or(f32::NAN)
        };
        let in_time = |point| along(cells.time[i], || corner(slab, point), || corner(slab + 1, point));
        let in_height = |point| along(cells.level[i], || in_time(point), || in_time(point + self.plane));
        let side = |point| along(cells.latitude[i], || in_height(point), || in_height(point + self.row));
        along(cells.longitude[i], || side(point), || side(point + 1))
    }
}

/// Between `a` and `b`; an end without weight is not looked at.
fn along(weight: f32, a: impl Fn() -> f32, b: impl Fn() -> f32) -> f32 {
    if weight < NO_WEIGHT {
        a()
    } else if weight > 1.0 - NO_WEIGHT {
        b()
    } else {
        lerp(a(), b(), weight)
    }
}

fn is_on_node(weight: f32) -> bool {
    !(NO_WEIGHT..=1.0 - NO_WEIGHT).contains(&weight)
}
