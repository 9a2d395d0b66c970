//! Who decides in a simulation.
//!
//! | name | who |
//! |---|---|
//! | `drain-time`, `backlog`, `ratio` | `decide` with that policy, its guards and its drains |
//! | `ratio-quantity` | the ratio of jobs every window, carried out by setting the pool's quantity: no drain, and the node with the highest name goes |
//! | `keda-hpa` | the rules of KEDA with a `HorizontalPodAutoscaler` on a deployment of nodes |

use std::collections::BTreeMap;

use super::{
    TICK_S, sampler,
    world::{Life, Node, World},
};
use crate::scaling::{Decision, Memory, Settings, decide};

/// The names, and what they stand for in the table.
pub const CONTENDERS: &[(&str, &str)] = &[
    ("drain-time", "nodes for the time in which the backlog shall be gone; drains before it deletes"),
    ("backlog", "a node for so many jobs; drains before it deletes"),
    ("ratio", "a step each window by jobs arrived against completed; drains before it deletes"),
    ("ratio-quantity", "the same by setting the quantity: the highest name goes, whatever it runs"),
    ("keda-hpa", "the rules of KEDA and HPA; 30 s of grace, then the pod is killed"),
];

/// Looks at the world and acts on it, once a tick.
pub trait Contender {
    /// One tick.
    fn step(&mut self, world: &mut World);
}

/// The contender of that name under `settings`.
#[must_use]
pub fn contender(name: &str, settings: &Settings) -> Option<Box<dyn Contender>> {
    let mut settings = settings.clone();
    match name {
        "drain-time" | "backlog" | "ratio" => {
            name.clone_into(&mut settings.policy);
            Some(Box::new(Decider { sampler: sampler::Sampler::default(), settings, memory: Memory::default() }))
        }
        "ratio-quantity" => Some(Box::new(RatioQuantity::new(settings))),
        "keda-hpa" => Some(Box::new(KedaHpa::new(&settings))),
        _ => None,
    }
}

/// The project's own decisions.
struct Decider {
    sampler: sampler::Sampler,
    settings: Settings,
    memory: Memory,
}

impl Contender for Decider {
    fn step(&mut self, world: &mut World) {
        let sample = self.sampler.sample(world);
        let (decision, memory) = decide(&self.settings, &sample, std::mem::take(&mut self.memory));
        self.memory = memory;
        carry_out(world, &decision);
    }
}

/// Does what a decision says.
fn carry_out(world: &mut World, decision: &Decision) {
    for (pool, decided) in decision.pools.iter().enumerate() {
        let by_name: BTreeMap<String, usize> =
            world.indices_of(pool).into_iter().map(|index| (world.nodes[index].name.clone(), index)).collect();
        for (name, index) in &by_name {
            world.set_draining(*index, decided.drain.contains(name));
        }
        for name in &decided.remove {
            if let Some(index) = by_name.get(name) {
                world.remove(*index);
            }
        }
        world.pools[pool].wanted = decided.target;
        let there = u32::try_from(world.nodes_of(pool).count()).unwrap_or(u32::MAX);
        (there..decided.target).for_each(|_| world.add_node(pool));
    }
}

/// Steps by jobs arrived against completed, at the end of every window, on the
/// first pool.
struct RatioQuantity {
    settings: Settings,
    next_s: f64,
    before: (u64, u64),
}

impl RatioQuantity {
    fn new(settings: Settings) -> Self {
        let next_s = settings.ratio.window.as_secs_f64();
        Self { settings, next_s, before: (0, 0) }
    }
}

impl Contender for RatioQuantity {
    fn step(&mut self, world: &mut World) {
        if world.now < self.next_s {
            return;
        }
        self.next_s += self.settings.ratio.window.as_secs_f64();
        let (pool, ratio) = (&self.settings.pools[0], &self.settings.ratio);
        let (arrived, completed) = (world.meters.arrived - self.before.0, world.meters.completed - self.before.1);
        self.before = (world.meters.arrived, world.meters.completed);
        let step = ratio.step.unwrap_or_else(|| (pool.maximum - pool.minimum).div_ceil(3)).max(1);
        let wanted = world.pools[0].wanted;
        let quotient = if arrived == 0 { 0.0 } else { arrived as f64 / completed as f64 };
        let next = if quotient > ratio.above {
            wanted + step
        } else if quotient < ratio.below {
            wanted.saturating_sub(step)
        } else {
            wanted
        };
        set_quantity(world, next.clamp(pool.minimum, pool.maximum));
    }
}

