//! A queue in memory: for one process that is its own submitter and worker,
//! and for tests. It redelivers, delays, and keeps dead letters, results and
//! telemetry like the broker's; [`contract`](super::contract) holds both to
//! the same.

mod look;
mod seat;
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    Delivery, Destination, Health, JobQueue, Listener, Message, Priority, QueueError, Settle, Subscription, delay,
    topic_matches,
};
use state::{Held, Name, State};

/// Messages of telemetry that are kept for those who listen later.
const TELEMETRY_KEPT: usize = 10_000;

/// A queue in memory. Its clones are the same queue.
#[derive(Clone, Default)]
pub struct Memory(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
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
}

#[async_trait]
impl JobQueue for Memory {
    async fn subscribe(&self, prefetch: u16) -> Result<Box<dyn Subscription>, QueueError> {
        let names = Priority::ALL.map(Name::Jobs).to_vec();
        self.lock().consuming += 1;
        Ok(Box::new(MemorySubscription::new(self.clone(), names, prefetch.max(1))))
    }

    async fn publish(&self, to: &Destination, message: &Message) -> Result<(), QueueError> {
        if self.lock().closed {
            return Err(QueueError::Connection { broker: "memory".into(), what: "the queue is closed".into() });
        }
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
            Destination::Telemetry(topic) | Destination::Order(topic) => {
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
