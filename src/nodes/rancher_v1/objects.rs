//! What is read of `/v1` objects, and what it comes to.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{Machine, NodesError, Phase, Pool};

/// Which cluster a machine belongs to.
pub(super) const CLUSTER_LABEL: &str = "cluster.x-k8s.io/cluster-name";
/// Which machine pool a machine belongs to.
const POOL_LABEL: &str = "rke.cattle.io/rke-machine-pool-name";
/// A machine that has it is deleted before others.
pub(super) const DELETE_FIRST: &str = "cluster.x-k8s.io/delete-machine";
/// The annotation's value when it was written by this program: any value
/// works, and this one tells which marks may be taken back.
pub(super) const MARK: &str = "skydose";
/// Set for Cluster Autoscaler's provider.
const AUTOSCALER_ANNOTATIONS: &str = "cluster.provisioning.cattle.io/autoscaler-";

/// A machine pool within its cluster's object.
#[derive(Debug)]
pub(super) struct MachinePool {
    index: usize,
    name: String,
    /// Null and absent are told apart: a patch of an absent field adds it.
    quantity: Option<Value>,
    version: Value,
    refused: Option<String>,
}

impl MachinePool {
    /// The pool of this name in a cluster's object.
    pub fn find(cluster: &Value, name: &str) -> Result<Option<Self>, NodesError> {
        let pools = machine_pools(cluster)?;
        let Some((index, pool)) = pools.iter().enumerate().find(|(_, pool)| pool["name"] == name) else {
            return Ok(None);
        };
        let quantity = pool.get("quantity").cloned();
        if quantity.as_ref().is_some_and(|q| !q.is_null() && u32::try_from(q.as_u64().unwrap_or(u64::MAX)).is_err()) {
            return Err(NodesError::Answer {
                from: format!("machine pool {name}"),
                what: format!("quantity is {}", pool["quantity"]),
                expected: "a number or null".to_owned(),
            });
        }
        let version = cluster["metadata"]["resourceVersion"].clone();
        Ok(Some(Self { index, name: name.to_owned(), quantity, version, refused: refused(pool) }))
    }

    /// The number wanted; an absent one is 1, as Cluster API takes it.
    pub fn quantity(&self) -> u32 {
        let number = self.quantity.as_ref().and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok()).unwrap_or(1)
    }

    /// A compare-and-swap of the number. Where there is none to compare, the
    /// whole object must be as it was read.
    pub fn patch(&self, to: u32) -> Value {
        let at = |field: &str| format!("/spec/rkeConfig/machinePools/{}/{field}", self.index);
        let name = json!({"op": "test", "path": at("name"), "value": self.name});
        match &self.quantity {
            Some(old) if !old.is_null() => json!([
                name,
                {"op": "test", "path": at("quantity"), "value": old},
                {"op": "replace", "path": at("quantity"), "value": to},
            ]),
            _ => json!([
                name,
                {"op": "test", "path": "/metadata/resourceVersion", "value": self.version},
                {"op": "add", "path": at("quantity"), "value": to},
            ]),
        }
    }

    pub fn refuse(&self, pool: &str) -> Result<(), NodesError> {
        match &self.refused {
            None => Ok(()),
            Some(what) => Err(NodesError::Refused {
                what: format!("pool {pool}: {what}"),
                remedy: "nothing was written".to_owned(),
            }),
        }
    }
}

fn machine_pools(cluster: &Value) -> Result<&[Value], NodesError> {
    cluster["spec"]["rkeConfig"]["machinePools"].as_array().map(Vec::as_slice).ok_or_else(|| NodesError::Answer {
        from: format!("cluster {}", cluster["metadata"]["name"].as_str().unwrap_or("without a name")),
        what: "no spec.rkeConfig.machinePools: an imported cluster or one of a cloud's own service".to_owned(),
        expected: "a cluster that Rancher provisions as RKE2 or K3s".to_owned(),
    })
}

