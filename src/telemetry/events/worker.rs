//! What happens to a worker and to its jobs.

use std::time::Duration;

use tracing::{debug, error, info, warn};

use crate::telemetry::{
    message::State,
    metrics::{Metric, SECONDS, WAITING_SECONDS},
};

const RECEIVED: Metric =
    Metric::counter("skydose_jobs_received_total", "Deliveries of jobs, those that came again too.");
const SETTLED: Metric = Metric::counter("skydose_jobs_settled_total", "Deliveries of jobs settled, by how.");
const FLIGHTS: Metric = Metric::counter("skydose_flights_computed_total", "Flights computed.");
const WAYPOINTS: Metric = Metric::counter("skydose_waypoints_computed_total", "Waypoints of flights computed.");
const WAIT: Metric =
    Metric::histogram("skydose_job_wait_seconds", "From submission to first delivery of a job.", WAITING_SECONDS);
const END_TO_END: Metric = Metric::histogram(
    "skydose_job_end_to_end_seconds",
    "From submission to confirmed result of a job.",
    WAITING_SECONDS,
);
const LOAD: Metric = Metric::histogram("skydose_field_load_seconds", "Reading one time of a field.", SECONDS);
const LOADED_BYTES: Metric = Metric::counter("skydose_field_loaded_bytes_total", "Bytes of fields read into memory.");
const COMPUTE: Metric = Metric::histogram("skydose_batch_compute_seconds", "Computing one batch of jobs.", SECONDS);
const BUSY: Metric = Metric::histogram(
    "skydose_backend_busy_seconds",
    "Of a batch's time, that in which the backend was at work.",
    SECONDS,
);
const PUBLISH: Metric =
    Metric::histogram("skydose_job_publish_seconds", "Storing a result and publishing its event.", SECONDS);
const BATCHES_FAILED: Metric =
    Metric::counter("skydose_batches_failed_total", "Batches that failed and were halved or tried again.");
const CONFLICTS: Metric = Metric::counter(
    "skydose_result_conflicts_total",
    "Results that differ from those that stand for the same job; the first stays.",
);
const STORE_FAILURES: Metric =
    Metric::counter("skydose_store_failures_total", "Calls of the store that failed and were tried again.");
const QUEUE_FAILURES: Metric =
    Metric::counter("skydose_queue_failures_total", "Calls of the broker that failed, by call.");
const TRIALS: Metric =
    Metric::counter("skydose_job_trials_total", "Jobs computed alone because workers may have died of them.");
const IN_FLIGHT: Metric = Metric::gauge("skydose_jobs_in_flight", "Jobs taken and not settled.");
const FIELD_BYTES: Metric = Metric::gauge("skydose_field_cache_bytes", "Bytes of fields in memory.");
const BROKER: Metric = Metric::gauge("skydose_broker_up", "1 where the connection of that role works.");
const STATE: Metric = Metric::gauge("skydose_worker_state", "1 for the state that the worker is in.");
const INFO: Metric = Metric::gauge("skydose_worker_info", "1; what the worker is.");
const COMMANDS: Metric = Metric::counter("skydose_commands_total", "Commands heard, by order.");

pub(in crate::telemetry) const METRICS: &[Metric] = &[
    RECEIVED,
    SETTLED,
    FLIGHTS,
    WAYPOINTS,
    WAIT,
    END_TO_END,
    LOAD,
    LOADED_BYTES,
    COMPUTE,
    BUSY,
    PUBLISH,
    BATCHES_FAILED,
    CONFLICTS,
    STORE_FAILURES,
    QUEUE_FAILURES,
    TRIALS,
    IN_FLIGHT,
    FIELD_BYTES,
    BROKER,
    STATE,
    INFO,
    COMMANDS,
];

/// How a delivery is settled; the last four are why a job was buried.
pub(crate) const HOW: [&str; 9] =
    ["answered", "answered_again", "retried", "cancelled", "returned", "invalid", "late", "failed", "crashed"];

/// The names that every line about a job carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct About<'a> {
    pub job: &'a str,
    pub submission: &'a str,
}

