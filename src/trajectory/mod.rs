//! Flights: where an aircraft was, and when.
//!
//! A [`Fleet`] holds many flights in columns; a [`Trajectory`] is the view of
//! one. What is in a fleet is checked: times rise strictly, positions are on
//! the globe, pressures are positive. What a file had wrong was repaired or
//! rejected, and counted, on the way in.

pub mod airports;
mod assemble;
mod cells;
mod column;
mod csv;
mod dialect;
mod error;
mod fault;
mod format;
pub mod geodesy;
mod input;
mod json;
mod parquet;
pub mod phase;
mod points;
mod read;
mod repair;
mod report;
mod rows;
mod source;
pub mod synthetic;
mod table;
mod write;

pub use dialect::AltitudeUnit;
pub use error::FlightsError;
pub use fault::{Fault, Reject, Repairs};
pub use points::{PointTable, read_points};
pub use read::{FleetReader, ReadOptions, read};
pub use report::{FileReport, Loaded};
pub use rows::Extent;
pub use table::{ColumnKind, TableOptions, column_kind, column_names, read_tables};
pub use write::{write_csv, write_parquet};

use std::ops::Range;

use crate::units::Pressure;

/// Many flights, in columns. Waypoints of one flight are contiguous and in
/// the order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fleet {
    ids: Vec<String>,
    /// `offsets[i]..offsets[i + 1]` are the waypoints of flight `i`.
    offsets: Vec<usize>,
    time_s: Vec<f64>,
    longitude_deg: Vec<f64>,
    latitude_deg: Vec<f64>,
    pressure_pa: Vec<f64>,
    on_ground: Vec<bool>,
}

/// One flight's columns, all of the same length `n ≥ 1`.
#[derive(Debug, Clone, Copy)]
pub struct Trajectory<'a> {
    /// The flight's name, unique in its fleet.
    pub id: &'a str,
    /// Seconds since 1970-01-01T00:00:00 UTC, strictly rising.
    pub time_s: &'a [f64],
    /// Degrees east, −180 ≤ λ < 180.
    pub longitude_deg: &'a [f64],
    /// Degrees north, −90 ≤ φ ≤ 90.
    pub latitude_deg: &'a [f64],
    /// Static air pressure \[Pa\], > 0; from altitude by the ISA where the file
    /// has altitudes.
    pub pressure_pa: &'a [f64],
    /// Whether the source says that the aircraft is on the ground.
    pub on_ground: &'a [bool],
}

/// One waypoint on its way into a [`Fleet`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Waypoint {
    /// Seconds since 1970-01-01T00:00:00 UTC.
    pub time_s: f64,
    /// Degrees east; any turn of the circle.
    pub longitude_deg: f64,
    /// Degrees north.
    pub latitude_deg: f64,
    /// Static air pressure.
    pub pressure: Pressure,
    /// Whether the source says that the aircraft is on the ground.
    pub on_ground: bool,
}

/// Why waypoints do not make a flight.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TrajectoryError {
    /// No waypoint at all.
    #[error("has no waypoints")]
    Empty,
    /// A time is not later than the one before it.
    #[error("waypoint {index}: time {time_s} s is not after {previous_s} s")]
    TimeOrder {
        /// Of the waypoint in the flight.
        index: usize,
        /// Its time.
        time_s: f64,
        /// The time before it.
        previous_s: f64,
    },
    /// A value that is no position, time or pressure.
    #[error("waypoint {index}: {column} is {value}, expected {expected}")]
    Value {
        /// Of the waypoint in the flight.
        index: usize,
        /// Which column.
        column: &'static str,
        /// What it holds.
        value: f64,
        /// What it should hold.
        expected: &'static str,
    },
}

impl Fleet {
    /// No flights yet.
    #[must_use]
    pub fn new() -> Self {
        Self { offsets: vec![0], ..Self::default() }
    }

    /// Adds a flight, or says what is wrong with it and adds nothing.
    ///
    /// # Errors
    /// [`TrajectoryError`] names the first faulty waypoint.
    pub fn push(&mut self, id: impl Into<String>, waypoints: &[Waypoint]) -> Result<(), TrajectoryError> {
        check(waypoints)?;
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        self.ids.push(id.into());
        self.time_s.extend(waypoints.iter().map(|w| w.time_s));
        self.longitude_deg.extend(waypoints.iter().map(|w| wrap_longitude(w.longitude_deg)));
        self.latitude_deg.extend(waypoints.iter().map(|w| w.latitude_deg));
        self.pressure_pa.extend(waypoints.iter().map(|w| w.pressure.pascal()));
        self.on_ground.extend(waypoints.iter().map(|w| w.on_ground));
        self.offsets.push(self.time_s.len());
        Ok(())
    }

    /// The flights of these numbers, in this order; numbers past the end are
    /// left out.
    #[must_use]
    pub fn select(&self, numbers: &[usize]) -> Self {
        let mut fleet = Self::new();
        for flight in numbers.iter().filter_map(|&number| self.get(number)) {
            fleet.ids.push(flight.id.to_owned());
            fleet.time_s.extend_from_slice(flight.time_s);
            fleet.longitude_deg.extend_from_slice(flight.longitude_deg);
            fleet.latitude_deg.extend_from_slice(flight.latitude_deg);
            fleet.pressure_pa.extend_from_slice(flight.pressure_pa);
            fleet.on_ground.extend_from_slice(flight.on_ground);
            fleet.offsets.push(fleet.time_s.len());
        }
        fleet
    }

