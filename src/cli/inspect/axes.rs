//! The axes of a variable in words.

use super::text::{coordinate, count, counted, duration, number};
use crate::{
    atmosphere::isa_pressure,
    field::{
        HybridLevels, Levels, Variable,
        dataset::{DatasetFile, half_levels, pressures},
        hybrid,
    },
    time::UnixTime,
    trajectory::wrap_longitude,
    units::Altitude,
};

/// Steps that differ by less than this part of them are even: files store
/// coordinates as `float32`.
const EVEN: f64 = 5e-4;
/// As many levels are listed one by one.
const LISTED: usize = 12;
/// Beyond this, hPa need no more decimals.
const SEA_LEVEL_PA: f64 = 101_325.0;

/// Whether two variables share all their axes.
pub(super) fn same(a: &Variable, b: &Variable) -> bool {
    a.times_s == b.times_s
        && a.levels == b.levels
        && a.members == b.members
        && a.latitudes_deg == b.latitudes_deg
        && a.longitudes_deg == b.longitudes_deg
}

/// The axes as label and words.
pub(super) fn describe(variable: &Variable, file: &DatasetFile) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("times", times(&variable.times_s)),
        ("levels", levels(&variable.levels, file)),
        ("latitudes", latitudes(&variable.latitudes_deg)),
        ("longitudes", longitudes(&variable.longitudes_deg)),
    ];
    if let (Some(first), Some(last)) = (variable.members.first(), variable.members.last()) {
        lines.push(("members", format!("{}: {first} … {last}", count(variable.members.len() as u64))));
    }
    lines
}

/// What keeps flights from being sampled, of the axes alone.
pub(super) fn faults(variable: &Variable) -> Vec<String> {
    let mut faults = Vec::new();
    if variable.times_s.len() == 1 {
        faults.push("a single time: only flights at that instant can be sampled".to_owned());
    }
    if variable.levels.len() == 1 && variable.levels != Levels::Surface {
        faults.push("a single level: only points on it can be sampled".to_owned());
    }
    for (axis, values) in [("latitude", &variable.latitudes_deg), ("longitude", &variable.longitudes_deg)] {
        if values.len() == 1 {
            faults.push(format!("a single {axis}: no flight can be sampled"));
        }
    }
    faults
}

pub(super) fn times(times_s: &[f64]) -> String {
    let (Some(&first), Some(&last)) = (times_s.first(), times_s.last()) else { return "none".to_owned() };
    let [first, last] = [first, last].map(UnixTime);
    let n = count(times_s.len() as u64);
    if times_s.len() == 1 {
        return format!("{n}: {first}");
    }
    let steps = match Steps::of(times_s) {
        Steps::Even(step) if step > 0.0 => format!("every {}", duration(step)),
        Steps::Even(step) => format!("every {}, latest first", duration(-step)),
        Steps::Uneven(least, most) => format!("uneven, {} to {} apart", duration(least), duration(most)),
        Steps::Unsorted => "in no order".to_owned(),
    };
    format!("{n}: {first} … {last}, {steps}")
}

fn latitudes(values: &[f64]) -> String {
    horizontal(values, "°N", ["south to north", "north to south"], "")
}

fn longitudes(values: &[f64]) -> String {
    let n = values.len() as f64;
    let around = match Steps::of(values) {
        // The seam may be there twice.
        Steps::Even(step) => [n, n - 1.0].iter().any(|n| (n * step.abs() - 360.0).abs() < step.abs() * 0.01),
        _ => false,
    };
    let crosses = values.windows(2).any(|w| (wrap_longitude(w[1]) - wrap_longitude(w[0])).abs() > 180.0);
    let extra = match (around, crosses) {
        (true, _) => ", around the globe",
        (false, true) => ", across 180°",
        _ => ", a region",
    };
    horizontal(values, "°E", ["west to east", "east to west"], extra)
}

