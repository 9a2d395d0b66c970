//! A simulated provider: machines boot after a delay, fail, and leave.
//!
//! What a real provider does on its own between two calls is caught up with
//! when it is looked at.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Health, Machine, NodeProvider, NodesError, Permit, Phase, Pool, Removal, Scaled};
use crate::http::{HttpError, HttpFault};

/// Pools of simulated machines.
#[derive(Debug, Default)]
pub struct Memory {
    pools: Mutex<BTreeMap<String, Simulation>>,
}

/// A pool and how its machines behave. The fields are what a test turns.
#[derive(Debug, Clone, Default)]
pub struct MemoryPool {
    /// From being wanted to being a node.
    pub boot: Duration,
    /// From being removed to being gone; for ever where it is `None`.
    pub leave: Option<Duration>,
    /// No more machines than this come up; the others fail.
    pub quota: Option<u32>,
    /// So many of the next machines fail.
    pub failing_boots: u32,
    /// Why the pool must not be managed.
    pub refused: Option<String>,
    /// No call is answered.
    pub outage: bool,
    /// Sets the number wanted, as a stranger would.
    pub wanted: u32,
}

/// A pool and its machines.
#[derive(Debug, Default)]
struct Simulation {
    pool: MemoryPool,
    made: u32,
    machines: Vec<Simulated>,
}

#[derive(Debug, Clone)]
struct Simulated {
    id: String,
    made: Instant,
    fails: bool,
    leaving: Option<Instant>,
}

impl Memory {
    /// One pool of `wanted` machines that are there already and change at
    /// once.
    #[must_use]
    pub fn with_pool(name: &str, wanted: u32) -> Self {
        let memory = Self::default();
        memory.add(name, MemoryPool { leave: Some(Duration::ZERO), wanted, ..MemoryPool::default() });
        memory
    }

    /// Adds a pool; the machines that it wants are there at once.
    pub fn add(&self, name: &str, pool: MemoryPool) {
        let now = Instant::now();
        let mut simulation = Simulation { pool, ..Simulation::default() };
        simulation.settle(name, now);
        // Their boot lies in the past: a machine's age starts when it is made.
        for machine in &mut simulation.machines {
            machine.made = now.checked_sub(simulation.pool.boot).unwrap_or(now);
        }
        self.lock().insert(name.to_owned(), simulation);
    }

    /// Changes how a pool behaves.
    ///
    /// # Panics
    /// Where there is no such pool.
    pub fn turn(&self, name: &str, change: impl FnOnce(&mut MemoryPool)) {
        change(&mut self.lock().get_mut(name).expect("a pool that was added").pool);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Simulation>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works on a pool that has caught up with the time.
    fn with<T>(
        &self,
        name: &str,
        work: impl FnOnce(&mut Simulation) -> Result<T, NodesError>,
    ) -> Result<T, NodesError> {
        let mut pools = self.lock();
        let pool = pools.get_mut(name).ok_or_else(|| NodesError::Missing { what: format!("pool {name}") })?;
        pool.answers()?;
        pool.settle(name, Instant::now());
        let result = work(pool);
        pool.settle(name, Instant::now());
        result
    }
}

impl Simulation {
    fn answers(&self) -> Result<(), NodesError> {
        if self.pool.outage {
            let (call, fault) = ("GET memory:".to_owned(), HttpFault::Timeout);
            return Err(HttpError { call, attempts: 1, elapsed: Duration::ZERO, fault }.into());
        }
        Ok(())
    }

    /// Makes the machines that are wanted, takes away those that are not:
    /// those that did not boot first, then the oldest.
    fn settle(&mut self, name: &str, now: Instant) {
        let leave = self.pool.leave;
        self.machines.retain(|m| !matches!((m.leaving, leave), (Some(since), Some(leave)) if now >= since + leave));
        while self.present() < self.pool.wanted {
            self.made += 1;
            let fails = self.pool.failing_boots > 0 || self.pool.quota.is_some_and(|quota| self.present() >= quota);
            self.pool.failing_boots = self.pool.failing_boots.saturating_sub(1);
            self.machines.push(Simulated { id: format!("{name}-{}", self.made), made: now, fails, leaving: None });
        }
        while self.present() > self.pool.wanted {
            let boot = self.pool.boot;
            let present = self.machines.iter_mut().filter(|m| m.leaving.is_none());
            if let Some(machine) = present.min_by_key(|m| (m.phase(boot, now) == Phase::Running, m.made)) {
                machine.leaving = Some(now);
            }
        }
    }

