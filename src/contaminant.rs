//! The catalogue of contaminants, and of the meteorological variables that
//! turn them into concentrations: one row each.
//!
//! To add a contaminant, add a row to [`CATALOGUE`].

use crate::units::{Dimension, MolarMass, Unit};

/// How a GRIB2 message names what it holds; `constituent` is code table
/// 4.230 or 4.233 where the product definition template has one (40–50).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GribCode {
    /// Section 0, discipline.
    pub discipline: u8,
    /// Section 4, parameter category.
    pub category: u8,
    /// Section 4, parameter number.
    pub number: u8,
    /// Constituent or aerosol type, where the template has one.
    pub constituent: Option<u16>,
}

const fn code(discipline: u8, category: u8, number: u8) -> GribCode {
    GribCode { discipline, category, number, constituent: None }
}

/// Mass mixing ratio of a constituent (0.20.2), told apart by its type.
const fn mixing_ratio(constituent: u16) -> GribCode {
    GribCode { discipline: 0, category: 20, number: 2, constituent: Some(constituent) }
}

/// A limit that people use, with the source it comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// In `unit`.
    pub value: f64,
    /// As [`Unit::parse`] reads it: a concentration, a mixing ratio or a dosage.
    pub unit: &'static str,
    /// Where the figure comes from.
    pub source: &'static str,
}

/// What a row of the catalogue is to an exposure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A contaminant whose concentration is asked for.
    Contaminant,
    /// Temperature, humidity, surface pressure: what a concentration needs.
    Meteorology,
}

/// One row of the catalogue.
#[derive(Debug, PartialEq)]
pub struct Entry {
    /// The name that options, results and messages use.
    pub name: &'static str,
    /// In words.
    pub title: &'static str,
    /// Contaminant or meteorology.
    pub role: Role,
    /// Names in files: ECMWF short names, CAMS and CF names, all lower case.
    pub aliases: &'static [&'static str],
    /// How GRIB2 names it; several where the coding changed over the years.
    pub grib: &'static [GribCode],
    /// Rows whose sum this is, where it is a group.
    pub parts: &'static [&'static str],
    /// For volume mixing ratios; none for an aerosol.
    pub molar_mass: Option<MolarMass>,
    /// Limits applied when a call names none.
    pub limits: &'static [Limit],
    /// Window of the rolling mean that its limits speak of \[s\].
    pub rolling_window_s: Option<f64>,
}

const BLANK: Entry = Entry {
    name: "",
    title: "",
    role: Role::Contaminant,
    aliases: &[],
    grib: &[],
    parts: &[],
    molar_mass: None,
    limits: &[],
    rolling_window_s: None,
};

const QVA: &str = "ICAO quantitative volcanic ash information";
const VDART: &str = "University of Reading VDART";
const FAR: &str = "14 CFR 25.832";

