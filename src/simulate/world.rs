//! A queue, nodes and workers in virtual time, event by event.
//!
//! Jobs wait in one queue, first in, first out. A worker holds one job more
//! than it has slots, as with a prefetch of slots + 1, and consumers are served
//! in turn. A node is paid for from the moment it is asked for until it is
//! gone.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use super::{
    Arrival,
    scenario::{Nodes, Scenario},
};
use crate::scaling::settings;

/// Seconds after which a node that the quota does not allow has failed, and
/// after which it is tried again.
const QUOTA_FAILS_AFTER_S: f64 = 60.0;

/// Everything there is.
#[derive(Debug)]
pub struct World<'a> {
    pub scenario: &'a Scenario,
    /// Seconds since the start.
    pub now: f64,
    pub jobs: Vec<Job>,
    /// Jobs that wait, by index.
    pub queue: VecDeque<usize>,
    pub nodes: Vec<Node>,
    pub pools: Vec<Pool>,
    pub meters: Meters,
    /// Consumers with room for another job, the next to be served first.
    turn: VecDeque<usize>,
    events: BinaryHeap<Reverse<(Instant, u64, Event)>>,
    scheduled: u64,
}

/// A job.
#[derive(Debug, Clone)]
pub struct Job {
    pub arrived: f64,
    pub size: f64,
    /// When the attempt began that counts.
    pub started: Option<f64>,
    pub finished: Option<f64>,
    /// Attempts that were cut off.
    pub interrupted: u32,
}

/// A pool of nodes.
#[derive(Debug)]
pub struct Pool {
    pub name: String,
    pub wanted: u32,
    pub price: f64,
    pub jobs_per_s: f64,
    pub truth: Nodes,
    /// Of boots: an own stream, so that what one contender asks for does not
    /// change the boots of the next one.
    rng: fastrand::Rng,
    seed: u64,
    /// Nodes that were there from the start.
    initial: u32,
    born: u32,
}

/// A node with its worker.
#[derive(Debug)]
pub struct Node {
    pub pool: usize,
    pub name: String,
    pub asked_at: f64,
    /// How long it took to boot, or will.
    pub boot_s: f64,
    pub life: Life,
    pub gone_at: Option<f64>,
    /// Jobs in its slots.
    pub running: Vec<usize>,
    /// Jobs that it holds besides.
    pub holding: VecDeque<usize>,
    /// Seconds that a job takes in a slot, as measured.
    pub measured_s: Option<f64>,
    in_turn: bool,
    /// Beyond the quota.
    refused: bool,
}

/// Where a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    Booting,
    Failed,
    Consuming,
    Draining,
    Gone,
}

/// Sums over time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Meters {
    pub arrived: u64,
    pub completed: u64,
    pub interrupted: u32,
    /// Slot seconds of workers that were up while jobs waited.
    pub slot_s: f64,
    /// Those of them in which a job ran.
    pub busy_s: f64,
    slots: u32,
    busy: u32,
}

/// Microseconds since the start: ordered, unlike floats.
type Instant = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrival(usize),
    /// Of a job's attempt on a node.
    Finish {
        node: usize,
        job: usize,
        attempt: u32,
    },
    Boot(usize),
}

impl<'a> World<'a> {
    /// With each pool's minimum up and consuming.
    pub fn new(scenario: &'a Scenario, pools: &[settings::Pool], arrivals: &[Arrival]) -> Self {
        let pools = pools.iter().enumerate().map(|(index, pool)| Pool::new(scenario, pool, index)).collect();
        let jobs = arrivals.iter().map(|arrival| Job {
            arrived: arrival.at_s,
            size: arrival.size,
            started: None,
            finished: None,
            interrupted: 0,
        });
        let mut world = Self {
            scenario,
            now: 0.0,
            jobs: jobs.collect(),
            queue: VecDeque::new(),
            nodes: Vec::new(),
            pools,
            meters: Meters::default(),
            turn: VecDeque::new(),
            events: BinaryHeap::new(),
            scheduled: 0,
        };
        for (index, arrival) in arrivals.iter().enumerate() {
            world.schedule(arrival.at_s, Event::Arrival(index));
        }
        world
    }

    /// Lets time pass until `until`, in seconds.
    pub fn run_until(&mut self, until: f64) {
        while let Some(Reverse((at, _, event))) = self.events.peek().copied() {
            if at > micros(until) {
                break;
            }
            self.events.pop();
            self.advance(at as f64 / 1e6);
            match event {
                Event::Arrival(job) => {
                    self.meters.arrived += 1;
                    self.queue.push_back(job);
                    self.serve();
                }
                Event::Finish { node, job, attempt } => self.finish(node, job, attempt),
                Event::Boot(node) => self.boot(node),
            }
        }
        self.advance(until);
    }

