//! Dead letters in their queue. What is only looked at is taken without
//! acknowledging it, and goes back when the connection closes.

use async_trait::async_trait;
use lapin::{
    Channel,
    message::BasicGetMessage,
    options::{BasicAckOptions, BasicGetOptions},
};

use super::{Amqp, link::Link, wire};
use crate::queue::{DeadLetter, DeadLetters, Destination, JobQueue as _, QueueError};

/// The dead letters that lay there when it was opened, one after the other.
struct Walk<'a> {
    amqp: &'a Amqp,
    link: Link,
    channel: Channel,
    left: Option<u32>,
}

impl<'a> Walk<'a> {
    async fn open(amqp: &'a Amqp) -> Result<Self, QueueError> {
        let link = Link::open_any(&amqp.context.settings, "dead letters").await?;
        let channel = link.channel(amqp.context.settings.request_timeout).await?;
        Ok(Self { amqp, link, channel, left: None })
    }

    async fn next(&mut self) -> Result<Option<(DeadLetter, BasicGetMessage)>, QueueError> {
        if self.left == Some(0) {
            return Ok(None);
        }
        let queue = self.amqp.context.names.dead();
        let get = self.channel.basic_get(queue.as_str().into(), BasicGetOptions::default());
        let limit = self.amqp.context.settings.request_timeout;
        let Some(mut got) = self.link.within(limit, &format!("reading {queue}"), get).await? else {
            return Ok(None);
        };
        // The first says how many there are besides it.
        self.left = Some(self.left.map_or(got.message_count, |left| left - 1));
        let body = std::mem::take(&mut got.delivery.data);
        let message = wire::decode(&got.properties, got.routing_key.as_str(), body);
        Ok(Some((DeadLetter { message }, got)))
    }

    async fn remove(&self, got: &BasicGetMessage) -> Result<(), QueueError> {
        let limit = self.amqp.context.settings.request_timeout;
        let sent = self.link.within(limit, "acknowledging a dead letter", got.ack(BasicAckOptions::default())).await?;
        if sent {
            return Ok(());
        }
        let what = "acknowledging a dead letter: the connection was lost".to_owned();
        Err(QueueError::Connection { broker: self.link.broker.clone(), what })
    }

    async fn close(self) {
        self.link.close(self.amqp.context.settings.close_timeout).await;
    }
}

fn chosen(message_ids: Option<&[String]>, letter: &DeadLetter) -> bool {
    message_ids.is_none_or(|ids| ids.contains(&letter.message.properties.message_id))
}

#[async_trait]
impl DeadLetters for Amqp {
    async fn list(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        let mut walk = Walk::open(self).await?;
        let mut letters = Vec::new();
        while letters.len() < limit
            && let Some((letter, _)) = walk.next().await?
        {
            letters.push(letter);
        }
        walk.close().await;
        Ok(letters)
    }

    async fn get(&self, message_id: &str) -> Result<Vec<DeadLetter>, QueueError> {
        let mut walk = Walk::open(self).await?;
        let mut letters = Vec::new();
        while let Some((letter, _)) = walk.next().await? {
            if letter.message.properties.message_id == message_id {
                letters.push(letter);
            }
        }
        walk.close().await;
        Ok(letters)
    }

    async fn redrive(&self, message_ids: Option<&[String]>) -> Result<usize, QueueError> {
        let mut walk = Walk::open(self).await?;
        let mut redriven = 0;
        while let Some((letter, got)) = walk.next().await? {
            if chosen(message_ids, &letter) {
                self.publish(&Destination::Jobs, &letter.job()).await?;
                walk.remove(&got).await?;
                redriven += 1;
            }
        }
        walk.close().await;
        Ok(redriven)
    }

    async fn discard(&self, message_ids: Option<&[String]>) -> Result<usize, QueueError> {
        let mut walk = Walk::open(self).await?;
        let mut discarded = 0;
        while let Some((letter, got)) = walk.next().await? {
            if chosen(message_ids, &letter) {
                walk.remove(&got).await?;
                discarded += 1;
            }
        }
        walk.close().await;
        Ok(discarded)
    }
}
