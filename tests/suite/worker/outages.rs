//! Whole processes on a real RabbitMQ while the world around them fails: they
//! freeze, their network is cut or swallows what they say, their store fills
//! up, nobody takes what they send. The ledger is whole in the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use skydose::{
    job::event::Ending,
    queue::{Gauge as _, JobQueue as _, Priority, management::RabbitGauge},
};
use tokio::time::{Instant, sleep};

use super::{
    harness::{SOON, Stage, message, terms},
    processes::{Home, Process, ask, place, ready, tail},
};
use crate::broker::{Mode, Proxy};

/// The environment of workers beside the first: any port will do.
const BESIDE: (&str, &str) = ("SKYDOSE_ADMIN__LISTEN", "127.0.0.1:0");

/// How long workers stand still: eight heartbeats of 2 s, after four of which
/// the broker has given their jobs to others. With the heartbeat of 10 s that
/// is set by default, 60 s are six.
const FROZEN: Duration = Duration::from_secs(16);

/// How long a network carries nothing: longer than two heartbeats.
const CUT: Duration = Duration::from_secs(9);

async fn until(what: &str, log: &Path, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < SOON, "{what}: not in {SOON:?}\n{}", tail(log));
        sleep(Duration::from_millis(20)).await;
    }
}

fn logged(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_freeze_with_a_job_in_hand_and_wake_late_change_no_result() {
    let (place, queue) = place("worker-freeze").await;
    let home = Home::new(&place.uri);
    let mut stage = home.stage("freeze", queue.clone()).await;
    let log = home.path("log");
    let mut frozen: Vec<Process> = Vec::new();
    // Figures at hand; a result that nobody knows of; one told of, not settled.
    for point in ["computed", "stored", "published"] {
        let failpoint = format!("{point}:{point}!stop");
        let worker = home.start(&[("SKYDOSE_FAILPOINT", failpoint.as_str()), BESIDE], &log);
        for n in 0..4 {
            stage.submit(&format!("{point}{n}"), 1 + n).await;
        }
        until(&format!("a worker is frozen at {point}"), &log, async || worker.is_frozen()).await;
        frozen.push(worker);
    }
    let since = Instant::now();
    let other = home.start(&[BESIDE], &log);
    // The broker takes their jobs back, or this would not end.
    let mut told = stage.told().await;
    sleep(FROZEN.saturating_sub(since.elapsed())).await;
    assert!(frozen.iter().all(Process::is_frozen));
    other.signal("-TERM");
    assert!(other.end().await.success(), "{}", tail(&log));
    for worker in &frozen {
        worker.signal("-CONT");
    }
    // They go on where they stood, and then take jobs again.
    for n in 0..9 {
        stage.submit(&format!("after{n}"), 1).await;
    }
    let later = stage.told().await;
    told.endings.extend(later.endings);
    stage.rest(&mut told, Duration::from_secs(3)).await;
    assert!(frozen.iter_mut().all(|worker| !worker.has_ended()), "a worker ended: {}", tail(&log));
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 21);
    // Every answer that was told of twice was the same one, or the stage fails.
    stage.check_ledger(&told).await;
    for worker in frozen {
        worker.signal("-TERM");
        assert!(worker.end().await.success(), "{}", tail(&log));
    }
    queue.close().await;
}

/// Jobs go on and on while a worker's network is in `mode`.
async fn network(name: &str, mode: Mode) {
    let (place, queue) = place(name).await;
    let proxy = Proxy::start(&place.address);
    let home = Home::new(&place.through(&proxy.address).uri);
    let mut stage = home.stage(name, queue.clone()).await;
    let log = home.path("log");
    let worker = home.start(&[], &log);
    ready(&home).await;
    let mut submitted = 0;
    let mut submit = async |stage: &mut Stage, jobs: usize| {
        for n in submitted..submitted + jobs {
            stage.submit(&format!("j{n:03}"), 1 + n % 5).await;
        }
        submitted += jobs;
    };
    submit(&mut stage, 40).await;
    // In the midst of it.
    proxy.set(mode);
    let since = Instant::now();
    submit(&mut stage, 20).await;
    until("the worker knows", &log, async || {
        ask(&home.admin, "/readyz").await.is_some_and(|(status, _)| status == 503)
    })
    .await;
    sleep(CUT.saturating_sub(since.elapsed())).await;
    assert_eq!(ask(&home.admin, "/livez").await.map(|r| r.0), Some(200), "an outage of the broker ends no worker");
    proxy.set(Mode::Pass);
    submit(&mut stage, 20).await;
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(1)).await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 80);
    stage.check_ledger(&told).await;
    ready(&home).await;
    worker.signal("-TERM");
    assert!(worker.end().await.success(), "{}", tail(&log));
    queue.close().await;
}

