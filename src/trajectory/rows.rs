//! Rows of files in canonical columns and units, before they are flights.

use std::{collections::HashMap, path::Path};

use arrow_array::RecordBatch;

use super::{
    column::{self, NO_NAME, Names, Unreadable},
    dialect::{AltitudeUnit, Height, Mapping, Vertical},
    error::FlightsError,
};
use crate::{atmosphere::isa_altitude, units::Pressure};

/// The group of a row that no column assigns to a flight.
pub(super) const NO_GROUP: u32 = u32::MAX;

/// What holds rows together before times are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Group {
    /// A flight, by its own name.
    Flight(String),
    /// All that an aircraft flew.
    Aircraft(String),
    /// All that was flown under a callsign, where the aircraft is not known.
    Callsign(String),
    /// All of a file without names; named after the file.
    File(String),
}

/// Rows of one batch, in canonical units, NaN where there is no value.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    rows: usize,
    flight: Option<Names>,
    aircraft: Option<Names>,
    callsign: Option<Names>,
    pub(super) time_s: Vec<f64>,
    pub(super) longitude_deg: Vec<f64>,
    pub(super) latitude_deg: Vec<f64>,
    pub(super) altitude_m: Vec<f64>,
    pub(super) pressure_pa: Vec<f64>,
    on_ground: Vec<bool>,
    /// Name of the column, what was expected, what was found.
    pub(super) unreadable: Vec<(String, &'static str, Unreadable)>,
}

/// Where and when usable rows lie: least and greatest values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Extent {
    /// Seconds since 1970-01-01T00:00:00 UTC.
    pub time_s: (f64, f64),
    /// Degrees east, each in −180 ≤ λ < 180.
    pub longitude_deg: (f64, f64),
    /// Degrees north.
    pub latitude_deg: (f64, f64),
    /// Pressure altitude \[m\], of the rows that have one.
    pub altitude_m: Option<(f64, f64)>,
}

/// Rows of all files, in the order in which they were read.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) groups: Vec<Group>,
    group_index: HashMap<Group, u32>,
    pub(super) callsigns: Vec<String>,
    callsign_index: HashMap<String, u32>,
    /// Index into `groups`, or [`NO_GROUP`].
    pub(super) group: Vec<u32>,
    /// Index into `callsigns`, or [`NO_NAME`].
    pub(super) callsign: Vec<u32>,
    pub(super) file: Vec<u32>,
    pub(super) time_s: Vec<f64>,
    pub(super) longitude_deg: Vec<f64>,
    pub(super) latitude_deg: Vec<f64>,
    /// Pressure altitude, NaN where the file does not say.
    pub(super) altitude_m: Vec<f64>,
    /// As the file has it, NaN where it has altitudes.
    pub(super) pressure_pa: Vec<f64>,
    pub(super) on_ground: Vec<bool>,
}

impl Chunk {
    /// Reads the columns that a mapping names; `first_row` is the place of the
    /// batch in the file, for messages.
    pub(super) fn read(
        path: &Path,
        mapping: &Mapping,
        batch: &RecordBatch,
        first_row: u64,
    ) -> Result<Self, FlightsError> {
        let wrong = |name: &str, expected| wrong_type(path, batch, first_row, name, expected);
        let mut unreadable = Vec::new();
        let mut numbers = |name: &str, expected, read: Reads| {
            let mut bad = Unreadable::default();
            let array = batch.column_by_name(name).ok_or_else(|| wrong(name, expected))?;
            let values = read(array, &mut bad).ok_or_else(|| wrong(name, expected))?;
            if bad.count > 0 {
                unreadable.push((name.to_owned(), expected, bad));
            }
            Ok::<_, FlightsError>(values)
        };
        let time_s = numbers(&mapping.time, "time", column::times)?;
        let longitude_deg = numbers(&mapping.longitude, "number of degrees", column::numbers)?;
        let latitude_deg = numbers(&mapping.latitude, "number of degrees", column::numbers)?;
        let mut heights = Vec::new();
        for (name, vertical) in &mapping.verticals {
            heights.push((*vertical, numbers(name, "number", column::numbers)?));
        }
        let (altitude_m, pressure_pa) = verticals(heights, mapping.altitude_unit, batch.num_rows());
        let on_ground = match &mapping.on_ground {
            None => vec![false; batch.num_rows()],
            Some(name) => {
                let array = batch.column_by_name(name).ok_or_else(|| wrong(name, "truth value"))?;
                column::truths(array, &mut Unreadable::default()).ok_or_else(|| wrong(name, "truth value"))?
            }
        };
        Ok(Self {
            time_s,
            longitude_deg,
            latitude_deg,
            altitude_m,
            pressure_pa,
            on_ground,
            unreadable,
            ..Self::read_names(path, mapping, batch, first_row)?
        })
    }

