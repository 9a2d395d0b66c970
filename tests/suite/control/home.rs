//! A folder with a field, a catalogue and configurations; processes in it.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use skydose::field::{
    dataset::Preparation,
    zarr::{prepared::Compression, writer::PreparedWriter},
};
use tokio::time::{Instant, sleep};

use crate::{
    broker::Place,
    leader::lease_api::LeaseApi,
    nodes::rancher::{CLUSTER, Rancher},
    worker::harness::{DATASET, dataset},
};

/// The folder.
pub struct Home {
    folder: tempfile::TempDir,
}

/// A process; killed when it is dropped.
pub struct Process(Child);

impl Home {
    /// With a field, a catalogue and `skydose.toml`, for workers that elect
    /// over `api` and scale `rancher`.
    pub fn new(place: &Place, api: &LeaseApi, rancher: &Rancher, scaling: &str) -> Self {
        let home = Self { folder: tempfile::tempdir().expect("a folder") };
        let data = dataset();
        let preparation = Preparation::of(&data, &[]).expect("a preparation");
        let layout = preparation.layout(Compression::None, "test".into());
        let writer = PreparedWriter::create(&home.path("field.zarr"), layout, true).expect("a writer");
        preparation.write(&writer, 1 << 26, &|_| true).expect("a field");
        writer.finish().expect("a field");
        home.write("catalogue.toml", &format!("[datasets.{DATASET}]\nversion = \"1\"\nfiles = [\"field.zarr\"]\n"));
        home.write("lease-token", "lease");
        home.write("skydose.toml", &configuration(&home, place, api, rancher, scaling));
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// The store's URI.
    pub fn store(&self) -> String {
        format!("file:{}", self.path("store").display())
    }

    /// Starts `skydose`; its log goes to the file `log`.
    pub fn start(&self, arguments: &[&str], environment: &[(&str, &str)], log: &str) -> Process {
        let log = File::options().create(true).append(true).open(self.path(log)).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_skydose"))
            .args(arguments)
            .arg("--config")
            .arg(self.path("skydose.toml"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("a process");
        Process(child)
    }

    /// Runs `skydose` to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_skydose"));
        command.args(arguments).env("SKYDOSE_CONFIG", self.path("skydose.toml")).output().expect("skydose")
    }

    /// Waits until something holds; the ends of `logs` are told where it does
    /// not.
    pub async fn until(&self, what: &str, logs: &[&str], holds: impl Fn() -> bool) {
        let started = Instant::now();
        while !holds() {
            let tails: Vec<String> = logs.iter().map(|log| self.tail(log)).collect();
            assert!(started.elapsed() < Duration::from_mins(1), "{what}\n{}", tails.join("\n---\n"));
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The end of a log, for the message of a test that fails.
    pub fn tail(&self, log: &str) -> String {
        tail(&self.path(log))
    }
}

impl Process {
    pub fn signal(&self, signal: &str) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    /// kill -9, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

fn configuration(home: &Home, place: &Place, api: &LeaseApi, rancher: &Rancher, scaling: &str) -> String {
    format!(
        r#"
[broker]
uri = "{uri}"
heartbeat = "2s"
[management]
uri = "{management}"
vhost = "{vhost}"
[store]
uri = "{store}"
durable = false
[catalogue]
file = "{catalogue}"
cache = "{cache}"
[admin]
listen = "127.0.0.1:0"
[worker]
slots = 4
memory = 268435456
threads = 1
pool = "gpu"
heartbeat = "300ms"
trial_delay = "1s"
[leader]
election = "kubernetes"
lease = {{ lease = "3s", renew_deadline = "2s", retry = "400ms" }}
kubernetes = {{ api = "{api}", namespace = "jobs", token_file = "{lease_token}" }}
[nodes.provider.rancher-v1]
url = "{rancher}"
token_file = "{rancher_token}"
cluster = "{CLUSTER}"
pools = {{ gpu = "gpu" }}
timeout = "2s"
verify_within = "4s"
[control]
silent_after = "3s"
listen_first = "1500ms"
patience = "6s"
{scaling}
"#,
        uri = place.uri,
        management = place.management_uri,
        vhost = place.vhost,
        store = home.store(),
        catalogue = home.path("catalogue.toml").display(),
        cache = home.path("cache").display(),
        api = api.url,
        lease_token = home.path("lease-token").display(),
        rancher = rancher.url,
        rancher_token = home.path("rancher-token").display(),
    )
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}
