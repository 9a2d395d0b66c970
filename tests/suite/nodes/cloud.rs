//! What is behind both of Rancher's APIs: pools whose machines are made, boot,
//! fail and are deleted in their own time.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// How machines behave.
#[derive(Debug, Clone)]
pub struct Behaviour {
    /// From a write to what the controllers make of it.
    pub reconcile: Duration,
    /// From being made to being a node.
    pub boot: Duration,
    /// From being a node to having a providerID.
    pub late_provider_id: Duration,
    /// From being deleted to being gone; for ever where it is `None`.
    pub leave: Option<Duration>,
    /// No more machines than this come up in a pool.
    pub quota: Option<u32>,
    /// So many of the next machines fail.
    pub failing_boots: u32,
    /// A machine that failed is deleted and made again after this.
    pub made_again: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        let millis = Duration::from_millis;
        Self {
            reconcile: millis(15),
            boot: millis(60),
            late_provider_id: millis(20),
            leave: Some(millis(40)),
            quota: None,
            failing_boots: 0,
            made_again: millis(900),
        }
    }
}

/// Which machine goes when the number is lowered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The highest hostname, whatever it runs.
    HighestHostname,
    /// Cluster API: deleting, marked, unhealthy or not joined, oldest.
    OldestMachine,
}

/// What happened to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// It is a node now.
    Booted { pool: String, host: String },
    /// It is gone.
    Gone { host: String },
}

#[derive(Debug, Clone)]
pub struct CloudMachine {
    pub pool: String,
    pub host: String,
    pub number: u32,
    pub made: Instant,
    pub fails: bool,
    pub deleted: Option<Instant>,
    pub annotations: BTreeMap<String, String>,
    pub version: u64,
    announced: bool,
}

#[derive(Debug)]
pub struct CloudPool {
    pub quantity: u32,
    /// When the controllers look at it next.
    due: Option<Instant>,
}

/// Pools and machines, as of the last [`Cloud::tick`].
#[derive(Debug)]
pub struct Cloud {
    pub behaviour: Behaviour,
    pub order: Order,
    pub pools: BTreeMap<String, CloudPool>,
    pub machines: Vec<CloudMachine>,
    pub happenings: Vec<Happening>,
    /// Machines made so far.
    pub made: u32,
    prefix: &'static str,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Booting,
    Joined,
    Whole,
    Failed,
    Deleting,
}

impl CloudMachine {
    pub fn stage(&self, behaviour: &Behaviour, now: Instant) -> Stage {
        let age = now.saturating_duration_since(self.made);
        if self.deleted.is_some() {
            Stage::Deleting
        } else if self.fails {
            if age >= behaviour.boot / 4 { Stage::Failed } else { Stage::Booting }
        } else if age >= behaviour.boot + behaviour.late_provider_id {
            Stage::Whole
        } else if age >= behaviour.boot {
            Stage::Joined
        } else {
            Stage::Booting
        }
    }
}

impl Cloud {
    pub fn new(order: Order, prefix: &'static str, behaviour: Behaviour) -> Self {
        let (pools, machines) = (BTreeMap::new(), Vec::new());
        Self { behaviour, order, pools, machines, happenings: Vec::new(), made: 0, prefix }
    }

    /// A pool whose machines are nodes already.
    pub fn add_pool(&mut self, name: &str, quantity: u32, now: Instant) {
        self.pools.insert(name.to_owned(), CloudPool { quantity, due: Some(now) });
        self.reconcile(name, now);
        let long_ago = now.checked_sub(Duration::from_mins(1)).expect("the machine runs for a minute");
        for machine in self.machines.iter_mut().filter(|m| m.pool == name) {
            machine.made = long_ago + Duration::from_millis(machine.number.into());
        }
    }

    pub fn set_quantity(&mut self, pool: &str, quantity: u32, now: Instant) {
        let reconcile = self.behaviour.reconcile;
        let pool = self.pools.get_mut(pool).expect("a pool of the cloud");
        pool.quantity = quantity;
        pool.due = Some(now + reconcile);
    }

    pub fn delete(&mut self, host: &str, now: Instant) {
        if let Some(machine) = self.machines.iter_mut().find(|m| m.host == host && m.deleted.is_none()) {
            machine.deleted = Some(now);
            machine.version += 1;
        }
    }

    /// Lets the controllers do what is due.
    pub fn tick(&mut self, now: Instant) {
        self.boot(now);
        self.fail(now);
        self.bury(now);
        let due = |pool: &CloudPool| pool.due.is_some_and(|due| due <= now);
        let names: Vec<String> = self.pools.iter().filter(|(_, p)| due(p)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.pools.get_mut(&name).expect("just listed").due = None;
            self.reconcile(&name, now);
        }
    }

