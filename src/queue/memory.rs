//! A queue in memory: for one process that is its own submitter and worker,
//! and for tests. It redelivers, delays, and keeps dead letters, results and
//! telemetry like the broker's; [`contract`](super::contract) holds both to
//! the same.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    Candidacy, DeadLetter, DeadLetters, Delivery, Destination, Election, Gauge, Health, JobQueue, Listener, Message,
    Priority, PriorityFigures, QueueError, QueueFigures, Settle, Subscription, delay, topic_matches,
};

/// Messages of telemetry that are kept for those who listen later.
const TELEMETRY_KEPT: usize = 10_000;

/// Over how many whole seconds a rate is taken.
const RATE_OVER: u64 = 5;

/// A queue in memory. Its clones are the same queue.
#[derive(Clone, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    lines: BTreeMap<Name, Line>,
    delayed: u64,
    telemetry: VecDeque<(Instant, String, Message)>,
    /// How many messages of telemetry were dropped from the front.
    forgotten: u64,
    consuming: usize,
    closed: bool,
    start: Instant,
    /// Whose seat it is: the first.
    candidates: VecDeque<u64>,
    next_candidate: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Jobs(Priority),
    Dead,
    Results(String),
    Reply(String),
}

#[derive(Default)]
struct Line {
    ready: VecDeque<Held>,
    unacked: u64,
    published: Rate,
    acked: Rate,
}

struct Held {
    message: Message,
    redeliveries: u32,
    since: Instant,
}

/// Events by the second.
#[derive(Default)]
struct Rate(VecDeque<(u64, u64)>);

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
    fn add(&mut self, second: u64) {
        match self.0.back_mut() {
            Some((last, count)) if *last == second => *count += 1,
            _ => self.0.push_back((second, 1)),
        }
        while self.0.front().is_some_and(|(first, _)| first + RATE_OVER < second) {
            self.0.pop_front();
        }
    }

    fn per_second(&self, now: u64) -> f64 {
        let since = now.saturating_sub(RATE_OVER);
        let count: u64 = self.0.iter().filter(|(second, _)| (since..now).contains(second)).map(|(_, n)| n).sum();
        count as f64 / RATE_OVER as f64
    }
}

impl State {
    fn second(&self) -> u64 {
        self.start.elapsed().as_secs()
    }

    fn push(&mut self, name: Name, message: Message) {
        let second = self.second();
        let line = self.lines.entry(name).or_default();
        line.published.add(second);
        line.ready.push_back(Held { message, redeliveries: 0, since: Instant::now() });
    }
}

impl Memory {
    /// An empty queue.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What was published to a queue that a `reply_to` names; from now on it
    /// is there.
    #[must_use]
    pub fn replies(&self, queue: &str) -> Box<dyn Subscription> {
        let name = Name::Reply(queue.to_owned());
        self.lock().lines.entry(name.clone()).or_default();
        Box::new(MemorySubscription::new(self.clone(), vec![name], u16::MAX))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, name: Name, message: Message) {
        self.lock().push(name, message);
        self.0.changed.notify_waiters();
    }

    fn put_later(&self, wanted: Duration, message: Message) {
        self.lock().delayed += 1;
        let queue = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(delay(wanted)).await;
            queue.lock().delayed -= 1;
            queue.put(Name::Jobs(message.properties.priority), message);
        });
    }

    fn settled(&self, name: &Name, back: Option<Held>) {
        let mut state = self.lock();
        let second = state.second();
        if let Some(line) = state.lines.get_mut(name) {
            line.unacked -= 1;
            match back {
                Some(held) => line.ready.push_front(held),
                None => line.acked.add(second),
            }
        }
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Takes those dead letters out that `chosen` says.
    fn take_dead(&self, message_ids: Option<&[String]>) -> Vec<Message> {
        let mut state = self.lock();
        let Some(line) = state.lines.get_mut(&Name::Dead) else { return Vec::new() };
        let all = std::mem::take(&mut line.ready);
        let chosen = |held: &Held| message_ids.is_none_or(|ids| ids.contains(&held.message.properties.message_id));
        let (taken, left): (VecDeque<Held>, VecDeque<Held>) = all.into_iter().partition(chosen);
        line.ready = left;
        taken.into_iter().map(|held| held.message).collect()
    }
}

#[async_trait]
impl JobQueue for Memory {
    async fn subscribe(&self, prefetch: u16) -> Result<Box<dyn Subscription>, QueueError> {
        let names = Priority::ALL.map(Name::Jobs).to_vec();
        self.lock().consuming += 1;
        Ok(Box::new(MemorySubscription::new(self.clone(), names, prefetch.max(1))))
    }

