//! From files to a checked fleet, at once or in batches of whole flights.

use std::{
    collections::{HashSet, VecDeque},
    path::PathBuf,
};

use rayon::prelude::*;

use super::{
    assemble::{self, Assembled, Grouping},
    dialect::AltitudeUnit,
    error::FlightsError,
    fault::{Fault, Reject, Repairs},
    input::{Input, Part, Unfinished},
    report::{FileReport, Loaded},
    rows::{NO_GROUP, Rows},
};

/// Rows of flights that are assembled in parallel before they join the fleet.
const SLAB_ROWS: usize = 1 << 20;

/// Rows of row groups that are decoded side by side, unless one has more.
const AHEAD_ROWS: usize = 4 << 20;

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

type Unit = Vec<Part>;

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
            inputs: paths.iter().map(|p| Input::open(p, options)).collect::<Result<_, _>>()?,
            units: VecDeque::new(),
            units_read: 0,
            last_unit: Vec::new(),
            rows: Rows::default(),
            grouping: None,
            ready: VecDeque::new(),
            ids: HashSet::new(),
            finished: false,
        };
        let counts: Option<Vec<usize>> = reader.inputs.iter().map(Input::row_groups).collect();
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
            loaded.files = self.files().cloned().collect();
        }
        Ok(Some(loaded))
    }

    /// What is known about the files by now.
    #[must_use]
    pub fn files(&self) -> impl ExactSizeIterator<Item = &FileReport> {
        self.inputs.iter().map(|i| &i.report)
    }

    /// Reads units until there are enough rows, and sees which groups are whole.
    fn load(&mut self, max_waypoints: usize, loaded: &mut Loaded) -> Result<(), FlightsError> {
        let (last_unit, units_read) = (&self.last_unit, self.units_read);
        self.grouping = None;
        if self.rows.len() > 0 {
            self.rows.retain(|g| g != NO_GROUP && last_unit[g as usize] >= units_read);
        }
        let held = self.rows.len();
        while !self.units.is_empty() && self.rows.len() - held < max_waypoints {
            let left = max_waypoints - (self.rows.len() - held);
            for (unit, begun) in self.begin_units(left)? {
                for (part, rest) in unit.iter().zip(begun) {
                    self.load_part(part, rest, loaded)?;
                }
                self.units_read += 1;
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

    /// Takes the next units, about `rows` rows in all, and begins to read
    /// their parts: row groups are decoded side by side.
    fn begin_units(&mut self, rows: usize) -> Result<Vec<(Unit, Vec<Unfinished>)>, FlightsError> {
        let (mut units, mut taken) = (Vec::new(), 0);
        while units.len() < rayon::current_num_threads() && (units.is_empty() || taken < rows.min(AHEAD_ROWS)) {
            let Some(unit) = self.units.pop_front() else { break };
            taken += unit.iter().map(|part| self.inputs[part.input].rows_of(part)).sum::<usize>();
            units.push(unit);
        }
        let mut begun = Vec::with_capacity(units.len());
        for unit in units {
            let rests = unit.iter().map(|part| self.inputs[part.input].begin(part, &self.options));
            let rests = rests.collect::<Result<Vec<_>, _>>()?;
            begun.push((unit, rests));
        }
        if begun.len() > 1 {
            begun.par_iter_mut().flat_map(|(_, rests)| rests.par_iter_mut()).try_for_each(Unfinished::read_ahead)?;
        }
        Ok(begun)
    }

    fn load_part(&mut self, part: &Part, mut rest: Unfinished, loaded: &mut Loaded) -> Result<(), FlightsError> {
        let input = &mut self.inputs[part.input];
        let file = u32::try_from(part.input).unwrap_or(u32::MAX);
        loop {
            let chunks = input.read_on(&mut rest)?;
            if chunks.is_empty() {
                return input.finish(part);
            }
            let before = self.rows.len();
            for chunk in chunks {
                self.rows.append(chunk, file, &input.stem)?;
            }
            let added = &self.rows.group[before..];
            let nowhere = added.iter().filter(|&&g| g == NO_GROUP).count() as u64;
            for repairs in [&mut input.report.repairs, &mut loaded.repairs] {
                repairs.note(Fault::NoFlight, nowhere);
                repairs.note_rows(added.len() as u64);
            }
        }
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
            loaded.fleet.reserve(slab_rows);
            let done: Vec<Assembled> =
                slab.par_iter().map(|&g| assemble::assemble(&self.rows, grouping, g, self.options.gap_s)).collect();
            for assembled in done {
                join(assembled, loaded, &mut self.inputs, &mut self.ids);
            }
        }
    }
}

/// Adds what became of a group to what is handed on.
fn join(assembled: Assembled, loaded: &mut Loaded, inputs: &mut [Input], ids: &mut HashSet<String>) {
    loaded.repairs.add(&count(&assembled.faults, inputs));
    let rejects = assembled.rejects.into_iter();
    loaded.rejects.extend(rejects.map(|(file, reject)| Reject { path: path_of(file, inputs), ..reject }));
    for flight in assembled.flights {
        let mut repairs = count(&flight.faults, inputs);
        loaded.repairs.add(&repairs);
        let id = unique(flight.id, ids);
        match loaded.fleet.push(id.as_str(), &flight.waypoints) {
            Ok(()) => {
                repairs.note_rows(flight.rows as u64);
                loaded.flight_repairs.push(repairs);
            }
            Err(e) => {
                let path = path_of(flight.file, inputs);
                loaded.rejects.push(Reject { flight_id: id, reason: e.to_string(), waypoints: flight.rows, path });
            }
        }
    }
}

/// Counts faults, in the reports of their files too.
fn count(faults: &[(u32, Fault)], inputs: &mut [Input]) -> Repairs {
    let mut repairs = Repairs::default();
    for &(file, fault) in faults {
        repairs.note(fault, 1);
        if let Some(input) = inputs.get_mut(file as usize) {
            input.report.repairs.note(fault, 1);
        }
    }
    repairs
}

fn path_of(file: u32, inputs: &[Input]) -> PathBuf {
    inputs.get(file as usize).map_or_else(PathBuf::new, |input| input.report.path.clone())
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
