//! `drain-time`: enough nodes that the backlog is gone within a stated time.
//!
//! Jobs to do within the horizon H are those in the queue and those that will
//! arrive. Nodes at work do s jobs per second each, those that boot as many
//! from when they are there. What is missing is made up by new nodes, which
//! have H less one boot for it:
//!
//! ```text
//! at least  capacity + (backlog + λ H − jobs done within H) / (H − boot)
//! at most   max(λ / utilisation, backlog / let_go_below, at least)
//! ```
//!
//! H is the time allowed, less the age of the oldest job: it has waited that
//! long already. It is never less than two boots, for nothing asked for now
//! helps earlier than one.
//!
//! Nodes that are there stay while there is work: the same backlog takes many
//! nodes as many node-hours as few, and many are done sooner. They go when
//! what is left takes less than `let_go_below`, or gives each no job.

use super::{Demand, Memory, Policy, Supply, View, time};

/// See the module.
pub struct DrainTime;

impl Policy for DrainTime {
    fn name(&self) -> &'static str {
        "drain-time"
    }

    fn about(&self) -> &'static str {
        "enough nodes that the backlog is gone in time"
    }

    fn demand(&self, view: &View, supply: &Supply, _: &Memory) -> Demand {
        if !view.speed_known {
            return first_node(view, supply);
        }
        let settings = &view.settings.drain_time;
        let arriving = view.arrivals_per_s;
        let boot = view.boot_s();
        let allowed = settings.within.as_secs_f64();
        let horizon = (allowed - view.oldest_age_s).max(2.0 * boot).max(1.0);
        let jobs = view.backlog + arriving * horizon;
        let missing = jobs - supply.jobs_within(horizon);
        let at_least = if missing > 0.0 {
            supply.total() + missing / (horizon - boot)
        } else {
            (jobs / horizon).min(supply.total())
        };
        // No more nodes than jobs are of use, and none for the last moments.
        let for_backlog = view.backlog * view.speed().min(1.0 / settings.let_go_below.as_secs_f64().max(1.0));
        let at_most = (arriving / settings.utilisation).max(for_backlog).max(at_least);
        let takes = if supply.total() > arriving { view.backlog / (supply.total() - arriving) } else { f64::INFINITY };
        let why = if view.backlog == 0.0 {
            format!("no job is left, {arriving:.2} a second arrive")
        } else {
            format!(
                "{} jobs, and {arriving:.2} more a second, take what is there and booting {} of the {} allowed",
                view.backlog,
                if missing > 0.0 && takes <= horizon { time(horizon) + " and more" } else { time(takes) },
                time(horizon)
            )
        };
        Demand { at_least, at_most, why }
    }
}

/// Without any speed: one node to learn it from, as soon as there is a job.
fn first_node(view: &View, supply: &Supply) -> Demand {
    let one = if view.backlog > 0.0 { 1.0 } else { 0.0 };
    Demand {
        at_least: one,
        at_most: supply.total().max(one),
        why: format!("{} jobs, and no node has told its speed yet", view.backlog),
    }
}
