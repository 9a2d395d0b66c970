//! What a field is called: short name, CF name, words and unit.

use super::{
    octets::Scaled,
    product::{Interval, Quantity, Surface},
};
use crate::contaminant::{Entry, GribCode};

/// ECMWF, whose local codes the catalogue has.
const ECMWF: u16 = 98;

/// Names and unit of a quantity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Names {
    pub name: String,
    pub standard_name: Option<String>,
    pub long_name: String,
    pub units: Option<String>,
}

/// Discipline, category and number, short name, words, unit: WMO code table
/// 4.2, short names from ECMWF's parameter database. The parameters of
/// category 0.20 hold for whatever constituent and have no short name.
const PARAMETERS: &[(u8, u8, u8, &str, &str, &str)] = &[
    (0, 0, 0, "t", "temperature", "K"),
    (0, 0, 2, "pt", "potential temperature", "K"),
    (0, 1, 0, "q", "specific humidity", "kg kg-1"),
    (0, 1, 1, "r", "relative humidity", "%"),
    (0, 1, 83, "clwc", "specific cloud liquid water content", "kg kg-1"),
    (0, 1, 84, "ciwc", "specific cloud ice water content", "kg kg-1"),
    (0, 1, 85, "crwc", "specific rain water content", "kg kg-1"),
    (0, 1, 86, "cswc", "specific snow water content", "kg kg-1"),
    (0, 2, 2, "u", "eastward wind", "m s-1"),
    (0, 2, 3, "v", "northward wind", "m s-1"),
    (0, 2, 8, "w", "vertical velocity", "Pa s-1"),
    (0, 2, 9, "wz", "geometric vertical velocity", "m s-1"),
    (0, 2, 14, "pv", "potential vorticity", "K m2 kg-1 s-1"),
    (0, 3, 0, "pres", "pressure", "Pa"),
    (0, 3, 1, "prmsl", "pressure reduced to mean sea level", "Pa"),
    (0, 3, 4, "z", "geopotential", "m2 s-2"),
    (0, 3, 5, "gh", "geopotential height", "m"),
    (0, 3, 25, "lnsp", "logarithm of surface pressure", "Numeric"),
    (0, 14, 1, "o3mr", "ozone mixing ratio", "kg kg-1"),
    (0, 20, 0, "", "mass density", "kg m-3"),
    (0, 20, 1, "", "column-integrated mass density", "kg m-2"),
    (0, 20, 2, "", "mass mixing ratio", "kg kg-1"),
    (0, 20, 50, "", "amount in atmosphere", "mol"),
    (0, 20, 51, "", "concentration in air", "mol m-3"),
    (0, 20, 52, "", "volume mixing ratio", "mol mol-1"),
    (0, 20, 59, "", "aerosol number concentration", "m-3"),
    (0, 20, 100, "", "surface area density", "m-1"),
    (0, 20, 102, "", "atmosphere optical thickness", "1"),
    (0, 20, 103, "", "single scattering albedo", "1"),
    (0, 20, 104, "", "asymmetry factor", "1"),
    (0, 20, 105, "", "aerosol extinction coefficient", "m-1"),
    (0, 20, 112, "", "scattering aerosol optical thickness", "1"),
];

/// Names of `quantity`. Whatever makes it less than the plain parameter, a
/// size range, a wavelength, a level that is no axis, is part of the name, so
/// that nobody takes the part for the whole.
pub(super) fn names(quantity: &Quantity) -> Names {
    let code = quantity.code;
    let key = (code.discipline, code.category, code.number);
    let known = PARAMETERS.iter().find(|p| (p.0, p.1, p.2) == key);
    let entry = entry(quantity);
    let mut name = base_name(quantity, entry);
    let mut long_name = match (entry, known) {
        (Some(entry), _) => entry.title.to_owned(),
        (None, Some(known)) => with_constituent(known.4, code),
        (None, None) => with_constituent(
            &format!("discipline {}, category {}, number {}", code.discipline, code.category, code.number),
            code,
        ),
    };
    let qualifiers = qualifiers(quantity);
    let standard_name = if qualifiers.is_empty() { standard_name(code) } else { None };
    for (short, words) in qualifiers {
        name = format!("{name}_{short}");
        long_name = format!("{long_name}, {words}");
    }
    let units = match (known, entry) {
        (Some(known), _) => Some(known.5.to_owned()),
        // ECMWF's own codes in the catalogue are all mass mixing ratios.
        (None, Some(_)) => Some("kg kg-1".to_owned()),
        (None, None) => None,
    };
    Names { name, standard_name, long_name, units }
}

fn entry(quantity: &Quantity) -> Option<&'static Entry> {
    let foreign = quantity.local_to.is_some_and(|centre| centre != ECMWF);
    let at_ground = quantity.surface == Surface::Single(1);
    match quantity.code {
        // Pressure is a parameter of its own on other levels.
        GribCode { discipline: 0, category: 3, number: 0, .. } if !at_ground => None,
        _ if foreign => None,
        code => Entry::find_grib(code),
    }
}

