//! The largest mean over a moving window, exact for piecewise linear C(t).

use std::collections::VecDeque;

/// max over t of (1/w) ∫_{t−w}^{t} C dt over windows that were sampled
/// throughout, fed sample by sample; holds one window of samples.
///
/// F(t) = I(t) − I(t−w) with I = ∫ C; F′ = C(t) − C(t−w) is linear between
/// the instants at which t or t−w meets a sample, so the maximum is at one of
/// these or where F′ goes through zero.
#[derive(Debug, Clone)]
pub struct RollingMean {
    window_s: f64,
    /// `(time, value, integral up to it)` of the current unbroken run.
    run: VecDeque<(f64, f64, f64)>,
    largest: f64,
}

impl RollingMean {
    /// With a window of `window_s` > 0 seconds.
    #[must_use]
    pub fn new(window_s: f64) -> Self {
        Self { window_s, run: VecDeque::new(), largest: f64::NEG_INFINITY }
    }

    /// At its end, with the largest integral over one window that another
    /// backend found; −∞ where no window was sampled throughout.
    #[must_use]
    pub fn with_largest(window_s: f64, largest: f64) -> Self {
        Self { window_s, run: VecDeque::new(), largest }
    }

    /// The window \[s\].
    #[must_use]
    pub fn window_s(&self) -> f64 {
        self.window_s
    }

    /// The largest mean so far, `None` where no window was sampled throughout.
    #[must_use]
    pub fn largest(&self) -> Option<f64> {
        (self.largest > f64::NEG_INFINITY).then_some(self.largest / self.window_s)
    }

    /// Ends the run: what follows is not connected with what was.
    pub fn interrupt(&mut self) {
        self.run.clear();
    }

    /// Adds a sample later than the last.
    pub fn push(&mut self, time_s: f64, value: f64) {
        let Some(&(t0, c0, i0)) = self.run.back() else {
            self.run.push_back((time_s, value, 0.0));
            return;
        };
        let integral = i0 + 0.5 * (value + c0) * (time_s - t0);
        self.run.push_back((time_s, value, integral));
        self.slide(t0, c0, i0);
        let start = time_s - self.window_s;
        // The run keeps one sample at or before the start of the next window.
        while self.run.len() > 2 && self.run[1].0 <= start {
            self.run.pop_front();
        }
    }

    /// Moves the window's end over the newest segment, from `(t0, c0, i0)`.
    fn slide(&mut self, t0: f64, c0: f64, i0: f64) {
        let (t1, c1, _) = self.run[self.run.len() - 1];
        let first = self.run[0].0;
        if t1 - self.window_s < first {
            return;
        }
        let slope = (c1 - c0) / (t1 - t0);
        let at_end = |t: f64| i0 + (c0 + 0.5 * slope * (t - t0)) * (t - t0);
        let mut largest = self.largest;
        for k in 1..self.run.len() {
            let ((ta, ca, ia), (tb, cb, _)) = (self.run[k - 1], self.run[k]);
            if ta + self.window_s > t1 {
                break;
            }
            // The window starts within [ta, tb] while it ends within [from, to].
            let from = (ta + self.window_s).max(t0);
            let to = (tb + self.window_s).min(t1);
            if from > to || tb <= ta {
                continue;
            }
            let tail_slope = (cb - ca) / (tb - ta);
            let integral = |t: f64| {
                let s = t - self.window_s - ta;
                at_end(t) - ia - (ca + 0.5 * tail_slope * s) * s
            };
            largest = largest.max(integral(from)).max(integral(to));
            let difference = |t: f64| c0 + slope * (t - t0) - ca - tail_slope * (t - self.window_s - ta);
            if slope < tail_slope {
                let turn = from + difference(from) / (tail_slope - slope);
                if turn > from && turn < to {
                    largest = largest.max(integral(turn));
                }
            }
        }
        self.largest = largest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest(window_s: f64, samples: &[(f64, f64)]) -> Option<f64> {
        let mut rolling = RollingMean::new(window_s);
        for &(t, c) in samples {
            rolling.push(t, c);
        }
        rolling.largest()
    }

    /// The same by brute force on a fine grid of windows.
    fn naive(window_s: f64, samples: &[(f64, f64)]) -> f64 {
        let integral = |upto: f64| {
            samples.windows(2).fold(0.0, |sum, w| {
                let ((a, ca), (b, cb)) = (w[0], w[1]);
                let end = upto.clamp(a, b);
                sum + 0.5 * (ca + ca + (cb - ca) * (end - a) / (b - a)) * (end - a)
            })
        };
        let (first, last) = (samples[0].0, samples[samples.len() - 1].0);
        (0..=20_000)
            .map(|i| first + window_s + (last - first - window_s) * f64::from(i) / 20_000.0)
            .map(|t| (integral(t) - integral(t - window_s)) / window_s)
            .fold(f64::NEG_INFINITY, f64::max)
    }

    #[test]
    fn a_triangle_has_its_best_window_around_the_top() {
        // C rises from 0 to 1 over 100 s and falls again; the best 50-s window
        // is the middle one: 1 − 25/100/2.
        let samples = [(0.0, 0.0), (100.0, 1.0), (200.0, 0.0)];
        assert!((largest(50.0, &samples).unwrap() - 0.875).abs() < 1e-12);
    }

    #[test]
    fn agrees_with_brute_force_on_ragged_samples() {
        let mut seed = 7_u64;
        let mut random = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) as f64 / 2_147_483_648.0
        };
        for window_s in [30.0, 120.0, 400.0] {
            let mut t = 0.0;
            let samples: Vec<(f64, f64)> = (0..80)
                .map(|_| {
                    t += 1.0 + 40.0 * random();
                    (t, random())
                })
                .collect();
            let (exact, rough) = (largest(window_s, &samples).unwrap(), naive(window_s, &samples));
            assert!(exact >= rough - 1e-12 && exact - rough < 1e-4, "{window_s}: {exact} {rough}");
        }
    }

    #[test]
    fn a_window_that_was_not_sampled_throughout_does_not_count() {
        assert_eq!(largest(50.0, &[(0.0, 1.0), (49.0, 1.0)]), None);
        let mut rolling = RollingMean::new(50.0);
        for (t, c) in [(0.0, 1.0), (40.0, 1.0)] {
            rolling.push(t, c);
        }
        rolling.interrupt();
        for (t, c) in [(45.0, 1.0), (80.0, 1.0)] {
            rolling.push(t, c);
        }
        assert_eq!(rolling.largest(), None);
        rolling.push(95.0, 1.0);
        assert!((rolling.largest().unwrap() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn memory_is_one_window() {
        let mut rolling = RollingMean::new(10.0);
        for t in 0..10_000 {
            rolling.push(f64::from(t), 1.0);
        }
        assert!(rolling.run.len() <= 13);
    }
}
