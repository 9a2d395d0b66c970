//! One decision: the policy's demand, through the guards, to nodes by name.

use std::{cmp::Ordering, collections::HashMap};

use super::{
    Decision, Guard, HeldBack, Memory, Outcome, PoolDecision, Sample, Settings, guard, mix,
    policies::{self, Demand, Policy},
    victims,
    view::{Life, PoolView, View, count},
};

/// Decides on `sample`, and says what to remember for the next time.
///
/// The same settings, sample and memory give the same decision. A sample that
/// cannot be judged changes nothing, and is not remembered.
#[must_use]
pub fn decide(settings: &Settings, sample: &Sample, memory: Memory) -> (Decision, Memory) {
    let mut view = View::new(settings, sample, &memory);
    if let Some((outcome, by, why)) = guard::hold(settings, sample) {
        return (as_it_is(&view, outcome, by, why), memory);
    }
    let policy = policies::find(&settings.policy).unwrap_or(policies::POLICIES[0]);
    let mut after = memory;
    let mut log = Vec::new();
    guard::pass_over(&mut view, &mut after.pools, &mut log);
    let demand = policy.demand(&view, &view.supply(), &after);
    let mut plan = Plan { view: &view, policy, memory: &after, nodes: standing(&view), log };
    plan.keep_within_bounds();
    plan.grow(&demand);
    plan.shrink(&demand);
    let decision = plan.decision(&demand);
    remember(&view, policy, &demand, &decision, &mut after);
    (decision, after)
}

/// How the numbers of nodes come about, guard by guard.
struct Plan<'a> {
    view: &'a View<'a>,
    policy: &'a dyn Policy,
    memory: &'a Memory,
    /// Nodes that are to work or boot, of each pool.
    nodes: Vec<u32>,
    log: Vec<HeldBack>,
}

