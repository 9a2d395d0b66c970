//! Which contaminants fields have, and what keeps flights from being sampled
//! in them.

use std::path::PathBuf;

use super::text::{Report, Side, counted, list};
use crate::{
    atmosphere::isa_pressure,
    contaminant::{CATALOGUE, Entry, Role},
    field::{
        FieldError, Levels,
        dataset::{Available, Dataset, DatasetFile, Field},
    },
    grid::{LevelAxis, VerticalRule},
    units::{Altitude, Dimension},
};

use super::axes;

/// What there is of contaminants.
#[derive(Default)]
struct Found {
    usable: Vec<Available>,
    /// Groups of which parts are missing, with those that are there.
    incomplete: Vec<(&'static Entry, Vec<&'static str>, Vec<&'static str>)>,
    /// Without levels.
    flat: Vec<String>,
    /// Known, but in no known unit.
    faults: Vec<String>,
    notes: Vec<String>,
}

/// On the fields of one file.
pub(super) fn alone(dataset: &Dataset, report: &mut Report) {
    let found = Found::of(dataset);
    found.print(dataset, report);
    if found.usable.is_empty() {
        if dataset.variables().next().is_none() {
            report.note("no variable has levels: flights cannot be sampled in this file alone");
        }
        return;
    }
    match field_of(dataset, &found.usable) {
        Ok(field) => {
            for remark in field.remarks.iter().filter(|r| !r.contains("single time")) {
                report.note(remark);
            }
        }
        Err(error) => report.fault(&error.to_string()),
    }
}

/// Whether several files make one data set, and which.
pub(super) fn together(paths: &[PathBuf], file: DatasetFile, report: &mut Report) {
    report.title(&format!("all {} together", counted(paths.len() as u64, "field file", "field files")));
    let dataset = match Dataset::open_within(paths, file, crate::app::default_memory()) {
        Ok(dataset) => dataset,
        Err(error) => return report.fault(&format!("no data set: {error}")),
    };
    let found = Found::of(&dataset);
    if found.usable.is_empty() {
        report.line("no data set for exposures: no contaminant can be sampled");
        found.print(&dataset, report);
        return;
    }
    match field_of(&dataset, &found.usable) {
        Ok(field) => {
            report.line("one data set; every contaminant is on one grid");
            report.blank();
            report.entry("times", &axes::times(&field.times_s));
            report.entry("levels", &format!("{}{}", field.grid.levels.len(), span(&field.grid.levels)));
            report.entry(
                "grid",
                &format!("{} latitudes × {} longitudes", field.grid.latitude.len(), field.grid.longitude.len()),
            );
            for remark in &field.remarks {
                report.note(remark);
            }
        }
        Err(error) => report.fault(&format!("no data set: {error}")),
    }
    found.print(&dataset, report);
}

/// The pressures that fixed levels reach over.
fn span(levels: &LevelAxis) -> String {
    let (low, high) = match levels {
        LevelAxis::Levels { axis, log: false } => axis.range(),
        LevelAxis::Hybrid { coefficients, .. } => {
            let sea_level = isa_pressure(Altitude::from_metres(0.0)).pascal();
            let at = |c: Option<&(f64, f64)>| c.map_or(f64::NAN, |(a, b)| a + b * sea_level);
            (at(coefficients.first()), at(coefficients.last()))
        }
        _ => return String::new(),
    };
    let hybrid = if levels.needs_surface_pressure() { " above sea level" } else { "" };
    format!(", {} to {} hPa{hybrid}", super::text::number(low / 100.0), super::text::number(high / 100.0))
}

/// The field of all contaminants, as a computation asks for it.
fn field_of<'a>(dataset: &'a Dataset, usable: &[Available]) -> Result<Field<'a>, FieldError> {
    let requests: Vec<_> = usable.iter().map(Dataset::request).collect();
    dataset.field(&requests, VerticalRule::LinearP, None)
}

impl Found {
    fn of(dataset: &Dataset) -> Self {
        let mut found = Self::default();
        let mut in_groups: Vec<&str> = Vec::new();
        for group in CATALOGUE.iter().filter(|e| e.role == Role::Contaminant && e.is_group()) {
            found.group(dataset, group, &mut in_groups);
        }
        let own = dataset.file();
        let named = own.variables.values().filter_map(|rule| rule.contaminant.as_deref());
        let named: Vec<&str> = named.chain(own.levels.contaminant.as_deref()).collect();
        for name in dataset.variables() {
            let entry = Entry::find(name);
            let is_asked = named.contains(&name) || entry.is_some_and(|e| e.role == Role::Contaminant && !e.is_group());
            if is_asked && !in_groups.contains(&name) {
                found.single(dataset, name);
            }
        }
        found.flat(dataset);
        found
    }

