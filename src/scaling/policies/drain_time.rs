//! `drain-time`: enough nodes that no job waits much longer than allowed, and
//! none of them idle.
//!
//! Nodes asked for now are there one boot later. What counts is the backlog
//! that they will find then: the jobs in the queue and those that arrive until
//! then, less what the nodes at work, and those on their way from when they are
//! there, will have done. It is to be gone within half of the time that the
//! oldest job has left; the other half is for what nobody can foresee.
//!
//! ```text
//! left      backlog + arrivals · boot − jobs done within a boot
//! allowed   (within − age of the oldest job) / 2, at least within / 8
//! at least  left / allowed, and then no less than the arrivals
//! at most   arrivals − one node + backlog / let_go_below, at least that
//! ```
//!
//! So nodes come in one step for a spike, and one by one for demand that
//! rises. They stay while there is work for them and go when what is left
//! takes less than `let_go_below`, or gives each no job. One node less than
//! the arrivals take may stay: the backlog then grows so slowly that the node
//! costs less when it is asked for again than idling meanwhile.

use super::{Demand, Memory, Policy, Supply, View, time};

/// See the module.
pub struct DrainTime;

/// Below this, nothing is left: rates fade out, they do not end.
const ONE_JOB: f64 = 1.0;

impl Policy for DrainTime {
    fn name(&self) -> &'static str {
        "drain-time"
    }

    fn about(&self) -> &'static str {
        "enough nodes that no job waits longer than allowed, and none idle"
    }

    fn demand(&self, view: &View, supply: &Supply, _: &Memory) -> Demand {
        if !view.speed_known {
            return first_node(view, supply);
        }
        let settings = &view.settings.drain_time;
        let (boot, total) = (view.boot_s(), supply.total());
        let within = settings.within.as_secs_f64().max(1.0);
        let allowed = ((within - view.oldest_age_s) / 2.0).max(within / 8.0);
        let left = view.backlog + view.arrivals.surely() * boot - supply.jobs_within(boot);
        let left = if left < ONE_JOB { 0.0 } else { left };
        let needed = left / allowed;
        let at_least = if needed > total { needed.max(view.arrivals.surely()) } else { needed };
        // No more nodes than jobs are of use, and none for the last moments.
        let for_backlog = view.backlog * view.speed().min(1.0 / settings.let_go_below.as_secs_f64().max(1.0));
        let for_arrivals = (view.arrivals.perhaps() - view.speed()).max(0.0);
        let at_most = (for_arrivals + for_backlog).max(at_least);
        Demand { at_least, at_most, why: why(view, supply, boot, left, allowed) }
    }
}

fn why(view: &View, supply: &Supply, boot: f64, left: f64, allowed: f64) -> String {
    let arriving = view.arrivals.surely();
    if view.backlog == 0.0 && left == 0.0 {
        return format!("no job is left, {arriving:.2} arrive a second");
    }
    let finds = format!(
        "{} jobs, {arriving:.2} more a second; in {}, when a new node would be there, {left:.0} are left",
        view.backlog,
        time(boot)
    );
    if left == 0.0 {
        return finds;
    }
    format!("{finds} and take {} of {} allowed", time(left / supply.total()), time(allowed))
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
