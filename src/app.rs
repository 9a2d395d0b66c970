//! The composition root: makes what the configuration names, puts it
//! together, runs it, and ends it in order.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, anyhow, bail};
use jiff::Timestamp;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinHandle,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    compute::{Backend, cuda},
    config::{self, Config, ProcessEnv},
    control::{self, Control},
    field::catalogue::Catalogue,
    job::{self, answer::Manifest, event::ResultEvent},
    nodes::{self, azure_events::AzureEvents},
    queue::{
        Destination, Election, Gauge, JobQueue, Message, QueueFigures,
        amqp::Amqp,
        management::{Management, RabbitGauge},
        memory::Memory,
    },
    store::{Objects, Store},
    telemetry::{self, admin::Admin, message::WorkerId, metrics::Exposition},
    worker::{self, Clock, Ending, Parts, Wanted, Wish, Worker, hook::Hook, self_test},
};

/// What a configuration is read from, besides the environment.
#[derive(Debug, Default)]
pub struct Sources<'a> {
    /// A file.
    pub file: Option<&'a Path>,
    /// Values by `--set`.
    pub flags: &'a [String],
}

/// Reads the configuration.
///
/// # Errors
/// All its faults.
pub fn configure(sources: &Sources<'_>) -> anyhow::Result<Config> {
    Ok(config::load(sources.file, &ProcessEnv, sources.flags)?)
}

/// Runs a worker until it is told to end by SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting.
pub async fn worker(config: Config, hook: Option<Hook>) -> anyhow::Result<Ending> {
    trust();
    let node = node(&config.worker.node);
    let id = WorkerId::new(&node, &mark());
    let log = telemetry::log::start(&config.log, &config.traces, id.as_str())?;
    threads(config.worker.threads)?;
    let broker = broker(&config)?;
    let queue: Arc<dyn JobQueue> = broker.queue.clone();
    let control = control_over(&config, broker, &id, Some(&id))?;
    let store: Arc<dyn Store> = Arc::new(Objects::open(&config.store).context("store")?);
    let backend = backend(&config.worker)?;
    let memory = match config.worker.memory {
        0 => default_memory(),
        bytes => bytes,
    };
    let catalogue = Catalogue::read(&config.catalogue).context("catalogue")?;
    let catalogue = Arc::new(catalogue.within(config.worker.field_bytes(memory) / 2));
    let parts = Parts { queue: queue.clone(), store, catalogue, backend, id, memory, clock: clock(), hook };
    let worker = Worker::new(parts, config.worker.clone(), node, Instant::now());
    let stop = CancellationToken::new();
    let admin = Admin::bind(&config.admin, Exposition::start()).await?;
    tracing::info!(listen = %admin.address()?, "admin server listens");
    let admin = match &control {
        Some(control) => answering(admin, control),
        None => admin,
    };
    let admin = tokio::spawn(admin.about("worker", worker.subject()).serve(stop.clone()));
    let (enough, leave) = (CancellationToken::new(), CancellationToken::new());
    let controlling = control.map(|control| tokio::spawn(control.run(leave.clone())));
    let told = tell_on_signal(worker.wish(), enough.clone(), leave.clone())?;
    let noticing = notice_events(&config, worker.wish())?;
    let ending = tokio::select! {
        ending = worker.run() => ending,
        () = enough.cancelled() => Ending::OutOfTime,
    };
    told.abort();
    noticing.inspect(JoinHandle::abort);
    leave.cancel();
    if let Some(controlling) = controlling {
        let _ = controlling.await;
    }
    // In order: no more deliveries are owed, so the connections may go.
    queue.close().await;
    stop.cancel();
    let _ = admin.await;
    match &ending {
        Ending::Broken(why) => tracing::error!(why, "worker broken"),
        other => tracing::info!(ending = ?other, "worker ended"),
    }
    drop(log);
    Ok(ending)
}

