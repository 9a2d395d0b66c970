//! One hint to the memory system: the only `unsafe` outside `compute/cuda`.
//!
//! Safe Rust has no prefetch, and gathering corners at random places is bound
//! by the latency of memory: without the hint the kernel is slower by the
//! factor in `benches/results`.

#![expect(unsafe_code, reason = "a prefetch instruction has no safe form")]

/// Asks for the cache line where `values[index]` would be; beyond the slice it
/// asks in vain.
#[inline(always)]
pub(crate) fn line(values: &[f32], index: usize) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let address = values.as_ptr().wrapping_add(index);
        // SAFETY: a prefetch reads nothing and never faults, whatever the
        // address; the address itself is made without going out of bounds.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, index);
}
