//! Which array is which axis, by standard name, units, name and axis
//! attribute, in this order (CF 1.11, chapter 4, and what files do instead).

use super::{RawArray, time};

/// What an array of coordinates is along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Axis {
    /// The time for which the values hold.
    Time,
    /// Start of the forecast.
    Reference,
    /// Time since the start of the forecast.
    Period,
    Level,
    Latitude,
    Longitude,
    Member,
    /// Along a map projection or a rotated pole.
    Projected,
}

const STANDARD_NAMES: &[(&str, Axis)] = &[
    ("time", Axis::Time),
    ("forecast_reference_time", Axis::Reference),
    ("forecast_period", Axis::Period),
    ("latitude", Axis::Latitude),
    ("longitude", Axis::Longitude),
    ("realization", Axis::Member),
    ("air_pressure", Axis::Level),
    ("altitude", Axis::Level),
    ("barometric_altitude", Axis::Level),
    ("height", Axis::Level),
    ("height_above_mean_sea_level", Axis::Level),
    ("height_above_geopotential_datum", Axis::Level),
    ("height_above_reference_ellipsoid", Axis::Level),
    ("geopotential_height", Axis::Level),
    ("model_level_number", Axis::Level),
    ("atmosphere_hybrid_sigma_pressure_coordinate", Axis::Level),
    ("atmosphere_sigma_coordinate", Axis::Level),
    ("atmosphere_hybrid_height_coordinate", Axis::Level),
    ("atmosphere_ln_pressure_coordinate", Axis::Level),
    ("grid_latitude", Axis::Projected),
    ("grid_longitude", Axis::Projected),
    ("projection_x_coordinate", Axis::Projected),
    ("projection_y_coordinate", Axis::Projected),
    ("projection_x_angular_coordinate", Axis::Projected),
    ("projection_y_angular_coordinate", Axis::Projected),
];

/// Lower case, without `_`, `-` and spaces.
const NAMES: &[(&[&str], Axis)] = &[
    (&["time", "times", "validtime", "datetime"], Axis::Time),
    (
        &["forecastreferencetime", "referencetime", "reftime", "inittime", "initialtime", "analysistime", "basetime"],
        Axis::Reference,
    ),
    (&["forecastperiod", "step", "leadtime", "forecasthour", "lead"], Axis::Period),
    (&["latitude", "latitudes", "lat", "lats"], Axis::Latitude),
    (&["longitude", "longitudes", "lon", "lons", "long"], Axis::Longitude),
    (&["number", "member", "members", "ensemble", "ensemblemember", "ens", "realization", "realisation"], Axis::Member),
    (
        &[
            "level",
            "levels",
            "lev",
            "isobaricinhpa",
            "isobaricinpa",
            "isobaric",
            "pressurelevel",
            "pressure",
            "plev",
            "modellevel",
            "hybrid",
            "altitude",
            "alt",
            "height",
            "heightaboveground",
            "flightlevel",
            "flightlevels",
            "fl",
        ],
        Axis::Level,
    ),
    (&["rlat", "rlon"], Axis::Projected),
];

const DEGREES_NORTH: &[&str] = &["degrees_north", "degree_north", "degree_n", "degrees_n", "degreen", "degreesn"];
const DEGREES_EAST: &[&str] = &["degrees_east", "degree_east", "degree_e", "degrees_e", "degreee", "degreese"];

impl Axis {
    /// Dimensions that a coordinate of this kind can have: with more it is
    /// data, as `pressure(time, latitude, longitude)` is.
    fn largest_rank(self) -> usize {
        match self {
            Self::Time | Self::Reference | Self::Latitude | Self::Longitude => 2,
            Self::Period | Self::Level | Self::Member | Self::Projected => 1,
        }
    }
}

/// What the array of a coordinate is along; `None` for anything else.
pub(super) fn classify(array: &RawArray) -> Option<Axis> {
    if !array.numeric {
        return None;
    }
    let rank = array.shape.len();
    by_standard_name(array)
        .or_else(|| by_units(array))
        .or_else(|| by_name(array))
        .or_else(|| by_axis(array))
        .filter(|axis| rank <= axis.largest_rank())
}