/// The worker begins.
pub(crate) struct Started<'a> {
    pub worker: &'a str,
    pub node: &'a str,
    pub backend: &'a str,
    pub prefetch: u16,
    pub memory_bytes: u64,
}

impl Started<'_> {
    pub(crate) fn emit(self) {
        let Self { worker, node, backend, prefetch, memory_bytes } = self;
        info!(worker, node, backend, prefetch, memory_bytes, version = env!("CARGO_PKG_VERSION"), "worker started");
        INFO.set(1.0, &[("version", env!("CARGO_PKG_VERSION")), ("backend", backend)]);
        for state in State::ALL {
            STATE.set(f64::from(u8::from(state == State::Starting)), &[("state", state.name())]);
        }
        begin_counters();
    }
}

/// What may never happen begins at 0: the first time would else be a rise from
/// nothing, which is none to Prometheus' `increase`, and no alert would tell.
fn begin_counters() {
    for metric in [FLIGHTS, WAYPOINTS, BATCHES_FAILED, CONFLICTS, STORE_FAILURES, TRIALS] {
        metric.add(0, &[]);
    }
    for how in HOW {
        SETTLED.add(0, &[("how", how)]);
    }
}

/// The worker is in another state.
pub(crate) struct StateChanged<'a> {
    pub from: State,
    pub to: State,
    pub reason: Option<&'a str>,
}

impl StateChanged<'_> {
    pub(crate) fn emit(self) {
        let Self { from, to, reason } = self;
        match (to, reason) {
            (State::Quarantined, reason) => error!(state = to.name(), reason, "the device is not to be trusted"),
            // Between these two it goes to and fro with every lull.
            (State::Idle | State::Consuming, _) => debug!(state = to.name(), "state changed"),
            (_, reason) => info!(state = to.name(), reason, "state changed"),
        }
        STATE.set(0.0, &[("state", from.name())]);
        STATE.set(1.0, &[("state", to.name())]);
    }
}

/// A delivery came.
pub(crate) struct Received<'a> {
    pub about: About<'a>,
    pub redeliveries: u32,
    pub attempt: u32,
    /// Since it was submitted; known for a job that comes for the first time.
    pub waited: Option<Duration>,
}

impl Received<'_> {
    pub(crate) fn emit(self) {
        let Self { about, redeliveries, attempt, waited } = self;
        debug!(job = about.job, submission = about.submission, redeliveries, attempt, "job received");
        RECEIVED.add(1, &[("redelivered", if redeliveries > 0 { "true" } else { "false" })]);
        if let Some(waited) = waited {
            WAIT.observe(waited.as_secs_f64(), &[]);
        }
    }
}

/// A result stands in the store, its event is confirmed, its delivery acked.
pub(crate) struct Answered<'a> {
    pub about: About<'a>,
    pub flights: u64,
    /// From the store's first byte to the confirm.
    pub publishing: Duration,
    /// Since it was submitted.
    pub end_to_end: Option<Duration>,
    /// Whether the result had been there before.
    pub again: bool,
}

impl Answered<'_> {
    pub(crate) fn emit(self) {
        let Self { about, flights, publishing, end_to_end, again } = self;
        debug!(job = about.job, submission = about.submission, flights, again, "job answered");
        SETTLED.add(1, &[("how", if again { "answered_again" } else { "answered" })]);
        PUBLISH.observe(publishing.as_secs_f64(), &[]);
        if let Some(duration) = end_to_end {
            END_TO_END.observe(duration.as_secs_f64(), &[]);
        }
    }
}

/// A job will be tried again later.
pub(crate) struct Retried<'a> {
    pub about: About<'a>,
    pub attempt: u32,
    pub delay: Duration,
    pub why: &'a str,
}

impl Retried<'_> {
    pub(crate) fn emit(self) {
        let Self { about, attempt, delay, why } = self;
        warn!(
            job = about.job,
            submission = about.submission,
            attempt,
            ?delay,
            why,
            "job failed and will be tried again"
        );
        SETTLED.add(1, &[("how", "retried")]);
    }
}

