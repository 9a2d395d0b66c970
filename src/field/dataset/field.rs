//! A field as a program asks for it: channels on one grid.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Available, Dataset, FieldBox, LevelPlace, Place,
    axes::{self, Sorted},
};
use crate::{
    field::{FieldError, HybridLevels, Levels, Variable, slab::padded},
    grid::{Axis, Grid, LevelAxis, LongitudeAxis, VerticalRule},
};

/// A channel that is asked for: a sum of variables by name, each with a factor.
#[derive(Debug, Clone, PartialEq)]
pub struct ChannelRequest {
    /// Variables and factors.
    pub parts: Vec<(String, f64)>,
    /// Whether the channel holds natural logarithms.
    pub log: bool,
}

/// Channels of a data set on one canonical grid.
pub struct Field<'a> {
    pub(super) dataset: &'a Dataset,
    /// The axes in memory.
    pub grid: Grid,
    /// Times that all channels have \[s since 1970\], ascending.
    pub times_s: Vec<f64>,
    /// Channels in order.
    pub channels: Vec<Channel>,
    /// The whole vertical axis, downwards, in the files' own terms.
    pub(super) vertical: Levels,
    /// Surface pressure, where the levels need it.
    pub(super) surface: Option<Channel>,
    /// Levels of the whole axis that are in memory.
    pub(super) levels: std::ops::Range<usize>,
    /// Latitudes of the whole axis that are in memory.
    pub(super) latitudes: std::ops::Range<usize>,
    /// What is worth telling.
    pub remarks: Vec<String>,
}

/// A sum of variables.
#[derive(Debug, Clone, PartialEq)]
pub struct Channel {
    /// What is summed.
    pub parts: Vec<Part>,
    /// Whether the channel holds natural logarithms.
    pub log: bool,
}

/// A variable, put together of the pieces that files have.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// To canonical units.
    pub factor: f64,
    /// Whether the files hold logarithms: `lnsp`.
    pub(super) exponentiate: bool,
    pub(super) pieces: Vec<Piece>,
}

/// A variable of one file, with the way from canonical order to the file's.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Piece {
    pub place: Place,
    /// By canonical time: the file's.
    pub times: Vec<Option<usize>>,
    /// By canonical level: the file's.
    pub levels: Vec<Option<usize>>,
    /// By canonical latitude: the file's.
    pub latitudes: Vec<usize>,
    /// By canonical node: the file's.
    pub longitudes: Vec<usize>,
}

/// The axes that all parts share, before pieces are mapped onto them.
struct Axes {
    times_ms: Vec<i64>,
    times_s: Vec<f64>,
    level_keys: Vec<i64>,
    latitudes: Vec<f64>,
    longitudes: Vec<f64>,
}

