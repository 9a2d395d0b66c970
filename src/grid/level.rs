//! Vertical axes, and the rule between their levels.

use serde::{Deserialize, Serialize};

use super::axis::{Axis, Bracket, Located, walk};

/// How a value between two levels is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerticalRule {
    /// Linear in pressure, as pycontrails and MPTRAC do.
    #[default]
    LinearP,
    /// Linear in the logarithm of pressure.
    LogP,
    /// Constant within a layer, for dispersion models' layer means.
    LayerMean,
}

impl VerticalRule {
    /// As options and results write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LinearP => "linear-p",
            Self::LogP => "log-p",
            Self::LayerMean => "layer-mean",
        }
    }
}

/// A vertical axis with its rule, ready to locate a pressure.
#[derive(Debug, Clone, PartialEq)]
pub enum LevelAxis {
    /// Levels at fixed pressures.
    Levels {
        /// Pa, ascending, or their logarithms.
        axis: Axis,
        /// Whether the axis holds logarithms.
        log: bool,
    },
    /// Layers between fixed pressures.
    Layers {
        /// Their `n + 1` boundaries \[Pa\], ascending.
        edges_pa: Vec<f64>,
    },
    /// Hybrid levels: p = a + b `p_s`.
    Hybrid {
        /// Full levels `(a [Pa], b)`, downwards.
        coefficients: Vec<(f64, f64)>,
        /// Whether to interpolate in the logarithm of pressure.
        log: bool,
    },
    /// Hybrid layers between half levels.
    HybridLayers {
        /// Half levels `(a [Pa], b)`, downwards, one more than layers.
        coefficients: Vec<(f64, f64)>,
    },
}

impl LevelAxis {
    /// Number of levels or layers.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Levels { axis, .. } => axis.len(),
            Self::Layers { edges_pa } => edges_pa.len() - 1,
            Self::Hybrid { coefficients, .. } => coefficients.len(),
            Self::HybridLayers { coefficients } => coefficients.len() - 1,
        }
    }

    /// Never true.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the surface pressure is needed to locate a point.
    #[must_use]
    pub fn needs_surface_pressure(&self) -> bool {
        matches!(self, Self::Hybrid { .. } | Self::HybridLayers { .. })
    }

    /// Whether a layer's value is taken as it is, so that the next level
    /// plays no part.
    #[must_use]
    pub fn is_layered(&self) -> bool {
        matches!(self, Self::Layers { .. } | Self::HybridLayers { .. })
    }

    /// Where a pressure lies, `None` outside the axis. `surface_pa` counts
    /// for hybrid levels only. In a layered axis `weight` is how far into the
    /// layer the point is.
    #[must_use]
    #[inline(always)]
    pub fn locate_from(&self, pressure_pa: f64, surface_pa: f64, hint: &mut usize) -> Option<Bracket> {
        match self {
            Self::Levels { axis, log } => axis.locate_from(if *log { pressure_pa.ln() } else { pressure_pa }, hint),
            Self::Layers { edges_pa } => {
                let last = edges_pa.len() - 1;
                if !(pressure_pa >= edges_pa[0] && pressure_pa <= edges_pa[last]) {
                    return None;
                }
                *hint = walk(edges_pa, pressure_pa, *hint);
                let (low, high) = (edges_pa[*hint], edges_pa[*hint + 1]);
                Some(Bracket { index: *hint, weight: (pressure_pa - low) / (high - low) })
            }
            Self::Hybrid { coefficients, log } => locate_hybrid(coefficients, pressure_pa, surface_pa, hint, *log),
            Self::HybridLayers { coefficients } => locate_hybrid(coefficients, pressure_pa, surface_pa, hint, false),
        }
    }

    /// As [`LevelAxis::locate_from`] for many pressures.
    #[inline(always)]
    pub fn locate_block(&self, pressure_pa: &[f64], surface_pa: &[f64], out: &mut Located<'_>, hint: &mut usize) {
        if let Self::Levels { axis, log: false } = self {
            axis.locate_block(pressure_pa, out, hint);
            return;
        }
        for (i, (&pressure_pa, &surface_pa)) in pressure_pa.iter().zip(surface_pa).enumerate() {
            out.set(i, self.locate_from(pressure_pa, surface_pa, hint));
        }
    }

    /// Pressures of the levels, or of the layers' boundaries, downwards
    /// \[Pa\]; of hybrid ones over the sea, close enough to choose a step.
    #[must_use]
    pub fn pressures_pa(&self) -> Vec<f64> {
        match self {
            Self::Levels { axis, log: false } => axis.values().to_vec(),
            Self::Levels { axis, log: true } => axis.values().iter().map(|p| p.exp()).collect(),
            Self::Layers { edges_pa } => edges_pa.clone(),
            Self::Hybrid { coefficients, .. } | Self::HybridLayers { coefficients } => {
                coefficients.iter().map(|(a, b)| a + b * 101_325.0).collect()
            }
        }
    }
}

