//! Canonical axes of a data set, and the way back to each file's order.

use std::ops::Range;

use super::file::{HybridTable, LevelPlace};
use crate::{
    atmosphere::isa_pressure,
    field::{HybridLevels, Levels, hybrid},
    grid::{Axis, LevelAxis, LongitudeAxis, VerticalRule},
    trajectory::wrap_longitude,
    units::Altitude,
};

/// Two coordinates that differ by less are the same \[degrees\]: files store
/// them as `float32`.
const SAME_DEG: f64 = 1e-4;

/// The part of a field that flights touch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldBox {
    /// Lowest and highest pressure \[Pa\].
    pub pressure_pa: (f64, f64),
    /// Southernmost and northernmost latitude \[degrees\].
    pub latitude_deg: (f64, f64),
    /// Westernmost longitude and the way from there to the easternmost,
    /// eastwards, 0 to 360 \[degrees\].
    pub longitude_deg: (f64, f64),
}

/// Ascending values and, for each, its place in the file.
pub(super) struct Sorted {
    pub values: Vec<f64>,
    pub places: Vec<usize>,
}

pub(super) fn sorted(values: &[f64]) -> Sorted {
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    Sorted { values: places.iter().map(|&i| values[i]).collect(), places }
}

/// Longitudes turned into one ascending run of less than a circle, starting
/// behind the widest gap for a region and at the first from −180 on for the
/// globe.
pub(super) fn sorted_longitudes(values: &[f64]) -> Sorted {
    let wrapped: Vec<f64> = values.iter().map(|&v| snap(wrap_longitude(v))).collect();
    let mut places: Vec<usize> = (0..values.len()).collect();
    places.sort_by(|&a, &b| wrapped[a].total_cmp(&wrapped[b]));
    // A seam column that is written twice (0 and 360) counts once.
    places.dedup_by(|a, b| (wrapped[*a] - wrapped[*b]).abs() < SAME_DEG);
    let n = places.len();
    let gap = |i: usize| {
        let (here, next) = (wrapped[places[i]], wrapped[places[(i + 1) % n]]);
        if i + 1 == n { next + 360.0 - here } else { next - here }
    };
    let widest = (0..n).max_by(|&a, &b| gap(a).total_cmp(&gap(b))).unwrap_or(0);
    let typical = (0..n).map(gap).fold(f64::INFINITY, f64::min);
    // The globe has no gap; a region starts behind its widest one.
    let start = if n < 2 || gap(widest) <= typical * 1.5 { 0 } else { (widest + 1) % n };
    places.rotate_left(start);
    let mut values = Vec::with_capacity(n);
    for &place in &places {
        let mut x = wrapped[place];
        while values.last().is_some_and(|&last| x < last) {
            x += 360.0;
        }
        values.push(x);
    }
    Sorted { values, places }
}

/// 359.99999 of a `float32` axis is 0, so that both turns sort alike.
fn snap(longitude_deg: f64) -> f64 {
    if 180.0 - longitude_deg < SAME_DEG { longitude_deg - 360.0 } else { longitude_deg }
}

/// Whether two axes are the same grid.
pub(super) fn same(a: &[f64], b: &[f64]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(x, y)| (x - y).abs() < SAME_DEG)
}

/// A level's name that can be compared between files: mPa for pressures, the
/// number of a hybrid level.
#[expect(clippy::cast_possible_truncation, reason = "pressures are far below 2^63 mPa")]
pub(super) fn level_keys(levels: &Levels) -> Vec<i64> {
    let milli = |v: f64| (v * 1e3).round() as i64;
    match levels {
        Levels::Surface => vec![0],
        Levels::Hybrid(hybrid) => hybrid.numbers.iter().map(|&n| i64::from(n)).collect(),
        other => pressures(other).into_iter().map(milli).collect(),
    }
}

/// Pressures of fixed levels \[Pa\], in the file's order; altitudes through
/// the standard atmosphere; none for surface fields and hybrid levels.
#[must_use]
pub fn pressures(levels: &Levels) -> Vec<f64> {
    let of = |altitude: Altitude| isa_pressure(altitude).pascal();
    match levels {
        Levels::Surface | Levels::Hybrid(_) => Vec::new(),
        Levels::Pressure(pa) => pa.clone(),
        Levels::Altitude(m) => m.iter().map(|&m| of(Altitude::from_metres(m))).collect(),
        Levels::FlightLevel(fl) => fl.iter().map(|&fl| of(Altitude::from_flight_level(fl))).collect(),
    }
}

