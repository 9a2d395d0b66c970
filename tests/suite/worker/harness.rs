//! A small field, jobs in it, a worker that may die, and the ledger.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Arc,
    time::Duration,
};

use skydose::{
    compute::cpu::Cpu,
    exposure::request::Request,
    field::{
        Chunk, FieldError, FieldSource, Levels, Variable, Window,
        analytic::AnalyticField,
        catalogue::{Catalogue, Entry},
        dataset::{Dataset, DatasetFile},
    },
    grid::VerticalRule,
    job::{
        Id, Terms,
        event::{Ending as JobEnding, ResultEvent},
        place,
        wire::{Encoding, Limits},
    },
    queue::{DeadLetter, DeadLetters, Destination, Gauge, JobQueue, Message, QueueError, Subscription, memory::Memory},
    store::{Objects, Store},
    telemetry::message::WorkerId,
    trajectory::{self, Fleet, ReadOptions, Waypoint},
    units::Pressure,
    worker::{Ending, Parts, Settings, Wish, Worker, hook::Hook},
};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

/// First time of the field: 2024-06-01T00:00:00Z.
pub const START_S: f64 = 1_717_200_000.0;
/// For what should happen at once.
pub const SOON: Duration = Duration::from_mins(1);
/// The data set of all tests.
pub const DATASET: &str = "test";

/// Dust everywhere, rising with time and northwards; 10 degrees, four times.
pub fn variables() -> Vec<Variable> {
    let variable = |name: &str| Variable {
        name: name.to_owned(),
        standard_name: None,
        long_name: None,
        units: Some("kg m-3".to_owned()),
        times_s: (0..4).map(|i| START_S + 10_800.0 * f64::from(i)).collect(),
        members: Vec::new(),
        levels: Levels::Pressure(vec![20_000.0, 30_000.0, 50_000.0, 85_000.0]),
        latitudes_deg: (-9..=9).map(|i| f64::from(i) * 10.0).collect(),
        longitudes_deg: (0..36).map(|i| f64::from(i) * 10.0 - 180.0).collect(),
        chunk: Chunk { times: 1, levels: 1 },
    };
    vec![variable("dust_1"), variable("ozone")]
}

/// A source that fails at a time while `broken` says so.
struct Breaking<S> {
    inner: S,
    broken: Arc<dyn Fn(&Window) -> bool + Send + Sync>,
}

impl<S: FieldSource> FieldSource for Breaking<S> {
    fn format(&self) -> String {
        self.inner.format()
    }

    fn variables(&self) -> &[Variable] {
        self.inner.variables()
    }

    fn remarks(&self) -> &[String] {
        self.inner.remarks()
    }

    fn read(&self, variable: usize, window: &Window, out: &mut [f32]) -> Result<(), FieldError> {
        if (self.broken)(window) {
            let source = std::io::Error::other("made to fail");
            return Err(FieldError::Io { path: "test.nc".into(), source });
        }
        self.inner.read(variable, window, out)
    }
}

fn source() -> impl FieldSource {
    AnalyticField::new(variables(), |node| {
        #[expect(clippy::cast_possible_truncation, reason = "a field is single precision")]
        let value = (1e-9 * (1.0 + (node.time_s - START_S) / 40_000.0) * (2.0 + node.latitude_deg / 90.0)) as f32;
        value
    })
}

/// The data set.
pub fn dataset() -> Dataset {
    Dataset::of(vec![Box::new(source())], DatasetFile::default()).expect("a data set")
}

/// A catalogue of the data set, one that fails while `broken` says so.
pub fn breaking(broken: Arc<dyn Fn(&Window) -> bool + Send + Sync>) -> Arc<Catalogue> {
    let source = Breaking { inner: source(), broken };
    let dataset = Dataset::of(vec![Box::new(source)], DatasetFile::default()).expect("a data set");
    Arc::new(Catalogue::of_open(vec![Entry { name: DATASET.into(), version: "1".into(), dataset }]))
}

/// Flights of a job, eastwards, from a minute after the field's start.
pub fn fleet(flights: usize, first: usize) -> Fleet {
    let mut fleet = Fleet::new();
    for number in first..first + flights {
        let waypoint = |k: usize| Waypoint {
            time_s: START_S + 60.0 + 300.0 * k as f64,
            longitude_deg: number as f64 % 90.0 + 0.5 * k as f64,
            latitude_deg: 10.0 + number as f64 % 40.0,
            pressure: Pressure::from_pascal(25_000.0),
            on_ground: false,
        };
        fleet.push(format!("F{number}"), &(0..8).map(waypoint).collect::<Vec<_>>()).expect("a flight");
    }
    fleet
}