/// Why a pool must not be managed.
fn refused(pool: &Value) -> Option<String> {
    for field in ["autoscalingMinSize", "autoscalingMaxSize"] {
        if !pool[field].is_null() {
            return Some(format!(
                "{field} is {}: Rancher's own autoscaler manages this machine pool; \
                 remove autoscalingMinSize and autoscalingMaxSize from it",
                pool[field]
            ));
        }
    }
    let annotations = pool["machineDeploymentAnnotations"].as_object().into_iter().flatten();
    if let Some((name, _)) = annotations.into_iter().find(|(name, _)| name.starts_with(AUTOSCALER_ANNOTATIONS)) {
        return Some(format!(
            "the annotation {name} gives this machine pool to Cluster Autoscaler; \
             remove the annotations {AUTOSCALER_ANNOTATIONS}* from it"
        ));
    }
    if pool["paused"] == true {
        return Some("the machine pool is paused: Cluster API changes nothing in it; set paused to false".to_owned());
    }
    if pool["etcdRole"] == true || pool["controlPlaneRole"] == true {
        return Some(
            "the machine pool carries the control plane or etcd; give the workers a pool of their own".to_owned(),
        );
    }
    None
}

/// A machine's object.
#[derive(Debug, Deserialize)]
pub(super) struct MachineObject {
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: String,
    #[serde(default)]
    resource_version: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
    #[serde(default)]
    state: Option<State>,
}

/// What Rancher adds to an object's metadata.
#[derive(Debug, Deserialize)]
struct State {
    #[serde(default)]
    error: bool,
    #[serde(default)]
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    node_ref: Option<NodeRef>,
    #[serde(default)]
    failure_message: Option<String>,
    #[serde(default)]
    failure_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NodeRef {
    name: String,
}

impl MachineObject {
    pub fn name(&self) -> &str {
        &self.metadata.name
    }

    pub fn version(&self) -> Option<&str> {
        self.metadata.resource_version.as_deref()
    }

    pub fn cluster(&self) -> Option<&String> {
        self.metadata.labels.as_ref()?.get(CLUSTER_LABEL)
    }

    pub fn belongs_to(&self, pool: &str) -> bool {
        self.metadata.labels.as_ref().and_then(|labels| labels.get(POOL_LABEL)).is_some_and(|name| name == pool)
    }

    /// Carries this program's mark.
    pub fn is_marked(&self) -> bool {
        self.deleted_first().is_some_and(|value| value == MARK)
    }

    /// The annotation of whoever wants it deleted first.
    pub fn deleted_first(&self) -> Option<&String> {
        self.metadata.annotations.as_ref()?.get(DELETE_FIRST)
    }

    pub fn is_leaving(&self) -> bool {
        self.phase() == Phase::Leaving
    }

    fn phase(&self) -> Phase {
        match (self.status.phase.as_deref(), &self.status.node_ref) {
            _ if self.metadata.deletion_timestamp.is_some() => Phase::Leaving,
            (Some("Deleting" | "Deleted"), _) => Phase::Leaving,
            (Some("Failed"), _) => Phase::Failed,
            _ if self.status.failure_message.is_some() || self.status.failure_reason.is_some() => Phase::Failed,
            (_, Some(_)) => Phase::Running,
            (_, None) => Phase::Booting,
        }
    }

    fn failure(&self) -> Option<String> {
        let status = self.status.failure_message.clone().or_else(|| self.status.failure_reason.clone());
        let state = self.metadata.state.as_ref().filter(|state| state.error).map(|state| state.message.clone());
        status.or(state)
    }

