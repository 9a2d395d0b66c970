//! A file of flights: its columns, what they mean, and what was repaired.

use std::{path::Path, slice};

use super::{
    axes,
    text::{Report, Side, coordinate, count, counted, duration, list, size},
};
use crate::{
    time::UnixTime,
    trajectory::{Extent, FileReport, FleetReader, FlightsError, ReadOptions, Reject, Repairs},
};

/// Rejected flights that are listed.
const REJECTS: usize = 10;
/// Columns without a meaning that are listed.
const OTHERS: usize = 24;
/// Waypoints that are held at once where the format lets flights be read in batches.
const BATCH: usize = 2_000_000;

/// What became of the rows.
#[derive(Default)]
struct Tally {
    flights: usize,
    waypoints: usize,
    rejected: usize,
    rejects: Vec<Reject>,
    repairs: Repairs,
}

/// Reports on a file.
///
/// # Errors
/// Where it is no file of flights, or cannot be read.
pub(super) fn inspect(path: &Path, options: &ReadOptions, report: &mut Report) -> Result<(), FlightsError> {
    let mut tally = Tally::default();
    let mut reader = FleetReader::open(slice::from_ref(&path.to_owned()), options)?;
    while let Some(loaded) = reader.next_batch(BATCH)? {
        tally.flights += loaded.fleet.len();
        tally.waypoints += loaded.fleet.waypoints();
        tally.rejected += loaded.rejects.len();
        let room = REJECTS - tally.rejects.len();
        tally.rejects.extend(loaded.rejects.into_iter().take(room));
        tally.repairs.add(&loaded.repairs);
    }
    if let Some(file) = reader.files().next() {
        print(file, &tally, report);
    }
    Ok(())
}

fn print(file: &FileReport, tally: &Tally, report: &mut Report) {
    let bytes = std::fs::metadata(&file.path).map_or_else(|_| String::new(), |m| format!(", {}", size(m.len())));
    report.line(&format!("flights: {}{bytes}, columns as {} names them", file.format, file.dialect));
    report.blank();
    report.entry("rows", &rows(file, tally));
    match &file.extent {
        Some(extent) => where_and_when(extent, report),
        None => report.fault("no row has a time and a place"),
    }
    report.blank();
    columns(file, report);
    for remark in &file.remarks {
        report.note(remark);
    }
    let repaired: Vec<Vec<String>> =
        tally.repairs.iter().map(|(fault, n)| vec![count(n), fault.name().to_owned()]).collect();
    if !repaired.is_empty() {
        report.heading("repairs");
        report.table(&[Side::Right, Side::Left], &repaired);
    }
    if tally.rejected > 0 {
        let shown = if tally.rejected > REJECTS { format!(", the first {REJECTS}") } else { String::new() };
        report.heading(&format!("rejected{shown}"));
        let rows: Vec<Vec<String>> = tally
            .rejects
            .iter()
            .map(|r| vec![r.flight_id.clone(), counted(r.waypoints as u64, "row", "rows"), r.reason.clone()])
            .collect();
        report.table(&[Side::Left, Side::Right, Side::Left], &rows);
    }
    if tally.flights == 0 {
        report.fault("no flight can be used");
    }
}

fn rows(file: &FileReport, tally: &Tally) -> String {
    let mut text = format!(
        "{}: {} of {}",
        count(file.rows),
        counted(tally.flights as u64, "flight", "flights"),
        counted(tally.waypoints as u64, "waypoint", "waypoints")
    );
    if tally.rejected > 0 {
        text.push_str(", ");
        text.push_str(&counted(tally.rejected as u64, "flight", "flights"));
        text.push_str(" rejected");
    }
    text
}

fn where_and_when(extent: &Extent, report: &mut Report) {
    let (first, last) = extent.time_s;
    report.entry("times", &format!("{} … {} ({})", UnixTime(first), UnixTime(last), duration(last - first)));
    let ((west, east), (south, north)) = (extent.longitude_deg, extent.latitude_deg);
    report.entry("latitudes", &format!("{} … {} °N", coordinate(south), coordinate(north)));
    report.entry("longitudes", &format!("{} … {} °E", coordinate(west), coordinate(east)));
    if let Some(altitude) = extent.altitude_m {
        report.entry("altitudes", &axes::altitudes(altitude));
    }
}

fn columns(file: &FileReport, report: &mut Report) {
    for (what, column) in &file.columns {
        report.entry(what, &format!("from {column}"));
    }
    if let Some((unit, reason)) = &file.altitude_unit {
        report.note(&format!("altitude in {}: {reason}", unit.name()));
    }
    let is_used = |name: &str| file.columns.iter().any(|(_, c)| c == name || c.starts_with(&format!("{name} [")));
    let others: Vec<&str> = file.present.iter().map(String::as_str).filter(|name| !is_used(name)).collect();
    if others.is_empty() {
        return;
    }
    let more = others.len().saturating_sub(OTHERS);
    let shown = list(&others[..others.len() - more]);
    report.note(&if more > 0 {
        format!("not used: {shown}, and {more} more columns")
    } else {
        format!("not used: {shown}")
    });
}