/// Observed flights of `../shared/data` in the field's time, as many as there
/// are up to `most`; made ones where there are none.
pub fn observed(most: usize) -> Fleet {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/flights/pycontrails_flt-wypts-20190101-eu.parquet");
    if !file.exists() {
        eprintln!("no {}: made flights instead of observed ones", file.display());
        return fleet(most, 0);
    }
    let loaded = trajectory::read(&[file], &ReadOptions::default()).expect("flights");
    let mut some = loaded.fleet.cut(0..most.min(loaded.fleet.len()));
    let first_s = some.iter().map(|f| f.start_s()).fold(f64::INFINITY, f64::min);
    some.shift_time(START_S + 60.0 - first_s);
    some
}

pub fn id(text: &str) -> Id {
    text.parse().expect("a name")
}

pub fn terms(submission: &str, job: &str) -> Terms {
    Terms {
        id: id(job),
        submission: id(submission),
        dataset: id(DATASET),
        request: Request::default(),
        vertical: VerticalRule::default(),
        deadline: None,
    }
}

/// The message of a job.
pub fn message(terms: &Terms, flights: usize, first: usize) -> Message {
    sealed(terms, &fleet(flights, first))
}

/// The message of a job of these flights, published now.
pub fn sealed(terms: &Terms, fleet: &Fleet) -> Message {
    let encoded = Encoding::default().encode(terms, fleet, &Limits::default()).expect("a message");
    let mut message = encoded.message;
    message.properties.submitted_at = Some(now());
    message
}

#[expect(clippy::disallowed_methods, reason = "a test is an edge")]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// A queue, a store, a catalogue, and how workers are there.
pub struct Stage {
    pub queue: Arc<dyn JobQueue>,
    pub dead: Arc<dyn DeadLetters>,
    pub gauge: Arc<dyn Gauge>,
    pub store: Arc<dyn Store>,
    pub catalogue: Arc<Catalogue>,
    pub settings: Settings,
    pub submission: String,
    /// A burial whose confirm is lost is done again, and its letter lies there
    /// twice: where the broker itself is harmed.
    pub letters_may_repeat: bool,
    results: Box<dyn Subscription>,
    submitted: BTreeSet<String>,
    heard: Told,
}

/// A worker at work.
pub struct Running {
    pub wish: watch::Sender<Wish>,
    pub subject: Arc<dyn skydose::telemetry::admin::Subject>,
    pub task: JoinHandle<Ending>,
}

/// What the events say, one entry a job: how it ended first, and how often it
/// was told.
#[derive(Clone, Default)]
pub struct Told {
    pub endings: BTreeMap<String, (JobEnding, usize)>,
}

impl Stage {
    pub async fn new(submission: &str) -> Self {
        Self::on(submission, Arc::new(Objects::in_memory()), breaking(Arc::new(|_| false))).await
    }

    pub async fn on(submission: &str, store: Arc<dyn Store>, catalogue: Arc<Catalogue>) -> Self {
        let queue = Memory::new();
        let (dead, gauge) = (Arc::new(queue.clone()), Arc::new(queue.clone()));
        Self::over(submission, Arc::new(queue), dead, gauge, store, catalogue).await
    }

    pub async fn over(
        submission: &str,
        queue: Arc<dyn JobQueue>,
        dead: Arc<dyn DeadLetters>,
        gauge: Arc<dyn Gauge>,
        store: Arc<dyn Store>,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        let results = queue.results(submission).await.expect("results");
        let tries = skydose::job::settle::Settings {
            first_delay: Duration::from_millis(1),
            longest_delay: Duration::from_millis(1),
            ..Default::default()
        };
        let settings = Settings {
            slots: 8,
            heartbeat: Duration::from_millis(100),
            trial_delay: Duration::from_millis(900),
            tries,
            memory: 256 << 20,
            ..Settings::default()
        };
        let submission = submission.to_owned();
        let (submitted, heard) = Default::default();
        let letters_may_repeat = false;
        Self {
            queue,
            dead,
            gauge,
            store,
            catalogue,
            settings,
            submission,
            letters_may_repeat,
            results,
            submitted,
            heard,
        }
    }

    /// Publishes a job of `flights` flights.
    pub async fn submit(&mut self, job: &str, flights: usize) {
        let message = message(&terms(&self.submission, job), flights, self.submitted.len() * 7);
        self.publish(message).await;
    }

    pub async fn publish(&mut self, message: Message) {
        crate::broker::publish_until_safe(&*self.queue, &Destination::Jobs, &message).await;
        self.submitted.insert(message.properties.message_id);
    }

    pub fn start(&self, name: &str) -> Running {
        self.start_with(name, None)
    }