    fn advance(&mut self, to: f64) {
        let dt = (to - self.now).max(0.0);
        if !self.queue.is_empty() {
            self.meters.slot_s += f64::from(self.meters.slots) * dt;
            self.meters.busy_s += f64::from(self.meters.busy) * dt;
        }
        self.now = to;
    }

    fn schedule(&mut self, at: f64, event: Event) {
        self.scheduled += 1;
        self.events.push(Reverse((micros(at), self.scheduled, event)));
    }

    /// Hands out jobs while anyone has room.
    fn serve(&mut self) {
        while !self.queue.is_empty()
            && let Some(index) = self.turn.pop_front()
        {
            self.nodes[index].in_turn = false;
            if !self.has_room(index) {
                continue;
            }
            let Some(job) = self.queue.pop_front() else { return };
            if self.nodes[index].running.len() < self.slots(index) as usize {
                self.start(index, job);
            } else {
                self.nodes[index].holding.push_back(job);
            }
            self.wait_for_turn(index);
        }
    }

    fn has_room(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        node.life == Life::Consuming && node.held() <= self.slots(index) as usize
    }

    fn wait_for_turn(&mut self, index: usize) {
        if self.has_room(index) && !self.nodes[index].in_turn {
            self.nodes[index].in_turn = true;
            self.turn.push_back(index);
        }
    }

    fn slots(&self, index: usize) -> u32 {
        self.pools[self.nodes[index].pool].truth.slots
    }

    fn start(&mut self, index: usize, job: usize) {
        let pool = &self.pools[self.nodes[index].pool];
        let takes = self.jobs[job].size * f64::from(pool.truth.slots) / pool.jobs_per_s;
        self.jobs[job].started = Some(self.now);
        self.nodes[index].running.push(job);
        self.meters.busy += 1;
        let attempt = self.jobs[job].interrupted;
        self.schedule(self.now + takes, Event::Finish { node: index, job, attempt });
    }

    fn finish(&mut self, index: usize, job: usize, attempt: u32) {
        let node = &mut self.nodes[index];
        if self.jobs[job].interrupted != attempt || !node.running.contains(&job) {
            return; // That attempt was cut off.
        }
        node.running.retain(|running| *running != job);
        self.meters.busy -= 1;
        self.meters.completed += 1;
        self.jobs[job].finished = Some(self.now);
        let took = self.now - self.jobs[job].started.unwrap_or(self.now);
        node.measured_s = Some(node.measured_s.map_or(took, |before| before + 0.1 * (took - before)));
        if let Some(next) = node.holding.pop_front() {
            self.start(index, next);
        }
        self.wait_for_turn(index);
        self.serve();
    }

    /// Asks for one more node of `pool`.
    pub fn add_node(&mut self, pool: usize) {
        let allowed = self.scenario.quota(&self.pools[pool].name, self.now);
        let there = self.nodes_of(pool).filter(|node| node.life != Life::Failed).count();
        let in_pool = &mut self.pools[pool];
        in_pool.born += 1;
        let boot_s = in_pool.truth.boot_s(&mut in_pool.rng);
        let name = format!("{}-{:04}", in_pool.name, in_pool.born);
        let index = self.nodes.len();
        self.nodes.push(Node::new(pool, name, self.now, boot_s));
        let fails = there >= allowed as usize;
        self.schedule(self.now + if fails { QUOTA_FAILS_AFTER_S } else { boot_s }, Event::Boot(index));
        self.nodes[index].refused = fails;
    }

    /// A node comes up, or is found to be beyond the quota; then it is tried
    /// again and again, as the provider does.
    fn boot(&mut self, index: usize) {
        let (life, pool, refused) = (self.nodes[index].life, self.nodes[index].pool, self.nodes[index].refused);
        match life {
            Life::Booting if !refused => {
                self.nodes[index].life = Life::Consuming;
                self.meters.slots += self.slots(index);
                self.wait_for_turn(index);
                self.serve();
            }
            Life::Booting | Life::Failed => {
                let there = self.nodes_of(pool).filter(|node| node.life != Life::Failed && !node.refused).count();
                let allowed = there < self.scenario.quota(&self.pools[pool].name, self.now) as usize;
                self.nodes[index].life = if allowed { Life::Booting } else { Life::Failed };
                self.nodes[index].refused = !allowed;
                let wait = if allowed { self.nodes[index].boot_s } else { QUOTA_FAILS_AFTER_S };
                self.schedule(self.now + wait, Event::Boot(index));
            }
            Life::Consuming | Life::Draining | Life::Gone => {}
        }
    }

