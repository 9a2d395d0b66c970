//! From files to a checked fleet, at once or in batches of whole flights.

use std::{
    collections::{HashSet, VecDeque},
    path::{Path, PathBuf},
};

use arrow_array::RecordBatch;
use rayon::prelude::*;

use super::{
    Fleet,
    assemble::{self, Assembled, Grouping},
    dialect::{self, AltitudeUnit, Mapping},
    error::FlightsError,
    format::{Batches, Columns, Format},
    parquet::{self, ParquetFile},
    repair::{Fault, Reject, Repairs},
    rows::{Chunk, Extent, NO_GROUP, Rows},
    source::Source,
};

/// Rows of flights that are assembled in parallel before they join the fleet.
const SLAB_ROWS: usize = 1 << 20;

/// How files are read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReadOptions {
    /// Unit of a column that is called `altitude` and nothing more; `None`
    /// for the default of the kind of file.
    pub altitude_unit: Option<AltitudeUnit>,
    /// Silence that ends a flight, where files do not name flights \[s\].
    pub gap_s: f64,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self { altitude_unit: None, gap_s: 1800.0 }
    }
}

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

/// Reads all flights of some files. Rows under one flight's name are one
/// flight, whichever files they are in.
///
/// # Errors
/// [`FlightsError`] names the file, and the column or row.
pub fn read(paths: &[PathBuf], options: &ReadOptions) -> Result<Loaded, FlightsError> {
    let mut reader = FleetReader::with_units(paths, options, false)?;
    Ok(reader.next_batch(usize::MAX)?.unwrap_or_default())
}

/// Reads whole flights in batches.
///
/// Parquet files are read by row groups: a first pass over the columns that
/// name flights finds where each ends, and a flight is handed on when its
/// last row group was read. So a file whose flights lie together is read in
/// little memory, and one sorted by time is held whole. Other formats are
/// held whole too.
pub struct FleetReader {
    options: ReadOptions,
    inputs: Vec<Input>,
    reports: Vec<FileReport>,
    /// What is read together, still to be read.
    units: VecDeque<Unit>,
    units_read: usize,
    /// Of each group, the last unit that has rows of it; empty when there is
    /// one unit.
    last_unit: Vec<usize>,
    rows: Rows,
    grouping: Option<Grouping>,
    /// Groups all of whose rows were read, still to be handed on.
    ready: VecDeque<u32>,
    ids: HashSet<String>,
    finished: bool,
}

struct Input {
    path: PathBuf,
    bytes: Bytes,
    /// What its flight is called where nothing names flights.
    stem: String,
    unreadable: Vec<Unread>,
}

enum Bytes {
    Parquet(Box<(ParquetFile, Mapping)>),
    Other(&'static Format, Source),
}

/// A part of an input: all of it, or a row group.
struct Part {
    input: usize,
    row_group: Option<usize>,
}

type Unit = Vec<Part>;

struct Unread {
    column: String,
    expected: &'static str,
    count: u64,
    row: u64,
    text: String,
}

impl FleetReader {
    /// Looks into the files and makes ready to read them.
    ///
    /// # Errors
    /// [`FlightsError`] where a file is missing, of no known format, or
    /// Parquet that is damaged or lacks a column.
    pub fn open(paths: &[PathBuf], options: &ReadOptions) -> Result<Self, FlightsError> {
        Self::with_units(paths, options, true)
    }

