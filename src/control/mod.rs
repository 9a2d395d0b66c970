//! The leader's loop: look, decide, act, tell.
//!
//! ```text
//! queue, provider, heartbeats ─ sampler ─► Sample ─ decide ─► Decision
//!                                                               │ still leading?
//!                      /status, metrics, telemetry ◄─ Report ◄─ act
//! ```
//!
//! | part | file |
//! |---|---|
//! | the workers, by their heartbeats | `roster.rs` |
//! | the sample | `sampler.rs` |
//! | orders to workers, writes to the provider | `act.rs` |
//! | what is told, and to whom | `message.rs`, `board.rs` |
//!
//! Every candidate runs it; the one that leads decides. Nothing is kept
//! between two leaders but what the queue, the provider and the workers tell:
//! each round starts from what there is, so that what a dead leader left half
//! done is done or undone by the next.

mod act;
mod board;
mod message;
mod roster;
mod sampler;
mod settings;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
pub use message::{Act, Order, PoolCounts, Report, TOPICS, WorkerCounts};
pub use roster::SCALE_IN;
pub use settings::Settings;
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    act::{Actor, SharedRoster},
    board::Board,
    roster::Roster,
    sampler::{Sampled, Sampler},
};
use crate::{
    leader::{Leadership, Term},
    nodes::{NodeProvider, Permit},
    queue::{Destination, Gauge, JobQueue, Message, Properties},
    scaling::{self, Decision, Outcome, Queue},
    telemetry::{
        admin::{Answer, Subject},
        events::control as events,
        message::{Heartbeat, Said, VERSION, WorkerId},
    },
};

/// How far back reports are heard at the start: the last one tells whether
/// scaling is paused.
const REPORTS_PAST: Duration = Duration::from_mins(10);
/// After what listens was lost.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// Between looks at the provider's token.
const HEALTH_EVERY: Duration = Duration::from_mins(5);
/// A round that is under way when the process is to end has so long.
const LAST_ROUND: Duration = Duration::from_secs(5);

/// Where the time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What control is made of.
#[derive(Clone)]
pub struct Parts {
    /// This process, as the election names it.
    pub name: String,
    /// The worker of this process, where there is one: its node stays.
    pub worker: Option<WorkerId>,
    /// Where heartbeats come from and orders go.
    pub queue: Arc<dyn JobQueue>,
    /// How full the queue is.
    pub gauge: Arc<dyn Gauge>,
    /// Where nodes come from.
    pub provider: Arc<dyn NodeProvider>,
    /// Whether this process leads.
    pub leadership: Arc<dyn Leadership>,
    /// The time of day.
    pub clock: Clock,
}

/// Control.
pub struct Control {
    parts: Parts,
    settings: Settings,
    scaling: scaling::Settings,
    board: Arc<Board>,
}

impl Control {
    /// Control that has not begun.
    #[must_use]
    pub fn new(parts: Parts, settings: Settings, scaling: scaling::Settings) -> Self {
        let board = Board::new(Arc::clone(&parts.leadership), settings.history, scaling.stale_after);
        Self { parts, settings, scaling, board }
    }

    /// For the admin server.
    #[must_use]
    pub fn subject(&self) -> Arc<dyn Subject> {
        Arc::clone(&self.board) as Arc<dyn Subject>
    }

    /// Paths of the admin server: `/v1/queue`, `/v1/history`.
    #[must_use]
    pub fn answers(&self) -> Vec<(&'static str, Arc<Answer>)> {
        self.board.answers()
    }

