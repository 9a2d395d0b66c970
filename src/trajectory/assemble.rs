//! From rows in any order to flights.

use std::{ops::Range, path::PathBuf};

use super::{
    Waypoint,
    column::NO_NAME,
    fault::Reject,
    repair::{self, Faults, Point},
    rows::{Group, NO_GROUP, Rows},
};

/// Which rows belong to each group.
pub(super) struct Grouping {
    /// Rows by group, in the order of the file within each; `None` where
    /// they lie so already.
    order: Option<Vec<u32>>,
    /// Of each group, in `order` or in the rows themselves.
    ranges: Vec<Range<usize>>,
}

/// What became of a group of rows.
#[derive(Default)]
pub(super) struct Assembled {
    pub(super) flights: Vec<Flight>,
    /// Flights that are rejected, and which file has the first row of each.
    pub(super) rejects: Vec<(u32, Reject)>,
    /// Faults of rows that are of no flight that is left, with their files.
    pub(super) faults: Faults,
}

/// A flight, repaired.
pub(super) struct Flight {
    pub(super) id: String,
    pub(super) waypoints: Vec<Waypoint>,
    pub(super) rows: usize,
    /// The file that has the first of them.
    pub(super) file: u32,
    pub(super) faults: Faults,
}

impl Grouping {
    /// Finds the rows of each group: at once where each group's rows are
    /// contiguous, else by a counting sort.
    pub(super) fn of(rows: &Rows) -> Self {
        let mut ranges = vec![0..0; rows.groups.len()];
        let mut start = 0;
        let mut contiguous = true;
        for run in rows.group.chunk_by(|a, b| a == b) {
            let range = start..start + run.len();
            start = range.end;
            if let Some(known) = ranges.get_mut(run[0] as usize) {
                contiguous &= known.start == known.end;
                *known = range;
            }
            if !contiguous {
                return Self::sorted(rows);
            }
        }
        Self { order: None, ranges }
    }

    fn sorted(rows: &Rows) -> Self {
        let mut counts = vec![0_usize; rows.groups.len()];
        for &group in rows.group.iter().filter(|&&g| g != NO_GROUP) {
            counts[group as usize] += 1;
        }
        let mut end = 0;
        let mut ranges: Vec<Range<usize>> = Vec::with_capacity(counts.len());
        for count in counts {
            // Filled below by moving the end.
            ranges.push(end..end);
            end += count;
        }
        let mut order = vec![0_u32; end];
        for (row, &group) in (0_u32..).zip(&rows.group) {
            if let Some(range) = ranges.get_mut(group as usize) {
                order[range.end] = row;
                range.end += 1;
            }
        }
        Self { order: Some(order), ranges }
    }

    /// How many rows a group has.
    pub(super) fn len(&self, group: u32) -> usize {
        self.ranges[group as usize].len()
    }

    pub(super) fn points(&self, rows: &Rows, group: u32) -> Vec<Point> {
        let range = self.ranges[group as usize].clone();
        match &self.order {
            None => (0_u32..).skip(range.start).take(range.len()).map(|row| point(rows, row)).collect(),
            Some(order) => order[range].iter().map(|&row| point(rows, row)).collect(),
        }
    }
}

/// A flight by its own name whose rows lie together, in order and without a
/// fault: what [`assemble`] makes of it, in one look at each row.
fn faultless(rows: &Rows, grouping: &Grouping, group: u32) -> Option<Flight> {
    let (Group::Flight(name) | Group::File(name)) = &rows.groups[group as usize] else { return None };
    if grouping.order.is_some() {
        return None;
    }
    let range = grouping.ranges[group as usize].clone();
    let first = u32::try_from(range.start).ok()?;
    let waypoints = repair::faultless(range.len(), |i| point(rows, first + i))?;
    Some(Flight { id: name.clone(), rows: range.len(), file: rows.file[range.start], waypoints, faults: Faults::new() })
}

#[inline(always)]
fn point(rows: &Rows, number: u32) -> Point {
    let row = number as usize;
    Point {
        row: number,
        time_s: rows.time_s[row],
        longitude_deg: rows.longitude_deg[row],
        latitude_deg: rows.latitude_deg[row],
        altitude_m: rows.altitude_m[row],
        pressure_pa: rows.pressure_pa[row],
        on_ground: rows.on_ground[row],
        file: rows.file[row],
        callsign: rows.callsign[row],
    }
}