    fn with_units(paths: &[PathBuf], options: &ReadOptions, by_row_group: bool) -> Result<Self, FlightsError> {
        let mut reader = Self {
            options: *options,
            inputs: Vec::new(),
            reports: Vec::new(),
            units: VecDeque::new(),
            units_read: 0,
            last_unit: Vec::new(),
            rows: Rows::default(),
            grouping: None,
            ready: VecDeque::new(),
            ids: HashSet::new(),
            finished: false,
        };
        for path in paths {
            reader.add_input(path)?;
        }
        let row_groups = |i: &Input| match &i.bytes {
            Bytes::Parquet(p) => Some(p.0.row_groups()),
            Bytes::Other(..) => None,
        };
        let counts: Option<Vec<usize>> = reader.inputs.iter().map(row_groups).collect();
        if let (true, Some(counts)) = (by_row_group, counts) {
            let parts = counts.into_iter().enumerate();
            let parts = parts.flat_map(|(input, n)| (0..n).map(move |g| Part { input, row_group: Some(g) }));
            reader.units = parts.map(|part| vec![part]).collect();
            reader.find_last_units()?;
        } else {
            let all = (0..reader.inputs.len()).map(|input| Part { input, row_group: None });
            reader.units.push_back(all.collect());
        }
        Ok(reader)
    }

    fn add_input(&mut self, path: &Path) -> Result<(), FlightsError> {
        let source = Source::open(path)?;
        let format = Format::of(&source)?;
        let stem = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let stem = stem.split('.').next().filter(|s| !s.is_empty()).unwrap_or("flight").to_owned();
        let mut report = FileReport::new(path, format, source.is_gzipped());
        let bytes = if parquet::recognises(source.head()) {
            let file = ParquetFile::open(&source)?;
            let mapping = Mapping::of(path, &file.names(), self.options.altitude_unit)?;
            report.describe(&mapping, file.names());
            Bytes::Parquet(Box::new((file, mapping)))
        } else {
            Bytes::Other(format, source)
        };
        self.reports.push(report);
        self.inputs.push(Input { path: path.to_owned(), bytes, stem, unreadable: Vec::new() });
        Ok(())
    }

    /// Reads the names of all rows to find the last unit of each group.
    fn find_last_units(&mut self) -> Result<(), FlightsError> {
        let units: Vec<&Part> = self.units.iter().flatten().collect();
        let mut at = 0;
        for window in units.chunks(rayon::current_num_threads()) {
            let inputs = &self.inputs;
            let named: Vec<_> = window.par_iter().map(|part| inputs[part.input].read_names(part)).collect();
            for (part, chunks) in window.iter().zip(named) {
                for chunk in chunks? {
                    self.rows.append_groups(&chunk, &inputs[part.input].stem);
                }
                self.last_unit.resize(self.rows.groups.len(), at);
                for group in self.rows.group.drain(..).filter(|&g| g != NO_GROUP) {
                    self.last_unit[group as usize] = at;
                }
                at += 1;
            }
        }
        Ok(())
    }

    /// The next flights: as many as have up to `max_waypoints` rows together,
    /// but at least one. `None` after the last.
    ///
    /// # Errors
    /// [`FlightsError`] names the file, and the column or row.
    pub fn next_batch(&mut self, max_waypoints: usize) -> Result<Option<Loaded>, FlightsError> {
        if self.finished {
            return Ok(None);
        }
        let mut loaded = Loaded::default();
        while self.ready.is_empty() && !self.units.is_empty() {
            self.load(max_waypoints, &mut loaded)?;
        }
        self.hand_on(max_waypoints, &mut loaded);
        if self.ready.is_empty() && self.units.is_empty() {
            self.finished = true;
        }
        if self.finished {
            loaded.files.clone_from(&self.reports);
        }
        Ok(Some(loaded))
    }

    /// What is known about the files by now.
    #[must_use]
    pub fn files(&self) -> &[FileReport] {
        &self.reports
    }

    /// Reads units until there are enough rows, and sees which groups are whole.
    fn load(&mut self, max_waypoints: usize, loaded: &mut Loaded) -> Result<(), FlightsError> {
        let (last_unit, units_read) = (&self.last_unit, self.units_read);
        self.grouping = None;
        if self.rows.len() > 0 {
            self.rows.retain(|g| g != NO_GROUP && last_unit[g as usize] >= units_read);
        }
        let held = self.rows.len();
        while let Some(unit) = self.units.pop_front() {
            for part in &unit {
                self.load_part(part, loaded)?;
            }
            self.units_read += 1;
            if self.rows.len() - held >= max_waypoints {
                break;
            }
        }
        let grouping = Grouping::of(&self.rows);
        let whole =
            |&g: &u32| grouping.len(g) > 0 && self.last_unit.get(g as usize).is_none_or(|&last| last < self.units_read);
        let groups = u32::try_from(self.rows.groups.len()).unwrap_or(NO_GROUP);
        self.ready = (0..groups).filter(whole).collect();
        self.grouping = Some(grouping);
        Ok(())
    }

