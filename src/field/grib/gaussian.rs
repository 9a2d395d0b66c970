//! Gaussian latitudes: the zeros of Legendre polynomials.

use std::f64::consts::PI;

/// The largest number of parallels between a pole and the equator that is
/// computed; operational grids have 1280 or less.
pub(super) const MAX_PARALLELS: usize = 4096;

/// The `2 n` latitudes \[degrees north\] of a Gaussian grid with `n` parallels
/// between a pole and the equator, from north to south: the arcsines of the
/// zeros of the Legendre polynomial of degree `2 n`.
///
/// Newton's iteration from Tricomi's approximation, after Abramowitz and
/// Stegun (1964), 22.16.6 and 25.4.29.
pub(super) fn latitudes_deg(n: usize) -> Vec<f64> {
    let degree = 2 * n;
    let north: Vec<f64> = (0..n).map(|k| zero(degree, k).asin().to_degrees()).collect();
    let south = north.iter().rev().map(|latitude| -latitude);
    north.iter().copied().chain(south).collect()
}

/// Zero number `k` of the Legendre polynomial of `degree`, from the largest.
fn zero(degree: usize, k: usize) -> f64 {
    let d = degree as f64;
    let shrink = 1.0 - (1.0 - 1.0 / d) / (8.0 * d * d);
    let mut x = shrink * (PI * (4.0 * k as f64 + 3.0) / (4.0 * d + 2.0)).cos();
    // Convergence is quadratic from an error below 1e-3 of the spacing.
    for _ in 0..10 {
        let (value, slope) = legendre(degree, x);
        let step = value / slope;
        x -= step;
        if step.abs() < 1e-15 {
            break;
        }
    }
    x
}

/// The Legendre polynomial of `degree` at `x`, and its derivative.
fn legendre(degree: usize, x: f64) -> (f64, f64) {
    let (mut below, mut here) = (1.0, x);
    for k in 2..=degree {
        let k = k as f64;
        (below, here) = (here, ((2.0 * k - 1.0) * x * here - (k - 1.0) * below) / k);
    }
    (here, degree as f64 * (below - x * here) / (1.0 - x * x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_closed_forms_and_published_latitudes() {
        // P₂ = (3 x² − 1) / 2.
        let two = latitudes_deg(1);
        assert!((two[0] - (1.0 / 3f64.sqrt()).asin().to_degrees()).abs() < 1e-13 && two.len() == 2);
        // NumPy, polynomial.legendre.leggauss(160) and (2560).
        let n80 = latitudes_deg(80);
        for (row, latitude) in [(0, 89.141_519_426_461), (1, 88.029_428_867_952), (79, 0.560_744_942_544_222_7)] {
            assert!((n80[row] - latitude).abs() < 1e-11, "{}", n80[row]);
            assert!((n80[159 - row] + latitude).abs() < 1e-11);
        }
        let n1280 = latitudes_deg(1280);
        assert!((n1280[0] - 89.946_187_715_665_6).abs() < 1e-10, "{}", n1280[0]);
        assert!(n1280.windows(2).all(|w| w[0] > w[1]));
    }
}
