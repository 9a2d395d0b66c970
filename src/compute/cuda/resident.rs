//! Fields in device memory: whole slabs or bands of their levels, the least
//! recently used ones given up first.

use std::{
    ops::Range,
    sync::{Arc, Weak},
};

use super::{
    device::Event,
    gpu::Lease,
    layout::{self, MOST_CHANNELS},
    program::Precision,
};
use crate::field::slab::Slab;

/// Levels of a slab in device memory.
pub(super) struct Band {
    /// Whose values these are. While a weak reference lives, no other slab can
    /// have the same address.
    pub slab: Weak<Slab>,
    pub precision: Precision,
    pub levels: Range<usize>,
    /// Bytes of a level.
    pub plane_bytes: usize,
    pub values: Lease,
    pub surface: Option<Lease>,
    pub scale: [f32; MOST_CHANNELS],
    /// Before the first byte.
    pub started: Event,
    /// When they are all there.
    pub ready: Event,
}

/// The bands on one device.
#[derive(Default)]
pub(super) struct Resident {
    /// The most recently used one last.
    bands: Vec<Arc<Band>>,
}

impl Band {
    /// As the kernels take it: the address where level 0 would be.
    pub(super) fn layout(&self) -> layout::Slab {
        let before = (self.levels.start * self.plane_bytes) as u64;
        layout::Slab {
            values: self.values.address().wrapping_sub(before),
            surface_pa: self.surface.as_ref().map_or(0, Lease::address),
            scale: self.scale,
        }
    }

    /// Of its values.
    fn bytes(&self) -> usize {
        self.levels.len() * self.plane_bytes
    }
}

impl Resident {
    /// The band that holds these levels of a slab, if it is there.
    pub(super) fn find(&mut self, slab: &Arc<Slab>, precision: Precision, levels: &Range<usize>) -> Option<Arc<Band>> {
        let holds = |band: &Arc<Band>| {
            std::ptr::eq(band.slab.as_ptr(), Arc::as_ptr(slab))
                && band.precision == precision
                && band.levels.start <= levels.start
                && band.levels.end >= levels.end
        };
        let index = self.bands.iter().position(holds)?;
        let band = self.bands.remove(index);
        self.bands.push(band.clone());
        Some(band)
    }

    pub(super) fn insert(&mut self, band: Arc<Band>) {
        self.bands.push(band);
    }

    /// Gives up a band that nobody uses: one whose slab is gone from the
    /// host's memory, else the least recently used. Gives its bytes.
    pub(super) fn give_up_one(&mut self) -> Option<Arc<Band>> {
        let is_free = |band: &Arc<Band>| Arc::strong_count(band) == 1;
        let is_gone = |band: &Arc<Band>| is_free(band) && band.slab.strong_count() == 0;
        let index = self.bands.iter().position(is_gone).or_else(|| self.bands.iter().position(is_free))?;
        Some(self.bands.remove(index))
    }

    /// Bytes of all bands.
    pub(super) fn bytes(&self) -> usize {
        self.bands.iter().map(|band| band.bytes()).sum()
    }
}
