//! One sample put in order: nodes and workers joined by name, capacities,
//! smoothed figures.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;

use super::{
    Memory, Node, NodeState, PoolMemory, Sample, Settings, Worker, WorkerState,
    schedule::{Bounds, bounds, in_force},
    settings,
};

/// What policies and guards look at. Speeds are jobs per second.
#[derive(Debug, Clone)]
pub struct View<'a> {
    pub settings: &'a Settings,
    /// The decision's instant.
    pub now: Timestamp,
    /// Seconds since the last decision; none where there was none.
    pub since_last_s: f64,
    /// In the order of the settings.
    pub pools: Vec<PoolView<'a>>,
    /// Jobs that wait.
    pub ready: f64,
    /// Jobs that wait or are held.
    pub backlog: f64,
    /// The same, as counted.
    pub jobs: u64,
    /// Jobs arriving per second, as last measured.
    pub arriving_per_s: f64,
    /// The same, smoothed.
    pub arrivals: Arrivals,
    /// Jobs completed per second, as last measured; absent where unknown.
    pub completions_per_s: Option<f64>,
    /// Seconds since the job that waits longest was submitted.
    pub oldest_age_s: f64,
    /// Capacity of workers on nodes of no pool.
    pub outside: f64,
    /// Whether any speed is known. If not, every node counts as one job per
    /// second, and only numbers of nodes mean anything.
    pub speed_known: bool,
}

/// Jobs arriving per second, smoothed.
#[derive(Debug, Clone, Copy)]
pub struct Arrivals {
    /// Over the time that the settings give.
    pub slowly: f64,
    /// Over a fifth of it.
    pub quickly: f64,
}

/// Capacity over time, in jobs per second.
#[derive(Debug, Clone)]
pub struct Supply {
    /// At work now.
    pub working: f64,
    /// On its way: in how many seconds, and how much.
    pub arriving: Vec<(f64, f64)>,
}

/// One pool.
#[derive(Debug, Clone)]
pub struct PoolView<'a> {
    pub settings: &'a settings::Pool,
    pub bounds: Bounds<'a>,
    /// Jobs per second of a node, smoothed; as measured or, before that, as
    /// well as can be known.
    pub speed: f64,
    /// Whether that speed was measured in this pool, now or before.
    pub measured: Option<f64>,
    /// The provider's quantity.
    pub wanted: u32,
    /// What the provider says is wrong.
    pub fault: Option<&'a str>,
    /// Nodes asked for that do not exist yet.
    pub unborn: u32,
    /// Those of them that are no longer asked for: the pool fails.
    pub given_up: u32,
    /// Most nodes that may work or boot, less than the maximum where the pool
    /// is passed over.
    pub room: u32,
    /// Those that exist and do not leave.
    pub nodes: Vec<NodeView<'a>>,
}

/// A node that counts towards its pool's quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView<'a> {
    pub name: &'a str,
    pub life: Life,
    pub age_s: f64,
    pub held: u32,
    /// Seconds until it holds nothing, as far as known.
    pub free_in_s: f64,
    pub leader: bool,
}

/// What a node is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// Works, or will as soon as there is something.
    Working,
    /// On its way.
    Booting,
    /// On its way out, and can be called back.
    Draining,
    /// On its way out, holds nothing, and can be called back.
    Drained,
    /// There, but of no use: lost, quarantined or about to be taken away.
    Useless,
    /// Could not be provisioned.
    Failed,
}

impl<'a> View<'a> {
    /// Orders `sample`. Pools that the settings do not name are left out.
    pub fn new(settings: &'a Settings, sample: &'a Sample, memory: &Memory) -> Self {
        let mut workers: HashMap<&str, &Worker> =
            sample.workers.seen.iter().map(|worker| (worker.node.as_str(), worker)).collect();
        let since_last_s = memory.at.map_or(0.0, |at| seconds(sample.at.duration_since(at)).max(0.0));
        let fresh = weight(since_last_s, settings.smoothing.as_secs_f64());
        let schedules = in_force(settings, sample.at);
        let mut pools: Vec<PoolView> = settings
            .pools
            .iter()
            .map(|pool| {
                let bounds = bounds(pool, &schedules);
                PoolView::new(pool, bounds, sample, &mut workers, memory.pools.get(&pool.name), fresh)
            })
            .collect();
        let speed_known = fill_in_speeds(&mut pools);
        let mean = mean(pools.iter().map(|pool| pool.speed)).unwrap_or(1.0);
        let outside = workers
            .values()
            .filter(|worker| life_of_worker(worker) == Life::Working)
            .map(|worker| worker.jobs_per_s.filter(|_| speed_known).unwrap_or(mean))
            .sum();
        let backlog = sample.backlog();
        let completions_per_s = total(sample.queues.seen.iter().map(|queue| queue.completions_per_s));
        let arriving = total(sample.queues.seen.iter().map(|queue| queue.arrivals_per_s)).unwrap_or_else(|| {
            let grown = if since_last_s > 0.0 { (backlog as f64 - memory.backlog as f64) / since_last_s } else { 0.0 };
            (grown + completions_per_s.unwrap_or(0.0)).max(0.0)
        });
        Self {
            settings,
            now: sample.at,
            since_last_s,
            pools,
            ready: sample.queues.seen.iter().map(|queue| queue.ready).sum::<u64>() as f64,
            backlog: backlog as f64,
            jobs: backlog,
            arriving_per_s: arriving,
            arrivals: Arrivals::new(settings, memory, since_last_s, arriving),
            completions_per_s,
            oldest_age_s: sample.queues.seen.iter().filter_map(|q| q.oldest_age_s).fold(0.0, f64::max),
            outside,
            speed_known,
        }
    }

