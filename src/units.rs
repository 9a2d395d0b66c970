//! A type per quantity, and the units that files are written in.
//!
//! Scalars cross public boundaries as these types; bulk columns are plain
//! `f64` slices whose name ends in their unit (`pressure_pa`, `time_s`).

use std::fmt;

use serde::{Deserialize, Serialize};

/// International foot \[m\].
pub const METRES_PER_FOOT: f64 = 0.3048;

macro_rules! quantity {
    ($(#[$meta:meta])* $name:ident, $new:ident, $get:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            #[doc = concat!("From a value in the unit that the name says: `", stringify!($new), "`.")]
            #[must_use]
            pub const fn $new(value: f64) -> Self {
                Self(value)
            }

            #[doc = concat!("The value in the unit that the name says: `", stringify!($get), "`.")]
            #[must_use]
            pub const fn $get(self) -> f64 {
                self.0
            }
        }
    };
}

quantity!(
    /// Air pressure.
    Pressure, from_pascal, pascal
);
quantity!(
    /// Pressure altitude: the height in the ICAO standard atmosphere.
    Altitude, from_metres, metres
);
quantity!(
    /// Thermodynamic temperature.
    Temperature, from_kelvin, kelvin
);
quantity!(
    /// Molar mass.
    MolarMass, from_grams_per_mole, grams_per_mole
);

impl Pressure {
    /// From hectopascal.
    #[must_use]
    pub const fn from_hectopascal(value: f64) -> Self {
        Self(value * 100.0)
    }

    /// In hectopascal.
    #[must_use]
    pub const fn hectopascal(self) -> f64 {
        self.0 / 100.0
    }
}

impl Altitude {
    /// From international feet.
    #[must_use]
    pub const fn from_feet(value: f64) -> Self {
        Self(value * METRES_PER_FOOT)
    }

    /// From a flight level: hundreds of feet of pressure altitude.
    #[must_use]
    pub const fn from_flight_level(value: f64) -> Self {
        Self::from_feet(value * 100.0)
    }

    /// In international feet.
    #[must_use]
    pub const fn feet(self) -> f64 {
        self.0 / METRES_PER_FOOT
    }
}

/// What a number in a file measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dimension {
    /// Mass of contaminant per mass of air; canonical unit kg kg⁻¹.
    MassMixingRatio,
    /// Volume (amount) of contaminant per volume of air; canonical unit mol mol⁻¹.
    VolumeMixingRatio,
    /// Mass of contaminant per volume of air; canonical unit kg m⁻³.
    MassConcentration,
    /// Mass concentration integrated over time; canonical unit kg s m⁻³.
    Dosage,
    /// Canonical unit Pa.
    Pressure,
    /// Canonical unit K.
    Temperature,
    /// Canonical unit m.
    Length,
    /// Anything else, kept as the file has it.
    Other,
}

/// A unit: its dimension and the factor to the dimension's canonical unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// What it measures.
    pub dimension: Dimension,
    /// Multiply by this to get the canonical unit of `dimension`.
    pub factor: f64,
}

