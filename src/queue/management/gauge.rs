//! Figures of the queues: from the management API, and where that is away,
//! what the broker itself can be asked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde_json::Value;
use tokio::time::Instant;

use super::{Management, age::Arrivals};
use crate::queue::{
    Gauge, Priority, PriorityFigures, QueueError, QueueFigures,
    amqp::{Amqp, Names},
};

/// Looks at the queues of RabbitMQ.
pub struct RabbitGauge {
    amqp: Arc<Amqp>,
    management: Option<Management>,
    names: Names,
    start: Instant,
    arrivals: Mutex<BTreeMap<Priority, Arrivals>>,
}

/// Fields that are asked for beside the counts.
const COLUMNS: &str = "message_stats.publish,message_stats.publish_details.rate,message_stats.ack_details.rate";

/// Ready and unacknowledged messages by queue.
type Counts = BTreeMap<String, (u64, u64)>;

impl RabbitGauge {
    /// With the management API, or without: then there are counts of what
    /// waits, and no more.
    #[must_use]
    pub fn new(amqp: Arc<Amqp>, management: Option<Management>) -> Self {
        let names = amqp.names().clone();
        Self { amqp, management, names, start: Instant::now(), arrivals: Mutex::default() }
    }

    /// The figures from where they are to come from, with nothing in its place.
    ///
    /// # Errors
    /// The management API, or the broker where there is none, does not tell.
    pub async fn told(&self) -> Result<QueueFigures, QueueError> {
        match &self.management {
            Some(management) => self.by_management(management).await,
            None => self.by_broker().await,
        }
    }

    async fn by_management(&self, management: &Management) -> Result<QueueFigures, QueueError> {
        let counts = self.counts(management).await?;
        let mut figures = QueueFigures::default();
        for priority in Priority::ALL {
            let queue = self.names.queue(priority);
            let path = ["queues", management.vhost(), &queue];
            let answer = management.get(&path, &[("columns", COLUMNS)]).await?;
            let answer = answer.ok_or_else(|| {
                management.refused(&path, "no such queue".into(), "the queues of `skydose topology apply`")
            })?;
            figures.priorities.insert(priority, self.read(priority, counts.get(&queue).copied(), &answer));
        }
        let all = |queue: &String| counts.get(queue).map(|(ready, unacked)| ready + unacked);
        figures.dead_letters = all(&self.names.dead());
        figures.delayed = self.names.tiers().map(|(_, queue)| all(&queue)).sum();
        Ok(figures)
    }

    /// Counts of all queues in one call, at the least cost for the broker: it
    /// gives counts without statistics for lists alone. Queues whose node is
    /// away have none.
    async fn counts(&self, management: &Management) -> Result<Counts, QueueError> {
        let prefix = self.names.prefix();
        let pattern = format!("^{prefix}\\.(jobs\\.(high|normal)|later\\.[0-9]+s|dead)$");
        let query = [
            ("disable_stats", "true"),
            ("enable_queue_totals", "true"),
            ("page", "1"),
            ("page_size", "100"),
            ("use_regex", "true"),
            ("name", &pattern),
        ];
        let path = ["queues", management.vhost()];
        let list = management.get(&path, &query).await?;
        let list = list.as_ref().and_then(|list| list["items"].as_array());
        let list = list.ok_or_else(|| management.refused(&path, "no list".into(), "a virtual host that is there"))?;
        let counted = |queue: &Value| {
            let counts = queue["messages_ready"].as_u64().zip(queue["messages_unacknowledged"].as_u64())?;
            Some((queue["name"].as_str()?.to_owned(), counts))
        };
        Ok(list.iter().filter_map(counted).collect())
    }

    fn read(&self, priority: Priority, counts: Option<(u64, u64)>, answer: &Value) -> PriorityFigures {
        let Some((ready, unacked)) = counts else { return PriorityFigures::default() };
        // A queue that was idle for a while has no statistics: that is zero.
        let rate = |of: &str| Some(answer["message_stats"][of]["rate"].as_f64().unwrap_or(0.0));
        let published = answer["message_stats"]["publish"].as_u64().unwrap_or(0);
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        PriorityFigures {
            ready: Some(ready),
            unacked: Some(unacked),
            publish_rate: rate("publish_details"),
            ack_rate: rate("ack_details"),
            oldest: arrivals.entry(priority).or_default().oldest(self.start.elapsed(), published, ready),
        }
    }

    async fn by_broker(&self) -> Result<QueueFigures, QueueError> {
        let mut queues: Vec<String> = Priority::ALL.map(|priority| self.names.queue(priority)).to_vec();
        queues.push(self.names.dead());
        queues.extend(self.names.tiers().map(|(_, queue)| queue));
        let counts: Vec<Option<u64>> = self.amqp.ready(&queues).await?.into_iter().map(Result::ok).collect();
        let (jobs, rest) = counts.split_at(Priority::ALL.len());
        let only = |ready: &Option<u64>| PriorityFigures { ready: *ready, ..PriorityFigures::default() };
        Ok(QueueFigures {
            priorities: Priority::ALL.into_iter().zip(jobs.iter().map(only)).collect(),
            dead_letters: rest[0],
            delayed: rest[1..].iter().copied().sum(),
        })
    }
}

#[async_trait]
impl Gauge for RabbitGauge {
    async fn figures(&self) -> Result<QueueFigures, QueueError> {
        match self.told().await {
            Err(error) if self.management.is_some() => {
                tracing::warn!(%error, "failed to read figures from the management API, asking the broker");
                self.by_broker().await
            }
            told => told,
        }
    }
}