    /// Adds all flights of another fleet, in their order. Names may then
    /// stand twice.
    pub fn append(&mut self, other: &Self) {
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        let shift = self.time_s.len();
        self.ids.extend_from_slice(&other.ids);
        self.offsets.extend(other.offsets.iter().skip(1).map(|offset| offset + shift));
        self.time_s.extend_from_slice(&other.time_s);
        self.longitude_deg.extend_from_slice(&other.longitude_deg);
        self.latitude_deg.extend_from_slice(&other.latitude_deg);
        self.pressure_pa.extend_from_slice(&other.pressure_pa);
        self.on_ground.extend_from_slice(&other.on_ground);
    }

    /// Makes room for `waypoints` more.
    pub(crate) fn reserve(&mut self, waypoints: usize) {
        self.time_s.reserve(waypoints);
        self.longitude_deg.reserve(waypoints);
        self.latitude_deg.reserve(waypoints);
        self.pressure_pa.reserve(waypoints);
        self.on_ground.reserve(waypoints);
    }

    /// Number of flights.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is no flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Number of waypoints of all flights.
    #[must_use]
    pub fn waypoints(&self) -> usize {
        self.time_s.len()
    }

    /// Flight `index`, `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Trajectory<'_>> {
        let id = self.ids.get(index)?;
        Some(self.view(id, self.offsets[index]..self.offsets[index + 1]))
    }

    /// The flights in order.
    #[must_use]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Trajectory<'_>> {
        self.ids.iter().zip(self.offsets.windows(2)).map(|(id, w)| self.view(id, w[0]..w[1]))
    }

    fn view<'a>(&'a self, id: &'a str, range: Range<usize>) -> Trajectory<'a> {
        Trajectory {
            id,
            time_s: &self.time_s[range.clone()],
            longitude_deg: &self.longitude_deg[range.clone()],
            latitude_deg: &self.latitude_deg[range.clone()],
            pressure_pa: &self.pressure_pa[range.clone()],
            on_ground: &self.on_ground[range],
        }
    }

    /// Some of the flights, as a fleet of their own.
    ///
    /// # Panics
    /// Where there are no such flights.
    #[must_use]
    pub fn cut(&self, flights: Range<usize>) -> Self {
        let offsets = &self.offsets[flights.start..=flights.end];
        let rows = offsets[0]..offsets[flights.len()];
        Self {
            ids: self.ids[flights].to_vec(),
            offsets: offsets.iter().map(|offset| offset - rows.start).collect(),
            time_s: self.time_s[rows.clone()].to_vec(),
            longitude_deg: self.longitude_deg[rows.clone()].to_vec(),
            latitude_deg: self.latitude_deg[rows.clone()].to_vec(),
            pressure_pa: self.pressure_pa[rows.clone()].to_vec(),
            on_ground: self.on_ground[rows].to_vec(),
        }
    }

    /// Longitudes, latitudes \[degrees\] and pressures \[Pa\] of all waypoints.
    #[must_use]
    pub fn positions(&self) -> (&[f64], &[f64], &[f64]) {
        (&self.longitude_deg, &self.latitude_deg, &self.pressure_pa)
    }

    /// Adds `seconds` to every time.
    pub fn shift_time(&mut self, seconds: f64) {
        for t in &mut self.time_s {
            *t += seconds;
        }
    }
}

impl Trajectory<'_> {
    /// Number of waypoints.
    #[must_use]
    pub fn len(&self) -> usize {
        self.time_s.len()
    }

    /// Never true: a flight has a waypoint.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.time_s.is_empty()
    }

    /// Time of the first waypoint \[s since 1970\].
    #[must_use]
    pub fn start_s(&self) -> f64 {
        self.time_s[0]
    }

    /// Time of the last waypoint \[s since 1970\].
    #[must_use]
    pub fn end_s(&self) -> f64 {
        self.time_s[self.len() - 1]
    }
}

fn check(waypoints: &[Waypoint]) -> Result<(), TrajectoryError> {
    let mut previous_s = f64::NEG_INFINITY;
    for (index, w) in waypoints.iter().enumerate() {
        let fault = |column, value, expected| Err(TrajectoryError::Value { index, column, value, expected });
        if !w.time_s.is_finite() {
            return fault("time", w.time_s, "a finite time");
        }
        if !w.longitude_deg.is_finite() {
            return fault("longitude", w.longitude_deg, "degrees east");
        }
        if !(-90.0..=90.0).contains(&w.latitude_deg) {
            return fault("latitude", w.latitude_deg, "degrees north, -90 to 90");
        }
        let pressure_pa = w.pressure.pascal();
        if !(pressure_pa > 0.0 && pressure_pa.is_finite()) {
            return fault("pressure", pressure_pa, "a positive pressure in Pa");
        }
        if w.time_s <= previous_s {
            return Err(TrajectoryError::TimeOrder { index, time_s: w.time_s, previous_s });
        }
        previous_s = w.time_s;
    }
    if waypoints.is_empty() { Err(TrajectoryError::Empty) } else { Ok(()) }
}

/// The same meridian in −180 ≤ λ < 180.
#[must_use]
pub fn wrap_longitude(longitude_deg: f64) -> f64 {
    if (-180.0..180.0).contains(&longitude_deg) {
        longitude_deg
    } else {
        let turned = (longitude_deg + 180.0).rem_euclid(360.0) - 180.0;
        // rem_euclid of a tiny negative number rounds up to 360.
        if turned >= 180.0 { -180.0 } else { turned }
    }
}

#[cfg(test)]
mod tests;
