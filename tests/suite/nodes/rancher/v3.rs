//! `/v3`: node pools and nodes of an RKE1 cluster.

use axum::http::Method;
use serde_json::{Value, json};

use super::{
    super::cloud::{CloudMachine, Stage},
    CLUSTER, Call, Reply, Server, created, error, now,
};

impl Server {
    pub(super) fn v3(&mut self, call: &Call, path: &[&str]) -> Reply {
        match (&call.method, path) {
            (&Method::PATCH, _) => error(405, "MethodNotAllow", "Method PATCH not supported"),
            (&Method::GET, ["nodePools", id]) => self.with_pool(id, |server, pool| (200, server.node_pool(pool))),
            (&Method::PUT, ["nodePools", id]) => self.with_pool(id, |server, pool| server.put_pool(pool, &call.body)),
            (&Method::GET, ["nodes"]) => self.nodes(call),
            (&Method::POST, ["nodes", id]) => self.node_action(id, call),
            _ => error(404, "NotFound", "failed to find resource by id"),
        }
    }

    fn with_pool(&mut self, id: &str, work: impl FnOnce(&mut Self, &str) -> Reply) -> Reply {
        match id.strip_prefix(&format!("{CLUSTER}:np-")) {
            Some(pool) if self.cloud.pools.contains_key(pool) => work(self, pool),
            _ => error(404, "NotFound", "failed to find resource by id"),
        }
    }

    fn node_pool(&self, pool: &str) -> Value {
        let failed = self.cloud.of(pool).any(|m| self.cloud.stage(m, now()) == Stage::Failed);
        let message = if failed { "OperationNotAllowed: exceeding approved cores quota" } else { "" };
        json!({
            "id": format!("{CLUSTER}:np-{pool}"),
            "type": "nodePool",
            "clusterId": CLUSTER,
            "hostnamePrefix": format!("{pool}-"),
            "nodeTemplateId": "cattle-global-nt:nt-user-xxxxx-nt-yyyyy",
            "quantity": self.cloud.pools[pool].quantity,
            "controlPlane": pool == "ctrl", "etcd": pool == "ctrl", "worker": pool != "ctrl",
            "nodeTaints": null,
            "state": if failed { "updating" } else { "active" },
            "transitioning": if failed { "error" } else { "no" },
            "transitioningMessage": message,
        })
    }

    /// The server merges: only the number is taken, the others stay.
    fn put_pool(&mut self, pool: &str, body: &Value) -> Reply {
        let Some(quantity) = body["quantity"].as_u64().and_then(|n| u32::try_from(n).ok()) else {
            return error(422, "InvalidBodyContent", "Failed to parse body: EOF");
        };
        let old = self.cloud.pools[pool].quantity;
        self.cloud.set_quantity(pool, quantity, now());
        self.maybe_lose(pool, old);
        (200, self.node_pool(pool))
    }

    fn nodes(&self, call: &Call) -> Reply {
        let asked = call.query.get("nodePoolId").filter(|_| !self.ignores_filters);
        let all: Vec<Value> = self.cloud.machines.iter().map(|m| self.node(m)).collect();
        let matching: Vec<Value> = all.into_iter().filter(|n| asked.is_none_or(|id| n["nodePoolId"] == **id)).collect();
        let start: usize = call.query.get("marker").and_then(|at| at.parse().ok()).unwrap_or(0);
        let page: Vec<Value> = matching.iter().skip(start).take(self.page).cloned().collect();
        let mut pagination = json!({"limit": self.page, "total": matching.len()});
        if start + page.len() < matching.len() {
            // A whole address, as the server knows itself: of another host.
            let filter = asked.map(|id| format!("&nodePoolId={}", id.replace(':', "%3A"))).unwrap_or_default();
            pagination["partial"] = json!(true);
            pagination["next"] =
                json!(format!("https://rancher.example.org/v3/nodes?limit=1000&marker={}{filter}", start + page.len()));
        }
        (200, json!({"type": "collection", "pagination": pagination, "data": page}))
    }

    fn node(&self, machine: &CloudMachine) -> Value {
        let stage = self.cloud.stage(machine, now());
        let joined = matches!(stage, Stage::Joined | Stage::Whole | Stage::Deleting);
        let state = match stage {
            Stage::Booting | Stage::Failed => "provisioning",
            Stage::Joined | Stage::Whole => "active",
            Stage::Deleting => "removing",
        };
        json!({
            "id": format!("{CLUSTER}:m-{}", machine.host),
            "type": "node",
            "actions": {"scaledown": format!("{}/v3/nodes/{CLUSTER}:m-{}?action=scaledown", self.url, machine.host)},
            "clusterId": CLUSTER,
            "nodePoolId": format!("{CLUSTER}:np-{}", machine.pool),
            "requestedHostname": machine.host,
            "nodeName": if joined { machine.host.as_str() } else { "" },
            "providerId": if stage == Stage::Whole { json!(format!("azure:///{}", machine.host)) } else { Value::Null },
            "created": created(machine.made),
            "state": state,
            "transitioning": if stage == Stage::Failed { "error" } else if state == "active" { "no" } else { "yes" },
            "transitioningMessage": if stage == Stage::Failed { "OperationNotAllowed: exceeding approved cores quota" } else { "" },
        })
    }

    /// `scaledown` deletes the node and lowers the number, each time it is
    /// asked, for a node that is leaving already too.
    fn node_action(&mut self, id: &str, call: &Call) -> Reply {
        let host = id.strip_prefix(&format!("{CLUSTER}:m-")).unwrap_or_default();
        let Some(machine) = self.cloud.machines.iter().find(|m| m.host == host) else {
            return error(404, "NotFound", "failed to find resource by id");
        };
        if call.query.get("action").map(String::as_str) != Some("scaledown") {
            return error(422, "InvalidAction", "Invalid action");
        }
        let (pool, now) = (machine.pool.clone(), now());
        self.cloud.delete(host, now);
        let quantity = self.cloud.pools[&pool].quantity;
        self.cloud.set_quantity(&pool, quantity.saturating_sub(1), now);
        (200, json!({}))
    }
}
