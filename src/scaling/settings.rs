//! How scaling is set up. Every entry but the pools has a default.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::duration;

/// The section `scaling` of the configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// By name, one of `POLICIES`.
    pub policy: String,
    /// Seconds between two decisions.
    #[serde(with = "duration")]
    pub interval: Duration,
    /// Parts of a sample older than this hold.
    #[serde(with = "duration")]
    pub stale_after: Duration,
    /// Nothing is scaled while true.
    pub paused: bool,
    /// Arrivals and speeds are averaged over about this long.
    #[serde(with = "duration")]
    pub smoothing: Duration,
    /// Of the policy `drain-time`.
    pub drain_time: DrainTime,
    /// Of the policy `backlog`.
    pub backlog: Backlog,
    /// Of the policy `ratio`.
    pub ratio: Ratio,
    /// What holds every policy back.
    pub guards: Guards,
    /// Where nodes come from, at least one.
    pub pools: Vec<Pool>,
    /// Other minima and maxima at certain hours; of several in force at once
    /// the last one counts.
    pub schedules: Vec<Schedule>,
}

/// Enough nodes that no job waits longer than allowed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DrainTime {
    /// How long a job may wait.
    #[serde(with = "duration")]
    pub within: Duration,
    /// Nodes are let go only once what is left takes those that stay no
    /// longer than this. Longer is cheaper, and the last jobs wait longer.
    #[serde(with = "duration")]
    pub let_go_below: Duration,
}

/// One node for so many jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backlog {
    /// Jobs in the queue, waiting or held, for which one node is asked.
    pub jobs_per_node: f64,
}

/// Steps by jobs arrived against jobs completed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ratio {
    /// Jobs are counted over windows of this length, and each window ends
    /// with one decision.
    #[serde(with = "duration")]
    pub window: Duration,
    /// Arrived over completed above this adds a step.
    pub above: f64,
    /// Arrived over completed below this takes a step away.
    pub below: f64,
    /// Nodes a step; absent: a third of the way from minimum to maximum, so
    /// that three windows go all the way.
    pub step: Option<u32>,
    /// Takes nothing away while more jobs wait than the nodes can hold.
    pub keep_while_backlog: bool,
}

/// What holds every policy back. The minimum and maximum are the pools'.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Guards {
    /// Changes smaller than this part of the capacity wait, 0 to 1.
    pub tolerance: f64,
    /// Most nodes added by one decision; absent: any number.
    pub step_out: Option<u32>,
    /// Most nodes let go by one decision; absent: any number.
    pub step_in: Option<u32>,
    /// Growing takes the smallest demand within this time.
    #[serde(with = "duration")]
    pub stabilise_out: Duration,
    /// Shrinking takes the largest demand within this time.
    #[serde(with = "duration")]
    pub stabilise_in: Duration,
    /// Between two decisions that grow.
    #[serde(with = "duration")]
    pub cooldown_out: Duration,
    /// After a decision that grew, before one that shrinks.
    #[serde(with = "duration")]
    pub cooldown_in: Duration,
    /// A boot that takes longer counts as failed.
    #[serde(with = "duration")]
    pub provision_within: Duration,
    /// How long a pool that fails is passed over, the first time. Each time
    /// after that it is twice as long.
    #[serde(with = "duration")]
    pub backoff: Duration,
    /// The longest that a pool is passed over.
    #[serde(with = "duration")]
    pub backoff_most: Duration,
}

/// A pool of equal nodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// As the provider knows it.
    pub name: String,
    /// Fewest nodes.
    pub minimum: u32,
    /// Most nodes.
    pub maximum: u32,
    /// What a node costs an hour, in any currency, the same for all pools.
    #[serde(default = "one")]
    pub price: f64,
    /// Jobs per second of a busy node, until one has been measured.
    #[serde(default)]
    pub jobs_per_s: Option<f64>,
    /// From asking for a node to its worker's first report.
    #[serde(default = "usual_boot", with = "duration")]
    pub boot: Duration,
}

/// Another minimum or maximum while it is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// For the reason given with a decision.
    pub name: String,
    /// Of which pool; absent: of every pool.
    #[serde(default)]
    pub pool: Option<String>,
    /// When it begins, as cron has it: minute, hour, day, month, weekday.
    pub start: String,
    /// When it ends, likewise.
    pub end: String,
    /// Of the clock that cron means, by its IANA name.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// Fewest nodes meanwhile.
    #[serde(default)]
    pub minimum: Option<u32>,
    /// Most nodes meanwhile.
    #[serde(default)]
    pub maximum: Option<u32>,
}

const fn one() -> f64 {
    1.0
}

const fn usual_boot() -> Duration {
    Duration::from_mins(8)
}

fn utc() -> String {
    "UTC".to_owned()
}

const fn minutes(n: u64) -> Duration {
    Duration::from_mins(n)
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            policy: "drain-time".to_owned(),
            interval: Duration::from_secs(10),
            stale_after: Duration::from_secs(45),
            paused: false,
            smoothing: minutes(5),
            drain_time: DrainTime::default(),
            backlog: Backlog::default(),
            ratio: Ratio::default(),
            guards: Guards::default(),
            pools: Vec::new(),
            schedules: Vec::new(),
        }
    }
}

impl Default for DrainTime {
    fn default() -> Self {
        Self { within: minutes(20), let_go_below: minutes(6) }
    }
}

impl Default for Backlog {
    fn default() -> Self {
        Self { jobs_per_node: 100.0 }
    }
}

impl Default for Ratio {
    fn default() -> Self {
        Self { window: minutes(10), above: 1.1, below: 0.9, step: None, keep_while_backlog: true }
    }
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            tolerance: 0.05,
            step_out: None,
            step_in: None,
            stabilise_out: Duration::ZERO,
            stabilise_in: minutes(2),
            cooldown_out: Duration::ZERO,
            cooldown_in: minutes(3),
            provision_within: minutes(20),
            backoff: minutes(5),
            backoff_most: minutes(30),
        }
    }
}
