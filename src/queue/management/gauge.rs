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

/// Fields that are asked for: fewer are cheaper for the broker.
const COLUMNS: &str = "messages_ready,messages_unacknowledged,message_stats.publish,message_stats.publish_details.rate,message_stats.ack_details.rate";

impl RabbitGauge {
    /// With the management API, or without: then there are counts of what
    /// waits, and no more.
    #[must_use]
    pub fn new(amqp: Arc<Amqp>, management: Option<Management>) -> Self {
        let names = amqp.names().clone();
        Self { amqp, management, names, start: Instant::now(), arrivals: Mutex::default() }
    }

    async fn from_management(&self, management: &Management) -> Result<QueueFigures, QueueError> {
        let mut figures = QueueFigures::default();
        for priority in Priority::ALL {
            let queue = self.names.queue(priority);
            let path = ["queues", management.vhost(), &queue];
            let answer = management.get(&path, &[("columns", COLUMNS)]).await?;
            let answer = answer.ok_or_else(|| {
                management.refused(&path, "no such queue".into(), "the queues of `skydose topology apply`")
            })?;
            figures.priorities.insert(priority, self.read(priority, &answer));
        }
        figures.dead_letters = waiting(management, &self.names.dead()).await?;
        let mut delayed = Some(0);
        for (_, queue) in self.names.tiers() {
            let here = waiting(management, &queue).await?;
            delayed = delayed.zip(here).map(|(sum, n)| sum + n);
        }
        figures.delayed = delayed;
        Ok(figures)
    }

    fn read(&self, priority: Priority, answer: &Value) -> PriorityFigures {
        let ready = answer["messages_ready"].as_u64();
        // A queue that was idle for a while has no statistics: that is zero.
        // One whose node is away has no counts either: that is unknown.
        let stats = |value: &Value| ready.map(|_| value.as_f64().unwrap_or(0.0));
        let published = answer["message_stats"]["publish"].as_u64().unwrap_or(0);
        let mut arrivals = self.arrivals.lock().unwrap_or_else(PoisonError::into_inner);
        let oldest = ready
            .and_then(|ready| arrivals.entry(priority).or_default().oldest(self.start.elapsed(), published, ready));
        PriorityFigures {
            ready,
            unacked: answer["messages_unacknowledged"].as_u64(),
            publish_rate: stats(&answer["message_stats"]["publish_details"]["rate"]),
            ack_rate: stats(&answer["message_stats"]["ack_details"]["rate"]),
            oldest,
        }
    }

    async fn from_broker(&self) -> Result<QueueFigures, QueueError> {
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

/// Messages of one queue, at the least cost for the broker.
async fn waiting(management: &Management, queue: &str) -> Result<Option<u64>, QueueError> {
    let path = ["queues", management.vhost(), queue];
    let cheap = [("disable_stats", "true"), ("enable_queue_totals", "true")];
    Ok(management.get(&path, &cheap).await?.and_then(|answer| answer["messages"].as_u64()))
}

#[async_trait]
impl Gauge for RabbitGauge {
    async fn figures(&self) -> Result<QueueFigures, QueueError> {
        let Some(management) = &self.management else { return self.from_broker().await };
        match self.from_management(management).await {
            Ok(figures) => Ok(figures),
            Err(error) => {
                tracing::warn!(%error, "failed to read figures from the management API, asking the broker");
                self.from_broker().await
            }
        }
    }
}
