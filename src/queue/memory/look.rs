//! How full a queue in memory is, and its dead letters.

use std::{collections::VecDeque, time::Duration};

use async_trait::async_trait;

use super::{
    Memory,
    state::{Held, Name},
};
use crate::queue::{
    DeadLetter, DeadLetters, Destination, Gauge, JobQueue as _, Message, Priority, PriorityFigures, QueueError,
    QueueFigures,
};

impl Memory {
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
