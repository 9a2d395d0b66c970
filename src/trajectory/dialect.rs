//! Which columns mean what.
//!
//! Names are compared in lower case with spaces and hyphens as underscores.
//! To read another spelling, add it to [`COLUMNS`]; for another kind of file,
//! add a row to [`DIALECTS`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::FlightsError;
use crate::units::{Altitude, Pressure};

/// The unit of a column that is called `altitude` and nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AltitudeUnit {
    /// Metres of pressure altitude.
    Metres,
    /// International feet of pressure altitude.
    Feet,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    FlightId,
    Aircraft,
    Callsign,
    Time,
    Longitude,
    Latitude,
    OnGround,
    Vertical(Vertical),
}

/// How a column says how high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Vertical {
    Hectopascal,
    Pascal,
    FlightLevel,
    Feet,
    Metres,
    /// In the unit that options or the kind of file say.
    Bare,
}

/// What columns of a meaning are called. The first that a file has is taken.
///
/// Of columns for the vertical each row takes the first that has a value:
/// pressure before altitude, since pressure is what fields are given on;
/// named units before a bare altitude.
pub(super) const COLUMNS: &[(Role, &[&str])] = &[
    (Role::FlightId, &["flight_id", "flightid", "flight_number_id"]),
    (Role::Aircraft, &["icao24", "icao_address", "icao", "hex", "aircraft_id", "tail_number", "registration"]),
    (Role::Callsign, &["callsign", "ident", "flight"]),
    (Role::Time, &["time", "timestamp", "datetime", "date_time", "time_utc", "utc"]),
    (Role::Longitude, &["longitude", "lon", "lng", "long"]),
    (Role::Latitude, &["latitude", "lat"]),
    (Role::OnGround, &["on_ground", "onground"]),
    (Role::Vertical(Vertical::Hectopascal), &["level", "level_hpa", "pressure_level", "pressure_hpa"]),
    (Role::Vertical(Vertical::Pascal), &["pressure", "pressure_pa", "air_pressure"]),
    (
        Role::Vertical(Vertical::Feet),
        &["altitude_ft", "altitude_feet", "altitude_baro", "altitude_baro_ft", "alt_baro", "alt_ft"],
    ),
    (Role::Vertical(Vertical::FlightLevel), &["flight_level", "flightlevel", "fl"]),
    (Role::Vertical(Vertical::Metres), &["altitude_m", "baroaltitude", "baro_altitude"]),
    (Role::Vertical(Vertical::Bare), &["altitude", "alt"]),
];

/// A kind of file.
pub(super) struct Dialect {
    /// As users say it.
    pub(super) name: &'static str,
    /// Whether a file with these names is of this kind.
    recognises: fn(&[String]) -> bool,
    /// Of its bare altitude.
    altitude_unit: AltitudeUnit,
    /// How it was recognised.
    sign: &'static str,
}

/// Every kind of file, in the order in which they are tried; the last takes all.
const DIALECTS: &[Dialect] = &[
    Dialect {
        name: "Spire",
        recognises: |names| has(names, &["icao_address", "collection_type", "altitude_baro"]),
        altitude_unit: AltitudeUnit::Feet,
        sign: "icao_address, collection_type or altitude_baro",
    },
    Dialect {
        name: "OpenSky state vectors",
        recognises: |names| has(names, &["baroaltitude", "geoaltitude", "baro_altitude", "lastposupdate"]),
        altitude_unit: AltitudeUnit::Metres,
        sign: "baroaltitude, geoaltitude or lastposupdate",
    },
    Dialect {
        name: "traffic",
        recognises: |names| {
            has(names, &["timestamp"]) && has(names, &["icao24", "callsign", "groundspeed", "vertical_rate"])
        },
        altitude_unit: AltitudeUnit::Feet,
        sign: "timestamp beside icao24, callsign, groundspeed or vertical_rate",
    },
    Dialect {
        name: "pycontrails",
        recognises: |_| true,
        altitude_unit: AltitudeUnit::Metres,
        sign: "no sign of another kind",
    },
];

/// Which columns of one file mean what.
#[derive(Clone)]
pub(super) struct Mapping {
    pub(super) dialect: &'static Dialect,
    pub(super) flight_id: Option<String>,
    pub(super) aircraft: Option<String>,
    pub(super) callsign: Option<String>,
    pub(super) time: String,
    pub(super) longitude: String,
    pub(super) latitude: String,
    pub(super) on_ground: Option<String>,
    /// In order of precedence, at least one.
    pub(super) verticals: Vec<(String, Vertical)>,
    /// Of the bare altitude, and why.
    pub(super) altitude_unit: AltitudeUnit,
    pub(super) altitude_reason: String,
}

impl AltitudeUnit {
    /// As results write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Metres => "metres",
            Self::Feet => "feet",
        }
    }

    fn altitude(self, value: f64) -> Altitude {
        match self {
            Self::Metres => Altitude::from_metres(value),
            Self::Feet => Altitude::from_feet(value),
        }
    }
}

