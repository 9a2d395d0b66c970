//! Vertical axes: what kind an axis is, and hybrid levels' tables.

use super::{RawArray, axes, catalogue::Catalogue, fault::Fault, half_levels::half_levels};
use crate::{
    field::{FieldError, HybridLevels, Levels},
    units::{Dimension, METRES_PER_FOOT, Unit},
};

/// What the numbers of a vertical axis are; the factor makes Pa, m or FL of them.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Pressure(f64),
    Altitude(f64),
    FlightLevel(f64),
    Hybrid,
}

/// Largest pressure of a level in hPa; what is above is in Pa.
const MAX_HPA: f64 = 1_200.0;
/// More levels than any model has.
const MAX_LEVEL_NUMBER: f64 = 1_000.0;
const FEET_PER_FLIGHT_LEVEL: f64 = 100.0;

const GIVE_UNITS: &str = "write its units (hPa, m, FL), for example with `ncatted -a units,level,o,c,hPa`";
const TO_PRESSURE: &str = "interpolate to pressure levels first, for example with `cdo ml2pl`";

/// What a vertical coordinate and its values make.
pub(super) fn levels(catalogue: &Catalogue<'_>, index: usize, remarks: &mut Vec<String>) -> Result<Levels, Fault> {
    let array = catalogue.array(index);
    let values = &catalogue.values(index)?[..];
    let scaled = |factor: f64| values.iter().map(|v| v * factor).collect::<Vec<f64>>();
    Ok(match kind_of(array, values, remarks)? {
        Kind::Pressure(_) if values.iter().any(|v| *v < 0.0) => {
            return Err(catalogue.corrupt(index, "a negative pressure").into());
        }
        Kind::Pressure(factor) => Levels::Pressure(scaled(factor)),
        // Two metres above ground is where a surface field holds.
        Kind::Altitude(_) if values.len() == 1 && is_above_ground(array) => Levels::Surface,
        Kind::Altitude(factor) => {
            if is_above_ground(array) {
                remarks.push(format!("{}: heights above ground are taken as above mean sea level", array.name));
            }
            Levels::Altitude(scaled(factor))
        }
        Kind::FlightLevel(factor) => Levels::FlightLevel(scaled(factor)),
        Kind::Hybrid => Levels::Hybrid(hybrid(catalogue, array, values, remarks)?),
    })
}

fn is_above_ground(array: &RawArray) -> bool {
    array.text("standard_name") == Some("height") || axes::plain(&array.name).contains("aboveground")
}

fn kind_of(array: &RawArray, values: &[f64], remarks: &mut Vec<String>) -> Result<Kind, Fault> {
    let standard = array.text("standard_name").unwrap_or("").to_lowercase();
    let name = axes::plain(&array.name);
    let flight_levels = matches!(name.as_str(), "flightlevel" | "flightlevels" | "fl");
    match standard.as_str() {
        "model_level_number" | "atmosphere_hybrid_sigma_pressure_coordinate" => return Ok(Kind::Hybrid),
        "atmosphere_sigma_coordinate" | "atmosphere_hybrid_height_coordinate" | "atmosphere_ln_pressure_coordinate" => {
            return Err(Fault::refuse(format!("the vertical axis `{}` is an {standard}", array.name), TO_PRESSURE));
        }
        _ => {}
    }
    let units = array.text("units").unwrap_or("");
    if let Some(unit) = Unit::parse(units) {
        match unit.dimension {
            Dimension::Pressure => return Ok(Kind::Pressure(unit.factor)),
            Dimension::Length if flight_levels || standard == "barometric_altitude" => {
                return Ok(Kind::FlightLevel(unit.factor / (METRES_PER_FOOT * FEET_PER_FLIGHT_LEVEL)));
            }
            Dimension::Length => return Ok(Kind::Altitude(unit.factor)),
            _ => {}
        }
    }
    if flight_levels || matches!(axes::plain(units).as_str(), "fl" | "flightlevel" | "flightlevels" | "hft" | "100ft") {
        return Ok(Kind::FlightLevel(1.0));
    }
    kind_without_units(array, &name, &standard, values, remarks)
}