/// A job went to the dead letters.
pub(crate) struct Buried<'a> {
    pub about: About<'a>,
    pub reason: &'static str,
    pub why: &'a str,
}

impl Buried<'_> {
    pub(crate) fn emit(self) {
        let Self { about, reason, why } = self;
        error!(job = about.job, submission = about.submission, reason, why, "job buried");
        SETTLED.add(1, &[("how", reason)]);
    }
}

/// A job's submission had been cancelled.
pub(crate) struct Cancelled<'a> {
    pub about: About<'a>,
}

impl Cancelled<'_> {
    pub(crate) fn emit(self) {
        debug!(job = self.about.job, submission = self.about.submission, "job cancelled");
        SETTLED.add(1, &[("how", "cancelled")]);
    }
}

/// A delivery went back to its queue, or was lost with its connection and
/// comes again.
pub(crate) struct Returned<'a> {
    pub about: About<'a>,
    pub why: &'a str,
}

impl Returned<'_> {
    pub(crate) fn emit(self) {
        let Self { about, why } = self;
        info!(job = about.job, submission = about.submission, why, "job returned to its queue");
        SETTLED.add(1, &[("how", "returned")]);
    }
}

/// A job of which workers may have died is computed alone.
pub(crate) struct TrialBegun<'a> {
    pub about: About<'a>,
    pub redeliveries: u32,
    pub crashes: u32,
}

impl TrialBegun<'_> {
    pub(crate) fn emit(self) {
        let Self { about, redeliveries, crashes } = self;
        warn!(
            job = about.job,
            submission = about.submission,
            redeliveries,
            crashes,
            "workers may have died of this job; it is computed alone"
        );
        TRIALS.add(1, &[]);
    }
}

/// One time of a field was read.
pub(crate) struct FieldLoaded<'a> {
    pub dataset: &'a str,
    pub bytes: usize,
    pub took: Duration,
}

impl FieldLoaded<'_> {
    pub(crate) fn emit(self) {
        let Self { dataset, bytes, took } = self;
        debug!(dataset, bytes, ?took, "field loaded");
        LOAD.observe(took.as_secs_f64(), &[("dataset", dataset)]);
        LOADED_BYTES.add(bytes as u64, &[("dataset", dataset)]);
    }
}

/// A batch was computed.
pub(crate) struct BatchComputed<'a> {
    pub dataset: &'a str,
    pub jobs: usize,
    pub flights: usize,
    pub waypoints: usize,
    pub took: Duration,
    /// Of which the backend was at work.
    pub busy: Duration,
}

impl BatchComputed<'_> {
    pub(crate) fn emit(self) {
        let Self { dataset, jobs, flights, waypoints, took, busy } = self;
        debug!(dataset, jobs, flights, waypoints, ?took, ?busy, "batch computed");
        COMPUTE.observe(took.as_secs_f64(), &[]);
        FLIGHTS.add(flights as u64, &[]);
        WAYPOINTS.add(waypoints as u64, &[]);
        BUSY.observe(busy.as_secs_f64(), &[]);
    }
}

/// A batch failed; its jobs are computed in smaller ones, or tried again.
pub(crate) struct BatchFailed<'a> {
    pub dataset: &'a str,
    pub jobs: usize,
    pub why: &'a str,
}

impl BatchFailed<'_> {
    pub(crate) fn emit(self) {
        let Self { dataset, jobs, why } = self;
        warn!(dataset, jobs, why, "batch failed");
        BATCHES_FAILED.add(1, &[]);
    }
}

/// Another result stands for the same job.
pub(crate) struct Conflict<'a> {
    pub about: About<'a>,
    pub key: &'a str,
}

impl Conflict<'_> {
    pub(crate) fn emit(self) {
        let Self { about, key } = self;
        error!(
            job = about.job,
            submission = about.submission,
            key,
            "this worker's result differs from the one that stands in the store; that one stays"
        );
        CONFLICTS.add(1, &[]);
    }
}

/// A call of the store failed; it is tried again.
pub(crate) struct StoreFailed<'a> {
    pub about: About<'a>,
    pub why: &'a str,
    pub again_in: Duration,
}

