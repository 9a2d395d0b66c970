//! One data set of many files: canonical names, units and axes.
//!
//! Files may hold different variables, times or levels. A [`Dataset`] knows
//! what each of their variables is; [`Dataset::field`] makes the [`Field`]
//! that a program asks for, with axes that all its channels share, ascending
//! whatever the files' order; [`Field::load`] reads one time of it.

mod axes;
mod chosen;
mod field;
mod file;
mod load;
mod prepare;
#[cfg(test)]
mod prepare_tests;
mod stack;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

pub use axes::{FieldBox, half_levels, pressures};
pub use field::{Channel, ChannelRequest, Field, Part};
pub use file::{DatasetFile, HybridTable, LevelKind, LevelPlace, LevelRule, ValueRule, VariableRule};
pub use prepare::{Preparation, Written};

use crate::{
    contaminant::{Entry, Role},
    field::{FieldError, FieldSource, Levels, Variable},
    units::{Dimension, Unit},
};

/// Opened files that make one data set.
pub struct Dataset {
    sources: Vec<Box<dyn FieldSource>>,
    /// By canonical name: what holds it. A name may stand for surface and
    /// level fields at once; those with levels come first.
    names: BTreeMap<String, Vec<Place>>,
    file: DatasetFile,
    remarks: Vec<String>,
}

/// A variable of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub source: usize,
    pub variable: usize,
}

/// A contaminant that a data set has.
#[derive(Debug, Clone, PartialEq)]
pub struct Available {
    /// Its name.
    pub name: Arc<str>,
    /// What lanes store of it, mass mixing ratio or mass concentration.
    pub stored: Dimension,
    /// The variables whose sum it is, each with the factor to canonical units.
    pub parts: Vec<(String, f64)>,
    /// Whether its values are interpolated as logarithms.
    pub log: bool,
    /// The row of the catalogue; none for names of the data-set file.
    pub entry: Option<&'static Entry>,
}

impl Dataset {
    /// Opens `paths` as one data set.
    ///
    /// # Errors
    /// The first file that cannot be read, by name.
    pub fn open(paths: &[PathBuf], file: DatasetFile) -> Result<Self, FieldError> {
        Self::open_within(paths, file, u64::MAX)
    }

    /// As [`Dataset::open`]; archives may unpack at most `bytes` into memory,
    /// all together.
    ///
    /// # Errors
    /// As [`Dataset::open`], and where that is too little.
    pub fn open_within(paths: &[PathBuf], file: DatasetFile, bytes: u64) -> Result<Self, FieldError> {
        let mut sources: Vec<Box<dyn FieldSource>> = Vec::new();
        let mut left = bytes;
        for path in paths {
            let opened = super::open_within(path, left)?;
            left = left.saturating_sub(opened.iter().map(|source| source.held_bytes()).sum());
            sources.extend(opened);
        }
        Self::of(sources, file)
    }

    /// A data set of sources that are open.
    ///
    /// # Errors
    /// When levels spelled in names do not fit together, or a variable of the
    /// data-set file is in no source.
    pub fn of(sources: Vec<Box<dyn FieldSource>>, mut file: DatasetFile) -> Result<Self, FieldError> {
        if file.levels.at == LevelPlace::Point {
            let said = sources.iter().map(|s| s.levels_at()).find(|at| *at != LevelPlace::Point);
            file.levels.at = said.unwrap_or_default();
        }
        let sources = sources.into_iter().map(|s| stack::stack(s, &file.levels)).collect::<Result<Vec<_>, _>>()?;
        let mut names: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        let mut remarks = Vec::new();
        for (source, opened) in sources.iter().enumerate() {
            remarks.extend(opened.remarks().iter().cloned());
            for (variable, header) in opened.variables().iter().enumerate() {
                names.entry(canonical_name(header, &file)).or_default().push(Place { source, variable });
            }
        }
        for name in file.variables.keys() {
            if !sources.iter().any(|s| s.variables().iter().any(|v| v.name == *name)) {
                return Err(FieldError::Dataset(format!(
                    "variables.{name} of the data-set file is in none of the fields, which have {}",
                    names.keys().cloned().collect::<Vec<_>>().join(", ")
                )));
            }
        }
        for places in names.values_mut() {
            places.sort_by_key(|p| sources[p.source].variables()[p.variable].levels == Levels::Surface);
        }
        Ok(Self { sources, names, file, remarks })
    }