/// Every contaminant and meteorological variable that skydose knows by name.
///
/// Short names, names and GRIB2 codes: ECMWF parameter database (ecCodes
/// 2.50). Molar masses: IUPAC 2021 standard atomic weights. CAMS stores sea
/// salt at 80 % relative humidity; it is reported as stored.
pub const CATALOGUE: &[Entry] = &[
    Entry {
        name: "sea_salt",
        title: "sea salt",
        aliases: &["seasalt", "sea salt", "aermrss", "mass_fraction_of_sea_salt_dry_aerosol_particles_in_air"],
        parts: &["sea_salt_1", "sea_salt_2", "sea_salt_3"],
        grib: &[mixing_ratio(62_008)],
        ..BLANK
    },
    Entry {
        name: "sea_salt_1",
        title: "sea salt, 0.03-0.5 µm at 80 % humidity",
        aliases: &["aermr01", "sea_salt_aerosol_0.03-0.5um_mixing_ratio"],
        grib: &[code(192, 210, 1)],
        ..BLANK
    },
    Entry {
        name: "sea_salt_2",
        title: "sea salt, 0.5-5 µm at 80 % humidity",
        aliases: &["aermr02", "sea_salt_aerosol_0.5-5um_mixing_ratio"],
        grib: &[code(192, 210, 2)],
        ..BLANK
    },
    Entry {
        name: "sea_salt_3",
        title: "sea salt, 5-20 µm at 80 % humidity",
        aliases: &["aermr03", "sea_salt_aerosol_5-20um_mixing_ratio"],
        grib: &[code(192, 210, 3)],
        ..BLANK
    },
    Entry {
        name: "dust",
        title: "mineral dust",
        aliases: &[
            "mineral_dust",
            "desert_dust",
            "aermrdust",
            "mass_fraction_of_dust_dry_aerosol_particles_in_air",
            "mass_concentration_of_dust_dry_aerosol_particles_in_air",
        ],
        parts: &["dust_1", "dust_2", "dust_3"],
        grib: &[mixing_ratio(62_001)],
        ..BLANK
    },
    Entry {
        name: "dust_1",
        title: "mineral dust, 0.03-0.55 µm",
        aliases: &["aermr04", "dust_aerosol_0.03-0.55um_mixing_ratio"],
        grib: &[code(192, 210, 4)],
        ..BLANK
    },
    Entry {
        name: "dust_2",
        title: "mineral dust, 0.55-0.9 µm",
        aliases: &["aermr05", "dust_aerosol_0.55-0.9um_mixing_ratio"],
        grib: &[code(192, 210, 5)],
        ..BLANK
    },
    Entry {
        name: "dust_3",
        title: "mineral dust, 0.9-20 µm",
        aliases: &["aermr06", "dust_aerosol_0.9-20um_mixing_ratio"],
        grib: &[code(192, 210, 6)],
        ..BLANK
    },
    Entry {
        name: "organic_matter",
        title: "organic matter",
        aliases: &[
            "organic_matter_aerosol",
            "mass_fraction_of_particulate_organic_matter_dry_aerosol_particles_in_air",
        ],
        parts: &["organic_matter_hydrophilic", "organic_matter_hydrophobic"],
        grib: &[mixing_ratio(62_010)],
        ..BLANK
    },
    Entry {
        name: "organic_matter_hydrophilic",
        title: "organic matter, hydrophilic",
        aliases: &["aermr07", "hydrophilic_organic_matter_aerosol_mixing_ratio"],
        grib: &[code(192, 210, 7)],
        ..BLANK
    },
    Entry {
        name: "organic_matter_hydrophobic",
        title: "organic matter, hydrophobic",
        aliases: &["aermr08", "hydrophobic_organic_matter_aerosol_mixing_ratio"],
        grib: &[code(192, 210, 8)],
        ..BLANK
    },
    Entry {
        name: "black_carbon",
        title: "black carbon",
        aliases: &["black_carbon_aerosol", "mass_fraction_of_elemental_carbon_dry_aerosol_particles_in_air"],
        parts: &["black_carbon_hydrophilic", "black_carbon_hydrophobic"],
        grib: &[mixing_ratio(62_009)],
        ..BLANK
    },
    Entry {
        name: "black_carbon_hydrophilic",
        title: "black carbon, hydrophilic",
        aliases: &["aermr09", "hydrophilic_black_carbon_aerosol_mixing_ratio"],
        grib: &[code(192, 210, 9)],
        ..BLANK
    },
    Entry {
        name: "black_carbon_hydrophobic",
        title: "black carbon, hydrophobic",
        aliases: &["aermr10", "hydrophobic_black_carbon_aerosol_mixing_ratio"],
        grib: &[code(192, 210, 10)],
        ..BLANK
    },
    Entry {
        name: "sulphate",
        title: "sulphate",
        aliases: &[
            "aermr11",
            "sulfate",
            "sulphate_aerosol_mixing_ratio",
            "mass_fraction_of_sulfate_dry_aerosol_particles_in_air",
        ],
        grib: &[code(192, 210, 11), mixing_ratio(62_006)],
        ..BLANK
    },
    Entry { name: "nitrate", title: "nitrate", parts: &["nitrate_fine", "nitrate_coarse"], ..BLANK },
    Entry {
        name: "nitrate_fine",
        title: "nitrate, fine mode",
        aliases: &["aermr16", "nitrate_fine_mode_aerosol_mass_mixing_ratio"],
        grib: &[mixing_ratio(65_534)],
        ..BLANK
    },
    Entry {
        name: "nitrate_coarse",
        title: "nitrate, coarse mode",
        aliases: &["aermr17", "nitrate_coarse_mode_aerosol_mass_mixing_ratio"],
        grib: &[mixing_ratio(65_533)],
        ..BLANK
    },
    Entry {
        name: "ammonium",
        title: "ammonium",
        aliases: &["aermr18", "ammonium_aerosol_mass_mixing_ratio"],
        grib: &[mixing_ratio(62_003)],
        ..BLANK
    },
    Entry {
        name: "secondary_organics_biogenic",
        title: "secondary organics, biogenic",
        aliases: &["aermr19", "biogenic_secondary_organic_aerosol_mass_mixing_ratio"],
        grib: &[mixing_ratio(62_032)],
        ..BLANK
    },
    Entry {
        name: "secondary_organics_anthropogenic",
        title: "secondary organics, anthropogenic",
        aliases: &["aermr20", "anthropogenic_secondary_organic_aerosol_mass_mixing_ratio"],
        grib: &[mixing_ratio(62_033)],
        ..BLANK
    },
    Entry {
        name: "ash",
        title: "volcanic ash",
        aliases: &[
            "volcanic_ash",
            "ash_concentration",
            "volcanic_ash_concentration",
            "mass_concentration_of_volcanic_ash_in_air",
        ],
        grib: &[GribCode { discipline: 0, category: 20, number: 0, constituent: Some(62_025) }, mixing_ratio(62_025)],
        limits: &[
            Limit { value: 0.2, unit: "mg m-3", source: QVA },
            Limit { value: 2.0, unit: "mg m-3", source: QVA },
            Limit { value: 5.0, unit: "mg m-3", source: QVA },
            Limit { value: 10.0, unit: "mg m-3", source: QVA },
            Limit { value: 0.72, unit: "g s m-3", source: VDART },
            Limit { value: 7.2, unit: "g s m-3", source: VDART },
            Limit { value: 14.4, unit: "g s m-3", source: VDART },
        ],
        ..BLANK
    },
    Entry {
        name: "so2",
        title: "sulphur dioxide",
        aliases: &[
            "sulphur_dioxide",
            "sulfur_dioxide",
            "sulphur_dioxide_mass_mixing_ratio",
            "mass_fraction_of_sulfur_dioxide_in_air",
            "mole_fraction_of_sulfur_dioxide_in_air",
        ],
        grib: &[mixing_ratio(8)],
        molar_mass: Some(MolarMass::from_grams_per_mole(64.064)),
        limits: &[Limit { value: 500.0, unit: "ug m-3", source: "doi 10.1186/s13617-024-00144-x (10-minute mean)" }],
        rolling_window_s: Some(600.0),
        ..BLANK
    },
    Entry {
        name: "ozone",
        title: "ozone",
        aliases: &[
            "o3",
            "go3",
            "ozone_mass_mixing_ratio",
            "mass_fraction_of_ozone_in_air",
            "mole_fraction_of_ozone_in_air",
        ],
        grib: &[mixing_ratio(0), code(0, 14, 1)],
        molar_mass: Some(MolarMass::from_grams_per_mole(47.997)),
        limits: &[Limit { value: 0.25, unit: "ppmv", source: FAR }, Limit { value: 0.1, unit: "ppmv", source: FAR }],
        rolling_window_s: Some(10_800.0),
        ..BLANK
    },
    Entry {
        name: "no2",
        title: "nitrogen dioxide",
        aliases: &[
            "nitrogen_dioxide",
            "nitrogen_dioxide_mass_mixing_ratio",
            "mass_fraction_of_nitrogen_dioxide_in_air",
        ],
        grib: &[mixing_ratio(5)],
        molar_mass: Some(MolarMass::from_grams_per_mole(46.006)),
        ..BLANK
    },
    Entry {
        name: "no",
        title: "nitrogen monoxide",
        aliases: &[
            "nitrogen_monoxide",
            "nitrogen_monoxide_mass_mixing_ratio",
            "mass_fraction_of_nitrogen_monoxide_in_air",
        ],
        grib: &[mixing_ratio(11)],
        molar_mass: Some(MolarMass::from_grams_per_mole(30.006)),
        ..BLANK
    },
    Entry {
        name: "co",
        title: "carbon monoxide",
        aliases: &["carbon_monoxide", "carbon_monoxide_mass_mixing_ratio", "mass_fraction_of_carbon_monoxide_in_air"],
        grib: &[mixing_ratio(4)],
        molar_mass: Some(MolarMass::from_grams_per_mole(28.010)),
        ..BLANK
    },
    Entry {
        name: "hno3",
        title: "nitric acid",
        aliases: &["nitric_acid", "mass_fraction_of_nitric_acid_in_air"],
        grib: &[code(192, 217, 6)],
        molar_mass: Some(MolarMass::from_grams_per_mole(63.012)),
        ..BLANK
    },
    Entry {
        name: "cloud_ice",
        title: "cloud ice",
        aliases: &["ciwc", "specific_cloud_ice_water_content", "mass_fraction_of_cloud_ice_in_air"],
        grib: &[code(0, 1, 84)],
        ..BLANK
    },
    Entry {
        name: "temperature",
        title: "temperature",
        role: Role::Meteorology,
        aliases: &["t", "air_temperature"],
        grib: &[code(0, 0, 0)],
        ..BLANK
    },
    Entry {
        name: "specific_humidity",
        title: "specific humidity",
        role: Role::Meteorology,
        aliases: &["q"],
        grib: &[code(0, 1, 0)],
        ..BLANK
    },
    Entry {
        name: "surface_pressure",
        title: "surface pressure",
        role: Role::Meteorology,
        aliases: &["sp", "surface_air_pressure", "ps"],
        grib: &[code(0, 3, 0)],
        ..BLANK
    },
    Entry {
        name: "log_surface_pressure",
        title: "logarithm of surface pressure",
        role: Role::Meteorology,
        aliases: &["lnsp", "logarithm_of_surface_pressure"],
        grib: &[code(0, 3, 25)],
        ..BLANK
    },
    Entry {
        name: "geopotential",
        title: "geopotential",
        role: Role::Meteorology,
        aliases: &["z"],
        grib: &[code(0, 3, 4)],
        ..BLANK
    },
];

