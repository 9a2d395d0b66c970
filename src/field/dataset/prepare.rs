//! Writing a data set in the form that loads fastest.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rayon::prelude::*;
use serde_json::{Map, json};

use super::{
    Dataset, LevelPlace, ValueRule,
    field::{Channel, ChannelRequest, Field},
};
use crate::{
    contaminant::{Entry, Role},
    field::{
        FieldError, Variable,
        zarr::{
            prepared::{Compression, LEVELS_AT, PreparedLayout, PreparedVariable, band},
            writer::{PreparedChunk, PreparedWriter},
        },
    },
    grid::VerticalRule,
    units::Dimension,
};

/// A box in memory is there about this often: as it is wanted, as the file
/// has it, and while it is decoded.
const COPIES: usize = 3;

/// The variables of a data set on the axes that they share, to be written by
/// a [`PreparedWriter`].
///
/// What the data-set file says is applied: names, units, offsets in time,
/// tables and kinds of levels. The prepared form needs no data-set file.
pub struct Preparation<'a> {
    field: Field<'a>,
    variables: Vec<PreparedVariable>,
    /// What each of `variables` is read as.
    channels: Vec<Channel>,
    remarks: Vec<String>,
}

/// What a run of [`Preparation::write`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Chunks that it wrote.
    pub chunks: usize,
    /// Bytes of their values, before any compression.
    pub bytes: usize,
    /// Whether nothing is missing now.
    pub is_whole: bool,
}

/// What is read at once: a box of one variable.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    variable: usize,
    member: usize,
    times: Range<usize>,
    levels: Range<usize>,
}

impl<'a> Preparation<'a> {
    /// Of the variables `names`, by their names in the file or the catalogue
    /// (a group stands for its parts), or of all with levels; the surface
    /// pressure is added where the levels need it.
    ///
    /// # Errors
    /// As [`Dataset::field`]: names a variable that is not there, or those
    /// that do not fit together.
    pub fn of(dataset: &'a Dataset, names: &[String]) -> Result<Self, FieldError> {
        let names = if names.is_empty() { all(dataset) } else { expand(dataset, names)? };
        let mut requests = Vec::new();
        let mut variables = Vec::new();
        for name in &names {
            let (variable, factor) = dataset.prepared_variable(name)?;
            requests.push(ChannelRequest { parts: vec![(name.clone(), factor)], log: false });
            variables.push(variable);
        }
        let mut field = dataset.field(&requests, VerticalRule::LinearP, None)?;
        // Without the first column behind the last.
        field.grid.longitude = field.grid.longitude.cut(0, field.grid.longitude.len());
        let mut channels = field.channels.clone();
        if let Some(surface) = &field.surface {
            // As the file has it, also where that is the logarithm.
            let mut surface = surface.clone();
            for part in &mut surface.parts {
                part.exponentiate = false;
            }
            if let Some(piece) = surface.parts.iter().flat_map(|p| &p.pieces).next() {
                variables.push(PreparedVariable { vertical: false, ..as_in_file(dataset.header(piece.place)) });
                channels.push(surface);
            }
        }
        let mut remarks = field.remarks.clone();
        remarks.extend(names.iter().filter(|name| dataset.value_rule(name) == ValueRule::Log).map(|name| {
            format!(
                "{name} is to be interpolated as logarithm, which the prepared form does not say: \
                 keep interpolation = \"log\" in a data-set file for it"
            )
        }));
        make_names_unique(&mut variables, &names);
        Ok(Self { field, variables, channels, remarks })
    }

    /// What is worth telling: times and levels that were dropped.
    #[must_use]
    pub fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// What is to be written; `fingerprint` is of the files and options.
    #[must_use]
    pub fn layout(&self, compression: Compression, fingerprint: String) -> PreparedLayout {
        let grid = &self.field.grid;
        let mut attributes = Map::new();
        let files: Vec<String> = self
            .field
            .dataset
            .sources()
            .iter()
            .filter_map(|s| Some(s.path()?.file_name()?.to_string_lossy().into_owned()))
            .collect();
        attributes.insert("title".to_owned(), json!("a field prepared for skydose"));
        attributes.insert("source".to_owned(), json!(files.join(", ")));
        let at = self.field.dataset.file().levels.at;
        if at != LevelPlace::Point {
            attributes.insert(LEVELS_AT.to_owned(), json!(at));
        }
        PreparedLayout {
            variables: self.variables.clone(),
            times_s: self.field.times_s.clone(),
            levels: self.field.vertical.clone(),
            latitudes_deg: grid.latitude.values().to_vec(),
            longitudes_deg: grid.longitude.values().to_vec(),
            members: self.field.dataset.members().to_vec(),
            attributes,
            band: band(self.field.vertical.len(), self.plane()),
            compression,
            fingerprint,
        }
    }

