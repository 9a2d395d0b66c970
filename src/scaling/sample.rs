//! What is seen at one instant: the queue, the nodes, the workers.
//!
//! Readers pass over fields that they do not know, so that an older program
//! reads what a newer one writes.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that a decision stands on. Ages are as of `at`; a part that was
/// read earlier says when.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// When the sample was put together; the decision's "now".
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The jobs' queues, one a priority.
    pub queues: Part<Vec<Queue>>,
    /// The pools, as the node provider reports them.
    pub pools: Part<Vec<Pool>>,
    /// The workers, by their heartbeats. One that is silent for too long is
    /// left out.
    pub workers: Part<Vec<Worker>>,
    /// Who asked for a pause and why, where one is in force by command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
}

/// A part of the sample that has its own source, and can be old or incomplete
/// on its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part<T> {
    /// When the source was asked last with success; absent where never.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// What could not be had, in words; empty where the part is whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What was seen.
    pub seen: T,
}

/// The queue of one priority.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Which: `high` or `normal`.
    pub priority: String,
    /// Jobs that wait.
    pub ready: u64,
    /// Jobs that a worker holds.
    pub unacked: u64,
    /// Jobs published per second, over the broker's own window; absent where
    /// the broker does not say.
    #[serde(default)]
    pub arrivals_per_s: Option<f64>,
    /// Jobs acknowledged per second; absent where the broker does not say.
    #[serde(default)]
    pub completions_per_s: Option<f64>,
    /// Seconds since the job at the head was submitted; absent where nothing
    /// waits or it is not known.
    #[serde(default)]
    pub oldest_age_s: Option<f64>,
}

/// A pool of equal nodes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// As in the settings.
    pub name: String,
    /// The quantity that the provider has been asked for: nodes that run,
    /// boot or failed. Those leaving are beyond it.
    pub wanted: u32,
    /// The nodes that exist. What `wanted` has beyond those of them that do
    /// not leave is asked for and not yet there.
    #[serde(default)]
    pub nodes: Vec<Node>,
    /// What the provider says is wrong with the pool: a quota, no capacity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// A node of a pool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// The name that workers report too.
    pub name: String,
    /// What the provider and the roster know of it.
    pub state: NodeState,
    /// Seconds since it was asked for.
    pub age_s: f64,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Asked for; no worker has reported from it yet, even if the cluster
    /// says that the node is ready.
    Booting,
    /// A worker has reported from it.
    Running,
    /// A worker reported from it and has been silent for too long.
    Lost,
    /// It could not be provisioned.
    Failed,
    /// It is being deleted.
    Leaving,
}

/// A worker: one a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// The node it runs on.
    pub node: String,
    /// What it does.
    pub state: WorkerState,
    /// Jobs that it holds unacked.
    pub held: u32,
    /// Jobs per second that it completes while it is busy; absent until it
    /// has measured.
    #[serde(default)]
    pub jobs_per_s: Option<f64>,
    /// Seconds until what it holds is done, as far as it can tell.
    #[serde(default)]
    pub free_in_s: Option<f64>,
    /// Whether it is the leader: its node stays.
    #[serde(default)]
    pub leader: bool,
    /// Whether its machine will be taken away whatever we ask, so that it
    /// cannot be told to consume again.
    #[serde(default)]
    pub preempted: bool,
}

/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// Up, not yet consuming: its data or its device are being made ready.
    Starting,
    /// Consumes, with or without a job in hand.
    Consuming,
    /// Asked to stop consuming, from the moment it was asked; may hold jobs.
    Draining,
    /// Stopped consuming and holds nothing: its node can go.
    Drained,
    /// Its device failed a test: it takes no jobs.
    Quarantined,
}

impl<T> Part<T> {
    /// A whole part, seen at `at`.
    pub fn fresh(at: Timestamp, seen: T) -> Self {
        Self { at: Some(at), missing: Vec::new(), seen }
    }

    /// How old the part is at `now`; `None` where it was never read. A source
    /// whose clock is ahead counts as fresh.
    pub fn age(&self, now: Timestamp) -> Option<Duration> {
        self.at.map(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default())
    }
}

impl Sample {
    /// Jobs that wait or are held, over all priorities.
    #[must_use]
    pub fn backlog(&self) -> u64 {
        self.queues.seen.iter().map(|q| q.ready + q.unacked).sum()
    }
}