/// Sets the quantity of the first pool: the highest names go first.
fn set_quantity(world: &mut World, wanted: u32) {
    world.pools[0].wanted = wanted;
    let mut there = world.indices_of(0);
    there.sort_by(|a, b| world.nodes[*a].name.cmp(&world.nodes[*b].name));
    for index in there.drain(there.len().min(wanted as usize)..) {
        world.remove(index);
    }
    (u32::try_from(there.len()).unwrap_or(u32::MAX)..wanted).for_each(|_| world.add_node(0));
}

/// KEDA's scaler for a queue's length, polled every 30 s, with an HPA: desired
/// replicas are jobs (ready and unacked) over jobs a node, 10 % of tolerance;
/// upwards at once, at most doubling or 4 more every 15 s; downwards the
/// largest demand of 300 s. A pod that has to go stops consuming and is killed
/// 30 s later: booting ones first, then the youngest.
struct KedaHpa {
    jobs_per_node: f64,
    minimum: u32,
    maximum: u32,
    next_s: f64,
    demands: Vec<(f64, u32)>,
    /// Nodes on their way out, and until when they may finish.
    terminating: Vec<(f64, usize)>,
}

/// Seconds between two of KEDA's polls.
const POLL_S: f64 = 30.0;
/// HPA's window for scaling down, in seconds.
const DOWN_WINDOW_S: f64 = 300.0;
/// HPA's tolerance.
const TOLERANCE: f64 = 0.1;
/// A pod's grace when it is deleted, in seconds.
const GRACE_S: f64 = 30.0;

impl KedaHpa {
    fn new(settings: &Settings) -> Self {
        let pool = &settings.pools[0];
        Self {
            jobs_per_node: settings.backlog.jobs_per_node,
            // An HPA does not go to zero.
            minimum: pool.minimum.max(1),
            maximum: pool.maximum,
            next_s: 0.0,
            demands: Vec::new(),
            terminating: Vec::new(),
        }
    }

    fn desired(&self, world: &World) -> u32 {
        let current = world.pools[0].wanted;
        let held: usize = world.nodes_of(0).map(Node::held).sum();
        let ratio = (world.queue.len() + held) as f64 / self.jobs_per_node;
        if current > 0 && (ratio / f64::from(current) - 1.0).abs() <= TOLERANCE {
            return current;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates as meant")]
        let desired = ratio.ceil() as u32;
        desired.clamp(self.minimum, self.maximum)
    }
}

impl Contender for KedaHpa {
    fn step(&mut self, world: &mut World) {
        let now = world.now;
        for (_, index) in self.terminating.extract_if(.., |(until, _)| *until <= now) {
            world.remove(index);
        }
        if now < self.next_s {
            return;
        }
        self.next_s += POLL_S;
        let (current, desired) = (world.pools[0].wanted, self.desired(world));
        self.demands.retain(|(at, _)| now - at < DOWN_WINDOW_S);
        self.demands.push((now, desired));
        // Two periods of 15 s between polls.
        let quickest = (0..2).fold(current, |nodes, _| (nodes * 2).max(nodes + 4));
        let lasting = self.demands.iter().map(|(_, demand)| *demand).max().unwrap_or(desired);
        let next = if desired > current { desired.min(quickest) } else { current.min(lasting) };
        world.pools[0].wanted = next;
        (current..next).for_each(|_| world.add_node(0));
        let mut there = world.indices_of(0);
        there.retain(|index| !self.terminating.iter().any(|(_, going)| going == index));
        there.sort_by(|a, b| {
            let (a, b) = (&world.nodes[*a], &world.nodes[*b]);
            a.is_up().cmp(&b.is_up()).then(b.asked_at.total_cmp(&a.asked_at))
        });
        for index in there.into_iter().take(current.saturating_sub(next) as usize) {
            world.set_draining(index, true);
            let grace = if world.nodes[index].life == Life::Draining { GRACE_S.max(TICK_S) } else { 0.0 };
            self.terminating.push((now + grace, index));
        }
    }
}