    async fn publish(&self, to: &Destination, message: &Message) -> Result<(), QueueError> {
        let message = message.clone();
        match to {
            Destination::Jobs => self.put(Name::Jobs(message.properties.priority), message),
            Destination::Later(wanted) => self.put_later(*wanted, message),
            Destination::Dead => self.put(Name::Dead, message),
            Destination::Results => {
                let name = Name::Results(message.properties.submission.clone().unwrap_or_default());
                // An event that nobody asked for is let go: the result is in
                // the store.
                if self.lock().lines.contains_key(&name) {
                    self.put(name, message);
                }
            }
            Destination::Reply(queue) => {
                let name = Name::Reply(queue.clone());
                if !self.lock().lines.contains_key(&name) {
                    return Err(QueueError::Unroutable {
                        destination: format!("queue {queue}"),
                        message_id: message.properties.message_id,
                        why: "no such queue".into(),
                    });
                }
                self.put(name, message);
            }
            Destination::Telemetry(topic) => {
                let mut state = self.lock();
                state.telemetry.push_back((Instant::now(), topic.clone(), message));
                if state.telemetry.len() > TELEMETRY_KEPT {
                    state.telemetry.pop_front();
                    state.forgotten += 1;
                }
                drop(state);
                self.0.changed.notify_waiters();
            }
        }
        Ok(())
    }

    async fn results(&self, submission: &str) -> Result<Box<dyn Subscription>, QueueError> {
        let name = Name::Results(submission.to_owned());
        self.lock().lines.entry(name.clone()).or_default();
        Ok(Box::new(MemorySubscription::new(self.clone(), vec![name], u16::MAX)))
    }

    async fn listen(&self, topics: &str, past: Duration) -> Result<Box<dyn Listener>, QueueError> {
        let state = self.lock();
        let since = Instant::now().checked_sub(past);
        let old = state.telemetry.iter().filter(|(at, ..)| since.is_some_and(|since| *at < since)).count();
        let old = if past.is_zero() { state.telemetry.len() } else { old };
        let next = state.forgotten + old as u64;
        Ok(Box::new(MemoryListener { queue: self.clone(), topics: topics.to_owned(), next }))
    }

    fn health(&self) -> Health {
        let state = self.lock();
        Health { consuming: state.consuming > 0 && !state.closed, publishing: !state.closed, blocked: false }
    }

    async fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_waiters();
    }
}

struct MemorySubscription {
    queue: Memory,
    names: Vec<Name>,
    unsettled: Arc<Semaphore>,
    stopped: bool,
}

impl MemorySubscription {
    fn new(queue: Memory, names: Vec<Name>, prefetch: u16) -> Self {
        Self { queue, names, unsettled: Arc::new(Semaphore::new(prefetch.into())), stopped: false }
    }

    fn take(&self, permit: OwnedSemaphorePermit) -> Result<Delivery, OwnedSemaphorePermit> {
        let mut state = self.queue.lock();
        for name in &self.names {
            let Some(line) = state.lines.get_mut(name) else { continue };
            let Some(held) = line.ready.pop_front() else { continue };
            line.unacked += 1;
            let (message, redeliveries) = (held.message.clone(), held.redeliveries);
            let settle =
                MemorySettle { queue: self.queue.clone(), name: name.clone(), held: Some(held), _unsettled: permit };
            return Ok(Delivery::new(message, redeliveries, Box::new(settle)));
        }
        Err(permit)
    }

    fn jobs(&self) -> bool {
        matches!(self.names[..], [Name::Jobs(_), ..])
    }
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Option<Delivery> {
        if self.stopped {
            return None;
        }
        let mut permit = self.unsettled.clone().acquire_owned().await.ok()?;
        loop {
            let changed = self.queue.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.queue.lock().closed {
                return None;
            }
            match self.take(permit) {
                Ok(delivery) => return Some(delivery),
                Err(back) => permit = back,
            }
            changed.await;
        }
    }

    async fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopped, true) && self.jobs() {
            self.queue.lock().consuming -= 1;
        }
    }
}

impl Drop for MemorySubscription {
    fn drop(&mut self) {
        if !self.stopped && self.jobs() {
            self.queue.lock().consuming -= 1;
        }
    }
}

struct MemorySettle {
    queue: Memory,
    name: Name,
    held: Option<Held>,
    _unsettled: OwnedSemaphorePermit,
}

impl MemorySettle {
    fn put_back(&mut self) {
        if let Some(mut held) = self.held.take() {
            held.redeliveries += 1;
            self.queue.settled(&self.name, Some(held));
        }
    }
}

