//! The messages as other programs see them: a listener in plain Python holds
//! every sort of message that real processes send, and what they put into the
//! store, against `docs/messages.schema.json`.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{self, Stdio},
};

use skydose::{
    queue::{Destination, JobQueue as _, Message, Properties},
    telemetry::message::{Command, Heartbeat, Order, Said as _, VERSION},
    trajectory,
};

use crate::{
    broker::Broker,
    control::home::Home,
    leader::lease_api::LeaseApi,
    nodes::{
        cloud::{Behaviour, Order as Removal},
        rancher::{Rancher, TOKEN},
    },
    worker::harness::{DATASET, fleet, now},
};

const SCALING: &str = r#"
[scaling]
policy = "backlog"
interval = "300ms"
[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 2
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_is_as_the_schema_has_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/tools/python/bin/python");
    if !python.exists() {
        eprintln!("skipped: no {}; tests/tools makes it", python.display());
        return;
    }
    let place = Broker::shared().place("messages").await;
    let queue = place.queue();
    let rancher = Rancher::with(Removal::OldestMachine, Behaviour::default(), 1).await;
    let api = LeaseApi::start().await;
    let home = Home::new(&place, &api, &rancher, SCALING);
    home.write("rancher-token", TOKEN);
    trajectory::write_csv(&home.path("flights.csv"), &fleet(23, 0)).expect("flights");

    let mut listener = process::Command::new(python)
        .arg(root.join("tests/suite/messages.py"))
        .arg(&place.uri)
        .arg(root.join("docs/messages.schema.json"))
        .arg(home.path("store"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python");
    let mut lines = BufReader::new(listener.stdout.take().expect("its output")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");

    let submit = |id: &str, dataset: &str, more: &[&str]| {
        let flights = home.path("flights.csv").display().to_string();
        let arguments = ["submit", "--flights", &flights, "--dataset", dataset, "--id", id];
        let output = home.run(&[&arguments[..], more].concat());
        assert!(output.status.success(), "{id}: {}", String::from_utf8_lossy(&output.stderr));
    };
    submit("single", DATASET, &["--chunk", "1", "--contaminant", "ozone"]);
    submit("many", DATASET, &["--chunk", "20"]);
    submit("large", DATASET, &["--chunk", "20", "--set", "submitter.inline_bytes=1000", "--priority", "high"]);
    submit("wrong", "no-such", &["--chunk", "23"]);
    submit("gone", DATASET, &["--chunk", "23"]);
    let cancelled = home.run(&["cancel", "gone"]);
    assert!(cancelled.status.success(), "{}", String::from_utf8_lossy(&cancelled.stderr));

    let mut heartbeats = queue.listen(Heartbeat::TOPICS, std::time::Duration::ZERO).await.expect("heartbeats");
    let _worker = home.start(&["worker"], &[("SKYDOSE_WORKER__INLINE_ROWS", "40")], "worker.log");
    let (_, heard) = heartbeats.next().await.expect("a heartbeat");
    let to = Heartbeat::decode(&heard.body).expect("a heartbeat").worker;
    let command = Command { worker: to, order: Order::Resume, from: "test".into(), at: now() };
    let properties = Properties {
        kind: Command::KIND.into(),
        version: VERSION,
        content_type: Some("application/json".into()),
        ..Properties::default()
    };
    let message = Message { properties, body: command.encode().into() };
    queue.publish(&Destination::Telemetry(command.topic()), &message).await.expect("sent");
    let paused = home.run(&["control", "pause", "--reason", "a test"]);
    assert!(paused.status.success(), "{}", String::from_utf8_lossy(&paused.stderr));

    let heard = tokio::task::block_in_place(|| lines.map_while(Result::ok).collect::<Vec<_>>());
    let mut errors = String::new();
    listener.stderr.take().expect("its errors").read_to_string(&mut errors).expect("text");
    let status = listener.wait().expect("its end");
    assert!(status.success(), "{errors}\nheard: {heard:?}\n{}", home.tail("worker.log"));
    queue.close().await;
}
