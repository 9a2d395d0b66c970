//! What one decision leaves to the next. Bounded, and empty is a good start:
//! a new leader only waits longer before it shrinks anything.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is remembered between decisions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Memory {
    /// When the last sample that could be judged was taken.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Jobs arriving per second, smoothed.
    pub arrivals_per_s: Option<f64>,
    /// The same over a fifth of the time.
    pub arrivals_lately_per_s: Option<f64>,
    /// Jobs that waited or were held at `at`.
    pub backlog: u64,
    /// What was asked for within the longest stabilisation window, oldest
    /// first.
    pub asked: VecDeque<Asked>,
    /// The last decision that grew.
    #[schemars(with = "Option<String>")]
    pub grew_at: Option<Timestamp>,
    /// Of each pool in the settings.
    pub pools: BTreeMap<String, PoolMemory>,
    /// The window that `ratio` counts in.
    pub window: Option<Window>,
}

/// A demand as the policy had it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Asked {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Jobs per second that the nodes should reach at least.
    pub at_least: f64,
    /// Jobs per second beyond which nodes are not needed.
    pub at_most: f64,
}

/// What is remembered of a pool.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PoolMemory {
    /// Jobs per second of a busy node, smoothed.
    pub jobs_per_s: Option<f64>,
    /// Until when the pool is passed over.
    #[schemars(with = "Option<String>")]
    pub passed_over_until: Option<Timestamp>,
    /// Failures one after another, without a boot that went well.
    pub failures: u32,
    /// Whether a node has been asked for again since the last failure.
    pub tried_again: bool,
}

/// A window in which arrived and completed jobs are counted.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// When it began.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Jobs arrived in it.
    pub arrived: f64,
    /// Jobs completed in it.
    pub completed: f64,
    /// Nodes that the window before it came to; absent in the first.
    pub nodes: Option<u32>,
}
