//! What is declared on the broker, once, by whoever sets it up. Workers
//! declare nothing.
//!
//! What can change is in policies; what cannot, in arguments: a queue's type,
//! and that a seat has a single active consumer.
//!
//! | exchange | queue | what |
//! |---|---|---|
//! | `jobs` (direct) | `jobs.high`, `jobs.normal` | jobs, by priority |
//! | `later.1s` … (fanout) | the same | a delay; then back to `jobs` |
//! | `dead` (fanout) | `dead` | what was given up |
//! | `results` (topic) | `results.<submission>`, made by submitters | events |
//! | `unrouted` (fanout) | `unrouted` | events that no queue waits for |
//! | `telemetry` (topic) | streams `telemetry`, `commands` | heartbeats, commands |
//! | `leader` (fanout) | `leader` | the leader's seat |

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::names::Names;
use crate::queue::Priority;

/// Redeliveries after which the broker gives a job up by itself. Jobs count
/// their own tries; healthy jobs come back as often as workers die.
const DELIVERY_LIMIT: u32 = 1000;

/// Dead letters come back each time they are looked at.
const DEAD_DELIVERY_LIMIT: u32 = 1_000_000;

/// For how long results are kept that nobody collects.
const RESULTS_KEPT: Duration = Duration::from_hours(7 * 24);

/// How many results without a queue are kept.
const UNROUTED_KEPT: u32 = 100_000;

/// What exchanges, queues, bindings, policies and users there are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Topology {
    /// Durable.
    pub exchanges: Vec<Exchange>,
    /// Durable.
    pub queues: Vec<Queue>,
    /// From exchanges to queues.
    pub bindings: Vec<Binding>,
    /// What can change of exchanges and queues.
    pub policies: Vec<Policy>,
    /// Who may do what.
    #[serde(skip)]
    pub users: Vec<User>,
}

/// An exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Its name.
    pub name: String,
    /// `direct`, `fanout` or `topic`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    durable: bool,
    auto_delete: bool,
    internal: bool,
    arguments: Map<String, Value>,
}

/// A queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// What cannot change.
    pub arguments: Map<String, Value>,
    durable: bool,
    auto_delete: bool,
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Binding {
    /// Exchange.
    pub source: String,
    /// Queue.
    pub destination: String,
    /// Which messages.
    pub routing_key: String,
    destination_type: &'static str,
    arguments: Map<String, Value>,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Of the names that it is for.
    pub pattern: String,
    /// `queues` or `exchanges`.
    #[serde(rename = "apply-to")]
    pub apply_to: &'static str,
    /// What it sets.
    pub definition: Map<String, Value>,
    priority: u8,
}

/// A user by what it may do; regular expressions of names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct User {
    /// `worker`, `submitter`, `leader`, `operator`.
    #[serde(skip)]
    pub role: &'static str,
    /// The prefix and the role.
    #[serde(rename = "user")]
    pub name: String,
    /// What it may declare and delete.
    pub configure: String,
    /// What it may publish to and bind.
    pub write: String,
    /// What it may consume from.
    pub read: String,
    /// `management` for those that read figures over HTTP.
    #[serde(skip)]
    pub tags: &'static str,
}

impl Topology {
    /// That of one prefix.
    #[must_use]
    pub fn new(names: &Names) -> Self {
        Self {
            exchanges: exchanges(names),
            queues: queues(names),
            bindings: bindings(names),
            policies: policies(names),
            users: users(names),
        }
    }

    /// As RabbitMQ imports definitions into `vhost`; with `users`, their
    /// permissions too: the users must exist.
    #[must_use]
    pub fn definitions(&self, vhost: &str, users: bool) -> Value {
        let named = |things: Vec<Value>| -> Vec<Value> {
            let with_vhost = |mut thing: Value| {
                thing["vhost"] = json!(vhost);
                thing
            };
            things.into_iter().map(with_vhost).collect()
        };
        let list = |things: Value| named(things.as_array().cloned().unwrap_or_default());
        let mut definitions = json!({
            "vhosts": [{ "name": vhost }],
            "exchanges": list(json!(self.exchanges)),
            "queues": list(json!(self.queues)),
            "bindings": list(json!(self.bindings)),
            "policies": list(json!(self.policies)),
        });
        if users {
            definitions["permissions"] = json!(list(json!(self.users)));
        }
        definitions
    }
}

