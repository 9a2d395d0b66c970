//! Reading one time of a field into a slab.

use std::{
    ops::Range,
    sync::atomic::{AtomicBool, Ordering},
};

use rayon::prelude::*;

use super::field::{Channel, Field, Part, Piece};
use crate::field::{FieldError, Window, slab::Slab};

/// Where a run of columns stands in memory and in what was read.
struct Run {
    column: usize,
    source: usize,
    length: usize,
}

impl Field<'_> {
    /// Reads canonical time `time` of member `member`, in parallel over bands
    /// of levels and over channels.
    ///
    /// # Errors
    /// The file that cannot be read, or no memory.
    pub fn load(&self, time: usize, member: usize) -> Result<Slab, FieldError> {
        let width = self.width().ok_or_else(|| {
            FieldError::Dataset(format!("{} channels are more than one pass takes", self.channels.len()))
        })?;
        let mut slab = Slab::zeroed(self.grid.points(), width)?;
        let plane = self.latitudes.len() * self.grid.longitude.columns();
        let band = self.band();
        let has_missing = AtomicBool::new(false);
        slab.values_mut().par_chunks_mut(band * plane * width).enumerate().try_for_each(|(i, out)| {
            let start = self.levels.start + i * band;
            let levels = start..(start + band).min(self.levels.end);
            let missing = self.load_band(time, member, levels, width, out)?;
            has_missing.fetch_or(missing, Ordering::Relaxed);
            Ok::<(), FieldError>(())
        })?;
        slab.set_has_missing(has_missing.into_inner());
        if let Some(surface) = &self.surface {
            let mut values = vec![0.0; plane];
            self.read_channel(surface, time, member, &(0..1), &mut values)?;
            slab.set_surface_pa(values);
        }
        Ok(slab)
    }

    /// Levels that are read together: as many as share a chunk in a file, so
    /// that no chunk is decoded twice, and no more than a few megabytes.
    fn band(&self) -> usize {
        let chunk = self
            .channels
            .iter()
            .flat_map(|c| &c.parts)
            .flat_map(|p| &p.pieces)
            .map(|piece| self.dataset.header(piece.place).chunk.levels)
            .max()
            .unwrap_or(1);
        chunk.clamp(1, self.levels.len().max(1))
    }

    /// Fills a band; whether any value is missing.
    fn load_band(
        &self,
        time: usize,
        member: usize,
        levels: Range<usize>,
        width: usize,
        out: &mut [f32],
    ) -> Result<bool, FieldError> {
        let points = levels.len() * self.latitudes.len() * self.grid.longitude.columns();
        let channels = self
            .channels
            .par_iter()
            .map(|channel| {
                let mut values = vec![0.0; points];
                self.read_channel(channel, time, member, &levels, &mut values)?;
                Ok(values)
            })
            .collect::<Result<Vec<Vec<f32>>, FieldError>>()?;
        Ok(match width {
            1 => interleave::<1>(&channels, out),
            2 => interleave::<2>(&channels, out),
            4 => interleave::<4>(&channels, out),
            8 => interleave::<8>(&channels, out),
            _ => interleave::<16>(&channels, out),
        })
    }

    /// One channel of a band, `[level][latitude][column]`.
    fn read_channel(
        &self,
        channel: &Channel,
        time: usize,
        member: usize,
        levels: &Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        match channel.parts.as_slice() {
            [part] => self.read_part(part, time, member, levels, out)?,
            parts => {
                let mut sum = vec![0.0_f64; out.len()];
                for part in parts {
                    self.read_part(part, time, member, levels, out)?;
                    for (total, value) in sum.iter_mut().zip(out.iter()) {
                        *total += f64::from(*value);
                    }
                }
                #[expect(clippy::cast_possible_truncation, reason = "fields are single precision")]
                for (value, total) in out.iter_mut().zip(sum) {
                    *value = total as f32;
                }
            }
        }
        if channel.log {
            for value in out.iter_mut() {
                // No logarithm of nothing: what is not positive is taken as
                // the smallest amount, so that it does not blot out its cell.
                *value = if value.is_nan() { *value } else { value.max(f32::MIN_POSITIVE).ln() };
            }
        }
        Ok(())
    }

    fn read_part(
        &self,
        part: &Part,
        time: usize,
        member: usize,
        levels: &Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        let plane = out.len() / levels.len().max(1);
        // Levels that one piece has one after another are read at once.
        let mut level = levels.start;
        while level < levels.end {
            let piece = part.pieces.iter().find(|p| p.times[time].is_some() && p.levels[level].is_some());
            let Some(piece) = piece else {
                out[(level - levels.start) * plane..][..plane].fill(f32::NAN);
                level += 1;
                continue;
            };
            let mut end = level + 1;
            while end < levels.end && piece.levels[end].is_some() {
                end += 1;
            }
            let out = &mut out[(level - levels.start) * plane..(end - levels.start) * plane];
            self.read_piece(piece, time, member, level..end, out)?;
            level = end;
        }
        if part.exponentiate {
            out.iter_mut().for_each(|v| *v = v.exp());
        }
        if part.factor.to_bits() != 1.0_f64.to_bits() {
            #[expect(clippy::cast_possible_truncation, reason = "fields are single precision")]
            out.iter_mut().for_each(|v| *v = (f64::from(*v) * part.factor) as f32);
        }
        Ok(())
    }

    /// Reads a box of a file and puts it into canonical order.
    fn read_piece(
        &self,
        piece: &Piece,
        time: usize,
        member: usize,
        levels: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        let header = self.dataset.header(piece.place);
        let source = &self.dataset.sources[piece.place.source];
        let Some(file_time) = piece.times[time] else { return Ok(()) };
        let file_levels: Vec<usize> = levels.clone().filter_map(|k| piece.levels[k]).collect();
        let file_latitudes = &piece.latitudes[self.latitudes.clone()];
        let columns = self.grid.longitude.columns();
        let file_columns: Vec<usize> = (0..columns).map(|c| piece.longitudes[self.grid.longitude.node(c)]).collect();
        let window = Window {
            member: if header.members.is_empty() { 0 } else { member },
            times: file_time..file_time + 1,
            levels: span(&file_levels),
            latitudes: span(file_latitudes),
            longitudes: span(&file_columns),
        };
        if is_ascending(&file_levels) && is_ascending(file_latitudes) && is_ascending(&file_columns) {
            return source.read(piece.place.variable, &window, out);
        }
        let mut read = vec![0.0_f32; window.len()];
        source.read(piece.place.variable, &window, &mut read)?;
        let (rows, row) = (window.latitudes.len(), window.longitudes.len());
        let runs = runs(&file_columns, window.longitudes.start);
        for (k, &level) in file_levels.iter().enumerate() {
            for (j, &latitude) in file_latitudes.iter().enumerate() {
                let to = (k * file_latitudes.len() + j) * columns;
                let from = ((level - window.levels.start) * rows + latitude - window.latitudes.start) * row;
                for run in &runs {
                    out[to + run.column..][..run.length].copy_from_slice(&read[from + run.source..][..run.length]);
                }
            }
        }
        Ok(())
    }
}

