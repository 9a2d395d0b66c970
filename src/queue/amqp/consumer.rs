//! Consuming: one task keeps a connection, and hands out what arrives.
//!
//! ## Away => (Consuming | Stopped)
//! Connects, with pauses in between, and consumes.
//!
//! ## Consuming => (Away | Stopped)
//! Hands out, the queues in their order, as long as fewer than `prefetch`
//! deliveries are unsettled; the broker has sent up to `prefetch` of each
//! queue, so that those of high priority are at hand. A stream that ends without being asked is a lost
//! connection: the queue was deleted, or the broker had enough.
//!
//! ## Stopped
//! Consumers are cancelled, and what the broker had sent by then is handed
//! out. The connection stays for as long as a delivery is unsettled.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt, future::select_all};
use lapin::{
    Acker, Channel, Consumer,
    options::{
        BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    link::{Backoff, Link, fault},
    wire,
};
use crate::queue::{Delivery, QueueError, Settle, Subscription};

/// What is consumed.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// Queues that are there, the first served first.
    Queues(Vec<String>),
    /// A queue that is made where it is not there, bound to an exchange.
    Bound {
        /// Its name.
        queue: String,
        /// Where it gets its messages from.
        exchange: String,
        /// Which ones.
        key: String,
    },
    /// A stream, from an offset or from some time ago.
    Stream {
        /// Its name.
        queue: String,
        /// Where to start; where to go on after the connection was lost.
        from: From,
    },
}

/// A position in a stream.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// Of what was said this long ago and since.
    Past(Duration),
    /// This one and those after it.
    Offset(i64),
}

/// What arrived.
pub(super) struct Arrived {
    /// What it was published with.
    pub routing_key: String,
    pub delivery: Delivery,
}

/// What arrives, in its order.
pub(super) struct Arrivals {
    arrivals: mpsc::Receiver<Arrived>,
    stop: CancellationToken,
}

/// What a task that consumes holds.
struct Task {
    context: Context,
    source: Source,
    prefetch: u16,
    /// One for each delivery that is handed out and unsettled.
    unsettled: Arc<Semaphore>,
    sender: mpsc::Sender<Arrived>,
    /// Asked to stop consuming.
    stop: CancellationToken,
    /// Whether this is one of those that `health` speaks of.
    counted: bool,
}

/// A connection that consumes; lives as long as one of its deliveries.
struct Session {
    link: Link,
    channel: Channel,
    request_timeout: Duration,
}

/// What comes next in a session.
enum Next {
    Arrived(mpsc::OwnedPermit<Arrived>, OwnedSemaphorePermit, Box<lapin::message::Delivery>),
    Lost(String),
    Stop,
}

/// How a session ended.
enum End {
    Lost(String),
    Stopped,
}

/// Settles one delivery; not settled, it goes back.
struct AmqpSettle {
    acker: Option<Acker>,
    session: Arc<Session>,
    _unsettled: OwnedSemaphorePermit,
}

impl Arrivals {
    /// Starts consuming.
    ///
    /// # Errors
    /// Where the broker refuses. Where it is away, it is waited for.
    pub(super) async fn start(context: &Context, source: Source, prefetch: u16) -> Result<Self, QueueError> {
        let (sender, arrivals) = mpsc::channel(1);
        let stop = context.closing.child_token();
        let prefetch = prefetch.max(1);
        let unsettled = Arc::new(Semaphore::new(usize::from(prefetch)));
        let counted = matches!(source, Source::Queues(_));
        let task = Task { context: context.clone(), source, prefetch, unsettled, sender, stop: stop.clone(), counted };
        let first = match task.open(0).await {
            Ok(first) => Some(first),
            Err(error @ (QueueError::Connection { .. } | QueueError::Timeout { .. })) => {
                tracing::warn!(%error, "failed to consume, trying again");
                None
            }
            Err(error) => return Err(error),
        };
        context.tasks.spawn(task.run(first));
        Ok(Self { arrivals, stop })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Option<Arrived> {
        self.arrivals.recv().await
    }
}

impl Drop for Arrivals {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Subscription for Arrivals {
    async fn next(&mut self) -> Option<Delivery> {
        self.arrivals.recv().await.map(|arrived| arrived.delivery)
    }