fn exchanges(names: &Names) -> Vec<Exchange> {
    let mut exchanges = vec![
        (names.jobs(), "direct"),
        (names.dead(), "fanout"),
        (names.results(), "topic"),
        (names.unrouted(), "fanout"),
        (names.telemetry(), "topic"),
        (names.seat(), "fanout"),
    ];
    exchanges.extend(names.tiers().map(|(_, name)| (name, "fanout")));
    let exchange = |(name, kind)| Exchange {
        name,
        kind,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Map::new(),
    };
    exchanges.into_iter().map(exchange).collect()
}

fn queues(names: &Names) -> Vec<Queue> {
    let quorum = || map(&[("x-queue-type", json!("quorum"))]);
    let stream = || map(&[("x-queue-type", json!("stream"))]);
    let mut seat = quorum();
    seat.insert("x-single-active-consumer".into(), json!(true));
    let mut queues: Vec<(String, Map<String, Value>)> =
        Priority::ALL.iter().map(|priority| (names.queue(*priority), quorum())).collect();
    queues.extend(names.tiers().map(|(_, name)| (name, quorum())));
    queues.extend([
        (names.dead(), quorum()),
        (names.unrouted(), quorum()),
        (names.telemetry(), stream()),
        (names.commands(), stream()),
        (names.seat(), seat),
    ]);
    let queue = |(name, arguments)| Queue { name, arguments, durable: true, auto_delete: false };
    queues.into_iter().map(queue).collect()
}

fn bindings(names: &Names) -> Vec<Binding> {
    let mut bindings: Vec<(String, String, String)> = Priority::ALL
        .iter()
        .map(|priority| (names.jobs(), names.queue(*priority), priority.name().to_owned()))
        .collect();
    let alike = |name: String| (name.clone(), name, String::new());
    bindings.extend(names.tiers().map(|(_, name)| alike(name)));
    bindings.extend([
        alike(names.dead()),
        alike(names.unrouted()),
        (names.telemetry(), names.telemetry(), "#".into()),
        (names.telemetry(), names.commands(), Names::command_topics()),
        alike(names.seat()),
    ]);
    let binding = |(source, destination, routing_key)| Binding {
        source,
        destination,
        routing_key,
        destination_type: "queue",
        arguments: Map::new(),
    };
    bindings.into_iter().map(binding).collect()
}

fn policies(names: &Names) -> Vec<Policy> {
    // At least once: a message leaves its queue when it is safe in the next.
    // The broker offers that with this overflow alone.
    let leads_to = |exchange: String| {
        map(&[
            ("dead-letter-exchange", json!(exchange)),
            ("dead-letter-strategy", json!("at-least-once")),
            ("overflow", json!("reject-publish")),
        ])
    };
    let mut jobs = leads_to(names.dead());
    jobs.insert("delivery-limit".into(), json!(DELIVERY_LIMIT));
    let kept = json!(RESULTS_KEPT.as_millis());
    let unrouted =
        map(&[("max-length", json!(UNROUTED_KEPT)), ("overflow", json!("drop-head")), ("message-ttl", kept.clone())]);
    let stream = map(&[
        ("max-age", json!("1h")),
        ("max-length-bytes", json!(100_000_000)),
        ("stream-max-segment-size-bytes", json!(5_000_000)),
    ]);
    let name = |what: &str| regex(&format!("{}.{what}", names.prefix()));
    let mut policies = vec![
        policy(&names.jobs(), format!("^{}\\.(high|normal)$", name("jobs")), "queues", jobs),
        policy(&names.dead(), exactly(&names.dead()), "queues", map(&[("delivery-limit", json!(DEAD_DELIVERY_LIMIT))])),
        policy(
            &names.results(),
            exactly(&names.results()),
            "exchanges",
            map(&[("alternate-exchange", json!(names.unrouted()))]),
        ),
        policy(
            &format!("{}.queues", names.results()),
            format!("^{}\\.", name("results")),
            "queues",
            map(&[("expires", kept)]),
        ),
        policy(&names.unrouted(), exactly(&names.unrouted()), "queues", unrouted),
        policy(&names.telemetry(), format!("^{}\\.(telemetry|commands)$", regex(names.prefix())), "queues", stream),
        policy(
            &names.seat(),
            exactly(&names.seat()),
            "queues",
            map(&[("max-length", json!(1)), ("overflow", json!("drop-head"))]),
        ),
    ];
    policies.extend(names.tiers().map(|(tier, queue)| {
        let mut waits = leads_to(names.jobs());
        waits.insert("message-ttl".into(), json!(tier.as_millis()));
        policy(&queue, exactly(&queue), "queues", waits)
    }));
    policies
}