impl Plan<'_> {
    /// Moves every pool into its bounds, whatever the demand.
    fn keep_within_bounds(&mut self) {
        for (index, pool) in self.view.pools.iter().enumerate() {
            let now = self.nodes[index];
            let most = pool.bounds.maximum.saturating_sub(pool.in_life(Life::Useless));
            // A pool that is passed over has no room, not even for its minimum.
            let low = now.max(pool.bounds.minimum.min(pool.room));
            let (next, by) = if low > now { (low, Guard::Minimum) } else { (now.min(most), Guard::Maximum) };
            if next != now {
                let why = bound_in_words(pool, by);
                self.log.push(HeldBack { guard: by, pool: Some(pool.settings.name.clone()), from: now, to: next, why });
                self.nodes[index] = next;
            }
        }
    }

    /// Adds what the demand lacks, as far as the guards let it.
    fn grow(&mut self, demand: &Demand) {
        let guards = &self.view.settings.guards;
        let (now, capacity) = (self.view.now, self.capacity());
        let enough = capacity * (1.0 + guards.tolerance);
        let free = |need: f64| {
            let mut nodes = self.nodes.clone();
            mix::grow(self.view, &mut nodes, need, None);
            nodes
        };
        let wished = self.in_nodes(demand.at_least);
        if demand.at_least <= enough {
            if sum(&free(demand.at_least)) > self.total() {
                self.note(Guard::Tolerance, wished, self.total(), "the difference is small");
            }
            return;
        }
        let lasting = guard::lasting_at_least(self.memory, guards.stabilise_out, now, demand);
        let Some(need) = lasting.filter(|need| *need > enough) else {
            return self.note(Guard::Stabilisation, wished, self.total(), "the demand has not lasted yet");
        };
        if let Some(left) = guard::cooling(self.memory.grew_at, guards.cooldown_out, now) {
            return self.note(Guard::Cooldown, wished, self.total(), &format!("{} s are left", left.as_secs()));
        }
        let free = free(need);
        if self.view.capacity_of(free.iter().copied()) < need * (1.0 - 1e-9) {
            self.note(Guard::Maximum, self.in_nodes(need).max(sum(&free)), sum(&free), "there is room for no more");
        }
        let before = self.total();
        mix::grow(self.view, &mut self.nodes, need, guards.step_out);
        if self.total() < sum(&free) {
            self.note(Guard::Step, sum(&free), self.total(), &format!("from {before} nodes at once"));
        }
    }

    /// Takes away what the demand does not need, as far as the guards let it.
    fn shrink(&mut self, demand: &Demand) {
        let guards = &self.view.settings.guards;
        let (now, capacity) = (self.view.now, self.capacity());
        let before = self.nodes.clone();
        let fewest = |keep: f64, step: Option<u32>| guard::fewest(self.view, &before, keep, step);
        let wished = sum(&fewest(demand.at_most, None));
        if wished >= self.total() {
            return;
        }
        if demand.at_most >= capacity * (1.0 - guards.tolerance) {
            return self.note(Guard::Tolerance, wished, self.total(), "the difference is small");
        }
        if let Some(left) = guard::cooling(self.memory.grew_at, guards.cooldown_in, now) {
            return self.note(Guard::Cooldown, wished, self.total(), &format!("{} s are left", left.as_secs()));
        }
        let lasting = guard::lasting_at_most(self.memory, guards.stabilise_in, now, demand);
        let keep = lasting.unwrap_or(f64::INFINITY);
        let lasting = fewest(keep, None);
        if sum(&lasting) > wished {
            self.note(Guard::Stabilisation, wished, sum(&lasting), "more was needed a moment ago");
        }
        let most = sum(&before) - sum(&lasting);
        let gone =
            guard::without_asking_back(self.view, self.policy, self.memory, most, |gone| fewest(keep, Some(gone)));
        if gone < most {
            let to = sum(&before) - gone;
            self.note(Guard::ScaleOutRule, sum(&lasting), to, "with fewer, more would be asked for again");
        }
        let step = guards.step_in.unwrap_or(u32::MAX);
        if gone > step {
            self.note(Guard::Step, sum(&before) - gone, sum(&before) - step, "at once");
        }
        self.nodes = fewest(keep, Some(gone.min(step)));
        self.note_leader(keep);
    }

    /// Says so where a pool keeps a node for the leader alone.
    fn note_leader(&mut self, keep: f64) {
        let spare = self.capacity() - keep;
        for (index, pool) in self.view.pools.iter().enumerate() {
            let alone = self.nodes[index] == 1 && pool.bounds.minimum == 0 && guard::has_leader(pool);
            if alone && spare >= pool.speed {
                let (pool, why) = (Some(pool.settings.name.clone()), "the leader runs on it".to_owned());
                self.log.push(HeldBack { guard: Guard::Leader, pool, from: 0, to: 1, why });
            }
        }
    }

    fn decision(self, demand: &Demand) -> Decision {
        let Self { view, nodes, mut log, policy, .. } = self;
        let pools: Vec<PoolDecision> =
            view.pools.iter().zip(&nodes).map(|(pool, nodes)| settle(pool, *nodes, &mut log)).collect();
        let (before, after) = (view.standing(), sum(&nodes));
        let given_up: u32 = view.pools.iter().map(|pool| pool.given_up).sum();
        let outcome = match after.cmp(&(before + given_up)) {
            Ordering::Greater => Outcome::Grow,
            Ordering::Less => Outcome::Shrink,
            Ordering::Equal if log.is_empty() => Outcome::Steady,
            Ordering::Equal => Outcome::HeldBack,
        };
        let what = match outcome {
            Outcome::Grow | Outcome::Shrink => format!("from {} to {after} nodes", before + given_up),
            _ => format!("{after} nodes stay"),
        };
        let capacity = view.capacity();
        let asked = demand.at_least.max(demand.at_most.min(capacity));
        Decision {
            at: view.now,
            policy: policy.name().to_owned(),
            outcome,
            reason: format!("{}: {what}", demand.why),
            asked: Some(if (asked - capacity).abs() < 1e-9 { before } else { in_nodes(view, asked) }),
            pools,
            held_back: log,
        }
    }

    fn total(&self) -> u32 {
        sum(&self.nodes)
    }

    fn capacity(&self) -> f64 {
        self.view.capacity_of(self.nodes.iter().copied())
    }

    fn in_nodes(&self, capacity: f64) -> u32 {
        in_nodes(self.view, capacity)
    }

    fn note(&mut self, guard: Guard, from: u32, to: u32, why: &str) {
        self.log.push(HeldBack { guard, pool: None, from, to, why: why.to_owned() });
    }
}

