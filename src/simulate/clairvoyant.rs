//! The least that anyone could have paid for the same waits.
//!
//! The clairvoyant knows every arrival, every job's size and every boot in
//! advance. It must have done, by the end of every tick, at least as much work
//! as the contender had completed by then; so no job in its hands need have
//! waited longer. Otherwise it is free: it splits work as it likes, keeps all
//! slots of a node busy with whatever there is, and asks for nodes so early
//! that they are up when they are needed. It pays what all pay: a node from
//! being asked for to being gone, boots included, never fewer nodes than the
//! minimum nor more at work than the maximum, and nodes come and go at ticks.
//! Where pools differ it takes the cheapest nodes that can be had at a time,
//! may put any node in the place of another for nothing, and starts each at the
//! price of the cheapest boot.
//!
//! Its least is found exactly, by dynamic programming over ticks, nodes and
//! work done, where work is counted in node-ticks: what has arrived is rounded
//! up and what must be done is rounded down, both in its favour. Every way to
//! run the same jobs with the same completions is therefore among those that
//! it chooses from, and none of them can cost less. A test shows that against
//! every possible plan of small cases, another against every contender.

/// What the clairvoyant is held to, in ticks and node-ticks of work.
#[derive(Debug, Clone)]
pub struct Task {
    /// Work arrived by the end of each tick, summed up, rounded up.
    pub arrived: Vec<u64>,
    /// Work that must be done by the end of each tick, summed up, rounded
    /// down.
    pub due: Vec<u64>,
    /// Fewest nodes, paid throughout.
    pub minimum: u32,
    /// What nodes beyond the minimum cost, in order of time.
    pub tariffs: Vec<Tariff>,
    /// What a node costs before it works, in the tariffs' money.
    pub boot: u64,
}

/// What nodes cost for a while.
#[derive(Debug, Clone)]
pub struct Tariff {
    /// The first tick.
    pub from: usize,
    /// A tick of none, one, two, ... nodes beyond the minimum, as many as can
    /// be had.
    pub prices: Vec<u64>,
}

/// More than any plan costs.
const NEVER: u64 = u64::MAX / 2;

impl Task {
    /// The least that the nodes beyond the minimum cost for the task; none
    /// where nobody can do it.
    #[must_use]
    pub fn least(&self) -> Option<u64> {
        // Costs beyond the minimum, by nodes at work and, from what is due,
        // work done.
        let numbers = self.tariffs.iter().map(|tariff| tariff.prices.len()).max()?;
        let mut costs = vec![vec![NEVER]; numbers];
        costs[0][0] = 0;
        let mut from = 0;
        for (tick, (arrived, due)) in self.arrived.iter().zip(&self.due).enumerate() {
            self.change_nodes(&mut costs);
            let tariff = self.tariffs.iter().rev().find(|tariff| tariff.from <= tick)?;
            costs = self.work(&costs, tariff, from, *due, *arrived)?;
            from = *due;
        }
        costs.iter().flatten().copied().min().filter(|cost| *cost < NEVER)
    }

    /// Adds a node for a boot, lets one go for nothing, any number of times.
    fn change_nodes(&self, costs: &mut [Vec<u64>]) {
        for more in 1..costs.len() {
            let (fewer, this) = costs.split_at_mut(more);
            for (cost, before) in this[0].iter_mut().zip(&fewer[more - 1]) {
                *cost = (*cost).min(before + self.boot);
            }
        }
        for fewer in (0..costs.len() - 1).rev() {
            let (this, more) = costs.split_at_mut(fewer + 1);
            for (cost, before) in this[fewer].iter_mut().zip(&more[0]) {
                *cost = (*cost).min(*before);
            }
        }
    }

