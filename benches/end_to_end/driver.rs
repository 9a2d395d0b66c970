//! One submitter, one worker, one broker: what `benches/end_to_end/run` asks.
//!
//! `topology --broker URI --management URI` declares the queues.
//! `measure --config FILE --skydose BIN --flights FILE --form arrow|json
//! --jobs N` starts a worker, warms it, lays N jobs into the queue while it
//! takes none, then lets it; afterwards it sends jobs at half of the pace that
//! was reached. Its last line is a JSON object of figures.
//! `idle --config FILE --skydose BIN` measures a worker with nothing to do.

use std::{
    collections::{BTreeMap, HashMap},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use skydose::{
    config::{self, Config, ProcessEnv},
    exposure::request::Request,
    grid::VerticalRule,
    job::{
        Id, Terms,
        event::{Ending, ResultEvent},
        wire::{Encoding, Limits},
    },
    queue::{
        Destination, JobQueue, Message, Properties,
        amqp::{Amqp, Names, topology::Topology},
        management::Management,
    },
    telemetry::message::{Command as Told, Order, Said as _, VERSION, WorkerId},
    trajectory::{self, Fleet, ReadOptions, Waypoint},
    units::Pressure,
};

/// Flights of an Arrow job.
const CHUNK: usize = 200;
/// Jobs on their way to the broker at a time.
const SENDING: usize = 64;
/// Jobs before anything is measured.
const WARMING: usize = 200;
/// For how long jobs are sent at half of the worker's pace \[s\].
const PACED_S: f64 = 10.0;

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Options(BTreeMap<String, String>);

impl Options {
    fn get(&self, name: &str) -> Result<&str, Failure> {
        self.0.get(name).map(String::as_str).ok_or_else(|| format!("{name} is missing").into())
    }
}

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let what = words.next();
    let mut options = BTreeMap::new();
    while let (Some(name), Some(value)) = (words.next(), words.next()) {
        options.insert(name, value);
    }
    let options = Options(options);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match what.as_deref() {
        Some("topology") => runtime.block_on(topology(&options)),
        Some("measure") => runtime.block_on(measure(&options)),
        Some("idle") => runtime.block_on(idle(&options)),
        // `cargo bench` runs every bench without arguments.
        None => {
            println!("nothing to measure alone: see benches/end_to_end/run");
            Ok(())
        }
        Some(other) => Err(format!("{other:?} is neither topology nor measure nor idle").into()),
    }
}

fn configuration(options: &Options) -> Result<Config, Failure> {
    Ok(config::load(Some(Path::new(options.get("--config")?)), &ProcessEnv, &[])?)
}

async fn topology(options: &Options) -> Result<(), Failure> {
    let config = configuration(options)?;
    let topology = Topology::new(&Names::new(&config.broker.prefix));
    let passwords = topology.users.iter().map(|user| (user.role.to_owned(), user.name.clone().into()));
    Management::new(config.management.clone())?.apply(&topology, &passwords.collect()).await?;
    Ok(())
}

/// A worker's process; ended when it is dropped.
struct Worker {
    process: Child,
    admin: String,
}

