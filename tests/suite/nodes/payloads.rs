//! The recorded payloads of Rancher, served as they are.
//!
//! They lie in `../shared/rancher`; where that is absent, the tests say so.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::Uri};
use serde_json::{Value, json};
use skydose::{
    http::{Client, Endpoint, HttpFault, Retry},
    nodes::{NodeProvider as _, Phase, RancherSettings, RancherV1, RancherV3, azure_events},
};
use tokio::net::TcpListener;

fn payload(name: &str) -> Option<Value> {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/rancher").join(name);
    let Ok(text) = std::fs::read_to_string(&file) else {
        eprintln!("skipped: {} is not there", file.display());
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

/// Serves each answer at its path; everything else is an empty list.
async fn serve(answers: Vec<(&'static str, Value)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = async |State(answers): State<Arc<Vec<(&'static str, Value)>>>, uri: Uri| {
        let found = answers.iter().find(|(path, _)| *path == uri.path());
        Json(found.map_or_else(|| json!({"data": []}), |(_, answer)| answer.clone()))
    };
    let app = Router::new().fallback(answer).with_state(Arc::new(answers));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

fn settings(url: String, cluster: &str, pool: &str) -> RancherSettings {
    let token = std::env::temp_dir().join(format!("skydose-payloads-{}", std::process::id()));
    std::fs::write(&token, "token-abcde:secret").unwrap();
    RancherSettings {
        url,
        token_file: token,
        ca_file: None,
        insecure_tls: false,
        cluster: cluster.to_owned(),
        namespace: "fleet-default".to_owned(),
        pools: [("gpu".to_owned(), pool.to_owned())].into(),
        timeout: Duration::from_secs(2),
        retry: Retry::default(),
        verify_within: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn node_pools_and_nodes_decode() {
    let (Some(pool), Some(nodes)) =
        (payload("v3_nodePool_get.assembled.json"), payload("v3_nodes_list.assembled.json"))
    else {
        return;
    };
    let url = serve(vec![("/v3/nodePools/c-abcde:np-fghij", pool), ("/v3/nodes", nodes)]).await;
    let provider = RancherV3::new(&settings(url, "c-abcde", "c-abcde:np-fghij")).unwrap();
    let pool = provider.pools().await.unwrap().remove(0);
    assert_eq!((pool.wanted, pool.machines.len(), pool.refused), (2, 1, None));
    let machine = &pool.machines[0];
    assert_eq!(
        (machine.id.as_str(), machine.node.as_deref(), machine.phase),
        ("c-abcde:m-klmno", Some("gpu-worker-1"), Phase::Running)
    );
}

#[tokio::test]
async fn machine_pools_and_machines_decode() {
    let (Some(mut cluster), Some(machines)) =
        (payload("steve_v1_provisioning_cluster_get.captured.json"), payload("capi_machines_list.assembled.json"))
    else {
        return;
    };
    // The captured cluster has another name than the assembled machines.
    cluster["spec"]["rkeConfig"]["machinePools"][2]["name"] = json!("gpu");
    let path = "/v1/provisioning.cattle.io.clusters/fleet-default/worker-cluster";
    let list = json!({"type": "collection", "data": machines["items"]});
    let url = serve(vec![(path, cluster), ("/v1/cluster.x-k8s.io.machines/fleet-default", list)]).await;
    let provider = RancherV1::new(&settings(url, "worker-cluster", "gpu")).unwrap();
    let pool = provider.pools().await.unwrap().remove(0);
    assert_eq!((pool.wanted, pool.refused), (3, None));
    let phases: Vec<Phase> = pool.machines.iter().map(|m| m.phase).collect();
    assert_eq!(phases, [Phase::Running, Phase::Booting, Phase::Leaving]);
    assert_eq!(pool.machines[1].node, None, "one without a node harms no other");
}

#[tokio::test]
async fn a_pool_with_an_autoscaler_is_seen_to_have_one() {
    let (Some(mut cluster), Some(pool)) = (
        payload("steve_v1_provisioning_cluster_get.captured.json"),
        payload("machinepool_with_autoscaler.assembled.json"),
    ) else {
        return;
    };
    cluster["spec"]["rkeConfig"]["machinePools"][2] = pool;
    let url = serve(vec![("/v1/provisioning.cattle.io.clusters/fleet-default/worker-cluster", cluster)]).await;
    let provider = RancherV1::new(&settings(url, "worker-cluster", "gpu")).unwrap();
    let refused = provider.pools().await.unwrap().remove(0).refused.unwrap();
    assert!(refused.contains("Cluster Autoscaler"), "{refused}");
}

#[tokio::test]
async fn errors_decode() {
    for file in ["v3_errors.assembled.json", "steve_v1_errors.assembled.json"] {
        let Some(errors) = payload(file) else { return };
        for (name, body) in errors.as_object().unwrap().iter().filter(|(_, body)| body.is_object()) {
            let status = &body["status"];
            let status =
                status.as_u64().or_else(|| status.as_str()?.parse().ok()).and_then(|s| u16::try_from(s).ok()).unwrap();
            let error = client(serve_error(status, body.clone()).await).get("/v3").await.unwrap_err();
            let HttpFault::Status { status: found, code, message, .. } = &error.fault else {
                panic!("{name}: {error}")
            };
            assert_eq!((*found, code.as_str()), (status, body["code"].as_str().unwrap_or_default()), "{name}");
            assert!(message.ends_with(body["message"].as_str().unwrap()), "{name}: {message}");
        }
    }
}

fn client(url: String) -> Client {
    let (timeout, retry) = (Duration::from_secs(2), Retry { attempts: 1, ..Retry::default() });
    let (token_file, ca_file) = (None, None);
    Client::new(Endpoint { url, token_file, ca_file, insecure_tls: false, metadata_service: false, timeout, retry })
        .unwrap()
}

async fn serve_error(status: u16, body: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let status = axum::http::StatusCode::from_u16(status).unwrap();
    let app = Router::new().fallback(async move || (status, Json(body)));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    url
}

#[tokio::test]
async fn scheduled_events_decode_and_name_this_machine() {
    let (Some(preempt), Some(_)) =
        (payload("imds_scheduledevents_preempt.assembled.json"), payload("imds_scheduledevents_freeze.captured.json"))
    else {
        return;
    };
    let compute = json!({"name": "gpu-worker-1"});
    let url = serve(vec![("/metadata/scheduledevents", preempt), ("/metadata/instance/compute", compute)]).await;
    let every = Duration::from_millis(20);
    let mut events = azure_events::AzureEvents::new(azure_events::Settings { url, every, vm_name: None }).unwrap();
    let notice = tokio::time::timeout(Duration::from_secs(5), events.next()).await.unwrap();
    assert_eq!(
        (notice.kind.as_str(), notice.not_before.map(|at| at.to_string()).as_deref()),
        ("Preempt", Some("2026-04-11T22:27:28Z"))
    );
    let again = tokio::time::timeout(Duration::from_millis(200), events.next()).await;
    assert!(again.is_err(), "an event is told once");
}