    /// Follows and leads until told to stop; then gives the leadership up.
    pub async fn run(self, stop: CancellationToken) {
        let mut beside = JoinSet::new();
        beside.spawn(hear_scaling(Arc::clone(&self.parts.queue), Arc::clone(&self.board)));
        let mut standing = self.parts.leadership.standing();
        loop {
            // In this order: a change after the look wakes.
            let seen = standing.borrow_and_update().clone();
            let term = self.parts.leadership.leads();
            events::Standing { leads: term.is_some(), leader: seen.leader.as_deref() }.emit();
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.lead(term, &stop), if term.is_some() => {}
                changed = standing.changed(), if term.is_none() => {
                    if changed.is_err() {
                        // The election has ended with its candidate.
                        stop.cancelled().await;
                        break;
                    }
                }
            }
        }
        self.parts.leadership.resign().await;
    }

    /// Decides and acts, for one term.
    async fn lead(&self, term: Option<Term>, stop: &CancellationToken) {
        let roster = Arc::new(Mutex::new(Roster::new(self.settings.silent_after, self.settings.most_workers)));
        let mut beside = JoinSet::new();
        beside.spawn(hear_workers(Arc::clone(&self.parts.queue), Arc::clone(&roster), self.settings.listen_first));
        beside.spawn(watch_health(self.parts.clone(), Arc::clone(&self.board), self.settings.warn_before_expiry));
        let mut rounds = Rounds {
            sampler: Sampler::new(
                Arc::clone(&self.parts.gauge),
                Arc::clone(&self.parts.provider),
                self.parts.worker.clone(),
                self.settings.patience,
                Instant::now() + self.settings.listen_first,
            ),
            memory: scaling::Memory::default(),
            roster,
            last: None,
        };
        let mut ticks = tokio::time::interval(self.scaling.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while self.parts.leadership.leads() == term {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = ticks.tick() => {}
            }
            self.board.round(Some(Instant::now()));
            let round = self.round(&mut rounds, term, stop);
            tokio::pin!(round);
            tokio::select! {
                () = &mut round => {}
                () = stop.cancelled() => {
                    // No write begins any more; what is under way may end.
                    let _ = timeout(LAST_ROUND, round).await;
                    return;
                }
            }
            self.board.round(None);
        }
    }

    async fn round(&self, rounds: &mut Rounds, term: Option<Term>, stop: &CancellationToken) {
        let (parts, began) = (&self.parts, Instant::now());
        let connected = parts.queue.health().publishing;
        let Sampled { mut sample, told, counts, faults } =
            rounds.sampler.sample(&rounds.roster, connected, parts.clock.as_ref()).await;
        let (paused, ordered_at) = self.board.paused();
        sample.paused = paused;
        let (decision, memory) = scaling::decide(&self.scaling, &sample, std::mem::take(&mut rounds.memory));
        rounds.memory = memory;
        let may_write = || parts.leadership.leads() == term && !stop.is_cancelled();
        let held = lock(&rounds.roster).held(Instant::now());
        let actor = Actor {
            provider: parts.provider.as_ref(),
            queue: parts.queue.as_ref(),
            roster: &rounds.roster,
            leader: &parts.name,
            me: parts.worker.as_ref(),
            permit: Permit::new(&may_write),
            now: sample.at,
            told: &told,
            unheard: sample.queues.seen.iter().map(|queue| queue.unacked).sum::<u64>() > held,
        };
        let acts = if may_write() { actor.act(&decision).await } else { Vec::new() };
        let report = Report {
            leader: parts.name.clone(),
            election: parts.leadership.name().to_owned(),
            provider: parts.provider.name().to_owned(),
            at: sample.at,
            queues: sample.queues.seen,
            pools: counts,
            workers: lock(&rounds.roster).counts(Instant::now()),
            paused: sample.paused,
            ordered_at,
            decision,
            acts,
            faults,
        };
        rounds.tell(&report, began.elapsed());
        if may_write() {
            let sent = parts.queue.publish(&Destination::Telemetry(report.topic()), &message(&report)).await;
            if let Err(error) = sent {
                tracing::debug!(%error, "report not sent");
            }
        }
        self.board.report(report, Instant::now());
    }
}

/// What goes from round to round of one term.
struct Rounds {
    sampler: Sampler,
    memory: scaling::Memory,
    roster: SharedRoster,
    /// How the last one came out.
    last: Option<Outcome>,
}

impl Rounds {
    /// Log and metrics.
    fn tell(&mut self, report: &Report, took: Duration) {
        let decision = &report.decision;
        let notable = !report.acts.is_empty() || self.last != Some(decision.outcome);
        self.last = Some(decision.outcome);
        let workers = &report.workers;
        events::Round {
            outcome: word(decision.outcome),
            reason: &decision.reason,
            notable,
            took,
            queues: report.queues.iter().map(queue_level).collect(),
            pools: report.pools.iter().map(|pool| pool_level(pool, decision)).collect(),
            workers: [
                ("starting", workers.starting),
                ("busy", workers.busy),
                ("idle", workers.idle),
                ("draining", workers.draining),
                ("drained", workers.drained),
                ("quarantined", workers.quarantined),
            ],
            acts: report.acts.iter().map(|act| (act.pool.as_str(), act.what.as_str(), act.fault.as_deref())).collect(),
            faults: &report.faults,
        }
        .emit();
    }
}

