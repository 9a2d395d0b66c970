//! `/v1`: an RKE2 cluster's object and Cluster API's machines.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    super::cloud::{CloudMachine, Stage},
    CLUSTER, Call, Reply, Server, created, error, now,
};

const POOLS: &str = "/spec/rkeConfig/machinePools";

/// The cluster's object, with fields that no client of ours knows.
pub(super) fn cluster() -> Value {
    json!({
        "id": format!("fleet-default/{CLUSTER}"),
        "type": "provisioning.cattle.io.cluster",
        "apiVersion": "provisioning.cattle.io/v1",
        "kind": "Cluster",
        "metadata": {"name": CLUSTER, "namespace": "fleet-default", "resourceVersion": "46559",
            "annotations": {"field.cattle.io/creatorId": "user-x7q4j"}},
        "spec": {
            "kubernetesVersion": "v1.34.3+rke2r1",
            "rkeConfig": {
                "chartValues": null,
                "machinePools": [
                    {"name": "ctrl", "quantity": 1, "controlPlaneRole": true, "etcdRole": true},
                    {"name": "gpu", "quantity": 3, "workerRole": true, "drainBeforeDelete": true,
                        "dynamicSchemaSpec": "{…}", "hostnameLengthLimit": 15, "autoscalingMinSize": null,
                        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                ],
                "upgradeStrategy": {"workerDrainOptions": {"enabled": false}},
            },
        },
    })
}

impl Server {
    pub(super) fn v1(&mut self, call: &Call, path: &[&str]) -> Reply {
        match (&call.method, path) {
            (method, ["provisioning.cattle.io.clusters", "fleet-default", CLUSTER]) => match *method {
                Method::GET => (200, self.cluster_now()),
                Method::PUT => self.put_cluster(&call.body),
                Method::PATCH => self.patch_cluster(call),
                _ => error(405, "MethodNotAllow", "not supported"),
            },
            (&Method::GET, ["cluster.x-k8s.io.machines", "fleet-default"]) => self.machine_list(call),
            (method, ["cluster.x-k8s.io.machines", "fleet-default", name]) => self.machine(method, name, call),
            _ => error(404, "NotFound", &format!("{} not found", call.path)),
        }
    }

    fn cluster_now(&self) -> Value {
        let mut cluster = self.cluster.clone();
        for pool in cluster.pointer_mut(POOLS).and_then(Value::as_array_mut).into_iter().flatten() {
            let name = pool["name"].as_str().unwrap_or_default();
            if let (Some(cloud), true) =
                (self.cloud.pools.get(name), pool.get("quantity").is_some_and(|q| !q.is_null()))
            {
                pool["quantity"] = json!(cloud.quantity);
            }
        }
        cluster
    }

    fn put_cluster(&mut self, body: &Value) -> Reply {
        match body["metadata"]["resourceVersion"].as_str() {
            None => error(500, "ServerError", "metadata.resourceVersion is required for update"),
            Some(version) if self.cluster["metadata"]["resourceVersion"] != version => conflict(),
            Some(_) => self.store(body.clone()),
        }
    }

    fn patch_cluster(&mut self, call: &Call) -> Reply {
        if call.media != "application/json-patch+json" {
            return error(415, "UnsupportedMediaType", "the simulator takes JSON Patch alone");
        }
        let mut object = self.cluster_now();
        for operation in call.body.as_array().into_iter().flatten() {
            if let Err(message) = apply(&mut object, operation) {
                return error(422, "Invalid", &message);
            }
        }
        self.store(object)
    }

    fn store(&mut self, mut object: Value) -> Reply {
        let version: u64 =
            self.cluster["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse().ok()).unwrap_or(0);
        object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        for pool in object.pointer(POOLS).and_then(Value::as_array).into_iter().flatten() {
            let name = pool["name"].as_str().unwrap_or_default();
            let quantity = pool["quantity"].as_u64().and_then(|q| u32::try_from(q).ok());
            if let (Some(quantity), true) = (quantity, self.cloud.pools.contains_key(name)) {
                self.cloud.set_quantity(name, quantity, now());
            }
        }
        self.cluster = object;
        (200, self.cluster_now())
    }

    fn machine_list(&self, call: &Call) -> Reply {
        let selects = |machine: &Value| {
            self.ignores_filters
                || call
                    .query
                    .get("labelSelector")
                    .and_then(|s| s.split_once('='))
                    .is_none_or(|(label, value)| machine["metadata"]["labels"][label] == value)
        };
        let mut all: Vec<Value> = self.cloud.machines.iter().map(|m| self.machine_object(m)).collect();
        // Another cluster's machine lies in the same namespace.
        let mut other = all[0].clone();
        other["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] = json!("another");
        other["metadata"]["labels"]["rke.cattle.io/rke-machine-pool-name"] = json!("gpu");
        all.push(other);
        let matching: Vec<Value> = all.into_iter().filter(selects).collect();
        let start: usize = call.query.get("continue").and_then(|at| at.strip_prefix("at+")?.parse().ok()).unwrap_or(0);
        let page: Vec<Value> = matching.iter().skip(start).take(self.page).cloned().collect();
        let mut list = json!({"type": "collection", "count": matching.len(), "data": page});
        if start + page.len() < matching.len() {
            list["continue"] = json!(format!("at+{}", start + page.len()));
        }
        (200, list)
    }

    fn machine(&mut self, method: &Method, name: &str, call: &Call) -> Reply {
        let Some(at) = self.cloud.machines.iter().position(|m| m.host == name) else {
            return error(404, "NotFound", &format!("machines.cluster.x-k8s.io \"{name}\" not found"));
        };
        match *method {
            Method::GET => (200, self.machine_object(&self.cloud.machines[at])),
            Method::PATCH if call.media == "application/merge-patch+json" => {
                let machine = &mut self.cloud.machines[at];
                let version = call.body["metadata"]["resourceVersion"].as_str();
                if version.is_some_and(|version| version != machine.version.to_string()) {
                    return conflict();
                }
                for (key, value) in call.body["metadata"]["annotations"].as_object().into_iter().flatten() {
                    match value.as_str() {
                        Some(value) => machine.annotations.insert(key.clone(), value.to_owned()),
                        None => machine.annotations.remove(key),
                    };
                }
                machine.version += 1;
                (200, self.machine_object(&self.cloud.machines[at]))
            }
            _ => error(405, "MethodNotAllow", "not supported"),
        }
    }

    fn machine_object(&self, machine: &CloudMachine) -> Value {
        let stage = self.cloud.stage(machine, now());
        let phase = match stage {
            Stage::Booting => "Provisioning",
            Stage::Joined => "Provisioned",
            Stage::Whole => "Running",
            Stage::Failed => "Failed",
            Stage::Deleting => "Deleting",
        };
        let mut object = json!({
            "id": format!("fleet-default/{}", machine.host),
            "apiVersion": "cluster.x-k8s.io/v1beta1",
            "kind": "Machine",
            "metadata": {
                "name": machine.host,
                "namespace": "fleet-default",
                "resourceVersion": machine.version.to_string(),
                "creationTimestamp": created(machine.made),
                "labels": {
                    "cluster.x-k8s.io/cluster-name": CLUSTER,
                    "rke.cattle.io/rke-machine-pool-name": machine.pool,
                },
                "annotations": machine.annotations,
            },
            "spec": {"clusterName": CLUSTER},
            "status": {"phase": phase},
        });
        if matches!(stage, Stage::Joined | Stage::Whole) {
            object["status"]["nodeRef"] = json!({"kind": "Node", "name": machine.host});
        }
        if stage == Stage::Whole {
            object["spec"]["providerID"] = json!(format!("rke2://{}", machine.host));
        }
        if stage == Stage::Failed {
            object["status"]["failureMessage"] = json!("OperationNotAllowed: exceeding approved cores quota");
        }
        if stage == Stage::Deleting {
            object["metadata"]["deletionTimestamp"] = json!("2026-02-19T20:00:00Z");
        }
        object
    }
}

/// One operation of RFC 6902 on members of objects and arrays that exist.
fn apply(object: &mut Value, operation: &Value) -> Result<(), String> {
    let path = operation["path"].as_str().ok_or("no path")?;
    match operation["op"].as_str() {
        Some("test") if object.pointer(path) == Some(&operation["value"]) => Ok(()),
        Some("test") => Err(format!("testing value {path} failed")),
        Some("replace") => {
            *object.pointer_mut(path).ok_or(format!("{path} is not there"))? = operation["value"].clone();
            Ok(())
        }
        Some("add") => {
            let (parent, key) = path.rsplit_once('/').ok_or("no path")?;
            object.pointer_mut(parent).ok_or(format!("{parent} is not there"))?[key] = operation["value"].clone();
            Ok(())
        }
        other => Err(format!("operation {other:?}")),
    }
}

fn conflict() -> Reply {
    error(409, "Conflict", "Operation cannot be fulfilled: the object has been modified")
}