    async fn stop(&mut self) {
        self.stop.cancel();
    }
}

impl Task {
    async fn run(mut self, mut first: Option<(Arc<Session>, Vec<Consumer>)>) {
        let mut backoff = Backoff::new(self.context.settings.longest_pause);
        for turn in 1.. {
            let opened = if let Some(first) = first.take() {
                Ok(first)
            } else {
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    opened = self.open(turn) => opened,
                }
            };
            match opened {
                Ok((session, consumers)) => {
                    backoff.reset();
                    tracing::info!(broker = session.link.broker, source = self.source.name(), "consuming");
                    let consuming = self.context.consuming.clone();
                    let counted = usize::from(self.counted);
                    consuming.fetch_add(counted, Ordering::Relaxed);
                    let end = self.consume(&session, consumers).await;
                    consuming.fetch_sub(counted, Ordering::Relaxed);
                    match end {
                        End::Stopped => return self.linger(session).await,
                        End::Lost(why) => {
                            tracing::warn!(broker = session.link.broker, why, "connection for consuming lost");
                            let close = self.context.settings.close_timeout;
                            self.context.tasks.spawn(async move { session.link.close(close).await });
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, "failed to consume, trying again"),
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(backoff.pause()) => {}
            }
        }
    }

    /// Connects and consumes.
    async fn open(&self, turn: usize) -> Result<(Arc<Session>, Vec<Consumer>), QueueError> {
        let link = Link::open(&self.context.settings, "consuming", turn).await?;
        let limit = self.context.settings.request_timeout;
        let channel = link.channel(limit).await?;
        let qos = channel.basic_qos(self.prefetch, BasicQosOptions::default());
        link.within(limit, "bounding deliveries", qos).await?;
        self.declare(&link, &channel).await?;
        let mut consumers = Vec::new();
        for queue in self.source.queues() {
            let what = format!("consuming from {queue}");
            let options = BasicConsumeOptions::default();
            let consume = channel.basic_consume(queue.into(), "".into(), options, self.source.arguments());
            consumers.push(link.within(limit, &what, consume).await?);
        }
        Ok((Arc::new(Session { link, channel, request_timeout: limit }), consumers))
    }

    async fn declare(&self, link: &Link, channel: &Channel) -> Result<(), QueueError> {
        let Source::Bound { queue, exchange, key } = &self.source else { return Ok(()) };
        let limit = self.context.settings.request_timeout;
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declare = channel.queue_declare(queue.as_str().into(), durable, arguments);
        link.within(limit, &format!("declaring {queue}"), declare).await?;
        let (queue_name, exchange_name, key) = (queue.as_str().into(), exchange.as_str().into(), key.as_str().into());
        let bind =
            channel.queue_bind(queue_name, exchange_name, key, QueueBindOptions::default(), FieldTable::default());
        link.within(limit, &format!("binding {queue} to {exchange}"), bind).await
    }

    /// Hands out until the connection is lost or nobody wants more.
    async fn consume(&mut self, session: &Arc<Session>, mut consumers: Vec<Consumer>) -> End {
        loop {
            match self.next(session, &mut consumers).await {
                Next::Arrived(slot, permit, amqp) => {
                    slot.send(self.arrived(session, *amqp, permit));
                }
                Next::Lost(why) => return End::Lost(why),
                Next::Stop => return self.stop_consuming(session, consumers).await,
            }
        }
    }

    /// Waits for room, then for what arrives: so that what is picked is the
    /// best of the moment in which it is wanted.
    async fn next(&self, session: &Session, consumers: &mut [Consumer]) -> Next {
        let room = async {
            let slot = self.sender.clone().reserve_owned().await.ok()?;
            let permit = self.unsettled.clone().acquire_owned().await.ok()?;
            Some((slot, permit))
        };
        let room = tokio::select! {
            biased;
            () = self.stop.cancelled() => None,
            room = room => room,
            () = session.link.lost() => return Next::Lost("the connection ended".into()),
        };
        let Some((slot, permit)) = room else { return Next::Stop };
        let arrived = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Next::Stop,
            () = self.sender.closed() => return Next::Stop,
            arrived = first_of(consumers) => arrived,
            () = session.link.lost() => return Next::Lost("the connection ended".into()),
        };
        match arrived {
            Some(Ok(amqp)) => Next::Arrived(slot, permit, Box::new(amqp)),
            Some(Err(error)) => Next::Lost(error.to_string()),
            None => Next::Lost("the broker cancelled the consumer: is the queue there?".into()),
        }
    }

    fn arrived(
        &mut self,
        session: &Arc<Session>,
        amqp: lapin::message::Delivery,
        permit: OwnedSemaphorePermit,
    ) -> Arrived {
        if let (Source::Stream { from, .. }, Some(offset)) = (&mut self.source, wire::stream_offset(&amqp.properties)) {
            *from = From::Offset(offset + 1);
        }
        let routing_key = amqp.routing_key.as_str().to_owned();
        let redeliveries = wire::redeliveries(&amqp.properties, amqp.redelivered);
        let message = wire::decode(&amqp.properties, &routing_key, amqp.data);
        let settle = AmqpSettle { acker: Some(amqp.acker), session: session.clone(), _unsettled: permit };
        Arrived { routing_key, delivery: Delivery::new(message, redeliveries, Box::new(settle)) }
    }

