//! Which levels of a field are needed, and how flights are grouped where not
//! all of these fit into device memory at once.

use std::ops::Range;

use crate::grid::LevelAxis;

/// A pressure range and, for hybrid levels, that of the surface pressure \[Pa\].
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Reach {
    pub low_pa: f64,
    pub high_pa: f64,
    /// Lowest and highest; counts for hybrid levels only.
    pub surface_pa: (f64, f64),
}

/// The levels that points within `reach` may be weighed from: never fewer than
/// are needed.
pub(super) fn levels(axis: &LevelAxis, reach: &Reach) -> Range<usize> {
    let n = axis.len();
    let at = |i: usize, surface_pa: f64| match axis {
        LevelAxis::Levels { axis, log: false } => axis.values()[i],
        LevelAxis::Levels { axis, log: true } => axis.values()[i].exp(),
        LevelAxis::Layers { edges_pa } => edges_pa[i],
        LevelAxis::Hybrid { coefficients, .. } | LevelAxis::HybridLayers { coefficients } => {
            coefficients[i].0 + coefficients[i].1 * surface_pa
        }
    };
    // The higher the surface pressure, the higher up a level of given pressure.
    let nodes = if axis.is_layered() { n + 1 } else { n };
    let above = (0..nodes).take_while(|&i| at(i, reach.surface_pa.1) <= reach.low_pa).count();
    let below = (0..nodes).take_while(|&i| at(i, reach.surface_pa.0) < reach.high_pa).count();
    // One more on either side: what is within rounding of a level may be
    // located in either cell.
    let start = above.saturating_sub(2).min(n - 1);
    start..(below + 2).clamp(start + 1, n)
}

/// Groups flights, each with the levels that it needs, so that no group needs
/// more than `most`; `None` where one flight alone does.
pub(super) fn group(flights: &[(u32, Range<usize>)], most: usize) -> Option<Vec<(Range<usize>, Vec<u32>)>> {
    let mut sorted: Vec<&(u32, Range<usize>)> = flights.iter().collect();
    sorted.sort_by_key(|(flight, levels)| (levels.start, levels.end, *flight));
    let mut groups: Vec<(Range<usize>, Vec<u32>)> = Vec::new();
    for (flight, levels) in sorted {
        if levels.len() > most {
            return None;
        }
        match groups.last_mut() {
            Some((held, flights)) if held.end.max(levels.end) - held.start <= most => {
                held.end = held.end.max(levels.end);
                flights.push(*flight);
            }
            _ => groups.push((levels.clone(), vec![*flight])),
        }
    }
    Some(groups)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grid::Axis;

    fn reach(low_pa: f64, high_pa: f64) -> Reach {
        Reach { low_pa, high_pa, surface_pa: (60_000.0, 105_000.0) }
    }

    #[test]
    fn all_levels_that_count_are_among_those_needed() {
        let pa: Vec<f64> = (1..=20).map(|i| 5_000.0 * f64::from(i)).collect();
        let hybrid: Vec<(f64, f64)> = (0..20).map(|i| (2_000.0 + 500.0 * f64::from(i), f64::from(i) / 20.0)).collect();
        let axes = [
            LevelAxis::Levels { axis: Axis::new("level", pa.clone()).unwrap(), log: false },
            LevelAxis::Levels { axis: Axis::new("level", pa.iter().map(|p| p.ln()).collect()).unwrap(), log: true },
            LevelAxis::Layers { edges_pa: pa.clone() },
            LevelAxis::Hybrid { coefficients: hybrid.clone(), log: true },
            LevelAxis::HybridLayers { coefficients: hybrid },
        ];
        for axis in axes {
            for (low, high) in [(1_000.0, 9_000.0), (20_000.0, 20_000.0), (23_000.0, 61_000.0), (90_000.0, 120_000.0)] {
                let needed = levels(&axis, &reach(low, high));
                assert!(!needed.is_empty() && needed.end <= axis.len(), "{needed:?}");
                for i in 0..=40 {
                    let p = low + (high - low) * f64::from(i) / 40.0;
                    for surface in [60_000.0, 80_000.0, 105_000.0] {
                        let Some(cell) = axis.locate_from(p, surface, &mut 0) else { continue };
                        let beside = usize::from(!axis.is_layered());
                        let uses = cell.index..cell.index + 1 + beside;
                        assert!(
                            needed.start <= uses.start && uses.end <= needed.end,
                            "{axis:?} {p} {needed:?} {uses:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn cruise_leaves_most_levels_out() {
        let pa: Vec<f64> = (1..=20).map(|i| 5_000.0 * f64::from(i)).collect();
        let axis = LevelAxis::Levels { axis: Axis::new("level", pa).unwrap(), log: false };
        assert!(levels(&axis, &reach(20_000.0, 30_000.0)).len() <= 7);
        let single = LevelAxis::Levels { axis: Axis::new("level", vec![30_000.0]).unwrap(), log: false };
        assert_eq!(levels(&single, &reach(20_000.0, 40_000.0)), 0..1);
    }

    #[test]
    fn groups_hold_every_flight_once_and_fit() {
        let flights: Vec<(u32, Range<usize>)> =
            (0..100).map(|i| (i, (i as usize * 7 % 20)..(i as usize * 7 % 20 + 3 + i as usize % 3))).collect();
        let groups = group(&flights, 8).unwrap();
        let mut seen: Vec<u32> = groups.iter().flat_map(|(_, f)| f.clone()).collect();
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for (held, members) in &groups {
            assert!(held.len() <= 8);
            for member in members {
                let (_, levels) = &flights[*member as usize];
                assert!(held.start <= levels.start && levels.end <= held.end);
            }
        }
        assert!(groups.len() < 10);
        assert_eq!(group(&flights, 4), None);
    }
}
