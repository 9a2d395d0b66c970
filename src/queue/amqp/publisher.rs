//! Publishing: each message on a channel that has no other on its way.
//!
//! The client library can hand a returned message to the confirm of another
//! when several are on their way on one channel. With one at a time there is
//! no other; and what is returned is compared by its id all the same.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    BasicProperties, Channel, Confirmation,
    options::{BasicPublishOptions, ConfirmSelectOptions},
};
use tokio::{
    sync::{Semaphore, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    link::{Backoff, Link, Pulse},
    names::Route,
    settings::Settings,
    wire,
};
use crate::queue::{Message, QueueError};

/// For a message that nobody waits for.
const TELEMETRY_TIMEOUT: Duration = Duration::from_secs(1);

/// The side that publishes, over a connection of its own.
pub(super) struct Publisher {
    settings: Arc<Settings>,
    line: watch::Receiver<Option<Arc<Line>>>,
    permits: Semaphore,
}

/// One connection's channels.
struct Line {
    link: Link,
    /// Ready to publish, with nothing on its way.
    idle: Mutex<Vec<Channel>>,
    /// For telemetry: without confirms.
    plain: Channel,
}

impl Publisher {
    /// Starts connecting; goes on until the queue is closed.
    pub(super) fn start(context: &Context) -> Self {
        let (sender, line) = watch::channel(None);
        let settings = context.settings.clone();
        let permits = Semaphore::new(settings.publish_channels);
        context.tasks.spawn(keep(settings.clone(), sender, context.closing.clone()));
        Self { settings, line, permits }
    }

    /// How the connection fares.
    pub(super) fn pulse(&self) -> Pulse {
        self.line.borrow().as_ref().map_or(Pulse::Lost, |line| *line.link.pulse().borrow())
    }

    /// Publishes persistently; returns when the message is routed and
    /// confirmed.
    pub(super) async fn publish(&self, route: &Route, message: &Message) -> Result<(), QueueError> {
        let properties = wire::encode(&message.properties, true)?;
        let size = message.body.len();
        if size > self.settings.largest_message {
            return Err(QueueError::Message {
                message_id: message.properties.message_id.clone(),
                field: "body".into(),
                value: format!("{size} bytes long"),
                expected: format!("at most {}: larger ones go through the store", self.settings.largest_message),
            });
        }
        let deadline = Instant::now() + self.settings.publish_timeout;
        match timeout_at(deadline, self.confirmed(route, message, properties)).await {
            Ok(result) => result,
            Err(_) => Err(QueueError::Timeout {
                broker: self.broker(),
                what: format!(
                    "a message to {route}{}",
                    if self.pulse() == Pulse::Blocked { ", which blocks publishers" } else { "" }
                ),
                after: self.settings.publish_timeout,
            }),
        }
    }

    async fn confirmed(&self, route: &Route, message: &Message, properties: BasicProperties) -> Result<(), QueueError> {
        let _permit = self.permits.acquire().await.map_err(|_| self.closed())?;
        let line = self.open_line().await?;
        let channel = match line.take_idle() {
            Some(channel) => channel,
            None => line.confirming(self.settings.request_timeout).await?,
        };
        let what = format!("a message to {route}");
        let failed = |error: lapin::Error| super::link::fault(&line.link.broker, &what, &error);
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let (exchange, key) = (route.exchange.as_str().into(), route.key.as_str().into());
        let confirm = channel.basic_publish(exchange, key, options, &message.body, properties).await.map_err(failed)?;
        let confirmation = confirm.await.map_err(failed)?;
        let verdict = judge(&line.link.broker, route, &message.properties.message_id, confirmation);
        // A channel that is dropped is closed: kept only where all is clear.
        if matches!(verdict, Ok(()) | Err(QueueError::Unroutable { .. })) {
            line.give_back(channel);
        }
        verdict
    }

    /// Sends what nobody waits for: neither persistent nor confirmed.
    pub(super) async fn tell(&self, route: &Route, message: &Message) -> Result<(), QueueError> {
        let properties = wire::encode(&message.properties, false)?;
        let line = self.line.borrow().clone().ok_or_else(|| self.away())?;
        if *line.link.pulse().borrow() != Pulse::Open {
            return Err(self.away());
        }
        let (exchange, key) = (route.exchange.as_str().into(), route.key.as_str().into());
        let sending =
            line.plain.basic_publish(exchange, key, BasicPublishOptions::default(), &message.body, properties);
        line.link.within(TELEMETRY_TIMEOUT, "telemetry", sending).await.map(drop)
    }

    /// Waits for a connection that takes messages.
    async fn open_line(&self) -> Result<Arc<Line>, QueueError> {
        let mut lines = self.line.clone();
        loop {
            let line = lines.wait_for(Option::is_some).await.map_err(|_| self.closed())?.clone();
            let Some(line) = line else { continue };
            let mut pulse = line.link.pulse();
            // What is sent to a broker that blocks piles up in this process.
            if pulse.wait_for(|pulse| *pulse != Pulse::Blocked).await.is_ok_and(|pulse| *pulse == Pulse::Open) {
                return Ok(line);
            }
            let gone = |other: &Option<Arc<Line>>| !other.as_ref().is_some_and(|other| Arc::ptr_eq(other, &line));
            lines.wait_for(gone).await.map_err(|_| self.closed())?;
        }
    }

    fn broker(&self) -> String {
        let line = self.line.borrow().as_ref().map(|line| line.link.broker.clone());
        line.unwrap_or_else(|| {
            let nodes = self.settings.nodes().unwrap_or_default();
            nodes.iter().map(|node| node.name.as_str()).collect::<Vec<_>>().join(", ")
        })
    }

    fn away(&self) -> QueueError {
        QueueError::Connection { broker: self.broker(), what: "no open connection to publish on".into() }
    }

    fn closed(&self) -> QueueError {
        QueueError::Connection { broker: self.broker(), what: "the queue was closed".into() }
    }
}

impl Line {
    async fn open(settings: &Settings, turn: usize) -> Result<Self, QueueError> {
        let link = Link::open(settings, "publishing", turn).await?;
        let plain = link.channel(settings.request_timeout).await?;
        Ok(Self { link, idle: Mutex::default(), plain })
    }

    fn take_idle(&self) -> Option<Channel> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let channel = idle.pop()?;
            if channel.status().connected() {
                return Some(channel);
            }
        }
    }

    fn give_back(&self, channel: Channel) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
    }

    async fn confirming(&self, within: Duration) -> Result<Channel, QueueError> {
        let channel = self.link.channel(within).await?;
        let select = channel.confirm_select(ConfirmSelectOptions::default());
        self.link.within(within, "asking for confirms", select).await?;
        Ok(channel)
    }
}

