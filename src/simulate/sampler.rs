//! What a leader would see of the simulated world.

use jiff::{SignedDuration, Timestamp};

use super::world::{Life, Node, World};
use crate::scaling::{self, NodeState, Part, Queue, Sample, Worker, WorkerState};

/// Takes samples, and remembers the last counts for rates.
#[derive(Debug, Default)]
pub struct Sampler {
    before: Option<(f64, u64, u64)>,
}

impl Sampler {
    /// What is to be seen now.
    pub fn sample(&mut self, world: &World) -> Sample {
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs_f64(world.now);
        let (arrived, completed) = (world.meters.arrived, world.meters.completed);
        let rates = self.before.filter(|(at, ..)| world.now > *at).map(|(at, arrived_then, completed_then)| {
            let per_s = |now: u64, then: u64| (now - then) as f64 / (world.now - at);
            (per_s(arrived, arrived_then), per_s(completed, completed_then))
        });
        self.before = Some((world.now, arrived, completed));
        let existing = || world.nodes.iter().filter(|node| node.life != Life::Gone);
        let queue = Queue {
            priority: "normal".to_owned(),
            ready: world.queue.len() as u64,
            unacked: existing().map(|node| node.held() as u64).sum(),
            arrivals_per_s: rates.map(|(arrivals, _)| arrivals),
            completions_per_s: rates.map(|(_, completions)| completions),
            oldest_age_s: world.oldest_age_s(),
        };
        Sample {
            at: now,
            queues: Part::fresh(now, vec![queue]),
            pools: Part::fresh(now, (0..world.pools.len()).map(|pool| pool_of(world, pool)).collect()),
            workers: Part::fresh(now, existing().filter(|n| n.is_up()).map(|n| worker(world, n)).collect()),
            paused: None,
        }
    }
}

fn pool_of(world: &World, pool: usize) -> scaling::Pool {
    let node = |node: &Node| scaling::Node {
        name: node.name.clone(),
        state: match node.life {
            Life::Booting => NodeState::Booting,
            Life::Failed => NodeState::Failed,
            Life::Consuming | Life::Draining | Life::Gone => NodeState::Running,
        },
        age_s: world.now - node.asked_at,
    };
    let failed = world.nodes_of(pool).any(|node| node.life == Life::Failed);
    scaling::Pool {
        name: world.pools[pool].name.clone(),
        wanted: world.pools[pool].wanted,
        nodes: world.nodes_of(pool).map(node).collect(),
        fault: failed.then(|| "quota exceeded".to_owned()),
    }
}

fn worker(world: &World, node: &Node) -> Worker {
    let slots = f64::from(world.pools[node.pool].truth.slots);
    let begun = node.running.iter().filter_map(|job| world.jobs[*job].started);
    // As long as a job usually takes from the one begun last.
    let free_in_s = begun.fold(None, |last: Option<f64>, begun| Some(last.map_or(begun, |last| last.max(begun))));
    let usual = node.measured_s.unwrap_or(0.0);
    Worker {
        node: node.name.clone(),
        state: match node.life {
            Life::Draining if node.held() == 0 => WorkerState::Drained,
            Life::Draining => WorkerState::Draining,
            _ => WorkerState::Consuming,
        },
        held: u32::try_from(node.held()).unwrap_or(u32::MAX),
        jobs_per_s: node.measured_s.map(|takes| slots / takes),
        free_in_s: free_in_s.map(|begun| (begun + usual - world.now).max(0.0)),
        leader: node.name == leader(world),
        preempted: false,
    }
}

/// The oldest worker leads.
fn leader<'a>(world: &'a World) -> &'a str {
    world.nodes.iter().find(|node| node.is_up()).map_or("", |node| node.name.as_str())
}
