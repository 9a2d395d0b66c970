//! The leader's seat in memory: whoever stood first holds it.

use async_trait::async_trait;

use super::Memory;
use crate::queue::{Candidacy, Election, QueueError};

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
