//! Guards: what holds every policy back. Each says what it changed and why.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::{
    Asked, Guard, HeldBack, Memory, Outcome, Part, PoolMemory, Sample, Settings, mix,
    policies::{Demand, Policy},
    settings::Guards,
    victims,
    view::{Life, PoolView, View, count},
};

/// Most buckets in which demands are remembered.
const BUCKETS: u32 = 512;

/// Whether nothing may be touched: a pause, or a sample that cannot be judged.
pub fn hold(settings: &Settings, sample: &Sample) -> Option<(Outcome, Guard, String)> {
    if settings.paused {
        return Some((Outcome::Paused, Guard::Pause, "paused by the configuration".to_owned()));
    }
    if let Some(who) = &sample.paused {
        return Some((Outcome::Paused, Guard::Pause, format!("paused: {who}")));
    }
    let (now, limit) = (sample.at, settings.stale_after);
    let faults = [
        fault("the queue", &sample.queues, now, limit),
        fault("the nodes", &sample.pools, now, limit),
        fault("the workers", &sample.workers, now, limit),
    ];
    let (guard, why) = faults.into_iter().flatten().min_by_key(|(guard, _)| *guard != Guard::Stale)?;
    Some((Outcome::Blind, guard, why))
}

/// What is wrong with a part of the sample.
fn fault<T>(what: &str, part: &Part<T>, now: Timestamp, limit: Duration) -> Option<(Guard, String)> {
    match part.age(now) {
        None => Some((Guard::Stale, format!("{what} could not be read yet"))),
        Some(age) if age > limit => Some((Guard::Stale, format!("{what} could not be read for {} s", age.as_secs()))),
        _ if !part.missing.is_empty() => Some((Guard::Partial, format!("{what}: {}", part.missing.join("; ")))),
        _ => None,
    }
}

/// Passes over the pools that fail: what they could not provide is no longer
/// asked of them, nor more, for a while.
pub fn pass_over(view: &mut View, memory: &mut BTreeMap<String, PoolMemory>, log: &mut Vec<HeldBack>) {
    let (now, guards) = (view.now, &view.settings.guards);
    memory.retain(|name, _| view.pools.iter().any(|pool| pool.settings.name == *name));
    for pool in &mut view.pools {
        let memory = memory.entry(pool.settings.name.clone()).or_default();
        memory.jobs_per_s = pool.measured;
        let failing = failing(pool, guards.provision_within);
        let passed_over = memory.passed_over_until.is_some_and(|until| now < until);
        if !passed_over {
            let booting = pool.unborn + pool.in_life(Life::Booting) > 0;
            judge(memory, now, guards, failing.is_some(), booting);
        }
        let Some(until) = memory.passed_over_until.filter(|until| now < *until) else { continue };
        let before = pool.standing() + pool.in_life(Life::Failed);
        give_up(pool, failing.is_some(), guards.provision_within);
        let to = pool.standing();
        let why = failing.unwrap_or_else(|| "it failed a while ago".to_owned());
        let why = format!("{why}; no more is asked of it until {until:.0}");
        log.push(HeldBack { guard: Guard::Backoff, pool: Some(pool.settings.name.clone()), from: before, to, why });
    }
}

/// Starts, ends or prolongs the time in which a pool is passed over.
fn judge(memory: &mut PoolMemory, now: Timestamp, guards: &Guards, failing: bool, booting: bool) {
    if failing {
        let longer = 1_u32.checked_shl(memory.failures).unwrap_or(u32::MAX);
        let wait = guards.backoff.saturating_mul(longer).min(guards.backoff_most);
        memory.failures = memory.failures.saturating_add(1).min(16);
        memory.passed_over_until = now.checked_add(wait).ok();
        memory.tried_again = false;
    } else if booting {
        memory.tried_again = true;
    } else if memory.tried_again {
        // What was asked for since the last failure is there.
        *memory = PoolMemory { jobs_per_s: memory.jobs_per_s, ..PoolMemory::default() };
    }
}

/// Why a pool counts as failing, if it does. What a provider complains of
/// matters only while something is awaited.
fn failing(pool: &PoolView, within: Duration) -> Option<String> {
    let (failed, overdue) = (pool.in_life(Life::Failed), pool.overdue(within));
    let awaited = pool.unborn + pool.in_life(Life::Booting) + failed > 0;
    match pool.fault {
        Some(fault) if awaited => Some(fault.to_owned()),
        _ if failed > 0 => Some(format!("{failed} nodes could not be provisioned")),
        _ if overdue > 0 => Some(format!("{overdue} nodes boot for more than {} min", within.as_secs() / 60)),
        _ => None,
    }
}

/// Counts what a failing pool still owes as failed, and leaves no room for
/// more than it has.
fn give_up(pool: &mut PoolView, failing: bool, within: Duration) {
    if failing {
        pool.given_up = std::mem::take(&mut pool.unborn);
        for node in pool.nodes.iter_mut().filter(|n| n.life == Life::Booting && n.age_s > within.as_secs_f64()) {
            node.life = Life::Failed;
        }
    }
    pool.room = pool.standing();
}

