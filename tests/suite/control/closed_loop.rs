//! A spike of thousands of flights: the cluster grows to its maximum, empties
//! the queue and shrinks to its minimum, while a leader is killed, a boot
//! fails and Rancher is away for a while.
//!
//! The flights are observed ones of `../shared/data` where that is there, over
//! and over; made ones elsewhere.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use skydose::{
    job::event::Ending,
    queue::{Gauge, JobQueue, management::RabbitGauge},
    store::{Objects, Settings as StoreSettings},
    telemetry::message::{Heartbeat, Said as _, State},
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use super::home::{Home, Process};
use crate::{
    broker::Broker,
    leader::lease_api::LeaseApi,
    nodes::{
        cloud::{Behaviour, Happening, Order},
        rancher::{Outage, Rancher, TOKEN},
    },
    worker::harness::{Stage, breaking, observed, sealed, terms},
};

const MAXIMUM: usize = 4;
/// For everything that takes longer where the machine is busy.
const PATIENCE: Duration = Duration::from_mins(2);
/// Flights a job: enough that one worker does not keep up with the spike.
const FLIGHTS: usize = 100;

const SCALING: &str = r#"
[scaling]
policy = "backlog"
interval = "500ms"
stale_after = "8s"
smoothing = "2s"
backlog = { jobs_per_node = 40.0 }
guards = { stabilise_in = "1s", cooldown_in = "1s", tolerance = 0.0, backoff = "2s", backoff_most = "4s", provision_within = "60s" }
[[scaling.pools]]
name = "gpu"
minimum = 1
maximum = 4
boot = "3s"
"#;

/// A node that was deleted, and what its worker had told last.
type Gone = (String, Option<Heartbeat>);

/// The machines of the simulated Rancher as processes.
struct Machines {
    running: Arc<Mutex<BTreeMap<String, Process>>>,
    /// Nodes that were deleted, and what their worker had told last.
    gone: Arc<Mutex<Vec<Gone>>>,
    /// Most at a time.
    most: Arc<Mutex<usize>>,
    tasks: [JoinHandle<()>; 2],
}

