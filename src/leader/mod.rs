//! Who leads: one of many processes, decided by what they share.
//!
//! | election | file | decided by |
//! |---|---|---|
//! | Kubernetes | `kubernetes.rs` | a Lease of `coordination.k8s.io/v1` |
//! | the broker | `broker.rs` | a queue with a single active consumer |
//! | none | `alone.rs` | this is the only one |
//! | in memory | `memory.rs` | a lease that processes of a test share |
//!
//! Leading is a matter of time, not a fact that stays: [`Leadership::leads`]
//! compares the last success with this host's own monotonic clock at the
//! moment of asking. A process that was frozen knows on waking that its time
//! is over, before it has read anything. Two never lead at the same moment, as
//! long as their clocks run equally fast.

mod alone;
mod broker;
pub mod contract;
mod elector;
mod kubernetes;
mod lease;
mod memory;
mod settings;

use std::fmt;

pub use alone::Alone;
use async_trait::async_trait;
pub use broker::{BrokerTerms, ByBroker};
pub use elector::{Elector, Found, LeaseStore, StoreError};
pub use kubernetes::{KubernetesLease, KubernetesSettings};
pub use lease::{Act, Event, Lease, Now, Record, Terms};
pub use memory::MemoryLease;
use serde::Serialize;
pub use settings::{Election, Settings};
use tokio::sync::watch;

/// A spell of leading, counted within this process. What was decided in one
/// is not acted on in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Term(pub u64);

/// Where an election stands, as this process sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// The term in which this process leads.
    pub term: Option<Term>,
    /// Who leads, where it is known.
    pub leader: Option<String>,
    /// Why the election cannot be read or won.
    pub fault: Option<String>,
}

/// One candidate of an election.
#[async_trait]
pub trait Leadership: Send + Sync + fmt::Debug {
    /// As the configuration names the election.
    fn name(&self) -> &'static str;

    /// The term in which this process leads at this moment, by its own clock.
    /// Asked before every write that only a leader may do.
    fn leads(&self) -> Option<Term>;

    /// Where the election stands, and its changes.
    fn standing(&self) -> watch::Receiver<Standing>;

    /// Gives up and stands no more. To be called when the work that only a
    /// leader may do has ended: another may lead at once.
    async fn resign(&self);
}

/// Why an election cannot be taken part in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, expected {expected}")]
pub struct LeaderError {
    /// What is wrong.
    pub what: String,
    /// What would work.
    pub expected: String,
}

#[cfg(test)]
mod tests;