fn queue_level(queue: &Queue) -> events::QueueLevel<'_> {
    let Queue { priority, ready, unacked, oldest_age_s, .. } = queue;
    events::QueueLevel { priority, ready: *ready, unacked: *unacked, oldest_age_s: *oldest_age_s }
}

fn pool_level<'a>(pool: &'a PoolCounts, decision: &Decision) -> events::PoolLevel<'a> {
    let nodes = [
        ("booting", pool.booting),
        ("running", pool.running),
        ("lost", pool.lost),
        ("failed", pool.failed),
        ("leaving", pool.leaving),
    ];
    let goal = decision.pool(&pool.name).map_or(pool.wanted, |pool| pool.goal);
    events::PoolLevel { name: &pool.name, wanted: pool.wanted, goal, nodes }
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Grow => "grow",
        Outcome::Shrink => "shrink",
        Outcome::Steady => "steady",
        Outcome::HeldBack => "held-back",
        Outcome::Paused => "paused",
        Outcome::Blind => "blind",
    }
}

/// Pauses scaling, or lets it go on: whoever leads, now or later, hears it.
///
/// # Errors
/// The broker did not take it.
pub async fn give_order(queue: &dyn JobQueue, order: &Order) -> Result<(), crate::queue::QueueError> {
    queue.publish(&Destination::Order(order.topic()), &message(order)).await
}

/// The message of what is said.
fn message<T: Said>(said: &T) -> Message {
    Message {
        properties: Properties {
            kind: T::KIND.to_owned(),
            version: VERSION,
            content_type: Some("application/json".to_owned()),
            ..Properties::default()
        },
        body: said.encode().into(),
    }
}

/// Hears the leader's reports and orders to pause.
async fn hear_scaling(queue: Arc<dyn JobQueue>, board: Arc<Board>) {
    listen(queue.as_ref(), TOPICS, REPORTS_PAST, |topic, message| {
        if topic == Order::TOPIC {
            board.order(Order::decode(&message.body)?);
        } else {
            board.report(Report::decode(&message.body)?, Instant::now());
        }
        Ok(())
    })
    .await;
}

/// Hears the workers' heartbeats.
async fn hear_workers(queue: Arc<dyn JobQueue>, roster: SharedRoster, past: Duration) {
    listen(queue.as_ref(), Heartbeat::TOPICS, past, |_, message| {
        let heartbeat = Heartbeat::decode(&message.body)?;
        lock(&roster).hear(heartbeat, Instant::now());
        Ok(())
    })
    .await;
}

/// Listens for ever. What cannot be read is said and passed over.
async fn listen(
    queue: &dyn JobQueue,
    topics: &str,
    past: Duration,
    hear: impl Fn(&str, &Message) -> Result<(), crate::telemetry::message::MessageFault>,
) {
    loop {
        match queue.listen(topics, past).await {
            Ok(mut listener) => {
                while let Some((topic, message)) = listener.next().await {
                    if let Err(fault) = hear(&topic, &message) {
                        tracing::warn!(topic, %fault, "failed to read what was said");
                    }
                }
            }
            Err(error) => tracing::warn!(topics, %error, "failed to listen; tried again"),
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// Looks at the provider's version and token from time to time.
async fn watch_health(parts: Parts, board: Arc<Board>, warn_before: Duration) {
    loop {
        let health = parts.provider.health().await;
        let left = health.token_expires.map(|at| at.duration_since((parts.clock)()).as_secs_f64());
        let warn = left.is_some_and(|left| left < warn_before.as_secs_f64());
        events::Provider { token_left_s: left, warn, fault: health.fault.as_deref() }.emit();
        board.health(health);
        tokio::time::sleep(HEALTH_EVERY).await;
    }
}

/// Figures to look at: a panic elsewhere leaves none half changed.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
