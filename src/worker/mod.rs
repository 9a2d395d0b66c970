//! One worker: jobs from a queue, computed, answered once.
//!
//! | stage | file |
//! |---|---|
//! | deliveries are read and checked | `intake.rs` |
//! | what has arrived becomes batches | `batcher.rs` |
//! | batches are computed | `executor.rs`, `engine.rs` |
//! | figures become answers | `publisher.rs` |
//! | answers are stored, told of, acknowledged | `settler.rs` |
//!
//! Between the stages are bounded channels; what is taken from the queue at a
//! time is bounded by its prefetch, flights and fields by bytes. A stage that
//! stands still holds up those before it, and in the end the queue.
//!
//! # What holds
//!
//! 1. A delivery is acknowledged only when all that follows from it is
//!    confirmed: the result stands, its event is out.
//! 2. A job that is dropped anywhere, by a panic or the end of the process,
//!    goes back to the queue (`task::Taken`).
//! 3. A job that is delivered again after it was answered is told of again,
//!    not computed again.
//! 4. Deaths of workers count against a job only while it is computed alone
//!    (`Settler::put_on_trial`): healthy jobs beside it survive.

mod batcher;
mod engine;
mod executor;
mod heartbeat;
pub mod hook;
mod intake;
mod programs;
mod publisher;
mod self_test;
mod settings;
mod settler;
mod slabs;
mod state;
mod task;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

pub use self_test::run as self_test;
pub use settings::{Fault, Gpu, Settings, Wanted};

use self::{
    batcher::Batcher,
    engine::Engine,
    executor::Executor,
    hook::Hook,
    intake::{Cancelled, Intake, PERMIT_BYTES},
    programs::Programs,
    publisher::Publisher,
    settler::{Pause, Settler},
    state::{Board, Identity},
};
use crate::{
    compute::{Backend, Health},
    field::catalogue::Catalogue,
    queue::{JobQueue, Subscription},
    store::Store,
    telemetry::{
        admin::Subject,
        events::worker as events,
        message::{State, WorkerId},
    },
};

/// Batches between two stages.
const BETWEEN: usize = 1;

/// How often the backend's health is looked at.
const HEALTH: Duration = Duration::from_secs(1);

/// For the last heartbeat.
const FAREWELL: Duration = Duration::from_secs(1);

/// As many as a semaphore can have and a request can ask for.
const MOST_PERMITS: u32 = u32::MAX >> 4;

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a worker is made of.
pub struct Parts {
    /// Where jobs come from and events go.
    pub queue: Arc<dyn JobQueue>,
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// The data sets that jobs may name.
    pub catalogue: Arc<Catalogue>,
    /// Who computes.
    pub backend: Arc<dyn Backend>,
    /// Its name.
    pub id: WorkerId,
    /// Bytes for fields and flights.
    pub memory: u64,
    /// The time of day.
    pub clock: Clock,
    /// Steps at which tests stop it.
    pub hook: Option<Hook>,
}

/// A worker.
pub struct Worker {
    parts: Parts,
    settings: Settings,
    board: Arc<Board>,
    wish: watch::Sender<Wish>,
}

/// What is wanted of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Take jobs.
    Work,
    /// Take no more, and finish those taken.
    Drain(String),
    /// The same, and end within the grace.
    End(String),
}

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// It was told to, and had finished its jobs.
    Finished,
    /// It was told to, and gave jobs back.
    OutOfTime,
    /// Its device is not to be trusted.
    Quarantined(String),
    /// A part of it ended that should not have.
    Broken(String),
}

