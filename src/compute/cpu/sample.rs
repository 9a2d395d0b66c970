//! Values of a field at points, for the `sample` command.

use rayon::prelude::*;

use super::{
    gather::{Cells, Slabs},
    kernel::{Instructions, sample_block},
    locate::Locator,
    path::{BLOCK, Points},
};
use crate::{compute::Window, field::slab::padded};

/// Points in columns, in any order.
pub struct Places<'a> {
    /// Seconds since 1970; NaN where there is none.
    pub time_s: &'a [f64],
    /// Degrees east.
    pub longitude_deg: &'a [f64],
    /// Degrees north.
    pub latitude_deg: &'a [f64],
    /// \[Pa\]
    pub pressure_pa: &'a [f64],
}

/// All channels of the window's slabs at the points `chosen`:
/// `[point][channel]`, NaN where there is no value. `channels` is the number
/// of channels without padding.
#[must_use]
pub fn sample(window: &Window<'_>, channels: usize, places: &Places<'_>, chosen: &[usize]) -> Vec<f64> {
    let sample = match padded(channels) {
        Some(1) => block::<1>,
        Some(2) => block::<2>,
        Some(4) => block::<4>,
        Some(8) => block::<8>,
        _ => block::<16>,
    };
    let instructions = Instructions::detect();
    let slabs = Slabs::of(window);
    let mut out = vec![f64::NAN; chosen.len() * channels];
    out.par_chunks_mut(BLOCK * channels)
        .zip(chosen.par_chunks(BLOCK))
        .for_each(|(out, chosen)| sample(instructions, window, &slabs, channels, places, chosen, out));
    out
}

fn block<const S: usize>(
    instructions: Instructions,
    window: &Window<'_>,
    slabs: &Slabs<'_>,
    channels: usize,
    places: &Places<'_>,
    chosen: &[usize],
    out: &mut [f64],
) {
    let mut points = Points::new();
    points.len = chosen.len();
    for (i, &point) in chosen.iter().enumerate() {
        points.time_s[i + 1] = places.time_s[point];
        points.longitude_deg[i + 1] = places.longitude_deg[point];
        points.latitude_deg[i + 1] = places.latitude_deg[point];
        points.pressure_pa[i + 1] = places.pressure_pa[point];
    }
    let mut cells = Cells::new();
    let mut inside = [false; BLOCK];
    let mut values = [[f32::NAN; S]; BLOCK];
    Locator::new(window).locate(&points, &mut cells, &mut inside);
    sample_block::<S>(instructions, slabs, &cells, &mut values[..chosen.len()]);
    slabs.look_again(&cells, &mut values[..chosen.len()]);
    for ((out, values), inside) in out.chunks_exact_mut(channels).zip(&values).zip(inside) {
        if inside {
            for (out, &value) in out.iter_mut().zip(values) {
                *out = f64::from(value);
            }
        }
    }
}
