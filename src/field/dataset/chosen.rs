//! Which variables are prepared, and what they are called then.

use std::collections::BTreeSet;

use super::{Dataset, ValueRule};
use crate::{
    contaminant::{Entry, Role},
    field::{FieldError, Variable, zarr::prepared::PreparedVariable},
    units::{Dimension, Unit},
};

impl Dataset {
    /// A variable with levels as it is to be written, and the factor to be
    /// applied to its values.
    pub(super) fn prepared_variable(&self, name: &str) -> Result<(PreparedVariable, f64), FieldError> {
        let Some(header) = self.places(name).and_then(|places| Some(self.header(*places.first()?))) else {
            // `field` knows how to say this.
            return Ok((PreparedVariable { name: name.to_owned(), ..blank() }, 1.0));
        };
        let mut variable = PreparedVariable { interpolation: self.value_rule(name), ..as_in_file(header) };
        let rule = self.file.rule(&header.name);
        if let Some(named) = rule.and_then(|rule| rule.contaminant.as_deref()) {
            named.clone_into(&mut variable.name);
        }
        let unit = rule.and_then(|rule| rule.unit.clone());
        let of_levels =
            || self.file.levels.unit.clone().filter(|_| self.file.levels.contaminant.as_deref() == Some(name));
        variable.units = unit.or_else(of_levels).or(variable.units);
        // A molar mass of the data-set file is spent here.
        let is_volume = variable.units.as_deref().and_then(Unit::parse);
        let is_volume = is_volume.is_some_and(|unit| unit.dimension == Dimension::VolumeMixingRatio);
        if is_volume
            && rule.is_some_and(|rule| rule.molar_mass_g_mol.is_some())
            && let Some(available) = self.contaminant(name)?
            && let [(_, factor)] = available.parts.as_slice()
        {
            variable.units = Some("kg kg-1".to_owned());
            // A standard name that says mole fraction would be wrong now.
            variable.standard_name = None;
            return Ok((variable, *factor));
        }
        Ok((variable, 1.0))
    }
}

fn blank() -> PreparedVariable {
    PreparedVariable {
        name: String::new(),
        standard_name: None,
        long_name: None,
        units: None,
        vertical: true,
        interpolation: ValueRule::Linear,
    }
}

pub(super) fn as_in_file(header: &Variable) -> PreparedVariable {
    PreparedVariable {
        name: header.name.clone(),
        standard_name: header.standard_name.clone(),
        long_name: header.long_name.clone(),
        units: header.units.clone(),
        ..blank()
    }
}

/// Canonical names of all variables with levels but the surface pressure,
/// which some files keep on a level.
pub(super) fn all(dataset: &Dataset) -> Vec<String> {
    let is_surface = |name: &str| Entry::find(name).is_some_and(|e| is_surface_pressure(e.name));
    dataset.variables().filter(|name| !is_surface(name)).map(str::to_owned).collect()
}

fn is_surface_pressure(name: &str) -> bool {
    matches!(name, "surface_pressure" | "log_surface_pressure")
}

/// Groups as their parts, each variable once.
pub(super) fn expand(dataset: &Dataset, names: &[String]) -> Result<Vec<String>, FieldError> {
    let mut seen = BTreeSet::new();
    let mut expanded = Vec::new();
    for name in names {
        let entry = Entry::find(name);
        let parts = match entry.filter(|e| e.role == Role::Contaminant && e.is_group()) {
            Some(group) => dataset.contaminant(group.name)?.map(|available| available.parts),
            None => None,
        };
        let parts = parts.map_or_else(
            || vec![entry.map_or_else(|| name.clone(), |e| e.name.to_owned())],
            |parts| parts.into_iter().map(|(part, _)| part).collect(),
        );
        // A name of the file may be that of another variable in the catalogue.
        let parts = parts.into_iter().map(|part| if dataset.places(&part).is_some() { part } else { name.clone() });
        expanded.extend(parts.filter(|part| !is_surface_pressure(part) && seen.insert(part.clone())));
    }
    Ok(expanded)
}

/// Two files may call two variables by one name: those are written by the
/// names that the data set has for them.
pub(super) fn make_names_unique(variables: &mut [PreparedVariable], names: &[String]) {
    let own: Vec<String> = variables.iter().map(|v| v.name.clone()).collect();
    for (i, variable) in variables.iter_mut().enumerate() {
        if own.iter().filter(|name| **name == variable.name).count() > 1
            && let Some(name) = names.get(i)
        {
            name.clone_into(&mut variable.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_collide_are_told_apart() {
        let mut variables = ["x", "x", "t"].map(|name| PreparedVariable { name: name.to_owned(), ..blank() });
        make_names_unique(&mut variables, &["dust".to_owned(), "ash".to_owned(), "temperature".to_owned()]);
        assert_eq!(variables.map(|v| v.name), ["dust", "ash", "t"]);
    }
}
