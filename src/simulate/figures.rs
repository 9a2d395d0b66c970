//! What a run came to, in figures.

use super::{
    TICK_S,
    clairvoyant::{Tariff, Task},
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

/// The clairvoyant's cost. Nodes are counted in those of the slowest pool, of
/// which faster ones are a whole multiple.
fn least_cost(world: &World, pools: &[settings::Pool]) -> Option<f64> {
    let slowest = world.pools.iter().map(|pool| pool.jobs_per_s).fold(f64::INFINITY, f64::min);
    let offers: Vec<Offer> = world
        .pools
        .iter()
        .zip(pools)
        .map(|(pool, settings)| Offer::of(pool, settings, slowest))
        .collect::<Option<_>>()?;
    let arrived = work_by_tick(world, slowest, f64::ceil, |job| Some(job.arrived));
    let due = work_by_tick(world, slowest, f64::floor, |job| job.finished);
    let ticks = arrived.len();
    // Nobody starts more nodes than all of them anew in every tick.
    let starts = ticks * offers.iter().map(|offer| offer.multiple * offer.maximum as usize).sum::<usize>().max(1);
    // The tariffs' money: the cheapest tick is so much of it.
    let cheapest = offers.iter().map(|offer| offer.price).fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded down, in its favour")]
    let money = |cost: f64| (cost / cheapest * 1000.0) as u64;
    let boots = offers.iter().map(|offer| money(boot_ticks(offer.pool, starts) * offer.price));
    let task = Task {
        minimum: offers.iter().map(Offer::standing).sum(),
        tariffs: tariffs(world, &offers, money),
        boot: boots.min()?,
        arrived,
        due,
    };
    let stays = offers.iter().map(|offer| f64::from(offer.standing()) * offer.price).sum::<f64>() * ticks as f64;
    Some((task.least()? as f64 / 1000.0 * cheapest + stays) * TICK_S / 3600.0)
}

/// What a pool has for the clairvoyant.
struct Offer<'a> {
    pool: &'a Pool,
    /// In nodes of the slowest pool.
    multiple: usize,
    /// Nodes of the pool itself.
    minimum: u32,
    maximum: u32,
    /// Of as much as a node of the slowest pool does, for an hour.
    price: f64,
}

impl<'a> Offer<'a> {
    /// None where a node is no whole multiple of the slowest one.
    fn of(pool: &'a Pool, settings: &settings::Pool, slowest: f64) -> Option<Self> {
        let multiple = pool.jobs_per_s / slowest;
        if (multiple - multiple.round()).abs() > 1e-9 {
            return None;
        }
        let price = pool.price / multiple.round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few nodes")]
        let multiple = multiple.round() as usize;
        Some(Self { pool, multiple, minimum: settings.minimum, maximum: settings.maximum, price })
    }

    /// Of the slowest pool's nodes, those that are paid throughout.
    fn standing(&self) -> u32 {
        self.minimum * u32::try_from(self.multiple).unwrap_or(u32::MAX)
    }
}

/// What nodes cost beyond those that stay: the cheapest that the maxima allow
/// first and, while one holds, the quotas. A quota tells what there can be
/// only where it holds from the start: nodes that were there before stay.
fn tariffs(world: &World, offers: &[Offer], money: impl Fn(f64) -> u64) -> Vec<Tariff> {
    let quotas: Vec<(&str, u32, f64)> = world
        .scenario
        .quotas
        .iter()
        .filter(|quota| quota.from.is_zero())
        .map(|quota| (quota.pool.as_str(), quota.most, quota.until.as_secs_f64()))
        .collect();
    let mut changes: Vec<f64> = quotas.iter().map(|quota| quota.2).chain([0.0]).collect();
    changes.sort_by(f64::total_cmp);
    let mut by_price: Vec<&Offer> = offers.iter().collect();
    by_price.sort_by(|a, b| a.price.total_cmp(&b.price));
    let prices = |from_s: f64| {
        let mut prices = vec![0];
        for offer in &by_price {
            let allowed = quotas.iter().filter(|quota| quota.0 == offer.pool.name && quota.2 > from_s);
            let most = allowed.map(|quota| quota.1).min().unwrap_or(u32::MAX).clamp(offer.minimum, offer.maximum);
            let beyond = (most - offer.minimum) as usize * offer.multiple;
            let last = prices.last().copied().unwrap_or(0);
            prices.extend((1..=beyond as u64).map(|nodes| last + nodes * money(offer.price)));
        }
        prices
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "ticks are small")]
    let tariff = |from_s: f64| Tariff { from: (from_s / TICK_S) as usize, prices: prices(from_s) };
    changes.into_iter().map(tariff).collect()
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

/// How long a boot takes at least, in whole ticks, however many nodes are asked
/// for: boots come in the order drawn, so any number of them takes no less
/// than that many times the smallest mean of the first ones.
fn boot_ticks(pool: &Pool, starts: usize) -> f64 {
    let means = pool.boots().take(starts).scan((0.0, 0.0), |(sum, number), boot| {
        (*sum, *number) = (*sum + boot, *number + 1.0);
        Some(*sum / *number)
    });
    (means.fold(f64::INFINITY, f64::min) / TICK_S).floor()
}
