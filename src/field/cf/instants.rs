//! The valid times of a variable, whatever the dimensions they are spread over.

use super::{RawArray, axes::Axis, catalogue::Catalogue, fault::Fault, time};

/// Valid times, and where each lies along the dimensions of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Instants {
    /// Seconds since 1970.
    pub times_s: Vec<f64>,
    /// For each time, the index along each dimension of time.
    pub places: Vec<Vec<usize>>,
}

const GIVE_TIME: &str = "give it a time coordinate, for example with `cdo setdate,2020-01-01 -settime,00:00:00`";
const GIVE_VALID_TIME: &str = "give a `valid_time` over these dimensions";

/// Hourly times of four centuries.
const MAX_TIMES: usize = 1 << 22;

/// One array whose values add up to the valid time.
struct Part {
    values_s: Vec<f64>,
    /// For each dimension of time, the distance between its neighbours; 0 where
    /// the array does not have it.
    strides: Vec<usize>,
}

/// Valid times of `array`, whose dimensions number `dims` are of time.
pub(super) fn instants(
    catalogue: &Catalogue<'_>,
    array: &RawArray,
    dims: &[usize],
    remarks: &mut Vec<String>,
) -> Result<Instants, Fault> {
    let names: Vec<String> = dims.iter().map(|&d| array.dims[d].clone()).collect();
    let shape: Vec<usize> = dims.iter().map(|&d| array.shape[d]).collect();
    let long: Vec<&String> = names.iter().zip(&shape).filter(|&(_, &n)| n > 1).map(|(name, _)| name).collect();
    let covers = |i: usize| long.iter().all(|name| catalogue.array(i).dims.contains(name));
    let best = |axis| {
        // The most specific: with the most dimensions, then the usual name.
        let rank = |&i: &usize| (covers(i), catalogue.array(i).dims.len(), catalogue.array(i).name == "valid_time");
        catalogue.along(axis, &names).max_by_key(rank)
    };
    let (valid, reference, period) = (best(Axis::Time), best(Axis::Reference), best(Axis::Period));
    let (base, lead) = match (valid, reference, period) {
        (Some(valid), ..) if covers(valid) => (valid, None),
        (_, Some(reference), Some(period)) | (Some(reference), None, Some(period)) => (reference, Some(period)),
        (None, Some(reference), None) if covers(reference) => (reference, None),
        (None, None, _) => return Err(Fault::refuse("it has no time", GIVE_TIME)),
        _ => return Err(unplaced(&names)),
    };
    let mut parts = vec![part(catalogue, base, catalogue.times(base)?, &names)];
    if let Some(lead) = lead {
        parts.push(part(catalogue, lead, periods_s(catalogue, lead)?, &names));
    }
    let covered = |d: usize| shape[d] == 1 || parts.iter().any(|part| part.strides[d] > 0);
    if !(0..shape.len()).all(covered) {
        return Err(unplaced(&names));
    }
    if shape.iter().fold(1, |n: usize, &d| n.saturating_mul(d)) > MAX_TIMES {
        return Err(catalogue.corrupt(base, format!("{shape:?} times; at most {MAX_TIMES} were expected")).into());
    }
    let places = every_place(&shape);
    let time = |place: &[usize]| parts.iter().map(|part| part.at(place)).sum::<f64>();
    let times_s: Vec<f64> = places.iter().map(|place| time(place)).collect();
    if long.len() > 1 {
        let age = match (period, reference) {
            (Some(i), _) => Some(part(catalogue, i, periods_s(catalogue, i)?, &names)),
            (None, Some(i)) => Some(part(catalogue, i, catalogue.times(i)?.iter().map(|t| -t).collect(), &names)),
            (None, None) => None,
        };
        return Ok(flattened(array, times_s, places, age.as_ref(), remarks));
    }
    catalogue.check_monotonic(base, &times_s)?;
    Ok(Instants { times_s, places })
}

fn unplaced(dims: &[String]) -> Fault {
    Fault::refuse(format!("no array gives its times along {}", dims.join(" and ")), GIVE_VALID_TIME)
}

/// In order of time; of several forecasts for one time the one with the
/// smallest age, which knows most.
fn flattened(
    array: &RawArray,
    times_s: Vec<f64>,
    places: Vec<Vec<usize>>,
    age: Option<&Part>,
    remarks: &mut Vec<String>,
) -> Instants {
    let age = |place: &[usize]| age.map_or(0.0, |part| part.at(place));
    let mut all: Vec<(f64, Vec<usize>)> = times_s.into_iter().zip(places).collect();
    all.sort_by(|(t, p), (u, q)| t.total_cmp(u).then(age(p).total_cmp(&age(q))));
    let before = all.len();
    all.dedup_by(|later, kept| later.0.to_bits() == kept.0.to_bits());
    if all.len() < before {
        remarks.push(format!(
            "{}: {} of {before} forecasts are for times that another covers; the one with the shortest lead is used",
            array.name,
            before - all.len()
        ));
    }
    let (times_s, places) = all.into_iter().unzip();
    Instants { times_s, places }
}

fn part(catalogue: &Catalogue<'_>, index: usize, values_s: Vec<f64>, names: &[String]) -> Part {
    let array = catalogue.array(index);
    let stride = |name: &String| {
        let at = array.dims.iter().position(|dim| dim == name)?;
        Some(array.shape[at + 1..].iter().product())
    };
    Part { values_s, strides: names.iter().map(|name| stride(name).unwrap_or(0)).collect() }
}

impl Part {
    fn at(&self, place: &[usize]) -> f64 {
        self.values_s[place.iter().zip(&self.strides).map(|(i, s)| i * s).sum::<usize>()]
    }
}

fn periods_s(catalogue: &Catalogue<'_>, index: usize) -> Result<Vec<f64>, Fault> {
    let array = catalogue.array(index);
    let unit = array.text("units").and_then(time::period_s).ok_or_else(|| {
        let units = array.text("units").unwrap_or("none");
        Fault::refuse(format!("`{}`: the unit `{units}` is not one of time", array.name), GIVE_VALID_TIME)
    })?;
    Ok(catalogue.values(index)?.iter().map(|v| v * unit).collect())
}

/// Every index along dimensions of this shape, the last one fastest.
fn every_place(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |places, &n| {
        places.iter().flat_map(|place| (0..n).map(|i| place.iter().copied().chain([i]).collect::<Vec<_>>())).collect()
    })
}