    /// One tick's work: each node does one unit of what has arrived. Doing
    /// less is never better, so all that can be done is done.
    fn work(&self, costs: &[Vec<u64>], tariff: &Tariff, from: u64, due: u64, arrived: u64) -> Option<Vec<Vec<u64>>> {
        let width = usize::try_from(arrived.checked_sub(due)?).ok()? + 1;
        let mut after = vec![vec![NEVER; width]; costs.len()];
        for (beyond, ((before, after), price)) in costs.iter().zip(&mut after).zip(&tariff.prices).enumerate() {
            let does = u64::from(self.minimum) + beyond as u64;
            for (done, cost) in (from..).zip(before) {
                let done = (done + does).min(arrived);
                if done >= due {
                    let index = usize::try_from(done - due).unwrap_or(usize::MAX);
                    after[index] = after[index].min(cost + price);
                }
            }
        }
        Some(after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least over every plan there is: every number of nodes in every
    /// tick, work done greedily.
    fn brute_force(task: &Task) -> Option<u64> {
        let ticks = task.arrived.len();
        let numbers = task.tariffs.iter().map(|tariff| tariff.prices.len()).max().unwrap() as u64;
        let plans = 0..numbers.pow(u32::try_from(ticks).unwrap());
        let cost_of = |plan: u64| {
            let (mut plan, mut cost, mut done, mut before) = (plan, 0, 0, 0);
            for tick in 0..ticks {
                let beyond = plan % numbers;
                plan /= numbers;
                let tariff = task.tariffs.iter().rfind(|tariff| tariff.from <= tick).unwrap();
                cost += tariff.prices.get(usize::try_from(beyond).unwrap())?;
                cost += beyond.saturating_sub(before) * task.boot;
                done = (done + u64::from(task.minimum) + beyond).min(task.arrived[tick]);
                if done < task.due[tick] {
                    return None;
                }
                before = beyond;
            }
            Some(cost)
        };
        plans.filter_map(cost_of).min()
    }

    #[test]
    fn no_plan_is_cheaper_than_the_least() {
        let mut rng = fastrand::Rng::with_seed(5);
        let mut feasible = 0;
        for case in 0..400 {
            let ticks = rng.usize(1..=6);
            let mut arrived: Vec<u64> = (0..ticks).map(|_| rng.u64(0..=7)).collect();
            arrived.sort_unstable();
            let mut due: Vec<u64> = arrived.iter().map(|arrived| rng.u64(0..=*arrived)).collect();
            due.sort_unstable();
            let mut tariff = |from| {
                let prices = (0..rng.usize(0..=2)).scan(0, |sum, _| {
                    *sum += rng.u64(1..=3);
                    Some(*sum)
                });
                Tariff { from, prices: [0].into_iter().chain(prices).collect() }
            };
            let tariffs = vec![tariff(0), tariff(3)];
            let task = Task { arrived, due, minimum: rng.u32(0..=1), tariffs, boot: rng.u64(0..=3) };
            let expected = brute_force(&task);
            feasible += u32::from(expected.is_some());
            assert_eq!(task.least(), expected, "case {case}: {task:?}");
        }
        assert!((100..400).contains(&feasible), "{feasible} of 400 can be done: the cases test little");
    }

    fn tariff(from: usize, prices: &[u64]) -> Tariff {
        Tariff { from, prices: prices.to_vec() }
    }

    #[test]
    fn a_pause_is_bridged_where_a_boot_costs_more() {
        let work = vec![2, 2, 2, 2, 4];
        let tariffs = vec![tariff(0, &[0, 1])];
        let task = |boot| Task { arrived: work.clone(), due: work.clone(), minimum: 1, tariffs: tariffs.clone(), boot };
        assert_eq!(task(1).least(), Some(2 + 2), "two boots and two ticks of work beyond the one that stays");
        assert_eq!(task(9).least(), Some(9 + 5), "one boot, and the node stays");
    }

    #[test]
    fn what_is_dear_for_a_while_is_put_off_where_it_may_be() {
        let tariffs = vec![tariff(0, &[0, 5]), tariff(2, &[0, 1])];
        let task = |due: [u64; 4]| Task {
            arrived: vec![2; 4],
            due: due.into(),
            minimum: 0,
            tariffs: tariffs.clone(),
            boot: 0,
        };
        assert_eq!(task([0, 0, 0, 2]).least(), Some(2));
        assert_eq!(task([0, 1, 1, 2]).least(), Some(6));
    }

    #[test]
    fn what_cannot_be_done_has_no_price() {
        let task =
            Task { arrived: vec![9], due: vec![9], minimum: 0, tariffs: vec![tariff(0, &[0, 1, 2, 3])], boot: 0 };
        assert_eq!(task.least(), None);
    }
}
