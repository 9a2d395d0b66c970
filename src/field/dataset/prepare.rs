//! Writing a data set in the form that loads fastest.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
};

use rayon::prelude::*;
use serde_json::{Map, json};

use super::{
    Dataset, LevelPlace,
    chosen::{all, as_in_file, expand, make_names_unique},
    field::{Channel, ChannelRequest, Field},
};
use crate::{
    field::{
        FieldError,
        zarr::{
            prepared::{Compression, LEVELS_AT, PreparedLayout, PreparedVariable, band},
            writer::{PreparedChunk, PreparedWriter},
        },
    },
    grid::VerticalRule,
};

/// A box in memory is there about this often: as it is wanted, as the file
/// has it, and while it is decoded.
const COPIES: usize = 3;

/// The variables of a data set on the axes that they share, to be written by
/// a [`PreparedWriter`].
///
/// What the data-set file says is applied or kept: names, units, offsets in
/// time, tables and kinds of levels, interpolation as logarithms. The prepared
/// form needs no data-set file.
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
        let is_all = names.is_empty();
        let names = if is_all { all(dataset) } else { expand(dataset, names)? };
        if names.is_empty() {
            return Err(FieldError::Dataset("the fields have no variable with levels to prepare".to_owned()));
        }
        let mut requests = Vec::new();
        let mut variables = Vec::new();
        for name in &names {
            let (variable, factor) = dataset.prepared_variable(name)?;
            requests.push(ChannelRequest { parts: vec![(name.clone(), factor)], log: false });
            variables.push(variable);
        }
        let mut field = dataset.field(&requests, VerticalRule::LinearP, None).map_err(|error| {
            let alone = dataset.field(&requests[..1], VerticalRule::LinearP, None);
            match (error, alone) {
                (FieldError::Dataset(what), Ok(_)) if is_all => {
                    FieldError::Dataset(format!("{what}; choose variables that go together with --variable"))
                }
                (error, _) => error,
            }
        })?;
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
        let remarks = field.remarks.clone();
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
