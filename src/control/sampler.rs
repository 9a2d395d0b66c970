//! Looks at the queue, the pools and the workers, and makes a sample of it.
//!
//! What cannot be read now is what was read last, with its age: a decision
//! holds on what is too old.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::{PoolCounts, roster::Roster};
use crate::{
    nodes::{self, NodeProvider, Phase},
    queue::{Gauge, Priority, QueueFigures},
    scaling::{Node, NodeState, Part, Pool, Queue, Sample},
    telemetry::message::WorkerId,
};

/// Reads the parts of a sample.
pub(super) struct Sampler {
    gauge: Arc<dyn Gauge>,
    provider: Arc<dyn NodeProvider>,
    me: Option<WorkerId>,
    /// Nothing is waited for longer.
    patience: Duration,
    /// Workers are known only after so long.
    known_from: Instant,
    queues: Part<Vec<Queue>>,
    pools: Part<Vec<Pool>>,
    /// The pools as the provider told them last.
    told: Vec<nodes::Pool>,
    /// When this process saw a machine first.
    first_seen: HashMap<String, Instant>,
}

/// A sample and what belongs to it.
pub(super) struct Sampled {
    pub sample: Sample,
    /// The pools as the provider told them last.
    pub told: Vec<nodes::Pool>,
    pub counts: Vec<PoolCounts>,
    /// What could not be read this time.
    pub faults: Vec<String>,
}

/// The moment of a sample.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub wall: Timestamp,
    pub local: Instant,
}

impl Sampler {
    pub fn new(
        gauge: Arc<dyn Gauge>,
        provider: Arc<dyn NodeProvider>,
        me: Option<WorkerId>,
        patience: Duration,
        known_from: Instant,
    ) -> Self {
        let (queues, pools) = (Part::default(), Part::default());
        Self { gauge, provider, me, patience, known_from, queues, pools, told: Vec::new(), first_seen: HashMap::new() }
    }

