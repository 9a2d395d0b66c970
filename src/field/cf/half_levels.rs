//! Tables of half levels that a file brings along.

use super::{RawArray, catalogue::Catalogue};
use crate::{
    field::FieldError,
    units::{Dimension, Unit},
};

/// Names of arrays that hold half-level coefficients, with nothing that points to them.
const HALF_LEVEL_NAMES: &[(&str, &str)] = &[
    ("hyai", "hybi"),
    ("a_half", "b_half"),
    ("ap_half", "b_half"),
    ("ap_bnds", "b_bnds"),
    ("a_bnds", "b_bnds"),
    ("hyai_bnds", "hybi_bnds"),
];

/// The table that `formula_terms` (CF 1.11, appendix D), bounds or usual names
/// lead to, from the top, with `a` in Pa.
pub(super) fn half_levels(
    catalogue: &Catalogue<'_>,
    coordinate: &RawArray,
    remarks: &mut Vec<String>,
) -> Result<Option<Vec<(f64, f64)>>, FieldError> {
    let Some((a, b)) = half_level_arrays(catalogue, coordinate) else {
        return Ok(None);
    };
    let (a_name, b_name) = (&catalogue.array(a).name, &catalogue.array(b).name);
    let mut unusable = |why: &str| {
        remarks.push(format!("{a_name}, {b_name}: {why}; the file's table of half levels is not used"));
        Ok(None)
    };
    let (Some(a_values), Some(b_values)) = (edges(catalogue, a)?, edges(catalogue, b)?) else {
        return unusable("layers that do not touch");
    };
    let Some(factor) = pascals(catalogue, coordinate, a, &a_values)? else {
        return unusable("no units and no reference pressure p0");
    };
    if a_values.len() != b_values.len() || a_values.len() < 2 {
        return unusable("lengths that do not match");
    }
    let mut table: Vec<(f64, f64)> = a_values.iter().zip(&b_values).map(|(a, b)| (a * factor, *b)).collect();
    let pressure = |(a, b): (f64, f64)| a + b * 1e5;
    if pressure(table[0]) > pressure(table[table.len() - 1]) {
        table.reverse();
    }
    if table.windows(2).any(|w| pressure(w[1]) <= pressure(w[0])) {
        return unusable("pressures that do not rise downwards");
    }
    Ok(Some(table))
}

fn half_level_arrays(catalogue: &Catalogue<'_>, coordinate: &RawArray) -> Option<(usize, usize)> {
    let find = |name: &str| catalogue.find(name).filter(|&i| catalogue.array(i).numeric);
    let bounds = coordinate.text("bounds").and_then(|name| catalogue.find(name)).map(|i| catalogue.array(i));
    let of_bounds = bounds.and_then(|bounds| {
        let a = term(bounds, "a").or_else(|| term(bounds, "ap"))?;
        Some((find(a)?, find(term(bounds, "b")?)?))
    });
    let bounds_of = |name: &str| {
        let named = find(name).and_then(|i| catalogue.array(i).text("bounds")).and_then(find);
        named.or_else(|| find(&format!("{name}_bnds")))
    };
    of_bounds
        .or_else(|| {
            let a = term(coordinate, "a").or_else(|| term(coordinate, "ap"))?;
            Some((bounds_of(a)?, bounds_of(term(coordinate, "b")?)?))
        })
        .or_else(|| HALF_LEVEL_NAMES.iter().find_map(|(a, b)| Some((find(a)?, find(b)?))))
}

/// The array that stands for a term in `formula_terms`.
fn term<'a>(array: &'a RawArray, wanted: &str) -> Option<&'a str> {
    let mut words = array.text("formula_terms")?.split_whitespace();
    while let Some(word) = words.next() {
        if word.strip_suffix(':') == Some(wanted) {
            return words.next();
        }
    }
    None
}

/// `n + 1` edges of `n` layers, given as such or as pairs; `None` for layers with gaps.
fn edges(catalogue: &Catalogue<'_>, index: usize) -> Result<Option<Vec<f64>>, FieldError> {
    let array = catalogue.array(index);
    match array.shape.as_slice() {
        [_] => Ok(Some(catalogue.values(index)?.to_vec())),
        [n, 2] if *n > 0 => {
            let values = catalogue.values(index)?;
            let touch = |x: f64, y: f64| (x - y).abs() <= 1e-6 * x.abs().max(y.abs());
            let joined = |first: usize, second: usize| {
                let pairs = || values.chunks_exact(2);
                pairs().zip(pairs().skip(1)).all(|(above, below)| touch(above[second], below[first])).then(|| {
                    pairs().map(|p| p[first]).chain(pairs().next_back().map(|p| p[second])).collect::<Vec<f64>>()
                })
            };
            Ok(joined(0, 1).or_else(|| joined(1, 0)))
        }
        _ => Ok(None),
    }
}

/// The factor that makes Pa of coefficients `a`, by their units or by p0.
fn pascals(
    catalogue: &Catalogue<'_>,
    coordinate: &RawArray,
    a: usize,
    values: &[f64],
) -> Result<Option<f64>, FieldError> {
    let array = catalogue.array(a);
    if let Some(unit) = array.text("units").and_then(Unit::parse).filter(|u| u.dimension == Dimension::Pressure) {
        return Ok(Some(unit.factor));
    }
    // A fraction of p0 stays below 1; coefficients in Pa reach thousands.
    if values.iter().any(|v| v.abs() > 2.0) {
        return Ok(Some(1.0));
    }
    let named = coordinate.text("bounds").and_then(|name| catalogue.find(name)).map(|i| catalogue.array(i));
    let p0 = [Some(coordinate), named].into_iter().flatten().find_map(|array| term(array, "p0")).unwrap_or("p0");
    let Some(p0) = catalogue.find(p0).or_else(|| catalogue.find("P0")).filter(|&i| catalogue.array(i).len() == 1)
    else {
        return Ok(None);
    };
    let factor = catalogue.array(p0).text("units").and_then(Unit::parse).map_or(1.0, |u| u.factor);
    Ok(catalogue.values(p0)?.first().map(|p| p * factor))
}