/// Side by side: most of it is waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_whose_network_is_cut_or_swallows_what_is_said_go_on_once_it_is_back() {
    tokio::join!(
        network("worker-cut", Mode::Refuse),
        network("worker-swallowed", Mode::BlackHole),
        network("worker-half-open", Mode::HalfOpen),
    );
}

/// A file system of a mebibyte, for as long as it is held.
struct Small(PathBuf);

impl Small {
    /// None where this process may not mount.
    fn mount(at: PathBuf) -> Option<Self> {
        fs::create_dir_all(&at).expect("a folder");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=777", "skydose-test"]).arg(&at).output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(at))
    }

    /// Leaves no byte free.
    fn fill(&self) {
        let more = fs::write(self.0.join("filler"), vec![0; 2 << 20]);
        assert!(more.is_err(), "two mebibytes went into one");
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("the filler");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_full_is_waited_for_and_holds_no_half_of_a_result() {
    let (place, queue) = place("worker-full").await;
    let home = Home::new(&place.uri);
    let Some(small) = Small::mount(home.path("store")) else {
        eprintln!("skipped: a small file system cannot be mounted here; it needs root");
        return;
    };
    let mut stage = home.stage("full", queue.clone()).await;
    let log = home.path("log");
    let worker = home.start(&[("SKYDOSE_WORKER__INLINE_ROWS", "4")], &log);
    stage.submit("before", 1).await;
    stage.told().await;
    small.fill();
    for n in 0..12 {
        stage.submit(&format!("j{n:02}"), 1 + n % 4).await;
    }
    until("the worker finds the store full", &log, async || logged(&log).contains("No space left on device")).await;
    sleep(Duration::from_secs(3)).await;
    let figures = RabbitGauge::new(queue.clone(), Some(place.management())).figures().await.expect("figures");
    let normal = &figures.priorities[&Priority::Normal];
    assert_eq!(normal.ready.unwrap_or(0) + normal.unacked.unwrap_or(0), 12, "nothing is acknowledged");
    assert_eq!(ask(&home.admin, "/livez").await.map(|r| r.0), Some(200));
    small.empty();
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(1)).await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 13);
    stage.check_ledger(&told).await;
    worker.signal("-TERM");
    assert!(worker.end().await.success(), "{}", tail(&log));
    queue.close().await;
}

/// The body of a message that comes back unroutable holds what flights are
/// called: the log, at every level, does not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_body_of_a_message_that_comes_back_is_logged() {
    let (place, queue) = place("worker-returned").await;
    let home = Home::new(&place.uri);
    let mut stage = home.stage("returned", queue.clone()).await;
    let log = home.path("log");
    let worker = home.start(&[("SKYDOSE_LOG__FILTER", "trace")], &log);
    let mut asked = message(&terms("returned", "j"), 1, 777);
    asked.properties.reply_to = Some("nobody-is-here".into());
    stage.publish(asked).await;
    let told = stage.told().await;
    let Ending::Answered(manifest) = &told.endings["j"].0 else { panic!("{:?}", told.endings["j"]) };
    assert!(serde_json::to_string(manifest).expect("JSON").contains("F777"), "the body names the flight");
    until("the reply came back", &log, async || logged(&log).contains("nobody-is-here")).await;
    worker.signal("-TERM");
    assert!(worker.end().await.success());
    assert!(!logged(&log).contains("F777"), "{}", logged(&log));
    queue.close().await;
}
