//! The workers, by their heartbeats.
//!
//! Ages are counted on this host's monotonic clock, from when a heartbeat
//! arrived. The roster is bounded: where there are more, those silent longest
//! are forgotten.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::WorkerCounts;
use crate::{
    scaling::{self, WorkerState},
    telemetry::message::{Heartbeat, State, WorkerId},
};

/// What reasons of our own orders to drain begin with: who drains for another
/// reason is not called back.
pub const SCALE_IN: &str = "scale-in";

/// Over how long a worker's speed is measured.
const PACE: Duration = Duration::from_mins(2);
/// Heartbeats that are remembered of a worker for its speed.
const PACE_MOST: usize = 32;

/// All workers that were heard.
#[derive(Debug)]
pub struct Roster {
    silent_after: Duration,
    most: usize,
    workers: BTreeMap<WorkerId, Known>,
    heard: Option<Instant>,
}

/// A worker.
#[derive(Debug, Clone)]
pub struct Known {
    /// The last that it told.
    pub last: Heartbeat,
    /// When that arrived.
    pub heard: Instant,
    /// An order to drain is on its way.
    pub asked: bool,
    /// Jobs done and when, while it held jobs throughout.
    pace: VecDeque<(Instant, u64)>,
}

impl Roster {
    /// Nobody yet. A worker counts as silent after `silent_after`, or three
    /// of its own intervals where those are longer.
    #[must_use]
    pub fn new(silent_after: Duration, most: usize) -> Self {
        Self { silent_after, most, workers: BTreeMap::new(), heard: None }
    }

    /// Takes a heartbeat in.
    pub fn hear(&mut self, heartbeat: Heartbeat, now: Instant) {
        self.heard = Some(now);
        if let Some(known) = self.workers.get_mut(&heartbeat.worker) {
            if heartbeat.at >= known.last.at {
                known.hear(heartbeat, now);
            }
            return;
        }
        if self.workers.len() >= self.most {
            let silent = self.workers.iter().min_by_key(|(_, known)| known.heard).map(|(id, _)| id.clone());
            silent.map(|id| self.workers.remove(&id));
        }
        let pace = VecDeque::from([(now, heartbeat.jobs_done)]);
        self.workers.insert(heartbeat.worker.clone(), Known { last: heartbeat, heard: now, asked: false, pace });
    }

    /// Forgets the silent ones whose nodes are gone.
    pub fn forget(&mut self, nodes: &BTreeSet<&str>, now: Instant) {
        let silent_after = self.silent_after;
        self.workers.retain(|_, known| !known.is_silent(silent_after, now) || nodes.contains(known.last.node.as_str()));
    }

    /// When anybody was heard last.
    #[must_use]
    pub fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Those that are not silent, one a node: the one heard last.
    #[must_use]
    pub fn alive(&self, now: Instant) -> BTreeMap<&str, &Known> {
        let mut alive: BTreeMap<&str, &Known> = BTreeMap::new();
        for known in self.workers.values().filter(|known| !known.is_silent(self.silent_after, now)) {
            let one = alive.entry(known.last.node.as_str()).or_insert(known);
            if known.heard > one.heard {
                *one = known;
            }
        }
        alive
    }

    /// The worker of a node, silent or not.
    #[must_use]
    pub fn of_node(&self, node: &str) -> Option<&Known> {
        self.workers.values().filter(|known| known.last.node == node).max_by_key(|known| known.heard)
    }

    /// Notes whether an order to drain is on its way.
    pub fn ask(&mut self, worker: &WorkerId, asked: bool) {
        if let Some(known) = self.workers.get_mut(worker) {
            known.asked = asked;
        }
    }

    /// For a decision. `me` is the worker of the leader's own process.
    #[must_use]
    pub fn sample(&self, me: Option<&WorkerId>, now: Instant) -> Vec<scaling::Worker> {
        self.alive(now).into_values().map(|known| known.sample(me, now)).collect()
    }