/// The vertical axis of fixed pressures, ascending.
pub(super) fn fixed_axis(pressure_pa: &[f64], place: LevelPlace, rule: VerticalRule) -> Result<LevelAxis, String> {
    let n = pressure_pa.len();
    if rule != VerticalRule::LayerMean {
        let log = rule == VerticalRule::LogP;
        let values = pressure_pa.iter().map(|p| if log { p.ln() } else { *p }).collect();
        return Ok(LevelAxis::Levels { axis: Axis::new("level", values).map_err(|e| e.to_string())?, log });
    }
    let mut edges_pa = Vec::with_capacity(n + 1);
    match place {
        // Tops: the layer below a top reaches down to the next one, the
        // lowest to below any runway.
        LevelPlace::LayerTop => {
            edges_pa.extend_from_slice(pressure_pa);
            edges_pa.push(110_000.0_f64.max(pressure_pa[n - 1] + 1.0));
        }
        LevelPlace::Point | LevelPlace::LayerMean => {
            if n < 2 {
                return Err("layer means need at least two levels to know where a layer ends".to_owned());
            }
            edges_pa.push(((3.0 * pressure_pa[0] - pressure_pa[1]) * 0.5).max(0.0));
            edges_pa.extend(pressure_pa.windows(2).map(|w| 0.5 * (w[0] + w[1])));
            edges_pa.push(0.5 * (3.0 * pressure_pa[n - 1] - pressure_pa[n - 2]));
        }
    }
    Ok(LevelAxis::Layers { edges_pa })
}

/// Half-level coefficients for hybrid levels: the file's, the data-set
/// file's, or those that the numbers leave no doubt about.
///
/// # Errors
/// When the table is in doubt, or lacks a level.
pub fn half_levels(levels: &HybridLevels, table: Option<HybridTable>) -> Result<Vec<(f64, f64)>, String> {
    if let Some(table) = &levels.half_levels {
        return Ok(table.clone());
    }
    let highest = levels.numbers.iter().copied().max().unwrap_or(0);
    let chosen = match table {
        Some(HybridTable::L60) => hybrid::L60,
        Some(HybridTable::L137) => hybrid::L137,
        None if highest > 60 && highest <= 137 => hybrid::L137,
        None if highest == 60 && levels.numbers.len() == 60 => hybrid::L60,
        None => {
            return Err(format!(
                "hybrid levels up to {highest} may be of any table, expected hybrid_levels = \"L60\" or \"L137\" in a data-set file"
            ));
        }
    };
    if highest as usize >= chosen.len() || levels.numbers.contains(&0) {
        return Err(format!("hybrid level {highest} is not among the {} of the table", chosen.len() - 1));
    }
    Ok(chosen.to_vec())
}

/// The vertical axis of hybrid levels with ascending `numbers`.
pub(super) fn hybrid_axis(numbers: &[u32], table: &[(f64, f64)], rule: VerticalRule) -> Result<LevelAxis, String> {
    let half = |n: u32| table.get(n as usize).copied().ok_or_else(|| format!("hybrid level {n} is not in its table"));
    if rule == VerticalRule::LayerMean {
        if numbers.windows(2).any(|w| w[1] != w[0] + 1) {
            return Err("layer means need hybrid levels without gaps".to_owned());
        }
        let mut coefficients = vec![half(numbers[0] - 1)?];
        for &n in numbers {
            coefficients.push(half(n)?);
        }
        return Ok(LevelAxis::HybridLayers { coefficients });
    }
    let coefficients = numbers
        .iter()
        .map(|&n| {
            let ((a0, b0), (a1, b1)) = (half(n - 1)?, half(n)?);
            Ok((0.5 * (a0 + a1), 0.5 * (b0 + b1)))
        })
        .collect::<Result<_, String>>()?;
    Ok(LevelAxis::Hybrid { coefficients, log: rule == VerticalRule::LogP })
}

