//! Elections over what decides them in production.

mod by_broker;
pub mod lease_api;

use std::{path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use lease_api::LeaseApi;
use serde_json::{Value, json};
use skydose::leader::{
    Elector, KubernetesLease, KubernetesSettings, Leadership, LeaseStore as _, StoreError, Terms, contract,
};

/// Short times; a Lease knows whole seconds only.
const TERMS: Terms =
    Terms { lease: Duration::from_secs(3), renew_deadline: Duration::from_secs(2), retry: Duration::from_millis(200) };

struct World {
    api: LeaseApi,
    folder: tempfile::TempDir,
    names: std::sync::Mutex<Vec<String>>,
}

impl World {
    async fn new() -> Self {
        Self { api: LeaseApi::start().await, folder: tempfile::tempdir().unwrap(), names: std::sync::Mutex::default() }
    }

    fn token_file(&self, name: &str) -> PathBuf {
        let file = self.folder.path().join(name);
        std::fs::write(&file, name).unwrap();
        file
    }

    fn store(&self, name: &str) -> KubernetesLease {
        let settings = KubernetesSettings {
            namespace: Some("jobs".to_owned()),
            api: Some(self.api.url.clone()),
            token_file: self.token_file(name),
            ca_file: None,
            ..KubernetesSettings::default()
        };
        KubernetesLease::new(&settings, TERMS.renew_deadline / 2, &|_| None).unwrap()
    }
}

#[async_trait]
impl contract::World for World {
    async fn stand(&self, name: &str) -> Arc<dyn Leadership> {
        self.names.lock().unwrap().push(name.to_owned());
        Arc::new(Elector::stand(name, TERMS, self.store(name)).unwrap())
    }

    async fn cut(&self, candidate: usize, cut: bool) {
        let name = self.names.lock().unwrap()[candidate].clone();
        let mut leases = self.api.leases();
        if cut {
            leases.cut.insert(name)
        } else {
            leases.cut.remove(&name)
        };
    }

    fn failover(&self) -> Duration {
        Duration::from_secs(6)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kubernetes_lease_keeps_the_contract() {
    contract::holds(World::new).await;
}

#[tokio::test]
async fn the_lease_is_one_that_kubectl_and_client_go_read() {
    let world = World::new().await;
    let elector = Elector::stand("worker-1", TERMS, world.store("worker-1")).unwrap();
    while elector.leads().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let lease = world.api.leases().lease.clone().unwrap();
    assert_eq!((&lease["apiVersion"], &lease["kind"]), (&json!("coordination.k8s.io/v1"), &json!("Lease")));
    let spec = &lease["spec"];
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!("worker-1"), &json!(3)));
    for time in ["acquireTime", "renewTime"] {
        let text = spec[time].as_str().unwrap();
        assert!(text.len() == "2026-02-19T19:12:57.000000Z".len() && text.ends_with('Z'), "{time}: {text}");
    }
    elector.resign().await;
    let spec = world.api.leases().lease.as_ref().unwrap()["spec"].clone();
    assert_eq!((&spec["holderIdentity"], &spec["leaseDurationSeconds"]), (&json!(""), &json!(1)));
}

#[tokio::test]
async fn writes_are_conditional_and_keep_what_others_wrote() {
    let world = World::new().await;
    let (one, two) = (world.store("one"), world.store("two"));
    assert_eq!(one.read().await, Ok(None));
    let record = skydose::leader::Record {
        holder: "one".into(),
        lease: Duration::from_secs(15),
        acquired: jiff::Timestamp::UNIX_EPOCH,
        renewed: jiff::Timestamp::UNIX_EPOCH,
        transitions: 0,
    };
    one.create(&record).await.unwrap();
    assert_eq!(two.create(&record).await, Err(StoreError::Conflict));
    let seen = two.read().await.unwrap().unwrap();
    one.update(&record, &one.read().await.unwrap().unwrap()).await.unwrap();
    assert_eq!(two.update(&record, &seen).await, Err(StoreError::Conflict), "it has changed since");
    // An operator's label survives.
    let label =
        |leases: &mut lease_api::Leases, value: Value| leases.lease.as_mut().unwrap()["metadata"]["labels"] = value;
    label(&mut world.api.leases(), json!({"team": "air"}));
    let seen = one.read().await.unwrap().unwrap();
    one.update(&record, &seen).await.unwrap();
    assert_eq!(world.api.leases().lease.as_ref().unwrap()["metadata"]["labels"], json!({"team": "air"}));
    world.api.leases().lease = None;
    assert_eq!(one.update(&record, &seen).await, Err(StoreError::Conflict), "deleted since");
}

#[tokio::test]
async fn a_death_is_made_up_for_within_20_s_with_the_usual_times() {
    let world = World::new().await;
    let stand = |name: &str| Elector::stand(name, Terms::default(), world.store(name)).unwrap();
    let first = stand("one");
    while first.leads().is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let second = stand("two");
    tokio::time::sleep(Duration::from_millis(fastrand::u64(2500..4500))).await;
    // As kill -9: nothing is given up.
    drop(first);
    let died = tokio::time::Instant::now();
    while second.leads().is_none() {
        assert!(died.elapsed() < Duration::from_secs(20), "nobody leads after 20 s");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(died.elapsed() > Duration::from_secs(10), "the dead one might have led on: {:?}", died.elapsed());
}