impl Entry {
    /// The row of this name; case, spaces and hyphens do not matter.
    /// Aliases count too.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        let name = name.trim().to_lowercase();
        let plain = name.replace([' ', '-'], "_");
        CATALOGUE.iter().find(|e| e.name == plain).or_else(|| {
            CATALOGUE.iter().find(|e| e.aliases.contains(&name.as_str()) || e.aliases.contains(&plain.as_str()))
        })
    }

    /// The row that a GRIB2 message holds.
    #[must_use]
    pub fn find_grib(code: GribCode) -> Option<&'static Self> {
        CATALOGUE.iter().find(|e| e.grib.contains(&code))
    }

    /// The ECMWF short name where there is one, else the row's own name.
    #[must_use]
    pub fn short_name(&self) -> &'static str {
        self.aliases.first().filter(|a| a.len() <= 8).copied().unwrap_or(self.name)
    }

    /// Whether the row is the sum of others.
    #[must_use]
    pub fn is_group(&self) -> bool {
        !self.parts.is_empty()
    }

    /// What a file that gives no unit is taken to hold: CAMS and ECMWF fields
    /// are mass mixing ratios, ash from dispersion models is a concentration.
    #[must_use]
    pub fn usual_dimension(&self) -> Dimension {
        match (self.role, self.name) {
            (_, "ash") => Dimension::MassConcentration,
            (_, "temperature") => Dimension::Temperature,
            (_, "surface_pressure") => Dimension::Pressure,
            (_, "specific_humidity") | (Role::Contaminant, _) => Dimension::MassMixingRatio,
            _ => Dimension::Other,
        }
    }
}

