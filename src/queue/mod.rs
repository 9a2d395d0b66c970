//! Queues of jobs: where messages come from and where answers go.
//!
//! | queue | file |
//! |---|---|
//! | RabbitMQ | `amqp/`, `management/` |
//! | in memory, with redelivery | `memory/` |
//!
//! | what is asked of it | trait |
//! |---|---|
//! | jobs, results, telemetry | [`JobQueue`] |
//! | how full it is | [`Gauge`] |
//! | what was given up | [`DeadLetters`] |
//! | who leads | [`Election`] |
//!
//! A [`Delivery`] is an obligation: settled exactly once, or requeued when it
//! is dropped. A publish returns when the message is routed, on a majority of
//! the broker's disks, and confirmed; only then may the delivery that led to
//! it be acknowledged.

pub mod amqp;
pub mod contract;
mod dead;
mod election;
mod figures;
pub mod management;
pub mod memory;

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use dead::{DeadLetter, DeadLetters, ERROR, REASON};
pub use election::{Candidacy, Election};
pub use figures::{Gauge, PriorityFigures, QueueFigures};

/// One queue each: a quorum queue knows no priorities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Served before `normal`.
    High,
    /// The usual.
    #[default]
    Normal,
}

/// A message and what travels beside its body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Everything but the body.
    pub properties: Properties,
    /// As sent, possibly compressed.
    pub body: Bytes,
}

/// What travels beside a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties {
    /// Unique to the job, or the key of the result that an event announces.
    pub message_id: String,
    /// What the body is: `skydose.job`, `skydose.result`, …
    pub kind: String,
    /// Of the kind's format.
    pub version: u32,
    /// Which submission the message belongs to.
    pub submission: Option<String>,
    /// Tries that failed so far.
    pub attempt: u32,
    /// Tries so far that ended with the worker's death.
    pub crashes: u32,
    /// After this instant nobody wants the answer.
    pub deadline: Option<Timestamp>,
    /// When the submitter published it first.
    pub submitted_at: Option<Timestamp>,
    /// Which queue it waits in.
    pub priority: Priority,
    /// Media type of the body.
    pub content_type: Option<String>,
    /// `zstd` where the body is compressed.
    pub content_encoding: Option<String>,
    /// Where the submitter wants the event too.
    pub reply_to: Option<String>,
    /// The submitter's own mark, handed back.
    pub correlation_id: Option<String>,
    /// Other headers, handed on: the trace context, why a job was buried.
    pub headers: BTreeMap<String, String>,
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// The jobs of the message's own priority.
    Jobs,
    /// The same, after about this long: see [`DELAYS`].
    Later(Duration),
    /// The dead letters.
    Dead,
    /// The results, by submission.
    Results,
    /// The queue that a submitter named in `reply_to`.
    Reply(String),
    /// Whoever listens to the telemetry, by topic (words joined by dots);
    /// nobody may.
    Telemetry(String),
    /// The same, of an operator's order: waited for until it is safe.
    Order(String),
}

/// The tiers of [`Destination::Later`]: a message waits in the shortest that
/// is long enough, or in the longest.
pub const DELAYS: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(10),
    Duration::from_hours(1),
];

/// A queue of jobs.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Starts consuming, at most `prefetch` deliveries unsettled at a time,
    /// those of high priority first. A lost connection is made again behind
    /// the subscription; deliveries of the lost one come again.
    ///
    /// # Errors
    /// [`QueueError`] where the queues are not there or not allowed.
    async fn subscribe(&self, prefetch: u16) -> Result<Box<dyn Subscription>, QueueError>;

    /// Publishes persistently and waits until the message is routed and
    /// confirmed; telemetry alone is neither.
    ///
    /// # Errors
    /// [`QueueError::Unroutable`] where no queue takes it; others where it is
    /// not known to be safe. The message may have arrived all the same.
    async fn publish(&self, to: &Destination, message: &Message) -> Result<(), QueueError>;

    /// The events of one submission. They are kept from the first call on,
    /// whether anyone listens or not, for as long as the queue keeps what
    /// nobody asks for: so a submitter calls this before it publishes, and
    /// again after a restart. Events come at least once.
    ///
    /// # Errors
    /// [`QueueError`] where it cannot be set up.
    async fn results(&self, submission: &str) -> Result<Box<dyn Subscription>, QueueError>;

    /// What is said on the topics that `topics` matches, from about `past`
    /// ago: `*` stands for one word, `#` for any number of them. What is said
    /// while the connection is away may be missed.
    ///
    /// # Errors
    /// [`QueueError`] where it cannot be set up.
    async fn listen(&self, topics: &str, past: Duration) -> Result<Box<dyn Listener>, QueueError>;

    /// Whether publishing and consuming are possible at this moment.
    fn health(&self) -> Health;

    /// Closes connections in bounded time.
    async fn close(&self);
}

/// A stream of deliveries; dropped, those not handed out go back.
#[async_trait]
pub trait Subscription: Send {
    /// The next delivery; `None` after [`stop`](Self::stop), when what had
    /// been delivered by then has been handed out.
    async fn next(&mut self) -> Option<Delivery>;

    /// Asks for no more deliveries. What is unsettled stays so.
    async fn stop(&mut self);
}

