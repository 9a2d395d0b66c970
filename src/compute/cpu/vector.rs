//! Eight single-precision lanes, on whatever the machine has.
//!
//! The compiler's own vectoriser shuffles the corners of a cell beyond
//! recognition, so the gather says what it wants. All implementations give
//! the same bits: a difference, then one fused multiply-add.

/// Arithmetic on eight lanes.
pub(super) trait Vectors: Copy + Send + Sync {
    /// Eight `f32`.
    type Lanes: Copy;

    /// From memory.
    fn load(self, values: &[f32; 8]) -> Self::Lanes;

    /// The same number in all lanes.
    fn splat(self, value: f32) -> Self::Lanes;

    /// `a + w (b − a)`.
    fn lerp(self, a: Self::Lanes, b: Self::Lanes, w: Self::Lanes) -> Self::Lanes;

    /// In double precision, to memory.
    fn widen(self, lanes: Self::Lanes, out: &mut [f64; 8]);
}

/// Any machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

impl Vectors for Portable {
    type Lanes = [f32; 8];

    #[inline(always)]
    fn load(self, values: &[f32; 8]) -> [f32; 8] {
        *values
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; 8] {
        [value; 8]
    }

    #[inline(always)]
    fn lerp(self, a: [f32; 8], b: [f32; 8], w: [f32; 8]) -> [f32; 8] {
        std::array::from_fn(|i| (b[i] - a[i]).mul_add(w[i], a[i]))
    }

    #[inline(always)]
    fn widen(self, lanes: [f32; 8], out: &mut [f64; 8]) {
        *out = lanes.map(f64::from);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use pulp::{cast, f32x4, f32x8, x86::V3};

    use super::Vectors;

    /// AVX2 and FMA; in code compiled for AVX-512 too, whose registers it then
    /// uses.
    impl Vectors for V3 {
        type Lanes = f32x8;

        #[inline(always)]
        fn load(self, values: &[f32; 8]) -> f32x8 {
            cast(*values)
        }

        #[inline(always)]
        fn splat(self, value: f32) -> f32x8 {
            self.splat_f32x8(value)
        }

        #[inline(always)]
        fn lerp(self, a: f32x8, b: f32x8, w: f32x8) -> f32x8 {
            self.mul_add_f32x8(self.sub_f32x8(b, a), w, a)
        }

        #[inline(always)]
        fn widen(self, lanes: f32x8, out: &mut [f64; 8]) {
            let [low, high]: [f32x4; 2] = cast(lanes);
            let halves = out.as_chunks_mut::<4>().0;
            halves[0] = cast(self.convert_f32x4_to_f64x4(low));
            halves[1] = cast(self.convert_f32x4_to_f64x4(high));
        }
    }
}
