//! What reading found out.

use std::path::{Path, PathBuf};

use super::{
    Fleet,
    dialect::{AltitudeUnit, Mapping},
    fault::{Reject, Repairs},
    format::Format,
    rows::Extent,
};

/// Flights, and what was found out on the way.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    /// The flights that can be used, in the order in which the files first name them.
    pub fleet: Fleet,
    /// What was repaired of each flight of `fleet`, in the same order.
    pub flight_repairs: Vec<Repairs>,
    /// The flights that cannot be used.
    pub rejects: Vec<Reject>,
    /// All that was repaired or dropped, in flights of both sorts and outside.
    pub repairs: Repairs,
    /// One a file, in the order of the paths. Where files are read in batches
    /// only the last batch has them.
    pub files: Vec<FileReport>,
}

/// What a file turned out to be.
#[derive(Debug, Clone)]
pub struct FileReport {
    /// As given.
    pub path: PathBuf,
    /// Format and compression, as in `CSV, gzipped`.
    pub format: String,
    /// The kind of file that its columns are named by.
    pub dialect: &'static str,
    /// Quantity, column that it is taken from, and unit where there is a choice.
    pub columns: Vec<(&'static str, String)>,
    /// All columns of the file.
    pub present: Vec<String>,
    /// Unit of the bare altitude, with the reason, where there is one.
    pub altitude_unit: Option<(AltitudeUnit, String)>,
    /// Rows of the table.
    pub rows: u64,
    /// Where and when the rows lie; `None` where none has a time and a place.
    pub extent: Option<Extent>,
    /// What was repaired or dropped of this file.
    pub repairs: Repairs,
    /// What was noticed and is worth telling.
    pub remarks: Vec<String>,
}

impl FileReport {
    pub(super) fn new(path: &Path, format: &Format, gzipped: bool) -> Self {
        Self {
            path: path.to_owned(),
            format: if gzipped { format!("{}, gzipped", format.name) } else { format.name.to_owned() },
            dialect: "",
            columns: Vec::new(),
            present: Vec::new(),
            altitude_unit: None,
            rows: 0,
            extent: None,
            repairs: Repairs::default(),
            remarks: Vec::new(),
        }
    }

    pub(super) fn describe(&mut self, mapping: &Mapping, present: Vec<String>) {
        self.dialect = mapping.dialect.name;
        self.present = present;
        let named = [
            ("flight", mapping.flight_id.as_ref()),
            ("aircraft", mapping.aircraft.as_ref()),
            ("callsign", mapping.callsign.as_ref()),
            ("time", Some(&mapping.time)),
            ("longitude", Some(&mapping.longitude)),
            ("latitude", Some(&mapping.latitude)),
            ("on ground", mapping.on_ground.as_ref()),
        ];
        self.columns = named.into_iter().filter_map(|(what, name)| Some((what, name?.clone()))).collect();
        for (name, vertical) in &mapping.verticals {
            self.columns.push(("vertical", format!("{name} [{}]", vertical.unit_name(mapping.altitude_unit))));
        }
        if mapping.has_bare_altitude() {
            self.altitude_unit = Some((mapping.altitude_unit, mapping.altitude_reason.clone()));
        }
        if mapping.verticals.len() > 1 {
            let names: Vec<&str> = mapping.verticals.iter().map(|(n, _)| n.as_str()).collect();
            self.remarks
                .push(format!("each row takes its height from the first of {} that has a value", names.join(", ")));
        }
        if !mapping.has_identity() {
            self.remarks.push("no column names flights or aircraft: the file is one flight".to_owned());
        }
    }
}