/// The smallest difference between neighbours of `levels_pa`, ascending, that
/// a path from one pressure to another \[Pa\] has to resolve; infinite for a
/// single level.
#[must_use]
pub fn finest_between(levels_pa: &[f64], from_pa: f64, to_pa: f64) -> f64 {
    let Some(last) = levels_pa.len().checked_sub(1).filter(|&last| last > 0) else { return f64::INFINITY };
    let (low, high) = (from_pa.min(to_pa), from_pa.max(to_pa));
    // A level belongs to the step below it; beyond the ends the nearest steps
    // count.
    let first = levels_pa.partition_point(|&pa| pa <= low).clamp(1, last);
    let end = levels_pa.partition_point(|&pa| pa <= high).clamp(1, last);
    (first..=end).map(|i| levels_pa[i] - levels_pa[i - 1]).fold(f64::INFINITY, f64::min)
}

#[inline(always)]
fn locate_hybrid(
    coefficients: &[(f64, f64)],
    pressure_pa: f64,
    surface_pa: f64,
    hint: &mut usize,
    log: bool,
) -> Option<Bracket> {
    let at = |i: usize| coefficients[i].0 + coefficients[i].1 * surface_pa;
    let last = coefficients.len() - 1;
    if !(pressure_pa >= at(0) && pressure_pa <= at(last)) {
        return None;
    }
    if last == 0 {
        return Some(Bracket { index: 0, weight: 0.0 });
    }
    let mut index = (*hint).min(last - 1);
    while index > 0 && pressure_pa < at(index) {
        index -= 1;
    }
    while index + 1 < last && pressure_pa >= at(index + 1) {
        index += 1;
    }
    *hint = index;
    let (low, high) = (at(index), at(index + 1));
    let weight = if log && low > 0.0 {
        (pressure_pa / low).ln() / (high / low).ln()
    } else {
        (pressure_pa - low) / (high - low)
    };
    Some(Bracket { index, weight })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(log: bool) -> LevelAxis {
        let hpa = [100.0, 150.0, 200.0, 250.0, 300.0];
        let values = hpa.iter().map(|p| if log { f64::ln(p * 100.0) } else { p * 100.0 }).collect();
        LevelAxis::Levels { axis: Axis::new("level", values).unwrap(), log }
    }

    #[test]
    fn rules_differ_between_levels_and_agree_on_them() {
        let find = |axis: &LevelAxis, pa| axis.locate_from(pa, f64::NAN, &mut 0).map(|b| b.index as f64 + b.weight);
        assert_eq!(find(&levels(false), 22_500.0), Some(2.5));
        let log = find(&levels(true), 22_500.0).unwrap();
        assert!((log - (2.0 + (22_500.0_f64 / 20_000.0).ln() / (25_000.0_f64 / 20_000.0).ln())).abs() < 1e-12);
        assert_eq!(find(&levels(false), 30_000.0), Some(4.0));
        assert_eq!(find(&levels(false), 30_001.0), None);
        assert_eq!(find(&levels(false), 9_999.0), None);
    }

    #[test]
    fn hybrid_levels_follow_the_surface() {
        let axis = LevelAxis::Hybrid { coefficients: vec![(2_000.0, 0.0), (5_000.0, 0.3), (0.0, 1.0)], log: false };
        let find = |ps| axis.locate_from(30_000.0, ps, &mut 0).map(|b| b.index as f64 + b.weight);
        // p = 5000 + 0.3 p_s at the middle level.
        assert!((find(100_000.0).unwrap() - (2_000.0f64 - 30_000.0).abs() / 33_000.0).abs() < 1e-12);
        assert!((find(50_000.0).unwrap() - (1.0 + 10_000.0 / 30_000.0)).abs() < 1e-12);
        assert_eq!(find(f64::NAN), None);
        assert_eq!(find(20_000.0), None);
    }

    #[test]
    fn the_finest_step_on_the_way_counts() {
        let axis = LevelAxis::Layers { edges_pa: vec![10_000.0, 20_000.0, 21_000.0, 40_000.0] };
        let between = |a, b| finest_between(&axis.pressures_pa(), a, b);
        assert_eq!(between(39_000.0, 12_000.0).to_bits(), 1_000_f64.to_bits());
        assert_eq!(between(12_000.0, 13_000.0).to_bits(), 10_000_f64.to_bits());
        assert_eq!(between(30_000.0, 90_000.0).to_bits(), 19_000_f64.to_bits());
        assert_eq!(between(1_000.0, 2_000.0).to_bits(), 10_000_f64.to_bits());
        let logarithms = levels(true).pressures_pa();
        assert_eq!(finest_between(&logarithms, 25_500.0, 10_500.0).round().to_bits(), 5_000_f64.to_bits());
        assert!(finest_between(&[1.0], 1.0, 2.0).is_infinite());
    }

    #[test]
    fn layers_hold_their_boundaries() {
        let axis = LevelAxis::Layers { edges_pa: vec![10_000.0, 20_000.0, 40_000.0] };
        assert_eq!(axis.len(), 2);
        assert_eq!(axis.locate_from(10_000.0, 0.0, &mut 1).unwrap().index, 0);
        assert_eq!(axis.locate_from(20_000.0, 0.0, &mut 0).unwrap().index, 1);
        assert_eq!(axis.locate_from(40_000.0, 0.0, &mut 0).unwrap().index, 1);
        assert_eq!(axis.locate_from(40_001.0, 0.0, &mut 0), None);
    }
}
