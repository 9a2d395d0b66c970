//! Field values in memory.

use memmap2::MmapMut;

use super::FieldError;

/// One time of one member: `[level][latitude][longitude][channel]`, `f32`.
///
/// Channels are interleaved so that one corner of a cell is one run of
/// memory; their number is padded to a width that the kernels know, padding is
/// zero. A global axis repeats its first longitude behind its last. The pages
/// are huge where the system has them: a cell's corners lie far apart, and
/// with small pages half of the look-ups miss the TLB.
pub struct Slab {
    memory: MmapMut,
    values: usize,
    channels: usize,
    /// Surface pressure \[Pa\], `[latitude][longitude]`, for hybrid levels.
    surface_pa: Vec<f32>,
    has_missing: bool,
}

/// Widths for which there are kernels.
pub const WIDTHS: [usize; 5] = [1, 2, 4, 8, 16];

/// The width that holds `channels`, `None` beyond the widest.
#[must_use]
pub fn padded(channels: usize) -> Option<usize> {
    WIDTHS.into_iter().find(|&w| w >= channels)
}

impl Slab {
    /// A slab of zeros for `points` grid points of `channels` (padded) each.
    ///
    /// # Errors
    /// When the system has not that much memory.
    pub fn zeroed(points: usize, channels: usize) -> Result<Self, FieldError> {
        let values = points.saturating_mul(channels);
        let memory = MmapMut::map_anon(values.saturating_mul(4).max(4))
            .map_err(|e| FieldError::Dataset(format!("no memory for a field of {values} values: {e}")))?;
        #[cfg(target_os = "linux")]
        {
            // Advice: a system without huge pages is slower, not wrong.
            let _ = memory.advise(memmap2::Advice::HugePage);
        }
        Ok(Self { memory, values, channels, surface_pa: Vec::new(), has_missing: false })
    }

    /// The values.
    #[must_use]
    #[inline(always)]
    pub fn values(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.memory)[..self.values]
    }

    /// The values, to be filled.
    #[must_use]
    pub fn values_mut(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.memory)[..self.values]
    }

    /// Channels a point, padding included.
    #[must_use]
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Surface pressure \[Pa\], `[latitude][longitude]` as stored; empty where
    /// the levels need none.
    #[must_use]
    pub fn surface_pa(&self) -> &[f32] {
        &self.surface_pa
    }

    /// Sets the surface pressure \[Pa\].
    pub fn set_surface_pa(&mut self, surface_pa: Vec<f32>) {
        self.surface_pa = surface_pa;
    }

    /// Whether any value is missing (NaN).
    #[must_use]
    pub fn has_missing(&self) -> bool {
        self.has_missing
    }

    /// To be called once the slab is filled.
    pub fn set_has_missing(&mut self, has_missing: bool) {
        self.has_missing = has_missing;
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        (self.values + self.surface_pa.len()) * 4
    }
}
