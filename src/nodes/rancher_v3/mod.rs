//! Rancher's node pools of `/v3`: RKE1, served up to Rancher 2.11.
//!
//! There is no precondition on writes: the last writer wins, and a reconcile
//! that is running may write an older number over it. So a number is compared
//! before it is written and read again after. A machine goes by the action
//! `scaledown`, which names it and lowers the number itself; lowering the
//! number would take the highest hostname, whatever runs there.

mod objects;

use std::time::Duration;

use async_trait::async_trait;
use objects::{Node, NodePool};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Health, NodeProvider, NodesError, Permit, Phase, Pool, RancherSettings, Removal, Scaled,
    rancher_version::{self, Version},
};
use crate::http::{self, Call, Client, HttpError, Method};

/// How often a write is tried over a reconcile that takes it back.
const WRITES: u32 = 3;
/// Between a write and reading it again, so that a reconcile that was running
/// has ended.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// Between looks whether a machine leaves.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pages of a list, 1,000 entries each.
const MOST_PAGES: usize = 100;

/// Node pools of one cluster.
#[derive(Debug)]
pub struct RancherV3 {
    client: Client,
    settings: RancherSettings,
}

impl RancherV3 {
    /// The provider; nothing is sent yet.
    ///
    /// # Errors
    /// An unusable address or certificate file.
    pub fn new(settings: &RancherSettings) -> Result<Self, NodesError> {
        Ok(Self { client: Client::new(settings.endpoint())?, settings: settings.clone() })
    }

    fn id(&self, pool: &str) -> Result<&str, NodesError> {
        let id = self.settings.pools.get(pool);
        id.map(String::as_str)
            .ok_or_else(|| NodesError::Missing { what: format!("pool {pool} in the settings of rancher-v3") })
    }

    async fn pool(&self, name: &str) -> Result<Pool, NodesError> {
        let id = self.id(name)?;
        match self.client.get(&format!("/v3/nodePools/{id}")).await {
            Ok(value) => {
                let pool: NodePool = self.decode(id, value)?;
                Ok(pool.seen(name, &self.settings.cluster, self.nodes(id).await?))
            }
            Err(error) if error.status() == Some(404) => Ok(objects::absent(name, id, &self.settings.cluster)),
            Err(error) => Err(error.into()),
        }
    }

    async fn quantity(&self, name: &str) -> Result<u32, NodesError> {
        let id = self.id(name)?;
        let pool: NodePool = self.decode(id, self.client.get(&format!("/v3/nodePools/{id}")).await?)?;
        Ok(pool.quantity)
    }

    /// The nodes of a pool. An unknown filter would be ignored in silence, so
    /// they are filtered again here.
    async fn nodes(&self, pool: &str) -> Result<Vec<Node>, NodesError> {
        let mut nodes = Vec::new();
        let mut path = format!("/v3/nodes?nodePoolId={}&limit=1000", pool.replace(':', "%3A"));
        for _ in 0..MOST_PAGES {
            let mut page = self.client.get(&path).await?;
            for node in page["data"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                nodes.push(self.decode::<Node>("a node", node)?);
            }
            let Some(next) = page["pagination"]["next"].as_str() else {
                nodes.retain(|node| node.node_pool_id.as_deref() == Some(pool));
                return Ok(nodes);
            };
            path =
                http::path_of(next).ok_or_else(|| self.answer(&format!("the next page is {next:?}"), "an address"))?;
        }
        Err(self.answer(&format!("more than {MOST_PAGES} pages of nodes"), "fewer"))
    }

    fn decode<T: DeserializeOwned>(&self, what: &str, value: Value) -> Result<T, NodesError> {
        serde_json::from_value(value)
            .map_err(|error| self.answer(&format!("{what}: {error}"), "an object of Rancher's /v3"))
    }

    fn answer(&self, what: &str, expected: &str) -> NodesError {
        NodesError::Answer { from: self.client.host().to_owned(), what: what.to_owned(), expected: expected.to_owned() }
    }

