//! Flights from tables in memory: what messages bring.

use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;

use super::{
    Fleet, Waypoint,
    assemble::{self, Grouping},
    dialect::{self, AltitudeUnit, Mapping, Role},
    error::FlightsError,
    fault::{Fault, Reject, Repairs},
    repair,
    report::Loaded,
    rows::{Chunk, Group, NO_GROUP, Rows},
};
use crate::{atmosphere::isa_pressure, units::Altitude};

/// How the rows of a table become flights.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TableOptions {
    /// Unit of a column that is called `altitude` and nothing more; `None`
    /// for the default of the kind of table.
    pub altitude_unit: Option<AltitudeUnit>,
    /// Silence that ends a flight, where flights have no names \[s\].
    pub gap_s: f64,
    /// Whether faults are repaired as those of files are. If not, the values
    /// stand as they are, and a flight with a fault is rejected by name.
    pub repair: bool,
}

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Names of flights or aircraft.
    Name,
    /// Instants.
    Time,
    /// Numbers.
    Number,
    /// Truth values.
    Truth,
}

/// What a column of this name holds, `None` where the name means nothing.
#[must_use]
pub fn column_kind(name: &str) -> Option<ColumnKind> {
    Some(match dialect::role(name)? {
        Role::FlightId | Role::Aircraft | Role::Callsign => ColumnKind::Name,
        Role::Time => ColumnKind::Time,
        Role::Longitude | Role::Latitude | Role::Vertical(_) => ColumnKind::Number,
        Role::OnGround => ColumnKind::Truth,
    })
}

/// The names that columns may have, for messages.
#[must_use]
pub fn column_names() -> String {
    dialect::spellings(|_| true)
}

/// Makes flights of tables with the columns of flights files; `name` is what
/// messages call them.
///
/// # Errors
/// [`FlightsError`] for a column that is missing or holds what it should not,
/// and for a row that is of no flight.
pub fn read_tables(name: &Path, batches: &[RecordBatch], options: &TableOptions) -> Result<Loaded, FlightsError> {
    let mut rows = Rows::default();
    for batch in batches {
        let names: Vec<String> = batch.schema_ref().fields().iter().map(|f| f.name().clone()).collect();
        let mapping = Mapping::of(name, &names, options.altitude_unit)?;
        let first = rows.len();
        let chunk = Chunk::read(name, &mapping, batch, first as u64)?;
        let unreadable =
            chunk.unreadable.iter().find_map(|(column, expected, bad)| Some((column, *expected, bad.first.as_ref()?)));
        if let Some((column, expected, (row, text))) = unreadable {
            let (row, column, value) = ((first + row) as u64 + 1, column.clone(), text.clone());
            return Err(FlightsError::Value { path: name.to_owned(), row, column, value, expected });
        }
        rows.append(chunk, 0, &name.to_string_lossy())?;
    }
    if let Some(row) = rows.group.iter().position(|&group| group == NO_GROUP) {
        return Err(FlightsError::Value {
            path: name.to_owned(),
            row: row as u64 + 1,
            column: "flight_id".to_owned(),
            value: "null".to_owned(),
            expected: "name of a flight or an aircraft",
        });
    }
    Ok(flights(&rows, options))
}

fn flights(rows: &Rows, options: &TableOptions) -> Loaded {
    let grouping = Grouping::of(rows);
    let mut loaded = Loaded { fleet: Fleet::new(), ..Loaded::default() };
    loaded.repairs.note_rows(rows.len() as u64);
    for group in (0_u32..).take(rows.groups.len()) {
        if options.repair {
            repaired(rows, &grouping, group, options.gap_s, &mut loaded);
        } else {
            as_given(rows, &grouping, group, &mut loaded);
        }
    }
    loaded
}

fn repaired(rows: &Rows, grouping: &Grouping, group: u32, gap_s: f64, loaded: &mut Loaded) {
    let count = |faults: &repair::Faults| {
        let mut repairs = Repairs::default();
        for &(_, fault) in faults {
            repairs.note(fault, 1);
        }
        repairs
    };
    let assembled = assemble::assemble(rows, grouping, group, gap_s);
    loaded.repairs.add(&count(&assembled.faults));
    loaded.rejects.extend(assembled.rejects.into_iter().map(|(_, reject)| reject));
    for flight in assembled.flights {
        let mut repairs = count(&flight.faults);
        loaded.repairs.add(&repairs);
        repairs.note_rows(flight.rows as u64);
        push(flight.id, &flight.waypoints, repairs, loaded);
    }
}

fn as_given(rows: &Rows, grouping: &Grouping, group: u32, loaded: &mut Loaded) {
    let (Group::Flight(id) | Group::Aircraft(id) | Group::Callsign(id) | Group::File(id)) =
        &rows.groups[group as usize];
    let waypoints: Vec<Waypoint> = grouping
        .points(rows, group)
        .iter()
        .map(|p| Waypoint {
            time_s: p.time_s,
            longitude_deg: p.longitude_deg,
            latitude_deg: p.latitude_deg,
            pressure: if p.pressure_pa.is_nan() {
                isa_pressure(Altitude::from_metres(p.altitude_m))
            } else {
                crate::units::Pressure::from_pascal(p.pressure_pa)
            },
            on_ground: p.on_ground,
        })
        .collect();
    let mut repairs = Repairs::default();
    repairs.note_rows(waypoints.len() as u64);
    repairs.note(Fault::OnGround, waypoints.iter().filter(|w| w.on_ground).count() as u64);
    loaded.repairs.note(Fault::OnGround, repairs.count(Fault::OnGround));
    push(id.clone(), &waypoints, repairs, loaded);
}

fn push(id: String, waypoints: &[Waypoint], repairs: Repairs, loaded: &mut Loaded) {
    match loaded.fleet.push(id.as_str(), waypoints) {
        Ok(()) => loaded.flight_repairs.push(repairs),
        Err(e) => loaded.rejects.push(Reject {
            flight_id: id,
            reason: e.to_string(),
            waypoints: waypoints.len(),
            path: PathBuf::new(),
        }),
    }
}