fn horizontal(values: &[f64], unit: &str, ways: [&str; 2], extra: &str) -> String {
    let (Some(&first), Some(&last)) = (values.first(), values.last()) else { return "none".to_owned() };
    let n = count(values.len() as u64);
    if values.len() == 1 {
        return format!("{n}: {} {unit}", coordinate(first));
    }
    let way = ways[usize::from(last < first)];
    let steps = match Steps::of(values) {
        Steps::Even(step) => format!("every {}°, {way}", coordinate(step.abs())),
        Steps::Uneven(least, most) if coordinate(least) == coordinate(most) => {
            format!("about every {}°, {way}", coordinate(least))
        }
        Steps::Uneven(least, most) => format!("uneven, {}° to {}°, {way}", coordinate(least), coordinate(most)),
        Steps::Unsorted => "turning back on the way".to_owned(),
    };
    format!("{n}: {} … {} {unit}, {steps}{extra}", coordinate(first), coordinate(last))
}

fn levels(levels: &Levels, file: &DatasetFile) -> String {
    let hpa = |pa: f64| coordinate((pa * 10.0).round() / 1000.0);
    let n = |what: &str| counted(levels.len() as u64, what, &format!("{what}s"));
    match levels {
        Levels::Surface => "none: a field of the surface or the whole column".to_owned(),
        Levels::Pressure(pa) => {
            format!("{}: {} hPa", n("pressure level"), some(&pa.iter().map(|p| hpa(*p)).collect::<Vec<_>>()))
        }
        Levels::Altitude(metres) => {
            let shown: Vec<String> = metres.iter().map(|m| number(*m)).collect();
            format!("{}: {} m, {}", n("altitude"), some(&shown), in_hpa(levels))
        }
        Levels::FlightLevel(feet) => {
            let shown: Vec<String> = feet.iter().map(|fl| format!("FL{fl:03}")).collect();
            format!("{}: {}, {}", n("flight level"), some(&shown), in_hpa(levels))
        }
        Levels::Hybrid(of) => format!("{}: {}", n("model level"), model_levels(of, file)),
    }
}

/// A few one by one, many by their ends.
fn some(shown: &[String]) -> String {
    match shown {
        [first, .., last] if shown.len() > LISTED => format!("{first} … {last}"),
        few => few.join(", "),
    }
}

/// The pressures of levels of altitude.
fn in_hpa(levels: &Levels) -> String {
    let pa = pressures(levels);
    let ends = pa.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &p| (low.min(p), high.max(p)));
    format!("{} to {} hPa in the standard atmosphere", number(ends.1 / 100.0), number(ends.0 / 100.0))
}

fn model_levels(levels: &HybridLevels, file: &DatasetFile) -> String {
    let numbers = &levels.numbers;
    let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return "none".to_owned() };
    let gaps = numbers.windows(2).any(|w| w[0].abs_diff(w[1]) != 1);
    let span = match numbers.len() {
        1 => first.to_string(),
        _ => format!("{first} … {last}{}", if gaps { " with gaps" } else { "" }),
    };
    let Ok(table) = half_levels(levels, file.hybrid_levels) else {
        return format!("{span} of an unknown table");
    };
    let whose = if levels.half_levels.is_some() {
        "the file's table"
    } else if table == hybrid::L60 {
        "the table L60"
    } else {
        "the table L137"
    };
    let pressure = |n: u32| {
        let (above, below) = (table.get(n.checked_sub(1)? as usize)?, table.get(n as usize)?);
        Some((0.5 * (above.0 + below.0 + (above.1 + below.1) * SEA_LEVEL_PA)) / 100.0)
    };
    let (low, high) = (numbers.iter().min().unwrap_or(first), numbers.iter().max().unwrap_or(last));
    match (pressure(*low), pressure(*high)) {
        (Some(top), Some(bottom)) if top < bottom => {
            format!("{span} of {whose}, {} to {} hPa above sea level", number(top), number(bottom))
        }
        (Some(at), Some(_)) => format!("{span} of {whose}, {} hPa above sea level", number(at)),
        _ => format!("{span}, of which {whose} lacks some"),
    }
}

/// A level's name in a few words, for the line that says what was sampled.
pub(super) fn level_name(levels: &Levels, index: usize) -> Option<String> {
    match levels {
        Levels::Surface => None,
        Levels::Pressure(pa) => pa.get(index).map(|p| format!("{} hPa", coordinate(p / 100.0))),
        Levels::Altitude(m) => m.get(index).map(|m| format!("{} m", number(*m))),
        Levels::FlightLevel(fl) => fl.get(index).map(|fl| format!("FL{fl:03}")),
        Levels::Hybrid(of) => of.numbers.get(index).map(|n| format!("model level {n}")),
    }
}

