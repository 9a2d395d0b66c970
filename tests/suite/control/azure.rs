//! Azure announces that a machine goes: the worker on it drains by itself, and
//! is not called back.

use std::time::Duration;

use axum::{Json, Router, http::HeaderMap, http::StatusCode, routing::get};
use serde_json::{Value, json};
use skydose::{
    queue::JobQueue as _,
    telemetry::message::{Heartbeat, Said as _, State},
};
use tokio::{net::TcpListener, time::timeout};

use super::home::Home;
use crate::{
    broker::Broker,
    leader::lease_api::LeaseApi,
    nodes::{
        cloud::Order,
        rancher::{Rancher, TOKEN},
    },
};

/// A metadata service with a preemption of one of two machines.
async fn metadata_service() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let events = async |headers: HeaderMap| -> Result<Json<Value>, StatusCode> {
        // Without the header the service refuses.
        headers.get("metadata").filter(|value| *value == "true").ok_or(StatusCode::BAD_REQUEST)?;
        Ok(Json(json!({"DocumentIncarnation": 3, "Events": [{
            "EventId": "602d9444-d2cd-49c7-8624-8643e7171297", "EventStatus": "Scheduled", "EventType": "Preempt",
            "ResourceType": "VirtualMachine", "Resources": ["gpu-worker-1"],
            "NotBefore": "Sat, 11 Apr 2026 22:27:28 GMT"}]})))
    };
    let app = Router::new().route("/metadata/scheduledevents", get(events));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_preemption_drains_the_worker_on_that_machine_alone() {
    let place = Broker::shared().place("azure").await;
    let queue = place.queue();
    let (api, rancher) = (LeaseApi::start().await, Rancher::start(Order::OldestMachine).await);
    let scaling = format!(
        "[scaling]\ninterval = \"300ms\"\npools = [{{ name = \"gpu\", minimum = 3, maximum = 3 }}]\n\
         [azure_events]\nurl = \"{}\"\nevery = \"100ms\"\n",
        metadata_service().await
    );
    let home = Home::new(&place, &api, &rancher, &scaling);
    home.write("rancher-token", TOKEN);
    let mut heartbeats = queue.listen(Heartbeat::TOPICS, Duration::ZERO).await.unwrap();
    let start = |name: &str| {
        let node = [("SKYDOSE_WORKER__NODE", name), ("SKYDOSE_AZURE_EVENTS__VM_NAME", name)];
        home.start(&["worker"], &node, &format!("{name}.log"))
    };
    let (_one, _two) = (start("gpu-worker-1"), start("gpu-worker-2"));
    let (mut drained, mut worked) = (0, 0);
    let wait = async {
        // Told again and again: nobody calls it back.
        while drained < 8 || worked < 8 {
            let (_, message) = heartbeats.next().await.unwrap();
            let heartbeat = Heartbeat::decode(&message.body).unwrap();
            match (heartbeat.node.as_str(), heartbeat.state) {
                ("gpu-worker-1", State::Drained) => {
                    assert_eq!(heartbeat.reason.as_deref(), Some("Azure announced Preempt of this machine"));
                    drained += 1;
                }
                ("gpu-worker-1", State::Idle | State::Consuming) => assert_eq!(drained, 0, "it was called back"),
                ("gpu-worker-2", State::Idle) => worked += 1,
                ("gpu-worker-2", State::Draining | State::Drained) => panic!("the other machine stays: {heartbeat:?}"),
                _ => {}
            }
        }
    };
    let done = timeout(Duration::from_mins(1), wait).await;
    assert!(done.is_ok(), "{drained} {worked}\n{}\n{}", home.tail("gpu-worker-1.log"), home.tail("gpu-worker-2.log"));
    queue.close().await;
}
