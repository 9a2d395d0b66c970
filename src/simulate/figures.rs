//! What a run came to, in figures.

use super::{
    TICK_S,
    clairvoyant::Task,
    world::{Job, Node, Pool, World},
};
use crate::scaling::settings;

/// What is reported of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// From the first arrival to every node that the maximum allows at work,
    /// in seconds; absent where it did not come to that.
    pub to_maximum_s: Option<f64>,
    /// The longest boot among those nodes, in seconds.
    pub slowest_boot_s: f64,
    /// From the last job done to the minimum, in seconds; absent where jobs
    /// were left or the minimum was not reached.
    pub to_minimum_s: Option<f64>,
    /// From a job's arrival to the start of the attempt that completed it, in
    /// seconds: median, 95th of a hundred, longest.
    pub wait_s: [f64; 3],
    /// Paid, boots included.
    pub node_hours: f64,
    /// The same by the pools' prices.
    pub cost: f64,
    /// The least cost for the same completions; absent where pools' speeds are
    /// no multiples of each other.
    pub least_cost: Option<f64>,
    /// The part of the slots that were busy while jobs waited.
    pub utilisation: Option<f64>,
    /// Attempts cut off by a deletion.
    pub interrupted: u32,
    /// Changes of a pool's quantity.
    pub actions: u32,
    /// Jobs not completed by the end.
    pub unfinished: usize,
}

/// One tick of a run, for the picture.
#[derive(Debug, Clone, Copy, Default)]
pub struct Moment {
    /// Seconds since the start.
    pub at_s: f64,
    /// Jobs waiting or held.
    pub backlog: usize,
    /// Nodes that the provider is asked for.
    pub wanted: u32,
    /// Nodes whose workers are up.
    pub up: u32,
    /// How long the job at the head has waited, in seconds.
    pub oldest_s: f64,
}

impl Figures {
    /// Of a world at its end, after these moments.
    pub fn of(world: &World, pools: &[settings::Pool], moments: &[Moment]) -> Self {
        let maximum: u32 = pools.iter().map(|pool| pool.maximum).sum();
        let minimum: u32 = pools.iter().map(|pool| pool.minimum).sum();
        let first = world.jobs.first().map_or(0.0, |job| job.arrived);
        let full = moments.iter().find(|moment| moment.up >= maximum && moment.at_s >= first);
        let last = world.jobs.iter().filter_map(|job| job.finished).fold(0.0, f64::max);
        let unfinished = world.jobs.iter().filter(|job| job.finished.is_none()).count();
        let least = moments.iter().find(|moment| moment.at_s >= last && moment.wanted <= minimum);
        let by_price = |price: &dyn Fn(&Node) -> f64| {
            world.nodes.iter().map(|node| node.paid_s(world.now) / 3600.0 * price(node)).sum::<f64>()
        };
        Self {
            to_maximum_s: full.map(|moment| moment.at_s - first),
            slowest_boot_s: full.map_or(0.0, |full| slowest_boot(world, full.at_s)),
            to_minimum_s: least.filter(|_| unfinished == 0).map(|moment| moment.at_s - last),
            wait_s: waits(world),
            node_hours: by_price(&|_| 1.0),
            cost: by_price(&|node| world.pools[node.pool].price),
            least_cost: least_cost(world, pools),
            utilisation: (world.meters.slot_s > 0.0).then(|| world.meters.busy_s / world.meters.slot_s),
            interrupted: world.meters.interrupted,
            actions: u32::try_from(moments.windows(2).filter(|pair| pair[0].wanted != pair[1].wanted).count())
                .unwrap_or(u32::MAX),
            unfinished,
        }
    }
}

impl Node {
    /// Seconds that are paid for by `end`.
    fn paid_s(&self, end: f64) -> f64 {
        self.gone_at.unwrap_or(end) - self.asked_at
    }
}