/// What a dimension without any coordinate would be along, by its name.
pub(super) fn classify_name(name: &str) -> Option<Axis> {
    let plain = plain(name);
    NAMES.iter().find(|(names, _)| names.contains(&plain.as_str())).map(|&(_, axis)| axis)
}

/// Lower case, without separators.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-' | ' ')).flat_map(char::to_lowercase).collect()
}

fn by_standard_name(array: &RawArray) -> Option<Axis> {
    let standard = array.text("standard_name")?.to_lowercase();
    STANDARD_NAMES.iter().find(|(name, _)| *name == standard).map(|&(_, axis)| axis)
}

fn by_units(array: &RawArray) -> Option<Axis> {
    let units = array.text("units")?.to_lowercase();
    if DEGREES_NORTH.contains(&units.as_str()) {
        Some(Axis::Latitude)
    } else if DEGREES_EAST.contains(&units.as_str()) {
        Some(Axis::Longitude)
    } else if time::is_since(&units) {
        Some(classify_name(&array.name).filter(|&axis| axis == Axis::Reference).unwrap_or(Axis::Time))
    } else {
        None
    }
}

/// A time without `since` cannot be placed.
fn by_name(array: &RawArray) -> Option<Axis> {
    classify_name(&array.name).filter(|axis| !matches!(axis, Axis::Time | Axis::Reference))
}

fn by_axis(array: &RawArray) -> Option<Axis> {
    let units = array.text("units").unwrap_or("").to_lowercase();
    let degrees = matches!(units.as_str(), "degrees" | "degree" | "deg");
    match (array.text("axis")?.to_uppercase().as_str(), degrees) {
        ("X", true) => Some(Axis::Longitude),
        ("Y", true) => Some(Axis::Latitude),
        ("X" | "Y", false) if matches!(units.as_str(), "m" | "km" | "metre" | "meter" | "metres" | "meters") => {
            Some(Axis::Projected)
        }
        ("Z", _) => Some(Axis::Level),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Attribute, *};

    fn array(name: &str, rank: usize, attributes: &[(&str, &str)]) -> RawArray {
        RawArray {
            name: name.to_owned(),
            dims: (0..rank).map(|i| format!("d{i}")).collect(),
            shape: vec![2; rank],
            attributes: attributes.iter().map(|(k, v)| ((*k).to_owned(), Attribute::Text((*v).to_owned()))).collect(),
            numeric: true,
            chunk_shape: None,
        }
    }

    #[test]
    fn axes_are_recognised_by_whatever_says_so() {
        let of = |name: &str, attributes: &[(&str, &str)]| classify(&array(name, 1, attributes));
        assert_eq!(of("y", &[("standard_name", "latitude")]), Some(Axis::Latitude));
        assert_eq!(of("foo", &[("units", "degrees_east")]), Some(Axis::Longitude));
        assert_eq!(of("foo", &[("units", "hours since 1900-01-01")]), Some(Axis::Time));
        assert_eq!(of("forecast_reference_time", &[("units", "hours since 1900-01-01")]), Some(Axis::Reference));
        assert_eq!(
            of("time", &[("units", "hours since 1900-01-01"), ("standard_name", "forecast_reference_time")]),
            Some(Axis::Reference)
        );
        assert_eq!(of("isobaricInhPa", &[]), Some(Axis::Level));
        assert_eq!(of("Flight_Level", &[]), Some(Axis::Level));
        assert_eq!(of("number", &[("units", "1")]), Some(Axis::Member));
        assert_eq!(of("step", &[("units", "hours")]), Some(Axis::Period));
        assert_eq!(of("j", &[("axis", "Y"), ("units", "degrees")]), Some(Axis::Latitude));
        assert_eq!(of("j", &[("axis", "Y"), ("units", "km")]), Some(Axis::Projected));
        assert_eq!(of("k", &[("axis", "Z")]), Some(Axis::Level));
        assert_eq!(of("time", &[("units", "1")]), None);
        assert_eq!(of("t", &[("units", "K")]), None);
        assert_eq!(classify(&array("pressure", 4, &[])), None);
        assert_eq!(classify(&array("lat", 2, &[])), Some(Axis::Latitude));
    }
}