    fn present(&self) -> u32 {
        u32::try_from(self.machines.iter().filter(|m| m.leaving.is_none()).count()).unwrap_or(u32::MAX)
    }

    fn seen(&self, name: &str, now: Instant) -> Pool {
        let machines = self.machines.iter().map(|m| m.seen(self.pool.boot, now)).collect();
        Pool {
            name: name.to_owned(),
            wanted: self.pool.wanted,
            machines,
            failure: None,
            refused: self.pool.refused.clone(),
        }
    }
}

impl Simulated {
    fn phase(&self, boot: Duration, now: Instant) -> Phase {
        match (self.leaving, self.fails, now >= self.made + boot) {
            (Some(_), ..) => Phase::Leaving,
            (_, _, false) => Phase::Booting,
            (_, true, _) => Phase::Failed,
            (_, false, true) => Phase::Running,
        }
    }

    fn seen(&self, boot: Duration, now: Instant) -> Machine {
        let phase = self.phase(boot, now);
        Machine {
            id: self.id.clone(),
            node: (phase == Phase::Running).then(|| self.id.clone()),
            phase,
            created: None,
            failure: (phase == Phase::Failed).then(|| "no machine of this size is free".to_owned()),
            marked: false,
        }
    }
}

#[async_trait]
impl NodeProvider for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    async fn pools(&self) -> Result<Vec<Pool>, NodesError> {
        let now = Instant::now();
        let mut pools = self.lock();
        pools
            .iter_mut()
            .map(|(name, pool)| {
                pool.answers()?;
                pool.settle(name, now);
                Ok(pool.seen(name, now))
            })
            .collect()
    }

    async fn scale_to(&self, name: &str, from: u32, to: u32, permit: Permit<'_>) -> Result<Scaled, NodesError> {
        self.with(name, |held| {
            let to = held.seen(name, Instant::now()).lowest(to);
            if held.pool.wanted == to {
                return Ok(Scaled::To(to));
            }
            if held.pool.wanted != from {
                return Err(NodesError::Changed { pool: name.to_owned(), expected: from, found: held.pool.wanted });
            }
            if let Some(what) = &held.pool.refused {
                return Err(NodesError::Refused { what: what.clone(), remedy: "take that away".to_owned() });
            }
            if !permit.holds() {
                return Err(NodesError::Withdrawn { pool: name.to_owned() });
            }
            held.pool.wanted = to;
            Ok(Scaled::To(to))
        })
    }

    async fn remove(&self, name: &str, machines: &[String], permit: Permit<'_>) -> Result<Removal, NodesError> {
        self.with(name, |held| {
            if !permit.holds() {
                return Err(NodesError::Withdrawn { pool: name.to_owned() });
            }
            for id in machines {
                let present = held.machines.iter_mut().find(|m| &m.id == id && m.leaving.is_none());
                if let Some(machine) = present {
                    machine.leaving = Some(Instant::now());
                    held.pool.wanted = held.pool.wanted.saturating_sub(1);
                }
            }
            Ok(Removal { gone: machines.to_vec(), kept: Vec::new() })
        })
    }

    async fn unmark(&self, name: &str, _: &str, _: Permit<'_>) -> Result<(), NodesError> {
        // A removal here ends at once or does nothing: no mark is ever left.
        self.with(name, |_| Ok(()))
    }

    async fn health(&self) -> Health {
        Health::default()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::contract, *};

    #[derive(Default)]
    struct World(Memory);

    #[async_trait]
    impl contract::World for World {
        fn provider(&self) -> &dyn NodeProvider {
            &self.0
        }

        async fn pass(&self) {
            tokio::time::sleep(Duration::from_millis(60)).await;
        }

        async fn stranger_wants(&self, wanted: u32) {
            self.0.turn(contract::POOL, |pool| pool.wanted = wanted);
        }

        async fn deletions_stick(&self) {
            self.0.turn(contract::POOL, |pool| pool.leave = None);
        }

        async fn quota(&self, machines: u32) {
            self.0.turn(contract::POOL, |pool| pool.quota = Some(machines));
        }
    }

    #[tokio::test]
    async fn keeps_the_contract() {
        contract::holds(async || {
            let world = World::default();
            let (boot, leave) = (Duration::from_millis(40), Some(Duration::from_millis(20)));
            world.0.add(contract::POOL, MemoryPool { boot, leave, wanted: 3, ..MemoryPool::default() });
            world
        })
        .await;
    }
}