impl Worker {
    /// A worker that has not begun.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings, node: String, now: Instant) -> Self {
        let identity = Identity {
            worker: parts.id.clone(),
            node,
            pool: settings.pool.clone(),
            backend: parts.backend.name(),
            slots: u32::from(settings.slots),
            started_at: (parts.clock)(),
            every: settings.heartbeat,
        };
        let board = Arc::new(Board::new(identity, settings.watchdog, now));
        Self { parts, settings, board, wish: watch::Sender::new(Wish::Work) }
    }

    /// What tells it what is wanted.
    #[must_use]
    pub fn wish(&self) -> watch::Sender<Wish> {
        self.wish.clone()
    }

    /// For the admin server.
    #[must_use]
    pub fn subject(&self) -> Arc<dyn Subject> {
        let (board, queue, clock) = (self.board.clone(), self.parts.queue.clone(), self.parts.clock.clone());
        Arc::new(Asked { board, queue, clock })
    }

    /// Works until told to end. Dropped, it lets go of all its jobs.
    pub async fn run(self) -> Ending {
        let identity = &self.board.identity;
        events::Started {
            worker: identity.worker.as_str(),
            node: &identity.node,
            backend: &identity.backend,
            prefetch: self.settings.slots,
            memory_bytes: self.parts.memory,
        }
        .emit();
        let mut beside = JoinSet::new();
        let (queue, board, clock) = (self.parts.queue.clone(), self.board.clone(), self.parts.clock.clone());
        beside.spawn(heartbeat::send(queue.clone(), board.clone(), clock));
        beside.spawn(heartbeat::obey(queue, board, self.wish.clone()));
        let backend = self.parts.backend.clone();
        let tested = tokio::task::spawn_blocking(move || self_test(backend.as_ref())).await;
        let ending = if let Err(why) = tested.unwrap_or_else(|panic| Err(panic.to_string())) {
            Ending::Quarantined(why)
        } else {
            self.board.passed_self_test();
            self.work().await
        };
        if let Ending::Quarantined(why) = &ending {
            self.board.go(State::Quarantined, Some(why));
        }
        // The last that is heard of it.
        let last = heartbeat::one(self.parts.queue.as_ref(), &self.board, &self.parts.clock);
        let _ = timeout(FAREWELL, last).await;
        ending
    }

    /// Runs the stages.
    async fn work(&self) -> Ending {
        let Parts { backend, catalogue, memory, .. } = &self.parts;
        let field_bytes = self.settings.field_bytes(*memory);
        let engine = Arc::new(Engine::new(backend.clone(), catalogue.clone(), field_bytes));
        let settler = Arc::new(self.settler());
        let (ready, jobs) = mpsc::channel(usize::from(self.settings.slots));
        let (batches, work) = mpsc::channel(BETWEEN);
        let (outcomes, figures) = mpsc::channel(BETWEEN);
        let mut stages = JoinSet::new();
        let batcher = Batcher {
            limits: self.settings.batch.clone(),
            settler: settler.clone(),
            engine: engine.clone(),
            trial: Arc::new(Semaphore::new(1)),
        };
        stages.spawn(batcher.run(jobs, batches));
        let mode = self.parts.backend.description().precision;
        let publisher = Publisher { settler: settler.clone(), inline_rows: self.settings.inline_rows, mode };
        stages.spawn(publisher.run(figures));
        let executor = Executor { engine, board: self.board.clone(), outcomes };
        let thread = std::thread::Builder::new().name("executor".into()).spawn(move || executor.run(work));
        if let Err(error) = thread {
            return Ending::Broken(format!("starting the executor's thread: {error}"));
        }
        let intake = Arc::new(self.intake(settler, ready));
        tokio::select! {
            ending = self.turns(intake) => ending,
            ended = stages.join_next() => {
                let what = ended.and_then(Result::err).map_or_else(|| "ended".to_owned(), |panic| panic.to_string());
                Ending::Broken(format!("a stage of the worker: {what}"))
            }
        }
    }

    fn settler(&self) -> Settler {
        Settler {
            queue: self.parts.queue.clone(),
            store: self.parts.store.clone(),
            board: self.board.clone(),
            tries: self.settings.tries.clone(),
            trial_delay: self.settings.trial_delay,
            clock: self.parts.clock.clone(),
            hook: self.parts.hook.clone(),
        }
    }

    fn intake(&self, settler: Arc<Settler>, ready: mpsc::Sender<task::Item>) -> Intake {
        let for_flights = self.parts.memory.saturating_sub(self.settings.field_bytes(self.parts.memory));
        let permits = for_flights / PERMIT_BYTES as u64;
        let memory_permits = u32::try_from(permits).unwrap_or(u32::MAX).clamp(1, MOST_PERMITS);
        Intake {
            settings: self.settings.clone(),
            settler,
            store: self.parts.store.clone(),
            board: self.board.clone(),
            by: self.parts.backend.description(),
            programs: Programs::new(self.parts.catalogue.clone()),
            cancelled: Cancelled::default(),
            memory: Arc::new(Semaphore::new(memory_permits as usize)),
            memory_permits,
            ready,
        }
    }

    /// Works and drains in turns, as is wished.
    async fn turns(&self, intake: Arc<Intake>) -> Ending {
        let mut wish = self.wish.subscribe();
        // Jobs that are read, and subscriptions over which some are settled.
        let mut beside = JoinSet::new();
        loop {
            let wished = wish.borrow_and_update().clone();
            match wished {
                Wish::Work => {
                    let Some(why) = self.take_jobs(&intake, &mut wish, &mut beside).await else { continue };
                    self.board.go(State::Quarantined, Some(&why));
                    let _ = timeout(self.settings.grace, self.board.emptied()).await;
                    return Ending::Quarantined(why);
                }
                Wish::Drain(reason) => {
                    self.board.go(State::Draining, Some(&reason));
                    tokio::select! {
                        () = self.board.emptied() => self.board.go(State::Drained, Some(&reason)),
                        _ = wish.changed() => continue,
                    }
                    // The other end is in this worker: it is always there.
                    let _ = wish.changed().await;
                }
                Wish::End(reason) => {
                    self.board.go(State::Draining, Some(&reason));
                    if timeout(self.settings.grace, self.board.emptied()).await.is_err() {
                        return Ending::OutOfTime;
                    }
                    self.board.go(State::Drained, Some(&reason));
                    return Ending::Finished;
                }
            }
        }
    }

    /// Takes jobs until something else is wished; says why, where the device
    /// is not to be trusted any more.
    async fn take_jobs(
        &self,
        intake: &Arc<Intake>,
        wish: &mut watch::Receiver<Wish>,
        beside: &mut JoinSet<()>,
    ) -> Option<String> {
        let mut pause = Pause::default();
        loop {
            let subscribed = tokio::select! {
                subscribed = self.parts.queue.subscribe(self.settings.slots) => subscribed,
                _ = wish.changed() => return None,
            };
            match subscribed {
                Ok(mut subscription) => {
                    pause = Pause::default();
                    self.board.go(State::Idle, None);
                    let over = self.deliveries(intake, subscription.as_mut(), wish, beside).await;
                    if over != Over::Lost {
                        subscription.stop().await;
                    }
                    // What came meanwhile is for others.
                    while over != Over::Lost && subscription.next().await.is_some() {}
                    // Jobs that were taken are settled over it still.
                    let board = self.board.clone();
                    beside.spawn(async move {
                        board.emptied().await;
                        drop(subscription);
                    });
                    match over {
                        Over::Wished => return None,
                        Over::Quarantined(why) => return Some(why),
                        Over::Lost => {}
                    }
                }
                Err(error) => events::QueueFailed { call: "subscribe", about: None, why: &error.to_string() }.emit(),
            }
            tokio::select! {
                () = sleep(pause.next()) => {}
                _ = wish.changed() => return None,
            }
        }
    }

    /// Takes deliveries as they come.
    async fn deliveries(
        &self,
        intake: &Arc<Intake>,
        subscription: &mut dyn Subscription,
        wish: &mut watch::Receiver<Wish>,
        beside: &mut JoinSet<()>,
    ) -> Over {
        let mut look = tokio::time::interval(HEALTH);
        loop {
            tokio::select! {
                biased;
                _ = wish.changed() => return Over::Wished,
                _ = look.tick() => {
                    if let Health::Quarantined(why) = self.parts.backend.health() {
                        return Over::Quarantined(why);
                    }
                }
                delivery = subscription.next() => {
                    let Some(delivery) = delivery else { return Over::Lost };
                    let intake = intake.clone();
                    beside.spawn(async move { intake.take(delivery).await });
                }
                // A panic in one dropped its job, which went back.
                Some(_) = beside.join_next() => {}
            }
        }
    }
}

/// Why no more deliveries are taken.
#[derive(Debug, PartialEq, Eq)]
enum Over {
    Wished,
    /// The subscription ended of itself.
    Lost,
    Quarantined(String),
}

/// What the admin server asks.
struct Asked {
    board: Arc<Board>,
    queue: Arc<dyn JobQueue>,
    clock: Clock,
}

impl Subject for Asked {
    fn live(&self) -> Result<(), String> {
        let now = Instant::now();
        self.board.preparing.check(now).and(self.board.pulse.check(now))
    }

    fn ready(&self) -> Result<(), String> {
        let state = self.board.state();
        if !self.board.is_tested() {
            return Err(format!("{}: the backend has not passed its self-test", state.name()));
        }
        if !state.takes_jobs() {
            return Err(format!("{}: takes no jobs", state.name()));
        }
        if !self.queue.health().consuming {
            return Err("not connected to the broker".to_owned());
        }
        Ok(())
    }

    fn status(&self) -> serde_json::Value {
        self.board.status((self.clock)(), Instant::now(), self.queue.health())
    }
}
