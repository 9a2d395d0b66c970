//! What a queue in memory holds.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::queue::{Message, Priority};

/// Over how many whole seconds a rate is taken.
const RATE_OVER: u64 = 5;

pub(super) struct State {
    pub(super) lines: BTreeMap<Name, Line>,
    pub(super) delayed: u64,
    pub(super) telemetry: VecDeque<(Instant, String, Message)>,
    /// How many messages of telemetry were dropped from the front.
    pub(super) forgotten: u64,
    pub(super) consuming: usize,
    pub(super) closed: bool,
    pub(super) start: Instant,
    /// Whose seat it is: the first.
    pub(super) candidates: VecDeque<u64>,
    pub(super) next_candidate: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Jobs(Priority),
    Dead,
    Results(String),
    Reply(String),
}

#[derive(Default)]
pub(super) struct Line {
    pub(super) ready: VecDeque<Held>,
    pub(super) unacked: u64,
    pub(super) published: Rate,
    pub(super) acked: Rate,
}

pub(super) struct Held {
    pub(super) message: Message,
    pub(super) redeliveries: u32,
    pub(super) since: Instant,
}

/// Events by the second.
#[derive(Default)]
pub(super) struct Rate(VecDeque<(u64, u64)>);

impl Default for State {
    fn default() -> Self {
        let mut lines: BTreeMap<Name, Line> = Priority::ALL.map(|p| (Name::Jobs(p), Line::default())).into();
        lines.insert(Name::Dead, Line::default());
        Self {
            lines,
            delayed: 0,
            telemetry: VecDeque::new(),
            forgotten: 0,
            consuming: 0,
            closed: false,
            start: Instant::now(),
            candidates: VecDeque::new(),
            next_candidate: 0,
        }
    }
}

impl Rate {
    pub(super) fn add(&mut self, second: u64) {
        match self.0.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => self.0.push_back((second, 1)),
        }
        while self.0.front().is_some_and(|(first, _)| first + RATE_OVER < second) {
            self.0.pop_front();
        }
    }

    pub(super) fn per_second(&self, now: u64) -> f64 {
        let since = now.saturating_sub(RATE_OVER);
        let count: u64 = self.0.iter().filter(|(second, _)| (since..now).contains(second)).map(|(_, n)| n).sum();
        count as f64 / RATE_OVER as f64
    }
}

impl State {
    pub(super) fn second(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    pub(super) fn push(&mut self, name: Name, message: Message) {
        let second = self.second();
        let line = self.lines.entry(name).or_default();
        line.published.add(second);
        line.ready.push_back(Held { message, redeliveries: 0, since: Instant::now() });
    }
}