impl Worker {
    async fn start(options: &Options, config: &Config) -> Result<Self, Failure> {
        let process = Command::new(options.get("--skydose")?)
            .args(["worker", "--config", options.get("--config")?])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()?;
        let worker = Self { process, admin: config.admin.listen.to_string() };
        let started = now();
        while worker.ask("/readyz").await.is_err() {
            if started.elapsed() > Duration::from_mins(1) {
                return Err("the worker is never ready".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(worker)
    }

    /// Gives an order, and waits until it is obeyed.
    async fn tell(&self, queue: &Amqp, order: Order) -> Result<(), Failure> {
        let status: Value = serde_json::from_str(&self.ask("/status").await?)?;
        let worker = WorkerId::try_from(status["worker"]["worker"].as_str().unwrap_or_default().to_owned())?;
        let takes_jobs = order == Order::Resume;
        let told = Told { worker, order, from: "bench".into(), at: clock() };
        let properties = Properties { kind: Told::KIND.into(), version: VERSION, ..Properties::default() };
        let message = Message { properties, body: told.encode().into() };
        queue.publish(&Destination::Telemetry(told.topic()), &message).await?;
        while self.ask("/readyz").await.is_ok() != takes_jobs {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    async fn ask(&self, path: &str) -> Result<String, Failure> {
        let reply = reqwest::get(format!("http://{}{path}", self.admin)).await?.error_for_status()?;
        Ok(reply.text().await?)
    }

    /// The sum of a metric over its labels.
    async fn metric(&self, name: &str) -> Result<f64, Failure> {
        let text = self.ask("/metrics").await?;
        let values = text.lines().filter(|line| line.strip_prefix(name).is_some_and(|r| r.starts_with([' ', '{'])));
        Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    async fn metrics(&self) -> Result<Vec<f64>, Failure> {
        let mut values = Vec::with_capacity(METRICS.len());
        for (_, name) in METRICS {
            values.push(self.metric(name).await?);
        }
        Ok(values)
    }
}

/// What is read before and after: seconds, each counted where it is spent.
const METRICS: [(&str, &str); 4] = [
    ("load_s", "skydose_field_load_seconds_sum"),
    ("busy_s", "skydose_backend_busy_seconds_sum"),
    ("publish_s", "skydose_job_publish_seconds_sum"),
    ("cpu_s", "process_cpu_seconds_total"),
];

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "the clock of the bench")]
fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the clock of the bench")]
fn clock() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn terms(submission: &Id, number: usize) -> Result<Terms, Failure> {
    Ok(Terms {
        id: Id::job(submission, number)?,
        submission: submission.clone(),
        dataset: "bench".parse()?,
        request: Request::default(),
        vertical: VerticalRule::default(),
        deadline: None,
    })
}

/// The flights in parts of `size`.
fn parts(fleet: &Fleet, size: usize, jobs: usize) -> Result<Vec<Fleet>, Failure> {
    let mut parts = Vec::with_capacity(jobs);
    let mut flights = (0..fleet.len()).cycle();
    for job in 0..jobs {
        let mut part = Fleet::new();
        for number in 0..size {
            let flight = flights.next().and_then(|i| fleet.get(i)).ok_or("no flights")?;
            let waypoints: Vec<Waypoint> = (0..flight.len())
                .map(|k| Waypoint {
                    time_s: flight.time_s[k],
                    longitude_deg: flight.longitude_deg[k],
                    latitude_deg: flight.latitude_deg[k],
                    pressure: Pressure::from_pascal(flight.pressure_pa[k]),
                    on_ground: flight.on_ground[k],
                })
                .collect();
            part.push(format!("{job}-{number}"), &waypoints)?;
        }
        parts.push(part);
    }
    Ok(parts)
}

/// A submission whose messages are ready to be sent.
struct Submission {
    queue: Arc<Amqp>,
    results: Box<dyn skydose::queue::Subscription>,
    messages: Vec<Message>,
}

impl Submission {
    async fn new(queue: Arc<Amqp>, parts: &[Fleet], encoding: &Encoding) -> Result<Self, Failure> {
        let submission = Id::new_submission();
        let results = queue.results(submission.as_str()).await?;
        let messages: Result<Vec<Message>, Failure> = parts
            .iter()
            .enumerate()
            .map(|(n, part)| Ok(encoding.encode(&terms(&submission, n)?, part, &Limits::default())?.message))
            .collect();
        Ok(Self { queue, results, messages: messages? })
    }

    fn bytes(&self) -> usize {
        self.messages.iter().map(|m| m.body.len()).sum()
    }

    /// Sends jobs, at most so many a second, and waits for their results:
    /// seconds from sending to result of each, ascending.
    async fn paced(self, jobs: usize, most_per_s: f64) -> Result<Vec<f64>, Failure> {
        let Self { queue, mut results, mut messages } = self;
        messages.truncate(jobs);
        let started = now();
        let sending = tokio::spawn(async move {
            let mut sent = tokio::task::JoinSet::new();
            for (n, message) in messages.into_iter().enumerate() {
                let due = Duration::from_secs_f64(n as f64 / most_per_s);
                tokio::time::sleep(due.saturating_sub(started.elapsed())).await;
                let (queue, at) = (queue.clone(), now());
                sent.spawn(async move {
                    queue.publish(&Destination::Jobs, &message).await?;
                    Ok::<_, Failure>((message.properties.message_id, at))
                });
            }
            let mut times = HashMap::new();
            while let Some(one) = sent.join_next().await {
                let (id, at) = one??;
                times.insert(id, at);
            }
            Ok::<_, Failure>(times)
        });
        let arrived = hear(results.as_mut(), jobs).await?;
        let sent = sending.await??;
        let wait = |(id, at): (&String, &Instant)| Some(at.duration_since(*sent.get(id)?).as_secs_f64());
        let mut waits: Vec<f64> = arrived.iter().filter_map(wait).collect();
        waits.sort_by(f64::total_cmp);
        Ok(waits)
    }

    /// Lays all jobs into the queue of a worker that takes none.
    async fn lay(&mut self) -> Result<(), Failure> {
        let room = Arc::new(tokio::sync::Semaphore::new(SENDING));
        let mut sent = tokio::task::JoinSet::new();
        for message in std::mem::take(&mut self.messages) {
            let permit = room.clone().acquire_owned().await?;
            let queue = self.queue.clone();
            sent.spawn(async move {
                let done = queue.publish(&Destination::Jobs, &message).await;
                drop(permit);
                done
            });
        }
        while let Some(one) = sent.join_next().await {
            one??;
        }
        Ok(())
    }
}

/// Hears results until there is one of each job; when each arrived.
async fn hear(
    results: &mut dyn skydose::queue::Subscription,
    jobs: usize,
) -> Result<HashMap<String, Instant>, Failure> {
    let mut arrived = HashMap::new();
    while arrived.len() < jobs {
        let delivery = results.next().await.ok_or("the results ended")?;
        let event = ResultEvent::read(&delivery.message)?;
        if !matches!(event.ending, Ending::Answered(_)) {
            return Err(format!("{}: {:?}", event.job, event.ending).into());
        }
        arrived.entry(event.job.to_string()).or_insert_with(now);
        tokio::spawn(delivery.ack());
    }
    Ok(arrived)
}

async fn measure(options: &Options) -> Result<(), Failure> {
    let config = configuration(options)?;
    let jobs: usize = options.get("--jobs")?.parse()?;
    let (size, encoding) = match options.get("--form")? {
        "arrow" => (CHUNK, Encoding { json_flights: 0, ..Encoding::default() }),
        "json" => (1, Encoding { json_flights: 1, ..Encoding::default() }),
        other => return Err(format!("--form is {other:?}, expected arrow or json").into()),
    };
    let fleet = trajectory::read(&[PathBuf::from(options.get("--flights")?)], &ReadOptions::default())?.fleet;
    let queue = Arc::new(Amqp::new(config.broker.clone())?);
    let first = Submission::new(queue.clone(), &parts(&fleet, size, 1)?, &encoding).await?;
    let parts = parts(&fleet, size, jobs)?;
    let waypoints: usize = parts.iter().map(Fleet::waypoints).sum();

    let started = now();
    let worker = Worker::start(options, &config).await?;
    first.paced(1, 1.0).await?;
    let to_first_result_s = started.elapsed().as_secs_f64();
    // All of the field in memory, and what is compiled once.
    let some = jobs.min(WARMING);
    Submission::new(queue.clone(), &parts[..some], &encoding).await?.paced(some, f64::INFINITY).await?;

    // The queue is never empty while this is measured: all jobs lie in it.
    let mut all = Submission::new(queue.clone(), &parts, &encoding).await?;
    let bytes = all.bytes();
    worker.tell(&queue, Order::Drain { reason: "the queue is filled".into() }).await?;
    all.lay().await?;
    let before = worker.metrics().await?;
    let resumed = now();
    worker.tell(&queue, Order::Resume).await?;
    let arrived = hear(all.results.as_mut(), jobs).await?;
    let after = worker.metrics().await?;
    let last = arrived.values().max().ok_or("no results")?;
    let took_s = last.duration_since(resumed).as_secs_f64();

    let jobs_per_s = jobs as f64 / took_s;
    // For some seconds, at half of what the worker can do.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands")]
    let some = ((jobs_per_s / 2.0 * PACED_S) as usize).clamp(20.min(jobs), jobs);
    let half = Submission::new(queue.clone(), &parts[..some], &encoding).await?;
    let waits = half.paced(some, jobs_per_s / 2.0).await?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the slice")]
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize];
    let flights = size * jobs;
    let mut figures = json!({
        "form": options.get("--form")?,
        "jobs": jobs,
        "flights": flights,
        "waypoints": waypoints,
        "seconds": took_s,
        "flights_per_s": flights as f64 / took_s,
        "bytes_per_s": bytes as f64 / took_s,
        "latency_s": { "p50": at(0.5), "p95": at(0.95), "p99": at(0.99) },
        "to_first_result_s": to_first_result_s,
    });
    for (index, (name, _)) in METRICS.iter().enumerate() {
        figures[*name] = Value::from(after[index] - before[index]);
    }
    queue.close().await;
    drop(worker);
    println!("{figures}");
    Ok(())
}

async fn idle(options: &Options) -> Result<(), Failure> {
    const LONG: Duration = Duration::from_secs(20);
    let config = configuration(options)?;
    let worker = Worker::start(options, &config).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let cpu = worker.metric("process_cpu_seconds_total").await?;
    tokio::time::sleep(LONG).await;
    let cpu = worker.metric("process_cpu_seconds_total").await? - cpu;
    let bytes = worker.metric("process_resident_memory_bytes").await?;
    println!("{}", json!({ "resident_mb": bytes / 1e6, "core": cpu / LONG.as_secs_f64() }));
    Ok(())
}
