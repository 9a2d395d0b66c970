//! Node providers against a Rancher over HTTP.

pub mod cloud;
mod faults;
mod payloads;
pub mod rancher;

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use cloud::Order;
use rancher::{CLUSTER, Rancher, TOKEN, now};
use skydose::{
    http::Retry,
    nodes::{NodeProvider, RancherSettings, RancherV1, RancherV3, contract},
};

/// A provider, the Rancher that it speaks to, and its token's file.
pub struct World {
    pub rancher: Rancher,
    pub provider: Box<dyn NodeProvider>,
    pub token_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl World {
    pub async fn v3() -> Self {
        Self::around(Rancher::start(Order::HighestHostname).await, |settings| {
            Box::new(RancherV3::new(settings).unwrap())
        })
    }

    pub async fn v1() -> Self {
        Self::around(Rancher::start(Order::OldestMachine).await, |settings| Box::new(RancherV1::new(settings).unwrap()))
    }

    fn around(rancher: Rancher, make: impl FnOnce(&RancherSettings) -> Box<dyn NodeProvider>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        std::fs::write(&token_file, format!("{TOKEN}\n")).unwrap();
        let pool = if rancher.server().cloud.order == Order::HighestHostname {
            format!("{CLUSTER}:np-gpu")
        } else {
            "gpu".to_owned()
        };
        let millis = Duration::from_millis;
        let settings = RancherSettings {
            url: rancher.url.clone(),
            token_file: token_file.clone(),
            ca_file: None,
            insecure_tls: false,
            cluster: CLUSTER.to_owned(),
            namespace: "fleet-default".to_owned(),
            pools: [(contract::POOL.to_owned(), pool)].into(),
            timeout: millis(400),
            retry: Retry { attempts: 3, first: millis(10), longest: millis(50) },
            verify_within: millis(1500),
        };
        let provider = make(&settings);
        Self { rancher, provider, token_file, _folder: folder }
    }
}

#[async_trait]
impl contract::World for World {
    fn provider(&self) -> &dyn NodeProvider {
        self.provider.as_ref()
    }

    async fn pass(&self) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    async fn stranger_wants(&self, wanted: u32) {
        self.rancher.server().cloud.set_quantity(contract::POOL, wanted, now());
    }

    async fn deletions_stick(&self) {
        self.rancher.server().cloud.behaviour.leave = None;
    }

    async fn quota(&self, machines: u32) {
        self.rancher.server().cloud.behaviour.quota = Some(machines);
    }
}

#[tokio::test]
async fn rancher_v3_keeps_the_contract() {
    contract::holds(World::v3).await;
}

#[tokio::test]
async fn rancher_v1_keeps_the_contract() {
    contract::holds(World::v1).await;
}