    /// In numbers.
    #[must_use]
    pub fn counts(&self, now: Instant) -> WorkerCounts {
        let mut counts = WorkerCounts::default();
        for known in self.alive(now).into_values() {
            let heartbeat = &known.last;
            let count = match heartbeat.state {
                State::Starting => &mut counts.starting,
                State::Consuming if heartbeat.in_flight > 0 => &mut counts.busy,
                State::Consuming | State::Idle => &mut counts.idle,
                State::Draining => &mut counts.draining,
                State::Drained => &mut counts.drained,
                State::Quarantined => &mut counts.quarantined,
            };
            *count += 1;
            counts.flights_per_s += heartbeat.flights_per_s.unwrap_or(0.0);
        }
        counts
    }

    /// Jobs that those who were heard hold.
    #[must_use]
    pub fn held(&self, now: Instant) -> u64 {
        self.alive(now).values().map(|known| u64::from(known.last.in_flight)).sum()
    }
}

impl Known {
    fn hear(&mut self, heartbeat: Heartbeat, now: Instant) {
        // Its speed is that of times in which it was never out of work.
        if self.last.in_flight == 0 || heartbeat.in_flight == 0 {
            self.pace.clear();
        }
        self.pace.push_back((now, heartbeat.jobs_done));
        while self.pace.len() > PACE_MOST || self.pace.front().is_some_and(|(at, _)| now - *at > PACE) {
            self.pace.pop_front();
        }
        if matches!(heartbeat.state, State::Draining | State::Drained) {
            self.asked = false;
        }
        (self.last, self.heard) = (heartbeat, now);
    }

    fn is_silent(&self, after: Duration, now: Instant) -> bool {
        let own = Duration::try_from_secs_f64(self.last.every_s * 3.0).unwrap_or(after);
        now.saturating_duration_since(self.heard) > after.max(own)
    }

    /// Whether it drains because control asked it to.
    #[must_use]
    pub fn drains_for_us(&self) -> bool {
        let ours = self.last.reason.as_deref().is_some_and(|reason| reason.starts_with(SCALE_IN));
        self.asked || (self.is_draining() && ours)
    }

    fn is_draining(&self) -> bool {
        matches!(self.last.state, State::Draining | State::Drained)
    }

    /// Jobs a second while it holds some.
    fn jobs_per_s(&self) -> Option<f64> {
        let ((first, from), (last, to)) = (self.pace.front()?, self.pace.back()?);
        let (seconds, jobs) = ((*last - *first).as_secs_f64(), to.saturating_sub(*from));
        (seconds > 0.0 && jobs > 0).then(|| jobs as f64 / seconds)
    }