/// By the name, the long name, and where these are silent by the numbers.
fn kind_without_units(
    array: &RawArray,
    name: &str,
    standard: &str,
    values: &[f64],
    remarks: &mut Vec<String>,
) -> Result<Kind, Fault> {
    let long_name = axes::plain(array.text("long_name").unwrap_or(""));
    let says = |word: &str| long_name.contains(word);
    let mut pressure = || {
        let largest = values.iter().copied().fold(0.0, f64::max);
        let (factor, unit) = if largest > MAX_HPA { (1.0, "Pa") } else { (100.0, "hPa") };
        remarks.push(format!("{}: no units; taken as {unit} by its values", array.name));
        Kind::Pressure(factor)
    };
    match name {
        "isobaricinhpa" => return Ok(Kind::Pressure(100.0)),
        "isobaricinpa" => return Ok(Kind::Pressure(1.0)),
        "modellevel" | "hybrid" => return Ok(Kind::Hybrid),
        _ => {}
    }
    if says("modellevel") || says("hybrid") {
        return Ok(Kind::Hybrid);
    }
    if says("flightlevel") {
        return Ok(Kind::FlightLevel(1.0));
    }
    let named_pressure = matches!(name, "pressurelevel" | "pressure" | "plev" | "isobaric");
    if standard == "air_pressure" || named_pressure || says("pressure") || says("isobaric") {
        return Ok(pressure());
    }
    let named_height = matches!(name, "altitude" | "alt" | "height" | "heightaboveground");
    if !named_height && !says("altitude") && !says("height") {
        let whole = values.iter().all(|v| v.fract() == 0.0 && (1.0..=MAX_LEVEL_NUMBER).contains(v));
        let consecutive =
            values.len() > 1 && values.windows(2).all(|w| ((w[1] - w[0]).abs() - 1.0).abs() < f64::EPSILON);
        if whole && consecutive {
            remarks.push(format!("{}: no units; consecutive numbers, taken as model levels", array.name));
            return Ok(Kind::Hybrid);
        }
        if values.len() > 1 && values.iter().all(|v| *v > 0.0) {
            return Ok(pressure());
        }
    }
    let first = values.iter().take(3).map(f64::to_string).collect::<Vec<_>>().join(", ");
    let what = format!("the vertical axis `{}` has no units, and its values ({first}) do not tell them", array.name);
    Err(Fault::refuse(what, GIVE_UNITS))
}

/// Level numbers, and the table where the file has one.
fn hybrid(
    catalogue: &Catalogue<'_>,
    array: &RawArray,
    values: &[f64],
    remarks: &mut Vec<String>,
) -> Result<HybridLevels, FieldError> {
    let half_levels = half_levels(catalogue, array, remarks)?;
    let count = u32::try_from(values.len()).unwrap_or(u32::MAX);
    let from_top = values.first() <= values.last();
    let in_order = || if from_top { (1..=count).collect() } else { (1..=count).rev().collect::<Vec<u32>>() };
    let whole = values.iter().all(|v| v.fract() == 0.0 && (1.0..=MAX_LEVEL_NUMBER).contains(v));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and at most 1,000")]
    let numbers: Vec<u32> = if whole { values.iter().map(|&v| v as u32).collect() } else { in_order() };
    let largest = numbers.iter().copied().max().unwrap_or(0) as usize;
    Ok(match half_levels {
        Some(table) if largest < table.len() => HybridLevels { numbers, half_levels: Some(table) },
        Some(table) if values.len() + 1 == table.len() => {
            remarks.push(format!("{}: levels counted anew from the top, as the file's own table does", array.name));
            HybridLevels { numbers: in_order(), half_levels: Some(table) }
        }
        Some(table) => {
            let known = table.len() - 1;
            remarks.push(format!("{}: a table of {known} levels does not fit level {largest}; not used", array.name));
            HybridLevels { numbers, half_levels: None }
        }
        None => HybridLevels { numbers, half_levels: None },
    })
}
