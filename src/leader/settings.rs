//! What the configuration says of the election.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Alone, BrokerTerms, ByBroker, Elector, KubernetesLease, KubernetesSettings, LeaderError, Leadership,
    LeaseStore as _, Terms,
};
use crate::queue;

/// How the leader is elected.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// What decides.
    pub election: Election,
    /// Of the election `kubernetes`.
    pub kubernetes: KubernetesSettings,
    /// Times of the election `kubernetes`.
    pub lease: Terms,
    /// Times of the election `broker`.
    pub broker: BrokerTerms,
}

/// What decides who leads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Election {
    /// A Lease in Kubernetes where the process runs in a pod, elsewhere the
    /// broker.
    #[default]
    Auto,
    /// A Lease in Kubernetes.
    Kubernetes,
    /// The broker.
    Broker,
    /// Nothing: this is the only process.
    None,
}

impl Settings {
    /// Takes part in the election. `me` is unique to this process, `variable`
    /// looks up the environment.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn stand(
        &self,
        me: &str,
        broker: &Arc<dyn queue::Election>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Arc<dyn Leadership>, LeaderError> {
        Ok(match self.decided(variable) {
            Election::Kubernetes | Election::Auto => {
                // Half of what a holder has: one call may hang and the next
                // still succeed.
                let timeout = self.lease.renew_deadline / 2;
                let store = KubernetesLease::new(&self.kubernetes, timeout, variable)?;
                Arc::new(Elector::stand(me, self.lease, store)?)
            }
            Election::Broker => Arc::new(ByBroker::stand(me, self.broker, Arc::clone(broker))?),
            Election::None => Arc::new(Alone::new(me)),
        })
    }

    /// Looks whether the election can be taken part in, and says by what it is
    /// decided and who leads.
    ///
    /// # Errors
    /// Settings that cannot be used, or a Lease that cannot be read.
    pub async fn probe(&self, variable: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<String, String> {
        match self.decided(variable) {
            Election::Kubernetes | Election::Auto => {
                let store = KubernetesLease::new(&self.kubernetes, self.lease.renew_deadline / 2, variable)
                    .map_err(|error| error.to_string())?;
                let seen = store.read().await.map_err(|error| error.to_string())?;
                let holder = seen.map(|seen| seen.record.holder).filter(|holder| !holder.is_empty());
                Ok(format!("a Lease of Kubernetes, held by {}", holder.as_deref().unwrap_or("nobody")))
            }
            Election::Broker => Ok("by the broker".to_owned()),
            Election::None => Ok("none, this is the only process".to_owned()),
        }
    }

    /// Checks the times of every election.
    ///
    /// # Errors
    /// Times that would let two lead, or nobody.
    pub fn check(&self) -> Result<(), LeaderError> {
        self.lease.check()?;
        self.broker.check()
    }

    /// The election that `auto` comes to.
    #[must_use]
    pub fn decided(&self, variable: &dyn Fn(&str) -> Option<String>) -> Election {
        match self.election {
            Election::Auto if variable("KUBERNETES_SERVICE_HOST").is_some() => Election::Kubernetes,
            Election::Auto => Election::Broker,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_elects_by_a_lease_others_by_the_broker() {
        let settings = Settings::default();
        assert_eq!(settings.decided(&|_| Some("10.0.0.1".to_owned())), Election::Kubernetes);
        assert_eq!(settings.decided(&|_| None), Election::Broker);
        let none = Settings { election: Election::None, ..settings };
        assert_eq!(none.decided(&|_| Some("10.0.0.1".to_owned())), Election::None);
    }
}