#[async_trait]
impl Settle for MemorySettle {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        self.held = None;
        self.queue.settled(&self.name, None);
        Ok(())
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), QueueError> {
        self.put_back();
        Ok(())
    }
}

impl Drop for MemorySettle {
    fn drop(&mut self) {
        self.put_back();
    }
}

struct MemoryListener {
    queue: Memory,
    topics: String,
    /// The number of the next message, from the very first one on.
    next: u64,
}

#[async_trait]
impl Listener for MemoryListener {
    async fn next(&mut self) -> Option<(String, Message)> {
        loop {
            let changed = self.queue.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let state = self.queue.lock();
                if state.closed {
                    return None;
                }
                let mut next = self.next.max(state.forgotten);
                let first = usize::try_from(next - state.forgotten).unwrap_or(usize::MAX);
                let heard = state.telemetry.iter().skip(first).find(|(_, topic, _)| {
                    next += 1;
                    topic_matches(&self.topics, topic)
                });
                let heard = heard.map(|(_, topic, message)| (topic.clone(), message.clone()));
                drop(state);
                self.next = next;
                if heard.is_some() {
                    return heard;
                }
            }
            changed.await;
        }
    }
}

#[async_trait]
impl Gauge for Memory {
    async fn figures(&self) -> Result<QueueFigures, QueueError> {
        let state = self.lock();
        let second = state.second();
        let priorities = Priority::ALL.into_iter().filter_map(|priority| {
            let line = state.lines.get(&Name::Jobs(priority))?;
            let figures = PriorityFigures {
                ready: Some(line.ready.len() as u64),
                unacked: Some(line.unacked),
                publish_rate: Some(line.published.per_second(second)),
                ack_rate: Some(line.acked.per_second(second)),
                oldest: Some(line.ready.front().map_or(Duration::ZERO, |held| held.since.elapsed())),
            };
            Some((priority, figures))
        });
        let dead = state.lines.get(&Name::Dead).map(|line| line.ready.len() as u64);
        Ok(QueueFigures { priorities: priorities.collect(), delayed: Some(state.delayed), dead_letters: dead })
    }
}

#[async_trait]
impl DeadLetters for Memory {
    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let state = self.lock();
        let letters = state.lines.get(&Name::Dead).into_iter().flat_map(|line| &line.ready);
        Ok(letters.take(limit).map(|held| DeadLetter { message: held.message.clone() }).collect())
    }

    async fn get(&self, message_id: &str) -> Result<Vec<DeadLetter>, QueueError> {
        let all = self.list(usize::MAX).await?;
        Ok(all.into_iter().filter(|letter| letter.message.properties.message_id == message_id).collect())
    }

    async fn redrive(&self, message_ids: Option<&[String]>) -> Result<usize, QueueError> {
        let taken = self.take_dead(message_ids);
        let count = taken.len();
        for message in taken {
            self.publish(&Destination::Jobs, &DeadLetter { message }.job()).await?;
        }
        Ok(count)
    }

    async fn discard(&self, message_ids: Option<&[String]>) -> Result<usize, QueueError> {
        Ok(self.take_dead(message_ids).len())
    }
}

struct MemoryCandidacy {
    queue: Memory,
    number: u64,
}

#[async_trait]
impl Election for Memory {
    async fn stand(&self) -> Result<Box<dyn Candidacy>, QueueError> {
        let mut state = self.lock();
        let number = state.next_candidate;
        state.next_candidate += 1;
        state.candidates.push_back(number);
        Ok(Box::new(MemoryCandidacy { queue: self.clone(), number }))
    }
}

#[async_trait]
impl Candidacy for MemoryCandidacy {
    async fn elected(&mut self) {
        let queue = self.queue.clone();
        loop {
            let changed = queue.0.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.confirm().await {
                return;
            }
            changed.await;
        }
    }

    async fn confirm(&mut self) -> bool {
        self.queue.lock().candidates.front() == Some(&self.number)
    }

    async fn resign(self: Box<Self>) {}
}

impl Drop for MemoryCandidacy {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.candidates.retain(|number| *number != self.number);
        drop(state);
        self.queue.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::contract;

    #[tokio::test]
    async fn keeps_the_contract() {
        let checks = contract::CHECKS.iter().map(|(_, check)| {
            let queue = Memory::new();
            let parts = contract::Parts {
                mine: Arc::new(queue.clone()),
                other: Arc::new(queue.clone()),
                dead: Arc::new(queue.clone()),
                gauge: Arc::new(queue.clone()),
                mine_stands: Arc::new(queue.clone()),
                other_stands: Arc::new(queue.clone()),
            };
            check(parts)
        });
        futures_util::future::join_all(checks).await;
    }
}