    /// Jobs per second of all nodes that work or boot.
    pub fn capacity(&self) -> f64 {
        self.capacity_of(self.pools.iter().map(PoolView::standing))
    }

    /// Jobs per second of so many nodes in each pool.
    pub fn capacity_of(&self, nodes: impl Iterator<Item = u32>) -> f64 {
        self.outside + self.pools.iter().zip(nodes).map(|(pool, nodes)| f64::from(nodes) * pool.speed).sum::<f64>()
    }

    /// What works now and what is on its way.
    pub fn supply(&self) -> Supply {
        let working = self.pools.iter().map(|pool| pool.in_life(Life::Working));
        let arriving = self.pools.iter().flat_map(|pool| pool.arriving_in_s().map(|in_s| (in_s, pool.speed)));
        Supply { working: self.capacity_of(working), arriving: arriving.collect() }
    }

    /// Nodes that work or boot.
    pub fn standing(&self) -> u32 {
        self.pools.iter().map(PoolView::standing).sum()
    }

    /// Jobs per second of a node, over all pools by their number of nodes.
    pub fn speed(&self) -> f64 {
        let nodes = self.standing();
        if nodes == 0 {
            return mean(self.pools.iter().map(|pool| pool.speed)).unwrap_or(1.0);
        }
        (self.capacity() - self.outside) / f64::from(nodes)
    }

    /// The shortest boot of the pools that have room, in seconds; of any pool
    /// where none has.
    pub fn boot_s(&self) -> f64 {
        let boot = |pool: &PoolView| pool.settings.boot.as_secs_f64();
        let least = |pools: &mut dyn Iterator<Item = f64>| pools.reduce(f64::min);
        least(&mut self.pools.iter().filter(|pool| pool.standing() < pool.room).map(boot))
            .or_else(|| least(&mut self.pools.iter().map(boot)))
            .unwrap_or(0.0)
    }
}

impl Arrivals {
    fn new(settings: &Settings, memory: &Memory, since_last_s: f64, arriving: f64) -> Self {
        let smooth = |before: Option<f64>, over_s: f64| {
            before.map_or(arriving, |before| before + weight(since_last_s, over_s) * (arriving - before))
        };
        let over_s = settings.smoothing.as_secs_f64();
        Self {
            slowly: smooth(memory.arrivals_per_s, over_s),
            quickly: smooth(memory.arrivals_lately_per_s, over_s / 5.0),
        }
    }

    /// What can be reckoned with for a while: a burst is no trend yet, and
    /// what has ended is none any more.
    pub fn surely(&self) -> f64 {
        self.slowly.min(self.quickly)
    }

    /// What may go on: all that has not clearly ended.
    pub fn perhaps(&self) -> f64 {
        if self.quickly < self.slowly / 10.0 { self.quickly } else { self.slowly }
    }
}

impl Supply {
    /// All of it, once it is there.
    pub fn total(&self) -> f64 {
        self.working + self.arriving.iter().map(|(_, speed)| speed).sum::<f64>()
    }

    /// Jobs that can be done within so many seconds.
    pub fn jobs_within(&self, horizon_s: f64) -> f64 {
        let arriving = self.arriving.iter().map(|(in_s, speed)| (horizon_s - in_s).max(0.0) * speed);
        self.working * horizon_s + arriving.sum::<f64>()
    }

    /// The same without `capacity` of what works.
    pub fn without(&self, capacity: f64) -> Self {
        Self { working: (self.working - capacity).max(0.0), arriving: self.arriving.clone() }
    }
}