/// The slowest boot of the nodes that were up at `at_s`.
fn slowest_boot(world: &World, at_s: f64) -> f64 {
    let there = |node: &&Node| node.asked_at + node.boot_s <= at_s && node.gone_at.is_none_or(|gone| gone > at_s);
    world.nodes.iter().filter(there).map(|node| node.boot_s).fold(0.0, f64::max)
}

fn waits(world: &World) -> [f64; 3] {
    let done = world.jobs.iter().filter(|job| job.finished.is_some());
    let mut waits: Vec<f64> = done.filter_map(|job| Some(job.started? - job.arrived)).collect();
    waits.sort_by(f64::total_cmp);
    // The nearest rank.
    let rank = |part: f64| (part * waits.len() as f64).ceil().max(1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small and positive")]
    let at = |part: f64| waits.get(rank(part) as usize - 1).copied().unwrap_or(0.0);
    [at(0.5), at(0.95), at(1.0)]
}

/// The clairvoyant's cost. Several pools count as one of the slowest node, of
/// which faster ones are a whole multiple, at the lowest price for its work
/// and the quickest boot: nobody has it better than that.
fn least_cost(world: &World, pools: &[settings::Pool]) -> Option<f64> {
    let slowest = world.pools.iter().map(|pool| pool.jobs_per_s).fold(f64::INFINITY, f64::min);
    let multiples: Vec<f64> = world.pools.iter().map(|pool| pool.jobs_per_s / slowest).collect();
    if multiples.iter().any(|multiple| (multiple - multiple.round()).abs() > 1e-9) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few nodes")]
    let nodes = |figure: fn(&settings::Pool) -> u32| {
        pools.iter().zip(&multiples).map(|(pool, multiple)| figure(pool) * multiple.round() as u32).sum::<u32>()
    };
    let prices = world.pools.iter().zip(&multiples).map(|(pool, multiple)| pool.price / multiple);
    let price = prices.fold(f64::INFINITY, f64::min);
    let (minimum, maximum) = (nodes(|pool| pool.minimum), nodes(|pool| pool.maximum));
    let arrived = work_by_tick(world, slowest, f64::ceil, |job| Some(job.arrived));
    let due = work_by_tick(world, slowest, f64::floor, |job| job.finished);
    // Nobody starts more nodes than all of them anew in every tick.
    let boot = boot_ticks(world, arrived.len() * (maximum - minimum).max(1) as usize);
    let task = Task { arrived, due, minimum, maximum, boot };
    Some(task.least()? as f64 * TICK_S / 3600.0 * price)
}

/// Node-ticks of work by the end of each tick, summed up.
fn work_by_tick(world: &World, jobs_per_s: f64, round: fn(f64) -> f64, when: impl Fn(&Job) -> Option<f64>) -> Vec<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ticks and work are small")]
    let whole = |figure: f64| figure as u64;
    let ticks = whole((world.now / TICK_S).ceil());
    let mut work = vec![0.0; usize::try_from(ticks).unwrap_or(0)];
    for job in &world.jobs {
        // At the end of a tick is in it.
        let tick = when(job).map(|at| whole((at / TICK_S).ceil().max(1.0)) - 1);
        if let Some(in_tick) = tick.and_then(|tick| work.get_mut(usize::try_from(tick).ok()?)) {
            *in_tick += job.size / jobs_per_s / TICK_S;
        }
    }
    let summed = work.iter().scan(0.0, |sum, work| {
        *sum += work;
        Some(whole(round(*sum)))
    });
    summed.collect()
}

/// What a boot costs at least, in whole ticks, however many nodes are asked
/// for: boots come in the order drawn, so any number of them takes no less
/// than that many times the smallest mean of the first ones.
fn boot_ticks(world: &World, starts: usize) -> u32 {
    let least_of = |pool: &Pool| {
        let means = pool.boots().take(starts).scan((0.0, 0.0), |(sum, number), boot| {
            (*sum, *number) = (*sum + boot, *number + 1.0);
            Some(*sum / *number)
        });
        means.fold(f64::INFINITY, f64::min)
    };
    let least = world.pools.iter().map(least_of).fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    let ticks = (least / TICK_S).floor() as u32;
    ticks
}
