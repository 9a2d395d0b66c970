//! What control sees, decides and does.

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::telemetry::metrics::{Metric, SECONDS};

const LEADER: Metric = Metric::gauge("skydose_scaling_leader", "1 where this process leads.");
const ROUNDS: Metric = Metric::counter("skydose_scaling_rounds_total", "Rounds of the leader, by what came out.");
const ROUND: Metric =
    Metric::histogram("skydose_scaling_round_seconds", "A round: looking, deciding, acting.", SECONDS);
const ACTS: Metric =
    Metric::counter("skydose_scaling_acts_total", "Writes to the node provider, by what became of them.");
const FAULTS: Metric = Metric::counter("skydose_scaling_faults_total", "Parts of a sample that could not be read.");
const JOBS: Metric = Metric::gauge("skydose_queue_jobs", "Jobs in the queue, ready or unacked, by priority.");
const OLDEST: Metric =
    Metric::gauge("skydose_queue_oldest_age_seconds", "Age of the oldest job that waits, by priority.");
const NODES: Metric = Metric::gauge("skydose_nodes", "Nodes by pool and state.");
const WANTED: Metric = Metric::gauge("skydose_nodes_wanted", "Nodes that the provider is asked for, by pool.");
const GOAL: Metric = Metric::gauge("skydose_nodes_goal", "Nodes that are to stay in the end, by pool.");
const WORKERS: Metric = Metric::gauge("skydose_workers", "Workers heard, by what they do.");
const TOKEN: Metric =
    Metric::gauge("skydose_provider_token_left_seconds", "Until the provider's token ends, where it says so.");

pub(in crate::telemetry) const METRICS: &[Metric] =
    &[LEADER, ROUNDS, ROUND, ACTS, FAULTS, JOBS, OLDEST, NODES, WANTED, GOAL, WORKERS, TOKEN];

/// Who leads.
pub(crate) struct Standing<'a> {
    pub leads: bool,
    pub leader: Option<&'a str>,
}

impl Standing<'_> {
    pub(crate) fn emit(self) {
        let Self { leads, leader } = self;
        info!(leads, leader, "election");
        LEADER.set(f64::from(u8::from(leads)), &[]);
    }
}

/// A round of the leader.
pub(crate) struct Round<'a> {
    pub outcome: &'a str,
    pub reason: &'a str,
    /// Whether it is worth a line of the log: it changed something, or it
    /// came out otherwise than the one before.
    pub notable: bool,
    pub took: Duration,
    pub queues: Vec<QueueLevel<'a>>,
    pub pools: Vec<PoolLevel<'a>>,
    /// By what they do.
    pub workers: [(&'a str, u32); 6],
    pub acts: Vec<(&'a str, &'a str, Option<&'a str>)>,
    pub faults: &'a [String],
}

/// The jobs of one priority.
pub(crate) struct QueueLevel<'a> {
    pub priority: &'a str,
    pub ready: u64,
    pub unacked: u64,
    pub oldest_age_s: Option<f64>,
}

/// The nodes of one pool.
pub(crate) struct PoolLevel<'a> {
    pub name: &'a str,
    pub wanted: u32,
    pub goal: u32,
    /// By their state.
    pub nodes: [(&'a str, u32); 5],
}

impl Round<'_> {
    pub(crate) fn emit(self) {
        let Self { outcome, reason, notable, took, queues, pools, workers, acts, faults } = self;
        if notable {
            info!(outcome, reason, "decided");
        } else {
            debug!(outcome, reason, "decided");
        }
        ROUNDS.add(1, &[("outcome", outcome)]);
        ROUND.observe(took.as_secs_f64(), &[]);
        for fault in faults {
            warn!(fault, "failed to look");
        }
        FAULTS.add(faults.len() as u64, &[]);
        for (pool, what, fault) in acts {
            match fault {
                None => info!(pool, what, "done"),
                Some(fault) => warn!(pool, what, fault, "not done"),
            }
            ACTS.add(1, &[("pool", pool), ("result", if fault.is_none() { "done" } else { "failed" })]);
        }
        for QueueLevel { priority, ready, unacked, oldest_age_s } in queues {
            JOBS.set(ready as f64, &[("priority", priority), ("state", "ready")]);
            JOBS.set(unacked as f64, &[("priority", priority), ("state", "unacked")]);
            OLDEST.set(oldest_age_s.unwrap_or(0.0), &[("priority", priority)]);
        }
        for PoolLevel { name, wanted, goal, nodes } in pools {
            WANTED.set(f64::from(wanted), &[("pool", name)]);
            GOAL.set(f64::from(goal), &[("pool", name)]);
            // There before the first failure: a rise from nothing is none.
            for result in ["done", "failed"] {
                ACTS.add(0, &[("pool", name), ("result", result)]);
            }
            for (state, count) in nodes {
                NODES.set(f64::from(count), &[("pool", name), ("state", state)]);
            }
        }
        for (state, count) in workers {
            WORKERS.set(f64::from(count), &[("state", state)]);
        }
    }
}

/// What the provider says of the access to it.
pub(crate) struct Provider<'a> {
    pub token_left_s: Option<f64>,
    /// The token ends soon.
    pub warn: bool,
    pub fault: Option<&'a str>,
}

impl Provider<'_> {
    pub(crate) fn emit(self) {
        let Self { token_left_s, warn, fault } = self;
        if let Some(fault) = fault {
            warn!(fault, "failed to ask the provider for its version and token");
        }
        if let Some(left) = token_left_s {
            TOKEN.set(left, &[]);
            if warn {
                warn!(days = left / 86_400.0, "the provider's token ends soon; replace what is in its file");
            }
        }
    }
}

/// Each event once, for the test of the table.
#[cfg(test)]
pub(super) fn emit_all() {
    Standing { leads: true, leader: Some("w") }.emit();
    Round {
        outcome: "grow",
        reason: "",
        notable: true,
        took: Duration::from_secs(1),
        queues: vec![QueueLevel { priority: "normal", ready: 1, unacked: 2, oldest_age_s: Some(3.0) }],
        pools: vec![PoolLevel { name: "gpu", wanted: 1, goal: 2, nodes: [("booting", 0); 5] }],
        workers: [("idle", 1); 6],
        acts: vec![("gpu", "scale 1 to 2", None), ("gpu", "remove gpu-1", Some("409"))],
        faults: &["nodes: no answer".to_owned()],
    }
    .emit();
    Provider { token_left_s: Some(3600.0), warn: true, fault: Some("403") }.emit();
}
