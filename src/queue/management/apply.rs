//! Setting the topology up, and looking whether it is as it should be.

use std::collections::BTreeMap;

use reqwest::Method;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value, json};

use super::Management;
use crate::queue::{
    QueueError,
    amqp::topology::{Topology, User},
};

/// Passwords of users that are to be made or changed, by role.
pub type Passwords = BTreeMap<String, SecretString>;

/// What was done, and what was left.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Users whose permissions were set.
    pub users: Vec<String>,
    /// Users that are not there, and for which no password was given.
    pub missing_users: Vec<String>,
}

impl Management {
    /// Declares what is missing and sets policies and permissions; can be done
    /// again at any time. A queue or exchange of another kind is not touched.
    ///
    /// # Errors
    /// [`QueueError::Refused`] where something of another kind has a name that
    /// is needed, or the user may not.
    pub async fn apply(&self, topology: &Topology, passwords: &Passwords) -> Result<Report, QueueError> {
        let conflicts = self.conflicts(topology).await?;
        if !conflicts.is_empty() {
            return Err(self.refused(
                &["definitions"],
                format!("nothing was changed: {}", conflicts.join("; ")),
                "these to be emptied and deleted first, or another prefix",
            ));
        }
        let mut definitions = topology.definitions(self.vhost(), false);
        // A virtual host is the administrator's own affair.
        definitions.as_object_mut().map(|all| all.remove("vhosts"));
        self.send(Method::POST, &["definitions", self.vhost()], &definitions).await?;
        let mut report = Report::default();
        for user in &topology.users {
            let known = self.get(&["users", &user.name], &[]).await?.is_some();
            if let Some(password) = passwords.get(user.role) {
                let body = json!({ "password": password.expose_secret(), "tags": user.tags });
                self.send(Method::PUT, &["users", &user.name], &body).await?;
            } else if !known {
                report.missing_users.push(user.name.clone());
                continue;
            }
            self.send(Method::PUT, &["permissions", self.vhost(), &user.name], &json!(user)).await?;
            report.users.push(user.name.clone());
        }
        Ok(report)
    }

    /// What differs from the topology, one line each; empty where nothing
    /// does. Users that are not there are not missed.
    ///
    /// # Errors
    /// [`QueueError`] where it cannot be read.
    pub async fn check(&self, topology: &Topology) -> Result<Vec<String>, QueueError> {
        let mut differences = self.conflicts(topology).await?;
        for (kind, wanted) in
            [("exchanges", names(&json!(topology.exchanges))), ("queues", names(&json!(topology.queues)))]
        {
            let there = self.list(kind).await?;
            let missing = wanted.into_iter().filter(|name| !there.iter().any(|t| t["name"] == json!(name)));
            differences.extend(missing.map(|name| format!("{kind}: {name} is missing")));
        }
        let bindings = self.list("bindings").await?;
        for binding in &topology.bindings {
            let same = |there: &&Value| {
                there["source"] == json!(binding.source)
                    && there["destination"] == json!(binding.destination)
                    && there["routing_key"] == json!(binding.routing_key)
            };
            if !bindings.iter().any(|there| same(&there)) {
                let (source, destination, key) = (&binding.source, &binding.destination, &binding.routing_key);
                differences.push(format!("bindings: from {source} to {destination} with key {key:?} is missing"));
            }
        }
        let policies = self.list("policies").await?;
        for policy in &topology.policies {
            let wanted = json!(policy);
            match policies.iter().find(|there| there["name"] == wanted["name"]) {
                None => differences.push(format!("policies: {} is missing", policy.name)),
                Some(there) => {
                    for field in ["pattern", "apply-to", "definition", "priority"] {
                        if there[field] != wanted[field] {
                            let (name, is, should) = (&policy.name, &there[field], &wanted[field]);
                            differences.push(format!("policies: {name} has {field} {is}, expected {should}"));
                        }
                    }
                }
            }
        }
        for user in &topology.users {
            differences.extend(self.check_user(user).await?);
        }
        Ok(differences)
    }

    async fn check_user(&self, user: &User) -> Result<Vec<String>, QueueError> {
        let Some(there) = self.get(&["permissions", self.vhost(), &user.name], &[]).await? else {
            return Ok(Vec::new());
        };
        let wanted = json!(user);
        let differs = |field: &&str| there[*field] != wanted[*field];
        let line = |field: &str| {
            format!("permissions: {} may {field} {}, expected {}", user.name, there[field], wanted[field])
        };
        Ok(["configure", "write", "read"].into_iter().filter(differs).map(line).collect())
    }

    /// Exchanges and queues with a name that is needed and of another kind.
    async fn conflicts(&self, topology: &Topology) -> Result<Vec<String>, QueueError> {
        let mut conflicts = Vec::new();
        let queues = self.list("queues").await?;
        for queue in &topology.queues {
            let Some(there) = queues.iter().find(|there| there["name"] == json!(queue.name)) else { continue };
            let arguments = there["arguments"].as_object().cloned().unwrap_or_default();
            if comparable(&arguments) != comparable(&queue.arguments) || there["durable"] != json!(true) {
                let (name, wanted) = (&queue.name, json!(queue.arguments));
                conflicts.push(format!(
                    "queues: {name} is durable {} with {}, expected durable true with {wanted}",
                    there["durable"],
                    json!(arguments)
                ));
            }
        }
        let exchanges = self.list("exchanges").await?;
        for exchange in &topology.exchanges {
            let Some(there) = exchanges.iter().find(|there| there["name"] == json!(exchange.name)) else { continue };
            if there["type"] != json!(exchange.kind) || there["durable"] != json!(true) {
                let (name, is, kind) = (&exchange.name, &there["type"], exchange.kind);
                conflicts.push(format!("exchanges: {name} is of type {is}, expected \"{kind}\", durable"));
            }
        }
        Ok(conflicts)
    }

    async fn list(&self, kind: &str) -> Result<Vec<Value>, QueueError> {
        let path = [kind, self.vhost()];
        // Statistics of queues are what makes a list of them dear.
        let query: &[(&str, &str)] = if kind == "queues" { &[("disable_stats", "true")] } else { &[] };
        match self.get(&path, query).await? {
            Some(Value::Array(things)) => Ok(things),
            _ => Err(self.refused(&path, "no list".into(), "a virtual host that is there")),
        }
    }
}

fn names(things: &Value) -> Vec<String> {
    let name = |thing: &Value| thing["name"].as_str().map(str::to_owned);
    things.as_array().into_iter().flatten().filter_map(name).collect()
}

/// Without what the broker adds by itself.
fn comparable(arguments: &Map<String, Value>) -> Map<String, Value> {
    arguments
        .iter()
        .filter(|(name, _)| *name != "x-quorum-initial-group-size")
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}
