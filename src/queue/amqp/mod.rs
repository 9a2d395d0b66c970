//! RabbitMQ.
//!
//! | file | what |
//! |---|---|
//! | `settings.rs` | where the broker is, how long it may take |
//! | `names.rs` `topology.rs` | exchanges and queues: what they are called, what they are |
//! | `wire.rs` | properties as AMQP carries them |
//! | `link.rs` | one connection, in bounded time |
//! | `publisher.rs` | a message, its return and its confirm |
//! | `consumer.rs` | deliveries, from one connection after the other |
//! | `dead.rs` | dead letters |
//! | `candidacy.rs` | the leader's seat |
//!
//! Publishing and consuming have a connection each: a broker that is short of
//! memory stops reading from publishers, and acknowledgements must still get
//! through. Whatever is asked of the broker ends in bounded time. The client
//! library's own recovery is off: what was delivered over a lost connection
//! is given up, and comes again.

mod candidacy;
mod consumer;
mod dead;
mod link;
mod names;
mod publisher;
mod settings;
pub mod topology;
mod wire;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use lapin::{options::QueueDeclareOptions, types::FieldTable};
use tokio::time::timeout;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use consumer::{Arrivals, From, Source};
use link::{Link, Pulse};
pub use names::Names;
use publisher::Publisher;
pub use settings::Settings;

use super::{Destination, Health, JobQueue, Listener, Message, Priority, QueueError, Subscription, topic_matches};

/// Deliveries of results and of telemetry on their way to a listener.
const LISTENERS_PREFETCH: u16 = 200;

/// A queue of jobs on RabbitMQ.
pub struct Amqp {
    context: Context,
    publisher: Publisher,
}

/// What all parts share.
#[derive(Clone)]
struct Context {
    settings: Arc<Settings>,
    names: Names,
    /// Ends everything.
    closing: CancellationToken,
    /// Everything.
    tasks: TaskTracker,
    /// Subscriptions to jobs that have a connection.
    consuming: Arc<AtomicUsize>,
}

impl Amqp {
    /// Starts connecting. Needs a runtime of tokio, and stays there.
    ///
    /// # Errors
    /// [`QueueError::Settings`]; a broker that is away is waited for.
    pub fn new(settings: Settings) -> Result<Self, QueueError> {
        settings.check()?;
        let context = Context {
            names: Names::new(&settings.prefix),
            settings: Arc::new(settings),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
            consuming: Arc::default(),
        };
        Ok(Self { publisher: Publisher::start(&context), context })
    }

    /// What exchanges and queues are called.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.context.names
    }

    /// Connects once and looks whether the jobs' queues are there.
    ///
    /// # Errors
    /// What is wrong with the broker.
    pub async fn probe(settings: &Settings) -> Result<(), QueueError> {
        settings.check()?;
        let names = Names::new(&settings.prefix);
        let queues = Priority::ALL.map(|priority| names.queue(priority));
        for (queue, count) in queues.iter().zip(ready(settings, &queues).await?) {
            count.map_err(|error| QueueError::Refused {
                broker: error.to_string(),
                what: format!("queue {queue} is missing"),
                expected: "the queues of `skydose topology apply`".into(),
            })?;
        }
        Ok(())
    }

    /// How many messages wait in each of `queues`, as the broker counts them
    /// when it is asked to declare what is there.
    pub(super) async fn ready(&self, queues: &[String]) -> Result<Vec<Result<u64, QueueError>>, QueueError> {
        ready(&self.context.settings, queues).await
    }
}

async fn ready(settings: &Settings, queues: &[String]) -> Result<Vec<Result<u64, QueueError>>, QueueError> {
    let link = Link::open_any(settings, "looking").await?;
    let mut counts = Vec::new();
    for queue in queues {
        // What is not there closes the channel.
        let channel = link.channel(settings.request_timeout).await?;
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let declare = channel.queue_declare(queue.as_str().into(), passive, FieldTable::default());
        let answer = link.within(settings.request_timeout, &format!("looking at {queue}"), declare).await;
        counts.push(answer.map(|queue| u64::from(queue.message_count())));
    }
    link.close(settings.close_timeout).await;
    Ok(counts)
}

#[async_trait]
impl JobQueue for Amqp {
    async fn subscribe(&self, prefetch: u16) -> Result<Box<dyn Subscription>, QueueError> {
        let queues = Priority::ALL.map(|priority| self.context.names.queue(priority)).to_vec();
        Ok(Box::new(Arrivals::start(&self.context, Source::Queues(queues), prefetch).await?))
    }

    async fn publish(&self, to: &Destination, message: &Message) -> Result<(), QueueError> {
        let route = self.context.names.route(to, &message.properties);
        match to {
            Destination::Telemetry(_) => self.publisher.tell(&route, message).await,
            _ => self.publisher.publish(&route, message).await,
        }
    }

    async fn results(&self, submission: &str) -> Result<Box<dyn Subscription>, QueueError> {
        let names = &self.context.names;
        let source = Source::Bound {
            queue: names.submission(submission),
            exchange: names.results(),
            key: submission.to_owned(),
        };
        Ok(Box::new(Arrivals::start(&self.context, source, LISTENERS_PREFETCH).await?))
    }

    async fn listen(&self, topics: &str, past: Duration) -> Result<Box<dyn Listener>, QueueError> {
        let source = Source::Stream { queue: self.context.names.stream(topics), from: From::Past(past) };
        let arrivals = Arrivals::start(&self.context, source, LISTENERS_PREFETCH).await?;
        Ok(Box::new(Telemetry { arrivals, topics: topics.to_owned() }))
    }

    fn health(&self) -> Health {
        let pulse = self.publisher.pulse();
        Health {
            consuming: self.context.consuming.load(Ordering::Relaxed) > 0,
            publishing: pulse == Pulse::Open,
            blocked: pulse == Pulse::Blocked,
        }
    }

    async fn close(&self) {
        self.context.closing.cancel();
        self.context.tasks.close();
        // Each task ends by itself within this time.
        let limit = self.context.settings.close_timeout * 2;
        if timeout(limit, self.context.tasks.wait()).await.is_err() {
            tracing::warn!(?limit, "connections were not closed in time");
        }
    }
}

impl Drop for Amqp {
    fn drop(&mut self) {
        self.context.closing.cancel();
    }
}

/// What is heard of a stream.
struct Telemetry {
    arrivals: Arrivals,
    topics: String,
}

#[async_trait]
impl Listener for Telemetry {
    async fn next(&mut self) -> Option<(String, Message)> {
        loop {
            let arrived = self.arrivals.next().await?;
            let message = arrived.delivery.message.clone();
            // In a stream this only asks for more.
            if let Err(error) = arrived.delivery.ack().await {
                tracing::debug!(%error, "telemetry");
            }
            if topic_matches(&self.topics, &arrived.routing_key) {
                return Some((arrived.routing_key, message));
            }
        }
    }
}