    /// Reads nothing but the names that say which flight a row belongs to.
    pub(super) fn read_names(
        path: &Path,
        mapping: &Mapping,
        batch: &RecordBatch,
        first_row: u64,
    ) -> Result<Self, FlightsError> {
        let names = |name: &Option<String>| {
            let Some(name) = name else { return Ok(None) };
            let names = batch.column_by_name(name).and_then(column::names);
            names.map(Some).ok_or_else(|| wrong_type(path, batch, first_row, name, "name"))
        };
        Ok(Self {
            rows: batch.num_rows(),
            flight: names(&mapping.flight_id)?,
            aircraft: names(&mapping.aircraft)?,
            callsign: names(&mapping.callsign)?,
            ..Self::default()
        })
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Of the rows that have a time and a place.
    pub(super) fn extent(&self) -> Option<Extent> {
        let mut extent: Option<Extent> = None;
        for i in 0..self.len() {
            let (t, lon, lat) = (self.time_s[i], self.longitude_deg[i], self.latitude_deg[i]);
            if !(t.is_finite() && is_position(lon, lat)) {
                continue;
            }
            let lon = super::wrap_longitude(lon);
            let here = Extent {
                time_s: (t, t),
                longitude_deg: (lon, lon),
                latitude_deg: (lat, lat),
                altitude_m: Some(self.altitude_m[i]).filter(|h| h.is_finite()).map(|h| (h, h)),
            };
            extent = Some(extent.map_or(here, |e| e.union(&here)));
        }
        extent
    }
}

/// A column of a type that cannot hold what it should.
fn wrong_type(path: &Path, batch: &RecordBatch, row: u64, column: &str, expected: &'static str) -> FlightsError {
    let kind = batch.column_by_name(column).map(|a| a.data_type().to_string());
    FlightsError::Value {
        path: path.to_owned(),
        row: row + 1,
        column: column.to_owned(),
        value: kind.map_or_else(String::new, |k| format!("a value of type {k}")),
        expected,
    }
}

type Reads = fn(&arrow_array::ArrayRef, &mut Unreadable) -> Option<Vec<f64>>;

/// Altitude and, where the file gives it, pressure: of each row from the
/// first column that has a value.
fn verticals(columns: Vec<(Vertical, Vec<f64>)>, bare: AltitudeUnit, rows: usize) -> (Vec<f64>, Vec<f64>) {
    let mut altitude_m = vec![f64::NAN; rows];
    let mut pressure_pa = vec![f64::NAN; rows];
    let mut last = (f64::NAN, f64::NAN);
    for (vertical, values) in columns {
        for (i, value) in values.into_iter().enumerate() {
            if value.is_nan() || !altitude_m[i].is_nan() {
                continue;
            }
            match vertical.height(value, bare) {
                Height::Altitude(h) => altitude_m[i] = h.metres(),
                Height::Pressure(p) => {
                    // Level flight repeats its pressure.
                    #[expect(clippy::float_cmp, reason = "a repetition is exact")]
                    if last.0 != value {
                        last = (value, altitude_of(p));
                    }
                    altitude_m[i] = last.1;
                    pressure_pa[i] = p.pascal();
                }
            }
        }
    }
    (altitude_m, pressure_pa)
}

/// Infinitely high where the pressure is none.
fn altitude_of(pressure: Pressure) -> f64 {
    if pressure.pascal() > 0.0 { isa_altitude(pressure).metres() } else { f64::INFINITY }
}

/// Whether a pair of numbers is a place on the globe.
pub(super) fn is_position(longitude_deg: f64, latitude_deg: f64) -> bool {
    (-360.0..=360.0).contains(&longitude_deg) && (-90.0..=90.0).contains(&latitude_deg)
}

impl Extent {
    /// The least extent that holds both.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let join = |a: (f64, f64), b: (f64, f64)| (a.0.min(b.0), a.1.max(b.1));
        Self {
            time_s: join(self.time_s, other.time_s),
            longitude_deg: join(self.longitude_deg, other.longitude_deg),
            latitude_deg: join(self.latitude_deg, other.latitude_deg),
            altitude_m: match (self.altitude_m, other.altitude_m) {
                (Some(a), Some(b)) => Some(join(a, b)),
                (a, b) => a.or(b),
            },
        }
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.group.len()
    }

