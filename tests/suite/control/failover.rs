//! A leader's process dies, with the times that the program has by itself.

use std::time::Duration;

use skydose::queue::JobQueue as _;
use tokio::time::{Instant, sleep};

use super::home::Home;
use crate::{
    broker::Broker,
    leader::lease_api::LeaseApi,
    nodes::{
        cloud::{Behaviour, Order},
        rancher::{Rancher, TOKEN},
    },
};

const SCALING: &str = r#"
[scaling]
[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 4
"#;

/// The default times of a Lease, over the short ones of the other tests.
const TIMES: [&str; 6] =
    ["--set", "leader.lease.lease=15s", "--set", "leader.lease.renew_deadline=10s", "--set", "leader.lease.retry=2s"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_leads_within_20_s_of_a_kill() {
    let place = Broker::shared().place("failover").await;
    let queue = place.queue();
    let rancher = Rancher::with(Order::OldestMachine, Behaviour::default(), 1).await;
    let api = LeaseApi::start().await;
    let home = Home::new(&place, &api, &rancher, SCALING);
    home.write("rancher-token", TOKEN);
    let start = |name: &str| home.start(&[&["control"], &TIMES[..]].concat(), &[], &format!("{name}.log"));
    let holder = || api.leases().holders.last().cloned().unwrap_or_default();
    let logs = ["one.log", "two.log"];

    let mut one = start("one");
    home.until("one leads", &logs, || !holder().is_empty()).await;
    let first = holder();
    let _two = start("two");
    home.until("two stands", &logs, || home.tail("two.log").contains("control started")).await;
    // It has looked at the Lease, and one has renewed it since.
    sleep(Duration::from_millis(fastrand::u64(2500..4500))).await;
    assert_eq!(holder(), first);
    one.kill();
    let died = Instant::now();
    home.until("two leads", &logs, || holder() != first).await;
    let after = died.elapsed();
    eprintln!("another leads {:.1} s after the leader was killed", after.as_secs_f64());
    assert!(after < Duration::from_secs(20), "{after:?}");
    queue.close().await;
}