    pub fn stage(&self, machine: &CloudMachine, now: Instant) -> Stage {
        machine.stage(&self.behaviour, now)
    }

    pub fn of<'a>(&'a self, pool: &'a str) -> impl Iterator<Item = &'a CloudMachine> {
        self.machines.iter().filter(move |m| m.pool == pool)
    }

    fn boot(&mut self, now: Instant) {
        let behaviour = self.behaviour.clone();
        for machine in &mut self.machines {
            if !machine.announced && matches!(machine.stage(&behaviour, now), Stage::Joined | Stage::Whole) {
                machine.announced = true;
                machine.version += 1;
                self.happenings.push(Happening::Booted { pool: machine.pool.clone(), host: machine.host.clone() });
            }
        }
    }

    /// A machine that failed is deleted and made again, for ever.
    fn fail(&mut self, now: Instant) {
        let again = self.behaviour.made_again;
        let old = |m: &CloudMachine| m.fails && m.deleted.is_none() && now >= m.made + again;
        let hosts: Vec<(String, String)> =
            self.machines.iter().filter(|m| old(m)).map(|m| (m.host.clone(), m.pool.clone())).collect();
        for (host, pool) in hosts {
            self.machines.retain(|m| m.host != host);
            self.reconcile(&pool, now);
        }
    }

    fn bury(&mut self, now: Instant) {
        let Some(leave) = self.behaviour.leave else { return };
        let gone = |m: &CloudMachine| m.deleted.is_some_and(|at| now >= at + leave);
        for machine in self.machines.iter().filter(|m| gone(m)) {
            self.happenings.push(Happening::Gone { host: machine.host.clone() });
            if let Some(pool) = self.pools.get_mut(&machine.pool) {
                pool.due = Some(now);
            }
        }
        self.machines.retain(|m| !gone(m));
    }

    fn reconcile(&mut self, name: &str, now: Instant) {
        let quantity = self.pools[name].quantity;
        // Cluster API counts machines that are being deleted, and takes them
        // first; RKE1's controller looks at those that stay.
        let counts =
            |order: Order, m: &CloudMachine| m.pool == name && (order == Order::OldestMachine || m.deleted.is_none());
        let count = self.machines.iter().filter(|m| counts(self.order, m)).count();
        let wanted = quantity as usize;
        for _ in count..wanted {
            self.make(name, now);
        }
        if count > wanted {
            self.take(name, count - wanted, now);
        }
    }

    fn make(&mut self, pool: &str, now: Instant) {
        self.made += 1;
        let up = u32::try_from(self.of(pool).filter(|m| m.deleted.is_none() && !m.fails).count()).expect("few");
        let behaviour = &mut self.behaviour;
        let fails = behaviour.failing_boots > 0 || behaviour.quota.is_some_and(|quota| up >= quota);
        behaviour.failing_boots = behaviour.failing_boots.saturating_sub(1);
        let number = match self.order {
            // The lowest free integer.
            Order::HighestHostname => {
                (1..=u32::MAX).find(|n| self.of(pool).all(|m| m.number != *n)).expect("a free one")
            }
            Order::OldestMachine => self.made,
        };
        let host = format!("{}{pool}-{number}", self.prefix);
        self.machines.push(CloudMachine {
            pool: pool.to_owned(),
            host,
            number,
            made: now,
            fails,
            deleted: None,
            annotations: BTreeMap::new(),
            version: 1,
            announced: false,
        });
    }

    /// Deletes so many by the order of deletion.
    fn take(&mut self, pool: &str, many: usize, now: Instant) {
        let mut order: Vec<(u32, u64, String)> = self
            .of(pool)
            .filter(|m| self.order == Order::OldestMachine || m.deleted.is_none())
            .map(|m| match self.order {
                Order::HighestHostname => (u32::MAX - m.number, 0, m.host.clone()),
                Order::OldestMachine => {
                    let rank = match self.stage(m, now) {
                        Stage::Deleting => 0,
                        _ if m.annotations.contains_key("cluster.x-k8s.io/delete-machine") => 1,
                        Stage::Failed | Stage::Booting => 2,
                        Stage::Joined | Stage::Whole => 3,
                    };
                    (rank, u64::from(m.number), m.host.clone())
                }
            })
            .collect();
        order.sort();
        for (.., host) in order.into_iter().take(many) {
            self.delete(&host, now);
        }
    }
}
