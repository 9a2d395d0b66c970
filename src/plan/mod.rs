//! Which jobs are computed together, and in which order.
//!
//! [`group`] is pure: jobs in, batches out. Jobs of one batch ask the same of
//! the same data set, so that their flights are one fleet, and lie near each
//! other in time, so that a field's times are loaded once for all of them.
//! What holds of any answer is asserted after it is made (`tests.rs`): every
//! job is in exactly one batch, no batch of two jobs is over a limit, and
//! batches are in the order in which they should run.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::{
    job::{Id, Job},
    queue::Priority,
};

/// What a plan needs to know of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The data set.
    pub dataset: Id,
    /// Jobs with equal programs may be computed together: a digest of what
    /// is asked, as [`Candidate::of`] makes it.
    pub program: [u8; 32],
    /// First and last instant of its flights \[s since 1970\].
    pub time_s: (f64, f64),
    /// Waypoints of all its flights.
    pub waypoints: usize,
    /// Which queue it came from.
    pub priority: Priority,
    /// Whether it may only be computed alone: it was in a batch that failed,
    /// or workers died of it.
    pub alone: bool,
}

/// What a batch may be at most.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Jobs.
    pub jobs: usize,
    /// Memory for flights, their states and their rows \[bytes\].
    pub bytes: usize,
    /// Bytes that a waypoint takes while its flight is computed.
    pub bytes_per_waypoint: usize,
    /// Time from the first job's beginning to the last one's \[s\]: flights of
    /// many hours go together as short ones do.
    pub window_s: f64,
}

/// Jobs to be computed together.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Places of the jobs in what was given to [`group`], ascending in time.
    pub jobs: Vec<usize>,
    /// The data set.
    pub dataset: Id,
    /// First and last instant \[s since 1970\].
    pub time_s: (f64, f64),
    /// Of all jobs.
    pub waypoints: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { jobs: 256, bytes: 512 << 20, bytes_per_waypoint: 256, window_s: 6.0 * 3600.0 }
    }
}

impl Candidate {
    /// What a plan needs to know of `job`; `None` where it has no flights.
    #[must_use]
    pub fn of(job: &Job, priority: Priority, alone: bool) -> Option<Self> {
        let fleet = &job.flights.fleet;
        let time_s = fleet.iter().map(|f| (f.start_s(), f.end_s())).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))?;
        Some(Self {
            dataset: job.terms.dataset.clone(),
            program: job.terms.program(),
            time_s,
            waypoints: fleet.waypoints(),
            priority,
            alone,
        })
    }
}

/// Groups jobs into batches, those of high priority first, then by the first
/// job that came; each within `limits`, or of one job.
#[must_use]
pub fn group(jobs: &[Candidate], limits: &Limits) -> Vec<Batch> {
    let mut order: Vec<usize> = (0..jobs.len()).collect();
    // Jobs that may go together stand together, in the order of time.
    order.sort_by(|&a, &b| {
        let (x, y) = (&jobs[a], &jobs[b]);
        (x.priority, &x.dataset, &x.program, x.alone)
            .cmp(&(y.priority, &y.dataset, &y.program, y.alone))
            .then_with(|| x.time_s.0.total_cmp(&y.time_s.0))
            .then(a.cmp(&b))
    });
    let mut batches: Vec<Batch> = Vec::new();
    let mut last: Option<usize> = None;
    for index in order {
        let job = &jobs[index];
        match batches.last_mut() {
            Some(batch) if last.is_some_and(|l| may_join(&jobs[l], job)) && fits(batch, job, limits) => {
                batch.jobs.push(index);
                batch.time_s.1 = batch.time_s.1.max(job.time_s.1);
                batch.waypoints = batch.waypoints.saturating_add(job.waypoints);
            }
            _ => batches.push(Batch {
                jobs: vec![index],
                dataset: job.dataset.clone(),
                time_s: job.time_s,
                waypoints: job.waypoints,
            }),
        }
        last = Some(index);
    }
    let rank = |batch: &Batch| {
        let first = batch.jobs.iter().copied().min().unwrap_or(0);
        (jobs[first].priority, first)
    };
    batches.sort_by_key(rank);
    batches
}

/// The halves of a batch that failed: the bad job stands alone in the end.
/// One job cannot be halved.
#[must_use]
pub fn halve(batch: &Batch, jobs: &[Candidate]) -> Vec<Batch> {
    if batch.jobs.len() < 2 {
        return Vec::new();
    }
    let (first, second) = batch.jobs.split_at(batch.jobs.len() / 2);
    [first, second]
        .into_iter()
        .map(|part| Batch {
            jobs: part.to_vec(),
            dataset: batch.dataset.clone(),
            time_s: part
                .iter()
                .map(|&i| jobs[i].time_s)
                .fold((f64::INFINITY, f64::NEG_INFINITY), |a, b| (a.0.min(b.0), a.1.max(b.1))),
            waypoints: part.iter().map(|&i| jobs[i].waypoints).fold(0, usize::saturating_add),
        })
        .collect()
}

fn may_join(a: &Candidate, b: &Candidate) -> bool {
    !a.alone && !b.alone && a.priority == b.priority && a.dataset == b.dataset && a.program == b.program
}

fn fits(batch: &Batch, job: &Candidate, limits: &Limits) -> bool {
    let waypoints = batch.waypoints.saturating_add(job.waypoints);
    // Jobs come in the order in which they begin.
    batch.jobs.len() < limits.jobs
        && waypoints.saturating_mul(limits.bytes_per_waypoint) <= limits.bytes
        && job.time_s.0 - batch.time_s.0 <= limits.window_s
}