    /// Looks at everything.
    pub async fn sample(
        &mut self,
        roster: &std::sync::Mutex<Roster>,
        connected: bool,
        clock: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Sampled {
        let figures = timeout(self.patience, self.gauge.figures());
        let pools = timeout(self.patience, self.provider.pools());
        let (figures, pools) = tokio::join!(figures, pools);
        let now = Moment { wall: clock(), local: Instant::now() };
        let late = |what: &str| format!("{what}: no answer within {:?}", self.patience);
        let mut faults = Vec::new();
        let mut roster = super::lock(roster);
        match figures.map_err(|_| late("queue")).and_then(|figures| figures.map_err(|error| error.to_string())) {
            Ok(figures) => self.queues = queues(&figures, roster.held(now.local), now.wall),
            Err(fault) => faults.push(fault),
        }
        match pools.map_err(|_| late("nodes")).and_then(|pools| pools.map_err(|error| error.to_string())) {
            Ok(pools) => {
                self.remember(&pools, now.local);
                self.told = pools;
                self.pools = Part::fresh(now.wall, Vec::new());
            }
            Err(fault) => faults.push(fault),
        }
        // With what is known of the workers now, whenever the pools were read.
        self.pools.seen = self.told.iter().map(|pool| self.pool(pool, &roster, now)).collect();
        let nodes: BTreeSet<&str> =
            self.told.iter().flat_map(|pool| &pool.machines).filter_map(|m| m.node.as_deref()).collect();
        roster.forget(&nodes, now.local);
        let workers = Part {
            at: self.workers_at(&roster, connected, now),
            ..Part::fresh(now.wall, roster.sample(self.me.as_ref(), now.local))
        };
        let sample =
            Sample { at: now.wall, queues: self.queues.clone(), pools: self.pools.clone(), workers, paused: None };
        let counts = self.told.iter().zip(&sample.pools.seen).map(|(told, pool)| counts(told, pool)).collect();
        Sampled { sample, told: self.told.clone(), counts, faults }
    }

    /// When the workers were known: never before they had the time to be
    /// heard; when the last was heard; now, where there is none to be heard.
    fn workers_at(&self, roster: &Roster, connected: bool, now: Moment) -> Option<Timestamp> {
        if now.local < self.known_from {
            return None;
        }
        match roster.heard() {
            Some(heard) if !roster.alive(now.local).is_empty() || !connected => {
                now.wall.checked_sub(now.local.saturating_duration_since(heard)).ok()
            }
            _ if connected => Some(now.wall),
            _ => None,
        }
    }

    fn remember(&mut self, pools: &[nodes::Pool], now: Instant) {
        let ids: BTreeSet<&str> = pools.iter().flat_map(|pool| &pool.machines).map(|m| m.id.as_str()).collect();
        self.first_seen.retain(|id, _| ids.contains(id.as_str()));
        for id in ids {
            self.first_seen.entry(id.to_owned()).or_insert(now);
        }
    }

    fn pool(&self, pool: &nodes::Pool, roster: &Roster, now: Moment) -> Pool {
        let alive = roster.alive(now.local);
        let nodes = pool.machines.iter().map(|machine| {
            let name = machine.node.as_deref().unwrap_or(&machine.id);
            let state = match machine.phase {
                Phase::Leaving => NodeState::Leaving,
                Phase::Failed => NodeState::Failed,
                _ if alive.contains_key(name) => NodeState::Running,
                _ if roster.of_node(name).is_some() => NodeState::Lost,
                Phase::Booting | Phase::Running => NodeState::Booting,
            };
            Node { name: name.to_owned(), state, age_s: self.age_s(machine, now) }
        });
        let fault = pool.refused.clone().or_else(|| pool.failure.clone());
        Pool { name: pool.name.clone(), wanted: pool.wanted, nodes: nodes.collect(), fault }
    }

    /// By the provider's clock, and not less than this process has seen.
    fn age_s(&self, machine: &nodes::Machine, now: Moment) -> f64 {
        let seen =
            self.first_seen.get(&machine.id).map_or(0.0, |at| now.local.saturating_duration_since(*at).as_secs_f64());
        let told = machine.created.map_or(0.0, |at| now.wall.duration_since(at).as_secs_f64());
        seen.max(told)
    }
}

/// The figures of the queues. Where the broker does not say how many jobs are
/// held, the workers do.
fn queues(figures: &QueueFigures, held: u64, now: Timestamp) -> Part<Vec<Queue>> {
    let mut missing = Vec::new();
    let unknown_held = figures.priorities.values().all(|figures| figures.unacked.is_none());
    let queues = Priority::ALL.map(|priority| {
        let figures = figures.priorities.get(&priority).cloned().unwrap_or_default();
        let mut known = |figure: Option<u64>, name: &str| {
            figure.unwrap_or_else(|| {
                missing.push(format!("{} of priority {} is not known", name, priority.name()));
                0
            })
        };
        let by_workers = unknown_held.then_some(if priority == Priority::default() { held } else { 0 });
        Queue {
            priority: priority.name().to_owned(),
            ready: known(figures.ready, "ready"),
            unacked: known(figures.unacked.or(by_workers), "unacked"),
            arrivals_per_s: figures.publish_rate,
            completions_per_s: figures.ack_rate,
            oldest_age_s: figures.oldest.map(|age| age.as_secs_f64()),
        }
    });
    Part { missing, ..Part::fresh(now, queues.to_vec()) }
}

fn counts(told: &nodes::Pool, pool: &Pool) -> PoolCounts {
    let mut of: BTreeMap<&str, u32> = BTreeMap::new();
    for node in &pool.nodes {
        *of.entry(word(node.state)).or_default() += 1;
    }
    let count = |state| of.get(word(state)).copied().unwrap_or_default();
    PoolCounts {
        name: told.name.clone(),
        wanted: told.wanted,
        booting: count(NodeState::Booting) + told.wanted.saturating_sub(told.count()),
        running: count(NodeState::Running),
        lost: count(NodeState::Lost),
        failed: count(NodeState::Failed),
        leaving: count(NodeState::Leaving),
        fault: pool.fault.clone(),
    }
}

fn word(state: NodeState) -> &'static str {
    match state {
        NodeState::Booting => "booting",
        NodeState::Running => "running",
        NodeState::Lost => "lost",
        NodeState::Failed => "failed",
        NodeState::Leaving => "leaving",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::PriorityFigures;

    fn figures(ready: Option<u64>, unacked: Option<u64>) -> QueueFigures {
        let one = PriorityFigures { ready, unacked, ..PriorityFigures::default() };
        QueueFigures { priorities: Priority::ALL.map(|p| (p, one.clone())).into(), ..QueueFigures::default() }
    }

    #[test]
    fn what_the_broker_does_not_say_the_workers_do() {
        let part = queues(&figures(Some(5), None), 7, Timestamp::UNIX_EPOCH);
        let unacked: Vec<u64> = part.seen.iter().map(|queue| queue.unacked).collect();
        assert_eq!((part.missing, unacked), (vec![], vec![0, 7]));
    }

    #[test]
    fn what_nobody_says_is_missing_not_zero() {
        let mut some = figures(Some(5), Some(1));
        some.priorities.remove(&Priority::High);
        let part = queues(&some, 7, Timestamp::UNIX_EPOCH);
        assert_eq!(part.missing, ["ready of priority high is not known", "unacked of priority high is not known"]);
    }
}
