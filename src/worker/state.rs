//! What a worker is doing, seen by its heartbeats, its admin server and its
//! own parts.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use tokio::{sync::Notify, time::Instant};

use crate::telemetry::{
    events::worker as events,
    message::{Heartbeat, State, WorkerId},
    pulse::Pulse,
};

/// How far back the pace is measured.
const MEMORY: Duration = Duration::from_mins(5);

/// Who the worker is.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub worker: WorkerId,
    pub node: String,
    pub pool: String,
    pub backend: String,
    pub slots: u32,
    pub started_at: Timestamp,
    pub every: Duration,
}

/// What a worker is doing.
pub(super) struct Board {
    pub identity: Identity,
    /// The executor's: it must move while it has a batch.
    pub pulse: Pulse,
    /// The batcher's, while it has a batch made ready.
    pub preparing: Pulse,
    /// Changed whenever a heartbeat should go out before its time.
    pub changed: Notify,
    /// No job is held any more.
    empty: Notify,
    state: Mutex<Doing>,
    tested: AtomicBool,
    in_flight: AtomicUsize,
    field_bytes: AtomicUsize,
    done: AtomicU64,
}

struct Doing {
    state: State,
    reason: Option<String>,
    pace: Pace,
    datasets: BTreeSet<String>,
}

/// Flights and busy time of the last minutes.
struct Pace {
    spans: Vec<(Instant, u64, Duration)>,
    busy_since_heartbeat: Duration,
    last_heartbeat: Instant,
}

/// The state as `/status` tells it.
#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    heartbeat: &'a Heartbeat,
    self_test: bool,
    broker: crate::queue::Health,
}

impl Board {
    pub(super) fn new(identity: Identity, watchdog: Duration, now: Instant) -> Self {
        let pace = Pace { spans: Vec::new(), busy_since_heartbeat: Duration::ZERO, last_heartbeat: now };
        let doing = Doing { state: State::Starting, reason: None, pace, datasets: BTreeSet::new() };
        Self {
            identity,
            pulse: Pulse::new("the executor", watchdog, now),
            preparing: Pulse::new("the batcher", watchdog, now),
            changed: Notify::new(),
            empty: Notify::new(),
            state: Mutex::new(doing),
            tested: AtomicBool::new(false),
            in_flight: AtomicUsize::new(0),
            field_bytes: AtomicUsize::new(0),
            done: AtomicU64::new(0),
        }
    }

    fn doing(&self) -> MutexGuard<'_, Doing> {
        // Figures to look at: a panic elsewhere leaves none half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend has passed its test.
    pub(super) fn passed_self_test(&self) {
        self.tested.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_tested(&self) -> bool {
        self.tested.load(Ordering::Relaxed)
    }

    pub(super) fn state(&self) -> State {
        self.doing().state
    }

    /// Goes over to `to`; told at once.
    pub(super) fn go(&self, to: State, reason: Option<&str>) {
        let mut doing = self.doing();
        let from = doing.state;
        if from == to {
            return;
        }
        doing.state = to;
        if reason.is_some() || to.takes_jobs() {
            doing.reason = reason.map(str::to_owned);
        }
        drop(doing);
        events::StateChanged { from, to, reason }.emit();
        // Between working and idling it goes to and fro with every lull.
        if !(from.takes_jobs() && to.takes_jobs()) {
            self.changed.notify_waiters();
        }
    }

    /// A job was taken.
    pub(super) fn took(&self) {
        if self.in_flight.fetch_add(1, Ordering::AcqRel) == 0 && self.state() == State::Idle {
            self.go(State::Consuming, None);
        }
    }

    /// A job was let go of.
    pub(super) fn let_go(&self) {
        if self.in_flight.fetch_sub(1, Ordering::AcqRel) == 1 {
            if self.state() == State::Consuming {
                self.go(State::Idle, None);
            }
            self.empty.notify_waiters();
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Waits until all jobs are let go of.
    pub(super) async fn emptied(&self) {
        loop {
            let empty = self.empty.notified();
            if self.in_flight() == 0 {
                return;
            }
            empty.await;
        }
    }

    /// A job was answered.
    pub(super) fn answered(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch was computed.
    pub(super) fn computed(&self, flights: u64, busy: Duration, now: Instant) {
        let pace = &mut self.doing().pace;
        pace.busy_since_heartbeat += busy;
        pace.spans.push((now, flights, busy));
        pace.spans.retain(|(at, ..)| now.saturating_duration_since(*at) <= MEMORY);
    }

    /// What is in memory of fields.
    pub(super) fn holds(&self, datasets: BTreeSet<String>, bytes: usize) {
        self.doing().datasets = datasets;
        self.field_bytes.store(bytes, Ordering::Relaxed);
    }

    pub(super) fn levels(&self, health: crate::queue::Health) {
        events::Levels {
            in_flight: self.in_flight(),
            field_bytes: self.field_bytes.load(Ordering::Relaxed),
            consuming: health.consuming,
            publishing: health.publishing && !health.blocked,
        }
        .emit();
    }

    /// What goes out now. `counts` says that it does go out: the next one
    /// tells of the time from here.
    pub(super) fn heartbeat(&self, at: Timestamp, now: Instant, counts: bool) -> Heartbeat {
        let Identity { worker, node, pool, backend, slots, started_at, every } = self.identity.clone();
        let mut doing = self.doing();
        let elapsed = now.saturating_duration_since(doing.pace.last_heartbeat).as_secs_f64();
        let busy = doing.pace.busy_since_heartbeat.as_secs_f64();
        let flights_per_s = doing.pace.flights_per_s();
        if counts {
            doing.pace.busy_since_heartbeat = Duration::ZERO;
            doing.pace.last_heartbeat = now;
        }
        Heartbeat {
            worker,
            node,
            pool,
            release: env!("CARGO_PKG_VERSION").to_owned(),
            state: doing.state,
            reason: doing.reason.clone(),
            backend,
            slots,
            in_flight: u32::try_from(self.in_flight()).unwrap_or(u32::MAX),
            datasets: doing.datasets.iter().cloned().collect(),
            field_bytes: self.field_bytes.load(Ordering::Relaxed) as u64,
            flights_per_s,
            busy: if elapsed > 0.0 { (busy / elapsed).clamp(0.0, 1.0) } else { 0.0 },
            jobs_done: self.done.load(Ordering::Relaxed),
            started_at,
            at,
            every_s: every.as_secs_f64(),
        }
    }

    /// For `/status`.
    pub(super) fn status(&self, at: Timestamp, now: Instant, broker: crate::queue::Health) -> serde_json::Value {
        let heartbeat = self.heartbeat(at, now, false);
        let status = Status { heartbeat: &heartbeat, self_test: self.is_tested(), broker };
        // Numbers and texts: it is JSON.
        serde_json::to_value(status).unwrap_or_default()
    }
}

impl Pace {
    fn flights_per_s(&self) -> Option<f64> {
        let (flights, busy) =
            self.spans.iter().fold((0, Duration::ZERO), |(flights, busy), span| (flights + span.1, busy + span.2));
        (flights > 0 && !busy.is_zero()).then(|| flights as f64 / busy.as_secs_f64())
    }
}