    /// Cancels; hands out what had been sent.
    async fn stop_consuming(&mut self, session: &Arc<Session>, consumers: Vec<Consumer>) -> End {
        for consumer in &consumers {
            let cancel = session.channel.basic_cancel(consumer.tag(), BasicCancelOptions::default());
            if let Err(error) = session.link.within(session.request_timeout, "cancelling", cancel).await {
                tracing::warn!(%error, "failed to stop consuming");
                return End::Stopped;
            }
        }
        for mut consumer in consumers {
            // After a cancel the stream yields what it held, then ends.
            while let Some(Ok(amqp)) = consumer.next().await {
                // Those who no longer listen get nothing: it goes back.
                let Ok(slot) = self.sender.clone().reserve_owned().await else { return End::Stopped };
                let permit = tokio::select! {
                    () = self.context.closing.cancelled() => return End::Stopped,
                    permit = self.unsettled.clone().acquire_owned() => permit,
                };
                let Ok(permit) = permit else { return End::Stopped };
                slot.send(self.arrived(session, amqp, permit));
            }
        }
        End::Stopped
    }

    /// Lets go of the session when its last delivery is settled, or at once
    /// where the queue is closed.
    async fn linger(self, session: Arc<Session>) {
        let Self { context, sender, unsettled, prefetch, .. } = self;
        drop(sender);
        tokio::select! {
            _ = unsettled.acquire_many(prefetch.into()) => {}
            () = session.link.lost() => {}
            () = context.closing.cancelled() => {}
        }
        session.link.close(context.settings.close_timeout).await;
    }
}

/// The next of the consumers' streams, in their order.
async fn first_of(consumers: &mut [Consumer]) -> Option<lapin::Result<lapin::message::Delivery>> {
    for consumer in &mut *consumers {
        if let Some(ready) = consumer.next().now_or_never() {
            return ready;
        }
    }
    let waiting = consumers.iter_mut().map(StreamExt::next);
    select_all(waiting).await.0
}

impl Source {
    fn queues(&self) -> Vec<&str> {
        match self {
            Self::Queues(queues) => queues.iter().map(String::as_str).collect(),
            Self::Bound { queue, .. } | Self::Stream { queue, .. } => vec![queue],
        }
    }

    fn name(&self) -> String {
        self.queues().join(", ")
    }

    fn arguments(&self) -> FieldTable {
        let mut arguments = FieldTable::default();
        if let Self::Stream { from, .. } = self {
            let from = match from {
                From::Past(Duration::ZERO) => AMQPValue::LongString("next".into()),
                From::Past(past) => AMQPValue::LongString(format!("{}s", past.as_secs().max(1)).into()),
                From::Offset(offset) => AMQPValue::LongLongInt(*offset),
            };
            arguments.insert("x-stream-offset".into(), from);
        }
        arguments
    }
}

impl Session {
    async fn settled(&self, what: &str, settling: impl Future<Output = lapin::Result<bool>>) -> Result<(), QueueError> {
        let limit = self.request_timeout;
        match tokio::time::timeout(limit, settling).await {
            Ok(Ok(true)) => Ok(()),
            // Not sent: the channel is gone, and the delivery with it.
            Ok(Ok(false)) => Err(QueueError::Connection {
                broker: self.link.broker.clone(),
                what: format!("{what}: the delivery was lost with its connection"),
            }),
            Ok(Err(error)) => Err(fault(&self.link.broker, what, &error)),
            Err(_) => Err(QueueError::Timeout { broker: self.link.broker.clone(), what: what.into(), after: limit }),
        }
    }
}

#[async_trait]
impl Settle for AmqpSettle {
    async fn ack(mut self: Box<Self>) -> Result<(), QueueError> {
        let Some(acker) = self.acker.take() else { return Ok(()) };
        self.session.settled("acknowledging", acker.ack(BasicAckOptions::default())).await
    }

    async fn requeue(mut self: Box<Self>) -> Result<(), QueueError> {
        let Some(acker) = self.acker.take() else { return Ok(()) };
        let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
        self.session.settled("putting back", acker.nack(requeue)).await
    }
}

impl Drop for AmqpSettle {
    fn drop(&mut self) {
        let (Some(acker), Ok(runtime)) = (self.acker.take(), tokio::runtime::Handle::try_current()) else { return };
        let session = self.session.clone();
        runtime.spawn(async move {
            let requeue = BasicNackOptions { requeue: true, ..BasicNackOptions::default() };
            // Where it fails the connection is gone, and the broker does it.
            let _ = session.settled("putting back", acker.nack(requeue)).await;
        });
    }
}
