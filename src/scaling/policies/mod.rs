//! Policies: how many nodes the figures ask for, before any guard.
//!
//! | policy | asks for | file |
//! |---|---|---|
//! | `drain-time` | enough that the backlog is gone in time | `drain_time.rs` |
//! | `backlog` | one node for so many jobs | `backlog.rs` |
//! | `ratio` | a step up or down, by jobs arrived against completed | `ratio.rs` |
//!
//! A policy speaks of capacity, in jobs per second: how much there should be
//! at least, and beyond how much nodes are not needed. Between the two nothing
//! has to change.

mod backlog;
mod drain_time;
mod ratio;

use super::{
    Memory,
    view::{Supply, View},
};

/// All of them, the default first.
pub const POLICIES: &[&dyn Policy] = &[&drain_time::DrainTime, &backlog::Backlog, &ratio::Ratio];

/// Says what the figures ask for.
pub trait Policy: Sync {
    /// As settings write it.
    fn name(&self) -> &'static str;

    /// One line for people.
    fn about(&self) -> &'static str;

    /// The capacity that `view` asks for if `supply` is what there is.
    fn demand(&self, view: &View, supply: &Supply, memory: &Memory) -> Demand;

    /// Notes in `memory` what the policy needs to know next time.
    fn remember(&self, _view: &View, _memory: &mut Memory) {}
}

/// Capacity asked for, in jobs per second.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// With less than this, nodes are missing.
    pub at_least: f64,
    /// Beyond this, nodes are not needed. Never below `at_least`.
    pub at_most: f64,
    /// The figures behind it, as a sentence.
    pub why: String,
}

/// The policy of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static dyn Policy> {
    POLICIES.iter().copied().find(|policy| policy.name() == name)
}

/// Times as people say them, to the second or the minute.
fn time(seconds: f64) -> String {
    match seconds {
        s if !s.is_finite() || s > 1e9 => "for ever".to_owned(),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}