impl<'a> PoolView<'a> {
    fn new(
        pool: &'a settings::Pool,
        bounds: Bounds<'a>,
        sample: &'a Sample,
        workers: &mut HashMap<&str, &Worker>,
        memory: Option<&PoolMemory>,
        fresh: f64,
    ) -> Self {
        let seen = sample.pools.seen.iter().find(|seen| seen.name == pool.name);
        let (wanted, nodes, fault) =
            seen.map_or((0, &[][..], None), |seen| (seen.wanted, &seen.nodes[..], seen.fault.as_deref()));
        let mut speeds = Vec::new();
        let nodes: Vec<NodeView> = nodes
            .iter()
            .filter_map(|node| {
                let worker = workers.remove(node.name.as_str());
                speeds.extend(worker.and_then(|worker| worker.jobs_per_s).filter(|speed| *speed > 0.0));
                NodeView::new(node, worker)
            })
            .collect();
        let before = memory.and_then(|pool| pool.jobs_per_s);
        let measured = match (mean(speeds.into_iter()), before) {
            (Some(now), Some(before)) => Some(before + fresh * (now - before)),
            (now, before) => now.or(before),
        };
        let mut view = Self {
            settings: pool,
            bounds,
            speed: measured.or(pool.jobs_per_s).unwrap_or(0.0),
            measured,
            wanted,
            fault,
            unborn: wanted.saturating_sub(count(nodes.len())),
            given_up: 0,
            room: 0,
            nodes,
        };
        view.room = view.bounds.maximum.saturating_sub(view.in_life(Life::Useless));
        view
    }

    /// Nodes that work or boot.
    pub fn standing(&self) -> u32 {
        self.unborn + self.in_life(Life::Working) + self.in_life(Life::Booting)
    }

    /// Nodes in this state.
    pub fn in_life(&self, life: Life) -> u32 {
        count(self.nodes.iter().filter(|node| node.life == life).count())
    }

    /// Seconds until each node on its way will work.
    pub fn arriving_in_s(&self) -> impl Iterator<Item = f64> {
        let boot = self.settings.boot.as_secs_f64();
        // One that is late may come at any time, or never: soon is a fair
        // guess while it is not given up.
        let late = boot / 4.0;
        self.nodes
            .iter()
            .filter(|node| node.life == Life::Booting)
            .map(move |node| if node.age_s < boot { boot - node.age_s } else { late })
            .chain((0..self.unborn).map(move |_| boot))
    }

    /// Whether a boot has taken longer than `within`.
    pub fn overdue(&self, within: Duration) -> u32 {
        count(self.nodes.iter().filter(|n| n.life == Life::Booting && n.age_s > within.as_secs_f64()).count())
    }
}

impl<'a> NodeView<'a> {
    /// `None` for a node that is being deleted.
    fn new(node: &'a Node, worker: Option<&Worker>) -> Option<Self> {
        let life = match (node.state, worker) {
            (NodeState::Leaving, _) => return None,
            (NodeState::Failed, _) => Life::Failed,
            (_, Some(worker)) => life_of_worker(worker),
            (NodeState::Booting, None) => Life::Booting,
            (NodeState::Running | NodeState::Lost, None) => Life::Useless,
        };
        let held = worker.map_or(0, |worker| worker.held);
        // Busy for an unknown time comes after busy for a known one.
        let free_in_s = worker.and_then(|w| w.free_in_s).unwrap_or(if held == 0 { 0.0 } else { f64::MAX });
        let leader = worker.is_some_and(|worker| worker.leader);
        Some(Self { name: &node.name, life, age_s: node.age_s, held, free_in_s, leader })
    }
}

fn life_of_worker(worker: &Worker) -> Life {
    match worker.state {
        _ if worker.preempted => Life::Useless,
        WorkerState::Starting | WorkerState::Consuming => Life::Working,
        WorkerState::Draining => Life::Draining,
        WorkerState::Drained if worker.held > 0 => Life::Draining,
        WorkerState::Drained => Life::Drained,
        WorkerState::Quarantined => Life::Useless,
    }
}

/// A pool without a speed takes the mean of the others. Returns whether any
/// is known; where none is, all become 1.
fn fill_in_speeds(pools: &mut [PoolView]) -> bool {
    let known = mean(pools.iter().map(|pool| pool.speed).filter(|speed| *speed > 0.0));
    for pool in pools.iter_mut().filter(|pool| pool.speed <= 0.0) {
        pool.speed = known.unwrap_or(1.0);
    }
    known.is_some()
}

/// The weight of a new figure after so long, against one smoothed over so
/// long.
fn weight(since_s: f64, over_s: f64) -> f64 {
    1.0 - (-since_s / over_s.max(1e-3)).exp()
}

/// The sum of what is known; `None` where nothing is.
fn total(figures: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    figures.flatten().fold(None, |sum, figure| Some(sum.unwrap_or(0.0) + figure))
}

fn mean(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = figures.fold((0.0, 0.0), |(sum, n), figure| (sum + figure, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

/// Signed, in seconds.
pub fn seconds(duration: jiff::SignedDuration) -> f64 {
    duration.as_secs_f64()
}

/// A number of nodes, capped at what can be asked for.
pub fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