    fn group(&mut self, dataset: &Dataset, group: &'static Entry, in_groups: &mut Vec<&'static str>) {
        match dataset.contaminant(group.name) {
            Ok(Some(available)) => {
                in_groups.extend(group.parts.iter().filter(|_| available.parts.len() > 1));
                in_groups.push(group.name);
                self.note_unit(dataset, &available);
                self.usable.push(available);
            }
            Ok(None) => {
                let has = |part: &&&str| dataset.variables().any(|name| name == **part);
                let (there, missing): (Vec<&str>, Vec<&str>) = group.parts.iter().partition(|part| has(part));
                if !there.is_empty() {
                    self.incomplete.push((group, there, missing));
                }
            }
            Err(error) => {
                in_groups.extend(group.parts);
                in_groups.push(group.name);
                self.faults.push(error.to_string());
            }
        }
    }

    fn single(&mut self, dataset: &Dataset, name: &str) {
        match dataset.contaminant(name) {
            Ok(Some(available)) => {
                self.note_unit(dataset, &available);
                self.usable.push(available);
            }
            Ok(None) => {}
            Err(error) => self.faults.push(error.to_string()),
        }
    }

    /// A unit that neither file nor rule says is taken for granted.
    fn note_unit(&mut self, dataset: &Dataset, available: &Available) {
        for (name, _) in &available.parts {
            let header = dataset.places(name).and_then(|p| p.first().map(|&p| dataset.header(p)));
            let file = dataset.file();
            let ruled = header.is_some_and(|h| file.variables.get(&h.name).is_some_and(|rule| rule.unit.is_some()))
                || (file.levels.contaminant.as_deref() == Some(name) && file.levels.unit.is_some());
            if let Some(header) = header
                && header.units.as_deref().is_none_or(|u| u.trim().is_empty())
                && !ruled
            {
                self.notes.push(format!(
                    "{} has no unit and is taken for {}; if it is not, say so in a data-set file",
                    header.name,
                    kind(available.stored)
                ));
            }
        }
    }

    fn flat(&mut self, dataset: &Dataset) {
        let with_levels: Vec<&str> = dataset.variables().collect();
        for header in dataset.sources().iter().flat_map(|s| s.variables()).filter(|v| v.levels == Levels::Surface) {
            if let Some(entry) = Entry::find(&header.name)
                && entry.role == Role::Contaminant
                && !with_levels.contains(&entry.name)
                && !self.flat.contains(&header.name)
            {
                self.flat.push(header.name.clone());
            }
        }
    }

    fn print(&self, dataset: &Dataset, report: &mut Report) {
        let mut rows: Vec<Vec<String>> =
            self.usable.iter().map(|available| vec![available.name.to_string(), origin(dataset, available)]).collect();
        rows.extend(self.incomplete.iter().map(|(group, there, missing)| {
            let verb = if missing.len() == 1 { "is" } else { "are" };
            let what = format!("incomplete: {} without {}, which {verb} missing", list(there), list(missing));
            vec![group.name.to_owned(), what]
        }));
        rows.extend(self.flat.iter().map(|name| vec![name.clone(), "has no levels: flights pass above it".to_owned()]));
        report.heading("contaminants");
        if rows.is_empty() && self.faults.is_empty() {
            let unknown: Vec<&str> = dataset.variables().filter(|n| Entry::find(n).is_none()).take(8).collect();
            report.line(&if unknown.is_empty() {
                "none".to_owned()
            } else {
                format!("none; a data-set file (--dataset) could say what {} may be", list(&unknown))
            });
        } else {
            report.table(&[Side::Left, Side::Left], &rows);
        }
        for note in &self.notes {
            report.note(note);
        }
        for fault in &self.faults {
            report.fault(fault);
        }
    }
}

/// Of which variables a contaminant is made.
fn origin(dataset: &Dataset, available: &Available) -> String {
    let in_file = |name: &str| {
        dataset.places(name).and_then(|places| Some(dataset.header(*places.first()?).name.clone())).unwrap_or_default()
    };
    let names: Vec<String> = available.parts.iter().map(|(name, _)| in_file(name)).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let log = if available.log { ", interpolated as logarithm" } else { "" };
    match names.as_slice() {
        [one] => format!("{}, from {one}{log}", kind(available.stored)),
        many => format!("{}, the sum of {}{log}", kind(available.stored), list(many)),
    }
}

fn kind(dimension: Dimension) -> &'static str {
    match dimension {
        Dimension::MassConcentration => "mass concentration",
        _ => "mass mixing ratio",
    }
}