/// A stream of telemetry.
#[async_trait]
pub trait Listener: Send {
    /// The next message and its topic; `None` once the queue is closed.
    async fn next(&mut self) -> Option<(String, Message)>;
}

/// What settles a delivery, once.
#[async_trait]
pub trait Settle: Send {
    /// The message is done with.
    async fn ack(self: Box<Self>) -> Result<(), QueueError>;
    /// The message goes back to its queue. Also what a drop comes to.
    async fn requeue(self: Box<Self>) -> Result<(), QueueError>;
}

/// A message that must be settled; dropped, it goes back to its queue.
#[must_use = "a delivery must be settled"]
pub struct Delivery {
    /// What was delivered.
    pub message: Message,
    /// How often it was delivered before and came back.
    pub redeliveries: u32,
    settle: Box<dyn Settle>,
}

/// Whether the broker is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Jobs can arrive.
    pub consuming: bool,
    /// Results can leave.
    pub publishing: bool,
    /// The broker has asked publishers to wait.
    pub blocked: bool,
}

/// Why a queue did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// No connection, or it went away: the broker gives unsettled messages
    /// out again.
    #[error("{broker}: {what}")]
    Connection {
        /// Without credentials.
        broker: String,
        /// What happened.
        what: String,
    },
    /// The broker took longer than it may.
    #[error("{broker}: no answer to {what} within {after:?}")]
    Timeout {
        /// Without credentials.
        broker: String,
        /// To what.
        what: String,
        /// How long was waited.
        after: Duration,
    },
    /// No queue takes the message.
    #[error("{destination} takes no message {message_id}: {why}")]
    Unroutable {
        /// Exchange and routing key.
        destination: String,
        /// Which.
        message_id: String,
        /// As the broker says it.
        why: String,
    },
    /// The broker refuses: a queue is missing, another's, or full.
    #[error("{broker}: {what}; expected {expected}")]
    Refused {
        /// Without credentials.
        broker: String,
        /// What it refused and its words.
        what: String,
        /// What would have worked.
        expected: String,
    },
    /// The settings cannot be used.
    #[error("{field} is {value}, expected {expected}")]
    Settings {
        /// Which.
        field: String,
        /// As found, without secrets.
        value: String,
        /// What would work.
        expected: String,
    },
    /// A message that this program did not write, or cannot send.
    #[error("message {message_id}: {field} is {value}, expected {expected}")]
    Message {
        /// Which.
        message_id: String,
        /// Property or header.
        field: String,
        /// As found.
        value: String,
        /// What was expected.
        expected: String,
    },
}

impl Delivery {
    /// A delivery that `settle` settles.
    pub fn new(message: Message, redeliveries: u32, settle: Box<dyn Settle>) -> Self {
        Self { message, redeliveries, settle }
    }

    /// The message is done with.
    ///
    /// # Errors
    /// The delivery was lost with its connection: the message comes again.
    pub async fn ack(self) -> Result<(), QueueError> {
        self.settle.ack().await
    }

    /// The message goes back to its queue, for anyone.
    ///
    /// # Errors
    /// The delivery was lost with its connection: the message comes again.
    pub async fn requeue(self) -> Result<(), QueueError> {
        self.settle.requeue().await
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("message", &self.message.properties.message_id)
            .field("redeliveries", &self.redeliveries)
            .finish_non_exhaustive()
    }
}

impl Priority {
    /// Both, the first served first.
    pub const ALL: [Self; 2] = [Self::High, Self::Normal];

    /// As messages and queues write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
        }
    }
}

/// The tier that a delay of `wanted` waits in.
#[must_use]
pub fn delay(wanted: Duration) -> Duration {
    DELAYS.into_iter().find(|tier| *tier >= wanted).unwrap_or(DELAYS[DELAYS.len() - 1])
}

/// Whether `topic` is one of those that `pattern` stands for.
#[must_use]
pub fn topic_matches(pattern: &str, topic: &str) -> bool {
    fn words(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([], []) => true,
            (["#", rest @ ..], _) => (0..=topic.len()).any(|skipped| words(rest, &topic[skipped..])),
            (["*", rest @ ..], [_, others @ ..]) => words(rest, others),
            ([word, rest @ ..], [other, others @ ..]) => word == other && words(rest, others),
            _ => false,
        }
    }
    words(&pattern.split('.').collect::<Vec<_>>(), &topic.split('.').collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_shorter_than_asked_up_to_the_longest() {
        let seconds = |s| delay(Duration::from_secs(s)).as_secs();
        assert_eq!([0, 1, 2, 60, 61, 3600, 9999].map(seconds), [1, 1, 10, 60, 600, 3600, 3600]);
    }

    #[test]
    fn topics_match_as_the_broker_matches_them() {
        for (pattern, topic, expected) in [
            ("heartbeat.*", "heartbeat.w1", true),
            ("heartbeat.*", "heartbeat", false),
            ("heartbeat.*", "heartbeat.w1.x", false),
            ("heartbeat.#", "heartbeat", true),
            ("heartbeat.#", "heartbeat.w1.x", true),
            ("#", "anything.at.all", true),
            ("#.x", "a.b.x", true),
            ("#.x", "a.b.y", false),
            ("a.*.c", "a.b.c", true),
            ("a", "b", false),
        ] {
            assert_eq!(topic_matches(pattern, topic), expected, "{pattern} {topic}");
        }
    }
}
