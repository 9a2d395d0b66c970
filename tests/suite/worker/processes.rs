//! Whole workers as processes on a real RabbitMQ, killed, told to end, and
//! poisoned; and what they log.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use skydose::{
    field::{
        dataset::Preparation,
        zarr::{prepared::Compression, writer::PreparedWriter},
    },
    job::event::Ending,
    queue::{JobQueue as _, amqp::Amqp, management::RabbitGauge},
    store::{Objects, Settings as StoreSettings},
};
use tokio::time::{Instant, sleep};

use super::harness::{DATASET, SOON, Stage, breaking, dataset, free_port, seed};
use crate::broker::{Broker, Place};

/// A folder with a field, a catalogue and a configuration.
pub struct Home {
    folder: tempfile::TempDir,
    pub admin: String,
}

/// A worker's process; killed when it is dropped.
pub struct Process(Child);

impl Home {
    pub fn new(uri: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name);
        let data = dataset();
        let preparation = Preparation::of(&data, &[]).expect("a preparation");
        let layout = preparation.layout(Compression::None, "test".into());
        let writer = PreparedWriter::create(&path("field.zarr"), layout, true).expect("a writer");
        preparation.write(&writer, 1 << 26, &|_| true).expect("a field");
        writer.finish().expect("a field");
        fs::write(path("catalogue.toml"), format!("[datasets.{DATASET}]\nversion = \"1\"\nfiles = [\"field.zarr\"]\n"))
            .expect("a catalogue");
        let admin = format!("127.0.0.1:{}", free_port());
        let text = format!(
            "[broker]\nuri = \"{uri}\"\nheartbeat = \"2s\"\n\
             [store]\nuri = \"file:{0}/store\"\ndurable = false\n\
             [catalogue]\nfile = \"{0}/catalogue.toml\"\ncache = \"{0}/cache\"\n\
             [admin]\nlisten = \"{admin}\"\n\
             [worker]\nslots = 4\nmemory = 268435456\nthreads = 1\ngrace = \"10s\"\nheartbeat = \"1s\"\n\
             trial_delay = \"1s\"\n",
            folder.path().display()
        );
        fs::write(path("skydose.toml"), text).expect("a configuration");
        Self { folder, admin }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn start(&self, environment: &[(&str, &str)], log: &Path) -> Process {
        let log = File::options().create(true).append(true).open(log).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_skydose"))
            .args(["worker", "--config"])
            .arg(self.path("skydose.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a process");
        Process(child)
    }

    /// `skydose health` beside the worker: its exit code and its line.
    fn health(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skydose"));
        command.arg("health").args(arguments).env("SKYDOSE_CONFIG", self.path("skydose.toml"));
        // One on the way would not know this machine's addresses.
        let output = command.env("http_proxy", "http://127.0.0.1:9").output().expect("skydose health");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub async fn stage(&self, submission: &str, queue: Arc<Amqp>) -> Stage {
        let uri = format!("file:{}/store", self.folder.path().display());
        let store = Objects::open(&StoreSettings { uri, ..StoreSettings::default() }).expect("a store");
        let gauge = Arc::new(RabbitGauge::new(queue.clone(), None));
        Stage::over(submission, queue.clone(), queue, gauge, Arc::new(store), breaking(Arc::new(|_| false))).await
    }
}

impl Process {
    pub fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    pub fn has_ended(&mut self) -> bool {
        self.0.try_wait().expect("a process").is_some()
    }

    /// Whether it stands still, by SIGSTOP.
    pub fn is_frozen(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap_or_default();
        // The state follows the name, which ends with the last bracket.
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
    }

    pub async fn end(self) -> ExitStatus {
        self.end_within(SOON).await
    }

    pub async fn end_within(mut self, most: Duration) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait().expect("a process") {
                return status;
            }
            assert!(started.elapsed() < most, "it does not end");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub async fn place(name: &str) -> (Place, Arc<Amqp>) {
    crate::broker::logs();
    let place = Broker::shared().place(name).await;
    let queue = place.queue();
    (place, queue)
}

pub async fn ask(address: &str, path: &str) -> Option<(u16, String)> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let reply = reqwest::get(format!("http://{address}{path}")).await.ok()?;
    Some((reply.status().as_u16(), reply.text().await.ok()?))
}

pub async fn ready(home: &Home) {
    let started = Instant::now();
    while ask(&home.admin, "/readyz").await.is_none_or(|(status, _)| status != 200) {
        assert!(started.elapsed() < SOON, "it is never ready");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_terminations_at_random_moments_lose_and_bury_nothing() {
    let mut random = seed();
    let (place, queue) = place("worker-kills").await;
    let home = Home::new(&place.uri);
    let mut stage = home.stage("kills", queue.clone()).await;
    for n in 0..80 {
        stage.submit(&format!("j{n:02}"), 1 + n % 4).await;
    }
    let log = home.path("log");
    for _ in 0..8 {
        let process = home.start(&[], &log);
        sleep(Duration::from_millis(random.u64(100..700))).await;
        if random.bool() {
            process.signal("-KILL");
        } else {
            process.signal("-TERM");
            // A signal before handlers are there ends it as any process.
            let status = process.end().await;
            assert!(status.success() || status.code().is_none(), "{status}: {}", tail(&log));
        }
    }
    let last = home.start(&[], &log);
    // Whatever those before it have left, this one answers a job.
    stage.submit("the-last", 1).await;
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(1)).await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 81);
    stage.check_ledger(&told).await;
    ready(&home).await;
    assert_eq!(home.health(&[]), (Some(0), "alive\n".to_owned()));
    assert_eq!(home.health(&["--ready"]), (Some(0), "ready\n".to_owned()));
    let (_, metrics) = ask(&home.admin, "/metrics").await.expect("metrics");
    for name in ["skydose_jobs_settled_total{how=\"answered\"}", "skydose_job_end_to_end_seconds_bucket"] {
        assert!(metrics.contains(name), "{name}: {metrics}");
    }
    last.signal("-TERM");
    assert!(last.end().await.success(), "{}", tail(&log));
    let (code, line) = home.health(&[]);
    let gone = format!("not alive: http://{}/livez: ", home.admin);
    assert!(code == Some(1) && line.starts_with(&gone) && line.lines().count() == 1, "{code:?} {line}");
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborts_between_store_event_and_ack_leave_one_result() {
    let (place, queue) = place("worker-aborts").await;
    let home = Home::new(&place.uri);
    let mut stage = home.stage("aborts", queue.clone()).await;
    for n in 0..6 {
        stage.submit(&format!("j{n}"), 1).await;
    }
    let log = home.path("log");
    for point in ["received@2", "computed", "stored", "published", "acked"] {
        let process = home.start(&[("SKYDOSE_FAILPOINT", point)], &log);
        let status = process.end().await;
        assert_eq!(status.code(), None, "{point} was not reached: {status}: {}", tail(&log));
    }
    let last = home.start(&[], &log);
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(1)).await;
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 6);
    assert!(told.endings.values().any(|(_, times)| *times > 1), "an event was told again");
    stage.check_ledger(&told).await;
    drop(last);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn poison_that_aborts_the_process_is_buried_once() {
    let (place, queue) = place("worker-poison").await;
    let home = Home::new(&place.uri);
    let mut stage = home.stage("poison", queue.clone()).await;
    for n in 0..3 {
        stage.submit(&format!("good{n}"), 1).await;
    }
    stage.submit("poison", 1).await;
    let log = home.path("log");
    let environment = [("SKYDOSE_FAILPOINT", "computing:poison")];
    let (home, supervised) = (Arc::new(home), Arc::new(tokio::sync::Notify::new()));
    let (kept, over) = (home.clone(), supervised.clone());
    let supervisor = tokio::spawn(async move {
        let mut deaths = 0;
        loop {
            let mut process = kept.start(&environment, &log);
            while !process.has_ended() {
                tokio::select! {
                    () = over.notified() => return deaths,
                    () = sleep(Duration::from_millis(20)) => {}
                }
            }
            deaths += 1;
            assert!(deaths < 20, "it goes on dying: {}", tail(&log));
        }
    });
    let mut told = stage.told().await;
    stage.rest(&mut told, Duration::from_secs(3)).await;
    supervised.notify_one();
    let deaths = supervisor.await.expect("a supervisor");
    assert_eq!(told.buried("poison"), "crashed: 3 workers died while they computed it");
    assert_eq!(told.jobs(|e| matches!(e, Ending::Answered(_))).len(), 3);
    stage.check_ledger(&told).await;
    assert!(deaths <= 8, "{deaths} deaths");
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_logged_at_any_level() {
    const CANARY: &str = "canary7f3a9";
    let (place, queue) = place("worker-canary").await;
    let broker = Broker::shared();
    broker.control(&["add_user", "canary", CANARY]);
    broker.control(&["set_permissions", "-p", &place.vhost, "canary", ".*", ".*", ".*"]);
    let (_, rest) = place.uri.split_once('@').expect("a user");
    for (uri, log_format) in [
        (format!("amqp://canary:{CANARY}@{rest}"), "text"),
        (format!("amqp://canary:{CANARY}@{rest}"), "json"),
        // A login that fails, and a broker that is not there.
        (format!("amqp://nobody:{CANARY}@{rest}"), "text"),
        (format!("amqp://canary:{CANARY}@127.0.0.1:{}", free_port()), "text"),
    ] {
        let home = Home::new(&uri);
        let log = home.path("log");
        let environment =
            [("SKYDOSE_LOG__FILTER", "trace"), ("SKYDOSE_LOG__FORMAT", log_format), ("SKYDOSE_STORE__KEY", CANARY)];
        let process = home.start(&environment, &log);
        if uri.contains("canary:") && uri.contains(rest) {
            ready(&home).await;
        } else {
            sleep(Duration::from_secs(2)).await;
        }
        let (_, status) = ask(&home.admin, "/status").await.expect("a status");
        process.signal("-TERM");
        process.end().await;
        let logged = fs::read_to_string(&log).expect("a log");
        assert!(logged.contains("worker started"), "{logged}");
        assert!(!logged.contains(CANARY) && !status.contains(CANARY), "{uri}:\n{logged}");
        if log_format == "json" {
            assert!(logged.lines().all(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()), "{logged}");
        }
    }
    queue.close().await;
}

/// The end of a log, for the message of a test that fails.
pub fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