/// Keeps a connection open until `stop`.
async fn keep(settings: Arc<Settings>, lines: watch::Sender<Option<Arc<Line>>>, stop: CancellationToken) {
    let mut backoff = Backoff::new(settings.longest_pause);
    for turn in 0.. {
        let opened = tokio::select! {
            () = stop.cancelled() => return,
            opened = Line::open(&settings, turn) => opened,
        };
        match opened {
            Ok(line) => {
                backoff.reset();
                let line = Arc::new(line);
                tracing::info!(broker = line.link.broker, "publishing");
                lines.send_replace(Some(line.clone()));
                let stopped = tokio::select! {
                    () = stop.cancelled() => true,
                    () = line.link.lost() => false,
                };
                lines.send_replace(None);
                line.link.close(settings.close_timeout).await;
                if stopped {
                    return;
                }
                tracing::warn!(broker = line.link.broker, "connection for publishing lost");
            }
            Err(error) => tracing::warn!(%error, "failed to connect for publishing"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(backoff.pause()) => {}
        }
    }
}

/// What a confirm says of the message with this id.
fn judge(broker: &str, route: &Route, message_id: &str, confirmation: Confirmation) -> Result<(), QueueError> {
    let refused = |what: String, expected: &str| {
        Err(QueueError::Refused { broker: broker.to_owned(), what, expected: expected.to_owned() })
    };
    match confirmation {
        Confirmation::Ack(None) => Ok(()),
        Confirmation::Ack(Some(returned)) | Confirmation::Nack(Some(returned)) => {
            let id = returned.properties.message_id().as_ref().map_or("", |id| id.as_str());
            if id != message_id {
                let what = format!("message {id} came back in place of {message_id}");
                return Err(QueueError::Connection { broker: broker.to_owned(), what });
            }
            Err(QueueError::Unroutable {
                destination: route.to_string(),
                message_id: message_id.to_owned(),
                why: returned.reply_text.as_str().to_owned(),
            })
        }
        Confirmation::Nack(None) => {
            refused(format!("{route} refused message {message_id}"), "room in its queue, and a majority of its nodes")
        }
        Confirmation::NotRequested => refused(format!("{route} took message {message_id} unconfirmed"), "a confirm"),
    }
}