    /// Adds the rows of file number `file`; `file_name` names the flight of a
    /// file without names.
    pub(super) fn append(&mut self, chunk: Chunk, file: u32, file_name: &str) -> Result<(), FlightsError> {
        let rows = self.len() as u64 + chunk.len() as u64;
        let limit = u64::from(u32::MAX) - 1;
        if rows > limit {
            return Err(FlightsError::TooMany { rows, limit });
        }
        self.append_groups(&chunk, file_name);
        self.append_callsigns(&chunk);
        self.file.resize(self.file.len() + chunk.len(), file);
        extend(&mut self.time_s, chunk.time_s);
        extend(&mut self.longitude_deg, chunk.longitude_deg);
        extend(&mut self.latitude_deg, chunk.latitude_deg);
        extend(&mut self.altitude_m, chunk.altitude_m);
        extend(&mut self.pressure_pa, chunk.pressure_pa);
        extend(&mut self.on_ground, chunk.on_ground);
        Ok(())
    }

    /// A row belongs to its flight; without one to its aircraft; without that
    /// to its callsign; in a file without any of these columns, to the file.
    pub(super) fn append_groups(&mut self, chunk: &Chunk, file_name: &str) {
        let sources: [NamesOf<'_>; 3] = [
            (chunk.flight.as_ref(), Group::Flight),
            (chunk.aircraft.as_ref(), Group::Aircraft),
            (chunk.callsign.as_ref(), Group::Callsign),
        ];
        let fallback = if sources.iter().all(|(names, _)| names.is_none()) {
            self.intern_group(Group::File(file_name.to_owned()))
        } else {
            NO_GROUP
        };
        // Names are hashed once a batch, and only those that rows use.
        let mut known: Vec<Vec<u32>> =
            sources.iter().map(|(names, _)| vec![NO_GROUP; names.map_or(0, |n| n.names.len())]).collect();
        self.group.reserve(chunk.len());
        for row in 0..chunk.len() {
            let mut group = fallback;
            for ((names, make), known) in sources.iter().zip(&mut known) {
                let Some(names) = names else { continue };
                let code = names.codes[row] as usize;
                let Some(place) = known.get_mut(code) else { continue };
                if *place == NO_GROUP {
                    *place = self.intern_group(make(names.names[code].clone()));
                }
                group = *place;
                break;
            }
            self.group.push(group);
        }
    }

    fn append_callsigns(&mut self, chunk: &Chunk) {
        let Some(names) = &chunk.callsign else {
            self.callsign.resize(self.callsign.len() + chunk.len(), NO_NAME);
            return;
        };
        let mut known = vec![NO_NAME; names.names.len()];
        for &code in &names.codes {
            let Some(place) = known.get_mut(code as usize) else {
                self.callsign.push(NO_NAME);
                continue;
            };
            if *place == NO_NAME {
                let name = &names.names[code as usize];
                *place = *self.callsign_index.entry(name.clone()).or_insert_with(|| {
                    self.callsigns.push(name.clone());
                    index(self.callsigns.len() - 1)
                });
            }
            self.callsign.push(*place);
        }
    }

    pub(super) fn intern_group(&mut self, group: Group) -> u32 {
        if let Some(&known) = self.group_index.get(&group) {
            return known;
        }
        let new = index(self.groups.len());
        self.groups.push(group.clone());
        self.group_index.insert(group, new);
        new
    }

    /// Keeps the rows of some groups, in their order.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let kept: Vec<bool> = self.group.iter().map(|&g| keep(g)).collect();
        pick(&mut self.callsign, &kept);
        pick(&mut self.file, &kept);
        pick(&mut self.time_s, &kept);
        pick(&mut self.longitude_deg, &kept);
        pick(&mut self.latitude_deg, &kept);
        pick(&mut self.altitude_m, &kept);
        pick(&mut self.pressure_pa, &kept);
        pick(&mut self.on_ground, &kept);
        pick(&mut self.group, &kept);
    }
}

/// Keeps the flagged values.
fn pick<T: Copy>(values: &mut Vec<T>, kept: &[bool]) {
    let mut flags = kept.iter();
    values.retain(|_| flags.next() == Some(&true));
    values.shrink_to(values.len() * 2);
}

/// A column of names, and what they are names of.
type NamesOf<'a> = (Option<&'a Names>, fn(String) -> Group);

/// Takes over the first chunk instead of copying it.
fn extend<T>(column: &mut Vec<T>, mut chunk: Vec<T>) {
    if column.is_empty() && column.capacity() < chunk.len() {
        *column = chunk;
    } else {
        column.append(&mut chunk);
    }
}

/// Rows are fewer than 2³², and so are their names.
fn index(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(NO_NAME - 1)
}