/// The heights of an extent with their flight levels and pressures.
pub(super) fn altitudes((low, high): (f64, f64)) -> String {
    let hpa = |m: f64| number((isa_pressure(Altitude::from_metres(m)).hectopascal() * 10.0).round() / 10.0);
    let feet = |m: f64| format!("{:.0}", Altitude::from_metres(m).feet());
    format!("{:.0} … {:.0} m ({} … {} ft, {} … {} hPa)", low, high, feet(low), feet(high), hpa(low), hpa(high))
}

/// How the values of an axis follow each other.
#[derive(Debug, PartialEq)]
enum Steps {
    /// With this step; below zero where they fall.
    Even(f64),
    /// Least and greatest step.
    Uneven(f64, f64),
    /// Neither rising nor falling throughout.
    Unsorted,
}

impl Steps {
    /// Of two values or more.
    fn of(values: &[f64]) -> Self {
        let n = values.len();
        if n < 2 {
            return Self::Unsorted;
        }
        let step = (values[n - 1] - values[0]) / (n as f64 - 1.0);
        let steps = || values.windows(2).map(|w| (w[1] - w[0]) * step.signum());
        if !steps().all(|s| s > 0.0) {
            return Self::Unsorted;
        }
        let is_even =
            values.iter().enumerate().all(|(i, v)| (values[0] + i as f64 * step - v).abs() <= EVEN * step.abs());
        if is_even {
            return Self::Even(step);
        }
        Self::Uneven(steps().fold(f64::INFINITY, f64::min), steps().fold(0.0, f64::max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_told_in_words() {
        assert_eq!(times(&[0.0, 10_800.0, 21_600.0]), "3: 1970-01-01T00:00:00Z … 1970-01-01T06:00:00Z, every 3 h");
        assert!(times(&[0.0, 3600.0, 21_600.0]).ends_with("uneven, 1 h to 5 h apart"));
        assert!(times(&[7200.0, 3600.0, 0.0]).ends_with("every 1 h, latest first"));
        assert!(times(&[0.0, 7200.0, 3600.0]).ends_with("in no order"));
        assert_eq!(latitudes(&[50.0, 49.25, 48.5]), "3: 50 … 48.5 °N, every 0.75°, north to south");
        let globe: Vec<f64> = (0..480).map(|i| 0.75 * f64::from(i)).collect();
        assert_eq!(longitudes(&globe), "480: 0 … 359.25 °E, every 0.75°, west to east, around the globe");
        assert!(longitudes(&globe[..100]).ends_with("a region"));
        assert!(longitudes(&[170.0, 180.0, 190.0]).ends_with("across 180°"));
    }

    #[test]
    fn levels_are_told_with_their_pressures() {
        let file = DatasetFile::default();
        let pressure = Levels::Pressure(vec![20_000.0, 25_000.0]);
        assert_eq!(levels(&pressure, &file), "2 pressure levels: 200, 250 hPa");
        let hybrid = |numbers: Vec<u32>| levels(&Levels::Hybrid(HybridLevels { numbers, half_levels: None }), &file);
        // ECMWF's table of L60 gives 0.1000 and 1012.0494 hPa for p_s = 1013.25 hPa.
        assert_eq!(
            hybrid((1..=60).collect()),
            "60 model levels: 1 … 60 of the table L60, 0.1 to 1012 hPa above sea level"
        );
        assert!(hybrid(vec![70, 72, 80]).contains("70 … 80 with gaps of the table L137"));
        assert!(hybrid(vec![3, 4]).contains("of an unknown table"));
        assert!(levels(&Levels::FlightLevel(vec![50.0, 100.0]), &file).starts_with("2 flight levels: FL050, FL100, 8"));
    }

    #[test]
    fn what_cannot_be_sampled_is_said() {
        let variable = Variable {
            name: "x".into(),
            standard_name: None,
            long_name: None,
            units: None,
            times_s: vec![0.0],
            members: Vec::new(),
            levels: Levels::Pressure(vec![20_000.0]),
            latitudes_deg: vec![0.0],
            longitudes_deg: vec![0.0, 1.0],
            chunk: crate::field::Chunk { times: 1, levels: 1 },
        };
        let faults = faults(&variable).join("\n");
        assert!(faults.contains("single time") && faults.contains("single level"), "{faults}");
        assert!(faults.contains("single latitude") && !faults.contains("single longitude"), "{faults}");
    }
}
