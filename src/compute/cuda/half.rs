//! Two-byte floats: half precision with a scale a channel.

use rayon::prelude::*;

use super::layout::MOST_CHANNELS;

/// `x` in half precision, rounded to nearest, ties to even; NaN stays NaN.
pub(super) fn to_half(x: f32) -> u16 {
    let bits = x.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    let half = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x4780_0000 {
        // 65536 and more.
        0x7c00
    } else if magnitude < 0x3880_0000 {
        // Below 2^-14 the steps are even: adding one half lets the adder round
        // to them.
        (f32::from_bits(magnitude) + 0.5).to_bits() - 0.5_f32.to_bits()
    } else {
        let odd = magnitude >> 13 & 1;
        (magnitude + 0x0fff + odd - (112 << 23)) >> 13
    };
    #[expect(clippy::cast_possible_truncation, reason = "at most 0x7e00")]
    let half = half as u16;
    sign | half
}

/// The scales of interleaved channels: powers of two that bring each channel's
/// largest magnitude to between 2^14 and 2^15, so that the steps of half
/// precision are as fine as they can be.
pub(super) fn scales(values: &[f32], channels: usize) -> [f32; MOST_CHANNELS] {
    let largest = values
        .par_chunks(channels << 14)
        .map(|chunk| {
            let mut largest = [0.0_f32; MOST_CHANNELS];
            for point in chunk.chunks_exact(channels) {
                for (largest, value) in largest.iter_mut().zip(point) {
                    // NaN is never larger.
                    *largest = largest.max(value.abs());
                }
            }
            largest
        })
        .reduce(|| [0.0; MOST_CHANNELS], |a, b| std::array::from_fn(|i| a[i].max(b[i])));
    largest.map(scale)
}

fn scale(largest: f32) -> f32 {
    if largest <= 0.0 || !largest.is_finite() {
        return 1.0;
    }
    let exponent = (largest.to_bits() >> 23).cast_signed() - 127;
    // The scale itself stays a normal number.
    2.0_f32.powi((exponent - 14).clamp(-126, 126))
}

/// Values in half precision, each over its channel's scale.
pub(super) fn pack(values: &[f32], scales: &[f32; MOST_CHANNELS], channels: usize, out: &mut [u16]) {
    let inverse = scales.map(|s| 1.0 / s);
    out.par_chunks_mut(channels << 12).zip(values.par_chunks(channels << 12)).for_each(|(out, values)| {
        for (out, values) in out.chunks_exact_mut(channels).zip(values.chunks_exact(channels)) {
            for ((out, value), inverse) in out.iter_mut().zip(values).zip(&inverse) {
                *out = to_half(value * inverse);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Half precision read back, by its definition.
    fn to_single(half: u16) -> f32 {
        let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
        let (exponent, fraction) = (i32::from(half >> 10 & 0x1f), f32::from(half & 0x3ff));
        sign * match exponent {
            0 => fraction * 2.0_f32.powi(-24),
            31 if fraction > 0.0 => f32::NAN,
            31 => f32::INFINITY,
            _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
        }
    }

    #[test]
    fn every_half_is_its_own_image() {
        for half in 0..=u16::MAX {
            let single = to_single(half);
            if single.is_nan() {
                assert!(to_single(to_half(single)).is_nan());
            } else {
                assert_eq!(to_half(single), half, "{single}");
            }
        }
    }

    #[test]
    fn what_lies_between_is_rounded_to_the_nearest() {
        assert_eq!(to_half(1.0 + 1.0 / 2048.0), to_half(1.0));
        assert_eq!(to_half(1.0 + 3.0 / 2048.0), to_half(1.0 + 2.0 / 1024.0));
        assert_eq!(to_half(65_519.0), to_half(65_504.0));
        for i in 0..10_000 {
            let x = 0.37_f32 * 1.0013_f32.powi(i - 5_000);
            let back = to_single(to_half(x));
            if (1e-4..6e4).contains(&x) {
                assert!(((back - x) / x).abs() <= 4.9e-4, "{x} {back}");
            }
        }
    }

    #[test]
    fn scales_make_the_most_of_sixteen_bits() {
        let values = [1e-9_f32, 250.0, f32::NAN, 0.0, -3e-9, 300.0, 2e-9, 0.0];
        let scales = scales(&values, 4);
        for (channel, largest) in [(0, 3e-9_f32), (1, 300.0)] {
            let scaled = largest / scales[channel];
            assert!((16_384.0..32_768.0).contains(&scaled), "{scaled}");
        }
        assert!((scales[3] - 1.0).abs() < f32::EPSILON);
        let mut halves = [0; 8];
        pack(&values, &scales, 4, &mut halves);
        assert!(to_single(halves[2]).is_nan() && halves[3] == 0);
        assert!((to_single(halves[4]) * scales[0] + 3e-9).abs() < 3e-9 * 5e-4);
    }
}