/// Makes the flights of a group.
///
/// Rows under the name of a flight, or of a file without names, are one
/// flight. Those of an aircraft are parted by callsign (a row without one has
/// that of the row before, within the gap, else of the row after) and then
/// where nothing was heard for longer than `gap_s`.
pub(super) fn assemble(rows: &Rows, grouping: &Grouping, group: u32, gap_s: f64) -> Assembled {
    if let Some(flight) = faultless(rows, grouping, group) {
        return Assembled { flights: vec![flight], ..Assembled::default() };
    }
    let mut points = grouping.points(rows, group);
    let (rows_in, file) = (points.len(), points.first().map_or(0, |p| p.file));
    let mut faults = Faults::new();
    repair::drop_unusable(&mut points, &mut faults);
    repair::sort_by_time(&mut points);
    let mut done = Assembled::default();
    let (name, by_callsign) = match &rows.groups[group as usize] {
        Group::Flight(name) | Group::File(name) => {
            done.finish(name.clone(), points, (rows_in, file), faults);
            return done;
        }
        Group::Aircraft(name) => (name, true),
        Group::Callsign(name) => (name, false),
    };
    if points.is_empty() {
        done.finish(name.clone(), points, (rows_in, file), faults);
        return done;
    }
    done.faults = faults;
    let parts = if by_callsign { part_by_callsign(points, &rows.callsigns, gap_s) } else { vec![points] };
    for part in parts {
        for flight in part.chunk_by(|a, b| b.time_s - a.time_s <= gap_s) {
            let callsign = rows.callsigns.get(flight[0].callsign as usize).filter(|_| by_callsign);
            let id = flight_id(name, callsign.map(String::as_str), flight[0].time_s);
            done.finish(id, flight.to_vec(), (flight.len(), flight[0].file), Faults::new());
        }
    }
    done
}

impl Assembled {
    /// `rows` of the flight, the first of them in file number `file`.
    fn finish(&mut self, id: String, points: Vec<Point>, (rows, file): (usize, u32), mut faults: Faults) {
        match repair::repair(points, &mut faults) {
            Ok(waypoints) => self.flights.push(Flight { id, waypoints, rows, file, faults }),
            Err(reason) => {
                let path = PathBuf::new();
                self.rejects.push((file, Reject { flight_id: id, reason, waypoints: rows, path }));
                self.faults.append(&mut faults);
            }
        }
    }
}

/// Parts the sorted rows of an aircraft, in order of first appearance.
fn part_by_callsign(mut points: Vec<Point>, callsigns: &[String], gap_s: f64) -> Vec<Vec<Point>> {
    // Which callsign is inherited must not depend on the order of the file:
    // of rows at one time those with a callsign come first, by its letters.
    let name = |p: &Point| callsigns.get(p.callsign as usize);
    let order = |a: &Point, b: &Point| {
        a.time_s.total_cmp(&b.time_s).then_with(|| (name(a).is_none(), name(a)).cmp(&(name(b).is_none(), name(b))))
    };
    if points.iter().any(|p| p.callsign == NO_NAME) {
        points.sort_by(order);
    }
    inherit(points.iter_mut(), gap_s);
    inherit(points.iter_mut().rev(), gap_s);
    let mut parts: Vec<Vec<Point>> = Vec::new();
    let mut known: std::collections::HashMap<u32, usize> = std::collections::HashMap::new();
    for point in points {
        let part = *known.entry(point.callsign).or_insert_with(|| {
            parts.push(Vec::new());
            parts.len() - 1
        });
        parts[part].push(point);
    }
    parts
}

/// Gives rows without a callsign that of the row before them.
fn inherit<'a>(points: impl Iterator<Item = &'a mut Point>, gap_s: f64) {
    let mut last: Option<Point> = None;
    for point in points {
        if let Some(last) = last
            && point.callsign == NO_NAME
            && (point.time_s - last.time_s).abs() <= gap_s
        {
            point.callsign = last.callsign;
        }
        last = Some(*point);
    }
}

/// `4b1805_SWR123_20180801T0522`: who, and the minute of the first row.
fn flight_id(name: &str, callsign: Option<&str>, start_s: f64) -> String {
    #[expect(clippy::cast_possible_truncation, reason = "saturates, then jiff checks the range")]
    let start = jiff::Timestamp::from_second(start_s.floor() as i64);
    let start = start.map_or_else(|_| format!("{start_s:.0}"), |t| t.strftime("%Y%m%dT%H%M").to_string());
    match callsign {
        Some(callsign) => format!("{name}_{callsign}_{start}"),
        None => format!("{name}_{start}"),
    }
}
