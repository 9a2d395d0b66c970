//! Does what was decided: orders to workers, writes to the provider.
//!
//! A machine goes only when its worker has just told that it is drained, or
//! when no worker ever came up on it. Every write asks the permit before it
//! leaves.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex},
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Act, lock,
    roster::{Known, Roster, SCALE_IN},
};
use crate::{
    nodes::{self, NodeProvider, NodesError, Permit, Phase, Scaled},
    queue::{Destination, JobQueue},
    scaling::{Decision, Outcome, PoolDecision},
    telemetry::message::{Command, Order, State, WorkerId},
};

/// One round of acting.
pub(super) struct Actor<'a> {
    pub provider: &'a dyn NodeProvider,
    pub queue: &'a dyn JobQueue,
    pub roster: &'a Mutex<Roster>,
    /// Who gives the orders.
    pub leader: &'a str,
    /// The worker of this process: its node stays.
    pub me: Option<&'a WorkerId>,
    pub permit: Permit<'a>,
    pub now: Timestamp,
    /// The pools as the sample saw them.
    pub told: &'a [nodes::Pool],
    /// Jobs are held that no worker tells of: somebody is not heard.
    pub unheard: bool,
}

impl Actor<'_> {
    /// Does it; what was done at the provider.
    pub async fn act(&self, decision: &Decision) -> Vec<Act> {
        if matches!(decision.outcome, Outcome::Blind | Outcome::Paused) {
            return Vec::new();
        }
        let mut acts = self.unmark().await;
        // First more, for that is awaited; then orders, which are quick; then
        // removals, which are watched for a while.
        for pool in decision.pools.iter().filter(|pool| pool.target > pool.wanted) {
            acts.push(self.scale(pool).await);
        }
        self.order(decision).await;
        for pool in &decision.pools {
            if !pool.remove.is_empty() {
                acts.extend(self.remove(pool).await);
            } else if pool.target < pool.wanted {
                acts.push(self.scale(pool).await);
            }
        }
        acts
    }

    /// Takes back what removals left that did not end: this is a new round.
    async fn unmark(&self) -> Vec<Act> {
        let mut acts = Vec::new();
        for pool in self.told {
            for machine in pool.present().filter(|machine| machine.marked) {
                let done = self.provider.unmark(&pool.name, &machine.id, self.permit).await;
                acts.push(act(&pool.name, format!("unmark {}", machine.id), done.err()));
            }
        }
        acts
    }

    async fn scale(&self, pool: &PoolDecision) -> Act {
        let what = format!("scale {} to {}", pool.wanted, pool.target);
        match self.provider.scale_to(&pool.name, pool.wanted, pool.target, self.permit).await {
            Ok(Scaled::To(reached)) if reached != pool.target => {
                act(&pool.name, format!("{what}, which came to {reached}: machines go by name alone"), None)
            }
            Ok(Scaled::Said) => act(&pool.name, format!("would {what}"), None),
            done => act(&pool.name, what, done.err()),
        }
    }

    /// Tells workers to drain and to go on. An order is said in every round
    /// until a heartbeat shows that it was heard.
    async fn order(&self, decision: &Decision) {
        let drain: BTreeSet<&str> = decision.pools.iter().flat_map(|pool| &pool.drain).map(String::as_str).collect();
        let leaving: BTreeSet<&str> = self.machines(|machine| machine.phase == Phase::Leaving);
        let orders: Vec<(WorkerId, Order)> = {
            let roster = lock(self.roster);
            let alive = roster.alive(Instant::now());
            alive.into_iter().filter_map(|(node, known)| self.order_for(node, known, &drain, &leaving)).collect()
        };
        for (worker, order) in orders {
            if !self.permit.holds() {
                return;
            }
            lock(self.roster).ask(&worker, matches!(order, Order::Drain { .. }));
            let command = Command { worker, order, from: self.leader.to_owned(), at: self.now };
            let topic = Command::topic_of(&command.worker);
            if let Err(error) = self.queue.publish(&Destination::Telemetry(topic), &super::message(&command)).await {
                tracing::warn!(worker = %command.worker, %error, "failed to give an order; given again");
            }
        }
    }

    fn order_for(
        &self,
        node: &str,
        known: &Known,
        drain: &BTreeSet<&str>,
        leaving: &BTreeSet<&str>,
    ) -> Option<(WorkerId, Order)> {
        let goes = leaving.contains(node);
        let drains = matches!(known.last.state, State::Draining | State::Drained | State::Quarantined);
        let order = if goes || drain.contains(node) {
            let why = if goes { "its machine is being deleted" } else { "fewer nodes are needed" };
            (!drains).then(|| Order::Drain { reason: format!("{SCALE_IN}: {why}, says {}", self.leader) })
        } else {
            known.drains_for_us().then_some(Order::Resume)
        };
        Some((known.last.worker.clone(), order?))
    }

    async fn remove(&self, pool: &PoolDecision) -> Vec<Act> {
        let Some(told) = self.told.iter().find(|told| told.name == pool.name) else { return Vec::new() };
        let by_name: HashMap<&str, &nodes::Machine> = told.machines.iter().map(|m| (name(m), m)).collect();
        let mut acts = Vec::new();
        let mut machines = Vec::new();
        for node in &pool.remove {
            match by_name
                .get(node.as_str())
                .ok_or("it is not there any more")
                .and_then(|m| self.may_go(m).map(|()| m.id.clone()))
            {
                Ok(id) => machines.push(id),
                Err(why) => acts.push(Act {
                    pool: pool.name.clone(),
                    what: format!("remove {node}"),
                    fault: Some(why.to_owned()),
                }),
            }
        }
        if machines.is_empty() {
            return acts;
        }
        match self.provider.remove(&pool.name, &machines, self.permit).await {
            Ok(removal) if removal.gone.is_empty() && removal.kept.is_empty() => {
                acts.push(act(&pool.name, format!("would remove {}", machines.join(", ")), None));
            }
            Ok(removal) => {
                acts.extend(removal.gone.into_iter().map(|id| act(&pool.name, format!("remove {id}"), None)));
                acts.extend(
                    removal.kept.into_iter().map(|(id, why)| act(&pool.name, format!("remove {id}"), Some(why))),
                );
            }
            Err(error) => acts.push(act(&pool.name, format!("remove {}", machines.join(", ")), Some(error))),
        }
        acts
    }

    /// By what the workers tell at this moment, not by the sample.
    fn may_go(&self, machine: &nodes::Machine) -> Result<(), &'static str> {
        let roster = lock(self.roster);
        match roster.of_node(name(machine)) {
            Some(known) if self.me == Some(&known.last.worker) => Err("the leader runs on it"),
            Some(known) if known.last.state == State::Drained && known.last.in_flight == 0 => Ok(()),
            Some(_) if machine.phase == Phase::Failed => Ok(()),
            Some(_) => Err("its worker has not told that it is drained"),
            None if machine.phase == Phase::Running && self.unheard => {
                Err("jobs are held by a worker that is not heard")
            }
            None => Ok(()),
        }
    }

    fn machines(&self, which: impl Fn(&nodes::Machine) -> bool) -> BTreeSet<&str> {
        self.told.iter().flat_map(|pool| &pool.machines).filter(|machine| which(machine)).map(name).collect()
    }
}

/// As workers know their node.
fn name(machine: &nodes::Machine) -> &str {
    machine.node.as_deref().unwrap_or(&machine.id)
}

fn act(pool: &str, what: String, fault: Option<NodesError>) -> Act {
    Act { pool: pool.to_owned(), what, fault: fault.map(|fault| fault.to_string()) }
}

/// For those that share it.
pub(super) type SharedRoster = Arc<Mutex<Roster>>;