fn base_name(quantity: &Quantity, entry: Option<&Entry>) -> String {
    let GribCode { discipline, category, number, constituent } = quantity.code;
    let known = PARAMETERS.iter().find(|p| (p.0, p.1, p.2) == (discipline, category, number) && !p.3.is_empty());
    match (entry, known, constituent) {
        (Some(entry), ..) => entry.short_name().to_owned(),
        (None, Some(known), None) => known.3.to_owned(),
        (None, _, None) => format!("grib_d{discipline}_c{category}_n{number}"),
        (None, _, Some(constituent)) => format!("grib_d{discipline}_c{category}_n{number}_k{constituent}"),
    }
}

/// The CF name, where the catalogue has one of this parameter's kind for the
/// constituent.
fn standard_name(code: GribCode) -> Option<String> {
    let prefix = match (code.discipline, code.category, code.number) {
        (0, 20, 0) => "mass_concentration_of_",
        (0, 20, 2) => "mass_fraction_of_",
        (0, 20, 52) => "mole_fraction_of_",
        _ => return None,
    };
    let constituent = Some(code.constituent?);
    let entry = Entry::find_grib(GribCode { discipline: 0, category: 20, number: 2, constituent })?;
    entry.aliases.iter().find(|alias| alias.starts_with(prefix)).map(|&alias| alias.to_owned())
}

fn with_constituent(words: &str, code: GribCode) -> String {
    let Some(constituent) = code.constituent else { return words.to_owned() };
    let row = GribCode { discipline: 0, category: 20, number: 2, constituent: Some(constituent) };
    match Entry::find_grib(row) {
        Some(entry) => format!("{words} of {}", entry.title),
        None if constituent == 62_000 => format!("{words} of all aerosol"),
        None => format!("{words} of constituent {constituent}"),
    }
}

/// What goes behind the name, each with the same in words.
fn qualifiers(quantity: &Quantity) -> Vec<(String, String)> {
    let mut found = Vec::new();
    if let Some(size) = quantity.size {
        let (short, words) = interval(size, 6, "um", "µm");
        found.push((format!("size_{short}"), format!("particles {words}")));
    }
    if let Some(wavelength) = quantity.wavelength {
        let (short, words) = interval(wavelength, 9, "nm", "nm");
        found.push((format!("wavelength_{short}"), format!("wavelength {words}")));
    }
    if let Some(process) = quantity.source_or_sink {
        found.push((format!("process_{process}"), format!("source or sink {process}")));
    }
    if let Some(derived) = quantity.derived {
        let of = derived_name(derived);
        found.push((format!("ensemble_{of}"), format!("ensemble {}", of.replace('_', " "))));
    }
    if let Surface::Other { first, second } = quantity.surface {
        let level = |(kind, value): (u8, Option<Scaled>)| {
            let kind = level_name(kind);
            value.map_or(kind.clone(), |v| format!("{kind}_{}", decimal(v, 0)))
        };
        let short = if second.0 == 255 { level(first) } else { format!("{}_to_{}", level(first), level(second)) };
        let words = format!("at {}", short.replace('_', " "));
        found.push((short, words));
    }
    found
}

/// Code table 4.7.
fn derived_name(derived: u8) -> String {
    match derived {
        0 => "mean".into(),
        1 => "weighted_mean".into(),
        2 => "stddev".into(),
        4 => "spread".into(),
        8 => "min".into(),
        9 => "max".into(),
        other => format!("derived_{other}"),
    }
}

/// Code table 4.5, the levels that come with contaminants and weather.
pub(super) fn level_name(kind: u8) -> String {
    match kind {
        1 => "surface".into(),
        7 => "tropopause".into(),
        8 => "top".into(),
        10 | 200 => "column".into(),
        100 => "pressure".into(),
        101 => "mean_sea".into(),
        102 => "altitude".into(),
        103 => "height".into(),
        105 | 119 => "hybrid".into(),
        106 => "depth".into(),
        107 => "theta".into(),
        118 => "hybrid_height".into(),
        other => format!("level{other}"),
    }
}

/// An interval for a name and in words; the limits times ten to `shift`.
fn interval(of: Interval, shift: i32, unit: &str, written: &str) -> (String, String) {
    let limit = |limit: Option<Scaled>| limit.map_or("unknown".to_owned(), |l| decimal(l, shift));
    let (first, second) = (limit(of.first), limit(of.second));
    match of.kind {
        0 => (format!("lt{first}{unit}"), format!("< {first} {written}")),
        1 => (format!("gt{second}{unit}"), format!("> {second} {written}")),
        3 => (format!("gt{first}{unit}"), format!("> {first} {written}")),
        4 => (format!("lt{second}{unit}"), format!("< {second} {written}")),
        5 => (format!("le{first}{unit}"), format!("≤ {first} {written}")),
        6 => (format!("ge{second}{unit}"), format!("≥ {second} {written}")),
        8 => (format!("ge{first}{unit}"), format!("≥ {first} {written}")),
        9 => (format!("le{second}{unit}"), format!("≤ {second} {written}")),
        11 => (format!("{first}{unit}"), format!("{first} {written}")),
        2 | 7 | 10 => (format!("{first}to{second}{unit}"), format!("{first} to {second} {written}")),
        other => (format!("kind{other}_{first}_{second}{unit}"), format!("{first}, {second} {written} (kind {other})")),
    }
}

/// A scaled value times ten to `shift`, as few digits as it needs.
fn decimal(value: Scaled, shift: i32) -> String {
    format!("{}", value.shifted(shift))
}