    fn sample(&self, me: Option<&WorkerId>, now: Instant) -> scaling::Worker {
        let heartbeat = &self.last;
        let state = match heartbeat.state {
            State::Starting => WorkerState::Starting,
            State::Consuming | State::Idle if self.asked => WorkerState::Draining,
            State::Consuming | State::Idle => WorkerState::Consuming,
            State::Draining => WorkerState::Draining,
            State::Drained => WorkerState::Drained,
            State::Quarantined => WorkerState::Quarantined,
        };
        let jobs_per_s = self.jobs_per_s();
        let since = now.saturating_duration_since(self.heard).as_secs_f64();
        let free_in_s = match heartbeat.in_flight {
            0 => Some(0.0),
            held => jobs_per_s.map(|speed| (f64::from(held) / speed - since).max(0.0)),
        };
        scaling::Worker {
            node: heartbeat.node.clone(),
            state,
            held: heartbeat.in_flight,
            jobs_per_s,
            free_in_s,
            leader: me == Some(&heartbeat.worker),
            preempted: self.is_draining() && !self.drains_for_us(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat(worker: &str, state: State, in_flight: u32, jobs_done: u64) -> Heartbeat {
        let at = jiff::Timestamp::from_second(i64::try_from(jobs_done).unwrap()).unwrap();
        Heartbeat {
            worker: WorkerId::try_from(worker.to_owned()).unwrap(),
            node: format!("node-{worker}"),
            pool: "gpu".into(),
            release: "0".into(),
            state,
            reason: None,
            backend: "cpu".into(),
            slots: 4,
            in_flight,
            datasets: vec![],
            field_bytes: 0,
            flights_per_s: Some(10.0),
            busy: 1.0,
            jobs_done,
            started_at: at,
            at,
            every_s: 1.0,
        }
    }

    fn roster() -> (Roster, Instant) {
        (Roster::new(Duration::from_secs(10), 3), Instant::now())
    }

    fn after(start: Instant, seconds: u64) -> Instant {
        start + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn the_silent_are_left_out_and_those_of_gone_nodes_forgotten() {
        let (mut roster, start) = roster();
        roster.hear(heartbeat("a", State::Idle, 0, 0), start);
        roster.hear(heartbeat("b", State::Consuming, 2, 0), after(start, 8));
        assert_eq!(roster.sample(None, after(start, 10)).len(), 2);
        assert_eq!(roster.sample(None, after(start, 11)).len(), 1);
        assert_eq!((roster.held(after(start, 11)), roster.counts(after(start, 11)).busy), (2, 1));
        assert!(roster.of_node("node-a").is_some(), "its node is known to have had a worker");
        roster.forget(&BTreeSet::from(["node-a"]), after(start, 11));
        assert!(roster.of_node("node-a").is_some());
        roster.forget(&BTreeSet::new(), after(start, 11));
        assert!(roster.of_node("node-a").is_none() && roster.of_node("node-b").is_some());
    }

    #[tokio::test]
    async fn a_node_has_one_worker_the_one_heard_last() {
        let (mut roster, start) = roster();
        roster.hear(heartbeat("a", State::Consuming, 4, 0), start);
        let mut again = heartbeat("a2", State::Starting, 0, 0);
        again.node = "node-a".into();
        roster.hear(again, after(start, 1));
        let sample = roster.sample(None, after(start, 1));
        assert_eq!((sample.len(), sample[0].state, sample[0].held), (1, WorkerState::Starting, 0));
    }

    #[tokio::test]
    async fn it_is_bounded() {
        let (mut roster, start) = roster();
        for n in 0..9 {
            roster.hear(heartbeat(&format!("w{n}"), State::Idle, 0, 0), after(start, n));
        }
        let nodes: Vec<String> = roster.sample(None, after(start, 8)).into_iter().map(|w| w.node).collect();
        assert_eq!(nodes, ["node-w6", "node-w7", "node-w8"]);
    }

    #[tokio::test]
    async fn speed_is_measured_while_there_is_work() {
        let (mut roster, start) = roster();
        for (second, in_flight, done) in [(0, 0, 0), (2, 4, 0), (4, 4, 20), (6, 4, 40)] {
            roster.hear(heartbeat("a", State::Consuming, in_flight, done), after(start, second));
        }
        let worker = &roster.sample(None, after(start, 6))[0];
        assert_eq!((worker.jobs_per_s, worker.free_in_s), (Some(10.0), Some(0.4)));
    }

    #[tokio::test]
    async fn who_was_asked_drains_and_who_drains_by_itself_is_not_called_back() {
        let (mut roster, start) = roster();
        roster.hear(heartbeat("a", State::Consuming, 1, 0), start);
        let id = WorkerId::try_from("a".to_owned()).unwrap();
        roster.ask(&id, true);
        let worker = roster.sample(Some(&id), start).remove(0);
        assert_eq!((worker.state, worker.leader, worker.preempted), (WorkerState::Draining, true, false));
        let mut drained = heartbeat("a", State::Drained, 0, 1);
        drained.reason = Some(format!("{SCALE_IN}: asked by leader"));
        roster.hear(drained, start);
        assert!(!roster.sample(None, start)[0].preempted);
        let mut preempted = heartbeat("b", State::Draining, 0, 1);
        preempted.reason = Some("Azure: Preempt".into());
        roster.hear(preempted, start);
        assert!(roster.sample(None, start)[1].preempted);
    }

    #[tokio::test]
    async fn a_heartbeat_that_comes_late_changes_nothing() {
        let (mut roster, start) = roster();
        roster.hear(heartbeat("a", State::Idle, 0, 9), start);
        roster.hear(heartbeat("a", State::Consuming, 4, 3), after(start, 1));
        assert_eq!(roster.sample(None, after(start, 1))[0].held, 0);
    }
}
