//! What is to be done, and why.

use std::fmt;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One decision. Acting on it twice is acting on it once: quantities are
/// absolute, nodes are named.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The sample's instant.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Which policy spoke.
    pub policy: String,
    /// What came out, as a word.
    pub outcome: Outcome,
    /// The same as a sentence.
    pub reason: String,
    /// Nodes over all pools that the policy asked for, before the guards;
    /// absent where it was not asked.
    pub asked: Option<u32>,
    /// What each pool is to come to, in the order of the settings.
    pub pools: Vec<PoolDecision>,
    /// Where a guard changed what the policy asked for, in the order applied.
    pub held_back: Vec<HeldBack>,
}

/// What one pool is to come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolDecision {
    /// Which.
    pub name: String,
    /// The quantity asked of the provider until now.
    pub wanted: u32,
    /// Nodes that are to stay in the end, once those of `drain` have gone.
    pub goal: u32,
    /// The quantity that the provider is to hold now: the goal where the pool
    /// grows, `wanted` less `remove` where it shrinks. Never below the nodes
    /// that hold unacked jobs.
    pub target: u32,
    /// Nodes whose workers are to stop consuming, first to go first. A worker
    /// that drains and is not named here is to consume again.
    pub drain: Vec<String>,
    /// Nodes to be deleted now, by name: drained ones, boots that nobody
    /// needs any more, failed ones.
    pub remove: Vec<String>,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// More nodes are asked for.
    Grow,
    /// Fewer nodes are to stay.
    Shrink,
    /// All is as it should be.
    Steady,
    /// A change was due, and a guard put it off.
    HeldBack,
    /// Scaling is paused.
    Paused,
    /// The sample is too old or lacks a part: nothing is touched.
    Blind,
}

/// A guard's change to what was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HeldBack {
    /// Which guard.
    pub guard: Guard,
    /// Of which pool; absent where it is of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// Nodes before.
    pub from: u32,
    /// Nodes after.
    pub to: u32,
    /// In words.
    pub why: String,
}

/// What can change a policy's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// Paused by configuration or command.
    Pause,
    /// A part of the sample is too old or was never read.
    Stale,
    /// A part of the sample is incomplete.
    Partial,
    /// The smallest number of nodes.
    Minimum,
    /// The largest number of nodes.
    Maximum,
    /// The change is too small to be worth it.
    Tolerance,
    /// The demand has not lasted.
    Stabilisation,
    /// Too soon after the last change.
    Cooldown,
    /// With fewer nodes the policy would ask for more again.
    ScaleOutRule,
    /// More nodes at once than allowed.
    Step,
    /// A pool fails to provision.
    Backoff,
    /// Nodes that hold unacked jobs.
    Unacked,
    /// The leader's own node.
    Leader,
}

impl Decision {
    /// Nodes over all pools that are to stay.
    #[must_use]
    pub fn goal(&self) -> u32 {
        self.pools.iter().map(|p| p.goal).sum()
    }

    /// The pool of that name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&PoolDecision> {
        self.pools.iter().find(|p| p.name == name)
    }
}

impl PoolDecision {
    /// Whether there is anything to do at the provider.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.target != self.wanted || !self.remove.is_empty()
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "pause",
            Self::Stale => "stale",
            Self::Partial => "partial",
            Self::Minimum => "minimum",
            Self::Maximum => "maximum",
            Self::Tolerance => "tolerance",
            Self::Stabilisation => "stabilisation",
            Self::Cooldown => "cooldown",
            Self::ScaleOutRule => "scale-out rule",
            Self::Step => "step",
            Self::Backoff => "backoff",
            Self::Unacked => "unacked",
            Self::Leader => "leader",
        })
    }
}
