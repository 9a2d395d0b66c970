//! Whole workers on a cluster of three nodes while everything that can go
//! wrong does, and the ledger in the end: submitted = answered ∪ buried, one
//! manifest an answered job, no job told of in two ways.
//!
//! `SKYDOSE_CHAOS_MINUTES` says for how long, `SKYDOSE_TEST_SEED` which
//! misfortunes in which order. `tests/chaos` sets both; without them it is a
//! short run of always the same misfortunes.

use std::{
    fs,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use skydose::job::event::Ending;
use tokio::time::Instant;

use crate::{
    broker::{Cluster, Mode, Place, Proxy},
    worker::{
        harness::seed,
        processes::{Home, Process},
    },
};

/// Without `SKYDOSE_CHAOS_MINUTES`.
const SHORT: Duration = Duration::from_secs(25);
/// The seed of the short run.
const SEED: u64 = 7;

const WORKERS: usize = 2;

/// One job in so many ends the process that computes it.
const POISON_EVERY: usize = 150;

/// Workers die of poison; retries are quick; the admin server takes any port.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("SKYDOSE_FAILPOINT", "computing:poison"),
    ("SKYDOSE_ADMIN__LISTEN", "127.0.0.1:0"),
    ("SKYDOSE_BROKER__PUBLISH_TIMEOUT", "8s"),
    ("SKYDOSE_BROKER__CONNECT_TIMEOUT", "4s"),
    ("SKYDOSE_BROKER__LONGEST_PAUSE", "2s"),
    ("SKYDOSE_WORKER__TRIES__FIRST_DELAY", "1s"),
    ("SKYDOSE_WORKER__TRIES__LONGEST_DELAY", "1s"),
    ("SKYDOSE_WORKER__TRIES__MOST_TRIES", "20"),
];

/// What goes wrong.
#[derive(Debug, Clone, Copy)]
enum Harm {
    KillWorker(usize),
    EndWorker(usize),
    FreezeWorker(usize, Duration),
    KillLeader(Duration),
    FreezeNode(usize, Duration),
    Cut,
    Swallow(Duration),
    HalfOpen(Duration),
    Alarm(Duration),
    NoStore(Duration),
}

/// Everything that can be harmed.
struct World {
    cluster: Cluster,
    place: Place,
    proxies: Vec<Proxy>,
    home: Home,
    workers: Mutex<Vec<Process>>,
    deaths: AtomicUsize,
}

impl Harm {
    fn pick(random: &mut fastrand::Rng) -> Self {
        let short = Duration::from_millis(random.u64(500..3000));
        let long = Duration::from_millis(random.u64(3000..8000));
        let worker = random.usize(..WORKERS);
        match random.u8(..14) {
            0..=2 => Self::KillWorker(worker),
            3 => Self::EndWorker(worker),
            4 | 5 => Self::FreezeWorker(worker, long),
            6 => Self::KillLeader(short),
            7 => Self::FreezeNode(random.usize(..3), long),
            8 | 9 => Self::Cut,
            10 => Self::Swallow(long),
            11 => Self::HalfOpen(long),
            12 => Self::Alarm(short),
            _ => Self::NoStore(short),
        }
    }

    fn happens(self, world: &World) {
        match self {
            Self::KillWorker(worker) => world.workers()[worker].signal("-KILL"),
            Self::EndWorker(worker) => world.workers()[worker].signal("-TERM"),
            Self::FreezeWorker(worker, time) => {
                world.workers()[worker].signal("-STOP");
                world.wait(time);
                world.workers()[worker].signal("-CONT");
            }
            Self::KillLeader(time) => {
                let leader = world.cluster.leader_of(&world.place, "skydose.jobs.normal");
                leader.kill();
                world.wait(time);
                leader.restart();
            }
            Self::FreezeNode(node, time) => {
                world.cluster.brokers[node].freeze();
                world.wait(time);
                world.cluster.brokers[node].thaw();
            }
            Self::Cut => world.proxies.iter().for_each(Proxy::cut),
            Self::Swallow(time) => world.on_the_way(Mode::BlackHole, time),
            Self::HalfOpen(time) => world.on_the_way(Mode::HalfOpen, time),
            Self::Alarm(time) => {
                world.cluster.brokers[0].memory_watermark("0");
                world.wait(time);
                world.cluster.brokers[0].memory_watermark("0.6");
            }
            Self::NoStore(time) => world.without_store(time),
        }
    }
}

