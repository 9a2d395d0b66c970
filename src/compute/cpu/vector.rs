//! Channels side by side, in whatever registers the machine has.
//!
//! The compiler's own vectoriser shuffles the corners of a cell beyond
//! recognition, so the gather and the reduction say what they want. All
//! implementations give the same bits: a difference, then one fused
//! multiply-add.

/// Arithmetic on `N` channels.
pub(super) trait Vectors<const N: usize>: Copy + Send + Sync {
    /// `N` numbers in single precision.
    type Lanes: Copy;
    /// The western and the eastern side of a cell, `N` each.
    type Sides: Copy;
    /// `N` numbers in double precision.
    type Wide: Copy;

    /// From memory.
    fn load(self, values: &[f32; N]) -> Self::Lanes;

    /// To memory.
    fn store(self, lanes: Self::Lanes, out: &mut [f32; N]);

    /// The same number in all lanes.
    fn splat(self, value: f32) -> Self::Lanes;

    /// `a + w (b − a)`.
    fn lerp(self, a: Self::Lanes, b: Self::Lanes, w: Self::Lanes) -> Self::Lanes;

    /// Both sides from memory.
    fn load_sides(self, west: &[f32; N], east: &[f32; N]) -> Self::Sides;

    /// The same number in all lanes of both sides.
    fn splat_sides(self, value: f32) -> Self::Sides;

    /// `a + w (b − a)` on both sides.
    fn lerp_sides(self, a: Self::Sides, b: Self::Sides, w: Self::Sides) -> Self::Sides;

    /// West and east.
    fn part(self, sides: Self::Sides) -> (Self::Lanes, Self::Lanes);

    /// Of `top` and `value` the higher, and of `mark` and `at` the one that
    /// belongs to it; the first of both where they are equal or `value` is no
    /// number.
    fn raise(
        self,
        top: Self::Lanes,
        mark: Self::Lanes,
        value: Self::Lanes,
        at: Self::Lanes,
    ) -> (Self::Lanes, Self::Lanes);

    /// `lanes + 1`.
    fn next(self, lanes: Self::Lanes) -> Self::Lanes;

    /// In double precision.
    fn widen(self, lanes: Self::Lanes) -> Self::Wide;

    /// From memory.
    fn load_wide(self, values: &[f64; N]) -> Self::Wide;

    /// To memory.
    fn store_wide(self, wide: Self::Wide, out: &mut [f64; N]);

    /// `sum + w (a + b)`.
    fn add_trapezoid(self, sum: Self::Wide, a: Self::Wide, b: Self::Wide, w: f64) -> Self::Wide;
}

/// Any machine, any number of channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Portable;

/// `a + w (b − a)`, fused: one rounding for the product and the sum, on every
/// machine, so that every machine gives the same bytes.
#[inline(always)]
pub(super) fn lerp(a: f32, b: f32, w: f32) -> f32 {
    (b - a).mul_add(w, a)
}

impl<const N: usize> Vectors<N> for Portable {
    type Lanes = [f32; N];
    type Sides = [[f32; N]; 2];
    type Wide = [f64; N];

    #[inline(always)]
    fn load(self, values: &[f32; N]) -> [f32; N] {
        *values
    }

    #[inline(always)]
    fn store(self, lanes: [f32; N], out: &mut [f32; N]) {
        *out = lanes;
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; N] {
        [value; N]
    }

    #[inline(always)]
    fn lerp(self, a: [f32; N], b: [f32; N], w: [f32; N]) -> [f32; N] {
        std::array::from_fn(|i| lerp(a[i], b[i], w[i]))
    }

    #[inline(always)]
    fn load_sides(self, west: &[f32; N], east: &[f32; N]) -> [[f32; N]; 2] {
        [*west, *east]
    }

    #[inline(always)]
    fn splat_sides(self, value: f32) -> [[f32; N]; 2] {
        [[value; N]; 2]
    }

    #[inline(always)]
    fn lerp_sides(self, a: [[f32; N]; 2], b: [[f32; N]; 2], w: [[f32; N]; 2]) -> [[f32; N]; 2] {
        std::array::from_fn(|side| self.lerp(a[side], b[side], w[side]))
    }

    #[inline(always)]
    fn part(self, [west, east]: [[f32; N]; 2]) -> ([f32; N], [f32; N]) {
        (west, east)
    }

    #[inline(always)]
    fn raise(self, top: [f32; N], mark: [f32; N], value: [f32; N], at: [f32; N]) -> ([f32; N], [f32; N]) {
        let choose = |a: [f32; N], b: [f32; N]| std::array::from_fn(|i| if value[i] > top[i] { b[i] } else { a[i] });
        (choose(top, value), choose(mark, at))
    }

    #[inline(always)]
    fn next(self, lanes: [f32; N]) -> [f32; N] {
        let mut next = lanes;
        for i in 0..N {
            next[i] += 1.0;
        }
        next
    }

    #[inline(always)]
    fn widen(self, lanes: [f32; N]) -> [f64; N] {
        let mut wide = [0.0; N];
        for i in 0..N {
            wide[i] = f64::from(lanes[i]);
        }
        wide
    }

    #[inline(always)]
    fn load_wide(self, values: &[f64; N]) -> [f64; N] {
        *values
    }

    #[inline(always)]
    fn store_wide(self, wide: [f64; N], out: &mut [f64; N]) {
        *out = wide;
    }