impl Limit {
    /// The unit, parsed.
    ///
    /// # Panics
    /// Never: a test parses every row of the catalogue.
    #[must_use]
    pub fn parsed_unit(&self) -> Unit {
        Unit::parse(self.unit).expect("the catalogue's units are tested")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_row_is_found_by_each_of_its_names_and_no_name_is_taken_twice() {
        let mut seen = HashSet::new();
        for entry in CATALOGUE {
            assert_eq!(Entry::find(entry.name).map(|e| e.name), Some(entry.name));
            assert!(seen.insert(entry.name), "{} twice", entry.name);
            for alias in entry.aliases {
                assert_eq!(Entry::find(alias).map(|e| e.name), Some(entry.name), "{alias}");
                assert!(seen.insert(alias), "{alias} twice");
            }
            for &grib in entry.grib {
                assert_eq!(Entry::find_grib(grib).map(|e| e.name), Some(entry.name), "{grib:?}");
            }
            for part in entry.parts {
                let part = Entry::find(part).unwrap_or_else(|| panic!("{} has no part {part}", entry.name));
                assert!(!part.is_group());
            }
            for limit in entry.limits {
                assert!(limit.parsed_unit().factor > 0.0);
            }
        }
    }

    #[test]
    fn names_are_forgiving_about_case_and_spaces() {
        assert_eq!(Entry::find("Volcanic Ash").map(|e| e.name), Some("ash"));
        assert_eq!(Entry::find("AERMR04").map(|e| e.name), Some("dust_1"));
        assert_eq!(Entry::find("GO3").map(|e| e.name), Some("ozone"));
        assert!(Entry::find("phlogiston").is_none());
    }
}
