//! Rancher's machine pools of `/v1`: RKE2 and K3s, Rancher 2.6 and later.
//!
//! The number of a pool is written as a JSON Patch that tests the pool's name
//! and its old number before it replaces the number: a compare-and-swap on one
//! field, which leaves every other field as it is. A machine is removed by an
//! annotation that puts it first in the order of deletion, and by lowering the
//! number; then it is checked that it is the one that leaves.

mod objects;
mod remove;

use std::time::Duration;

use async_trait::async_trait;
use objects::{MachineObject, MachinePool};
use serde_json::{Value, json};

use super::{
    Health, NodeProvider, NodesError, Permit, Pool, RancherSettings, Removal, Scaled,
    rancher_version::{self, Version},
};
use crate::http::{Call, Client, HttpError, Method};

/// How often a write is tried over others' writes.
const WRITES: u32 = 5;
/// After a conflict or an answer that was lost.
const AGAIN_AFTER: Duration = Duration::from_millis(250);
/// Pages of a list, [`PAGE`] entries each.
const MOST_PAGES: usize = 100;
/// Entries a page.
const PAGE: usize = 500;
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// Machine pools of one cluster.
#[derive(Debug)]
pub struct RancherV1 {
    client: Client,
    settings: RancherSettings,
}

impl RancherV1 {
    /// The provider; nothing is sent yet.
    ///
    /// # Errors
    /// An unusable address or certificate file.
    pub fn new(settings: &RancherSettings) -> Result<Self, NodesError> {
        Ok(Self { client: Client::new(settings.endpoint())?, settings: settings.clone() })
    }

    fn pool_name(&self, pool: &str) -> Result<&str, NodesError> {
        let name = self.settings.pools.get(pool);
        name.map(String::as_str)
            .ok_or_else(|| NodesError::Missing { what: format!("pool {pool} in the settings of rancher-v1") })
    }

    fn cluster_path(&self) -> String {
        format!("/v1/provisioning.cattle.io.clusters/{}/{}", self.settings.namespace, self.settings.cluster)
    }

    fn machine_path(&self, machine: &str) -> String {
        format!("/v1/cluster.x-k8s.io.machines/{}/{machine}", self.settings.namespace)
    }

