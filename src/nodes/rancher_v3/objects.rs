//! What is read of `/v3` objects, and what it comes to.

use jiff::Timestamp;
use serde::Deserialize;

use super::super::{Machine, Phase, Pool};

/// A node pool. Only these fields are read; writes name one field, and the
/// server keeps the others.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NodePool {
    cluster_id: String,
    pub quantity: u32,
    #[serde(default)]
    control_plane: bool,
    #[serde(default)]
    etcd: bool,
    #[serde(flatten)]
    standing: Standing,
}

/// A node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Node {
    id: String,
    #[serde(default)]
    pub node_pool_id: Option<String>,
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    created: Option<Timestamp>,
    #[serde(default)]
    removed: Option<String>,
    #[serde(flatten)]
    standing: Standing,
}

/// What every object of `/v3` says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Standing {
    #[serde(default)]
    state: String,
    #[serde(default)]
    transitioning: String,
    #[serde(default)]
    transitioning_message: String,
}

impl Standing {
    fn failure(&self) -> Option<String> {
        (self.transitioning == "error").then(|| match self.transitioning_message.as_str() {
            "" => format!("state {}", self.state),
            message => message.to_owned(),
        })
    }
}

impl NodePool {
    pub fn seen(&self, name: &str, cluster: &str, nodes: Vec<Node>) -> Pool {
        let refused = if self.cluster_id != cluster {
            Some(format!(
                "the node pool belongs to cluster {}, not {cluster}; correct cluster or pools in the settings",
                self.cluster_id
            ))
        } else if self.control_plane || self.etcd {
            Some("the node pool carries the control plane or etcd; give the workers a pool of their own".to_owned())
        } else {
            None
        };
        let machines = nodes.into_iter().map(Node::seen).collect();
        Pool { name: name.to_owned(), wanted: self.quantity, machines, failure: self.standing.failure(), refused }
    }
}

impl Node {
    fn phase(&self) -> Phase {
        let removed = self.removed.as_deref().is_some_and(|time| !time.is_empty());
        let joined = self.node_name.as_deref().is_some_and(|name| !name.is_empty());
        match self.standing.state.as_str() {
            _ if removed => Phase::Leaving,
            "removing" | "removed" => Phase::Leaving,
            // A node of the cluster, whatever its readiness: that its worker
            // works is said by the worker itself.
            "active" | "cordoned" | "draining" | "drained" | "unavailable" if joined => Phase::Running,
            _ if self.standing.failure().is_some() => Phase::Failed,
            _ => Phase::Booting,
        }
    }

    fn seen(self) -> Machine {
        let phase = self.phase();
        let failure = self.standing.failure();
        let node = self.node_name.filter(|name| !name.is_empty());
        Machine { id: self.id, node, phase, created: self.created, failure, marked: false }
    }
}

/// A pool that the server does not know.
pub(super) fn absent(name: &str, id: &str, cluster: &str) -> Pool {
    let refused = format!(
        "there is no node pool {id}; give an id of GET /v3/nodePools?clusterId={cluster}, \
         or set the provider to rancher-v1 where the cluster is RKE2 or K3s"
    );
    Pool { name: name.to_owned(), wanted: 0, machines: Vec::new(), failure: None, refused: Some(refused) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node(change: &Value) -> Node {
        let mut node = json!({"id": "c-abcde:m-klmno", "nodePoolId": "c-abcde:np-fghij", "nodeName": "gpu-worker-1",
            "state": "active", "transitioning": "no", "transitioningMessage": "", "created": "2026-02-19T19:13:05Z"});
        for (key, value) in change.as_object().unwrap() {
            node[key] = value.clone();
        }
        serde_json::from_value(node).unwrap()
    }

    #[test]
    fn phases_are_told_from_states() {
        for (change, phase) in [
            (json!({}), Phase::Running),
            (json!({"state": "unavailable"}), Phase::Running),
            (json!({"state": "provisioning", "nodeName": ""}), Phase::Booting),
            (json!({"state": "registering", "nodeName": null, "transitioning": "yes"}), Phase::Booting),
            (json!({"state": "active", "nodeName": ""}), Phase::Booting),
            (json!({"state": "provisioning", "nodeName": "", "transitioning": "error"}), Phase::Failed),
            (json!({"state": "removing"}), Phase::Leaving),
            (json!({"removed": "2026-02-19T20:00:00Z"}), Phase::Leaving),
        ] {
            assert_eq!(node(&change).phase(), phase, "{change}");
        }
    }

    #[test]
    fn a_pool_of_masters_or_of_another_cluster_is_refused() {
        let pool = |change: (&str, Value)| {
            let mut pool = json!({"clusterId": "c-abcde", "quantity": 2});
            pool[change.0] = change.1;
            serde_json::from_value::<NodePool>(pool).unwrap().seen("gpu", "c-abcde", vec![])
        };
        assert_eq!(pool(("worker", true.into())).refused, None);
        assert!(pool(("etcd", true.into())).refused.unwrap().contains("etcd"));
        assert!(pool(("clusterId", "c-other".into())).refused.unwrap().contains("c-other"));
    }
}
