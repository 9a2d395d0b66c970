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
            self.read_channel(surface, time..time + 1, member, &(0..1), &mut values)?;
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
                self.read_channel(channel, time..time + 1, member, &levels, &mut values)?;
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

    /// One channel of a band, `[time][level][latitude][column]`.
    pub(super) fn read_channel(
        &self,
        channel: &Channel,
        times: Range<usize>,
        member: usize,
        levels: &Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        match channel.parts.as_slice() {
            [part] => self.read_part(part, times, member, levels, out)?,
            parts => {
                let mut sum = vec![0.0_f64; out.len()];
                for part in parts {
                    self.read_part(part, times.clone(), member, levels, out)?;
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
        times: Range<usize>,
        member: usize,
        levels: &Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        let volume = out.len() / times.len().max(1);
        // Times that one piece has one after another are read at once.
        let mut time = times.start;
        while time < times.end {
            let end = part.run(time..times.end, levels);
            let out = &mut out[(time - times.start) * volume..(end - times.start) * volume];
            self.read_levels(part, time..end, member, levels, out)?;
            time = end;
        }
        if part.exponentiate {
            for value in out.iter_mut() {
                *value = value.exp();
            }
        }
        if part.factor.to_bits() != 1.0_f64.to_bits() {
            #[expect(clippy::cast_possible_truncation, reason = "fields are single precision")]
            for value in out.iter_mut() {
                *value = (f64::from(*value) * part.factor) as f32;
            }
        }
        Ok(())
    }

    /// Levels that one piece has one after another are read at once. More
    /// than one time must be a [`Part::run`].
    fn read_levels(
        &self,
        part: &Part,
        times: Range<usize>,
        member: usize,
        levels: &Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        if times.len() > 1
            && let Some(piece) = part.first(times.start, levels.start)
        {
            return self.read_piece(piece, times, member, levels.clone(), out);
        }
        let plane = out.len() / levels.len().max(1);
        let mut level = levels.start;
        while level < levels.end {
            let Some(piece) = part.first(times.start, level) else {
                out[(level - levels.start) * plane..][..plane].fill(f32::NAN);
                level += 1;
                continue;
            };
            let mut end = level + 1;
            while end < levels.end && piece.levels[end].is_some() {
                end += 1;
            }
            let out = &mut out[(level - levels.start) * plane..(end - levels.start) * plane];
            self.read_piece(piece, times.clone(), member, level..end, out)?;
            level = end;
        }
        Ok(())
    }

    /// Reads a box of a file and puts it into canonical order. The file's
    /// times are a run.
    fn read_piece(
        &self,
        piece: &Piece,
        times: Range<usize>,
        member: usize,
        levels: Range<usize>,
        out: &mut [f32],
    ) -> Result<(), FieldError> {
        let header = self.dataset.header(piece.place);
        let source = &self.dataset.sources[piece.place.source];
        let Some(file_time) = piece.times[times.start] else { return Ok(()) };
        let file_levels: Vec<usize> = levels.clone().filter_map(|k| piece.levels[k]).collect();
        let file_latitudes = &piece.latitudes[self.latitudes.clone()];
        let columns = self.grid.longitude.columns();
        let file_columns: Vec<usize> = (0..columns).map(|c| piece.longitudes[self.grid.longitude.node(c)]).collect();
        let window = Window {
            member: if header.members.is_empty() { 0 } else { member },
            times: file_time..file_time + times.len(),
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
        let planes = (0..times.len()).flat_map(|t| {
            let first = t * window.levels.len();
            file_levels.iter().map(move |level| first + level - window.levels.start)
        });
        for (k, plane) in planes.enumerate() {
            for (j, &latitude) in file_latitudes.iter().enumerate() {
                let to = (k * file_latitudes.len() + j) * columns;
                let from = (plane * rows + latitude - window.latitudes.start) * row;
                for run in &runs {
                    out[to + run.column..][..run.length].copy_from_slice(&read[from + run.source..][..run.length]);
                }
            }
        }
        Ok(())
    }
}

impl Part {
    /// The piece that a plane is read from.
    fn first(&self, time: usize, level: usize) -> Option<&Piece> {
        self.pieces.iter().find(|p| p.times[time].is_some() && p.levels[level].is_some())
    }

    /// The end of the times, from the first of `times` on, that one piece has
    /// with all `levels`, one after another in its file.
    fn run(&self, times: Range<usize>, levels: &Range<usize>) -> usize {
        let piece = |time| self.first(time, levels.start);
        let mut end = times.start + 1;
        let Some(first) = piece(times.start) else { return end };
        if levels.clone().any(|level| first.levels[level].is_none()) {
            return end;
        }
        while end < times.end
            && piece(end).is_some_and(|p| std::ptr::eq(p, first))
            && first.times[end] == first.times[end - 1].map(|t| t + 1)
        {
            end += 1;
        }
        end
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