    /// Asks one machine to leave; whether that was done, or may have been.
    async fn ask(&self, pool: &str, machine: &str, permit: Permit<'_>) -> Result<(), NodesError> {
        let path = format!("/v3/nodes/{machine}?action=scaledown");
        let body = json!({});
        // Sent once: a second one for the same machine might lower the number
        // a second time.
        match self.client.send(&Call::write(Method::POST, &path, "application/json", &body), &|| permit.holds()).await {
            Ok(_) => Ok(()),
            Err(error) if error.status() == Some(404) || error.is_unsure() => Ok(()),
            Err(error) if error.status() == Some(422) => Err(NodesError::Refused {
                what: format!("pool {pool}: Rancher does not offer scaledown for {machine}: {error}"),
                remedy: "give the token's user the right to manage the cluster's nodes".to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until the machines leave and the number is lowered, then says
    /// which of them leave.
    async fn verify(&self, pool: &str, asked: Vec<String>, lowered: u32) -> Removal {
        let mut removal = Removal::default();
        let (started, within) = (Instant::now(), self.settings.verify_within);
        let mut leaving = |asked: &[String], seen: &Pool| {
            let leaves = |id: &String| seen.machine(id).is_none_or(|m| m.phase == Phase::Leaving);
            removal.gone = asked.iter().filter(|id| leaves(id)).cloned().collect();
            removal.gone.len() == asked.len()
        };
        loop {
            if let Ok(seen) = self.pool(pool).await
                && leaving(&asked, &seen)
                && seen.wanted <= lowered
            {
                break;
            }
            if started.elapsed() >= within {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let stayed = asked.into_iter().filter(|id| !removal.gone.contains(id)).collect::<Vec<_>>();
        removal.kept =
            stayed.into_iter().map(|machine| (machine.clone(), NodesError::Stayed { machine, within })).collect();
        removal
    }
}

#[async_trait]
impl NodeProvider for RancherV3 {
    fn name(&self) -> &'static str {
        "rancher-v3"
    }

    async fn pools(&self) -> Result<Vec<Pool>, NodesError> {
        let version = Version::of(&self.client).await?;
        let mut pools = Vec::new();
        for name in self.settings.pools.keys() {
            let mut pool = self.pool(name).await?;
            if let Some(version) = version.filter(|version| *version >= Version::WITHOUT_NODE_POOLS) {
                pool.refused = Some(format!(
                    "Rancher {version} acts on /v3 node pools no longer (the last is 2.11); \
                     move the cluster to RKE2 or K3s and set the provider to rancher-v1"
                ));
            }
            pools.push(pool);
        }
        Ok(pools)
    }

    async fn scale_to(&self, name: &str, from: u32, to: u32, permit: Permit<'_>) -> Result<Scaled, NodesError> {
        let id = self.id(name)?;
        let seen = self.pool(name).await?;
        let to = seen.lowest(to);
        if seen.wanted == to {
            return Ok(Scaled::To(to));
        }
        refuse(&seen)?;
        let (path, body) = (format!("/v3/nodePools/{id}"), json!({ "quantity": to }));
        let write = Call::write(Method::PUT, &path, "application/json", &body);
        let mut found = seen.wanted;
        for _ in 0..WRITES {
            if found != from {
                return Err(NodesError::Changed { pool: name.to_owned(), expected: from, found });
            }
            // Rancher has tried a conflict five times; the next round may pass.
            match self.client.send(&write, &|| permit.holds()).await {
                Ok(_) => tokio::time::sleep(READ_AGAIN_AFTER).await,
                Err(error) if conflict_or_unsure(&error) => tokio::time::sleep(LOOK_EVERY).await,
                Err(error) => return Err(error.into()),
            }
            found = self.quantity(name).await?;
            if found == to {
                return Ok(Scaled::To(to));
            }
        }
        Err(NodesError::Reverted { pool: name.to_owned(), wanted: to, found })
    }

    async fn remove(&self, name: &str, machines: &[String], permit: Permit<'_>) -> Result<Removal, NodesError> {
        let seen = self.pool(name).await?;
        let is_there = |id: &String| seen.machine(id).is_some_and(|m| m.phase != Phase::Leaving);
        let (there, gone): (Vec<String>, Vec<String>) = machines.iter().cloned().partition(is_there);
        if there.is_empty() {
            return Ok(Removal { gone, kept: Vec::new() });
        }
        refuse(&seen)?;
        let (mut asked, mut kept) = (Vec::new(), Vec::new());
        for machine in there {
            match self.ask(name, &machine, permit).await {
                Ok(()) => asked.push(machine),
                Err(error) => kept.push((machine, error)),
            }
        }
        let lowered = seen.wanted.saturating_sub(u32::try_from(asked.len()).unwrap_or(u32::MAX));
        let mut removal = self.verify(name, asked, lowered).await;
        removal.gone.extend(gone);
        removal.kept.extend(kept);
        Ok(removal)
    }

    async fn unmark(&self, name: &str, _: &str, _: Permit<'_>) -> Result<(), NodesError> {
        // `scaledown` is one call: it leaves no mark.
        self.id(name).map(drop)
    }

    async fn health(&self) -> Health {
        rancher_version::health(&self.client).await
    }
}

fn refuse(pool: &Pool) -> Result<(), NodesError> {
    match &pool.refused {
        None => Ok(()),
        Some(what) => Err(NodesError::Refused {
            what: format!("pool {}: {what}", pool.name),
            remedy: "nothing was written".to_owned(),
        }),
    }
}

fn conflict_or_unsure(error: &HttpError) -> bool {
    error.status() == Some(409) || error.is_unsure()
}
