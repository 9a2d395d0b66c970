//! The topology: applied, checked, printed, and told apart from another's.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use skydose::queue::{
    Destination, ERROR, JobQueue as _, QueueError, REASON,
    amqp::{Amqp, Names, Settings, topology::Topology},
    management::Passwords,
};

use super::{Broker, job};

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

/// Runs `skydose` with an environment of its own; exit code, output, errors.
fn skydose(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_skydose"));
    let output = command.args(arguments).envs(environment.iter().copied()).output().expect("skydose");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_commands_set_up_check_and_look_after_a_broker() {
    let broker = Broker::shared();
    let place = broker.vhost("commands");
    let environment = [
        ("SKYDOSE_MANAGEMENT__URI", place.management_uri.as_str()),
        ("SKYDOSE_MANAGEMENT__VHOST", "commands"),
        ("SKYDOSE_BROKER__URI", place.uri.as_str()),
    ];
    let run = |arguments: &[&str]| tokio::task::block_in_place(|| skydose(arguments, &environment));

    let (code, _, errors) = run(&["topology", "check"]);
    assert_eq!(code, 2);
    assert!(errors.contains("queues: skydose.jobs.high is missing"), "{errors}");
    let passwords = tempfile::tempdir().unwrap();
    for role in ["worker", "submitter", "leader", "operator"] {
        std::fs::write(passwords.path().join(role), format!("skydose-{role}\n")).unwrap();
    }
    let folder = passwords.path().to_str().unwrap();
    let (code, said, errors) = run(&["topology", "apply", "--passwords", folder]);
    assert_eq!(code, 0, "{errors}");
    assert!(said.contains("permissions set: skydose-worker"), "{said}");
    assert_eq!(run(&["topology", "check"]).1, "all is as it should be\n");

    let uri = place.management_uri.replace("guest:guest@", "skydose-leader:skydose-leader@");
    let as_leader = [("SKYDOSE_MANAGEMENT__URI", uri.as_str()), ("SKYDOSE_MANAGEMENT__VHOST", "commands")];
    let (code, _, errors) = tokio::task::block_in_place(|| skydose(&["topology", "check"], &as_leader));
    assert!(code == 2 && errors.contains("expected a user with the tag administrator"), "{errors}");
    // With nothing but an operator's own rights, and said only once it is safe.
    let as_operator = place.uri.replace("guest:guest@", "skydose-operator:skydose-operator@");
    let order = ["control", "pause", "--reason", "maintenance"];
    let give = |uri: &str, within: &str| {
        let environment = [("SKYDOSE_BROKER__URI", uri), ("SKYDOSE_BROKER__PUBLISH_TIMEOUT", within)];
        tokio::task::block_in_place(|| skydose(&order, &environment))
    };
    assert_eq!(give(&as_operator, "60s"), (0, "scaling is to pause\n".to_owned(), String::new()));
    let queue = place.queue();
    let mut listener = queue.listen("scaling.#", Duration::from_mins(10)).await.unwrap();
    let (topic, heard) = listener.next().await.unwrap();
    assert_eq!(topic, "scaling.order");
    assert!(String::from_utf8_lossy(&heard.body).contains("maintenance"), "{heard:?}");
    queue.close().await;
    let (code, said, errors) = give(&place.uri.replace("guest:guest@", "skydose-operator:wrong@"), "2s");
    assert!(code == 2 && said.is_empty() && !errors.is_empty(), "{code} {said}{errors}");

    assert_eq!(run(&["dead-letters", "list"]).1, "no dead letters\n");
    let queue = place.queue();
    for n in 0..3 {
        let mut letter = job(&format!("d{n}"));
        letter.properties.attempt = 5;
        letter.properties.headers =
            [(REASON, "attempts"), (ERROR, "store is full")].map(|(k, v)| (k.into(), v.into())).into();
        queue.publish(&Destination::Dead, &letter).await.unwrap();
    }
    let (_, said, _) = run(&["dead-letters", "list"]);
    assert!(said.lines().nth(1).unwrap().starts_with("d0  attempts  5"), "{said}");
    let (_, said, _) = run(&["dead-letters", "show", "d1"]);
    assert!(said.contains("\"error\": \"store is full\""), "{said}");
    assert_eq!(run(&["dead-letters", "redrive", "d1"]).1, "1 made jobs again\n");
    let (code, _, errors) = run(&["dead-letters", "redrive", "d1"]);
    assert_eq!(code, 2);
    assert!(errors.contains("no dead letter has such an id: d1"), "{errors}");
    assert_eq!(run(&["dead-letters", "discard", "--all"]).1, "2 thrown away\n");
    assert_eq!(super::publishing::drain(&*queue).await.into_keys().collect::<Vec<_>>(), ["d1"]);
    queue.close().await;
}

#[test]
fn a_broker_that_is_away_is_named_without_its_secret() {
    let port = super::free_port();
    let management = format!("http://me:canary@127.0.0.1:{port}");
    let uri = format!("amqp://me:canary@127.0.0.1:{port}/%2f");
    for arguments in [&["topology", "apply"][..], &["topology", "check"], &["dead-letters", "list"]] {
        let environment = [("SKYDOSE_MANAGEMENT__URI", management.as_str()), ("SKYDOSE_BROKER__URI", uri.as_str())];
        let (code, said, errors) = skydose(arguments, &environment);
        assert_eq!(code, 2, "{errors}");
        assert!(errors.contains(&format!("127.0.0.1:{port}")) && errors.contains("refused"), "{errors}");
        assert!(!said.contains("canary") && !errors.contains("canary"), "{said}{errors}");
    }
    let (code, _, errors) = skydose(&["dead-letters", "list"], &[]);
    assert_eq!(code, 2);
    assert!(errors.contains("uri is missing, expected amqp://"), "{errors}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_log_holds_a_password_at_any_level() {
    let broker = Broker::shared();
    broker.place("canary").await;
    let canary = "canary-9d1f";
    broker.api().call(Method::PUT, "users/sesame", Some(json!({ "password": canary, "tags": "management" })));
    let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    broker.api().call(Method::PUT, "permissions/canary/sesame", Some(all));
    let address = broker.uri().replace("amqp://guest:guest@", "").replace("/%2f", "");
    let with = |user: &str| format!("amqp://{user}:{canary}@{address}/canary");
    super::watch_logs();
    // Good and bad, both with the password.
    for (uri, works) in [(with("sesame"), true), (with("nobody"), false)] {
        let settings = Settings { uri: Some(uri.into()), ..Settings::default() };
        let queue = Amqp::new(settings).unwrap();
        let subscribed = queue.subscribe(1).await;
        assert_eq!(subscribed.is_ok(), works, "{:?}", subscribed.err());
        if works {
            queue.publish(&Destination::Jobs, &job("j")).await.unwrap();
        }
        queue.close().await;
    }
    let (seen, leaks) = super::watched_logs(canary);
    assert!(seen > 100, "only {seen} events were seen: is anybody watching?");
    assert_eq!(leaks, Vec::<String>::new());
}
