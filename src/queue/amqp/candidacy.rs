//! The leader's seat: a queue with a single active consumer.
//!
//! The broker delivers from such a queue to one consumer alone, the next one
//! only when the first is gone. Whoever is delivered a token holds the seat.
//! To confirm it, the holder puts a new token in and gives the old one back:
//! the new one comes to it only if it is still the active consumer. Tokens are
//! alike, and the queue keeps the latest alone.

use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use lapin::{
    Acker, BasicProperties, Channel, Confirmation, Consumer,
    options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions},
    types::FieldTable,
};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    Amqp, Context,
    link::{Backoff, Link},
};
use crate::queue::{Candidacy, Election, QueueError};

/// Between two tokens of one who waits, should one be lost.
const TOKEN_PAUSE: Duration = Duration::from_secs(30);

struct AmqpCandidacy {
    context: Context,
    backoff: Backoff,
    seat: Option<Seat>,
    /// A connection on its way.
    opening: Option<JoinHandle<Result<Seat, QueueError>>>,
}

/// A connection that waits for the seat, or holds it.
struct Seat {
    link: Link,
    publishing: Channel,
    /// Consumes; gone, so is the seat.
    _consuming: Channel,
    consumer: Consumer,
    exchange: String,
    request_timeout: Duration,
    token: Option<Acker>,
}

#[async_trait]
impl Election for Amqp {
    async fn stand(&self) -> Result<Box<dyn Candidacy>, QueueError> {
        let backoff = Backoff::new(self.context.settings.longest_pause);
        let seat = match Seat::open(&self.context, 0).await {
            Ok(seat) => Some(seat),
            Err(error @ (QueueError::Connection { .. } | QueueError::Timeout { .. })) => {
                tracing::warn!(%error, "failed to stand for leader, trying again");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Box::new(AmqpCandidacy { context: self.context.clone(), backoff, seat, opening: None }))
    }
}

#[async_trait]
impl Candidacy for AmqpCandidacy {
    async fn elected(&mut self) {
        loop {
            let Some(seat) = &mut self.seat else {
                self.open().await;
                continue;
            };
            match seat.wait().await {
                Ok(()) => return,
                Err(error) => {
                    tracing::warn!(%error, "lost the connection to stand for leader on");
                    self.leave();
                }
            }
        }
    }

    async fn confirm(&mut self) -> bool {
        let Some(seat) = &mut self.seat else { return false };
        match seat.confirm().await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(%error, "the leader's seat is lost");
                self.leave();
                false
            }
        }
    }

    async fn resign(mut self: Box<Self>) {
        if let Some(seat) = self.seat.take() {
            seat.link.close(self.context.settings.close_timeout).await;
        }
    }
}

impl Drop for AmqpCandidacy {
    fn drop(&mut self) {
        if let Some(opening) = self.opening.take() {
            opening.abort();
        }
    }
}

impl AmqpCandidacy {
    /// Connects, or waits before the next attempt. Dropped, it goes on where
    /// it was.
    async fn open(&mut self) {
        let opening = self.opening.get_or_insert_with(|| {
            let context = self.context.clone();
            let pause = self.backoff.pause();
            tokio::spawn(async move {
                sleep(pause).await;
                Seat::open(&context, fastrand::usize(..1024)).await
            })
        });
        let opened = opening.await;
        self.opening = None;
        match opened {
            Ok(Ok(seat)) => {
                self.backoff.reset();
                self.seat = Some(seat);
            }
            Ok(Err(error)) => tracing::warn!(%error, "failed to stand for leader, trying again"),
            Err(error) => tracing::error!(%error, "standing for leader"),
        }
    }

    fn leave(&mut self) {
        if let Some(seat) = self.seat.take() {
            let limit = self.context.settings.close_timeout;
            self.context.tasks.spawn(async move { seat.link.close(limit).await });
        }
    }
}

impl Seat {
    async fn open(context: &Context, turn: usize) -> Result<Self, QueueError> {
        let settings = &context.settings;
        let limit = settings.request_timeout;
        let link = Link::open(settings, "standing for leader", turn).await?;
        let publishing = link.channel(limit).await?;
        link.within(limit, "asking for confirms", publishing.confirm_select(ConfirmSelectOptions::default())).await?;
        let consuming = link.channel(limit).await?;
        // One token at a time: a second one says that the first was given
        // back.
        link.within(limit, "bounding deliveries", consuming.basic_qos(1, BasicQosOptions::default())).await?;
        let name = context.names.seat();
        let options = BasicConsumeOptions::default();
        let consume = consuming.basic_consume(name.as_str().into(), "".into(), options, FieldTable::default());
        let consumer = link.within(limit, &format!("consuming from {name}"), consume).await?;
        let seat = Self {
            link,
            publishing,
            _consuming: consuming,
            consumer,
            exchange: name,
            request_timeout: limit,
            token: None,
        };
        seat.put_token().await?;
        Ok(seat)
    }

    async fn put_token(&self) -> Result<(), QueueError> {
        let what = "putting a token in";
        let properties = BasicProperties::default().with_delivery_mode(2);
        let publish = async {
            let (exchange, options) = (self.exchange.as_str().into(), BasicPublishOptions::default());
            self.publishing.basic_publish(exchange, "".into(), options, b"", properties).await?.await
        };
        match self.link.within(self.request_timeout, what, publish).await? {
            Confirmation::Ack(_) => Ok(()),
            _ => Err(QueueError::Refused {
                broker: self.link.broker.clone(),
                what: what.into(),
                expected: "a queue that keeps the latest token".into(),
            }),
        }
    }

    /// Waits to be delivered a token.
    async fn wait(&mut self) -> Result<(), QueueError> {
        while self.token.is_none() {
            match timeout(TOKEN_PAUSE, self.consumer.next()).await {
                Ok(Some(Ok(delivery))) => self.token = Some(delivery.acker),
                Ok(Some(Err(error))) => return Err(super::link::fault(&self.link.broker, "waiting", &error)),
                Ok(None) => return Err(self.gone()),
                Err(_) => self.put_token().await?,
            }
        }
        Ok(())
    }

    async fn confirm(&mut self) -> Result<(), QueueError> {
        let token = self.token.take().ok_or_else(|| self.gone())?;
        self.put_token().await?;
        let back = token.ack(BasicAckOptions::default());
        if !self.link.within(self.request_timeout, "giving the token back", back).await? {
            return Err(self.gone());
        }
        match timeout(self.request_timeout, self.wait()).await {
            Ok(result) => result,
            Err(_) => Err(QueueError::Timeout {
                broker: self.link.broker.clone(),
                what: "the new token".into(),
                after: self.request_timeout,
            }),
        }
    }

    fn gone(&self) -> QueueError {
        QueueError::Connection { broker: self.link.broker.clone(), what: "the consumer of the seat is gone".into() }
    }
}