    fn seen(&self) -> Machine {
        Machine {
            id: self.metadata.name.clone(),
            node: self.status.node_ref.as_ref().map(|node| node.name.clone()),
            phase: self.phase(),
            created: self.metadata.creation_timestamp,
            failure: self.failure(),
            marked: self.is_marked(),
        }
    }
}

/// A pool as others see it.
pub(super) fn seen(pool: &str, name: &str, cluster: &Value, machines: &[MachineObject]) -> Result<Pool, NodesError> {
    let machines = machines.iter().filter(|m| m.belongs_to(name)).map(MachineObject::seen).collect();
    let (wanted, refused) = match MachinePool::find(cluster, name)? {
        Some(found) => (found.quantity(), found.refused),
        None => (0, Some(absent(cluster, name))),
    };
    Ok(Pool { name: pool.to_owned(), wanted, machines, failure: None, refused })
}

/// Says which pools there are instead.
pub(super) fn absent(cluster: &Value, name: &str) -> String {
    let pools = machine_pools(cluster).unwrap_or_default();
    let names: Vec<&str> = pools.iter().filter_map(|pool| pool["name"].as_str()).collect();
    format!("there is no machine pool {name} in cluster {}; it has {}", cluster["metadata"]["name"], names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(pool: &Value) -> Value {
        json!({"metadata": {"name": "worker-cluster", "resourceVersion": "46559"},
            "spec": {"rkeConfig": {"machinePools": [{"name": "ctrl", "quantity": 1}, pool]}}})
    }

    fn found(pool: &Value) -> MachinePool {
        MachinePool::find(&cluster(pool), "gpu").unwrap().unwrap()
    }

    #[test]
    fn the_patch_compares_before_it_replaces() {
        let patch = found(&json!({"name": "gpu", "quantity": 3})).patch(5);
        let expected = json!([
            {"op": "test", "path": "/spec/rkeConfig/machinePools/1/name", "value": "gpu"},
            {"op": "test", "path": "/spec/rkeConfig/machinePools/1/quantity", "value": 3},
            {"op": "replace", "path": "/spec/rkeConfig/machinePools/1/quantity", "value": 5},
        ]);
        assert_eq!(patch, expected);
        for absent in [json!({"name": "gpu"}), json!({"name": "gpu", "quantity": null})] {
            let pool = found(&absent);
            assert_eq!(pool.quantity(), 1);
            let patch = pool.patch(0);
            assert_eq!(patch[1], json!({"op": "test", "path": "/metadata/resourceVersion", "value": "46559"}));
            assert_eq!(patch[2]["op"], "add");
        }
    }

    #[test]
    fn what_others_manage_is_refused_with_the_remedy() {
        for (field, value, said) in [
            ("autoscalingMinSize", json!(0), "remove autoscalingMinSize"),
            ("autoscalingMaxSize", json!(8), "Rancher's own autoscaler"),
            (
                "machineDeploymentAnnotations",
                json!({"cluster.provisioning.cattle.io/autoscaler-min-size": "0"}),
                "Cluster Autoscaler",
            ),
            ("paused", json!(true), "set paused to false"),
            ("etcdRole", json!(true), "a pool of their own"),
        ] {
            let mut pool = json!({"name": "gpu", "quantity": 1});
            pool[field] = value;
            let error = found(&pool).refuse("gpu").unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let untouched = json!({"name": "gpu", "quantity": 1, "autoscalingMinSize": null, "paused": false,
            "machineDeploymentAnnotations": {"team": "air"}});
        assert_eq!(found(&untouched).refuse("gpu"), Ok(()));
    }

    #[test]
    fn unusable_answers_are_said() {
        let imported = json!({"metadata": {"name": "worker-cluster"}, "spec": {}});
        assert!(MachinePool::find(&imported, "gpu").unwrap_err().to_string().contains("machinePools"));
        let negative = MachinePool::find(&cluster(&json!({"name": "gpu", "quantity": -1})), "gpu");
        assert!(negative.unwrap_err().to_string().contains("quantity is -1"));
        assert!(absent(&cluster(&json!({"name": "gpu"})), "cpu").contains("it has ctrl, gpu"));
    }
}
