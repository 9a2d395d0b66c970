//! The election by a real RabbitMQ.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use skydose::leader::{BrokerTerms, ByBroker, Leadership, contract};

use crate::broker::{Broker, Mode, Place, Proxy};

const TERMS: BrokerTerms = BrokerTerms { valid: Duration::from_secs(3), every: Duration::from_millis(300) };

/// Candidates, each behind a proxy of its own.
struct World {
    place: Place,
    proxies: Mutex<Vec<Proxy>>,
}

#[async_trait]
impl contract::World for World {
    async fn stand(&self, name: &str) -> Arc<dyn Leadership> {
        let proxy = Proxy::start(&self.place.address);
        let queue = self.place.through(&proxy.address).queue();
        self.proxies.lock().unwrap().push(proxy);
        Arc::new(ByBroker::stand(name, TERMS, queue).unwrap())
    }

    async fn cut(&self, candidate: usize, cut: bool) {
        self.proxies.lock().unwrap()[candidate].set(if cut { Mode::BlackHole } else { Mode::Pass });
    }

    fn failover(&self) -> Duration {
        Duration::from_secs(10)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_brokers_seat_keeps_the_contract() {
    let worlds = std::sync::atomic::AtomicU32::new(0);
    contract::holds(async || {
        let number = worlds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let place = Broker::shared().place(&format!("election-{number}")).await;
        World { place, proxies: Mutex::default() }
    })
    .await;
}