/// Scales from outside of the workers, until told to end by SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting.
pub async fn control(config: Config) -> anyhow::Result<()> {
    let name = WorkerId::new(&format!("control-{}", node(&config.worker.node)), &mark());
    let log = telemetry::log::start(&config.log, &config.traces, name.as_str())?;
    let broker = broker(&config)?;
    let queue = broker.queue.clone();
    let control = control_over(&config, broker, &name, None)?.context(
        "nodes is missing from the configuration, expected where nodes come from, such as [nodes.provider.rancher-v1]",
    )?;
    let stop = CancellationToken::new();
    let admin = Admin::bind(&config.admin, Exposition::start()).await?;
    tracing::info!(listen = %admin.address()?, name = name.as_str(), "control started");
    let admin = tokio::spawn(answering(admin, &control).serve(stop.clone()));
    let mut signals = Signals::catch()?;
    let leave = CancellationToken::new();
    let controlling = tokio::spawn(control.run(leave.clone()));
    let name = signals.next().await;
    tracing::info!(signal = name, "told to end");
    leave.cancel();
    let _ = controlling.await;
    queue.close().await;
    stop.cancel();
    let _ = admin.await;
    drop(log);
    Ok(())
}

/// Control over the nodes that a configuration names, if it names any.
fn control_over(
    config: &Config,
    broker: Broker,
    name: &WorkerId,
    worker: Option<&WorkerId>,
) -> anyhow::Result<Option<Control>> {
    let Some(nodes) = &config.nodes else { return Ok(None) };
    let provider = nodes::open(nodes).context("nodes")?;
    let election: Arc<dyn Election> = broker.queue.clone();
    let variable = |name: &str| std::env::var(name).ok();
    let leadership = config.leader.stand(name.as_str(), &election, &variable).context("leader")?;
    let gauge: Arc<dyn Gauge> = Arc::new(broker.gauge);
    let parts = control::Parts {
        name: name.to_string(),
        worker: worker.cloned(),
        queue: broker.queue,
        gauge,
        provider,
        leadership,
        clock: clock(),
    };
    Ok(Some(Control::new(parts, config.control.clone(), config.scaling.clone())))
}

/// The admin server asked about control too.
fn answering(admin: Admin, control: &Control) -> Admin {
    let admin = admin.about("control", control.subject());
    control.answers().into_iter().fold(admin, |admin, (path, answer)| admin.answering(path, answer))
}

/// Drains the worker when Azure says that its machine will go.
fn notice_events(config: &Config, wish: watch::Sender<Wish>) -> anyhow::Result<Option<JoinHandle<()>>> {
    let Some(settings) = &config.azure_events else { return Ok(None) };
    let mut events = AzureEvents::new(settings.clone()).context("azure_events")?;
    Ok(Some(tokio::spawn(async move {
        loop {
            let notice = events.next().await;
            tracing::warn!(event = notice.id, kind = notice.kind, "Azure takes this machine away");
            // One that was told to end goes on ending.
            wish.send_if_modified(|wish| {
                let drain = !matches!(wish, Wish::End(_));
                if drain {
                    *wish = Wish::Drain(format!("Azure announced {} of this machine", notice.kind));
                }
                drain
            });
        }
    })))
}

/// A broker, and how full its queues are.
pub struct Broker {
    /// The queue.
    pub queue: Arc<Amqp>,
    /// Its figures.
    pub gauge: RabbitGauge,
}

/// The broker that a configuration names.
///
/// # Errors
/// Settings that cannot be used.
pub fn broker(config: &Config) -> anyhow::Result<Broker> {
    trust();
    let queue = Arc::new(Amqp::new(config.broker.clone()).context("broker")?);
    let management = if config.management.given() {
        Some(Management::new(config.management.clone()).context("management")?)
    } else {
        None
    };
    Ok(Broker { gauge: RabbitGauge::new(queue.clone(), management), queue })
}