/// Remembers what was asked, in buckets, as long as the longest window.
pub fn remember_demand(memory: &mut Memory, guards: &Guards, now: Timestamp, demand: &Demand) {
    let windows = [guards.stabilise_in, guards.stabilise_out];
    let longest = windows.into_iter().max().unwrap_or_default();
    let shortest = windows.into_iter().filter(|window| !window.is_zero()).min().unwrap_or_default();
    let width = (shortest / 16).max(longest / BUCKETS);
    let new = Asked { at: now, at_least: demand.at_least, at_most: demand.at_most };
    match memory.asked.back_mut() {
        Some(last) if elapsed(last.at, now) <= width => {
            last.at_least = last.at_least.min(new.at_least);
            last.at_most = last.at_most.max(new.at_most);
        }
        _ => memory.asked.push_back(new),
    }
    // One from before the window stays: it shows that the window is covered.
    while memory.asked.get(1).is_some_and(|second| elapsed(second.at, now) >= longest) {
        memory.asked.pop_front();
    }
}

/// The smallest capacity asked for within `window`; none where it is not yet
/// covered.
pub fn lasting_at_least(memory: &Memory, window: Duration, now: Timestamp, demand: &Demand) -> Option<f64> {
    within(memory, window, now, demand.at_least, |asked| asked.at_least, f64::min)
}

/// The largest capacity that was of use within `window`; none where it is not
/// yet covered.
pub fn lasting_at_most(memory: &Memory, window: Duration, now: Timestamp, demand: &Demand) -> Option<f64> {
    within(memory, window, now, demand.at_most, |asked| asked.at_most, f64::max)
}

fn within(
    memory: &Memory,
    window: Duration,
    now: Timestamp,
    current: f64,
    figure: fn(&Asked) -> f64,
    choose: fn(f64, f64) -> f64,
) -> Option<f64> {
    if window.is_zero() {
        return Some(current);
    }
    // What was asked before the window was asked until the next sample.
    let first = memory.asked.iter().rposition(|asked| elapsed(asked.at, now) >= window)?;
    Some(memory.asked.iter().skip(first).map(figure).fold(current, choose))
}

/// What is left of a cooldown that began at `last`.
pub fn cooling(last: Option<Timestamp>, cooldown: Duration, now: Timestamp) -> Option<Duration> {
    let left = cooldown.checked_sub(elapsed(last?, now))?;
    (!left.is_zero()).then_some(left)
}

/// The fewest nodes of each pool that still have the capacity `keep`, at most
/// `step` fewer than `nodes`. Boots that have hardly begun go first; nodes at
/// work go only as far as the others at work make up for them, for a boot is
/// no capacity yet. The minimum and the leader's node stay.
pub fn fewest(view: &View, nodes: &[u32], keep: f64, step: Option<u32>) -> Vec<u32> {
    let young = |pool: &PoolView| count(pool.nodes.iter().filter(|n| victims::is_young_boot(pool, n)).count());
    let mut left = nodes.to_vec();
    let floors: Vec<u32> = zip(view, nodes, |pool, nodes| nodes.saturating_sub(young(pool)).max(pool.bounds.minimum));
    mix::shrink(view, &mut left, &floors, keep, step);
    let step = step.map(|step| step - (nodes.iter().sum::<u32>() - left.iter().sum::<u32>()));
    let boots: Vec<u32> = zip(view, &left, |pool, left| (pool.unborn + pool.in_life(Life::Booting)).min(left));
    let boots_left: Vec<u32> =
        left.iter().zip(nodes).zip(&boots).map(|((left, nodes), boots)| boots.saturating_sub(nodes - left)).collect();
    let mut working: Vec<u32> = left.iter().zip(&boots_left).map(|(left, boots)| left.saturating_sub(*boots)).collect();
    let floors: Vec<u32> = zip(view, &working, |pool, _| pool.bounds.minimum.max(u32::from(has_leader(pool))));
    mix::shrink(view, &mut working, &floors, keep, step);
    working.iter().zip(&boots_left).map(|(working, boots)| working + boots).collect()
}

/// Whether the leader's node is in the pool.
pub fn has_leader(pool: &PoolView) -> bool {
    pool.nodes.iter().any(|node| node.leader)
}

fn zip(view: &View, nodes: &[u32], figure: impl Fn(&PoolView, u32) -> u32) -> Vec<u32> {
    view.pools.iter().zip(nodes).map(|(pool, nodes)| figure(pool, *nodes)).collect()
}

/// The most nodes that may go, of `most`, without the policy asking for any of
/// them back. `after` says what stays when so many go.
pub fn without_asking_back(
    view: &View,
    policy: &dyn Policy,
    memory: &Memory,
    most: u32,
    after: impl Fn(u32) -> Vec<u32>,
) -> u32 {
    let capacity = view.capacity();
    let supply = view.supply();
    let stands = |gone: u32| {
        let left = view.capacity_of(after(gone).into_iter());
        let demand = policy.demand(view, &supply.without(capacity - left), memory);
        demand.at_least <= left * (1.0 + view.settings.guards.tolerance)
    };
    if stands(most) {
        return most;
    }
    let (mut fine, mut too_many) = (0, most);
    while too_many - fine > 1 {
        let middle = fine.midpoint(too_many);
        if stands(middle) { fine = middle } else { too_many = middle }
    }
    fine
}

/// The time between two instants; none where they are the other way round.
fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
