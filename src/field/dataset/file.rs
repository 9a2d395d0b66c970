//! The data-set file: what field files do not say themselves.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use crate::{
    contaminant::Entry,
    field::FieldError,
    units::{Dimension, Unit},
};

/// A data-set file, as written in TOML.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetFile {
    /// Added to every time of the fields \[s\].
    #[serde(default)]
    pub time_offset_s: f64,
    /// Which table the hybrid levels follow, where the file has none.
    pub hybrid_levels: Option<HybridTable>,
    /// By the name in the file.
    #[serde(default)]
    pub variables: BTreeMap<String, VariableRule>,
    /// What the vertical axis is.
    #[serde(default)]
    pub levels: LevelRule,
}

/// What a variable of a file is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VariableRule {
    /// A name of the catalogue, or one of the user's own.
    pub contaminant: Option<String>,
    /// Its unit, instead of what the file says.
    pub unit: Option<String>,
    /// For volume mixing ratios of contaminants that are not in the
    /// catalogue \[g mol⁻¹\].
    pub molar_mass_g_mol: Option<f64>,
    /// Whether values are interpolated as they are or as logarithms, instead
    /// of what the file says.
    pub interpolation: Option<ValueRule>,
}

/// Between two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueRule {
    /// Linear in the value.
    #[default]
    Linear,
    /// Linear in the logarithm of the value.
    Log,
}

/// Tables of ECMWF hybrid levels that skydose has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum HybridTable {
    /// 60 levels: EAC4.
    L60,
    /// 137 levels: the forecast, ERA5.
    L137,
}

/// What the vertical axis is, where the file does not say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelRule {
    /// What the level's numbers measure.
    pub kind: Option<LevelKind>,
    /// What a value stands for.
    #[serde(default)]
    pub at: LevelPlace,
    /// Variables that hold one level each, as a pattern with `{}` where the
    /// level is spelled: `C_FL{}`.
    pub in_names: Option<String>,
    /// What these variables are together: a contaminant.
    pub contaminant: Option<String>,
    /// Their unit, where the file has none.
    pub unit: Option<String>,
}

/// What a level's number measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LevelKind {
    /// Hundreds of feet of pressure altitude.
    FlightLevel,
    /// Metres above sea level.
    Altitude,
    /// Hectopascal.
    Pressure,
}

/// What the value at a level stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LevelPlace {
    /// The value at the level itself.
    #[default]
    Point,
    /// The mean of the layer whose top is the level.
    LayerTop,
    /// The mean of the layer whose middle is the level.
    LayerMean,
}

impl DatasetFile {
    /// Reads a TOML file.
    ///
    /// # Errors
    /// Names the file, the field, its value and what was expected.
    pub fn read(path: &Path) -> Result<Self, FieldError> {
        let text = std::fs::read_to_string(path).map_err(|source| FieldError::Io { path: path.to_owned(), source })?;
        let file: Self = toml::from_str(&text).map_err(|e| FieldError::corrupt(path, e))?;
        file.check().map_err(|what| FieldError::corrupt(path, what))?;
        Ok(file)
    }

    pub(in crate::field) fn check(&self) -> Result<(), String> {
        if !self.time_offset_s.is_finite() {
            return Err(format!("time_offset_s is {}, expected seconds", self.time_offset_s));
        }
        let units = self.variables.iter().map(|(name, rule)| (format!("variables.{name}.unit"), &rule.unit));
        for (field, unit) in units.chain([("levels.unit".to_owned(), &self.levels.unit)]) {
            if let Some(unit) = unit
                && Unit::parse(unit).is_none()
            {
                return Err(format!(
                    "{field} is {unit:?}, expected a unit such as \"kg kg-1\", \"mg m-3\" or \"ppbv\""
                ));
            }
        }
        if let Some(pattern) = &self.levels.in_names {
            if pattern.matches("{}").count() != 1 {
                return Err(format!("levels.in_names is {pattern:?}, expected one {{}} where the level is spelled"));
            }
            if self.levels.kind.is_none() || self.levels.contaminant.is_none() {
                return Err("levels.in_names needs levels.kind and levels.contaminant".to_owned());
            }
        }
        Ok(())
    }

    /// What the file says of a variable: its name and unit in the data set.
    pub(super) fn rule(&self, name: &str) -> Option<&VariableRule> {
        self.variables.get(name)
    }
}

impl VariableRule {
    /// The unit, where one is given.
    #[must_use]
    pub fn parsed_unit(&self) -> Option<Unit> {
        self.unit.as_deref().and_then(Unit::parse)
    }
}

/// Turns a unit into the factor to what lanes store: kg kg⁻¹ or kg m⁻³.
///
/// # Errors
/// Says why the unit is no amount of a contaminant.
pub(super) fn storage(
    unit: Unit,
    entry: Option<&Entry>,
    rule: Option<&VariableRule>,
) -> Result<(Dimension, f64), String> {
    match unit.dimension {
        Dimension::MassMixingRatio | Dimension::MassConcentration => Ok((unit.dimension, unit.factor)),
        Dimension::VolumeMixingRatio => {
            let molar_mass = rule
                .and_then(|r| r.molar_mass_g_mol)
                .or_else(|| Some(entry?.molar_mass?.grams_per_mole()))
                .ok_or("a volume mixing ratio needs a molar mass; give variables.NAME.molar_mass_g_mol")?;
            Ok((
                Dimension::MassMixingRatio,
                unit.factor * molar_mass / crate::atmosphere::DRY_AIR_MOLAR_MASS.grams_per_mole(),
            ))
        }
        _ => Err(format!("the unit {unit} is no mixing ratio and no concentration")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<DatasetFile, String> {
        let file: DatasetFile = toml::from_str(text).map_err(|e| e.to_string())?;
        file.check().map(|()| file)
    }

    #[test]
    fn says_what_files_do_not() {
        let file = parse(
            r#"
            time_offset_s = -1800
            hybrid_levels = "L137"
            [variables.ash_total]
            contaminant = "ash"
            unit = "gr/m3"
            interpolation = "log"
            [levels]
            kind = "flight-level"
            at = "layer-top"
            in_names = "C_FL{}"
            contaminant = "ash"
            "#,
        )
        .unwrap();
        assert_eq!(file.hybrid_levels, Some(HybridTable::L137));
        assert_eq!(file.rule("ash_total").and_then(VariableRule::parsed_unit).map(|u| u.factor), Some(1e-3));
        assert_eq!(file.levels.at, LevelPlace::LayerTop);
    }

    #[test]
    fn faults_name_field_and_value() {
        assert!(parse("[variables.x]\nunit = \"furlong\"").unwrap_err().contains("variables.x.unit is \"furlong\""));
        assert!(parse("[levels]\nin_names = \"C\"").unwrap_err().contains("levels.in_names is \"C\""));
        assert!(parse("[levels]\nin_names = \"C{}\"").unwrap_err().contains("levels.kind"));
        assert!(parse("colour = 1").unwrap_err().contains("colour"));
    }

    #[test]
    fn volume_mixing_ratios_are_stored_as_mass() {
        let ppb = Unit::parse("ppbv").unwrap();
        let (dimension, factor) = storage(ppb, Entry::find("so2"), None).unwrap();
        assert_eq!(dimension, Dimension::MassMixingRatio);
        assert!((factor - 1e-9 * 64.064 / 28.9644).abs() < 1e-18);
        assert!(storage(ppb, Entry::find("dust"), None).is_err());
        assert!(storage(Unit::parse("K").unwrap(), None, None).is_err());
    }
}