impl StoreFailed<'_> {
    pub(crate) fn emit(self) {
        let Self { about, why, again_in } = self;
        warn!(job = about.job, submission = about.submission, why, ?again_in, "the store failed; waiting for it");
        STORE_FAILURES.add(1, &[]);
    }
}

/// A call of the broker failed.
pub(crate) struct QueueFailed<'a> {
    pub call: &'static str,
    pub about: Option<About<'a>>,
    pub why: &'a str,
}

impl QueueFailed<'_> {
    pub(crate) fn emit(self) {
        let Self { call, about, why } = self;
        let (job, submission) = (about.map(|a| a.job), about.map(|a| a.submission));
        warn!(call, job, submission, why, "the broker failed");
        QUEUE_FAILURES.add(1, &[("call", call)]);
    }
}

/// A command came.
pub(crate) struct CommandHeard<'a> {
    pub order: &'static str,
    pub from: &'a str,
    pub reason: &'a str,
}

impl CommandHeard<'_> {
    pub(crate) fn emit(self) {
        let Self { order, from, reason } = self;
        info!(order, from, reason, "command heard");
        COMMANDS.add(1, &[("order", order)]);
    }
}

/// What is measured at a steady pace.
pub(crate) struct Levels {
    pub in_flight: usize,
    pub field_bytes: usize,
    pub consuming: bool,
    pub publishing: bool,
}

impl Levels {
    pub(crate) fn emit(self) {
        IN_FLIGHT.set(self.in_flight as f64, &[]);
        FIELD_BYTES.set(self.field_bytes as f64, &[]);
        BROKER.set(f64::from(u8::from(self.consuming)), &[("role", "consuming")]);
        BROKER.set(f64::from(u8::from(self.publishing)), &[("role", "publishing")]);
    }
}

/// One of each, for the test of the table of metrics.
#[cfg(test)]
pub(super) fn emit_all() {
    let about = About { job: "j", submission: "s" };
    let second = Duration::from_secs(1);
    Started { worker: "w", node: "n", backend: "cpu", prefetch: 4, memory_bytes: 1 }.emit();
    StateChanged { from: State::Starting, to: State::Idle, reason: None }.emit();
    Received { about, redeliveries: 1, attempt: 0, waited: Some(second) }.emit();
    Answered { about, flights: 1, publishing: second, end_to_end: Some(second), again: false }.emit();
    Retried { about, attempt: 1, delay: second, why: "" }.emit();
    Buried { about, reason: "invalid", why: "" }.emit();
    Cancelled { about }.emit();
    Returned { about, why: "" }.emit();
    TrialBegun { about, redeliveries: 2, crashes: 0 }.emit();
    FieldLoaded { dataset: "d", bytes: 1, took: second }.emit();
    BatchComputed { dataset: "d", jobs: 1, flights: 1, waypoints: 2, took: second, busy: second }.emit();
    BatchFailed { dataset: "d", jobs: 2, why: "" }.emit();
    Conflict { about, key: "k" }.emit();
    StoreFailed { about, why: "", again_in: second }.emit();
    QueueFailed { call: "publish", about: Some(about), why: "" }.emit();
    CommandHeard { order: "drain", from: "l", reason: "" }.emit();
    Levels { in_flight: 1, field_bytes: 1, consuming: true, publishing: false }.emit();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::metrics::rendered;

    #[test]
    fn what_alerts_count_is_there_before_it_happens() {
        let text = rendered(|| Started { worker: "w", node: "n", backend: "cpu", prefetch: 4, memory_bytes: 1 }.emit());
        for zero in [
            "skydose_result_conflicts_total 0",
            "skydose_store_failures_total 0",
            "skydose_worker_state{state=\"quarantined\"} 0",
        ] {
            assert!(text.lines().any(|line| line == zero), "{zero}: {text}");
        }
        for how in HOW {
            let zero = format!("skydose_jobs_settled_total{{how=\"{how}\"}} 0");
            assert!(text.lines().any(|line| line == zero), "{zero}: {text}");
        }
    }
}