/// The levels that a range of pressures touches, as a range of the axis.
pub(super) fn touched_levels(axis: &LevelAxis, (low, high): (f64, f64)) -> Option<Range<usize>> {
    // Surface pressures on Earth, with room to spare.
    const SURFACE_PA: (f64, f64) = (40_000.0, 112_000.0);
    let edges = |values: &[f64]| {
        let start = values.partition_point(|&v| v <= low).saturating_sub(2);
        let end = (values.partition_point(|&v| v < high) + 2).min(values.len());
        (high >= values[0] && low <= values[values.len() - 1]).then_some(start..end)
    };
    let hybrid = |coefficients: &[(f64, f64)]| {
        let last = coefficients.len() - 1;
        let at = |(a, b): (f64, f64), surface: f64| a + b * surface;
        let lowest: Vec<f64> = coefficients.iter().map(|&c| at(c, SURFACE_PA.0).min(at(c, SURFACE_PA.1))).collect();
        let highest: Vec<f64> = coefficients.iter().map(|&c| at(c, SURFACE_PA.0).max(at(c, SURFACE_PA.1))).collect();
        let start = highest.partition_point(|&v| v <= low).saturating_sub(1);
        let end = (lowest.partition_point(|&v| v < high) + 1).min(last + 1);
        (start + 1 < end).then_some(start..end)
    };
    match axis {
        LevelAxis::Levels { axis, log: false } => axis.touched(low, high),
        LevelAxis::Levels { axis, log: true } => axis.touched(low.ln(), high.ln()),
        LevelAxis::Layers { edges_pa } => edges(edges_pa).map(|r| r.start..r.end - 1),
        LevelAxis::Hybrid { coefficients, .. } => hybrid(coefficients),
        LevelAxis::HybridLayers { coefficients } => hybrid(coefficients).map(|r| r.start..r.end - 1),
    }
    .filter(|range| !range.is_empty())
}

/// The axis with the levels `range` alone.
pub(super) fn cut_levels(axis: &LevelAxis, range: &Range<usize>) -> LevelAxis {
    let layers = range.start..range.end + 1;
    match axis {
        LevelAxis::Levels { axis, log } => LevelAxis::Levels { axis: axis.cut(range.clone()), log: *log },
        LevelAxis::Layers { edges_pa } => LevelAxis::Layers { edges_pa: edges_pa[layers].to_vec() },
        LevelAxis::Hybrid { coefficients, log } => {
            LevelAxis::Hybrid { coefficients: coefficients[range.clone()].to_vec(), log: *log }
        }
        LevelAxis::HybridLayers { coefficients } => {
            LevelAxis::HybridLayers { coefficients: coefficients[layers].to_vec() }
        }
    }
}

/// The columns that an arc of longitudes touches: the first node and how many
/// follow, `None` where axis and arc do not meet.
pub(super) fn touched_columns(axis: &LongitudeAxis, (west, width): (f64, f64)) -> Option<(usize, usize)> {
    let whole = Some((0, axis.columns()));
    // Where the rest of the circle lies within one cell, that cell is both
    // the first and the last that the arc touches.
    if width >= 350.0 || width + axis.widest_step() >= 360.0 {
        return whole;
    }
    if !axis.is_global() {
        // Regional files are small: columns are kept as they are.
        return whole;
    }
    let n = axis.len();
    let west_node = axis.locate_from(west, &mut 0)?.index;
    let east_node = axis.locate_from(west + width, &mut 0)?.index;
    // One column more on either side for coordinates within rounding of a node.
    let start = (west_node + n - 1) % n;
    // From that one, over the cells of the arc, to one behind the last's end.
    let columns = (east_node + n - west_node) % n + 4;
    if columns >= n { whole } else { Some((start, columns)) }
}

impl FieldBox {
    /// The box around points; `None` without any.
    #[must_use]
    pub fn around(longitude_deg: &[f64], latitude_deg: &[f64], pressure_pa: &[f64]) -> Option<Self> {
        let range = |values: &[f64]| {
            values
                .iter()
                .filter(|v| v.is_finite())
                .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
        };
        let pressure_pa = range(pressure_pa);
        let latitude_deg = range(latitude_deg);
        (pressure_pa.0 <= pressure_pa.1 && latitude_deg.0 <= latitude_deg.1).then(|| Self {
            pressure_pa,
            latitude_deg,
            longitude_deg: arc(longitude_deg),
        })
    }
}

/// The shortest arc that holds all longitudes, in whole degrees: what lies
/// outside the widest run of degrees without a point.
fn arc(longitude_deg: &[f64]) -> (f64, f64) {
    let mut taken = [false; 360];
    for &longitude in longitude_deg.iter().filter(|v| v.is_finite()) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 359")]
        let degree = ((wrap_longitude(longitude) + 180.0) as usize).min(359);
        taken[degree] = true;
    }
    let mut widest = (0, 0);
    let mut run = 0;
    for i in 0..720 {
        if taken[i % 360] {
            run = 0;
        } else {
            run += 1;
            if run > widest.1 && run <= 360 {
                widest = (i + 1 - run, run);
            }
        }
    }
    let (start, length) = widest;
    (wrap_longitude((start + length) as f64 - 180.0), (360 - length.min(360)) as f64)
}
