//! Short ways to say what a cluster looks like.

use jiff::Timestamp;

use crate::scaling::{
    Decision, Memory, Node, NodeState, Part, Pool, Queue, Sample, Settings, Worker, WorkerState, decide, settings,
};

/// So many seconds after an arbitrary start.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// One pool, `gpu`, of 2 to 20 nodes that do a job in 10 s and boot in 8
/// minutes.
pub fn settings() -> Settings {
    Settings { pools: vec![pool("gpu", 2, 20)], ..Settings::default() }
}

/// A pool of nodes that do a job in 10 s.
pub fn pool(name: &str, minimum: u32, maximum: u32) -> settings::Pool {
    settings::Pool {
        name: name.to_owned(),
        minimum,
        maximum,
        price: 1.0,
        jobs_per_s: Some(0.1),
        boot: std::time::Duration::from_mins(8),
    }
}

/// A cluster, put together step by step.
#[derive(Debug, Clone)]
pub struct Cluster(pub Sample);

impl Cluster {
    /// At so many seconds, with an empty queue.
    pub fn new(seconds: i64) -> Self {
        let now = at(seconds);
        Self(Sample {
            at: now,
            queues: Part::fresh(now, vec![Queue { priority: "normal".to_owned(), ..Queue::default() }]),
            pools: Part::fresh(now, Vec::new()),
            workers: Part::fresh(now, Vec::new()),
            paused: None,
        })
    }

    /// Jobs that wait; those held are the workers'.
    pub fn ready(mut self, jobs: u64) -> Self {
        self.0.queues.seen[0].ready = jobs;
        self
    }

    /// Jobs arriving and completed a second.
    pub fn rates(mut self, arrivals: f64, completions: f64) -> Self {
        self.0.queues.seen[0].arrivals_per_s = Some(arrivals);
        self.0.queues.seen[0].completions_per_s = Some(completions);
        self
    }

    /// `n` nodes of `pool` whose workers are in `state`, holding `held` each.
    pub fn workers(mut self, pool: &str, n: u32, state: WorkerState, held: u32) -> Self {
        for _ in 0..n {
            let node = self.node(pool, NodeState::Running, 3600.0);
            self.0.queues.seen[0].unacked += u64::from(held);
            let worker =
                Worker { node, state, held, jobs_per_s: None, free_in_s: None, leader: false, preempted: false };
            self.0.workers.seen.push(worker);
        }
        self
    }

    /// `n` nodes of `pool` in `state`, of that age, without a worker.
    pub fn nodes(mut self, pool: &str, n: u32, state: NodeState, age_s: f64) -> Self {
        for _ in 0..n {
            self.node(pool, state, age_s);
        }
        self
    }

    /// The quantity of `pool`, beyond what its nodes make it.
    pub fn wanted(mut self, pool: &str, wanted: u32) -> Self {
        self.pool(pool).wanted = wanted;
        self
    }

    pub fn pool(&mut self, name: &str) -> &mut Pool {
        let pools = &mut self.0.pools.seen;
        let index = pools.iter().position(|pool| pool.name == name).unwrap_or_else(|| {
            pools.push(Pool { name: name.to_owned(), ..Pool::default() });
            pools.len() - 1
        });
        &mut pools[index]
    }

    fn node(&mut self, pool: &str, state: NodeState, age_s: f64) -> String {
        let pool = self.pool(pool);
        let name = format!("{}-{}", pool.name, pool.nodes.len() + 1);
        pool.nodes.push(Node { name: name.clone(), state, age_s });
        pool.wanted += u32::from(state != NodeState::Leaving);
        name
    }

    /// Decides with `settings` and a memory in which this has been so for an
    /// hour.
    pub fn settled(&self, settings: &Settings) -> Decision {
        self.after_an_hour(settings).0
    }

    /// The same, with what is remembered then.
    pub fn after_an_hour(&self, settings: &Settings) -> (Decision, Memory) {
        let mut memory = Memory::default();
        for seconds in (0..=3600).rev().step_by(60).filter(|seconds| *seconds > 0) {
            memory = decide(settings, &self.shifted(-seconds).0, memory).1;
        }
        memory.grew_at = None;
        decide(settings, &self.0, memory)
    }

    /// The same picture at another time.
    pub fn shifted(&self, seconds: i64) -> Self {
        let shift = jiff::SignedDuration::from_secs(seconds);
        let mut sample = self.0.clone();
        sample.at += shift;
        for part in [&mut sample.queues.at, &mut sample.pools.at, &mut sample.workers.at] {
            *part = part.map(|at| at + shift);
        }
        Self(sample)
    }
}
