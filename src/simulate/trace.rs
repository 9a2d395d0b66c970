//! Traces: the jobs that arrived in the past, as a CSV file.
//!
//! ```text
//! time,jobs
//! 2026-10-01T00:00:00Z,12
//! 2026-10-01T00:05:00Z,3000
//! 2026-10-01T00:10:00Z,0
//! ```
//!
//! | column | meaning |
//! |---|---|
//! | `time` | RFC 3339, or seconds; rising |
//! | `jobs` | jobs that arrived from then until the next row's time |
//!
//! The last row closes the one before it: its own jobs arrive within as long
//! as the row before took. Other columns are passed over. Jobs arrive at random
//! within their row's time.

use serde::Deserialize;

use super::{Arrival, Scenario, SimulationError};
use crate::time::UnixTime;

/// Most jobs of a trace.
const MOST_JOBS: u64 = 20_000_000;

#[derive(Deserialize)]
struct Row {
    time: String,
    jobs: u64,
}

/// Reads a trace's text: its jobs, and how many seconds it lasts.
///
/// # Errors
/// [`SimulationError::Trace`] names the line and what was expected.
pub fn read(name: &str, text: &str, scenario: &Scenario) -> Result<(Vec<Arrival>, f64), SimulationError> {
    let fault = |line: u64, what: String| SimulationError::Trace { name: name.to_owned(), line, what };
    let mut rows: Vec<(f64, u64)> = Vec::new();
    let mut total = 0_u64;
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    for (row, line) in reader.deserialize::<Row>().zip(2..) {
        let row = row.map_err(|error| fault(line, format!("{error}, expected the columns time and jobs")))?;
        let time = seconds(&row.time)
            .ok_or_else(|| fault(line, format!("time is {:?}, expected RFC 3339 or seconds", row.time)))?;
        if rows.last().is_some_and(|(before, _)| time <= *before) {
            return Err(fault(line, format!("time {} does not come after the line before", row.time)));
        }
        total = total.saturating_add(row.jobs);
        if total > MOST_JOBS {
            return Err(fault(line, format!("more than {MOST_JOBS} jobs up to here; split the trace")));
        }
        rows.push((time, row.jobs));
    }
    let [(first, _), .., (before_last, _), (last, _)] = rows.as_slice() else {
        return Err(fault(1, format!("{} rows, expected at least three", rows.len())));
    };
    let (first, end) = (*first, last + (last - before_last));
    let ends = rows.iter().skip(1).map(|(time, _)| *time).chain([end]);
    let mut rng = fastrand::Rng::with_seed(scenario.seed);
    let mut arrivals = Vec::new();
    for ((time, jobs), until) in rows.iter().zip(ends) {
        for _ in 0..*jobs {
            arrivals.push(Arrival { at_s: time - first + rng.f64() * (until - time), size: 1.0 });
        }
    }
    arrivals.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
    for arrival in &mut arrivals {
        arrival.size = scenario.jobs.size(&mut rng);
    }
    Ok((arrivals, end - first))
}

fn seconds(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|s| s.is_finite()).or_else(|| UnixTime::parse(text).map(|time| time.0))
}