    fn load_part(&mut self, part: &Part, loaded: &mut Loaded) -> Result<(), FlightsError> {
        let input = &mut self.inputs[part.input];
        let report = &mut self.reports[part.input];
        let (mapping, batches) = input.open(part, &self.options, report)?;
        let file = u32::try_from(part.input).unwrap_or(u32::MAX);
        let mut batches = batches.fuse();
        loop {
            let window: Vec<RecordBatch> =
                batches.by_ref().take(2 * rayon::current_num_threads()).collect::<Result<_, _>>()?;
            if window.is_empty() {
                break;
            }
            let mut first_row = report.rows;
            let starts: Vec<u64> = window
                .iter()
                .map(|b| {
                    first_row += b.num_rows() as u64;
                    first_row - b.num_rows() as u64
                })
                .collect();
            let chunks: Vec<_> = window
                .par_iter()
                .zip(&starts)
                .map(|(b, &start)| Chunk::read(&input.path, &mapping, b, start).map(|c| (c.extent(), c)))
                .collect();
            for (chunk, start) in chunks.into_iter().zip(starts) {
                let (extent, chunk) = chunk?;
                input.note_unreadable(&chunk, start);
                report.rows += chunk.len() as u64;
                report.extent = match (report.extent, extent) {
                    (Some(a), Some(b)) => Some(a.union(&b)),
                    (a, b) => a.or(b),
                };
                let before = self.rows.len();
                self.rows.append(chunk, file, &input.stem)?;
                let nowhere = self.rows.group[before..].iter().filter(|&&g| g == NO_GROUP).count() as u64;
                for repairs in [&mut report.repairs, &mut loaded.repairs] {
                    repairs.note(Fault::NoFlight, nowhere);
                    repairs.note_rows((self.rows.len() - before) as u64);
                }
            }
        }
        let last = part.row_group.is_none_or(|g| g + 1 == input.row_groups());
        if last { input.judge_unreadable(report) } else { Ok(()) }
    }

    /// Assembles flights that are ready.
    fn hand_on(&mut self, max_waypoints: usize, loaded: &mut Loaded) {
        let Some(grouping) = &self.grouping else { return };
        let mut taken = 0_usize;
        while let Some(&next) = self.ready.front() {
            if taken > 0 && taken.saturating_add(grouping.len(next)) > max_waypoints {
                break;
            }
            let mut slab = Vec::new();
            let mut slab_rows = 0;
            while let Some(&group) = self.ready.front() {
                let rows = grouping.len(group);
                let over = taken.saturating_add(rows) > max_waypoints && taken > 0;
                if over || (slab_rows > 0 && slab_rows + rows > SLAB_ROWS) {
                    break;
                }
                self.ready.pop_front();
                taken = taken.saturating_add(rows);
                slab_rows += rows;
                slab.push(group);
            }
            let done: Vec<Assembled> =
                slab.par_iter().map(|&g| assemble::assemble(&self.rows, grouping, g, self.options.gap_s)).collect();
            for assembled in done {
                join(assembled, loaded, &mut self.reports, &mut self.ids);
            }
        }
    }
}

/// Adds what became of a group to what is handed on.
fn join(assembled: Assembled, loaded: &mut Loaded, reports: &mut [FileReport], ids: &mut HashSet<String>) {
    let mut count = |faults: &[(u32, Fault)]| {
        let mut repairs = Repairs::default();
        for &(file, fault) in faults {
            repairs.note(fault, 1);
            if let Some(report) = reports.get_mut(file as usize) {
                report.repairs.note(fault, 1);
            }
        }
        repairs
    };
    loaded.repairs.add(&count(&assembled.faults));
    loaded.rejects.extend(assembled.rejects);
    for flight in assembled.flights {
        let mut repairs = count(&flight.faults);
        loaded.repairs.add(&repairs);
        let id = unique(flight.id, ids);
        match loaded.fleet.push(id.as_str(), &flight.waypoints) {
            Ok(()) => {
                repairs.note_rows(flight.rows as u64);
                loaded.flight_repairs.push(repairs);
            }
            Err(e) => {
                loaded.rejects.push(Reject { flight_id: id, reason: e.to_string(), waypoints: flight.rows });
            }
        }
    }
}

/// The name, with a number where another flight has it: an aircraft that
/// starts twice within a minute, or a file named like a flight.
fn unique(id: String, ids: &mut HashSet<String>) -> String {
    if ids.insert(id.clone()) {
        return id;
    }
    let mut n = 2_u64;
    loop {
        let numbered = format!("{id}_{n}");
        if ids.insert(numbered.clone()) {
            return numbered;
        }
        n += 1;
    }
}

impl Input {
    fn row_groups(&self) -> usize {
        match &self.bytes {
            Bytes::Parquet(parquet) => parquet.0.row_groups(),
            Bytes::Other(..) => 1,
        }
    }