/// Least privileges: a worker configures nothing, a submitter its own queues.
fn users(names: &Names) -> Vec<User> {
    let prefix = regex(names.prefix());
    let user = |role, tags, configure: &str, write: &str, read: &str| User {
        role,
        name: format!("{}-{role}", names.prefix()),
        configure: configure.replace('%', &prefix),
        write: write.replace('%', &prefix),
        read: read.replace('%', &prefix),
        tags,
    };
    vec![
        // The default exchange is where replies go.
        user(
            "worker",
            "",
            "^$",
            r"^(%\.(jobs|later\..+|dead|results|telemetry)|amq\.default)$",
            r"^%\.(jobs\..+|telemetry|commands)$",
        ),
        user(
            "submitter",
            "",
            r"^%\.results\..+$",
            r"^%\.(jobs|results\..+|telemetry)$",
            r"^%\.(results(\..+)?|telemetry)$",
        ),
        user("leader", "management", "^$", r"^%\.(telemetry|leader)$", r"^%\.(telemetry|commands|leader)$"),
        user("operator", "management", "^$", r"^%\.(jobs|telemetry)$", r"^%\.(dead|unrouted|telemetry|commands)$"),
    ]
}

fn policy(name: &str, pattern: String, apply_to: &'static str, definition: Map<String, Value>) -> Policy {
    Policy { name: name.to_owned(), pattern, apply_to, definition, priority: 1 }
}

fn map(entries: &[(&str, Value)]) -> Map<String, Value> {
    entries.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn regex(name: &str) -> String {
    name.replace('.', "\\.")
}

fn exactly(name: &str) -> String {
    format!("^{}$", regex(name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn everything_that_is_named_is_declared() {
        let topology = Topology::new(&Names::new("x"));
        let exchanges: BTreeSet<&str> = topology.exchanges.iter().map(|e| e.name.as_str()).collect();
        let queues: BTreeSet<&str> = topology.queues.iter().map(|q| q.name.as_str()).collect();
        for binding in &topology.bindings {
            assert!(exchanges.contains(binding.source.as_str()), "{binding:?}");
            assert!(queues.contains(binding.destination.as_str()), "{binding:?}");
        }
        for queue in &queues {
            assert!(topology.bindings.iter().any(|b| b.destination == *queue), "{queue} gets nothing");
        }
        for policy in &topology.policies {
            for key in ["dead-letter-exchange", "alternate-exchange"] {
                if let Some(target) = policy.definition.get(key).and_then(Value::as_str) {
                    assert!(exchanges.contains(target), "{target}");
                }
            }
        }
    }

    #[test]
    fn a_worker_configures_nothing() {
        let users = Topology::new(&Names::new("x")).users;
        let worker = users.iter().find(|u| u.role == "worker").unwrap();
        assert_eq!((worker.name.as_str(), worker.configure.as_str()), ("x-worker", "^$"));
        let submitter = users.iter().find(|u| u.role == "submitter").unwrap();
        assert_eq!(submitter.write, r"^x\.(jobs|results\..+|telemetry)$");
    }

    #[test]
    fn definitions_hold_users_on_demand_and_no_secret() {
        let topology = Topology::new(&Names::new("x"));
        let plain = topology.definitions("/v", false);
        assert_eq!(plain["queues"][0]["vhost"], "/v");
        assert!(plain.get("permissions").is_none());
        let permissions = topology.definitions("/v", true)["permissions"].clone();
        assert_eq!(permissions[0]["user"], "x-worker");
        assert_eq!(permissions.as_array().unwrap().len(), 4);
    }
}
