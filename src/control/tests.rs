//! The loop, in memory: a queue, simulated nodes, an election; workers that
//! say what they are told to say.

use std::{sync::atomic::AtomicBool, sync::atomic::Ordering};

use tokio::task::JoinHandle;

use super::*;
use crate::{
    leader::{Elector, MemoryLease, Terms},
    nodes::{Memory, MemoryPool, Phase},
    queue::memory::Memory as MemoryQueue,
    telemetry::message::{Command, Order as WorkerOrder, State},
};

const MILLI: Duration = Duration::from_millis(1);

/// Nodes whose machines run a make-believe worker each: it obeys, and holds a
/// job as long as it is told to.
struct Cluster {
    queue: MemoryQueue,
    nodes: Arc<Memory>,
    lease: MemoryLease,
    /// Workers hold a job.
    busy: Arc<AtomicBool>,
    workers: JoinHandle<()>,
}

fn scaling_settings(maximum: u32) -> scaling::Settings {
    let settings = serde_json::json!({
        "policy": "backlog",
        "interval": "40ms",
        "stale_after": "2s",
        "smoothing": "100ms",
        "backlog": {"jobs_per_node": 10.0},
        "guards": {"stabilise_in": "0s", "cooldown_in": "0s", "tolerance": 0.0},
        "pools": [{"name": "gpu", "minimum": 1, "maximum": maximum, "jobs_per_s": 10.0, "boot": "50ms"}],
    });
    serde_json::from_value(settings).unwrap()
}

impl Cluster {
    fn start(nodes: u32) -> Self {
        let provider = Arc::new(Memory::default());
        let pool = MemoryPool { boot: MILLI * 30, leave: Some(MILLI * 30), wanted: nodes, ..MemoryPool::default() };
        provider.add("gpu", pool);
        let (queue, busy) = (MemoryQueue::new(), Arc::new(AtomicBool::new(false)));
        let workers = tokio::spawn(workers(queue.clone(), Arc::clone(&provider), Arc::clone(&busy)));
        Self { queue, nodes: provider, lease: MemoryLease::default(), busy, workers }
    }

    fn control(&self, name: &str, access: MemoryLease) -> (Arc<Board>, CancellationToken, JoinHandle<()>) {
        let terms = Terms { lease: MILLI * 600, renew_deadline: MILLI * 400, retry: MILLI * 80 };
        let parts = Parts {
            name: name.to_owned(),
            worker: None,
            queue: Arc::new(self.queue.clone()),
            gauge: Arc::new(self.queue.clone()),
            provider: Arc::clone(&self.nodes) as Arc<dyn NodeProvider>,
            leadership: Arc::new(Elector::stand(name, terms, access).unwrap()),
            clock: clock(),
        };
        let settings = Settings { silent_after: MILLI * 500, listen_first: MILLI * 100, ..Settings::default() };
        let control = Control::new(parts, settings, scaling_settings(6));
        let (board, stop) = (Arc::clone(&control.board), CancellationToken::new());
        (board, stop.clone(), tokio::spawn(control.run(stop)))
    }

    async fn jobs(&self, many: u32) {
        for n in 0..many {
            let properties =
                Properties { message_id: format!("j{n}"), kind: "skydose.job".into(), ..Properties::default() };
            self.queue.publish(&Destination::Jobs, &Message { properties, body: "{}".into() }).await.unwrap();
        }
    }

    async fn take_all(&self) {
        let mut jobs = self.queue.subscribe(1000).await.unwrap();
        while let Ok(Some(job)) = timeout(MILLI * 50, jobs.next()).await {
            job.ack().await.unwrap();
        }
    }

    async fn until(&self, what: &str, holds: impl Fn(&crate::nodes::Pool) -> bool) {
        let wait = async {
            loop {
                let pool = self.nodes.pools().await;
                if pool.is_ok_and(|pools| holds(&pools[0])) {
                    return;
                }
                tokio::time::sleep(MILLI * 5).await;
            }
        };
        let is_in_time = timeout(Duration::from_secs(20), wait).await.is_ok();
        assert!(is_in_time, "not within 20 s: {what}; {:?}", self.nodes.pools().await);
    }
}

