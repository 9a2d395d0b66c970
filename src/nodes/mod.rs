//! Node pools: how many machines there are, and asking for more or fewer.
//!
//! | provider | file | writes |
//! |---|---|---|
//! | Rancher, RKE1 node pools, up to 2.11 | `rancher_v3/` | read, write, read again |
//! | Rancher, RKE2 and K3s machine pools | `rancher_v1/` | compare-and-swap |
//! | simulated, with boot delays and failures | `memory.rs` | compare-and-swap |
//! | any of them, saying only what it would do | `dry_run.rs` | none |
//!
//! Two rules make a write safe. A quantity is written as an absolute number,
//! and only over the number that the decision saw. And lowering a quantity
//! never takes a machine: machines go by [`NodeProvider::remove`] alone, which
//! names them.

pub mod azure_events;
pub mod contract;
mod dry_run;
mod error;
mod memory;
mod rancher_v1;
mod rancher_v3;
mod rancher_version;
mod settings;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
pub use dry_run::DryRun;
pub use error::NodesError;
use jiff::Timestamp;
pub use memory::{Memory, MemoryPool};
pub use rancher_v1::RancherV1;
pub use rancher_v3::RancherV3;
use serde::{Deserialize, Serialize};
pub use settings::{Provider, RancherSettings, Settings};

/// A provider of machines, in pools of equal ones.
#[async_trait]
pub trait NodeProvider: Send + Sync + fmt::Debug {
    /// As the configuration names it.
    fn name(&self) -> &'static str;

    /// The pools that the configuration names, as they are now. A pool that
    /// cannot be managed is there with the reason in [`Pool::refused`].
    ///
    /// # Errors
    /// The provider could not be read: nothing is known of any pool.
    async fn pools(&self) -> Result<Vec<Pool>, NodesError>;

    /// Sets the number of machines wanted, where it is still `from`. Lowered,
    /// it ends at the machines there are or above: no machine goes by it.
    ///
    /// # Errors
    /// [`NodesError::Changed`] where it is not `from` any more, and others.
    async fn scale_to(&self, pool: &str, from: u32, to: u32, permit: Permit<'_>) -> Result<Scaled, NodesError>;

    /// Removes exactly these machines and lowers the number wanted by as many,
    /// and sees that it is they who leave. A machine that is leaving already
    /// is removed and lowers nothing. What was done for a machine that stays
    /// is undone.
    ///
    /// # Errors
    /// Nothing was removed.
    async fn remove(&self, pool: &str, machines: &[String], permit: Permit<'_>) -> Result<Removal, NodesError>;

    /// Takes back what a removal that did not end left on a machine.
    ///
    /// # Errors
    /// The mark is still there.
    async fn unmark(&self, pool: &str, machine: &str, permit: Permit<'_>) -> Result<(), NodesError>;

    /// What the provider says of the access to it.
    async fn health(&self) -> Health;
}

/// A pool of equal machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pool {
    /// As the configuration names it.
    pub name: String,
    /// How many machines the provider is asked for.
    pub wanted: u32,
    /// Those there are, in whatever phase.
    pub machines: Vec<Machine>,
    /// What the provider says is wrong with the pool.
    pub failure: Option<String>,
    /// Why this pool must not be managed, and the remedy.
    pub refused: Option<String>,
}

/// A machine of a pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// As the provider names it.
    pub id: String,
    /// The Kubernetes node's name, where it is known.
    pub node: Option<String>,
    /// How far it is.
    pub phase: Phase,
    /// When the provider made it, by the provider's clock.
    pub created: Option<Timestamp>,
    /// What the provider says is wrong with it.
    pub failure: Option<String>,
    /// Carries the mark of a removal by this program.
    pub marked: bool,
}

/// How far a machine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Made, not yet a node of the cluster.
    Booting,
    /// A node of the cluster.
    Running,
    /// Could not become a node.
    Failed,
    /// Being deleted; no capacity any more.
    Leaving,
}

/// What became of a wish for a number of machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scaled {
    /// The number is this now.
    To(u32),
    /// Dry run: nothing was written.
    Said,
}

/// What became of a removal.
#[derive(Debug, Default, PartialEq)]
pub struct Removal {
    /// Leaving or gone, seen to be so.
    pub gone: Vec<String>,
    /// Still there, nothing left of the attempt, with the reason.
    pub kept: Vec<(String, NodesError)>,
}

/// What is known of the access to the provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// When the token stops working; `None` where it never does or the
    /// provider does not say.
    pub token_expires: Option<Timestamp>,
    /// The provider's version.
    pub version: Option<String>,
    /// What could not be learned, and why.
    pub fault: Option<String>,
}

/// The permission to write, asked for immediately before every write that
/// leaves this process: whether it still leads.
#[derive(Clone, Copy)]
pub struct Permit<'a>(&'a (dyn Fn() -> bool + Send + Sync));

impl<'a> Permit<'a> {
    /// A permission that lasts as long as `holds` says.
    #[must_use]
    pub fn new(holds: &'a (dyn Fn() -> bool + Send + Sync)) -> Self {
        Self(holds)
    }

    /// Whether writing is allowed at this moment.
    #[must_use]
    pub fn holds(&self) -> bool {
        (self.0)()
    }
}

impl Permit<'static> {
    /// For a single process that nothing competes with.
    #[must_use]
    pub fn always() -> Self {
        Self(&|| true)
    }
}

impl fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Permit").field(&self.holds()).finish()
    }
}

impl Pool {
    /// Machines that are not leaving.
    pub fn present(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().filter(|machine| machine.phase != Phase::Leaving)
    }

    /// How many machines are not leaving.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.present().count()).unwrap_or(u32::MAX)
    }

    /// How many machines are in this phase.
    #[must_use]
    pub fn in_phase(&self, phase: Phase) -> u32 {
        u32::try_from(self.machines.iter().filter(|machine| machine.phase == phase).count()).unwrap_or(u32::MAX)
    }

    /// The machine of this name.
    #[must_use]
    pub fn machine(&self, id: &str) -> Option<&Machine> {
        self.machines.iter().find(|machine| machine.id == id)
    }

    /// What lowering to `to` would come to: not below the machines there are.
    #[must_use]
    pub fn lowest(&self, to: u32) -> u32 {
        if to < self.wanted { to.max(self.count().min(self.wanted)) } else { to }
    }
}

/// The provider that the configuration names.
///
/// # Errors
/// Unusable settings; nothing is sent yet.
pub fn open(settings: &Settings) -> Result<Arc<dyn NodeProvider>, NodesError> {
    let provider: Arc<dyn NodeProvider> = match &settings.provider {
        Provider::RancherV3(rancher) => Arc::new(RancherV3::new(rancher)?),
        Provider::RancherV1(rancher) => Arc::new(RancherV1::new(rancher)?),
    };
    Ok(if settings.dry_run { Arc::new(DryRun::new(provider)) } else { provider })
}