impl Machines {
    async fn start(home: Arc<Home>, rancher: Arc<Rancher>, queue: Arc<dyn JobQueue>) -> Self {
        let told: Arc<Mutex<BTreeMap<String, Heartbeat>>> = Arc::default();
        let running: Arc<Mutex<BTreeMap<String, Process>>> = Arc::default();
        let gone: Arc<Mutex<Vec<Gone>>> = Arc::default();
        let most: Arc<Mutex<usize>> = Arc::default();
        let mut heartbeats = queue.listen(Heartbeat::TOPICS, Duration::ZERO).await.expect("heartbeats");
        let hears = Arc::clone(&told);
        let hearing = tokio::spawn(async move {
            while let Some((_, message)) = heartbeats.next().await {
                let heartbeat = Heartbeat::decode(&message.body).expect("a heartbeat");
                hears.lock().unwrap().insert(heartbeat.node.clone(), heartbeat);
            }
        });
        let machines = (Arc::clone(&running), Arc::clone(&gone), Arc::clone(&most));
        let living = tokio::spawn(async move {
            let (running, gone, most) = machines;
            loop {
                for happening in rancher.happenings() {
                    match happening {
                        // The machine of the control plane runs no worker.
                        Happening::Booted { pool, .. } if pool != "gpu" => {}
                        Happening::Booted { host, .. } => {
                            running.lock().unwrap().insert(host.clone(), boot(&home, &host));
                        }
                        Happening::Gone { host } => {
                            let process = running.lock().unwrap().remove(&host);
                            if let Some(mut process) = process {
                                process.kill();
                                let last = told.lock().unwrap().get(&host).cloned();
                                gone.lock().unwrap().push((host, last));
                            }
                        }
                    }
                }
                let now = running.lock().unwrap().len();
                {
                    let mut most = most.lock().unwrap();
                    *most = now.max(*most);
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        Self { running, gone, most, tasks: [hearing, living] }
    }

    /// kill -9 of the worker on a node; as a cluster does, it is started again.
    async fn crash(&self, home: &Home, node: &str) {
        self.running.lock().unwrap().get_mut(node).expect("a running machine").kill();
        sleep(Duration::from_secs(1)).await;
        if let Some(process) = self.running.lock().unwrap().get_mut(node) {
            *process = boot(home, node);
        }
    }

    fn most(&self) -> usize {
        *self.most.lock().unwrap()
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.running.lock().unwrap().clear();
    }
}

fn boot(home: &Home, host: &str) -> Process {
    let environment = [("SKYDOSE_WORKER__NODE", host), ("SKYDOSE_LOG__FILTER", "info")];
    home.start(&["worker"], &environment, &format!("{host}.log"))
}

async fn until(what: &str, logs: impl Fn() -> String, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}\n{}", logs());
        sleep(Duration::from_millis(50)).await;
    }
    eprintln!("{what} after {:.1} s", started.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one story in its order")]
async fn a_spike_is_worked_off_whatever_fails_meanwhile() {
    let place = Broker::shared().place("closed-loop").await;
    let queue = place.queue();
    let millis = Duration::from_millis;
    let behaviour = Behaviour {
        reconcile: millis(100),
        boot: millis(1500),
        late_provider_id: millis(200),
        leave: Some(millis(800)),
        made_again: millis(2500),
        ..Behaviour::default()
    };
    let rancher = Arc::new(Rancher::with(Order::OldestMachine, behaviour, 1).await);
    let api = LeaseApi::start().await;
    let home = Arc::new(Home::new(&place, &api, &rancher, SCALING));
    home.write("rancher-token", TOKEN);
    let machines = Machines::start(Arc::clone(&home), Arc::clone(&rancher), queue.clone()).await;
    let logs = || {
        let hosts: BTreeSet<String> = rancher.server().cloud.machines.iter().map(|m| m.host.clone()).collect();
        let tails: Vec<String> =
            hosts.iter().map(|host| format!("--- {host}\n{}\n", home.tail(&format!("{host}.log")))).collect();
        tails.concat()
    };
    let gauge = Arc::new(RabbitGauge::new(queue.clone(), Some(place.management())));
    let store =
        Objects::open(&StoreSettings { uri: home.store(), durable: false, ..StoreSettings::default() }).unwrap();
    let mut stage = Stage::over(
        "spike",
        queue.clone(),
        queue.clone(),
        gauge.clone(),
        Arc::new(store),
        breaking(Arc::new(|_| false)),
    )
    .await;
    until("a leader", logs, async || api.leases().holders.last().is_some_and(|holder| !holder.is_empty())).await;

    // The spike, kept up until everything has gone wrong that is to go wrong.
    rancher.server().cloud.behaviour.failing_boots = 1;
    let (mut jobs, traffic) = (0, observed(10 * FLIGHTS));
    let mut spike = async |stage: &mut Stage, more: usize| {
        for _ in 0..more {
            let first = jobs % (traffic.len() / FLIGHTS) * FLIGHTS;
            let terms = terms(&stage.submission, &format!("j{jobs:05}"));
            stage.publish(sealed(&terms, &traffic.cut(first..first + FLIGHTS))).await;
            jobs += 1;
        }
        jobs
    };
    spike(&mut stage, 300).await;
    let started = Instant::now();
    let (mut killed, mut away) = (None, false);
    loop {
        let ready: u64 =
            gauge.figures().await.map_or(u64::MAX, |f| f.priorities.values().filter_map(|p| p.ready).sum());
        assert!(
            started.elapsed() < PATIENCE,
            "not at the maximum: {}, {ready} jobs wait of {}\n{}",
            machines.most(),
            spike(&mut stage, 0).await,
            logs()
        );
        if ready < 250 {
            spike(&mut stage, 50).await;
        }
        let now = machines.running.lock().unwrap().len();
        if now >= 2 && killed.is_none() {
            let leader = api.leases().holders.last().cloned().unwrap_or_default();
            let node = machines.running.lock().unwrap().keys().find(|node| leader.starts_with(node.as_str())).cloned();
            if let Some(node) = node {
                machines.crash(&home, &node).await;
                killed = Some((leader, Instant::now()));
            }
        }
        if killed.is_some() && !away {
            away = true;
            rancher.server().outage = Outage::Answers(503);
            sleep(Duration::from_secs(2)).await;
            rancher.server().outage = Outage::None;
        }
        if now >= MAXIMUM && away {
            break;
        }
        sleep(millis(100)).await;
    }
    eprintln!("at the maximum after {:.1} s", started.elapsed().as_secs_f64());
    let (dead, at) = killed.expect("a leader was killed");
    until("another leads", logs, async || api.leases().holders.last().is_some_and(|h| !h.is_empty() && *h != dead))
        .await;
    assert!(at.elapsed() < Duration::from_secs(100));

    let told = stage.told().await;
    let all = spike(&mut stage, 0).await;
    eprintln!("{all} jobs, {} flights, answered after {:.1} s", all * FLIGHTS, started.elapsed().as_secs_f64());
    until("back at the minimum", logs, async || {
        let server = rancher.server();
        server.cloud.pools["gpu"].quantity == 1 && server.cloud.of("gpu").count() == 1
    })
    .await;

    assert_eq!(told.jobs(|ending| matches!(ending, Ending::Answered(_))).len(), all);
    stage.check_ledger(&told).await;
    assert!(machines.most() <= MAXIMUM, "{} machines at a time", machines.most());
    let gone = machines.gone.lock().unwrap().clone();
    assert!(gone.len() >= MAXIMUM - 1, "{gone:?}");
    for (node, last) in gone {
        let last = last.unwrap_or_else(|| panic!("{node} went without having been heard"));
        assert_eq!((last.state, last.in_flight), (State::Drained, 0), "{node} held a job or was not drained");
    }
    let made = rancher.server().cloud.made;
    assert!(made > u32::try_from(MAXIMUM).unwrap() + 1, "a boot failed and was made again: {made}");
    drop(machines);
    queue.close().await;
}