/// Waits until a board tells what is wanted.
async fn told(board: &Board, holds: impl Fn(&serde_json::Value) -> bool) {
    let wait = async {
        while !holds(&board.status()) {
            tokio::time::sleep(MILLI * 5).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), wait).await.is_ok(), "not within 10 s: {}", board.status());
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.workers.abort();
    }
}

fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "tests of a loop in real time")]
    Arc::new(Timestamp::now)
}

/// One worker a running machine.
async fn workers(queue: MemoryQueue, nodes: Arc<Memory>, busy: Arc<AtomicBool>) {
    let mut commands = queue.listen("command.*", Duration::ZERO).await.unwrap();
    let mut draining: std::collections::BTreeMap<WorkerId, String> = std::collections::BTreeMap::new();
    let (clock, start) = (clock(), Timestamp::UNIX_EPOCH);
    loop {
        while let Ok(Some((_, message))) = timeout(MILLI, commands.next()).await {
            let command = Command::decode(&message.body).unwrap();
            match command.order {
                WorkerOrder::Drain { reason } => draining.insert(command.worker, reason),
                WorkerOrder::Resume => draining.remove(&command.worker),
            };
        }
        let running = nodes.pools().await.map(|pools| pools[0].machines.clone()).unwrap_or_default();
        for machine in running.into_iter().filter(|machine| machine.phase == Phase::Running) {
            let worker = WorkerId::new(&machine.id, "w");
            let holds = busy.load(Ordering::Relaxed);
            let reason = draining.get(&worker).cloned();
            let state = match (&reason, holds) {
                (Some(_), true) => State::Draining,
                (Some(_), false) => State::Drained,
                (None, true) => State::Consuming,
                (None, false) => State::Idle,
            };
            let heartbeat = Heartbeat {
                worker,
                node: machine.id,
                pool: "gpu".into(),
                release: "0".into(),
                state,
                reason,
                backend: "cpu".into(),
                slots: 1,
                in_flight: u32::from(holds),
                datasets: vec![],
                field_bytes: 0,
                flights_per_s: None,
                busy: 0.0,
                jobs_done: 0,
                started_at: start,
                at: clock(),
                every_s: 0.05,
            };
            queue.publish(&Destination::Telemetry(heartbeat.topic()), &message(&heartbeat)).await.unwrap();
        }
        tokio::time::sleep(MILLI * 20).await;
    }
}

#[tokio::test]
async fn grows_with_the_queue_and_shrinks_without_it() {
    let cluster = Cluster::start(1);
    let (board, stop, control) = cluster.control("one", cluster.lease.beside());
    cluster.jobs(200).await;
    cluster.until("at the maximum", |pool| pool.in_phase(Phase::Running) == 6).await;
    assert!(board.queue(Instant::now()).unwrap()["backlog"].as_u64().unwrap() >= 200);
    cluster.take_all().await;
    cluster.until("back at the minimum", |pool| (pool.wanted, pool.machines.len()) == (1, 1)).await;
    let history = board.history(&[("rounds".to_owned(), "1000".to_owned())].into()).unwrap();
    let acts: Vec<String> = history
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|report| {
            report["acts"].as_array().unwrap().iter().map(|act| act["what"].as_str().unwrap().to_owned())
        })
        .collect();
    assert!(acts.iter().any(|act| act.starts_with("scale 1 to ")), "{acts:?}");
    assert_eq!(acts.iter().filter(|act| act.starts_with("remove ")).count(), 5, "{acts:?}");
    stop.cancel();
    control.await.unwrap();
}

#[tokio::test]
async fn who_holds_a_job_stays_until_it_is_done() {
    let cluster = Cluster::start(4);
    cluster.busy.store(true, Ordering::Relaxed);
    let (_board, stop, control) = cluster.control("one", cluster.lease.beside());
    tokio::time::sleep(MILLI * 800).await;
    assert_eq!(cluster.nodes.pools().await.unwrap()[0].count(), 4);
    cluster.busy.store(false, Ordering::Relaxed);
    cluster.until("back at the minimum", |pool| pool.wanted == 1).await;
    stop.cancel();
    control.await.unwrap();
}

