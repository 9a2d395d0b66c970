//! Messages of control on the telemetry exchange: what the leader saw, decided
//! and did, and the orders to pause and to go on.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    scaling::{Decision, Queue},
    telemetry::message::Said,
};

/// The topics of all of them.
pub const TOPICS: &str = "scaling.*";

/// One round of the leader.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Who leads.
    pub leader: String,
    /// What decides who leads: `kubernetes`, `broker` or `none`.
    pub election: String,
    /// Where nodes come from: `rancher-v1`, `rancher-v3` or `dry-run`.
    pub provider: String,
    /// The sample's instant.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The jobs' queues, one a priority.
    pub queues: Vec<Queue>,
    /// The pools, counted.
    pub pools: Vec<PoolCounts>,
    /// The workers that were heard, counted.
    pub workers: WorkerCounts,
    /// Who paused scaling and why, where it is paused by command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// When the order was given that holds: to pause, or to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub ordered_at: Option<Timestamp>,
    /// What is to be done, and why.
    pub decision: Decision,
    /// What was done of it.
    pub acts: Vec<Act>,
    /// What could not be read.
    pub faults: Vec<String>,
}

/// A pool in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolCounts {
    /// As in the settings.
    pub name: String,
    /// Nodes that the provider is asked for.
    pub wanted: u32,
    /// Nodes from which no worker has reported yet.
    pub booting: u32,
    /// Nodes with a worker.
    pub running: u32,
    /// Nodes whose worker fell silent.
    pub lost: u32,
    /// Nodes that could not be provisioned.
    pub failed: u32,
    /// Nodes being deleted.
    pub leaving: u32,
    /// What the provider says is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The workers in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerCounts {
    /// Getting ready.
    pub starting: u32,
    /// Taking jobs, and holding some.
    pub busy: u32,
    /// Taking jobs, and holding none.
    pub idle: u32,
    /// Taking no more jobs, and finishing those they hold.
    pub draining: u32,
    /// Holding nothing, and taking nothing.
    pub drained: u32,
    /// Not to be trusted.
    pub quarantined: u32,
    /// Flights a second of all together, while busy.
    pub flights_per_s: f64,
}

/// Something done at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// Of which pool.
    pub pool: String,
    /// What: `scale 3 to 5`, `remove gpu-2`.
    pub what: String,
    /// Why it was not done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// An order to whoever leads, now or later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// Who pauses and why; absent to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
    /// When this was said.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
}

impl Report {
    /// Its topic.
    pub const TOPIC: &str = "scaling.report";
}

impl Order {
    /// Its topic.
    pub const TOPIC: &str = "scaling.order";
}

impl Said for Report {
    const KIND: &'static str = "skydose.scaling";

    fn topic(&self) -> String {
        Self::TOPIC.to_owned()
    }
}

impl Said for Order {
    const KIND: &'static str = "skydose.scaling-order";

    fn topic(&self) -> String {
        Self::TOPIC.to_owned()
    }
}