impl World {
    fn workers(&self) -> MutexGuard<'_, Vec<Process>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts workers in place of those that ended.
    fn revive(&self) {
        for worker in &mut *self.workers() {
            if worker.has_ended() {
                self.deaths.fetch_add(1, Ordering::Relaxed);
                *worker = self.home.start(ENVIRONMENT, &self.home.path("log"));
            }
        }
    }

    fn wait(&self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time {
            self.revive();
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn on_the_way(&self, mode: Mode, time: Duration) {
        self.proxies.iter().for_each(|proxy| proxy.set(mode));
        self.wait(time);
        self.proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
    }

    /// A file where the store's folder was: nothing can be read or written.
    fn without_store(&self, time: Duration) {
        let (store, away) = (self.home.path("store"), self.home.path("away"));
        fs::rename(&store, &away).expect("a store that has results");
        fs::write(&store, "").expect("a file");
        self.wait(time);
        fs::remove_file(&store).expect("a file");
        fs::rename(&away, &store).expect("the store");
    }

    /// One misfortune after the other for so long; in the end all is well.
    fn suffer(&self, time: Duration, random: &mut fastrand::Rng) {
        let start = Instant::now();
        while start.elapsed() < time {
            let harm = Harm::pick(random);
            eprintln!("{:6.1} s {harm:?}", start.elapsed().as_secs_f64());
            harm.happens(self);
            self.wait(Duration::from_millis(random.u64(300..2000)));
        }
    }
}

/// For how long, if that is said.
fn given_time() -> Option<Duration> {
    let minutes = std::env::var("SKYDOSE_CHAOS_MINUTES").ok()?;
    Some(Duration::from_secs_f64(60.0 * minutes.parse::<f64>().expect("a number of minutes")))
}

fn chance() -> fastrand::Rng {
    if given_time().is_some() || std::env::var_os("SKYDOSE_TEST_SEED").is_some() {
        return seed();
    }
    eprintln!("SKYDOSE_TEST_SEED={SEED}");
    fastrand::Rng::with_seed(SEED)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn the_ledger_is_kept_whatever_happens() {
    let mut random = chance();
    crate::broker::logs();
    let cluster = tokio::task::block_in_place(Cluster::start);
    let place = cluster.place("chaos").await;
    let proxies: Vec<Proxy> = cluster.brokers.iter().map(|broker| Proxy::start(&broker.address())).collect();
    let uris: Vec<String> =
        proxies.iter().map(|proxy| format!("amqp://guest:guest@{}/{}", proxy.address, place.vhost)).collect();
    let home = Home::new(&uris.join(","));
    let mut stage = home.stage("chaos", place.queue()).await;
    stage.letters_may_repeat = true;
    // A first answer, so that there is a store.
    let workers = (0..WORKERS).map(|_| home.start(ENVIRONMENT, &home.path("log"))).collect();
    stage.submit("first", 1).await;
    stage.told().await;

    let (workers, deaths) = (Mutex::new(workers), AtomicUsize::new(0));
    let world = Arc::new(World { cluster, place, proxies, home, workers, deaths });
    let (suffering, mut misfortunes) = (world.clone(), random.fork());
    let sufferer = thread::spawn(move || suffering.suffer(given_time().unwrap_or(SHORT), &mut misfortunes));
    let mut submitted = 1;
    while !sufferer.is_finished() {
        let name = if submitted % POISON_EVERY == POISON_EVERY - 1 { "poison" } else { "job" };
        stage.submit(&format!("{name}{submitted}"), 1 + submitted % 3).await;
        submitted += 1;
        tokio::time::sleep(Duration::from_millis(random.u64(10..60))).await;
    }
    sufferer.join().expect("misfortunes as planned");

    let reviving = world.clone();
    let keeper = tokio::spawn(async move {
        loop {
            reviving.revive();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(3)).await;
    keeper.abort();
    stage.check_ledger(&told).await;
    let buried = told.jobs(|ending| matches!(ending, Ending::Buried { .. }));
    let healthy: Vec<_> = buried.iter().filter(|job| !job.starts_with("poison")).collect();
    for job in &healthy {
        eprintln!("{job} was buried: {}", told.buried(job));
    }
    assert!(healthy.is_empty(), "{} healthy jobs were buried", healthy.len());
    let answered = told.jobs(|ending| matches!(ending, Ending::Answered(_)));
    assert!(answered.iter().all(|job| !job.starts_with("poison")), "a poison was answered");
    let again: usize = told.endings.values().map(|(_, times)| times - 1).sum();
    eprintln!(
        "{submitted} jobs: {} answered, {} buried; {again} events told again, {} workers died",
        answered.len(),
        buried.len(),
        world.deaths.load(Ordering::Relaxed)
    );
}