    async fn cluster(&self) -> Result<Value, NodesError> {
        match self.client.get(&self.cluster_path()).await {
            Ok(cluster) => Ok(cluster),
            Err(error) if error.status() == Some(404) => Err(NodesError::Refused {
                what: format!("there is no cluster {}/{}: {error}", self.settings.namespace, self.settings.cluster),
                remedy: "give its name and namespace as Rancher shows them, or set the provider to rancher-v3 where it is RKE1"
                    .to_owned(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// The machine pool and its place in the list.
    async fn machine_pool(&self, pool: &str) -> Result<MachinePool, NodesError> {
        let name = self.pool_name(pool)?;
        let cluster = self.cluster().await?;
        MachinePool::find(&cluster, name)?.ok_or_else(|| NodesError::Missing { what: objects::absent(&cluster, name) })
    }

    /// The machines of the cluster. A label selector that the server does not
    /// know would be ignored in silence, so they are filtered again here.
    async fn machines(&self) -> Result<Vec<MachineObject>, NodesError> {
        let cluster = &self.settings.cluster;
        let list = format!(
            "/v1/cluster.x-k8s.io.machines/{}?limit={PAGE}&labelSelector={}%3D{cluster}",
            self.settings.namespace,
            objects::CLUSTER_LABEL.replace('/', "%2F"),
        );
        let (mut machines, mut path) = (Vec::new(), list.clone());
        for _ in 0..MOST_PAGES {
            let mut page = self.client.get(&path).await?;
            for machine in page["data"].as_array_mut().map(std::mem::take).unwrap_or_default() {
                let machine: MachineObject =
                    serde_json::from_value(machine).map_err(|error| self.answer(&format!("a machine: {error}")))?;
                machines.extend((machine.cluster() == Some(cluster)).then_some(machine));
            }
            match page["continue"].as_str() {
                None | Some("") => return Ok(machines),
                Some(token) => path = format!("{list}&continue={}", encoded(token)),
            }
        }
        Err(self.answer(&format!("more than {MOST_PAGES} pages of machines")))
    }

    fn answer(&self, what: &str) -> NodesError {
        let expected = "objects of Rancher's /v1".to_owned();
        NodesError::Answer { from: self.client.host().to_owned(), what: what.to_owned(), expected }
    }

    /// Sets the number of a pool where it still is `from`; what it was set to.
    async fn swap(&self, pool: &str, from: u32, to: u32, permit: Permit<'_>) -> Result<(), NodesError> {
        for attempt in 1.. {
            let found = self.machine_pool(pool).await?;
            if found.quantity() == to {
                return Ok(());
            }
            if found.quantity() != from {
                return Err(NodesError::Changed { pool: pool.to_owned(), expected: from, found: found.quantity() });
            }
            let patch = found.patch(to);
            match self.patch(&self.cluster_path(), JSON_PATCH, &patch, permit).await {
                Ok(()) => return Ok(()),
                // 409: somebody wrote at the same time; 422: a test failed.
                // What is there now decides.
                Err(error) if attempt < WRITES && (matches!(error.status(), Some(409 | 422)) || error.is_unsure()) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn patch(&self, path: &str, media: &str, patch: &Value, permit: Permit<'_>) -> Result<(), HttpError> {
        self.client.send(&Call::write(Method::PATCH, path, media, patch), &|| permit.holds()).await.map(drop)
    }

    /// Writes or takes away the annotation that lets a machine be deleted
    /// first; only over the version that was read.
    async fn annotate(&self, machine: &str, marked: bool, permit: Permit<'_>) -> Result<(), NodesError> {
        let path = self.machine_path(machine);
        for attempt in 1.. {
            let found = match self.client.get(&path).await {
                Ok(value) => value,
                Err(error) if error.status() == Some(404) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let found: MachineObject =
                serde_json::from_value(found).map_err(|error| self.answer(&format!("{machine}: {error}")))?;
            if found.is_marked() == marked || found.is_leaving() {
                return Ok(());
            }
            let value = if marked { json!(objects::MARK) } else { Value::Null };
            let patch = json!({"metadata": {
                "annotations": {objects::DELETE_FIRST: value},
                "resourceVersion": found.version(),
            }});
            match self.patch(&path, MERGE_PATCH, &patch, permit).await {
                Ok(()) => return Ok(()),
                Err(error) if attempt < WRITES && (error.status() == Some(409) || error.is_unsure()) => {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        unreachable!("the last attempt returns")
    }
}

#[async_trait]
impl NodeProvider for RancherV1 {
    fn name(&self) -> &'static str {
        "rancher-v1"
    }

    async fn pools(&self) -> Result<Vec<Pool>, NodesError> {
        let version = Version::of(&self.client).await?;
        if let Some(version) = version.filter(|version| *version < Version::WITH_MACHINE_POOLS) {
            return Err(NodesError::Refused {
                what: format!("Rancher {version} has no machine pools in /v1"),
                remedy: "set the provider to rancher-v3, or update Rancher to 2.6 or later".to_owned(),
            });
        }
        let (cluster, machines) = (self.cluster().await?, self.machines().await?);
        let named = self.settings.pools.iter();
        named.map(|(pool, name)| objects::seen(pool, name, &cluster, &machines)).collect()
    }

    async fn scale_to(&self, pool: &str, from: u32, to: u32, permit: Permit<'_>) -> Result<Scaled, NodesError> {
        let found = self.machine_pool(pool).await?;
        found.refuse(pool)?;
        let present = if to < found.quantity() { self.present(pool).await? } else { 0 };
        let to = if to < found.quantity() { to.max(present.min(found.quantity())) } else { to };
        self.swap(pool, from, to, permit).await?;
        Ok(Scaled::To(to))
    }

    async fn remove(&self, pool: &str, machines: &[String], permit: Permit<'_>) -> Result<Removal, NodesError> {
        self.remove_marked(pool, machines, permit).await
    }

    async fn unmark(&self, pool: &str, machine: &str, permit: Permit<'_>) -> Result<(), NodesError> {
        self.pool_name(pool)?;
        self.annotate(machine, false, permit).await
    }

    async fn health(&self) -> Health {
        rancher_version::health(&self.client).await
    }
}

/// For a query: a continue token is base64 with `+`, `/` and `=`.
fn encoded(token: &str) -> String {
    token
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