    /// Asks the worker of a node to stop consuming, or to consume again. What
    /// it has not begun goes back to the head of the queue.
    pub fn set_draining(&mut self, index: usize, draining: bool) {
        let node = &mut self.nodes[index];
        match (node.life, draining) {
            (Life::Consuming, true) => {
                node.life = Life::Draining;
                let unbegun: Vec<usize> = node.holding.drain(..).collect();
                self.requeue(&unbegun);
            }
            (Life::Draining, false) => {
                node.life = Life::Consuming;
                self.wait_for_turn(index);
            }
            _ => return,
        }
        self.serve();
    }

    /// Deletes a node, whatever it does.
    pub fn remove(&mut self, index: usize) {
        let slots = self.slots(index);
        let node = &mut self.nodes[index];
        if node.life == Life::Gone {
            return;
        }
        if matches!(node.life, Life::Consuming | Life::Draining) {
            self.meters.slots -= slots;
        }
        node.life = Life::Gone;
        node.gone_at = Some(self.now);
        let cut_off = std::mem::take(&mut node.running);
        let unbegun = std::mem::take(&mut node.holding);
        self.meters.busy -= u32::try_from(cut_off.len()).unwrap_or(0);
        for job in &cut_off {
            self.jobs[*job].interrupted += 1;
            self.jobs[*job].started = None;
            self.meters.interrupted += 1;
        }
        let held: Vec<usize> = cut_off.into_iter().chain(unbegun).collect();
        self.requeue(&held);
        self.serve();
    }

    fn requeue(&mut self, jobs: &[usize]) {
        for job in jobs.iter().rev() {
            self.queue.push_front(*job);
        }
    }

    /// The nodes of `pool` that exist.
    pub fn nodes_of(&self, pool: usize) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(move |node| node.pool == pool && node.life != Life::Gone)
    }

    /// The same, by index.
    pub fn indices_of(&self, pool: usize) -> Vec<usize> {
        let of_pool = |index: &usize| self.nodes[*index].pool == pool && self.nodes[*index].life != Life::Gone;
        (0..self.nodes.len()).filter(of_pool).collect()
    }

    /// Seconds since the job at the head arrived.
    pub fn oldest_age_s(&self) -> Option<f64> {
        self.queue.front().map(|job| self.now - self.jobs[*job].arrived)
    }

    /// Makes the initial nodes consume at once.
    pub fn start_with(&mut self, pool: usize, nodes: u32) {
        for _ in 0..nodes {
            self.add_node(pool);
            let index = self.nodes.len() - 1;
            self.nodes[index].boot_s = 0.0;
            self.nodes[index].refused = false;
            self.boot(index);
        }
        self.pools[pool].wanted = nodes;
        self.pools[pool].initial = nodes;
    }
}

impl Pool {
    fn new(scenario: &Scenario, pool: &settings::Pool, index: usize) -> Self {
        let truth = scenario.nodes_of(pool);
        let seed = scenario.seed.wrapping_mul(1_000_003).wrapping_add(index as u64);
        Self {
            name: pool.name.clone(),
            wanted: 0,
            price: pool.price,
            jobs_per_s: truth.jobs_per_s.or(pool.jobs_per_s).unwrap_or(1.0),
            truth,
            rng: fastrand::Rng::with_seed(seed),
            seed,
            initial: 0,
            born: 0,
        }
    }

    /// How long the nodes take to boot, in seconds, in the order in which they
    /// are asked for, whoever asks.
    pub fn boots(&self) -> impl Iterator<Item = f64> {
        let mut rng = fastrand::Rng::with_seed(self.seed);
        std::iter::repeat_with(move || self.truth.boot_s(&mut rng)).skip(self.initial as usize)
    }
}

impl Node {
    fn new(pool: usize, name: String, asked_at: f64, boot_s: f64) -> Self {
        Self {
            pool,
            name,
            asked_at,
            boot_s,
            life: Life::Booting,
            gone_at: None,
            running: Vec::new(),
            holding: VecDeque::new(),
            measured_s: None,
            in_turn: false,
            refused: false,
        }
    }

    /// Jobs that it holds unacked.
    pub fn held(&self) -> usize {
        self.running.len() + self.holding.len()
    }

    /// Whether its worker is up.
    pub fn is_up(&self) -> bool {
        matches!(self.life, Life::Consuming | Life::Draining)
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "never negative, far below 2^64")]
fn micros(seconds: f64) -> Instant {
    (seconds * 1e6).round() as u64
}