    /// The columns' meanings and the rows of a part.
    fn open(
        &self,
        part: &Part,
        options: &ReadOptions,
        report: &mut FileReport,
    ) -> Result<(Mapping, Batches), FlightsError> {
        let wanted = Columns::Wanted(dialect::is_known);
        match &self.bytes {
            Bytes::Parquet(parquet) => {
                let (file, mapping) = &**parquet;
                let groups = part.row_group.map_or(0..file.row_groups(), |g| g..g + 1);
                Ok((mapping.clone(), file.read(wanted, groups)))
            }
            Bytes::Other(format, source) => {
                let table = (format.open)(source, wanted)?;
                let mapping = Mapping::of(&self.path, &table.names, options.altitude_unit)?;
                report.describe(&mapping, table.names);
                Ok((mapping, table.batches))
            }
        }
    }

    fn read_names(&self, part: &Part) -> Result<Vec<Chunk>, FlightsError> {
        let (Bytes::Parquet(parquet), Some(group)) = (&self.bytes, part.row_group) else { return Ok(Vec::new()) };
        let (file, mapping) = &**parquet;
        let batches = file.read(Columns::Wanted(dialect::is_identity), group..group + 1);
        batches.map(|batch| Chunk::read_names(&self.path, mapping, &batch?, 0)).collect()
    }

    fn note_unreadable(&mut self, chunk: &Chunk, start: u64) {
        for (column, expected, bad) in &chunk.unreadable {
            if let Some(known) = self.unreadable.iter_mut().find(|u| u.column == *column) {
                known.count += bad.count;
            } else if let Some((row, text)) = &bad.first {
                self.unreadable.push(Unread {
                    column: column.clone(),
                    expected,
                    count: bad.count,
                    row: start + *row as u64 + 1,
                    text: text.clone(),
                });
            }
        }
    }

    /// Values that cannot be read are worth a remark; where no row can be
    /// placed because of them, the file is not what it seems.
    fn judge_unreadable(&mut self, report: &mut FileReport) -> Result<(), FlightsError> {
        for bad in std::mem::take(&mut self.unreadable) {
            if report.extent.and_then(|e| e.altitude_m).is_none() {
                return Err(FlightsError::Value {
                    path: self.path.clone(),
                    row: bad.row,
                    column: bad.column,
                    value: bad.text,
                    expected: bad.expected,
                });
            }
            report.remarks.push(format!(
                "{} values of column {:?} cannot be read and count as missing; the first is {:?} in row {}, expected a {}",
                bad.count, bad.column, bad.text, bad.row, bad.expected
            ));
        }
        Ok(())
    }
}

impl FileReport {
    fn new(path: &Path, format: &Format, gzipped: bool) -> Self {
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

    fn describe(&mut self, mapping: &Mapping, present: Vec<String>) {
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