/// One row a spelling family: the names (already in the form that
/// [`Unit::parse`] compares), the dimension, the factor.
const UNITS: &[(&[&str], Dimension, f64)] = &[
    (&["kgkg-1", "kg/kg"], Dimension::MassMixingRatio, 1.0),
    (&["gkg-1", "g/kg"], Dimension::MassMixingRatio, 1e-3),
    (&["mgkg-1", "mg/kg"], Dimension::MassMixingRatio, 1e-6),
    (&["ugkg-1", "ug/kg"], Dimension::MassMixingRatio, 1e-9),
    (&["molmol-1", "mol/mol", "v/v", "m3m-3", "m3/m3"], Dimension::VolumeMixingRatio, 1.0),
    (&["ppmv", "ppm"], Dimension::VolumeMixingRatio, 1e-6),
    (&["ppbv", "ppb"], Dimension::VolumeMixingRatio, 1e-9),
    (&["pptv", "ppt"], Dimension::VolumeMixingRatio, 1e-12),
    (&["kgm-3", "kg/m3"], Dimension::MassConcentration, 1.0),
    (&["gm-3", "g/m3", "grm-3", "gr/m3"], Dimension::MassConcentration, 1e-3),
    (&["mgm-3", "mg/m3"], Dimension::MassConcentration, 1e-6),
    (&["ugm-3", "ug/m3"], Dimension::MassConcentration, 1e-9),
    (&["ngm-3", "ng/m3"], Dimension::MassConcentration, 1e-12),
    (&["kgsm-3", "kgs/m3"], Dimension::Dosage, 1.0),
    (&["gsm-3", "gs/m3"], Dimension::Dosage, 1e-3),
    (&["mgsm-3", "mgs/m3"], Dimension::Dosage, 1e-6),
    (&["mghm-3", "mgh/m3"], Dimension::Dosage, 3600e-6),
    (&["pa"], Dimension::Pressure, 1.0),
    (&["hpa", "mb", "mbar", "millibar", "millibars"], Dimension::Pressure, 100.0),
    (&["k", "kelvin"], Dimension::Temperature, 1.0),
    (&["m", "metre", "metres", "meter", "meters"], Dimension::Length, 1.0),
    (&["km"], Dimension::Length, 1000.0),
    (&["ft", "feet", "foot"], Dimension::Length, METRES_PER_FOOT),
];

impl Unit {
    /// Reads a unit as files and people write it: `kg kg**-1`, `kg kg-1`,
    /// `µg m⁻³`, `gr/m3`, `mg/m^3`, `g s m-3`, `hPa`, `ppbv`.
    ///
    /// `None` where the spelling is not known; nothing is guessed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut name = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                ' ' | '*' | '^' | '_' | '.' | '·' | '(' | ')' => {}
                'µ' | 'μ' => name.push('u'),
                '⁻' => name.push('-'),
                '¹' => name.push('1'),
                '³' => name.push('3'),
                other => name.extend(other.to_lowercase()),
            }
        }
        UNITS
            .iter()
            .find(|(names, ..)| names.contains(&name.as_str()))
            .map(|&(_, dimension, factor)| Self { dimension, factor })
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let canonical = match self.dimension {
            Dimension::MassMixingRatio => "kg kg-1",
            Dimension::VolumeMixingRatio => "mol mol-1",
            Dimension::MassConcentration => "kg m-3",
            Dimension::Dosage => "kg s m-3",
            Dimension::Pressure => "Pa",
            Dimension::Temperature => "K",
            Dimension::Length => "m",
            Dimension::Other => "as in the file",
        };
        if (self.factor - 1.0).abs() < f64::EPSILON {
            f.write_str(canonical)
        } else {
            write!(f, "{:e} {canonical}", self.factor)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_spellings_that_files_use() {
        let of = |text| Unit::parse(text).map(|u| (u.dimension, u.factor));
        assert_eq!(of("kg kg**-1"), Some((Dimension::MassMixingRatio, 1.0)));
        assert_eq!(of("kg kg-1"), Some((Dimension::MassMixingRatio, 1.0)));
        assert_eq!(of("gr/m3"), Some((Dimension::MassConcentration, 1e-3)));
        assert_eq!(of("µg m⁻³"), Some((Dimension::MassConcentration, 1e-9)));
        assert_eq!(of("kg m**-3"), Some((Dimension::MassConcentration, 1.0)));
        assert_eq!(of("mg/m^3"), Some((Dimension::MassConcentration, 1e-6)));
        assert_eq!(of("g s m-3"), Some((Dimension::Dosage, 1e-3)));
        assert_eq!(of("millibars"), Some((Dimension::Pressure, 100.0)));
        assert_eq!(of("ppbv"), Some((Dimension::VolumeMixingRatio, 1e-9)));
        assert_eq!(of("furlong"), None);
        assert_eq!(of(""), None);
    }

    #[test]
    fn feet_and_flight_levels_are_international_feet() {
        assert!((Altitude::from_feet(1000.0).metres() - 304.8).abs() < 1e-9);
        assert!((Altitude::from_flight_level(360.0).metres() - 10_972.8).abs() < 1e-9);
        assert!((Pressure::from_hectopascal(226.32).pascal() - 22_632.0).abs() < 1e-9);
    }
}
