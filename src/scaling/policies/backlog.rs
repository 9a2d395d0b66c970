//! `backlog`: one node for so many jobs in the queue, waiting or held.
//!
//! Simple to foresee, and blind to speed: where jobs take longer, waits do.

use super::{Demand, Memory, Policy, Supply, View};

/// See the module.
pub struct Backlog;

impl Policy for Backlog {
    fn name(&self) -> &'static str {
        "backlog"
    }

    fn about(&self) -> &'static str {
        "one node for so many jobs in the queue"
    }

    fn demand(&self, view: &View, _: &Supply, _: &Memory) -> Demand {
        let per_node = view.settings.backlog.jobs_per_node;
        let nodes = view.backlog / per_node;
        let capacity = nodes * view.speed();
        let why = format!("{} jobs at {per_node} a node", view.backlog);
        Demand { at_least: capacity, at_most: capacity, why }
    }
}