/// Tries what a configuration names: what was found, or what is wrong, each
/// with its name.
pub async fn check(config: &Config) -> Vec<(String, Result<String, String>)> {
    trust();
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut findings = Vec::new();
    let broker = Amqp::probe(&config.broker).await;
    findings.push(("broker".to_owned(), broker.map(|()| "connected".to_owned()).map_err(|e| text(&e))));
    let store = match Objects::open(&config.store) {
        Ok(store) => store.size("check").await.map(|_| store.name().to_owned()),
        Err(error) => Err(error),
    };
    findings.push(("store".to_owned(), store.map_err(|e| text(&e))));
    match Catalogue::read(&config.catalogue) {
        Ok(catalogue) => {
            let names = catalogue.names();
            findings.push(("catalogue".to_owned(), Ok(format!("{} data sets", names.len()))));
            for name in names {
                let opened = catalogue.open(&name).await;
                let found = opened.map(|entry| format!("version {}", entry.version)).map_err(|e| text(&e));
                findings.push((format!("data set {name}"), found));
            }
        }
        Err(error) => findings.push(("catalogue".to_owned(), Err(text(&error)))),
    }
    let settings = config.worker.clone();
    let test = move || {
        let backend = backend(&settings).map_err(|e| e.to_string())?;
        self_test(backend.as_ref()).map(|()| backend.name())
    };
    let tested = tokio::task::spawn_blocking(test).await;
    findings.push(("backend".to_owned(), tested.unwrap_or_else(|panic| Err(text(&panic)))));
    if config.management.given() {
        findings.push(("management".to_owned(), check_figures(config).await));
    }
    if let Some(nodes) = &config.nodes {
        findings.push(("nodes".to_owned(), check_nodes(nodes).await));
        let elected = config.leader.probe(&|name| std::env::var(name).ok()).await;
        findings.push(("leader".to_owned(), elected));
    }
    findings
}

/// Asks for the figures that scaling samples.
async fn check_figures(config: &Config) -> Result<String, String> {
    let broker = broker(config).map_err(|error| format!("{error:#}"))?;
    let figures = broker.gauge.told().await.map_err(|error| error.to_string());
    broker.queue.close().await;
    let ready = |figures: QueueFigures| figures.priorities.values().filter_map(|of| of.ready).sum::<u64>();
    figures.map(|figures| format!("{} jobs wait", ready(figures)))
}

/// Asks the provider for its pools and what it says of the access to it.
async fn check_nodes(settings: &nodes::Settings) -> Result<String, String> {
    let provider = nodes::open(settings).map_err(|error| error.to_string())?;
    let pools = provider.pools().await.map_err(|error| error.to_string())?;
    if let Some(refused) = pools.iter().find_map(|pool| Some((&pool.name, pool.refused.as_ref()?))) {
        return Err(format!("pool {}: {}", refused.0, refused.1));
    }
    let health = provider.health().await;
    if let Some(fault) = health.fault {
        return Err(fault);
    }
    let pools: Vec<String> = pools.iter().map(|pool| format!("{} of {}", pool.name, pool.wanted)).collect();
    let version = health.version.map(|version| format!(" {version}")).unwrap_or_default();
    let token = health.token_expires.map(|at| format!(", token until {at}")).unwrap_or_default();
    Ok(format!("{}{version}, {}{token}", provider.name(), pools.join(", ")))
}

/// What jobs came to.
pub struct Answered {
    /// How many.
    pub jobs: usize,
    /// In the order of the jobs, with all rows.
    pub manifests: Vec<Manifest>,
    /// Who computed.
    pub backend: String,
}

