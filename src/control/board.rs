//! What this process knows of the scaling, for those that ask: `/status`,
//! `/v1/queue`, `/v1/history`. Filled by the leader's own rounds, and by its
//! reports where another leads.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Order, Report, lock};
use crate::{
    leader::{Leadership, Standing},
    nodes,
    telemetry::admin::{Answer, Params, Subject},
};

/// Rounds that `/v1/history` gives, where it is not asked for a number.
const ROUNDS: usize = 60;

/// What is known, and the election.
pub(super) struct Board {
    leadership: Arc<dyn Leadership>,
    history: usize,
    /// Reports older than this are no figures any more.
    stale_after: Duration,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    reports: VecDeque<Arc<Report>>,
    /// When the last one was made or heard here.
    heard: Option<Instant>,
    paused: Option<String>,
    /// When the order that holds was given.
    ordered_at: Option<Timestamp>,
    health: nodes::Health,
    /// Since when a round is under way.
    round: Option<Instant>,
}

/// `/status`.
#[derive(Serialize)]
struct Status<'a> {
    leads: bool,
    standing: &'a Standing,
    paused: Option<&'a str>,
    provider: &'a nodes::Health,
    last: Option<&'a Report>,
}

impl Board {
    pub fn new(leadership: Arc<dyn Leadership>, history: usize, stale_after: Duration) -> Arc<Self> {
        Arc::new(Self { leadership, history, stale_after, known: Mutex::default() })
    }

    /// A round of the leader, here or elsewhere. It tells of the order that
    /// holds, to those who did not hear the order itself.
    pub fn report(&self, report: Report, now: Instant) {
        let mut known = self.known();
        if known.reports.back().is_some_and(|last| last.at >= report.at) {
            return;
        }
        if let Some(at) = report.ordered_at {
            known.tell_pause(report.paused.clone(), at);
        }
        known.heard = Some(now);
        known.reports.push_back(Arc::new(report));
        while known.reports.len() > self.history.max(1) {
            known.reports.pop_front();
        }
    }

    pub fn order(&self, order: Order) {
        self.known().tell_pause(order.pause, order.at);
    }

    /// Who paused scaling, if it is paused, and when the order was given.
    pub fn paused(&self) -> (Option<String>, Option<Timestamp>) {
        let known = self.known();
        (known.paused.clone(), known.ordered_at)
    }

    pub fn health(&self, health: nodes::Health) {
        self.known().health = health;
    }

    /// A round begins, or has ended.
    pub fn round(&self, began: Option<Instant>) {
        self.known().round = began;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// The figures of the queue, flat, as KEDA's metrics-api scaler reads
    /// them: `valueLocation: backlog`.
    pub fn queue(&self, now: Instant) -> Result<Value, String> {
        let known = self.known();
        let (Some(report), Some(heard)) = (known.reports.back(), known.heard) else {
            return Err("no figures yet: nobody leads, or the leader has not decided yet".to_owned());
        };
        let age = now.saturating_duration_since(heard);
        if age > self.stale_after {
            return Err(format!("no figures for {} s: nobody leads", age.as_secs()));
        }
        let sum = |figure: fn(&crate::scaling::Queue) -> u64| report.queues.iter().map(figure).sum::<u64>();
        let rates =
            |figure: fn(&crate::scaling::Queue) -> Option<f64>| report.queues.iter().map(figure).sum::<Option<f64>>();
        let (ready, unacked) = (sum(|queue| queue.ready), sum(|queue| queue.unacked));
        let oldest = report.queues.iter().filter_map(|queue| queue.oldest_age_s).reduce(f64::max);
        Ok(json!({
            "at": report.at,
            "ready": ready,
            "unacked": unacked,
            "backlog": ready + unacked,
            "arrivals_per_s": rates(|queue| queue.arrivals_per_s),
            "completions_per_s": rates(|queue| queue.completions_per_s),
            "oldest_age_s": oldest,
            "nodes_asked": report.decision.asked,
            "nodes_goal": report.decision.goal(),
            "priorities": report.queues,
        }))
    }

    pub fn history(&self, params: &Params) -> Result<Value, String> {
        let rounds = match params.get("rounds") {
            None => ROUNDS,
            Some(text) => text.parse().map_err(|_| format!("rounds is {text:?}, expected a number"))?,
        };
        let known = self.known();
        let skipped = known.reports.len().saturating_sub(rounds);
        let reports: Vec<&Report> = known.reports.iter().skip(skipped).map(AsRef::as_ref).collect();
        serde_json::to_value(reports).map_err(|error| error.to_string())
    }

    /// Paths of the admin server.
    pub fn answers(self: &Arc<Self>) -> Vec<(&'static str, Arc<Answer>)> {
        let (queues, rounds) = (Arc::clone(self), Arc::clone(self));
        let queue: Arc<Answer> = Arc::new(move |_: &Params| queues.queue(Instant::now()));
        let history: Arc<Answer> = Arc::new(move |params: &Params| rounds.history(params));
        vec![("/v1/queue", queue), ("/v1/history", history)]
    }
}

impl Known {
    fn tell_pause(&mut self, paused: Option<String>, at: Timestamp) {
        if self.ordered_at.is_none_or(|known| at > known) {
            (self.paused, self.ordered_at) = (paused, Some(at));
        }
    }
}

impl Subject for Board {
    /// A round that does not end is a fault; an outage of others is none.
    fn live(&self) -> Result<(), String> {
        let longest = Duration::from_mins(10);
        match self.known().round {
            Some(began) if began.elapsed() > longest => Err(format!("a round of control takes more than {longest:?}")),
            _ => Ok(()),
        }
    }

    fn ready(&self) -> Result<(), String> {
        Ok(())
    }

    fn status(&self) -> Value {
        let known = self.known();
        let standing = self.leadership.standing().borrow().clone();
        let status = Status {
            leads: self.leadership.leads().is_some(),
            standing: &standing,
            paused: known.paused.as_deref(),
            provider: &known.health,
            last: known.reports.back().map(AsRef::as_ref),
        };
        serde_json::to_value(status).unwrap_or_default()
    }
}