    /// Bytes of files that are kept in memory.
    #[must_use]
    pub fn held_bytes(&self) -> u64 {
        self.sources.iter().map(|source| source.held_bytes()).sum()
    }

    /// The opened files.
    #[must_use]
    pub fn sources(&self) -> &[Box<dyn FieldSource>] {
        &self.sources
    }

    /// What is worth telling about the files.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// The data-set file.
    #[must_use]
    pub fn file(&self) -> &DatasetFile {
        &self.file
    }

    /// Canonical names of all variables with levels, in alphabetical order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.names
            .iter()
            .filter(|(_, places)| self.header(places[0]).levels != Levels::Surface)
            .map(|(n, _)| n.as_str())
    }

    /// Names of the ensemble's members; empty where there is no ensemble.
    #[must_use]
    pub fn members(&self) -> &[String] {
        self.sources
            .iter()
            .flat_map(|s| s.variables())
            .map(|v| v.members.as_slice())
            .find(|m| !m.is_empty())
            .unwrap_or(&[])
    }

    /// The contaminants: groups whose parts are all there, and what stands
    /// alone.
    ///
    /// # Errors
    /// A contaminant whose unit is not known, with the remedy.
    pub fn contaminants(&self) -> Result<Vec<Available>, FieldError> {
        let mut found: Vec<Available> = Vec::new();
        let mut in_groups: Vec<&str> = Vec::new();
        for entry in crate::contaminant::CATALOGUE.iter().filter(|e| e.role == Role::Contaminant && e.is_group()) {
            if let Some(available) = self.contaminant(entry.name)? {
                in_groups.extend(
                    available
                        .parts
                        .iter()
                        .map(|(name, _)| name.as_str())
                        .filter_map(|n| Entry::find(n))
                        .map(|e| e.name),
                );
                found.push(available);
            }
        }
        for name in self.variables() {
            let known = Entry::find(name);
            let is_asked = self.is_named_in_file(name) || known.is_some_and(|e| e.role == Role::Contaminant);
            let is_part = known.is_some_and(|e| in_groups.contains(&e.name));
            if is_asked
                && !is_part
                && !found.iter().any(|f| &*f.name == name)
                && let Some(available) = self.contaminant(name)?
            {
                found.push(available);
            }
        }
        Ok(found)
    }

    /// One contaminant, `None` where the data set does not have it.
    ///
    /// # Errors
    /// When its unit is not known or its parts differ in kind.
    pub fn contaminant(&self, name: &str) -> Result<Option<Available>, FieldError> {
        let entry = Entry::find(name);
        let canonical = entry.map_or(name, |e| e.name);
        if self.has_levels(canonical) {
            let (stored, factor, log) = self.storage_of(canonical, entry)?;
            let parts = vec![(canonical.to_owned(), factor)];
            return Ok(Some(Available { name: canonical.into(), stored, parts, log, entry }));
        }
        let Some(group) = entry.filter(|e| e.is_group() && e.parts.iter().all(|p| self.has_levels(p))) else {
            return Ok(None);
        };
        let mut parts = Vec::new();
        let mut kinds = Vec::new();
        for part in group.parts {
            let (stored, factor, log) = self.storage_of(part, Entry::find(part))?;
            parts.push(((*part).to_owned(), factor));
            kinds.push((stored, log));
        }
        if kinds.windows(2).any(|w| w[0] != w[1]) || kinds[0].1 {
            return Err(FieldError::Dataset(format!(
                "{canonical} cannot be summed of {}: they differ in kind, or are interpolated as logarithms",
                group.parts.join(", ")
            )));
        }
        Ok(Some(Available { name: canonical.into(), stored: kinds[0].0, parts, log: false, entry }))
    }

    /// A variable's unit as its file writes it.
    #[must_use]
    pub fn unit_in_file(&self, name: &str) -> Option<&str> {
        let place = *self.places(name)?.first()?;
        self.header(place).units.as_deref()
    }

    /// How a variable is interpolated: by the data-set file, else by its own.
    #[must_use]
    pub fn value_rule(&self, name: &str) -> ValueRule {
        let place = self.places(name).and_then(|places| places.first().copied());
        place.map_or(ValueRule::Linear, |place| self.rule_at(place))
    }

    fn rule_at(&self, place: Place) -> ValueRule {
        let said = self.file.rule(&self.header(place).name).and_then(|rule| rule.interpolation);
        said.unwrap_or_else(|| self.sources[place.source].value_rule(place.variable))
    }

    fn has_levels(&self, name: &str) -> bool {
        self.names.get(name).is_some_and(|places| self.header(places[0]).levels != Levels::Surface)
    }

    fn is_named_in_file(&self, name: &str) -> bool {
        self.file.variables.values().any(|rule| rule.contaminant.as_deref() == Some(name))
            || self.file.levels.contaminant.as_deref() == Some(name)
    }

    /// What lanes store of a variable, the factor to it, and whether as
    /// logarithms.
    fn storage_of(&self, name: &str, entry: Option<&Entry>) -> Result<(Dimension, f64, bool), FieldError> {
        let place = self.names[name][0];
        let header = self.header(place);
        let rule = self.file.rule(&header.name);
        let stacked =
            (self.file.levels.contaminant.as_deref() == Some(name)).then_some(self.file.levels.unit.as_deref());
        let unit = match (rule.and_then(VariableRule::parsed_unit), stacked.flatten(), header.units.as_deref()) {
            (Some(unit), ..) => unit,
            (None, Some(text), _) | (None, None, Some(text)) if !text.trim().is_empty() => {
                unit_of(text, header).ok_or_else(|| Self::unknown_unit(header, text))?
            }
            _ => match entry {
                Some(entry) => Unit { dimension: entry.usual_dimension(), factor: 1.0 },
                None => return Err(Self::unknown_unit(header, "")),
            },
        };
        let (dimension, factor) = file::storage(unit, entry, rule)
            .map_err(|what| FieldError::Dataset(format!("variable {}: {what}", header.name)))?;
        Ok((dimension, factor, self.rule_at(place) == ValueRule::Log))
    }

    fn unknown_unit(header: &Variable, text: &str) -> FieldError {
        FieldError::Dataset(format!(
            "variable {} has the unit {text:?}, expected one such as \"kg kg-1\", \"ug m-3\" or \"ppbv\"; \
             say it in a data-set file under [variables.{}]",
            header.name, header.name
        ))
    }

    pub(crate) fn header(&self, place: Place) -> &Variable {
        &self.sources[place.source].variables()[place.variable]
    }

    /// Where a variable is, by canonical name or by its name in the files.
    pub(crate) fn places(&self, name: &str) -> Option<Vec<Place>> {
        let canonical = Entry::find(name).map_or(name, |e| e.name);
        if let Some(places) = self.names.get(canonical).or_else(|| self.names.get(name)) {
            return Some(places.clone());
        }
        let by_file: Vec<Place> =
            self.names.values().flatten().copied().filter(|&place| self.header(place).name == name).collect();
        (!by_file.is_empty()).then_some(by_file)
    }
}

/// What a variable is called in the data set: as the data-set file says, else
/// the catalogue's name, else its own.
fn canonical_name(header: &Variable, file: &DatasetFile) -> String {
    if let Some(name) = file.rule(&header.name).and_then(|rule| rule.contaminant.as_deref()) {
        return Entry::find(name).map_or(name, |e| e.name).to_owned();
    }
    let names = [Some(&header.name), header.standard_name.as_ref(), header.long_name.as_ref()];
    names
        .into_iter()
        .flatten()
        .find_map(|name| Entry::find(name))
        .map_or_else(|| header.name.clone(), |entry| entry.name.to_owned())
}

/// A unit as files write it, with CF's "1" for fractions.
fn unit_of(text: &str, header: &Variable) -> Option<Unit> {
    Unit::parse(text).or_else(|| {
        let standard = header.standard_name.as_deref().unwrap_or_default();
        let dimension = if standard.starts_with("mass_fraction") {
            Dimension::MassMixingRatio
        } else if standard.starts_with("mole_fraction") {
            Dimension::VolumeMixingRatio
        } else {
            return None;
        };
        (text.trim() == "1").then_some(Unit { dimension, factor: 1.0 })
    })
}