    /// Writes the chunks that are missing, in parallel and within about
    /// `memory` bytes. `go_on` is told the part that is done, 0 to 1, and
    /// says whether to go on.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn write(
        &self,
        writer: &PreparedWriter,
        memory: usize,
        go_on: &(dyn Fn(f64) -> bool + Sync),
    ) -> Result<Written, FieldError> {
        let units = self.units(writer.layout(), memory);
        let (chunks, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let (done, is_stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        units.par_iter().try_for_each(|unit| {
            let missing: Vec<PreparedChunk> = unit.chunks(writer).filter(|c| !writer.is_written(*c)).collect();
            if !missing.is_empty() && !is_stopped.load(Ordering::Relaxed) {
                let values = self.read(unit)?;
                let plane = self.plane();
                for chunk in missing {
                    if is_stopped.load(Ordering::Relaxed) {
                        break;
                    }
                    let levels = writer.levels(chunk);
                    let first = (chunk.time - unit.times.start) * unit.levels.len() + levels.start - unit.levels.start;
                    let values = &values[first * plane..(first + levels.len()) * plane];
                    writer.write(chunk, values)?;
                    chunks.fetch_add(1, Ordering::Relaxed);
                    bytes.fetch_add(size_of_val(values), Ordering::Relaxed);
                    if !go_on(done.load(Ordering::Relaxed) as f64 / units.len() as f64) {
                        is_stopped.store(true, Ordering::Relaxed);
                    }
                }
            }
            done.fetch_add(1, Ordering::Relaxed);
            Ok::<(), FieldError>(())
        })?;
        Ok(Written { chunks: chunks.into_inner(), bytes: bytes.into_inner(), is_whole: !is_stopped.into_inner() })
    }

    /// `[time][level][latitude][longitude]` of a unit.
    fn read(&self, unit: &Unit) -> Result<Vec<f32>, FieldError> {
        let mut values = vec![0.0; unit.times.len() * unit.levels.len() * self.plane()];
        self.field.read_channel(
            &self.channels[unit.variable],
            unit.times.clone(),
            unit.member,
            &unit.levels,
            &mut values,
        )?;
        Ok(values)
    }

    fn plane(&self) -> usize {
        self.field.grid.latitude.len() * self.field.grid.longitude.len()
    }

    /// Boxes such that no chunk of a file is decoded twice, as far as
    /// `memory` allows, by member, time, variable and level.
    fn units(&self, layout: &PreparedLayout, memory: usize) -> Vec<Unit> {
        let most = memory / rayon::current_num_threads().max(1) / COPIES / (self.plane() * size_of::<f32>()).max(1);
        let mut units = Vec::new();
        for member in 0..layout.members.len().max(1) {
            for variable in 0..self.variables.len() {
                let (times, levels) = self.step(variable, layout, most);
                let count = if self.variables[variable].vertical { layout.levels.len() } else { 1 };
                for time in (0..layout.times_s.len()).step_by(times) {
                    for level in (0..count).step_by(levels) {
                        units.push(Unit {
                            variable,
                            member,
                            times: time..(time + times).min(layout.times_s.len()),
                            levels: level..(level + levels).min(count),
                        });
                    }
                }
            }
        }
        units.sort_by_key(|u| (u.member, u.times.start, u.variable, u.levels.start));
        units
    }

    /// Times and levels of a variable that are read at once, `most` planes
    /// unless a single band has more.
    fn step(&self, variable: usize, layout: &PreparedLayout, most: usize) -> (usize, usize) {
        let headers = || {
            let pieces = self.channels[variable].parts.iter().flat_map(|part| &part.pieces);
            pieces.map(|piece| self.field.dataset.header(piece.place).chunk)
        };
        let chunk_times = headers().map(|c| c.times).max().unwrap_or(1).clamp(1, layout.times_s.len());
        if !self.variables[variable].vertical {
            return (chunk_times.min(most.max(1)), 1);
        }
        let (band, all) = (layout.band.min(layout.levels.len()).max(1), layout.levels.len());
        let chunk_levels = headers().map(|c| c.levels).max().unwrap_or(1).clamp(1, all);
        let wanted = if band.is_multiple_of(chunk_levels) {
            band
        } else if chunk_levels.is_multiple_of(band) {
            chunk_levels
        } else {
            all
        };
        // Whole bands, and at least one.
        let levels = if wanted <= most { wanted } else { (most / band * band).max(band) };
        (chunk_times.min((most / levels).max(1)), levels)
    }
}

impl Unit {
    fn chunks<'w>(&'w self, writer: &'w PreparedWriter) -> impl Iterator<Item = PreparedChunk> + 'w {
        let (variable, member) = (self.variable, self.member);
        let bands = (0..writer.bands(variable)).filter(move |&band| {
            let levels = writer.levels(PreparedChunk { member, time: 0, variable, band });
            self.levels.contains(&levels.start)
        });
        let bands: Vec<usize> = bands.collect();
        self.times.clone().flat_map(move |time| {
            bands.clone().into_iter().map(move |band| PreparedChunk { member, time, variable, band })
        })
    }
}

impl Dataset {
    /// A variable with levels as it is to be written, and the factor to be
    /// applied to its values.
    fn prepared_variable(&self, name: &str) -> Result<(PreparedVariable, f64), FieldError> {
        let Some(header) = self.places(name).and_then(|places| Some(self.header(*places.first()?))) else {
            // `field` knows how to say this.
            return Ok((PreparedVariable { name: name.to_owned(), ..blank() }, 1.0));
        };
        let mut variable = as_in_file(header);
        let rule = self.file.rule(&header.name);
        if let Some(named) = rule.and_then(|rule| rule.contaminant.as_deref()) {
            named.clone_into(&mut variable.name);
        }
        let unit = rule.and_then(|rule| rule.unit.clone());
        let of_levels =
            || self.file.levels.unit.clone().filter(|_| self.file.levels.contaminant.as_deref() == Some(name));
        variable.units = unit.or_else(of_levels).or(variable.units);
        // A molar mass of the data-set file is spent here.
        let is_volume = variable.units.as_deref().and_then(crate::units::Unit::parse);
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
    PreparedVariable { name: String::new(), standard_name: None, long_name: None, units: None, vertical: true }
}

fn as_in_file(header: &Variable) -> PreparedVariable {
    PreparedVariable {
        name: header.name.clone(),
        standard_name: header.standard_name.clone(),
        long_name: header.long_name.clone(),
        units: header.units.clone(),
        vertical: true,
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
fn expand(dataset: &Dataset, names: &[String]) -> Result<Vec<String>, FieldError> {
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
fn make_names_unique(variables: &mut [PreparedVariable], names: &[String]) {
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