    pub fn start_with(&self, name: &str, hook: Option<Hook>) -> Running {
        let parts = Parts {
            queue: self.queue.clone(),
            store: self.store.clone(),
            catalogue: self.catalogue.clone(),
            backend: Arc::new(Cpu::new()),
            id: WorkerId::new("test", name),
            memory: self.settings.memory,
            clock: Arc::new(now),
            hook,
        };
        let worker = Worker::new(parts, self.settings.clone(), "test-node".into(), Instant::now());
        Running { wish: worker.wish(), subject: worker.subject(), task: tokio::spawn(worker.run()) }
    }

    /// Hears events until every job submitted has been told of.
    pub async fn told(&mut self) -> Told {
        self.told_within(SOON).await
    }

    /// The same, where an event may take longer than it should.
    pub async fn told_within(&mut self, most: Duration) -> Told {
        while self.heard.endings.len() < self.submitted.len() {
            let delivery = timeout(most, self.results.next()).await.unwrap_or_else(|_| {
                let missing: Vec<_> = self.submitted.iter().filter(|j| !self.heard.endings.contains_key(*j)).collect();
                panic!("not told of {missing:?}")
            });
            self.heard.hear(delivery.expect("an event")).await;
        }
        self.heard.clone()
    }

    /// Hears what else is told within a moment.
    pub async fn rest(&mut self, told: &mut Told, moment: Duration) {
        while let Ok(Some(delivery)) = timeout(moment, self.results.next()).await {
            told.hear(delivery).await;
        }
    }

    /// submitted = answered ∪ buried ∪ cancelled, each job ended once for who
    /// keeps the first event, one manifest an answered job, no job left.
    pub async fn check_ledger(&self, told: &Told) {
        let answered: BTreeSet<&String> = told.jobs(|e| matches!(e, JobEnding::Answered(_)));
        let others: BTreeSet<&String> = told.jobs(|e| !matches!(e, JobEnding::Answered(_)));
        assert!(answered.is_disjoint(&others));
        let ended: BTreeSet<String> = answered.iter().chain(&others).map(|j| (*j).clone()).collect();
        assert_eq!(ended, self.submitted);
        let folder = place::results_folder(&id(&self.submission));
        let manifests = self.store.list(&folder).await.expect("a listing");
        let expected: Vec<String> =
            answered.iter().map(|job| place::manifest(&id(&self.submission), &id(job))).collect();
        assert_eq!(manifests, expected, "one manifest an answered job");
        let buried: Vec<String> = told.jobs(|e| matches!(e, JobEnding::Buried { .. })).into_iter().cloned().collect();
        let letters = self.letters().await;
        let mut letters: Vec<String> = letters.into_iter().map(|l| l.message.properties.message_id).collect();
        letters.sort();
        if self.letters_may_repeat {
            letters.dedup();
        }
        assert_eq!(letters, buried, "each buried job lies there once");
    }

    /// The dead letters; a broker that was harmed may need a while to tell.
    async fn letters(&self) -> Vec<DeadLetter> {
        let started = Instant::now();
        loop {
            match self.dead.list(1_000).await {
                Ok(letters) => return letters,
                Err(error) => assert!(started.elapsed() < SOON, "dead letters: {error}"),
            }
            sleep(Duration::from_millis(100)).await;
        }
    }
}

impl Told {
    async fn hear(&mut self, delivery: skydose::queue::Delivery) {
        let event = ResultEvent::read(&delivery.message).expect("a result");
        let (ending, times) = self.endings.entry(event.job.to_string()).or_insert((event.ending.clone(), 0));
        *times += 1;
        if let (JobEnding::Answered(first), JobEnding::Answered(again)) = (&*ending, &event.ending) {
            assert_eq!(first, again, "an answer changed");
        }
        match delivery.ack().await {
            // What was lost with its connection is told again.
            Ok(()) | Err(QueueError::Connection { .. }) => {}
            Err(error) => panic!("not acknowledged: {error}"),
        }
    }

    pub fn jobs(&self, which: impl Fn(&JobEnding) -> bool) -> BTreeSet<&String> {
        self.endings.iter().filter(|(_, (ending, _))| which(ending)).map(|(job, _)| job).collect()
    }

    pub fn buried(&self, job: &str) -> String {
        match &self.endings[job].0 {
            JobEnding::Buried { kind, reason } => format!("{}: {reason}", kind.name()),
            other => panic!("{job} ended otherwise: {other:?}"),
        }
    }
}

impl Running {
    /// As kill -9 does: everything is dropped.
    pub async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Ends in order.
    pub async fn end(self) -> Ending {
        self.wish.send_replace(Wish::End("the test is over".into()));
        timeout(SOON, self.task).await.expect("an end in time").expect("no panic")
    }
}

/// The seed of a test: `SKYDOSE_TEST_SEED`, else a new one, printed.
pub fn seed() -> fastrand::Rng {
    let given = std::env::var("SKYDOSE_TEST_SEED").ok().and_then(|s| s.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("SKYDOSE_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// A port that nobody uses at the moment.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}