    #[inline(always)]
    fn add_trapezoid(self, sum: [f64; N], a: [f64; N], b: [f64; N], w: f64) -> [f64; N] {
        std::array::from_fn(|i| w.mul_add(a[i] + b[i], sum[i]))
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use pulp::{
        cast, f32x4, f32x8, f32x16, f64x4, f64x8,
        x86::{V3, V4},
    };

    use super::Vectors;

    /// AVX2 and FMA: eight channels a register, four in double precision.
    impl Vectors<8> for V3 {
        type Lanes = f32x8;
        type Sides = [f32x8; 2];
        type Wide = [f64x4; 2];

        #[inline(always)]
        fn load(self, values: &[f32; 8]) -> f32x8 {
            cast(*values)
        }

        #[inline(always)]
        fn store(self, lanes: f32x8, out: &mut [f32; 8]) {
            *out = cast(lanes);
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
        fn load_sides(self, west: &[f32; 8], east: &[f32; 8]) -> [f32x8; 2] {
            [cast(*west), cast(*east)]
        }

        #[inline(always)]
        fn splat_sides(self, value: f32) -> [f32x8; 2] {
            [self.splat_f32x8(value); 2]
        }

        #[inline(always)]
        fn lerp_sides(self, a: [f32x8; 2], b: [f32x8; 2], w: [f32x8; 2]) -> [f32x8; 2] {
            [self.lerp(a[0], b[0], w[0]), self.lerp(a[1], b[1], w[1])]
        }

        #[inline(always)]
        fn part(self, [west, east]: [f32x8; 2]) -> (f32x8, f32x8) {
            (west, east)
        }

        #[inline(always)]
        fn raise(self, top: f32x8, mark: f32x8, value: f32x8, at: f32x8) -> (f32x8, f32x8) {
            let is_higher = self.cmp_gt_f32x8(value, top);
            (self.select_f32x8(is_higher, value, top), self.select_f32x8(is_higher, at, mark))
        }

        #[inline(always)]
        fn next(self, lanes: f32x8) -> f32x8 {
            self.add_f32x8(lanes, self.splat_f32x8(1.0))
        }

        #[inline(always)]
        fn widen(self, lanes: f32x8) -> [f64x4; 2] {
            let [low, high]: [f32x4; 2] = cast(lanes);
            [self.convert_f32x4_to_f64x4(low), self.convert_f32x4_to_f64x4(high)]
        }

        #[inline(always)]
        fn load_wide(self, values: &[f64; 8]) -> [f64x4; 2] {
            cast(*values)
        }

        #[inline(always)]
        fn store_wide(self, wide: [f64x4; 2], out: &mut [f64; 8]) {
            *out = cast(wide);
        }

        #[inline(always)]
        fn add_trapezoid(self, sum: [f64x4; 2], a: [f64x4; 2], b: [f64x4; 2], w: f64) -> [f64x4; 2] {
            let w = self.splat_f64x4(w);
            [
                self.mul_add_f64x4(w, self.add_f64x4(a[0], b[0]), sum[0]),
                self.mul_add_f64x4(w, self.add_f64x4(a[1], b[1]), sum[1]),
            ]
        }
    }

    /// AVX-512: both sides of a cell, or eight channels in double precision, a
    /// register.
    impl Vectors<8> for V4 {
        type Lanes = f32x8;
        type Sides = f32x16;
        type Wide = f64x8;

        #[inline(always)]
        fn load(self, values: &[f32; 8]) -> f32x8 {
            cast(*values)
        }

        #[inline(always)]
        fn store(self, lanes: f32x8, out: &mut [f32; 8]) {
            *out = cast(lanes);
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
        fn load_sides(self, west: &[f32; 8], east: &[f32; 8]) -> f32x16 {
            cast([*west, *east])
        }

        #[inline(always)]
        fn splat_sides(self, value: f32) -> f32x16 {
            self.splat_f32x16(value)
        }

        #[inline(always)]
        fn lerp_sides(self, a: f32x16, b: f32x16, w: f32x16) -> f32x16 {
            self.mul_add_f32x16(self.sub_f32x16(b, a), w, a)
        }

        #[inline(always)]
        fn part(self, sides: f32x16) -> (f32x8, f32x8) {
            let [west, east]: [f32x8; 2] = cast(sides);
            (west, east)
        }

        #[inline(always)]
        fn raise(self, top: f32x8, mark: f32x8, value: f32x8, at: f32x8) -> (f32x8, f32x8) {
            Vectors::raise(*self, top, mark, value, at)
        }

        #[inline(always)]
        fn next(self, lanes: f32x8) -> f32x8 {
            Vectors::next(*self, lanes)
        }

        #[inline(always)]
        fn widen(self, lanes: f32x8) -> f64x8 {
            self.convert_f32x8_to_f64x8(lanes)
        }

        #[inline(always)]
        fn load_wide(self, values: &[f64; 8]) -> f64x8 {
            cast(*values)
        }

        #[inline(always)]
        fn store_wide(self, wide: f64x8, out: &mut [f64; 8]) {
            *out = cast(wide);
        }

        #[inline(always)]
        fn add_trapezoid(self, sum: f64x8, a: f64x8, b: f64x8, w: f64) -> f64x8 {
            self.mul_add_f64x8(self.splat_f64x8(w), self.add_f64x8(a, b), sum)
        }
    }
}