#[tokio::test]
async fn demand_calls_back_who_drains() {
    let cluster = Cluster::start(4);
    cluster.busy.store(true, Ordering::Relaxed);
    let (board, stop, control) = cluster.control("one", cluster.lease.beside());
    let draining = |board: &Board| board.status()["last"]["workers"]["draining"].as_u64().unwrap_or(0);
    let wait = async {
        while draining(&board) != 3 {
            tokio::time::sleep(MILLI * 10).await;
        }
        cluster.jobs(200).await;
        while draining(&board) != 0 {
            tokio::time::sleep(MILLI * 10).await;
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect("those that drain are called back");
    cluster.until("and more are asked for", |pool| pool.wanted == 6).await;
    stop.cancel();
    control.await.unwrap();
}

#[tokio::test]
async fn an_outage_of_the_provider_holds_and_passes() {
    let cluster = Cluster::start(1);
    let (board, stop, control) = cluster.control("one", cluster.lease.beside());
    tokio::time::sleep(MILLI * 300).await;
    cluster.nodes.turn("gpu", |pool| pool.outage = true);
    cluster.jobs(200).await;
    tokio::time::sleep(MILLI * 300).await;
    let faults = board.status()["last"]["faults"].to_string();
    assert!(faults.contains("no answer in time"), "{faults}");
    cluster.nodes.turn("gpu", |pool| pool.outage = false);
    cluster.until("grown after the outage", |pool| pool.wanted == 6).await;
    stop.cancel();
    control.await.unwrap();
}

#[tokio::test]
async fn another_takes_over_and_a_pause_outlives_its_leader() {
    let cluster = Cluster::start(1);
    let (first_access, second_access) = (cluster.lease.beside(), cluster.lease.beside());
    let (_, stop, first) = cluster.control("one", first_access);
    tokio::time::sleep(MILLI * 400).await;
    let (board, stop_second, second) = cluster.control("two", second_access);
    let pause = Order { pause: Some("maintenance, by ops".to_owned()), at: clock()() };
    give_order(&cluster.queue, &pause).await.unwrap();
    tokio::time::sleep(MILLI * 200).await;
    stop.cancel();
    first.await.unwrap();
    cluster.jobs(200).await;
    told(&board, |status| status["leads"] == true && status["last"]["decision"]["outcome"] == "paused").await;
    assert_eq!(board.status()["paused"], "maintenance, by ops");
    assert_eq!(cluster.nodes.pools().await.unwrap()[0].wanted, 1);
    give_order(&cluster.queue, &Order { pause: None, at: clock()() }).await.unwrap();
    let resumed =
        timeout(Duration::from_secs(10), cluster.until("grown after the pause", |pool| pool.wanted == 6)).await;
    assert!(resumed.is_ok(), "{}", board.status());
    stop_second.cancel();
    second.await.unwrap();
}

#[tokio::test]
async fn who_is_cut_off_from_the_election_writes_nothing() {
    let cluster = Cluster::start(1);
    let access = cluster.lease.beside();
    let (board, stop, control) = cluster.control("one", access.clone());
    tokio::time::sleep(MILLI * 400).await;
    access.cut(true);
    told(&board, |status| status["leads"] == false).await;
    cluster.jobs(200).await;
    tokio::time::sleep(MILLI * 400).await;
    assert_eq!(cluster.nodes.pools().await.unwrap()[0].wanted, 1);
    access.cut(false);
    cluster.until("it leads again", |pool| pool.wanted == 6).await;
    stop.cancel();
    control.await.unwrap();
}

#[tokio::test]
async fn figures_age() {
    let cluster = Cluster::start(1);
    let board = Board::new(Arc::new(crate::leader::Alone::new("one")), 3, Duration::from_secs(1));
    assert!(board.queue(Instant::now()).unwrap_err().contains("no figures yet"));
    let (other, stop, control) = cluster.control("one", cluster.lease.beside());
    tokio::time::sleep(MILLI * 400).await;
    let last = serde_json::from_value(other.status()["last"].clone()).unwrap();
    board.report(last, Instant::now());
    assert!(board.queue(Instant::now()).is_ok());
    assert!(board.queue(Instant::now() + Duration::from_secs(2)).unwrap_err().contains("nobody leads"));
    stop.cancel();
    control.await.unwrap();
}