/// The range that holds all indices.
fn span(indices: &[usize]) -> Range<usize> {
    let start = indices.iter().copied().min().unwrap_or(0);
    start..indices.iter().copied().max().map_or(start, |last| last + 1)
}

/// Whether indices are a run without gaps: what is read is what is wanted.
fn is_ascending(indices: &[usize]) -> bool {
    indices.windows(2).all(|w| w[1] == w[0] + 1)
}

fn runs(columns: &[usize], start: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (column, &file_column) in columns.iter().enumerate() {
        let source = file_column - start;
        match runs.last_mut() {
            Some(run) if run.source + run.length == source && run.column + run.length == column => run.length += 1,
            _ => runs.push(Run { column, source, length: 1 }),
        }
    }
    runs
}

/// Lays channels side by side; whether any value is missing. Infinite values
/// are no measurements and count as missing.
fn interleave<const S: usize>(channels: &[Vec<f32>], out: &mut [f32]) -> bool {
    let mut missing = false;
    let rows: Vec<&[f32]> = channels.iter().map(Vec::as_slice).collect();
    let points = out.as_chunks_mut::<S>().0;
    if let Ok(rows) = <[&[f32]; S]>::try_from(rows.as_slice()) {
        // Padding is absent: all rows are there.
        let rows = rows.map(|row| &row[..points.len()]);
        for (i, point) in points.iter_mut().enumerate() {
            for k in 0..S {
                let value = rows[k][i];
                missing |= !value.is_finite();
                point[k] = value;
            }
        }
    } else {
        for (i, point) in points.iter_mut().enumerate() {
            for (to, row) in point.iter_mut().zip(&rows) {
                missing |= !row[i].is_finite();
                *to = row[i];
            }
        }
    }
    if missing {
        for value in out.iter_mut().filter(|v| v.is_infinite()) {
            *value = f32::NAN;
        }
    }
    missing
}
