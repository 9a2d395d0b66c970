//! One hint to the memory system: the only `unsafe` outside `compute/cuda`.
//!
//! Safe Rust has no prefetch, and gathering corners at random places is bound
//! by the latency of memory: without the hint the kernel is slower by the
//! factor in `benches/results`.

#![expect(unsafe_code, reason = "a prefetch instruction has no safe form")]

/// Asks for the cache line that holds `values[index]`; past the end it asks
/// for nothing.
#[inline(always)]
pub(crate) fn line(values: &[f32], index: usize) {
    #[cfg(target_arch = "x86_64")]
    if let Some(value) = values.get(index) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch never faults and changes no value; the address
        // is that of an element of the slice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (values, index);
}