/// How high a value of a vertical column says that the aircraft is.
pub(super) enum Height {
    Altitude(Altitude),
    Pressure(Pressure),
}

impl Vertical {
    pub(super) fn height(self, value: f64, bare: AltitudeUnit) -> Height {
        match self {
            Self::Hectopascal => Height::Pressure(Pressure::from_hectopascal(value)),
            Self::Pascal => Height::Pressure(Pressure::from_pascal(value)),
            Self::FlightLevel => Height::Altitude(Altitude::from_flight_level(value)),
            Self::Feet => Height::Altitude(Altitude::from_feet(value)),
            Self::Metres => Height::Altitude(Altitude::from_metres(value)),
            Self::Bare => Height::Altitude(bare.altitude(value)),
        }
    }

    pub(super) fn unit_name(self, bare: AltitudeUnit) -> &'static str {
        match self {
            Self::Hectopascal => "hPa",
            Self::Pascal => "Pa",
            Self::FlightLevel => "hundreds of feet",
            Self::Feet => "feet",
            Self::Metres => "metres",
            Self::Bare => bare.name(),
        }
    }
}

impl Mapping {
    /// Finds the columns of a file, or says which is missing.
    pub(super) fn of(path: &Path, names: &[String], altitude_unit: Option<AltitudeUnit>) -> Result<Self, FlightsError> {
        let dialect = DIALECTS.iter().find(|d| (d.recognises)(names)).unwrap_or(&DIALECTS[DIALECTS.len() - 1]);
        let required = |role, quantity| {
            find(names, role).ok_or_else(|| FlightsError::MissingColumn {
                path: path.to_owned(),
                quantity,
                expected: spellings(|r| r == role),
                present: list(names),
            })
        };
        let verticals: Vec<_> = COLUMNS
            .iter()
            .filter_map(|&(role, _)| match role {
                Role::Vertical(vertical) => find(names, role).map(|name| (name, vertical)),
                _ => None,
            })
            .collect();
        let mapping = Self {
            dialect,
            flight_id: find(names, Role::FlightId),
            aircraft: find(names, Role::Aircraft),
            callsign: find(names, Role::Callsign),
            time: required(Role::Time, "time")?,
            longitude: required(Role::Longitude, "longitude")?,
            latitude: required(Role::Latitude, "latitude")?,
            on_ground: find(names, Role::OnGround),
            verticals,
            altitude_unit: altitude_unit.unwrap_or(dialect.altitude_unit),
            altitude_reason: altitude_unit.map_or_else(
                || format!("the default of a {} file ({})", dialect.name, dialect.sign),
                |_| "as the options say".to_owned(),
            ),
        };
        if mapping.verticals.is_empty() {
            return Err(FlightsError::MissingColumn {
                path: path.to_owned(),
                quantity: "pressure or pressure altitude",
                expected: spellings(|r| matches!(r, Role::Vertical(_))),
                present: list(names),
            });
        }
        Ok(mapping)
    }

    /// Whether a column says which flight a row belongs to.
    pub(super) fn has_identity(&self) -> bool {
        self.flight_id.is_some() || self.aircraft.is_some() || self.callsign.is_some()
    }

    pub(super) fn has_bare_altitude(&self) -> bool {
        self.verticals.iter().any(|(_, v)| *v == Vertical::Bare)
    }
}

/// Whether a column of this name may mean anything to us.
pub(super) fn is_known(name: &str) -> bool {
    role(name).is_some()
}

/// Whether a column of this name says which flight a row belongs to.
pub(super) fn is_identity(name: &str) -> bool {
    matches!(role(name), Some(Role::FlightId | Role::Aircraft | Role::Callsign))
}

pub(super) fn role(name: &str) -> Option<Role> {
    let plain = plain(name);
    COLUMNS.iter().find(|(_, spellings)| spellings.contains(&plain.as_str())).map(|&(role, _)| role)
}

fn plain(name: &str) -> String {
    name.trim().to_lowercase().replace([' ', '-'], "_")
}

fn has(names: &[String], any: &[&str]) -> bool {
    names.iter().any(|n| any.contains(&plain(n).as_str()))
}

/// The file's own name of the column of a role, by the order of the spellings.
fn find(names: &[String], role: Role) -> Option<String> {
    let (_, spellings) = COLUMNS.iter().find(|(r, _)| *r == role)?;
    spellings.iter().find_map(|s| names.iter().find(|n| plain(n) == *s)).cloned()
}

pub(super) fn spellings(of: impl Fn(Role) -> bool) -> String {
    let names: Vec<&str> =
        COLUMNS.iter().filter(|(r, _)| of(*r)).flat_map(|(_, names)| names.iter().copied()).collect();
    names.join(", ")
}

/// Names for a message, cut where there are too many.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 40;
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|n| n.chars().take(40).collect()).collect();
    if names.is_empty() {
        shown.push("no columns".to_owned());
    } else if names.len() > SHOWN {
        shown.push(format!("and {} more", names.len() - SHOWN));
    }
    shown.join(", ")
}