/// Names the nodes: who is called back, who drains, who is deleted now.
fn settle(pool: &PoolView, nodes: u32, log: &mut Vec<HeldBack>) -> PoolDecision {
    let standing = pool.standing();
    let lives: HashMap<&str, (Life, bool)> =
        pool.nodes.iter().map(|node| (node.name, (node.life, node.leader))).collect();
    let life = |name: &str| lives.get(name).map(|(life, _)| *life);
    let mut drain = victims::leaving(pool);
    let more = nodes.saturating_sub(standing);
    let called_back = more.min(count(drain.len()));
    drain.truncate(drain.len() - called_back as usize);
    let may_be_deleted = |name: &str| lives.get(name).is_some_and(|(life, leader)| *life == Life::Drained && !leader);
    let mut remove: Vec<&str> = drain.iter().copied().filter(|name| may_be_deleted(name)).collect();
    for name in victims::candidates(pool).into_iter().take(standing.saturating_sub(nodes) as usize) {
        let list = if life(name) == Some(Life::Booting) { &mut remove } else { &mut drain };
        list.push(name);
    }
    remove.extend(pool.nodes.iter().filter(|node| node.life == Life::Failed).map(|node| node.name));
    let holding = count(pool.nodes.iter().filter(|node| node.held > 0).count());
    let wished = (pool.wanted + more - called_back).saturating_sub(count(remove.len()) + pool.given_up);
    if wished < holding {
        let why = "that many hold unacked jobs".to_owned();
        let name = Some(pool.settings.name.clone());
        log.push(HeldBack { guard: Guard::Unacked, pool: name, from: wished, to: holding, why });
    }
    let target = wished.max(holding);
    let still_there = drain.iter().filter(|name| !may_be_deleted(name)).count();
    PoolDecision {
        name: pool.settings.name.clone(),
        wanted: pool.wanted,
        goal: target.saturating_sub(count(still_there)),
        target,
        drain: drain.into_iter().map(str::to_owned).collect(),
        remove: remove.into_iter().map(str::to_owned).collect(),
    }
}

/// Nothing is touched: who drains goes on draining.
fn as_it_is(view: &View, outcome: Outcome, guard: Guard, why: String) -> Decision {
    let pools = view.pools.iter().map(|pool| {
        let drain: Vec<String> = victims::leaving(pool).into_iter().map(str::to_owned).collect();
        PoolDecision {
            name: pool.settings.name.clone(),
            wanted: pool.wanted,
            goal: pool.wanted.saturating_sub(count(drain.len())),
            target: pool.wanted,
            drain,
            remove: Vec::new(),
        }
    });
    let nodes = view.standing();
    Decision {
        at: view.now,
        policy: view.settings.policy.clone(),
        outcome,
        reason: format!("{why}: {nodes} nodes stay"),
        asked: None,
        pools: pools.collect(),
        held_back: vec![HeldBack { guard, pool: None, from: nodes, to: nodes, why }],
    }
}

/// Notes what the next decision needs.
fn remember(view: &View, policy: &dyn Policy, demand: &Demand, decision: &Decision, memory: &mut Memory) {
    policy.remember(view, memory);
    guard::remember_demand(memory, &view.settings.guards, view.now, demand);
    memory.at = Some(view.now);
    memory.backlog = view.jobs;
    memory.arrivals_per_s = Some(view.arrivals.slowly);
    memory.arrivals_lately_per_s = Some(view.arrivals.quickly);
    if decision.outcome == Outcome::Grow {
        memory.grew_at = Some(view.now);
    }
}

fn bound_in_words(pool: &PoolView, guard: Guard) -> String {
    let bound = if guard == Guard::Minimum { pool.bounds.minimum } else { pool.bounds.maximum };
    match pool.bounds.by.as_slice() {
        [] => format!("the {guard} is {bound}"),
        by => format!("the {guard} is {bound} by {}", by.join(", ")),
    }
}

fn standing(view: &View) -> Vec<u32> {
    view.pools.iter().map(PoolView::standing).collect()
}

fn sum(nodes: &[u32]) -> u32 {
    nodes.iter().sum()
}

/// So many nodes have this capacity together with those outside.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates as meant")]
fn in_nodes(view: &View, capacity: f64) -> u32 {
    ((capacity - view.outside) / view.speed() - 1e-9).ceil().max(0.0) as u32
}