impl Dataset {
    /// The field of `requests`, cut to what `within` touches.
    ///
    /// # Errors
    /// Names the variables that are missing, the grids that differ, or why
    /// the levels cannot be used.
    pub fn field(
        &self,
        requests: &[ChannelRequest],
        rule: VerticalRule,
        within: Option<&FieldBox>,
    ) -> Result<Field<'_>, FieldError> {
        let mut wanted: Vec<(usize, Vec<Place>, f64)> = Vec::new();
        for (channel, request) in requests.iter().enumerate() {
            for (name, factor) in &request.parts {
                wanted.push((channel, self.with_levels(name)?, *factor));
            }
        }
        let all: Vec<Place> = wanted.iter().flat_map(|(_, places, _)| places.iter().copied()).collect();
        let first = *all.first().ok_or_else(|| FieldError::Dataset("no variable is asked for".to_owned()))?;
        self.check_same_grid(first, &all)?;
        self.check_members(&all)?;
        let mut remarks = Vec::new();
        let groups: Vec<&[Place]> = wanted.iter().map(|(_, places, _)| places.as_slice()).collect();
        let surface_places = match &self.header(first).levels {
            Levels::Hybrid(_) => Some(self.surface_pressure()?),
            _ => None,
        };
        self.check_members(surface_places.as_ref().map_or(&[][..], |(places, _)| places))?;
        let mut timed = groups.clone();
        timed.extend(surface_places.iter().map(|(places, _)| places.as_slice()));
        let axes = self.axes(&groups, &timed, &mut remarks)?;
        let vertical = self.vertical(first, &all, &axes);
        let levels = self.level_axis(first, &vertical, rule)?;
        let whole = Grid {
            levels,
            latitude: Axis::new("latitude", axes.latitudes.clone()).map_err(|e| FieldError::Dataset(e.to_string()))?,
            longitude: LongitudeAxis::new(axes.longitudes.clone()).map_err(|e| FieldError::Dataset(e.to_string()))?,
        };
        let mut channels: Vec<Channel> = requests.iter().map(|r| Channel { parts: Vec::new(), log: r.log }).collect();
        for (channel, places, factor) in &wanted {
            channels[*channel].parts.push(self.part(places, *factor, false, &axes, true));
        }
        let surface = surface_places.map(|(places, exponentiate)| Channel {
            parts: vec![self.part(&places, 1.0, exponentiate, &axes, false)],
            log: false,
        });
        let (grid, levels, latitudes) = cut(whole, within);
        Ok(Field {
            dataset: self,
            grid,
            times_s: axes.times_s,
            channels,
            vertical,
            surface,
            levels,
            latitudes,
            remarks,
        })
    }

    /// The channels of contaminants, for [`Dataset::field`].
    #[must_use]
    pub fn request(available: &Available) -> ChannelRequest {
        ChannelRequest { parts: available.parts.clone(), log: available.log }
    }

    /// Where a variable with levels is.
    fn with_levels(&self, name: &str) -> Result<Vec<Place>, FieldError> {
        let places: Vec<Place> = self
            .places(name)
            .unwrap_or_default()
            .into_iter()
            .filter(|&place| self.header(place).levels != Levels::Surface)
            .collect();
        if places.is_empty() {
            let known: Vec<&str> = self.variables().collect();
            return Err(FieldError::Dataset(format!(
                "no variable {name} with levels in the fields, which have {}",
                if known.is_empty() { "none".to_owned() } else { known.join(", ") }
            )));
        }
        Ok(places)
    }

    fn surface_pressure(&self) -> Result<(Vec<Place>, bool), FieldError> {
        for (name, exponentiate) in [("surface_pressure", false), ("log_surface_pressure", true)] {
            let places: Vec<Place> = self
                .places(name)
                .unwrap_or_default()
                .into_iter()
                .filter(|&place| self.header(place).levels.len() == 1)
                .collect();
            if !places.is_empty() {
                return Ok((places, exponentiate));
            }
        }
        Err(FieldError::Dataset(
            "hybrid levels need the surface pressure, and none of the fields has sp or lnsp; add the file that has it"
                .to_owned(),
        ))
    }

    fn check_same_grid(&self, first: Place, all: &[Place]) -> Result<(), FieldError> {
        let a = self.header(first);
        for &place in all {
            let b = self.header(place);
            if std::mem::discriminant(&a.levels) != std::mem::discriminant(&b.levels) {
                return Err(Self::differ(a, b, "levels of different kinds"));
            }
            let (la, lb) = (axes::sorted(&a.latitudes_deg).values, axes::sorted(&b.latitudes_deg).values);
            let (oa, ob) = (axes::sorted_longitudes(&a.longitudes_deg), axes::sorted_longitudes(&b.longitudes_deg));
            if !axes::same(&la, &lb) || !axes::same(&oa.values, &ob.values) {
                return Err(Self::differ(a, b, "different horizontal grids"));
            }
        }
        Ok(())
    }

    /// A variable has the members of the data set, or none: then it is the
    /// same for all of them.
    fn check_members(&self, all: &[Place]) -> Result<(), FieldError> {
        let members = self.members();
        let odd = all.iter().map(|&place| self.header(place)).find(|v| !v.members.is_empty() && v.members != members);
        odd.map_or(Ok(()), |variable| {
            Err(FieldError::Dataset(format!(
                "{} has the members {}, and another variable has {}; expected one ensemble for all",
                variable.name,
                variable.members.join(", "),
                members.join(", ")
            )))
        })
    }

    fn differ(a: &Variable, b: &Variable, how: &str) -> FieldError {
        FieldError::Dataset(format!(
            "{} ({} levels, {} × {}) and {} ({} levels, {} × {}) have {how}, expected one grid for all",
            a.name,
            a.levels.len(),
            a.latitudes_deg.len(),
            a.longitudes_deg.len(),
            b.name,
            b.levels.len(),
            b.latitudes_deg.len(),
            b.longitudes_deg.len(),
        ))
    }

    /// Times and levels that every group has: a field at an instant at which
    /// one of its variables is not known would be missing there throughout.
    fn axes(&self, groups: &[&[Place]], timed: &[&[Place]], remarks: &mut Vec<String>) -> Result<Axes, FieldError> {
        let first = self.header(groups[0][0]);
        let times: Vec<BTreeSet<i64>> =
            timed.iter().map(|places| places.iter().flat_map(|&p| self.times_ms(p)).collect()).collect();
        let levels: Vec<BTreeSet<i64>> = groups
            .iter()
            .map(|places| places.iter().flat_map(|&p| axes::level_keys(&self.header(p).levels)).collect())
            .collect();
        let times_ms = common(&times);
        let level_keys = common(&levels);
        let (most_times, most_levels) = (longest(&times), longest(&levels));
        if times_ms.is_empty() || level_keys.is_empty() {
            return Err(FieldError::Dataset(format!(
                "the variables have no {} in common",
                if times_ms.is_empty() { "time" } else { "level" }
            )));
        }
        for (what, common, most) in [("times", times_ms.len(), most_times), ("levels", level_keys.len(), most_levels)] {
            if common < most {
                remarks.push(format!("{common} of {most} {what} are used: those that every variable has"));
            }
        }
        if times_ms.len() == 1 {
            remarks.push("the field has a single time: only that instant can be sampled".to_owned());
        }
        let exact: BTreeMap<i64, f64> = timed
            .iter()
            .flat_map(|places| places.iter())
            .flat_map(|&p| {
                self.times_ms(p).into_iter().zip(self.header(p).times_s.iter().map(|t| t + self.file.time_offset_s))
            })
            .collect();
        Ok(Axes {
            times_s: times_ms.iter().map(|ms| exact[ms]).collect(),
            times_ms,
            level_keys,
            latitudes: axes::sorted(&first.latitudes_deg).values,
            longitudes: axes::sorted_longitudes(&first.longitudes_deg).values,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 are far below 2^63")]
    fn times_ms(&self, place: Place) -> Vec<i64> {
        self.header(place).times_s.iter().map(|t| ((t + self.file.time_offset_s) * 1e3).round() as i64).collect()
    }

    /// The levels behind the keys, in the files' own terms.
    fn vertical(&self, first: Place, all: &[Place], axes: &Axes) -> Levels {
        let pick = |values: fn(&Levels) -> &[f64]| {
            let mut exact = BTreeMap::new();
            for levels in all.iter().map(|&place| &self.header(place).levels) {
                for (key, value) in axes::level_keys(levels).into_iter().zip(values(levels)) {
                    exact.entry(key).or_insert(*value);
                }
            }
            axes.level_keys.iter().filter_map(|key| exact.get(key).copied()).collect()
        };
        let values: fn(&Levels) -> &[f64] = |levels| match levels {
            Levels::Pressure(v) | Levels::Altitude(v) | Levels::FlightLevel(v) => v,
            Levels::Surface | Levels::Hybrid(_) => &[],
        };
        match &self.header(first).levels {
            Levels::Surface => Levels::Surface,
            Levels::Pressure(_) => Levels::Pressure(pick(values)),
            Levels::Altitude(_) => Levels::Altitude(pick(values)),
            Levels::FlightLevel(_) => Levels::FlightLevel(pick(values)),
            Levels::Hybrid(hybrid) => Levels::Hybrid(HybridLevels {
                numbers: axes.level_keys.iter().filter_map(|&n| u32::try_from(n).ok()).collect(),
                half_levels: axes::half_levels(hybrid, self.file.hybrid_levels).ok(),
            }),
        }
    }

    fn level_axis(&self, first: Place, vertical: &Levels, rule: VerticalRule) -> Result<LevelAxis, FieldError> {
        let header = self.header(first);
        let place = self.file.levels.at;
        let rule = if place == LevelPlace::Point { rule } else { VerticalRule::LayerMean };
        let axis = match (&header.levels, vertical) {
            (Levels::Hybrid(hybrid), Levels::Hybrid(HybridLevels { numbers, .. })) => {
                axes::half_levels(hybrid, self.file.hybrid_levels)
                    .and_then(|table| axes::hybrid_axis(numbers, &table, rule))
            }
            _ => axes::fixed_axis(&axes::pressures(vertical), place, rule),
        };
        axis.map_err(|what| FieldError::Dataset(format!("variable {}: {what}", header.name)))
    }

    fn part(&self, places: &[Place], factor: f64, exponentiate: bool, axes: &Axes, with_levels: bool) -> Part {
        let pieces = places.iter().map(|&place| self.piece(place, axes, with_levels)).collect();
        Part { factor, exponentiate, pieces }
    }

    fn piece(&self, place: Place, axes: &Axes, with_levels: bool) -> Piece {
        let header = self.header(place);
        let times_ms = self.times_ms(place);
        let keys = axes::level_keys(&header.levels);
        let Sorted { places: latitudes, .. } = axes::sorted(&header.latitudes_deg);
        let Sorted { places: longitudes, .. } = axes::sorted_longitudes(&header.longitudes_deg);
        Piece {
            place,
            times: axes.times_ms.iter().map(|t| times_ms.iter().position(|x| x == t)).collect(),
            levels: if with_levels {
                axes.level_keys.iter().map(|k| keys.iter().position(|x| x == k)).collect()
            } else {
                vec![Some(0)]
            },
            latitudes,
            longitudes,
        }
    }
}

impl Field<'_> {
    /// Channels a point in memory, padding included, `None` where there are
    /// more than the widest kernel takes.
    #[must_use]
    pub fn width(&self) -> Option<usize> {
        padded(self.channels.len())
    }

    /// Bytes of one time in memory.
    #[must_use]
    pub fn slab_bytes(&self) -> usize {
        self.grid.points() * self.width().unwrap_or(self.channels.len()) * 4
    }
}

fn common(sets: &[BTreeSet<i64>]) -> Vec<i64> {
    let Some((first, rest)) = sets.split_first() else { return Vec::new() };
    first.iter().copied().filter(|v| rest.iter().all(|set| set.contains(v))).collect()
}

fn longest(sets: &[BTreeSet<i64>]) -> usize {
    sets.iter().map(BTreeSet::len).max().unwrap_or(0)
}

/// The grid with what `within` touches, and the levels and latitudes of the
/// whole that are left. Where they do not meet, one cell is left: every point
/// lies outside it, as it lies outside the whole.
fn cut(whole: Grid, within: Option<&FieldBox>) -> (Grid, std::ops::Range<usize>, std::ops::Range<usize>) {
    let (all_levels, all_latitudes) = (0..whole.levels.len(), 0..whole.latitude.len());
    let Some(within) = within else { return (whole, all_levels, all_latitudes) };
    let least = |n: usize| 0..n.min(2);
    let levels = axes::touched_levels(&whole.levels, within.pressure_pa).unwrap_or(least(all_levels.end));
    let latitudes =
        whole.latitude.touched(within.latitude_deg.0, within.latitude_deg.1).unwrap_or(least(all_latitudes.end));
    let longitude = match axes::touched_columns(&whole.longitude, within.longitude_deg) {
        Some((start, columns)) => whole.longitude.cut(start, columns),
        None => whole.longitude,
    };
    let grid = Grid {
        levels: axes::cut_levels(&whole.levels, &levels),
        latitude: whole.latitude.cut(latitudes.clone()),
        longitude,
    };
    (grid, levels, latitudes)
}