/// Computes the jobs of one submission by a worker in this process, on this
/// backend and a queue in memory.
///
/// # Errors
/// A job that has no answer, or a worker that ends.
pub async fn compute_here(
    catalogue: Catalogue,
    store: Objects,
    (backend, memory): (Arc<dyn Backend>, u64),
    messages: Vec<Message>,
) -> anyhow::Result<Answered> {
    let queue: Arc<dyn JobQueue> = Arc::new(Memory::new());
    let submission = messages.first().and_then(|m| m.properties.submission.clone()).unwrap_or_default();
    let mut results = queue.results(&submission).await?;
    for message in &messages {
        queue.publish(&Destination::Jobs, message).await?;
    }
    let name = backend.name();
    let parts = Parts {
        queue,
        store: Arc::new(store),
        catalogue: Arc::new(catalogue),
        backend,
        id: WorkerId::new("here", &mark()),
        memory,
        clock: clock(),
        hook: None,
    };
    let settings = worker::Settings { inline_rows: usize::MAX, ..worker::Settings::default() };
    let worker = Worker::new(parts, settings, node(""), Instant::now());
    let collected = async {
        let mut manifests = BTreeMap::new();
        while manifests.len() < messages.len() {
            let delivery = results.next().await.context("the results ended")?;
            let event = ResultEvent::read(&delivery.message)?;
            match event.ending {
                job::event::Ending::Answered(manifest) => manifests.insert(event.job, *manifest),
                other => bail!("{}: {other:?}", event.job),
            };
            delivery.ack().await?;
        }
        Ok(manifests.into_values().collect())
    };
    let manifests = tokio::select! {
        collected = collected => collected?,
        ending = worker.run() => bail!("the worker ended: {ending:?}"),
    };
    Ok(Answered { jobs: messages.len(), manifests, backend: name })
}

/// The backend that a worker is to have.
///
/// # Errors
/// A GPU is wanted and cannot be used: what is missing.
pub fn backend(settings: &worker::Settings) -> anyhow::Result<Arc<dyn Backend>> {
    let wish = match settings.backend {
        Wanted::Auto => cuda::Wish::Auto,
        Wanted::Cpu => cuda::Wish::Cpu,
        Wanted::Cuda => cuda::Wish::Cuda,
    };
    let choice = cuda::choose(wish, settings.gpu.settings())
        .map_err(|why| anyhow!("worker.backend is cuda: {why}; expected a GPU that computes, or \"cpu\""))?;
    if let Some(why) = choice.why_cpu {
        tracing::info!(why, "computing on the processors");
    }
    Ok(Arc::from(choice.backend))
}

/// The clock of the machine.
#[must_use]
pub fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the edge: everything below is given the time")]
    Arc::new(Timestamp::now)
}

/// Lets TLS use ring. The first call counts.
pub fn trust() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Starts the threads that compute; 0 for as many as the machine has.
fn threads(number: usize) -> anyhow::Result<()> {
    if number > 0 {
        rayon::ThreadPoolBuilder::new().num_threads(number).build_global().context("starting the threads")?;
    }
    Ok(())
}

/// Tells the worker to end on the first signal, within its grace, and to let
/// go of everything on the second.
fn tell_on_signal(
    wish: watch::Sender<Wish>,
    enough: CancellationToken,
    leave: CancellationToken,
) -> anyhow::Result<JoinHandle<()>> {
    let mut signals = Signals::catch()?;
    Ok(tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "told to end");
        // Another leads at once; this one only finishes its jobs.
        leave.cancel();
        // Also where the worker does not listen yet.
        wish.send_replace(Wish::End(format!("{name} received")));
        let name = signals.next().await;
        tracing::warn!(signal = name, "told to end at once");
        enough.cancel();
    }))
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn catch() -> anyhow::Result<Self> {
        let catch = |kind| signal(kind).context("catching signals");
        Ok(Self { terminate: catch(SignalKind::terminate())?, interrupt: catch(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The machine's name: as configured, else as the host has it.
fn node(configured: &str) -> String {
    if !configured.is_empty() {
        return configured.to_owned();
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    if host.is_empty() { "unnamed".to_owned() } else { host.to_owned() }
}

/// What tells the workers of one machine apart, also those that come after
/// each other.
fn mark() -> String {
    let text = uuid::Uuid::now_v7().simple().to_string();
    text[text.len() - 8..].to_owned()
}

/// Bytes of memory that are used where nothing is said: half of the machine's.
#[must_use]
pub fn default_memory() -> u64 {
    memory_of_the_machine() / 2
}

/// Bytes of memory that the machine has, or that the control group allows;
/// 8 GB where neither says.
fn memory_of_the_machine() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    });
    let limit = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    match (total, limit) {
        (Some(total), Some(limit)) => total.min(limit),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => 8_000_000_000,
    }
}
