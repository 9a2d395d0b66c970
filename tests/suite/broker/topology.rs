//! The topology: applied, checked, printed, and told apart from another's.

use reqwest::Method;
use serde_json::json;
use skydose::queue::{
    QueueError,
    amqp::{Names, topology::Topology},
    management::Passwords,
};

use super::Broker;

fn topology() -> Topology {
    Topology::new(&Names::new("skydose"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_applied_passes_the_check_and_changes_are_found() {
    let broker = Broker::shared();
    let place = broker.place("topology").await;
    let management = place.management();
    assert_eq!(management.check(&topology()).await.unwrap(), Vec::<String>::new());
    // Again, with something there.
    let report = management.apply(&topology(), &Passwords::new()).await.unwrap();
    assert_eq!(report.missing_users, Vec::<String>::new());
    assert_eq!(management.check(&topology()).await.unwrap(), Vec::<String>::new());

    let api = broker.api();
    api.call(Method::DELETE, "queues/topology/skydose.later.1s", None);
    api.call(Method::DELETE, "policies/topology/skydose.results", None);
    let weak = json!({ "pattern": "^x$", "apply-to": "queues", "priority": 1, "definition": { "delivery-limit": 1 } });
    api.call(Method::PUT, "policies/topology/skydose.jobs", Some(weak));
    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    api.call(Method::PUT, "permissions/topology/skydose-worker", Some(all));
    let differences = management.check(&topology()).await.unwrap().join("\n");
    for expected in [
        "queues: skydose.later.1s is missing",
        "bindings: from skydose.later.1s to skydose.later.1s with key \"\" is missing",
        "policies: skydose.results is missing",
        "policies: skydose.jobs has pattern \"^x$\", expected",
        "permissions: skydose-worker may configure \".*\", expected \"^$\"",
    ] {
        assert!(differences.contains(expected), "{expected} is not in\n{differences}");
    }
    management.apply(&topology(), &Passwords::new()).await.unwrap();
    assert_eq!(management.check(&topology()).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_another_kind_is_named_and_left() {
    let broker = Broker::shared();
    let place = broker.vhost("conflict");
    broker.api().call(Method::PUT, "queues/conflict/skydose.jobs.high", Some(json!({ "durable": true })));
    match place.management().apply(&topology(), &Passwords::new()).await {
        Err(QueueError::Refused { what, .. }) => {
            assert!(what.contains("nothing was changed") && what.contains("skydose.jobs.high"), "{what}");
        }
        other => panic!("{other:?}"),
    }
    let queues = broker.api().call(Method::GET, "queues/conflict", None);
    assert_eq!(queues.as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_can_be_imported() {
    let broker = Broker::shared();
    // The users come from another virtual host.
    broker.place("origin").await;
    let place = broker.vhost("imported");
    let definitions = topology().definitions("imported", true);
    broker.api().call(Method::POST, "definitions", Some(definitions));
    assert_eq!(place.management().check(&topology()).await.unwrap(), Vec::<String>::new());
    let worker = broker.api().call(Method::GET, "permissions/imported/skydose-worker", None);
    assert_eq!(worker["configure"], "^$");
}
